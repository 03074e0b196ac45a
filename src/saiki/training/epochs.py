"""Training over epochs: the same examples again and again, in another order each time, until it is time to stop.

All that the next epoch depends on is in an ``Epoch``; who keeps one can go on from it and get the same numbers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from saiki.arrays import Params
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.training.examples import Examples
from saiki.training.loop import Trainable, train

AHEAD = 16
"""How many batches are drawn before the first of them is told of."""


@final
@dataclass(frozen=True, eq=False)
class Epoch:
    """What has been learnt after so many epochs.

    Attributes:
        count: how many epochs there have been, in this fit.
        params: the parameters.
        optimizer_state: the optimizer's state.
        random_state: the state of the source of randomness.
        seed: what the weights at the beginning were drawn from.
        losses: the mean loss of each epoch, as its batches saw it before they were learnt from.
        scores: the score of each epoch on the validation data, higher being better; empty where there are none.
        earlier: the losses and the scores of the fits before, on which this one goes on.
        best: the parameters with the best score so far, where these are to be kept.
        waited: how many epochs there have been since the last that was better than all before.
        done: whether it is time to stop.
    """

    count: int
    params: Params
    optimizer_state: Any
    random_state: dict[str, Any]
    seed: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    earlier: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    best: Params | None = None
    waited: int = 0
    done: bool = False


@final
@dataclass(frozen=True)
class Stopping:
    """When to stop.

    Attributes:
        max_iter: after so many epochs at the latest.
        n_iter_no_change: after more than so many epochs without one that is better than all before ...
        tol: ... by at least so much; better is a higher score where ``best_score`` asks for it, else a lower loss.
        by_score: whether the score decides, and the parameters with the best score are kept.
    """

    max_iter: int
    n_iter_no_change: int
    tol: float
    by_score: bool = False


def epochs(
    epoch: Epoch,
    network: Trainable,
    examples: Examples,
    optimizer: Callable[[Epoch], Optimizer],
    loss: str | Loss,
    stopping: Stopping,
    batch_size: int,
    shuffle: bool = True,
    score: Callable[[Epoch], float] | None = None,
    engine: str | None = None,
    tbptt: int | None = None,
) -> Iterator[Epoch]:
    """Train until it is time to stop, and tell of each epoch.

    Args:
        epoch: where to go on from.
        network: the network to train.
        examples: what to learn from.
        optimizer: gives the optimizer of the epoch after each; all have states of one form.
        loss: the name of a loss, or a loss itself.
        stopping: when to stop.
        batch_size: how many examples each update learns from; the last of an epoch may have fewer.
        shuffle: whether the order is drawn anew in each epoch.
        score: gives the score of an epoch on validation data, higher being better; None where there are none.
        engine: the name of an engine, or None for the default one.
        tbptt: the window of truncated backpropagation through time, or None for the full gradient.

    Yields:
        What has been learnt after each epoch; the last one is done.

    Raises:
        DivergenceError: the loss or a parameter is no longer finite; see ``train``.
    """
    weights = examples.weights
    while not epoch.done:
        rng = np.random.default_rng()
        rng.bit_generator.state = epoch.random_state
        order = rng.permutation(len(examples)) if shuffle else np.arange(len(examples))
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        steps = train(
            network, epoch.params, map(examples.batch, batches), optimizer(epoch), loss,
            engine, rng, tbptt, AHEAD, epoch.optimizer_state,
        )  # fmt: skip
        total = 0.0
        for batch, step in zip(batches, steps, strict=True):
            total += step.loss * float(weights[batch].sum())
        epoch = replace(
            epoch,
            count=epoch.count + 1,
            params=step.params,
            optimizer_state=step.optimizer_state,
            random_state=dict(rng.bit_generator.state),
            losses=(*epoch.losses, total / float(weights.sum())),
        )
        if score is not None:
            epoch = replace(epoch, scores=(*epoch.scores, score(epoch)))
        epoch = _judged(epoch, stopping)
        yield epoch


def n_plateaus(epoch: Epoch, patience: int, tol: float) -> int:
    """Return how many plateaus a fit has had so far, as ``ReduceLROnPlateau`` of PyTorch counts them.

    A plateau is more than ``patience`` epochs in a row without one whose score, or training loss where there are no
    scores, is better by more than ``tol`` than the best before.

    >>> state = Epoch(6, {}, None, {}, losses=(3.0, 1.0, 2.0, 2.0, 1.0, 0.5))
    >>> n_plateaus(state, 2, 0.0), n_plateaus(state, 0, 0.0), n_plateaus(replace(state, scores=(1.0, 2.0)), 0, 0.0)
    (1, 3, 0)
    """
    count, waited, best = 0, 0, -np.inf
    for value in epoch.scores or (-loss for loss in epoch.losses):
        waited = 0 if value > best + tol else waited + 1
        best = max(best, value)
        if waited > patience:
            count, waited = count + 1, 0
    return count


def fits(epoch: Any, params: Params, optimizer_state: Any) -> bool:
    """Whether an epoch that a file holds is one of a network with parameters of this form.

    Args:
        epoch: the epoch; anything may stand in its fields.
        params: parameters of the right names, shapes and dtypes.
        optimizer_state: the state of the right optimizer; None where the optimizer is not known.
    """
    counts = epoch.count, epoch.waited, *epoch.seed
    history = (*epoch.losses, *epoch.scores, *epoch.earlier[0], *epoch.earlier[1])
    np.random.default_rng().bit_generator.state = epoch.random_state
    return (
        alike(epoch.params, params)
        and (epoch.best is None or alike(epoch.best, params))
        and alike(epoch.optimizer_state, epoch.optimizer_state if optimizer_state is None else optimizer_state)
        and all(type(n) is int and n >= 0 for n in counts)
        and isinstance(epoch.done, bool)
        and len(epoch.losses) == epoch.count
        and len(epoch.scores) in (0, epoch.count)
        and all(isinstance(n, float) and np.isfinite(n) for n in history)
    )


def alike(state: Any, like: Any) -> bool:
    """Whether a tree of dicts, lists and arrays has the form of another, and finite numbers."""
    if isinstance(like, dict):
        return isinstance(state, dict) and state.keys() == like.keys() and all(alike(state[k], like[k]) for k in like)
    if isinstance(like, tuple | list):
        return type(state) is type(like) and len(state) == len(like) and all(map(alike, state, like))
    if isinstance(like, np.ndarray):
        same = isinstance(state, np.ndarray) and state.shape == like.shape and state.dtype == like.dtype
        return same and bool(np.isfinite(state).all())
    return type(state) is type(like)


def _judged(epoch: Epoch, stopping: Stopping) -> Epoch:
    """Say how long there has been nothing better, and whether it is time to stop."""
    *before, last = epoch.scores if stopping.by_score else (-loss for loss in epoch.losses)
    best = max(before, default=-np.inf)
    waited = 0 if last > best + stopping.tol or not before else epoch.waited + 1
    kept = epoch.best
    if stopping.by_score and (kept is None or last > best):
        kept = epoch.params
    done = epoch.count >= stopping.max_iter or waited > stopping.n_iter_no_change
    return replace(epoch, best=kept, waited=waited, done=done)
