"""Kernels that Python calls at the cost of one: each takes a table of words, and a program is a list of such calls.

A call of a compiled function from Python costs more the more arrays it is given. So every kernel here has one argument,
the address of a table: for a whole number the number, for an array the address of its first number and its sizes. The
tables are made once, for buffers that stay, and ``run`` goes through a program, pairs of a kernel's address and a
table's, without coming back to Python.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from saiki.arrays import Array
from saiki.engines.building import build_kernel, compiled


class Argument(NamedTuple):
    """What a kernel takes: a whole number (no dimensions), or an array of numbers or of whole numbers."""

    dimensions: int = 0
    whole: bool = False


def _pointer_to(kind: Any) -> Any:
    """Return a compiled function that makes an address a pointer to such numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return intrinsic(lambda typingctx, address: (types.CPointer(kind)(types.int64), generate))  # noqa: ARG005


_wholes = _pointer_to(types.int64)


@cache
def pointers(dtype: Any) -> dict[str, Any]:
    """Return the words with which a kernel's source speaks of memory: ``numbers`` and ``wholes`` make pointers."""
    return {"numbers": _pointer_to(from_dtype(np.dtype(dtype))), "wholes": _wholes, "carray": carray}


def kernel(
    name: str,
    source: str,
    arguments: Mapping[str, Argument],
    dtype: Any,
    scope: Mapping[str, Any],
    depends: Iterable[bytes] = (),
    purpose: str = "its kernels",
    exact: bool = False,
) -> int:
    """Compile the function ``name`` of a source so that it takes its arguments from a table; return its address."""
    head, body = source.lstrip("\n").split("\n", 1)
    assert head == f"def {name}({', '.join(arguments)}):"
    lines, slot = [f"def {name}(table):"], 0
    for word, argument in arguments.items():
        if argument.dimensions == 0:
            lines.append(f"    {word} = table[{slot}]")
        else:
            shape = "".join(f"table[{slot + 1 + axis}], " for axis in range(argument.dimensions))
            pointer = "wholes" if argument.whole else "numbers"
            lines.append(f"    {word} = carray({pointer}(table[{slot}]), ({shape}))")
        slot += 1 + argument.dimensions
    source = "\n".join([*lines, body])
    depends = [np.dtype(dtype).name.encode(), *depends]
    return build_kernel(name, source, {**scope, **pointers(dtype)}, depends, purpose, exact)


class Table(NamedTuple):
    """The words of a kernel's arguments, and the place of each argument's first word."""

    words: Array
    places: Mapping[str, int]

    @classmethod
    def of(cls, arguments: Mapping[str, Argument], values: Mapping[str, Any]) -> "Table":
        """Make the table of a call; arrays must be contiguous, and stay where they are."""
        words: list[int] = []
        places = {}
        for name, argument in arguments.items():
            value, places[name] = values[name], len(words)
            if argument.dimensions == 0:
                words.append(int(value))
            else:
                assert value.flags.c_contiguous, name
                assert value.ndim == argument.dimensions, name
                assert (value.dtype == np.int64) == argument.whole, name
                words += [address(value), *value.shape]
        return cls(np.array(words, np.int64), places)

    def __setitem__(self, name: str, word: int) -> None:
        self.words[self.places[name]] = word


def program(calls: Iterable[tuple[int, Table]]) -> Array:
    """Return the program that makes these calls, one after another."""
    return np.array([word for function, table in calls for word in (function, address(table.words))], np.int64)


def _call(typingctx, function, table):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Call the kernel at one address with the table at another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


call: Any = intrinsic(_call)


@compiled([types.void(types.int64, types.int64)])
def run_at(start, length):  # type: ignore[no-untyped-def]
    """Make the calls of the program of so many words that stands at an address."""
    program = carray(_wholes(start), (length,))
    for i in range(0, length, 2):
        call(program[i], program[i + 1])


@compiled([types.void(types.int64, types.int64, types.int64[::1], types.int64[:, ::1])])
def run_again(start, length, places, words):  # type: ignore[no-untyped-def]
    """Run a program once for each row of words; before, each word is put where its place says."""
    for r in range(words.shape[0]):
        for p in range(len(places)):
            _wholes(places[p])[0] = words[r, p]
        run_at(start, length)


@compiled([])
def address(array):  # type: ignore[no-untyped-def]
    """Return where an array's first number stands; five times as fast as to ask NumPy."""
    return array.ctypes.data
