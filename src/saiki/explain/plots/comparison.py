"""Pictures of many runs side by side: what most of them do, and how far they are apart."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from saiki.arrays import Array
from saiki.explain.plots.style import LINES
from saiki.explain.plots.training import moving_average

POINTS = 400
"""A line has at most so many points; more cannot be seen, and make large files."""


def plot_losses_with_spread(axes: Axes, losses: Mapping[str, Array], window: int = 100) -> Axes:
    """Draw for each name the median over repeats of the smoothed loss, and a band that holds half of them or more.

    Args:
        axes: where to draw.
        losses: by name ``(repeats, iterations)``; NaN from where a repeat diverged, which counts as infinitely large.
        window: each point is the mean of so many iterations; fewer where there are not ten times as many.

    Returns:
        The axes; the band leaves out as many repeats above the median as below it, each a quarter at most.
    """
    for i, (name, values) in enumerate(losses.items()):
        colour, dashes = LINES[i % len(LINES)]
        iterations, smooth = _smoothed(values, window)
        outside = (len(smooth) - 1) // 4  # whole ranks, since there is nothing halfway to infinity
        low, middle, high = smooth[outside], np.median(smooth, axis=0), smooth[-1 - outside]
        high = np.minimum(high, np.max(smooth, where=np.isfinite(smooth), initial=0))
        axes.fill_between(iterations, low, high, where=np.isfinite(low).tolist(), color=colour, alpha=0.15, linewidth=0)
        axes.plot(iterations, middle, color=colour, linestyle=dashes, linewidth=1.6, label=name)
    if all((values[np.isfinite(values)] > 0).all() for values in losses.values()):
        axes.set_yscale("log")
    return axes


def comparison_figure(
    title: str, loss: str, panels: Mapping[str, Mapping[str, Array]], window: int = 100, columns: int = 4
) -> Figure:
    """Return a figure of losses with their spread: one panel, or small ones that share their axes and one legend.

    Args:
        title: what was compared.
        loss: the name of the loss.
        panels: for the heading of each panel, losses by name, as ``plot_losses_with_spread`` takes them. In all
            panels the same names have the same lines, if they stand in the same order.
        window: each point is the mean of so many iterations.
        columns: how many panels stand side by side.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(8, 3 * columns), 3 + 2 * rows), dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (heading, losses) in zip(grid.flat, panels.items(), strict=False):
        plot_losses_with_spread(axes, losses, window)
        axes.grid(alpha=0.3)
        axes.set_title(heading, fontsize="medium")
        axes.xaxis.set_major_locator(MaxNLocator(10 // columns + 1, integer=True))
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # the last of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("iteration")
    for axes in grid[:, 0]:
        axes.set_ylabel(loss)
    lines, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(title, fontsize="medium")
    return figure


def _smoothed(losses: Array, window: int) -> tuple[Array, Array]:
    """Return iterations, and for each the mean of the last losses of each repeat, sorted; infinite once diverged."""
    window = min(window, 1 + losses.shape[1] // 10)
    ends = np.unique(np.linspace(window, losses.shape[1], POINTS).astype(int))
    smooth = np.array([moving_average(repeat, window)[ends - window] for repeat in losses])
    return ends, np.sort(np.where(np.isfinite(smooth), smooth, np.inf), axis=0)
