"""What 16 units carry from bit to bit while a network that has learnt to add works out 63 + 1: a carry at each step."""

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_quantity
from saiki.tasks.adder import Experiment

experiment = Experiment()
*_, last = experiment.run()
X, y = experiment.adder.encode(np.array([63]), np.array([1]))
trace = saiki.trace(experiment.network, X, y, last.params, loss=experiment.loss)
figure = Figure(figsize=(8, 6), layout="constrained")
above, below = figure.subplots(2, 1, height_ratios=(1, 5))
plot_quantity(above, trace, "inputs")
plot_quantity(below, trace, "h")
figure.savefig("hidden_states.png")
