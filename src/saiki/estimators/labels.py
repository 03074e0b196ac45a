"""Targets that are labels: their numbers, how much each class counts, and outputs as labels and probabilities."""

import math
import numbers
from typing import Any, Self, final

import numpy as np

from saiki.arrays import Array, power_of_two
from saiki.errors import ArgumentError, ShapeError, shown
from saiki.estimators.base import Metadata
from saiki.estimators.inputs import Given, check_even, read_per_row
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.places import Place
from saiki.estimators.scaling import Scaling
from saiki.estimators.targets import as_targets, check_known, missing, numbers_of, one_each, plain_labels
from saiki.losses import Loss, log_softmax
from saiki.training.examples import Examples, Ragged


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
    def _read_targets(
        self, y: Any, inputs: Given, counts: Array, each: bool, reset: bool, learns: bool
    ) -> Array | Ragged:
        one, row = inputs.words
        if each:
            rows, place = read_per_row("y", y, inputs)
            if rows.values.ndim != 1:
                raise ShapeError(f"y must hold one label for each {row}; got {rows.values.shape[1:]} for each.")
            return rows.with_values(self._encoded(rows.values, counts, reset, learns, place))
        check_even(y, inputs)
        labels = one_each(as_targets(y), one, f" For one for each {row} use output='each'.")
        return self._encoded(labels, counts, reset, learns, None)

    @final
    def _encoded(self, labels: Array, counts: Array, reset: bool, learns: bool, place: Place | None) -> Array:
        """Return the number of each label, NaN for missing ones and those that do not count.

        A label that was not there in fit is ``UNKNOWN``, or an error where the estimator shall learn it.
        """
        there = counts & ~missing(labels)
        present = plain_labels("y", labels, there, place)
        if reset:
            self.classes_ = self._promised(np.unique(present))
            self.n_outputs_ = len(self.classes_)
        encoded = np.full(len(labels), np.nan)
        if len(present):
            if learns:
                check_known("y", present, self.classes_)
            encoded[there] = numbers_of("y", present, self.classes_)
        return encoded

    @final
    def _expect(self, classes: Any) -> None:
        """Note before the first ``partial_fit`` which classes there will be."""
        given = as_targets(classes, "classes")
        if given.ndim != 1 or not len(given) or missing(given).any():
            raise ArgumentError(f"classes must be a list of one or more labels, none missing; got {classes!r}.")
        expected = np.unique(plain_labels("classes", given))
        if hasattr(self, "_epoch") and expected.tolist() != self.classes_.tolist():
            raise ArgumentError(
                f"classes must be those of the first call, {self.classes_.tolist()}; got {expected.tolist()}."
            )
        self.classes_ = expected

    @final
    def _promised(self, found: Array) -> Array:
        """Return the classes that the first ``partial_fit`` was given, or else those found."""
        return self.classes_ if not hasattr(self, "_epoch") and hasattr(self, "classes_") else found

    @final
    def _weighed(self, examples: Examples) -> Examples:
        y, weights = examples.targets, examples.target_weights
        if self.class_weight is None:
            return examples
        own = np.ones(len(y)) if weights is None else weights.astype(np.float64)
        there = ~np.isnan(y)
        classes = y[there].astype(int)
        by_class = self._class_weights(np.bincount(classes, own[there], len(self.classes_)))
        own[there] *= (by_class / power_of_two(by_class.max()))[classes]
        if not own[there].any():
            raise ArgumentError("class_weight leaves only weights of zero. Give at least one class more.")
        return examples.with_target_weights(own)

    @final
    def _class_weights(self, counts: Array) -> Array:
        """Return the weight of each class, of which there is so much."""
        if isinstance(self.class_weight, str):
            return counts.sum() / (len(counts) * np.where(counts > 0, counts, 1))
        weights, classes = dict(self.class_weight), self.classes_.tolist()
        for label, weight in weights.items():
            if not _is_weight(weight):
                raise ArgumentError(
                    f"class_weight[{shown(label)}] must be a finite number and must not be negative; got"
                    f" {shown(weight)}."
                )
        unknown = [label for label in weights if label not in classes]
        other = [label for label in unknown if isinstance(label, str) != isinstance(classes[0], str)]
        if other or (unknown and any(label not in weights for label in classes)):
            raise ArgumentError(
                f"class_weight must name classes of y, {classes}; got {(other or unknown)[0]!r}. A number and"
                " its text are two labels."
            )
        return np.array([weights.get(label, 1.0) for label in classes], np.float64)

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


def _is_weight(value: Any) -> bool:
    try:
        return type(value) is not bool and isinstance(value, numbers.Real) and 0 <= float(value) < math.inf
    except OverflowError:  # a whole number beyond float64
        return False
