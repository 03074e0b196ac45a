"""Spans found and known, against counting that is too simple to be wrong."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from saiki.errors import ArgumentError, DtypeError, SaikiError, ShapeError
from saiki.trees import SpanScore, Tree, span_f1, span_score


def random_tree(rng: np.random.Generator, n_leaves: int) -> Tree:
    """Neighbours are joined at random, now and then under a node of its own, and not always by twos."""
    parts: list[Any] = list(range(n_leaves))
    while len(parts) > 1:
        first = int(rng.integers(len(parts) - 1))
        end = first + 2 + int(rng.integers(min(2, len(parts) - first - 1)))
        join: Any = tuple(parts[first:end])
        parts[first:end] = [(join,) if rng.random() < 0.2 else join]
    return Tree.from_nested(parts[0])


def leaves_below(nested: Any) -> list[int]:
    return [nested] if isinstance(nested, int) else [leaf for part in nested for leaf in leaves_below(part)]


def obvious_spans(nested: Any) -> set[tuple[int, ...]]:
    if isinstance(nested, int):
        return set()
    below = set().union(*(obvious_spans(part) for part in nested))
    return below | ({tuple(leaves_below(nested))} if len(leaves_below(nested)) > 1 else set())


def test_counts_are_those_of_the_leaves_below_each_node() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        sizes = rng.integers(1, 9, 5).tolist()
        found, known = ([random_tree(rng, size) for size in sizes] for _ in range(2))
        weights = rng.integers(0, 4, 5)
        right, ours, theirs = Counter[str](), Counter[str](), Counter[str]()
        for one, other, weight in zip(found, known, weights.tolist(), strict=True):
            a, b = obvious_spans(one.nested()), obvious_spans(other.nested())
            for key, times in (("plain", 1), ("weighted", weight)):
                right[key] += times * len(a & b)
                ours[key] += times * len(a)
                theirs[key] += times * len(b)
        for key, given in (("plain", None), ("weighted", weights)):
            score = span_score(found, known, given)
            assert score[3:] == (right[key], ours[key], theirs[key])
            if right[key]:
                p, r = right[key] / ours[key], right[key] / theirs[key]
                assert score[:3] == pytest.approx((p, r, 2 * p * r / (p + r)))
            assert span_f1(found, known, given) == score.f1


def test_a_tree_is_its_own_answer_whatever_the_numbers_of_its_nodes() -> None:
    rng = np.random.default_rng(1)
    trees = [random_tree(rng, 9) for _ in range(20)]
    assert span_score(trees, trees)[:3] == (1, 1, 1)
    turned = Tree([4, 4, 3, 4, -1, 3], ["a", "b", "d", None, None, "c"])  # of the leaves d, c the order is by number
    assert span_f1([turned], [Tree.from_nested(("a", "b", ("d", "c")))]) == 1


def test_nodes_over_the_same_span_count_once() -> None:
    plain, towered = Tree.from_nested((("a", "b"), "c")), Tree.from_nested((((("a", "b"),),), ("c",)))
    assert span_score([towered], [plain]) == SpanScore(1, 1, 1, 2, 2, 2)


def test_without_spans_everything_is_right() -> None:
    leaf, only = Tree([-1], ["a"]), Tree([-1, 0], [None, "a"])
    assert span_score([leaf], [only]) == SpanScore(1, 1, 1, 0, 0, 0)
    assert span_score([], []) == SpanScore(1, 1, 1, 0, 0, 0)
    assert span_f1([Tree.balanced([1, 2])], [Tree.balanced([1, 2])], [0]) == 1


def test_it_needs_no_recursion() -> None:
    words = list(range(5000))
    left, right = Tree.left_branching(words), Tree.right_branching(words)
    assert span_score([left], [right]).n_right == 1  # the whole


@pytest.mark.parametrize(
    ("found", "weights", "error", "says"),
    [
        ([], None, ShapeError, "0 and 1"),
        ([Tree.balanced([1, 2])], None, ShapeError, r"found\[0\] and known\[0\].*2 and 3"),
        ([1.5], None, ArgumentError, r"found\[0\] must be a Tree, nested tuples"),
        (Tree.balanced([1, 2, 3]), None, ArgumentError, "found must be a list of trees; got a Tree"),
        ([Tree.balanced([1, 2, 3])], [1, 2], ShapeError, r"\(1,\); got \(2,\)"),
        ([Tree.balanced([1, 2, 3])], [-1], ArgumentError, "negative; got -1"),
        ([Tree.balanced([1, 2, 3])], [np.nan], ArgumentError, "finite"),
        ([Tree.balanced([1, 2, 3])], [1j], DtypeError, "real"),
    ],
)
def test_what_does_not_pair_up_is_refused(found: Any, weights: Any, error: type[SaikiError], says: str) -> None:
    with pytest.raises(error, match=says):
        span_score(found, [Tree.left_branching([1, 2, 3])], weights)
