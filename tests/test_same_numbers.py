"""The same numbers to the bit, however arrays lie in memory and whatever power of two they are multiplied by."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.layers.layer import Layer
from saiki.losses import evaluate
from saiki.optimizers import adam
from tests.estimators.data import ARRAYS, classifier, quick, regressor


def strided(array: Array) -> Array:
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def reversed_in_memory(array: Array) -> Array:
    return np.ascontiguousarray(array[..., ::-1])[..., ::-1]


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    moved = raw[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


ORDERS: dict[str, Callable[[Array], Array]] = {
    "Fortran": np.asfortranarray,
    "strided": strided,
    "reversed": reversed_in_memory,
    "read only": read_only,
    "unaligned": unaligned,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder()),
    "masked nowhere": lambda array: np.ma.array(array, mask=np.zeros(array.shape, bool)),
}


def same(found: Any, expected: Any) -> bool:
    """Whether all arrays in two results are equal to the bit."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    if isinstance(expected, tuple | list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, saiki.Gradients):
        return same([found.params, found.X, found.state], [expected.params, expected.X, expected.state])
    return np.array_equal(found, expected) if isinstance(expected, np.ndarray | float) else True


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ARRAYS)
def test_estimators_do_not_see_the_order_in_memory(name: str, order: str, rng: np.random.Generator) -> None:
    X, weight = rng.standard_normal((20, 5, 3)), rng.random(20) + 0.1
    y = rng.standard_normal(20) if "Regressor" in name else rng.integers(2, size=20)
    change = ORDERS[order]
    arguments = set(inspect.signature(ARRAYS[name]().fit).parameters)
    weights = {"sample_weight": weight} if "sample_weight" in arguments else {}

    def run(X: Any, y: Any, weights: dict[str, Array]) -> list[Any]:
        few = {"epochs": 2} if name == "ScratchSimpleRNNClassifier" else {}
        model = quick(name, **few).fit(X, y, **weights)
        learnt = [getattr(model, attribute) for attribute in vars(model) if attribute.endswith("params_")]
        methods = [method for method in ("predict", "predict_proba", "transform") if hasattr(model, method)]
        said = [getattr(model, method)(X) for method in methods]
        return [*learnt, *said, model.score(X, y, **weights) if hasattr(model, "score") else 0.0]

    expected = run(X, y, weights)
    assert same(run(change(X), change(y), {key: change(value) for key, value in weights.items()}), expected)
    if order != "masked nowhere":
        assert same(run([change(x) for x in X], change(y), weights)[0], expected[0])


@pytest.mark.parametrize("engine", ["compiled", "reference"])
@pytest.mark.parametrize("order", ORDERS)
def test_networks_do_not_see_the_order_in_memory(order: str, engine: str, rng: np.random.Generator) -> None:
    change = ORDERS[order]
    models: list[Layer] = [
        saiki.Network([saiki.LSTM(3, 17), saiki.Dense(17, 2)]),
        saiki.Network([saiki.Bidirectional(saiki.GRU(3, 17)), saiki.Dense(34, 2)]),
        saiki.SimpleRNN(3, 17),
    ]
    for model in models:
        params = model.init(rng)
        changed = (
            params
            if order in ("byte-swapped", "masked nowhere")
            else {key: change(value) for key, value in params.items()}
        )
        X, lengths = rng.standard_normal((9, 11, 3)), rng.integers(1, 12, size=9)
        for some in (None, lengths):
            other = None if some is None else change(some)
            Y, state, tape = model.forward(params, X, lengths=some, engine=engine)
            found = model.forward(changed, change(X), lengths=other, engine=engine)
            assert same([found[0], found[1]], [Y, state])
            expected = model.predict(params, X, lengths=some, engine=engine)
            assert same(model.predict(changed, change(X), lengths=other, engine=engine), expected)
            assert same(model.backward(changed, tape, change(Y)), model.backward(params, tape, Y))
            if isinstance(model, saiki.Network):
                y, weight, optimizer = rng.standard_normal((9, 11, 2)), rng.random((9, 11)), adam(0.1)
                given: dict[str, Any] = {
                    "lengths": some,
                    "sample_weight": weight,
                    "loss": "squared_error",
                    "engine": engine,
                }
                turned = given | {"lengths": other, "sample_weight": change(weight)}
                result = model.loss_and_gradients(params, X, y, **given)
                assert same(model.loss_and_gradients(changed, change(X), change(y), **turned), result)
                begin = optimizer.init(params)
                update = model.update(params, optimizer, begin, X, y, **given)[:2]
                assert same(model.update(changed, optimizer, begin, change(X), change(y), **turned)[:2], update)
    Y, y, weight = rng.standard_normal((9, 11, 2)), rng.standard_normal((9, 11, 2)), rng.random((9, 11))
    loss = evaluate("huber", Y, y, sample_weight=weight)
    assert same(evaluate("huber", change(Y), change(y), sample_weight=change(weight)), loss)


