"""Features that have names are the same features in whatever order they come, or they are refused."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

import saiki
from saiki import tensors
from tests.estimators.data import ARRAYS, QUICK, quick

MAKE: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "pandas, nullable": lambda frame: frame.convert_dtypes(),
    "polars": lambda frame: pl.DataFrame({str(name): frame[name].to_numpy() for name in frame}),
    "arrow": lambda frame: pa.table({str(name): frame[name].to_numpy() for name in frame}),
}
NAMES: list[list[Any]] = [
    ["a", "b"], [0, 1], [1, 0], [np.int64(4), np.int64(3)], [("m", "a"), ("m", 1)],
    [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-02")], [1.5, "x"],
]  # fmt: skip


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    """Return twelve sequences of three steps."""
    columns = {"a": rng.standard_normal(36), "b": 5 * rng.standard_normal(36) + 3}
    return pd.DataFrame({"id": np.repeat(np.arange(12), 3), **columns, "y": np.repeat(["up", "down"] * 6, 3)})


def _both(frame: pd.DataFrame) -> tuple[Any, Any]:
    """Return the same sequences with their features in two orders."""
    ab, ba = (saiki.sequences(frame, "id", features=names, target="y") for names in (["a", "b"], ["b", "a"]))
    return ab, ba


def _said(estimator: Any, X: Any) -> Any:
    """Return what an estimator says of sequences, in numbers."""
    if hasattr(estimator, "transform"):
        return np.array(list(estimator.transform(X)))
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_every_estimator_puts_features_in_order(name: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    ab, ba = _both(frame)
    y = np.arange(12.0) if "Regressor" in name else ab.y
    fitted = quick(name).fit(ab.X, y)
    assert fitted.feature_names_in_.tolist() == ["a", "b"]
    assert fitted.feature_names_in_.dtype == object
    assert (_said(quick(name).fit(ab, y), ab) == _said(fitted, ab.X)).all()
    saiki.save(fitted, tmp_path / "model")
    for estimator in (fitted, saiki.load(tmp_path / "model")):
        assert (_said(estimator, ba) == _said(estimator, ab)).all()
        assert (_said(estimator, ba.X) == _said(estimator, ab.X)).all()
        assert (_said(estimator, ba.X[2:4]) == _said(estimator, ab.X[2:4])).all()
        for features in (["a"], ["a", "b", "id"]):
            other = saiki.sequences(frame.assign(other=frame["id"]), "other", features=features)
            with pytest.raises(saiki.ArgumentError, match=r"missing: 'b'\.|unknown: 'id'\."):
                _said(estimator, other)
        with pytest.raises(saiki.ArgumentError, match="missing: 'b'; unknown: 'B'"):
            _said(estimator, saiki.sequences(frame.rename(columns={"b": "B"}), "id", features=["a", "B"]))
        with pytest.warns(UserWarning, match="X does not have valid feature names, but"):
            assert (_said(estimator, [*ab.X]) == _said(estimator, ab)).all()
    if hasattr(fitted, "score"):
        assert fitted.score(ba, y) == fitted.score(ab, y)
    with pytest.warns(UserWarning, match="X has feature names, but .* was fitted without"):
        _said(quick(name).fit(list(ab.X), y), ab)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_lists_of_frames(name: str, make: str, frame: pd.DataFrame) -> None:
    frame["b"] = frame["b"] > 3  # truth values are numbers, as in an array
    ab, _ = _both(frame)
    y = np.arange(12.0) if "Regressor" in name else ab.y
    parts = [part[["a", "b"]].reset_index(drop=True) for _, part in frame.groupby("id")]
    fitted = quick(name).fit([MAKE[make](part) for part in parts], y)
    assert (_said(fitted, ab) == _said(quick(name).fit(ab, y), ab)).all()
    assert (_said(fitted, [MAKE[make](part[["b", "a"]]) for part in parts]) == _said(fitted, ab)).all()
    mixed = [MAKE[make](part[["b", "a"]] if i % 2 else part) for i, part in enumerate(parts)]
    assert (_said(fitted, mixed) == _said(fitted, ab)).all()
    with pytest.raises(saiki.ArgumentError, match=r"X\[3\] must have the columns of X\[0\]"):
        _said(fitted, [MAKE[make](part if i != 3 else part[["a"]]) for i, part in enumerate(parts)])
    with pytest.raises(saiki.ArgumentError, match=r"X\[3\] must be a data frame, as X\[0\] is; got ndarray"):
        _said(fitted, [MAKE[make](part) if i != 3 else part.to_numpy() for i, part in enumerate(parts)])
    with pytest.raises(saiki.DtypeError, match=r"X\[3\]: column 'a' must hold numbers; .* 'one' in row 0"):
        _said(fitted, [MAKE[make](part if i != 3 else part.assign(a="one")) for i, part in enumerate(parts)])
    with pytest.raises(saiki.ArgumentError, match=r"feature 'a' is nan in row 1 of X\[3\]"):
        _said(fitted, [MAKE[make](part if i != 3 else part.assign(a=[1, np.nan, 2])) for i, part in enumerate(parts)])


def test_a_list_of_nullable_columns() -> None:
    short, long = pd.Series([1, 2], dtype="Int64"), pl.Series([1, 2, 3])
    scaler = saiki.SequenceScaler().fit([short, long])
    assert scaler.mean_ == saiki.SequenceScaler().fit([np.array([1, 2]), np.array([1, 2, 3])]).mean_


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_names_of_any_kind(names: list[Any], frame: pd.DataFrame, tmp_path: Path) -> None:
    expected = saiki.RNNClassifier(**QUICK).fit(*_both(frame)[0]).predict_proba(_both(frame)[0])
    frame.columns = pd.Index(["id", *names, "y"], dtype=object)
    found = saiki.sequences(frame, "id", target="y")
    assert found.features == names
    fitted = saiki.RNNClassifier(**QUICK).fit(*found)
    assert hasattr(fitted, "feature_names_in_") == all(isinstance(name, str) for name in names)
    saiki.save(fitted, tmp_path / "model")
    for estimator in (fitted, saiki.load(tmp_path / "model"), clone(fitted).fit(*found)):
        turned = saiki.sequences(frame, "id", features=names[::-1])
        assert (estimator.predict_proba(turned) == expected).all()
        assert (estimator.predict_proba(found) == expected).all()
        with pytest.raises(saiki.ArgumentError, match="must have the features that"):
            estimator.predict(saiki.sequences(frame, "id", features=names[:1]))
    table = found.to_frame(fitted.predict(found))
    assert table.columns.tolist() == ["id", *names, "y", "prediction"]
    for option in ("id", "time", "features", "target"):
        options: dict[str, Any] = {"id": "id"} | {option: "nothing"}
        with pytest.raises(saiki.ArgumentError, match=f"{option} must be one of .* got 'nothing'"):
            saiki.sequences(frame, **options)


def test_numbers_as_names_beside_a_text() -> None:
    assert saiki.sequences(pd.DataFrame(np.ones((4, 2))).assign(id=[1, 1, 2, 2]), id="id").features == [0, 1]
    several = pd.DataFrame({("a", "x"): [1.0, 2], ("a", "id"): [1, 1]})
    found = saiki.sequences(several, id=("a", "id"))
    assert found.features == [("a", "x")]
    assert found.to_frame([7]).columns.tolist() == [("a", "x"), ("a", "id"), ("prediction", "")]
    with pytest.raises(saiki.ArgumentError, match="columns of different names; it has several 'x'"):
        saiki.sequences(pd.DataFrame([[1, 2.0, 3.0]], columns=["id", "x", "x"]), id="id")


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("name", sorted(ARRAYS))
@pytest.mark.filterwarnings("ignore::saiki.AxesWarning")
def test_a_table_with_a_sequence_in_each_row(name: str, make: str, rng: np.random.Generator) -> None:
    wide = pd.DataFrame(rng.standard_normal((10, 3)), columns=list("pqr"))
    y = np.arange(10) % 2 if "Classifier" in name else np.arange(10.0)
    fitted = quick(name).fit(MAKE[make](wide), y)
    assert fitted.feature_names_in_.tolist() == ["p", "q", "r"]
    assert (_said(fitted, MAKE[make](wide)) == _said(quick(name).fit(wide.to_numpy(), y), wide.to_numpy())).all()
    with pytest.raises(saiki.ArgumentError, match="Feature names must be in the same order"):
        _said(fitted, MAKE[make](wide[["r", "q", "p"]]))
    for column in (["one"] * 10, pd.date_range("2026-01-01", periods=10), pd.Categorical(["one"] * 10)):
        other = wide.assign(s=column)
        other = pl.from_pandas(other) if make == "polars" else pa.Table.from_pandas(other) if make == "arrow" else other
        with pytest.raises(saiki.DtypeError, match=r"column 's' must hold numbers; .* in row 0"):
            quick(name).fit(other, y)
    bad = pd.DataFrame({"p": [1.0] * 10, "q": pd.Series([1] * 6 + ["oops"] + [2] * 3, dtype=object)})
    with pytest.raises(saiki.DtypeError, match=r"column 'q' must hold numbers; .* 'oops' in row 6"):
        quick(name).fit(bad, y)
    with pytest.raises(saiki.ArgumentError, match="feature 'q' is nan in row 6 of data frame X"):
        quick(name).fit(MAKE[make](wide.assign(q=[1.0] * 6 + [np.nan] + [2.0] * 3)), y)


@pytest.mark.filterwarnings("ignore::saiki.AxesWarning")
def test_a_table_whose_steps_are_numbers(rng: np.random.Generator) -> None:
    wide, y = pd.DataFrame(rng.standard_normal((10, 3))), np.arange(10) % 2
    fitted = saiki.RNNClassifier(**QUICK).fit(wide, y)
    assert (fitted.predict_proba(wide[[2, 0, 1]]) == fitted.predict_proba(wide)).all()
    assert (fitted.predict_proba(wide.to_numpy()) == fitted.predict_proba(wide)).all()
    with pytest.raises(saiki.ArgumentError, match="missing: 2; unknown: 3"):
        fitted.predict(wide.rename(columns={2: 3}))


def test_every_door_of_an_estimator(frame: pd.DataFrame) -> None:
    ab, ba = _both(frame)
    watched = [
        saiki.RNNClassifier(early_stopping=True, **QUICK).fit(ab, ab.y, validation_data=data)
        for data in (ab, ba, (ba.X, ba.y), {"X": ba, "y": ba.y})
    ]
    assert all(model.validation_scores_ == watched[0].validation_scores_ for model in watched)
    fitted = watched[0]
    again = [
        saiki.RNNClassifier(**QUICK).partial_fit(*ab).partial_fit(*second).predict_proba(ab) for second in (ab, ba)
    ]
    assert (again[0] == again[1]).all()
    warm = [
        saiki.RNNClassifier(warm_start=True, **QUICK).fit(*ab).fit(*second).predict_proba(ab) for second in (ab, ba)
    ]
    assert (warm[0] == warm[1]).all()
    seen, turned = saiki.trace(fitted, ab.X[:1], ab.y[:1]), saiki.trace(fitted, ba.X[:1], ba.y[:1])
    assert (seen.layers[0].inputs == turned.layers[0].inputs).all()
    importance = [saiki.sequence_permutation_importance(fitted, found, found.y, random_state=0) for found in (ab, ba)]
    assert importance[0].importances.shape == (2, 5)
    named = saiki.sequence_permutation_importance(fitted, ba, ba.y, n_repeats=40, random_state=0).importances_mean
    own = saiki.sequence_permutation_importance(fitted, ab, ab.y, n_repeats=40, random_state=0).importances_mean
    np.testing.assert_allclose(named, own[::-1], atol=0.15)  # another draw of 40 exchanges of 12 sequences
    scaled = saiki.SequenceScaler().fit(ab).transform(ba)
    assert scaled.features == ["a", "b"]
    assert scaled.ids == ba.ids
    piped = make_pipeline(saiki.SequenceScaler(), saiki.RNNClassifier(**QUICK)).fit(*ab)
    assert piped[-1].feature_names_in_.tolist() == ["a", "b"]
    assert (piped.predict_proba(ba) == piped.predict_proba(ab)).all()


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "c"], 3, [["a"], ["b"]], None])
def test_a_file_with_unsound_names(names: Any, frame: pd.DataFrame, tmp_path: Path) -> None:
    saiki.save(saiki.RNNClassifier(**QUICK).fit(*_both(frame)[0]), tmp_path / "model")
    tree = tensors.read(tmp_path / "model")
    tree["learnt"]["feature_names_in_"] = names
    tensors.write(tmp_path / "model", tree)
    with pytest.raises(saiki.FileError, match="holds no sound estimator"):
        saiki.load(tmp_path / "model")
    del tree["learnt"]["feature_names_in_"]  # as in files from before there were names
    tensors.write(tmp_path / "model", tree)
    assert not hasattr(saiki.load(tmp_path / "model"), "feature_names_in_")


def test_one_step_with_names(frame: pd.DataFrame) -> None:
    ab, _ = _both(frame)
    fitted = saiki.RNNClassifier(**QUICK).fit(*ab)
    row = frame[["a", "b"]].iloc[0]
    expected, _ = fitted.step_proba(row.to_numpy())
    for x in (row, row[["b", "a"]], {"b": row["b"], "a": row["a"]}, [row["a"], row["b"]]):
        assert (fitted.step_proba(x)[0] == expected).all()
    several = frame[["b", "a"]][:3]
    for rows in (several, pl.from_pandas(several), pa.Table.from_pandas(several)):
        np.testing.assert_array_equal(fitted.step_proba(rows)[0], fitted.step_proba(several[["a", "b"]].to_numpy())[0])
    with pytest.raises(saiki.ArgumentError, match="missing: 'b'"):
        fitted.step({"a": 1.0})


def test_with_scikit_learn(frame: pd.DataFrame) -> None:
    ab, ba = _both(frame)
    model = saiki.RNNClassifier(**QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = [cross_val_score(model, X, ab.y, cv=2) for X in (ab, ab.X, list(ab.X))]
    assert np.ptp(scores, axis=0).max() == 0
    search = GridSearchCV(model, {"cell": ["gru"]}, cv=2).fit(ab, ab.y)
    assert search.best_estimator_.feature_names_in_.tolist() == ["a", "b"]
    assert (search.predict_proba(ba) == search.predict_proba(ab)).all()
    X, X_test, y, y_test = train_test_split(ab, ab.y, random_state=0)
    assert (len(X), len(X_test), len(y), len(y_test)) == (9, 3, 9, 3)


def test_numbers_that_float64_rounds_are_said(frame: pd.DataFrame) -> None:
    for column in (pd.Series([2**53 + 1] * 36), pd.Series([2**64 - 1] * 36, dtype="uint64")):
        for make in MAKE.values():
            with pytest.warns(UserWarning, match="column 'big' holds whole numbers from 2\\*\\*53 on"):
                saiki.sequences(make(frame[["id"]].assign(big=column)), "id")


def test_what_is_not_finite_is_named_as_the_user_knows_it(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled.loc[5, "b"] = np.inf
    found = saiki.sequences(shuffled, "id", features=["a", "b"], target="y")
    whose = shuffled.loc[5, "id"]
    with pytest.raises(saiki.ArgumentError, match=f"feature 'b' is inf in step . of sequence {whose}, row 5 of the"):
        saiki.RNNClassifier(**QUICK).fit(*found)
