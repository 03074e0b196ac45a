"""What users hand in: sequences, targets and weights in any form, as the one form that training knows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, final

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, validate_data

from saiki.arrays import (
    Array,
    Locate,
    as_array,
    as_float,
    as_lengths,
    check_finite,
    found,
    in_c_order,
    n_axes,
    power_of_two,
    refuse_masked,
)
from saiki.errors import ArgumentError, AxesWarning, DtypeError, ShapeError
from saiki.estimators.callers import level_of_user
from saiki.estimators.feature_names import are_sound, check_features, doubt_of, keep_names, order_of, without_names
from saiki.estimators.places import Place
from saiki.estimators.tables import Table, is_table
from saiki.estimators.targets import as_targets, joined, missing
from saiki.training import examples
from saiki.training.examples import Ragged

FORMS = "(n_sequences, n_steps, n_features), a list of (n_steps, n_features), or (n_sequences, n_steps) for one feature"

DTYPES = [np.float64, np.float32]


class Words(NamedTuple):
    """What messages call an example, and a row of it."""

    one: str
    row: str


SEQUENCES = Words("sequence", "step")


class Given(Protocol):
    """Inputs as they came: examples that have rows, as a sequence has steps."""

    @property
    def words(self) -> Words:
        """What they are called."""

    @property
    def X(self) -> examples.Inputs:
        """The inputs as training holds them."""

    @property
    def lengths(self) -> Array:
        """How many rows each example has."""

    @property
    def n_rows(self) -> int | None:
        """How many rows each had in an array, padding counted; None for a list."""

    def like(self, values: Array) -> Any:
        """Return a value for each row in the form in which the inputs came."""


@final
@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences as they came.

    Attributes:
        X: the steps ``(n_steps, n_features)`` of all sequences.
        n_rows: how many steps the array had, padding counted; None for a list.
        flat: whether it was ``(n_sequences, n_steps)``.
        names: the names of the features; None where they have none.
    """

    X: Ragged
    n_rows: int | None
    flat: bool
    names: list[Any] | None = None
    words: ClassVar[Words] = SEQUENCES

    @property
    def lengths(self) -> Array:
        """How many steps each sequence has."""
        return self.X.lengths

    def like(self, values: Array) -> Any:
        """Return a value for each step in the form in which X came: a list of arrays, or one padded with zeros."""
        steps = self.X.with_values(values)
        return steps.split() if self.n_rows is None else steps.padded(self.n_rows)


def read_sequences(estimator: Any, X: Any, lengths: npt.ArrayLike | None, reset: bool) -> Sequences:
    """Return checked sequences.

    Args:
        estimator: whose ``n_features_in_`` is set, and ``_flat_``; or, without ``reset``, held to.
        X: the sequences in any of ``FORMS``.
        lengths: ``(n_sequences,)`` for padded arrays, or None.
        reset: whether these are the sequences that decide how many features there are, and their names.

    Returns:
        The sequences in float32 or float64, as they are, and float64 for other numbers; features that have names in
        the order of fit.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
    """
    X, names = without_names(X)
    if _is_list("X", X):
        if lengths is not None:
            raise ArgumentError("lengths go with padded arrays; a list of sequences has its own. Leave lengths out.")
        sequences = Sequences(_read_list(X), None, False, names)
    elif is_table(X):
        sequences = _read_table(estimator, X, lengths, reset)
    else:
        sequences = _read_array(estimator, X, lengths, reset)
    n_features = sequences.X.values.shape[1]
    if sequences.flat:
        pass  # scikit-learn's own check has looked at the number of columns
    elif reset:
        estimator.n_features_in_ = n_features
        keep_names(estimator, names)
        warn_of_axes(sequences)
    else:
        order = order_of(estimator, names)
        known = 1 if estimator._flat_ else estimator.n_features_in_
        if n_features != known:
            raise ShapeError(
                f"X has {n_features} features, but {type(estimator).__name__} is expecting {known} features as input."
                f" X must be {FORMS}."
            )
        if doubt := doubt_of(estimator, names):
            warnings.warn(doubt, stacklevel=level_of_user())
        if order is not None:
            steps = sequences.X.with_values(sequences.X.values[:, order])
            sequences = replace(sequences, X=steps, names=[(names or [])[i] for i in order])
    if reset:
        estimator._flat_ = sequences.flat
    elif sequences.flat:
        _check_axes(estimator, (len(sequences.X), sequences.n_rows))
    return sequences


