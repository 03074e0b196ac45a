"""The identity of a function: a text that differs wherever the function may compute something else.

There is one such text, for machine code that is kept on the disk and for the checkpoints of training runs. It is made
of the code of the function and of everything that it can read (see ``reading``): global names and attributes of
modules, also where only a function or a comprehension inside reads them, variables of the functions around it,
defaults, the functions that it calls, and the contents of all these. Functions and classes of Python, NumPy and Numba,
and the classes of saiki, are known by name. What cannot be described is an error, and never taken for the same.
"""

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property, lru_cache
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, final

import numpy as np

from saiki import properties
from saiki.cells.reading import PLAIN, home_of, package_of, plain_function, reads_of, values_of
from saiki.errors import ArgumentError

MOST = 20_000
"""Maximum number of objects that are described for one value."""

UNKNOWABLE = os.getenv, globals, eval, exec, compile, __import__, open, input, importlib.import_module
"""Functions of Python whose results no description of their arguments can cover."""

DESCRIPTORS = (
    MethodDescriptorType,
    WrapperDescriptorType,
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
)

CachedFunction = type(lru_cache(lambda: None))

OF_EVERY_CLASS = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__annotate__",
    "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__abstractmethods__",
    "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__", "__orig_bases__", "_abc_impl",
}  # fmt: skip
"""Attributes of a class that decide no number, or follow from others."""


def fingerprint(value: Any, name: str = "value") -> str:
    """Return a text that differs wherever a value would lead to other numbers.

    Args:
        value: a function, or anything else: an object is described by its class and its state.
        name: what the caller calls it, for the message.

    Raises:
        ArgumentError: the value holds or reads something that cannot be described, such as an open file or a lock.

    >>> fingerprint(lambda n: 0.1) == fingerprint(lambda n: 0.2), fingerprint((8, 4))
    (False, '(8, 4)')
    """
    try:
        return _Description().of(value, name)
    except RecursionError:
        raise _unknown(name, "holds objects within objects too deeply to be described") from None


