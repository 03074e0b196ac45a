"""The weights of a small network that has learnt to add, as matrices."""

from matplotlib.figure import Figure

from saiki.explain.plots import plot_weights
from saiki.tasks.adder import Experiment

experiment = Experiment(bits=4, n_units=3, learning_rate=0.4, bias=True, seed=2)
*_, last = experiment.run()
figure = Figure(figsize=(10, 3), layout="constrained")
names = ("0/Wx", "0/Wh", "1/W")
for axes, name in zip(figure.subplots(1, 3), names, strict=True):
    plot_weights(axes, last.params[name], name)
figure.savefig("weights.png")
