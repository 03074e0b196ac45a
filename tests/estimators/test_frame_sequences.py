"""The sequences of a data frame know their rows, say what was guessed, and are sequences themselves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import saiki
from tests.estimators.data import QUICK

FRAMES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
    "arrow": pa.table,
}
N, STEPS = 9, 4


@pytest.fixture
def columns(rng: np.random.Generator) -> dict[str, Any]:
    """Return rows of sequences of 1 to 4 steps, in any order; ``place`` says which step of which sequence it is."""
    lengths = np.append(rng.integers(1, STEPS + 1, size=N - 1), STEPS)
    ids = np.repeat(np.arange(N), lengths)
    steps = np.concatenate([np.arange(length) for length in lengths])
    order = rng.permutation(len(ids))
    return {
        "who": [f"p{i}" for i in ids[order]],
        "when": steps[order],
        "place": (ids * 10.0 + steps)[order],
        "noise": rng.standard_normal(len(ids)),
    }


def _column(table: Any, name: str) -> list[Any]:
    return table[name].to_pylist() if isinstance(table, pa.Table) else table[name].to_list()


@pytest.mark.parametrize("name", FRAMES)
def test_predictions_go_back_to_their_rows(name: str, columns: dict[str, Any]) -> None:
    frame = FRAMES[name](columns)
    found = saiki.sequences(frame, "who", "when", features=["place", "noise"])
    for rows, x in zip(found.rows, found.X, strict=True):
        assert [columns["place"][row] for row in rows] == x[:, 0].tolist()
    kind = pl.DataFrame if isinstance(frame, pl.LazyFrame) else type(frame)

    of_steps = found.to_frame([x[:, 0] for x in found.X])
    assert isinstance(of_steps, kind)
    assert _column(of_steps, "prediction") == _column(of_steps, "place") == list(columns["place"])
    several = found.to_frame(list(found.X), name=["first", "second"])
    assert _column(several, "second") == list(columns["noise"])
    for labels in (np.array(found.ids), found.ids, np.array(found.ids, object)):
        assert _column(found.to_frame(labels, "label"), "label") == columns["who"]
    numbers = np.array([float(who[1:]) for who in found.ids])
    wide = found.to_frame(np.column_stack([numbers, -numbers]))
    assert _column(wide, "prediction_1") == [-float(who[1:]) for who in columns["who"]]
    assert list(wide.column_names if isinstance(wide, pa.Table) else wide.columns)[:4] == list(columns)

    part = found[2:5]
    table = part.to_frame([x[:, 0] for x in part.X])
    chosen = [row for row, who in enumerate(columns["who"]) if who in part.ids]
    assert _column(table, "prediction") == [columns["place"][row] for row in chosen]


def test_what_the_caller_does_to_the_frame_later_changes_nothing(columns: dict[str, Any]) -> None:
    frame = pd.DataFrame(columns).set_index("noise")
    found = saiki.sequences(frame, "who", "when")
    index = frame.index.tolist()
    frame["prediction"] = 0
    frame.index = pd.RangeIndex(len(frame))
    table = found.to_frame([x[:, 0] for x in found.X])
    assert table["prediction"].tolist() == list(columns["place"])
    assert table.index.tolist() == index
    assert frame.columns.tolist() == ["who", "when", "place", "prediction"]


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        (lambda found: np.zeros(2), {}, "for each of the 9 sequences.*; got 2"),
        (lambda found: np.concatenate([x[:, 0] for x in found.X]), {}, "Give the list as predict returned it"),
        (lambda found: [np.zeros(9)] * N, {}, r"sequence \d has \d steps, and predictions\[\d\] has shape \(9,\)"),
        (lambda found: np.zeros((N, STEPS, 2)), {}, r"got shape \(9, 4, 2\). Of a padded array give a list"),
        (lambda found: None, {}, "got NoneType"),
        (lambda found: "text", {}, "got str"),
        (lambda found: np.zeros(N), {"name": "who"}, "name must be that of no column; the frame has 'who'"),
        (lambda found: np.zeros((N, 2)), {"name": ["a"]}, "name must be one, or 2 different ones"),
        (lambda found: np.zeros((N, 2)), {"name": ["a", "a"]}, "name must be one, or 2 different ones"),
    ],
)
def test_wrong_predictions(predictions: Any, options: Any, message: str, columns: dict[str, Any]) -> None:
    found = saiki.sequences(pd.DataFrame(columns), "who", "when")
    with pytest.raises(saiki.ArgumentError, match=message):
        found.to_frame(predictions(found), **options)


def test_it_is_a_sequence(columns: dict[str, Any]) -> None:
    found = saiki.sequences(pd.DataFrame(columns), "who", "when", target="noise", output="each")
    X, y = found
    assert all(isinstance(one, Sequence) for one in (found, X))
    both: Any
    for both in (found, X):
        assert len(both) == N
        assert both[0] is X[0]
        assert both[-1] is X[N - 1]
        assert X[3] in both
        for which in (slice(1, 3), [1, 2], np.array([1, 2]), np.arange(N) % N == np.clip(np.arange(N), 1, 2)):
            part = both[which]
            assert type(part) is type(both)
            assert part.ids == found.ids[1:3]
            assert [rows.tolist() for rows in part.rows or []] == [rows.tolist() for rows in found.rows[1:3]]
            assert part.features == found.features
        assert len(both[[]]) == 0
        with pytest.raises(IndexError):
            both[N]
    assert [x is other for x, other in zip(X, found.X, strict=True)] == [True] * N
    assert [part.tolist() for part in found[1:3].y] == [part.tolist() for part in y[1:3]]
    even = saiki.sequences(pd.DataFrame({"id": [1, 1, 2, 2], "x": np.arange(4.0)}), "id")
    assert np.asarray(even).tolist() == np.asarray(even.X).tolist() == [[[0], [1]], [[2], [3]]]
    assert repr(even) == "<2 sequences of 2 steps; features 'x'>"


@pytest.mark.parametrize("name", FRAMES)
def test_one_series_needs_no_id(name: str) -> None:
    frame = FRAMES[name]({"t": [3, 1, 2], "x": [0.3, 0.1, 0.2], "y": [1, 2, 3]})
    for found in (saiki.sequences(frame, time="t", target="y"), saiki.sequences(frame, None, "t", target="y")):
        assert [x.ravel().tolist() for x in found.X] == [[0.1, 0.2, 0.3]]
        assert [part.tolist() for part in found.y] == [[2, 3, 1]]
        assert found.ids == [None]
        assert _column(found.to_frame(found.y), "prediction") == [1, 2, 3]
    with pytest.raises(saiki.ArgumentError, match="without id= all rows are one, which has t 1 more than once"):
        saiki.sequences(FRAMES[name]({"t": [1, 1], "x": [0.1, 0.2]}), time="t")


def test_what_was_guessed_is_said_and_the_estimator_decides(columns: dict[str, Any]) -> None:
    frame = pd.DataFrame(columns)
    frame["one"], frame["many"] = frame["who"].isin(["p1", "p2", "p3"]), frame["noise"] > 0
    one, many = (saiki.sequences(frame, "who", "when", "place", target=target) for target in ("one", "many"))
    assert (one.output, one.guessed, many.output, many.guessed) == ("last", True, "each", True)
    assert "a target for each sequence (guessed; output='each' says otherwise)" in repr(one)
    assert "a target for each step (guessed; output='last' says otherwise)" in repr(many)
    told = {output: saiki.sequences(frame, "who", "when", "place", "one", output) for output in ("last", "each")}
    assert [(found.output, found.guessed) for found in told.values()] == [("last", False), ("each", False)]
    assert "guessed" not in repr(told["last"])

    tagger, classifier = saiki.RNNClassifier(**QUICK, output="each"), saiki.RNNClassifier(**QUICK)
    wanted = tagger.fit(*told["each"]).predict_proba(told["each"])
    for found in (one, one[:N]):
        for fitted in (tagger.fit(*found), tagger.fit(found, found.y)):
            assert all((a == b).all() for a, b in zip(fitted.predict_proba(found), wanted, strict=True))
            assert fitted.score(*found) == fitted.score(*told["each"])
    assert tagger.fit(*many).score(*one) == tagger.score(*told["each"])
    classifier.fit(*one)
    for found, said in ((many, "guessed output='each'"), (told["each"], "was given output='each'")):
        for estimator in (classifier, saiki.RNNRegressor(**QUICK)):
            with pytest.raises(saiki.ArgumentError, match=f"{said}. Give the estimator output='each'"):
                estimator.fit(*found)
        with pytest.raises(saiki.ArgumentError, match=said):
            classifier.score(*found)
    with pytest.raises(saiki.ArgumentError, match=r"guessed output='last'\. Give saiki.sequences output='each'"):
        tagger.fit(one, ~one.y)
    with pytest.raises(saiki.ShapeError, match="one for each step"):
        tagger.fit(*told["last"])


@pytest.mark.parametrize("name", FRAMES)
def test_targets_keep_their_type(name: str) -> None:
    present = [2**53 + 1, 2**53, 2**53 + 2]
    large = [*present, None]
    if name == "pandas":
        frame: Any = pd.DataFrame({"id": range(4), "x": np.arange(4.0), "y": pd.array(large, dtype="Int64")})
    else:
        frame = FRAMES[name]({"id": list(range(4)), "x": list(np.arange(4.0)), "y": large})
    X, y = saiki.sequences(frame, "id", target="y")
    assert y.tolist() == large
    assert saiki.RNNClassifier(**QUICK).fit(X, y).classes_.tolist() == sorted(present)
    _, steps = saiki.sequences(frame, "id", target="y", output="each")
    assert [part.tolist() for part in steps] == [[value] for value in large]
    with pytest.raises(saiki.ArgumentError, match="'y' has 2 values in sequence 0"):
        together = saiki.sequences(frame, "id", target="y").to_frame([0, 0, 1, 1], "both")
        saiki.sequences(together, "both", features="x", target="y", output="last")


def test_labels_that_are_instants() -> None:
    times = pd.Series(pd.to_datetime([2, 1, 2, 1], unit="ns"))
    frame = pd.DataFrame({"id": [1, 2, 1, 2], "x": np.arange(4.0), "y": times})
    _, y = saiki.sequences(frame, "id", target="y")
    assert y.dtype.kind == "M"
    assert y.astype("datetime64[ns]").astype(int).tolist() == [2, 1]
    frame.loc[0, "y"] = pd.Timestamp(3)
    with pytest.raises(saiki.ArgumentError, match="has 2 values in sequence 1"):
        saiki.sequences(frame, "id", target="y", output="last")
