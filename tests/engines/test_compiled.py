"""The compiled engine gives the numbers of the reference engine, really runs, and the next process finds it."""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.cells.cell import Cell
from saiki.engines import blas, compiled, layout, plan, threads
from saiki.layers import Layer
from saiki.maths import ACTIVATIONS, dtanh, tanh

# The same sums in another order, and tanh and sigmoid within 4 ulp; over up to 12 steps on values near 1.
TOLERANCE: dict[Any, float] = {np.float64: 1e-12, np.float32: 1e-4}

EVERY_CELL = [(name, None, dtype) for name in CELLS for dtype in TOLERANCE] + [
    (name, activation, np.float64) for name in CELLS if CELLS[name].activation for activation in ACTIVATIONS
]


def arrays_of(value: Any) -> list[Array]:
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_of(part)]
    return [] if value is None else [value]


def both_ways(layer: Layer, dtype: Any, shape: tuple[int, int], ragged: bool, window: int | None, seed: int) -> None:
    """Run both engines on the same numbers, forward and backward, and compare everything."""
    rng, (B, T) = np.random.default_rng(seed), shape
    params: Params = {}
    for k, p in layer.parameters().items():  # small enough that no rounding grows over the steps
        scale = min(0.4, 1 / np.sqrt(p.shape[0])) if len(p.shape) > 1 else 0.4
        params[k] = (scale * rng.standard_normal(p.shape)).astype(dtype)
    X: Array = rng.standard_normal((B, layer.sizes[0] or 2, T)).astype(dtype).swapaxes(1, 2)  # not contiguous
    lengths = rng.integers(0, T + 1, B) if ragged else None
    _, like, _ = layer.forward(params, X)
    state: tuple[Array, ...] = tuple(rng.standard_normal(s.shape).astype(dtype) for s in arrays_of(like))
    start: Any = state if isinstance(like, tuple) else state[0]
    results = []
    for engine in ("reference", "compiled"):
        H, final, tape = layer.forward(params, X, start, lengths, engine, np.random.default_rng(seed))
        dH: Array = np.random.default_rng(seed + 1).standard_normal(H.shape).astype(dtype)
        grads = layer.backward(params, tape, dH, final, window)
        inner = tape.content.tape
        alive = list(enumerate(inner.schedule.alive))
        kept = [v[t, :n] for v in (*inner.states.values(), *inner.saved.values()) for t, n in alive]
        everything = [H, *arrays_of(final), grads.X, *arrays_of(grads.state), *(grads[k] for k in params), *kept]
        results.append(everything)
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype == dtype
        np.testing.assert_allclose(other, one, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(one).max(initial=0)))


@pytest.mark.parametrize(("name", "activation", "dtype"), EVERY_CELL)
def test_every_cell_and_option(name: str, activation: str | None, dtype: Any, rng: np.random.Generator) -> None:
    cell = CELLS[name].with_activation(activation) if activation else CELLS[name]
    options: list[dict[str, Any]] = [{}, {"bias": False}, {"reverse": True}]
    options += [{"recurrent_dropout": 0.4}] if cell.recurrent else []
    for more in options:
        for F, H in ((1, 1), (3, 5), (2, 37)):
            for B, T in ((1, 1), (1, 12), (7, 6)):
                for ragged in (False, True):
                    window, seed = (int(rng.integers(1, 5)) if rng.random() < 0.5 else None), int(rng.integers(1000))
                    both_ways(saiki.Recurrent(cell, F, H, **more), dtype, (B, T), ragged, window, seed)


@pytest.mark.parametrize("slices", [1, 2, 3, 7])
def test_any_number_of_threads(slices: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    monkeypatch.setattr(compiled, "threads", lambda: slices)
    for name in ("lstm", "gru", "gru_reset_before"):
        for ragged in (False, True):
            both_ways(saiki.Recurrent(name, 3, 5), np.float64, (7, 6), ragged, None, int(rng.integers(1000)))


def test_a_long_block_of_rows_is_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "BLOCK_ROWS", 8)
    compiled._idle.clear()
    for name in ("lstm", "gru", "mgu", "mingru"):
        both_ways(saiki.Recurrent(name, 3, 5), np.float64, (3, 12), True, None, 3)


@pytest.mark.parametrize("lengths", [None, [7, 0, 3, 5]])
@pytest.mark.parametrize("name", CELLS)
def test_predict_is_forward_without_a_tape(name: str, lengths: list[int] | None, rng: np.random.Generator) -> None:
    for reverse in (False, True):
        layer = saiki.Recurrent(name, 3, 5, reverse=reverse)
        params, X = layer.init(rng), rng.standard_normal((4, 7, 3))
        H, final, _ = layer.forward(params, X, None, lengths)
        H2, final2 = layer.predict(params, X, None, lengths, "compiled")
        for one, other in zip([H, *arrays_of(final)], [H2, *arrays_of(final2)], strict=True):
            np.testing.assert_allclose(other, one, atol=1e-13)


