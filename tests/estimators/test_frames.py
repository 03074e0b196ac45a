"""Data frames of every make give the same sequences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import saiki

COLUMNS: dict[str, list[Any]] = {
    "patient": ["p2", "p1", "p2", "p1", "p2"],
    "visit": [1, 1, 1, 2, 1],
    "t": [3, 1, 1, 5, 2],
    "heart": [0.3, 1.0, 0.1, 2.0, 0.2],
    "alive": [True, False, True, True, False],
    "label": ["x", "y", "x", "y", "x"],
}
FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
    "arrow": pa.table,
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_every_make(name: str) -> None:
    frame = FRAMES[name](COLUMNS)
    found = saiki.sequences(frame, id="patient", time="t", features=["heart", "alive"], target="label")
    X, y = found
    assert [x.tolist() for x in X] == [[[0.1, 1], [0.2, 0], [0.3, 1]], [[1.0, 0], [2.0, 1]]]
    assert y.tolist() == ["x", "y"]
    assert found.ids == ["p2", "p1"]
    assert found.features == ["heart", "alive"]
    model = saiki.RNNClassifier(hidden_layer_sizes=3, max_iter=2).fit(X, y)
    assert model.predict(X).shape == (2,)


@pytest.mark.parametrize("name", FRAMES)
def test_options(name: str) -> None:
    frame = FRAMES[name](COLUMNS)
    X, y = saiki.sequences(frame, id=["patient", "visit"], features="heart")
    assert y is None
    assert [x.ravel().tolist() for x in X] == [[0.3, 0.1, 0.2], [1.0], [2.0]]
    assert saiki.sequences(frame, ["patient", "visit"], features="heart").ids == [("p2", 1), ("p1", 1), ("p1", 2)]
    assert saiki.sequences(frame, "patient", "t", target="label").features == ["visit", "heart", "alive"]
    _, steps = saiki.sequences(frame, "patient", "t", "heart", target="visit")
    assert [part.tolist() for part in steps] == [[1, 1, 1], [1, 2]]
    _, steps = saiki.sequences(frame, "patient", "t", "heart", target="label", output="each")
    assert [part.tolist() for part in steps] == [["x"] * 3, ["y"] * 2]


@pytest.mark.parametrize("name", FRAMES)
def test_missing_targets(name: str) -> None:
    frame = FRAMES[name](COLUMNS | {"y": [None, 1.5, None, 1.5, None], "z": ["a", None, None, None, "a"]})
    _, y = saiki.sequences(frame, "patient", "t", "heart", target="y")
    np.testing.assert_array_equal(y, [np.nan, 1.5])
    _, z = saiki.sequences(frame, "patient", "t", "heart", target="z")
    assert z.tolist() == ["a", None]


def test_missing_targets_of_pandas_own_kinds() -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "x": [1.0, 2.0, 3.0], "y": [1, None, 0], "z": [True, None, False]})
    converted = frame.convert_dtypes()
    _, y = saiki.sequences(converted, "id", features="x", target="y")
    assert y.tolist() == [1, None, 0]  # whole numbers stay whole beside a missing one
    _, z = saiki.sequences(converted, "id", features="x", target="z")
    assert z.tolist() == [True, None, False]


def test_float32_stays() -> None:
    X, _ = saiki.sequences(pl.DataFrame({"id": [1, 1], "x": np.ones(2, np.float32)}), id="id")
    assert X[0].dtype == np.float32


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"id": "pation"}, saiki.ArgumentError, "id must be one of .*Did you mean 'patient'"),
        ({"features": ["heart", "label"]}, saiki.DtypeError, "column 'label' must hold numbers"),
        ({"features": []}, saiki.ArgumentError, "no features are left"),
        ({"features": ["heart", "t"]}, saiki.ArgumentError, "column 't' is named twice"),
        ({"time": "visit"}, saiki.ArgumentError, r"time must differ .* 'p2' has visit 1 more than once"),
        ({"target": "visit", "output": "last"}, saiki.ArgumentError, "'visit' has 2 values in sequence 'p1'"),
        ({"output": "first"}, saiki.ArgumentError, "output must be one of"),
        ({"id": "gap"}, saiki.ArgumentError, "column 'gap' must have a value in every row; row 2 has none"),
        ({"time": "gap"}, saiki.ArgumentError, "column 'gap' must have a value in every row; row 2 has none"),
    ],
)
@pytest.mark.parametrize("name", FRAMES)
def test_what_is_wrong_is_named(name: str, options: dict[str, Any], error: Any, message: str) -> None:
    frame = FRAMES[name](COLUMNS | {"gap": [1.0, 2.0, None, 4.0, 5.0]})
    with pytest.raises(error, match=message):
        saiki.sequences(frame, **({"id": "patient", "time": "t", "features": ["heart"]} | options))


def test_what_is_no_frame() -> None:
    with pytest.raises(saiki.DtypeError, match="frame must be a data frame; got list"):
        saiki.sequences([[1, 2]], id="id")
    with pytest.raises(saiki.ArgumentError, match="at least one row"):
        saiki.sequences(pd.DataFrame({"id": [], "x": []}), id="id")
