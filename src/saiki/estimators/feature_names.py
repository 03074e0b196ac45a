"""The names of features: which an estimator was fitted with, and sequences brought into their order."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from saiki.arrays import Array, as_float
from saiki.errors import ArgumentError, DtypeError, ShapeError
from saiki.estimators.columns import numbers
from saiki.estimators.named import FrameSequences, NamedSequences
from saiki.estimators.tables import Table, is_column, is_table, plain_numbers

SHOWN = 5
"""Number of names that a message shows."""

REMEDY = "Fill or drop such rows first."

PLAIN = str, int, float, bool


class Unnamed(NamedTuple):
    """Sequences as arrays, and the names of their features; None where they have none."""

    X: Any
    names: list[Any] | None


def without_names(X: Any) -> Unnamed:
    """Return the arrays of named sequences, or of a list of data frames, and the names of the features.

    The columns of all data frames are put into the order of the first. Anything else is returned as it is.

    Raises:
        ArgumentError: the data frames have different columns, or a feature is not finite.
        DtypeError: a column holds no numbers.
    """
    if isinstance(X, FrameSequences):
        X = X.X
    if isinstance(X, NamedSequences):
        _check_finite(X)
        return Unnamed(list(X.arrays), X.features)
    if isinstance(X, np.ndarray) and not (X.dtype == object and X.ndim == 1):
        return Unnamed(X, None)
    if not isinstance(X, list | tuple | np.ndarray) or not len(X):
        return Unnamed(X, None)
    if is_table(X[0]):
        return _of_tables(X)
    if any(map(is_column, X)):
        return Unnamed([_of_column(i, part) for i, part in enumerate(X)], None)
    return Unnamed(X, None)


def keep_names(estimator: Any, names: list[Any] | None) -> None:
    """Give an estimator the names of the features that it is fitted with.

    Names that are all texts become ``feature_names_in_``, as in scikit-learn; others are kept as ``_other_names_``.
    """
    for attribute in ("feature_names_in_", "_other_names_"):
        vars(estimator).pop(attribute, None)
    if names and all(isinstance(name, str) for name in names):
        estimator.feature_names_in_ = np.array([str(name) for name in names], object)
    elif names:
        estimator._other_names_ = list(map(_plain, names))


def known_names(estimator: Any) -> list[Any] | None:
    """Return the names of the features that an estimator was fitted with, as far as a file can hold them."""
    if hasattr(estimator, "feature_names_in_"):
        return list(estimator.feature_names_in_)
    return getattr(estimator, "_other_names_", None)


def order_of(estimator: Any, names: list[Any] | None) -> Array | None:
    """Return the indices that put features into the order of fit; None where they are in it.

    Raises:
        ArgumentError: a feature of fit is missing, or there is another one.
    """
    known = known_names(estimator)
    if known is None or names is None:
        return None
    plain = list(map(_plain, names))
    if plain == known:
        return None
    lacking, others = [n for n in known if n not in plain], [n for n in plain if n not in known]
    if lacking or others:
        parts = ("missing", lacking), ("unknown", others)
        found = "; ".join(f"{what}: {_shown(part)}" for what, part in parts if part)
        raise ArgumentError(
            f"X must have the features that {type(estimator).__name__} was fitted with, {_shown(known)};"
            f" {found}. Rename or choose the columns, with features= of saiki.sequences."
        )
    return np.array([plain.index(name) for name in known])


def step_in_order(estimator: Any, x: Any) -> Any:
    """Return the features of a step in the order of fit, where x gives their names: a dict, a row or a data frame.

    Raises:
        ArgumentError: a feature of fit is missing, or there is another one.
        DtypeError: a feature is no number.
    """
    if is_table(x):
        names, values = _of_table(x)
        order = order_of(estimator, names)
        return values if order is None else values[:, order]
    if isinstance(x, Mapping):
        named = dict(x)
    elif hasattr(type(x), "_asdict"):  # a named tuple, such as a row of a data frame
        named = x._asdict()
    elif nw.dependencies.is_pandas_like_series(x) and not _is_counted(list(x.index)):
        named = dict(zip(x.index, x, strict=True))
    else:
        return x
    order = order_of(estimator, list(named))
    values = as_float("x", list(named.values()))
    return values if order is None else values[order]


def _is_counted(names: list[Any]) -> bool:
    """Whether names are only the numbers from 0 that a data frame has where it was given no names."""
    return names == list(range(len(names)))


def doubt_of(estimator: Any, names: list[Any] | None) -> str | None:
    """Return what to warn of where only fit or only X has names of features, in the words of scikit-learn."""
    known, kind = known_names(estimator), type(estimator).__name__
    if names is None and hasattr(estimator, "feature_names_in_"):
        return f"X does not have valid feature names, but {kind} was fitted with feature names"
    if known is None and names is not None and not _is_counted(list(map(_plain, names))):
        return f"X has feature names, but {kind} was fitted without feature names"
    return None


def are_sound(estimator: Any, n_features: int) -> bool:
    """Whether the names that a file holds fit the number of features."""
    names = known_names(estimator)
    return names is None or (len(names) == n_features and len(set(names)) == n_features)


def _plain(name: Any) -> Any:
    """Return a name as a file can hold it: a text, a number, or a tuple of such."""
    name = name.item() if isinstance(name, np.number | np.bool_) else name
    if isinstance(name, tuple):
        return tuple(map(_plain, name))
    if isinstance(name, str):
        return str(name)
    if type(name) in PLAIN and name - name == 0:  # not infinite, nor NaN
        return name
    return type(name).__name__, str(name)


def _shown(names: list[Any]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def _of_tables(X: Iterable[Any]) -> Unnamed:
    names: list[Any] = []
    arrays = []
    for i, part in enumerate(X):
        if not is_table(part):
            raise ArgumentError(f"X[{i}] must be a data frame, as X[0] is; got {type(part).__name__}.")
        try:
            own, array = plain_numbers(part) or _of_table(part)
        except DtypeError as error:
            raise DtypeError(f"X[{i}]: {error}") from None
        if i == 0:
            names = own
        if own != names:
            if set(own) != set(names):
                raise ArgumentError(
                    f"X[{i}] must have the columns of X[0], {_shown(names)}; got {_shown(own)}. Choose the same columns"
                    " of every data frame."
                )
            array = array[:, [own.index(name) for name in names]]
        check_features(array, names, f"X[{i}]")
        arrays.append(array)
    return Unnamed(arrays, names)


def _of_table(frame: Any) -> tuple[list[Any], Array]:
    table = Table.of(frame)
    if not table.names:
        raise ShapeError("X must hold data frames with at least one column; got one without.")
    return table.names, table.numbers(table.names)


def _of_column(i: int, part: Any) -> Any:
    """Return a column of a data frame library as an array; other parts as they are."""
    return numbers(f"X[{i}]", nw.from_native(part, series_only=True)) if is_column(part) else part


def check_features(array: Array, names: list[Any], whose: str) -> None:
    """Raise an ``ArgumentError`` that names the feature and the row of a number that is not finite."""
    for row, what in _not_finite(array, names):
        raise ArgumentError(f"X must be finite; {what} in row {row} of {whose}. {REMEDY}")


def _check_finite(X: NamedSequences) -> None:
    """Raise an ``ArgumentError`` that names the feature, the sequence and the row of a number that is not finite."""
    for i, array in enumerate(X.arrays):
        for step, what in _not_finite(array, X.features):
            whose = i if X.ids is None else repr(X.ids[i])
            row = "" if X.rows is None else f", row {X.rows[i][step]} of the data frame"
            raise ArgumentError(f"X must be finite; {what} in step {step} of sequence {whose}{row}. {REMEDY}")


def _not_finite(array: Array, names: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield the row, and what a message says, of each number that is not finite."""
    finite = np.isfinite(array)
    if not finite.all():
        for row, column in np.argwhere(~finite).tolist():
            yield row, f"feature {names[column]!r} is {array[row, column]}"
