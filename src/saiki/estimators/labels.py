"""Targets that are labels: their numbers, how much each class counts, and outputs as labels and probabilities."""

from typing import Any, Self, final

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from saiki.arrays import Array, check_finite
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.base import Metadata
from saiki.estimators.inputs import Given, as_labels, check_even, read_per_row
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.scaling import Scaling
from saiki.losses import Loss, log_softmax
from saiki.training.examples import Examples, Ragged

UNKNOWN = -1.0
"""The number of a label that was not there in fit."""


class Labels(OutputsEstimator):
    """What learns a label for each example, or for each of its rows; abstract.

    It goes before the class that says what the inputs are. Of the parameters it asks for ``class_weight``; ``learnt``
    has ``classes_``.
    """

    classes_: Array

    @final
    def _partial_fit_labels(self, X: Any, y: Any, metadata: Metadata, classes: Any) -> None:
        """Learn from the examples once; ``classes``, if given, are all that there will be."""

        def prepare(copied: Self) -> None:
            if classes is not None:
                copied._expect(classes)

        self._partial_fit(X, y, metadata, prepare)

    @final
    def _labels(self, X: Any, metadata: Metadata) -> Any:
        """Return the most likely label of each example, or of each row in the form of ``X``."""
        inputs, outputs = self._outputs(X, metadata)
        found = self._like(inputs, outputs.argmax(axis=1))
        return [self.classes_[part] for part in found] if isinstance(found, list) else self.classes_[found]

    @final
    def _probabilities(self, X: Any, metadata: Metadata) -> Any:
        """Return the probability of each class."""
        inputs, outputs = self._outputs(X, metadata)
        return self._like(inputs, np.exp(log_softmax(outputs)))

    @final
    def _log_probabilities(self, X: Any, metadata: Metadata) -> Any:
        """Return the logarithms of the probabilities."""
        inputs, outputs = self._outputs(X, metadata)
        return self._like(inputs, log_softmax(outputs))

    @final
    def _read_targets(self, y: Any, inputs: Given, counts: Array, each: bool, reset: bool) -> Array | Ragged:
        one, row = inputs.words
        if each:
            rows = read_per_row("y", y, inputs)
            if rows.values.ndim != 1:
                raise ShapeError(f"y must hold one label for each {row}; got {rows.values.shape[1:]} for each.")
            return rows.with_values(self._encoded(rows.values, counts, reset))
        check_even(y, inputs)
        labels = as_labels(y)
        if labels.ndim > 1 and labels.shape[1:] != (1,):
            raise ShapeError(
                f"y must hold one label for each {one}; got {labels.shape}. For one for each {row} use output='each'."
            )
        return self._encoded(column_or_1d(labels, warn=True, dtype=None), counts, reset)

    @final
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

    @final
    def _expect(self, classes: Any) -> None:
        """Be told before the first ``partial_fit`` which classes there will be."""
        classes = np.unique(np.asarray(classes))
        if hasattr(self, "_epoch") and not np.array_equal(classes, self.classes_):
            raise ArgumentError(
                f"classes must be those of the first call, {self.classes_.tolist()}; got {classes.tolist()}."
            )
        self.classes_ = classes

    @final
    def _promised(self, found: Array) -> Array:
        """Return the classes that the first ``partial_fit`` was told of, or else those found."""
        return self.classes_ if not hasattr(self, "_epoch") and hasattr(self, "classes_") else found

    @final
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

    @final
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

    @final
    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:  # noqa: ARG002
        return None

    @final
    def _loss(self) -> str | Loss:
        return "cross_entropy"

    @final
    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        there = ~np.isnan(targets)
        right = outputs[there].argmax(axis=1) == targets[there]
        return float(np.average(right, weights=None if weight is None else weight[there]))

    @final
    def _by_class(self, examples: Examples, order: Array) -> Array:
        if not isinstance(examples.y, np.ndarray):
            return order
        classes = examples.y[order].astype(int)
        several = np.bincount(classes)[classes] > 1
        return order[several][np.argsort(classes[several], kind="stable")]

    @final
    def _sound_targets(self) -> bool:
        return bool(self.classes_.shape == (self.n_outputs_,))


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
