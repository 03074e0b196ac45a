"""Targets that are values: their scale, and outputs as values on the scale of the targets."""

from typing import Any, final

import numpy as np
from sklearn.utils.validation import check_array

from saiki.arrays import Array, check_finite, power_of_two
from saiki.errors import ArgumentError, DtypeError, ShapeError
from saiki.estimators.base import Metadata
from saiki.estimators.inputs import Given, check_even, read_per_row
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.scaling import Scaling
from saiki.estimators.targets import NAN_IS_MISSING, as_numbers, as_targets
from saiki.losses import Loss
from saiki.training.examples import Examples, Ragged


class Values(OutputsEstimator):
    """What learns a value, or several, for each example or for each of its rows; abstract.

    It goes before the class that says what the inputs are. Of the parameters it asks for ``loss`` and
    ``scale_targets``; ``learnt`` has ``_one_value_``.
    """

    _one_value_: bool

    @final
    def _valued(self, X: Any, metadata: Metadata) -> Any:
        """Return the values of each example, or of each row in the form of ``X``, in the precision of ``X``."""
        inputs, outputs = self._outputs(X, metadata)
        return self._like(inputs, self._values(outputs).astype(inputs.X.dtype))

    @final
    def _values(self, outputs: Array) -> Array:
        """Return outputs as values: on the scale of the targets, in float64, one for each row where y had one."""
        values = outputs.astype(np.float64) if self._target_scaling is None else self._target_scaling.undo(outputs)
        return values[:, 0] if self._one_value_ else values

    @final
    def _read_targets(
        self, y: Any, inputs: Given, counts: Array, each: bool, reset: bool, learns: bool
    ) -> Array | Ragged:
        one, row = inputs.words
        rows = place = None
        if each:
            rows, place = read_per_row("y", y, inputs)
        else:
            check_even(y, inputs)
        values = _as_values(as_targets(y) if rows is None else rows.values)
        if values.ndim > 2:
            raise ShapeError(
                f"y must hold one value, or a row of values, for each {one}; got shape {values.shape}. For values of"
                f" each {row} use output='each'."
            )
        single, n_outputs = values.ndim == 1, 1 if values.ndim == 1 else values.shape[1]
        if reset:
            self._one_value_, self.n_outputs_ = single, n_outputs
        elif n_outputs != self.n_outputs_:
            raise ShapeError(f"y must hold {self.n_outputs_} values for each, as in fit; got {n_outputs}.")
        values = np.where(counts.reshape(-1, *(1,) * (values.ndim - 1)), values, np.nan)
        check_finite("y", np.where(np.isnan(values), 0, values), NAN_IS_MISSING, place)
        if learns:
            _check_precision(values, inputs.X.dtype)
        return values if rows is None else rows.with_values(values)

    @final
    def _weighed(self, examples: Examples) -> Examples:
        return examples

    @final
    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:
        if not self.scale_targets:
            return None
        return Scaling.of(examples.targets.reshape(len(examples.targets), -1), examples.target_weights, "y")

    @final
    def _loss(self) -> str | Loss:
        return self.loss

    @final
    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        predicted = self._values(outputs).reshape(len(outputs), -1).astype(np.float64)
        targets = targets.reshape(len(targets), -1).astype(np.float64)
        scores = []
        for value, target in zip(predicted.T, targets.T, strict=True):
            there = ~np.isnan(target)
            if not there.any():
                continue
            own = np.ones(there.sum()) if weight is None else weight[there] / weight[there].max()
            unit = power_of_two(np.abs(target[there]).max())  # so that no square overflows, or becomes zero
            value, target = value[there] / unit, target[there] / unit
            left = np.square(value - target) @ own
            in_all = np.square(target - np.average(target, weights=own)) @ own
            scores.append(1 - left / in_all if in_all > 0 else float(left == 0))
        return float(np.mean(scores))

    @final
    def _by_class(self, examples: Examples, order: Array) -> Array:  # noqa: ARG002
        return order

    @final
    def _sound_targets(self) -> bool:
        return isinstance(self._one_value_, bool)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _as_values(targets: Array) -> Array:
    """Return targets as float64, NaN for those that are missing."""
    if targets.dtype.kind in "mMV":
        raise DtypeError(f"y must hold numbers; got dtype {targets.dtype}. Encode it as numbers first.")
    try:
        values: Array = check_array(
            as_numbers(targets),
            dtype=np.float64,
            ensure_2d=False,
            ensure_all_finite=False,
            input_name="y",
            allow_nd=True,
        )
    except (TypeError, OverflowError) as error:
        raise DtypeError(f"y must hold numbers; {first_line(error)}. Encode it as numbers first.") from None
    except ValueError as error:
        raise ArgumentError(f"y must hold numbers. {first_line(error)}") from None
    return values


def _check_precision(values: Array, dtype: np.dtype[Any]) -> None:
    """Raise an ``ArgumentError`` where predictions in the precision of X could not hold such values."""
    limits = np.finfo(dtype)
    largest = np.abs(values).max(initial=0, where=~np.isnan(values))
    if largest > limits.max / 4 or 0 < largest < limits.tiny * 4:
        raise ArgumentError(
            f"y must lie well within the range of {dtype}, the precision of X, in which predictions are returned; its"
            f" largest magnitude is {largest:.3g}. Multiply y by a constant, or give X as float64."
        )


def first_line(error: Exception) -> str:
    """Return what an error says, without the array that some show after it."""
    return str(error).partition("\n")[0]
