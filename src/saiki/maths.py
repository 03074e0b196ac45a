"""The vocabulary of cells: the functions that an equation may use, and no others.

All work elementwise on numbers and arrays, real or complex (complex-step differentiation needs the latter), and
keep float32 as float32. Derivatives are written from the *output* of the function, because that is what a tape
keeps: ``dtanh(y)`` is the slope of tanh where tanh gave ``y``.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Number: TypeAlias = Any
"""A float, or an array of floats: cells are written for one number and run on whole arrays."""

Function: TypeAlias = Callable[[Number], Number]


def tanh(x: Number) -> Number:
    """Hyperbolic tangent."""
    return np.tanh(x)


def dtanh(y: Number) -> Number:
    """Return the slope of ``tanh`` where its value is ``y``: ``1 - y**2``.

    >>> dtanh(0.5)
    0.75
    """
    return 1 - y * y


def sigmoid(x: Number) -> Number:
    """Logistic function ``1 / (1 + exp(-x))``, written so that nothing overflows.

    >>> [float(sigmoid(x)) for x in (-1000.0, 0.0, 1000.0)]
    [0.0, 0.5, 1.0]
    """
    negative = np.real(x) < 0
    small = np.exp(np.where(negative, x, -x))
    return np.where(negative, small, 1) / (1 + small)


def dsigmoid(y: Number) -> Number:
    """Return the slope of ``sigmoid`` where its value is ``y``: ``y * (1 - y)``."""
    return y * (1 - y)


def relu(x: Number) -> Number:
    """Rectifier ``max(0, x)``, whose slope at 0 is 0, also to a complex step."""
    return np.where(np.real(x) <= 0, 0, x)


def drelu(y: Number) -> Number:
    """Return the slope of ``relu`` where its value is ``y``: 1 above zero, else 0."""
    return np.sign(y)  # y is never below zero


def one_minus(y: Number) -> Number:
    """Return ``1 - y``, so that no equation needs a literal, whose precision would be another."""
    return 1 - y


def identity(x: Number) -> Number:
    """Return ``x`` itself."""
    return x


def didentity(y: Number) -> Number:
    """Return the slope of ``identity``: 1."""
    return np.ones_like(y)


def softplus(x: Number) -> Number:
    """Return ``log(1 + exp(x))`` without overflow.

    >>> [float(softplus(x)) for x in (-1000.0, 1000.0)]
    [0.0, 1000.0]
    """
    above = relu(x)
    return above + np.log1p(np.exp(x - above - above))


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "tanh": (tanh, dtanh),
    "sigmoid": (sigmoid, dsigmoid),
    "relu": (relu, drelu),
    "identity": (identity, didentity),
}
"""An activation's name, its function, and its derivative written from the output."""
