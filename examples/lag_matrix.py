"""How far the loss of each bit of a sum reaches back, before and after learning to add."""

from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_lag_matrix
from saiki.tasks.adder import Experiment

experiment = Experiment()
*_, last = experiment.run()
X, y = experiment.adder.encode(*experiment.adder.pairs(experiment.held_out()))
figure = Figure(figsize=(11, 4.5), layout="constrained")
for axes, params, when in zip(
    figure.subplots(1, 2), (experiment.init(), last.params), ("before", "after"), strict=True
):
    plot_lag_matrix(axes, saiki.trace(experiment.network, X, y, params, loss=experiment.loss))
    axes.set_title(f"{when} training")
figure.savefig("lag_matrix.png")
