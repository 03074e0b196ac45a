"""The parser network: it scores every pair of neighbours and joins the best, until one vector is left.

Socher, Lin, Ng and Manning (2011), "Parsing natural scenes and natural language with recursive neural networks", ICML,
section 4. What two neighbours are joined to is a cell over trees, and a join's score one number read from it::

    p = cell(left, right)       s = p @ W

The score of a tree is the sum of the scores of its joins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import (
    Array,
    Params,
    as_count,
    as_float,
    as_lengths,
    as_positive,
    check_finite,
    check_params,
    check_shape,
    existing_steps,
)
from saiki.cells.trees import TreeCell, as_tree_cell
from saiki.engines.tape import Update
from saiki.engines.tree_reference import run_cell
from saiki.errors import ArgumentError, ShapeError
from saiki.initializers import Parameter, Scheme
from saiki.layers import Dense, Embedding, Gradients
from saiki.layers.updating import updated
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.trees.forest import Forest
from saiki.trees.network import TreeNetwork
from saiki.trees.recursive import Recursive
from saiki.trees.search import Joins, States, search
from saiki.trees.tree import Tree


@final
@dataclass(frozen=True)
class Parser:
    """A network that finds the tree of a sequence.

    Parameters: those of its ``network``, which gives each node of a tree a score: the vectors of tokens ``"0/W"``, if
    it has any, the cell's, and the weights of the score ``(n_units, 1)``.

    Args:
        cell: the name of a cell with a left and a right child, or a ``TreeCell``.
        n_features: the number of features of each item of a sequence; with tokens the size of their vectors.
        n_units: the number of units H.
        n_tokens: how many different tokens there are; None for sequences of vectors.
        margin: by how much a tree must score less than the right one for each of its joins that is wrong.

    Raises:
        ArgumentError: an unknown cell, one that adds its children up, a size below 1, a margin that is not positive.

    >>> parser = Parser("simple", n_features=2, n_units=3)
    >>> params = parser.init(np.random.default_rng(0))
    >>> parser.parse(params, np.random.default_rng(1).normal(size=(1, 4, 2))).children.shape
    (1, 3, 2)
    """

    cell: TreeCell
    n_features: int
    n_units: int
    n_tokens: int | None = None
    margin: float = 1.0
    network: TreeNetwork = field(init=False, repr=False)

    def __init__(
        self,
        cell: str | TreeCell,
        n_features: int,
        n_units: int,
        n_tokens: int | None = None,
        margin: float = 1.0,
    ) -> None:
        cell = as_tree_cell(cell)
        if cell.child is not None:
            raise ArgumentError(f"cell must have a left and a right child; {cell.name!r} adds its children up.")
        embedding = [] if n_tokens is None else [Embedding(as_count("n_tokens", n_tokens), n_features)]
        recursive = Recursive(cell, n_features, n_units)
        values = {"cell": cell, "n_features": recursive.n_features, "n_units": recursive.n_units, "n_tokens": n_tokens}
        values |= {"margin": as_positive("margin", margin)}
        values["network"] = TreeNetwork([*embedding, recursive, Dense(n_units, 1, bias=False)], "each")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def examples(cls) -> "list[Parser]":
        """Return small parsers; each is proved by the tests."""
        return [cls("simple", 2, 3), cls("lstm", 3, 4, n_tokens=5), cls("gru", 2, 3, margin=0.1)]

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features of an item, or 1 for tokens, and 1, as a join has one score."""
        return self.n_features if self.n_tokens is None else 1, 1

    @property
    def has_dropout(self) -> bool:
        """Whether training draws at random what to drop: never."""
        return False

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return self.network._shapes

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters: shape, fan-in and blocks."""
        return self.network.parameters()

    def init(self, rng: np.random.Generator, scheme: Scheme = "xavier", dtype: npt.DTypeLike = np.float64) -> Params:
        """Draw parameters: weights by ``scheme``, each by its own fan-in, and zero biases; see ``Layer.init``."""
        return self.network.init(rng, scheme, dtype)

    def parse(
        self,
        params: Params,
        X: Array,
        lengths: Array | None = None,
        beam: int = 1,
        penalty: Array | None = None,
    ) -> Joins:
        """Find the tree of each sequence, in NumPy, with all sequences side by side.

        Args:
            params: the parameters, as ``init`` makes them.
            X: vectors ``(B, T, n_features)``, or the numbers of tokens ``(B, T, 1)``, -1 for one that is not known.
            lengths: ``(B,)``, or None where all items exist.
            beam: how many ways to join are followed up at a time; see ``saiki.trees.search.search``.
            penalty: what is added to the score of a join from one place to another ``(B, T, T + 1)``, or None.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        check_params(params, self._shapes)
        as_count("beam", beam)
        X, lengths = self._checked(X, lengths)
        B, T, _ = X.shape
        own = {name.rpartition("/")[2]: np.real(params[name]) for name in params if name.startswith(f"{self._at}/")}
        vectors = np.real(X).astype(own["Wx"].dtype, copy=False)
        if self.n_tokens is not None:
            vectors = np.where(X >= 0, np.real(params["0/W"])[X[..., 0]], 0)
        vectors = np.where(existing_steps(lengths, T)[..., None], vectors, 0)
        weights = np.real(params[f"{self._at + 1}/W"][:, 0])

        def join(left: States, right: States) -> tuple[States, Array]:
            states = run_cell(self.cell, own, pair=(left, right))
            return states, states["h"] @ weights

        leaves = run_cell(self.cell, own, vectors.reshape(B * T, self.n_features))
        return search(join, {name: h.reshape(B, T, self.n_units) for name, h in leaves.items()}, lengths, beam, penalty)

    def loss_and_gradients(
        self,
        params: Params,
        X: Array,
        y: "Forest | Sequence[Tree]",
        lengths: Array | None = None,
        sample_weight: Array | None = None,
        engine: str | None = None,
        total: float | None = None,
    ) -> tuple[Any, Gradients]:
        """Return the mean margin loss, and its gradients.

        The loss of a sequence is ``max(0, s(found) + margin * wrong - s(right))``: s is the score of a tree, ``found``
        the tree that the search finds when each wrong join counts ``margin`` more, ``wrong`` how many it has, and
        ``right`` the known tree (Socher et al. 2011, section 5, equations 5 to 8; Taskar et al. 2004). A join is wrong
        if the known tree has none over the same items.

        Args:
            params: the parameters, as ``init`` makes them.
            X: the sequences, as for ``parse``.
            y: the known trees, with two children or none at every node, as many leaves as there are items.
            lengths: ``(B,)``, or None where all items exist.
            sample_weight: how much each sequence counts ``(B,)``, or None where all count alike.
            engine: the name of an engine, or None for the default one; the search itself runs in NumPy.
            total: what the weighted sum of the losses is divided by; None is the sum of the weights.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        X, lengths = self._checked(X, lengths)
        right = y if isinstance(y, Forest) else shapes_of(y)
        _check_numbers(right)
        B, T, _ = X.shape
        if not np.array_equal(right.lengths, np.maximum(2 * lengths - 1, 0)):
            raise ShapeError("y must hold a tree for each sequence, with a leaf for each item and two children above.")
        is_right = np.zeros((B, T, T + 1), bool)
        is_right[right.owners(), *spans_of(right).T] = True
        joins = self.parse(params, X, lengths, penalty=np.where(is_right, 0, self.margin))
        found = forest_of(joins, lengths)
        both = self._with_inputs(Forest.joined([found, right]), X, lengths)
        Y, tape = self.network.forward(params, both, engine)
        inner = both.heights > 0
        scores = np.zeros(2 * B, Y.dtype)
        np.add.at(scores, both.owners()[inner], Y[inner, 0])
        n_wrong = np.bincount(found.owners(), ~is_right[found.owners(), *spans_of(found).T], B)
        losses = scores[:B] + self.margin * n_wrong - scores[B:]
        weight = np.ones(B) if sample_weight is None else as_float("sample_weight", sample_weight)
        check_shape("sample_weight", weight, (B,), "(n_sequences,)")
        counts = (np.real(losses) > 0) & (n_wrong > 0)  # without mistakes both are the same tree, but for rounding
        share = np.where(counts, weight, 0) / (total or weight.sum() or 1.0)
        signed = np.concatenate((share, -share)).astype(np.real(Y).dtype)
        grads = self.network.backward(params, tape, np.where(inner, signed[both.owners()], 0)[:, None].astype(Y.dtype))
        dX = np.zeros(X.shape, Y.dtype)
        if self.n_tokens is None:
            np.add.at(dX, _leaf_places(both, lengths), grads.X[both.heights == 0])
        return (losses * share).sum(), Gradients(grads.params, dX, None)

    def update(
        self,
        params: Params,
        optimizer: Optimizer,
        optimizer_state: Any,
        X: Array,
        y: "Forest | Sequence[Tree]",
        loss: str | Loss = "margin",  # noqa: ARG002
        *,
        lengths: Array | None = None,
        sample_weight: Array | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
        total: float | None = None,
    ) -> Update:
        """Make one step of training; the arguments are those of ``TreeNetwork.update``, and the loss always its own."""

        def learn() -> tuple[Any, Params]:
            value, grads = self.loss_and_gradients(params, X, y, lengths, sample_weight, engine, total)
            return value, grads.params

        return updated(params, optimizer, optimizer_state, learn)

    @property
    def _at(self) -> int:
        """The number of the recursive layer."""
        return 0 if self.n_tokens is None else 1

    def _checked(self, X: Array, lengths: Array | None) -> tuple[Array, Array]:
        """Return sequences, and their lengths, none of them 0."""
        X = np.asarray(X)
        if X.ndim != 3 or X.shape[2] != self.sizes[0] or not X.shape[1]:
            raise ShapeError(
                f"X must be (n_sequences, n_items, {self.sizes[0]}), with at least one item; got {X.shape}."
            )
        B, T, _ = X.shape
        lengths = np.full(B, T) if lengths is None else as_lengths(lengths, B, T)
        if (lengths < 1).any():
            raise ArgumentError("lengths must be at least 1: a sequence of no items has no tree. Leave it out.")
        there = existing_steps(lengths, T)[..., None]
        if self.n_tokens is None:
            X = as_float("X", X)
            check_finite("X", np.where(there, X, 0))
            return X, lengths
        tokens = np.where(there, X, -1)
        wrong = (tokens != np.floor(tokens)) | (tokens < -1) | (tokens >= self.n_tokens)
        if wrong.any():
            raise ArgumentError(
                f"X must hold tokens, whole numbers from 0 to {self.n_tokens - 1}, or -1 for one that is not known; got"
                f" {tokens[wrong][0]}. Give the parser more tokens or renumber them."
            )
        return tokens.astype(np.int64), lengths

    def _with_inputs(self, forest: Forest, X: Array, lengths: Array) -> Forest:
        """Return trees with the items of their sequences at their leaves."""
        leaf = forest.heights == 0
        inputs = np.zeros((forest.n_nodes, X.shape[2]), X.dtype)
        inputs[leaf] = X[_leaf_places(forest, lengths)]
        known = leaf if self.n_tokens is None else leaf & (inputs[:, 0] >= 0)
        return replace(forest, inputs=inputs, has_input=known)


def shapes_of(trees: Sequence[Tree]) -> Forest:
    """Return the shapes of binary trees, numbered anew: leaves first, left to right, and children before parents.

    >>> shapes_of([Tree.from_nested(("a", ("b", "c")))]).parents.tolist()
    [4, 3, 3, 4, -1]
    """
    parts = []
    for i, tree in enumerate(trees):
        if not tree.is_binary:
            raise ArgumentError(
                f"trees[{i}] must have two children or none at every node; node {int((tree.n_children == 1).argmax())}"
                f" or another has not. Give trees[{i}].binarized(), and leave out nodes with one child."
                if (tree.n_children == 1).any()
                else f"trees[{i}] must have two children or none at every node; got one with {tree.n_children.max()}."
                f" Give trees[{i}].binarized()."
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


def _check_numbers(forest: Forest) -> None:
    """Raise an ``ArgumentError`` unless trees are numbered as ``shapes_of`` does."""
    inner, parents = forest.heights > 0, forest.nodes.parents
    place = np.arange(forest.n_nodes) - np.repeat(forest.starts, forest.lengths)
    right = np.array_equal(inner, place > np.repeat(forest.lengths // 2, forest.lengths))
    below = [np.flatnonzero((parents >= 0) & (forest.places == side)) for side in (0, 1)]
    pairs = np.full((forest.n_nodes, 2), -1)
    for side, children in enumerate(below):
        pairs[parents[children], side] = children
    right = right and bool((pairs[inner] >= 0).all()) and len(below[0]) + len(below[1]) == (parents >= 0).sum()
    if right:
        spans = spans_of(forest)
        right = np.array_equal(spans[pairs[inner, 0], 1], spans[pairs[inner, 1], 0])
    if not right:
        raise ArgumentError(
            "y must be trees, or a Forest numbered as saiki.trees.parser.shapes_of does: leaves first, left to right."
        )


def spans_of(forest: Forest) -> Array:
    """Return where what lies below each node begins, and ends ``(N, 2)``, of trees numbered as ``shapes_of`` does."""
    first = np.where(forest.heights == 0, np.arange(forest.n_nodes) - np.repeat(forest.starts, forest.lengths), -1)
    end, parents = first + 1, forest.nodes.parents
    for height in range(forest.heights.max(initial=0)):
        for side, of_parent in ((0, first), (1, end)):
            below = np.flatnonzero((forest.heights == height) & (forest.places == side) & (parents >= 0))
            of_parent[parents[below]] = of_parent[below]
    return np.stack((first, end), axis=1)


def _leaf_places(forest: Forest, lengths: Array) -> tuple[Array, Array]:
    """Return the sequence and the place of each leaf, of as many sequences, or as many again and again."""
    owners = forest.owners()[forest.heights == 0]
    places = (np.arange(forest.n_nodes) - np.repeat(forest.starts, forest.lengths))[forest.heights == 0]
    return owners % len(lengths), places