SCALES = [-900, -537, 537, 900]
"""Exponents of two: with the first and the last the square is 0 or infinite."""


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("of_X", SCALES)
@pytest.mark.parametrize("of_y", SCALES)
def test_scores_do_not_depend_on_the_scale(of_X: int, of_y: int, rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4, 2))
    X[..., 1] = 0.1  # a constant feature
    y = X[:, :, 0].sum(axis=1)
    s, r = 2.0**of_X, 2.0**of_y
    plain, scaled = regressor().fit(X, y), regressor().fit(X * s, y * r)
    assert all((plain.params_[key] == scaled.params_[key]).all() for key in plain.params_)
    assert np.array_equal(scaled.predict(X * s), plain.predict(X) * r)
    assert scaled.score(X * s, y * r) == plain.score(X, y)
    assert np.isfinite(plain.score(X, y))
    labels = y > 0
    assert classifier().fit(X * s, labels).score(X * s, labels) == classifier().fit(X, labels).score(X, labels)
    scaler, unit = saiki.SequenceScaler().fit(X * s), saiki.SequenceScaler().fit(X)
    assert np.array_equal(scaler.transform(X * s), unit.transform(X))
    assert np.array_equal(scaler.inverse_transform(unit.transform(X)), unit.inverse_transform(unit.transform(X)) * s)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("exponent", [-110, 110])
def test_scores_do_not_depend_on_the_scale_in_float32(exponent: int, rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 4, 1)).astype(np.float32)
    y = X[:, :, 0].sum(axis=1)
    s = np.float32(2.0**exponent)
    plain, scaled = regressor().fit(X, y), regressor().fit(X * s, y * s)
    assert scaled.score(X * s, y * s) == plain.score(X, y)
    assert np.array_equal(scaled.predict(X * s), plain.predict(X) * s)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_that_predictions_cannot_hold_are_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 3, 1))
    y = X[:, :, 0].sum(axis=1)
    for factor in (1e38, 1e-39, 1e200):
        with pytest.raises(saiki.ArgumentError, match="y must lie well within the range of float32"):
            regressor().fit(X.astype(np.float32), y / np.abs(y).max() * 4 * factor)
    for model, given in ((regressor(), X), (saiki.SequenceScaler(), X)):
        with pytest.raises(saiki.ArgumentError, match="X must lie"):
            model.fit(given / np.abs(given).max() * 1.7e308, y)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("magnitude", [1e-300, 1e-160, 1e160, 1e300])
def test_the_ends_of_float64(magnitude: float, rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5, 1))
    y = X[:, :, 0].mean(axis=1)
    found = regressor().fit(X * magnitude, y * magnitude).score(X * magnitude, y * magnitude)
    np.testing.assert_allclose(found, regressor().fit(X, y).score(X, y), atol=1e-9)  # what multiplying rounds


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("constant", [1e-300, 0.1, 7.0, 1e25, 1e300])
def test_a_constant_column_stays_small(constant: float, rng: np.random.Generator) -> None:
    X = np.full((30, 4, 1), constant)
    assert not saiki.SequenceScaler().fit(X).transform(X).any()
    jitter = X * (1 + rng.integers(-1, 2, size=X.shape) * np.finfo(float).eps)  # as sums of other orders differ
    scaler = saiki.SequenceScaler().fit(jitter)
    assert np.abs(scaler.transform(jitter)).max() < 4
    assert scaler.scale_[0] == 1 or not 1e-15 < constant < 1e15
    y = np.full(30, constant)
    off = np.abs(regressor().fit(rng.standard_normal((30, 4, 1)), y).predict(X) - constant)
    assert off.max() <= max(1.0, 1e-14 * constant)


@pytest.mark.parametrize("magnitude", [1e-30, 1e30, 1e308])
def test_weights_count_by_their_ratios(magnitude: float, rng: np.random.Generator) -> None:
    X, weight = rng.standard_normal((8, 3, 1)), np.array([1.0, 0, 1, 1, 0, 0, 0, 0])
    y = X[:, :, 0].sum(axis=1)
    found = regressor().fit(X, y, sample_weight=weight * magnitude).score(X, y, weight * magnitude)
    np.testing.assert_allclose(found, regressor().fit(X, y, sample_weight=weight).score(X, y, weight), rtol=1e-6)
