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
from saiki.layers import Bidirectional, Dense, Layer, Network, Readout, Recurrent
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


def widened(net: Network, params: Params, way: str) -> tuple[Network, Params]:
    """Return a network with one more input for each pre-activation of its first layer, or one direction of it."""
    first = net.layers[0]
    inner = first.layer if isinstance(first, Bidirectional) else first
    assert isinstance(inner, Recurrent)
    GH = len(inner.cell.gates) * inner.n_units
    wider = replace(inner, n_features=inner.n_features + GH)
    more = {key: np.eye(GH) * (key == f"{way}/Wx") for key in params if key.startswith("0/") and key.endswith("Wx")}
    both = Bidirectional(wider) if isinstance(first, Bidirectional) else wider
    return Network([both, *net.layers[1:]]), params | {k: np.concatenate([params[k], m]) for k, m in more.items()}


def by_differences(net: Network, params: Params, X: Array, y: Array, way: str) -> Array:
    """Return the lag matrix of the first layer, one number of one pre-activation at a time.

    After a readout, what a step adds to the loss is, to first order, its outputs times the gradient with respect to
    them.
    """
    net, params = widened(net, params, way)
    cut = next((i for i, layer in enumerate(net.layers) if isinstance(layer, Readout)), len(net.layers))
    head, tail = Network(net.layers[:cut]), net.layers[cut:]
    of_head = {k: v for k, v in params.items() if int(k[0]) < cut}
    of_tail = {f"{int(k[0]) - cut}{k[1:]}": v for k, v in params.items() if int(k[0]) >= cut}
    (B, T), GH, step = X.shape[:2], net.sizes[0] - X.shape[2], 1e-5

    def outputs(more: Array) -> Array:
        return head.forward(of_head, np.concatenate([X, more], axis=2), None, LENGTHS, "reference")[0]

    def losses(more: Array) -> Array:
        H = outputs(more)
        return (H * d_read if tail else evaluate_parts("squared_error", H, y, LENGTHS)[0]).sum(axis=(0, -1))

    if tail:
        Y, _, tape = Network(tail).forward(of_tail, outputs(np.zeros((B, T, GH))), None, LENGTHS, "reference")
        d_read = Network(tail).backward(of_tail, tape, evaluate("squared_error", Y, y)[1]).X
    squares = np.zeros((T, T))
    for b, t, k in np.ndindex(B, T, GH):
        moved = np.zeros((B, T, GH))
        moved[b, t, k] = step
        squares[:, t] += ((losses(moved) - losses(-moved)) / (2 * step)) ** 2
    return np.sqrt(squares)


SIMPLE, GATED = Recurrent("simple", 2, 2), Recurrent("gru", 2, 2)
READ: dict[str, list[Layer]] = {
    "each step": [SIMPLE, Dense(2, 1, "sigmoid")],
    "a stack": [SIMPLE, Recurrent("mgu", 2, 2), Dense(2, 1)],
    "backwards": [Recurrent("simple", 2, 2, reverse=True), Dense(2, 2)],
    "both ways": [Bidirectional(SIMPLE), Dense(4, 1)],
    "both ways above": [SIMPLE, Bidirectional(Recurrent("simple", 2, 2)), Dense(4, 1)],
    "the last": [GATED, Readout("last"), Dense(2, 2)],
    "the mean": [SIMPLE, Readout("mean"), Dense(2, 2, "tanh")],
    **{f"{cell} cells": [Recurrent(cell, 2, 2), Dense(2, 1)] for cell in CELLS},
}


