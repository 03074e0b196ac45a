"""The certificate: it must pass what is right and refuse what is wrong."""

from typing import Any

import numpy as np
import pytest

import saiki
from saiki.cells import CELLS
from saiki.cells.cell import arguments_of
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
        saiki.check_gradients(cell)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "mgu", "peephole_lstm", "mingru"])
def test_one_wrong_part_of_any_backward_is_refused(name: str) -> None:
    """Every gradient that a cell returns is made a little too large in turn; the check must see each."""
    cell = CELLS[name]
    names = arguments_of(cell.backward)
    for wrong in range(len(cell.backward(*(np.float64(0.5) for _ in names)))):
        scope: dict[str, Any] = {"_right": cell.backward, "_wrong": wrong}
        body = f"_all = list(_right({', '.join(names)})); _all[_wrong] = _all[_wrong] * 1.000001; return tuple(_all)"
        exec(f"def backward({', '.join(names)}): {body}", scope)
        broken = saiki.Cell("broken", cell.forward, scope["backward"], cell.look, cell.look_backward)
        with pytest.raises(saiki.GradientError):
            saiki.check_gradients(broken)


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
    assert {row.name: row.checked for row in certificate.rows}["Wh"] == 200


def test_the_table_says_what_was_checked() -> None:
    text = str(saiki.check_gradients("lstm"))
    for word in ("lstm", "Wx", "Wh", "b", "X", "state.0", "state.1", "complex step", "right"):
        assert word in text


def test_what_cannot_be_checked() -> None:
    with pytest.raises(saiki.ArgumentError, match="model must be a layer, a network, a cell or the name of one; got"):
        saiki.check_gradients(3)  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="y goes with a network; got a Recurrent"):
        saiki.check_gradients("lstm", y=np.zeros(3))
    with pytest.raises(saiki.ArgumentError, match="cell must be one of 'simple'"):
        saiki.check_gradients("ltsm")
