"""What an engine keeps of a forward pass, in an order that makes time and ragged lengths cheap to walk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells import Cell


@final
@dataclass(frozen=True)
class Schedule:
    """Which sequences are alive at each step.

    Sequences are walked longest first, so that those alive at a step are the first ``alive[t]`` rows, and padding
    costs nothing.

    Attributes:
        order: the row of the caller's batch that stands at each place, or None where all lengths are equal.
        alive: the number of sequences that have a step ``t``, for every ``t``.
        lengths: the length of the sequence at each place.
    """

    order: Array | None
    alive: tuple[int, ...]
    lengths: Array

    @classmethod
    def of(cls, lengths: Array | None, n_sequences: int, n_steps: int) -> "Schedule":
        """Make the schedule for ``n_sequences`` of at most ``n_steps`` steps.

        >>> Schedule.of(np.array([1, 3, 0]), 3, 3).alive
        (2, 1, 1)
        """
        if lengths is None:
            return cls(None, (n_sequences,) * n_steps, np.full(n_sequences, n_steps))
        order = np.argsort(-lengths, kind="stable")
        alive = np.count_nonzero(lengths[:, None] > np.arange(n_steps), axis=0)
        return cls(order, tuple(alive.tolist()), lengths[order])

    def sort(self, rows: Array) -> Array:
        """Put rows from the caller's order into the order of walking."""
        return rows if self.order is None else rows[self.order]

    def unsort(self, rows: Array) -> Array:
        """Put rows from the order of walking back into the caller's order."""
        if self.order is None:
            return rows
        restored = np.empty_like(rows)
        restored[self.order] = rows
        return restored


@final
@dataclass(frozen=True)
class Tape:
    """Every quantity of a forward pass that the backward pass, or a reader, needs. All arrays are time-major.

    Attributes:
        schedule: which rows are alive when, and where they came from.
        x: inputs ``(T, B, F)``.
        a: pre-activations ``(T, B, G, H)``, a block for each gate.
        states: for each state of the cell ``(T + 1, B, H)``; the initial state is at index 0.
        saved: for each value that the cell saves ``(T, B, H)``.
    """

    schedule: Schedule
    x: Array
    a: Array
    states: Mapping[str, Array]
    saved: Mapping[str, Array]


class Engine(Protocol):
    """The time loop and backpropagation through time, for any cell.

    States are tuples, one ``(B, H)`` array for each state of the cell; outputs and their gradients are batch-first.
    """

    def forward(
        self, cell: Cell, params: Params, X: Array, states: tuple[Array, ...], lengths: Array | None
    ) -> tuple[Array, tuple[Array, ...], Tape]:
        """Return the outputs ``(B, T, H)``, the final states, and the tape."""

    def backward(
        self, cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...]
    ) -> tuple[Params, Array, tuple[Array, ...]]:
        """Return the gradients of the parameters, the input ``(B, T, F)``, and the initial states."""
