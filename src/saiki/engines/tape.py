"""What an engine keeps of a forward pass, in an order that makes time and ragged lengths cheap to walk."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, existing_steps
from saiki.cells import Cell
from saiki.cells.functions import argument
from saiki.engines.chain import Chain
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.properties import cached_property


@final
@dataclass(frozen=True)
class Schedule:
    """In which order time is walked, and which sequences are alive at each step.

    Sequences are walked longest first, so that those alive at a step are the first ``alive[t]`` rows and padding costs
    nothing.

    Attributes:
        order: the row of the caller's batch that stands at each place, or None where all lengths are equal.
        alive: the number of sequences that have a step ``t``, for every ``t``.
        lengths: the length of the sequence at each place.
        reverse: whether each sequence is walked from its own last step to its first.
    """

    order: Array | None
    alive: tuple[int, ...]
    lengths: Array
    reverse: bool = False

    @classmethod
    def of(cls, lengths: Array | None, n_sequences: int, n_steps: int, reverse: bool = False) -> "Schedule":
        """Make the schedule for ``n_sequences`` of at most ``n_steps`` steps.

        >>> Schedule.of(np.array([1, 3, 0]), 3, 3).alive
        (2, 1, 1)
        """
        if lengths is None:
            return cls(None, (n_sequences,) * n_steps, np.full(n_sequences, n_steps), reverse)
        order = np.argsort(-lengths, kind="stable")
        alive = np.count_nonzero(lengths[:, None] > np.arange(n_steps), axis=0)
        return cls(order, tuple(alive.tolist()), lengths[order], reverse)

    def live(self, steps: Array) -> Array:
        """Return the rows ``(n, ...)`` of ``(T, B, ...)`` that exist, one step after another."""
        rows = steps.reshape(steps.shape[0] * steps.shape[1], *steps.shape[2:])
        return rows if self.order is None else rows[self._live]

    def put_live(self, steps: Array, rows: Array) -> None:
        """Write rows, as ``live`` returns them, to where they stand in ``(T, B, ...)``."""
        target = steps.reshape(steps.shape[0] * steps.shape[1], *steps.shape[2:])
        target[... if self.order is None else self._live] = rows

    def rows_of(self, step: int) -> tuple[Array, Array]:
        """Return where a step of the caller's time stands in ``(T, B, ...)``, for each sequence that has it.

        >>> [rows.tolist() for rows in Schedule.of(np.array([1, 3, 2]), 3, 3, reverse=True).rows_of(1)]
        [[1, 0], [0, 1]]
        """
        places = np.flatnonzero(self.lengths > step)
        return (self.lengths[places] - 1 - step if self.reverse else np.full(len(places), step)), places

    @cached_property
    def _live(self) -> Array:
        return np.flatnonzero(np.arange(len(self.lengths)) < np.array(self.alive)[:, None])

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

    def walk(self, X: Array) -> Array:
        """Put a batch ``(B, T, ...)`` into the order of walking, ``(T, B, ...)``."""
        return self._turn(self.sort(X)).swapaxes(0, 1)

    def unwalk(self, x: Array) -> Array:
        """Put ``(T, B, ...)`` back into the caller's order, ``(B, T, ...)``."""
        return self.unsort(self._turn(x.swapaxes(0, 1)))

    def _turn(self, rows: Array) -> Array:
        """Turn round the existing steps of every row, if time is walked in reverse; twice is not at all."""
        if not self.reverse:
            return rows
        if self.order is None:
            return rows[:, ::-1]
        steps = np.arange(rows.shape[1])
        turned = np.where(existing_steps(self.lengths, len(steps)), self.lengths[:, None] - 1 - steps, steps)
        return np.take_along_axis(rows, turned[..., None], axis=1)


@final
@dataclass(frozen=True)
class Tape:
    """Every quantity of a forward pass that the backward pass, or a reader, needs. Time comes first.

    Attributes:
        schedule: the order of steps and rows, and which rows are alive when.
        x: inputs ``(T, B, F)``.
        a: pre-activations ``(T, B, G, H)``, a block for each gate; only the input's part for a gate that takes its
            parts apart. An engine may put a gate's saved value in its place where no backward asks for it.
        apart: the previous state's part of such gates ``(T, B, A, H)``.
        states: for each state of the cell ``(T + 1, B, H)``; the initial state is at index 0.
        saved: for each value that the cell saves ``(T, B, H)``.
        mask: what the previous state is multiplied by where a product with ``Wh`` sees it ``(B, H)``, or None.
        plan: what else an engine keeps for its backward pass.
    """

    schedule: Schedule
    x: Array
    a: Array
    apart: Array
    states: Mapping[str, Array]
    saved: Mapping[str, Array]
    mask: Array | None
    plan: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Tape, (self.schedule, self.x, self.a, self.apart, dict(self.states), dict(self.saved), self.mask)

    @classmethod
    def blank(
        cls, cell: Cell, X: Array, n_units: int, schedule: Schedule, mask: Array | None, dtype: np.dtype
    ) -> "Tape":
        """Make a tape to write on, with the inputs ``X (B, T, F)`` on it."""
        B, T, _ = X.shape
        return cls(
            schedule,
            x=np.ascontiguousarray(schedule.walk(X)),
            a=np.zeros((T, B, len(cell.gates), n_units), dtype),
            apart=np.zeros((T, B, len(cell.apart), n_units), dtype),
            states={name: np.zeros((T + 1, B, n_units), dtype) for name in cell.states},
            saved={name: np.zeros((T, B, n_units), dtype) for name in cell.saved},
            mask=None if mask is None else schedule.sort(mask),
        )

    def at(self, cell: Cell, t: int) -> dict[str, Array]:
        """Return, for step ``t`` and the rows alive, a view of every quantity under its name in the equations."""
        n = self.schedule.alive[t]
        views = {f"{name}_prev": states[t, :n] for name, states in self.states.items()}
        views |= {name: states[t + 1, :n] for name, states in self.states.items()}
        views |= {name: saved[t, :n] for name, saved in self.saved.items()}
        views |= {name: self.a[t, :n, g] for g, name in enumerate(cell.inputs)}
        views |= {argument("h", gate): self.apart[t, :n, k] for k, gate in enumerate(cell.apart)}
        return views


