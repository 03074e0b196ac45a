"""Which features matter: how much worse the score gets when a feature comes from other sequences."""

from __future__ import annotations  # help() shows what is written here

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import check_scoring
from sklearn.utils import Bunch, check_random_state

from saiki.arrays import Array, as_count, as_float, as_lengths
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.feature_names import without_names
from saiki.estimators.named import NamedSequences
from saiki.training.examples import Ragged


def sequence_permutation_importance(
    estimator: Any,
    X: Any,
    y: Any,
    scoring: Any = None,
    n_repeats: int = 5,
    random_state: int | np.random.RandomState | None = None,
    sample_weight: Any = None,
    lengths: npt.ArrayLike | None = None,
) -> Bunch:
    """Return how much the score falls when each feature's whole series is exchanged between sequences.

    The series stay whole, so that what is measured is the feature and not the order of its steps. A sequence that is
    longer than the one that it takes a series from takes it again from the beginning. scikit-learn's
    ``permutation_importance`` takes tables only. Source: Breiman (2001), "Random forests", section 10.

    Args:
        estimator: a fitted estimator.
        X: the sequences, ``(n_sequences, n_steps, n_features)``, a list of ``(n_steps, n_features)``, or what
            ``saiki.sequences`` returns.
        y: their targets.
        scoring: how to score, as scikit-learn has it; None is the estimator's own ``score``.
        n_repeats: how often each feature is exchanged.
        random_state: the seed.
        sample_weight: how much each sequence counts.
        lengths: ``(n_sequences,)`` for padded arrays.

    Returns:
        A bunch with ``importances`` ``(n_features, n_repeats)``, ``importances_mean`` and ``importances_std``
        ``(n_features,)``, as from scikit-learn; the features are in the order in which X has them.

    Raises:
        ShapeError: X is no array of three axes, nor a list of arrays of two.
        ArgumentError: n_repeats is below 1.

    >>> from saiki import RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(100, 5, 2))
    >>> regressor = RNNRegressor(hidden_layer_sizes=8, random_state=0).fit(X, X[:, -1, 1])
    >>> importance = sequence_permutation_importance(regressor, X, X[:, -1, 1], random_state=0)
    >>> bool(importance.importances_mean[1] > 10 * abs(importance.importances_mean[0]))
    True
    """
    as_count("n_repeats", n_repeats)
    given, (X, names) = X, without_names(X)
    as_list = isinstance(X, list | tuple)
    if as_list:
        if lengths is not None:
            raise ArgumentError("lengths go with padded arrays; a list of sequences has its own. Leave lengths out.")
        parts = [as_float(f"X[{i}]", part) for i, part in enumerate(X)]
        if not parts or any(part.ndim != 2 or part.shape[1] != parts[0].shape[1] for part in parts):
            raise ShapeError("X must hold arrays (n_steps, n_features) with as many features each.")
        steps = Ragged.of_list(parts)
    else:
        array = as_float("X", X)
        if array.ndim != 3:
            raise ShapeError(f"X must be (n_sequences, n_steps, n_features); got {array.shape}.")
        steps = Ragged.of_padded(array, None if lengths is None else as_lengths(lengths, *array.shape[:2]))
    metadata = {"sample_weight": sample_weight, "lengths": lengths}
    options = {name: value for name, value in metadata.items() if value is not None}
    scorer = check_scoring(estimator, scoring)

    def score(values: Array) -> float:
        changed = steps.with_values(values)
        sequences: Any = changed.split() if as_list else changed.padded(array.shape[1])
        if names is not None:
            sequences = NamedSequences.of(given, sequences, names)
        return float(scorer(estimator, sequences, y, **options))

    generator, whole = check_random_state(random_state), score(steps.values)
    n_features = steps.values.shape[1]
    importances = np.empty((n_features, n_repeats))
    for feature in range(n_features):
        for repeat in range(n_repeats):
            values = steps.values.copy()
            values[:, feature] = steps.values[_exchanged(steps, generator), feature]
            importances[feature, repeat] = whole - score(values)
    return Bunch(
        importances=importances, importances_mean=importances.mean(axis=1), importances_std=importances.std(axis=1)
    )


def _exchanged(steps: Ragged, generator: np.random.RandomState) -> Array:
    """Return for each step the place of the step of another sequence that it is exchanged for."""
    givers = np.flatnonzero(steps.lengths)  # a sequence without steps has none to give
    other = np.zeros(len(steps), np.int64)
    other[givers] = generator.permutation(givers)
    owners = steps.owners()
    at = np.arange(len(steps.values)) - steps.starts[owners]
    return steps.starts[other[owners]] + at % steps.lengths[other[owners]]
