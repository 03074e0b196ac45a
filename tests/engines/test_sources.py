"""The generated sources as plain Python, without a compiler: every line of a walk can be followed, and measured."""

import ctypes
import inspect
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.cells import CELLS
from saiki.engines import kernels, layout, plan, tile, walks
from saiki.engines.building import define
from saiki.losses import LOSSES, Loss
from saiki.optimizers import Rule

NUMBER = np.float64


def numbers(address: int) -> Any:
    return ctypes.cast(int(address), ctypes.POINTER(ctypes.c_double))


def carray(start: Any, shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape))
    if size == 0:
        return np.zeros(shape)
    return np.ctypeslib.as_array(start, (size,)).reshape(shape)


def wholes(address: int) -> Any:
    return ctypes.cast(int(address), ctypes.POINTER(ctypes.c_int64))


def product(A: Array, panels: Array, start: Array, C: Array, spare: Array) -> None:
    packed = panels.transpose(1, 0, 2).reshape(A.shape[1], -1)[:, : C.shape[1]]
    C[...] = A @ packed + (start if len(start) else C)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put Python in the place of every compiled function: a kernel's address is the number of a Python function."""
    functions: list[Any] = []

    def kernel(
        name: str,
        source: str,
        arguments: Any,
        dtype: Any,
        scope: Any,
        depends: Any = (),
        purpose: str = "",
        exact: bool = False,
    ) -> int:
        def as_table(address: int) -> None:
            table, values, slot = wholes(address), [], 0
            for argument in arguments.values():
                shape = tuple(table[slot + 1 + axis] for axis in range(argument.dimensions))
                pointer = wholes if argument.whole else numbers
                values.append(carray(pointer(table[slot]), shape) if argument.dimensions else table[slot])
                slot += 1 + argument.dimensions
            function(*values)

        scope = {k: python.get(k, v) for k, v in scope.items()} | {"numbers": numbers}
        function = define(name, source.lstrip("\n"), scope)
        functions.append(as_table)
        return len(functions)

    def run_at(start: int, length: int) -> None:
        words = wholes(start)
        for i in range(0, length, 2):
            functions[words[i] - 1](words[i + 1])

    python = {
        "product": product,
        "pack": define("pack", tile.PACK, {"zero": 0.0}),
        "width_of": lambda N: tile.width_of(N, NUMBER),
    }
    for module in (walks, kernels):
        monkeypatch.setattr(module, "kernel", kernel)
        monkeypatch.setattr(module, "translate", lambda function, dtype: function)
    monkeypatch.setattr(plan, "run_at", run_at)
    for cached in (walks.forward_walk, walks.backward_walk, kernels.kernel_of, kernels.weigher, kernels.updater):
        monkeypatch.setattr(plan, cached.__name__, cached.__wrapped__)


def prepared(net: saiki.Network, loss: Loss, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Any, ...]:
    rules: tuple[Rule, ...] = (Rule(lambda g, w: -0.1 * g),)
    made = plan.Plan(net._chain.links, layout.Size(*shape, NUMBER, 1, 1, True), loss, rules)  # type: ignore[union-attr]
    params, X = net.init(rng), rng.standard_normal((*shape, 2))
    assert made.point_at_params(params)
    return made, params, X


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", CELLS)
def test_a_whole_step_of_every_cell(name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "BLOCK_ROWS", 8)  # blocks are added up in parts
    net = saiki.Network([saiki.Recurrent(name, 2, 3), saiki.Dense(3, 2, "sigmoid")])
    loss, lengths = LOSSES["squared_error"], np.array([4, 0, 2])
    made, params, X = prepared(net, loss, (3, 4), rng)
    y = rng.random((3, 4, 2))
    gradients, dX, Y = np.empty(made.n_gradients), np.empty_like(X), np.empty((3, 4, 2))
    for slot, array in ((plan.Slot.X, X), (plan.Slot.TARGETS, y), (plan.Slot.GRADIENTS, gradients)):
        made.point(slot, array)
    made.point(plan.Slot.DX, dX)
    made.point(plan.Slot.Y, Y)
    for chosen in (None, lengths):
        made.follow(chosen)
        made.scale[0] = 1 / (made.rows * 2)
        value, grads = net.loss_and_gradients(params, X, y, loss, chosen, engine="reference")
        made.run("learn")
        made.run("hand out dX")
        assert made.well
        np.testing.assert_allclose(made.value, value, rtol=1e-12)
        np.testing.assert_allclose(dX, grads.X, atol=1e-12)
        for k, gradient in made.split(gradients).items():
            np.testing.assert_allclose(gradient, grads[k], atol=1e-12)
        made.run("predict")
        np.testing.assert_allclose(Y, net.forward(params, X, lengths=chosen, engine="reference")[0], atol=1e-12)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("kind", ["last", "mean"])
def test_readouts_classes_and_updates(kind: str, rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.GRU(2, 3), saiki.Readout(kind), saiki.Dense(3, 4)])
    loss, y = LOSSES["cross_entropy"], np.array([3.0, 0.0, 1.0])
    made, params, X = prepared(net, loss, (3, 4), rng)
    new = np.empty(made.n_gradients)
    for slot, array in ((plan.Slot.X, X), (plan.Slot.TARGETS, y), (plan.Slot.GRADIENTS, made.total)):
        made.point(slot, array)
    made.point_at_results([new])
    made.scale[0] = 1 / 3
    made.run("train")
    value, grads = net.loss_and_gradients(params, X, y, engine="reference")
    np.testing.assert_allclose(made.value, value, rtol=1e-12)
    for k, after in made.split(new).items():
        np.testing.assert_allclose(after, params[k] - 0.1 * grads[k], atol=1e-12)
    weights = np.array([0.5, 0.0, 2.0])
    made.point(plan.Slot.WEIGHTS, weights)
    made.scale[0] = 1 / weights.sum()
    made.weigh_by_row(True)
    made.run("train")
    value, _ = net.loss_and_gradients(params, X, y, sample_weight=weights, engine="reference")
    np.testing.assert_allclose(made.value, value, rtol=1e-12)
    y[1] = 4
    made.run("train")
    assert not made.well
    assert made.well  # said once


def test_the_words_of_the_walks_are_those_of_the_reference(rng: np.random.Generator) -> None:
    """What stands in for the compiled functions here is what the engine's own tests hold those to."""
    for shape in ((3, 4, 5), (2, 3, 40), (4, 2, 1)):
        M, K, N = shape
        A, B, C = rng.standard_normal((M, K)), rng.standard_normal((K, N)), np.zeros((M, N))
        width = tile.width_of(N, NUMBER)
        panels = np.zeros((-(-N // width), K, width))
        define("pack", tile.PACK, {"zero": 0.0})(B, panels)
        product(A, panels, np.zeros(0), C, np.zeros(0))
        np.testing.assert_allclose(C, A @ B, atol=1e-14)


def test_no_line_of_another_file_is_shown_for_a_generated_one() -> None:
    with pytest.raises(OSError, match="lineno is out of bounds"):  # Numba then leaves the source out
        inspect.getsource(define("double", "def double(x):\n    return x + x\n", {}))
