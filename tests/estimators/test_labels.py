"""Labels keep their kind: what each form of them becomes, and what is refused."""

import datetime
import decimal
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars as pl
import pyarrow
import pytest

import saiki
from saiki.estimators.targets import as_targets, missing
from tests.estimators.data import ESTIMATORS, classifier, data_for, quick, regressor

pa: Any = pyarrow
pd: Any = pandas


CLASSIFIERS = sorted(name for name, cls in ESTIMATORS.items() if hasattr(cls, "predict_proba"))
"""Every classifier, found by looking."""

LARGE = [2**53 + 1, 2**53, 2**53 + 2]
"""Whole numbers that float64 cannot tell apart."""


class Colour(enum.Enum):
    RED, BLUE = "red", "blue"


class Named(enum.StrEnum):
    RED, BLUE = "red", "blue"


class Numbered(enum.IntEnum):
    ONE, TWO = 1, 2


def small(name: str, rng: np.random.Generator, **changes: Any) -> tuple[Any, Any, Any]:
    """Return a small classifier, its inputs, and labels 0 and 1."""
    X, y = data_for(name, rng)
    few = {"epochs": 1, "n_nodes": 4} if name == "ScratchSimpleRNNClassifier" else {}
    return quick(name, **(few | changes)), X, np.arange(len(y)) % 2


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_numbers_and_texts_are_never_compared(name: str, rng: np.random.Generator) -> None:
    forms: list[Callable[[Any], Any]] = [lambda y: y, lambda y: y.astype(str)]
    for known, other in (forms, forms[::-1]):
        model, X, y = small(name, rng)
        model.fit(X, known(y))
        for form in (other(y), other(y).tolist(), other(y).astype(object), [*other(y)[:-1].tolist(), other(y)[-1]]):
            with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
                model.score(X, form)
        if name == "ScratchSimpleRNNClassifier":
            with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
                model.fit(X, known(y), X_val=X, y_val=other(y))
            continue
        with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
            model.fit(X, known(y), validation_data=(X, other(y)))
        with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
            model.partial_fit(X, other(y))
        with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
            small(name, rng)[0].partial_fit(X, known(y), classes=other(y))
        with pytest.raises(saiki.ArgumentError, match="as the classes of fit do"):
            model.set_params(warm_start=True).fit(X, other(y))
        with pytest.raises(saiki.ArgumentError, match="are two labels"):
            small(name, rng, class_weight={other(y)[0].item(): 2.0, known(y)[0].item(): 1.0})[0].fit(X, known(y))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_numbers_that_are_equal_are_one_class(name: str, rng: np.random.Generator) -> None:
    model, X, y = small(name, rng)
    model.fit(X, y)
    same = {model.score(X, y.astype(kind)) for kind in (int, bool, float, np.uint8, np.float32, object)}
    assert same == {model.score(X, y)}


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "ScratchSimpleRNNClassifier"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels_that_training_does_not_know_are_named(
    name: str, early_stopping: bool, rng: np.random.Generator
) -> None:
    model, X, y = small(name, rng, warm_start=True)
    model.fit(X, y).set_params(early_stopping=early_stopping)
    before = {key: value.copy() for key, value in model.params_.items()}
    with pytest.raises(saiki.ArgumentError, match=r"classes of the first fit, \[0, 1\]; got 5, 7\."):
        model.fit(X, [5, 7, *y[2:].tolist()])
    assert all((model.params_[key] == value).all() for key, value in before.items())
    assert 0 <= model.score(X, [5, 7, *y[2:].tolist()]) < 1  # such a label counts as wrong


FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list with None": lambda y: y,
    "list with NaN": lambda y: [float("nan") if v is None else v for v in y],
    "list with a masked entry": lambda y: [np.ma.masked if v is None else v for v in y],
    "objects": lambda y: np.array(y, object),
    "masked": lambda y: np.ma.array([0 if v is None else v for v in y], mask=[v is None for v in y], dtype=np.uint64),
    "pandas": lambda y: pd.Series(y, dtype="Int64" if max(v or 0 for v in y) < 2**63 else "UInt64"),
    "pandas objects": lambda y: pd.Series(y, dtype=object),
    "pandas category": lambda y: pd.Series(pd.Categorical.from_codes(*_codes(y))),
    "pandas array": lambda y: pd.array(y, dtype="UInt64"),
    "pandas index": lambda y: pd.Index(pd.array(y, dtype="UInt64")),
    "pandas frame": lambda y: pd.DataFrame({"y": pd.array(y, dtype="UInt64")}),
    "pandas with Arrow": lambda y: pd.Series(y, dtype="uint64[pyarrow]"),
    "polars": lambda y: pl.Series(y, dtype=pl.UInt64),
    "polars frame": lambda y: pl.DataFrame({"y": pl.Series(y, dtype=pl.UInt64)}),
    "arrow": lambda y: pa.array(y, pa.uint64()),
    "arrow in chunks": lambda y: pa.chunked_array([y[:2], y[2:]], pa.uint64()),
}


