"""Columns of data frames: the order, the identity and the numbers of their values, with nothing rounded on the way."""

import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError, DtypeError
from saiki.estimators.callers import level_of_user
from saiki.estimators.exact import NUMBER, Key, key_of, key_of_text

Series = nw.Series[Any]

ROUNDED = 2.0**53
"""The first magnitude at which float64 cannot hold every whole number."""

NESTED = nw.List, nw.Array, nw.Struct, nw.Binary

ISO = "2026-01-09, 2026-01-09T09:05, 2026-01-09T09:05:00+01:00 or 09:05"


def missing(series: Series) -> Array:
    """Return which values of a column are null or NaN."""
    gaps: Array = series.is_null().to_numpy().astype(bool)
    if series.dtype.is_float():
        gaps |= series.is_nan().fill_null(value=True).to_numpy().astype(bool)
    elif series.dtype == nw.Object:
        gaps |= np.array([isinstance(value, Real) and bool(value != value) for value in series.to_list()], bool)
    return gaps


def ranks(name: Any, series: Series) -> Array:
    """Return the place of each value of a column in the order of its type; equal values share a place.

    The library of the data frame ranks a typed column, so that instants, nanoseconds and whole numbers of any size
    stay exact. An ordered category has the order of its categories; one without an order, that of what its categories
    are. Texts must be numbers or ISO 8601.

    Raises:
        ArgumentError: texts or mixed values without a certain order.
        DtypeError: values of a type that has no order.
    """
    if series.dtype == nw.Categorical:
        codes = _ordered_codes(series)
        return ranks(name, _of_categories(series)) if codes is None else codes
    if series.dtype == nw.String:
        return _places(_read_texts(name, series.to_list()))
    if series.dtype == nw.Object or _is_wide(series):
        return _places(_read_values(name, series.to_list()))
    return _ranked(name, series)


def identities(name: Any, series: Series) -> Array:
    """Return a whole number for each value of a column, the same for equal values and for no others.

    A text is never equal to a number, nor a truth value to one.

    Raises:
        DtypeError: values that cannot be told apart.
    """
    if series.dtype == nw.Categorical:
        series = _of_categories(series)
    if series.dtype not in (nw.String, nw.Object, *NESTED) and not _is_wide(series):
        return _ranked(name, series)
    found, codes = series.to_list(), dict[Any, int]()
    keys = found if series.dtype == nw.String else (key_of(value) or (type(value), value) for value in found)
    try:
        return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int64)
    except TypeError:
        raise DtypeError(f"column {name!r} must hold values that can be hashed. Write them as text.") from None


def values(series: Series) -> list[Any]:
    """Return a column as a list; dates and times that Python would round become ``numpy.datetime64``."""
    unit = getattr(series.dtype, "time_unit", None)
    if unit == "ns" and not nw.dependencies.is_pandas_like_series(series.to_native()):
        ticks = series.cast(nw.Int64).drop_nulls().to_numpy()
        if (ticks % 1000).any():
            return list(series.to_numpy())
    return list(series.to_list())


def numbers(name: Any, series: Series) -> Array:
    """Return a column of numbers or truth values as floats, NaN for nothing.

    Float32 stays; other numbers become float64.

    Raises:
        DtypeError: the column holds something else; the message names a row.
    """
    dtype = series.dtype
    if dtype == nw.Float32:
        return series.to_numpy().astype(np.float32)
    if dtype.is_integer():
        floats: Array = series.fill_null(0).to_numpy().astype(np.float64)  # a cast of Arrow's refuses to round
        if (np.abs(floats) >= ROUNDED).any():
            warnings.warn(
                f"column {name!r} holds whole numbers from 2**53 on, some of which float64 rounds. Subtract a common"
                " offset first.",
                stacklevel=level_of_user(),
            )
        return np.where(missing(series), np.nan, floats)
    if dtype.is_numeric() or dtype == nw.Boolean:
        return series.cast(nw.Float64).to_numpy().astype(np.float64)
    cells = series.to_native() if dtype == nw.Unknown else series.to_list()
    plain = np.asarray(cells) if dtype == nw.Unknown else np.empty(0, object)
    if plain.dtype.kind in "biuf":
        return plain.astype(np.float64)
    if dtype in (nw.Object, nw.Unknown) and plain.dtype.kind == "O":
        cells, gaps = list(cells), missing(series)
        keys = [None if gap else key_of(cell) for cell, gap in zip(cells, gaps, strict=True)]
        wrong = [row for row, key in enumerate(keys) if not gaps[row] and (key is None or key.kind not in NUMBERS)]
        wrong = wrong or [row for row, key in enumerate(keys) if key is not None and not _fits_float(key.value)]
        if not wrong:
            return np.array([np.nan if key is None else float(key.value) for key in keys])
        raise DtypeError(_no_numbers(name, dtype, wrong[0], cells[wrong[0]]))
    cells = list(cells)
    texts = (row for row, cell in enumerate(cells) if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()))
    row = next(texts, next((row for row, cell in enumerate(cells) if cell is not None), 0))
    raise DtypeError(_no_numbers(name, dtype, row, cells[row] if cells else None))


