"""Every cell in the table of contents, found by introspection."""

import inspect
import re
import sys
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import maths
from saiki.cells import CELLS
from saiki.cells.cell import arguments_of

ROUNDING = 1e-14  # the same float64 operations in another order, over fewer than 100 terms


def equations_of(name: str) -> str:
    """Return the indented block under "Equations" in the docstring of a cell's file."""
    text = inspect.getdoc(sys.modules[f"saiki.cells.{name}"]) or ""
    block = re.search(r"Equations.*?::\n\n((?:    .*\n|\n)+)", text)
    assert block, f"the docstring of {name}.py must have a block of equations"
    return inspect.cleandoc(block[1])


@pytest.mark.parametrize("name", CELLS)
def test_the_equations_in_the_docstring_are_those_that_run(name: str, rng: np.random.Generator) -> None:
    cell = CELLS[name]
    layer = saiki.Recurrent(cell, n_features=2, n_units=3)
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    x, states = rng.standard_normal((4, 2)), [rng.standard_normal((4, 3)) for _ in cell.states]

    scope: dict[str, Any] = {word: getattr(maths, word) for word in dir(maths)}
    scope |= {"x": x, "activation": maths.tanh} | {f"{s}_prev": v for s, v in zip(cell.states, states, strict=True)}
    for gate, block in zip(cell.gates, range(0, 99, 3), strict=False):
        suffix = gate.removeprefix("a")
        scope |= {f"{key}{suffix}": params[key][..., block : block + 3] for key in ("Wx", "Wh", "b")}
    exec(equations_of(name), scope)

    state = tuple(states) if len(states) > 1 else states[0]
    _, final, _ = layer.forward(params, x[:, None], state)
    final = final if len(states) > 1 else (final,)
    for s, value in zip(cell.states, final, strict=True):
        np.testing.assert_allclose(value, scope[s], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", CELLS)
def test_cell_functions_hold_no_numbers(name: str) -> None:
    """A number in the code would turn float32 into float64 once compiled."""
    for function in (CELLS[name].forward, CELLS[name].backward):
        constants = [c for c in function.__code__.co_consts if isinstance(c, int | float)]
        assert not constants, f"{name}.{function.__name__} holds {constants}"


@pytest.mark.parametrize("name", CELLS)
def test_backward_asks_only_for_what_forward_knows(name: str) -> None:
    cell = CELLS[name]
    returned = cell.forward(*(np.float64(0.5) for _ in arguments_of(cell.forward)))
    count = len(returned) if isinstance(returned, tuple) else 1
    assert count == len(cell.states) + len(cell.saved)


def test_activation_is_chosen_by_name() -> None:
    relu = CELLS["simple"].with_activation("relu")
    assert relu.forward(np.float64(-2.0)) == 0
    assert relu.forward(np.float64(2.0)) == 2
    assert CELLS["simple"].forward(np.float64(2.0)) == np.tanh(2.0)
    assert CELLS["simple"].with_activation("relu") is relu


def test_unknown_names_are_errors_that_name_the_choices() -> None:
    with pytest.raises(saiki.ArgumentError, match=r"activation must be one of 'tanh', .* got 'tahn'. Did you mean"):
        saiki.SimpleRNN(2, 3, "tahn")
    with pytest.raises(saiki.ArgumentError, match="cell must be one of 'simple'"):
        saiki.Recurrent("complicated", 2, 3)


def test_a_cell_without_an_activation_refuses_one() -> None:
    def forward(a: Any) -> Any:
        return maths.tanh(a)

    def backward(dh: Any, h: Any) -> Any:
        return dh * maths.dtanh(h)

    with pytest.raises(saiki.ArgumentError, match="'fixed' leave none to choose"):
        saiki.Cell("fixed", forward, backward).with_activation("relu")


def test_a_cell_needs_a_gate_and_known_arguments() -> None:
    with pytest.raises(saiki.ArgumentError, match="at least one gate"):
        saiki.Cell("none", lambda h_prev: h_prev, lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match=r"got \['q'\]"):
        saiki.Cell("odd", lambda a, q: a, lambda dh: dh)
