"""The microscope: its numbers add up, and are what finite differences say."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.explain.microscope import QUANTITIES
from saiki.layers import Bidirectional, Conv1D, Dense, Layer, Network, Readout, Recurrent
from saiki.layers.layer import map_state
from saiki.losses import evaluate, evaluate_parts
from tests.estimators.data import ESTIMATORS, QUICK, ragged
from tests.layers.test_ladder import EXAMPLES, draw

EXACT = 1e-12  # the same sums in another order
CENTRAL = 1e-7  # central differences with a step of 1e-5: the third derivative times 1e-10, and rounding of 1e-11

LENGTHS = [3, 7, 0, 1]


def drawn(model: Layer, rng: np.random.Generator) -> Params:
    return draw(model, rng, 1, 1)[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_shares_of_the_steps_add_up_to_the_gradient(name: str, rng: np.random.Generator) -> None:
    model = EXAMPLES[name]
    params, X = draw(model, rng, 4, 7)
    Y, _, tape = model.forward(params, X, lengths=LENGTHS, engine="reference")
    y = rng.standard_normal(Y.shape)
    seen = saiki.trace(model, X, y, params, lengths=LENGTHS)
    loss, dY = evaluate("squared_error", Y, y, tape.output_lengths)
    grads = model.backward(params, tape, dY)
    assert seen.loss == pytest.approx(loss, rel=EXACT)
    assert seen.losses.sum() == pytest.approx(loss, rel=EXACT)
    assert seen.gradients.keys() == seen.shares.keys() == grads.keys()
    for key, share in seen.shares.items():
        assert share.shape[1:] == params[key].shape
        np.testing.assert_allclose(seen.gradients[key], grads[key], atol=EXACT)
        np.testing.assert_allclose(share.sum(axis=0), grads[key], atol=EXACT)


def part_of(params: Params, first: int, last: int) -> Params:
    """Return the parameters of some layers of a network, numbered from 0."""
    numbered = {name: name.split("/", 1) for name in params}
    return {f"{int(i) - first}/{key}": params[name] for name, (i, key) in numbered.items() if first <= int(i) < last}


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


def simple(n_in: int, **options: Any) -> Recurrent:
    return Recurrent("simple", n_in, 2, **options)


READ: dict[str, list[Layer]] = {
    "each step": [simple(2), Dense(2, 1, "sigmoid")],
    "a stack": [simple(2), Recurrent("mgu", 2, 2), Dense(2, 1)],
    "backwards": [simple(2, reverse=True), Recurrent("lstm", 2, 2), Dense(2, 2)],
    "forwards, then backwards": [Recurrent("lstm", 2, 2), simple(2, reverse=True, learn_initial=True), Dense(2, 1)],
    "both ways": [Bidirectional(Recurrent("gru", 2, 2)), Dense(4, 1)],
    "both ways above": [simple(2), Bidirectional(simple(2)), Dense(4, 1)],
    "the last": [Recurrent("gru", 2, 2), Readout("last"), Dense(2, 2)],
    "the last of both ways": [Bidirectional(simple(2)), simple(4), Readout("last"), Dense(2, 2)],
    "the last of each way": [simple(2), Bidirectional(simple(2)), Readout("last", n_reversed=2), Dense(4, 1)],
    "the mean": [simple(2), Readout("mean"), Dense(2, 2, "tanh")],
    "the largest": [Recurrent("indrnn", 2, 2, reverse=True), Readout("max"), Dense(2, 2)],
    "between convolutions": [Conv1D(2, 2, 2), simple(2), Conv1D(2, 2, 3, stride=2, padding=1), simple(2), Dense(2, 1)],
    **{f"{cell} cells": [Recurrent(cell, 2, 2), Dense(2, 1)] for cell in CELLS},
}


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


def test_the_lag_matrix_of_a_layer_above_is_that_of_the_network_above(rng: np.random.Generator) -> None:
    net = Network([Recurrent("gru", 2, 3), Recurrent("lstm", 3, 2), Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
    seen = saiki.trace(net, X, y, params, lengths=LENGTHS)
    above = {f"{int(name[0]) - 1}{name[1:]}": value for name, value in params.items() if name[0] != "0"}
    alone = saiki.trace(Network(net.layers[1:]), seen.layers[0].h, y, above, lengths=LENGTHS)
    np.testing.assert_allclose(seen.layers[1].lag_matrix, alone.lag_matrix, atol=EXACT)
    np.testing.assert_allclose(seen.layers[1].delta, alone.layers[0].delta, atol=EXACT)


def test_one_loss_after_another_and_many_at_once_reach_alike(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Network([Bidirectional(simple(2)), Recurrent("lstm", 4, 2), Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
    state = ((rng.standard_normal((4, 2)), None), (rng.standard_normal((4, 2)), rng.standard_normal((4, 2))), None)
    at_once = saiki.trace(net, X, y, params, lengths=LENGTHS, state=state)
    for most in (1, 3000):  # one at a time, three at a time
        monkeypatch.setattr("saiki.explain.lags.MOST_NUMBERS", most)
        singly = saiki.trace(net, X, y, params, lengths=LENGTHS, state=state)
        for one, other in zip(singly.layers, at_once.layers, strict=True):
            np.testing.assert_allclose(one.lag_matrix, other.lag_matrix, atol=EXACT)


@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_keeps_the_quantities_of_its_equations(cell: str, rng: np.random.Generator) -> None:
    net = Network([Recurrent(cell, 2, 3), Dense(3, 1, "sigmoid")])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.uniform(size=(4, 7))
    seen = saiki.trace(net, X, y, params, lengths=LENGTHS, loss="squared_error")
    (layer,) = seen.layers
    exists = (np.arange(7) < np.array(LENGTHS)[:, None])[..., None]
    kind = CELLS[cell]
    G, H = len(kind.gates), 3
    np.testing.assert_array_equal(layer.inputs, X * exists)
    assert layer.a.shape == layer.delta.shape == (4, 7, G * H)
    assert list(layer.gates) == list(kind.saved)
    assert list(layer.states) == list(kind.states)
    h_before = np.concatenate([layer.initial["h"][:, None], layer.h[:, :-1]], axis=1)
    seen_by = {"h_prev": h_before, **layer.gates}
    for stage in kind.stages:
        before = {f"{s}_prev": np.concatenate([layer.initial[s][:, None], v[:, :-1]], axis=1)
                  for s, v in layer.states.items()}  # fmt: skip
        now = {**layer.forward, **before, **{name: params[f"0/{name}"] for name in kind.vectors}}
        values = stage.forward(*(now[name] for name in stage.takes))
        for name, value in zip(stage.returns, values if isinstance(values, tuple) else (values,), strict=True):
            np.testing.assert_allclose(layer[name], value * exists, atol=EXACT)
        for gate in stage.gates:
            r, g = kind.recurrent.index(gate), kind.gates.index(gate)
            linear = seen_by[stage.sees] @ params["0/Wh"][:, r * H : (r + 1) * H]
            name = f"a_{gate}" if gate else "a"
            if name in layer.forward:
                linear = linear + (X @ params["0/Wx"] + params["0/b"])[..., g * H : (g + 1) * H]
                np.testing.assert_allclose(layer[name], linear * exists, atol=EXACT)
            else:
                linear = linear + params["0/bh"][kind.apart.index(gate) * H :][:H]
                np.testing.assert_allclose(layer[f"h_{gate}"], linear * exists, atol=EXACT)
    y_hat = seen.outputs
    np.testing.assert_allclose(y_hat, exists / (1 + np.exp(-seen.v)), atol=EXACT)
    np.testing.assert_allclose(seen.delta_out, (y_hat - y[..., None]) * y_hat * (1 - y_hat) * exists / 11, atol=EXACT)
    np.testing.assert_allclose(layer["dh_out"], seen.delta_out @ params["1/W"].T, atol=EXACT)


def test_the_equations_of_the_notes_hold(rng: np.random.Generator) -> None:
    """delta_t has two terms: the step's own output error, and what comes back from the step after."""
    net = Network([Recurrent("simple", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    seen = saiki.trace(net, X, y, params)
    layer, Wh, W = seen.layers[0], params["0/Wh"], params["1/W"]
    after = np.concatenate([layer.delta[:, 1:], np.zeros((2, 1, 3))], axis=1)
    delta = (seen.delta_out @ W.T + after @ Wh.T) * (1 - layer.h**2)
    np.testing.assert_allclose(layer.delta, delta, atol=EXACT)
    np.testing.assert_allclose(layer["dh_out"], seen.delta_out @ W.T, atol=EXACT)
    np.testing.assert_allclose(layer["dh_time"], after @ Wh.T, atol=EXACT)
    np.testing.assert_allclose(layer["dh"], layer["dh_out"] + layer["dh_time"], atol=EXACT)
    np.testing.assert_allclose(seen.shares["0/Wx"], np.einsum("btf,bth->tfh", X, delta), atol=EXACT)
    assert layer.spectral_radius[""] == pytest.approx(np.abs(np.linalg.eigvals(Wh)).max())


def test_steps_and_quantities_can_be_chosen(rng: np.random.Generator) -> None:
    net = Network([Recurrent("lstm", 2, 3), Recurrent("simple", 3, 2, reverse=True), Dense(2, 2)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7, 2))
    whole = saiki.trace(net, X, y, params)
    for steps, at in (
        ([6, 0, -2], [0, 5, 6]),
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -3), [0, 3, 6]),
        (iter([2]), [2]),
    ):
        some = saiki.trace(net, X, y, params, steps=steps)
        assert some.steps.tolist() == at
        assert some.loss == whole.loss
        for name in ("outputs", "losses", "v", "delta_out"):
            np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[:, at])
        for one, other in zip(some.layers, whole.layers, strict=True):
            np.testing.assert_array_equal(one.a, other.a[:, at])
            np.testing.assert_array_equal(one.delta, other.delta[:, at])
            np.testing.assert_allclose(one.lag_matrix, other.lag_matrix[np.ix_(at, at)], atol=EXACT)
        for name in params:
            np.testing.assert_allclose(some.shares[name], whole.shares[name][at], atol=EXACT)
            np.testing.assert_array_equal(some.gradients[name], whole.gradients[name])
    few = saiki.trace(net, X, y, params, quantities=["states"])
    np.testing.assert_array_equal(few.layers[0].states["c"], whole.layers[0].states["c"])
    asks: list[Callable[[], Any]] = [
        lambda: few.layers[0].delta,
        lambda: few.lag_matrix,
        lambda: few.shares["0/Wx"],
        lambda: few.layers[0]["inputs"],
    ]
    for ask in asks:
        with pytest.raises(saiki.ArgumentError, match=r"this trace has no .*\. .*kept is chosen by quantities="):
            ask()
    assert "h" in few.text()


