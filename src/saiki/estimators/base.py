"""How the estimators learn: from what users hand in to a trained network."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError
from saiki.estimators.callbacks import CallbackSupportMixin, Listeners
from saiki.estimators.inputs import Words
from saiki.estimators.options import (
    ATTRIBUTES,
    PARAMETERS,
    Parameter,
    batch_size_of,
    check_parameters,
    optimizer_of,
    stopping_of,
    tbptt_of,
)
from saiki.initializers import Parameter as Weight
from saiki.initializers import Scheme
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.training.checkpoint import Checkpoint, description
from saiki.training.epochs import Epoch, Stopping, epochs
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
    """

    learnt: ClassVar[tuple[str, ...]]
    network_: Model

    _words: ClassVar[Words]
    _parameters: ClassVar[Mapping[str, Parameter]] = PARAMETERS
    _attributes: ClassVar[Mapping[str, str]] = ATTRIBUTES
    _fit_page: ClassVar[str]

    @abstractmethod
    def _read(self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool) -> Examples:
        """Return checked examples, without those that have no target.

        Args:
            X: the inputs.
            y: the targets.
            metadata: what came beside them.
            reset: whether these are the first, which decide what inputs and targets there are.
            fitting: whether they are for the network that the parameters describe, or for the one that was fitted.
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
        fresh = not (self.warm_start and hasattr(self, "_epoch"))
        with self._all_or_nothing():
            examples = self._read(X, y, metadata, fresh, True)
            validation = None
            if validation_data is not None:
                validation = self._read(*_validation_parts(validation_data, metadata), False, True)
            run = {} if checkpoint is None else self._run(examples, validation, fresh)
            given = {name: value for name, value in metadata.items() if value is not None}
            listeners = Listeners(self, self.max_iter, {"X": X, "y": y, "metadata": given or None})
            with nullcontext() if checkpoint is None else Checkpoint.opened(checkpoint, run) as kept:
                seed = check_random_state(self.random_state).randint(2**31, size=4).tolist()
                found = kept.read() if kept else None
                rng = np.random.default_rng(seed if found is None else found.seed)
                if self.early_stopping and validation is None:
                    examples, validation = self._split(examples, rng)
                batches = -(-len(examples) // batch_size_of(self, len(examples)))
                optimizer = optimizer_of(self, self.max_iter * batches)
                start = self._start(examples, optimizer, rng, fresh, tuple(seed))
                if not fresh:
                    start = replace(start, optimizer_state=optimizer.init(start.params))
                self._train(found or start, examples, validation, optimizer, stopping_of(self), kept, listeners)

    @final
    def _partial_fit(self, X: Any, y: Any, metadata: Metadata) -> None:
        """Learn from the examples once, going on from whatever has been learnt before."""
        check_parameters(self)
        if self.early_stopping:
            raise ArgumentError(
                f"early_stopping must be False for partial_fit, which sees every {self._words.one} once."
            )
        fresh = not hasattr(self, "_epoch")
        with self._all_or_nothing():
            examples = self._read(X, y, metadata, fresh, True)
            optimizer = optimizer_of(self, None)
            seed = check_random_state(self.random_state).randint(2**31, size=4).tolist()
            start = self._start(examples, optimizer, np.random.default_rng(seed), fresh, tuple(seed))
            self._train(start, examples, None, optimizer, Stopping(1, 1, 0.0), None, None)

    @final
    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Leave the estimator as it was if an error comes before anything has been learnt."""
        names = (*self.learnt, "network_")
        before = {name: vars(self)[name] for name in names if name in vars(self)}
        try:
            yield
        except BaseException:
            if vars(self).get("_epoch") is before.get("_epoch"):
                for name in names:
                    self.__dict__.pop(name, None)
                self.__dict__.update(before)
            raise

    @final
    def _start(
        self, examples: Examples, optimizer: Optimizer, rng: np.random.Generator, fresh: bool, seed: tuple[int, ...]
    ) -> Epoch:
        """Return where training begins: with new weights and scales, or where it ended before."""
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
        return Epoch(0, params, optimizer.init(params), dict(rng.bit_generator.state), seed)

    @final
    def _train(
        self,
        epoch: Epoch,
        examples: Examples,
        validation: Examples | None,
        optimizer: Optimizer,
        stopping: Stopping,
        checkpoint: Checkpoint | None,
        listeners: Listeners | None,
    ) -> None:
        """Run epochs; whatever happens, what the last one that ended has learnt is kept."""

        def score(params: Params) -> float:
            assert validation is not None
            return self._score_of(params, validation)

        examples = self._prepared(examples, epoch.params)
        stream = epochs(
            epoch, self.network_, examples, optimizer, self._loss(), stopping,
            batch_size_of(self, len(examples)), self.shuffle, None if validation is None else score,
            self.engine, tbptt_of(self),
        )  # fmt: skip
        if self.verbose:
            stream = progress(stream, stopping.max_iter - epoch.count, "epochs")
        try:
            with limit_threads(self.n_jobs):
                for epoch in stream:
                    attributes = self.following(epoch)
                    stop = [callback(epoch) for callback in self.callbacks or ()]
                    if listeners is not None:
                        stop.append(listeners.epoch(attributes))
                    if checkpoint is not None:
                        checkpoint.keep(epoch)
                    if any(isinstance(said, bool | np.bool_) and said for said in stop):
                        break
        finally:
            if epoch.count:
                self.__dict__.update(self.following(epoch))
        if listeners is not None:
            listeners.end(self.following(epoch))

    @final
    def _split(self, examples: Examples, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Return most of the examples for training, and the rest for validation."""
        order = self._by_class(examples, rng.permutation(len(examples)))
        n, n_held = len(order), max(2, int(np.ceil(self.validation_fraction * len(examples))))
        if n_held >= n:
            raise ArgumentError(
                f"validation_fraction must leave {self._words.one}s on both sides; {self.validation_fraction} of"
                f" {len(examples)} does not. Give validation_data, or more {self._words.one}s."
            )
        held = np.zeros(len(examples), bool)
        held[order[((np.arange(n_held) + 0.5) * n / n_held).astype(int)]] = True  # so that each class gives its share
        return examples.select(np.flatnonzero(~held)), examples.select(np.flatnonzero(held))

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
        return self._score_of(self.params_, self._read(X, y, metadata, False, False))

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
        examples = model._read(X, y, metadata, not fitted, not fitted)
        params = self.params_ if fitted else None
        if params is None:
            params = model._start(examples, optimizer_of(self, 1), np.random.default_rng(0), True, ()).params
        batch = model._prepared(examples, params).batch(np.arange(len(examples)))
        return NetworkProblem(
            model.network_, params, batch.X, batch.y, model._loss(), batch.lengths, batch.sample_weight
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")


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
    if isinstance(validation_data, tuple | list) and len(validation_data) == 2:
        return validation_data[0], validation_data[1], {}
    beside = f" and, where needed, {' and '.join(sorted(metadata))}" if metadata else ""
    raise ArgumentError(
        f"validation_data must be a pair (X, y), or a dict with X, y{beside}; got {type(validation_data).__name__}."
    )
