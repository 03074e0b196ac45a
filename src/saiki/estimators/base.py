"""How the estimators learn: from what users hand in to a trained network."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, FileError
from saiki.estimators.callbacks import CallbackSupportMixin, Listeners
from saiki.estimators.inputs import Words
from saiki.estimators.named import FrameSequences
from saiki.estimators.options import (
    ATTRIBUTES,
    PARAMETERS,
    Parameter,
    batch_size_of,
    check_given,
    check_parameters,
    optimizer_of,
    optimizers_of,
    stopping_of,
    tbptt_of,
)
from saiki.estimators.scoring import Scorer, UserData, evaluate_scorer, scorer_of
from saiki.initializers import Parameter as Weight
from saiki.initializers import Scheme
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.training.checkpoint import Checkpoint, description
from saiki.training.epochs import Epoch, Stopping, epochs, fits
from saiki.training.examples import Examples
from saiki.training.loop import Trainable
from saiki.training.progress import progress

Checkpointed: TypeAlias = str | os.PathLike[str] | None

Metadata: TypeAlias = Mapping[str, Any]
"""What users hand in beside X and y, such as ``sample_weight``, by name; None where they do not."""

NO_INFLUENCE = "verbose", "callbacks"
"""The parameters that change no number of a fit."""


class Model(Trainable, Protocol):
    """A network as an estimator needs it: what is equal to another one has its parameters."""

    def init(self, rng: np.random.Generator, scheme: Scheme = ..., dtype: npt.DTypeLike = ...) -> Params:
        """Draw parameters; see ``Layer.init``."""

    def parameters(self) -> dict[str, Weight]:
        """Return the parameters by name: shape, fan-in and blocks."""


class NetworkProblem(NamedTuple):
    """What an estimator gives its network; see ``Network.loss_and_gradients``."""

    network: Any
    params: Params | None = None
    X: Any = None
    y: Any = None
    loss: str | Loss | None = None
    lengths: Array | None = None
    sample_weight: Array | None = None


class NetworkEstimator(CallbackSupportMixin, BaseEstimator, ABC):
    """What learns by training a network, from whatever users hand in; abstract.

    Here is how it is trained, stopped, gone on with and kept. What the inputs and the targets are, which network the
    parameters describe, and how well it does are for others to say.

    Everything that it has learnt follows from the attributes ``learnt``, which are what ``saiki.save`` keeps.

    A fit trains a copy. After each epoch the estimator takes over all fitted attributes of the copy at once, so that a
    callback, a scorer or a user after Ctrl-C sees the attributes of one epoch of one fit.
    """

    learnt: ClassVar[tuple[str, ...]]
    network_: Model

    _words: ClassVar[Words]
    _parameters: ClassVar[Mapping[str, Parameter]] = PARAMETERS
    _attributes: ClassVar[Mapping[str, str]] = ATTRIBUTES
    _fit_page: ClassVar[str]

    @abstractmethod
    def _read(self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool, learns: bool = True) -> Examples:
        """Return checked examples, those that have no target among them.

        Args:
            X: the inputs.
            y: the targets.
            metadata: what came beside them.
            reset: whether these are the first, which decide what inputs and targets there are.
            fitting: whether they are for the network that the parameters describe, or for the one that was fitted.
            learns: whether the network learns from them, or is only compared with them.
        """

    @abstractmethod
    def _look_at(self, examples: Examples) -> None:
        """Learn what the network needs to know of the first examples before it is made, such as their scales."""

    @abstractmethod
    def _network(self) -> Model:
        """Return the network that the parameters describe, for such inputs and targets as there were at first.

        Raises:
            ArgumentError: parameters that do not go together.
        """

    @abstractmethod
    def _prepared(self, examples: Examples, params: Params) -> Examples:
        """Return the examples as the network learns from them, in its precision."""

    @abstractmethod
    def _loss(self) -> str | Loss:
        """Return the loss that training makes small."""

    @abstractmethod
    def _score_of(self, params: Params, examples: Examples) -> float:
        """Return how well a network with these parameters does on examples that are not prepared."""

    @abstractmethod
    def _by_class(self, examples: Examples, order: Array) -> Array:
        """Return a random order: sorted by class, where examples have one, and without those alone in theirs."""

    @abstractmethod
    def _is_sound(self) -> bool:
        """Whether what a file says was learnt, beside the network's own, fits together; an error says no as well."""

    @final
    def following(self, epoch: Epoch) -> dict[str, Any]:
        """Return the attributes that follow from what has been learnt up to an epoch."""
        best = epoch.params if epoch.best is None else epoch.best
        return {
            "_epoch": epoch,
            "params_": best,
            "n_iter_": len(epoch.earlier[0]) + epoch.count,
            "loss_": epoch.losses[-1],
            "loss_curve_": [*epoch.earlier[0], *epoch.losses],
            "validation_scores_": [*epoch.earlier[1], *epoch.scores] or None,
            "best_validation_score_": max(epoch.scores, default=None),
        }

    @final
    def _fit(self, X: Any, y: Any, metadata: Metadata, validation_data: Any, checkpoint: Checkpointed) -> None:
        """Train from the beginning or, with ``warm_start``, from where the last fit ended."""
        check_parameters(self)
        scorer = scorer_of(self, self.early_stopping or validation_data is not None)
        fresh = not (self.warm_start and hasattr(self, "_epoch"))
        copied = self._copy(fresh)
        examples, rows = copied._read_existing(X, y, metadata, fresh, True)
        validation, held = None, None
        if validation_data is not None:
            parts = _validation_parts(validation_data, metadata)
            validation, held_rows = copied._read_existing(*parts, False, True, False)
            held = *parts, held_rows
        run = {} if checkpoint is None else copied._run(examples, validation, fresh)
        given = {name: value for name, value in metadata.items() if value is not None}
        listeners = Listeners(self, self.max_iter, {"X": X, "y": y, "metadata": given or None})
        with nullcontext() if checkpoint is None else Checkpoint.opened(checkpoint, run) as kept:
            seed = check_random_state(self.random_state).randint(2**31, size=4).tolist()
            found = kept.read() if kept else None
            rng = np.random.default_rng(seed if found is None else found.seed)
            if self.early_stopping and validation is None:
                learnt, set_aside = self._split(examples, rng)
                held = X, y, metadata, rows[set_aside]
                examples, validation = examples.select(learnt), examples.select(set_aside)
            batches = -(-len(examples) // batch_size_of(self, len(examples)))
            optimizer = optimizers_of(self, self.max_iter * batches)
            start = copied._start(examples, rng, fresh, tuple(seed))
            start = replace(start, optimizer_state=optimizer(start).init(start.params))
            if found is not None and not _is_sound(found, start):
                raise FileError(f"checkpoint {checkpoint!r} holds no epoch of this fit. Give another path.")
            score = None
            if validation is not None and held is not None:
                score = copied._scoring(validation, scorer, UserData.of_rows(*held) if scorer else None)
            self._train(copied, found or start, examples, optimizer, stopping_of(self), score, kept, listeners)

    @final
    def _partial_fit(
        self,
        X: Any,
        y: Any,
        metadata: Metadata,
        prepare: Callable[[Self], object] | None = None,
    ) -> None:
        """Train on the examples once, from the present parameters on.

        Args:
            X: the inputs.
            y: the targets.
            metadata: the other arguments of ``partial_fit`` by name.
            prepare: a function that is first called with the copy that is trained.
        """
        check_parameters(self)
        if self.early_stopping:
            raise ArgumentError(
                f"early_stopping must be False for partial_fit, which sees every {self._words.one} once."
            )
        fresh = not hasattr(self, "_epoch")
        copied = self._copy(fresh)
        if prepare is not None:
            prepare(copied)
        examples, _ = copied._read_existing(X, y, metadata, fresh, True)
        optimizer = optimizer_of(self, None)
        seed = check_random_state(self.random_state).randint(2**31, size=4).tolist()
        start = copied._start(examples, np.random.default_rng(seed), fresh, tuple(seed))
        if fresh:
            start = replace(start, optimizer_state=optimizer.init(start.params))
        self._train(copied, start, examples, lambda _: optimizer, Stopping(1, 1, 0.0), None, None, None)

    @final
    def _copy(self, fresh: bool) -> Self:
        """Return a copy to train: with all that was learnt before, or to begin ``fresh``."""
        copied = object.__new__(type(self))
        left_out = self._learnt() if fresh else ()
        copied.__dict__ = {name: value for name, value in vars(self).items() if name not in left_out}
        return copied

    @final
    def _take_over(self, copied: Self, epoch: Epoch) -> None:
        """Become what the copy that is trained has learnt up to an epoch.

        One assignment does it, so that not even Ctrl-C leaves a part of it without the rest.
        """
        own = {name: value for name, value in vars(self).items() if name not in self._learnt()}
        self.__dict__ = own | copied._learnt() | copied.following(epoch)

    @final
    def _learnt(self) -> dict[str, Any]:
        """Return the attributes that a fit has set."""
        names = {*self.learnt, "network_", *(self.following(self._epoch) if hasattr(self, "_epoch") else ())}
        return {name: value for name, value in vars(self).items() if name in names}

    @final
    def _scoring(self, validation: Examples, scorer: Scorer | None, data: UserData | None) -> Callable[[Epoch], float]:
        """Return the function that gives the score of an epoch on validation data, which are ``data`` for a scorer."""

        def score(epoch: Epoch) -> float:
            if scorer is None or data is None:
                return float(self._score_of(epoch.params, validation))
            seen = self._copy(False)
            seen.__dict__ |= self.following(_alone(epoch))
            return evaluate_scorer(scorer, seen, data)

        return score

    @final
    def _read_existing(
        self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool, learns: bool = True
    ) -> tuple[Examples, Array]:
        """Return the checked examples that have a target with a weight above zero, and which of those given they are.

        The arguments are those of ``_read``.
        """
        examples = self._read(X, y, metadata, reset, fitting, learns)
        exists = examples.weights > 0
        rows = np.flatnonzero(exists)
        return (examples if exists.all() else examples.select(rows)), rows

    @final
    def _start(self, examples: Examples, rng: np.random.Generator, fresh: bool, seed: tuple[int, ...]) -> Epoch:
        """Return where training begins: where it ended before, or with new weights and scales and no optimizer yet."""
        if not fresh:
            if self._network() != self.network_:
                raise ArgumentError(
                    "warm_start and partial_fit go on with the network of the fit before, but the parameters now"
                    " describe another one. Set them back, or fit a clone."
                )
            last, params = self._epoch, self.params_
            earlier = (*last.earlier[0], *last.losses), (*last.earlier[1], *last.scores)
            return Epoch(0, params, last.optimizer_state, last.random_state, seed, earlier=earlier)
        self._look_at(examples)
        self.network_ = self._network()
        params = self.network_.init(rng, dtype=examples.X.dtype if self.dtype is None else self.dtype)
        return Epoch(0, params, None, dict(rng.bit_generator.state), seed)

    @final
    def _train(
        self,
        copied: Self,
        epoch: Epoch,
        examples: Examples,
        optimizer: Callable[[Epoch], Optimizer],
        stopping: Stopping,
        score: Callable[[Epoch], float] | None,
        checkpoint: Checkpoint | None,
        listeners: Listeners | None,
    ) -> None:
        """Train the copy, epoch by epoch; an error or Ctrl-C keeps the last epoch that ended."""
        examples = copied._prepared(examples, epoch.params)
        stream = epochs(
            epoch, copied.network_, examples, optimizer, copied._loss(), stopping,
            batch_size_of(self, len(examples)), self.shuffle, score, self.engine, tbptt_of(self),
        )  # fmt: skip
        if self.verbose:
            stream = progress(stream, stopping.max_iter, "epoch", silent=0.0, before=epoch.count)
        try:
            with limit_threads(self.n_jobs):
                for epoch in stream:
                    self._take_over(copied, _alone(epoch))
                    stop = [callback(epoch) for callback in copied.callbacks or ()]
                    if listeners is not None:
                        stop.append(listeners.epoch(self._learnt()))
                    if checkpoint is not None:
                        checkpoint.keep(epoch)
                    if any(isinstance(said, bool | np.bool_) and said for said in stop):
                        break
        finally:
            if epoch.count:
                self._take_over(copied, epoch)
        if listeners is not None:
            listeners.end(self._learnt())

    @final
    def _split(self, examples: Examples, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return which of the examples are for training, most of them, and which for validation."""
        order = self._by_class(examples, rng.permutation(len(examples)))
        n, n_held = len(order), max(2, int(np.ceil(self.validation_fraction * len(examples))))
        if n_held >= n:
            raise ArgumentError(
                f"validation_fraction must leave {self._words.one}s on both sides; {self.validation_fraction} of"
                f" {len(examples)} does not. Give validation_data, or more {self._words.one}s."
            )
        held = np.zeros(len(examples), bool)
        held[order[((np.arange(n_held) + 0.5) * n / n_held).astype(int)]] = True  # so that each class gives its share
        return np.flatnonzero(~held), np.flatnonzero(held)

    @final
    def _run(self, examples: Examples, validation: Examples | None, fresh: bool) -> dict[str, str]:
        """Return what decides the numbers of a fit, by name, as texts."""
        values = self.get_params(deep=False)
        run = {name: description(value, name) for name, value in values.items() if name not in NO_INFLUENCE}
        if not isinstance(self.random_state, int | np.integer):  # a seed drawn now; the checkpoint has that of the run
            run["random_state"] = type(self.random_state).__name__
        run |= {"estimator": type(self).__name__, "data": examples.digest()}
        run["validation data"] = "none" if validation is None else validation.digest()
        if hasattr(self, "classes_"):
            run["classes"] = description(self.classes_.tolist())
        if not fresh:
            run["weights at the beginning"] = description(self.params_)
        return run

    @final
    def _scored(self, X: Any, y: Any, metadata: Metadata) -> float:
        """Return the score on whatever users hand in."""
        check_is_fitted(self)
        examples, _ = self._read_existing(X, y, metadata, False, False, False)
        return self._score_of(self.params_, examples)

    @final
    def _problem(self, X: Any, y: Any, metadata: Metadata) -> NetworkProblem:
        """Return what the network is given to learn; without X, which must be fitted then, only the network.

        An estimator that is not fitted stays so; its network is given new weights.
        """
        fitted = hasattr(self, "params_")
        if X is None and not fitted:
            raise ArgumentError(f"{type(self).__name__} has no network yet: give X and y, or fit it first.")
        if X is None:
            return NetworkProblem(self.network_, self.params_)
        model = self if fitted else clone(self)
        examples, _ = model._read_existing(X, y, metadata, not fitted, not fitted)
        params = self.params_ if fitted else None
        check_given(model, ["loss"])
        if params is None:
            params = model._start(examples, np.random.default_rng(0), True, ()).params
        batch = model._prepared(examples, params).batch(np.arange(len(examples)))
        return NetworkProblem(
            model.network_, params, batch.X, batch.y, model._loss(), batch.lengths, batch.sample_weight
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")


def _is_sound(found: Epoch, start: Epoch) -> bool:
    """Whether the epoch in a checkpoint is one of a fit that began like this one; anything may stand in a file."""
    try:
        return fits(found, start.params, start.optimizer_state)
    except Exception:
        return False


def _alone(epoch: Epoch) -> Epoch:
    """Return an epoch without the best weights so far, so that an estimator follows from its own."""
    return replace(epoch, best=None)


def hold(estimator: NetworkEstimator, parameters: dict[str, Any]) -> None:
    """Hold the arguments of an estimator's ``__init__`` as they came; ``fit`` checks them."""
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def _validation_parts(validation_data: Any, metadata: Metadata) -> tuple[Any, Any, Metadata]:
    """Return X, y and what goes beside them, of which ``metadata`` has the names, of validation data."""
    if isinstance(validation_data, Mapping) and {"X", "y"} <= validation_data.keys() <= {"X", "y", *metadata}:
        parts = dict(validation_data)
        return parts.pop("X"), parts.pop("y"), parts
    if isinstance(validation_data, FrameSequences):
        return validation_data.X, validation_data.y, {}
    if isinstance(validation_data, tuple | list) and len(validation_data) == 2:
        return validation_data[0], validation_data[1], {}
    beside = f" and, where needed, {' and '.join(sorted(metadata))}" if metadata else ""
    raise ArgumentError(
        f"validation_data must be a pair (X, y), or a dict with X, y{beside}; got {type(validation_data).__name__}."
    )
