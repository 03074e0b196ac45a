"""Functions written for readers, such as a cell's, made into functions that melt into a compiled loop."""

from types import CellType, FunctionType
from typing import Any

import numpy as np

from saiki.engines.building import build, fingerprint
from saiki.engines.vector_maths import inlined, vocabulary


def translate(function: Any, dtype: Any) -> Any:
    """Return a compiled function of the same code, in the vocabulary of one precision.

    Its helpers come along; the floats that it holds take that precision, lest every number become one of float64.
    """
    words = vocabulary(dtype)

    def compiled(value: Any) -> Any:
        if isinstance(value, float):
            return dtype(value)
        return translate(value, dtype) if _is_own(value) else words.get(value, value) if callable(value) else value

    used = {"__name__": build.__module__} | {name: compiled(value) for name, value in _used(function).items()}
    closure = tuple(CellType(compiled(held.cell_contents)) for held in function.__closure__ or ())
    rebound = FunctionType(function.__code__, used, function.__name__, function.__defaults__, closure)
    return inlined(rebound)


def depends_on(function: Any) -> bytes:
    """Return all that decides what a function does; the vocabulary is part of the engine's own sources."""
    held = {f"closure {i}": held.cell_contents for i, held in enumerate(function.__closure__ or ())}
    held |= {f"default {i}": value for i, value in enumerate(function.__defaults__ or ())}
    parts = [fingerprint(function.__code__)]
    for name, value in (_used(function) | held).items():
        parts.append(name.encode() + b"=" + _said(value))
    return b"|".join(parts)


def _said(value: Any) -> bytes:
    """Return all that decides what a value is to a function that uses it."""
    if isinstance(value, np.ndarray):
        return repr((value.dtype, value.shape)).encode() + value.tobytes()
    value = getattr(value, "py_func", value)  # of a function that Numba has compiled
    return depends_on(value) if _is_own(value) else getattr(value, "__qualname__", repr(value)).encode()


def _is_own(value: Any) -> bool:
    """Whether a value is a Python function of the author's own, to be compiled along."""
    return isinstance(value, FunctionType) and not (value.__module__ or "").startswith(("saiki.maths", "numpy"))


def _used(function: FunctionType) -> dict[str, Any]:
    """Return the global names that a function reads."""
    return {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
