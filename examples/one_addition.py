"""One addition with a carry, from input to gradient, on one page: 3 + 1, by a network of three units."""

import numpy as np

import saiki
from saiki.tasks.adder import Experiment

experiment = Experiment(bits=4, n_units=3, learning_rate=0.4, iterations=10_000, bias=True, seed=2)
*_, last = experiment.run()
X, y = experiment.adder.encode(np.array([3]), np.array([1]))
print(saiki.trace(experiment.network, X, y, last.params, loss=experiment.loss))
