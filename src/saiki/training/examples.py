"""Examples to learn from: sequences of any lengths or other inputs, their targets, and how much each counts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, final

import numpy as np

from saiki.arrays import Array, existing_steps
from saiki.properties import cached_property
from saiki.training.loop import Batch

SHORTEST_ROUNDED = 8
"""Lengths above it are rounded up to one of so many for each doubling, so that few shapes of batches occur."""


class Held(Protocol):
    """Something for each of many examples: sequences, trees, or targets for their steps or nodes."""

    def __len__(self) -> int: ...

    def select(self, which: Array) -> Self:
        """Return what some of the examples have, in the order asked for."""

    def pad(self, which: Array) -> tuple[Any, Array | None]:
        """Return it as a network takes it, and the lengths where examples are padded to one length."""

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that it holds."""


class Inputs(Held, Protocol):
    """What a network reads: examples that have rows, as a sequence has steps or a tree has nodes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of its numbers; float64 where it has none."""

    def owners(self) -> Array:
        """Return for each row the number of its example."""

    def beside(self, part: Held, which: Array) -> Any:
        """Return what some of the examples have, such as a target for each row, as it goes beside ``pad(which)``.

        An array with one entry for each example, such as their weights, goes there as it is.
        """


@final
@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of any lengths, held one after another without padding.

    Attributes:
        values: the steps of all sequences, ``(sum of lengths, ...)``.
        lengths: the number of steps of each sequence, ``(B,)``.

    >>> ragged = Ragged.of_padded(np.array([[1, 2, 0], [3, 4, 5]]), np.array([2, 3]))
    >>> ragged.values.tolist(), ragged.pad(np.array([1, 0]))[1].tolist()
    ([1, 2, 3, 4, 5], [3, 2])
    """

    values: Array
    lengths: Array

    @classmethod
    def of_padded(cls, padded: Array, lengths: Array | None) -> "Ragged":
        """Return the steps that exist of ``(B, T, ...)``; None where all do."""
        B, T = padded.shape[:2]
        if lengths is None or (lengths == T).all():
            return cls(padded.reshape(B * T, *padded.shape[2:]), np.full(B, T))
        return cls(padded[existing_steps(lengths, T)], lengths)

    @classmethod
    def of_list(cls, sequences: Sequence[Array]) -> "Ragged":
        """Return arrays ``(T_i, ...)`` one after another."""
        return cls(np.concatenate(sequences), np.array([len(sequence) for sequence in sequences]))

    @cached_property
    def starts(self) -> Array:
        """Where each sequence begins in ``values``."""
        return np.concatenate(([0], np.cumsum(self.lengths)[:-1])).astype(np.int64)

    @cached_property
    def even(self) -> bool:
        """Whether all sequences are of one length."""
        return bool((self.lengths == self.lengths[0]).all()) if len(self.lengths) else True

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the values."""
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.lengths)

    def arrays(self) -> tuple[Array, ...]:
        """Return the values and the lengths."""
        return self.values, self.lengths

    def with_values(self, values: Array) -> "Ragged":
        """Return sequences of the same lengths with other values."""
        return Ragged(values, self.lengths)

    def owners(self) -> Array:
        """Return for each step the number of its sequence."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def select(self, which: Array) -> "Ragged":
        """Return some of the sequences, in the order asked for."""
        if self.even:
            return Ragged(self._rows()[which].reshape(-1, *self.values.shape[1:]), self.lengths[which])
        lengths = self.lengths[which]
        ends = np.cumsum(lengths)
        steps = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[which] - ends + lengths, lengths)
        return Ragged(self.values[steps], lengths)

    def pad(self, which: Array) -> tuple[Array, Array | None]:
        """Return some sequences as ``(b, T, ...)`` with zeros after each one's end, and their lengths.

        T is the length of the longest, rounded up where lengths differ; lengths are None where all are of one length.
        """
        if self.even:
            return self._rows()[which], None
        lengths = self.lengths[which]
        T = min(rounded_up(int(lengths.max(initial=0))), int(self.lengths.max()))
        return self.select(which).padded(T), lengths

    def beside(self, part: Held, which: Array) -> Any:
        """Return what some of the sequences have, a target for each step padded as they are."""
        return part.pad(which)[0]

    def split(self) -> list[Array]:
        """Return each sequence as an array of its own."""
        return np.split(self.values, self.starts[1:]) if len(self) else []

    def padded(self, n_steps: int) -> Array:
        """Return all sequences as ``(B, n_steps, ...)``, with zeros after each one's end."""
        padded = np.zeros((len(self), n_steps, *self.values.shape[1:]), self.values.dtype)
        padded[existing_steps(self.lengths, n_steps)] = self.values
        return padded

    def _rows(self) -> Array:
        T = int(self.lengths[0]) if len(self) else 0
        return self.values.reshape(len(self), T, *self.values.shape[1:])


