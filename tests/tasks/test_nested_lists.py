"""Nested lists: their values against an evaluation of the text that replaces one list after another."""

import re
import statistics
from collections import Counter
from typing import Any

import numpy as np
import pytest

from saiki.errors import ArgumentError
from saiki.tasks.nested_lists import (
    FLAT_TOKENS,
    OPERATORS,
    TREE_TOKENS,
    draw,
    flat_tokens,
    joined,
    text_of,
    tree_of,
    value_of,
    values_at_nodes,
)
from saiki.trees import Tree

BY_NAME: dict[str, Any] = {
    "MIN": min,
    "MAX": max,
    "MED": statistics.median_low,
    "SM": lambda digits: int(str(sum(digits))[-1]),
}


def by_replacement(text: str) -> int:
    """What the text comes to: innermost lists are replaced by their values until a digit is left."""

    def value(found: re.Match[str]) -> str:
        return str(BY_NAME[found[1]]([int(word) for word in found[2].split()]))

    while "[" in text:
        text = re.sub(r"\[([A-Z]+)((?: \d)+)\]", value, text)
    return int(text)


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    return draw(np.random.default_rng(0), 2000, (1, 2, 3, 4, 5, 6))


def test_values_are_those_of_the_text(trees: list[Tree]) -> None:
    for tree in trees:
        assert value_of(tree) == by_replacement(text_of(tree))


def test_each_node_has_the_value_of_the_tree_below_it(trees: list[Tree]) -> None:
    for tree in trees[:100]:
        ends = np.arange(len(tree)) + [int((below(tree, node)).sum()) for node in range(len(tree))]
        for node, value in enumerate(values_at_nodes(tree)):
            own = slice(node, ends[node])  # in reading order a subtree is one stretch
            parents = tree.parents[own] - node
            parents[0] = -1
            assert value == by_replacement(text_of(Tree(parents, tree.values[own])))


def below(tree: Tree, root: int) -> np.ndarray:
    inside = np.zeros(len(tree), bool)
    for node in range(len(tree)):
        inside[node] = node == root or (node > 0 and inside[tree.parents[node]])
    return inside


def test_expressions_are_as_asked_for(trees: list[Tree]) -> None:
    assert len(set(trees)) == len({text_of(tree) for tree in trees}) == 2000
    depths = Counter(tree.height for tree in trees)
    assert depths.keys() == set(range(1, 7))
    assert all(abs(count - 2000 / 6) < 90 for count in depths.values())
    for tree in trees:
        assert tree.reading_order.tolist() == list(range(len(tree)))
        inner = tree.n_children[~tree.is_leaf]
        assert inner.min() >= 2
        assert inner.max() <= 4
        assert len(tree) <= 100
    counts = Counter(token for tree in trees for token in tree.values)
    assert counts.keys() == set(TREE_TOKENS)
    for group in (OPERATORS, range(10)):
        of_group = np.array([counts[token] for token in group])
        np.testing.assert_allclose(of_group / of_group.mean(), 1, atol=0.08)


def test_the_same_generator_gives_the_same_expressions(trees: list[Tree]) -> None:
    depths = range(1, 7)
    assert draw(np.random.default_rng(0), 50, depths) == trees[:50]
    assert draw(np.random.default_rng(1), 50, depths) != trees[:50]
    assert draw(np.random.default_rng(0), 0, 3) == []


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_every_answer_comes_up_and_none_is_most_of_them(depth: int) -> None:
    shares = np.bincount([value_of(tree) for tree in draw(np.random.default_rng(2), 3000, depth)], minlength=10) / 3000
    assert shares.min() > 0.04
    assert shares.max() < 0.25


@pytest.mark.parametrize("room", [0, 1, 2, 5])
def test_nodes_are_bounded(room: int) -> None:
    for depth in (1, 2, 6):
        drawn = draw(np.random.default_rng(3), 200, depth, max_nodes=2 * depth + 1 + room)
        assert {tree.height for tree in drawn} == {depth}
        assert max(len(tree) for tree in drawn) <= 2 * depth + 1 + room
    assert {len(tree) for tree in draw(np.random.default_rng(3), 20, 2, max_arguments=2, max_nodes=7)} == {5, 7}


def test_all_there_are_can_be_drawn_but_no_more() -> None:
    assert len(draw(np.random.default_rng(0), 400, 1, max_arguments=2)) == 400
    with pytest.raises(ArgumentError, match="got 401, but of depth 1 hardly any are left after 400"):
        draw(np.random.default_rng(0), 401, 1, max_arguments=2)


def test_flat_tokens_say_the_same(trees: list[Tree]) -> None:
    assert {token for tree in trees for token in flat_tokens(tree)} == set(FLAT_TOKENS)
    for tree in trees[:200]:
        spelled = " ".join(map(str, flat_tokens(tree)))
        assert by_replacement(spelled.replace(" ]", "]")) == value_of(tree)
        assert tree_of(spelled) == tree_of(text_of(tree)) == tree


