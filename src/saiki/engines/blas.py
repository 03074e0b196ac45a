"""Keep the threads of BLAS still while an engine's own threads work.

The threads of a BLAS spin for a while after each product, waiting for the next; on the cores that the engine's threads
then need. A training step of a large layer took twice as long for it.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import get_ident
from typing import Any, final

from threadpoolctl import ThreadpoolController

from saiki.engines.locks import ProcessLock


@final
class _Caller:
    """A call that asks for a single thread, for as long as this object lives."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()


_lock = ProcessLock()
_callers: dict[int, "weakref.ref[_Caller]"] = {}
_before: list[int] | None = None  # the number of threads of each library, while they are held to one


@cache
def _libraries() -> list[Any]:
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS to one thread; when the last of several callers leaves, it has as many again as before.

    >>> with single_threaded():
    ...     {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}
    {1}
    """
    caller = _Caller()
    try:
        _callers[id(caller)] = weakref.ref(caller)
        _adjust()
        yield
    finally:
        _callers.pop(id(caller), None)
        _adjust()


def _adjust() -> None:
    """Give BLAS the number of threads that the present callers ask for.

    An interrupt may come between any two lines here. Each line leaves a state from which the next call of this function
    goes on: a caller that was interrupted is gone, and the number of threads to restore is noted before it is changed.
    """
    global _before
    with _lock():
        for key, caller in list(_callers.items()):
            if caller() is None:
                _callers.pop(key, None)
        if _callers and _before is None:
            _before = [library.num_threads for library in _libraries()]
            _set_threads([1] * len(_before))
        elif not _callers and _before is not None:
            _set_threads(_before)
            _before = None


def _set_threads(numbers: list[int]) -> None:
    """Set the number of threads of each library, in whichever thread this is."""
    for library, number in zip(_libraries(), numbers, strict=True):
        # Newer releases of threadpoolctl let one thread alone set the number, until the controlling thread is cleared.
        let_go = getattr(library, "clear_controlling_thread", None)
        if let_go is not None:
            let_go(force=True)
        library.set_num_threads(number)
        if let_go is not None:
            let_go(force=True)


def _before_fork() -> None:
    """Wait until no other thread is setting numbers, so that the child finds none of threadpoolctl's locks held."""
    _lock().acquire()


def _after_fork_in_parent() -> None:
    _lock().release()


def _after_fork_in_child() -> None:
    """Forget the callers in threads that only the parent has."""
    for key, caller in list(_callers.items()):
        one = caller()
        if one is None or one.thread != get_ident():
            _callers.pop(key, None)
    _adjust()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
