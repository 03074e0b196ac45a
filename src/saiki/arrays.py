"""Arrays at the public doors: what comes in is checked here, once, before any equation sees it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from saiki.errors import ArgumentError, DtypeError, ShapeError

Array: TypeAlias = npt.NDArray[Any]
Params: TypeAlias = dict[str, Array]

PRECISIONS = (np.float32, np.float64, np.complex128)
"""What numbers may be computed in; complex numbers are for complex-step differentiation."""


def as_float(argument: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> Array:
    """Return ``value`` as an array of float32, float64 or complex128; other numbers become ``dtype``.

    Complex numbers are let through for complex-step differentiation. The array is in C order, aligned and of the
    machine's byte order, so that sums over it do not depend on how the caller's lies in memory.

    Raises:
        DtypeError: the values are no numbers, or a ragged list.
        ArgumentError: some are masked.

    >>> as_float("X", [1, 2]).dtype
    dtype('float64')
    """
    refuse_masked(argument, value)
    array = as_array(argument, value)
    if array.dtype not in PRECISIONS:
        if array.dtype.kind not in "biufc":
            raise DtypeError(f"{argument} must hold numbers; got dtype {array.dtype}. Encode it as numbers first.")
        native = array.dtype.newbyteorder("=")
        array = array.astype(np.complex128 if native.kind == "c" else native if native in PRECISIONS else dtype)
    return in_c_order(array)


def as_array(argument: str, value: Any) -> Array:
    """Return what NumPy makes of a value.

    Raises:
        DtypeError: a ragged list, or an object that fails to become an array.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise DtypeError(
            f"{argument} must be one array; got a list of parts of different sizes."
            " Pad them to one size and give lengths=."
        ) from None
    except Exception as error:  # raised by the value itself
        raise DtypeError(
            f"{argument} must be a list or an array; {type(value).__name__} fails to become one: {error}."
        ) from error


def n_axes(argument: str, value: Any) -> int:
    """Return the number of axes of an array, or of what NumPy makes of another value; errors as for ``as_array``."""
    ndim = getattr(value, "ndim", None)
    return ndim if isinstance(ndim, int) else as_array(argument, value).ndim


def in_c_order(array: Array) -> Array:
    """Return an array in C order and aligned: itself, where it is so already."""
    array = np.asarray(array)  # no subclass
    return array if array.flags.c_contiguous and array.flags.aligned else array.copy(order="C")


def refuse_masked(argument: str, value: object) -> None:
    """Raise an ``ArgumentError`` if an array, or an array or number in a list, has masked entries."""
    if type(value) is not np.ndarray and has_masked(value):
        raise ArgumentError(
            f"{argument} must have no masked entries. Fill them, .filled(0), or leave their rows out: NumPy's functions"
            " would read what the mask hides."
        )


def with_nan(value: Any) -> Any:
    """Return a masked array, or a list that holds one, as an array with NaN where it is masked; others as they are."""
    if type(value) is np.ndarray or not has_masked(value):
        return value
    if isinstance(value, np.ma.MaskedArray):
        if value.dtype.kind not in "biuf":
            return value
        return np.ma.filled(value.astype(value.dtype if value.dtype in PRECISIONS else np.float64), np.nan)
    return [with_nan(part) for part in value]


def has_masked(value: object) -> bool:
    """Whether an array, or an array or number in nested lists, has masked entries."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, np.ma.MaskedArray):
            if np.ma.is_masked(part):
                return True
        elif isinstance(part, list | tuple) and id(part) not in seen:
            seen.add(id(part))  # a list may hold itself
            waiting += [one for one in part if isinstance(one, list | tuple | np.ma.MaskedArray)]
    return False


Locate: TypeAlias = Callable[[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]
"""Returns the caller's name and index for an argument and an index in an array made of it."""


