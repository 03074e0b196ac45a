"""The parser network: it scores every pair of neighbours and joins the best, until one vector is left.

Socher, Lin, Ng and Manning (2011), "Parsing natural scenes and natural language with recursive neural networks", ICML,
section 4. What two neighbours are joined to is a cell over trees, and a join's score one number read from it::

    p = cell(left, right)       s = p @ W

The score of a tree is the sum of the scores of its joins.
"""

from collections.abc import Callable, Sequence
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
from saiki.engines.tree_reference import joined_states, leaf_states
from saiki.errors import ArgumentError, ShapeError
from saiki.initializers import Parameter, Scheme
from saiki.layers import Dense, Embedding, Gradients
from saiki.layers.updating import updated
from saiki.losses import Loss
from saiki.optimizers import Optimizer
from saiki.trees.forest import Forest
from saiki.trees.network import TreeNetwork
from saiki.trees.recursive import Recursive
from saiki.trees.search import Joins, Penalty, States, search
from saiki.trees.shapes import checked_spans, forest_of, shapes_of
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
        penalty: Penalty | None = None,
    ) -> Joins:
        """Find the tree of each sequence, in NumPy, with all sequences side by side.

        Args:
            params: the parameters, as ``init`` makes them.
            X: vectors ``(B, T, n_features)``, or the numbers of tokens ``(B, T, 1)``, -1 for one that is not known.
            lengths: ``(B,)``, or None where all items exist.
            beam: how many ways to join are followed up at a time; see ``saiki.trees.search.search``.
            penalty: what is added to the scores of joins, or None; see ``saiki.trees.search``.

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
            states = joined_states(self.cell, own, left, right)
            return states, states["h"] @ weights

        leaves = leaf_states(self.cell, own, vectors.reshape(B * T, self.n_features))
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

        The tree that the search finds when each wrong join counts ``margin`` more is held against the known tree, and
        so is every beginning of it: of what was joined in the first t steps the scores, and ``margin`` for each join
        that the known tree has not, less the scores of the first t joins that the search makes of those that it has.
        The loss of a sequence is the largest of these differences. It is not negative, and zero only if the search
        finds the known tree, and by that margin. For whole trees it is the max-margin loss of Socher et al. (2011);
        since the search is not exact, that alone is blind to a right tree which has the higher score, but is not found
        (the max-violation update of Huang, Fayong and Guo 2012, "Structured perceptron with inexact search", NAACL).

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
        is_right = _right_joins(y if isinstance(y, Forest) else shapes_of(y), lengths)

        def penalty(sequence: Array, first: Array, end: Array) -> Array:
            """Let the first half join what it likes, for a price, and the second half what is right alone."""
            price = np.where(sequence < B, self.margin, -np.inf)
            return np.where(is_right(sequence % B, first, end), 0, price)

        joins = self.parse(params, np.tile(X, (2, 1, 1)), np.tile(lengths, 2), penalty=penalty)
        wrong = ~is_right(np.arange(B)[:, None], *np.moveaxis(joins.spans[:B], 2, 0))
        ahead = np.cumsum(joins.scores[:B] + self.margin * wrong - joins.scores[B:], axis=1)
        exists = np.arange(T - 1) < lengths[:, None] - 1
        ahead = np.where(exists & (np.cumsum(wrong, axis=1) > 0), ahead, 0)  # up to there both are the same
        largest = ahead.max(axis=1, initial=0)
        n_steps = np.where(largest > 0, (ahead == largest[:, None]).argmax(axis=1) + 1 if T > 1 else 0, 0)
        counted = np.tile(np.arange(T - 1) < n_steps[:, None], (2, 1))

        both = self._with_inputs(forest_of(joins, np.tile(lengths, 2)), X, lengths)
        Y, tape = self.network.forward(params, both, engine)
        weight = np.ones(B) if sample_weight is None else as_float("sample_weight", sample_weight)
        check_shape("sample_weight", weight, (B,), "(n_sequences,)")
        check_finite("sample_weight", weight)
        if (weight < 0).any():
            raise ArgumentError(f"sample_weight must not be negative; got {weight.min()}. Use 0 to leave one out.")
        in_all = (weight.sum() or 1.0) if total is None else as_positive("total", total)
        share = (weight / in_all).astype(np.real(Y).dtype)
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
        loss: str | Loss = "margin",
        *,
        lengths: Array | None = None,
        sample_weight: Array | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
        total: float | None = None,
    ) -> Update:
        """Make one step of training; the arguments are those of ``TreeNetwork.update``, but for ``loss``, "margin"."""
        if loss != "margin":
            raise ArgumentError(f"loss must be 'margin', the only one that a parser has; got {loss!r}. Leave it out.")

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
        X = as_float("X", X)
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
            check_finite("X", np.where(there, X, 0))
            return X, lengths
        tokens = np.where(there, X, -1)
        wrong = (tokens != np.floor(tokens)) | (tokens < -1) | (tokens >= self.n_tokens)
        if wrong.any():
            raise ArgumentError(
                f"X must hold tokens, whole numbers from 0 to {self.n_tokens - 1}, or -1 for one that is not known; got"
                f" {tokens[wrong][0]:g}. Give the parser more tokens or renumber them."
            )
        return tokens.astype(np.int64), lengths

    def _with_inputs(self, forest: Forest, X: Array, lengths: Array) -> Forest:
        """Return trees with the items of their sequences at their leaves."""
        leaf = forest.heights == 0
        inputs = np.zeros((forest.n_nodes, X.shape[2]), X.dtype)
        inputs[leaf] = X[_leaf_places(forest, lengths)]
        known = leaf if self.n_tokens is None else leaf & (inputs[:, 0] >= 0)
        return replace(forest, inputs=inputs, has_input=known)


def _right_joins(known: Forest, lengths: Array) -> Callable[[Array, Array, Array], Array]:
    """Return a function of sequences, beginnings and ends that says which joins known trees have."""
    if not np.array_equal(known.lengths, 2 * lengths - 1):
        raise ShapeError("y must hold a tree for each sequence, with a leaf for each item and two children above.")
    places = int(lengths.max(initial=0)) + 1

    def code(sequence: Array, first: Array, end: Array) -> Array:
        return (sequence * places + first) * places + end

    codes = np.sort(code(known.owners(), *checked_spans(known).T))

    def is_right(sequence: Array, first: Array, end: Array) -> Array:
        asked = code(sequence, first, end)
        return codes[np.minimum(np.searchsorted(codes, asked), len(codes) - 1)] == asked

    return is_right


def _leaf_places(forest: Forest, lengths: Array) -> tuple[Array, Array]:
    """Return the sequence and the place of each leaf, of as many sequences, or as many again and again."""
    owners = forest.owners()[forest.heights == 0]
    places = (np.arange(forest.n_nodes) - np.repeat(forest.starts, forest.lengths))[forest.heights == 0]
    return owners % len(lengths), places
