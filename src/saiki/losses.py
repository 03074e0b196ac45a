"""Losses: the value and its gradient in one call, as a mean over what exists.

A loss is a function of an output and a target, two numbers, to a value and its slope. ``evaluate`` does the rest, once
for all of them: which targets exist, how much each counts, and the mean.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import (
    Array,
    as_float,
    as_lengths,
    as_positive,
    as_share,
    check_finite,
    existing_steps,
    with_nan,
)
from saiki.cells.reading import fixed
from saiki.errors import ArgumentError, DtypeError, ShapeError, choose
from saiki.maths import sigmoid, softplus

# A distribution in float32 of a thousand classes sums to 1 within a few 1e-5.
SUM_TOLERANCE = 1e-3


@final
@dataclass(frozen=True, eq=False)
class Loss:
    """A loss.

    Attributes:
        function: ``(output, target)`` to ``(value, slope)``, elementwise. With ``of_classes`` the output is the logit
            of a class less the largest of its row, the target the share of that class, and a third argument the
            logarithm of the sum of the exponentials of that row; the values of a row are added up.
        of_classes: whether targets are classes: an index for each row of outputs, or a distribution over them.
        between: the least and the largest target that the loss knows.
        label_smoothing: the share of each distribution that is spread evenly over all classes.
        functions: the function that runs, by the name "function": what it reads is as it was when the loss was made.
    """

    function: Callable[..., tuple[Array, Array]]
    of_classes: bool = False
    between: tuple[float, float] = (-math.inf, math.inf)
    label_smoothing: float = 0.0
    functions: Mapping[str, Callable[..., tuple[Array, Array]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", {"function": fixed(self.function)})
        parts = 3 if self.of_classes else 2
        try:
            value, slope = self.functions["function"](*(np.full((1, 2), 0.5) for _ in range(parts)))
        except Exception as error:
            raise ArgumentError(
                f"function must take {parts} arrays and return two, the values and their slopes; it fails:"
                f" {type(error).__name__}: {error}. Write it with arithmetic and NumPy's functions, without 'if'."
            ) from error
        if not np.shape(value) == np.shape(slope) == (1, 2):
            raise ArgumentError(
                "function must return a value and a slope for every output, of the outputs' shape (1, 2); got"
                f" {np.shape(value)} and {np.shape(slope)}. The mean is taken afterwards."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return Loss, (self.function, self.of_classes, self.between, self.label_smoothing)

    def __deepcopy__(self, memo: object) -> "Loss":
        return self  # what the function reads stays fixed

    def __call__(self, output: Array, target: Array) -> tuple[Array, Array]:
        """Return the values and slopes for arrays; the values of a row of classes are added up, ``(..., 1)``."""
        if not self.of_classes:
            return self.functions["function"](output, target)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / output.shape[-1]
        output, log_sum = _shifted(output)
        value, slope = self.functions["function"](output, target, log_sum)
        return value.sum(axis=-1, keepdims=True), slope


def _shifted(logits: Array) -> tuple[Array, Array]:
    """Return logits less the largest of their row, and the logarithm of the sum of the row's exponentials then."""
    logits = logits - np.real(logits).max(axis=-1, keepdims=True)
    return logits, np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def log_softmax(logits: Array) -> Array:
    """Return the logarithms of the softmax over the last axis; finite for any finite logits.

    >>> np.exp(log_softmax(np.array([1000.0, 1000.0]))).tolist()
    [0.5, 0.5]
    """
    logits, log_sum = _shifted(logits)
    return logits - log_sum


def squared_error(output: Array, target: Array) -> tuple[Array, Array]:
    """Half the squared error ``(output - target)**2 / 2``, whose slope is ``output - target``."""
    difference = output - target
    return difference * difference / 2, difference


def absolute_error(output: Array, target: Array) -> tuple[Array, Array]:
    """Absolute error ``|output - target|``, whose slope is the sign, 0 at 0."""
    difference = output - target
    slope = np.sign(np.real(difference))
    return difference * slope, slope


def huber(delta: float = 1.0) -> Loss:
    """Return the loss that is ``d**2 / 2`` up to ``|d| = delta`` and ``delta * (|d| - delta / 2)`` beyond.

    Source: Huber (1964), "Robust estimation of a location parameter".

    Raises:
        ArgumentError: delta is not positive and finite.
    """
    delta = as_positive("delta", delta)

    def function(output: Array, target: Array) -> tuple[Array, Array]:
        difference = output - target
        slope = np.minimum(np.maximum(np.real(difference), -delta), delta)
        return slope * difference - slope * slope / 2, slope

    return Loss(function)


