"""The lag matrix: which part of delta comes from the loss of which step.

What flows back is linear in the loss: if only the loss of step s sends a gradient, delta is the part that comes from
it. A batch that holds every sequence once for each of several steps s takes them through time at once.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array
from saiki.explain.walk import Recurrence, Unit, recurrent_walk_back, units_of
from saiki.layers import Dense, Dropout, Embedding, LayerNorm, Network, Readout, Recurrent
from saiki.layers.layer import map_state

MOST_NUMBERS = 1 << 24
"""About so many numbers (128 MiB) the copies of a batch, and what is kept of them, may be."""


def lag_matrices(
    head: list[Unit],
    recurrences: list[Recurrence],
    X: npt.ArrayLike,
    lengths: Array | None,
    seeds: Array,
    losses: Array,
    tbptt: int | None,
) -> list[Array]:
    """Return the lag matrix of each recurrent layer: ``(len(losses), T)`` for a layer of T steps.

    Args:
        head: the units before the time axis is read out.
        recurrences: the recurrent layers of them.
        X: the inputs of the model.
        lengths: the lengths of the inputs.
        seeds: the gradient of the loss with respect to what the head puts out ``(B, S, K)``.
        losses: the indices of the steps whose loss is looked at.
        tbptt: the window of truncated backpropagation through time, or None.
    """
    network = Network([unit.layer for unit in head])
    params = {f"{i}/{name}": value for i, unit in enumerate(head) for name, value in unit.params.items()}
    state = tuple(unit.state for unit in head)
    X, B = np.asarray(X), len(seeds)
    matrices = [np.zeros((len(losses), len(recurrence.tape.tape.x))) for recurrence in recurrences]
    rows = np.flatnonzero(seeds[:, losses].any(axis=(0, 2)))  # the others have nothing to say
    copies = int(np.clip(MOST_NUMBERS // _numbers(X, recurrences), 1, max(1, len(rows))))
    for start in range(0, len(rows), copies):
        some = rows[start : start + copies]
        n, steps = len(some), losses[some]
        end = X.shape[1] if any(map(_sees_ahead, head)) else steps[-1] + 1  # a later input changes nothing
        ends = None if lengths is None else np.repeat(np.minimum(lengths, end), n)
        again = map_state(partial(np.repeat, repeats=n, axis=0), state)
        _, _, tape, _ = network._checked_forward(
            params, np.repeat(X[:, :end], n, axis=0), again, ends, "reference", None
        )
        dY = np.zeros((B, n, *tape.output_shape[1:]), seeds.dtype)
        dY[:, np.arange(n), steps] = seeds[:, steps]
        units = units_of(network, params, again, tape.content)
        for matrix, recurrence in zip(
            matrices, recurrent_walk_back(units, dY.reshape(tape.output_shape), tbptt), strict=True
        ):
            norms = _norms(recurrence, B, n)
            matrix[some, : norms.shape[1]] = norms
    return matrices


def mean_by_lag(matrix: Array, seen: Array, losses: Array, steps: Array, reverse: bool) -> Array:
    """Return the mean of a lag matrix for each lag, NaN where no pair of steps has it.

    Args:
        matrix: ``(len(losses), len(steps))``.
        seen: which of the losses send a gradient.
        losses: their steps.
        steps: the steps that they reach.
        reverse: whether the layer walks from the last step to the first, so that a loss reaches later steps.
    """
    lags: Array = (losses[seen, None] - steps) * (-1 if reverse else 1)
    values = matrix[seen]
    count, total = (np.bincount(lags[lags >= 0], weights) for weights in (None, values[lags >= 0]))
    with np.errstate(invalid="ignore"):
        return total / count


def _sees_ahead(unit: Unit) -> bool:
    """Whether an output depends on later inputs."""
    layer = unit.layer
    if isinstance(layer, Recurrent):
        return layer.reverse
    return not isinstance(layer, Dense | Dropout | Embedding | LayerNorm | Readout)  # another layer may look ahead


def _numbers(X: Array, recurrences: list[Recurrence]) -> int:
    """Return about how many numbers a copy of the batch takes: its inputs, the tapes, and what flows back."""
    kept = X.size
    for recurrence in recurrences:
        tape, flow = recurrence.tape.tape, recurrence.flow
        arrays = [tape.x, tape.a, *tape.states.values(), *tape.saved.values(), flow.inputs, flow.recurrent]
        kept += sum(array.size for array in arrays) + sum(array.size for array in flow.states.values())
    return kept


def _norms(recurrence: Recurrence, B: int, n: int) -> Array:
    """Return the norm of delta at each step, over the sequences and gates, for each of ``n`` losses."""
    delta = recurrence.tape.tape.schedule.unwalk(recurrence.flow.inputs)
    squares = (delta * delta).reshape(B, n, *delta.shape[1:]).sum(axis=(0, 3))
    return np.sqrt(squares)
