"""The training loop, as a stream of events: whoever wants to print, plot, save or stop listens to it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, final, runtime_checkable

import numpy as np

from saiki.arrays import Array, Params, as_count
from saiki.engines.tape import Update
from saiki.errors import ArgumentError, DivergenceError
from saiki.layers.updating import check_optimizer
from saiki.losses import Loss
from saiki.optimizers import Optimizer


@runtime_checkable
class Trainable(Protocol):
    """What can be trained: a ``Network``, or another model that makes one step of training itself.

    A model of sequences also takes ``lengths`` and ``tbptt`` in ``update``; it is given them where there are some. One
    that has ``updates`` as well, see ``Network.updates``, may be given several plain batches at once.
    """

    @property
    def has_dropout(self) -> bool:
        """Whether training draws at random what to drop."""

    def update(
        self,
        params: Params,
        optimizer: Optimizer,
        optimizer_state: Any,
        X: Any,
        y: Any,
        loss: str | Loss = ...,
        *,
        sample_weight: Any = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
        total: float | None = None,
    ) -> Update:
        """Make one step of training; see ``Network.update``."""


@final
@dataclass(frozen=True)
class Batch:
    """What one update learns from; see ``Network.loss_and_gradients`` for the shapes."""

    X: Any
    y: Any
    lengths: Array | None = None
    sample_weight: Array | None = None
    total: float | None = None


class Step(NamedTuple):
    """One update has been made.

    Attributes:
        iteration: how many updates have been made, from 1.
        loss: the mean loss of the batch, before the update.
        before: the parameters before the update, which gave that loss.
        params: the parameters after the update.
        optimizer_state: the optimizer's state after the update.
        batch: what the update learnt from.
    """

    iteration: int
    loss: float
    before: Params
    params: Params
    optimizer_state: Any
    batch: Batch


def train(
    network: Trainable,
    params: Params,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    loss: str | Loss,
    engine: str | None = None,
    rng: np.random.Generator | None = None,
    tbptt: int | None = None,
    ahead: int = 1,
    optimizer_state: Any = None,
) -> Iterator[Step]:
    """Update the parameters once for every batch, and say so after each.

    The stream ends with the batches; a listener ends it earlier by leaving its ``for`` loop.

    Args:
        network: the network to train.
        params: the parameters to start from; they are not changed.
        batches: what to learn from, in order.
        optimizer: turns gradients into updates.
        loss: the name of a loss, or a loss itself.
        engine: the name of an engine, or None for the default one.
        rng: the source of dropout, for a network that has some.
        tbptt: the window of truncated backpropagation through time, or None for the full gradient.
        ahead: how many batches may be drawn, and updates made, before the first of them is told of. More is quicker
            for a small network, as long as no batch depends on a step before it.
        optimizer_state: the state that the optimizer goes on from, as a ``Step`` has it; None starts afresh.

    Yields:
        A ``Step`` after each update.

    Raises:
        ArgumentError: the network has dropout, and no rng is given.
        DivergenceError: the loss, or a parameter after its update, is no longer finite; the last ``Step`` was.

    >>> from saiki import Dense, Network, SimpleRNN
    >>> from saiki.optimizers import sgd
    >>> network = Network([SimpleRNN(1, 4), Dense(4, 1)])
    >>> params = network.init(np.random.default_rng(0))
    >>> batch = Batch(np.ones((2, 3, 1)), np.ones((2, 3)))
    >>> losses = [step.loss for step in train(network, params, [batch] * 50, sgd(0.1), "squared_error")]
    >>> losses[-1] < losses[0] / 10
    True
    """
    if isinstance(network, type) or not isinstance(network, Trainable):
        raise ArgumentError(
            f"network must be a Network, or have update and has_dropout as one has; got {type(network).__name__}. Try"
            " Network([layer, Dense(...)])."
        )
    if network.has_dropout and rng is None:
        raise ArgumentError("rng: the network has dropout, which needs a source; try rng=np.random.default_rng(0).")
    check_optimizer(optimizer)
    if not isinstance(batches, Iterable):
        raise ArgumentError(f"batches must be a list or stream of batches; got {type(batches).__name__}. Try [batch].")
    as_count("ahead", ahead)
    optimizer_state = optimizer.init(params) if optimizer_state is None else optimizer_state
    remedy = "Try a smaller learning rate, smaller initial weights, or a bounded activation (tanh, sigmoid)."
    stream, iteration = iter(batches), 0
    while chunk := list(islice(stream, ahead)):
        updates = _updates(network, params, optimizer, optimizer_state, chunk, loss, engine, rng, tbptt)
        for batch, update in zip(chunk, updates, strict=True):
            iteration += 1
            if not math.isfinite(update.loss):
                raise DivergenceError(
                    f"the loss became {update.loss} at iteration {iteration}: training diverged. {remedy}"
                )
            if not update.finite:
                name = next(name for name, param in update.params.items() if not np.isfinite(param).all())
                raise DivergenceError(
                    f"{name} is no longer finite after iteration {iteration}: training diverged. {remedy}"
                )
            before, (value, params, optimizer_state, _) = params, update
            yield Step(iteration, float(value), before, params, optimizer_state, batch)


def _updates(
    network: Trainable,
    params: Params,
    optimizer: Optimizer,
    optimizer_state: Any,
    chunk: list[Batch],
    loss: str | Loss,
    engine: str | None,
    rng: np.random.Generator | None,
    tbptt: int | None,
) -> Iterator[Update]:
    """Yield an update for each batch; where all are plain, a network that can make them at once may do so."""
    at_once = getattr(network, "updates", None)
    if at_once and len(chunk) > 1 and tbptt is None and not network.has_dropout and all(map(_is_plain, chunk)):
        pairs = [(batch.X, batch.y) for batch in chunk]
        yield from at_once(params, optimizer, optimizer_state, pairs, loss, engine)
        return
    for batch in chunk:
        if not isinstance(batch, Batch):
            raise ArgumentError(f"batches must hold saiki.training.Batch(X, y, ...); got {type(batch).__name__}.")
        of_sequences = {"lengths": batch.lengths, "tbptt": tbptt}  # which other models do not take
        options: dict[str, Any] = {name: value for name, value in of_sequences.items() if value is not None}
        update = network.update(
            params, optimizer, optimizer_state, batch.X, batch.y, loss,
            sample_weight=batch.sample_weight, engine=engine, rng=rng, total=batch.total, **options,
        )  # fmt: skip
        params, optimizer_state = update.params, update.optimizer_state
        yield update


def _is_plain(batch: Any) -> bool:
    """Whether a batch has inputs and targets and nothing else."""
    return isinstance(batch, Batch) and batch.lengths is None and batch.sample_weight is None and batch.total is None
