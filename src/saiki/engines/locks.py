"""Locks that survive a fork.

A forked child has only the thread that called ``fork``. A lock that another thread of the parent held at that moment
would stay locked in the child for ever, so the child makes every lock anew.
"""

import os
import weakref
from threading import Lock, RLock
from typing import final

loading = RLock()
"""Held while an engine is imported, which takes seconds where it has to be compiled."""


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

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Forget whoever holds the lock."""
        self._lock = Lock()

    def __call__(self) -> Lock:
        """Return the lock of the present process."""
        return self._lock


_locks: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _renew_all() -> None:
    """Make the locks of a child anew, while it has one thread."""
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
    # A child would wait for ever for an import that another thread of its parent has begun.
    os.register_at_fork(before=loading.acquire, after_in_parent=loading.release, after_in_child=loading.release)
