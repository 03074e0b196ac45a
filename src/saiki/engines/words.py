"""Functions written for readers, such as a cell's, made into functions that melt into a compiled loop."""

from types import CellType, FunctionType, ModuleType
from typing import Any, final

from saiki.cells.reading import (
    Chains,
    can_be_fixed,
    home_of,
    may_change,
    module_with,
    package_of,
    plain_function,
    rebuilt,
    values_of,
)
from saiki.engines.building import build
from saiki.engines.vector_maths import inlined, vocabulary


class NotFixedError(Exception):
    """A function reads something that may change after it has been compiled; the message names it."""


def translate(function: Any, dtype: Any) -> Any:
    """Return a compiled function of the same code, in the vocabulary of one precision.

    Its helpers come along; the floats that it holds take that precision, lest every number become one of float64.

    Raises:
        NotFixedError: the function reads something that may change later, such as a list.
    """
    return _Translation(dtype).function(function)


@final
class _Translation:
    """Translates a function and its helpers into the vocabulary of one precision."""

    def __init__(self, dtype: Any) -> None:
        self._dtype, self._words = dtype, vocabulary(dtype)
        self._open: list[FunctionType] = []

    def function(self, function: FunctionType) -> Any:
        """Return a compiled function."""
        if function in self._open:
            raise NotFixedError(f"{function.__name__} calls itself")
        if not can_be_fixed(function):
            raise NotFixedError(f"{function.__name__} changes a global name or an attribute, or imports a module")
        self._open.append(function)
        scope, cells = {"__name__": build.__module__}, tuple(CellType() for _ in function.__closure__ or ())
        of_cells = dict(zip(function.__code__.co_freevars, cells, strict=True))
        for name, value, chains in values_of(function):
            translated = self._value(value, name, chains)
            if name in of_cells:
                of_cells[name].cell_contents = translated
            else:
                scope[name] = translated
        rebound = FunctionType(function.__code__, scope, function.__name__, None, cells)
        rebound.__defaults__ = self._value(function.__defaults__, "a default", frozenset())
        rebound.__kwdefaults__ = {n: self._value(v, n, frozenset()) for n, v in (function.__kwdefaults__ or {}).items()}
        self._open.pop()
        return inlined(rebound)

    def _value(self, value: Any, name: str, chains: Chains) -> Any:
        """Return what stands for a value that a function reads under a name."""
        if type(value) is float:
            return self._dtype(value)
        if isinstance(value, tuple):
            return rebuilt(value, [self._value(part, name, frozenset()) for part in value])
        if isinstance(value, ModuleType):
            return self._module(value, name, chains)
        own = plain_function(value)
        if own is not None and own in self._words:
            return self._words[own]
        if own is not None and (package_of(home_of(own)) != "library" or home_of(own).startswith("saiki")):
            return self.function(own)
        if may_change(value):
            kind = "a class" if isinstance(value, type) else f"of type {type(value).__qualname__}"
            raise NotFixedError(f"it reads {name!r}, {kind}, which may change later")
        return value

    def _module(self, value: ModuleType, name: str, chains: Chains) -> ModuleType:
        """Return a module whose attributes are translated; Numba knows those of libraries by itself."""
        if package_of(value.__name__) == "library" and not value.__name__.startswith("saiki"):
            return value
        if () in chains:
            raise NotFixedError(f"it reads {name!r}, a module, which may change later")
        return module_with(value, chains, lambda part, attribute, rest: self._value(part, f"{name}.{attribute}", rest))
