"""What a tree is made of, checked once: parents, and what stands at each node."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from saiki.arrays import PRECISIONS, Array, as_float, check_finite, check_one_precision
from saiki.errors import ArgumentError, DtypeError, ShapeError

Value: TypeAlias = str | int | Array
"""What stands at a node: a token, or a vector."""

PLAIN = {str, int, type(None)}

MOST_NAMED = 10
"""So many nodes are named in a message."""


def as_parents(parents: npt.ArrayLike) -> Array:
    """Return the parents of a tree as a read-only int64 array ``(n_nodes,)``, -1 at the one root.

    Raises:
        ShapeError: not one-dimensional.
        ArgumentError: no nodes, no whole numbers, none or several roots, a parent out of range, a cycle.
    """
    if isinstance(parents, str | tuple):
        raise ArgumentError(
            f"parents must be the numbers of parents, an array or a list; got {shown(parents)}. For a text there is"
            " Tree.from_text, for nested tuples Tree.from_nested."
        )
    given = as_float("parents", parents, np.int64)
    if given.ndim != 1:
        raise ShapeError(f"parents must be (n_nodes,), the number of each node's parent; got shape {given.shape}.")
    if not given.size:
        raise ArgumentError("parents must have at least one node; got none. A tree of one node is [-1].")
    if given.dtype.kind not in "iu":
        raise ArgumentError(f"parents must be whole numbers; got dtype {given.dtype}. Use .astype(int).")
    array = given.astype(np.int64)
    n_nodes = len(array)
    wrong = np.flatnonzero((array < -1) | (array >= n_nodes))
    if wrong.size:
        raise ArgumentError(
            f"parents must be numbers of nodes, from 0 to {n_nodes - 1}, or -1 for the root;"
            f" got {given[wrong[0]]} for node {wrong[0]}. Count nodes from 0; of heads that"
            " count from 1, with 0 for the root, give np.array(heads) - 1."
        )
    roots = np.flatnonzero(array == -1)
    if len(roots) != 1:
        got = f"{len(roots)}: {listed(roots.tolist())}" if len(roots) else "none"
        remedy = "Give each its parent, or make a tree of each." if len(roots) else "Give the root the parent -1."
        raise ArgumentError(f"parents must be -1 for one node, the root; got {got}. {remedy}")
    if roots[0] or not (array[1:] < np.arange(1, n_nodes)).all():  # else all lead to node 0
        circle = _cycle(array.tolist())
        if circle:
            raise ArgumentError(
                f"parents must lead up to the root from every node; got a cycle through {listed(circle)}."
                " Give one of these a parent outside the cycle."
            )
    return read_only(array)


def as_values(values: Iterable[Any], name: Callable[[int], str]) -> tuple[Value | None, ...]:
    """Return what stands at each node: tokens, or read-only vectors of one length, or None.

    Args:
        values: what was given.
        name: what the caller calls the value of a node, for messages.

    Raises:
        ShapeError: a vector that is not one-dimensional, is empty, or is longer or shorter than another.
        DtypeError: a vector that holds no numbers, or vectors of two precisions.
        ArgumentError: something else, tokens beside vectors, NaN or infinity.

    >>> as_values([np.int64(3), None, "a"], str)
    (3, None, 'a')
    """
    given = tuple(values)
    if set(map(type, given)) <= PLAIN:
        return given
    found: list[Value | None] = []
    tokens, vectors = [], []
    for node, value in enumerate(given):
        if isinstance(value, np.ndarray):
            vectors.append(node)
            found.append(_as_vector(value, node, name))
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer | None):
            remedy = " Use np.array(..., float) for a vector." if isinstance(value, float | list | np.floating) else ""
            raise ArgumentError(
                f"{name(node)} must be a token (a str or an int) or a vector (a one-dimensional array of floats);"
                f" got {shown(value)}.{remedy}"
            )
        if value is not None:
            tokens.append(node)
            value = str(value) if isinstance(value, str) else int(value)
        found.append(value)
    if tokens and vectors:
        raise ArgumentError(
            "a tree must have either tokens or vectors;"
            f" got the token {shown(found[tokens[0]])} as {name(tokens[0])} and a vector as {name(vectors[0])}."
        )
    if vectors:
        for node, row in zip(vectors, _as_rows([found[node] for node in vectors], vectors, name), strict=True):
            found[node] = row
    return tuple(found)


def as_labels(labels: object, n_nodes: int) -> tuple[Hashable | None, ...] | None:
    """Return the labels of all nodes, None (or NaN) where there is none; None if there are none at all.

    Raises:
        ShapeError: not one for each node.
        ArgumentError: a label that cannot be hashed, such as a list.
    """
    if labels is None:
        return None
    given = entries("labels", labels.tolist() if isinstance(labels, np.ndarray) else labels, n_nodes)
    if not set(map(type, given)) <= PLAIN:
        given = tuple(_as_label(node, label) for node, label in enumerate(given))
    return None if all(label is None for label in given) else given


def as_scores(scores: object, n_nodes: int) -> Array | None:
    """Return the scores as a read-only float64 array ``(n_nodes,)``, NaN where there is none.

    Raises:
        ShapeError: not one for each node.
        DtypeError, ArgumentError: no real numbers, or infinite ones.
    """
    if scores is None:
        return None
    if isinstance(scores, list | tuple):
        scores = [np.nan if score is None else score for score in scores]
    array = as_float("scores", scores)  # type: ignore[arg-type]
    if array.shape != (n_nodes,):
        raise ShapeError(f"scores must hold one number for each node, shape ({n_nodes},); got {array.shape}.")
    if array.dtype.kind == "c":
        raise DtypeError("scores must be real numbers; got complex ones. Use .real.")
    array = array.astype(np.float64)
    check_finite("scores", np.where(np.isnan(array), 0, array), ", or put NaN where there is no score")
    return read_only(array)


def entries(argument: str, given: object, n_nodes: int | None = None) -> tuple[Any, ...]:
    """Return a sequence as a tuple, of one entry for each node where their number is given.

    Raises:
        ArgumentError: one text, a dict, or nothing to go through.
        ShapeError: not one entry for each node.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        remedy = " Use .split() for its words." if isinstance(given, str) else ""
        raise ArgumentError(f"{argument} must be a list, one entry for each node; got {shown(given)}.{remedy}")
    if isinstance(given, np.ndarray) and not given.ndim:
        raise ShapeError(f"{argument} must be a list, one entry for each node; got an array without axes.")
    held = tuple(given)
    if n_nodes is not None and len(held) != n_nodes:
        raise ShapeError(
            f"{argument} must have one entry for each of the {n_nodes} nodes; got {len(held)}."
            " Put None where there is none."
        )
    return held