def test_truncation_cuts_what_comes_back(rng: np.random.Generator) -> None:
    net = Network([simple(2), Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((1, 6, 2)), rng.standard_normal((1, 6))
    full, cut = (saiki.trace(net, X, y, params, tbptt=window) for window in (None, 2))
    window = np.arange(6) // 2
    np.testing.assert_allclose(cut.lag_matrix, full.lag_matrix * (window[:, None] == window), atol=EXACT)
    _, grads = net.loss_and_gradients(params, X, y, "squared_error", tbptt=2)
    np.testing.assert_allclose(cut.shares["0/Wh"].sum(axis=0), grads["0/Wh"], atol=EXACT)


def test_the_mean_by_lag_is_over_the_steps_with_a_loss(rng: np.random.Generator) -> None:
    net = Network([simple(2), Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5))
    y[:, [0, 3]] = np.nan
    seen = saiki.trace(net, X, y, params)
    rows = [1, 2, 4]
    for lag in range(5):
        pairs = [seen.lag_matrix[s, s - lag] for s in rows if s >= lag]
        assert seen.norm_by_lag[lag] == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)
    read = Network([simple(2), Readout("last"), Dense(2, 1)])
    last = saiki.trace(read, X, y[:, 1], drawn(read, rng))
    np.testing.assert_array_equal(last.norm_by_lag, last.lag_matrix[-1, ::-1])
    assert not last.lag_matrix[:-1].any()


@pytest.mark.parametrize("output", ["last", "each"])
@pytest.mark.parametrize("name", [name for name, kind in ESTIMATORS.items() if hasattr(kind, "network_problem")])
def test_a_fitted_estimator_is_traced_on_its_own_data(name: str, output: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 5, 2))
    y = rng.integers(2, size=(12, 5) if output == "each" else 12)
    known = ESTIMATORS[name]().get_params()
    estimator = ESTIMATORS[name](output=output, **{k: v for k, v in QUICK.items() if k in known}).fit(X, y)
    before = {key: value.copy() for key, value in estimator.network_problem().params.items()}
    seen = saiki.trace(estimator, X, y)
    problem = estimator.network_problem(X, y)
    loss, grads = problem.network.loss_and_gradients(
        problem.params, problem.X, problem.y, problem.loss, problem.lengths, problem.sample_weight, engine="reference"
    )
    assert seen.loss == pytest.approx(loss, rel=EXACT)
    for key in before:
        np.testing.assert_allclose(seen.shares[key].sum(axis=0), grads[key], atol=EXACT)
        np.testing.assert_array_equal(estimator.network_problem().params[key], before[key])


