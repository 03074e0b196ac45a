"""Expressions without brackets, their trees against Python's own grammar."""

import ast
from collections import Counter
from typing import Any

import numpy as np
import pytest

from saiki.errors import ArgumentError
from saiki.tasks.arithmetic import BASELINES, OPERATORS, TOKENS, draw, tree_of
from saiki.trees import Tree, span_f1

SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def by_python(tokens: list[Any]) -> Any:
    """The nested tuples of what Python's parser makes of the text."""

    def nested(node: Any) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        return (nested(node.left), (SIGNS[type(node.op)], nested(node.right)))

    return nested(ast.parse(" ".join(map(str, tokens)), mode="eval").body)


@pytest.mark.parametrize("n_numbers", [1, 2, 3, 4, 9, 25])
def test_trees_are_those_of_python(n_numbers: int) -> None:
    for tokens in draw(np.random.default_rng(n_numbers), 9 if n_numbers == 1 else 200, n_numbers):
        tree = tree_of(tokens)
        assert tree == Tree.from_nested(by_python(tokens))
        assert tree.is_binary
        assert list(tree.tokens) == tokens


def test_a_tree_of_any_length() -> None:
    for operators in ("-", "*", "+*", "*+-/"):
        tokens: list[Any] = [1]
        for place in range(20_000):
            tokens += [operators[place % len(operators)], 2]
        assert list(tree_of(tokens).tokens) == tokens


def test_expressions_differ_and_are_even() -> None:
    drawn = draw(np.random.default_rng(0), 5000, (3, 6))
    assert len({tuple(tokens) for tokens in drawn}) == 5000
    assert drawn == draw(np.random.default_rng(0), 5000, [3, 6])
    assert drawn[:100] == draw(np.random.default_rng(0), 100, (3, 6))
    assert drawn != draw(np.random.default_rng(1), 5000, (3, 6))
    lengths = Counter(len(tokens) for tokens in drawn)
    assert lengths.keys() == {5, 11}
    assert abs(lengths[5] - 2500) < 150
    counts = Counter(token for tokens in drawn for token in tokens)
    assert counts.keys() == set(TOKENS)
    for group in (OPERATORS, range(1, 10)):
        of_group = np.array([counts[token] for token in group])
        np.testing.assert_allclose(of_group / of_group.mean(), 1, atol=0.06)


def test_all_there_are_can_be_drawn_but_no_more() -> None:
    assert sorted(draw(np.random.default_rng(0), 9, 1)) == [[number] for number in range(1, 10)]
    assert len(draw(np.random.default_rng(0), 324, 2)) == 324
    with pytest.raises(ArgumentError, match="got 10, but of n_numbers 1 hardly any are left after 9"):
        draw(np.random.default_rng(0), 10, 1)


def test_the_right_trees_are_none_of_the_baselines() -> None:
    drawn = draw(np.random.default_rng(0), 500, 5)
    known = [tree_of(tokens) for tokens in drawn]
    scores = {name: span_f1([make(tokens) for tokens in drawn], known) for name, make in BASELINES.items()}
    assert all(0.1 < score < 0.85 for score in scores.values()), scores


def test_without_precedence_all_is_right_but_precedence() -> None:
    for tokens in draw(np.random.default_rng(0), 200, 4):
        plain = [token if token in range(1, 10) else "+" for token in tokens]
        assert BASELINES["without precedence"](plain) == tree_of(plain)
    assert str(BASELINES["without precedence"]([2, "-", 3, "*", 4])) == "((2 (- 3)) (* 4))"


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ([], "must end with a number; got none"),
        ([1, "+"], r"must end with a number; got '\+' as tokens\[1\]"),
        (["+", 1], r"tokens\[0\] must be a whole number; got '\+'"),
        ([1, 2], r"tokens\[1\] must be one of \+, -, \*, /; got 2"),
        ([1, "^", 2], r"tokens\[1\] must be one of"),
        ([1, "+", "2"], r"tokens\[2\] must be a whole number; got '2'"),
        ([1, "+", True], r"tokens\[2\] must be a whole number; got True"),
        ([1, "+", 2.5], r"tokens\[2\] must be a whole number; got 2.5"),
        ("1 + 2", "must be a list"),
    ],
)
def test_malformed_sequences_are_refused_by_place(tokens: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        tree_of(tokens)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.random.default_rng(0), 3, 0), "n_numbers must be a whole number of at least 1; got 0"),
        ((np.random.default_rng(0), 3, (2, 0)), r"n_numbers\[1\] must be"),
        ((np.random.default_rng(0), 3, ()), "several to choose from; got a tuple of none"),
        ((np.random.default_rng(0), -1, 3), "n must be"),
        ((0, 3, 3), "rng must be a NumPy Generator; got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        draw(*arguments)
