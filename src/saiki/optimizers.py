"""Optimizers: pairs of pure functions over explicit state.

``init(params)`` makes the state, ``update(grads, state, params)`` returns what to *add* to the parameters, and the new
state. Nothing is changed in place. Clipping, decay, momentum and schedules are links; ``chain`` makes one of several::

    chain(clip_by_norm(1.0), scale_by_adam(), scale_by_learning_rate(cosine(1e-3, 10_000)))
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from saiki.arrays import Array, Params, as_count, as_positive, as_share
from saiki.errors import ArgumentError

Schedule: TypeAlias = Callable[[int], float]
"""The learning rate of update number 0, 1, 2, ..."""


@final
@dataclass(frozen=True)
class Optimizer:
    """A rule for changing parameters, or a link of one, as two pure functions."""

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Params], tuple[Params, Any]]


def chain(*links: Optimizer) -> Optimizer:
    """Return the optimizer that passes gradients through each link in turn.

    >>> optimizer = chain(clip_by_value(1.0), scale_by_learning_rate(0.5))
    >>> params = {"W": np.array([1.0])}
    >>> updates, state = optimizer.update({"W": np.array([4.0])}, optimizer.init(params), params)
    >>> apply_updates(params, updates)
    {'W': array([0.5])}
    """

    def update(grads: Params, state: tuple[Any, ...], params: Params) -> tuple[Params, tuple[Any, ...]]:
        states = []
        for link, link_state in zip(links, state, strict=True):
            grads, link_state = link.update(grads, link_state, params)
            states.append(link_state)
        return grads, tuple(states)

    return Optimizer(lambda params: tuple(link.init(params) for link in links), update)


def apply_updates(params: Params, updates: Params) -> Params:
    """Return new parameters, each with its update added."""
    return {name: param + updates[name] for name, param in params.items()}


# Links


def scale_by_learning_rate(learning_rate: float | Schedule) -> Optimizer:
    """Turn a direction into an update: ``-learning_rate * g``, where the rate may follow a schedule.

    Raises:
        ArgumentError: the learning rate is not positive and finite.
    """
    schedule = learning_rate if callable(learning_rate) else constant(learning_rate)

    def update(grads: Params, count: int, params: Params) -> tuple[Params, int]:  # noqa: ARG001
        rate = float(schedule(count))  # a NumPy scalar would turn float32 into float64
        return {name: -rate * g for name, g in grads.items()}, count + 1

    return Optimizer(lambda _: 0, update)


def momentum(decay: float = 0.9, nesterov: bool = False) -> Optimizer:
    """Sum up past gradients, each step's weight falling by ``decay``: ``m <- decay * m + g``.

    The direction is ``m`` (Polyak 1964), or ``g + decay * m`` with ``nesterov`` (Sutskever et al. 2013, "On the
    importance of initialization and momentum in deep learning", in the form that needs no gradient elsewhere).

    Raises:
        ArgumentError: the decay is not from 0 up to 1.
    """
    decay = as_share("decay", decay)

    def update(grads: Params, state: Params, params: Params) -> tuple[Params, Params]:  # noqa: ARG001
        state = {name: decay * state[name] + g for name, g in grads.items()}
        return {name: g + decay * state[name] for name, g in grads.items()} if nesterov else state, state

    return Optimizer(_zeros, update)


def scale_by_adagrad(epsilon: float = 1e-10) -> Optimizer:
    """Divide by the root of the sum of all past squared gradients (Duchi, Hazan and Singer 2011, JMLR 12).

    ``s <- s + g**2``; the direction is ``g / (sqrt(s) + epsilon)``.

    Raises:
        ArgumentError: epsilon is not positive.
    """
    epsilon = as_positive("epsilon", epsilon)

    def update(grads: Params, state: Params, params: Params) -> tuple[Params, Params]:  # noqa: ARG001
        state = {name: state[name] + g * g for name, g in grads.items()}
        return {name: g / (np.sqrt(state[name]) + epsilon) for name, g in grads.items()}, state

    return Optimizer(_zeros, update)


def scale_by_rmsprop(decay: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """Divide by the root of a running mean of squared gradients (Tieleman and Hinton 2012, lecture 6.5).

    ``s <- decay * s + (1 - decay) * g**2``; the direction is ``g / (sqrt(s) + epsilon)``.

    Raises:
        ArgumentError: decay is not from 0 up to 1, or epsilon not positive.
    """
    decay = as_share("decay", decay)
    epsilon = as_positive("epsilon", epsilon)

    def update(grads: Params, state: Params, params: Params) -> tuple[Params, Params]:  # noqa: ARG001
        state = {name: _running(decay, state[name], g * g) for name, g in grads.items()}
        return {name: g / (np.sqrt(state[name]) + epsilon) for name, g in grads.items()}, state

    return Optimizer(_zeros, update)


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Divide a running mean of gradients by the root of one of their squares, both freed of their start at zero.

    ``m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + epsilon)``: Kingma and Ba (2015), "Adam", algorithm 1.

    Raises:
        ArgumentError: a beta is not from 0 up to 1, or epsilon not positive.
    """
    beta1 = as_share("beta1", beta1)
    beta2 = as_share("beta2", beta2)
    epsilon = as_positive("epsilon", epsilon)

    def update(grads: Params, state: tuple[Params, Params, int], params: Params) -> tuple[Params, Any]:  # noqa: ARG001
        m, v, count = state
        count += 1
        m = {name: _running(beta1, m[name], g) for name, g in grads.items()}
        v = {name: _running(beta2, v[name], g * g) for name, g in grads.items()}
        grown1, grown2 = 1 - beta1**count, 1 - beta2**count
        return {k: (m[k] / grown1) / (np.sqrt(v[k] / grown2) + epsilon) for k in grads}, (m, v, count)

    return Optimizer(lambda params: (_zeros(params), _zeros(params), 0), update)


def clip_by_norm(limit: float) -> Optimizer:
    """Shrink all gradients together so that their joint Euclidean norm is at most ``limit``.

    Source: Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", algorithm 1.

    Raises:
        ArgumentError: the limit is not positive.
    """
    limit = as_positive("limit", limit)

    def update(grads: Params, state: None, params: Params) -> tuple[Params, None]:  # noqa: ARG001
        largest = max((np.abs(g).max(initial=0) for g in grads.values()), default=0)
        if not 0 < largest < np.inf:  # the training loop reports what is not finite
            return grads, state
        norm = largest * np.sqrt(sum(np.square(g / largest).sum() for g in grads.values()))  # no square overflows
        return {k: g * (limit / norm) for k, g in grads.items()} if norm > limit else grads, state

    return Optimizer(lambda _: None, update)


def clip_by_value(limit: float) -> Optimizer:
    """Cut every number of every gradient to between ``-limit`` and ``limit``.

    Raises:
        ArgumentError: the limit is not positive.
    """
    limit = as_positive("limit", limit)

    def update(grads: Params, state: None, params: Params) -> tuple[Params, None]:  # noqa: ARG001
        return {name: np.clip(g, -limit, limit) for name, g in grads.items()}, state

    return Optimizer(lambda _: None, update)


def decay_weights(rate: float) -> Optimizer:
    """Add ``rate * W`` to the gradient of every weight matrix; biases and other vectors are left alone.

    Before a scaling link this is an L2 penalty; after it, as in ``adamw``, decoupled decay.

    Raises:
        ArgumentError: the rate is negative or not finite.
    """
    if rate != 0:
        rate = as_positive("rate", rate)

    def update(grads: Params, state: None, params: Params) -> tuple[Params, None]:
        return {k: g + rate * params[k] if params[k].ndim > 1 else g for k, g in grads.items()}, state

    return Optimizer(lambda _: None, update)


# Ready chains


def sgd(learning_rate: float | Schedule = 0.01, decay: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Stochastic gradient descent, ``W <- W - learning_rate * dW``; with ``decay``, momentum.

    Raises:
        ArgumentError: the learning rate is not positive and finite, or the decay not from 0 up to 1.
    """
    step = scale_by_learning_rate(learning_rate)
    return chain(momentum(decay, nesterov), step) if as_share("decay", decay) else step


def adagrad(learning_rate: float | Schedule = 0.01, epsilon: float = 1e-10) -> Optimizer:
    """AdaGrad; see ``scale_by_adagrad``."""
    return chain(scale_by_adagrad(epsilon), scale_by_learning_rate(learning_rate))


def rmsprop(learning_rate: float | Schedule = 0.001, decay: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """RMSprop; see ``scale_by_rmsprop``."""
    return chain(scale_by_rmsprop(decay, epsilon), scale_by_learning_rate(learning_rate))


def adam(
    learning_rate: float | Schedule = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Optimizer:
    """Adam; see ``scale_by_adam``."""
    return chain(scale_by_adam(beta1, beta2, epsilon), scale_by_learning_rate(learning_rate))


def adamw(
    learning_rate: float | Schedule = 0.001,
    weight_decay: float = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Optimizer:
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter (2019, algorithm 2), with the decay
    scaled by the learning rate, as in PyTorch, and only of matrices: they shrink apart from Adam.
    """
    scaling = scale_by_adam(beta1, beta2, epsilon), decay_weights(weight_decay)
    return chain(*scaling, scale_by_learning_rate(learning_rate))


OPTIMIZERS: dict[str, Callable[[float | Schedule], Optimizer]] = {
    "sgd": sgd,
    "momentum": lambda learning_rate: sgd(learning_rate, decay=0.9),
    "nesterov": lambda learning_rate: sgd(learning_rate, decay=0.9, nesterov=True),
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}
"""Every optimizer by name; each takes a learning rate or a schedule."""


# Schedules


def constant(learning_rate: float) -> Schedule:
    """Return the schedule that never changes.

    Raises:
        ArgumentError: the learning rate is not positive and finite.
    """
    learning_rate = as_positive("learning_rate", learning_rate)
    return lambda _: learning_rate


def step(learning_rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Return the schedule that multiplies the rate by ``factor`` after every ``every`` updates.

    Raises:
        ArgumentError: a number is out of range.

    >>> [step(1.0, 2, 0.5)(n) for n in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    learning_rate = as_positive("learning_rate", learning_rate)
    as_count("every", every)
    factor = as_positive("factor", factor)
    return lambda count: learning_rate * factor ** (count // every)


def cosine(learning_rate: float, total: int, final: float = 0.0) -> Schedule:
    """Return the schedule that falls along half a cosine to ``final`` at update ``total``, and stays there.

    Source: Loshchilov and Hutter (2017), "SGDR", equation 5, without restarts.

    Raises:
        ArgumentError: a number is out of range, or the final rate above the first.

    >>> [round(cosine(1.0, 4)(n), 3) for n in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    learning_rate = as_positive("learning_rate", learning_rate)
    as_count("total", total)
    if not 0 <= final <= learning_rate:
        raise ArgumentError(f"final must be from 0 to the learning rate, {learning_rate}; got {final!r}.")
    return lambda n: final + (learning_rate - final) * (1 + float(np.cos(np.pi * min(n / total, 1)))) / 2


def warm_up(schedule: float | Schedule, updates: int) -> Schedule:
    """Return the schedule that rises evenly to another's first rate over so many updates, then follows it.

    Raises:
        ArgumentError: a number is out of range.

    >>> [warm_up(1.0, 4)(n) for n in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    as_count("updates", updates)
    after = schedule if callable(schedule) else constant(schedule)
    return lambda n: after(0) * (n + 1) / updates if n < updates else after(n - updates)


def _zeros(params: Params) -> Params:
    return {name: np.zeros_like(param) for name, param in params.items()}


def _running(decay: float, mean: Array, new: Array) -> Array:
    return decay * mean + (1 - decay) * new