def test_ragged_sequences_of_an_estimator(rng: np.random.Generator) -> None:
    sequences, padded, lengths = ragged(rng)
    regressor = saiki.RNNRegressor(**QUICK).fit(sequences, lengths)
    one, other = saiki.trace(regressor, sequences, lengths), saiki.trace(regressor, padded, lengths, lengths=lengths)
    np.testing.assert_array_equal(one.layers[0].delta, other.layers[0].delta)
    assert one.lengths.tolist() == lengths.tolist()


def test_frames_are_tidy(rng: np.random.Generator) -> None:
    import pandas as pd
    import polars as pl

    net = Network([Recurrent("gru", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
    seen = saiki.trace(net, X, y, params, lengths=LENGTHS)
    frame = seen.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["layer", "quantity", "sequence", "t", "unit", "value"]
    row = frame[(frame.quantity == "dx_n") & (frame.sequence == 1) & (frame.t == 5) & (frame.unit == 2)]
    assert row.value.tolist() == [seen.layers[0]["dx_n"][1, 4, 2]]
    assert (frame[frame.quantity == "h"].groupby("sequence").t.max()).to_dict() == {0: 3, 1: 7, 3: 1}
    assert frame[frame.quantity == "loss"].value.sum() == pytest.approx(seen.loss)
    shares = seen.to_frame("shares", backend="polars")
    assert isinstance(shares, pl.DataFrame)
    total = shares.filter(parameter="0/Wh", row=1, column=8)["value"].sum()
    assert total == pytest.approx(seen.gradients["0/Wh"][1, 8])
    lags = seen.to_frame("lags", backend="pyarrow").to_pandas()
    assert lags[(lags.loss_t == 6) & (lags.t == 2)].norm.tolist() == [seen.lag_matrix[5, 1]]
    with pytest.raises(saiki.ArgumentError, match="what must be one of 'quantities', 'shares', 'lags'; got 'lag'"):
        seen.to_frame("lag")
    with pytest.raises(saiki.ArgumentError, match="backend must be one of 'pandas'"):
        seen.to_frame(backend="excel")


def numbers(text: str, name: str) -> list[list[float]]:
    """Return the numbers that follow a name, of every line that has it."""
    found = re.findall(rf"(?:^| ){re.escape(name)} +((?:-?[\d.][\d.e+-]*(?: +|$))+)", text, re.MULTILINE)
    return [[float(number) for number in line.split()] for line in found]


def test_the_text_is_a_worked_example(rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4))
    seen = saiki.trace(net, X, y, params)
    assert str(seen) == seen.text(0)
    text = seen.text(1)
    assert f"E = {seen.loss:.6g}, squared error" in text
    layer = seen.layers[0]
    above, forward, back, of_steps, lags = re.split(r"\n(?:forward|backward|gradients|lags).*\n", text)
    for name, values in {"x": X, "a": layer.a, "v": seen.v}.items():
        np.testing.assert_allclose(numbers(forward, name), values[1], rtol=1e-3)
    np.testing.assert_allclose(numbers(forward, "h"), [np.zeros(3), *layer.h[1]], rtol=1e-3)
    np.testing.assert_allclose([float(n) for n in re.findall(r"target (\S+)", forward)], y[1], rtol=1e-3)
    assert re.findall(r"t = (\d) ", back) == ["4", "3", "2", "1"]
    for name, quantity in {"da": "da", "dh, outputs": "dh_out", "dh, time": "dh_time"}.items():
        np.testing.assert_allclose(numbers(back, name), layer[quantity][1, ::-1], rtol=1e-3)
    for name, share in seen.shares.items():
        norms = [*np.linalg.norm(share.reshape(4, -1), axis=1), np.linalg.norm(seen.gradients[name])]
        np.testing.assert_allclose(numbers(of_steps, name), [norms], rtol=1e-2)
    for s in range(4):
        (row,) = numbers(lags.split("mean")[0], str(s + 1))[-1:]
        np.testing.assert_allclose(row, seen.lag_matrix[s, : s + 1], rtol=1e-2)
    beside = [line.split("|") for line in above.splitlines() if "|" in line]
    rows = np.concatenate([seen.gradients[name].reshape(-1, params[name].shape[-1])[:, :1] for name in params])
    np.testing.assert_allclose([float(right.split()[0]) for _, right in beside], rows[:, 0], rtol=1e-3)
    assert len(text.splitlines()) < 90  # a page


def test_names_and_numbers_never_touch(rng: np.random.Generator) -> None:
    net = Network([Bidirectional(Recurrent("gru", 2, 2)), Recurrent("lstm", 4, 2), Dense(2, 1)])
    X, y = rng.standard_normal((1, 1001, 2)) * 30, rng.standard_normal((1, 1001))
    text = saiki.trace(net, X, y, drawn(net, rng), steps=[0, 1000], quantities=["a", "inputs", "delta"]).text()
    assert "t = 1001  0/forward x" in text
    for name in ("0/backward dh, time", "1 dc, time", "1 a_i"):
        assert re.search(rf"{name} +-?\d", text), name
    assert "of all" not in text
    both = saiki.trace(net, np.repeat(X, 2, axis=0), np.repeat(y, 2, axis=0), drawn(net, rng), steps=[0]).text()
    assert "gradients of all 2 sequences" in both
    assert "over all 2 sequences" in both


def test_the_text_says_what_classes_and_estimators_are_held_to(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((12, 5, 2)), np.array(["down", "up", "level"] * 4)
    text = str(saiki.trace(saiki.RNNClassifier(**QUICK).fit(X, y), X, y))
    assert "as the network of the RNNClassifier has them" in text
    ((*shares,),) = numbers(text, "p")
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert "p = softmax(y)" in text
    assert "delta_out = (p, less 1 at the class of the target) / 12" in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_model_can_be_read(name: str, rng: np.random.Generator) -> None:
    model = EXAMPLES[name]
    params, X = draw(model, rng, 4, 7)
    Y, _ = model.predict(params, X, engine="reference")
    text = saiki.trace(model, X, rng.standard_normal(Y.shape), params).text(3, units=2)
    assert "E = " in text
    assert "nan" not in text


def test_long_and_wide_traces_are_cut(rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 30), Dense(30, 1)])
    X, y = rng.standard_normal((1, 300, 2)), rng.standard_normal((1, 300))
    text = str(saiki.trace(net, X, y, net.init(rng), quantities=["states", "shares"]))
    assert "..." in text.splitlines()
    assert "25 more" in text
    assert len(text.splitlines()) < 150


def test_bad_arguments(rng: np.random.Generator) -> None:
    net = Network([simple(2), Dense(2, 1)])
    params, X, y = net.init(rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    for arguments, message in (
        ({"params": None}, "params must be given with a network or layer"),
        ({"quantities": ["a", "gate"]}, "quantities must be one of 'inputs', .*got 'gate'. Did you mean 'gates'"),
        ({"quantities": "states"}, "quantities must be a list"),
        ({"steps": [5]}, "steps must be indices of the 5 steps, from 0, at least one; got 5"),
        ({"steps": [-6]}, "steps must be a whole number of at least -5; got -6"),
        ({"steps": 3}, r"steps must be a slice or a list of indices; got 3. Try \[3\]"),
        ({"steps": slice(5, 9)}, "at least one; got none of them"),
        ({"tbptt": 0}, "tbptt must be a whole number of at least 1"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"y": y[:, :3]}, "y must have the shape of the outputs"),
        ({"X": X[0]}, "X must be"),
        ({"model": "lstm"}, "model must be a network, a layer or an estimator; got str"),
    ):
        whole: dict[str, Any] = {"model": net, "X": X, "y": y, "params": params} | arguments
        with pytest.raises(saiki.ArgumentError, match=message):
            saiki.trace(**whole)
    seen = saiki.trace(net, X, y, params)
    with pytest.raises(saiki.ArgumentError, match="sequence must be one of the 2 traced, from 0; got 2"):
        seen.text(2)
    dense = saiki.trace(Dense(2, 1), X, y, {"W": np.ones((2, 1)), "b": np.ones(1)})
    with pytest.raises(saiki.ArgumentError, match="layer must be below 0, the number of recurrent layers"):
        _ = dense.lag_matrix


def test_every_quantity_can_be_had_alone(rng: np.random.Generator) -> None:
    net = Network([Recurrent("lstm", 2, 2), Dense(2, 1)])
    params, X, y = net.init(rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    for name in QUANTITIES:
        seen = saiki.trace(net, X, y, params, quantities=[name])
        where = seen if name in ("shares", "lag_matrix") else seen.layers[0]
        assert len(getattr(where, name))
