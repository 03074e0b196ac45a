"""Layer normalisation: each step of each sequence on one scale."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_count, as_positive, blank_padding
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Result, no_state


class LayerNormTape(NamedTuple):
    """What the backward pass needs: the normalised input, one over its spread, and the lengths."""

    normal: Array
    scale: Array
    lengths: Array | None


@final
@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalise the features of every step to mean 0 and variance 1, then apply a learnt gain and shift.

    ``Y = gain * (X - mean) / sqrt(variance + epsilon) + shift``. Parameters: ``gain`` and ``shift (n_features,)``,
    which start at 1 and 0. Source: Ba, Kiros and Hinton (2016), "Layer normalization", equation 4.

    Args:
        n_features: the number of features.
        epsilon: keeps the division finite where all features are equal.

    Raises:
        ArgumentError: a size below 1, or an epsilon that is not positive.

    >>> layer = LayerNorm(2)
    >>> layer.forward(layer.init(np.random.default_rng(0)), [[[1.0, 3.0]]])[0].round(4)
    array([[[-1.,  1.]]])
    """

    n_features: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        as_count("n_features", self.n_features)
        as_positive("epsilon", self.epsilon)

    @property
    def sizes(self) -> tuple[int, int]:
        """As many features go out as come in."""
        return self.n_features, self.n_features

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return small layers."""
        return [cls(3), cls(4, epsilon=0.1)]

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and where they start."""
        return {"gain": Parameter((self.n_features,), start=1), "shift": Parameter((self.n_features,))}

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        no_state("LayerNorm", state)
        centred = X - X.mean(axis=-1, keepdims=True)
        variance = (centred * centred).mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt(variance + X.dtype.type(self.epsilon))
        normal = centred * scale
        Y = blank_padding(params["gain"] * normal + params["shift"], context.lengths)
        return Result(Y, None, LayerNormTape(normal, scale, context.lengths), context.lengths)

    def _backward(self, params: Params, tape: LayerNormTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        dY = blank_padding(dY, tape.lengths)
        steps = tuple(range(dY.ndim - 1))
        dparams = {"gain": (dY * tape.normal).sum(axis=steps), "shift": dY.sum(axis=steps)}
        dnormal = dY * params["gain"]
        along = (dnormal * tape.normal).mean(axis=-1, keepdims=True)  # what only stretches all features alike is lost
        dX = tape.scale * (dnormal - dnormal.mean(axis=-1, keepdims=True) - tape.normal * along)
        return Gradients(dparams, dX, None)
