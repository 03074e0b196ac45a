"""Pictures of a trace: what a network thought, and how its loss flowed back. Time runs to the right, from t = 1."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize

from saiki.arrays import Array
from saiki.explain.matrices import Matrix, as_trace, of_delta, of_lags, of_quantity, of_weights
from saiki.explain.plots.style import HEAT, LINES, finish
from saiki.explain.traces import Trace

NUMBER = 26, 9
"""A number is written into its square where that is so many points wide and high."""

TICK = 18, 12
"""A row or column is named where there are so many points for it across and down."""


FEW = 20
"""So few points of a line are marked."""


def plot_quantity(axes: Axes, trace: Trace, name: str = "h", layer: int = 0, sequence: int = 0) -> Axes:
    """Draw one quantity of a recurrent layer over time, a row for each unit.

    Args:
        axes: where to draw.
        trace: what to draw from.
        name: a name of the cell's equations: a state (h, c), a gate (i, f, ...), a pre-activation (a, a_i), the
            gradient with respect to one of them (dh, da_i); or "inputs".
        layer: which of ``trace.layers``.
        sequence: which sequence.

    Raises:
        ArgumentError: there is no such quantity, layer or sequence.
    """
    return plot_matrix(axes, of_quantity(trace, name, layer, sequence))


def plot_delta(axes: Axes, trace: Trace, layer: int = 0, sequence: int = 0) -> Axes:
    """Draw how the loss flows back through time: the size of delta = dE/da on a log scale; white is zero.

    The arguments and errors are those of ``plot_quantity``; the gates of a cell stand one below the other.
    """
    return plot_matrix(axes, of_delta(trace, layer, sequence))


def plot_lag_matrix(axes: Axes, trace: Trace, layer: int = 0) -> Axes:
    """Draw the lag matrix on a log scale: a row for the loss of each step, a column for each step that it reaches."""
    return plot_matrix(axes, of_lags(trace, layer))


def plot_weights(axes: Axes, weights: Array, name: str) -> Axes:
    """Draw a matrix of weights ``(rows, columns)``, or a vector ``(columns,)`` as one row, under its name."""
    return plot_matrix(axes, of_weights(weights, name))


def plot_norm_by_lag(axes: Axes, trace: Trace, layer: int = 0, label: str | None = None) -> Axes:
    """Draw the mean norm of what comes back over each lag, on a log scale; call it again for another line.

    Args:
        axes: where to draw.
        trace: what to draw from.
        layer: which of ``trace.layers``.
        label: what the line is called; None is the name of the layer.

    Raises:
        ArgumentError: there is no such layer.
    """
    seen, _ = as_trace(trace).look(layer)
    norms = np.where(seen.norm_by_lag > 0, seen.norm_by_lag, np.nan)
    colour, dash = LINES[len(axes.get_lines()) % len(LINES)]
    marker = "." if len(norms) <= FEW else ""  # of many the dashes would be hidden
    name = label or f"layer {seen.name}".rstrip()
    axes.plot(np.arange(len(norms)), norms, color=colour, linestyle=dash, marker=marker, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("lag: steps that the loss has come back")
    axes.set_ylabel("mean norm of its part of delta")
    return finish(axes)


def plot_matrix(axes: Axes, matrix: Matrix) -> Axes:
    """Draw a matrix, the first row above, with its numbers where there is room for them, and a scale beside it."""
    values = np.ma.masked_less_equal(matrix.values, 0) if matrix.logarithmic else matrix.values
    # a log scale needs two ends
    norm = LogNorm(matrix.low / 1.001, matrix.high) if matrix.logarithmic else Normalize(matrix.low, matrix.high)
    axes.set_title(matrix.title)
    axes.set_xlabel(matrix.column_label)
    if not np.ma.count(values):
        axes.text(0.5, 0.5, "all zero" if matrix.values.size else "no steps", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return axes
    image = axes.imshow(values, cmap=HEAT, norm=norm, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes, extend="min" if values.min() < matrix.low else "neither")
    across, down = (side * 72 / axes.figure.dpi for side in (axes.bbox.width, axes.bbox.height))
    _ticks(axes.xaxis, matrix.columns, across / TICK[0])
    if matrix.blocks:
        size = len(matrix.rows) / len(matrix.blocks)
        axes.set_yticks((np.arange(len(matrix.blocks)) + 0.5) * size - 0.5, matrix.blocks)
        for block in range(1, len(matrix.blocks)):
            axes.axhline(block * size - 0.5, color="white", linewidth=1.5)
    else:
        axes.set_ylabel(matrix.row_label)
        _ticks(axes.yaxis, matrix.rows, down / TICK[1])
    if across >= NUMBER[0] * values.shape[1] and down >= NUMBER[1] * values.shape[0]:
        for row, column in np.argwhere(~np.ma.getmaskarray(values)):
            value = values[row, column]
            text = f"{value:.1e}".replace("e-0", "e-") if matrix.logarithmic else f"{value:.2f}"
            colour = "black" if norm(value) > 0.55 else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    return axes


def _ticks(axis: Axis, names: tuple[str, ...], most: float) -> None:
    """Name some of the rows or columns: as many as there is room for."""
    places = np.arange(0, len(names), max(1, -(-len(names) // max(1, int(most)))))
    axis.set_ticks(places, [names[place] for place in places])
