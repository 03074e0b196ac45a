"""The microscope: its numbers add up, are named as in the equations, and can be chosen."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.cells import CELLS
from saiki.explain.microscope import QUANTITIES
from saiki.layers import Bidirectional, Conv1D, Dense, Network, Readout, Recurrent
from saiki.losses import evaluate
from tests.estimators.data import ARRAYS, OTHERS, QUICK, data_for, quick, ragged
from tests.explain.models import EXACT, LENGTHS, drawn, simple
from tests.layers.test_ladder import EXAMPLES, draw


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
@pytest.mark.parametrize("name", [name for name, kind in ARRAYS.items() if hasattr(kind, "network_problem")])
def test_a_fitted_estimator_is_traced_on_its_own_data(name: str, output: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 5, 2))
    y = rng.integers(2, size=(12, 5) if output == "each" else 12)
    estimator = quick(name, output=output).fit(X, y)
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


@pytest.mark.parametrize("name", OTHERS)
def test_what_runs_over_trees_has_no_trace(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    with pytest.raises(saiki.ArgumentError, match=f"{name} has no network yet"):
        saiki.trace(OTHERS[name](), X, y)
    estimator = quick(name).fit(X, y)
    with pytest.raises(saiki.ArgumentError, match=rf"recur over time.* a {name} reads trees.*network_problem\(X, y\)"):
        saiki.trace(estimator, X, y)
    with pytest.raises(saiki.ArgumentError, match=r"reads trees\. saiki.check_gradients\(model\) proves"):
        saiki.trace(estimator.network_, X, y, estimator.params_)
    with pytest.raises(saiki.ArgumentError, match=f"lengths is nothing that a {name} takes"):
        saiki.check_gradients(estimator, X, y, lengths=[1])


def test_ragged_sequences_of_an_estimator(rng: np.random.Generator) -> None:
    sequences, padded, lengths = ragged(rng)
    regressor = saiki.RNNRegressor(**QUICK).fit(sequences, lengths)
    one, other = saiki.trace(regressor, sequences, lengths), saiki.trace(regressor, padded, lengths, lengths=lengths)
    np.testing.assert_array_equal(one.layers[0].delta, other.layers[0].delta)
    assert one.lengths.tolist() == lengths.tolist()


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


def test_lengths_are_those_where_the_time_axis_ends(rng: np.random.Generator) -> None:
    for readout in ([], [Readout("mean")]):
        net = Network([simple(2), Conv1D(2, 2, 2, stride=2), *readout, Dense(2, 1)])
        params, X = drawn(net, rng), rng.standard_normal((4, 7, 2))
        Y, _ = net.predict(params, X, lengths=LENGTHS)
        seen = saiki.trace(net, X, np.zeros(Y.shape), params, lengths=LENGTHS)
        assert seen.lengths.tolist() == [1, 3, 0, 0]
        assert seen.layers[0].lengths.tolist() == LENGTHS
        assert seen.loss_steps.tolist() == [0, 1, 2]
        some = saiki.trace(net, X, np.zeros(Y.shape), params, steps=[-1])
        assert some.steps.tolist() == []
        assert some.layers[0].steps.tolist() == [6]
        assert "t = 7" in some.text(1)


def test_what_is_read_at_once_has_no_steps(rng: np.random.Generator) -> None:
    net = Network([Readout("mean"), Dense(2, 3)])
    seen = saiki.trace(net, rng.standard_normal((4, 7, 2)), np.zeros((4, 3)), drawn(net, rng))
    assert seen.steps.tolist() == seen.loss_steps.tolist() == []
    assert seen.outputs.shape == (4, 3)
    assert seen.lengths.tolist() == [7] * 4
    assert "delta_out" in str(seen)


def test_every_quantity_can_be_had_alone(rng: np.random.Generator) -> None:
    net = Network([Recurrent("lstm", 2, 2), Dense(2, 1)])
    params, X, y = net.init(rng), rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 5))
    for name in QUANTITIES:
        seen = saiki.trace(net, X, y, params, quantities=[name])
        where = seen if name in ("shares", "lag_matrix") else seen.layers[0]
        assert len(getattr(where, name))
