"""One step of training for any model that has a loss and gradients: the optimizer's update, applied."""

from collections.abc import Callable
from typing import Any

import numpy as np

from saiki.arrays import Params
from saiki.engines.tape import Update
from saiki.errors import ArgumentError
from saiki.optimizers import Optimizer, apply_updates


def check_optimizer(optimizer: Any) -> None:
    """Raise an ``ArgumentError`` unless it is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"optimizer must be one such as saiki.optimizers.adam(0.001); got {optimizer!r}.")


def updated(
    params: Params, optimizer: Optimizer, optimizer_state: Any, learn: Callable[[], tuple[Any, Params]]
) -> Update:
    """Make one step of training: loss, gradients, and an update of the parameters, which come back as new arrays.

    Args:
        params: the parameters before the update.
        optimizer: turns gradients into updates.
        optimizer_state: what ``optimizer.init(params)`` made, or the update before returned.
        learn: returns the loss at these parameters and its gradients, by the parameters' names.

    Returns:
        The loss before the update, the parameters and the optimizer's state after it, and whether all are finite.

    Raises:
        ArgumentError: no optimizer, or the state of another one.

    >>> from saiki.optimizers import sgd
    >>> params, optimizer = {"w": np.array([3.0])}, sgd(0.1)
    >>> update = updated(params, optimizer, optimizer.init(params), lambda: (9.0, {"w": 2 * params["w"]}))
    >>> update.loss, update.params["w"], update.finite
    (9.0, array([2.4]), True)
    """
    check_optimizer(optimizer)
    optimizer.apart(optimizer_state)  # one of another optimizer is refused
    with np.errstate(all="ignore"):  # what overflows shows in what is returned
        value, grads = learn()
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        params = apply_updates(params, updates)
    return Update(value, params, optimizer_state, all(np.isfinite(param).all() for param in params.values()))