def test_the_joined_tree_is_binary_over_the_flat_tokens(trees: list[Tree]) -> None:
    for tree in trees[:200]:
        flat = flat_tokens(tree)
        for closing in (True, False):
            whole = joined(tree, closing)
            assert whole.is_binary
            assert list(whole.tokens) == [token for token in flat if closing or token != "]"]
            assert all((value is None) == (not leaf) for value, leaf in zip(whole.values, whole.is_leaf, strict=True))
            assert folded(tree.root, tree, closing) == whole.nested()


def folded(node: int, tree: Tree, closing: bool) -> Any:
    if tree.is_leaf[node]:
        return tree.values[node]
    made: Any = f"[{tree.values[node]}"
    for child in np.flatnonzero(tree.parents == node):
        made = (made, folded(int(child), tree, closing))
    return (made, "]") if closing else made


def test_labels_stand_where_a_value_is_complete() -> None:
    tree = tree_of("[MAX 2 [SM 8 7] 0]")
    labelled = Tree(tree.parents, tree.values, values_at_nodes(tree))
    whole = joined(labelled)
    assert whole.labels is not None
    assert whole.labels[whole.root] == 5
    assert Counter(whole.labels) == Counter([5, 5, 2, 8, 7, 0] + [None] * 9)
    closed = [whole.nested(), whole.nested()[0][0][1]]
    assert closed == [((((("[MAX", 2), ((("[SM", 8), 7), "]")), 0)), "]"), ((("[SM", 8), 7), "]")]
    assert joined(tree).labels is None


def test_a_digit_is_an_expression() -> None:
    digit = tree_of("7")
    assert (value_of(digit), flat_tokens(digit), text_of(digit), len(joined(digit))) == (7, [7], "7", 1)


def test_medians_are_arguments() -> None:
    assert [value_of(tree_of(f"[MED {digits}]")) for digits in ("9 1", "3 9 1", "9 1 4 7", "5")] == [1, 3, 4, 5]


def test_nothing_recurses() -> None:
    depth = 3000
    tree = tree_of("[SM 1 " * depth + "0" + "]" * depth)
    assert value_of(tree) == depth % 10
    assert len(flat_tokens(tree)) == 3 * depth + 1
    assert joined(tree).is_binary
    assert draw(np.random.default_rng(0), 1, depth, max_nodes=10**5)[0].height == depth


def test_nodes_of_any_numbering_are_evaluated() -> None:
    tree = Tree([3, 3, 4, -1, 3, 4], [9, 1, 4, "MIN", "SM", 6])  # [MIN 9 1 [SM 4 6]]
    assert values_at_nodes(tree) == [9, 1, 4, 0, 0, 6]
    assert text_of(tree) == "[MIN 9 1 [SM 4 6]]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[MAX 1 10]", "digits from 0 to 9 at its leaves; got '10'"),
        ("[MAX 1 -1]", "got '-1'"),
        ("[AVG 1 2]", "one of MIN, MAX, MED, SM.*got 'AVG'"),
        ("[[MIN 1 2] 3]", "one of MIN, MAX, MED, SM.*got None at node 0"),
        ("[[MIN 1 2]]", "one of MIN, MAX, MED, SM"),
        ("[MAX]", "digits from 0 to 9 at its leaves; got 'MAX'"),
        ("[1 2]", "got '1'"),
        ("[MAX 1 2", "stays open"),
        ("MAX", "got 'MAX'"),
    ],
)
def test_malformed_text_is_refused(text: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        tree_of(text)


@pytest.mark.parametrize("use", [value_of, values_at_nodes, flat_tokens, joined, text_of])
def test_what_is_no_expression_is_refused(use: Any) -> None:
    for tree, says in (
        (Tree([-1, 0], ["MAX", "1"]), "at its leaves; got '1' at node 1"),
        (Tree([-1, 0], ["MAX", 10]), "at its leaves; got 10 at node 1"),
        (Tree([-1, 0], [np.ones(1)] * 2), "at every node with children; got a ndarray at node 0"),
        (Tree([-1, 0], [None, 1]), "at every node with children; got None at node 0"),
        ("[MAX 1 2]", "must be a Tree; got .* Use tree_of"),
    ):
        with pytest.raises(ArgumentError, match=says):
            use(tree)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1; got 0"),
        ({"depth": (2, True)}, r"depth\[1\] must be"),
        ({"depth": 2, "max_arguments": 1}, "max_arguments must be a whole number of at least 2"),
        ({"depth": (2, 4), "max_nodes": 8}, "max_nodes must be a whole number of at least 9"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        draw(np.random.default_rng(0), 3, **options)
