"""Small data sets for the tests of the estimators."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

import saiki
from saiki import estimators
from saiki.arrays import Array

ESTIMATORS: dict[str, Any] = {
    name: cls
    for name, cls in ((name, getattr(estimators, name)) for name in estimators.__all__)
    if isinstance(cls, type) and issubclass(cls, BaseEstimator)
}
"""Every estimator, found by looking: whoever adds one has it checked, proved and kept."""

ARRAYS = {name: cls for name, cls in ESTIMATORS.items() if cls().__sklearn_tags__().input_tags.two_d_array}
"""Those that take sequences of numbers, as arrays: scikit-learn checks them itself."""

OTHERS = {name: cls for name, cls in ESTIMATORS.items() if name not in ARRAYS}
"""Those that take something else, trees or sequences of items, which no check of scikit-learn can make."""

QUICK: dict[str, Any] = {"hidden_layer_sizes": 6, "max_iter": 3, "random_state": 0}


def classifier(**changes: Any) -> saiki.RNNClassifier:
    return saiki.RNNClassifier(**(QUICK | changes))


def regressor(**changes: Any) -> saiki.RNNRegressor:
    return saiki.RNNRegressor(**(QUICK | changes))


def quick(name: str, **changes: Any) -> Any:
    """Return a small estimator of any kind."""
    small = QUICK | {"n_units": 6, "embedding_size": 4}
    return ESTIMATORS[name](**{k: v for k, v in small.items() if k in ESTIMATORS[name]().get_params()} | changes)


MAKERS = [classifier, regressor]


def ragged(rng: np.random.Generator, n: int = 40, longest: int = 6) -> tuple[list[Array], Array, Array]:
    """Return sequences of different lengths, the same padded with NaN, and their lengths."""
    lengths = rng.integers(1, longest + 1, size=n)
    lengths[:2] = longest, 1
    sequences = [rng.standard_normal((length, 2)) for length in lengths]
    padded = np.full((n, longest + 2, 2), np.nan)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return sequences, padded, lengths


def named(value: Any) -> str:
    """Return a name for a case that is the same in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))[:80]


class Expressions(NamedTuple):
    """Expressions such as ``(("and", "true"), ("not", "false"))``.

    Attributes:
        trees: nested tuples.
        truths: for each node, in reading order, whether it is true; None for what is no expression, such as "not".
    """

    trees: list[Any]
    truths: list[list[bool | None]]

    @property
    def values(self) -> list[bool | None]:
        """Whether each expression is true."""
        return [truths[0] for truths in self.truths]


def expressions(rng: np.random.Generator, n: int = 24, deepest: int = 3) -> Expressions:
    """Return some of all kinds, the first of them with every token."""

    def drawn(depth: int) -> tuple[Any, list[bool | None]]:
        kind = int(rng.integers(4)) if depth else 0
        if kind < 2:
            truth = bool(rng.integers(2))
            return str(truth).lower(), [truth]
        below, under = drawn(depth - 1)
        if kind == 2:
            return ("not", below), [not under[0], None, *under]
        beside, right = drawn(depth - 1)
        name = ("and", "or")[int(rng.integers(2))]
        truth = bool(under[0] and right[0]) if name == "and" else bool(under[0] or right[0])
        return ((name, below), beside), [truth, None, None, *under, *right]

    first = (("and", ("not", "false")), (("or", "true"), "false"))
    both: list[tuple[Any, list[bool | None]]] = [
        (first, [True, None, None, True, None, False, True, None, None, True, False]),
        ("false", [False]),
        *(drawn(deepest) for _ in range(n - 2)),
    ]
    return Expressions([tree for tree, _ in both], [truths for _, truths in both])


def sentences(rng: np.random.Generator, n: int = 24) -> tuple[list[list[str]], list[Any]]:
    """Return sentences of a small grammar, and their trees as nested tuples; the first has one word."""

    def noun(depth: int = 0) -> Any:
        return ("big", noun(depth + 1)) if depth < 2 and rng.random() < 0.3 else "cat" if rng.random() < 0.5 else "dog"

    def phrase() -> Any:
        return ("the", noun()) if rng.random() < 0.7 else "it"

    trees = ["it", *((phrase(), ("sees", phrase()) if rng.random() < 0.8 else "runs") for _ in range(n - 1))]
    return [words_of(tree) for tree in trees], trees


def words_of(tree: Any) -> list[str]:
    """Return the leaves of nested tuples, left to right."""
    return [tree] if isinstance(tree, str) else [word for part in tree for word in words_of(part)]


def _numbers(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.standard_normal((12, 5, 2)), np.arange(12) % 2


def _trees(rng: np.random.Generator) -> tuple[Any, Any]:
    found = expressions(rng, 12)
    return found.trees, [int(bool(value)) for value in found.values]


DATA: dict[str, Callable[[np.random.Generator], tuple[Any, Any]]] = {
    "step": _numbers,
    "node": _trees,
    "item": lambda rng: sentences(rng, 12),
}


def data_for(name: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return what an estimator takes, found by what it calls the rows of an example."""
    words = getattr(ESTIMATORS[name], "_words", None)
    return DATA["step" if words is None else words.row](rng)
