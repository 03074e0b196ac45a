"""A property that is computed once, without a lock.

``functools.cached_property`` of Python 3.11 holds a lock while it computes. A process that forks at such a moment, in
another thread, has a child in which nobody gives that lock back.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, final, overload

T = TypeVar("T")


@final
class cached_property(Generic[T]):  # noqa: N801
    """Compute an attribute at its first use, and keep it in the object.

    Two threads that ask at the same time may both compute it; so it must be a pure function of the object.

    >>> class Square:
    ...     @cached_property
    ...     def area(self):
    ...         print("computed")
    ...         return 9
    >>> square = Square()
    >>> square.area, square.area
    computed
    (9, 9)
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> "Self | T":
        """Return the value; Python looks here only while the object does not hold one."""
        if instance is None:
            return self
        return instance.__dict__.setdefault(self._name, self._function(instance))
