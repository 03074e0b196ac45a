"""Pictures of a trace: what a network thought, and how its loss flowed back. Time runs to the right, from t = 1."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize

from saiki.arrays import Array
from saiki.errors import ArgumentError
from saiki.explain.plots.style import HEAT, LINES, finish
from saiki.explain.traces import LayerTrace, Trace

NUMBER = 22, 9
"""A number is written into its square where that is so many points wide and high."""

DECADES = 8
"""Numbers so many powers of ten below the largest are drawn like nothing."""


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
    seen, steps = _layer(trace, layer), _steps(trace, layer, sequence)
    values = seen[name][sequence, : len(steps)].T
    rows = "feature" if name == "inputs" else "unit"
    axes.set_title(_title(trace, seen, name))
    axes.set_ylabel(rows)
    between_0_and_1 = name in seen.layer.cell.saved and values.min(initial=0) >= 0 and values.max(initial=1) <= 1
    largest = np.abs(values).max(initial=0) or 1.0
    norm = Normalize(0, 1) if between_0_and_1 else Normalize(-largest, largest)
    _ticks(_heatmap(axes, values, norm).yaxis, np.arange(len(values)), 0)
    return _over_time(axes, steps)


def plot_delta(axes: Axes, trace: Trace, layer: int = 0, sequence: int = 0) -> Axes:
    """Draw how the loss flows back through time: the size of delta = dE/da on a log scale; white is zero.

    The arguments are those of ``plot_quantity``; the gates of a cell stand one below the other.
    """
    seen, steps = _layer(trace, layer), _steps(trace, layer, sequence)
    _over_time(_heatmap(axes, np.abs(seen.delta[sequence, : len(steps)].T), LogNorm()), steps)
    axes.set_title(_title(trace, seen, "size of delta, which flows back to the left"))
    names, H = seen.layer.cell.inputs, seen.layer.n_units
    if len(names) > 1:
        axes.set_yticks((np.arange(len(names)) + 0.5) * H - 0.5, [f"d{name}" for name in names])
        for block in range(1, len(names)):
            axes.axhline(block * H - 0.5, color="white", linewidth=1.5)
    else:
        axes.set_ylabel("unit")
        _ticks(axes.yaxis, np.arange(H), 0)
    return axes


def plot_lag_matrix(axes: Axes, trace: Trace, layer: int = 0) -> Axes:
    """Draw the lag matrix on a log scale: a row for the loss of each step, a column for each step that it reaches."""
    seen = _layer(trace, layer)
    axes.set_title(_title(trace, seen, "how far the loss of each step reaches"))
    _over_time(_heatmap(axes, seen.lag_matrix, LogNorm()), seen.steps)
    axes.set_xlabel("step t that it reaches")
    axes.set_ylabel("loss of step s")
    _ticks(axes.yaxis, trace.steps)
    return axes


def plot_norm_by_lag(axes: Axes, trace: Trace, layer: int = 0, label: str | None = None) -> Axes:
    """Draw the mean norm of what comes back over each lag, on a log scale; call it again for another line.

    Args:
        axes: where to draw.
        trace: what to draw from.
        layer: which of ``trace.layers``.
        label: what the line is called.
    """
    seen = _layer(trace, layer)
    norms = np.where(seen.norm_by_lag > 0, seen.norm_by_lag, np.nan)
    colour, dash = LINES[len(axes.get_lines()) % len(LINES)]
    axes.plot(np.arange(len(norms)), norms, color=colour, linestyle=dash, label=label or f"layer {seen.name}")
    axes.set_yscale("log")
    axes.set_xlabel("lag: steps that the loss has come back")
    axes.set_ylabel("mean norm of its part of delta")
    return finish(axes)


def plot_weights(axes: Axes, weights: Array, name: str) -> Axes:
    """Draw a matrix of weights, or a vector as one row.

    Args:
        axes: where to draw.
        weights: ``(rows, columns)`` or ``(columns,)``.
        name: what it is called.
    """
    matrix = weights.reshape(-1, weights.shape[-1])
    largest = np.abs(matrix).max(initial=0) or 1.0
    _heatmap(axes, matrix, Normalize(-largest, largest))
    axes.set_title(f"{name} {weights.shape}")
    axes.set_ylabel("from")
    axes.set_xlabel("to")
    _ticks(axes.xaxis, np.arange(matrix.shape[1]), 0)
    _ticks(axes.yaxis, np.arange(matrix.shape[0]), 0)
    return axes


def _layer(trace: Trace, layer: int) -> LayerTrace:
    """Return a layer of a trace."""
    if not -len(trace.layers) <= layer < len(trace.layers):
        raise ArgumentError(f"layer must be one of the {len(trace.layers)} recurrent layers, from 0; got {layer}.")
    return trace.layers[layer]


def _steps(trace: Trace, layer: int, sequence: int) -> Array:
    """Return the steps of a sequence that were kept."""
    seen = trace.layers[layer]
    if not 0 <= sequence < len(seen.lengths):
        raise ArgumentError(f"sequence must be one of the {len(seen.lengths)} traced, from 0; got {sequence}.")
    return seen.steps[seen.steps < seen.lengths[sequence]]


def _title(trace: Trace, layer: LayerTrace, what: str) -> str:
    return what if len(trace.layers) == 1 else f"layer {layer.name}: {what}"


def _heatmap(axes: Axes, values: Array, norm: Normalize) -> Axes:
    """Draw a matrix, the first row above, with its numbers if they are few, and a scale beside it."""
    logarithmic = isinstance(norm, LogNorm)
    if logarithmic:
        largest = values.max(initial=0) or 1.0
        norm = LogNorm(max(values[values > 0].min(initial=largest), largest * 10.0**-DECADES) / 1.001, largest)
        values = np.ma.masked_less_equal(values, 0)
    image = axes.imshow(values, cmap=HEAT, norm=norm, aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes)
    room = axes.bbox.transformed(axes.figure.dpi_scale_trans.inverted()).size * 72 / np.array(values.shape)[::-1]
    if (room >= NUMBER).all():
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            if value is np.ma.masked:
                continue
            light = norm(value) > 0.55
            text = f"{value:.0e}".replace("e-0", "e-") if logarithmic else f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color="black" if light else "white")
    return axes


def _over_time(axes: Axes, steps: Array) -> Axes:
    axes.set_xlabel("step t")
    _ticks(axes.xaxis, steps)
    return axes


def _ticks(axis: Axis, steps: Array, first: int = 1) -> None:
    """Name some of the rows or columns: as many as can be read."""
    places = np.arange(0, len(steps), max(1, -(-len(steps) // 12)))
    axis.set_ticks(places, [str(step + first) for step in steps[places]])
