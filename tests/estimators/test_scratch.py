"""The course's class: its equations, its loss, its initializers, and the small experiment of the note."""

from typing import Any

import numpy as np
import pytest

import saiki
from tests.layers import test_notes as notes


def test_the_small_experiment_of_the_note() -> None:
    model = saiki.ScratchSimpleRNNClassifier(n_nodes=4, output="each")
    model.rnn_params_ = dict(notes.PARAMS)
    np.testing.assert_allclose(model.forward(notes.X)[0], notes.H, atol=notes.EXACT)
    for _ in range(2):  # backward changes nothing
        grads = model.backward(notes.DH[None])
        np.testing.assert_allclose(grads["Wx"], notes.DWX, atol=notes.EXACT)
        np.testing.assert_allclose(grads["b"], notes.DB, atol=notes.EXACT)
        np.testing.assert_allclose(grads.X[0], notes.DX, atol=notes.EXACT)
    last = saiki.ScratchSimpleRNNClassifier(n_nodes=4)
    last.rnn_params_ = dict(notes.PARAMS)
    np.testing.assert_allclose(last.forward(notes.X), notes.H[None, -1], atol=notes.EXACT)
    only = np.zeros_like(notes.DH)
    only[-1] = notes.DH[-1]
    np.testing.assert_allclose(last.backward(notes.DH[None, -1])["Wh"], _dwh(model, only), atol=notes.EXACT)


def _dwh(model: saiki.ScratchSimpleRNNClassifier, dH: Any) -> Any:
    return model.backward(dH[None])["Wh"]


@pytest.mark.parametrize("output", ["last", "each"])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
@pytest.mark.parametrize("initializer", ["simple", "xavier", "he"])
def test_it_learns(output: Any, optimizer: Any, initializer: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 4, 2))
    y = np.where(X[:, :, 0] > 0, "up", "down") if output == "each" else np.where(X[:, -1, 0] > 0, "up", "down")
    model = saiki.ScratchSimpleRNNClassifier(
        16, "tanh", output, initializer, 0.1, optimizer, 0.1, epochs=120, batch_size=8, random_state=0
    )
    model.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert model.score(X[60:], y[60:]) > 0.6
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == 120
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    assert model.predict_proba(X).shape == (*y.shape, 2)
    assert saiki.check_gradients(model, X, y).worst < 1e-10


def test_it_agrees_with_the_classifier_of_the_house(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((40, 5, 2)), np.arange(40) % 3
    scratch = saiki.ScratchSimpleRNNClassifier(6, optimizer="sgd", lr=0.1, epochs=4, random_state=7).fit(X, y)
    own = saiki.RNNClassifier(
        "simple", 6, solver="sgd", learning_rate="constant", learning_rate_init=0.1, alpha=0, clip_norm=None,
        max_iter=4, tol=0, scale_inputs=False, random_state=7,
    ).fit(X, y)  # fmt: skip
    np.testing.assert_allclose(scratch.predict_proba(X), own.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_nodes": 0}, "n_nodes must be"),
        ({"activation": "soft"}, "activation must be one of"),
        ({"output": "mean"}, "output must be one of 'last', 'each'"),
        ({"initializer": "glorot"}, "initializer must be one of 'simple', 'xavier', 'he'"),
        ({"sigma": 0}, "sigma must be"),
        ({"optimizer": "adam"}, "optimizer must be one of 'sgd', 'adagrad'"),
        ({"lr": -1}, "lr must be a positive"),
        ({"epochs": 0}, "epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=message):
        saiki.ScratchSimpleRNNClassifier(**changes).fit(np.ones((4, 3, 1)), [0, 1, 0, 1])


def test_wrong_input(rng: np.random.Generator) -> None:
    X = rng.standard_normal((4, 3, 1))
    model = saiki.ScratchSimpleRNNClassifier(epochs=1)
    with pytest.raises(saiki.ShapeError, match="one length, at least one step; for others use RNNClassifier"):
        model.fit([np.ones((2, 1)), np.ones((3, 1))], [0, 1])
    with pytest.raises(saiki.ShapeError, match="one label for each of the 4 sequences"):
        model.fit(X, [0, 1, 0])
    with pytest.raises(ValueError, match="Call forward before backward"):
        model.fit(X, [0, 1, 0, 1]).backward(np.ones((4, 32)))
    model.forward(X)
    with pytest.raises(saiki.ShapeError, match=r"dA must have the shape of what forward returned, \(4, 32\)"):
        model.backward(np.ones((4, 3, 32)))
    steps = saiki.ScratchSimpleRNNClassifier(output="each", epochs=1)
    with pytest.raises(saiki.ShapeError, match="a label for each step"):
        steps.fit(X, [0, 1, 0, 1])
