"""How the loss at the last of 40 steps flows back: in a simple network it fades, in an LSTM it lasts."""

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_delta

rng = np.random.default_rng(0)
X, y = rng.standard_normal((1, 40, 2)), [1.0]
figure = Figure(figsize=(10, 6), layout="constrained")
for axes, layer in zip(figure.subplots(2, 1), (saiki.SimpleRNN(2, 8), saiki.LSTM(2, 8)), strict=True):
    network = saiki.Network([layer, saiki.Readout("last"), saiki.Dense(8, 1)])
    params = network.init(rng, {"b_f": saiki.initializers.constant(2)} if layer.cell.name == "lstm" else "xavier")
    plot_delta(axes, saiki.trace(network, X, y, params))
    axes.set_title(f"{layer.cell.name}: {axes.get_title()}")
figure.savefig("flowing_back.png")
