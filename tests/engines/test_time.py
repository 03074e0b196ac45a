"""What time means: carried state, direction, lengths of zero; against slow, obvious loops."""

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.engines import ENGINES

# Batched and single products may sum in another order: a few float64 roundings on values near 1.
ROUNDING = 1e-12

T = 6
LENGTHS = np.array([3, 6, 0, 1, 6])
Case = tuple[saiki.Recurrent, Params, Array, str]


@pytest.fixture(params=[(cell, engine) for cell in CELLS for engine in ENGINES], ids=lambda p: "-".join(p))
def case(request: pytest.FixtureRequest, rng: np.random.Generator) -> Case:
    cell, engine = request.param
    layer = saiki.Recurrent(cell, 2, 3)
    params = {k: 0.5 * rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    return layer, params, rng.standard_normal((len(LENGTHS), T, 2)), engine


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
            np.testing.assert_allclose(H[i, t], now, atol=ROUNDING)
        np.testing.assert_allclose(state[i], now, atol=ROUNDING)


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


def test_the_final_state_is_that_of_the_last_existing_step(case: Case) -> None:
    layer, params, X, engine = case
    H, final, _ = layer.forward(params, X, lengths=LENGTHS, engine=engine)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(parts(final)[0][i], H[i, n - 1] if n else 0)


@pytest.mark.parametrize("cuts", [(2,), (1, 2, 3, 4, 5)], ids=["two pieces", "step by step"])
def test_carried_state_makes_pieces_one_whole(case: Case, cuts: tuple[int, ...]) -> None:
    layer, params, X, engine = case
    H, state, _ = layer.forward(params, X, engine=engine)
    pieces, last = [], None
    for piece in np.split(X, cuts, axis=1):
        outputs, last, _ = layer.forward(params, piece, last, engine=engine)
        pieces.append(outputs)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), H, atol=ROUNDING)
    for one, other in zip(parts(state), parts(last), strict=True):
        np.testing.assert_allclose(one, other, atol=ROUNDING)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["equal", "ragged"])
@pytest.mark.parametrize("cell", CELLS)
def test_reverse_is_each_sequence_turned_round(cell: str, lengths: Array | None, rng: np.random.Generator) -> None:
    forwards, reverse = saiki.Recurrent(cell, 2, 3), saiki.Recurrent(cell, 2, 3, reverse=True)
    params, X = forwards.init(rng), rng.standard_normal((len(LENGTHS), T, 2))

    def turned(batch: Array) -> Array:
        result = batch.copy()
        for i, n in enumerate([T] * len(batch) if lengths is None else lengths):
            result[i, :n] = batch[i, :n][::-1]
        return result

    H, state, _ = forwards.forward(params, X, lengths=lengths)
    H2, state2, _ = reverse.forward(params, turned(X), lengths=lengths)
    np.testing.assert_array_equal(H, turned(H2))
    for one, other in zip(parts(state), parts(state2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bidirectional_is_both_directions_side_by_side(rng: np.random.Generator) -> None:
    both = saiki.Bidirectional(saiki.LSTM(2, 3))
    params, X = both.init(rng), rng.standard_normal((len(LENGTHS), T, 2))
    H, states, _ = both.forward(params, X, lengths=LENGTHS)
    for way, reverse, part in (("forward", False, H[..., :3]), ("backward", True, H[..., 3:])):
        layer = saiki.LSTM(2, 3, reverse=reverse)
        own = {k.removeprefix(f"{way}/"): v for k, v in params.items() if k.startswith(way)}
        alone, state, _ = layer.forward(own, X, lengths=LENGTHS)
        np.testing.assert_array_equal(part, alone)
        for one, other in zip(states[int(reverse)], state, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_last_readout_of_both_directions_is_their_final_state(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.Bidirectional(saiki.GRU(2, 3)), saiki.Readout("last", n_reversed=3)])
    params, X = net.init(rng), rng.standard_normal((len(LENGTHS), T, 2))
    Y, ((forward, backward), _), _ = net.forward(params, X, lengths=LENGTHS)
    np.testing.assert_array_equal(Y, np.concatenate([forward, backward], axis=1))


def test_a_learnt_initial_state_is_used_where_none_is_given(rng: np.random.Generator) -> None:
    learnt, plain = saiki.LSTM(2, 3, learn_initial=True), saiki.LSTM(2, 3)
    params = {k: rng.standard_normal(v.shape) for k, v in learnt.init(rng).items()}
    own = {k: v for k, v in params.items() if k not in ("h0", "c0")}
    X = rng.standard_normal((4, T, 2))
    state = tuple(np.tile(params[k], (4, 1)) for k in ("h0", "c0"))
    np.testing.assert_array_equal(learnt.forward(params, X)[0], plain.forward(own, X, state)[0])
    zero = tuple(np.zeros((4, 3)) for _ in range(2))
    np.testing.assert_array_equal(learnt.forward(params, X, zero)[0], plain.forward(own, X)[0])


def test_recurrent_dropout_hides_the_same_units_at_every_step(rng: np.random.Generator) -> None:
    layer = saiki.SimpleRNN(1, 50, recurrent_dropout=0.5)
    params = layer.init(rng) | {"Wx": np.ones((1, 50)), "Wh": np.eye(50)}
    H, _, _ = layer.forward(params, np.ones((1, 5, 1)), rng=np.random.default_rng(0))
    alone = np.tanh(1.0)  # a unit that does not see itself
    seen = np.isclose(H[0, 1], np.tanh(1 + 2 * alone))
    np.testing.assert_allclose(H[0, 1:, ~seen], alone)
    assert 10 < seen.sum() < 40
    plain, _, _ = layer.forward(params, np.ones((1, 5, 1)))
    np.testing.assert_allclose(plain[0, 1], np.tanh(1 + alone))


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(saiki.ArgumentError, match="engine must be one of 'reference'"):
        saiki.SimpleRNN(2, 3).forward({}, np.zeros((1, 1, 2)), engine="warp")
