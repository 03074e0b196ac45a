"""Optimizers: pairs of pure functions over explicit state.

``init(params)`` makes the state, ``update(grads, state, params)`` returns what to *add* to the parameters, and the new
state. Nothing is changed in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from saiki.arrays import Params
from saiki.errors import ArgumentError


@final
@dataclass(frozen=True)
class Optimizer:
    """A rule for changing parameters, as two pure functions."""

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Params], tuple[Params, Any]]


def sgd(learning_rate: float = 0.01) -> Optimizer:
    """Stochastic gradient descent: ``W <- W - learning_rate * dW``.

    Raises:
        ArgumentError: the learning rate is not positive and finite.

    >>> optimizer = sgd(0.5)
    >>> params, grads = {"W": np.array([1.0])}, {"W": np.array([4.0])}
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> apply_updates(params, updates)
    {'W': array([-1.])}
    """
    if not (np.isfinite(learning_rate) and learning_rate > 0):
        raise ArgumentError(f"learning_rate must be positive and finite; got {learning_rate!r}.")

    def update(grads: Params, state: None, params: Params) -> tuple[Params, None]:  # noqa: ARG001
        return {name: -learning_rate * grad for name, grad in grads.items()}, state

    return Optimizer(lambda _: None, update)


OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {"sgd": sgd}
"""Every optimizer by name; each takes a learning rate."""


def apply_updates(params: Params, updates: Params) -> Params:
    """Return new parameters, each with its update added."""
    return {name: param + updates[name] for name, param in params.items()}
