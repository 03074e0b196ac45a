"""What is wrong with trees, or with what comes beside them, is named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.trees import Tree
from tests.estimators.test_trees import EACH, classifier, regressor

BAD: list[tuple[Callable[[], Any], Any, str]] = [
    (
        lambda: classifier().fit(["a", (1, "b")], "uv"),
        saiki.ShapeError,
        "y must hold one entry for each tree; got 'uv'",
    ),
    (lambda: classifier().fit(["a", "b"], 3), saiki.ShapeError, "one entry for each tree"),
    (lambda: classifier().fit(["(a b)", "c"], [[0, 1, 0], [1]]), saiki.ShapeError, "several sizes.*use output='each'"),
    (lambda: regressor().fit(["(a b)", "c"], [[0, 1, 0], [1]]), saiki.ShapeError, "several sizes.*use output='each'"),
    (
        lambda: classifier().fit(["c", "c"], [[0, 1], [1, 1]]),
        saiki.ShapeError,
        "one label for each tree.*'each'",
    ),
    (lambda: classifier(**EACH).fit(["c", "c"], [0, 1]), saiki.ShapeError, "y must hold one for each node"),
    (
        lambda: classifier(**EACH).fit([("a", "b"), ("c", "d")], [[0, 0, 0], [1, 1]]),
        saiki.ShapeError,
        r"tree 1 has 3 nodes, and y\[1\] has shape \(2,\)",
    ),
    (
        lambda: classifier(**EACH).fit([("c", "d")], [[0, 1, 1]], sample_weight=[[1, 1]]),
        saiki.ShapeError,
        r"tree 0 has 3 nodes, and sample_weight\[0\] has shape \(2,\)",
    ),
    (
        lambda: classifier().fit(["a", ("c", "d")], [0, 1], sample_weight=[[1], [1, 1]]),
        saiki.ShapeError,
        r"sample_weight must have shape \(2,\); got a list for each tree.*use output='each'",
    ),
    (
        lambda: classifier().fit(Tree([-1], ["a"]), [0]),
        saiki.ArgumentError,
        r"got one tree. For one tree give \[tree\]",
    ),
    (lambda: classifier().fit("(a b)", [0]), saiki.ArgumentError, r"got one tree. For one tree give \[tree\]"),
    (
        lambda: classifier().fit(np.ones((3, 2)), [0, 1, 0]),
        saiki.ArgumentError,
        r"X\[0\] must be a Tree, nested tuples",
    ),
    (lambda: classifier().fit([3], [0]), saiki.ArgumentError, "got 3. A tree of one leaf is saiki.Tree.from_nested"),
    (lambda: classifier().fit(["(a (b"], [0]), saiki.ArgumentError, r"X\[0\] must close every bracket"),
    (lambda: classifier().fit([("a", ())], [0]), saiki.ArgumentError, r"X\[0\]\[1\] must have something in it"),
    (
        lambda: classifier().fit(["a", (np.ones(2), np.ones(2))], [0, 1]),
        saiki.ShapeError,
        r"X must hold trees of one kind.*X\[1\] has vectors of 2, float64, and X\[0\] tokens",
    ),
    (
        lambda: classifier().fit([(np.ones(2),), (np.ones(2, np.float32),)], [0, 1]),
        saiki.ShapeError,
        r"X\[0\] has vectors of 2, float64, and X\[1\] vectors of 2, float32",
    ),
    (lambda: classifier().fit([(np.ones(2), np.ones(2) * np.nan)], [0]), saiki.ArgumentError, r"X\[0\]\[1\].*finite"),
    (lambda: classifier().fit([(np.ones(2) * 1j,)], [0]), saiki.DtypeError, r"X\[0\] must hold real numbers"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_is_wrong_is_named(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_tokens_of_which_none_is_known_are_warned_of() -> None:
    model = saiki.TreeRNNClassifier(max_iter=1, hidden_layer_sizes=2).fit([(1, 2), (2, 1)], [0, 1])
    with pytest.warns(saiki.UnknownTokensWarning, match="got '1', and those of fit are 1, 2, .* two tokens"):
        model.predict([("1", "2")])
    assert len(model.predict([(1, "2")])) == 1


def test_a_tree_without_labels_may_be_none() -> None:
    model = saiki.TreeRNNClassifier(output="each", max_iter=2, hidden_layer_sizes=2, random_state=0)
    X, y = [("a", "b"), ("b", "a")], [["c", "d", "e"], None]
    with_none = model.fit(X, y).params_
    alone = model.fit(X, [y[0], [None] * 3]).params_
    for name, param in alone.items():
        np.testing.assert_array_equal(with_none[name], param)
