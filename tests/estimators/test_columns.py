"""Rows are ordered, and ids told apart, by what a typed column holds: nothing is rounded or read as text on the way."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import saiki
from saiki.estimators.exact import key_of, key_of_text

BERLIN, BIG = "Europe/Berlin", 2**53
CHANGE = pd.Timestamp("2026-10-25T00:30Z").value  # of the clocks in Berlin: half past two comes twice
NAMES = [f"month {i}" for i in range(64)]


def _instants(ticks: Any, step: int = 1) -> pd.Series:
    """Return instants around a clock change, in nanoseconds."""
    return pd.Series(pd.to_datetime(CHANGE + np.asarray(ticks) * step, unit="ns", utc=True)).dt.tz_convert(BERLIN)


def _python(ticks: Any) -> list[datetime.datetime]:
    start = datetime.datetime(2026, 10, 25, 0, 30, tzinfo=datetime.UTC)
    return [(start + datetime.timedelta(minutes=int(t))).astimezone(ZoneInfo(BERLIN)) for t in ticks]


def _arrow_pandas(values: Any, kind: Any) -> pd.Series:
    return pd.Series(pd.array(values, dtype=pd.ArrowDtype(kind)))


def _dictionary(ticks: Any, ordered: bool, names: list[str]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(list(map(int, ticks)), pa.int32()), names, ordered=ordered)


COLUMNS: dict[str, Callable[[list[int]], Any]] = {
    "pandas, int64": lambda t: pd.Series([BIG + i for i in t]),
    "pandas, uint64": lambda t: pd.Series([2**64 - 100 + i for i in t], dtype="uint64"),
    "pandas, Int64": lambda t: pd.Series([BIG + i for i in t], dtype="Int64"),
    "pandas, Arrow's int64": lambda t: _arrow_pandas([BIG + i for i in t], pa.int64()),
    "pandas, numbers of Python": lambda t: pd.Series([2**70 + i for i in t], dtype=object),
    "pandas, ints beside floats": lambda t: pd.Series([BIG + i if i % 2 else float(BIG + i) for i in t], dtype=object),
    "pandas, NumPy's numbers": lambda t: pd.Series(
        [np.int64(BIG + i) if i % 2 else float(BIG + i) for i in t], dtype=object
    ),
    "pandas, Decimal": lambda t: pd.Series([Decimal(BIG) + Decimal(i) / 1000 for i in t]),
    "pandas, Fraction": lambda t: pd.Series([Fraction(BIG) + Fraction(i, 1000) for i in t]),
    "pandas, float16": lambda t: pd.Series(t, dtype="float16"),
    "pandas, longdouble": lambda t: pd.Series(1 + np.array(t) * np.finfo(np.longdouble).eps),
    "pandas, sparse": lambda t: pd.Series(pd.arrays.SparseArray(np.array(t, float))),
    "pandas, zoned minutes": lambda t: _instants(t, 60 * 10**9),
    "pandas, zoned ns": _instants,
    "pandas, zoned objects": lambda t: _instants(t).astype(object),
    "pandas, Arrow's zoned ns": lambda t: _instants(t).astype(f"timestamp[ns, tz={BERLIN}][pyarrow]"),
    "pandas, times of Python": lambda t: pd.Series(_python(t), dtype=object),
    "pandas, durations": lambda t: pd.Series(pd.to_timedelta(t, unit="ns")),
    "pandas, durations as objects": lambda t: pd.Series(pd.to_timedelta(t, unit="ns")).astype(object),
    "pandas, dates": lambda t: pd.Series([datetime.date(2026, 9, 20) + datetime.timedelta(i) for i in t]),
    "pandas, times of day": lambda t: pd.Series([datetime.time(9 + i // 60, i % 60) for i in t]),
    "pandas, periods": lambda t: pd.Series(pd.PeriodIndex([pd.Period("2026-01", "M") + i for i in t])),
    "pandas, ordered categories": lambda t: pd.Series(pd.Categorical.from_codes(t, NAMES[::-1], ordered=True)),
    "pandas, categories of numbers": lambda t: pd.Series(pd.Categorical(t)),
    "pandas, Arrow's ordered categories": lambda t: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.chunked_array([_dictionary(t, True, NAMES[::-1])]))
    ),
    "polars, Int128": lambda t: pl.Series([2**100 + i for i in t], dtype=pl.Int128),
    "polars, UInt64": lambda t: pl.Series([2**64 - 100 + i for i in t], dtype=pl.UInt64),
    "polars, Decimal": lambda t: pl.Series([Decimal(BIG) + Decimal(i) / 1000 for i in t]),
    "polars, zoned": lambda t: pl.Series(_instants(t, 60 * 10**9)).dt.convert_time_zone(BERLIN),
    "polars, ns": lambda t: pl.Series(t).cast(pl.Datetime("ns")),
    "polars, zoned ns": lambda t: pl.Series(_instants(t)).dt.convert_time_zone(BERLIN),
    "polars, objects": lambda t: pl.Series(_python(t), dtype=pl.Object),
    "polars, durations": lambda t: pl.Series(t).cast(pl.Duration("ns")),
    "polars, dates": lambda t: pl.Series(t).cast(pl.Date),
    "polars, times": lambda t: (pl.Series(t) * 1000).cast(pl.Time),
    "polars, Enum": lambda t: pl.Series([NAMES[::-1][i] for i in t], dtype=pl.Enum(NAMES[::-1])),
    "polars, categories": lambda t: pl.Series(list(map(str, t)), dtype=pl.Categorical),
    "arrow, zoned ns": lambda t: pa.array([CHANGE + i for i in t], pa.timestamp("ns", BERLIN)),
    "arrow, dates": lambda t: pa.array(t, pa.int32()).cast(pa.date32()),
    "arrow, days in ms": lambda t: pa.array(t, pa.int32()).cast(pa.date32()).cast(pa.date64()),
    "arrow, seconds of a day": lambda t: pa.array(t, pa.int32()).cast(pa.time32("s")),
    "arrow, half floats": lambda t: pa.array(np.array(t, np.float16)),
    "arrow, wide decimals": lambda t: pa.array([Decimal(BIG) + i for i in t], pa.decimal256(50, 2)),
    "arrow, ordered categories": lambda t: _dictionary(t, True, NAMES[::-1]),
    "arrow, categories": lambda t: _dictionary(t, False, [str(i) for i in range(64)]),
    **{
        f"text, {name}": lambda t, write=write: pd.Series([write(i) for i in t])  # type: ignore[misc]
        for name, write in {
            "whole numbers": str,
            "large numbers": lambda i: str(BIG + i),
            "numbers": lambda i: f"{i}e-3",
            "dates": lambda i: str(datetime.date(2026, 9, 20) + datetime.timedelta(i)),
            "months": lambda i: f"{2000 + i // 12}-{i % 12 + 1:02d}",
            "zones": lambda i: _python([i])[0].isoformat(),
            "picoseconds": lambda i: f"2026-01-01 10:00:00.{i:012d}Z",
            "times of day": lambda i: f"{9 + i // 60:02d}:{i % 60:02d}",
        }.items()
    },
}
"""Columns that hold the order of whole numbers below 64."""


def _frame(column: Any, **others: Any) -> Any:
    """Return a data frame of the library that made a column."""
    if isinstance(column, pd.Series):
        return pd.DataFrame({"t": column, **others})
    return pl.DataFrame({"t": column, **others}) if isinstance(column, pl.Series) else pa.table({"t": column, **others})


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_come_in_the_order_of_their_type(name: str, rng: np.random.Generator) -> None:
    ticks = rng.permutation(64)
    frame = _frame(COLUMNS[name](ticks.tolist()), x=ticks.astype(float))
    found = saiki.sequences(frame, time="t")
    assert found[0].ravel().tolist() == list(range(64))
    assert found.rows[0].tolist() == np.argsort(ticks).tolist()


@pytest.mark.parametrize("name", COLUMNS)
def test_equal_times_are_found_and_others_are_not(name: str, rng: np.random.Generator) -> None:
    ticks = rng.permutation(64)
    ticks[10] = ticks[50]
    column = COLUMNS[name](ticks.tolist())
    with pytest.raises(saiki.ArgumentError, match=r"time must differ .* more than once"):
        saiki.sequences(_frame(column, x=np.ones(64)), time="t")


@pytest.mark.parametrize("name", COLUMNS)
def test_ids_are_told_apart_by_their_type(name: str, rng: np.random.Generator) -> None:
    ticks = rng.integers(16, size=64)
    found = saiki.sequences(_frame(COLUMNS[name](ticks.tolist()), x=ticks.astype(float)), id="t")
    in_order = list(dict.fromkeys(ticks.tolist()))
    assert [x.ravel().tolist() for x in found.X] == [[float(t)] * int((ticks == t).sum()) for t in in_order]
    assert len(set(map(str, found.ids))) == len(in_order)  # what is shown differs too


def test_the_night_of_a_clock_change() -> None:
    times = pd.Series(pd.to_datetime(["2026-10-25T00:45Z", "2026-10-25T01:15Z"])).dt.tz_convert(BERLIN)
    for frame in (
        pl.DataFrame({"t": pl.Series(times), "x": [0.0, 1.0]}),
        pl.LazyFrame({"t": pl.Series(times), "x": [0.0, 1.0]}),
        pd.DataFrame({"t": times, "x": [0.0, 1.0]}),
        pa.table({"t": pa.Array.from_pandas(times), "x": [0.0, 1.0]}),
    ):
        assert saiki.sequences(frame, time="t")[0].ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    "times",
    [
        ["9:05", "10:05", "11:00"], ["1/9/2026", "1/10/2026"], ["jan", "feb"], ["09:05", "9:10"], ["1,5", "2"],
        ["1_0", "2"], ["\u0661", "2"], ["nan", "1"], ["", "1"], ["2026-02-30", "2026-03-01"], ["24:00", "01:00"],
        ["2026-01-01T10", "2026-01-01T09"], ["T09:05", "T10:05"], ["2026-01T09:05", "2026-02T09:05"],
        ["09:05Z", "10:05Z"], ["1e99999999999999999999", "2"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_text_without_a_certain_order_is_refused(times: list[str], make: Any) -> None:
    frame = make({"t": times, "x": np.ones(len(times))})
    with pytest.raises(saiki.ArgumentError, match=r"in row \d is neither a plain number nor ISO 8601.*to_datetime"):
        saiki.sequences(frame, time="t")


@pytest.mark.parametrize(
    "times",
    [
        ["2026-01-01T00:00Z", "2026-01-01T01:00"], ["2026-01-01", "2026-01-01T01:00"], ["2026-01", "2026-01-01"],
        ["2026-01-01", "2"], [1, "2"], [True, 2], [datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1)],
        [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01", tz="UTC")], [1j, 2], [(1,), (2,)],
        [np.timedelta64(1, "s"), 2],
    ],
)  # fmt: skip
def test_mixed_times_are_refused(times: list[Any]) -> None:
    frame = pd.DataFrame({"t": pd.Series(times, dtype=object), "x": np.ones(2)})
    with pytest.raises(saiki.ArgumentError, match="Convert the column to one type first"):
        saiki.sequences(frame, time="t")


@pytest.mark.parametrize("column", [pl.Series([[1], [2]]), pl.Series([{"a": 1}, {"a": 2}]), pd.Series([1j, 2])])
def test_what_has_no_order_is_refused(column: Any) -> None:
    with pytest.raises(saiki.DtypeError, match="must hold values that have an order"):
        saiki.sequences(_frame(column, x=[1.0, 2.0]), time="t")


def test_ids_of_several_types_in_one_column() -> None:
    ids = pd.Series(["1", 1, 1.0, True, b"1", (1,), "1"], dtype=object)
    found = saiki.sequences(pd.DataFrame({"id": ids, "x": np.arange(7.0)}), id="id")
    assert [rows.tolist() for rows in found.rows] == [[0, 6], [1, 2], [3], [4], [5]]
    assert found.ids == ["1", 1, True, b"1", (1,)]
    with pytest.raises(saiki.DtypeError, match="can be hashed"):
        saiki.sequences(pd.DataFrame({"id": [[1], [2]], "x": np.arange(2.0)}), id="id")


def test_keys_keep_the_order_of_exact_numbers(rng: np.random.Generator) -> None:
    pool: list[Any] = [float(n) for n in rng.normal(size=40) * 10.0 ** rng.integers(-5, 20, size=40)]
    pool += [int(n) for n in pool] + [Fraction(n) / 3 for n in pool] + [Decimal(n) for n in pool]
    pool += [np.float32(n) for n in pool[:20]] + [np.int64(int(n) % 2**62) for n in pool[:20]]
    exact = [
        Fraction(int(n) if isinstance(n, np.integer) else float(n) if isinstance(n, np.floating) else n) for n in pool
    ]
    keys = [key_of(n) for n in pool]
    for key, number in zip(keys, exact, strict=True):
        for other, second in zip(keys, exact, strict=True):
            assert key is not None
            assert other is not None
            assert (key < other, key == other) == (number < second, number == second)


def test_keys_of_text_are_those_of_the_instants(rng: np.random.Generator) -> None:
    moments = [
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=int(us))
        for us in rng.integers(400 * 86_400 * 10**6, size=200)
    ]
    zones = [ZoneInfo(BERLIN), ZoneInfo("America/New_York"), datetime.UTC, ZoneInfo("Asia/Kathmandu")]
    texts = [moment.astimezone(zones[i % 4]).isoformat(sep="T "[i % 2]) for i, moment in enumerate(moments)]
    keys = [key_of_text(text) for text in texts]
    assert None not in keys
    assert np.argsort(moments).tolist() == sorted(range(200), key=lambda i: keys[i] or ())  # type: ignore[arg-type]
