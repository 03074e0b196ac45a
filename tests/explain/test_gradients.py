"""The certificate: it must pass what is right and refuse what is wrong."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.cells import CELLS
from saiki.losses import LOSSES, Loss, cross_entropy, huber
from saiki.maths import dtanh, tanh

EXACT = 1e-10


@pytest.mark.parametrize("wrong", ["at the incoming error", "no factor", "a factor too much", "nothing at all"])
def test_a_broken_backward_is_refused(wrong: str) -> None:
    """The first is the second course note's: the derivative of tanh taken at the incoming error."""
    broken = {
        "at the incoming error": lambda dh, h: dh * dtanh(tanh(dh)),
        "no factor": lambda dh, h: dh,
        "a factor too much": lambda dh, h: dh * dtanh(h) * dtanh(h),
        "nothing at all": lambda dh, h: np.zeros_like(dh),
    }
    cell = saiki.Cell("broken", CELLS["simple"].forward, broken[wrong])
    with pytest.raises(saiki.GradientError, match="WRONG"):
        saiki.check_gradients(cell, engine="reference")  # np.zeros_like of a number is not for Numba


@pytest.mark.parametrize("name", CELLS)
def test_one_wrong_part_of_any_backward_is_refused(name: str) -> None:
    """Every gradient that a cell's functions return is made a little too large in turn; the check must see each."""
    cell = CELLS[name]
    for number, stage in enumerate(cell.stages):
        for wrong in range(len(stage.takes)):
            scope: dict[str, Any] = {"_right": stage.backward, "_wrong": wrong}
            arguments = ", ".join(stage.wants)
            exec(
                f"def backward({arguments}):\n"
                f"    _all = _right({arguments})\n"
                "    _all = list(_all) if isinstance(_all, tuple) else [_all]\n"
                "    _all[_wrong] = _all[_wrong] * 1.000001\n"
                "    return tuple(_all) if len(_all) > 1 else _all[0]\n",
                scope,
            )
            last = number == len(cell.stages) - 1
            parts = (scope["backward"], cell.look_backward) if last else (cell.backward, scope["backward"])
            broken = saiki.Cell("broken", cell.forward, parts[0], cell.look, parts[1])
            with pytest.raises(saiki.GradientError):
                saiki.check_gradients(broken, engine="reference")


@pytest.mark.parametrize("loss", [*LOSSES, "smoothed", "narrow huber"])
@pytest.mark.parametrize("ragged", [False, True])
def test_every_loss_of_a_network(loss: str, ragged: bool, rng: np.random.Generator) -> None:
    own = {"smoothed": cross_entropy(label_smoothing=0.1), "narrow huber": huber(0.3)}
    chosen: str | Loss = own.get(loss, loss)
    net = saiki.Network([saiki.GRU(2, 3), saiki.Dense(3, 4)])
    of_classes = (chosen if isinstance(chosen, Loss) else LOSSES[chosen]).of_classes
    y = rng.integers(4, size=(3, 5)).astype(float) if of_classes else rng.uniform(0.1, 0.9, (3, 5, 4))
    y[0, 1] = np.nan
    lengths = [5, 3, 1] if ragged else None
    certificate = saiki.check_gradients(net, rng.standard_normal((3, 5, 2)), y, loss=chosen, lengths=lengths)
    assert certificate.worst < EXACT


def test_what_is_not_analytic_is_checked_by_central_differences() -> None:
    def forward(a: Any) -> Any:
        return np.abs(a)  # of a complex number this is the modulus, which has no complex derivative

    def backward(dh: Any, a: Any) -> Any:
        return dh * np.sign(a)

    certificate = saiki.check_gradients(saiki.Cell("modulus", forward, backward))
    assert {row.method for row in certificate.rows} == {"central differences"}
    with pytest.raises(saiki.GradientError):
        saiki.check_gradients(saiki.Cell("modulus", forward, lambda dh, a: dh * np.sign(a) * 1.001))


def test_float32_parameters_are_held_to_float32() -> None:
    layer = saiki.LSTM(2, 3)
    params = layer.init(np.random.default_rng(0), "normal", np.float32)
    certificate = saiki.check_gradients(layer, np.ones((2, 4, 2), np.float32), params=params)
    assert 1e-12 < certificate.worst < 1e-4


def test_large_arrays_are_sampled() -> None:
    certificate = saiki.check_gradients(saiki.SimpleRNN(2, 20))
    assert {row.name: row.checked for row in certificate.rows}["Wh"] == 20


def test_the_table_says_what_was_checked() -> None:
    text = str(saiki.check_gradients("lstm"))
    for word in ("lstm", "Wx", "Wh", "b", "X", "state.0", "state.1", "complex step", "right"):
        assert word in text


def test_what_cannot_be_checked() -> None:
    with pytest.raises(saiki.ArgumentError, match="model must be a layer, a network, a cell or the name of one; got"):
        saiki.check_gradients(3)
    with pytest.raises(saiki.ArgumentError, match="y goes with a network; got a Recurrent"):
        saiki.check_gradients("lstm", y=np.zeros(3))
    with pytest.raises(saiki.ArgumentError, match="cell must be one of 'simple'"):
        saiki.check_gradients("ltsm")


