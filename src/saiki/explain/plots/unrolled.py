"""The unrolled graph of a small network: every step a column, with its numbers on it."""

from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from saiki.arrays import Array
from saiki.errors import ArgumentError
from saiki.explain.matrices import as_trace
from saiki.explain.plots.style import BLUE, VERMILION
from saiki.explain.traces import LayerTrace, Trace
from saiki.layers import Bidirectional, Dense, Dropout, Embedding, Readout, Recurrent

MOST_STEPS, MOST_UNITS = 8, 6
"""More steps or units than these leave no room for numbers."""

FONT = 8

Point: TypeAlias = tuple[int, int]
"""A step and a row of the graph."""

FORWARD: dict[str, Any] = {"arrowstyle": "-|>", "color": BLUE, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
BACK: dict[str, Any] = {
    "arrowstyle": "-|>",
    "color": VERMILION,
    "linewidth": 1.0,
    "linestyle": "--",
    "shrinkA": 0,
    "shrinkB": 0,
}


def plot_unrolled(axes: Axes, trace: Trace, sequence: int = 0) -> Axes:
    """Draw a network unrolled in time: x, the states h, the outputs y, and beside them what flows back.

    Solid arrows are the forward pass, dashed ones the way of the gradients; beside each state stands, in italics, the
    gradient of the loss with respect to it, beside each output delta_out.

    Args:
        axes: where to draw; about 2.2 by 1.5 inches for each step and row.
        trace: what to draw from: at most 8 steps and 6 units; choose some of more with ``trace(..., steps=...)``.
        sequence: which sequence.

    Raises:
        ArgumentError: too many steps or units to be drawn, something between the recurrent layers and a dense output
            that has no place in the graph, or no such sequence.
    """
    steps = [as_trace(trace).look(layer, sequence)[1] for layer in range(len(trace.layers))] or [trace.look()[1]]
    last = trace.parts[-1][1]
    widest = max(layer.layer.n_units for layer in trace.layers)
    if any(len(own) > MOST_STEPS for own in steps) or widest > MOST_UNITS:
        raise ArgumentError(
            f"trace: a graph has room for {MOST_STEPS} steps and {MOST_UNITS} units; got {max(map(len, steps))} steps"
            f" and {widest} units. Choose steps with trace(..., steps=...), or draw heatmaps with plot_quantity."
        )
    for name, part in trace.parts:
        if not isinstance(part, Recurrent | Bidirectional | Readout | Dropout | Embedding) and part is not last:
            raise ArgumentError(f"trace: a graph has no place for layer {name}, {part!r}. Draw heatmaps instead.")
    if not isinstance(last, Dense | Recurrent | Bidirectional | Readout | Dropout):
        raise ArgumentError(f"trace: a graph has no place for an output by {last!r}. Draw heatmaps instead.")
    groups = [list(group) for _, group in groupby(trace.layers, key=lambda layer: layer.part)]
    rows: list[LayerTrace] = [layer for group in groups for layer in group]
    height = {layer.name: i + 1 for i, layer in enumerate(rows)}
    top, n_inputs, n_outputs = len(rows) + 1, rows[0].layer.n_features, trace.outputs.shape[-1]

    for column, step in enumerate(steps[0]):
        _box(axes, (column, 0), f"x at t = {step + 1}", rows[0].inputs[sequence, column])
        for i, group in enumerate(groups):
            sources = [(height[part.name], part.layer.n_units) for part in groups[i - 1]] if i else [(0, n_inputs)]
            for layer in group:
                here = column, height[layer.name]
                _box(axes, here, "h", layer.h[sequence, column], "dh", layer["dh"][sequence, column])
                for below, size in sources:
                    _arrows(axes, (column, below), here, (size, layer.layer.n_units), back=i > 0)
                if column and step == steps[0][column - 1] + 1:
                    before = column - 1, here[1]
                    _along(axes, *((here, before) if layer.layer.reverse else (before, here)))
        for layer in groups[-1]:
            if layer["dh_out"][sequence, column].any():  # else the output does not see this step
                to = column if trace.losses.ndim == 2 else len(steps[0]) - 1
                _arrows(axes, (column, height[layer.name]), (to, top), (layer.layer.n_units, n_outputs), back=True)
        if trace.losses.ndim == 2:
            _output(axes, trace, (sequence, column), (column, top))
    if trace.losses.ndim == 1:
        _output(axes, trace, (sequence,), (len(steps[0]) - 1, top))
    for layer in rows if len(rows) > 1 else ():
        axes.text(-0.58, height[layer.name], f"layer {layer.name}", rotation=90, ha="left", va="center", fontsize=FONT)
    axes.set_xlim(-0.6, len(steps[0]) - 0.4)
    axes.set_ylim(-0.4, top + 0.4)
    axes.set_axis_off()
    axes.set_title("forward: solid arrows; gradients: dashed arrows, and numbers in italics")
    return axes


def _output(axes: Axes, trace: Trace, at: tuple[int, ...], place: Point) -> None:
    target = trace.targets[at[0]] if len(at) == 1 else trace.targets[at[0]][trace.steps[at[1]]]
    held = "\n".join(f"target {value:.3g}" for value in np.atleast_1d(target))
    _box(axes, place, f"{held}\ny", trace.outputs[at], "delta_out", trace.delta_out[at])


def _box(axes: Axes, place: Point, name: str, values: Array, d_name: str = "", gradients: Array | None = None) -> None:
    """Draw a box with numbers and, to the right of it, one with the gradients with respect to them."""
    numbers: dict[str, Any] = {"fontsize": FONT, "va": "center", "zorder": 3, "textcoords": "offset points"}
    axes.annotate(
        _column(name, values), place, (-4, 0), ha="right",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": BLUE}, **numbers,
    )  # fmt: skip
    if gradients is not None:
        axes.annotate(
            _column(d_name, gradients), place, (4, 0), ha="left", style="italic", color=VERMILION,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": VERMILION, "linestyle": "--"}, **numbers,
        )  # fmt: skip


def _column(name: str, values: Array) -> str:
    return "\n".join([name, *(f"{value + 0.0:.2g}" for value in values)])


def _arrows(axes: Axes, below: Point, above: Point, sizes: tuple[int, int], back: bool) -> None:
    """Draw the arrow up and, to the right of it, that of the gradient; past boxes between in a bow."""
    near = above[1] - below[1] == 1
    aside, bend = (0.08, 0.0) if near else (0.3, -0.15)
    ends = [FONT * 0.75 * (size + 1) + 4 if near else 0 for size in sizes]  # half the height of the boxes, in points
    up = {"shrinkA": ends[0], "shrinkB": ends[1], "connectionstyle": f"arc3,rad={bend}"}
    down = {"shrinkA": ends[1], "shrinkB": ends[0], "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", (above[0] - aside, above[1]), (below[0] - aside, below[1]), arrowprops=FORWARD | up, zorder=1)
    if back:
        axes.annotate("", (below[0] + aside, below[1]), (above[0] + aside, above[1]), arrowprops=BACK | down, zorder=1)


def _along(axes: Axes, start: Point, end: Point) -> None:
    """Draw the arrow from state to state and, below it, that of the gradient."""
    middle = (start[0] + end[0]) / 2
    reach = 0.16 if end[0] > start[0] else -0.16
    axes.annotate(
        "", (middle + reach, start[1] + 0.06), (middle - reach, start[1] + 0.06), arrowprops=FORWARD, zorder=1
    )
    axes.annotate("", (middle - reach, start[1] - 0.06), (middle + reach, start[1] - 0.06), arrowprops=BACK, zorder=1)
