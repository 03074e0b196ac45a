"""Readouts: from an output at each step to one for the whole sequence."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_count, existing_steps
from saiki.engines.chain import Links, Read
from saiki.errors import ArgumentError, ShapeError, choose
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Linked, Result, needs_time, no_state

KINDS = {
    "last": "the output of the last step that exists",
    "mean": "the mean over the steps that exist",
    "max": "for each feature the largest value over the steps that exist",
    "each": "the output of every step, as it is",
}


class ReadoutTape(NamedTuple):
    """How much each step adds to what is read: ``(B, T, F)`` or ``(B, T, 1)``."""

    share: Array | None


@final
@dataclass(frozen=True)
class Readout(Linked):
    """Read one vector ``(B, F)`` from the outputs ``(B, T, F)`` of all steps, or with "each" leave them as they are.

    A sequence of length 0 reads as zeros.

    Args:
        kind: "last", "mean", "max" or "each".
        n_reversed: how many features, at the end, come from a direction that reads backwards: the last step of those
            is the first. After a ``Bidirectional`` layer this is its number of units.

    Raises:
        ArgumentError: an unknown kind, or reversed features with a kind other than "last".

    >>> X = np.array([[[1.0], [5.0], [3.0]]])
    >>> [float(Readout(kind).forward({}, X, lengths=[2])[0][0, 0]) for kind in ("last", "mean", "max")]
    [5.0, 3.0, 5.0]
    """

    kind: str
    n_reversed: int = 0

    def __post_init__(self) -> None:
        choose("kind", self.kind, KINDS)
        if as_count("n_reversed", self.n_reversed, 0) and self.kind != "last":
            raise ArgumentError(f"n_reversed goes with the readout 'last'; got {self.kind!r}. Leave it out.")

    @property
    def sizes(self) -> tuple[None, None]:
        """As many features go out as come in."""
        return None, None

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every kind."""
        return [*(cls(kind) for kind in KINDS), cls("last", n_reversed=1)]

    def parameters(self) -> dict[str, Parameter]:
        """Return no parameters."""
        return {}

    def links(self) -> Links | None:
        """Return the reading of the last step or of the mean; what "each" leaves as it is needs none."""
        if self.kind == "each":
            return ()
        return (Read(self.kind),) if self.kind in ("last", "mean") and not self.n_reversed else None

    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> None:
        """Return no state."""

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:  # noqa: ARG002
        no_state("Readout", state)
        needs_time("Readout", X)
        if self.kind == "each":
            return Result(X, None, ReadoutTape(None), context.lengths)
        B, T, F = X.shape
        if self.n_reversed > F:
            raise ShapeError(f"n_reversed must be at most the number of features, {F}; got {self.n_reversed}.")
        lengths = np.full(B, T) if context.lengths is None else context.lengths
        exists = existing_steps(lengths, T)[..., None]
        steps = np.arange(T)[:, None]
        if self.kind == "mean":
            share = exists / np.maximum(lengths, 1)[:, None, None]
        elif self.kind == "max":
            at = np.where(exists, np.real(X), -np.inf).argmax(axis=1, keepdims=True) if T else np.zeros((B, 1, F))
            share = (steps == at) & exists
        else:
            last = np.repeat(lengths[:, None] - 1, F, axis=1)
            last[:, F - self.n_reversed :] = 0
            share = (steps == last[:, None]) & exists
        share = share.astype(np.real(X).dtype)
        return Result((X * share).sum(axis=1), None, ReadoutTape(share), None)

    def _backward(self, params: Params, tape: ReadoutTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        return Gradients({}, dY if tape.share is None else dY[:, None] * tape.share, None)  # Y = sum of X * share
