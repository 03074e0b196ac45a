"""How much of a loss comes back over up to 50 steps, by cell, before any training: vanishing gradients, measured."""

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_norm_by_lag

rng = np.random.default_rng(0)
X, y = rng.standard_normal((8, 50, 2)), rng.standard_normal((8, 50))
remembering = {"b_f": saiki.initializers.constant(2)}
cases = {
    "simple, tanh": (saiki.SimpleRNN(2, 16), "xavier"),
    "simple, sigmoid": (saiki.SimpleRNN(2, 16, "sigmoid"), "xavier"),
    "simple, tanh, orthogonal Wh": (saiki.SimpleRNN(2, 16), {"Wh": "orthogonal"}),
    "GRU": (saiki.GRU(2, 16), "xavier"),
    "LSTM, forget bias 2": (saiki.LSTM(2, 16), remembering),
}
figure = Figure(figsize=(8, 5), layout="constrained")
axes = figure.subplots()
for label, (layer, scheme) in cases.items():
    network = saiki.Network([layer, saiki.Dense(16, 1)])
    trace = saiki.trace(network, X, y, network.init(rng, scheme), quantities=["lag_matrix"])
    plot_norm_by_lag(axes, trace, label=label)
figure.savefig("gradient_by_lag.png")
