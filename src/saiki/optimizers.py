"""Optimizers: pairs of pure functions over explicit state.

``init(params)`` makes the state, ``update(grads, state, params)`` returns what to *add* to the parameters, and the new
state. Nothing is changed in place. Clipping, decay, momentum and schedules are links; ``chain`` makes one of several::

    chain(clip_by_norm(1.0), scale_by_adam(), scale_by_learning_rate(cosine(1e-3, 10_000)))

Nearly every link is a rule for one number, written once: NumPy runs it on whole arrays, and the compiled engine inside
the loop that updates the parameters.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np

from saiki.arrays import Array, Params, as_count, as_positive, as_share
from saiki.cells.reading import fixed
from saiki.errors import ArgumentError
from saiki.properties import cached_property

Schedule: TypeAlias = Callable[[int], float]
"""The learning rate of update number 0, 1, 2, ..."""


@final
@dataclass(frozen=True, eq=False)
class Rule:
    """The equation of a link, for one number of one parameter.

    Attributes:
        function: takes the gradient as the link before left it, the parameter, what it remembers, and its rates;
            returns the gradient for the next link, and what it remembers from now on.
        memories: how many numbers it remembers; all are zero to begin with.
        rates: gives the rates of update number 0, 1, 2, ... for a parameter of so many dimensions.
        functions: the function that runs, by the name "function": what it reads is as it was when the rule was made.
    """

    function: Callable[..., Any]
    memories: int = 0
    rates: Callable[[int, int], tuple[float, ...]] = lambda count, ndim: ()  # noqa: ARG005
    functions: Mapping[str, Callable[..., Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", {"function": fixed(self.function)})

    def __reduce__(self) -> tuple[Any, ...]:
        return Rule, (self.function, self.memories, self.rates)

    def __deepcopy__(self, memo: object) -> "Rule":
        return self  # what the function reads stays fixed


@final
@dataclass(frozen=True, eq=False)
class NormLimit:
    """The rule of the one link that looks at all gradients together; see ``clip_by_norm``."""

    limit: float


@final
@dataclass(frozen=True, eq=False)
class Optimizer:
    """A rule for changing parameters, or a link of one, as two pure functions.

    Attributes:
        init: makes the state for parameters.
        update: turns gradients, the state and the parameters into what to add to the parameters, and the new state.
        rule: what a link does, for an engine that can do it itself; None for a chain, or a link of one's own making.
        links: the links of a chain, whose state is a tuple of theirs.
    """

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Params], tuple[Params, Any]]
    rule: Rule | NormLimit | None = None
    links: "tuple[Optimizer, ...]" = ()

    @cached_property
    def rules(self) -> tuple[Rule | NormLimit, ...] | None:
        """The rules of all links in turn, or None if there is a link without one."""
        if not self.links:
            return None if self.rule is None else (self.rule,)
        parts = [link.rules for link in self.links]
        return None if None in parts else tuple(rule for part in parts if part for rule in part)

    def apart(self, state: Any) -> list[Any]:
        """Return the states of all links in turn.

        Raises:
            ArgumentError: it is not the state of such an optimizer.
        """
        fits = not self.links or (isinstance(state, tuple) and len(state) == len(self.links))
        if isinstance(self.rule, Rule):
            fits = isinstance(state, tuple) and len(state) == 2 and len(state[0]) == self.rule.memories
        if not fits:
            raise ArgumentError(
                "optimizer_state must be what this optimizer's init(params) made, or the update before returned;"
                f" got {state!r}."
            )
        if not self.links:
            return [state]
        return [one for link, part in zip(self.links, state, strict=True) for one in link.apart(part)]

    def together(self, states: Iterator[Any]) -> Any:
        """Return the state of which ``apart`` gave the parts."""
        return tuple(link.together(states) for link in self.links) if self.links else next(states)


def chain(*links: Optimizer) -> Optimizer:
    """Return the optimizer that passes gradients through each link in turn.

    >>> optimizer = chain(clip_by_value(1.0), scale_by_learning_rate(0.5))
    >>> params = {"W": np.array([1.0])}
    >>> updates, state = optimizer.update({"W": np.array([4.0])}, optimizer.init(params), params)
    >>> apply_updates(params, updates)
    {'W': array([0.5])}
    """
    wrong = next((link for link in links if not isinstance(link, Optimizer)), None)
    if wrong is not None or not links:
        got = "none" if not links else f"{wrong!r}"
        raise ArgumentError(f"links must be one or more optimizers, one after another; got {got}. Try chain(adam()).")

    def update(grads: Params, state: tuple[Any, ...], params: Params) -> tuple[Params, tuple[Any, ...]]:
        states = []
        for link, link_state in zip(links, state, strict=True):
            grads, link_state = link.update(grads, link_state, params)
            states.append(link_state)
        return grads, tuple(states)

    return Optimizer(lambda params: tuple(link.init(params) for link in links), update, None, links)


def apply_updates(params: Params, updates: Params) -> Params:
    """Return new parameters, each with its update added."""
    return {name: param + updates[name] for name, param in params.items()}


def follow(rule: Rule) -> Optimizer:
    """Return the link that follows a rule for every number; its state is what it remembers, and the count of updates.

    Raises:
        ArgumentError: no ``Rule``, or one whose function does not take or return as many numbers as it must.

    >>> halve = follow(Rule(lambda g, w: g / 2))
    >>> params = {"W": np.array([1.0])}
    >>> halve.update({"W": np.array([4.0])}, halve.init(params), params)[0]
    {'W': array([2.])}
    """
    if not isinstance(rule, Rule):
        raise ArgumentError(f"rule must be a saiki.optimizers.Rule; got {rule!r}. Try Rule(lambda g, w: -0.1 * g).")
    values, function = [np.full(2, 0.5) for _ in range(2 + rule.memories)], rule.functions["function"]
    try:
        tried = function(*values, *rule.rates(0, 1))
    except Exception as error:
        raise ArgumentError(
            f"rule: its function must take g, w, {rule.memories} memories and {len(rule.rates(0, 1))} rates, numbers or"
            f" arrays; on arrays it fails: {type(error).__name__}: {error}."
        ) from error
    count = len(tried) if isinstance(tried, tuple) else 1
    if count != 1 + rule.memories:
        raise ArgumentError(
            f"rule: its function must return g and {rule.memories} memories, {1 + rule.memories} in all; got {count}."
        )

    def init(params: Params) -> tuple[tuple[Params, ...], int]:
        return tuple({name: np.zeros_like(w) for name, w in params.items()} for _ in range(rule.memories)), 0

    def update(grads: Params, state: Any, params: Params) -> tuple[Params, Any]:
        memories, count = state
        results = {}
        for name, g in grads.items():
            result = function(g, params[name], *(m[name] for m in memories), *rule.rates(count, g.ndim))
            results[name] = result if isinstance(result, tuple) else (result,)
        directions, *remembered = (
            {name: result[k] for name, result in results.items()} for k in range(len(memories) + 1)
        )
        return directions, (tuple(remembered), count + 1)

    return Optimizer(init, update, rule)


# Links


def scale_by_learning_rate(learning_rate: float | Schedule) -> Optimizer:
    """Turn a direction into an update: ``-learning_rate * g``, where the rate may follow a schedule.

    Raises:
        ArgumentError: the learning rate is not positive and finite.
    """
    schedule = learning_rate if callable(learning_rate) else constant(learning_rate)

    def update(g: Array, w: Array, rate: float) -> Array:  # noqa: ARG001
        return -rate * g

    # a NumPy scalar would turn float32 into float64
    return follow(Rule(update, rates=lambda count, ndim: (float(schedule(count)),)))  # noqa: ARG005


def momentum(decay: float = 0.9, nesterov: bool = False) -> Optimizer:
    """Sum up past gradients, each step's weight falling by ``decay``: ``m <- decay * m + g``.

    The direction is ``m`` (Polyak 1964), or ``g + decay * m`` with ``nesterov`` (Sutskever et al. 2013, "On the
    importance of initialization and momentum in deep learning", in the form that needs no gradient elsewhere).

    Raises:
        ArgumentError: the decay is not from 0 up to 1.
    """
    decay = as_share("decay", decay)

    def heavy_ball(g: Array, w: Array, m: Array) -> tuple[Array, Array]:  # noqa: ARG001
        m = decay * m + g
        return m, m

    def ahead(g: Array, w: Array, m: Array) -> tuple[Array, Array]:  # noqa: ARG001
        m = decay * m + g
        return g + decay * m, m

    return follow(Rule(ahead if nesterov else heavy_ball, memories=1))


def scale_by_adagrad(epsilon: float = 1e-10) -> Optimizer:
    """Divide by the root of the sum of all past squared gradients (Duchi, Hazan and Singer 2011, JMLR 12).

    ``s <- s + g**2``; the direction is ``g / (sqrt(s) + epsilon)``.

    Raises:
        ArgumentError: epsilon is not positive.
    """
    epsilon = as_positive("epsilon", epsilon)

    def update(g: Array, w: Array, s: Array) -> tuple[Array, Array]:  # noqa: ARG001
        s = s + g * g
        return g / (np.sqrt(s) + epsilon), s

    return follow(Rule(update, memories=1))


def scale_by_rmsprop(decay: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """Divide by the root of a running mean of squared gradients (Tieleman and Hinton 2012, lecture 6.5).

    ``s <- decay * s + (1 - decay) * g**2``; the direction is ``g / (sqrt(s) + epsilon)``.

    Raises:
        ArgumentError: decay is not from 0 up to 1, or epsilon not positive.
    """
    decay, epsilon = as_share("decay", decay), as_positive("epsilon", epsilon)
    rest = 1 - decay

    def update(g: Array, w: Array, s: Array) -> tuple[Array, Array]:  # noqa: ARG001
        s = decay * s + rest * (g * g)
        return g / (np.sqrt(s) + epsilon), s

    return follow(Rule(update, memories=1))


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Divide a running mean of gradients by the root of one of their squares, both freed of their start at zero.

    ``m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + epsilon)``: Kingma and Ba (2015), "Adam", algorithm 1.

    Raises:
        ArgumentError: a beta is not from 0 up to 1, or epsilon not positive.
    """
    beta1, beta2 = as_share("beta1", beta1), as_share("beta2", beta2)
    epsilon = as_positive("epsilon", epsilon)
    rest1, rest2 = 1 - beta1, 1 - beta2

    def update(g: Array, w: Array, m: Array, v: Array, grown1: float, grown2: float) -> tuple[Array, Array, Array]:  # noqa: ARG001
        m = beta1 * m + rest1 * g
        v = beta2 * v + rest2 * (g * g)
        return (m / grown1) / (np.sqrt(v / grown2) + epsilon), m, v

    def grown(count: int, ndim: int) -> tuple[float, float]:  # noqa: ARG001
        return 1 - beta1 ** (count + 1), 1 - beta2 ** (count + 1)

    return follow(Rule(update, memories=2, rates=grown))


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

    return Optimizer(lambda _: None, update, NormLimit(limit))


def clip_by_value(limit: float) -> Optimizer:
    """Cut every number of every gradient to between ``-limit`` and ``limit``.

    Raises:
        ArgumentError: the limit is not positive.
    """
    limit = as_positive("limit", limit)

    def update(g: Array, w: Array) -> Array:  # noqa: ARG001
        return np.minimum(np.maximum(g, -limit), limit)

    return follow(Rule(update))


def decay_weights(rate: float) -> Optimizer:
    """Add ``rate * W`` to the gradient of every weight matrix; biases and other vectors are left alone.

    Before a scaling link this is an L2 penalty; after it, as in ``adamw``, decoupled decay.

    Raises:
        ArgumentError: the rate is negative or not finite.
    """
    if rate != 0:
        rate = as_positive("rate", rate)

    def update(g: Array, w: Array, rate: float) -> Array:
        return g + rate * w

    return follow(Rule(update, rates=lambda count, ndim: (float(rate) if ndim > 1 else 0.0,)))  # noqa: ARG005


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
