"""What a function reads from outside, and a copy of it for which all that is fixed.

A compiled function keeps the values that it was compiled with; NumPy reads them anew in every call. So that both always
agree, a cell, a loss and a rule of an optimizer run, under either engine, a copy that was made when they were made: the
copy holds the numbers, texts, tuples, arrays (copied), functions and module attributes of that moment. What Python
cannot fix, such as a list, or an attribute of a class, the copy shares with the original; it is not compiled.
"""

import builtins
import dis
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Chains: TypeAlias = frozenset[tuple[str, ...]]
"""The attributes that a function reads of a name, as in ``pkg.settings.K``; the empty chain is the object itself."""

PLAIN = {type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range}
"""The types whose values never change, and whose ``repr`` says all of them."""

LIBRARIES = {"saiki", "numpy", "numba", "llvmlite"}
"""Packages, beside the standard library, whose functions and classes are known by their names."""

OF_NAMES = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
OF_CELLS = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
OF_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
WRITES = {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR"}


class Reads(NamedTuple):
    """What a function reads, the functions and comprehensions inside it included.

    Attributes:
        names: the global names, and what it reads of each.
        cells: the same for the variables of the functions around it.
        imports: the modules that it imports when it runs.
        writes: whether it changes a global name, a variable around it, or an attribute of any object.
    """

    names: dict[str, Chains]
    cells: dict[str, Chains]
    imports: tuple[str, ...]
    writes: bool


@lru_cache(1024)
def reads_of(code: CodeType) -> Reads:
    """Return what a function's code reads.

    >>> found = reads_of((lambda n: [scale * math.pi for _ in range(n)]).__code__)
    >>> sorted(found.names), sorted(found.names["math"])
    (['math', 'range', 'scale'], [('pi',)])
    """
    names: dict[str, set[tuple[str, ...]]] = {}
    cells: dict[str, set[tuple[str, ...]]] = {}
    imports, writes = set(), False
    for instruction, chain in _instructions(code):
        operation, name = instruction.opname, instruction.argval
        if operation in OF_NAMES:
            names.setdefault(name, set()).add(chain)
        elif operation in OF_CELLS and name in code.co_freevars:
            cells.setdefault(name, set()).add(chain)
        elif operation == "IMPORT_NAME":
            imports.add(name)
        writes |= operation in WRITES or (operation in ("STORE_DEREF", "DELETE_DEREF") and name in code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = reads_of(constant)
            for name, chains in inner.names.items():
                names.setdefault(name, set()).update(chains)
            for name, chains in inner.cells.items():
                if name in code.co_freevars:
                    cells.setdefault(name, set()).update(chains)
            imports.update(inner.imports)
            writes |= inner.writes
    of_names, of_cells = ({name: frozenset(chains) for name, chains in sorted(kind.items())} for kind in (names, cells))
    return Reads(of_names, of_cells, tuple(sorted(imports)), writes)


def _instructions(code: CodeType) -> Iterator[tuple[dis.Instruction, tuple[str, ...]]]:
    """Yield each instruction, and the attributes that are read of what it loads."""
    instructions = [one for one in dis.get_instructions(code) if one.opname not in ("EXTENDED_ARG", "CACHE")]
    for at, instruction in enumerate(instructions):
        chain: tuple[str, ...] = ()
        if instruction.opname in OF_NAMES or instruction.opname in OF_CELLS:
            for after in instructions[at + 1 :]:
                if after.opname not in OF_ATTRIBUTES:
                    break
                chain = (*chain, after.argval)
        yield instruction, chain


def global_of(function: FunctionType, name: str) -> Any:
    """Return the value of a name to a function: its module's, or Python's own.

    Raises:
        KeyError: there is none.
    """
    own = function.__globals__
    if name in own:
        return own[name]
    known = own.get("__builtins__", builtins)
    return known[name] if isinstance(known, dict) else vars(known)[name]


def values_of(function: FunctionType) -> Iterator[tuple[str, Any, Chains]]:
    """Yield the names that a function reads, their values, and what it reads of each; not those without a value."""
    reads = reads_of(function.__code__)
    for name, chains in reads.names.items():
        try:
            yield name, global_of(function, name), chains
        except KeyError:
            continue
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents, reads.cells.get(name, frozenset())
        except ValueError:  # not yet set
            continue


def package_of(name: str | None) -> str:
    """Return whose a module is: "library", "installed" in site-packages, or "own"."""
    top = (name or "").partition(".")[0]
    if top in LIBRARIES:
        return "library"
    file = str(getattr(sys.modules.get(top), "__file__", None) or "")
    if "site-packages" in file or "dist-packages" in file:
        return "installed"
    if top in sys.stdlib_module_names or top == "builtins":
        return "library" if not file or file.startswith(sysconfig.get_path("stdlib")) else "own"
    return "own"


def home_of(function: FunctionType) -> str:
    """Return the name of the module that a function was written in."""
    return str(function.__globals__.get("__name__") or "")


def plain_function(value: Any) -> FunctionType | None:
    """Return a Python function, also of one that Numba has compiled; None for any other value."""
    value = getattr(value, "py_func", value) if not isinstance(value, type) else value
    return value if isinstance(value, FunctionType) else None


def can_be_fixed(function: FunctionType) -> bool:
    """Return whether a copy of a function can hold what it reads: not if it changes that itself, or imports modules."""
    reads = reads_of(function.__code__)
    return not (reads.writes or reads.imports)


def fixed(function: Callable[..., Any], words: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """Return a copy of a function that later changes of what it reads do not reach.

    Args:
        function: a Python function; any other callable is returned as it is. So is a function of saiki's own, and one
            that changes global names or attributes, or imports a module, when it runs.
        words: global names that are to mean something else.
    """
    return _fixed_function(function, {}, words or {}) if isinstance(function, FunctionType) else function


def _fixed_function(function: FunctionType, known: dict[int, Any], words: Mapping[str, Any]) -> FunctionType:
    if id(function) in known:
        return known[id(function)]
    if not can_be_fixed(function):
        if not words:
            return function
        own = {**function.__globals__, **words}
        return FunctionType(function.__code__, own, function.__name__, None, function.__closure__)
    if package_of(home_of(function)) == "library" and not words:
        return function
    scope: dict[str, Any] = {"__builtins__": function.__globals__.get("__builtins__", builtins)}
    scope |= {name: value for name, value in function.__globals__.items() if name == "__name__"}
    cells = tuple(CellType() for _ in function.__closure__ or ())
    copy = FunctionType(function.__code__, scope, function.__name__, None, cells)
    known[id(function)] = copy
    copy.__module__, copy.__qualname__, copy.__doc__ = function.__module__, function.__qualname__, function.__doc__
    copy.__defaults__ = _fixed(function.__defaults__, known)
    copy.__kwdefaults__ = {n: _fixed(v, known) for n, v in (function.__kwdefaults__ or {}).items()}
    copy.__dict__.update(function.__dict__)
    of_cells = dict(zip(function.__code__.co_freevars, cells, strict=True))
    for name, value, chains in values_of(function):
        if name in of_cells:
            of_cells[name].cell_contents = _fixed(value, known, chains)
        else:
            scope[name] = _fixed(value, known, chains)
    scope.update(words)
    return copy


def _fixed(value: Any, known: dict[int, Any], chains: Chains = frozenset()) -> Any:
    """Return a value that does not change, where that can be had."""
    function = plain_function(value)
    if function is not None:
        return _fixed_function(function, known, {})
    if type(value) is np.ndarray and not value.dtype.hasobject:
        copy = np.array(value, order="K")
        copy.flags.writeable = False
        return copy
    if isinstance(value, tuple):
        return rebuilt(value, [_fixed(part, known) for part in value])
    if isinstance(value, ModuleType) and package_of(value.__name__) != "library" and () not in chains:
        return module_with(value, chains, lambda part, _, chains: _fixed(part, known, chains))
    return value


def rebuilt(value: tuple[Any, ...], parts: list[Any]) -> tuple[Any, ...]:
    """Return a tuple of the same type with other parts."""
    if all(part is old for part, old in zip(parts, value, strict=True)):
        return value
    return type(value)._make(parts) if hasattr(type(value), "_make") else tuple(parts)  # type: ignore[attr-defined]


def module_with(module: ModuleType, chains: Chains, change: Any) -> ModuleType:
    """Return a module with only the attributes that a function reads, each as ``change(value, name, chains)``."""
    copy = ModuleType(f"{module.__name__} (fixed)")
    for name in {chain[0] for chain in chains}:
        if hasattr(module, name):
            rest = frozenset(chain[1:] for chain in chains if chain[0] == name)
            setattr(copy, name, change(getattr(module, name), name, rest))
    return copy


def may_change(value: Any) -> bool:
    """Return whether a value, such as a list or a class, may be another one later although its name stands for it."""
    if type(value) in PLAIN or isinstance(value, np.generic | np.dtype | np.ufunc | Enum):
        return False
    if type(value) is np.ndarray:
        return bool(value.dtype.hasobject)
    if isinstance(value, tuple | frozenset):
        return any(may_change(part) for part in value)
    if isinstance(value, type) and issubclass(value, Enum):
        return any(may_change(member.value) for member in value)
    named = callable(value) and hasattr(value, "__qualname__") and not isinstance(value, MethodType)
    return not (named and package_of(getattr(value, "__module__", None)) == "library")