def rounded_up(length: int) -> int:
    """Return the length to pad to: at most an eighth more than asked for.

    >>> [rounded_up(n) for n in (3, 8, 9, 17, 100)]
    [3, 8, 9, 18, 104]
    """
    grain = 1 << max(length.bit_length() - SHORTEST_ROUNDED.bit_length(), 0)
    return -(-length // grain) * grain


@final
@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with their targets.

    Attributes:
        X: the inputs, such as sequences of ``(T_i, F)`` each.
        y: a target for each example, ``(B,)`` or ``(B, K)``, or for each of its rows, ``(T_i,)`` or ``(T_i, K)``; NaN
            is a missing one. What is no number, such as a tree, is one target for each example.
        weight: how much each example counts, ``(B,)``, or each row; None where all count alike.
    """

    X: Inputs
    y: Array | Held
    weight: Array | Ragged | None = None

    def __len__(self) -> int:
        return len(self.X)

    def select(self, which: Array) -> "Examples":
        """Return some of the examples, in the order asked for."""
        weight = None if self.weight is None else _selected(self.weight, which)
        return Examples(self.X.select(which), _selected(self.y, which), weight)

    def batch(self, which: Array) -> Batch:
        """Return some of the examples as a network takes them, padded where they are sequences."""
        X, lengths = self.X.pad(which)
        y = self._beside(self.y, which)
        if self.weight is None:
            return Batch(X, y, lengths)
        total = float(self.n_targets[which].sum() * self.weights.sum() / self.n_targets.sum())
        return Batch(X, y, lengths, self._beside(self.weight, which), total or None)

    def _beside(self, part: Array | Held, which: Array) -> Any:
        return part[which] if isinstance(part, np.ndarray) else self.X.beside(part, which)

    @property
    def targets(self) -> Array:
        """The targets of all examples, or of all rows, a row for each."""
        assert isinstance(self.y, np.ndarray | Ragged)
        return self.y.values if isinstance(self.y, Ragged) else self.y

    @property
    def target_weights(self) -> Array | None:
        """How much each row of the targets counts; None where all count alike."""
        if isinstance(self.weight, Ragged):
            return self.weight.values
        return self.weight[self.y.owners()] if self.weight is not None and isinstance(self.y, Ragged) else self.weight

    def with_targets(self, targets: Array) -> "Examples":
        """Return the same inputs with other targets, a row for each as in ``targets``."""
        return Examples(self.X, self._per_row(targets), self.weight)

    def with_target_weights(self, weights: Array) -> "Examples":
        """Return the same examples with other weights, one for each row of ``targets``."""
        return Examples(self.X, self.y, self._per_row(weights))

    def _per_row(self, rows: Array) -> Array | Ragged:
        return self.y.with_values(rows) if isinstance(self.y, Ragged) else rows

    def digest(self) -> str:
        """Return the SHA-256 of everything."""
        digest = hashlib.sha256()
        for part in (self.X, self.y, self.weight):
            for array in (part,) if part is None or isinstance(part, np.ndarray) else part.arrays():
                digest.update(b"none" if array is None else f"{array.dtype} {array.shape}".encode())
                digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @cached_property
    def n_targets(self) -> Array:
        """How many targets each example has, those that are missing aside, ``(B,)``."""
        return self._sums(1.0)

    @cached_property
    def weights(self) -> Array:
        """How much each example counts: the sum of the weights of its targets that are not missing, ``(B,)``."""
        return self.n_targets if self.weight is None else self._sums(self.weight)

    def _sums(self, weight: Array | Ragged | float) -> Array:
        """Return for each example the sum of weights over its targets that are not missing."""
        if not isinstance(self.y, Ragged):
            assert not isinstance(weight, Ragged)
            return (_targets(self.y) if isinstance(self.y, np.ndarray) else np.ones(len(self.y))) * weight
        counts = _targets(self.y.values)
        if isinstance(weight, Ragged):
            return np.bincount(self.X.owners(), counts * weight.values, len(self))
        return np.bincount(self.X.owners(), counts, len(self)) * weight


def _selected(part: Any, which: Array) -> Any:
    """Return what some of the examples have, in the order asked for."""
    return part[which] if isinstance(part, np.ndarray) else part.select(which)


def _targets(y: Array) -> Array:
    """Return how many targets each row has, those that are missing aside."""
    return (~np.isnan(y)).reshape(len(y), -1).sum(axis=1).astype(np.float64)
