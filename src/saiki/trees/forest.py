"""Many trees as flat arrays, one tree after another: what networks over trees take."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from saiki.arrays import Array, places_in
from saiki.engines.tree_tape import Nodes
from saiki.errors import ArgumentError, ShapeError
from saiki.properties import cached_property
from saiki.trees.reading import as_tree
from saiki.trees.tree import Tree

Vocabulary: TypeAlias = Mapping[Any, int]
"""The number of each token, from 0."""


def vocabulary_of(trees: Iterable[Tree]) -> dict[Any, int]:
    """Return a number for each token of some trees: whole numbers first, then texts, each sorted.

    >>> vocabulary_of([Tree.from_nested((("b", 2), "a"))])
    {2: 0, 'a': 1, 'b': 2}
    """
    tokens = {value for tree in trees for value in tree.values if isinstance(value, int | str)}
    return {token: i for i, token in enumerate(sorted(tokens, key=lambda token: (isinstance(token, str), token)))}


@final
@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, one after another, in the form in which they are walked.

    ``Forest.of`` makes one of trees. Whoever makes one of arrays is held to what a walk relies on.

    Attributes:
        lengths: how many nodes each tree has ``(B,)``.
        parents: the number of each node's parent within its tree ``(N,)``; -1 for a root.
        places: which child of its parent each node is, from 0 ``(N,)``.
        heights: the height of each node ``(N,)``, 0 for a leaf.
        inputs: a vector for each node ``(N, F)``, or the numbers of tokens ``(N, 1)``, whole numbers.
        has_input: which nodes have an input ``(N,)``; what ``inputs`` says of the others does not count.

    Raises:
        ShapeError: arrays that are not as long as there are nodes.
        ArgumentError: parents, places or heights that are those of no trees.

    >>> trees = [Tree.from_nested(("a", ("b", "a"))), Tree.from_nested("b")]
    >>> forest = Forest.of(trees, vocabulary_of(trees))
    >>> forest.lengths.tolist(), forest.inputs[forest.has_input, 0].tolist()
    ([5, 1], [0, 1, 0, 1])
    """

    lengths: Array
    parents: Array
    places: Array
    heights: Array
    inputs: Array
    has_input: Array

    def __post_init__(self) -> None:
        n_nodes = int(self.lengths.sum())
        for name, array in zip(("parents", "places", "heights", "inputs", "has_input"), self._per_node, strict=True):
            if array.ndim != (2 if name == "inputs" else 1) or len(array) != n_nodes:
                raise ShapeError(f"{name} must have a row for each of the {n_nodes} nodes; got shape {array.shape}.")
        of_tree = np.repeat(self.lengths, self.lengths)
        if len(self.roots) != len(self) or ((self.parents < -1) | (self.parents >= of_tree)).any():
            raise ArgumentError("parents must be numbers within each tree, and -1 at its one root. See Forest.of.")
        child = np.flatnonzero(self.parents >= 0)
        parents = self.nodes.parents[child]
        heights, n_children = np.zeros(n_nodes, np.int64), np.bincount(parents, minlength=n_nodes)
        np.maximum.at(heights, parents, self.heights[child] + 1)
        if not np.array_equal(heights, self.heights):
            raise ArgumentError(
                "heights must be 0 at leaves, else one more than that of the highest child. See Forest.of."
            )
        placed = (np.cumsum(n_children) - n_children)[parents] + self.places[child]
        in_range = (self.places[child] >= 0) & (self.places[child] < n_children[parents])
        if not in_range.all() or len(np.unique(placed)) != len(placed):
            raise ArgumentError("places must number the children of each node from 0. See Forest.of.")

    @classmethod
    def of(cls, trees: Sequence[Any], vocabulary: Vocabulary | None = None) -> "Forest":
        """Return trees in the form in which they are walked.

        Args:
            trees: trees in any form that ``saiki.trees.as_tree`` takes: all with vectors of one length, or with tokens.
            vocabulary: the number of each token; a token that it does not have is as none.

        Raises:
            ArgumentError: no list of trees, tokens without a vocabulary, or vectors beside tokens.
            ShapeError, DtypeError: vectors of several lengths or precisions.
        """
        held = [as_tree(tree, f"trees[{i}]") for i, tree in enumerate(trees)]
        lengths = np.array([len(tree) for tree in held], np.int64)
        values = [value for tree in held for value in tree.values]
        inputs, has_input = _tokens(values, vocabulary) if vocabulary is not None else _vectors(values)
        parts = [(tree.parents, _places(tree), tree.heights) for tree in held] or [(np.zeros(0, np.int64),) * 3]
        parents, places, heights = (np.concatenate(part).astype(np.int64) for part in zip(*parts, strict=True))
        return cls(lengths, parents, places, heights, inputs, has_input)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_nodes(self) -> int:
        """The number of all nodes."""
        return len(self.parents)

    @cached_property
    def starts(self) -> Array:
        """Where each tree begins among all nodes ``(B,)``."""
        return (np.cumsum(self.lengths) - self.lengths).astype(np.int64)

    @cached_property
    def roots(self) -> Array:
        """The root of each tree, counted over all nodes ``(B,)``."""
        return np.flatnonzero(self.parents < 0)

    @cached_property
    def nodes(self) -> Nodes:
        """What an engine needs to know."""
        parents = np.where(self.parents < 0, -1, self.parents + np.repeat(self.starts, self.lengths))
        return Nodes(self.lengths, parents, self.places, self.heights, self.has_input)

    @property
    def of_tokens(self) -> bool:
        """Whether the inputs are the numbers of tokens."""
        return self.inputs.dtype.kind == "i"

    def owners(self) -> Array:
        """Return for each node the number of its tree."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def select(self, which: Array) -> "Forest":
        """Return some of the trees, in the order asked for."""
        nodes = places_in(self.starts, self.lengths, which)
        return Forest(self.lengths[which], *(part[nodes] for part in self._per_node))

    def pad(self, which: Array) -> tuple["Forest", None]:
        """Return some of the trees as a network takes them, which pads nothing."""
        return self.select(which), None

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that the trees hold."""
        return self.lengths, *self._per_node

    @staticmethod
    def joined(forests: "Sequence[Forest]") -> "Forest":
        """Return the trees of several forests, one forest after another."""
        lengths = np.concatenate([forest.lengths for forest in forests])
        return Forest(lengths, *map(np.concatenate, zip(*(forest._per_node for forest in forests), strict=True)))

    @property
    def _per_node(self) -> tuple[Array, ...]:
        return self.parents, self.places, self.heights, self.inputs, self.has_input


