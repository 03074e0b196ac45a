"""Every cell over trees in the table of contents, found by introspection."""

import pickle
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import maths
from saiki.arrays import Array
from saiki.cells import TREE_CELLS, TREE_NAMES, TreeCell, as_tree_cell
from saiki.maths import ACTIVATIONS, dsigmoid, dtanh, sigmoid, tanh
from saiki.trees import Forest, Recursive, Tree

ROUNDING = 1e-14  # the same float64 operations in another order, over fewer than 100 terms
EXACT = 1e-10  # what complex-step differentiation leaves: the rounding of a few hundred float64 operations
B, F, H = 4, 2, 3


def module_of(name: str) -> ModuleType:
    return sys.modules[f"saiki.cells.trees.{name}"]


def blocks_of(name: str) -> list[str]:
    """Return the indented blocks after "Equations" in the docstring of a cell's file."""
    _, _, text = TREE_CELLS[name].equations.partition("Equations")
    blocks = [match[1] for match in re.finditer(r"::\n\n((?:    .*\n|\n)+)", text)]
    assert blocks, f"the docstring of {name}.py must have a block of equations"
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def run_equations(name: str, params: dict[str, Array], x: Array, children: list[dict[str, Array]]) -> dict[str, Array]:
    """Run the docstring's equations for a level of nodes, all with as many children; return their states."""
    cell = TREE_CELLS[name]
    scope: dict[str, Any] = {word: getattr(maths, word) for word in dir(maths)} | {"x": x, "H": H}
    if cell.activation:
        scope["activation"], _ = ACTIVATIONS[cell.activation]
    for keys, gates in ((("Wx", "b"), cell.gates), (("Wh",), cell.recurrent)):
        for i, gate in enumerate(gates):
            scope |= {f"{key}_{gate}" if gate else key: params[key][..., H * i : H * i + H] for key in keys}
    nothing, blocks = np.zeros((len(x), H)), blocks_of(name)
    if cell.child is None:
        for state in cell.states:
            held = [child[state] for child in children] + [nothing] * 2
            scope |= {f"{state}_left": held[0], f"{state}_right": held[1]}
        scope["pair"] = np.concatenate((scope["h_left"], scope["h_right"]), axis=1)
    else:
        of_child, *blocks = blocks
        scope |= {f"{total}_sum": nothing for total in ("h", *cell.totals)}
        for child in children:
            of = scope | {f"{state}_child": value for state, value in child.items()}
            exec(of_child, of)
            scope["h_sum"] = scope["h_sum"] + child["h"]
            scope |= {f"{total}_sum": scope[f"{total}_sum"] + of[total] for total in cell.totals}
    for block in blocks:
        exec(block, scope)
    return {state: scope[state] for state in cell.states}


