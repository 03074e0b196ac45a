"""Every cell in the table of contents, found by introspection."""

import functools
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import maths
from saiki.cells import CELLS, NAMES

ROUNDING = 1e-14  # the same float64 operations in another order, over fewer than 100 terms


def module_of(name: str) -> ModuleType:
    return sys.modules[f"saiki.cells.{name}"]


def equations_of(name: str) -> str:
    """Return the indented block under "Equations" in the docstring of a cell's file."""
    block = re.search(r"Equations.*?::\n\n((?:    .*\n|\n)+)", CELLS[name].equations)
    assert block, f"the docstring of {name}.py must have a block of equations"
    return re.sub(r"^    ", "", block[1], flags=re.MULTILINE)


@pytest.mark.parametrize("name", CELLS)
def test_the_equations_in_the_docstring_are_those_that_run(name: str, rng: np.random.Generator) -> None:
    cell = CELLS[name]
    layer = saiki.Recurrent(cell, n_features=2, n_units=3)
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    x, states = rng.standard_normal((4, 2)), [rng.standard_normal((4, 3)) for _ in cell.states]

    scope: dict[str, Any] = {word: getattr(maths, word) for word in dir(maths)}
    if cell.activation:
        scope["activation"], _ = maths.ACTIVATIONS[cell.activation]
    scope |= {"x": x} | {f"{s}_prev": v for s, v in zip(cell.states, states, strict=True)}
    scope |= {vector: params[vector] for vector in cell.vectors}
    for keys, gates in ((("Wx", "b"), cell.gates), (("Wh",), cell.recurrent), (("bh",), cell.apart)):
        for i, gate in enumerate(gates):
            suffix = f"_{gate}" if gate else ""
            scope |= {f"{key}{suffix}": params[key][..., 3 * i : 3 * i + 3] for key in keys}
    exec(equations_of(name), scope)

    state = tuple(states) if len(states) > 1 else states[0]
    _, final, _ = layer.forward(params, x[:, None], state)
    final = final if len(states) > 1 else (final,)
    for s, value in zip(cell.states, final, strict=True):
        np.testing.assert_allclose(value, scope[s], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", CELLS)
def test_cell_functions_hold_no_numbers(name: str) -> None:
    """A number in the code would turn float32 into float64 once compiled."""
    for function in vars(module_of(name)).values():
        if getattr(function, "__module__", None) == module_of(name).__name__:
            constants = [c for c in function.__code__.co_consts if isinstance(c, int | float)]
            assert not constants, f"{name}.{function.__name__} holds {constants}"


@pytest.mark.parametrize("name", CELLS)
def test_cells_speak_the_vocabulary_and_nothing_else(name: str) -> None:
    for function in (CELLS[name].forward, CELLS[name].backward, CELLS[name].look, CELLS[name].look_backward):
        for word in function.__code__.co_names if function else ():
            assert function is not None
            assert function.__globals__[word] in vars(maths).values(), f"{name} says {word}"


def test_the_gates_are_in_the_order_of_the_contract() -> None:
    assert CELLS["lstm"].gates == ("i", "f", "g", "o")
    assert CELLS["lstm"].states == ("h", "c")
    assert CELLS["gru"].gates == CELLS["gru_reset_before"].gates == ("r", "z", "n")
    assert saiki.GRU(2, 4).parameters()["bh"].shape == (4,)
    assert "bh" not in saiki.GRU(2, 4, reset="before").parameters()
    assert "Wh" not in saiki.Recurrent("mingru", 2, 4).parameters()
    assert saiki.Recurrent("indrnn", 2, 4).parameters()["u"].shape == (4,)
    assert saiki.LSTM(2, 4, peepholes=True).parameters().keys() >= {"p_i", "p_f", "p_o"}


def test_python_m_saiki_cells_lists_every_cell_with_its_equations() -> None:
    listed = subprocess.run([sys.executable, "-m", "saiki.cells"], capture_output=True, text=True, check=True).stdout
    for name in NAMES:
        assert f"\n{name}\n" in f"\n{listed}"
        assert equations_of(name).splitlines()[0] in listed


def test_activation_is_chosen_by_name() -> None:
    relu = CELLS["simple"].with_activation("relu").stages[0].forward
    assert relu(np.float64(-2.0)) == 0
    assert relu(np.float64(2.0)) == 2
    assert CELLS["simple"].stages[0].forward(np.float64(2.0)) == np.tanh(2.0)
    assert CELLS["simple"].with_activation("tanh") == CELLS["simple"]
    assert saiki.SimpleRNN(2, 3) == saiki.Recurrent("simple", 2, 3)
    assert saiki.SimpleRNN(2, 3, "relu") != saiki.Recurrent("simple", 2, 3)


def test_unknown_names_are_errors_that_name_the_choices() -> None:
    with pytest.raises(saiki.ArgumentError, match=r"activation must be one of 'tanh', .* got 'tahn'. Did you mean"):
        saiki.SimpleRNN(2, 3, "tahn")
    with pytest.raises(saiki.ArgumentError, match=r"activation must be one of .* got \['relu'\]"):
        saiki.SimpleRNN(2, 3, ["relu"])  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="cell must be one of 'simple', 'lstm'"):
        saiki.Recurrent("complicated", 2, 3)
    with pytest.raises(saiki.ArgumentError, match="reset must be one of 'after', 'before'; got 'never'"):
        saiki.GRU(2, 3, reset="never")
    with pytest.raises(saiki.ArgumentError, match="cell 'lstm' leave none to choose"):
        CELLS["lstm"].with_activation("relu")


