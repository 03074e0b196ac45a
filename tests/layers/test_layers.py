"""What single layers do, against slow and obvious ways."""

import numpy as np
import pytest

import saiki
from saiki.arrays import Array

ROUNDING = 1e-13  # sums of a few dozen products in another order


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolution_is_the_obvious_loop(stride: int, padding: int, dilation: int, rng: np.random.Generator) -> None:
    layer = saiki.Conv1D(2, 3, 3, stride, padding, dilation, "tanh")
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    X, lengths = rng.standard_normal((3, 9, 2)), [9, 6, 2]
    Y, _, _ = layer.forward(params, X, lengths=lengths)
    assert Y.shape[1] == saiki.conv_output_size(9, 3, stride, padding, dilation)
    for i, n in enumerate(lengths):
        for t in range(Y.shape[1]):
            at = [stride * t + dilation * k - padding for k in range(3)]
            if at[-1] > n + padding - 1:
                assert not Y[i, t].any()
                continue
            sums = sum((X[i, s] @ params["W"][k] for k, s in enumerate(at) if 0 <= s < n), params["b"])
            np.testing.assert_allclose(Y[i, t], np.tanh(sums), atol=ROUNDING)


def test_the_quiz_of_the_first_note() -> None:
    assert saiki.conv_output_size((5, 5), (3, 3), stride=2, padding=1) == (3, 3)
    assert saiki.conv_output_size(5, 3, stride=2, padding=1) == 3
    assert saiki.conv_output_size((8, 9, 10), (3, 1, 2), (1, 2, 3), 0, (2, 1, 1)) == (4, 5, 3)
    assert saiki.conv_output_size(2, 5) == 0


