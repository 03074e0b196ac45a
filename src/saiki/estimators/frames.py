"""Data frames in long format, one row for each step: pandas, Polars and Arrow, through narwhals."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError, choose
from saiki.estimators.columns import Series, identities, missing, ranks, values
from saiki.estimators.named import FrameSequences, NamedSequences
from saiki.estimators.tables import Table
from saiki.estimators.targets import of_series

OUTPUTS = "auto", "last", "each"


def sequences(
    frame: Any,
    id: Any | Sequence[Any] | None = None,  # noqa: A002
    time: Any | None = None,
    features: Any | Sequence[Any] | None = None,
    target: Any | None = None,
    output: Literal["auto", "last", "each"] = "auto",
) -> FrameSequences:
    """Return the sequences of a data frame that has a row for each step.

    Names of columns may be texts, or whatever else the data frame has: whole numbers, tuples, timestamps.

    Args:
        frame: a data frame of pandas, Polars (eager or lazy), Arrow, or another that narwhals reads.
        id: the column that says to which sequence a row belongs, or several that say it together; None reads the whole
            data frame as one sequence.
        time: the column to sort the steps of each sequence by; None leaves the order of the rows. Numbers, dates, times
            and durations are sorted as what they are: by the instant across time zones and clock changes, to the
            nanosecond, to the last digit of large numbers. An ordered category has the order of its categories. Text
            must be plain numbers or ISO 8601 (``2026-01-09``, ``2026-01-09T09:05``, ``2026-01-09T09:05:00+01:00``,
            ``09:05:00``), of one kind in the whole column.
        features: the columns of features, numbers or truth values; None is all but id, time and target.
        target: the column of the target, if there is one; null and NaN are missing targets.
        output: "last" for one target for each sequence, which all its rows must have or leave empty; "each" for one
            for each step; "auto" for the former where it can be, and ``found.output`` says which it is.

    Returns:
        The sequences in the order in which their ids first come; it unpacks as ``X, y``, and has the ids, the features,
        the rows that the steps come from, and ``to_frame``, which puts predictions into the data frame.

    Raises:
        ArgumentError: a column is missing or doubled, an id or time is empty, two rows of a sequence have the same
            time, the times have no certain order, the data frame has no rows, or a sequence has several targets where
            it must have one.
        DtypeError: a feature that is no number, or something that is no data frame.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": [7, 7, 9], "t": [2, 1, 1], "x": [0.2, 0.1, 0.5], "label": ["a", "a", "b"]})
    >>> X, y = sequences(frame, id="id", time="t", features=["x"], target="label")
    >>> [x.ravel().tolist() for x in X], y.tolist()
    ([[0.1, 0.2], [0.5]], ['a', 'b'])
    """
    choose("output", output, dict.fromkeys(OUTPUTS))
    table = Table.of(frame)
    ids = [] if id is None else table.named("id", id)
    times = [] if time is None else [table.one("time", time)]
    targets = [] if target is None else [table.one("target", target)]
    named = [*ids, *times, *targets]
    others = (name for name in table.names if name not in named)
    given = list(others) if features is None else table.named("features", features)
    _check_columns(table, [*named, *given], id is not None and not ids, not given)

    for name in (*ids, *times):
        _check_there(name, table.column(name))
    codes, firsts = _numbered([identities(name, table.column(name)) for name in ids], len(table))
    own = _keys([table.column(name)[firsts.tolist()] for name in ids])
    places = ranks(times[0], table.column(times[0])) if times else np.zeros(len(table), int)
    order = np.lexsort((places, codes))
    starts = np.searchsorted(codes[order], np.arange(len(own)))
    again = (np.diff(codes[order]) == 0) & (np.diff(places[order]) == 0)
    if times and again.any():
        row = order[1:][again][0]
        whose = f"; {id} {own[codes[row]]!r} has" if ids else "; without id= all rows are one, which has"
        raise ArgumentError(
            f"time must differ between the rows of a sequence{whose} {times[0]}"
            f" {values(table.column(times[0])[[int(row)]])[0]!r} more than once. Drop or merge such rows."
        )
    found = _Targets(None, None, None)
    if targets:
        found = _targets(targets[0], table.column(targets[0])[order.tolist()], starts, own, output)
    arrays = np.split(table.numbers(given)[order], starts[1:])
    rows = np.split(order, starts[1:])
    X = NamedSequences(tuple(arrays), given, own, rows, found.output, found.steps if output == "auto" else None)
    return FrameSequences(X, found.y, table)


def _check_columns(table: Table, asked: list[Any], no_id: bool, no_features: bool) -> None:
    """Raise unless there are rows, and each column is asked for once."""
    doubled = next((name for name in asked if asked.count(name) > 1), None) if len(set(asked)) < len(asked) else None
    if doubled is not None or no_id or no_features:
        what = f"column {doubled!r} is named twice" if doubled is not None else "no features are left"
        raise ArgumentError(
            f"id, time, features and target must be columns of their own; {'no id' if no_id else what}."
        )
    if not len(table):
        raise ArgumentError("frame must have at least one row; it has none.")


def _check_there(name: Any, series: Series) -> None:
    gaps = missing(series)
    if gaps.any():
        raise ArgumentError(
            f"column {name!r} must have a value in every row; row {gaps.argmax()} has none. Drop or fill it."
        )


def _numbered(parts: list[Array], n_rows: int) -> tuple[Array, Array]:
    """Return for each row the number of its key, in the order in which they first come, and the first row of each."""
    codes: Array = np.zeros(n_rows, np.int64)
    firsts: Array = np.zeros(1, np.int64)
    for part in parts:
        part = np.unique(part, return_inverse=True)[1]
        pairs = codes * (part.max() + 1) + part  # below the square of the number of rows
        _, firsts, codes = np.unique(pairs, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order))
    return numbers[codes], firsts[order]


def _keys(columns: list[Series]) -> list[Any]:
    """Return the id of each sequence: a value, or a tuple of those of several columns; None without any."""
    parts = [values(column) for column in columns]
    if len(parts) == 1:
        return parts[0]
    return list(zip(*parts, strict=True)) if parts else [None]


class _Targets(NamedTuple):
    """The targets: y, what it holds, and the target of each step."""

    y: Any
    output: Literal["last", "each"] | None
    steps: list[Array] | None


def _targets(name: Any, series: Series, starts: Array, ids: list[Any], output: str) -> _Targets:
    """Return one target for each sequence, or an array for each with that of each step."""
    gaps = missing(series)
    column = _narrowed(of_series(series))
    steps = np.split(column, starts[1:])
    if output == "each":
        return _Targets(steps, "each", steps)
    places = np.flatnonzero(~gaps)
    codes = identities(name, series[places.tolist()]) if len(places) else places
    owners = np.searchsorted(starts, places, side="right") - 1
    first = np.unique(owners, return_index=True)
    at = np.full(len(starts), -1)
    at[first[0]] = first[1]
    several = codes != codes[at[owners]] if len(places) else np.zeros(0, bool)
    if several.any() and output == "last":
        which = owners[several][0]
        n = len(np.unique(codes[owners == which]))
        raise ArgumentError(
            f"target must be one for each sequence; {name!r} has {n} values in sequence {ids[which]!r}. For one for"
            " each step give output='each'."
        )
    if several.any():
        return _Targets(steps, "each", steps)
    y = column[places[at]] if len(places) else np.array([None] * len(starts), object)
    if (at < 0).any():
        y = y.astype(object) if column.dtype.kind in "OiubUS" else y
        y[at < 0] = np.nan if column.dtype.kind == "f" else None
    elif y.dtype == object:
        y = _narrowed(y)
    return _Targets(y, "last", steps)


def _narrowed(column: Array) -> Array:
    """Return objects of one plain type as an array of that type."""
    kinds = {str if isinstance(value, str) else type(value) for value in column} if column.dtype == object else set()
    return np.array(column.tolist()) if kinds in ({str}, {int}, {float}, {bool}) else column
