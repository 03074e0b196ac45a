"""Bringing features and targets to one scale: mean 0 and standard deviation 1 over all steps that exist."""

from __future__ import annotations  # help() shows what is written here

from copy import copy
from typing import Any, NamedTuple, Protocol, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, power_of_two
from saiki.errors import ArgumentError
from saiki.estimators.inputs import Sequences, read_sequences
from saiki.estimators.named import NamedSequences
from saiki.training.examples import Ragged

# A column that varies by less than its own rounding errors is constant.
CONSTANT = 10 * np.finfo(np.float64).eps

LARGEST = 2.0**1022
"""The largest magnitude of which differences do not overflow."""

NEAR_ONE = 2.0**-50
"""The smallest ratio of a constant column to its scale."""


class Scaling(NamedTuple):
    """The mean and the standard deviation of each column, float64.

    The latter is 1 for a constant column, or the power of two nearest to 1 that is within 2**50 of its numbers.
    """

    mean: Array
    scale: Array

    @classmethod
    def of(cls, values: Array, weight: Array | None = None, argument: str = "X") -> Scaling:
        """Return the scaling of columns ``(n, K)``; NaN is left out, and each row counts by its weight.

        >>> Scaling.of(np.array([[1.0], [3.0], [np.nan]]))
        Scaling(mean=array([2.]), scale=array([1.]))
        """
        wide = values.astype(np.float64)
        exists = ~np.isnan(wide)
        weights = exists if weight is None else exists * (weight / power_of_two(weight.max(initial=0)))[:, None]
        total = weights.sum(axis=0)
        total = np.where(total > 0, total, 1)
        wide = np.where(exists, wide, 0)
        largest = np.abs(wide).max(axis=0, initial=0)
        if largest.max(initial=0) > LARGEST:
            raise ArgumentError(
                f"{argument} must lie within {LARGEST:.1g} of zero to be scaled; got {largest.max():.3g}. Divide it by"
                " a constant."
            )
        unit = power_of_two(largest)  # so that no square overflows, or becomes zero
        wide /= unit
        mean = (wide * weights).sum(axis=0) / total
        scale = np.sqrt((np.square(wide - mean) * weights).sum(axis=0) / total)
        constant = (scale <= CONSTANT * np.abs(mean)) | (scale == 0)
        first = wide[(weights > 0).argmax(axis=0), np.arange(wide.shape[1])] if len(wide) else mean
        # A residue of rounding in a constant column stays small: its scale is 1, but for very large or small numbers.
        one = np.maximum(np.minimum(1.0, np.minimum(unit, 1.0) / NEAR_ONE), unit * NEAR_ONE)
        return cls(np.where(constant, first, mean) * unit, np.where(constant, one, scale * unit))

    @classmethod
    def none(cls, n: int) -> Scaling:
        """Return the scaling that changes nothing."""
        return cls(np.zeros(n), np.ones(n))

    def apply(self, values: Array, dtype: npt.DTypeLike) -> Array:
        """Return the columns brought to one scale; what is far from zero loses nothing if only then made float32."""
        return ((values - self.mean) / self.scale).astype(dtype, copy=False)

    def undo(self, values: Array, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return what ``apply`` was given."""
        return (values * self.scale + self.mean).astype(dtype, copy=False)


class Rows(Protocol):
    """Examples that have rows, as a sequence has steps and a tree nodes."""

    def owners(self) -> Array:
        """Return for each row the number of its example."""


def step_weights(weight: Array | Ragged | None, X: Rows) -> Array | None:
    """Return how much each row counts for the scale: as much as its example; None where all count alike.

    So does a row whose own weight is zero, as what it holds is seen from others.
    """
    if weight is None:
        return None
    if isinstance(weight, Ragged):
        sums = np.bincount(weight.owners(), weight.values, len(weight))
        weight = sums / np.maximum(weight.lengths, 1)
    return weight[X.owners()]


@final
class SequenceScaler(TransformerMixin, BaseEstimator):
    """Bring each feature to mean 0 and standard deviation 1 over all steps of all sequences.

    scikit-learn's ``StandardScaler`` takes tables only. Sequences may be ``(n_sequences, n_steps, n_features)``, a list
    of ``(n_steps, n_features)``, or ``(n_sequences, n_steps)`` read as one feature; they come back in the same form,
    padding as zeros. A constant feature is only moved to 0.

    Attributes:
        mean_: the mean of each feature.
        scale_: its standard deviation, 1 for a constant feature.
        n_features_in_: the number of features; for two axes, of steps.

    >>> scaler = SequenceScaler().fit([[[1.0], [2.0]], [[3.0]]])
    >>> scaler.mean_, [x.round(2).tolist() for x in scaler.transform([[[1.0], [2.0]], [[3.0]]])]
    (array([2.]), [[[-1.22], [0.0]], [[1.22]]])
    """

    learnt = "mean_", "scale_", "n_features_in_", "feature_names_in_", "_other_names_", "_flat_"

    def fit(self, X: Any, y: Any = None, lengths: npt.ArrayLike | None = None) -> SequenceScaler:  # noqa: ARG002
        """Find the mean and the standard deviation of each feature.

        Args:
            X: the sequences.
            y: not used.
            lengths: ``(n_sequences,)`` for padded arrays.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        learner = copy(self)  # an error leaves this one as it was
        sequences = read_sequences(learner, X, lengths, reset=True)
        learner.mean_, learner.scale_ = Scaling.of(sequences.X.values)
        self.__dict__ = learner.__dict__
        return self

    def transform(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the sequences scaled, in the form in which they came; named features in the order of fit."""
        return self._mapped(X, lengths, Scaling.apply)

    def fit_transform(self, X: Any, y: Any = None, lengths: npt.ArrayLike | None = None) -> Any:
        """Find the mean and the standard deviation of each feature, and return the sequences scaled."""
        return self.fit(X, y, lengths).transform(X, lengths)

    def inverse_transform(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return what ``transform`` was given."""
        return self._mapped(X, lengths, Scaling.undo)

    def _mapped(self, X: Any, lengths: npt.ArrayLike | None, change: Any) -> Any:
        check_is_fitted(self)
        sequences: Sequences = read_sequences(self, X, lengths, reset=False)
        values = sequences.X.values
        result = sequences.like(change(Scaling(self.mean_, self.scale_), values, values.dtype))
        if sequences.names is not None:
            return NamedSequences.of(X, result, sequences.names)
        return result[..., 0] if sequences.flat else result

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
