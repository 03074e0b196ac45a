"""The dense layer: the same linear map and activation at every step."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from saiki.arrays import Array, Params, as_count, existing_steps
from saiki.errors import ArgumentError, choose
from saiki.initializers import Parameter
from saiki.layers.layer import Gradients, Layer
from saiki.maths import ACTIVATIONS


@final
@dataclass(frozen=True)
class DenseTape:
    """What the backward pass of a dense layer needs: inputs, outputs, and which steps exist."""

    X: Array
    Y: Array
    exists: Array | None


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

    >>> layer = Dense(2, 1)
    >>> Y, state, tape = layer.forward({"W": np.array([[1.0], [2.0]]), "b": np.zeros(1)}, [[[3.0, 4.0]]])
    >>> Y
    array([[[11.]]])
    >>> layer.backward({"W": np.array([[1.0], [2.0]]), "b": np.zeros(1)}, tape, [[[1.0]]]).X
    array([[[1., 2.]]])
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

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in."""
        bias = {"b": Parameter((self.n_out,))} if self.bias else {}
        return {"W": Parameter((self.n_in, self.n_out), self.n_in)} | bias

    def _forward(
        self,
        params: Params,
        X: Array,
        state: Any,
        lengths: Array | None,
        engine: str | None,  # noqa: ARG002
    ) -> tuple[Array, None, DenseTape]:
        if state is not None:
            raise ArgumentError(f"state: a dense layer has none; got {type(state).__name__}. Leave it out.")
        function, _ = ACTIVATIONS[self.activation]
        V = X @ params["W"]
        Y = function(V + params["b"] if self.bias else V)
        exists = None if lengths is None else existing_steps(lengths, X.shape[1])[..., None]
        if exists is not None:
            Y = np.where(exists, Y, Y.dtype.type(0))
        return Y, None, DenseTape(X, Y, exists)

    def _backward(self, params: Params, tape: DenseTape, dY: Array, dstate: Any) -> Gradients:  # noqa: ARG002
        _, derivative = ACTIVATIONS[self.activation]
        dV = dY * derivative(tape.Y)  # Y = function(V)
        if tape.exists is not None:
            dV = np.where(tape.exists, dV, dV.dtype.type(0))
        rows = dV.reshape(-1, self.n_out)
        bias = {"b": rows.sum(axis=0)} if self.bias else {}
        dW = tape.X.reshape(-1, self.n_in).T @ rows  # V = X W + b
        return Gradients({"W": dW} | bias, dV @ params["W"].T, None)

    def _output_shape(self, tape: DenseTape) -> tuple[int, ...]:
        return tape.Y.shape
