"""Step by step is the whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from tests.estimators.data import MAKERS, classifier, named


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("output", ["last", "each"])
@pytest.mark.parametrize("cell", ["gru", "lstm", ["lstm", "simple"]], ids=named)
def test_step_by_step_is_the_whole(
    make: Callable[..., Any], output: str, cell: Any, rng: np.random.Generator, tmp_path: Any
) -> None:
    X = 50 + 10 * rng.standard_normal((20, 6, 2))
    y = X[:, :, 0] > 50 if output == "each" else X[:, -1, 0] > 50
    model = make(cell=cell, output=output, hidden_layer_sizes=[4, 3][: len(cell) if isinstance(cell, list) else 1])
    model.fit(X, y)
    whole = model.predict(X)
    one, all_of_them = None, None
    for t in range(6):
        value, one = model.step(X[3, t], one)
        values, all_of_them = model.step(X[:, t], all_of_them)
        np.savez(tmp_path / "state.npz", **one)
        one = dict(np.load(tmp_path / "state.npz"))
        expected = whole[:, t] if output == "each" else model.predict(X[:, : t + 1])
        np.testing.assert_allclose(values, expected, rtol=1e-9)
        np.testing.assert_allclose(value, expected[3], rtol=1e-9)
    if make is classifier:
        probability = model.step_proba(X[3, 0])[0]
        np.testing.assert_allclose(probability, model.step_proba(X[:, 0])[0][3])
        np.testing.assert_allclose(probability.sum(), 1)


def test_streams_that_cannot_be(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 4, 2))
    y = np.arange(8) % 2
    model = classifier().fit(X, y)
    with pytest.raises(saiki.ShapeError, match=r"x must be the features of one step, \(2,\), or"):
        model.step(np.ones(3))
    with pytest.raises(saiki.ArgumentError, match="x must be finite"):
        model.step([1.0, np.nan])
    with pytest.raises(saiki.ArgumentError, match="state must be None or the dict that step returned, with"):
        model.step(X[0, 0], {"h": np.zeros((1, 6))})
    with pytest.raises(saiki.ShapeError, match="a row for each of the 3 streams"):
        model.step(X[:3, 0], model.step(X[0, 0])[1])
    for changes in ({"bidirectional": True}, {"conv": (3, 3)}, {"output": "mean"}):
        with pytest.raises(saiki.ArgumentError, match="runs step by step"):
            classifier(**changes).fit(X, y).step(X[0, 0])
    assert classifier().fit(X[:, :, :1], y).step(0.5)[0] in (0, 1)