def check_finite(argument: str, array: Array, remedy: str = "", place: Locate | None = None) -> None:
    """Raise an ``ArgumentError`` that names the first place that holds NaN or infinity, and one more remedy."""
    finite = np.isfinite(array)
    if not finite.all():
        raise ArgumentError(
            f"{found(argument, 'must be finite', array, ~finite, place)} ({np.count_nonzero(~finite)} in all). Fill or"
            f" drop them first{remedy}."
        )


def found(argument: str, rule: str, array: Array, wrong: Array, place: Locate | None = None) -> str:
    """Say what rule the first wrong number of an array breaks, and where it stands in what the caller gave.

    >>> found("X", "must not be negative", np.array([3.0, -1.0]), np.array([False, True]))
    'X must not be negative; got -1.0 at index [1]'
    """
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    name, index = (argument, at) if place is None else place(argument, at)
    return f"{name} {rule}; got {array[at]} at index {list(index)}"


def as_count(argument: str, value: object, least: int = 1) -> int:
    """Return ``value`` as an int of at least ``least``, or raise an ``ArgumentError``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{argument} must be a whole number of at least {least}; got {value!r}.")
    return int(value)


def as_positive(argument: str, value: object) -> float:
    """Return ``value`` as a float above 0, or raise an ``ArgumentError``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        got = repr(value) if isinstance(value, int | float | np.number | str) else type(value).__name__
        raise ArgumentError(f"{argument} must be a positive, finite number; got {got}.")
    return float(value)


def as_share(argument: str, value: object) -> float:
    """Return ``value`` as a float from 0 up to, but not, 1, or raise an ``ArgumentError``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise ArgumentError(f"{argument} must be a number from 0 up to, but not, 1; got {value!r}.")
    return float(value)


def as_lengths(lengths: npt.ArrayLike, n_sequences: int, n_steps: int) -> Array:
    """Return ``lengths`` as an int array ``(n_sequences,)`` with values from 0 to ``n_steps``.

    Raises:
        ShapeError: not one length for each sequence.
        ArgumentError: not whole numbers, negative, or longer than the array.
    """
    array = as_float("lengths", lengths, np.int64)
    if array.shape != (n_sequences,):
        raise ShapeError(f"lengths must hold one number per sequence, shape ({n_sequences},); got {array.shape}.")
    if array.dtype.kind not in "iu" and array.size:
        raise ArgumentError(f"lengths must be whole numbers; got dtype {array.dtype}. Use .astype(int).")
    if array.size and (array.min() < 0 or array.max() > n_steps):
        worst = array.min() if array.min() < 0 else array.max()
        raise ArgumentError(
            f"lengths must lie between 0 and the number of steps, {n_steps}; got {worst}."
            " Cut the lengths or pad X further."
        )
    return array.astype(np.int64)


def power_of_two(largest: Any) -> Any:
    """Return a power of two near a magnitude, by which numbers can be divided without rounding; 1 for zero.

    >>> power_of_two(np.array([5.0, 0.0, 1e-300])).tolist()
    [8.0, 1.0, 1.4932217896051502e-300]
    """
    return np.where(largest > 0, np.ldexp(1.0, np.clip(np.frexp(largest)[1], -1020, 1020)), 1.0)


def existing_steps(lengths: Array, n_steps: int) -> Array:
    """Return a boolean mask ``(n_sequences, n_steps)``: which steps exist.

    >>> existing_steps(np.array([2, 0]), 3).astype(int)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    mask: Array = np.arange(n_steps) < lengths[:, None]
    return mask


def places_in(starts: Array, lengths: Array, which: Array) -> Array:
    """Return the places of some groups of numbers that lie one after another, in the order asked for.

    >>> places_in(np.array([0, 2, 5]), np.array([2, 3, 1]), np.array([2, 0])).tolist()
    [5, 0, 1]
    """
    lengths = lengths[which]
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts[which] - ends + lengths, lengths)


def blank_padding(X: Array, lengths: Array | None) -> Array:
    """Return ``X (B, T, ...)`` with zeros at the steps that do not exist."""
    if lengths is None:
        return X
    return np.where(existing_steps(lengths, X.shape[1])[..., None], X, X.dtype.type(0))