def _fits_float(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


NUMBERS = "number", "truth value"
"""The kinds of keys that are read as numbers."""


def _no_numbers(name: Any, dtype: Any, row: int, cell: Any) -> str:
    return (
        f"column {name!r} must hold numbers; it holds {dtype}, such as {cell!r} in row {row}. Encode it as numbers"
        " first; or is it the id=, time= or target= of saiki.sequences?"
    )


def _ranked(name: Any, series: Series) -> Array:
    """Return dense ranks as the library of the data frame finds them."""
    if series.dtype not in NESTED:
        try:
            return series.rank("dense").cast(nw.Int64).to_numpy().astype(np.int64)
        except Exception as error:  # each library has its own
            cause: BaseException | None = error
    else:
        cause = None
    raise DtypeError(
        f"column {name!r} must hold values that have an order; it holds {series.dtype}. Convert it to numbers or dates."
    ) from cause


def _is_wide(series: Series) -> bool:
    """Whether a column holds floats of more than 64 bits, which pandas ranks after rounding."""
    dtype: Any = getattr(series.to_native(), "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize > 8


def _of_categories(series: Series) -> Series:
    """Return a column of categories as what the categories are."""
    native: Any = series.to_native()
    categories = getattr(getattr(native, "cat", None), "categories", None)
    if categories is not None:  # of pandas
        return nw.from_native(native.astype(categories.dtype), series_only=True)
    if (arrow := _arrow_of(native)) is not None:
        return nw.from_native(arrow.cast(arrow.type.value_type), series_only=True)
    return series.cast(nw.String)


def _ordered_codes(series: Series) -> Array | None:
    """Return the place of each value of an Arrow dictionary that has an order; None for other categories."""
    arrow = _arrow_of(series.to_native())
    if arrow is None or not arrow.type.ordered:
        return None
    parts = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in arrow.unify_dictionaries().chunks]
    return np.concatenate(parts).astype(np.int64)


def _arrow_of(native: Any) -> Any:
    """Return the chunked array of a column that Arrow holds as a dictionary; None for other columns."""
    if hasattr(getattr(native, "dtype", None), "pyarrow_dtype"):  # of pandas
        native = native.array.__arrow_array__()
    return native if hasattr(native, "chunks") and hasattr(native, "unify_dictionaries") else None


def _read_texts(name: Any, texts: list[str]) -> list[Key]:
    known = {text: key_of_text(text) for text in set(texts)}

    def refusal(row: int) -> str:
        return (
            f"column {name!r} must have a certain order; it holds text, and {texts[row]!r} in row {row} is neither a"
            f" plain number nor ISO 8601, such as {ISO}. Convert the column first, naming its form, as in"
            " pandas.to_datetime(column, format='%H:%M') or Polars' column.str.to_time('%H:%M'), or make it an ordered"
            " category."
        )

    return _of_one_kind(name, [known[text] for text in texts], texts, refusal)


def _read_values(name: Any, found: list[Any]) -> list[Key]:
    if all(isinstance(value, str) for value in found):
        return _read_texts(name, found)

    def refusal(row: int) -> str:
        return (
            f"column {name!r} must hold numbers, dates or times of one kind; row {row} holds {found[row]!r}, a"
            f" {type(found[row]).__name__}. Convert the column to one type first."
        )

    return _of_one_kind(name, list(map(key_of, found)), found, refusal)


def _of_one_kind(
    name: Any, keys: Sequence[Key | None], found: Sequence[Any], refusal: Callable[[int], str]
) -> list[Key]:
    """Return the keys, which must all be there and be of one kind."""
    there = [key for key in keys if key is not None]
    if len(there) < len(keys):
        raise ArgumentError(refusal(next(row for row, key in enumerate(keys) if key is None)))
    row = next((row for row, key in enumerate(there) if key.kind != there[0].kind), None)
    if row is not None:
        raise ArgumentError(
            f"column {name!r} must hold values of one kind; row 0 holds {found[0]!r}, a {there[0].kind}, and row {row}"
            f" {found[row]!r}, a {there[row].kind}. Convert the column to one type first."
        )
    return there


def _places(keys: list[Key]) -> Array:
    """Return the place of each key among all keys."""
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([places[key] for key in keys])
