"""Truncated backpropagation through time, against the slow and obvious way: cut the sequence and carry the state."""

import numpy as np
import pytest

import saiki
from saiki.cells import CELLS

ROUNDING = 1e-12  # the same sums in another order


@pytest.mark.parametrize("window", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("cell", CELLS)
def test_a_window_is_a_piece_whose_state_is_carried_and_whose_gradient_is_not(
    cell: str, window: int, rng: np.random.Generator
) -> None:
    layer, T, lengths = saiki.Recurrent(cell, 2, 3), 7, np.array([7, 4, 0, 6])
    params = {k: rng.standard_normal(v.shape) * 0.5 for k, v in layer.init(rng).items()}
    X, dY = rng.standard_normal((4, T, 2)), rng.standard_normal((4, T, 3))
    dY = np.where(np.arange(T)[None, :, None] < lengths[:, None, None], dY, 0)
    _, _, tape = layer.forward(params, X, lengths=lengths)
    truncated = layer.backward(params, tape, dY, tbptt=window)

    total = {k: np.zeros_like(v) for k, v in params.items()}
    state = None
    for start in range(0, T, window):
        piece = slice(start, start + window)
        rest = np.clip(lengths - start, 0, len(range(T)[piece]))
        _, state, tape = layer.forward(params, X[:, piece], state, rest)
        grads = layer.backward(params, tape, dY[:, piece])
        np.testing.assert_allclose(truncated.X[:, piece], grads.X, atol=ROUNDING)
        total = {k: total[k] + grads[k] for k in total}
    for k in params:
        np.testing.assert_allclose(truncated[k], total[k], atol=ROUNDING)


def test_the_gradient_of_a_final_state_reaches_a_sequence_that_ends_at_a_window(rng: np.random.Generator) -> None:
    layer = saiki.SimpleRNN(1, 2)
    params, X = layer.init(rng), rng.standard_normal((2, 4, 1))
    _, final, tape = layer.forward(params, X, lengths=[4, 2])
    truncated = layer.backward(params, tape, np.zeros((2, 4, 2)), final, tbptt=2)
    full = layer.backward(params, tape, np.zeros((2, 4, 2)), final)
    np.testing.assert_array_equal(truncated.X[1], full.X[1])
    assert not truncated.X[0, :2].any()
    assert full.X[0, :2].any()


def test_the_error_shrinks_with_the_window(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(1, 4), saiki.Dense(4, 1)])
    params, X, y = net.init(rng), rng.standard_normal((16, 12, 1)), rng.standard_normal((16, 12))
    one, all_steps = (saiki.truncation_error(net, params, X, y, k, "squared_error") for k in (1, 12))
    assert one.cosine < all_steps.cosine == pytest.approx(1)
    assert all_steps.relative_norm == pytest.approx(1)


def test_a_window_must_hold_a_step(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(1, 4), saiki.Dense(4, 1)])
    with pytest.raises(saiki.ArgumentError, match="tbptt must be a whole number of at least 1; got 0"):
        saiki.truncation_error(net, net.init(rng), np.ones((1, 2, 1)), np.ones((1, 2)), 0, "squared_error")


def test_both_numbers_and_every_argument(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(1, 4), saiki.Dense(4, 1)])
    params, X, y = net.init(rng), rng.standard_normal((6, 9, 1)), rng.standard_normal((6, 9))
    more = {
        "lengths": [9, 4, 2, 7, 0, 1],
        "sample_weight": rng.uniform(0.5, 2, 6),
        "state": (rng.standard_normal((6, 4)), None),
    }
    flat = []
    for window in (2, None):
        _, grads = net.loss_and_gradients(params, X, y, "huber", tbptt=window, **more)  # type: ignore[arg-type]
        flat.append(np.concatenate([grads[k].ravel() for k in params]))
    found = saiki.truncation_error(net, params, X, y, 2, "huber", **more)  # type: ignore[arg-type]
    assert found.relative_norm == pytest.approx(np.linalg.norm(flat[0]) / np.linalg.norm(flat[1]))
    assert found.cosine == pytest.approx(flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1]))
    turned = saiki.truncation_error(net, params, X, y, 2, "huber")
    assert turned != found
    with pytest.raises(saiki.ArgumentError, match="network must be a Network; got Recurrent"):
        saiki.truncation_error(net.layers[0], params, X, y, 2)  # type: ignore[arg-type]