def read_only(array: Array) -> Array:
    """Return the array itself, which nobody can write to any more."""
    array.setflags(write=False)
    return array


def shown(value: object) -> str:
    """Return something short for a message, without going into what may be deep.

    >>> shown(None), shown(True), shown({"a": 1})
    ('None', 'True', 'a dict')
    """
    if value is None or isinstance(value, int | float | str | np.number):
        text = repr(value)
        return text if len(text) <= 40 else f"{text[:37]}..."
    kind = type(value).__name__
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def listed(nodes: Sequence[int]) -> str:
    """Return the numbers of nodes for a message: all of few, some of many.

    >>> listed([3]), listed([1, 2])
    ('node 3', 'nodes 1, 2')
    """
    some = ", ".join(map(str, nodes[:MOST_NAMED]))
    more = f" and {len(nodes) - MOST_NAMED} more" if len(nodes) > MOST_NAMED else ""
    return f"node{'s' if len(nodes) > 1 else ''} {some}{more}"


def _as_label(node: int, label: object) -> Hashable | None:
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float) and np.isnan(label):
        return None
    try:
        hash(label)
    except TypeError:
        raise ArgumentError(
            f"labels[{node}] must be hashable, as strings, numbers and tuples are; got {shown(label)}."
        ) from None
    return label


def _as_vector(value: Array, node: int, name: Callable[[int], str]) -> Array:
    if type(value) is not np.ndarray or value.dtype not in PRECISIONS:
        value = as_float(name(node), value)
    if value.ndim != 1 or not value.size:
        raise ShapeError(f"{name(node)} must be a vector of shape (n_features,); got an array of shape {value.shape}.")
    return value


def _as_rows(vectors: list[Any], nodes: list[int], name: Callable[[int], str]) -> list[Array]:
    """Return the vectors as read-only rows of one matrix."""
    first = vectors[0]
    for node, vector in zip(nodes, vectors, strict=True):
        if len(vector) != len(first):
            raise ShapeError(
                f"{name(node)} must have {len(first)} numbers, as {name(nodes[0])} has; got {len(vector)}."
                " All vectors of a tree have one length."
            )
        if vector.dtype != first.dtype:
            check_one_precision({name(nodes[0]): first, name(node): vector})
    rows = np.array(vectors)
    if not np.isfinite(rows).all():
        for node, vector in zip(nodes, vectors, strict=True):
            check_finite(name(node), vector)
    return list(read_only(rows))


def _cycle(parents: list[int]) -> list[int]:
    """Return the nodes of a cycle, each one the child of the next, or nothing."""
    walk_of = [-1] * len(parents)
    for start in range(len(parents)):
        node = start
        while node >= 0 and walk_of[node] < 0:
            walk_of[node] = start
            node = parents[node]
        if node >= 0 and walk_of[node] == start:
            circle = [node]
            while parents[circle[-1]] != node:
                circle.append(parents[circle[-1]])
            return circle
    return []
