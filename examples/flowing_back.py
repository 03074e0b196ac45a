"""How the loss at the last of 40 steps flows back: in a simple network it fades, in an LSTM it fades less."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.matrices import of_delta
from saiki.explain.plots import plot_matrix

rng = np.random.default_rng(0)
X, y = rng.standard_normal((1, 40, 2)), [1.0]
figure = Figure(figsize=(10, 6), layout="constrained")
for axes, layer in zip(figure.subplots(2, 1), (saiki.SimpleRNN(2, 8), saiki.LSTM(2, 8)), strict=True):
    network = saiki.Network([layer, saiki.Readout("last"), saiki.Dense(8, 1)])
    params = network.init(rng, {"b_f": saiki.initializers.constant(2)} if layer.cell.name == "lstm" else "xavier")
    delta = of_delta(saiki.trace(network, X, y, params))
    plot_matrix(axes, replace(delta, low=1e-9, high=1.0))  # one scale for both
    axes.set_title(f"{layer.cell.name}: {axes.get_title()}")
figure.savefig("flowing_back.png")
