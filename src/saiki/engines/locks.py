"""Locks that survive a fork.

A forked child has only the thread that called ``fork``. A lock that another thread of the parent held at that moment
would stay locked in the child for ever, so the child makes every lock anew.
"""

import os
from threading import Lock
from typing import final

_forks = 0
"""Number of forks between the first process and this one."""


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


@final
class ProcessLock:
    """A lock of this process: a forked child finds it unlocked.

    Use it as ``with lock():``. The lock in the ``with`` statement is one of the interpreter's own, which Python enters
    and leaves without running bytecode in between; so an interrupt cannot leave it locked.

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
        if forks != _forks:
            forks, lock = self._current = _forks, Lock()
        return lock
