"""Whatever is given to an estimator, the user sees one sentence that names the argument, never a raw traceback."""

import traceback
import warnings
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import pytest
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.exceptions import NotFittedError

import saiki
from tests.estimators.data import ESTIMATORS, data_for, quick


class Tensor:
    """An object of another library that becomes an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.zeros((3, 2, 2, 2))


class OnAnotherDevice:
    """An object of another library that fails to become an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("on another device")


def _itself() -> list[Any]:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    return cyclic


NUMBERS = np.arange(120.0).reshape(12, 5, 2)

BAD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "a text": lambda: "abc",
    "an empty text": lambda: "",
    "bytes": lambda: b"abc",
    "a number": lambda: 3,
    "a float": lambda: 1.5,
    "a dict": lambda: {"a": 1},
    "a dict of arrays": lambda: {"X": NUMBERS},
    "a generator": lambda: iter(list(NUMBERS)),
    "a set": lambda: {1, 2, 3},
    "an object": object,
    "a class": lambda: int,
    "nothing": lambda: [],
    "a tuple of nothing": lambda: (),
    "no axes": lambda: np.array(3.0),
    "no rows": lambda: np.empty((0, 5, 2)),
    "no steps": lambda: np.empty((12, 0, 2)),
    "no features": lambda: np.empty((12, 5, 0)),
    "one axis": lambda: np.arange(12.0),
    "four axes": lambda: np.zeros((12, 5, 2, 1)),
    "objects": lambda: np.array([object()] * 12),
    "Nones": lambda: [None] * 12,
    "mixed objects": lambda: np.array([None, "a", 3.0] * 4, object),
    "texts": lambda: ["a"] * 12,
    "mixed": lambda: [1, "a", None] * 4,
    "a sparse matrix": lambda: sparse.csr_matrix(np.eye(12)),
    "a sparse array": lambda: sparse.csr_array(np.eye(12)),
    "a tensor": Tensor,
    "a tensor elsewhere": OnAnotherDevice,
    "huge numbers": lambda: [[[10**400]]] * 12,
    "ragged": lambda: [[[1.0], [2.0, 3.0]], [[1.0]]] * 6,
    "ragged deep": lambda: [[[[1.0]], [[2.0], [3.0]]]] * 12,
    "dicts": lambda: [{}] * 12,
    "sets": lambda: [{1}] * 12,
    "NaN": lambda: np.full((12, 5, 2), np.nan),
    "infinity": lambda: np.full((12, 5, 2), np.inf),
    "complex numbers": lambda: NUMBERS + 1j,
    "dates": lambda: np.full((12, 5, 2), "2020-01-01", "M8[D]"),
    "a structured array": lambda: np.zeros(12, [("a", float)]),
    "void": lambda: np.zeros((12, 5, 2), "V8"),
    "too many": lambda: np.zeros((13, 5, 2)),
    "mixed ranks": lambda: [np.zeros((5, 2)), np.zeros(5)] * 6,
    "mixed widths": lambda: [np.zeros((5, 2)), np.zeros((5, 3))] * 6,
    "empty sequences": lambda: [np.zeros((0, 2))] * 12,
    "empty lists": lambda: [[[]]] * 12,
    "a range": lambda: range(12),
    "negative": lambda: [-1] * 12,
    "large": lambda: [99] * 12,
    "fractions": lambda: [2.5] * 12,
    "NaNs": lambda: [np.nan] * 12,
    "a matrix": lambda: np.asmatrix(np.eye(12)),
    "itself": _itself,
}
"""What somebody may give for an argument."""

METHODS = "fit", "partial_fit", "score", "predict", "predict_proba", "transform", "inverse_transform", "step", "forward"

LONGEST = 700


def complaint(error: BaseException) -> str | None:
    """Say what is wrong about an error; None if a user may see it."""
    if isinstance(error, saiki.SaikiError | NotFittedError):
        return None if len(str(error)) < LONGEST else f"a message of {len(str(error))} characters"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ValueError | TypeError) and "sklearn" in frames[-1].filename:
        return None  # a check of scikit-learn's own, whose messages its users know
    return f"{type(error).__name__}: {str(error)[:200]} at {frames[-1].filename}:{frames[-1].lineno}"


def arguments_of(method: Any) -> list[str]:
    """Return the arguments of a method that a user gives data for."""
    return [name for name in signature(method).parameters if name not in ("checkpoint", "classes", "h0")]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_argument_of_every_method(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    fitted, wrong, refused = quick(name).fit(X, y), [], 0
    for method in (method for method in METHODS if hasattr(fitted, method)):
        for argument in arguments_of(getattr(fitted, method)):
            for bad in rng.permutation(list(BAD))[:20]:
                model = fitted if method not in ("fit", "partial_fit") else quick(name)
                call = getattr(model, method)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    given = {"X": X, "y": y, "x": np.zeros(2), argument: BAD[bad]()}
                    try:
                        call(**{key: value for key, value in given.items() if key in arguments_of(call)})
                    except BaseException as error:
                        refused += 1
                        if said := complaint(error):
                            wrong.append(f"{method}({argument}={bad}): {said}")
                        if model is not fitted and hasattr(model, "_epoch"):
                            wrong.append(f"{method}({argument}={bad}) left something behind")
    assert not wrong, "\n".join(wrong)
    assert refused > 20


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    wrong, refused = [], 0
    for parameter in quick(name).get_params():
        if parameter in ("random_state", "verbose"):  # which scikit-learn checks, and which prints
            continue
        for bad in rng.permutation(list(BAD))[:12]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    quick(name, **{parameter: BAD[bad]()}).fit(X, y)
                except BaseException as error:
                    refused += 1
                    if (said := complaint(error)) or parameter not in str(error):
                        wrong.append(f"{parameter}={bad}: {said or error}")
    assert not wrong, "\n".join(wrong)
    assert refused > 20 or not quick(name).get_params()


def test_what_is_no_array_is_said(rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 5, 2))
    for y, message in (
        (sparse.csr_matrix(np.eye(12)), r"y must be dense; got csr_matrix\. Use y\.toarray\(\) instead"),
        (OnAnotherDevice(), "y must be a list or an array; OnAnotherDevice fails to become one: on another device"),
    ):
        with pytest.raises(saiki.DtypeError, match=message):
            quick("RNNRegressor").fit(X, y)
    for y, message in ((["a"] * 12, "y must hold numbers"), ([10**400] * 12, "y must hold numbers")):
        with pytest.raises(saiki.SaikiError, match=message):
            quick("RNNRegressor").fit(X, y)
    with pytest.raises(saiki.ArgumentError, match="learning_rate must be a function from the number of the update"):
        quick("RNNRegressor", learning_rate=lambda _: None).fit(X, X[:, 0, 0])
