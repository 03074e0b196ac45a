"""One scale for features, over all steps that exist; and which feature matters."""

import numpy as np
import pytest

import saiki
from tests.estimators.data import ragged, regressor


def test_the_scale_of_steps_that_exist(rng: np.random.Generator) -> None:
    sequences, padded, lengths = ragged(rng)
    sequences = [5 + 3 * x for x in sequences]
    padded = 5 + 3 * padded
    steps = np.concatenate(sequences)
    scaler = saiki.SequenceScaler().fit(sequences)
    np.testing.assert_allclose(scaler.mean_, steps.mean(axis=0))
    np.testing.assert_allclose(scaler.scale_, steps.std(axis=0))
    scaled = scaler.transform(sequences)
    np.testing.assert_allclose(np.concatenate(scaled), (steps - steps.mean(axis=0)) / steps.std(axis=0))
    for one, two in zip(scaler.inverse_transform(scaled), sequences, strict=True):
        np.testing.assert_allclose(one, two)
    other = saiki.SequenceScaler().fit(padded, lengths=lengths)
    np.testing.assert_array_equal(other.mean_, scaler.mean_)
    result = other.transform(padded, lengths=lengths)
    assert result.shape == padded.shape
    for row, one in zip(result, scaled, strict=True):
        np.testing.assert_array_equal(row[: len(one)], one)
        assert not row[len(one) :].any()


def test_two_axes_and_float32(rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 4)).astype(np.float32)
    scaled = saiki.SequenceScaler().fit_transform(X)
    assert scaled.dtype == np.float32
    assert scaled.shape == X.shape
    np.testing.assert_allclose((scaled.mean(), scaled.std()), (0, 1), atol=1e-6)


def test_importance_finds_what_matters(rng: np.random.Generator) -> None:
    X, _, _ = ragged(rng, 80)
    X = [np.concatenate([x, rng.standard_normal((len(x), 1))], axis=1) for x in X]
    y = np.array([x[-1, 1] for x in X])
    model = regressor(max_iter=60, hidden_layer_sizes=12).fit(X, y)
    found = saiki.sequence_permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert found.importances.shape == (3, 3)
    np.testing.assert_allclose(found.importances_mean, found.importances.mean(axis=1))
    np.testing.assert_allclose(found.importances_std, found.importances.std(axis=1))
    assert found.importances_mean.argmax() == 1
    assert found.importances_mean[1] > 5 * abs(found.importances_mean[[0, 2]]).max()
    again = saiki.sequence_permutation_importance(model, X, y, n_repeats=3, random_state=0)
    np.testing.assert_array_equal(found.importances, again.importances)
    lengths = np.array([len(x) for x in X])
    padded = np.zeros((80, lengths.max(), 3))
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    same = saiki.sequence_permutation_importance(model, padded, y, None, 3, 0, lengths=lengths)
    np.testing.assert_allclose(same.importances, found.importances, rtol=1e-9)
    scored = saiki.sequence_permutation_importance(model, X, y, "neg_mean_absolute_error", 2, 0)
    assert scored.importances_mean.argmax() == 1


def test_importance_of_what_is_no_sequence(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 4, 2))
    model = regressor().fit(X, X[:, 0, 0])
    with pytest.raises(saiki.ShapeError, match="X must be"):
        saiki.sequence_permutation_importance(model, X[:, :, 0], X[:, 0, 0])
    with pytest.raises(saiki.ArgumentError, match="n_repeats"):
        saiki.sequence_permutation_importance(model, X, X[:, 0, 0], n_repeats=0)
    with pytest.raises(saiki.ArgumentError, match="lengths go with padded arrays"):
        saiki.sequence_permutation_importance(model, list(X), X[:, 0, 0], lengths=[4] * 8)
