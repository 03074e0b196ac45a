"""Data frames in long format, one row for each step: pandas, Polars and Arrow, through narwhals."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import narwhals as nw
import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError, DtypeError, choose
from saiki.estimators.targets import as_targets, missing, of_series

OUTPUTS = "auto", "last", "each"


@final
@dataclass(frozen=True, eq=False)
class FrameSequences:
    """What ``sequences`` found in a frame; it unpacks as ``X, y``.

    Attributes:
        X: for each sequence an array ``(n_steps, n_features)``.
        y: the target of each sequence ``(n_sequences,)``, or for each sequence an array with that of each step; None
            where none was asked for.
        ids: the id of each sequence, in the order of X.
        features: the names of the features, in the order of their columns.
    """

    X: list[Array]
    y: Any
    ids: list[Any]
    features: list[str]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.X, self.y))


def sequences(
    frame: Any,
    id: str | Sequence[str],  # noqa: A002
    time: str | None = None,
    features: str | Sequence[str] | None = None,
    target: str | None = None,
    output: Literal["auto", "last", "each"] = "auto",
) -> FrameSequences:
    """Return the sequences of a data frame that has a row for each step.

    Args:
        frame: a data frame of pandas, Polars (eager or lazy), Arrow, or another that narwhals reads.
        id: the column that says to which sequence a row belongs, or several that say it together.
        time: the column to sort the steps of each sequence by; None leaves the order of the rows.
        features: the columns of features, numbers or booleans; None is all but id, time and target.
        target: the column of the target, if there is one; null and NaN are missing targets.
        output: "last" for one target for each sequence, which all its rows must have or leave empty; "each" for one
            for each step; "auto" for the former where it can be.

    Returns:
        ``X, y``; as attributes also the ids of the sequences, in the order in which they first come, and the features.

    Raises:
        ArgumentError: a column is missing or doubled, an id or time is empty, two rows of a sequence have the same
            time, the frame has no rows, or a sequence has several targets where it must have one.
        DtypeError: a feature that is no number, or something that is no data frame.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": [7, 7, 9], "t": [2, 1, 1], "x": [0.2, 0.1, 0.5], "label": ["a", "a", "b"]})
    >>> X, y = sequences(frame, id="id", time="t", features=["x"], target="label")
    >>> [x.ravel().tolist() for x in X], y.tolist()
    ([[0.1, 0.2], [0.5]], ['a', 'b'])
    """
    choose("output", output, dict.fromkeys(OUTPUTS))
    try:
        table = nw.from_native(frame)
    except TypeError as error:
        raise DtypeError(
            f"frame must be a data frame; got {type(frame).__name__}. Try pandas.DataFrame(...)."
        ) from error
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    ids = [id] if isinstance(id, str) else list(id)
    named = [*ids, *([time] if time is not None else []), *([target] if target is not None else [])]
    if features is None:
        features = [name for name in table.columns if name not in named]
    features = [features] if isinstance(features, str) else list(features)
    arguments = [word for word, name in (("time", time), ("target", target)) if name is not None]
    _check_columns(table, ids, named, features, arguments)
    codes, own = _numbered(list(zip(*(_present(table, name) for name in ids), strict=True)))
    ranks = np.zeros(len(codes), int)
    if time is not None:
        ranks = np.unique(np.array(_present(table, time)), return_inverse=True)[1]
    order = np.lexsort((ranks, codes))
    starts = np.searchsorted(codes[order], np.arange(len(own)))
    again = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if time is not None and again.any():
        row = order[1:][again][0]
        raise ArgumentError(
            f"time must differ between the rows of a sequence; {id} {_plain(own[codes[row]])!r} has"
            f" {time} {table[time].to_list()[row]!r} more than once. Drop or merge such rows."
        )
    values = np.stack([_numbers(table[name]) for name in features], axis=1)[order]
    y = None
    if target is not None:
        y = _targets(target, _labels(table[target])[order], starts, list(map(_plain, own)), output)
    return FrameSequences(np.split(values, starts[1:]), y, list(map(_plain, own)), features)


def _check_columns(
    table: nw.DataFrame[Any], ids: list[str], named: list[str], features: list[str], arguments: list[str]
) -> None:
    """Raise unless there are rows, and all columns that are asked for, once each."""
    arguments = [*(["id"] * len(ids)), *arguments, *(["features"] * len(features))]
    for argument, name in zip(arguments, [*named, *features], strict=True):
        try:
            choose(argument, name, dict.fromkeys(table.columns))
        except ArgumentError as error:
            raise ArgumentError(
                f"{error} These are the columns of the frame; an index is none (reset_index())."
            ) from None
    doubled = sorted({name for name in [*named, *features] if [*named, *features].count(name) > 1})
    if doubled or not ids or not features:
        what = f"column {doubled[0]!r} is named twice" if doubled else "no id" if not ids else "no features are left"
        raise ArgumentError(f"id, time, features and target must be columns of their own; {what}.")
    if not len(table):
        raise ArgumentError("frame must have at least one row; it has none.")


def _present(table: nw.DataFrame[Any], name: str) -> list[Any]:
    """Return a column as a list; raise if it has a gap."""
    values = table[name].to_list()
    gap = next((row for row, value in enumerate(values) if value is None or value != value), None)
    if gap is not None:
        raise ArgumentError(f"column {name!r} must have a value in every row; row {gap} has none. Drop or fill it.")
    return values


def _numbered(keys: list[Any]) -> tuple[Array, list[Any]]:
    """Return for each key its number in the order in which they first come, and the keys in that order."""
    numbers: dict[Any, int] = {}
    codes = [numbers.setdefault(key, len(numbers)) for key in keys]
    return np.array(codes), list(numbers)


def _numbers(series: nw.Series[Any]) -> Array:
    """Return a column of numbers as floats, NaN for nothing."""
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise DtypeError(
            f"features: column {series.name!r} must hold numbers; it holds {series.dtype}. Encode it as numbers"
            " first; or is it the target=?"
        )
    return (series if series.dtype == nw.Float32 else series.cast(nw.Float64)).to_numpy()


def _labels(series: nw.Series[Any]) -> Array:
    """Return a column of targets, None or NaN for nothing."""
    return of_series(series)


def _plain(key: tuple[Any, ...]) -> Any:
    """Return a key of one column as what that column holds."""
    return key[0] if len(key) == 1 else key


def _targets(name: str, values: Array, starts: Array, ids: list[Any], output: str) -> Any:
    """Return one target for each sequence, or an array for each with that of each step."""
    steps = np.split(values, starts[1:])
    if output == "each":
        return steps
    there = [part[~missing(part)].tolist() for part in steps]
    several = next((i for i, part in enumerate(there) if len(set(part)) > 1), None)
    if several is not None and output == "last":
        raise ArgumentError(
            f"target must be one for each sequence; {name!r} has {len(set(there[several]))} values in sequence"
            f" {ids[several]!r}. For one for each step give output='each'."
        )
    if several is not None:
        return steps
    gap = np.nan if values.dtype.kind == "f" else None
    return as_targets([part[0] if part else gap for part in there])