def as_sequences(
    X: npt.ArrayLike, n_features: int | None, lengths: npt.ArrayLike | None, dtype: npt.DTypeLike
) -> tuple[Array, Array | None]:
    """Check a batch of sequences and their lengths.

    Steps beyond a sequence's length are set to zero, so that whatever padding holds (NaN too) touches nothing.

    Args:
        X: ``(n_sequences, n_steps, n_features)``.
        n_features: the number of features the layer was made for, or None for any.
        lengths: one length per sequence, or None where all steps exist.
        dtype: what X becomes if it has no precision of its own, being whole numbers.

    Raises:
        ShapeError, DtypeError, ArgumentError: see the rule in each message.
    """
    X = np.array(
        as_float("X", X, dtype), order="C"
    )  # the tape keeps it: the caller may do with the original what they like
    if X.ndim != 3:
        remedy = " For one feature use X[..., None]. For one sequence use X[None]." if X.ndim == 2 else ""
        raise ShapeError(f"X must be (n_sequences, n_steps, n_features); got {X.shape}.{remedy}")
    if n_features not in (None, X.shape[2]):
        raise ShapeError(
            f"X must have {n_features} features, as the layer was made for; got {X.shape[2]} in shape {X.shape}."
            f" Give X of shape (n_sequences, n_steps, {n_features}) or make the layer for {X.shape[2]}."
        )
    if lengths is None:
        check_finite("X", X, ", or give lengths= if they are padding")
    else:
        lengths = as_lengths(lengths, *X.shape[:2])
        X = blank_padding(X, lengths)
        check_finite("X", X)
    return X, lengths


def check_shape(argument: str, array: Array, shape: tuple[int, ...], meaning: str) -> None:
    """Raise a ``ShapeError`` unless ``array.shape`` is ``shape``, which reads as ``meaning``."""
    if array.shape != shape:
        raise ShapeError(f"{argument} must be {meaning} = {shape}; got {array.shape}.")


def check_params(params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise unless ``params`` has exactly the keys and shapes that a layer needs."""
    if not isinstance(params, Mapping):
        raise ArgumentError(f"params must be a dict of arrays; got {type(params).__name__}. Make them with init(rng).")
    if params.keys() != shapes.keys():
        params = {str(key): value for key, value in params.items()}
        wrong = {"missing": shapes.keys() - params.keys(), "not known": params.keys() - shapes.keys()}
        found = "; ".join(f"{what}: {', '.join(sorted(keys))}" for what, keys in wrong.items() if keys)
        raise ArgumentError(f"params must have the keys {', '.join(shapes)}; {found}. Make them with init(rng).")
    for key, shape in shapes.items():
        if not isinstance(params[key], np.ndarray) or params[key].dtype not in PRECISIONS:
            raise DtypeError(
                f"params[{key!r}] must be an array of float32 or float64;"
                f" got {getattr(params[key], 'dtype', type(params[key]).__name__)}. Use np.asarray(..., float)."
            )
        refuse_masked(f"params[{key!r}]", params[key])
        if params[key].shape != shape:
            raise ShapeError(f"params[{key!r}] must have shape {shape}; got {params[key].shape}.")
        check_finite(f"params[{key!r}]", params[key])


def check_one_precision(arrays: Mapping[str, Array]) -> None:
    """Raise a ``DtypeError`` if float32 meets another precision among the named arrays.

    A silent promotion would double the memory and hide which number set the precision.
    """
    dtypes = {name: array.dtype for name, array in arrays.items()}
    if len(set(dtypes.values())) > 1 and np.dtype(np.float32) in dtypes.values():
        raise DtypeError(
            f"one call must keep to one precision; got {', '.join(f'{k}: {v}' for k, v in dtypes.items())}."
            " Convert with .astype, or make params with init(rng, dtype=...)."
        )
