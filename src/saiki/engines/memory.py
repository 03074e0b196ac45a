"""Arrays that are used again: fresh memory costs more than filling it.

The operating system hands out large arrays page by page, and zeroes each page when it is first touched; for a tape of
some megabytes that takes as long as the arithmetic. So memory that no array refers to any more is handed out again.
"""

import math
import os
import sys
from threading import Lock

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array

SMALL = 1 << 16
"""Below so many bytes the allocator of the C library is as good."""

KEPT = 1 << 30
"""Idle memory beyond so many bytes in all is given back."""

_lock = Lock()
_kept: list[Array] = [np.empty(0, np.uint8)]


def _start_afresh() -> None:
    """In a forked child: no thread of the parent's holds the lock any more."""
    global _lock
    _lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def _references(i: int) -> int:
    return sys.getrefcount(_kept[i])


_IDLE = _references(0)  # what the interpreter counts when only the list holds on to it


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an array of any content, in memory that was used before where there is some.

    >>> first = empty((300, 300), np.float64)
    >>> place = first.ctypes.data
    >>> del first
    >>> empty((150, 600), np.float64).ctypes.data == place
    True
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    with _lock:
        fitting = [i for i in range(len(_kept)) if size <= _kept[i].nbytes <= 2 * size and _references(i) == _IDLE]
        if fitting:
            chosen = min(fitting, key=lambda i: _kept[i].nbytes)
        else:
            _give_back(KEPT - size)
            _kept.append(np.empty(size, np.uint8))
            chosen = len(_kept) - 1
        return _kept[chosen][:size].view(dtype).reshape(shape)


def copy(array: Array) -> Array:
    """Return a copy, in memory that was used before where there is some."""
    copied = empty(array.shape, array.dtype)
    np.copyto(copied, array)
    return copied


def _give_back(limit: int) -> None:
    """Give back idle memory, the oldest first, until no more than ``limit`` bytes of it are left."""
    idle = [i for i in range(len(_kept)) if _references(i) == _IDLE]
    total = sum(_kept[i].nbytes for i in idle)
    given = set()
    for i in idle:
        if total <= limit:
            break
        total -= _kept[i].nbytes
        given.add(i)
    _kept[:] = [memory for i, memory in enumerate(_kept) if i not in given]
