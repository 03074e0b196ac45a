"""What time means: lengths, carried state, padding and the order of the batch; against a slow, obvious loop."""

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.engines import ENGINES

# Batched and single products may sum in another order: a few float64 roundings on values near 1.
ROUNDING = 1e-13

T = 6
LENGTHS = np.array([3, 6, 0, 1, 6])


@pytest.fixture(params=[(cell, engine) for cell in CELLS for engine in ENGINES], ids=lambda p: "-".join(p))
def case(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple[saiki.Recurrent, Params, Array, str]:
    cell, engine = request.param
    layer = saiki.Recurrent(cell, 2, 3)
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    return layer, params, rng.standard_normal((len(LENGTHS), T, 2)), engine


Case = tuple[saiki.Recurrent, Params, Array, str]


def parts(state: object) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def test_the_simple_cell_is_the_obvious_loop(rng: np.random.Generator) -> None:
    layer = saiki.SimpleRNN(2, 3)
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    X, h = rng.standard_normal((4, T, 2)), rng.standard_normal((4, 3))
    H, state, _ = layer.forward(params, X, h)
    for i in range(4):
        now = h[i]
        for t in range(T):
            now = np.tanh(X[i, t] @ params["Wx"] + now @ params["Wh"] + params["b"])
            np.testing.assert_allclose(H[i, t], now, rtol=ROUNDING)
        np.testing.assert_allclose(state[i], now, rtol=ROUNDING)


def test_a_ragged_batch_is_its_sequences_one_by_one(case: Case) -> None:
    layer, params, X, engine = case
    H, state, tape = layer.forward(params, X, lengths=LENGTHS, engine=engine)
    grads = layer.backward(params, tape, np.ones_like(H), state)
    total = {k: np.zeros_like(v) for k, v in params.items()}
    for i, n in enumerate(LENGTHS):
        if n == 0:
            continue
        one, last, tape = layer.forward(params, X[i : i + 1, :n], engine=engine)
        alone = layer.backward(params, tape, np.ones_like(one), last)
        np.testing.assert_allclose(H[i, :n], one[0], atol=ROUNDING)
        np.testing.assert_allclose(grads.X[i, :n], alone.X[0], atol=ROUNDING)
        for whole, single in zip(parts(state), parts(last), strict=True):
            np.testing.assert_allclose(whole[i], single[0], atol=ROUNDING)
        total = {k: total[k] + alone[k] for k in total}
    for k in params:
        np.testing.assert_allclose(grads[k], total[k], atol=10 * ROUNDING)


def test_steps_beyond_the_length_do_not_exist(case: Case) -> None:
    layer, params, X, engine = case
    padded = X.copy()
    for i, n in enumerate(LENGTHS):
        padded[i, n:] = np.nan
    H, state, tape = layer.forward(params, X, lengths=LENGTHS, engine=engine)
    H2, state2, tape2 = layer.forward(params, padded, lengths=LENGTHS, engine=engine)
    np.testing.assert_array_equal(H, H2)
    grads, grads2 = (layer.backward(params, tp, np.ones_like(H)) for tp in (tape, tape2))
    for k in params:
        np.testing.assert_array_equal(grads[k], grads2[k])
    for i, n in enumerate(LENGTHS):
        assert not H[i, n:].any()
        assert not grads.X[i, n:].any()
    for one, other in zip(parts(state), parts(state2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sequence_of_length_zero_keeps_its_state(case: Case, rng: np.random.Generator) -> None:
    layer, params, X, engine = case
    _, like, _ = layer.forward(params, X, engine=engine)
    initial = tuple(rng.standard_normal(part.shape) for part in parts(like))
    state = initial if len(initial) > 1 else initial[0]
    _, final, tape = layer.forward(params, X, state, LENGTHS, engine)
    grads = layer.backward(params, tape, np.ones((len(X), T, 3)), state)
    for before, after, gradient in zip(initial, parts(final), parts(grads.state), strict=True):
        np.testing.assert_array_equal(before[2], after[2])
        np.testing.assert_array_equal(before[2], gradient[2])


def test_carried_state_makes_two_halves_one_whole(case: Case) -> None:
    layer, params, X, engine = case
    H, state, _ = layer.forward(params, X, engine=engine)
    first, middle, _ = layer.forward(params, X[:, :2], engine=engine)
    second, last, _ = layer.forward(params, X[:, 2:], middle, engine=engine)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), H, atol=ROUNDING)
    for one, other in zip(parts(state), parts(last), strict=True):
        np.testing.assert_allclose(one, other, atol=ROUNDING)


def test_the_order_of_the_batch_changes_nothing(case: Case, rng: np.random.Generator) -> None:
    layer, params, X, engine = case
    order = rng.permutation(len(X))
    H, _, tape = layer.forward(params, X, lengths=LENGTHS, engine=engine)
    H2, _, tape2 = layer.forward(params, X[order], lengths=LENGTHS[order], engine=engine)
    np.testing.assert_allclose(H[order], H2, atol=ROUNDING)
    grads, grads2 = (layer.backward(params, tp, np.ones_like(H)) for tp in (tape, tape2))
    np.testing.assert_allclose(grads.X[order], grads2.X, atol=ROUNDING)
    for k in params:
        np.testing.assert_allclose(grads[k], grads2[k], atol=10 * ROUNDING)


def test_float32_stays_float32(case: Case) -> None:
    layer, params, X, engine = case
    small = {k: v.astype(np.float32) for k, v in params.items()}
    H, state, tape = layer.forward(small, X.astype(np.float32), lengths=LENGTHS, engine=engine)
    grads = layer.backward(small, tape, np.ones_like(H))
    everything = [H, *parts(state), grads.X, *parts(grads.state), *grads.params.values()]
    assert {array.dtype for array in everything} == {np.dtype(np.float32)}
    exact, _, _ = layer.forward(params, X, lengths=LENGTHS, engine=engine)
    np.testing.assert_allclose(H, exact, atol=1e-5)  # six steps of float32 rounding, 6e-8 each, on weights of size 1


def test_no_steps_and_no_sequences(case: Case) -> None:
    layer, params, _, engine = case
    for shape in [(5, 0, 2), (0, 6, 2)]:
        H, state, tape = layer.forward(params, np.zeros(shape), engine=engine)
        grads = layer.backward(params, tape, np.zeros((*shape[:2], 3)))
        assert H.shape == (*shape[:2], 3)
        assert parts(state)[0].shape == (shape[0], 3)
        assert grads.X.shape == shape
        assert not grads["Wx"].any()


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(saiki.ArgumentError, match="engine must be one of 'reference'"):
        saiki.SimpleRNN(2, 3).forward({}, np.zeros((1, 1, 2)), engine="warp")
