"""Bad input: every message names the argument, the rule, what came, and what to do."""

from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Params, as_positive, as_share

NET = saiki.Network([saiki.SimpleRNN(2, 3), saiki.Dense(3, 1)])
PARAMS = NET.init(np.random.default_rng(0))
X, Y = np.zeros((4, 5, 2)), np.zeros((4, 5))
RNN = {k[2:]: v for k, v in PARAMS.items() if k.startswith("0/")}


def with_value(array: Any, value: float) -> Any:
    array = array.copy()
    array[1, 2, 0] = value
    return array


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"X": np.zeros((32, 10))},
            saiki.ShapeError,
            r"X must be \(n_sequences, n_steps, n_features\); got \(32, 10\). For one feature use X\[..., None\].",
        ),
        (
            {"X": np.zeros(10)},
            saiki.ShapeError,
            r"X must be \(n_sequences, n_steps, n_features\); got \(10,\)",
        ),
        (
            {"X": np.zeros((4, 5, 3))},
            saiki.ShapeError,
            "X must have 2 features, .* got 3 in shape .* make the layer for 3",
        ),
        (
            {"X": with_value(X, np.nan)},
            saiki.ArgumentError,
            r"X must be finite; got nan at index \[1, 2, 0\] \(1 in all\).*, or give lengths=",
        ),
        ({"X": with_value(X, np.inf)}, saiki.ArgumentError, "X must be finite; got inf"),
        ({"X": [["a"]]}, saiki.DtypeError, "X must hold numbers; got dtype <U1"),
        ({"X": [[1.0], [1.0, 2.0]]}, saiki.DtypeError, "X must be one array; .* Pad them"),
        ({"X": X.astype(np.float32)}, saiki.DtypeError, "one precision; got X: float32, .*float64"),
        (
            {"lengths": [1, 2, 3]},
            saiki.ShapeError,
            r"lengths must hold one number per sequence, shape \(4,\); got \(3,\)",
        ),
        (
            {"lengths": [1, 2, 3, 6]},
            saiki.ArgumentError,
            "lengths must lie between 0 and the number of steps, 5; got 6",
        ),
        ({"lengths": [1, 2, 3, -1]}, saiki.ArgumentError, "lengths must lie between 0 .* got -1"),
        (
            {"lengths": [1.5, 2, 3, 1]},
            saiki.ArgumentError,
            "lengths must be whole numbers; got dtype float64",
        ),
        (
            {"y": np.zeros((4, 4))},
            saiki.ShapeError,
            r"y must have the shape of the outputs, \(4, 5, 1\) or \(4, 5\); got",
        ),
        ({"y": np.full((4, 5), np.inf)}, saiki.ArgumentError, "y must be finite; .* NaN marks a missing target"),
        (
            {"y": np.full((4, 5), 2), "loss": "logistic"},
            saiki.ArgumentError,
            "y must lie between 0 and 1 for this loss",
        ),
        (
            {"loss": "squared"},
            saiki.ArgumentError,
            "loss must be one of 'squared_error', .* Did you mean 'squared_error'",
        ),
        (
            {"sample_weight": np.ones(3)},
            saiki.ShapeError,
            r"sample_weight must have shape \(4,\) or \(4, 5\); got \(3,\)",
        ),
        (
            {"sample_weight": [-1, 1, 1, 1]},
            saiki.ArgumentError,
            "sample_weight must not be negative; got -1",
        ),
        ({"params": {}}, saiki.ArgumentError, "params must have the keys 0/Wx, .*; missing: 0/Wh, 0/Wx"),
        (
            {"params": PARAMS | {"1/b": np.full(1, np.nan)}},
            saiki.ArgumentError,
            "must be finite; got nan",
        ),
        (
            {"params": PARAMS | {"1/b": [0.0]}},
            saiki.DtypeError,
            "must be an array of float32 or",
        ),
        ({"params": PARAMS | {"1/b": np.zeros(1, np.float16)}}, saiki.DtypeError, "float32 or float64; got float16"),
        ({"params": {3: 1.0}}, saiki.ArgumentError, "not known: 3"),
        ({"rng": 0}, saiki.ArgumentError, "rng must be a numpy Generator or None; got 0"),
        ({"tbptt": 0}, saiki.ArgumentError, "tbptt must be a whole number of at least 1; got 0"),
        ({"params": None}, saiki.ArgumentError, "params must be a dict of arrays; got NoneType"),
        (
            {"params": PARAMS | {"1/b": np.zeros(1, int)}},
            saiki.DtypeError,
            "float32 or float64; got int64",
        ),
        ({"params": PARAMS | {"2/W": 0}}, saiki.ArgumentError, "not known: 2/W"),
        (
            {"params": PARAMS | {"0/Wh": np.zeros((2, 3))}},
            saiki.ShapeError,
            r"params\['0/Wh'\] must have shape \(3, 3\)",
        ),
        (
            {"state": np.zeros((4, 3))},
            saiki.ShapeError,
            "state must be a tuple with the state of each of the 2 layers",
        ),
        (
            {"state": (np.zeros((4, 2)), None)},
            saiki.ShapeError,
            r"state h must be \(n_sequences, n_units\) = \(4, 3\); got",
        ),
        ({"state": (np.full((4, 3), np.nan), None)}, saiki.ArgumentError, "state h must be finite"),
        ({"state": (None, 1.0)}, saiki.ArgumentError, "state: Dense has none; got float"),
    ],
)
def test_bad_input_to_a_network(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {"params": PARAMS, "X": X, "y": Y, "loss": "squared_error"}
    with pytest.raises(error, match=message):
        NET.loss_and_gradients(**(good | change))


def test_bad_gradients_to_backward() -> None:
    layer = saiki.SimpleRNN(2, 3)
    _, _, tape = layer.forward(RNN, X)
    with pytest.raises(saiki.ShapeError, match=r"dH must be the shape of the outputs = \(4, 5, 3\); got \(4, 5, 2\)"):
        layer.backward(RNN, tape, np.zeros((4, 5, 2)))
    with pytest.raises(saiki.ShapeError, match=r"dstate h must be \(n_sequences, n_units\) = \(4, 3\)"):
        layer.backward(RNN, tape, np.zeros((4, 5, 3)), np.zeros((3, 3)))
    with pytest.raises(saiki.ArgumentError, match="dH must be finite; got nan"):
        layer.backward(RNN, tape, np.full((4, 5, 3), np.nan))
    with pytest.raises(saiki.ArgumentError, match="dstate h must be finite; got inf"):
        layer.backward(RNN, tape, np.zeros((4, 5, 3)), np.full((4, 3), np.inf))
    with pytest.raises(saiki.ArgumentError, match="params must have the keys"):
        layer.backward({}, tape, np.zeros((4, 5, 3)))
    with pytest.raises(saiki.ArgumentError, match=r"tape must be what this layer's .* got the tape of Rec"):
        saiki.SimpleRNN(2, 3, "relu").backward(RNN, tape, np.zeros((4, 5, 3)))
    with pytest.raises(saiki.DtypeError, match="dH: float32"):
        layer.backward(RNN, tape, np.zeros((4, 5, 3), np.float32))


def test_bad_descriptions() -> None:
    with pytest.raises(saiki.ArgumentError, match="n_units must be a whole number of at least 1; got 0"):
        saiki.SimpleRNN(2, 0)
    with pytest.raises(saiki.ArgumentError, match="n_features must be a whole number"):
        saiki.SimpleRNN(2.5, 3)  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="n_out must be a whole number"):
        saiki.Dense(2, True)
    with pytest.raises(saiki.ArgumentError, match="activation must be one of"):
        saiki.Dense(2, 1, "softmin")
    with pytest.raises(saiki.ArgumentError, match=r"layers must be a list of one or more layers; got \[\]"):
        saiki.Network([])
    with pytest.raises(saiki.ShapeError, match=r"layers\[1\] must take 3 features, as come from before it; it takes 4"):
        saiki.Network([saiki.SimpleRNN(2, 3), saiki.Dense(4, 1)])


