"""What scikit-learn asks of every estimator, of those whose inputs its own checks cannot make."""

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score

import saiki
from tests.estimators.data import OTHERS, data_for, quick

pytestmark = pytest.mark.parametrize("name", OTHERS)


def same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_parameters_are_held_as_they_came(name: str) -> None:
    defaults = {key: p.default for key, p in inspect.signature(OTHERS[name].__init__).parameters.items()}
    model = OTHERS[name]()
    assert model.get_params() == {key: value for key, value in defaults.items() if key != "self"}
    assert vars(model) == model.get_params()
    for key in model.get_params():
        odd = [object()]
        assert getattr(OTHERS[name](**{key: odd}), key) is odd
        assert f"\n    {key}: " in (OTHERS[name].__doc__ or "")
    other = clone(model.set_params(max_iter=7, dtype="float32"))
    assert (other.max_iter, other.dtype) == (7, "float32")
    assert repr(other) == f"{name}(dtype='float32', max_iter=7)"
    with pytest.raises(ValueError, match="Invalid parameter 'n_nodes'"):
        model.set_params(n_nodes=3)


def test_a_fit(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    held = copy.deepcopy((X, y))
    model = quick(name)
    before = model.get_params()
    assert model.fit(X, y) is model
    assert model.get_params() == before
    assert (X, y) == held
    assert model.n_iter_ == len(model.loss_curve_) == 3
    assert model.loss_ == model.loss_curve_[-1]
    assert all(key.endswith("_") or key.startswith("_") for key in vars(model).keys() - before.keys())
    documented = {key for key in type(model)._attributes if key != "classes_" or is_classifier(model)}
    assert documented <= vars(model).keys()
    assert same(quick(name).fit(X, y).params_.values(), model.params_.values())
    assert same(model.fit(X, y).params_.values(), quick(name).fit(X, y).params_.values())  # what was is forgotten
    assert not same(quick(name, random_state=1).fit(X, y).params_.values(), model.params_.values())
    assert 0 <= model.score(X, y) <= 1 or is_regressor(model)


def test_a_fit_of_other_things_forgets_the_first(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    fewer, own = X[:1] * 6, y[:1] * 6
    model = quick(name).fit(X, y)
    assert same(model.fit(fewer, own).params_.values(), quick(name).fit(fewer, own).params_.values())
    assert model.vocabulary_ == quick(name).fit(fewer, own).vocabulary_
    before = model.params_
    with pytest.raises(saiki.SaikiError):
        model.fit(X, y[:-1])
    assert model.params_ is before  # bad input changes nothing
    assert model.vocabulary_ == quick(name).fit(fewer, own).vocabulary_


def test_what_needs_a_fit_says_so(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    for method, arguments in (("predict", (X,)), ("score", (X, y))):
        with pytest.raises(NotFittedError, match=f"This {name} instance is not fitted yet"):
            getattr(quick(name), method)(*arguments)
    with pytest.raises(saiki.ArgumentError, match=f"{name} requires y to be passed, but the target y is None"):
        quick(name).fit(X, None)


def test_copies(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    model = quick(name).fit(X, y)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert list(other.predict(X)) == list(model.predict(X))
        assert other.partial_fit(X, y).n_iter_ == 4
    assert model.n_iter_ == 3


def test_model_selection(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    size = "n_units" if "n_units" in quick(name).get_params() else "hidden_layer_sizes"
    search = GridSearchCV(quick(name), {size: [3, 4]}, cv=KFold(2), error_score="raise").fit(X, y)
    assert search.best_estimator_.get_params()[size] == search.best_params_[size]
    assert len(search.predict(X)) == len(X)
    assert np.isfinite(cross_val_score(quick(name), X, y, cv=2, error_score="raise")).all()
    assert len(cross_val_predict(quick(name), X, np.array(y) if is_classifier(quick(name)) else y, cv=KFold(2))) == 12


def test_stopping(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    model = quick(name, early_stopping=True, max_iter=30, n_iter_no_change=2, tol=1.0).fit(
        X, y, validation_data={"X": X[:6], "y": y[:6], "sample_weight": np.ones(6)}
    )
    assert model.n_iter_ < 30
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(X[:6], y[:6])
    held_out = quick(name, early_stopping=True, validation_fraction=0.25, max_iter=5).fit(X, y)
    assert len(held_out.validation_scores_) == held_out.n_iter_ <= 5
    assert quick(name).fit(X, y, validation_data=(X, y)).validation_scores_[-1] == quick(name).fit(X, y).score(X, y)
    assert quick(name).fit(X, y).validation_scores_ is None
    assert quick(name, max_iter=9, callbacks=[lambda epoch: epoch.count == 2]).fit(X, y).n_iter_ == 2
    constant = {"max_iter": 40, "tol": 1e9, "n_iter_no_change": 1, "learning_rate": "constant"}
    assert quick(name, **constant).fit(X, y).n_iter_ == 3
    few = "validation_fraction must leave"
    with pytest.raises(saiki.ArgumentError, match=few):
        quick(name, early_stopping=True).fit(X[:2], y[:2])


def test_going_on(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    model = quick(name, warm_start=True).fit(X, y)
    first = model.loss_curve_
    assert model.fit(X, y).loss_curve_[:3] == first
    assert model.n_iter_ == 6
    with pytest.raises(saiki.ArgumentError, match=r"another one\. Set them back"):
        model.set_params(embedding_size=3).fit(X, y)
    one, steps = (quick(name, learning_rate="constant") for _ in range(2))
    one.fit(X, y)
    for _ in range(3):
        assert steps.partial_fit(X, y) is steps
    assert same(one.params_.values(), steps.params_.values())
    with pytest.raises(saiki.ArgumentError, match=r"early_stopping must be False for partial_fit, which sees every"):
        quick(name, early_stopping=True).partial_fit(X, y)


def test_progress_and_threads(name: str, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data_for(name, rng)
    one, two = quick(name, verbose=True, n_jobs=1).fit(X, y), quick(name, n_jobs=2).fit(X, y)
    out, err = capsys.readouterr()
    first, *_, last = err.splitlines()
    assert out == ""
    assert first.startswith(f"epoch 1/{one.n_iter_}, loss {one.loss_curve_[0]:.4g}, ")
    assert last.startswith(f"epoch {one.n_iter_}/{one.n_iter_}, loss {one.loss_:.4g}, ")
    for key, param in one.params_.items():
        np.testing.assert_allclose(two.params_[key], param, rtol=1e-9, atol=1e-12)


def test_engines_agree(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    by_hand, compiled = (quick(name, engine=engine).fit(X, y) for engine in ("reference", "compiled"))
    np.testing.assert_allclose(by_hand.loss_curve_, compiled.loss_curve_, rtol=1e-7)
    for key, param in by_hand.params_.items():
        np.testing.assert_allclose(compiled.params_[key], param, rtol=1e-6, atol=1e-8)
    assert list(by_hand.predict(X)) == list(compiled.predict(X)) or is_regressor(by_hand)
    np.testing.assert_allclose(by_hand.score(X, y), compiled.score(X, y), rtol=1e-6)


def test_precision(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    for dtype in ("float32", np.float32, "float64"):
        model = quick(name, dtype=dtype).fit(X, y)
        assert all(param.dtype == dtype for param in model.params_.values())
        assert len(model.predict(X)) == len(X)
    assert all(param.dtype == np.float64 for param in quick(name).fit(X, y).params_.values())


def test_wrong_parameters(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    wrong: dict[str, list[tuple[Any, str]]] = {
        "cell": [
            ("grú", "cell must be one of .*'gru'"),
            (saiki.cells.CELLS["gru"], "of a cell over trees"),
            (3, "got 3"),
        ],
        "embedding_size": [(0, "embedding_size must be a whole number of at least 1; got 0")],
        "output": [("last", "output must be one of 'root', 'each'; got 'last'")],
        "beam": [(0, "beam must be a whole number of at least 1")],
        "margin": [(0, "margin must be a positive, finite number")],
        "n_units": [(0, "n_units must be a whole number"), ("6", "n_units must be a whole number")],
        "hidden_layer_sizes": [((), "hidden_layer_sizes must be")],
        "dtype": [("int8", "dtype must be None")],
        "engine": [("cuda", "engine must be one of")],
        "solver": [("lbfgs", "solver must be one of")],
    }
    known = quick(name).get_params()
    for parameter, cases in wrong.items():
        for value, message in cases if parameter in known else ():
            with pytest.raises(saiki.ArgumentError, match=message):
                quick(name, **{parameter: value}).fit(X, y)
    with pytest.raises(saiki.ArgumentError, match=r"cell must (have a left and a right|be one, or one for)"):
        quick(name, cell="child_sum_lstm" if name == "ParserNetwork" else ["lstm", "gru"]).fit(X, y)


def test_what_the_items_are_is_held_to(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    model = quick(name).fit(X, y)
    a, b = rng.standard_normal((2, 3))
    pair = [np.stack([a, b])] if name == "ParserNetwork" else [(a, b)]
    known: Any = [("x", "y")] if name == "ParserNetwork" else [1]
    with pytest.raises(saiki.ArgumentError, match=r"X must hold tokens, as in fit; got vectors\."):
        model.predict(pair)
    of_vectors = quick(name).fit(pair, known)
    assert of_vectors.vocabulary_ is None
    with pytest.raises(saiki.ArgumentError, match=r"X must hold vectors, as in fit; got tokens\."):
        of_vectors.predict(X)
    shorter = [np.ones((2, 2))] if name == "ParserNetwork" else [(a[:2], b[:2])]
    with pytest.raises(saiki.ShapeError, match=r"X must hold vectors of 3, as in fit; got 2\."):
        of_vectors.predict(shorter)
    for data in (pair, shorter):  # what is held out is held to it as well, in the first fit too
        with pytest.raises(saiki.SaikiError, match="as in fit"):
            quick(name).fit(X, y, validation_data=(data, known))
    with pytest.raises(saiki.ShapeError, match="vectors of 3, as in fit; got 2"):
        model.fit(pair, known, validation_data=(shorter, known))
    assert len(model.predict(X)) == len(X)  # and leaves what was


def test_bad_lists(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    model = quick(name).fit(X, y)
    one = "sequence" if name == "ParserNetwork" else "tree"
    with pytest.raises(saiki.ArgumentError, match=f"X must hold at least one {one}; got none"):
        model.predict([])
    for bad in (None, "true", 3, {"a": 1}, iter(X)):
        with pytest.raises(saiki.ArgumentError, match=f"X must be a list of {one}s.*; got "):
            model.predict(bad)
    with pytest.raises(saiki.ShapeError, match=f"y must hold (one entry|a tree) for each of the 12 {one}s; got 11"):
        model.fit(X, y[:-1])
    with pytest.raises(saiki.ShapeError, match=r"sample_weight must have shape \(12,\).*; got \(2,\)"):
        model.fit(X, y, sample_weight=[1, 2])
    for weight in (np.zeros(12), np.full(12, -1.0)):
        with pytest.raises(saiki.ArgumentError, match=r"sample_weight must (not be negative|hold at least one weight)"):
            model.fit(X, y, sample_weight=weight)
    with pytest.raises(saiki.DtypeError, match="sample_weight must hold numbers"):
        model.fit(X, y, sample_weight=["a"] * 12)
    with pytest.raises(saiki.ArgumentError, match=r"validation_data must be a pair \(X, y\), or a dict"):
        model.fit(X, y, validation_data=3)
