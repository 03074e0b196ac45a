"""Targets as users hand them in: each stays what it is, and those that are missing are known."""

from typing import Any

import narwhals as nw
import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from saiki.arrays import Array, Locate, as_array, check_finite
from saiki.errors import ArgumentError, ShapeError, shown

NOTHING = "NoneType", "NAType", "NaTType", "MaskedConstant"
"""The types of what lists and data frames hold in place of a missing value."""

NAN_IS_MISSING = "; NaN marks a missing target"

UNKNOWN = -1
"""The number of a label that is not among the classes."""

TEXTS, BOOLEANS, WHOLE, FLOATS = "texts", "booleans", "whole numbers", "floats"


def as_targets(values: Any, argument: str = "y") -> Array:
    """Return targets as an array in which none changes its value or kind.

    NumPy alone makes text of 1 beside "1", floats of whole numbers beside NaN, and reads what a mask hides. Here such
    targets become an array of objects, in which None, NaN and what data frames write are missing.

    >>> as_targets(["a", float("nan")]).tolist(), as_targets([2**53 + 1, None]).tolist(), as_targets([1, 2]).dtype.kind
    (['a', nan], [9007199254740993, None], 'i')
    """
    if isinstance(values, np.ma.MaskedArray):
        data = np.ma.getdata(values)
        if data.dtype.names is not None or not np.ma.is_masked(values):
            return data
        gaps = np.ma.getmaskarray(values)
        return _with_gaps(data[~gaps], gaps)
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    if isinstance(values, list | tuple):
        return _of_list(values, argument)
    table: Any = nw.from_native(values, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(table, nw.Series):
        return of_series(table)
    if isinstance(table, nw.DataFrame):
        return joined([of_series(table[name])[:, None] for name in table.columns], axis=1)
    if hasattr(values, "to_pylist"):  # Arrow
        return _of_list(values.to_pylist(), argument)
    if hasattr(values, "isna"):  # an index or an extension array of pandas
        gaps = np.asarray(values.isna(), bool)
        return _with_gaps(np.asarray(values[~gaps]), gaps)
    return as_array(argument, values)


def of_series(series: nw.Series[Any]) -> Array:
    """Return a column of targets: whole numbers stay whole where others are missing."""
    gaps = series.is_null().to_numpy().astype(bool)
    return _with_gaps(series.drop_nulls().to_numpy(), gaps)


def _with_gaps(present: Array, gaps: Array) -> Array:
    """Return values at the places that are no gaps: NaN or NaT in the gaps, None where the dtype has neither."""
    if not gaps.any():
        return present.reshape(gaps.shape)
    kind = present.dtype.kind
    values = np.full(
        gaps.shape,
        "NaT" if kind in "mM" else np.nan if kind in "fc" else None,
        present.dtype if kind in "mMfc" else object,
    )
    values[~gaps] = present
    return values


def _of_list(values: Any, argument: str) -> Array:
    """Return a list of targets, or of rows of them."""
    if any(isinstance(value, list | tuple) or getattr(value, "ndim", 0) for value in values):
        try:
            rows = [as_targets(value, argument) for value in values]
        except RecursionError:
            raise ShapeError(f"{argument} must be a list of targets; got a list within a list, too deeply.") from None
        if len({row.shape for row in rows}) > 1:
            raise ShapeError(f"{argument} must hold rows of one size; got rows of several sizes. Pad them with None.")
        return joined([row[None] for row in rows])
    types = set(map(type, values))
    (only, *others) = types or {object}
    if not others and issubclass(only, bool | int | float | np.number | np.bool_):
        array = np.array(values)
        if array.dtype.kind == np.dtype(only).kind:  # NumPy makes floats of large whole numbers
            return array
    if types == {str} and not _end_with_nul(values):
        return np.array(values)
    array = np.empty(len(values), object)
    array[:] = [_scalar(value) if isinstance(value, np.ndarray) else value for value in values]
    return array


def _scalar(value: Array) -> Any:
    return None if np.ma.is_masked(value) else value[()]


def _end_with_nul(texts: Any) -> bool:
    """Whether NumPy's own arrays of texts would lose the end of one."""
    return any(text.endswith("\0") for text in texts)


def joined(parts: list[Array], axis: int = 0) -> Array:
    """Return arrays of targets one after another; those of several kinds as objects, so that none is converted."""
    parts = [part for part in parts if part.size] or parts
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts, axis=axis)


def missing(targets: Array) -> Array:
    """Return which targets are None, NaN, NaT, masked, or what data frames write for a missing value."""
    if targets.dtype.kind in "fc":
        return np.isnan(targets)
    if targets.dtype.kind in "mM":
        return np.isnat(targets)
    if targets.dtype.kind != "O":
        return np.zeros(targets.shape, bool)
    nothing = [type(v).__name__ in NOTHING or (isinstance(v, float | np.floating) and v != v) for v in targets.flat]
    return np.array(nothing, bool).reshape(targets.shape)


def as_numbers(targets: Array) -> Array:
    """Return targets with NaN in place of every missing one."""
    if targets.dtype.kind != "O":
        return targets
    return np.where(missing(targets), np.nan, targets)


def one_each(labels: Array, one: str, remedy: str = "") -> Array:
    """Return labels ``(n,)`` or ``(n, 1)`` as ``(n,)``, one for each example."""
    _check_dtype("y", labels)
    if labels.ndim > 1 and labels.shape[1:] != (1,):
        raise ShapeError(
            f"y must hold one label for each {one}; got {labels.shape}. Make a text of a label that is a tuple or a"
            f" list.{remedy}"
        )
    column: Array = column_or_1d(labels, warn=True, dtype=None)
    return column