def _codes(y: list[Any]) -> tuple[list[int], list[Any]]:
    present = sorted({value for value in y if value is not None})
    return [-1 if value is None else present.index(value) for value in y], present


@pytest.mark.filterwarnings("ignore:A column-vector y")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("numbers", [LARGE, [2**63 + 1, 2**63, 2**63 + 2]])
def test_whole_numbers_stay_whole_beside_missing_ones(form: str, numbers: list[int], rng: np.random.Generator) -> None:
    y = FORMS[form]([*numbers, None] * 4)
    X = rng.standard_normal((16, 3, 1))
    model = classifier(max_iter=1).fit(X, y)
    assert model.classes_.tolist() == sorted(numbers)
    assert model.predict(X).dtype.kind in "iu"
    there = np.arange(16) % 4 < 3
    assert model.score(X, y) == np.mean(model.predict(X)[there].astype(np.uint64) == np.array(numbers * 4, np.uint64))


@pytest.mark.parametrize("name", ["RNNClassifier", "TreeRNNClassifier"])
def test_whole_numbers_stay_whole_beside_rows_without_a_label(name: str, rng: np.random.Generator) -> None:
    X: Any = [rng.standard_normal((n, 1)) for n in (3, 1, 2)] if name == "RNNClassifier" else [("a", "b"), "a", "b"]
    n_rows = [3, 1, 2] if name == "RNNClassifier" else [3, 1, 1]
    parts = [[LARGE[0], None, LARGE[1]], None, [LARGE[2], np.nan][: n_rows[2]]]
    for y in (parts, [np.ma.masked if part is None else part for part in parts], [parts[0], [np.nan], parts[2]]):
        model = quick(name, output="each", max_iter=1).fit(X, y)
        assert model.classes_.tolist() == sorted(LARGE)
        assert all(part.dtype.kind == "i" for part in model.predict(X))


def test_a_frame_keeps_whole_numbers_beside_missing_ones() -> None:
    frame = {"id": [1, 1, 2, 3, 4], "x": [0.0, 1, 2, 3, 4], "label": [LARGE[0], None, LARGE[1], LARGE[2], None]}
    for table in (
        pd.DataFrame(frame | {"label": pd.array(frame["label"], "Int64")}),
        pl.DataFrame(frame),
        pa.table(frame),
    ):
        _, y = saiki.sequences(table, id="id", target="label")
        assert y.tolist() == [*LARGE, None]
    text = pl.DataFrame(frame | {"label": ["a", None, "b", "c", None]})
    assert saiki.sequences(text, id="id", target="label").y.tolist() == ["a", "b", "c", None]


NO_LABELS = {
    "mixed": [1, "1"],
    "mixed booleans": [True, 1],
    "tuples": [("a", 1), ("b", 2)],
    "tuples of several sizes": [("a",), ("b", 2)],
    "objects that are tuples": np.array([("a", 1), ("b",)], object),
    "dates": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
    "timestamps": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")],
    "datetime64": np.array(["2020-01-01", "2020-01-02"], "M8[ns]"),
    "timedelta64": [np.timedelta64(1, "s"), np.timedelta64(2, "s")],
    "datetimes of pandas": pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
    "datetimes with a time zone": pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("UTC")),
    "dates of polars": pl.Series([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]),
    "periods": pd.Series(pd.period_range("2020-01", periods=2, freq="M")),
    "enums": list(Colour),
    "decimals": [decimal.Decimal("1.5"), decimal.Decimal(2)],
    "complex": np.array([1j, 2]),
    "complex objects": [1j, 2],
    "frozensets": [frozenset("a"), frozenset("b")],
    "bytes": [b"a", b"b"],
    "bytes of NumPy": np.array([b"a", b"b"]),
    "records": np.array([(1, 2), (3, 4)], [("a", int), ("b", int)]),
    "masked records": np.ma.array([(1, 2), (3, 4)], [("a", int), ("b", int)]),
    "too large": [2**64, 1],
    "too far apart": [-1, 2**63],
    "no classes": [0.5, 1.5],
    "infinite": [1.0, np.inf],
    "infinite objects": [1, np.inf],
}