class Walk(NamedTuple):
    """How an engine is to walk through time.

    Attributes:
        lengths: the length of each sequence ``(B,)``, or None where all steps exist.
        reverse: whether each sequence is walked from its own last step to its first.
        mask: what the previous state is multiplied by where a product with ``Wh`` sees it ``(B, H)``, or None.
        keep: whether there will be a backward pass; an engine may do without most of the tape if not.
    """

    lengths: Array | None = None
    reverse: bool = False
    mask: Array | None = None
    keep: bool = True


class Goal(NamedTuple):
    """What outputs are held to; see ``saiki.losses.evaluate`` for the shapes.

    Attributes:
        y: the targets.
        loss: how far an output is from its target.
        sample_weight: how much each target counts; None where all count alike.
        total: what the weighted sum is divided by; None is the sum of the weights.
    """

    y: Any
    loss: Loss
    sample_weight: Any = None
    total: Any = None


class Update(NamedTuple):
    """What one update has changed.

    Attributes:
        loss: the mean loss before it.
        params: the parameters after it.
        optimizer_state: the optimizer's state after it.
        finite: whether all parameters still are finite.
    """

    loss: Any
    params: Params
    optimizer_state: Any
    finite: bool


class Engine(Protocol):
    """The time loop and backpropagation through time, for any cell.

    States are tuples, one ``(B, H)`` array for each state of the cell; outputs and their gradients are batch-first.
    """

    def running(self) -> AbstractContextManager[None]:
        """Return a context in which layers run, before and after this engine too."""

    def forward(
        self, cell: Cell, params: Params, X: Array, states: tuple[Array, ...], walk: Walk
    ) -> tuple[Array, tuple[Array, ...], Tape]:
        """Return the outputs ``(B, T, H)``, the final states, and the tape."""

    def backward(
        self, cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None
    ) -> tuple[Params, Array, tuple[Array, ...]]:
        """Return the gradients of the parameters, the input ``(B, T, F)``, and the initial states.

        With ``tbptt``, no gradient of a state passes from one window of that many steps to the window before.
        """

    def predict(
        self, chain: Chain, params: Params, X: npt.ArrayLike, lengths: npt.ArrayLike | None
    ) -> tuple[Array, list[tuple[Array, ...]]] | None:
        """Run a whole chain from zero states, and keep nothing for a backward pass.

        Nothing has been checked. An engine that cannot do it at once, or meets anything out of the ordinary, returns
        None, and the layers run one by one, and check.

        Returns:
            The outputs ``(B, T, K)``, or ``(B, K)`` after a readout, and the final states of each link that
            carries some.
        """

    def train(
        self,
        chain: Chain,
        params: Params,
        X: npt.ArrayLike,
        goal: "Goal",
        lengths: npt.ArrayLike | None,
        optimizer: Optimizer,
        state: Any,
    ) -> "Update | None":
        """Update the parameters of a whole chain once.

        None, as for ``predict``, asks for ``learn`` and the optimizer's own update.
        """

    def train_all(
        self,
        chain: Chain,
        params: Params,
        pairs: Sequence[tuple[Any, Any]],
        loss: Loss,
        optimizer: Optimizer,
        state: Any,
    ) -> "Iterator[Update] | None":
        """Update the parameters once for each pair of inputs and targets, and only then tell of it, update by update.

        None, as for ``predict``, asks for ``train``.
        """

    def stream(
        self, chain: Chain, params: Params
    ) -> Callable[[Any, list[Array] | None], tuple[Array, list[tuple[Array, ...]]] | None] | None:
        """Return what runs one step of one sequence, with parameters that stay; None as for ``predict``.

        It takes the features ``(F,)`` and the states of all cells in turn, each ``(1, H)``, or None for zeros, and
        returns the outputs ``(K,)`` and the states; None again asks for the layers.
        """

    def learn(
        self, chain: Chain, params: Params, X: npt.ArrayLike, goal: "Goal", lengths: npt.ArrayLike | None
    ) -> tuple[Any, Params, Array, list[tuple[Array, ...]]] | None:
        """Return the mean loss of a whole chain from zero states, and its gradients.

        They are those of the parameters, of the input, and of the states of each link that carries some.

        None, as for ``predict``, asks for the layers one by one.
        """