def test_lengths_shrink_with_the_time_axis_and_reach_the_loss(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.Conv1D(1, 2, 2, stride=2), saiki.SimpleRNN(2, 3), saiki.Dense(3, 1)])
    params, X = net.init(rng), rng.standard_normal((2, 8, 1))
    y = np.zeros((2, 4))
    y[1, 2:] = 1e6  # beyond the second sequence's 5 // 2 = 2 steps
    ragged, _ = net.loss_and_gradients(params, X, y, "squared_error", lengths=[8, 5])
    parts = [
        net.loss_and_gradients(params, X[i : i + 1, :n], y[i : i + 1, : n // 2], "squared_error")[0]
        for i, n in ((0, 8), (1, 5))
    ]
    assert ragged == pytest.approx((4 * parts[0] + 2 * parts[1]) / 6)


def test_readouts_read_what_exists(rng: np.random.Generator) -> None:
    X, lengths = rng.standard_normal((3, 5, 2)) - 5, [5, 2, 0]

    def read(kind: str) -> Array:
        return saiki.Readout(kind).forward({}, X, lengths=lengths)[0]

    for i, n in enumerate(lengths[:2]):
        np.testing.assert_array_equal(read("last")[i], X[i, n - 1])
        np.testing.assert_allclose(read("mean")[i], X[i, :n].mean(axis=0), atol=ROUNDING)
        np.testing.assert_array_equal(read("max")[i], X[i, :n].max(axis=0))
    for kind in ("last", "mean", "max"):
        assert not read(kind)[2].any()
    np.testing.assert_array_equal(read("each")[0], X[0])


def test_dropout_only_while_training_and_keeps_the_mean() -> None:
    layer, X = saiki.Dropout(0.25), np.ones((100, 10, 20))
    np.testing.assert_array_equal(layer.forward({}, X)[0], X)
    Y, _, _ = layer.forward({}, X, rng=np.random.default_rng(0))
    assert set(np.unique(Y)) == {0, 1 / 0.75}
    assert Y.mean() == pytest.approx(1, abs=0.02)  # 20,000 draws: a standard error of 0.004
    assert (Y[:, :1] != Y).any()
    same, _, _ = saiki.Dropout(0.25, same_over_time=True).forward({}, X, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(same, np.broadcast_to(same[:, :1], same.shape))
    assert (same != same[:1]).any()


def test_layer_norm_normalises(rng: np.random.Generator) -> None:
    layer = saiki.LayerNorm(50)
    Y, _, _ = layer.forward(layer.init(rng), rng.standard_normal((3, 4, 50)) * 7 + 3)
    np.testing.assert_allclose(Y.mean(axis=-1), 0, atol=ROUNDING)
    np.testing.assert_allclose(Y.std(axis=-1), 1, atol=1e-5)  # epsilon


def test_an_embedding_sums_the_gradients_of_a_token() -> None:
    layer, X = saiki.Embedding(3, 2), np.array([[[0], [2], [0]]])
    params = {"W": np.arange(6.0).reshape(3, 2)}
    Y, _, tape = layer.forward(params, X)
    np.testing.assert_array_equal(Y[0], params["W"][[0, 2, 0]])
    np.testing.assert_array_equal(layer.backward(params, tape, np.ones((1, 3, 2)))["W"], [[2, 2], [0, 0], [1, 1]])


@pytest.mark.parametrize("token", [-1, 3, 0.5])
def test_tokens_out_of_range_are_errors(token: float) -> None:
    layer = saiki.Embedding(3, 2)
    with pytest.raises(saiki.ArgumentError, match="X must hold tokens, whole numbers from 0 to 2; got"):
        layer.forward(layer.init(np.random.default_rng(0)), [[[token]]])


def test_bad_descriptions() -> None:
    with pytest.raises(saiki.ArgumentError, match=r"rate must be a number from 0 up to, but not, 1; got 1\.0"):
        saiki.Dropout(1.0)
    with pytest.raises(saiki.ArgumentError, match="recurrent_dropout must be 0 for mingru cells, which have no Wh"):
        saiki.Recurrent("mingru", 2, 3, recurrent_dropout=0.5)
    with pytest.raises(saiki.ArgumentError, match=r"kind must be one of 'last', 'mean', 'max', 'each'; got 'first'"):
        saiki.Readout("first")
    with pytest.raises(saiki.ArgumentError, match="n_reversed goes with the readout 'last'; got 'mean'"):
        saiki.Readout("mean", n_reversed=2)
    with pytest.raises(saiki.ArgumentError, match="stride must be a whole number of at least 1; got 0"):
        saiki.Conv1D(2, 3, 3, stride=0)
    with pytest.raises(saiki.ShapeError, match="kernel_size must have one number for each of the 2 dimensions"):
        saiki.conv_output_size((5, 5), (3, 3, 3))
    with pytest.raises(saiki.ArgumentError, match="epsilon must be a positive, finite number; got 0"):
        saiki.LayerNorm(3, epsilon=0)
    with pytest.raises(saiki.ArgumentError, match="layer must be a recurrent layer that reads forwards"):
        saiki.Bidirectional(saiki.LSTM(2, 3, reverse=True))
    with pytest.raises(saiki.ArgumentError, match=r"layers\[1\]: Recurrent needs the time axis; put it before"):
        net = saiki.Network([saiki.Readout("last"), saiki.LSTM(2, 3)])
        net.forward(net.init(np.random.default_rng(0)), np.ones((1, 2, 2)))


def test_states_in_the_wrong_form_are_errors() -> None:
    layer = saiki.LSTM(2, 3)
    params, X = layer.init(np.random.default_rng(0)), np.ones((1, 2, 2))
    with pytest.raises(saiki.ShapeError, match=r"state must be the tuple \(h, c\) .* lstm cells; got ndarray"):
        layer.forward(params, X, np.zeros((1, 3)))
    with pytest.raises(saiki.ShapeError, match=r"state c must be \(n_sequences, n_units\) = \(1, 3\); got \(1, 2\)"):
        layer.forward(params, X, (np.zeros((1, 3)), np.zeros((1, 2))))
    with pytest.raises(saiki.DtypeError, match="X: float64, state h: float32"):
        layer.forward(params, X, (np.zeros((1, 3), np.float32), np.zeros((1, 3))))
    _, _, tape = layer.forward(params, X)
    with pytest.raises(saiki.DtypeError, match="dH: float64, dstate h: float32"):
        layer.backward(params, tape, np.ones((1, 2, 3)), (np.zeros((1, 3), np.float32), np.zeros((1, 3))))
    both = saiki.Bidirectional(layer)
    with pytest.raises(saiki.ShapeError, match="state must be a tuple with the state of the forward"):
        both.forward(both.init(np.random.default_rng(0)), X, np.zeros((1, 3)))
    with pytest.raises(saiki.ArgumentError, match="tape must be what this layer's forward returned third; got dict"):
        layer.backward(params, {}, np.ones((1, 2, 3)))  # type: ignore[arg-type]


def test_a_network_hands_everything_to_its_layers(rng: np.random.Generator) -> None:
    net = saiki.Network(
        [saiki.Dropout(0.5), saiki.SimpleRNN(2, 8, recurrent_dropout=0.5), saiki.Dropout(0.5), saiki.Dense(8, 1)]
    )
    params, X, y = net.init(rng), rng.standard_normal((3, 6, 2)), rng.standard_normal((3, 6))

    def loss(**more: object) -> tuple[float, Array]:
        value, grads = net.loss_and_gradients(params, X, y, "squared_error", **more)  # type: ignore[arg-type]
        return float(value), grads["1/Wh"]

    plain = loss()
    dropped, again, other = (loss(rng=np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert dropped[0] == again[0] != other[0] != plain[0]
    assert not np.array_equal(loss(tbptt=2)[1], plain[1])
    assert loss(state=(None, np.ones((3, 8)), None, None))[0] != plain[0]
    with pytest.raises(saiki.ArgumentError, match="engine must be one of"):
        loss(engine="warp")
    for rate in (0.0, 0.5):  # a rate of zero is no dropout
        assert saiki.Network([saiki.Network([saiki.Dropout(rate)]), saiki.Dense(2, 1)]).has_dropout == bool(rate)
    assert saiki.Network([saiki.Bidirectional(saiki.GRU(2, 3, recurrent_dropout=0.1))]).has_dropout


def test_sizes_pass_through_layers_that_change_none() -> None:
    with pytest.raises(saiki.ShapeError, match=r"layers\[2\] must take 3 features, as come from before it; it takes 4"):
        saiki.Network([saiki.SimpleRNN(2, 3), saiki.Dropout(0.1), saiki.Dense(4, 1)])


def test_the_last_step_of_a_reversed_direction_is_its_first() -> None:
    for before, reversed_features in ((saiki.Bidirectional(saiki.LSTM(2, 3)), 3), (saiki.LSTM(2, 3, reverse=True), 3)):
        with pytest.raises(saiki.ArgumentError, match=r"layers\[2\] must be Readout\('last', n_reversed=3\)"):
            saiki.Network([before, saiki.Dropout(0.1), saiki.Readout("last")])
        saiki.Network([before, saiki.Readout("last", n_reversed=reversed_features)])
        saiki.Network([before, saiki.Readout("mean")])
    with pytest.raises(saiki.ArgumentError, match=r"layers\[1\] must be Readout\('last', n_reversed=0\)"):
        saiki.Network([saiki.LSTM(2, 3), saiki.Readout("last", n_reversed=2)])
    with pytest.raises(saiki.ShapeError, match="n_reversed must be at most the number of features, 2; got 3"):
        saiki.Readout("last", n_reversed=3).forward({}, np.ones((1, 2, 2)))


def test_padded_steps_of_a_convolution_are_no_steps() -> None:
    layer = saiki.Conv1D(1, 1, 3, padding=2)
    Y, _, _ = layer.forward(layer.init(np.random.default_rng(0)), np.ones((2, 4, 1)), lengths=[4, 0])
    assert Y[0].any()
    assert not Y[1].any()
    with pytest.raises(saiki.ArgumentError, match="kernel_size must be a whole number"):
        saiki.Conv1D(2, 3, (3,))  # type: ignore[arg-type]
