"""Bracketed text, ``(3 (2 It) (4 works))``, to flat lists, and back, at any depth."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import combining, east_asian_width

import numpy as np

from saiki.errors import ArgumentError
from saiki.trees.checking import shown

if TYPE_CHECKING:
    from saiki.trees.tree import Tree

CLOSING = {"(": ")", "[": "]"}

# All that Unicode calls blank, but for the spaces that hold a word together: treebanks have tokens such as 1\u00a01/2.
BLANK = " \t-\r\x1c-\x1f\x85\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"

WORD = re.compile(rf"[()\[\]]|[^()\[\]{BLANK}]+")
NO_WORD = re.compile(rf"[()\[\]{BLANK}]")

EXCERPT = 60
"""A message shows so many characters of the text."""


class Parts(NamedTuple):
    """A tree in flat lists, its nodes in reading order."""

    parents: list[int]
    values: list[str | None]
    labels: list[str | None]


def parsed(text: str, labelled: bool, source: str, several: bool = False) -> Iterator[Parts]:
    """Yield the trees of a text, one after another.

    Args:
        text: the bracketed text.
        labelled: whether the first bare word of a bracket is its label.
        source: what messages call the text: an argument, or a file.
        several: whether there may be any number of trees, instead of one.

    Raises:
        ArgumentError: the text is malformed; the message shows the place.

    >>> next(parsed("(3 (2 It) (4 works))", True, "text"))
    Parts(parents=[-1, 0, 0], values=[None, 'It', 'works'], labels=['3', '2', '4'])
    """
    parents: list[int] = []
    values: list[str | None] = []
    labels: list[str | None] = []
    opened: list[re.Match[str]] = []
    node, n_trees, fresh = -1, 0, False  # the bracket we are in; whether its label may come next
    for match in WORD.finditer(text):
        word = match.group()
        if node < 0 and n_trees and not several and word not in ")]":
            raise fault(
                text, match.start(), source, "be one tree", f"got more after its end, {shown(word)},",
                "Put one bracket around all of it, or read several trees with read_trees.",
            )  # fmt: skip
        if word in CLOSING:
            parents.append(node)
            node, fresh = len(values), labelled
            values.append(None)
            labels.append(None)
            opened.append(match)
        elif word in ")]":
            if node < 0:
                raise fault(
                    text, match.start(), source, "open every bracket that it closes", f"got {word!r} without one",
                    f"Take it out, or put the missing {'(' if word == ')' else '['!r} before it.",
                )  # fmt: skip
            opening = opened.pop()
            if CLOSING[opening.group()] != word:
                rule = f"close the bracket of {place_in(text, opening.start())} with one of its kind"
                raise fault(
                    text, match.start(), source, rule,
                    f"got {word!r} for {opening.group()!r}", f"Put {CLOSING[opening.group()]!r} there.",
                )  # fmt: skip
            below = len(values) - 1 - node
            if not below:
                if labels[node] is None:
                    found, remedy = "got an empty one", "Take it out, or put a word into it."
                else:
                    found = f"got one with a label, {shown(labels[node])}, and nothing else,"
                    remedy = "Put a word after the label; if it is a word itself, use labelled=False."
                raise fault(text, opening.start(), source, "have a word or a bracket in every bracket", found, remedy)
            if below == 1 and labels[node] is not None and labels[-1] is None and values[-1] is not None:
                values[node] = values.pop()  # a label and one bare word: they are one leaf
                parents.pop()
                labels.pop()
            node, fresh = parents[node], False
        elif fresh:
            labels[node], fresh = word, False
        else:
            if node < 0 and several and not _alone(text, match):
                raise fault(
                    text, match.start(), source, "put brackets around every tree of more than one word",
                    f"got {shown(word)}, neither in a bracket nor alone on its line,", "Put it into its tree.",
                )  # fmt: skip
            parents.append(node)
            values.append(word)
            labels.append(None)
        if node < 0:
            n_trees += 1
            yield Parts(parents, values, labels)
            parents, values, labels = [], [], []
    if opened:
        opening = opened[-1]
        raise fault(
            text, opening.start(), source, "close every bracket", f"got {opening.group()!r} that stays open",
            f"Put the missing {CLOSING[opening.group()]!r} where it should end.",
        )  # fmt: skip
    if not n_trees and not several:
        raise fault(text, 0, source, "hold a tree", "got nothing", "Write one such as (a b), or a word alone.")


def place_in(text: str, position: int) -> str:
    """Return a place as ``line 2, column 5``, both counted from 1."""
    return f"line {text.count(chr(10), 0, position) + 1}, column {position - text.rfind(chr(10), 0, position)}"


def fault(text: str, position: int, source: str, rule: str, found: str, remedy: str) -> ArgumentError:
    """Return the error that shows a place of a text: where, an excerpt, and a ``^`` below it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    if end - start > EXCERPT:  # a window of the line, with room for dots at its ends
        first = max(start, min(position - EXCERPT // 2, end - EXCERPT))
        last = min(end, first + EXCERPT)
        before, after = ("..." if first > start else ""), ("..." if last < end else "")
        first, last = first + len(before), last - len(after)
    else:
        first, last, before, after = start, end, "", ""
    left = before + _printable(text[first:position])
    excerpt = (left + _printable(text[position:last]) + after).rstrip()
    return ArgumentError(
        f"{source} must {rule}; {found} at {place_in(text, position)}. {remedy}\n  {excerpt}\n  {' ' * columns(left)}^"
    )


def pieces(tree: "Tree", labelled: bool) -> Iterator[str]:
    """Yield the text of a tree bit by bit, whatever it holds: a vector is ``<3>``, a leaf without a value ``_``."""
    labels = tree.labels if labelled else None
    is_leaf = tree.is_leaf.tolist()
    depths = tree.depths.tolist()
    depth, begun = 0, True  # whether nothing stands before in this bracket, not even a label
    for node in tree.reading_order.tolist():
        yield ")" * (depth - depths[node])
        depth = depths[node]
        yield "" if begun else " "
        value, label = tree.values[node], None if labels is None else labels[node]
        if is_leaf[node]:
            word = "_" if value is None else written(value)
            yield word if label is None else f"({label} {word})"
        else:
            head = ("" if label is None else str(label)) + ("" if value is None else f"={written(value)}")
            yield f"({head}"
        begun = not is_leaf[node] and not head
    yield ")" * depth


def written(value: str | int | np.ndarray) -> str:
    """Return a value in a word: a token itself, the length of a vector in ``<3>``."""
    return f"<{len(value)}>" if isinstance(value, np.ndarray) else str(value)


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for each wide character, none for one put on another.

    >>> columns("tree"), columns("\u518d\u5e30")
    (4, 4)
    """
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def check_writable(tree: "Tree", labelled: bool) -> None:
    """Raise an ``ArgumentError`` that names a node unless the text of a tree would be read back as the same tree."""
    labels = tree.labels if labelled and tree.labels is not None else (None,) * tree.n_nodes
    starts, children, is_leaf = tree.child_starts.tolist(), tree.children.tolist(), tree.is_leaf.tolist()
    for node, (value, label) in enumerate(zip(tree.values, labels, strict=True)):
        if isinstance(value, np.ndarray):
            _refuse(node, "a token to be written as text", f"a vector of {len(value)} numbers", "Use nested().")
        for name, word in (("label", label), ("token", value)):
            if word is not None and (not str(word) or NO_WORD.search(str(word))):
                rule = f"a {name} that is one word, without blanks and brackets, to be written as text"
                _refuse(node, rule, shown(word), "Use str(tree) to look at it.")
        if is_leaf[node]:
            if value is None:
                _refuse(node, "a token, as it is a leaf, to be written as text", "None", "Use str(tree) to look at it.")
            continue
        if value is not None:
            rule = "no value of its own, as it has children, to be written as text"
            _refuse(node, rule, shown(value), "Give it a leaf for it, or use str(tree) to look at it.")
        first = children[starts[node]]
        bare = is_leaf[first] and labels[first] is None
        if labelled and bare and label is None:
            rule = "a label to be written as text with labels, or its first leaf would be read as one"
            _refuse(node, rule, "none", "Give it a label, or use text(labelled=False).")
        if labelled and bare and starts[node + 1] - starts[node] == 1:
            rule = "a labelled child or several children to be written as text with labels, or be read as a leaf"
            _refuse(node, rule, "one leaf without a label", "Label the leaf, or use text(labelled=False).")


def _refuse(node: int, rule: str, got: str, remedy: str) -> None:
    raise ArgumentError(f"node {node} must have {rule}; got {got}. {remedy}")


def _alone(text: str, match: re.Match[str]) -> bool:
    """Return whether a word stands alone on its line."""
    end = text.find("\n", match.end())
    line = text[text.rfind("\n", 0, match.start()) + 1 : len(text) if end < 0 else end]
    return WORD.findall(line) == [match.group()]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
