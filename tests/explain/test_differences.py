"""Every delta, lag and share of the microscope against slow and obvious ways to have them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.layers import Bidirectional, Dense, Network, Readout, Recurrent
from saiki.layers.layer import map_state
from saiki.losses import evaluate, evaluate_parts
from tests.explain.models import EXACT, LENGTHS, READ, drawn, part_of, simple

CENTRAL = 1e-7  # central differences with a step of 1e-5: the third derivative times 1e-10, and rounding of 1e-11


def by_differences(
    net: Network, params: Params, X: Array, y: Array, state: Any, name: str, lengths: list[int] | None
) -> tuple[Array, Array]:
    """Return the lag matrix of a layer, and its delta, by moving one number of one pre-activation at a time.

    What is added to a pre-activation comes in as one more feature, whose weights are the identity. After a readout,
    what a step adds to the loss is, to first order, its outputs times the gradient with respect to them.
    """
    index, _, way = name.partition("/")
    i = int(index)
    H, ends = X, None if lengths is None else np.array(lengths)
    if i:
        H, _, tape = Network(net.layers[:i]).forward(part_of(params, 0, i), X, state[:i], lengths, "reference")
        ends = tape.output_lengths
    first = net.layers[i]
    inner = first.layer if isinstance(first, Bidirectional) else first
    assert isinstance(inner, Recurrent)
    GH, step = len(inner.cell.gates) * inner.n_units, 1e-5
    wider = replace(inner, n_features=inner.n_features + GH)
    top = [Bidirectional(wider) if isinstance(first, Bidirectional) else wider, *net.layers[i + 1 :]]
    wide = part_of(params, i, len(net.layers))
    for key in [key for key in wide if key.startswith("0/") and key.endswith("Wx")]:
        wide[key] = np.concatenate([wide[key], np.eye(GH) * (key == f"0/{way}/Wx".replace("//", "/"))])
    cut = next((j for j, layer in enumerate(top) if isinstance(layer, Readout)), len(top))
    head, tail = Network(top[:cut]), top[cut:]
    of_head, of_tail = part_of(wide, 0, cut), part_of(wide, cut, len(top))
    B, T = H.shape[:2]

    def outputs(more: Array) -> tuple[Array, Any]:
        inputs = np.concatenate([H, more], axis=2)
        Y, _, tape = head.forward(of_head, inputs, state[i : i + cut], ends, "reference")
        return Y, tape.output_lengths

    Y, after = outputs(np.zeros((B, T, GH)))
    if tail:
        read, _, of_readout = tail[0].forward({}, Y, None, after, "reference")
        rest, of_rest = Network(tail[1:]), part_of(of_tail, 1, len(tail))
        said, _, tape = rest.forward(of_rest, read[:, None], engine="reference")  # as one step
        d_said = rest.backward(of_rest, tape, evaluate("squared_error", said, y[:, None])[1]).X[:, 0]
        d_read = tail[0].backward({}, of_readout, d_said).X

    def losses(more: Array) -> Array:
        Y, after = outputs(more)
        if not tail:
            values, _, weights = evaluate_parts("squared_error", Y, y, after)
        return (Y * d_read if tail else values * weights).sum(axis=(0, -1))

    squares, delta = np.zeros((Y.shape[1], T)), np.zeros((B, T, GH))
    for b, t, k in np.ndindex(B, T, GH):
        moved = np.zeros((B, T, GH))
        moved[b, t, k] = step
        slopes = (losses(moved) - losses(-moved)) / (2 * step)
        squares[:, t] += slopes**2
        delta[b, t, k] = slopes.sum()
    return np.sqrt(squares), delta


@pytest.mark.parametrize("lengths", [LENGTHS, None])
@pytest.mark.parametrize("read", READ)
def test_the_lag_matrix_and_delta_are_what_finite_differences_say(
    read: str, lengths: list[int] | None, rng: np.random.Generator
) -> None:
    net = Network(READ[read])
    params, X = drawn(net, rng), rng.standard_normal((4, 7, 2))
    Y, final = net.predict(params, X, lengths=lengths, engine="reference")
    y, state = rng.standard_normal(Y.shape), map_state(lambda part: rng.standard_normal(part.shape), final)
    y[0] = np.nan
    seen = saiki.trace(net, X, y, params, lengths=lengths, state=state)
    for layer in seen.layers:
        matrix, delta = by_differences(net, params, X, y, state, layer.name, lengths)
        assert matrix.max() > 1e-4  # or the test could not tell
        np.testing.assert_allclose(layer.lag_matrix, matrix, atol=CENTRAL * max(1, matrix.max()))
        np.testing.assert_allclose(layer.delta, delta, atol=CENTRAL * max(1, np.abs(delta).max()))
        beyond = np.arange(layer.h.shape[1]) >= layer.lengths[:, None]
        for values in (*layer.forward.values(), *layer.backward.values()):
            assert not values[beyond].any()


@pytest.mark.parametrize("lengths", [LENGTHS, None])
@pytest.mark.parametrize("read", READ)
def test_each_share_is_what_comes_back_times_what_went_in(
    read: str, lengths: list[int] | None, rng: np.random.Generator
) -> None:
    net = Network(READ[read])
    params, X = drawn(net, rng), rng.standard_normal((4, 7, 2))
    Y, final = net.predict(params, X, lengths=lengths, engine="reference")
    state = map_state(lambda part: rng.standard_normal(part.shape), final)
    seen = saiki.trace(net, X, rng.standard_normal(Y.shape), params, lengths=lengths, state=state)
    for layer in seen.layers:
        share = {name.removeprefix(f"{layer.name}/"): values for name, values in seen.shares.items()}
        np.testing.assert_allclose(share["Wx"], np.einsum("btf,btg->tfg", layer.inputs, layer.delta), atol=EXACT)
        np.testing.assert_allclose(share["b"], layer.delta.sum(axis=0), atol=EXACT)
        if len(layer.layer.cell.stages) == 1 and layer.layer.cell.recurrent:
            cell, T = layer.layer.cell, layer.h.shape[1]
            before = np.zeros_like(layer.h)
            for b, length in enumerate(layer.lengths):
                walked = range(length)[:: -1 if layer.layer.reverse else 1]
                for t, earlier in zip(walked, [None, *walked], strict=False):
                    before[b, t] = layer.initial["h"][b] if earlier is None else layer.h[b, earlier]
            parts = [layer[f"d{'h' if gate in cell.apart else 'a'}_{gate}".rstrip("_")] for gate in cell.recurrent]
            expected = np.einsum("bth,btg->thg", before, np.concatenate(parts, axis=-1))
            np.testing.assert_allclose(share["Wh"], expected, atol=EXACT)
            assert expected.shape[0] == T


def test_a_learnt_initial_state_has_its_share_at_the_first_step_of_each_sequence(rng: np.random.Generator) -> None:
    for reverse in (False, True):
        net = Network([simple(2, reverse=reverse, learn_initial=True), Dense(2, 1)])
        params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
        seen = saiki.trace(net, X, y, params, lengths=LENGTHS)
        share = np.zeros((7, 2))
        for b, length in enumerate(LENGTHS):
            if length:
                first = length - 1 if reverse else 0
                share[first] += seen.layers[0].delta[b, first] @ params["0/Wh"].T
        np.testing.assert_allclose(seen.shares["0/h0"], share, atol=EXACT)


def test_what_comes_back_to_the_states_of_gated_cells(rng: np.random.Generator) -> None:
    lstm, gru = (Network([Recurrent(cell, 2, 3), Dense(3, 1)]) for cell in ("lstm", "gru"))
    X, y = rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    layer = saiki.trace(lstm, X, y, drawn(lstm, rng)).layers[0]
    dc = layer["dc_time"] + layer["dh"] * layer["o"] * (1 - np.tanh(layer["c"]) ** 2)  # h = o * tanh(c)
    np.testing.assert_allclose(layer["dc_time"][:, :-1], (dc * layer["f"])[:, 1:], atol=EXACT)
    np.testing.assert_allclose(layer["da_g"], dc * layer["i"] * (1 - layer["g"] ** 2), atol=EXACT)
    assert not layer["dc_time"][:, -1].any()
    params = drawn(gru, rng)
    layer = saiki.trace(gru, X, y, params).layers[0]
    np.testing.assert_allclose(layer["dh_n"], layer["dx_n"] * layer["r"], atol=EXACT)
    recurrent = np.concatenate([layer["da_r"], layer["da_z"], layer["dh_n"]], axis=-1) @ params["0/Wh"].T
    np.testing.assert_allclose(
        layer["dh_time"][:, :-1], (recurrent + layer["dh"] * layer["z"])[:, 1:], atol=EXACT
    )  # h = ... + z * h_prev
