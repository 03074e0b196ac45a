"""Trees, and sequences of items with their trees, as users hand them in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from saiki.arrays import Array, as_float, check_finite
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.inputs import Words
from saiki.training.examples import Ragged
from saiki.trees import Forest, Tree, as_tree, vocabulary_of

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

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that the trees hold."""
        return *self.forest.arrays(), np.array([repr(token) for token in self.tokens or ()], "U")


def read_trees(X: Any) -> Trees:
    """Return checked trees.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
    """
    if isinstance(X, str | Tree) or not isinstance(X, Sequence | np.ndarray):
        raise ArgumentError(
            "X must be a list of trees: saiki.Tree, nested tuples or bracketed text; got"
            f" {'one tree' if isinstance(X, str | Tree) else type(X).__name__}. For one tree give [tree]."
        )
    if not len(X):
        raise ArgumentError("X must hold at least one tree; got none.")
    trees = [as_tree(tree, f"X[{i}]") for i, tree in enumerate(X)]
    first = next((value for tree in trees for value in tree.values if value is not None), "")
    if isinstance(first, np.ndarray):
        return Trees(Forest.of(trees), None)
    vocabulary = vocabulary_of(trees)
    return Trees(Forest.of(trees, vocabulary), tuple(vocabulary))


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

    def arrays(self) -> tuple[Array, ...]:
        """Return arrays that together say all that the sequences hold."""
        return self.items.values, self.items.lengths, np.array([repr(token) for token in self.tokens or ()], "U")


def read_items(X: Any) -> Items:
    """Return checked sequences of items.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
    """
    if isinstance(X, str) or not isinstance(X, Sequence | np.ndarray):
        raise ArgumentError(
            f"X must be a list of sequences of tokens or vectors, such as [['a', 'b'], ['c']]; got {type(X).__name__}."
        )
    if not len(X):
        raise ArgumentError("X must hold at least one sequence; got none.")
    for i, sequence in enumerate(X):
        if isinstance(sequence, str) or not isinstance(sequence, Sequence | np.ndarray) or not len(sequence):
            got = "no items" if isinstance(sequence, Sequence | np.ndarray) and not len(sequence) else f"{sequence!r}"
            remedy = f" For words of a text give X[{i}].split()." if isinstance(sequence, str) else " Leave it out."
            raise ArgumentError(f"X[{i}] must be a sequence of one or more tokens or vectors; got {got}.{remedy}")
    if np.ndim(X[0][0]) == 0:
        flat = [_token(item, i, k) for i, sequence in enumerate(X) for k, item in enumerate(sequence)]
        tokens = tuple(vocabulary_of([Tree.from_nested(tuple(flat))]))
        number = {token: n for n, token in enumerate(tokens)}
        values: Array = np.array([number[token] for token in flat], np.int64)[:, None]
        return Items(Ragged(values, np.array([len(sequence) for sequence in X])), tokens)
    arrays = [as_float(f"X[{i}]", sequence) for i, sequence in enumerate(X)]
    for i, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[-1] or array.dtype != arrays[0].dtype:
            raise ShapeError(
                f"X[{i}] must be (n_items, n_features), as X[0] is, {arrays[0].shape}; got {array.dtype} {array.shape}."
            )
        check_finite(f"X[{i}]", array)
    return Items(Ragged.of_list(arrays), None)


def _token(item: Any, i: int, k: int) -> Any:
    item = item.item() if isinstance(item, np.generic) else item
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise ArgumentError(f"X[{i}][{k}] must be a token, a whole number or a text; got {item!r}.")
    return item


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
    if isinstance(y, str | Tree) or not isinstance(y, Sequence | np.ndarray) or len(y) != len(items):
        got = len(y) if isinstance(y, Sequence | np.ndarray) and not isinstance(y, str) else type(y).__name__
        raise ShapeError(f"y must hold a tree for each of the {len(items)} sequences; got {got}.")
    trees = tuple(as_tree(tree, f"y[{i}]") for i, tree in enumerate(y))
    for i, (tree, length) in enumerate(zip(trees, items.items.lengths.tolist(), strict=True)):
        if len(tree.leaves) != length:
            raise ShapeError(
                f"y[{i}] must have a leaf for each of the {length} items of X[{i}]; got {len(tree.leaves)} leaves."
            )
    return KnownTrees(trees)
