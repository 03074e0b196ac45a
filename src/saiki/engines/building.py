"""Compile generated code once, and find it again in the next process.

Numba's cache knows a function by its file, its name and its signature, and looks at that file alone. Code generated
from a cell depends on more: on the cell's functions, on the generator, on the vocabulary. So the name carries a hash of
all that, and the code says that it comes from this file, beside which (or, where that cannot be written, in the user's
cache folder) Numba then keeps what it compiled; see ``keeping``.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from numba import njit, types
from numba.core import event
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock

from saiki.engines.keeping import keep, log
from saiki.engines.locks import loading

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Everything but the promise that there are no NaN and no infinities, which would hide a divergence."""

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": FASTMATH}

EXACT: dict[str, Any] = {"error_model": "numpy"}
"""For loops whose vectors LLVM takes or leaves by where the arrays lie: then both must round alike."""

HERE = Path(__file__).parent

_LINES = len(Path(__file__).read_bytes().splitlines())


@cache
def engine_sources() -> bytes:
    """Return the sources of all that generates code."""
    return b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))


def define(name: str, source: str, scope: Mapping[str, Any]) -> FunctionType:
    """Return the function ``name`` of a generated source, whose global names mean what ``scope`` says."""
    namespace: dict[str, Any] = {"__name__": __name__, **scope}  # a name that the next process can import
    # The lines are numbered from the end of this file on: `inspect` and tracebacks then find no source for them, where
    # lines of this file would be wrong, and half a docstring stops the tokenizer of Python 3.13.0.
    exec(compile("\n" * _LINES + source, __file__, "exec"), namespace)
    function: FunctionType = namespace[name]
    return function


def _named(function: FunctionType, depends: Iterable[bytes]) -> FunctionType:
    """Give a function a name that no other version of it has."""
    digest = hashlib.sha256(b"|".join([engine_sources(), *depends])).hexdigest()[:16]
    function.__qualname__ = f"{function.__name__}_{digest}"
    return function


def compiled(signatures: Collection[Any], depends: Iterable[bytes] = (), **options: Any) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function, or finds it in the cache.

    Args:
        signatures: the types of the arguments, compiled now; where there are none, each at the first call.
        depends: what else the code depends on, beside the sources of the engine.
        options: those of Numba's ``njit``.
    """

    def decorate(function: Any) -> Any:
        named = _named(function, depends)
        dispatcher = keep(njit(nogil=True, **options)(named), named)
        for signature in signatures:
            dispatcher.compile(signature)
        if signatures:
            dispatcher.disable_compile()
        return dispatcher

    return decorate


def build(
    name: str,
    source: str,
    scope: Mapping[str, Any],
    signatures: Collection[Any] | None = None,
    depends: Iterable[bytes] = (),
) -> Any:
    """Compile the function ``name`` of a generated source.

    With signatures it is compiled now, or found in the cache; without, when and where a kernel needs it.
    """
    function = define(name, source, scope)
    if signatures is None:
        return njit(nogil=True, **OPTIONS)(function)
    return compiled(signatures, [source.encode(), *depends], **OPTIONS)(function)


def build_kernel(
    name: str, source: str, scope: Mapping[str, Any], depends: Iterable[bytes], purpose: str, exact: bool = False
) -> int:
    """Compile a function of one address, or find it in the cache, and return where it stands in memory.

    Args:
        name: the function's name in the source.
        source: Python, in what Numba understands.
        scope: what its global names mean.
        depends: whatever else the code depends on.
        purpose: what it is for, in words.
        exact: whether no operation may be merged with, or exchanged for, another.
    """
    function = _named(define(name, source, scope), [source.encode(), *depends])
    if function.__qualname__ not in _made:
        with _announced(purpose):
            signature = (types.CPointer(types.int64),), types.void
            made = keep(CFunc(function, signature, {}, dict(EXACT if exact else OPTIONS)), function)
            made.compile()
        _made[function.__qualname__] = made  # its code lives as long as it does
    address: int = _made[function.__qualname__].address
    return address


_made: dict[str, Any] = {}


class _Announcement(event.Listener):
    """Says once for each purpose that something is compiled, and the first time what that means."""

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        if self.purpose not in _said:
            why = "" if _said else " for this machine: seconds, but only once, as later processes find it in the cache"
            log.warning("saiki compiles %s%s", self.purpose, why)
            _said.add(self.purpose)

    def on_end(self, event: Any) -> None:
        pass


_said: set[str] = set()


@contextmanager
def _announced(purpose: str) -> Iterator[None]:
    """Tell the user if something has to be compiled in here."""
    listener = _Announcement(purpose)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)


def _before_fork() -> None:
    """Wait until no other thread compiles, for whose end a child would wait for ever.

    The lock of the imports comes first: an import that holds it may be about to compile.
    """
    loading.acquire()
    global_compiler_lock.acquire()


def _after_fork() -> None:
    global_compiler_lock.release()
    loading.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
