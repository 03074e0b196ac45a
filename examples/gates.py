"""The gates and the memory of an LSTM that waits for a sign, then has to say what it saw at the first step."""

import numpy as np
from matplotlib.figure import Figure

import saiki
from saiki.explain.plots import plot_quantity

rng = np.random.default_rng(0)
X = np.zeros((400, 12, 2))
X[:, 0, 0] = rng.choice([-1, 1], 400)  # what to remember
X[:, -1, 1] = 1  # the sign
y = X[:, 0, 0] > 0
classifier = saiki.RNNClassifier(cell="lstm", hidden_layer_sizes=6, max_iter=30, random_state=0).fit(X, y)

trace = saiki.trace(classifier, X[:2], y[:2])
figure = Figure(figsize=(10, 6), layout="constrained")
for axes, name in zip(figure.subplots(2, 3).flat, ("inputs", "i", "f", "g", "c", "h"), strict=True):
    plot_quantity(axes, trace, name)
figure.savefig("gates.png")
