"""The equations that a worked example shows are those that make its numbers: they are run here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import maths
from saiki.cells import CELLS
from saiki.explain.equations import (
    D_LOSS,
    NO_SOURCE,
    backward_equations,
    delta_out_equation,
    forward_equations,
    output_equations,
    slopes_in,
)
from saiki.layers import Dense, Network, Recurrent
from saiki.losses import LOSSES
from saiki.maths import ACTIVATIONS

EXACT = 1e-12
WORDS = {name: getattr(maths, name) for name in ("tanh", "sigmoid", "relu", "identity")}
WORDS |= {"sign": np.sign, "clip": np.clip}
WORDS |= {f"d{name}": getattr(maths, f"d{name}") for name in ACTIVATIONS}


def run(lines: list[str], scope: dict[str, Any]) -> dict[str, Any]:
    for line in lines:
        exec(line, WORDS, scope)
    return scope


def weights_of(layer: Recurrent, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights of each gate under its name, such as Wx_i."""
    cell, H = layer.cell, layer.n_units
    blocks = {"Wx": cell.gates, "b": cell.gates, "Wh": cell.recurrent, "bh": cell.apart}
    found = {name: params[name] for name in cell.vectors}
    for name, gates in blocks.items():
        if name in params:
            for gate, block in zip(gates, np.split(params[name], len(gates), axis=-1), strict=True):
                found[f"{name}_{gate}" if gate else name] = block
    assert all(block.shape[-1] == H for block in found.values())
    return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", [*CELLS, "simple relu", "indrnn tanh"])
def test_the_equations_make_the_numbers(cell: str, bias: bool, rng: np.random.Generator) -> None:
    name, _, activation = cell.partition(" ")
    kind = CELLS[name].with_activation(activation) if activation else CELLS[name]
    layer = Recurrent(kind, 2, 3, bias=bias)
    net = Network([layer, Dense(3, 1)])
    params = {k: rng.standard_normal(v.shape) for k, v in net.init(rng).items()}
    seen = saiki.trace(net, rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4)), params).layers[0]
    scope = weights_of(layer, seen.params) | {"x": seen.inputs[:, 2], "input": seen.inputs[:, 2]}
    scope |= {f"{state}_prev": values[:, 1] for state, values in seen.states.items()}
    run(forward_equations(layer), scope)
    for quantity, values in seen.forward.items():
        if quantity != "inputs":
            np.testing.assert_allclose(scope[quantity], values[:, 2], atol=EXACT)
    scope |= {"dh": seen["dh"][:, 2]} | {f"d{state}": seen[f"d{state}_time"][:, 2] for state in layer.cell.states[1:]}
    run(backward_equations(layer), scope)
    for quantity, values in seen.backward.items():
        if quantity[1:] in seen.forward and quantity != "dh":
            np.testing.assert_allclose(scope[quantity], values[:, 2], atol=EXACT)
    for state in layer.cell.states:
        np.testing.assert_allclose(scope[f"d{state}_prev"], seen[f"d{state}_time"][:, 1], atol=EXACT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if not loss.of_classes])
def test_the_equations_of_the_outputs_do_too(activation: str, loss: str, rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 3), Dense(3, 1, activation)])
    params, y = net.init(rng), rng.integers(2, size=(2, 4)).astype(float)
    y[0, 0] = np.nan
    seen = saiki.trace(net, rng.standard_normal((2, 4, 2)), y, params, loss=loss)
    output = net.layers[1]
    assert isinstance(output, Dense)
    assert seen.n_targets == 7
    (back,) = delta_out_equation(activation, loss, False, seen.n_targets, False)
    forward = output_equations(output, "v", seen.of_classes)
    scope = run(forward, {"h": seen.layers[0].h[1], "W": params["1/W"], "b": params["1/b"], "target": y[1, :, None]})
    np.testing.assert_allclose(scope["y"], seen.outputs[1], atol=EXACT)
    np.testing.assert_allclose(run([back], scope)["delta_out"], seen.delta_out[1], atol=EXACT)
    assert f"{back}, and 0 where there is no target" in str(seen)
    weighted = saiki.trace(net, np.ones((2, 4, 2)), np.ones((2, 4)), params, loss=loss, sample_weight=[1, 0])
    assert "* its weight in the mean" in str(weighted)


