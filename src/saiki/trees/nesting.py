"""Nested tuples to flat lists, and back, at any depth."""

from typing import TYPE_CHECKING, Any

from saiki.errors import ArgumentError
from saiki.trees.checking import Value, as_values

if TYPE_CHECKING:
    from saiki.trees.tree import Tree

MOST_INDEXES = 12
"""A path of more indexes is shown by its two ends."""


def unnested(nested: Any, argument: str) -> tuple[list[int], tuple[Value | None, ...]]:
    """Return the parents and values of nested tuples or lists, in reading order.

    Raises:
        ArgumentError, ShapeError, DtypeError: something that is no tree, or no value; the message names its place.

    >>> unnested((("a", "b"), "c"), "nested")
    ([-1, 0, 1, 1, 0], (None, None, 'a', 'b', 'c'))
    """
    parents: list[int] = []
    values: list[Any] = []
    opened: list[tuple[int, Any, int]] = []  # the bracket's node, what is still to come of it, and its id
    inside: set[int] = set()
    parent, rest = -1, iter((nested,))
    while True:
        for item in rest:
            node = len(parents)
            parents.append(parent)
            if not isinstance(item, tuple | list):
                if item is None:
                    raise ArgumentError(
                        f"{_place(parents, node, argument)} must be a token, a vector, or a tuple of such; got None."
                        " Leave it out."
                    )
                values.append(item)
                continue
            values.append(None)
            if not item:
                raise ArgumentError(
                    f"{_place(parents, node, argument)} must have something in it; got an empty {type(item).__name__}."
                    " A tree has at least one leaf, and every bracket too."
                )
            if id(item) in inside:
                raise ArgumentError(
                    f"{_place(parents, node, argument)} must not hold itself; got a list that is inside of itself."
                )
            inside.add(id(item))
            opened.append((parent, rest, id(item)))
            parent, rest = node, iter(item)
            break
        else:
            if not opened:
                break
            parent, rest, closed = opened.pop()
            inside.discard(closed)
    return parents, as_values(values, lambda node: _place(parents, node, argument))


def nested_tuples(tree: "Tree") -> Any:
    """Return the values of the leaves in nested tuples; of a single leaf its value."""
    starts, children = tree.child_starts.tolist(), tree.children.tolist()
    made: list[Any] = list(tree.values)
    for node in reversed(tree.reading_order.tolist()):
        below = children[starts[node] : starts[node + 1]]
        if below:
            made[node] = tuple([made[child] for child in below])
            for child in below:  # of a deep tree only one part is held at a time
                made[child] = None
    return made[tree.root]


def _place(parents: list[int], node: int, argument: str) -> str:
    """Return the path to a node by indexes, ``nested[0][2]``."""
    way = []
    while parents[node] >= 0:
        way.append(node)
        node = parents[node]
    way.reverse()
    half = MOST_INDEXES // 2
    ends = (way, []) if len(way) <= MOST_INDEXES else (way[:half], way[-half:])
    head, tail = ("".join(f"[{parents[:step].count(parents[step])}]" for step in steps) for steps in ends)
    return f"{argument}{head}" + (f"...{tail} ({len(way)} levels down)" if tail else "")