def _check_axes(estimator: Any, shape: tuple[Any, ...]) -> None:
    """Raise a ``ShapeError`` where two axes come to an estimator that was fitted with several features."""
    if not estimator._flat_ and estimator.n_features_in_ != 1:
        raise ShapeError(
            f"X must be (n_sequences, n_steps, {estimator.n_features_in_}), as in fit; got two axes,"
            f" {shape}, which is one feature. For one sequence use X[None]; for a"
            " data frame with a row for each step saiki.sequences(frame, ...)."
        )


def _is_list(argument: str, X: Any) -> bool:
    """Whether X is a list of sequences, rather than one array."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and n_axes(f"{argument}[0]", X[0]) > 0
    if not isinstance(X, list | tuple) or not X:
        return False
    ndim = n_axes(f"{argument}[0]", X[0])
    return ndim == 2 or (ndim == 1 and len({len(part) if hasattr(part, "__len__") else None for part in X}) > 1)


def _read_list(X: Sequence[Any]) -> Ragged:
    given = [as_float(f"X[{i}]", sequence) for i, sequence in enumerate(X)]
    first = next((i for i, array in enumerate(given) if array.size), 0)  # an empty one does not say
    arrays = given
    if given[first].ndim == 1:
        arrays = [array[:, None] if array.ndim == 1 else array for array in given]
    n_features = arrays[first].shape[1] if arrays[first].ndim == 2 else 0
    nothing = np.zeros((0, n_features), arrays[first].dtype)
    arrays = [nothing if array.shape == (0,) else array for array in arrays]
    for i, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != n_features or not n_features:
            raise ShapeError(
                f"X[{i}] must be (n_steps, n_features) with as many features as X[{first}], {n_features}; got"
                f" {array.shape}."
            )
        if array.dtype.kind == "c":
            raise ArgumentError(f"X[{i}] must hold real numbers. Complex data not supported.")
        check_finite(f"X[{i}]", given[i])
    return Ragged.of_list(arrays)


def _read_table(estimator: Any, X: Any, lengths: npt.ArrayLike | None, reset: bool) -> Sequences:
    """Read a data frame that has a sequence of one feature in each row."""
    table = Table.of(X)
    shape = len(table), len(table.names)
    if not reset:
        _check_axes(estimator, shape)
    if 0 in shape:
        raise ShapeError(f"X must be {FORMS}, with at least one sequence, step and feature; got {shape}.")
    if reset:
        warnings.warn(
            f"X is a data frame: each of its {shape[0]} rows is read as a sequence of {shape[1]} steps of one feature."
            " If a row is a step, give saiki.sequences(frame, id=..., time=..., features=...); if not, X.to_numpy()"
            " says nothing.",
            AxesWarning,
            stacklevel=level_of_user(),
        )
    values = table.numbers(table.names)
    if lengths is None:
        check_features(values, table.names, "data frame X")
    return _read_array(estimator, values, lengths, reset, table)


def _read_array(
    estimator: Any, X: Any, lengths: npt.ArrayLike | None, reset: bool, table: Table | None = None
) -> Sequences:
    refuse_masked("X", X)
    X = X if hasattr(X, "ndim") else as_array("X", X)
    if isinstance(X, np.ndarray) and not X.dtype.isnative:
        X = X.astype(X.dtype.newbyteorder("="))
    flat = X.ndim == 2
    if getattr(getattr(X, "dtype", None), "kind", "f") in "USMmV":
        raise DtypeError(f"X must hold numbers; got dtype {X.dtype}. Encode it as numbers first.")
    if X.ndim < 2:
        raise ShapeError(
            f"X must be {FORMS}; got shape {X.shape}. Reshape your data: one sequence of one feature is"
            " X[None, :, None]."
        )
    options: dict[str, Any] = {"dtype": DTYPES, "ensure_all_finite": False, "order": "C"}
    if flat and (reset or estimator._flat_):
        # Its messages are those that scikit-learn's users know; it also sets or checks n_features_in_.
        try:
            if table is None:
                array = validate_data(estimator, X, reset=reset, **options)
            else:
                array = check_array(_in_order(estimator, X, table, reset), input_name="X", **options)
        except ValueError as error:
            if "features, but" in str(error):
                hint = f"{error} Two axes are steps of one feature; with X[..., None] there may be any number of them."
                raise ShapeError(hint) from None
            raise ArgumentError(str(error)) from None
    else:
        array = check_array(X, allow_nd=True, input_name="X", **options)
    array = in_c_order(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ShapeError(f"X must be {FORMS}, with at least one step and one feature; got {np.shape(X)}.")
    if lengths is not None:
        lengths = as_lengths(lengths, *array.shape[:2])
    steps = Ragged.of_padded(array, lengths)
    remedy = ", or give lengths= where NaN is padding" if lengths is None else ""
    check_finite("X", steps.values, remedy, Place(steps, in_list=False, flat=flat))
    return Sequences(steps, array.shape[1], flat)


def _in_order(estimator: Any, values: Array, table: Table, reset: bool) -> Array:
    """Return the columns of a data frame in the order of fit; texts as names must be in it, as in scikit-learn."""
    texts = {isinstance(name, str) for name in table.names}
    validate_data(estimator, table.native if len(texts) == 1 else values, reset=reset, skip_check_array=True)
    if reset:
        keep_names(estimator, table.names)
        return values
    order = None if texts == {True} and hasattr(estimator, "feature_names_in_") else order_of(estimator, table.names)
    return values if order is None else values[:, order]


# How rough a series is: the mean squared difference of neighbours, over twice the variance. White noise has 1.
SMOOTHER, AS_ROUGH, MANY, MANY_SEQUENCES = 0.25, 0.8, 10, 100


def warn_of_axes(sequences: Sequences) -> None:
    """Warn where an array looks as if its steps stood where its features should.

    Steps that follow each other are mostly alike; features mostly are not, and there are mostly fewer of them.
    """
    T, F = sequences.n_rows, sequences.X.values.shape[1]
    if T is None or F <= T or not len(sequences.X):
        return
    X = sequences.X.select(np.arange(min(len(sequences.X), MANY_SEQUENCES))).padded(T).astype(np.float64)
    X = X / power_of_two(np.abs(X).max())  # so that no square overflows
    over_time, over_features = _roughness(X, 1), _roughness(X, 2)
    swapped = over_features < SMOOTHER * over_time or (F >= MANY * T and over_time >= AS_ROUGH * over_features)
    if swapped:
        warnings.warn(
            f"X looks as if its axes were swapped: as (n_sequences, n_steps, n_features), its shape"
            f" {(len(sequences.X), T, F)} says {T} steps of {F} features. If steps are last, give"
            " X.transpose(0, 2, 1); if not, warnings.simplefilter('ignore', saiki.AxesWarning).",
            AxesWarning,
            stacklevel=level_of_user(),
        )


def _roughness(X: Array, axis: int) -> float:
    """Return how rough X is along an axis; 1 where it has no neighbours there."""
    if X.shape[axis] < 2:
        return 1.0
    variance = X.var(axis=axis).mean()
    return float(np.square(np.diff(X, axis=axis)).mean() / (2 * variance)) if variance > 0 else 1.0


def read_per_row(argument: str, values: Any, inputs: Given) -> tuple[Ragged, Place]:
    """Return one value, or one row of them, for each row that exists, and where each of them stands in ``values``.

    Args:
        argument: what to call it in messages.
        values: ``(n_sequences, n_steps, ...)``, or a list of ``(n_steps, ...)`` for each sequence.
        inputs: the inputs that they belong to.

    Raises:
        ShapeError: they do not fit the inputs.
    """
    lengths, (one, row) = inputs.lengths, inputs.words
    wanted = (
        f"one for each {row}: an array (n_{one}s, n_{row}s), or a list of arrays (n_{row}s,), {len(lengths)} in all"
    )
    if not isinstance(values, list | tuple | np.ndarray):
        values = as_targets(values)
    if isinstance(values, list | tuple) and len(values) == len(lengths) and not all(map(_is_nothing, values)):
        values = [[None] * int(n) if _is_nothing(part) else part for part, n in zip(values, lengths, strict=True)]
    if not _holds_rows(values) or len(values) != len(lengths):
        raise ShapeError(f"{argument} must hold {wanted}; got {_described(values)}.")
    parts = [as_targets(part) for part in values]
    ndim = next((part.ndim for part in parts if part.size), 1)  # an empty list does not say
    for i, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        fits = part.ndim == max(ndim, 1) or part.shape == (0,)
        if not fits or not (len(part) == length or len(part) == inputs.n_rows):
            raise ShapeError(
                f"{argument} must hold {wanted}; {one} {i} has {length} {row}s, and {argument}[{i}] has shape"
                f" {part.shape}."
            )
    rows = Ragged(joined([part[:n] for part, n in zip(parts, lengths, strict=True)]), lengths)
    return rows, Place(rows, in_list=not isinstance(values, np.ndarray) or values.dtype == object)


def _holds_rows(values: Any) -> bool:
    """Whether values are an array with an axis, or a list whose first part has one; NumPy would drop its mask."""
    if isinstance(values, np.ndarray):
        return values.ndim > 0
    first = values[0] if len(values) else None
    return isinstance(first, list | tuple) or getattr(first, "ndim", 0) > 0 or hasattr(first, "to_pylist")


def _is_nothing(part: Any) -> bool:
    """Whether all targets of an example are missing, in a word."""
    if part is np.ma.masked:  # which is an array
        return True
    return not isinstance(part, list | tuple | np.ndarray) and bool(missing(np.array([part], object))[0])


def check_even(y: Any, inputs: Given) -> None:
    """Raise a ``ShapeError`` where targets that must be one for each example are lists of several sizes."""
    parts = y if isinstance(y, list | tuple) else ()
    if len({len(part) for part in parts if isinstance(part, list | tuple) or getattr(part, "ndim", False)}) > 1:
        one, row = inputs.words
        raise ShapeError(
            f"y must hold one entry for each {one}; got lists of several sizes. For one for each {row} use"
            " output='each'."
        )


def _described(values: Any) -> str:
    """Say what came."""
    try:
        return f"shape {np.shape(values)}"
    except ValueError:
        return f"{len(values)} of different sizes"


def read_weights(sample_weight: Any, inputs: Given, per_row: bool) -> Array | Ragged | None:
    """Return checked weights, for each example ``(B,)`` or for each row.

    Raises:
        ShapeError: they do not fit the inputs.
        ArgumentError: a weight is negative or not finite, or all are zero.
    """
    if sample_weight is None:
        return None
    refuse_masked("sample_weight", sample_weight)
    n, (one, row) = len(inputs.X), inputs.words
    if per_row and (_is_list("sample_weight", sample_weight) or n_axes("sample_weight", sample_weight) == 2):
        weight, place = read_per_row("sample_weight", sample_weight, inputs)
        weight = weight.with_values(as_float("sample_weight", weight.values))
    else:
        if _is_list("sample_weight", sample_weight):
            raise ShapeError(
                f"sample_weight must have shape ({n},); got a list for each {one}. For one for each {row} use"
                " output='each'."
            )
        return weights_of(sample_weight, n, f" or, for each {row}, (n_{one}s, n_{row}s)" if per_row else "")
    return weight.with_values(_checked_weights(weight.values, place))


def weights_of(sample_weight: Any, n: int, choices: str = "") -> Array:
    """Return checked weights for examples ``(n,)``; ``choices`` says in words what else they might be.

    Only their ratios count. They are scaled by a power of two that makes the largest about 1, which changes no digit.

    Raises:
        ShapeError: not one for each.
        ArgumentError: a weight is negative or not finite, or all are zero.
    """
    weight = as_float("sample_weight", sample_weight)
    if weight.shape != (n,):
        raise ShapeError(f"sample_weight must have shape ({n},){choices}; got {weight.shape}.")
    return _checked_weights(weight)


def _checked_weights(values: Array, place: Locate | None = None) -> Array:
    if values.dtype.kind == "c":
        raise DtypeError("sample_weight must hold real numbers; got complex ones. Use .real.")
    check_finite("sample_weight", values, "", place)
    if (values < 0).any():
        what = found("sample_weight", "must not be negative", values, values < 0, place)
        raise ArgumentError(f"{what}. Use 0 to leave a sample out.")
    if not values.any():
        raise ArgumentError("sample_weight must hold at least one weight that is not zero.")
    values = values.astype(np.float64)
    return values / power_of_two(values.max())


def counting(weight: Array | Ragged | None, inputs: Given, per_row: bool) -> Array:
    """Return which examples ``(B,)``, or which rows, have a weight that is not zero."""
    if weight is None:
        return np.ones(int(inputs.lengths.sum()) if per_row else len(inputs.X), bool)
    if isinstance(weight, Ragged):
        return weight.values > 0
    return (weight > 0)[inputs.X.owners()] if per_row else weight > 0


def knows_inputs(estimator: Any, n_features: int | None) -> bool:
    """Whether an estimator knows what sequences it takes."""
    known = isinstance(estimator._flat_, bool) and isinstance(estimator.n_features_in_, int)
    fits = known and (estimator._flat_ or estimator.n_features_in_ == n_features)
    return fits and are_sound(estimator, estimator.n_features_in_)
