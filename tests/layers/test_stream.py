"""A stream gives step by step what a prediction gives at once."""

import pickle

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.layers import Bidirectional, Dense, Dropout, LayerNorm, Network, Readout, Recurrent
from saiki.layers.layer import Layer

LAYERS: dict[str, Layer] = {
    "one layer": saiki.GRU(3, 5),
    "a state of two": saiki.LSTM(3, 5),
    "a network": Network([saiki.LSTM(3, 5), Dropout(0.1), saiki.SimpleRNN(5, 4), Dense(4, 2)]),
    "the last step": Network([saiki.GRU(3, 5), Readout("last"), Dense(5, 2)]),
    "not at once": Network([saiki.GRU(3, 4, learn_initial=True), LayerNorm(4), Dense(4, 2)]),
    "no memory": Dense(3, 2, "tanh"),
}


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_step_by_step(name: str, dtype: type, engine: str, rng: np.random.Generator) -> None:
    layer = LAYERS[name]
    params = layer.init(rng, dtype=dtype)
    X: Array = rng.standard_normal((2, 6, 3)).astype(dtype)
    stream, states = saiki.Stream(layer, params, engine), [None, None]
    params = {name: param.copy() for name, param in params.items()}
    for t in range(6):
        for i in range(2):  # two sequences in turns
            y, states[i] = stream.step(X[i, t], states[i])
            expected, _ = layer.predict(params, X[i : i + 1, : t + 1], engine="reference")
            np.testing.assert_allclose(y, expected[0, -1] if expected.ndim == 3 else expected[0], atol=1e-5)
            assert y.dtype == dtype


def test_the_parameters_are_those_of_the_beginning(rng: np.random.Generator) -> None:
    layer = saiki.GRU(3, 5)
    params = layer.init(rng)
    stream, x = saiki.Stream(layer, params), np.ones(3)
    before, _ = stream.step(x)
    params["Wx"][...] = 0
    np.testing.assert_array_equal(stream.step(x)[0], before)


def test_what_cannot_be_a_stream() -> None:
    for layer in (
        Bidirectional(saiki.GRU(2, 3)),
        Network([saiki.GRU(2, 3), Readout("mean")]),
        Recurrent("gru", 2, 3, reverse=True),
        saiki.Conv1D(2, 3, 2),
    ):
        with pytest.raises(saiki.ArgumentError, match="layer must be one that runs step by step"):
            saiki.Stream(layer, layer.init(np.random.default_rng(0)))


def test_bad_steps() -> None:
    layer = saiki.LSTM(2, 3)
    stream = saiki.Stream(layer, layer.init(np.random.default_rng(0)))
    with pytest.raises(saiki.ArgumentError, match="x must be the features of one step"):
        stream.step(np.zeros((1, 2)))
    with pytest.raises(saiki.ShapeError, match=r"x must be the features of one step .* shape \(2,\); got \(3,\)"):
        stream.step(np.zeros(3))
    with pytest.raises(saiki.ArgumentError, match="x must be finite; got nan"):
        stream.step(np.full(2, np.nan))
    with pytest.raises(saiki.ShapeError, match=r"state must be the tuple \(h, c\)"):
        stream.step(np.zeros(2), np.zeros((1, 3)))
    with pytest.raises(
        saiki.ArgumentError, match=r"layer must be a layer or network; got .* Try Stream\(net, params\)"
    ):
        saiki.Stream(saiki.LSTM, {})  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="params must have the keys"):
        saiki.Stream(layer, {})


def test_a_state_of_ones_own_is_checked_and_then_as_quick(rng: np.random.Generator) -> None:
    net = Network([saiki.LSTM(2, 3), Dense(3, 1)])
    params, x = net.init(rng), rng.standard_normal(2)
    stream, state = saiki.Stream(net, params), ((np.ones((1, 3)), np.ones((1, 3))), None)
    y, after = stream.step(x, state)
    np.testing.assert_allclose(y, net.predict(params, x[None, None], state, engine="reference")[0][0, 0], atol=1e-14)
    for bad, message in (
        (np.ones((1, 3)), "state must be a tuple with the state of each of the 2 layers"),
        ((np.ones((1, 3)), None), r"state must be the tuple \(h, c\)"),
        (((np.full((1, 3), np.nan), np.ones((1, 3))), None), "state h must be finite"),
    ):
        with pytest.raises(saiki.SaikiError, match=message):
            stream.step(x, bad)
    stream.step(x, after)
    copy = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(copy.step(x, after)[0], stream.step(x, after)[0])
