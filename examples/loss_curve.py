"""The loss of a training run, raw and smoothed, on a log scale."""

from matplotlib.figure import Figure

from saiki.explain.plots import plot_loss
from saiki.tasks.adder import Experiment

losses = [step.loss for step in Experiment().run()]
figure = Figure(figsize=(8, 4), layout="constrained")
plot_loss(figure.subplots(), losses, window=100)
figure.savefig("loss_curve.png")
