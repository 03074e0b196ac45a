"""How the estimators learn: from what users hand in to a trained network."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.callbacks import CallbackSupportMixin, Listeners
from saiki.estimators.fitted import FittedNetwork
from saiki.estimators.inputs import Sequences, counting, read_sequences, read_weights
from saiki.estimators.options import batch_size_of, check_parameters, network_of, optimizer_of, stopping_of
from saiki.estimators.scaling import Scaling, step_weights
from saiki.layers import Network
from saiki.layers.layer import precision_of
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.training.checkpoint import Checkpoint, description
from saiki.training.epochs import Epoch, Stopping, epochs
from saiki.training.examples import Examples, Ragged
from saiki.training.progress import progress

Checkpointed: TypeAlias = str | os.PathLike[str] | None

NO_INFLUENCE = "verbose", "callbacks"
"""The parameters that change no number of a fit."""

SOME_FEATURES, SOME_OUTPUTS = 3, 2
"""The sizes of a network that nobody has given data yet."""


class NetworkProblem(NamedTuple):
    """What an estimator gives its network; see ``Network.loss_and_gradients``."""

    network: Network
    params: Params | None = None
    X: Array | None = None
    y: Array | None = None
    loss: str | Loss | None = None
    lengths: Array | None = None
    sample_weight: Array | None = None


class SequenceEstimator(CallbackSupportMixin, FittedNetwork):
    """What learns, from whatever users hand in; abstract."""

    @abstractmethod
    def _read_targets(self, y: Any, sequences: Sequences, counts: Array, each: bool, reset: bool) -> Array | Ragged:
        """Return the targets as float64, NaN for those that are missing or do not count."""

    @abstractmethod
    def _weighed(self, examples: Examples) -> Examples:
        """Return the examples to train on, with whatever weight the targets themselves have."""

    @abstractmethod
    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:
        """Return the scale of the targets; None where they have none."""

    @abstractmethod
    def _loss(self) -> str | Loss:
        """Return the loss of the network's outputs."""

    @abstractmethod
    def _by_class(self, examples: Examples, order: Array) -> Array:
        """Return a random order: sorted by class, where sequences have one, and without those alone in theirs."""

    # Fitting

    @final
    def _fit(
        self, X: Any, y: Any, sample_weight: Any, lengths: Any, validation_data: Any, checkpoint: Checkpointed
    ) -> None:
        """Train from the beginning or, with ``warm_start``, from where the last fit ended."""
        check_parameters(self)
        fresh, each = not (self.warm_start and hasattr(self, "_epoch")), self.output == "each"
        with self._all_or_nothing():
            examples = self._read(X, y, sample_weight, lengths, fresh, each)
            validation = None
            if validation_data is not None:
                validation = self._read(*_validation_parts(validation_data), False, each)
            run = {} if checkpoint is None else self._run(examples, validation, fresh)
            listeners = Listeners(self, self.max_iter, {"X": X, "y": y, "metadata": _metadata(sample_weight, lengths)})
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
    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, lengths: Any, classes: Any = None) -> None:
        """Learn from the sequences once, going on from whatever has been learnt before."""
        check_parameters(self)
        if self.early_stopping:
            raise ArgumentError("early_stopping must be False for partial_fit, which sees every sequence once.")
        fresh, each = not hasattr(self, "_epoch"), self.output == "each"
        with self._all_or_nothing():
            if classes is not None:
                self._expect(classes)
            examples = self._read(X, y, sample_weight, lengths, fresh, each)
            optimizer = optimizer_of(self, None)
            seed = check_random_state(self.random_state).randint(2**31, size=4).tolist()
            start = self._start(examples, optimizer, np.random.default_rng(seed), fresh, tuple(seed))
            self._train(start, examples, None, optimizer, Stopping(1, 1, 0.0), None, None)

    @abstractmethod
    def _expect(self, classes: Any) -> None:
        """Be told before the first ``partial_fit`` which classes there will be."""

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
        n_features = examples.X.values.shape[1]
        network = network_of(self, n_features, self.n_outputs_)
        if not fresh:
            if network != self.network_:
                raise ArgumentError(
                    "warm_start and partial_fit go on with the network of the fit before, but the parameters now"
                    " describe another one. Set them back, or fit a clone."
                )
            last, params = self._epoch, self.params_
            earlier = (*last.earlier[0], *last.losses), (*last.earlier[1], *last.scores)
            return Epoch(0, params, last.optimizer_state, last.random_state, seed, earlier=earlier)
        self.network_ = network
        self._scaling = Scaling.none(n_features)
        if self.scale_inputs:
            self._scaling = Scaling.of(examples.X.values, step_weights(examples.weight, examples.X))
        self._target_scaling = self._scaling_of_targets(examples)
        params = network.init(rng, dtype=examples.X.values.dtype if self.dtype is None else self.dtype)
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

        examples = self._weighed(self._scaled(examples, epoch.params))
        stream = epochs(
            epoch, self.network_, examples, optimizer, self._loss(), stopping,
            batch_size_of(self, len(examples)), self.shuffle, None if validation is None else score,
            self.engine, self.tbptt,
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
    def _read(self, X: Any, y: Any, sample_weight: Any, lengths: Any, reset: bool, each: bool) -> Examples:
        """Return checked examples, with a target for each step or not, and without those that have none."""
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Give a label or value for"
                " each sequence."
            )
        y = y.to_numpy() if hasattr(y, "columns") else y if hasattr(y, "__len__") else np.asarray(y)
        if np.ndim(y) == 0 if isinstance(y, np.ndarray) else isinstance(y, str):
            raise ShapeError(f"y must hold one entry for each sequence; got {y!r}.")
        sequences = read_sequences(self, X, lengths, reset)
        n, n_targets = len(sequences.steps), len(y)
        if n_targets != n:
            swapped = getattr(X, "ndim", 0) == 3 and X.shape[1] == n_targets
            hint = " The first two axes of X look swapped; try X.transpose(1, 0, 2)." if swapped else ""
            raise ShapeError(f"y must hold one entry for each of the {n} sequences; got {n_targets}.{hint}")
        weight = read_weights(sample_weight, sequences, each)
        counts = counting(weight, sequences, each)
        examples = Examples(sequences.steps, self._read_targets(y, sequences, counts, each, reset), weight)
        exists = examples.n_targets > 0
        if not exists.any():
            raise ArgumentError("y must hold at least one target that is not missing and whose weight is not zero.")
        return examples if exists.all() else examples.select(np.flatnonzero(exists))

    @final
    def _scaled(self, examples: Examples, params: Params) -> Examples:
        """Return the examples as the network sees them, in its precision."""
        dtype, targets = precision_of(params), examples.targets
        if self._target_scaling is not None:
            targets = self._target_scaling.apply(targets.reshape(len(targets), -1), dtype).reshape(targets.shape)
        X = examples.X.with_values(self._scaling.apply(examples.X.values, dtype))
        return replace(examples.with_targets(targets.astype(dtype, copy=False)), X=X)

    @final
    def _split(self, examples: Examples, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Return most of the examples for training, and the rest for validation."""
        order = self._by_class(examples, rng.permutation(len(examples)))
        n, n_held = len(order), max(2, int(np.ceil(self.validation_fraction * len(examples))))
        if n_held >= n:
            raise ArgumentError(
                f"validation_fraction must leave sequences on both sides; {self.validation_fraction} of"
                f" {len(examples)} does not. Give validation_data, or more sequences."
            )
        held = np.zeros(len(examples), bool)
        held[order[((np.arange(n_held) + 0.5) * n / n_held).astype(int)]] = True  # so that each class gives its share
        return examples.select(np.flatnonzero(~held)), examples.select(np.flatnonzero(held))

    @final
    def _run(self, examples: Examples, validation: Examples | None, fresh: bool) -> dict[str, str]:
        """Return what decides the numbers of a fit, by name, as texts."""
        values = self.get_params(deep=False)
        run = {name: description(value) for name, value in values.items() if name not in NO_INFLUENCE}
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
    def _scored(self, X: Any, y: Any, sample_weight: Any, lengths: Any) -> float:
        """Return the score on whatever users hand in."""
        check_is_fitted(self)
        return self._score_of(self.params_, self._read(X, y, sample_weight, lengths, False, self.reads_each))

    @final
    def network_problem(
        self, X: Any = None, y: Any = None, lengths: Any = None, sample_weight: Any = None
    ) -> NetworkProblem:
        """Return what the network is given to learn: scaled, encoded and padded. For proofs and pictures.

        An estimator that is not fitted stays so; its network is given new weights. Without X only the network is
        described.
        """
        fitted = hasattr(self, "params_")
        if X is None:
            if fitted:
                return NetworkProblem(self.network_, self.params_)
            return NetworkProblem(network_of(self, SOME_FEATURES, SOME_OUTPUTS))
        model = self if fitted else clone(self)
        each = self.reads_each if fitted else self.output == "each"
        examples = model._read(X, y, sample_weight, lengths, not fitted, each)
        params = self.params_ if fitted else None
        if params is None:
            params = model._start(examples, optimizer_of(self, 1), np.random.default_rng(0), True, ()).params
        batch = model._weighed(model._scaled(examples, params)).batch(np.arange(len(examples)))
        return NetworkProblem(
            model.network_, params, batch.X, batch.y, model._loss(), batch.lengths, batch.sample_weight
        )


def hold(estimator: SequenceEstimator, parameters: dict[str, Any]) -> None:
    """Hold the arguments of an estimator's ``__init__`` as they came; ``fit`` checks them."""
    for name, value in parameters.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def _validation_parts(validation_data: Any) -> tuple[Any, Any, Any, Any]:
    """Return X, y, weights and lengths of validation data."""
    if isinstance(validation_data, Mapping) and {"X", "y"} <= validation_data.keys() <= {
        "X", "y", "sample_weight", "lengths",
    }:  # fmt: skip
        parts = dict(validation_data)
        return parts["X"], parts["y"], parts.get("sample_weight"), parts.get("lengths")
    if isinstance(validation_data, tuple | list) and len(validation_data) == 2:
        return validation_data[0], validation_data[1], None, None
    raise ArgumentError(
        "validation_data must be a pair (X, y), or a dict with X, y and, where needed, lengths and sample_weight;"
        f" got {type(validation_data).__name__}."
    )


def _metadata(sample_weight: Any, lengths: Any) -> dict[str, Any] | None:
    given = {"sample_weight": sample_weight, "lengths": lengths}
    return {name: value for name, value in given.items() if value is not None} or None
