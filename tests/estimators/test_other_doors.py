"""The rules that hold at ``fit`` and ``predict`` hold wherever else data and parameters come in."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, cross_val_score, train_test_split
from sklearn.utils import resample

import saiki


def frame(rng: np.random.Generator, columns: list[str]) -> Any:
    values = rng.standard_normal((40, 5, 2))
    table = pd.DataFrame(values.reshape(-1, 2), columns=["a", "b"])
    table["id"] = np.repeat(np.arange(40), 5)
    table["y"] = np.repeat(values[..., 0].mean(axis=1) > 0, 5).astype(int)
    return saiki.sequences(table[[*columns, "id", "y"]], id="id", target="y")


@pytest.mark.parametrize("make", [saiki.RNNClassifier, saiki.RNNRegressor])
def test_parameters_that_were_replaced_are_saved(make: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 5, 1)), np.arange(20) % 2
    for options in ({}, {"early_stopping": True}):
        model = make(hidden_layer_sizes=3, max_iter=3, random_state=0, **options).fit(X, y)
        model.params_ = {name: -3 * param for name, param in model.params_.items()}
        saiki.save(model, tmp_path / "model")
        np.testing.assert_array_equal(saiki.load(tmp_path / "model").predict(X), model.predict(X))


def test_names_of_features_survive_the_splitters_of_scikit_learn(rng: np.random.Generator) -> None:
    seed = int(rng.integers(1000))
    one, other = (frame(np.random.default_rng(seed), columns) for columns in (["a", "b"], ["b", "a"]))
    X, X_test, y, _ = train_test_split(one, one.y, random_state=0)
    X2, X2_test, _, _ = train_test_split(other.X, other.y, random_state=0)
    model = saiki.RNNClassifier(hidden_layer_sizes=4, max_iter=5, random_state=0).fit(X, y)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(model.predict_proba(X2_test), model.predict_proba(X_test))
    assert model.score(X2, y) == model.score(X, y)
    assert resample(other.X, random_state=0).features == ["b", "a"]
    for train, _ in KFold(3).split(one.X):
        assert one.X[train].features == ["a", "b"]
    assert np.isfinite(cross_val_score(model, one.X, one.y, cv=3)).all()


class Row(NamedTuple):
    b: float
    a: float


def test_a_step_with_names_is_put_in_order(rng: np.random.Generator) -> None:
    found = frame(rng, ["a", "b"])
    model = saiki.RNNClassifier(hidden_layer_sizes=4, max_iter=2, random_state=0).fit(found.X, found.y)
    (_, plain), (_, named) = model.step(np.array([0.5, -2.0])), model.step(Row(-2.0, 0.5))
    for name in plain:
        np.testing.assert_array_equal(named[name], plain[name])


@pytest.mark.parametrize("output", ["last", "each"])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1e-22, 1: 7.3e-22}, {0: 1e10, 1: 3e10}])
def test_only_the_ratios_of_weights_count(output: Any, class_weight: Any, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 5, 1)), np.arange(20) % 2
    y = np.repeat(y[:, None], 5, axis=1) if output == "each" else y
    weights = rng.integers(1, 4, 20).astype(float)  # small whole numbers, which the least float64 can be multiplied by
    losses = []
    for scale in (1.0, 5e-324, 2.0**-1000, 2.0**1000):
        model = saiki.RNNClassifier(
            hidden_layer_sizes=3, max_iter=2, random_state=0, output=output, class_weight=class_weight, batch_size=8
        ).fit(X, y, sample_weight=weights * scale)
        losses.append([*model.loss_curve_, model.score(X, y, sample_weight=weights * scale)])
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-12)  # sums of the same numbers