def test_functions_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(saiki.ArgumentError, match=r"gates, arguments named a, a_..., x or x_..., must be there"):
        saiki.Cell("none", lambda h_prev: h_prev, lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match=r"must return a tuple of h, hh, which .* it returns float64"):
        saiki.Cell("saved?", lambda a: a, lambda dh, hh: dh * hh)
    with pytest.raises(saiki.ArgumentError, match=r"must return a tuple of da, dh_prev, .* it returns float64"):
        saiki.Cell("one gradient", lambda a, h_prev: a + h_prev, lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match=r"must return h, which .* it returns a tuple of 2"):
        saiki.Cell("named like a gate", lambda a_i: (a_i, a_i), lambda dh, a_i: dh * a_i)
    with pytest.raises(saiki.ArgumentError, match=r"must return h, which .* it returns a tuple of 1"):
        saiki.Cell("tuple of one", lambda a: (a,), lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match="look and look_backward come together"):
        saiki.Cell("half", lambda a: a, lambda dh: dh, look=lambda h_prev: h_prev)
    for no_function in (np.tanh, None, functools.partial(lambda a: a)):
        with pytest.raises(saiki.ArgumentError, match="its functions must be plain Python functions"):
            saiki.Cell("no function", no_function, lambda dh: dh)  # type: ignore[arg-type]
    forward: Any
    for forward in (lambda a, x: a + x, lambda a_i, x_i: a_i + x_i):
        with pytest.raises(saiki.ArgumentError, match="must be there, and differ"):
            saiki.Cell("one gate twice", forward, lambda dh: (dh, dh))
    for forward in (lambda x_z, h_n: x_z + h_n, lambda a_n, h_n: a_n + h_n, lambda a, b: a + b, lambda a, h0: a + h0):
        with pytest.raises(saiki.ArgumentError, match="has no meaning as an argument here"):
            saiki.Cell("lost", forward, lambda dh: (dh, dh))
    with pytest.raises(saiki.ArgumentError, match=r"must take plain arguments, without \* and defaults"):
        saiki.Cell("default", lambda a, k=1: a * k, lambda dh: (dh, dh))
    with pytest.raises(saiki.ArgumentError, match="fails on single numbers: IndexError"):
        saiki.Cell("array", lambda a: a[0], lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match=r"must return a tuple of v, r, .* it returns float64"):
        before = CELLS["gru_reset_before"]
        saiki.Cell("short", before.forward, before.backward, lambda a_r, h_prev: a_r, lambda dv, r, h_prev: (dv, dv))


