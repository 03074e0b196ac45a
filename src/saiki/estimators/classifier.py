"""The classifier: a label for each sequence, or for each step."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from saiki.arrays import Array, check_finite
from saiki.cells import Cell
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.base import Checkpointed, SequenceEstimator, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.inputs import Sequences, as_labels, read_per_step
from saiki.estimators.options import documented
from saiki.estimators.scaling import Scaling
from saiki.losses import Loss, log_softmax
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples, Ragged

UNKNOWN = -1.0
"""The number of a label that was not there in fit."""


@final
@documented
class RNNClassifier(ClassifierMixin, SequenceEstimator):
    """A recurrent network that tells sequences, or their steps, apart.

    ``X`` is ``(n_sequences, n_steps, n_features)``, a list of ``(n_steps, n_features)``, or ``(n_sequences, n_steps)``
    for one feature; ``lengths`` goes with padded arrays. ``y`` has a label of any kind for each sequence or, with
    ``output="each"``, for each step; None and NaN are missing labels, from which nothing is learnt.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8, 1))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> classifier = RNNClassifier(hidden_layer_sizes=8, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]), bool(classifier.score(X, y) > 0.9)
    (array(['up', 'down'], dtype='<U4'), True)
    """

    def __init__(
        self,
        cell: str | Cell | Sequence[str | Cell] = "gru",
        hidden_layer_sizes: int | Sequence[int] = (64,),
        activation: str | None = None,
        bidirectional: bool = False,
        output: Literal["last", "mean", "max", "each"] = "last",
        dropout: float = 0.0,
        conv: tuple[int, ...] | None = None,
        *,
        solver: str | Optimizer = "adam",
        solver_options: Mapping[str, Any] | None = None,
        learning_rate: str | Schedule = "cosine",
        learning_rate_init: float = 0.01,
        alpha: float = 1e-4,
        clip_norm: float | None = 1.0,
        tbptt: int | None = None,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 60,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        scale_inputs: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        engine: str | None = None,
        n_jobs: int | None = None,
        dtype: npt.DTypeLike | None = None,
        verbose: bool = False,
        callbacks: Sequence[Callable[[Epoch], Any]] | None = None,
    ) -> None:
        hold(self, locals())

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        lengths: npt.ArrayLike | None = None,
        validation_data: Any = None,
        checkpoint: Checkpointed = None,
    ) -> RNNClassifier:
        """Learn from sequences and their targets."""
        self._fit(X, y, sample_weight, lengths, validation_data, checkpoint)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        lengths: npt.ArrayLike | None = None,
    ) -> RNNClassifier:
        """Learn from some sequences once, going on from what has been learnt before.

        The first call decides the scale of the features, and the classes; the learning rate stays as it is.

        Args:
            X: the sequences.
            y: their labels.
            classes: all labels that will ever come; only the first call needs it, if its y does not hold them all.
            sample_weight: how much each sequence, or each step, counts.
            lengths: ``(n_sequences,)`` for padded arrays.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit(X, y, sample_weight, lengths, classes)
        return self

    def predict(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the most likely label of each sequence ``(n_sequences,)``, or of each step in the form of ``X``.

        In a padded array the steps that do not exist are given the first class.
        """
        sequences, outputs = self._outputs(X, lengths)
        labels = outputs.argmax(axis=1)
        if not self.reads_each:
            return self.classes_[labels]
        found = sequences.like(labels)
        return [self.classes_[part] for part in found] if isinstance(found, list) else self.classes_[found]

    def predict_proba(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the probability of each class, ``(n_sequences, n_classes)``, or for each step in the form of ``X``."""
        sequences, outputs = self._outputs(X, lengths)
        probabilities = np.exp(log_softmax(outputs))
        return sequences.like(probabilities) if self.reads_each else probabilities

    def predict_log_proba(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the logarithms of the probabilities of ``predict_proba``."""
        sequences, outputs = self._outputs(X, lengths)
        logarithms = log_softmax(outputs)
        return sequences.like(logarithms) if self.reads_each else logarithms

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: npt.ArrayLike | None = None) -> float:
        """Return the share of labels that are right, missing ones left out, each by its weight."""
        return self._scored(X, y, sample_weight, lengths)

    def step(self, x: npt.ArrayLike, state: Mapping[str, Array] | None = None) -> tuple[Any, dict[str, Array]]:
        """Read one more step of live streams, and return the labels that ``predict`` has for all steps so far.

        Args:
            x: the features of one stream ``(n_features,)``, or of several ``(n_streams, n_features)``.
            state: what the step before returned: a dict of arrays, ``(n_streams, n_units)`` each, which
                ``numpy.savez`` keeps; None begins.

        Returns:
            The label, or one for each stream, and the state.

        Raises:
            ArgumentError: the network looks at other steps than the present one, or this is no such state.
            ShapeError: x does not fit.
        """
        outputs, single, state = self._stepped(x, state)
        labels = self.classes_[outputs.argmax(axis=1)]
        return (labels[0] if single else labels), state

    def step_proba(self, x: npt.ArrayLike, state: Mapping[str, Array] | None = None) -> tuple[Array, dict[str, Array]]:
        """Read one more step of live streams, and return the probability of each class; otherwise as ``step``."""
        outputs, single, state = self._stepped(x, state)
        probabilities = np.exp(log_softmax(outputs))
        return (probabilities[0] if single else probabilities), state

    def _read_targets(self, y: Any, sequences: Sequences, counts: Array, each: bool, reset: bool) -> Array | Ragged:
        if each:
            steps = read_per_step("y", y, sequences)
            if steps.values.ndim != 1:
                raise ShapeError(f"y must hold one label for each step; got {steps.values.shape[1:]} for each.")
            return steps.with_values(self._encoded(steps.values, counts, reset))
        if getattr(y, "ndim", 1) > 1 and np.shape(y)[1:] != (1,):
            raise ShapeError(
                f"y must hold one label for each sequence; got {np.shape(y)}. For one for each step use output='each'."
            )
        return self._encoded(column_or_1d(as_labels(y), warn=True, dtype=None), counts, reset)

    def _encoded(self, labels: Array, counts: Array, reset: bool) -> Array:
        """Return the number of each label, NaN for missing ones and those that do not count."""
        there = counts & ~_missing(labels)
        present = labels[there]
        if present.dtype.kind == "f":
            check_finite("y", present, "; NaN marks a missing label")
        if len(present):
            if present.dtype.kind == "O":  # with what is missing gone, NumPy finds what they are
                present = np.array(present.tolist())
            check_classification_targets(present)
        found = np.unique(present)
        if reset:
            self.classes_ = self._promised(found)
            self.n_outputs_ = len(self.classes_)
        at = np.searchsorted(self.classes_, present) if len(self.classes_) else np.zeros(0, int)
        at = np.minimum(at, len(self.classes_) - 1)
        encoded = np.full(len(labels), np.nan)
        encoded[there] = np.where(self.classes_[at] == present, at, UNKNOWN)
        return encoded

    def _expect(self, classes: Any) -> None:
        classes = np.unique(np.asarray(classes))
        if hasattr(self, "_epoch") and not np.array_equal(classes, self.classes_):
            raise ArgumentError(
                f"classes must be those of the first call, {self.classes_.tolist()}; got {classes.tolist()}."
            )
        self.classes_ = classes

    def _promised(self, found: Array) -> Array:
        """Return the classes that the first ``partial_fit`` was told of, or else those found."""
        return self.classes_ if not hasattr(self, "_epoch") and hasattr(self, "classes_") else found

    def _weighed(self, examples: Examples) -> Examples:
        y, weights = examples.targets, examples.target_weights
        if (y == UNKNOWN).any():
            raise ArgumentError(
                f"y must hold the classes of the first fit, {self.classes_.tolist()}; got others. Name all classes in"
                " the first call, partial_fit(X, y, classes=...)."
            )
        if self.class_weight is None:
            return examples
        own = np.ones(len(y)) if weights is None else weights.astype(np.float64)
        there = ~np.isnan(y)
        classes = y[there].astype(int)
        by_class = self._class_weights(np.bincount(classes, own[there], len(self.classes_)))
        own[there] *= by_class[classes]
        if not own[there].any():
            raise ArgumentError("class_weight leaves only weights of zero. Give at least one class more.")
        return examples.with_target_weights(own)

    def _class_weights(self, counts: Array) -> Array:
        """Return the weight of each class, of which there is so much."""
        if isinstance(self.class_weight, str):
            return counts.sum() / (len(counts) * np.where(counts > 0, counts, 1))
        classes = self.classes_.tolist()
        unknown = [label for label in self.class_weight if label not in classes]
        if unknown and any(label not in self.class_weight for label in classes):
            raise ArgumentError(f"class_weight must name classes of y, {classes}; got {unknown[0]!r}.")
        for label, weight in self.class_weight.items():
            if not np.isfinite(weight) or weight < 0:
                raise ArgumentError(f"class_weight[{label!r}] must not be negative; got {weight}.")
        return np.array([self.class_weight.get(label, 1.0) for label in classes], np.float64)

    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:  # noqa: ARG002
        return None

    def _loss(self) -> str | Loss:
        return "cross_entropy"

    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        there = ~np.isnan(targets)
        right = outputs[there].argmax(axis=1) == targets[there]
        return float(np.average(right, weights=None if weight is None else weight[there]))

    def _by_class(self, examples: Examples, order: Array) -> Array:
        if isinstance(examples.y, Ragged):
            return order
        classes = examples.y[order].astype(int)
        several = np.bincount(classes)[classes] > 1
        return order[several][np.argsort(classes[several], kind="stable")]


def _missing(labels: Array) -> Array:
    """Return which labels are None, NaN, or what data frames write for nothing."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind in "mM":
        return np.isnat(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), bool)
    none = ("NoneType", "NAType", "NaTType")
    return np.array([type(v).__name__ in none or (isinstance(v, float) and np.isnan(v)) for v in labels], bool)