def _places(tree: Tree) -> Array:
    """Return which child of its parent each node is."""
    places = np.zeros(len(tree), np.int64)
    above = tree.parents[tree.children]
    places[tree.children] = np.arange(len(tree.children)) - tree.child_starts[above]
    return places


def _tokens(values: list[Any], vocabulary: Vocabulary) -> tuple[Array, Array]:
    """Return the number of the token at each node ``(N, 1)``, and which nodes have one."""
    numbers = [-1 if value is None else _number(value, vocabulary) for value in values]
    inputs = np.array(numbers, np.int64).reshape(-1, 1)
    return inputs, inputs[:, 0] >= 0


def _number(value: Any, vocabulary: Vocabulary) -> int:
    if isinstance(value, np.ndarray):
        raise ArgumentError("trees must hold tokens, as there is a vocabulary; got a vector. Give trees of one kind.")
    return vocabulary.get(value, -1)


def _vectors(values: list[Any]) -> tuple[Array, Array]:
    """Return the vector at each node ``(N, F)``, and which nodes have one."""
    there = [i for i, value in enumerate(values) if value is not None]
    token = next((values[i] for i in there if not isinstance(values[i], np.ndarray)), None)
    if token is not None or not there:
        got = "nothing at any node" if token is None else f"the token {token!r}"
        raise ArgumentError(
            f"trees must hold vectors where there is no vocabulary; got {got}. For tokens give"
            " vocabulary=saiki.trees.vocabulary_of(trees)."
        )
    sizes = {(len(values[i]), values[i].dtype) for i in there}
    if len(sizes) > 1:
        found = ", ".join(sorted(f"{size} of {dtype}" for size, dtype in sizes))
        raise ShapeError(f"trees must hold vectors of one length and precision; got {found}.")
    ((size, dtype),) = sizes
    inputs, has_input = np.zeros((len(values), size), dtype), np.zeros(len(values), bool)
    inputs[there], has_input[there] = np.stack([values[i] for i in there]), True
    return inputs, has_input
