"""Pictures of what networks over trees have learnt."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from saiki.explain.plots.panels import panels_figure
from saiki.explain.plots.style import BLUE, LINES, VERMILION
from saiki.explain.plots.trees import plot_tree
from saiki.trees import Tree

MARKERS = "osD^vP"
HATCHES = "", "//", "..", "xx"


def plot_by_depth(axes: Axes, shares: Mapping[str, Mapping[int, float]], title: str = "") -> Axes:
    """Draw the share of right answers by the depth of what was asked, a line for each name.

    Args:
        axes: where to draw.
        shares: by name, from each depth to a share between 0 and 1.
        title: what was asked.
    """
    for i, (name, by_depth) in enumerate(shares.items()):
        colour, dashes = LINES[i % len(LINES)]
        axes.plot(
            list(by_depth), list(by_depth.values()), color=colour, linestyle=dashes, marker=MARKERS[i % len(MARKERS)],
            label=name,
        )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("depth")
    axes.set_ylabel("right answers")
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3)
    axes.set_xticks(sorted({depth for by_depth in shares.values() for depth in by_depth}))
    axes.legend(frameon=False, loc="best", fontsize="small")
    return axes


def plot_f1(axes: Axes, scores: Mapping[str, Mapping[str, float]], title: str = "") -> Axes:
    """Draw F1 as bars: a group for each who found trees, in it a bar for each kind of data.

    Args:
        axes: where to draw.
        scores: by kind of data, from who found the trees to the F1.
        title: what was found.
    """
    names = list(next(iter(scores.values())))
    width = 0.8 / len(scores)
    for i, (kind, by_name) in enumerate(scores.items()):
        places = np.arange(len(names)) + (i - (len(scores) - 1) / 2) * width
        bars = axes.bar(
            places, [by_name[name] for name in names], width, color=(BLUE, VERMILION)[i % 2], hatch=HATCHES[i % 4],
            edgecolor="white", label=kind,
        )  # fmt: skip
        axes.bar_label(bars, fmt="%.2f", fontsize="x-small", padding=1)
    axes.set_xticks(
        range(len(names)), [name.replace("-", "-\n").replace(" ", "\n") for name in names], fontsize="small"
    )
    axes.set_ylim(0, 1.25)  # the legend is above the bars
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylabel("F1 of the spans")
    axes.set_title(title, fontsize="medium")
    axes.legend(frameon=False, loc="upper right", ncols=len(scores), fontsize="small")
    return axes


def tree_tasks_figure(
    given: Mapping[str, Mapping[int, float]],
    joined: Mapping[str, Mapping[int, float]],
    found: Mapping[str, Mapping[str, float]],
    example: Tree | None,
) -> Figure:
    """Return a figure with a panel for each of what ``saiki tree`` shows; what is empty is left out."""
    draws: list[Callable[[Axes], Any]] = []
    if given:
        draws.append(lambda axes: plot_by_depth(axes, given, "structure given: nested lists worked out"))
    if joined:
        draws.append(lambda axes: plot_by_depth(axes, joined, "two neighbours joined into one vector"))
    if found:
        draws.append(lambda axes: plot_f1(axes, found, "structure found: arithmetic without brackets"))
    if example is not None:
        draws.append(lambda axes: plot_tree(axes, example).set_title("a tree that was found", fontsize="medium"))
    return panels_figure("Recursive networks over trees", draws, (6.0, 4.2))
