"""Small data sets for the tests of the estimators."""

import re
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

import saiki
from saiki import estimators
from saiki.arrays import Array

ESTIMATORS: dict[str, Any] = {
    name: cls
    for name, cls in ((name, getattr(estimators, name)) for name in estimators.__all__)
    if isinstance(cls, type) and issubclass(cls, BaseEstimator)
}
"""Every estimator, found by looking: whoever adds one has it checked, proved and kept."""

QUICK: dict[str, Any] = {"hidden_layer_sizes": 6, "max_iter": 3, "random_state": 0}


def classifier(**changes: Any) -> saiki.RNNClassifier:
    return saiki.RNNClassifier(**(QUICK | changes))


def regressor(**changes: Any) -> saiki.RNNRegressor:
    return saiki.RNNRegressor(**(QUICK | changes))


MAKERS = [classifier, regressor]


def ragged(rng: np.random.Generator, n: int = 40, longest: int = 6) -> tuple[list[Array], Array, Array]:
    """Return sequences of different lengths, the same padded with NaN, and their lengths."""
    lengths = rng.integers(1, longest + 1, size=n)
    lengths[:2] = longest, 1
    sequences = [rng.standard_normal((length, 2)) for length in lengths]
    padded = np.full((n, longest + 2, 2), np.nan)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return sequences, padded, lengths


def named(value: Any) -> str:
    """Return a name for a case that is the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))[:80]
