"""Locks that survive a fork.

A forked child has only the thread that called ``fork``. A lock that another thread of the parent held at that moment
would stay locked in the child for ever, so the child makes every lock anew.
"""

import os
from threading import Lock, RLock
from typing import final

loading = RLock()
"""Held while an engine is imported, which takes seconds where it has to be compiled."""

_forks = 0
"""Number of forks between the first process and this one."""

_renewing = Lock()


@final
class ProcessLock:
    """A lock of this process: a forked child finds it unlocked.

    Use it as ``with lock():``. The lock in the ``with`` statement is one of the interpreter's own, which CPython 3.11
    to 3.13 enter and leave without looking for signals in between; so an interrupt cannot leave it locked.

    >>> lock = ProcessLock()
    >>> with lock():
    ...     lock().locked()
    True
    >>> lock().locked()
    False
    """

    __slots__ = ("_current",)

    def __init__(self) -> None:
        self._current = _forks, Lock()

    def __call__(self) -> Lock:
        """Return the lock of the present process."""
        forks, lock = self._current
        if forks != _forks:  # the first use in a child
            with _renewing:
                if self._current[0] != _forks:
                    self._current = _forks, Lock()
                forks, lock = self._current
        return lock


def _count_fork() -> None:
    global _forks, _renewing
    _forks, _renewing = _forks + 1, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)
    # A child would wait for ever for an import that another thread of its parent has begun.
    os.register_at_fork(before=loading.acquire, after_in_parent=loading.release, after_in_child=loading.release)
