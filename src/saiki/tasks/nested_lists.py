"""Expressions of nested lists, such as ``[MAX 2 9 [MIN 4 7] 0]``: what a network has to compute is a tree.

After ListOps: Nangia and Bowman (2018), "ListOps: A diagnostic dataset for latent tree learning", NAACL student
research workshop. An operator makes one digit of the digits that its arguments come to:

==========  ==========================================================================
``MIN``     the least
``MAX``     the greatest
``MED``     the median; of an even number of digits the lower one of the two in the middle
``SM``      the sum modulo 10
==========  ==========================================================================

An expression is a ``Tree`` whose inner nodes have an operator (a str) as value, and whose leaves a digit (an int).
ListOps takes the mean of the two in the middle, cut to a whole number; here a median is always one of the arguments.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from saiki.arrays import as_count
from saiki.errors import ArgumentError
from saiki.tasks.draws import Below, as_kinds, draw_different
from saiki.trees import Tree
from saiki.trees.checking import shown

Token: TypeAlias = str | int

OPERATORS: dict[str, Callable[[list[int]], int]] = {
    "MIN": min,
    "MAX": max,
    "MED": lambda digits: sorted(digits)[(len(digits) - 1) // 2],
    "SM": lambda digits: sum(digits) % 10,
}
"""What each operator makes of the values of its arguments."""

DIGITS = tuple(range(10))

DIGIT_OF = {str(digit): digit for digit in DIGITS}

TREE_TOKENS: tuple[Token, ...] = (*DIGITS, *OPERATORS)
"""The vocabulary of the trees."""

OPEN = {operator: f"[{operator}" for operator in OPERATORS}
"""For each operator the token with which it begins in a flat sequence."""

CLOSE = "]"
"""The token with which every operator ends in a flat sequence."""

FLAT_TOKENS: tuple[Token, ...] = (*DIGITS, *OPEN.values(), CLOSE)
"""The vocabulary of flat sequences, and of the leaves of ``joined``."""

LISTS_AMONG = 4
"""One in so many of the arguments that need not be deep is a list, as in ListOps; the others are digits."""


def draw(
    rng: np.random.Generator,
    n: int,
    depth: int | Sequence[int],
    max_arguments: int = 4,
    max_nodes: int = 100,
) -> list[Tree]:
    """Draw n different expressions.

    Operators, digits and the number of arguments, from 2 to ``max_arguments``, are all equally likely. One argument,
    drawn evenly, is as deep as the depth asks for; of the others three in four are digits, and the rest lists whose
    depth is an even draw from 1 to that. Where the nodes run short, lists have fewer arguments, and more digits among
    them. What was drawn before is drawn again, so that of many lists of depth 1 few are short.

    MIN makes the low digits likelier and MAX the high ones, alike; MED, of even numbers the lower one, leans to the low
    ones. Of 10,000 expressions of any one depth up to 6 each digit is the answer of 8 to 13 in a hundred.

    Args:
        rng: where they come from; the same generator gives the same expressions, those of a smaller n first.
        n: how many.
        depth: the height of each tree, at least 1, or several of which one is drawn evenly for each.
        max_arguments: how many arguments an operator has at most, at least 2.
        max_nodes: how many nodes a tree has at most, at least ``2 * depth + 1``.

    Returns:
        For each a tree, its nodes numbered in reading order.

    Raises:
        ArgumentError: a number out of range, or more expressions than there are.

    >>> for tree in draw(np.random.default_rng(0), 3, depth=(1, 2)):
    ...     print(text_of(tree), "=", value_of(tree))
    [MAX [SM 5 9 8] 0] = 2
    [MIN [MAX 6 6] 6 3 9] = 3
    [MED 5 [MAX 9 3 5] [MAX 3 8 2]] = 8
    """
    depths = as_kinds("depth", depth)
    as_count("max_arguments", max_arguments, 2)
    as_count("max_nodes", max_nodes, 2 * max(depths) + 1)

    def one(height: int, below: Below) -> Tree:
        return _drawn(height, max_arguments, max_nodes, below)

    return draw_different(rng, n, depths, one, "depth")


def values_at_nodes(tree: Tree) -> list[int]:
    """Return what each node of an expression comes to ``(n_nodes,)``, the digits of the leaves among them.

    Raises:
        ArgumentError: no such expression; the message names the node.

    >>> values_at_nodes(tree_of("[MAX 2 [SM 8 7] 0]"))
    [5, 2, 5, 8, 7, 0]
    """
    found = _checked(tree)
    starts, children = tree.child_starts.tolist(), tree.children.tolist()
    for node in reversed(tree.reading_order.tolist()):
        if starts[node] < starts[node + 1]:
            found[node] = OPERATORS[found[node]]([found[child] for child in children[starts[node] : starts[node + 1]]])
    return found


def value_of(tree: Tree) -> int:
    """Return what an expression comes to, from 0 to 9.

    Raises:
        ArgumentError: no such expression; the message names the node.

    >>> value_of(tree_of("[MED 2 9 [MIN 4 7] 0]"))
    2
    """
    return values_at_nodes(tree)[tree.root]


def flat_tokens(tree: Tree) -> list[Token]:
    """Return an expression as the flat sequence that a network over time reads, of ``FLAT_TOKENS``.

    Raises:
        ArgumentError: no such expression; the message names the node.

    >>> flat_tokens(tree_of("[MAX 2 9 [MIN 4 7] 0]"))
    ['[MAX', 2, 9, '[MIN', 4, 7, ']', 0, ']']
    """
    tokens: list[Any] = list(_spelled(tree, True).tokens)
    return tokens


def joined(tree: Tree, closing: bool = True) -> Tree:
    """Return an expression as the binary tree that ListOps makes of it, for cells with a left and a right child.

    The leaves are ``flat_tokens``, so the operators are leaves too. Each list is joined from the left, from its
    operator to its bracket: ``[MAX 2 9]`` is ``((([MAX 2) 9) ])``, k arguments making k + 1 joins. The vector of a join
    has to carry the operator along, and what it will need of the arguments. No inner node has a value. Labels are kept:
    that of an operator stands at the last of its joins.

    Args:
        tree: the expression.
        closing: whether the bracket that closes a list is a leaf, too. Without it k arguments make k joins, and nothing
            but its place as a right child says that a list has ended.

    Raises:
        ArgumentError: no such expression; the message names the node.

    >>> print(joined(tree_of("[MAX 2 [MIN 4 7] 0]")).nested())
    (((('[MAX', 2), ((('[MIN', 4), 7), ']')), 0), ']')
    >>> print(joined(tree_of("[MAX 2 [MIN 4 7] 0]"), closing=False).nested())
    ((('[MAX', 2), (('[MIN', 4), 7)), 0)
    """
    return _spelled(tree, closing).binarized("left")


def text_of(tree: Tree) -> str:
    """Return an expression as text in square brackets.

    Raises:
        ArgumentError: no such expression; the message names the node.

    >>> text_of(tree_of("[ MAX 2 9 [ MIN 4 7 ] 0 ]"))
    '[MAX 2 9 [MIN 4 7] 0]'
    """
    return " ".join(map(str, flat_tokens(tree))).replace(f" {CLOSE}", CLOSE)


def tree_of(text: str) -> Tree:
    """Return the expression that a text in brackets says, its nodes numbered in reading order.

    Raises:
        ArgumentError: malformed text, an unknown operator, or something that is no digit.

    >>> tree_of("[SM 1 2]").values
    ('SM', 1, 2)
    """
    read = Tree.from_text(text, labelled=False)
    firsts = read.children[read.child_starts[:-1][~read.is_leaf]]  # where the operators stand
    kept = np.ones(read.n_nodes, bool)
    kept[firsts] = False
    numbers = np.append(np.cumsum(kept) - 1, -1)
    values = [DIGIT_OF.get(str(word), word) for word in read.values]
    for first in firsts.tolist():
        values[read.parents[first]] = read.values[first]
    tree = Tree.of_parts(
        numbers[read.parents[kept]].tolist(), [value for value, keep in zip(values, kept, strict=True) if keep]
    )
    _checked(tree, "text")
    return tree


def _drawn(height: int, max_arguments: int, max_nodes: int, below: Below) -> Tree:
    """Return an expression of one height; see ``draw``."""
    operators = tuple(OPERATORS)
    parents: list[int] = []
    values: list[Token] = []
    spare = max_nodes - (2 * height + 1)  # beyond what all that is still to come needs at least
    waiting = [(-1, height)]
    while waiting:
        parent, height = waiting.pop()
        node = len(parents)
        parents.append(parent)
        if not height:
            values.append(DIGITS[below(len(DIGITS))])
            continue
        values.append(operators[below(len(operators))])
        n_arguments = 2 + below(1 + min(max_arguments - 2, spare))
        spare -= n_arguments - 2
        deep, heights = below(n_arguments), [0] * n_arguments
        for place in range(n_arguments):
            most = min(height - 1, spare // 2)
            if place == deep:
                heights[place] = height - 1
            elif most and not below(LISTS_AMONG):
                heights[place] = 1 + below(most)
                spare -= 2 * heights[place]
        waiting += [(node, argument) for argument in reversed(heights)]
    return Tree.of_parts(parents, values)


def _spelled(tree: Tree, closing: bool) -> Tree:
    """Return the expression with its brackets as leaves, the first and the last child of each operator."""
    given = _checked(tree)
    starts, children = tree.child_starts.tolist(), tree.children.tolist()
    parents: list[int] = []
    values: list[Token | None] = []
    nodes: list[int] = []  # whose label is kept, -1 for a bracket
    waiting = [(-1, tree.root)]
    while waiting:
        parent, node = waiting.pop()
        here = len(parents)
        parents.append(parent)
        nodes.append(node)
        if node < 0:
            values.append(CLOSE)
        elif starts[node] == starts[node + 1]:
            values.append(given[node])
        else:
            parents.append(here)
            nodes.append(-1)
            values += [None, OPEN[given[node]]]
            waiting += [(here, -1)] if closing else []
            waiting += [(here, child) for child in reversed(children[starts[node] : starts[node + 1]])]
    labels = tree.labels
    return Tree.of_parts(
        parents, values, None if labels is None else [None if node < 0 else labels[node] for node in nodes]
    )


def _checked(tree: Tree, argument: str = "tree") -> list[Any]:
    """Return the values of an expression, or refuse what is none."""
    if not isinstance(tree, Tree):
        raise ArgumentError(f"{argument} must be a Tree; got {shown(tree)}. Use tree_of for a text.")
    for node, (value, leaf) in enumerate(zip(tree.values, tree.is_leaf.tolist(), strict=True)):
        if leaf and not (isinstance(value, int) and 0 <= value <= 9):
            raise ArgumentError(
                f"{argument} must have digits from 0 to 9 at its leaves; got {shown(value)} at node {node}."
            )
        if not leaf and not (isinstance(value, str) and value in OPERATORS):
            raise ArgumentError(
                f"{argument} must have one of {', '.join(OPERATORS)} at every node with children; got {shown(value)} at"
                f" node {node}."
            )
    return list(tree.values)