def test_the_compiled_path_really_ran(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    net, run, runs = saiki.Network([saiki.LSTM(2, 3), saiki.Dense(3, 1)]), plan.Plan.run, []

    def counted(self: plan.Plan, name: str) -> None:
        runs.append(name)
        run(self, name)

    monkeypatch.setattr(plan.Plan, "run", counted)
    params, X, y = net.init(rng), np.ones((2, 3, 2)), np.ones((2, 3))
    net.predict(params, X, engine="compiled")
    net.loss_and_gradients(params, X, y, "squared_error", engine="compiled")
    assert runs == ["predict", "learn", "hand out dX"]
    layer, own = net.layers[0], {name: params[f"0/{name}"] for name in ("Wx", "Wh", "b")}
    H, _, tape = layer.forward(own, X, engine="compiled")
    layer.backward(own, tape, np.ones_like(H))
    assert runs[3:] == ["forward", "backward"]


def test_a_cell_of_ones_own_with_helpers_and_a_closure() -> None:
    def squash(v: Any) -> Any:
        return tanh(v)

    def forward(a: Any, k: Any, h_prev: Any) -> Any:
        return squash(a) + k * h_prev

    def backward(dh: Any, a: Any, k: Any, h_prev: Any) -> Any:
        return dh * dtanh(squash(a)), dh * h_prev, dh * k

    for dtype in TOLERANCE:
        both_ways(saiki.Recurrent(Cell("own", forward, backward), 2, 5), dtype, (3, 6), True, None, 0)


def test_a_cell_that_cannot_be_compiled_is_an_error_that_says_what_to_do() -> None:
    def forward(a: Any) -> Any:
        return np.stack([tanh(a)])[0]

    layer = saiki.Recurrent(Cell("odd", forward, lambda dh, h: dh * dtanh(h)), 2, 3)
    with pytest.raises(saiki.ArgumentError, match=r"'odd' cannot be compiled; Numba says: .+ use engine='reference'"):
        layer.forward(layer.init(np.random.default_rng(0)), np.ones((1, 2, 2)), engine="compiled")


def test_complex_numbers_are_for_the_reference_engine() -> None:
    layer = saiki.SimpleRNN(2, 3)
    params = layer.init(np.random.default_rng(0))
    with pytest.raises(saiki.DtypeError, match="the compiled engine takes float32 and float64; got complex128"):
        layer.forward(params, np.ones((1, 2, 2), complex), engine="compiled")


def test_several_python_threads_at_once(rng: np.random.Generator) -> None:
    layer = saiki.GRU(3, 16)
    params, batches = layer.init(rng), [rng.standard_normal((64, 30, 3)) for _ in range(8)]

    def work(X: Array) -> Array:
        H, _, tape = layer.forward(params, X, engine="compiled")
        return layer.backward(params, tape, np.ones_like(H))["Wh"]

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for one, other in zip(pool.map(work, batches), map(work, batches), strict=True):
                np.testing.assert_array_equal(one, other)


def test_same_numbers_run_after_run(rng: np.random.Generator) -> None:
    layer = saiki.LSTM(3, 40)
    params, X = layer.init(rng, dtype=np.float32), rng.standard_normal((50, 30, 3)).astype(np.float32)
    results = []
    for _ in range(3):
        H, _, tape = layer.forward(params, X, engine="compiled")
        results.append((H, layer.backward(params, tape, np.ones_like(H))["Wh"]))
    for H, dWh in results[1:]:
        np.testing.assert_array_equal(H, results[0][0])
        np.testing.assert_array_equal(dWh, results[0][1])


def test_bad_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAIKI_NUM_THREADS", "two")
    with pytest.raises(saiki.ArgumentError, match="SAIKI_NUM_THREADS must be a whole number of at least 1; got 'two'"):
        threads.threads()
    monkeypatch.setenv("SAIKI_NUM_THREADS", "100000")
    assert threads.threads() <= (os.cpu_count() or 1)


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}