def test_classes_by_number_and_as_distributions(rng: np.random.Generator) -> None:
    net = Network([Recurrent("simple", 2, 3), Dense(3, 3)])
    X, params = rng.standard_normal((1, 4, 2)), net.init(rng)
    by_number = str(saiki.trace(net, X, [[0, 2, 1, 1]], params))
    assert "delta_out = (p, less 1 at the class of the target) / 4" in by_number
    shares = rng.dirichlet(np.ones(3), size=(1, 4))
    seen = saiki.trace(net, X, shares, params, loss="cross_entropy")
    assert "delta_out = (p - target) / 4" in str(seen)
    p = np.exp(seen.outputs) / np.exp(seen.outputs).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(seen.delta_out, (p - shares) / 4, atol=EXACT)


def test_every_loss_has_its_line() -> None:
    assert D_LOSS.keys() == LOSSES.keys()


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([saiki.Dropout(0.5), Dense(3, 1)], ["dh, outputs = delta_out @ W.T"]),
        ([saiki.Readout("last"), Dense(3, 1)], ["dh, outputs = delta_out @ W.T at the step that is read"]),
        ([saiki.Readout("mean"), Dense(3, 1)], ["dh, outputs = delta_out @ W.T / length"]),
        ([Recurrent("gru", 3, 2), Dense(2, 1)], ["dh, outputs = delta @ Wx.T of layer 1", "outputs = delta_out @ W.T"]),
        ([Dense(3, 2), Dense(2, 1)], ["dh, outputs = what comes back through layer 1"]),
        ([saiki.Bidirectional(Recurrent("mgu", 3, 2)), Dense(4, 1)], ["its half of delta_out @ W.T", "both directions",
                                                                     "step before", "v_out = h @ W + b"]),
        ([], ["dh, outputs = delta_out"]),
    ],
)  # fmt: skip
def test_where_the_gradient_of_the_outputs_comes_from(
    layers: list[Any], said: list[str], rng: np.random.Generator
) -> None:
    net = Network([Recurrent("simple", 2, 3), *layers])
    params, X = net.init(rng), rng.standard_normal((1, 4, 2))
    Y, _ = net.predict(params, X)
    text = str(saiki.trace(net, X, np.zeros(Y.shape), params))
    for line in said:
        assert line in text


def test_the_slopes_are_what_they_are_said_to_be(rng: np.random.Generator) -> None:
    for name, (function, derivative) in ACTIVATIONS.items():
        y = function(rng.standard_normal(20))
        (line,) = slopes_in([f"da = dh * d{name}(y)"])
        said = eval(line.split(" = ")[1], {"y": y, "sign": np.sign, "ones_like": np.ones_like})
        np.testing.assert_allclose(said, derivative(y), atol=EXACT)


def test_a_cell_without_source_says_so() -> None:
    scope: dict[str, Any] = {}
    exec("def forward(a):\n    h = a\n    return h\ndef backward(dh):\n    da = dh\n    return da", scope)
    layer = Recurrent(saiki.Cell("own", scope["forward"], scope["backward"]), 2, 3)
    assert forward_equations(layer) == ["a = x @ Wx + h_prev @ Wh + b", f"h = {NO_SOURCE}"]
    assert backward_equations(layer) == [f"da = {NO_SOURCE}"]


def returning(a: Any, h_prev: Any) -> Any:
    """Equations = not this line.

    h = not this one
    """
    half: float = h_prev + h_prev
    return maths.tanh(a) + half  # fmt: skip


def returning_back(dh: Any, h: Any, a: Any) -> Any:
    t = maths.tanh(a); da = dh * maths.dtanh(t)  # noqa: E702  # fmt: skip
    return da, dh + dh


def test_a_cell_in_another_style_is_read_whole() -> None:
    layer = Recurrent(saiki.Cell("own", returning, returning_back), 2, 3)
    assert forward_equations(layer)[1:] == ["half = h_prev + h_prev", "h = maths.tanh(a) + half"]
    assert backward_equations(layer) == [
        "t = maths.tanh(a)", "da = dh * maths.dtanh(t)", "dh_prev = dh + dh", "dh_prev = dh_prev + da @ Wh.T",
    ]  # fmt: skip


def at_once(a: Any, c_prev: Any) -> Any:
    both = maths.tanh(a), c_prev
    return both


def at_once_back(dh: Any, dc: Any, h: Any) -> Any:
    da = dh * maths.dtanh(h)
    return da, dc


def test_what_is_returned_as_one_cannot_be_shown() -> None:
    layer = Recurrent(saiki.Cell("own", at_once, at_once_back), 2, 3)
    assert forward_equations(layer)[-1] == f"h, c = {NO_SOURCE}"