def logistic(output: Array, target: Array) -> tuple[Array, Array]:
    """Logistic loss of logits: ``-log sigmoid(v)`` for target 1, ``-log sigmoid(-v)`` for 0; linear between them.

    The slope is ``sigmoid(v) - target``. Finite for any finite logit.
    """
    return softplus(output) - target * output, sigmoid(output) - target


def softmax_cross_entropy(output: Array, target: Array, log_sum: Array) -> tuple[Array, Array]:
    """One class's part of ``-sum of target * log softmax(v)``, whose slope is ``softmax - target``.

    Finite for any finite logits. See ``Loss`` for the arguments.
    """
    return target * (log_sum - output), np.exp(output - log_sum) - target


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """Return the softmax cross-entropy of logits.

    Args:
        label_smoothing: the share of each target that is spread evenly over all classes (Szegedy et al. 2016,
            "Rethinking the Inception architecture", section 7).

    Raises:
        ArgumentError: the share is not from 0 up to 1.
    """
    share = as_share("label_smoothing", label_smoothing)
    return Loss(softmax_cross_entropy, of_classes=True, label_smoothing=share)


LOSSES: dict[str, Loss] = {
    "squared_error": Loss(squared_error),
    "absolute_error": Loss(absolute_error),
    "huber": huber(),
    "logistic": Loss(logistic, between=(0, 1)),
    "cross_entropy": cross_entropy(),
}
"""Every loss by name; ``huber`` with delta 1, ``cross_entropy`` without label smoothing."""


