"""How alike the trees over the same leaves are: which spans of leaves they join."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from saiki.arrays import as_float, check_finite
from saiki.errors import ArgumentError, DtypeError, ShapeError
from saiki.trees.checking import shown
from saiki.trees.reading import as_tree
from saiki.trees.tree import Tree


class SpanScore(NamedTuple):
    """How well spans were found, over all trees together.

    Attributes:
        precision: what share of the spans found is right.
        recall: what share of the known spans is found.
        f1: the harmonic mean of both.
        n_right: how many spans are both found and known; with weights, the sum of theirs.
        n_found: how many are found.
        n_known: how many are known.
    """

    precision: float
    recall: float
    f1: float
    n_right: float
    n_found: float
    n_known: float


def span_score(found: Sequence[Tree], known: Sequence[Tree], weights: npt.ArrayLike | None = None) -> SpanScore:
    """Compare trees with the known ones over the same leaves by the spans of their nodes, whatever the labels.

    What is counted are the spans, from the first leaf below a node to the last, of all nodes over two leaves or more,
    the whole tree among them. A span counts once in a tree, also where several nodes have it, one above the other. The
    counts of all trees are added up before they are divided (the micro average), so that long trees count more. Where
    there is no such span at all, everything is right: all shares are 1.

    Args:
        found: the trees to judge ``(n_trees,)``.
        known: the right ones, in the same order.
        weights: how much the spans of each tree count ``(n_trees,)``; None counts all alike.

    Raises:
        ArgumentError: something that is no tree, or weights that are negative or not finite.
        ShapeError: not as many trees as known ones or as weights, or two trees with unequal numbers of leaves.
        DtypeError: weights that are no real numbers.

    >>> known = [Tree.from_nested((("a", "b"), ("c", "d")))]
    >>> span_score([Tree.left_branching(list("abcd"))], known)
    SpanScore(precision=0.6666666666666666, recall=0.6666666666666666, f1=0.6666666666666666, n_right=2, n_found=3,
    n_known=3)
    >>> span_score([Tree.from_nested(("a", "b", "c", "d"))], known)[:3]
    (1.0, 0.3333333333333333, 0.5)
    """
    pairs = _paired(found, known)
    n_right = n_found = n_known = 0.0 if weights is not None else 0
    for (one, other), weight in zip(pairs, _as_weights(weights, len(pairs)), strict=True):
        ours, theirs = spans_of(one), spans_of(other)
        n_right += weight * len(ours & theirs)
        n_found += weight * len(ours)
        n_known += weight * len(theirs)
    total = n_found + n_known
    return SpanScore(
        n_right / n_found if n_found else 1.0,
        n_right / n_known if n_known else 1.0,
        2 * n_right / total if total else 1.0,
        n_right,
        n_found,
        n_known,
    )


def span_f1(found: Sequence[Tree], known: Sequence[Tree], weights: npt.ArrayLike | None = None) -> float:
    """Return the unlabelled F1 of trees, from 0 to 1: that of ``span_score``, which see.

    >>> known = [Tree.from_nested((("a", "b"), ("c", "d")))]
    >>> found = [Tree.right_branching(["a", "b", "c", "d"])]
    >>> span_f1([Tree.balanced(list("abcd"))], known), round(span_f1(found, known), 3)
    (1.0, 0.667)
    """
    return span_score(found, known, weights).f1


def spans_of(tree: Tree) -> set[tuple[int, int]]:
    """Return the spans of a tree over two leaves or more: the first place among its leaves, and one past the last.

    >>> sorted(spans_of(Tree.from_nested((("a", "b"), ("c",)))))
    [(0, 2), (0, 3)]
    """
    return {(first, end) for first, end in tree.spans.tolist() if end - first > 1}


def _paired(found: Sequence[Tree], known: Sequence[Tree]) -> list[tuple[Tree, Tree]]:
    for argument, trees in (("found", found), ("known", known)):
        if not isinstance(trees, Sequence):
            raise ArgumentError(f"{argument} must be a list of trees; got {shown(trees)}.")
    if len(found) != len(known):
        raise ShapeError(f"found and known must have one tree for each other; got {len(found)} and {len(known)}.")
    pairs = [
        (as_tree(one, f"found[{place}]"), as_tree(other, f"known[{place}]"))
        for place, (one, other) in enumerate(zip(found, known, strict=True))
    ]
    for place, (one, other) in enumerate(pairs):
        if len(one.leaves) != len(other.leaves):
            raise ShapeError(
                f"found[{place}] and known[{place}] must have equally many leaves;"
                f" got {len(one.leaves)} and {len(other.leaves)}. Give the trees in the same order."
            )
    return pairs


def _as_weights(weights: npt.ArrayLike | None, n_trees: int) -> list[float]:
    if weights is None:
        return [1] * n_trees
    array = as_float("weights", weights)
    if array.shape != (n_trees,):
        raise ShapeError(f"weights must hold one number for each tree, shape ({n_trees},); got {array.shape}.")
    if array.dtype.kind == "c":
        raise DtypeError("weights must be real numbers; got complex ones. Use .real.")
    check_finite("weights", array)
    if (array < 0).any():
        place = int(np.argmax(array < 0))
        raise ArgumentError(f"weights must not be negative; got {array[place]} at index {place}.")
    return array.tolist()
