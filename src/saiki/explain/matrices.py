"""What heatmaps show, whoever draws them: matrices with names for their rows and columns, and a scale."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np

from saiki.arrays import Array, as_float
from saiki.errors import ArgumentError, ShapeError
from saiki.explain.traces import Trace

DECADES = 8
"""On a log scale, numbers so many powers of ten below the largest are drawn like the smallest."""


@final
@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix to draw.

    Attributes:
        title: what it shows.
        values: ``(rows, columns)``.
        rows: the name of each row.
        columns: the name of each column.
        row_label: what the rows are.
        column_label: what the columns are.
        low: the number at the dark end of the scale.
        high: the number at the light end.
        logarithmic: whether the scale is one of powers of ten; zeros are then left blank.
        blocks: the names of blocks of rows, all of one size; none where the rows are one block.
    """

    title: str
    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_label: str
    column_label: str
    low: float
    high: float
    logarithmic: bool = False
    blocks: tuple[str, ...] = ()


def of_quantity(trace: Trace, name: str = "h", layer: int = 0, sequence: int = 0) -> Matrix:
    """Return one quantity of a recurrent layer over time; see ``saiki.explain.plots.plot_quantity``."""
    seen, steps = as_trace(trace).look(layer, sequence)
    values = seen[name][sequence, : len(steps)].T
    share = name in seen.layer.cell.saved and values.min(initial=0) >= 0 and values.max(initial=1) <= 1
    low, high = (0.0, 1.0) if share else _around_zero(values)
    label = "feature" if name == "inputs" else "unit"
    rows, columns = _names(range(len(values))), _names(steps + 1)
    return Matrix(_title(trace, layer, name), values, rows, columns, label, "step t", low, high)


def of_delta(trace: Trace, layer: int = 0, sequence: int = 0) -> Matrix:
    """Return how the loss flows back through time; see ``saiki.explain.plots.plot_delta``."""
    seen, steps = as_trace(trace).look(layer, sequence)
    values = np.abs(seen.delta[sequence, : len(steps)].T)
    gates = [f"d{name}" for name in seen.layer.cell.inputs]
    rows = _names(f"{gate} {unit}" for gate in gates for unit in range(seen.layer.n_units))
    title = _title(trace, layer, "size of delta, which flows back to the left")
    blocks = tuple(gates) if len(gates) > 1 else ()
    labels = "unit", "step t"
    return Matrix(title, values, rows, _names(steps + 1), *labels, *decades(values), logarithmic=True, blocks=blocks)


def of_lags(trace: Trace, layer: int = 0) -> Matrix:
    """Return the lag matrix; see ``saiki.explain.plots.plot_lag_matrix``."""
    seen, _ = as_trace(trace).look(layer)
    loud = trace.lag_rows(seen)
    values = seen.lag_matrix[loud]
    title = _title(trace, layer, "how far the loss of each step reaches")
    labels = "loss of step s", "step t"
    rows, columns = _names(trace.loss_steps[loud] + 1), _names(seen.steps + 1)
    return Matrix(title, values, rows, columns, *labels, *decades(values), logarithmic=True)


def of_weights(weights: Array, name: str) -> Matrix:
    """Return a matrix of weights, or a vector as one row; see ``saiki.explain.plots.plot_weights``."""
    weights = np.asarray(as_float("weights", weights))
    if weights.ndim == 0:
        raise ShapeError(f"weights must be a matrix (rows, columns) or a vector (columns,); got {weights}.")
    values = weights.reshape(-1, weights.shape[-1])
    rows, columns = (_names(range(size)) for size in values.shape)
    label = "from" if weights.ndim > 1 else ""
    return Matrix(f"{name} {weights.shape}", values, rows, columns, label, "to", *_around_zero(values))


def as_trace(trace: Trace) -> Trace:
    """Return a trace, or refuse what is none."""
    if not isinstance(trace, Trace):
        raise ArgumentError(
            f"trace must be what saiki.trace returns; got {type(trace).__name__}. Axes come first: plot(axes, trace)."
        )
    return trace


def decades(values: Array) -> tuple[float, float]:
    """Return the smallest and the largest number of a log scale.

    >>> decades(np.array([0.0, 1e-20, 0.5, 1.0]))
    (1e-08, 1.0)
    """
    positive = values[values > 0]
    largest = float(positive.max(initial=0)) or 1.0
    return max(float(positive.min(initial=largest)), largest * 10.0**-DECADES), largest


def _around_zero(values: Array) -> tuple[float, float]:
    largest = float(np.abs(values).max(initial=0)) or 1.0
    return -largest, largest


def _names(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(str, names))


def _title(trace: Trace, layer: int, what: str) -> str:
    return what if len(trace.layers) == 1 else f"layer {trace.layers[layer].name}: {what}"