def as_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name, or the loss itself.

    Raises:
        ArgumentError: no such loss, or a bare function.
    """
    if callable(loss) and not isinstance(loss, Loss):
        raise ArgumentError(f"loss must be a name or a Loss; got {loss!r}. Try saiki.losses.Loss(function), or a name.")
    return loss if isinstance(loss, Loss) else choose("loss", loss, LOSSES)


def loss_for(Y: Array, y: npt.ArrayLike | None) -> str:
    """Return the name of the loss that fits targets: the cross-entropy for class indices, else the squared error.

    >>> loss_for(np.zeros((5, 3)), np.zeros(5)), loss_for(np.zeros((5, 1)), np.zeros(5))
    ('cross_entropy', 'squared_error')
    """
    of_classes = y is not None and Y.shape[-1] > 1 and np.shape(with_nan(y)) == Y.shape[:-1]
    return "cross_entropy" if of_classes else "squared_error"


def evaluate(
    loss: str | Loss,
    Y: npt.ArrayLike,
    y: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    total: float | None = None,
) -> tuple[Any, Array]:
    """Return the mean loss over what exists, and its gradient with respect to ``Y``.

    Args:
        loss: the name of a loss, or one itself, such as ``huber(0.5)``.
        Y: outputs ``(B, T, K)``, one for each step, or ``(B, K)``, one for each sequence.
        y: targets of the same shape; the last axis may be left out where K is 1. For a loss of classes either the
            index of a class for each row, ``(B, T)`` or ``(B,)``, or a distribution over the classes. NaN marks a
            missing target, and so does the mask of a NumPy masked array.
        lengths: ``(B,)``; steps beyond a sequence's length do not exist.
        sample_weight: ``(B,)`` or, for outputs of each step, ``(B, T)``: how much each target counts in the mean.
        total: what the weighted sum is divided by; None is the sum of the weights, which makes it a mean. A batch of
            many gives instead the mean weight of all batches, times the number of its own targets: else a batch of
            light samples would count as much as one of heavy ones.

    Returns:
        The loss, zero where nothing exists, and the gradient in the shape of ``Y``.

    Raises:
        ShapeError: y or sample_weight does not fit Y.
        ArgumentError: an unknown loss, a target that the loss does not know, an infinite one, a weight that is
            negative or not finite, or a total that is not positive.

    >>> Y = np.array([[[1.0], [3.0], [9.0]]])
    >>> value, dY = evaluate("squared_error", Y, [[0.0, np.nan, 9.0]], lengths=[2])
    >>> float(value), dY.ravel().tolist()
    (0.5, [1.0, 0.0, 0.0])
    """
    values, slopes, weights = evaluate_parts(loss, Y, y, lengths, sample_weight, total)
    return (values * weights).sum(), slopes * weights


def evaluate_parts(
    loss: str | Loss,
    Y: npt.ArrayLike,
    y: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    total: float | None = None,
) -> tuple[Array, Array, Array]:
    """Return the loss of each target, its slope with respect to ``Y``, and how much each target counts in the mean.

    Losses and weights are ``(B, T, K)``, or ``(B, T, 1)`` for a loss of classes; after a readout without T. See
    ``evaluate``.
    """
    loss = as_loss(loss)
    Y = as_float("Y", Y)
    target = as_float("y", with_nan(y))
    if Y.ndim < 2:
        raise ShapeError(f"Y must be (n_sequences, n_steps, n_outputs) or (n_sequences, n_outputs); got {Y.shape}.")
    if target.dtype.kind == "c":
        raise DtypeError("y must hold real numbers; got complex ones.")
    if loss.of_classes and target.shape == Y.shape[:-1]:
        target = target[..., None]  # one index for each row
    elif loss.of_classes and target.shape != Y.shape:
        raise ShapeError(
            f"y must be class indices of shape {Y.shape[:-1]}, or distributions of shape {Y.shape}, to fit the outputs;"
            f" got {target.shape}. For one class for a whole sequence put a Readout before the last layer."
        )
    else:
        target = _like_outputs(Y, target)

    exists: Array = np.ones(target.shape, bool)
    if lengths is not None:
        if Y.ndim != 3:
            raise ArgumentError("lengths: these outputs have no time axis, so no lengths either; leave it out.")
        exists &= existing_steps(as_lengths(lengths, *Y.shape[:2]), Y.shape[1])[..., None]
    exists &= ~np.isnan(target)
    if loss.of_classes:
        exists = np.logical_and.reduce(exists, axis=-1, keepdims=True)
    target = np.where(exists, target, 0)
    check_finite("y", target, "; NaN marks a missing target")
    low, high = loss.between
    if loss.of_classes:
        target = _distribution(target, exists, Y.shape[-1])
    elif (wrong := exists & ((target < low) | (target > high))).any():
        raise ArgumentError(
            f"y must lie between {low} and {high} for this loss; got {target[wrong][0]}. Scale it, or encode the two"
            f" classes as {low} and {high}."
        )
    weight = exists.astype(np.float64)
    if sample_weight is not None:
        weight *= _weights(Y, sample_weight, exists)
    largest = weight.max(initial=0) or 1.0  # no sum overflows
    total = (weight / largest).sum() if total is None else as_positive("total", total) / largest

    value, slope = loss(np.where(exists, Y, 0).astype(Y.dtype), target.astype(np.real(Y).dtype))
    weight = (weight / largest / (total or 1.0)).astype(np.real(Y).dtype)
    return value, slope, weight


def _like_outputs(Y: Array, target: Array) -> Array:
    """Return the targets in the shape of the outputs."""
    if target.shape == Y.shape[:-1] and Y.shape[-1] == 1:
        return target[..., None]
    if target.shape != Y.shape:
        shapes = [Y.shape, Y.shape[:-1]] if Y.shape[-1] == 1 else [Y.shape]
        remedy = " For a class index in each row use the loss 'cross_entropy'." if target.shape == Y.shape[:-1] else ""
        raise ShapeError(
            f"y must have the shape of the outputs, {' or '.join(map(str, shapes))}; got {target.shape}.{remedy}"
        )
    return target


def _distribution(target: Array, exists: Array, n_classes: int) -> Array:
    """Return a distribution over the classes for each row, from class indices ``(..., 1)`` or distributions."""
    if target.shape[-1] == n_classes and n_classes > 1:
        sums = target.sum(axis=-1, keepdims=True)
        if (target < 0).any() or (np.abs(sums - 1) > SUM_TOLERANCE)[exists].any():
            raise ArgumentError("y must be class indices, or distributions: not negative, and each row summing to 1.")
        return target
    indices = target[..., 0]
    wrong = (indices != np.floor(indices)) | (indices < 0) | (indices >= n_classes)
    if wrong.any():
        raise ArgumentError(
            f"y must hold class indices from 0 to {n_classes - 1}, as there are {n_classes} outputs;"
            f" got {indices[wrong][0]}. Number the classes from 0, give"
            " the last layer more outputs, or, where y is no class, choose a loss such as 'squared_error'."
        )
    return (indices[..., None] == np.arange(n_classes)).astype(np.float64)


def _weights(Y: Array, sample_weight: npt.ArrayLike, exists: Array) -> Array:
    """Return checked weights that broadcast against the targets."""
    weight = as_float("sample_weight", sample_weight)
    if weight.shape not in (Y.shape[:1], Y.shape[:-1]):
        choices = " or ".join(map(str, dict.fromkeys((Y.shape[:1], Y.shape[:-1]))))
        raise ShapeError(f"sample_weight must have shape {choices}; got {weight.shape}.")
    weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (Y.ndim - weight.ndim)), exists.shape)
    weight = np.where(exists, weight, 0)
    check_finite("sample_weight", weight)
    if (weight < 0).any():
        raise ArgumentError(f"sample_weight must not be negative; got {weight.min()}. Use 0 to leave a sample out.")
    return weight
