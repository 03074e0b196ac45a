"""Arrays whose memory is used again: fresh memory costs more than filling it.

The operating system hands out large arrays page by page, and zeroes each page when it is first touched; for a tape of
some megabytes that takes as long as the arithmetic. So memory that no array refers to any more is handed out again.
"""

import math
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array
from saiki.engines.locks import ProcessLock

T = TypeVar("T")

SMALL = 1 << 16
"""Size in bytes below which the allocator of the C library is as good."""

KEPT = 1 << 30
"""Maximum number of bytes of idle memory; what exceeds it goes back to the operating system."""


class _Loan(weakref.ref[Any]):
    """A weak reference to an array, with the object that was lent together with it."""

    __slots__ = ("thing",)
    thing: Any


@final
class Loans(Generic[T]):
    """Objects that come back when the array they were lent with is gone.

    An array keeps the array alive that it is a view of. So an object that owns memory can be lent with an array over
    that memory, and comes back when no view of it is left, wherever the views went. Coming back is one append to a
    deque, made by the interpreter itself: it cannot be interrupted, takes no lock, and may happen in any thread.

    >>> loans, array = Loans(), np.zeros(3)
    >>> loans.lend("three numbers", array)
    >>> view = array[1:]
    >>> del array
    >>> list(loans.returned())
    []
    >>> del view
    >>> list(loans.returned())
    ['three numbers']
    """

    def __init__(self) -> None:
        self._lent: dict[int, _Loan] = {}
        self._returned: deque[_Loan] = deque()

    def lend(self, thing: T, array: Array) -> None:
        """Lend an object for as long as an array, or a view of it, exists."""
        loan = _Loan(array, self._returned.append)
        loan.thing = thing
        self._lent[id(loan)] = loan

    def returned(self) -> Iterator[T]:
        """Yield the objects that came back since the last call.

        An interrupt between two lines loses an object at worst, which then is freed, or leaves it for a later call.
        """
        if self._returned:
            self._returned.clear()
            for key, loan in list(self._lent.items()):
                if loan() is None and self._lent.pop(key, None) is not None:  # and no other thread took it
                    yield loan.thing


def over(memory: Array) -> Array:
    """Return a flat array of bytes over the memory of an array; views of it refer to it and not to that array.

    NumPy makes a view of a view refer to the first array of the same type that owns the memory. A ``memoryview`` in
    between ends that search.
    """
    return np.frombuffer(memory.data.cast("B"), np.uint8)


_lock = ProcessLock()
_idle: list[Array] = []  # the blocks that no array refers to, the longest idle first
_loans: Loans[Array] = Loans()


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return an array of any content, in memory that was used before where there is some.

    >>> empty((150, 600), np.float64).shape
    (150, 600)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    with _lock():
        _idle.extend(_loans.returned())
        fitting = [i for i, block in enumerate(_idle) if size <= block.nbytes <= 2 * size]
        block = _idle.pop(min(fitting, key=lambda i: _idle[i].nbytes)) if fitting else np.empty(size, np.uint8)
        _give_back(KEPT - (0 if fitting else size))
    array = over(block)
    _loans.lend(block, array)
    return array[:size].view(dtype).reshape(shape)


def copy(array: Array) -> Array:
    """Return a copy, in memory that was used before where there is some."""
    copied = empty(array.shape, array.dtype)
    np.copyto(copied, array)
    return copied


def _give_back(limit: int) -> None:
    """Give idle blocks back to the operating system, the longest idle first, down to a number of bytes."""
    total = sum(block.nbytes for block in _idle)
    while _idle and total > limit:
        total -= _idle.pop(0).nbytes