def code_of(code: CodeType) -> str:
    """Return what code does, without where it stands."""
    constants = ", ".join(code_of(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts)
    shape = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return f"code({shape} {names} {code.co_code.hex()} {code.co_exceptiontable.hex()} {constants})"


def _constant(value: Any) -> str:
    """Return a constant as text; sets of texts are in another order in each process."""
    return f"frozenset({sorted(map(_constant, value))})" if isinstance(value, frozenset) else repr(value)


def _is_cached(kind: type, name: Any) -> bool:
    """Return whether an attribute of objects of a class follows from the others."""
    return isinstance(name, str) and isinstance(getattr(kind, name, None), cached_property | properties.cached_property)


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")).hexdigest()


def _unknown(name: str, why: str) -> ArgumentError:
    return ArgumentError(
        f"{name} {why}, so that saiki cannot tell it from another one. Use numbers, texts, tuples, arrays and functions"
        " of such instead, or objects that pickle can describe."
    )


@final
class _Description:
    """Describes one value; an object that is met again inside itself is named by its number."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._done: dict[int, str] = {}
        self._held: list[Any] = []  # no other object may take the place of one that was described

    def of(self, value: Any, name: str) -> str:
        """Return the description of a value, which ``name`` leads to."""
        if type(value) in PLAIN:
            return repr(value)
        if id(value) in self._open:
            return f"object {self._open[id(value)]}"
        if id(value) not in self._done:
            if len(self._held) >= MOST:
                raise _unknown(name, f"holds more than {MOST} objects")
            self._held.append(value)
            self._open[id(value)] = len(self._open)
            try:
                self._done[id(value)] = self._describe(value, name)
            finally:
                del self._open[id(value)]
        return self._done[id(value)]

    def _describe(self, value: Any, name: str) -> str:
        for kinds, describe in self._kinds:
            if isinstance(value, kinds):
                return describe(self, value, name)
        function = value.__wrapped__ if isinstance(value, CachedFunction) else plain_function(value)
        if function is not None:
            options = self.of(getattr(value, "targetoptions", None), f"{name}: options")
            return f"{type(value).__qualname__} {options} of {self.of(function, name)}"
        if self._is_of_library(value):
            return f"{value.__module__}.{value.__qualname__}"
        return self._object(value, name)

    @staticmethod
    def _is_of_library(value: Any) -> bool:
        """Return whether a value is what a library calls by its name."""
        home, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(home, str) or not isinstance(path, str) or package_of(home) != "library":
            return False
        found: Any = sys.modules.get(home)
        for part in path.split("."):
            found = getattr(found, part, None)
        return found is value

    def _many(self, values: Iterable[Any], name: str) -> str:
        return ", ".join(self.of(part, f"{name}[{k}]") for k, part in enumerate(values))

    def _array(self, value: Any, name: str) -> str:
        if type(value) not in (np.ndarray, np.memmap):
            return self._object(value, name)
        if value.dtype.hasobject:
            return f"array {value.dtype} {value.shape} [{self._many(value.ravel().tolist(), name)}]"
        return f"array {value.dtype} {value.shape} {_digest(np.ascontiguousarray(value).tobytes())}"

    def _scalar(self, value: Any, name: str) -> str:  # noqa: ARG002
        return f"{value.dtype} {value.tobytes().hex()}" if value.dtype.fields else repr(value)

    def _dict(self, value: Any, name: str) -> str:
        if type(value) is not dict:
            return self._object(value, name)
        pairs = (f"{self.of(key, name)}: {self.of(part, f'{name}[{key!r}]')}" for key, part in value.items())
        return "{" + ", ".join(pairs) + "}"

    def _list(self, value: Any, name: str) -> str:
        if type(value) in (list, tuple):
            return f"({self._many(value, name)})"
        if hasattr(type(value), "_fields"):
            return f"{self.of(type(value), name)}{value._fields}({self._many(value, name)})"
        return self._object(value, name)

    def _set(self, value: Any, name: str) -> str:
        if type(value) not in (set, frozenset):
            return self._object(value, name)
        return f"{type(value).__name__}({sorted(self.of(part, name) for part in value)})"

    def _member(self, value: Any, name: str) -> str:
        return f"{self.of(type(value), name)}.{value.name} {self.of(value.value, name)}"

    def _function(self, function: FunctionType, name: str) -> str:
        home, named = package_of(home_of(function)), f"{function.__module__}.{function.__qualname__}"
        if function in UNKNOWABLE:
            raise _unknown(name, f"is {named}")
        if not home_of(function).startswith("saiki") and self._is_of_library(function):
            return named
        try:
            return f"function {_digest(self._function_text(function, name))}"
        except ArgumentError:
            if home != "installed":
                raise
        version = getattr(sys.modules.get(home_of(function).partition(".")[0]), "__version__", "")
        return f"function {named} {version} {_digest(code_of(function.__code__))}"

    def _function_text(self, function: FunctionType, name: str) -> str:
        reads, parts = reads_of(function.__code__), [code_of(function.__code__)]
        parts += [
            f"{of}: {self._attribute(value, chain, of, f'{name}: {of}')}"
            for of, value, chains in values_of(function)
            for chain in sorted(chains or {()})
        ]
        parts += [f"import {imported}: {self._import(function, imported, name)}" for imported in reads.imports]
        parts.append(self.of(function.__defaults__, f"{name}: defaults"))
        parts.append(self.of(function.__kwdefaults__ or {}, f"{name}: defaults"))
        parts.append(self.of(function.__dict__, f"{name}: attributes"))
        return "\n".join(parts)

    def _attribute(self, value: Any, chain: tuple[str, ...], of: str, name: str) -> str:
        """Describe what a function reads: an attribute of a module, or else the whole object."""
        for k, attribute in enumerate(chain):
            if not isinstance(value, ModuleType):
                break
            name, of = f"{name}.{attribute}", ".".join((of, *chain[: k + 1]))
            if not hasattr(value, attribute):
                return f"{of} is missing"
            value = getattr(value, attribute)
        return f"{'.'.join(chain)} = {self.of(value, name)}"

    def _import(self, function: FunctionType, imported: str, name: str) -> str:
        package = str(function.__globals__.get("__package__") or "")
        inside = f"{package}.{imported}".strip(".")
        for path in dict.fromkeys((inside, imported, package)):
            try:
                return self.of(importlib.import_module(path), f"{name}: {path}")
            except (ImportError, ValueError):
                continue
        return "missing"

    def _method(self, value: Any, name: str) -> str:
        return f"method {self.of(value.__func__, name)} of {self.of(value.__self__, name)}"

    def _builtin(self, value: Any, name: str) -> str:
        owner = value.__self__
        if value in UNKNOWABLE:
            raise _unknown(name, f"is {value.__name__}()")
        if owner is None or isinstance(owner, ModuleType | type):
            return f"{getattr(owner, '__name__', '')}.{value.__qualname__}"
        return f"method {value.__name__} of {self.of(owner, name)}"

    def _descriptor(self, value: Any, name: str) -> str:
        return f"{self.of(value.__objclass__, name)}.{value.__name__}"

    def _ufunc(self, value: np.ufunc, name: str) -> str:
        home = sys.modules.get(getattr(value, "__module__", None) or "numpy")
        if getattr(home, value.__name__, getattr(np, value.__name__, None)) is value:
            return f"ufunc {value.__name__}"
        return f"ufunc {self._object(value, name)}"

    def _module(self, value: ModuleType, name: str) -> str:
        home = package_of(value.__name__)
        if home == "library":
            return f"module {value.__name__}"
        if home == "installed":
            return f"module {value.__name__} {getattr(value, '__version__', '')}"
        own = {key: part for key, part in sorted(vars(value).items()) if not key.startswith("__")}
        return f"module {value.__name__} {self._dict(own, name)}"

    def _class(self, value: type, name: str) -> str:
        named = f"class {value.__module__}.{value.__qualname__}"
        if package_of(value.__module__) != "own":
            return named
        if issubclass(value, Enum):
            return f"{named} {[f'{member.name} {self.of(member.value, name)}' for member in value]}"
        own = {key: part for key, part in sorted(vars(value).items()) if key not in OF_EVERY_CLASS}
        bases = self._many((*value.__bases__, type(value)), name)
        return f"{named} ({bases}) {self._dict(own, name)}"

    def _wrapper(self, value: Any, name: str) -> str:
        return f"{type(value).__name__} {self.of(value.__func__, name)}"

    def _property(self, value: Any, name: str) -> str:
        parts = (value.func,) if isinstance(value, cached_property) else (value.fget, value.fset, value.fdel)
        return f"{type(value).__name__} {self._many(parts, name)}"

    def _object(self, value: Any, name: str) -> str:
        """Describe an object by its class and its state: that of a dataclass, or else what pickle would keep."""
        kind = type(value)
        if is_dataclass(value):
            of_saiki = package_of(kind.__module__) == "library"
            running = getattr(value, "functions", {}) if of_saiki else {}  # of a cell, a loss or a rule
            parts = {field.name: getattr(value, field.name) for field in fields(value)}
            parts |= {k: v for k, v in getattr(value, "__dict__", {}).items() if not _is_cached(kind, k)}
            parts = {k: running.get(k, v) for k, v in parts.items() if not (of_saiki and k == "functions")}
            return f"{self.of(kind, name)} {self._dict(parts, name)}"
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise _unknown(name, f"is or holds a {kind.__qualname__}, which has no description ({error})") from error
        if isinstance(reduced, str):
            return f"global {kind.__module__}.{reduced}"
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(state, dict):
            state = {k: v for k, v in state.items() if not _is_cached(kind, k)}
        rest = state, None if items is None else list(items), None if pairs is None else list(pairs)
        return f"{self.of(kind, name)} {self.of(make, name)} {self.of(arguments, name)} {self.of(rest, name)}"

    _kinds: tuple[tuple[Any, Callable[["_Description", Any, str], str]], ...] = (
        (Enum, _member),
        (np.ndarray, _array),
        (np.generic, _scalar),
        (np.dtype, lambda self, value, name: f"dtype {value!r} {value.isalignedstruct}"),  # noqa: ARG005
        (dict, _dict),
        (list | tuple, _list),
        (set | frozenset, _set),
        (FunctionType, _function),
        (MethodType, _method),
        (BuiltinFunctionType, _builtin),
        (DESCRIPTORS, _descriptor),
        (np.ufunc, _ufunc),
        (ModuleType, _module),
        (type, _class),
        (staticmethod | classmethod, _wrapper),
        (property | cached_property, _property),
    )
