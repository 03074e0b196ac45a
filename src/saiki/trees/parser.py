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

from saiki.arrays import Array, Params, as_count, as_positive, check_params, existing_steps
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

        leaves = run_cell(self.cell, own, vectors.reshape(B * T, -1))
        return search(join, {name: h.reshape(B, T, -1) for name, h in leaves.items()}, lengths, beam, penalty)

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

        The tree that the search finds when each wrong join counts ``margin`` more is held against the known tree, and
        so is every beginning of it: of what was joined in the first t steps the scores, and ``margin`` for each join
        that the known tree has not, less the scores of the first t joins that the search makes of those that it has.
        The loss of a sequence is the largest of these differences. It is not negative, and zero only if the search
        finds the known tree, and by that margin. For whole trees it is the loss of Socher et al. (2011, section 5,
        equations 5 to 8); since the search is not exact, that alone is blind to a right tree which has the higher
        score, but is not found (Huang, Fayong and Guo 2012, "Structured perceptron with inexact search", section 5).

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
        B, T, _ = X.shape
        is_right = _right_spans(y if isinstance(y, Forest) else shapes_of(y), lengths, T)
        penalty = np.concatenate((np.where(is_right, 0, self.margin), np.where(is_right, 0, -np.inf)))
        joins = self.parse(params, np.tile(X, (2, 1, 1)), np.tile(lengths, 2), penalty=penalty)
        wrong = ~is_right[np.arange(B)[:, None], *np.moveaxis(joins.spans[:B], 2, 0)]
        ahead = np.cumsum(joins.scores[:B] + self.margin * wrong - joins.scores[B:], axis=1)
        exists = np.arange(T - 1) < lengths[:, None] - 1
        ahead = np.where(exists, ahead, 0)
        largest = ahead.max(axis=1, initial=0)
        n_steps = np.where(largest > 0, (ahead == largest[:, None]).argmax(axis=1) + 1 if T > 1 else 0, 0)
        counted = np.tile(np.arange(T - 1) < n_steps[:, None], (2, 1))

        both = self._with_inputs(forest_of(joins, np.tile(lengths, 2)), X, lengths)
        Y, tape = self.network.forward(params, both, engine)
        weight = np.ones(B) if sample_weight is None else np.asarray(sample_weight, np.float64)
        share = (weight / (total or weight.sum() or 1.0)).astype(np.real(Y).dtype)
        inner, of_step = both.heights > 0, np.tile(exists, (2, 1))
        dY = np.zeros(Y.shape, Y.dtype)
        dY[inner, 0] = (counted * np.concatenate((share, -share))[:, None])[of_step]
        value = (Y * dY).sum() + (share[:, None] * self.margin * (wrong & counted[:B])).sum()
        grads = self.network.backward(params, tape, dY)
        dX = np.zeros(X.shape, Y.dtype)
        if self.n_tokens is None:
            np.add.at(dX, _leaf_places(both, lengths), grads.X[both.heights == 0])
        return value, Gradients(grads.params, dX, None)

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
        lengths = np.full(len(X), X.shape[1]) if lengths is None else np.asarray(lengths)
        if (lengths < 1).any():
            raise ArgumentError("lengths must be at least 1: a sequence of no items has no tree. Leave it out.")
        return X, lengths

    def _with_inputs(self, forest: Forest, X: Array, lengths: Array) -> Forest:
        """Return trees with the items of their sequences at their leaves."""
        leaf = forest.heights == 0
        inputs = np.zeros((forest.n_nodes, X.shape[2]), X.dtype)
        inputs[leaf] = X[_leaf_places(forest, lengths)]
        known = leaf if self.n_tokens is None else leaf & (inputs[:, 0] >= 0)
        return replace(forest, inputs=inputs, has_input=known)


def tree_of(children: Array, scores: Array, values: Sequence[Any]) -> Tree:
    """Return what was joined of one sequence as a tree, numbered in reading order, with the scores of its joins.

    Args:
        children: the numbers of the nodes joined ``(L - 1, 2)``, as in ``Joins``: leaves are 0 to L - 1.
        scores: the score of each join ``(L - 1,)``.
        values: what stands at the leaves, L tokens or vectors.

    >>> str(tree_of(np.array([[1, 2], [0, 3]]), np.array([0.5, 2.0]), ["a", "b", "c"]))
    '(a (b c))'
    """
    L, joined = len(values), children.tolist()
    parents: list[int] = []
    held: list[Any] = []
    worth: list[float] = []
    waiting = [(2 * L - 2, -1)]
    while waiting:
        node, parent = waiting.pop()
        number = len(parents)
        parents.append(parent)
        held.append(values[node] if node < L else None)
        worth.append(float("nan") if node < L else float(scores[node - L]))
        if node >= L:
            left, right = joined[node - L]
            waiting += [(right, number), (left, number)]
    return Tree(parents, held, scores=worth)


def shapes_of(trees: Sequence[Tree], argument: str = "trees") -> Forest:
    """Return the shapes of binary trees, numbered anew: leaves first, left to right, and children before parents.

    Raises:
        ArgumentError: a node has one child, or more than two; the message calls the trees by ``argument``.

    >>> shapes_of([Tree.from_nested(("a", ("b", "c")))]).parents.tolist()
    [4, 3, 3, 4, -1]
    """
    parts = []
    for i, tree in enumerate(trees):
        if not tree.is_binary:
            node = int(np.flatnonzero((tree.n_children > 0) & (tree.n_children != 2))[0])
            n_children = int(tree.n_children[node])
            remedy = (
                "Put its child in its place."
                if n_children == 1
                else f"Give saiki.trees.as_tree({argument}[{i}]).binarized()."
            )
            raise ArgumentError(
                f"{argument}[{i}] must have two children or none at every node; node {node} has {n_children}. {remedy}"
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


def _right_spans(known: Forest, lengths: Array, T: int) -> Array:
    """Return which joins from one place to another known trees have ``(B, T, T + 1)``."""
    if not np.array_equal(known.lengths, 2 * lengths - 1):
        raise ShapeError("y must hold a tree for each sequence, with a leaf for each item and two children above.")
    right = np.zeros((len(lengths), T, T + 1), bool)
    right[known.owners(), *spans_of(known).T] = True
    return right


def _without_inputs(lengths: Array, parents: Array, places: Array, heights: Array) -> Forest:
    return Forest(lengths, parents, places, heights, np.zeros((len(parents), 0)), np.zeros(len(parents), bool))


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
