"""A forest is made of trees, or of arrays that are held to what a walk relies on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from saiki.errors import ArgumentError, ShapeError
from saiki.trees import Forest, Tree, vocabulary_of
from tests.trees.forests import random_trees


def test_the_arrays_of_a_forest_are_those_of_its_trees(rng: np.random.Generator) -> None:
    trees = [Tree(tree.parents, range(len(tree))) for tree in random_trees(30, 4, 2, rng)]
    forest = Forest.of(trees, vocabulary_of(trees))
    assert forest.lengths.tolist() == [len(tree) for tree in trees]
    for i, tree in enumerate(trees):
        nodes = slice(forest.starts[i], forest.starts[i] + len(tree))
        np.testing.assert_array_equal(forest.parents[nodes], tree.parents)
        np.testing.assert_array_equal(forest.heights[nodes], tree.heights)
        for node in range(len(tree)):
            children = tree.children[tree.child_starts[node] : tree.child_starts[node + 1]]
            np.testing.assert_array_equal(forest.places[nodes][children], np.arange(len(children)))
    order = rng.permutation(len(trees))
    chosen, again = forest.select(order), Forest.of([trees[i] for i in order], vocabulary_of(trees))
    for one, other in zip(chosen.arrays(), again.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"heights": [0, 0, 0, 0]}, ArgumentError, "heights must be 0 at leaves"),
        ({"heights": [2, 0, 0, 0]}, ArgumentError, "heights must be 0 at leaves"),
        ({"parents": [-1, 0, 0, 0]}, ArgumentError, "parents must be numbers within each tree, and -1 at its one root"),
        ({"parents": [-1, 0, 3, -1]}, ArgumentError, "parents must be numbers within each tree"),
        ({"parents": [-1, -2, 0, -1]}, ArgumentError, "parents must be numbers within each tree"),
        ({"parents": [-1, 2, 1, -1]}, ArgumentError, "heights must be 0 at leaves"),
        ({"places": [0, 0, 0, 0]}, ArgumentError, "places must number the children of each node from 0"),
        ({"places": [0, 0, 2, 0]}, ArgumentError, "places must number the children of each node from 0"),
        ({"places": [0, 0, -1, 0]}, ArgumentError, "places must number the children of each node from 0"),
        ({"has_input": [True]}, ShapeError, r"has_input must have a row for each of the 4 nodes; got shape \(1,\)"),
        ({"inputs": [0, 1, 2, 3]}, ShapeError, r"inputs must have a row for each of the 4 nodes; got shape \(4,\)"),
        ({"lengths": [3, 2]}, ShapeError, "parents must have a row for each of the 5 nodes"),
    ],
)
def test_arrays_of_no_trees_are_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    forest = Forest.of([Tree.from_nested(("a", "b")), Tree.from_nested("c")], {"a": 0, "b": 1, "c": 2})
    with pytest.raises(error, match=message):
        replace(forest, **{name: np.array(value) for name, value in changes.items()})