@pytest.mark.parametrize("name", TREE_CELLS)
def test_the_equations_in_the_docstring_are_those_that_run(name: str, rng: np.random.Generator) -> None:
    layer = Recursive(name, F, H)
    params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
    for n in (1, 2) if layer.cell.child is None else (1, 2, 5):
        inputs = rng.standard_normal((n + 1, B, F))
        forest = Forest.of([Tree([-1, *[0] * n], list(values)) for values in inputs.swapaxes(0, 1)])
        outputs, tape = layer.forward(params, forest, "reference")
        levels, of_all = tape.tape.levels, tape.tape.states
        leaves = [run_equations(name, params, x, []) for x in inputs[1:]]
        roots = run_equations(name, params, inputs[0], leaves)
        for state in layer.cell.states:
            found = of_all[state][levels.rows].reshape(B, n + 1, H)
            for k, true in enumerate((roots, *leaves)):
                np.testing.assert_allclose(found[:, k], true[state], rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_array_equal(outputs, of_all["h"][levels.rows])


@pytest.mark.parametrize("name", TREE_CELLS)
def test_cell_functions_hold_no_numbers(name: str) -> None:
    """A number in the code would turn float32 into float64 once compiled."""
    for function in TREE_CELLS[name].functions.values():
        constants = [c for c in function.__code__.co_consts if isinstance(c, int | float)]
        assert not constants, f"{name}.{function.__name__} holds {constants}"


@pytest.mark.parametrize("name", TREE_CELLS)
def test_cells_speak_the_vocabulary_and_nothing_else(name: str) -> None:
    cell = TREE_CELLS[name]
    for function in (cell.forward, cell.backward, cell.child, cell.child_backward):
        for word in function.__code__.co_names if function else ():
            assert function is not None
            assert function.__globals__[word] in vars(maths).values(), f"{name} says {word}"


def test_the_table_of_contents_is_the_folder() -> None:
    folder = {path.stem for path in Path(saiki.__file__).parent.glob("cells/trees/[a-z]*.py")} - {"cell"}
    assert set(TREE_NAMES) == set(TREE_CELLS) == folder
    for name, cell in TREE_CELLS.items():
        assert cell.name == name
        assert cell is as_tree_cell(name) is as_tree_cell(cell)


def test_the_gates_are_in_the_order_that_the_docstrings_say() -> None:
    assert TREE_CELLS["simple"].gates == ("",)
    assert TREE_CELLS["lstm"].gates == TREE_CELLS["lstm"].recurrent == ("i", "l", "r", "g", "o")
    assert TREE_CELLS["child_sum_lstm"].gates == TREE_CELLS["child_sum_lstm"].recurrent == ("f", "i", "g", "o")
    assert TREE_CELLS["child_sum_lstm"].child_gates == ("f",)
    assert TREE_CELLS["gru"].gates == TREE_CELLS["gru"].recurrent == ("l", "r", "z", "s", "n")
    assert TREE_CELLS["gru"].apart == ("left_n", "right_n")
    assert {name: cell.states for name, cell in TREE_CELLS.items() if len(cell.states) > 1} == {
        "lstm": ("h", "c"),
        "child_sum_lstm": ("h", "c"),
    }
    for name, cell in TREE_CELLS.items():
        if len(cell.gates) > 1:
            assert f"{', '.join(cell.gates[:-1])}, {cell.gates[-1]}" in " ".join(cell.equations.split()), name


@pytest.mark.parametrize("name", TREE_CELLS)
def test_a_cell_can_be_pickled_and_compared(name: str) -> None:
    cell = TREE_CELLS[name]
    copy = pickle.loads(pickle.dumps(cell))
    assert copy == cell
    assert hash(copy) == hash(cell)
    assert copy.kinds == cell.kinds
    assert "0x" not in repr(cell)


def test_activation_is_chosen_by_name(rng: np.random.Generator) -> None:
    relu = TREE_CELLS["simple"].with_activation("relu")
    assert relu.functions["forward"](np.float64(-2.0)) == 0
    assert TREE_CELLS["simple"].functions["forward"](np.float64(2.0)) == np.tanh(2.0)
    assert TREE_CELLS["simple"].with_activation("tanh") == TREE_CELLS["simple"] != relu
    assert pickle.loads(pickle.dumps(relu)) == relu
    layer, x = Recursive(relu, F, H), rng.standard_normal((1, F))
    params = layer.init(rng)
    np.testing.assert_allclose(
        layer.forward(params, Forest.of([Tree([-1], list(x))]), "reference")[0], np.maximum(x @ params["Wx"], 0)
    )
    with pytest.raises(saiki.ArgumentError, match=r"activation must be one of 'tanh', .* got 'tahn'. Did you mean"):
        TREE_CELLS["simple"].with_activation("tahn")
    with pytest.raises(saiki.ArgumentError, match="the equations of cell 'lstm' leave none to choose; leave it out"):
        TREE_CELLS["lstm"].with_activation("relu")
    with pytest.raises(
        saiki.ArgumentError, match=r"cell must be one of 'simple', 'lstm', .*; got 'lstn'. Did you mean"
    ):
        as_tree_cell("lstn")


LOST: list[Any] = [
    lambda a, left: a + left,
    lambda a, left_n: a + left_n,  # the gate n is not there
    lambda a, b: a + b,
    lambda a, h: a + h,
    lambda a, Wx: a + Wx,
    lambda a, k_child: a + k_child,
    lambda a, m_sum: a + m_sum,  # without child nothing is added up
    lambda a, h_prev: a + h_prev,  # of a cell over time
    lambda x_n, h_n: x_n + h_n,  # of a cell over time
    lambda x_n, left_n: x_n + left_n,  # the right child's part is not there
    lambda x_n, right_n: x_n + right_n,
]
TWO: list[Any] = [lambda a, x: a + x, lambda a_i, x_i: a_i + x_i]


def test_functions_that_do_not_fit_each_other_are_refused() -> None:
    def refused(match: str, *functions: Any) -> None:
        with pytest.raises(saiki.ArgumentError, match=match) as caught:
            TreeCell("odd", *functions)
        assert str(caught.value).startswith("cell 'odd': ")

    gates = r"gates, arguments named a, a_..., x or x_..., must be there, and differ; got \(.*\)"
    refused(gates, lambda h_left: h_left, lambda dh: dh)
    for forward in TWO:
        refused(gates, forward, lambda dh: (dh, dh))
    for forward in LOST:
        refused(r"has no meaning as an argument here; see saiki.TreeCell", forward, lambda dh: (dh, dh))
    refused(r"must return a tuple of h, hh, which .* it returns float64", lambda a: a, lambda dh, hh: dh * hh)
    refused(
        r"must return a tuple of da, dh_left, .* it returns float64", lambda a, h_left: a + h_left,
        lambda dh: dh,
    )  # fmt: skip
    refused(r"must return h, which .* it returns a tuple of 2", lambda a: (a, a), lambda dh: dh)
    refused(r"must return h, which .* it returns a tuple of 1", lambda a: (a,), lambda dh: dh)
    refused(r"must return a tuple of h, c, which", lambda a, c_left, c_right: a + c_left, lambda dh, dc: (dh, dc, dc))
    for function in (np.tanh, None, max):
        refused(r"its functions must be plain Python functions; got", function, lambda dh: dh)
    refused(r"must take plain arguments, without \* and defaults", lambda a, k=1: a * k, lambda dh: (dh, dh))
    refused(r"fails on single numbers: IndexError", lambda a: a[0], lambda dh: dh)
    refused(
        r"fails on arrays: ValueError: .*; write it with arithmetic and", lambda a: a if a > 0 else -a, lambda dh: dh
    )


def test_functions_of_a_child_that_do_not_fit_are_refused() -> None:
    def refused(match: str, *functions: Any) -> None:
        with pytest.raises(saiki.ArgumentError, match=match):
            TreeCell("odd", *functions)

    both, node, node_back = "child and child_backward come together; give both or neither", *SUM[:2]
    refused(both, node, node_back, SUM[2])
    refused(both, node, node_back, None, SUM[3])
    lost = "has no meaning as an argument here"
    refused(lost, lambda a, h_left, m_sum: a, lambda dh: (dh, dh, dh), *SUM[2:])
    refused(lost, lambda a, c_child, m_sum: a, lambda dh: (dh, dh, dh), *SUM[2:])  # a node has many of these
    refused(lost, lambda a, h_sum: a, lambda dh: (dh, dh), lambda h_child: h_child, lambda dh: dh)
    twice = "gates of each child must differ from those of the node; got a for both"
    refused(twice, lambda a, m_sum: a, lambda dh: (dh, dh), lambda a, h_child: a, lambda dm: (dm, dm))
    refused(
        r"must return m, which .* it returns a tuple of 2", node, node_back,
        lambda h_child: (h_child, h_child), lambda dm: dm,
    )  # fmt: skip
    refused(
        r"must return a tuple of da_f, dh_child", node, node_back,
        lambda a_f, h_child: a_f * h_child, lambda dm: dm,
    )  # fmt: skip
    refused(r"must return a tuple of m, f, which", node, node_back, lambda h_child: h_child, lambda dm, f: dm * f)


SUM: list[Any] = [lambda a, m_sum: a + m_sum, lambda dh: (dh, dh), lambda h_child: h_child, lambda dm: dm]
"""A cell that adds up its children, as simple as can be."""


def decaying() -> TreeCell:
    """A cell with a left and a right child, a second state of its own, and a vector of its own."""

    def forward(a: Any, x_z: Any, k: Any, e_left: Any, e_right: Any) -> tuple[Any, ...]:
        z, e = sigmoid(x_z), tanh(a) + k * e_left * e_right + e_left
        h = z * tanh(e)
        return h, e, z

    def backward(dh: Any, de: Any, z: Any, e: Any, a: Any, k: Any, e_left: Any, e_right: Any) -> tuple[Any, ...]:
        t = tanh(e)
        de = de + dh * z * dtanh(t)
        return (
            de * dtanh(tanh(a)),
            dh * t * dsigmoid(z),
            de * e_left * e_right,
            de * (k * e_right) + de,
            de * k * e_left,
        )

    return TreeCell("decaying", forward, backward)


def weighing() -> TreeCell:
    """A cell that adds its children up, with a vector in both functions, and gates that see no child."""

    def child(x_u: Any, a_f: Any, k: Any, h_child: Any, c_child: Any) -> tuple[Any, ...]:
        f, u = sigmoid(a_f), tanh(x_u)
        return f * k * c_child, u * h_child, f, u

    def child_backward(dm: Any, dq: Any, f: Any, u: Any, k: Any, h_child: Any, c_child: Any) -> tuple[Any, ...]:
        return dq * h_child * dtanh(u), dm * k * c_child * dsigmoid(f), dm * f * c_child, dq * u, dm * f * k

    def forward(a_g: Any, x_o: Any, k: Any, m_sum: Any, q_sum: Any) -> tuple[Any, ...]:
        g, o = tanh(a_g), sigmoid(x_o)
        c = g + m_sum * q_sum
        return o * tanh(c) + k * c, c, g, o

    def backward(dh: Any, dc: Any, g: Any, o: Any, c: Any, k: Any, m_sum: Any, q_sum: Any) -> tuple[Any, ...]:
        t = tanh(c)
        dc = dc + dh * o * dtanh(t) + dh * k
        return dc * dtanh(g), dh * t * dsigmoid(o), dh * c, dc * q_sum, dc * m_sum

    return TreeCell("weighing", forward, backward, child, child_backward)


def untied() -> TreeCell:
    """A cell that sees no child by a matrix: it has no Wh."""
    return TreeCell(
        "untied", lambda x, k, h_left, h_right: tanh(x) + k * h_left - h_right,
        lambda dh, x, k, h_left: (dh * dtanh(tanh(x)), dh * h_left, dh * k, -dh),
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize("make", [decaying, weighing, untied, lambda: TreeCell("sum", *SUM)])
def test_a_cell_of_ones_own(make: Any, engine: str) -> None:
    cell = make()
    certificate = saiki.check_gradients(cell, engine=engine)
    assert certificate.worst < EXACT
    assert all(row.largest > 0 for row in certificate.rows)
    assert certificate.errors.keys() >= set(cell.vectors)
    assert ("Wh" in certificate.errors) == bool(cell.recurrent)


def test_what_the_functions_of_ones_own_cell_say() -> None:
    cell = decaying()
    assert (cell.gates, cell.recurrent, cell.states, cell.vectors) == (("", "z"), ("",), ("h", "e"), ("k",))
    cell = weighing()
    assert (cell.gates, cell.child_gates, cell.recurrent) == (("u", "f", "g", "o"), ("u", "f"), ("f", "g"))
    assert (cell.totals, cell.child_saved, cell.states) == (("m", "q"), ("f", "u"), ("h", "c"))
    assert untied().recurrent == ()