def test_blas_has_its_threads_again_afterwards(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.LSTM(2, 8), saiki.Dense(8, 1)])
    params, X, y = net.init(rng), rng.standard_normal((16, 5, 2)), np.zeros((16, 5))
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = blas_threads()
        with ThreadPoolExecutor(4) as pool:
            steps = [pool.submit(net.loss_and_gradients, params, X, y, "huber", engine="compiled") for _ in range(40)]
            for step in steps:
                step.result()
        assert blas_threads() == before
        with blas.single_threaded(), blas.single_threaded():
            assert blas_threads() == {1}
        with pytest.raises(saiki.ShapeError):
            net.forward(params, X, (np.zeros((3, 3)), None), engine="compiled")
        assert blas_threads() == before


def test_no_steps_and_no_sequences() -> None:
    layer = saiki.LSTM(2, 3)
    params = layer.init(np.random.default_rng(0))
    for B, T in ((0, 4), (2, 0)):
        H, _, tape = layer.forward(params, np.zeros((B, T, 2)), engine="compiled")
        grads = layer.backward(params, tape, np.zeros_like(H))
        assert H.shape == (B, T, 3)
        assert not grads["Wh"].any()
        assert layer.predict(params, np.zeros((B, T, 2)), engine="compiled")[0].shape == (B, T, 3)


def test_subnormal_numbers_are_not_flushed_for_the_callers_process() -> None:
    layer = saiki.SimpleRNN(2, 3)
    params = layer.init(np.random.default_rng(0), dtype=np.float32)
    layer.forward(params, np.ones((4, 5, 2), np.float32), engine="compiled")
    assert np.float32(1e-40) * np.float32(1) > 0
    assert np.array([1e-310]) * 1.0 > 0


def test_subnormal_numbers_do_not_slow_it_down() -> None:
    """States that fall by a constant factor become subnormal, and with them all products, if nothing else is added."""
    net = saiki.Network([saiki.SimpleRNN(4, 128), saiki.Dense(128, 1)])
    params = {k: np.full(v.shape, -0.1, np.float32) for k, v in net.init(np.random.default_rng(0)).items()}
    y = np.zeros((16, 50), np.float32)
    times: dict[float, list[float]] = {0.1: [], -0.1: []}
    for _ in range(30):
        for sign, of in times.items():
            X = np.full((16, 50, 4), sign, np.float32)
            start = time.perf_counter()
            net.loss_and_gradients(params, X, y, "squared_error", engine="compiled")
            of.append(time.perf_counter() - start)
    fast, slow = sorted(min(of) for of in times.values())
    assert slow < 2 * fast


CODE = """
import numpy as np, saiki
from saiki.maths import dtanh, tanh
def own():
    squash = lambda v: tanh(v)
    slope = lambda v: dtanh(squash(v))
    return saiki.Cell("own", lambda a, k, h_prev: squash(a) + k * h_prev, lambda dh, a, k, h_prev: (
        dh * slope(a), dh * h_prev, dh * k))
layer = saiki.Recurrent(own() if {cell!r} == "own" else {cell!r}, 2, 3)
params = layer.init(np.random.default_rng(0), dtype=np.float32)
H, _, tape = layer.forward(params, np.ones((2, 3, 2), np.float32), engine="compiled")
layer.backward(params, tape, np.ones_like(H))
"""


def run_code(cell: str, **environment: str) -> str:
    """Run the code in a new process, and return what it said on the standard error stream."""
    return subprocess.run(
        [sys.executable, "-c", CODE.format(cell=cell)],
        check=True, env=os.environ | environment, stderr=subprocess.PIPE, text=True,
    ).stderr  # fmt: skip


def test_the_next_process_finds_what_this_one_compiled(tmp_path: Path) -> None:
    def run(cell: str) -> tuple[dict[Path, int], str]:
        said = run_code(cell, NUMBA_CACHE_DIR=str(tmp_path))
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb*")}, said

    for cell in ("simple", "own"):  # one with helpers of its own, held in closures
        first, said = run(cell)
        assert any("backward_walk" in path.name for path in first)
        assert len(re.findall(f"saiki compiles the {cell}.* cell for float32", said)) == 1
        assert said.count("only once") == 1
        assert run(cell) == (first, "")
    assert run("mgu")[0].keys() > first.keys()


def test_where_nothing_can_be_written_beside_the_code_the_users_cache_is_used(tmp_path: Path) -> None:
    copy = tmp_path / "saiki"
    shutil.copytree(Path(saiki.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "engines" / "__pycache__").write_text("no folder can be made here")
    home = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "home")}
    environment = home | {"LOCALAPPDATA": str(tmp_path / "home"), "NUMBA_CACHE_DIR": ""}
    assert "saiki compiles the simple (tanh) cell for float32" in run_code("simple", **environment)
    assert any("backward_walk" in path.name for path in (tmp_path / "home").rglob("*.nbi"))
    assert run_code("simple", **environment) == ""