def test_one_wrong_number_in_a_large_array_is_found() -> None:
    right = CELLS["simple"]

    def backward(dh: Any, h: Any) -> Any:
        da = dh * dtanh(h)
        if da.shape[-1:] == (40,):
            da = da.copy()
            da[..., 17] *= 1.001
        return da

    with pytest.raises(saiki.GradientError, match="WRONG"):
        saiki.check_gradients(saiki.Recurrent(saiki.Cell("one", right.forward, backward), 2, 40), engine="reference")


@pytest.mark.parametrize("wrong", ["softsign", "modulus", "real part"])
def test_a_wrong_gradient_of_what_is_not_analytic_is_refused(wrong: str) -> None:
    """Complex step alone would certify these: it gives what the mistaken backward gives."""
    forward, backward = {
        "softsign": (lambda a: a / (1 + np.abs(a)), lambda dh, a: dh / (1 + np.abs(a))),
        "modulus": (lambda a: np.abs(a), lambda dh, a: 0 * dh),
        "real part": (lambda a: tanh(np.real(a)), lambda dh, a: 0 * dh),
    }[wrong]
    with pytest.raises(saiki.GradientError, match="WRONG"):
        saiki.check_gradients(saiki.Cell(wrong, forward, backward))


def test_a_right_gradient_at_the_kink_of_a_rectifier_is_accepted(rng: np.random.Generator) -> None:
    for layer in (saiki.SimpleRNN(2, 8, "relu"), saiki.Recurrent("indrnn", 2, 8), saiki.Dense(2, 3, "relu")):
        assert saiki.check_gradients(layer, np.zeros((2, 3, 2)), params=layer.init(rng)).right


@pytest.mark.parametrize("steps", [30, 100])
def test_a_right_gradient_of_wild_dynamics_is_accepted(steps: int) -> None:
    """The first note's N(0, 1) weights: over a hundred steps a rounding grows to the size of the state."""
    layer = saiki.SimpleRNN(2, 16)
    X = np.random.default_rng(1).standard_normal((2, steps, 2))
    assert saiki.check_gradients(layer, X, params=layer.init(np.random.default_rng(0), "normal")).right


def test_precision_is_that_of_what_is_given() -> None:
    layer = saiki.LSTM(2, 3)
    small = layer.init(np.random.default_rng(0), dtype=np.float32)
    assert saiki.check_gradients(layer, params=small).right
    assert saiki.check_gradients("lstm", np.ones((2, 3, 2), np.float32)).right
    assert saiki.check_gradients("lstm", np.ones((2, 3, 2), int)).right


def test_bad_arguments() -> None:
    layer = saiki.LSTM(2, 3)
    for arguments, message in (
        ({"params": {"Wx": [[1.0]]}}, "params must have the keys"),
        ({"params": "abc"}, "params must be a dict"),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"lengths": [1, 2]}, "lengths goes with X"),
        ({"loss": "huber"}, "loss goes with y"),
    ):
        with pytest.raises(saiki.ArgumentError, match=message):
            saiki.check_gradients(layer, **arguments)
    with pytest.raises(saiki.DtypeError, match="X must hold real numbers"):
        saiki.check_gradients(layer, np.ones((1, 2, 2), complex))


def test_the_loss_is_that_which_fits_the_targets(rng: np.random.Generator) -> None:
    net, X = saiki.Network([saiki.GRU(2, 3), saiki.Readout("last"), saiki.Dense(3, 4)]), rng.standard_normal((5, 6, 2))
    for y in (rng.integers(4, size=5), rng.standard_normal((5, 4))):
        assert saiki.check_gradients(net, X, y).worst < EXACT


def wrong_loss(v: Any, t: Any) -> tuple[Any, Any]:
    return (v - t) ** 2 / 2, 2 * (v - t)


def wrong_cell() -> saiki.Cell:
    return saiki.Cell("bad", lambda a, h_prev: a + h_prev, lambda dh, a: (dh * a, dh))


@pytest.mark.parametrize(
    ("make", "culprit", "spared"),
    [
        (lambda: (saiki.SimpleRNN(1, 2), saiki.Dense(2, 1), Loss(wrong_loss)), "The loss is wrong", "cell 'simple'"),
        (lambda: (saiki.Recurrent(wrong_cell(), 1, 2), saiki.Dense(2, 1), "huber"), "layer 0 .*cell 'bad'", "The loss"),
        (
            lambda: (saiki.GRU(1, 2), saiki.LayerNorm(2), "huber"),
            r"layer 1 \(LayerNorm\) is wrong: compare",
            "cell 'gru'",
        ),
    ],
)
def test_the_hint_names_the_part_that_is_wrong(
    make: Any, culprit: str, spared: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = saiki.LayerNorm._backward

    def doubled(self: Any, *arguments: Any) -> Any:
        grads = right(self, *arguments)
        return dataclasses.replace(grads, X=2 * grads.X)

    monkeypatch.setattr(saiki.LayerNorm, "_backward", doubled)
    first, last, loss = make()
    network, X = saiki.Network([first, last]), rng.standard_normal((3, 4, 1))
    y = rng.standard_normal((3, 4, network.sizes[1] or 1))
    with pytest.raises(saiki.GradientError, match=culprit) as raised:
        saiki.check_gradients(network, X, y, loss=loss, engine="reference")
    hint = str(raised.value).splitlines()[0]
    assert spared not in hint
    assert "In a cell" not in hint
