"""Losses: the value and its gradient in one call, as a mean over what exists.

A loss is a function of single numbers, ``(output, target)`` to ``(value, slope)``. ``evaluate`` does the rest, once for
all of them: which targets exist, how much each counts, and the mean.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, as_float, as_lengths, check_finite, existing_steps
from saiki.errors import ArgumentError, ShapeError, choose
from saiki.maths import sigmoid, softplus

Loss: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]


def squared_error(output: Array, target: Array) -> tuple[Array, Array]:
    """Half the squared error ``(output - target)**2 / 2``, whose slope is ``output - target``."""
    difference = output - target
    return difference * difference / 2, difference


def logistic(output: Array, target: Array) -> tuple[Array, Array]:
    """Logistic loss of logits: ``-log sigmoid(v)`` for target 1, ``-log sigmoid(-v)`` for 0; linear between them.

    The slope is ``sigmoid(v) - target``. Finite for any finite logit.

    Raises:
        ArgumentError: a target outside 0 to 1.
    """
    if target.size and (target.min() < 0 or target.max() > 1):
        raise ArgumentError(
            f"y must lie between 0 and 1 for the logistic loss; got {target.min()} to {target.max()}."
            " Encode the two classes as 0 and 1."
        )
    return softplus(output) - target * output, sigmoid(output) - target


LOSSES: dict[str, Loss] = {"squared_error": squared_error, "logistic": logistic}
"""Every loss by name."""


def evaluate(
    loss: str | Loss,
    Y: Array,
    y: npt.ArrayLike,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> tuple[Any, Array]:
    """Return the mean loss over what exists, and its gradient with respect to ``Y``.

    Args:
        loss: the name of a loss, or one itself.
        Y: outputs ``(B, T, K)``, one for each step, or ``(B, K)``, one for each sequence.
        y: targets of the same shape; the last axis may be left out where K is 1. NaN marks a missing target.
        lengths: ``(B,)``; steps beyond a sequence's length do not exist.
        sample_weight: ``(B,)`` or, for outputs of each step, ``(B, T)``: how much each target counts in the mean.

    Returns:
        The loss, zero where nothing exists, and the gradient in the shape of ``Y``.

    Raises:
        ShapeError: y or sample_weight does not fit Y.
        ArgumentError: an unknown loss, an infinite target, or a weight that is negative or not finite.

    >>> Y = np.array([[[1.0], [3.0], [9.0]]])
    >>> value, dY = evaluate("squared_error", Y, [[0.0, np.nan, 9.0]], lengths=[2])
    >>> float(value), dY.ravel().tolist()
    (0.5, [1.0, 0.0, 0.0])
    """
    function = loss if callable(loss) else choose("loss", loss, LOSSES)
    target, weight = _targets(Y, y), None
    missing = np.isnan(target)
    if missing.any():
        target, weight = np.where(missing, 0, target), np.where(missing, 0.0, 1.0)
    check_finite("y", target, "; NaN marks a missing target")
    if lengths is not None and Y.ndim == 3:
        exists = existing_steps(as_lengths(lengths, *Y.shape[:2]), Y.shape[1])[..., None]
        weight = np.where(exists, 1.0 if weight is None else weight, 0.0)
        target = np.where(exists, target, 0)
    if sample_weight is not None:
        weight = _weights(Y, sample_weight) * (1.0 if weight is None else weight)

    value, slope = function(Y, target)
    if weight is None:
        return value.sum() / max(value.size, 1), slope / max(value.size, 1)
    weight = np.broadcast_to(weight, Y.shape)
    weight = (weight / (weight.sum() or 1.0)).astype(np.real(Y).dtype)
    return (value * weight).sum(), slope * weight


def _targets(Y: Array, y: npt.ArrayLike) -> Array:
    """Return the targets in the shape and precision of the outputs."""
    target = as_float("y", y)
    if target.shape == Y.shape[:-1] and Y.shape[-1] == 1:
        target = target[..., None]
    if target.shape != Y.shape:
        also = f" or {Y.shape[:-1]}" if Y.shape[-1] == 1 else ""
        raise ShapeError(f"y must have the shape of the outputs, {Y.shape}{also}; got {np.shape(y)}.")
    return target.astype(np.real(Y).dtype, copy=False)


def _weights(Y: Array, sample_weight: npt.ArrayLike) -> Array:
    """Return checked weights that broadcast against the outputs."""
    weight = as_float("sample_weight", sample_weight)
    if weight.shape not in (Y.shape[:1], Y.shape[:-1]):
        choices = " or ".join(map(str, dict.fromkeys((Y.shape[:1], Y.shape[:-1]))))
        raise ShapeError(f"sample_weight must have shape {choices}; got {weight.shape}.")
    check_finite("sample_weight", weight)
    if (weight < 0).any():
        raise ArgumentError(f"sample_weight must not be negative; got {weight.min()}. Use 0 to leave a sample out.")
    return weight.reshape(weight.shape + (1,) * (Y.ndim - weight.ndim))
