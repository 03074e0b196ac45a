"""Initial weights. Each matrix is scaled by its *own* fan-in: ``n_features`` for ``Wx``, ``n_units`` for ``Wh``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params
from saiki.errors import ArgumentError, choose

Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, ...], int], Array]
"""``(rng, shape, fan_in)`` to float64 weights of that shape."""


@final
@dataclass(frozen=True)
class Parameter:
    """What a layer says of one of its parameters.

    Attributes:
        shape: its shape.
        fan_in: how many numbers each of its outputs sums up; None for a bias, which starts at zero.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None


def normal(sigma: float = 1.0) -> Initializer:
    """Return an initializer that draws from N(0, sigma**2).

    Raises:
        ArgumentError: sigma is not positive and finite.

    >>> normal(0.01)(np.random.default_rng(0), (1000, 10), 1000).std().round(3)
    np.float64(0.01)
    """
    if not (np.isfinite(sigma) and sigma > 0):
        raise ArgumentError(f"sigma must be positive and finite; got {sigma!r}. Try 0.01 to 1.")

    def draw(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
        return sigma * rng.standard_normal(shape)

    return draw


def xavier(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """Draw from N(0, 1 / fan_in), which keeps the variance of tanh units near zero from layer to layer.

    Source: Glorot and Bengio (2010), the condition for the forward direction.
    """
    return rng.standard_normal(shape) / np.sqrt(fan_in)


def he(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """Draw from N(0, 2 / fan_in), which makes up for a rectifier that silences half of its inputs.

    Source: He et al. (2015), "Delving deep into rectifiers", section 2.2.
    """
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)


INITIALIZERS: dict[str, Initializer] = {"normal": normal(), "xavier": xavier, "he": he}
"""Every initializer by name; ``normal`` has sigma 1."""


def initialize(
    rng: np.random.Generator,
    parameters: Mapping[str, Parameter],
    scheme: str | Initializer,
    dtype: npt.DTypeLike,
) -> Params:
    """Draw every parameter: weights by the scheme, biases zero.

    Args:
        rng: the source of randomness; the same state gives the same numbers.
        parameters: what to draw, by name.
        scheme: the name of an initializer, or one itself, such as ``normal(0.01)``.
        dtype: float32 or float64.

    Raises:
        ArgumentError: an unknown scheme, a dtype that is neither, or an rng that is no generator.
    """
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError(f"rng must be a numpy Generator; got {rng!r}. Try np.random.default_rng(0).")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ArgumentError(f"dtype must be float32 or float64; got {np.dtype(dtype)}.")
    draw = scheme if callable(scheme) else choose("scheme", scheme, INITIALIZERS)
    return {
        name: np.zeros(p.shape, dtype) if p.fan_in is None else draw(rng, p.shape, p.fan_in).astype(dtype)
        for name, p in parameters.items()
    }
