"""Binary trees over the items of sequences as forests, all numbered in one way: leaves first, left to right, and
children before parents, as a search finds them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError
from saiki.trees.forest import Forest
from saiki.trees.reading import as_tree
from saiki.trees.search import Joins
from saiki.trees.tree import Tree


def tree_of(children: Array, scores: Array, values: Sequence[Any]) -> Tree:
    """Return what was joined of one sequence as a tree, numbered in reading order, with the scores of its joins.

    Args:
        children: the numbers of the nodes joined ``(L - 1, 2)``, as in ``Joins``: leaves are 0 to L - 1.
        scores: the score of each join ``(L - 1,)``.
        values: what stands at the leaves, L tokens or vectors.

    >>> str(tree_of(np.array([[1, 2], [0, 3]]), np.array([0.5, 2.0]), ["a", "b", "c"]))
    '(a (b c))'
    """
    L, joined = len(values), children.tolist()
    parents: list[int] = []
    held: list[Any] = []
    worth: list[float] = []
    waiting = [(2 * L - 2, -1)]
    while waiting:
        node, parent = waiting.pop()
        number = len(parents)
        parents.append(parent)
        held.append(values[node] if node < L else None)
        worth.append(float("nan") if node < L else float(scores[node - L]))
        if node >= L:
            left, right = joined[node - L]
            waiting += [(right, number), (left, number)]
    return Tree(parents, held, scores=worth)


def shapes_of(trees: Sequence[Tree], argument: str = "trees") -> Forest:
    """Return the shapes of binary trees, numbered anew: leaves first, left to right, and children before parents.

    Raises:
        ArgumentError: a node has one child, or more than two; the message calls the trees by ``argument``.

    >>> shapes_of([Tree.from_nested(("a", ("b", "c")))]).parents.tolist()
    [4, 3, 3, 4, -1]
    """
    parts = []
    for i, given in enumerate(trees):
        tree = as_tree(given, f"{argument}[{i}]")
        if not tree.is_binary:
            node = int(np.flatnonzero((tree.n_children > 0) & (tree.n_children != 2))[0])
            n_children = int(tree.n_children[node])
            remedy = (
                "Put its child in its place."
                if n_children == 1
                else f"Give saiki.trees.as_tree({argument}[{i}]).binarized()."
            )
            raise ArgumentError(
                f"{argument}[{i}] must have two children or none at every node; node {node} has {n_children}. {remedy}"
            )
        inner = np.flatnonzero(~tree.is_leaf)
        order = np.concatenate((tree.leaves, inner[np.argsort(tree.heights[inner], kind="stable")]))
        number = np.empty(len(tree), np.int64)
        number[order] = np.arange(len(tree))
        above = tree.parents[order]
        places = np.zeros(len(tree), np.int64)
        places[number[tree.children]] = np.arange(len(tree.children)) % 2
        parts.append((np.where(above < 0, -1, number[above]), places, tree.heights[order]))
    lengths = np.array([len(tree) for tree in trees], np.int64)
    parts = parts or [(np.zeros(0, np.int64),) * 3]
    return _without_inputs(lengths, *(np.concatenate(part) for part in zip(*parts, strict=True)))


def forest_of(joins: Joins, lengths: Array) -> Forest:
    """Return what was joined as trees, numbered as ``shapes_of`` does, without inputs."""
    B, n_joins = joins.scores.shape
    rows, n_nodes = np.arange(B), 2 * lengths - 1
    parents = np.full((B, 2 * n_joins + 1), -1)
    places, heights = np.zeros(parents.shape, np.int64), np.zeros(parents.shape, np.int64)
    for step in range(n_joins):
        of = rows[lengths - 1 > step]
        children, node = joins.children[of, step], lengths[of] + step
        for side in (0, 1):
            parents[of, children[:, side]], places[of, children[:, side]] = node, side
        heights[of, node] = 1 + heights[of[:, None], children].max(axis=1)
    there = np.arange(parents.shape[1]) < n_nodes[:, None]
    return _without_inputs(n_nodes, parents[there], places[there], heights[there])


def _without_inputs(lengths: Array, parents: Array, places: Array, heights: Array) -> Forest:
    return Forest(lengths, parents, places, heights, np.zeros((len(parents), 0)), np.zeros(len(parents), bool))


def checked_spans(known: Forest) -> Array:
    """Return the spans of trees; raise an ``ArgumentError`` unless they are numbered as ``shapes_of`` does."""
    inner, parents = known.heights > 0, known.nodes.parents
    place = np.arange(known.n_nodes) - np.repeat(known.starts, known.lengths)
    below = [np.flatnonzero((parents >= 0) & (known.places == side)) for side in (0, 1)]
    pairs = np.full((known.n_nodes, 2), -1)
    for side, children in enumerate(below):
        pairs[parents[children], side] = children
    right = np.array_equal(inner, place > np.repeat(known.lengths // 2, known.lengths))
    if right and (pairs[inner] >= 0).all() and len(below[0]) + len(below[1]) == (parents >= 0).sum():
        spans = node_spans(known)
        if np.array_equal(spans[pairs[inner, 0], 1], spans[pairs[inner, 1], 0]):
            return spans
    raise ArgumentError(
        "y must be trees, or a Forest numbered as saiki.trees.shapes.shapes_of does: leaves first, left to right."
    )


def node_spans(forest: Forest) -> Array:
    """Return where what lies below each node begins, and ends ``(N, 2)``, of trees numbered as ``shapes_of`` does."""
    first = np.where(forest.heights == 0, np.arange(forest.n_nodes) - np.repeat(forest.starts, forest.lengths), -1)
    end, parents = first + 1, forest.nodes.parents
    for height in range(forest.heights.max(initial=0)):
        for side, of_parent in ((0, first), (1, end)):
            below = np.flatnonzero((forest.heights == height) & (forest.places == side) & (parents >= 0))
            of_parent[parents[below]] = of_parent[below]
    return np.stack((first, end), axis=1)