def test_every_error_is_a_saiki_error_and_a_builtin_one() -> None:
    assert issubclass(saiki.ShapeError, ValueError)
    assert issubclass(saiki.ArgumentError, ValueError)
    assert issubclass(saiki.DtypeError, TypeError)
    assert issubclass(saiki.DivergenceError, ArithmeticError)
    for error in (saiki.ShapeError, saiki.ArgumentError, saiki.DtypeError, saiki.DivergenceError):
        assert issubclass(error, saiki.SaikiError)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_take_the_precision_of_the_parameters(dtype: type) -> None:
    params: Params = {k: v.astype(dtype) for k, v in RNN.items()}
    H, _, _ = saiki.SimpleRNN(2, 3).forward(params, np.ones((1, 2, 2), int))
    assert H.dtype == dtype


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), -1])
def test_positive_numbers_and_shares(value: Any) -> None:
    with pytest.raises(saiki.ArgumentError, match="rate must be a positive, finite number; got"):
        as_positive("rate", value)
    with pytest.raises(saiki.ArgumentError, match="rate must be a number from 0 up to, but not, 1; got"):
        as_share("rate", value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_in_states_and_gradients_take_the_precision_of_the_parameters(dtype: type) -> None:
    layer = saiki.SimpleRNN(2, 3)
    params: Params = {k: v.astype(dtype) for k, v in RNN.items()}
    H, state, tape = layer.forward(params, np.ones((1, 2, 2), int), [[1, 0, 1]])
    grads = layer.backward(params, tape, np.ones((1, 2, 3), int), [[1, 2, 3]])
    assert H.dtype == state.dtype == grads.X.dtype == grads["Wx"].dtype == dtype
