"""The dense layer: the same linear map and activation at every step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_count, blank_padding
from saiki.cells import Cell
from saiki.engines import get_engine
from saiki.engines.chain import Link, Links
from saiki.engines.tape import Tape, Walk
from saiki.errors import choose
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Linked, Result, no_state
from saiki.maths import ACTIVATIONS, Number
from saiki.maths import didentity as dactivation
from saiki.maths import identity as activation
from saiki.properties import cached_property


def forward(x: Number) -> Number:
    """One output from its pre-activation, to which no state adds anything."""
    h = activation(x)
    return h


def backward(dh: Number, h: Number) -> Number:
    """Return the gradient of the pre-activation from that of the output."""
    dx = dh * dactivation(h)  # h = activation(x)
    return dx


CELL = Cell("dense", forward, backward)
"""A cell that sees no previous state: a walk over one step of it is a dense layer."""


class DenseTape(NamedTuple):
    """What the backward pass of a dense layer needs: the engine's tape of one step, and whose it is."""

    tape: Tape
    engine: str | None
    lengths: Array | None


@final
@dataclass(frozen=True)
class Dense(Linked):
    """A fully connected layer, ``Y = activation(X W + b)``, applied to every step alike.

    Parameters: ``W (n_in, n_out)`` and, with ``bias``, ``b (n_out,)``. It has no state.

    Args:
        n_in: the number of features that come in.
        n_out: the number of features that go out.
        activation: "identity" (logits), "sigmoid", "tanh" or "relu".
        bias: whether there is a bias.

    Raises:
        ArgumentError: an unknown activation, or a size below 1.

    >>> import numpy as np
    >>> layer, params = Dense(2, 1), {"W": np.array([[1.0], [2.0]]), "b": np.zeros(1)}
    >>> Y, state, tape = layer.forward(params, [[[3.0, 4.0]]])
    >>> Y, layer.backward(params, tape, [[[1.0]]]).X
    (array([[[11.]]]), array([[[1., 2.]]]))
    """

    n_in: int
    n_out: int
    activation: str = "identity"
    bias: bool = True

    def __post_init__(self) -> None:
        as_count("n_in", self.n_in)
        as_count("n_out", self.n_out)
        choose("activation", self.activation, ACTIVATIONS)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and that go out."""
        return self.n_in, self.n_out

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every activation, with and without bias."""
        return [cls(2, 3, activation, bias) for activation in ACTIVATIONS for bias in (True, False)]

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in."""
        bias = {"b": Parameter((self.n_out,))} if self.bias else {}
        return {"W": Parameter((self.n_in, self.n_out), self.n_in)} | bias

    @cached_property
    def _cell(self) -> Cell:
        return CELL.with_activation(self.activation)

    def links(self) -> Links:
        """Return the cell."""
        names = {"Wx": "W"} | ({"b": "b"} if self.bias else {})
        return (Link(self._cell, self.n_in, self.n_out, names, carries=False),)

    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> None:
        """Return no state."""

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        no_state("Dense", state)
        rows = X.reshape(-1, 1, self.n_in)
        start = np.zeros((len(rows), self.n_out), X.dtype)
        walk = Walk(keep=context.keep)
        H, _, tape = get_engine(context.engine).forward(self._cell, self._of_cell(params), rows, (start,), walk)
        Y = blank_padding(H.reshape(*X.shape[:-1], self.n_out), context.lengths)
        return Result(Y, None, DenseTape(tape, context.engine, context.lengths), context.lengths)

    def _backward(self, params: Params, tape: DenseTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        dH = blank_padding(dY, tape.lengths).reshape(-1, 1, self.n_out)
        none, engine = (np.zeros(dH[:, 0].shape, dH.dtype),), get_engine(tape.engine)
        grads, dX, _ = engine.backward(self._cell, self._of_cell(params), tape.tape, dH, none, None)
        bias = {"b": grads["b"]} if self.bias else {}
        return Gradients({"W": grads["Wx"]} | bias, dX.reshape(*dY.shape[:-1], self.n_in), None)

    def _of_cell(self, params: Params) -> Params:
        return {"Wx": params["W"]} | ({"b": params["b"]} if self.bias else {})
