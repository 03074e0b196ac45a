"""Arithmetic without brackets, such as ``7 + 3 * 2 - 4 / 5``: what belongs together has to be found out.

A sequence of numbers with operators between them has one right tree: ``*`` and ``/`` bind before ``+`` and ``-``, and
what binds alike is joined from the left. Every join takes two neighbours: an operator with its right operand, then the
left operand with both. ``8 - 3 - 2`` is ``((8 (- 3)) (- 2))``, and ``2 - 3 * 4`` is ``(2 (- (3 (* 4))))``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from saiki.errors import ArgumentError
from saiki.tasks.draws import Below, as_kinds, draw_different
from saiki.trees import Tree
from saiki.trees.checking import shown

Token: TypeAlias = str | int

NUMBERS = tuple(range(1, 10))
"""What is drawn: no 0, so that every expression has a value."""

OPERATORS = ("+", "-", "*", "/")

BINDS_FIRST = ("*", "/")

TOKENS: tuple[Token, ...] = (*NUMBERS, *OPERATORS)
"""The vocabulary of what is drawn."""

BASELINES: dict[str, Callable[[Iterable[Any]], Tree]] = {
    "left-branching": Tree.left_branching,
    "right-branching": Tree.right_branching,
    "balanced": Tree.balanced,
    "without precedence": lambda tokens: _from_the_left(list(tokens)),
}
"""Trees that look at no token; whoever finds trees has to do better.

The last one joins each operator with the number after it, and that to what is before: all is right but precedence.
"""


def draw(rng: np.random.Generator, n: int, n_numbers: int | Sequence[int]) -> list[list[Token]]:
    """Draw n different expressions, numbers and operators all equally likely.

    Args:
        rng: where they come from; the same generator gives the same expressions, those of a smaller n first.
        n: how many.
        n_numbers: how many numbers each has, or several of which one is drawn evenly for each: k numbers make
            ``2 k - 1`` tokens.

    Returns:
        For each the tokens: numbers from 1 to 9 as int, operators as str.

    Raises:
        ArgumentError: a count that is none, or more expressions than there are.

    >>> draw(np.random.default_rng(0), 2, n_numbers=3)
    [[3, '+', 1, '/', 9], [7, '*', 9, '/', 1]]
    """

    def one(count: int, below: Below) -> tuple[Token, ...]:
        tokens: list[Token] = [NUMBERS[below(len(NUMBERS))]]
        for _ in range(count - 1):
            tokens += [OPERATORS[below(len(OPERATORS))], NUMBERS[below(len(NUMBERS))]]
        return tuple(tokens)

    return [list(tokens) for tokens in draw_different(rng, n, as_kinds("n_numbers", n_numbers), one, "n_numbers")]


def tree_of(tokens: Sequence[Token]) -> Tree:
    """Return the right tree of an expression; its leaves are the tokens, and no other node has a value.

    Args:
        tokens: numbers, any whole ones, with one operator between each two; of any length.

    Raises:
        ArgumentError: no tokens, or one out of place; the message names it.

    >>> for text in ("8 - 3 - 2", "2 - 3 * 4", "1 * 2 / 3 + 4"):
    ...     print(tree_of([int(word) if word.isdigit() else word for word in text.split()]))
    ((8 (- 3)) (- 2))
    (2 (- (3 (* 4))))
    (((1 (* 2)) (/ 3)) (+ 4))
    """
    _check(tokens)
    joined: Any = None  # all terms so far, and the operator that the open one waits for
    waiting: Any = None
    term: Any = tokens[0]
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        if operator in BINDS_FIRST:
            term = (term, (operator, number))
        else:
            joined = (joined, (waiting, term)) if waiting else term
            waiting, term = operator, number
    return Tree.from_nested((joined, (waiting, term)) if waiting else term)


def _from_the_left(tokens: list[Token]) -> Tree:
    joined: Any = tokens[0]
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        joined = (joined, (operator, number))
    return Tree.from_nested(joined)


def _check(tokens: Sequence[Token]) -> None:
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        raise ArgumentError(
            f"tokens must be a list of numbers and operators, such as [7, '+', 3]; got {shown(tokens)}."
        )
    for place, token in enumerate(tokens):
        if place % 2 and not (isinstance(token, str) and token in OPERATORS):
            raise ArgumentError(f"tokens[{place}] must be one of {', '.join(OPERATORS)}; got {shown(token)}.")
        if not place % 2 and (isinstance(token, bool) or not isinstance(token, int | np.integer)):
            raise ArgumentError(f"tokens[{place}] must be a whole number; got {shown(token)}.")
    if not len(tokens) % 2:
        got = f"{shown(tokens[-1])} as tokens[{len(tokens) - 1}]" if len(tokens) else "none"
        raise ArgumentError(f"tokens must end with a number; got {got}.")
