"""Trees, and sequences of items with their trees, as users hand them in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from saiki.arrays import Array, as_float, check_finite
from saiki.errors import ArgumentError, DtypeError, ShapeError
from saiki.estimators.inputs import Words
from saiki.training.examples import Ragged
from saiki.trees import Forest, Tree, as_tree, vocabulary_of
from saiki.trees.checking import shown

TREES, ITEMS = Words("tree", "node"), Words("sequence", "item")


@final
@dataclass(frozen=True, eq=False)
class Trees:
    """Trees as they came.

    Attributes:
        forest: the trees; tokens have numbers of their own here.
        tokens: the token of each number; None for vectors.
    """

    forest: Forest
    tokens: tuple[Any, ...] | None
    words: ClassVar[Words] = TREES
    n_rows: ClassVar[int | None] = None

    @property
    def X(self) -> "Trees":
        """The inputs as training holds them: themselves."""
        return self

    @property
    def lengths(self) -> Array:
        """How many nodes each tree has."""
        return self.forest.lengths

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the vectors; float64 for tokens."""
        return np.dtype(np.float64) if self.tokens is not None else self.forest.inputs.dtype

    def __len__(self) -> int:
        return len(self.forest)

    def like(self, values: Array) -> list[Array]:
        """Return a value for each node in the form of X: a list of arrays, by the numbers of the nodes."""
        return Ragged(values, self.lengths).split()

    def owners(self) -> Array:
        """Return for each node the number of its tree."""
        return self.forest.owners()

    def select(self, which: Array) -> "Trees":
        """Return some of the trees, in the order asked for."""
        return replace(self, forest=self.forest.select(which))

    def pad(self, which: Array) -> tuple[Forest, None]:
        """Return some of the trees as a network takes them, which pads nothing."""
        return self.forest.select(which), None

    def beside(self, part: Any, which: Array) -> Any:
        """Return what some of the trees have, such as a target for each node, one tree after another."""
        found = part.select(which)
        return found.values if isinstance(found, Ragged) else found

    def as_vectors(self, n_features: int) -> "Trees":
        """Return trees without anything at their nodes as such that could have vectors there; others as they are."""
        if self.tokens != ():
            return self
        forest = replace(self.forest, inputs=np.zeros((self.forest.n_nodes, n_features)))
        return replace(self, forest=forest, tokens=None)

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that the trees hold."""
        return *self.forest.arrays(), np.array([repr(token) for token in self.tokens or ()], "U")


def _is_series(value: Any) -> bool:
    """Whether a value holds one thing after another, which a text and an array without axes do not."""
    return (
        value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, Sequence) and not isinstance(value, str)
    )


def read_trees(X: Any) -> Trees:
    """Return checked trees.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
    """
    if isinstance(X, Tree) or not _is_series(X):
        raise ArgumentError(
            "X must be a list of trees: saiki.Tree, nested tuples or bracketed text; got"
            f" {'one tree' if isinstance(X, str | Tree) else type(X).__name__}. For one tree give [tree]."
        )
    if not len(X):
        raise ArgumentError("X must hold at least one tree; got none.")
    trees = [as_tree(tree, f"X[{i}]") for i, tree in enumerate(X)]
    firsts = [next((value for value in tree.values if value is not None), None) for tree in trees]  # all are alike
    at, first = next(((i, value) for i, value in enumerate(firsts) if isinstance(value, np.ndarray)), (0, None))
    if first is not None:
        for i, value in enumerate(firsts):
            if value is not None and _kind(value) != _kind(first):
                raise ShapeError(
                    "X must hold trees of one kind, with tokens or with vectors of one length and precision;"
                    f" X[{at}] has {_kind(first)}, and X[{i}] {_kind(value)}."
                )
        if first.dtype.kind == "c":
            raise DtypeError(f"X[{at}] must hold real numbers; got complex ones. Use .real.")
        return Trees(Forest.of(trees), None)
    vocabulary = vocabulary_of(trees)
    return Trees(Forest.of(trees, vocabulary), tuple(vocabulary))


def _kind(value: Any) -> str:
    return f"vectors of {len(value)}, {value.dtype}" if isinstance(value, np.ndarray) else "tokens"


@final
@dataclass(frozen=True, eq=False)
class Items:
    """Sequences of items as they came.

    Attributes:
        items: vectors ``(T_i, n_features)`` of each sequence, or the numbers of its tokens ``(T_i, 1)``.
        tokens: the token of each number; None for vectors.
    """

    items: Ragged
    tokens: tuple[Any, ...] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the vectors; float64 for tokens."""
        return np.dtype(np.float64) if self.tokens is not None else self.items.values.dtype

    def __len__(self) -> int:
        return len(self.items)

    def owners(self) -> Array:
        """Return for each item the number of its sequence."""
        return self.items.owners()

    def select(self, which: Array) -> "Items":
        """Return some of the sequences, in the order asked for."""
        return replace(self, items=self.items.select(which))

    def pad(self, which: Array) -> tuple[Array, Array | None]:
        """Return some sequences as ``(b, T, ...)``, and their lengths."""
        return self.items.pad(which)

    def beside(self, part: Any, which: Array) -> Any:
        """Return what some of the sequences have, such as their trees."""
        return part.pad(which)[0]

    def values(self) -> list[list[Any]]:
        """Return what stands in each sequence: tokens or vectors."""
        parts = self.items.split()
        return [list(part) if self.tokens is None else [self.tokens[n] for n in part[:, 0].tolist()] for part in parts]

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that the sequences hold."""
        return self.items.values, self.items.lengths, np.array([repr(token) for token in self.tokens or ()], "U")


def read_items(X: Any) -> Items:
    """Return checked sequences of items.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
    """
    if not _is_series(X):
        raise ArgumentError(
            f"X must be a list of sequences of tokens or vectors, such as [['a', 'b'], ['c']]; got {type(X).__name__}."
        )
    if not len(X):
        raise ArgumentError("X must hold at least one sequence; got none.")
    for i, sequence in enumerate(X):
        if isinstance(sequence, str) or not isinstance(sequence, Sequence | np.ndarray) or _is_scalar(sequence):
            words = f" For the words of a text give X[{i}].split()." if isinstance(sequence, str) else ""
            raise ArgumentError(
                f"X[{i}] must be a sequence of one or more tokens or vectors; got {shown(sequence)}. For one sequence"
                f" give [sequence].{words}"
            )
        if not len(sequence):
            raise ArgumentError(f"X[{i}] must be a sequence of one or more tokens or vectors; got none. Leave it out.")
    if not _is_series(X[0][0]):
        flat = [_token(item, i, k) for i, sequence in enumerate(X) for k, item in enumerate(sequence)]
        tokens = tuple(vocabulary_of([Tree.from_nested(tuple(flat))]))
        number = {token: n for n, token in enumerate(tokens)}
        values: Array = np.array([number[token] for token in flat], np.int64)[:, None]
        return Items(Ragged(values, np.array([len(sequence) for sequence in X])), tokens)
    arrays = [_vectors(sequence, i) for i, sequence in enumerate(X)]
    for i, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[-1] or array.dtype != arrays[0].dtype:
            raise ShapeError(
                f"X[{i}] must be (n_items, n_features), as X[0] is, {arrays[0].shape}; got {array.dtype} {array.shape}."
            )
        if array.dtype.kind == "c":
            raise DtypeError(f"X[{i}] must hold real numbers; got complex ones. Use .real.")
        check_finite(f"X[{i}]", array)
    return Items(Ragged.of_list(arrays), None)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 0


def _token(item: Any, i: int, k: int) -> Any:
    item = item.item() if isinstance(item, np.generic) else item
    if isinstance(item, bool) or not isinstance(item, int | str):
        remedy = " A sequence of vectors is (n_items, n_features); for one give [sequence]." * isinstance(item, float)
        raise ArgumentError(f"X[{i}][{k}] must be a token, a whole number or a text; got {shown(item)}.{remedy}")
    return item


def _vectors(sequence: Any, i: int) -> Array:
    if len({np.shape(item) if isinstance(item, np.ndarray) else _size(item) for item in sequence}) > 1:
        raise ShapeError(f"X[{i}] must hold vectors of one length, (n_items, n_features); got items of several kinds.")
    return as_float(f"X[{i}]", sequence)


def _size(item: Any) -> Any:
    return (len(item),) if isinstance(item, list | tuple) else shown(item)


@final
@dataclass(frozen=True, eq=False)
class KnownTrees:
    """The trees of sequences, for a parser to learn or to be held against."""

    trees: tuple[Tree, ...]

    def __len__(self) -> int:
        return len(self.trees)

    def select(self, which: Array) -> "KnownTrees":
        """Return some of the trees, in the order asked for."""
        return KnownTrees(tuple(self.trees[i] for i in which.tolist()))

    def pad(self, which: Array) -> tuple["KnownTrees", None]:
        """Return some of the trees."""
        return self.select(which), None

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say how the trees are shaped."""
        lengths = np.array([len(tree) for tree in self.trees], np.int64)
        return lengths, *(tree.parents for tree in self.trees)


def read_known_trees(y: Any, items: Items) -> KnownTrees:
    """Return the checked trees of sequences.

    Raises:
        ShapeError: not one for each sequence, or not a leaf for each item.
        ArgumentError: something that is no tree.
    """
    if isinstance(y, Tree) or not _is_series(y) or len(y) != len(items):
        got = len(y) if _is_series(y) else type(y).__name__
        raise ShapeError(f"y must hold a tree for each of the {len(items)} sequences; got {got}.")
    trees = tuple(as_tree(tree, f"y[{i}]") for i, tree in enumerate(y))
    for i, (tree, length) in enumerate(zip(trees, items.items.lengths.tolist(), strict=True)):
        if len(tree.leaves) != length:
            raise ShapeError(
                f"y[{i}] must have a leaf for each item of X[{i}], {length} in all; it has {len(tree.leaves)}."
            )
    return KnownTrees(trees)