@pytest.mark.parametrize("read", READ)
def test_the_lag_matrix_is_what_finite_differences_say(read: str, rng: np.random.Generator) -> None:
    net = Network(READ[read])
    params, X = drawn(net, rng), rng.standard_normal((4, 7, 2))
    Y, _ = net.predict(params, X, lengths=LENGTHS, engine="reference")
    y = rng.standard_normal(Y.shape)
    seen = saiki.trace(net, X, y, params, lengths=LENGTHS)
    for layer in seen.layers:
        if layer.name.startswith("0"):
            slow = by_differences(net, params, X, y, layer.name)
            assert slow.max() > 1e-3  # or the test could not tell
            np.testing.assert_allclose(layer.lag_matrix, slow, atol=CENTRAL * max(1, slow.max()))


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
    net = Network([Bidirectional(SIMPLE), Recurrent("lstm", 4, 2), Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((4, 7, 2)), rng.standard_normal((4, 7))
    state = ((rng.standard_normal((4, 2)), None), (rng.standard_normal((4, 2)), rng.standard_normal((4, 2))), None)
    at_once = saiki.trace(net, X, y, params, lengths=LENGTHS, state=state)
    for most in (1, 3 * 28 * 16 * 3):  # one at a time, three at a time
        monkeypatch.setattr("saiki.explain.microscope.MOST_NUMBERS", most)
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
    np.testing.assert_allclose(layer.backward["dh_out"], seen.delta_out @ params["1/W"].T, atol=EXACT)


def test_the_equations_of_the_notes_hold(rng: np.random.Generator) -> None:
    """delta_t has two terms: the step's own output error, and what comes back from the step after."""
    net = Network([Recurrent("simple", 2, 3), Dense(3, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    seen = saiki.trace(net, X, y, params)
    layer, Wh, W = seen.layers[0], params["0/Wh"], params["1/W"]
    after = np.concatenate([layer.delta[:, 1:], np.zeros((2, 1, 3))], axis=1)
    delta = (seen.delta_out @ W.T + after @ Wh.T) * (1 - layer.h**2)
    np.testing.assert_allclose(layer.delta, delta, atol=EXACT)
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
        with pytest.raises(saiki.ArgumentError, match=r"this trace has no .*; it has .* Ask trace"):
            ask()
    assert "h" in few.text()


def test_truncation_cuts_what_comes_back(rng: np.random.Generator) -> None:
    net = Network([SIMPLE, Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((1, 6, 2)), rng.standard_normal((1, 6))
    full, cut = (saiki.trace(net, X, y, params, tbptt=window) for window in (None, 2))
    window = np.arange(6) // 2
    np.testing.assert_allclose(cut.lag_matrix, full.lag_matrix * (window[:, None] == window), atol=EXACT)
    _, grads = net.loss_and_gradients(params, X, y, "squared_error", tbptt=2)
    np.testing.assert_allclose(cut.shares["0/Wh"].sum(axis=0), grads["0/Wh"], atol=EXACT)


def test_the_mean_by_lag_is_over_the_steps_with_a_loss(rng: np.random.Generator) -> None:
    net = Network([SIMPLE, Dense(2, 1)])
    params, X, y = drawn(net, rng), rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5))
    y[:, [0, 3]] = np.nan
    seen = saiki.trace(net, X, y, params)
    rows = [1, 2, 4]
    for lag in range(5):
        pairs = [seen.lag_matrix[s, s - lag] for s in rows if s >= lag]
        assert seen.norm_by_lag[lag] == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)
    read = Network([SIMPLE, Readout("last"), Dense(2, 1)])
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
    assert "a = x @ Wx + h_prev @ Wh + b" in text
    assert "h = tanh(a)" in text
    assert "v = h @ W + b" in text
    assert f"E = {seen.loss:.6g}, squared error" in text
    layer = seen.layers[0]
    forward, back = text.split("forward")[1].split("backward")
    for name, values in {"x": X, "a": layer.a, "h": layer.h, "v": seen.v, "target": y[..., None]}.items():
        np.testing.assert_allclose(numbers(forward, name), values[1], rtol=1e-2)
    back = back.split("gradients")[0]
    assert re.findall(r"t = (\d) ", back) == ["4", "3", "2", "1"]
    np.testing.assert_allclose(numbers(back, "da"), layer.delta[1, ::-1], rtol=1e-2)
    own, through = numbers(back, "dh, outputs"), numbers(back, "dh, time")
    np.testing.assert_allclose(np.add(own, through), layer["dh"][1, ::-1], rtol=2e-2, atol=1e-3)
    assert len(text.splitlines()) < 80  # a page


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
    assert "24 more" in text
    assert len(text.splitlines()) < 150


def test_bad_arguments(rng: np.random.Generator) -> None:
    net = Network([SIMPLE, Dense(2, 1)])
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
    with pytest.raises(saiki.ArgumentError, match="layer must be one of the 0 recurrent layers"):
        _ = dense.lag_matrix


def test_every_quantity_can_be_had_alone(rng: np.random.Generator) -> None:
    net = Network([Recurrent("lstm", 2, 2), Dense(2, 1)])
    params, X, y = net.init(rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    for name in QUANTITIES:
        seen = saiki.trace(net, X, y, params, quantities=[name])
        where = seen if name in ("shares", "lag_matrix") else seen.layers[0]
        assert len(getattr(where, name))
