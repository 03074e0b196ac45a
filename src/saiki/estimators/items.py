"""What stands at the nodes of trees or in sequences of items: tokens, which get vectors of their own, or vectors."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array
from saiki.errors import ArgumentError, ShapeError, UnknownTokensWarning
from saiki.estimators.scaling import Scaling


def expect_items(estimator: Any, inputs: Array, tokens: Sequence[Any] | None) -> None:
    """Note what the first items are, tokens or vectors of some length, which all that follow are held to.

    What is learnt of them, ``learn_items`` learns once it is known which of them count.
    """
    estimator.vocabulary_ = None if tokens is None else list(tokens)
    estimator._scaling = Scaling.none(inputs.shape[1]) if tokens is None else None


def learn_items(estimator: Any, inputs: Array, tokens: Sequence[Any] | None, weight: Array | None) -> None:
    """Learn which tokens there are, or the scale of vectors, as ``vocabulary_`` and ``_scaling``.

    Args:
        estimator: who learns.
        inputs: the numbers of tokens ``(n, 1)``, or vectors ``(n, n_features)``.
        tokens: the token of each number; None for vectors.
        weight: how much each counts for the scale ``(n,)``; None where all count alike.
    """
    estimator.vocabulary_ = estimator._scaling = None
    if tokens is not None:
        estimator.vocabulary_ = [tokens[number] for number in np.unique(inputs).tolist()]
    elif estimator.scale_inputs:
        estimator._scaling = Scaling.of(inputs, weight)
    else:
        estimator._scaling = Scaling.none(inputs.shape[1])


def seen_items(estimator: Any, inputs: Array, tokens: Sequence[Any] | None, dtype: npt.DTypeLike) -> Array:
    """Return tokens by the numbers that the network knows, -1 for others, or vectors on its scale."""
    if tokens is None:
        return estimator._scaling.apply(inputs, dtype)
    known = {token: number for number, token in enumerate(estimator.vocabulary_)}
    numbers = np.array([*(known.get(token, -1) for token in tokens), -1], np.int64)  # what is no token comes last
    return numbers[inputs]


def check_items(estimator: Any, inputs: Array, tokens: Sequence[Any] | None) -> None:
    """Raise unless items are of the kind that there was in fit; warn where not one token was there then.

    Raises:
        ArgumentError: tokens instead of vectors, or vectors instead of tokens.
        ShapeError: vectors of another length.
    """
    if (tokens is not None) != (estimator.vocabulary_ is not None):
        got, known = ("vectors", "tokens") if tokens is None else ("tokens", "vectors")
        raise ArgumentError(f"X must hold {known}, as in fit; got {got}.")
    if tokens is None and inputs.shape[1] != len(estimator._scaling.mean):
        raise ShapeError(f"X must hold vectors of {len(estimator._scaling.mean)}, as in fit; got {inputs.shape[1]}.")
    if tokens and not set(tokens) & set(estimator.vocabulary_):
        known = ", ".join(map(repr, estimator.vocabulary_[:5])) or "none"
        warnings.warn(
            f"none of the tokens of X was there in fit; got {tokens[0]!r}, and those of fit are {known}, ... A number"
            " and its text are two tokens.",
            UnknownTokensWarning,
            stacklevel=2,
        )


def sound_items(estimator: Any, n_tokens: int | None, n_features: int) -> bool:
    """Whether what was learnt of the items fits a network that takes these."""
    words, scaling = estimator.vocabulary_, estimator._scaling
    if words is None:
        return n_tokens is None and len(scaling.mean) == n_features
    right = all(type(word) in (int, str) for word in words) and len(set(words)) == len(words)
    return scaling is None and isinstance(words, list) and right and n_tokens == max(len(words), 1)