def _check_dtype(argument: str, labels: Array) -> None:
    if labels.dtype.kind not in "biufUOT":
        raise _no_label(argument, labels.flat[0] if labels.size else labels.dtype)


def plain_labels(argument: str, labels: Array, there: Array | None = None, place: Locate | None = None) -> Array:
    """Return labels as an array of texts, booleans, whole numbers or floats.

    Args:
        argument: what to call them in messages.
        labels: the labels ``(n,)``.
        there: which of them are to be returned ``(n,)``; None is all. None of these may be missing.
        place: as for ``check_finite``.

    Raises:
        ArgumentError: a label that is none of these, labels of several kinds, or numbers that are no classes.
    """
    _check_dtype(argument, labels)
    present = labels if there is None else labels[there]
    if present.dtype.kind in "OT":
        present = _of_one_kind(argument, present.tolist())
    if present.dtype.kind == "f":
        placed = np.zeros(len(labels))
        placed[slice(None) if there is None else there] = present
        check_finite(argument, placed, NAN_IS_MISSING, place)
    if len(present):
        check_classification_targets(present)
    return present


def _of_one_kind(argument: str, labels: list[Any]) -> Array:
    examples: dict[str, Any] = {}
    for label in labels:
        examples.setdefault(_kind_of(argument, label), label)
    kinds = examples.keys()
    if len(kinds) > 1 and kinds != {WHOLE, FLOATS}:
        got = " and ".join(f"{kind}, such as {shown(label)}," for kind, label in examples.items())
        raise ArgumentError(
            f"{argument} must hold labels of one kind; got {got} in one array. Make texts of all, [str(label) for label"
            " in ...], or numbers."
        )
    if kinds <= {TEXTS}:
        texts = [str.__str__(label) for label in labels]
        return np.array(texts, object if _end_with_nul(texts) else str)
    if kinds == {BOOLEANS}:
        return np.array(labels, bool)
    if kinds == {FLOATS} or not all(
        float(label).is_integer() for label in labels if isinstance(label, float | np.floating)
    ):
        return np.array(labels, np.float64)
    numbers = list(map(int, labels))
    dtype = np.uint64 if max(numbers) > np.iinfo(np.int64).max else np.int64
    try:
        return np.array(numbers, dtype)
    except OverflowError:
        raise ArgumentError(
            f"{argument} must hold whole numbers that fit into 64 bits, with or without a sign; got {min(numbers)} to"
            f" {max(numbers)}. Make texts of them, [str(label) for label in ...]."
        ) from None


def _kind_of(argument: str, label: Any) -> str:
    if isinstance(label, str):
        return TEXTS
    if isinstance(label, bool | np.bool_):
        return BOOLEANS
    if isinstance(label, int) or (np.issubdtype(type(label), np.integer) and type(label) is not np.timedelta64):
        return WHOLE
    if isinstance(label, float | np.floating):
        return FLOATS
    raise _no_label(argument, label)


def _no_label(argument: str, label: Any) -> ArgumentError:
    remedy = (
        "Decode them, label.decode()"
        if isinstance(label, bytes)
        else "Make texts of them, [str(label) for label in ...]"
    )
    return ArgumentError(
        f"{argument} must hold labels that are texts, whole numbers or booleans; got {shown(label)} of type"
        f" {type(label).__name__}. {remedy}, and back after predict."
    )


def numbers_of(argument: str, labels: Array, classes: Array) -> Array:
    """Return the number of each label among the classes, ``UNKNOWN`` for a label that is not there.

    A number is the class that it equals, be it an int, a float or a boolean, as in scikit-learn.

    Raises:
        ArgumentError: texts where the classes are numbers, or numbers where they are texts.
    """
    if len(labels) and _are_texts(labels) != _are_texts(classes):
        got, known = ("texts", "numbers") if _are_texts(labels) else ("numbers", "texts")
        raise ArgumentError(
            f"{argument} must hold {known}, as the classes of fit do, such as {classes.tolist()[0]!r}; got {got}, such"
            f" as {labels.tolist()[0]!r}. Convert them with .astype({'int' if known == 'numbers' else 'str'})."
        )
    found, at = np.unique(labels, return_inverse=True)
    number = {label: i for i, label in enumerate(classes.tolist())}  # which compares whole numbers of any size exactly
    return np.array([number.get(label, UNKNOWN) for label in found.tolist()], np.int64)[at]


def _are_texts(labels: Array) -> bool:
    return labels.dtype.kind in "UO"


def check_known(argument: str, labels: Array, classes: Array) -> None:
    """Raise an ``ArgumentError`` that names the labels that are not among the classes, if there are any."""
    found = np.unique(labels)
    unknown = found[numbers_of(argument, found, classes) == UNKNOWN].tolist()
    if unknown:
        named = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise ArgumentError(
            f"{argument} must hold the classes of the first fit, {_listed(classes)}; got {named}. Name all classes in"
            " the first call, partial_fit(X, y, classes=...)."
        )


def _listed(classes: Array) -> str:
    known = classes.tolist()
    return repr(known) if len(known) <= 20 else f"{', '.join(map(repr, known[:20]))}, ... ({len(known)} in all)"
