"""Drawing different things of a few kinds: what the data of several tasks have in common."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from saiki.arrays import as_count
from saiki.errors import ArgumentError
from saiki.trees.checking import shown

T = TypeVar("T", bound=Hashable)

Below: TypeAlias = Callable[[int], int]
"""Draws a whole number from 0 up to, but not, the one given, all equally likely."""

DRAWN_AT_ONCE = 4096
"""Numbers are drawn in blocks of so many: one by one from NumPy they would take twenty times as long."""

MISSES = 20_000
"""After so many draws in a row without anything new, a kind is taken to have no more."""


def as_kinds(argument: str, given: object, least: int = 1) -> tuple[int, ...]:
    """Return one whole number, or several to choose from, as a tuple.

    Raises:
        ArgumentError: none at all, no whole number, or one below ``least``.

    >>> as_kinds("depth", 3), as_kinds("depth", range(1, 3))
    ((3,), (1, 2))
    """
    if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
        return (as_count(argument, given, least),)
    if not len(given):
        raise ArgumentError(
            f"{argument} must be a whole number, or several to choose from; got {shown(given)} of none."
        )
    return tuple(as_count(f"{argument}[{place}]", kind, least) for place, kind in enumerate(given))


def draw_different(
    rng: np.random.Generator, n: int, kinds: Sequence[int], draw: Callable[[int, Below], T], argument: str
) -> list[T]:
    """Return n different things, each of a kind that is drawn evenly; the first of them are those of a smaller n.

    Args:
        rng: where the numbers come from; it is left some way further on.
        n: how many.
        kinds: the kinds.
        draw: makes one of a kind.
        argument: what the caller calls the kind, for the message.

    Raises:
        ArgumentError: there are not so many different ones, or hardly.

    >>> draw_different(np.random.default_rng(0), 4, [2], lambda kind, below: kind * below(4), "factor")
    [2, 0, 6, 4]
    """
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError(f"rng must be a NumPy Generator; got {shown(rng)}. Use np.random.default_rng(0).")
    as_count("n", n, 0)
    numbers = _numbers(rng)

    def below(end: int) -> int:
        return int(next(numbers) * end)

    found: dict[T, None] = {}
    while len(found) < n:
        kind, before = kinds[below(len(kinds))], len(found)
        for _ in range(MISSES):
            found[draw(kind, below)] = None
            if len(found) > before:
                break
        else:
            raise ArgumentError(
                f"n must be at most the number of different expressions; got {n}, but of {argument} {kind} hardly any"
                f" are left after {before} in all. Ask for fewer, or for longer ones."
            )
    return list(found)


def _numbers(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(DRAWN_AT_ONCE).tolist()
