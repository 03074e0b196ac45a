"""The dense layer: the same linear map and activation at every step."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from saiki.arrays import Array, Params, as_count, blank_padding
from saiki.errors import choose
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Result, no_state
from saiki.maths import ACTIVATIONS


class DenseTape(NamedTuple):
    """What the backward pass of a dense layer needs."""

    X: Array
    Y: Array
    lengths: Array | None


@final
@dataclass(frozen=True)
class Dense(Layer):
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

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        no_state("Dense", state)
        function, _ = ACTIVATIONS[self.activation]
        V = X @ params["W"]
        Y = blank_padding(function(V + params["b"] if self.bias else V), context.lengths)
        return Result(Y, None, DenseTape(X, Y, context.lengths), context.lengths)

    def _backward(self, params: Params, tape: DenseTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        _, derivative = ACTIVATIONS[self.activation]
        dV = blank_padding(dY * derivative(tape.Y), tape.lengths)  # Y = function(V)
        rows = dV.reshape(-1, self.n_out)
        bias = {"b": rows.sum(axis=0)} if self.bias else {}
        dW = tape.X.reshape(-1, self.n_in).T @ rows  # V = X W + b
        return Gradients({"W": dW} | bias, dV @ params["W"].T, None)
