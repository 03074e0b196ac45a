"""The embedding: one learnt vector for each token."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_count, blank_padding
from saiki.errors import ArgumentError
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Result, no_state


class EmbeddingTape(NamedTuple):
    """What the backward pass of an embedding needs."""

    X: Array
    tokens: Array
    lengths: Array | None


@final
@dataclass(frozen=True)
class Embedding(Layer):
    """Look up a vector for each token: ``Y[i, t] = W[X[i, t, 0]]``.

    Parameters: ``W (n_tokens, n_units)``. Tokens are whole numbers, so the gradient of the input is zero.

    Args:
        n_tokens: how many different tokens there are.
        n_units: the number of features of each.

    Raises:
        ArgumentError: a size below 1; in ``forward``, a token that is no whole number from 0 to ``n_tokens - 1``.

    >>> layer = Embedding(n_tokens=3, n_units=2)
    >>> tokens = np.array([[2, 0, 2]])
    >>> Y, _, tape = layer.forward({"W": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}, tokens[..., None])
    >>> Y.tolist()
    [[[5.0, 6.0], [1.0, 2.0], [5.0, 6.0]]]
    """

    n_tokens: int
    n_units: int

    def __post_init__(self) -> None:
        as_count("n_tokens", self.n_tokens)
        as_count("n_units", self.n_units)

    @property
    def sizes(self) -> tuple[int, int]:
        """One token comes in at each step, and ``n_units`` features go out."""
        return 1, self.n_units

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a small layer."""
        return [cls(5, 3)]

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in; a unit sums up one number."""
        return {"W": Parameter((self.n_tokens, self.n_units), 1)}

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        no_state("Embedding", state)
        tokens = np.real(X[..., 0])
        wrong = (tokens != np.floor(tokens)) | (tokens < 0) | (tokens >= self.n_tokens)
        if wrong.any():
            raise ArgumentError(
                f"X must hold tokens, whole numbers from 0 to {self.n_tokens - 1}; got {tokens[wrong][0]}."
                " Make the embedding larger or renumber the tokens."
            )
        tokens = tokens.astype(np.intp)
        tape = EmbeddingTape(X, tokens, context.lengths)
        return Result(blank_padding(params["W"][tokens], context.lengths), None, tape, context.lengths)

    def _backward(self, params: Params, tape: EmbeddingTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        dW = np.zeros(params["W"].shape, dY.dtype)
        np.add.at(dW, tape.tokens, blank_padding(dY, tape.lengths))  # Y = W[tokens]
        return Gradients({"W": dW}, np.zeros_like(tape.X), None)
