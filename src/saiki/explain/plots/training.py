"""Pictures of training runs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from saiki.arrays import Array
from saiki.explain.plots.style import BLUE, GREY, VERMILION, finish


def moving_average(values: Array, window: int) -> Array:
    """Return the mean of each ``window`` consecutive values: ``len(values) - window + 1`` numbers.

    >>> moving_average(np.array([1.0, 3.0, 5.0]), 2).tolist()
    [2.0, 4.0]
    """
    return np.convolve(values, np.full(window, 1 / window), mode="valid")


def plot_loss(axes: Axes, losses: Sequence[float], window: int = 1, of: str = "iteration") -> Axes:
    """Draw a loss, raw and as the mean of the last ``window`` values, on a log scale.

    Args:
        axes: where to draw.
        losses: a loss for each iteration or epoch.
        window: how many are averaged; fewer than asked for where there are few, and 1 averages nothing.
        of: what each loss belongs to, "iteration" or "epoch".
    """
    values = np.asarray(losses)
    counts = np.arange(1, len(values) + 1)
    window = min(window, 1 + len(values) // 10)
    if window > 1:
        axes.plot(counts, values, color=GREY, alpha=0.5, linewidth=0.5, label=f"each {of}")
    mean = f"mean of the last {window}" if window > 1 else f"each {of}"
    axes.plot(counts[window - 1 :], moving_average(values, window), color=BLUE, linewidth=1.8, label=mean)
    if (values > 0).all():
        axes.set_yscale("log")
    axes.set_xlabel(of)
    axes.set_ylabel("loss")
    return finish(axes)


def plot_accuracy(axes: Axes, iterations: Sequence[int], accuracies: Sequence[float], label: str) -> Axes:
    """Draw accuracies from 0 to 1 by iteration."""
    axes.plot(iterations, accuracies, color=VERMILION, linewidth=1.8, marker=".", markersize=4, label=label)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_ylabel("sums right")
    return finish(axes)


def training_figure(
    title: str,
    loss: str,
    losses: Sequence[float],
    watched: Sequence[int],
    accuracies: Sequence[float],
    label: str,
) -> Figure:
    """Return a figure of a training run: the loss above, the accuracy on watched examples below.

    Args:
        title: what was trained.
        loss: the name of the loss.
        losses: its value at each iteration.
        watched: the iterations at which the accuracy was measured.
        accuracies: what it was, from 0 to 1.
        label: what it is the accuracy of.
    """
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    plot_loss(above, losses, window=100)
    plot_accuracy(below, watched, accuracies, label)
    figure.suptitle(title, fontsize="medium")
    above.set_xlabel("")
    above.set_ylabel(loss)
    below.set_xlabel("iteration")
    return figure
