"""Initial weights. Each matrix is scaled by its *own* fan-in: ``n_features`` for ``Wx``, ``n_units`` for ``Wh``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_float, as_positive, check_finite, check_shape
from saiki.errors import ArgumentError, choose

Initializer: TypeAlias = Callable[[np.random.Generator, tuple[int, ...], int], Array]
"""``(rng, shape, fan_in)`` to float64 numbers of that shape; drawn for one gate at a time."""

Scheme: TypeAlias = str | Initializer | Mapping[str, str | Initializer]
"""The name of an initializer, one itself, or a dict of such for some parameters."""


@final
@dataclass(frozen=True)
class Parameter:
    """What a layer says of one of its parameters.

    Attributes:
        shape: its shape.
        fan_in: how many numbers each of its outputs sums up; None for one that starts at a constant, as biases do.
        blocks: the names of the gates whose columns stand side by side.
        start: the constant that it starts at, where it has no fan-in.
    """

    shape: tuple[int, ...]
    fan_in: int | None = None
    blocks: tuple[str, ...] = ("",)
    start: float = 0.0


def normal(sigma: float = 1.0) -> Initializer:
    """Return an initializer that draws from N(0, sigma**2).

    Raises:
        ArgumentError: sigma is not positive and finite.

    >>> normal(0.01)(np.random.default_rng(0), (1000, 10), 1000).std().round(3)
    np.float64(0.01)
    """
    as_positive("sigma", sigma)

    def draw(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
        return sigma * rng.standard_normal(shape)

    return draw


def uniform(low: float, high: float) -> Initializer:
    """Return an initializer that draws evenly from ``low`` to ``high``, such as the own weights of an IndRNN.

    Raises:
        ArgumentError: low is not below high, or one is not finite.

    >>> uniform(0, 1)(np.random.default_rng(0), (3,), 3).round(2).tolist()
    [0.64, 0.27, 0.04]
    """
    if not -np.inf < low < high < np.inf:
        raise ArgumentError(f"low must be below high, both finite; got {low!r} and {high!r}.")

    def draw(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
        return rng.uniform(low, high, shape)

    return draw


def constant(value: float) -> Initializer:
    """Return an initializer that is one number everywhere.

    A forget gate that starts open, with a bias of 1, is ``scheme={"b_f": constant(1)}`` (Gers et al. 2000; Jozefowicz,
    Zaremba and Sutskever 2015, "An empirical exploration of recurrent network architectures").

    >>> constant(1)(np.random.default_rng(0), (2,), 1).tolist()
    [1.0, 1.0]
    """
    check_finite("value", as_float("value", value))

    def fill(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
        return np.full(shape, value, np.float64)

    return fill


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


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
    """Draw a matrix with orthonormal rows or columns, which stretches no state and no gradient; evenly among all.

    A number for each unit becomes 1 or -1. Source: Saxe, McClelland and Ganguli (2014), section 3; the signs that make
    the draw even, Mezzadri (2007), "How to generate random matrices from the classical compact groups".

    >>> Q = orthogonal(np.random.default_rng(0), (3, 3), 3)
    >>> bool(np.allclose(Q.T @ Q, np.eye(3)))
    True
    """
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    if len(shape) == 1:
        return rng.choice([-1.0, 1.0], shape)
    Q, R = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    Q *= np.sign(np.diag(R))
    return (Q if rows >= columns else Q.T).reshape(shape)


def identity(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:  # noqa: ARG001
    """Return the identity, so that a state is first kept as it is; ones for a number for each unit.

    Source: Le, Jaitly and Hinton (2015), "A simple way to initialize recurrent networks of rectified linear units".
    """
    return np.ones(shape) if len(shape) == 1 else np.eye(int(np.prod(shape[:-1])), shape[-1]).reshape(shape)


INITIALIZERS: dict[str, Initializer] = {
    "normal": normal(),
    "xavier": xavier,
    "he": he,
    "orthogonal": orthogonal,
    "identity": identity,
}
"""Every initializer by name; ``normal`` has sigma 1."""


def initialize(
    rng: np.random.Generator, parameters: Mapping[str, Parameter], scheme: Scheme, dtype: npt.DTypeLike
) -> Params:
    """Draw every parameter, one gate after another.

    Args:
        rng: the source of randomness; the same state gives the same numbers.
        parameters: what to draw, by name.
        scheme: what draws the weights. A dict names parameters by the last part of their name, "Wh", or one gate of
            them, "b_f"; weights that it does not name are drawn by "xavier", and biases stay at zero.
        dtype: float32 or float64.

    Raises:
        ArgumentError: an unknown scheme, a dict that names no parameter, another dtype, or an rng that is no generator.
    """
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError(f"rng must be a numpy Generator; got {rng!r}. Try np.random.default_rng(0).")
    if dtype not in (np.float32, np.float64, "float32", "float64"):
        raise ArgumentError(f"dtype must be float32 or float64; got {getattr(dtype, '__name__', dtype)}.")
    named = scheme if isinstance(scheme, Mapping) else {}
    draws = {key: _as_initializer(f"scheme[{key!r}]", value) for key, value in named.items()}
    weights = _as_initializer("scheme", "xavier" if isinstance(scheme, Mapping) else scheme)

    params, used = {}, set()
    for name, parameter in parameters.items():
        base = name.rpartition("/")[2]
        parts = []
        for block in parameter.blocks:
            key = f"{base}_{block}" if f"{base}_{block}" in draws else base
            used.add(key)
            draw = draws.get(key, constant(parameter.start) if parameter.fan_in is None else weights)
            *rows, columns = parameter.shape
            shape = (*rows, columns // len(parameter.blocks))
            drawn = np.asarray(draw(rng, shape, parameter.fan_in or 1))
            check_shape(f"what the initializer of {name!r} returns", drawn, shape, "the shape it was asked for")
            parts.append(drawn)
        params[name] = np.concatenate(parts, axis=-1).astype(dtype)
    if unused := draws.keys() - used:
        names = ", ".join(dict.fromkeys(name.rpartition("/")[2] for name in parameters))
        raise ArgumentError(
            f"scheme names {', '.join(sorted(unused))}; the parameters are {names}, and such as b_f for one gate."
        )
    return params


def _as_initializer(argument: str, scheme: str | Initializer | Scheme) -> Initializer:
    return scheme if callable(scheme) else choose(argument, scheme, INITIALIZERS)
