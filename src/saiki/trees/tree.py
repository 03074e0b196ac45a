"""What a tree is: the parent of each node, and what stands there; everything else follows, without recursion."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array
from saiki.errors import ArgumentError, choose
from saiki.properties import cached_property
from saiki.trees.brackets import check_writable, parsed, pieces
from saiki.trees.checking import (
    Value,
    as_labels,
    as_parents,
    as_scores,
    as_values,
    entries,
    read_only,
    shown,
)
from saiki.trees.drawing import drawing
from saiki.trees.nesting import nested_tuples, unnested

EXCERPT = 60
"""The representation shows so many characters of the text."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Tree:
    """A tree with an order among children, and at each node a token or vector, a label and a score, or none.

    Nodes have the caller's numbers; children stand in the order of theirs. What is made of text or tuples is numbered
    in reading order: a parent before its children, left to right. Trees are equal if their parents, values and labels
    are. Nothing here recurses, so a tree may have any number of levels.

    Args:
        parents: the number of each node's parent ``(n_nodes,)``, -1 for the one root.
        values: for each node a token (a str or int), a vector (an array of one axis; float32 and float64 stay, other
            numbers become float64; all of a tree have one length), or None where nothing stands. None for no values.
        labels: for each node anything that can be hashed, None or NaN where there is no label. None for no labels.
        scores: a number for each node ``(n_nodes,)``, such as how good a join was; NaN where there is none. None for
            no scores.

    Attributes:
        parents: a read-only array of int64.
        values: a tuple.
        labels: a tuple, or None if no node has a label.
        scores: a read-only array of float64, or None.

    Raises:
        ArgumentError: no nodes, none or several roots, parents out of range, a cycle, a value that is neither a token
            nor a vector, tokens beside vectors, NaN or infinity in a vector, infinite scores.
        ShapeError: not one entry for each node, vectors of several lengths.
        DtypeError: vectors of two precisions, or something that is no number.

    >>> tree = Tree([-1, 0, 0, 1, 1], [None, None, "c", "a", "b"])
    >>> tree
    Tree of 5 nodes, 3 leaves, height 2: ((a b) c)
    >>> tree.tokens, tree.heights.tolist(), tree.children.tolist()
    (('a', 'b', 'c'), [2, 1, 0, 0, 0], [1, 2, 3, 4])
    """

    parents: Array
    values: tuple[Value | None, ...]
    labels: tuple[Hashable | None, ...] | None
    scores: Array | None

    def __init__(
        self,
        parents: npt.ArrayLike,
        values: Sequence[Any] | Array | None = None,
        labels: Sequence[Any] | Array | None = None,
        scores: npt.ArrayLike | Sequence[float | None] | None = None,
    ) -> None:
        checked = as_parents(parents)
        n_nodes = len(checked)
        held = (None,) * n_nodes if values is None else entries("values", values, n_nodes)
        self._keep(
            checked,
            as_values(held, lambda node: f"values[{node}]"),
            as_labels(labels, n_nodes),
            as_scores(scores, n_nodes),
        )

    def _keep(self, *parts: Any) -> None:
        for name, part in zip(("parents", "values", "labels", "scores"), parts, strict=True):
            object.__setattr__(self, name, part)

    @classmethod
    def of_parts(
        cls,
        parents: Sequence[int],
        values: Sequence[Value | None],
        labels: Sequence[Hashable | None] | None = None,
        scores: Sequence[float] | None = None,
    ) -> "Tree":
        """Return a tree of parts that are known to be right: nothing is checked. For parsers; others call ``Tree``.

        >>> Tree.of_parts([-1, 0, 0], [None, "a", "b"]).tokens
        ('a', 'b')
        """
        tree = object.__new__(cls)
        tree._keep(
            read_only(np.array(parents, np.int64)),
            tuple(values),
            None if labels is None or all(label is None for label in labels) else tuple(labels),
            None if scores is None else read_only(np.array(scores, np.float64)),
        )
        return tree

    @classmethod
    def from_nested(cls, nested: Any) -> "Tree":
        """Return the tree of nested tuples or lists, with tokens or vectors at the leaves.

        Raises:
            ArgumentError, ShapeError, DtypeError: an empty tuple, or a leaf that is no token and no vector; the
                message names its place, such as ``nested[0][2]``.

        >>> Tree.from_nested((("a", "b"), "c")).parents.tolist()
        [-1, 0, 1, 1, 0]
        """
        return cls.of_parts(*unnested(nested, "nested"))

    @classmethod
    def from_text(cls, text: str, labelled: bool = True) -> "Tree":
        """Return the tree of a bracketed text, in round or square brackets.

        With labels, the first bare word of a bracket is the label of its node, and a bracket of a label and one more
        bare word is a leaf; a bracket that begins with a bracket has no label; other bare words are leaves without a
        label. Without labels every bare word is a leaf. A word alone is a tree of one leaf. Labels and tokens are
        strings, as written; spaces that Unicode calls no-break hold a word together.

        Args:
            text: one tree, in any layout.
            labelled: whether brackets begin with labels.

        Raises:
            ArgumentError: the text is malformed; the message shows the place.

        >>> Tree.from_text("(3 (2 It) (4 works))").labels
        ('3', '2', '4')
        >>> Tree.from_text("((7 (+ 3)) x)", labelled=False).nested()
        (('7', ('+', '3')), 'x')
        >>> Tree.from_text("(3 (2 It) (4 works)")
        Traceback (most recent call last):
        saiki.errors.ArgumentError: text must close every bracket; got '(' that stays open at line 1, column 1. Put the
        missing ')' where it should end.
          (3 (2 It) (4 works)
          ^
        """
        return cls._from_text(text, labelled, "text")

    @classmethod
    def _from_text(cls, text: Any, labelled: bool, argument: str) -> "Tree":
        if not isinstance(text, str):
            raise ArgumentError(f"{argument} must be a str; got {shown(text)}.")
        (parts,) = parsed(text, labelled, argument)
        return cls.of_parts(*parts)

    @staticmethod
    def left_branching(values: Iterable[Any]) -> "Tree":
        """Return ``(((a b) c) d)`` over the values of the leaves.

        Raises:
            ArgumentError, ShapeError, DtypeError: no values, or some that are no tokens and no vectors.

        >>> str(Tree.left_branching(["a", "b", "c", "d"]))
        '(((a b) c) d)'
        """
        leaves = _leaves(values)
        n_inner = len(leaves) - 1
        below = [max(0, n_inner - 1), *range(n_inner - 1, -1, -1)] if n_inner else [-1]
        return Tree.of_parts([*range(-1, n_inner - 1), *below], [*[None] * n_inner, *leaves])

    @staticmethod
    def right_branching(values: Iterable[Any]) -> "Tree":
        """Return ``(a (b (c d)))`` over the values of the leaves.

        Raises:
            ArgumentError, ShapeError, DtypeError: no values, or some that are no tokens and no vectors.

        >>> str(Tree.right_branching(["a", "b", "c", "d"]))
        '(a (b (c d)))'
        """
        leaves = _leaves(values)
        parents, held = [-1], []
        for node, value in enumerate(leaves[:-1]):
            parents += [2 * node, 2 * node]
            held += [None, value]
        return Tree.of_parts(parents, [*held, leaves[-1]])

    @staticmethod
    def balanced(values: Iterable[Any]) -> "Tree":
        """Return ``((a b) (c d))`` over the values of the leaves: halves of halves, the first never the smaller.

        Raises:
            ArgumentError, ShapeError, DtypeError: no values, or some that are no tokens and no vectors.

        >>> str(Tree.balanced(["a", "b", "c", "d", "e"]))
        '(((a b) c) (d e))'
        """
        leaves = _leaves(values)
        parents: list[int] = []
        held: list[Value | None] = []
        halves = [(-1, 0, len(leaves))]
        while halves:
            parent, first, end = halves.pop()
            parents.append(parent)
            held.append(leaves[first] if end - first == 1 else None)
            if end - first > 1:
                node, middle = len(parents) - 1, (first + end + 1) // 2
                halves += [(node, middle, end), (node, first, middle)]
        return Tree.of_parts(parents, held)

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def n_nodes(self) -> int:
        """The number of nodes."""
        return len(self.parents)

    @cached_property
    def root(self) -> int:
        """The number of the node that has no parent."""
        return int(self.parents.argmin())

    @cached_property
    def n_children(self) -> Array:
        """The number of children of each node ``(n_nodes,)``."""
        return read_only(np.bincount(self.parents + 1, minlength=self.n_nodes + 1)[1:])

    @cached_property
    def child_starts(self) -> Array:
        """Where in ``children`` the children of each node begin ``(n_nodes + 1,)``."""
        return read_only(np.concatenate(([0], np.cumsum(self.n_children))))

    @cached_property
    def children(self) -> Array:
        """The children of all nodes ``(n_nodes - 1,)``; of node i ``children[child_starts[i]:child_starts[i + 1]]``."""
        return read_only(np.argsort(self.parents, kind="stable")[1:])

    @cached_property
    def is_leaf(self) -> Array:
        """Which nodes have no children ``(n_nodes,)``."""
        return read_only(self.n_children == 0)

    @cached_property
    def is_binary(self) -> bool:
        """Whether every node has two children or none."""
        return bool(np.isin(self.n_children, (0, 2)).all())

    @cached_property
    def reading_order(self) -> Array:
        """The numbers of all nodes ``(n_nodes,)``, a parent before its children, left to right."""
        starts, children = self.child_starts.tolist(), self.children.tolist()
        order, waiting = [], [self.root]
        while waiting:
            node = waiting.pop()
            order.append(node)
            waiting += children[starts[node] : starts[node + 1]][::-1]
        return read_only(np.array(order))

    @cached_property
    def depths(self) -> Array:
        """How many levels each node lies below the root ``(n_nodes,)``."""
        parents, depths = self.parents.tolist(), [0] * self.n_nodes
        for node in self.reading_order[1:].tolist():
            depths[node] = depths[parents[node]] + 1
        return read_only(np.array(depths))

    @cached_property
    def heights(self) -> Array:
        """The height of each node ``(n_nodes,)``: 0 for a leaf, else one more than that of its highest child."""
        parents, heights = self.parents.tolist(), [0] * self.n_nodes
        for node in self.reading_order[:0:-1].tolist():
            if heights[parents[node]] <= heights[node]:
                heights[parents[node]] = heights[node] + 1
        return read_only(np.array(heights))

    @property
    def height(self) -> int:
        """The height of the root; 0 for a tree of one node."""
        return int(self.heights[self.root])

    @cached_property
    def leaves(self) -> Array:
        """The numbers of the leaves ``(n_leaves,)``, left to right."""
        return read_only(self.reading_order[self.is_leaf[self.reading_order]])

    @cached_property
    def spans(self) -> Array:
        """What part of ``leaves`` lies below each node ``(n_nodes, 2)``: the first position, and one past the last."""
        parents, spans = self.parents.tolist(), [[0, 0] for _ in range(self.n_nodes)]
        for position, leaf in enumerate(self.leaves.tolist()):
            spans[leaf] = [position, position + 1]
        for node in self.reading_order[:0:-1].tolist():  # from right to left: the last child comes first
            above, own = spans[parents[node]], spans[node]
            above[0] = own[0]
            above[1] = above[1] or own[1]
        return read_only(np.array(spans))

    @cached_property
    def tokens(self) -> tuple[Value | None, ...]:
        """The values of the leaves, left to right."""
        return tuple(self.values[leaf] for leaf in self.leaves.tolist())

    def binarized(self, side: str = "left") -> "Tree":
        """Return a tree in which no node has more than two children.

        New nodes have no value, label and score, and all are numbered in reading order; a node with one child stays.
        A tree without nodes of more than two children is returned itself.

        Args:
            side: "left" makes ``((a b) c)`` of ``(a b c)``, "right" makes ``(a (b c))``.

        Raises:
            ArgumentError: another side.

        >>> tree = Tree.from_nested(("a", "b", "c", "d"))
        >>> str(tree.binarized()), str(tree.binarized("right"))
        ('(((a b) c) d)', '(a (b (c d)))')
        """
        left = choose("side", side, {"left": True, "right": False})
        if (self.n_children <= 2).all():
            return self
        starts, children = self.child_starts.tolist(), self.children.tolist()
        parents: list[int] = []
        nodes: list[int] = []  # the old number of each, -1 for a new one
        waiting = [(-1, self.root, starts[self.root], starts[self.root + 1])]
        while waiting:
            parent, node, first, end = waiting.pop()
            here = len(parents)
            parents.append(parent)
            nodes.append(node)
            joined = end - first > 2
            if joined and left:
                alone, rest = children[end - 1 : end], (here, -1, first, end - 1)
            elif joined:
                alone, rest = children[first : first + 1], (here, -1, first + 1, end)
            else:
                alone = children[first:end]
            below = [(here, child, starts[child], starts[child + 1]) for child in alone]
            if joined:
                below.insert(0 if left else 1, rest)
            waiting += reversed(below)
        return Tree.of_parts(
            parents,
            [None if node < 0 else self.values[node] for node in nodes],
            None if self.labels is None else [None if node < 0 else self.labels[node] for node in nodes],
            None if self.scores is None else [np.nan if node < 0 else self.scores[node] for node in nodes],
        )

    def nested(self) -> Any:
        """Return the values of the leaves in nested tuples; of a single leaf its value.

        Labels, scores, and the values of nodes with children are left out.

        >>> Tree.from_text("(3 (2 It) (4 works))").nested()
        ('It', 'works')
        """
        return nested_tuples(self)

    def text(self, labelled: bool | None = None) -> str:
        """Return bracketed text that ``from_text(..., labelled)`` reads back, numbers as strings.

        Args:
            labelled: whether to write labels; None is whether the tree has any.

        Raises:
            ArgumentError: vectors, values at nodes with children, leaves without values, words that are empty or have
                blanks or brackets, and, with labels, nodes that would be read as something else.

        >>> Tree.from_nested((("a", "b"), 3)).text()
        '((a b) 3)'
        """
        labelled = self.labels is not None if labelled is None else labelled
        check_writable(self, labelled)
        return "".join(pieces(self, labelled))

    def drawn(self) -> str:
        """Return a picture in text, one node per line: its label, its value, and in brackets its score.

        What lies more than 40 levels down, or comes after 400 lines, is only counted.

        >>> print(Tree.from_text("(S (NP It) (VP (V works) (RB well)))").drawn())
        ┬ S
        ├── NP It
        └─┬ VP
          ├── V works
          └── RB well
        """
        return drawing(self)

    def __str__(self) -> str:
        return "".join(pieces(self, True))

    def __repr__(self) -> str:
        text = ""
        for piece in pieces(self, True):
            text += piece
            if len(text) > EXCERPT:  # of a large tree only the beginning is written
                break
        text = " ".join(text.split())
        n_leaves = len(self.leaves)
        return (
            f"Tree of {self.n_nodes} node{'s' if self.n_nodes > 1 else ''},"
            f" {n_leaves} lea{'ves' if n_leaves > 1 else 'f'}, height {self.height}:"
            f" {text if len(text) <= EXCERPT else text[: EXCERPT - 3] + '...'}"
        )

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        """What makes trees equal; vectors by their bytes, once -0.0 is 0.0."""
        values = tuple(
            (value.dtype.str, (value + 0.0).tobytes()) if isinstance(value, np.ndarray) else value
            for value in self.values
        )
        return self.parents.tobytes(), values, self.labels

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Tree) else NotImplemented

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Tree, (self.parents, self.values, self.labels, self.scores)


def _leaves(values: Any) -> tuple[Value | None, ...]:
    """Return the values of at least one leaf, each a token or vector."""
    given = entries("values", values)
    if not given:
        raise ArgumentError("values must have at least one value, for one leaf; got none.")
    for position, value in enumerate(given):
        if value is None:
            raise ArgumentError(f"values[{position}] must be a token or a vector; got None. Leave it out.")
    return as_values(given, lambda position: f"values[{position}]")