@pytest.mark.parametrize("kind", NO_LABELS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_is_no_label_is_one_clear_error(kind: str, name: str, rng: np.random.Generator) -> None:
    model, X, _ = small(name, rng)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        model.fit(X[:2], NO_LABELS[kind])
    own = isinstance(caught.value, saiki.SaikiError) and str(caught.value).startswith("y must ")
    assert own or "Unknown label type: continuous" in str(caught.value)  # the words of scikit-learn
    assert not hasattr(model, "classes_")
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match=r"classes must |Unknown label type: continuous"):
            model.partial_fit(X[:2], [0, 1], classes=NO_LABELS[kind])
        assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (list(Named), ["blue", "red"]),
        (list(Numbered), [1, 2]),
        ([np.str_("b"), "a"], ["a", "b"]),
        (["a", "a\0"], ["a", "a\0"]),
        ([np.bool_(True), False], [False, True]),
        ([2, 1.0], [1, 2]),
        ([2**63, 0], [0, 2**63]),
        (np.array(["b", "a"], np.dtypes.StringDType()), ["a", "b"]),
        (pd.Series(["b", "a"], dtype="category"), ["a", "b"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["a", "b"]),
        (pd.Series([True, False], dtype="boolean"), [False, True]),
    ],
)
def test_labels_are_kept(labels: Any, classes: list[Any], rng: np.random.Generator, tmp_path: Path) -> None:
    X = rng.standard_normal((2, 3, 1))
    model = classifier(max_iter=1).fit(X, labels)
    assert model.classes_.tolist() == classes
    assert list(map(type, model.classes_.tolist())) == list(map(type, classes))
    assert set(model.predict(X).tolist()) <= set(classes)
    saiki.save(model, tmp_path / "model")
    assert saiki.load(tmp_path / "model").classes_.tolist() == classes


@pytest.mark.parametrize("weight", [None, "x", np.nan, np.inf, True, -1.0, 10**400, np.ma.masked, [1.0], 1j])
def test_weights_of_classes_are_numbers(weight: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((4, 3, 1))
    with pytest.raises(
        saiki.ArgumentError, match=r"class_weight\['a'\] must be a finite number and must not be negative"
    ):
        classifier(class_weight={"a": weight}).fit(X, ["a", "b"] * 2)


def test_weights_of_classes_that_do_not_go_together(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((4, 3, 1)), ["a", "b"] * 2
    for weights in ({"c": 1.0}, {"a": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0, 0: 1.0}, {("a",): 1.0}):
        with pytest.raises(saiki.ArgumentError, match="class_weight must name classes"):
            classifier(class_weight=weights).fit(X, y)
    large, small = (classifier(class_weight=dict.fromkeys("ab", weight)).fit(X, y) for weight in (2.0**1023, 1.0))
    assert large.loss_curve_ == small.loss_curve_
    with pytest.raises(saiki.ArgumentError, match="class_weight must be None"):
        classifier(class_weight=np.ones(2)).fit(X, y)
    classifier(class_weight={"a": 1, "b": np.float32(2), "c": 3}).fit(X, y)  # one that this y lacks


def test_classes_are_labels_of_their_own(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((4, 3, 1)), [0, 1, 0, 1]
    for wrong in ([], [0, None], [[0, 1]], np.ma.array([0, 1, 9], mask=np.arange(3) == 2)):
        with pytest.raises(saiki.ArgumentError, match="classes must be a list of one or more labels"):
            classifier().partial_fit(X, y, classes=wrong)
    model = classifier().partial_fit(X, y, classes=pd.Series([2, 1, 0]))
    assert model.classes_.tolist() == [0, 1, 2]
    with pytest.raises(saiki.ArgumentError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=["0", "1", "2"])


def test_values_of_a_regressor_may_be_missing_in_every_form(rng: np.random.Generator) -> None:
    X = rng.standard_normal((4, 3, 1))
    plain = np.array([1.0, np.nan, 3.0, 5.0])
    fitted = regressor().fit(X, plain).params_
    forms: list[Any] = [
        [1, None, 3, 5], [1.0, np.nan, 3.0, 5.0], [1, np.ma.masked, 3, 5], np.array([1, None, 3, 5], object),
        np.ma.array([1, 99, 3, 5], mask=np.arange(4) == 1), pd.Series([1, pd.NA, 3, 5], dtype="Int64"),
        pd.Series([1, pd.NA, 3, 5], dtype="Float64"), pl.Series([1, None, 3, 5]), pa.array([1, None, 3, 5]),
        [decimal.Decimal(1), None, 3, 5],
    ]  # fmt: skip
    for y in forms:
        found = regressor().fit(X, y).params_
        assert all((found[key] == fitted[key]).all() for key in fitted)
    no_values: list[Any] = [np.array(["2020-01-01"] * 4, "M8[D]"), [datetime.date(2020, 1, 1)] * 4, [{}] * 4]
    for wrong in no_values:
        with pytest.raises(saiki.DtypeError, match="y must hold numbers"):
            regressor().fit(X, wrong)


def test_targets_are_read_as_they_are(rng: np.random.Generator) -> None:
    """Against a plain rule, on random lists of every kind."""
    gone: list[Any] = [None, np.nan, np.ma.masked, pd.NA, pd.NaT, np.float32("nan")]
    pool = [*gone, 0, 1, 2**53 + 1, 2**63, -1, True, 0.5, "a", "1"]
    for _ in range(300):
        at = rng.integers(len(pool), size=rng.integers(1, 5)).tolist()
        chosen, gaps = [pool[i] for i in at], [i < len(gone) for i in at]
        read = as_targets(chosen)
        assert missing(read).tolist() == gaps
        kept = [(type(value), value) for value, gap in zip(chosen, gaps, strict=True) if not gap]
        assert [(type(value), value) for value in read[~missing(read)].tolist()] == kept
