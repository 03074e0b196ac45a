"""The unrolled graph of a small network that has learnt to add, at work on 3 + 1, with its numbers and gradients."""

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_unrolled
from saiki.tasks.adder import Experiment

experiment = Experiment(bits=4, n_units=3, learning_rate=0.4, bias=True, seed=2)
*_, last = experiment.run()
X, y = experiment.adder.encode(np.array([3]), np.array([1]))
trace = saiki.trace(experiment.network, X, y, last.params, loss=experiment.loss)
figure = Figure(figsize=(10, 5), layout="constrained")
plot_unrolled(figure.subplots(), trace)
figure.savefig("unrolled.png")
