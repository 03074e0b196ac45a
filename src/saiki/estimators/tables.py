"""Data frames of any library, read through narwhals, with columns of any names."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, final

import narwhals as nw
import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError, DtypeError, choose
from saiki.estimators.columns import ROUNDED, Series, numbers

HALF = "float16", "halffloat", "halffloat[pyarrow]", "Float16"
"""What libraries call a column of half floats."""


@final
@dataclass(frozen=True, eq=False)
class Table:
    """A data frame whose columns are looked up by their own names, which need not be texts.

    Attributes:
        native: the data frame in the caller's library; collected, if it was lazy.
        frame: the same columns under the names "0", "1", ..., which every library takes.
        names: the names in the caller's data frame.
    """

    native: Any
    frame: nw.DataFrame[Any]
    names: list[Any]

    @classmethod
    def of(cls, frame: Any) -> "Table":
        """Open a data frame; nothing is copied.

        Raises:
            DtypeError: it is no data frame.
            ArgumentError: two columns have one name.
        """
        given = frame
        if not nw.dependencies.is_into_dataframe(frame):
            frame = nw.from_native(frame, pass_through=True)
            if not isinstance(frame, nw.LazyFrame):
                raise DtypeError(f"frame must be a data frame; got {type(given).__name__}. Try pandas.DataFrame(...).")
            frame = frame.collect()
        frame = nw.to_native(frame, pass_through=True)
        if nw.dependencies.is_pandas_like_dataframe(frame):
            names, frame = (
                list(frame.columns),
                frame.copy(deep=False),
            )  # what the caller renames or sorts later stays out
            renamed = frame.copy(deep=False)
            renamed.columns = _positions(names)
        elif nw.dependencies.is_pyarrow_table(frame):
            names, renamed = list(frame.column_names), frame.rename_columns(_positions(frame.column_names))
        else:
            names = nw.from_native(frame, eager_only=True).columns
            renamed = frame.rename(dict(zip(names, _positions(names), strict=True)))
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise ArgumentError(f"frame must have columns of different names; it has several {doubled!r}. Rename them.")
        return cls(frame, nw.from_native(renamed, eager_only=True), names)

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: Any) -> Series:
        """Return a column; one of half floats, which libraries do not rank, as float64."""
        series = self.frame[str(self.names.index(name))]
        native: Any = series.to_native()
        half = str(getattr(native, "dtype", getattr(native, "type", ""))) in HALF
        return series.cast(nw.Float64) if half else series

    def numbers(self, names: Iterable[Any]) -> Array:
        """Return columns as floats ``(n_rows, n_columns)``, NaN for nothing.

        Raises:
            DtypeError: a column holds no numbers.
        """
        return np.stack([numbers(name, self.column(name)) for name in names], axis=1)

    def one(self, argument: str, name: Any) -> Any:
        """Return the name of the column that an argument names.

        Raises:
            ArgumentError: the data frame has no such column.
        """
        try:
            return choose(argument, name, {known: known for known in self.names})
        except ArgumentError as error:
            raise ArgumentError(
                f"{error} These are the columns of the frame; an index is not a column; call reset_index() first."
            ) from None

    def named(self, argument: str, given: Any) -> list[Any]:
        """Return the names of the columns that an argument names: one, or several in a list, tuple or index.

        A tuple that is itself the name of a column is that one.

        Raises:
            ArgumentError: the data frame has no such column.
        """
        one = isinstance(given, str | bytes) or not isinstance(given, Iterable) or self._has(given)
        return [self.one(argument, name) for name in ([given] if one else given)]

    def _has(self, name: Any) -> bool:
        try:
            return isinstance(name, Hashable) and name in dict.fromkeys(self.names)
        except TypeError:  # a tuple that holds a list
            return False

    def beside(self, rows: Array, columns: dict[str, Array]) -> Any:
        """Return some rows, in the caller's library, with further columns.

        Raises:
            ArgumentError: the data frame has a column of that name.
        """
        taken = next((name for name in columns if self._has(name)), None)
        if taken is not None:
            raise ArgumentError(f"name must be that of no column; the frame has {taken!r}. Give name='...'.")
        if nw.dependencies.is_pandas_like_dataframe(self.native):
            result = self.native.iloc[rows].copy()
            for name, column in columns.items():
                result[(name, *[""] * (result.columns.nlevels - 1)) if result.columns.nlevels > 1 else name] = column
            return result
        chosen = nw.from_native(self.native, eager_only=True)[rows.tolist(), :]
        return chosen.with_columns(*(_series(name, column, chosen) for name, column in columns.items())).to_native()


def plain_numbers(frame: Any) -> tuple[list[Any], Array] | None:
    """Return the names and the numbers of a data frame of pandas that holds nothing but NumPy's numbers, else None.

    It is as ``Table.numbers``, but for many small data frames a hundred times as fast.
    """
    if not nw.dependencies.is_pandas_like_dataframe(frame):
        return None
    names, values = list(frame.columns), frame.to_numpy()
    if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8 or len(set(names)) < len(names):
        return None
    array: Array = values.astype(np.float32 if values.dtype == np.float32 else np.float64)
    return None if (np.abs(array) >= ROUNDED).any() else (names, array)


def is_table(value: Any) -> bool:
    """Return whether a value is a data frame of some library, lazy or not."""
    if isinstance(value, np.ndarray | list | tuple):
        return False
    return nw.dependencies.is_into_dataframe(value) or isinstance(
        nw.from_native(value, pass_through=True), nw.LazyFrame
    )


def is_column(value: Any) -> bool:
    """Return whether a value is a column of some library of data frames."""
    return not isinstance(value, np.ndarray | list | tuple) and nw.dependencies.is_into_series(value)


def _positions(names: Iterable[Any]) -> list[str]:
    return [str(place) for place, _ in enumerate(names)]


def _series(name: str, column: Array, like: nw.DataFrame[Any]) -> Series:
    """Return a column in the library of a data frame."""
    plain = column if column.dtype.kind in "biufmM" else column.tolist()
    return nw.new_series(name, plain, backend=like.implementation)