def test_any_argument_that_is_no_part_of_a_gate_is_a_vector() -> None:
    cell = saiki.Cell("leaky", lambda a, k, h_prev: a + k * h_prev, lambda dh, k, h_prev: (dh, dh * h_prev, dh * k))
    assert cell.vectors == ("k",)
    assert saiki.check_gradients(cell).right
    assert cell.stages[0].takes == ("a", "k", "h_prev")


def two_stages(look: Any, look_backward: Any, forward: Any, backward: Any) -> saiki.Cell:
    return saiki.Cell("two stages", forward, backward, look, look_backward)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: two_stages(
                lambda a_r, h_prev: (a_r * h_prev, a_r),
                lambda dv, c, h_prev: (dv * h_prev, dv * c),
                lambda a_n, c_prev: (a_n, c_prev),
                lambda dh, dc: (dh, dc),
            ),
            "'c' would be a new state and a value that look returns",
        ),
        (lambda: saiki.Cell("c", lambda a, c, c_prev: (a, c), lambda dh, dc: (dh, dc, dc)), "'c' would be a new"),
        (lambda: saiki.Cell("dh", lambda a, dh: a * dh, lambda dh: (dh, dh)), "'dh' would be an argument and"),
        (lambda: saiki.Cell("x", lambda x, x_prev: (x, x), lambda dh, dx: (dh, dx)), "'x' would be a new state and"),
        (lambda: saiki.Cell("b_i", lambda a_i, b_i: a_i * b_i, lambda dh: (dh, dh)), "'b_i' .* is a part of b"),
        (lambda: saiki.Cell("one", lambda a: (a,), lambda dh: dh), r"write 'return h', without a comma"),
        (lambda: saiki.Cell("saved", lambda a: a, lambda dh, hprev: dh), "'hprev' is taken .*; is 'h_prev' meant"),
        (lambda: saiki.Cell("H", lambda a, H_prev: (a, a), lambda dh: (dh, dh)), "'H_prev' has no meaning"),
        (lambda: saiki.Cell("xn", lambda a_z, xn: a_z * xn, lambda dh: (dh, dh)), "'xn' would be .* like 'x_n'"),
        (
            lambda: saiki.TreeCell("hleft", lambda a, hleft: a * hleft, lambda dh: (dh, dh)),
            "'hleft' would be a parameter, .* like 'h_left'",
        ),
        (
            lambda: saiki.TreeCell("c", lambda a, c, c_left: (a, c), lambda dh, dc: (dh, dc, dc)),
            "'c' would be a state and an argument",
        ),
    ],
)  # fmt: skip
def test_names_that_mean_two_things_or_look_like_another_are_refused(make: Any, message: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    "name", ["hprev", "h_prv", "hPrev", "cprev", "h_previous", "prev_h", "cPrev", "c_pre", "Hprev"]
)
def test_a_parameter_that_looks_like_a_previous_state_is_refused(name: str) -> None:
    forward = functions(f"def forward(a, {name}): return a * {name}")
    with pytest.raises(saiki.ArgumentError, match=f"{name!r} (would be a parameter|has no meaning)"):
        saiki.Cell("no memory", forward, lambda dh: (dh, dh))


@pytest.mark.parametrize("name", ["k", "u", "p_i", "spread", "preset", "alpha", "xi", "A", "decay"])
def test_parameters_and_cells_without_memory_stay_possible(name: str) -> None:
    cell = saiki.Cell("no memory", functions(f"def forward(x, {name}): return x * {name}"), lambda dh: (dh, dh))
    assert cell.vectors == (name,)


def functions(code: str) -> Any:
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["forward"]
