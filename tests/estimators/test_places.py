"""A message names the place in what the user handed in, not in an array made of it."""

import re
from typing import Any

import numpy as np
import pytest

import saiki
from tests.estimators.data import classifier, quick, regressor


def refuses(place: str, call: Any, *given: Any, **more: Any) -> None:
    with pytest.raises(saiki.ArgumentError, match=re.escape(place)):
        call(*given, **more)


@pytest.mark.parametrize("lengths", [None, [2, 0, 4, 3, 1]])
def test_places_in_a_padded_array(lengths: Any, rng: np.random.Generator) -> None:
    X, labels = rng.standard_normal((5, 4, 2)), [0, 1, 0, 1, 0]
    wrong = X.copy()
    wrong[3, 1, 0] = np.nan
    says = "X must be finite; got nan at index [3, 1, 0] (1 in all)"
    refuses(says, classifier().fit, wrong, labels, lengths=lengths)
    refuses(says, classifier().fit(X, labels).predict, wrong, lengths=lengths)
    refuses(says, saiki.SequenceScaler().fit, wrong, lengths=lengths)
    y, weight = rng.standard_normal((5, 4)), np.ones((5, 4))
    y[3, 1], weight[2, 3] = np.inf, -1
    each = {"X": X, "lengths": lengths}
    refuses("y must be finite; got inf at index [3, 1]", regressor(output="each").fit, y=y, **each)
    whole = np.where(np.isinf(y), np.inf, 1.0)
    refuses("y must be finite; got inf at index [3, 1]", classifier(output="each").fit, y=whole, **each)
    refuses(
        "sample_weight must not be negative; got -1.0 at index [2, 3]",
        regressor(output="each").fit, y=np.ones((5, 4)), sample_weight=weight, **each,
    )  # fmt: skip
    weight[2, 3] = np.nan
    refuses(
        "sample_weight must be finite; got nan at index [2, 3]",
        classifier(output="each").fit, y=np.ones((5, 4)), sample_weight=weight, **each,
    )  # fmt: skip


def test_places_in_one_feature_without_an_axis(rng: np.random.Generator) -> None:
    X = rng.standard_normal((5, 4))
    X[3, 1] = np.inf
    refuses("X must be finite; got inf at index [3, 1] (", classifier().fit, X, [0, 1, 0, 1, 0])


def test_places_in_a_list(rng: np.random.Generator) -> None:
    X = [rng.standard_normal((n, 2)) for n in (2, 4, 3)]
    wrong = [x.copy() for x in X]
    wrong[2][1, 0] = np.nan
    refuses("X[2] must be finite; got nan at index [1, 0]", classifier().fit, wrong, [0, 1, 0])
    refuses("X[2] must be finite; got nan at index [1]", classifier().fit, [x[:, 0] for x in wrong], [0, 1, 0])
    y, weight = (
        [[0.0, 1.0], [0.0, None, 1.0, 1.0], [1.0, np.inf, 0.0]],
        [np.ones(2), np.ones(4), np.array([1, 1, -2.0])],
    )
    for model in (classifier(output="each"), regressor(output="each")):
        refuses("y[2] must be finite; got inf at index [1]", model.fit, X, y)
        labels = [np.zeros(n) for n in (2, 4, 3)]
        labels[0][0] = 1
        says = "sample_weight[2] must not be negative; got -2.0 at index [2]"
        refuses(says, model.fit, X, labels, sample_weight=weight)


def test_places_of_targets(rng: np.random.Generator) -> None:
    X = rng.standard_normal((4, 3, 1))
    refuses("y must be finite; got inf at index [2]", classifier().fit, X, [np.nan, 0.0, np.inf, 1.0])
    refuses("y must be finite; got inf at index [2]", classifier().fit, X, [None, 0.0, np.inf, 1])
    refuses("y must be finite; got -inf at index [2, 1]", regressor().fit, X, [[1, 2], [3, 4], [5, -np.inf], [7, 8]])
    refuses("got -3.0 at index [1]", classifier().fit, X, [0, 1, 0, 1], sample_weight=[1, -3, 1, 1])


def test_an_empty_sequence_says_nothing_of_the_others(rng: np.random.Generator) -> None:
    steps = rng.standard_normal((3, 2))
    empties: list[Any] = [[], np.zeros(0), np.zeros((0, 2))]
    for empty in empties:
        for X in ([empty, steps, steps], [steps, empty, steps], [empty, empty, steps]):
            assert classifier().fit(X, [0, 1, 0]).n_features_in_ == 2
            assert len(regressor(output="each").fit(X, [np.zeros(len(x)) for x in X]).predict(X)) == 3
    refuses("X[2] must be (n_steps, n_features) with as many features as X[1], 2; got (3, 1).",
        classifier().fit, [[], steps, steps[:, :1]], [0, 1, 0])  # fmt: skip
    refuses("X[0] must be (n_steps, n_features) with as many features as X[1], 2; got (0, 3).",
        classifier().fit, [np.zeros((0, 3)), steps], [0, 1])  # fmt: skip


def test_places_in_trees() -> None:
    one, wrong = np.ones(2), np.array([1, np.nan])
    for name in ("TreeRNNClassifier", "TreeRNNRegressor"):
        refuses("X[1]", quick(name).fit, [(one, one), (one, (wrong, one))], [0, 1])
        refuses("at index [1]", quick(name).fit, [(one, one), (one, (wrong, one))], [0, 1])
        model = quick(name, output="each")
        refuses("y[1] must be finite; got inf at index [2]", model.fit, ["a", ("a", "b")], [[0.0], [1.0, 0.0, np.inf]])
    items = [np.ones((2, 2)), np.array([[1, 2], [np.nan, 1]])]
    refuses("X[1] must be finite; got nan at index [1, 0]", quick("ParserNetwork").fit, items, [("a", "b")] * 2)
