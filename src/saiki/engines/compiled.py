"""The compiled engine: the walk of ``reference.py`` in machine code, with the cells' own functions inside.

For each cell and precision the loops are generated (``loops.py``), the cell's functions are bound to a vocabulary that
LLVM vectorises (``vector_maths.py``), and the weights are packed once for a kernel that multiplies small batches at the
machine's peak (``tile.py``). The batch is cut into slices, one for each thread; a slice walks through all time with no
barrier, and the slices' weight gradients are added up in a fixed order.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from types import CellType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

from saiki.arrays import Array, Params
from saiki.cells import Cell
from saiki.engines import memory
from saiki.engines.blas import single_threaded
from saiki.engines.building import build, fingerprint
from saiki.engines.loops import (
    Run,
    backward_arguments,
    backward_source,
    between,
    forward_arguments,
    forward_source,
    overwritten,
    runs_of,
    seen_names,
)
from saiki.engines.tape import Schedule, Tape, Walk
from saiki.engines.tile import products
from saiki.engines.vector_maths import inlined, vocabulary
from saiki.errors import ArgumentError, DtypeError

running = single_threaded

BLOCK_ROWS = 512
"""How many rows (steps by sequences) give their weight gradients at once: they still are in the cache."""


class Program(NamedTuple):
    """What is compiled for one cell and precision."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    forward_names: list[str]
    backward_names: list[str]
    runs: list[Run]
    overwritten: dict[str, int]
    product: Callable[..., None]
    pack: Callable[..., None]
    columns: int


@cache
def program(cell: Cell, dtype: Any) -> Program:
    """Compile the walks of a cell, or find them in the cache."""
    words = vocabulary(dtype)
    product, pack, columns = products(dtype)
    scope: dict[str, Any] = {"product": product, "pack": pack, "columns": columns, "zero": dtype(0)}
    depends = [dtype.__name__.encode()]
    for number, stage in enumerate(cell.stages):
        for name, function in ((f"stage_{number}", stage.forward), (f"back_{number}", stage.backward)):
            depends.append(_depends(function))
            scope[name] = _translate(function, words)
    forward = build("forward_walk", forward_source(cell), scope, None, depends)
    backward = build("backward_walk", backward_source(cell), scope, None, depends)
    names = forward_arguments(cell), backward_arguments(cell)
    return Program(forward, backward, *names, runs_of(cell), overwritten(cell), product, pack, columns)


def _is_own(value: Any) -> bool:
    """Whether a value is a Python function of the cell's author, to be compiled along with the cell."""
    return isinstance(value, FunctionType) and not (value.__module__ or "").startswith(("saiki.maths", "numpy"))


def _used(function: FunctionType) -> dict[str, Any]:
    """Return the global names that a function reads."""
    return {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}


def _translate(function: Any, words: dict[Callable[..., Any], Callable[..., Any]]) -> Any:
    """Return a compiled function of the same code, in the compiled vocabulary; helpers of its own come along."""

    def compiled(value: Any) -> Any:
        return _translate(value, words) if _is_own(value) else words.get(value, value) if callable(value) else value

    used = {"__name__": build.__module__} | {name: compiled(value) for name, value in _used(function).items()}
    closure = tuple(CellType(compiled(held.cell_contents)) for held in function.__closure__ or ())
    rebound = FunctionType(function.__code__, used, function.__name__, function.__defaults__, closure)
    return inlined(rebound)


def _depends(function: Any) -> bytes:
    """Return all that decides what a function of a cell does; the vocabulary is part of the engine's own sources."""
    held = {f"closure {i}": held.cell_contents for i, held in enumerate(function.__closure__ or ())}
    parts = [fingerprint(function.__code__)]
    for name, value in (_used(function) | held).items():
        said = _depends(value) if _is_own(value) else getattr(value, "__qualname__", repr(value)).encode()
        parts.append(name.encode() + b"=" + said)
    return b"|".join(parts)


def threads() -> int:
    """Return how many threads to use: ``SAIKI_NUM_THREADS``, or the number of cores; never more than there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("SAIKI_NUM_THREADS", "")
    if not wanted:
        return cores
    if not wanted.isdigit() or int(wanted) < 1:
        raise ArgumentError(f"SAIKI_NUM_THREADS must be a whole number of at least 1; got {wanted!r}.")
    return min(int(wanted), cores)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="saiki")


def _slices(B: int, work: int) -> list[tuple[int, int]]:
    """Cut the batch into a slice for each thread; one, if there is too little to do for more."""
    count = min(threads(), B) if work > WORK_FOR_THREADS else 1
    return list(pairwise(B * k // max(count, 1) for k in range(max(count, 1) + 1)))


WORK_FOR_THREADS = 2_000_000
"""Multiplications of a walk above which waking a second thread pays."""


def _run(tasks: list[Callable[[], None]]) -> None:
    """Run one task here and the others in the pool."""
    futures = [_pool().submit(task) for task in tasks[1:]]
    tasks[0]()
    for future in futures:
        future.result()


def _panels(program: Program, B: Array) -> Array:
    """Pack a matrix ``(K, N)``."""
    K, N = B.shape
    panels = np.empty((-(-N // program.columns), K, program.columns), B.dtype)
    program.pack(B, panels)
    return panels


def _blocks(program: Program, Wh: Array, H: int) -> list[Array]:
    """Return the columns of ``Wh`` that belong to each product."""
    return [Wh[:, run.source * H : (run.source + run.width) * H] for run in program.runs]


def forward(
    cell: Cell, params: Params, X: Array, states: tuple[Array, ...], walk: Walk
) -> tuple[Array, tuple[Array, ...], Tape]:
    """Run the recurrence over time. See ``saiki.engines.tape.Engine``."""
    B, T, _ = X.shape
    H, G = states[0].shape[1], len(cell.gates)
    dtype: Any = X.dtype.type
    if dtype not in (np.float32, np.float64):
        raise DtypeError(f"the compiled engine takes float32 and float64; got {X.dtype}. Use engine='reference'.")
    compiled = program(cell, dtype)
    schedule = Schedule.of(walk.lengths, B, T, walk.reverse)
    tape = _blank_tape(cell, X, H, schedule, walk)
    for name, initial in zip(cell.states, states, strict=True):
        tape.states[name][0] = schedule.sort(initial)

    common = {
        "alive": np.array(schedule.alive, np.int64), "masked": tape.mask is not None,
        "mask": np.zeros((0, 0), dtype) if tape.mask is None else tape.mask,
        "x": tape.x, "bias": params.get("b", np.zeros(G * H, dtype)),
        "apart_bias": params.get("bh", np.zeros(len(cell.apart) * H, dtype)),
        "wx": _panels(compiled, params["Wx"]),
    }  # fmt: skip
    if cell.recurrent:
        blocks = _blocks(compiled, params["Wh"], H)
        common |= {f"wh_{r}": _panels(compiled, block) for r, block in enumerate(blocks)}
    common |= _on_tape(cell, tape, params)
    tasks = []
    for lo, hi in _slices(B, T * B * G * H * (H + X.shape[2])):
        own = {"lo": lo, "hi": hi, "spare": np.empty((8, compiled.columns), dtype)}
        own["seen"] = np.empty((hi - lo if tape.mask is not None else 0, H), dtype)
        tasks.append(_bind(cell, compiled.forward, compiled.forward_names, common | own))
    _run(tasks)
    ends = (tape.states[name] for name in cell.states)
    final = (states[schedule.lengths % len(states), np.arange(B)] for states in ends)
    return schedule.unwalk(tape.states["h"][1:]), tuple(map(schedule.unsort, final)), tape


def backward(
    cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None
) -> tuple[Params, Array, tuple[Array, ...]]:
    """Backpropagate through time. See ``saiki.engines.tape.Engine``."""
    T, B, G, H = tape.a.shape
    F, A = tape.x.shape[2], len(cell.apart)
    dtype: Any = tape.a.dtype.type
    compiled, schedule = program(cell, dtype), tape.schedule
    dstate = {name: np.array(schedule.sort(d)) for name, d in zip(cell.states, dstates, strict=True)}
    dx = memory.zeros((T, B, F), dtype)
    dh_loss = memory.empty((T, B, H), dtype)
    np.copyto(dh_loss, schedule.walk(dH))
    common = {
        "alive": np.array(schedule.alive, np.int64), "masked": tape.mask is not None,
        "mask": np.zeros((0, 0), dtype) if tape.mask is None else tape.mask,
        "window": tbptt or 0, "x": tape.x, "wx_back": _panels(compiled, params["Wx"].T),
        "dh_loss": dh_loss, "dx": dx,
    }  # fmt: skip
    if cell.recurrent:
        blocks = _blocks(compiled, params["Wh"], H)
        common |= {f"wh_back_{r}": _panels(compiled, block.T) for r, block in enumerate(blocks)}
    common |= _on_tape(cell, tape, params) | {f"d_{name}": d for name, d in dstate.items()}

    tasks, parts = [], []
    for lo, hi in _slices(B, 2 * T * B * G * H * (H + F)):
        most = max(min(BLOCK_ROWS, T * (hi - lo)), hi - lo, 1)
        grads = {"dwx": np.zeros((F, G * H), dtype), "dbias": np.zeros(G * H, dtype)}
        grads |= {f"dwh_{r}": np.zeros((H, run.width * H), dtype) for r, run in enumerate(compiled.runs)}
        grads |= {"dapart_bias": np.zeros(A * H, dtype)} | {f"dvector_{n}": np.zeros(H, dtype) for n in cell.vectors}
        own = {
            "lo": lo, "hi": hi, "spare": np.empty((8, compiled.columns), dtype),
            "da": memory.zeros((most, G * H), dtype), "dapart": memory.zeros((most, A * H), dtype),
            "block_x": memory.empty((most, F), dtype),
            "panels": memory.empty((-(-G * H // compiled.columns) * most * compiled.columns,), dtype),
        }  # fmt: skip
        own |= {f"block_seen_{s}": memory.empty((most, H), dtype) for s in seen_names(cell)}
        own |= {f"between_{n}": np.zeros((hi - lo, H), dtype) for n in between(cell)}
        tasks.append(_bind(cell, compiled.backward, compiled.backward_names, common | own | grads))
        parts.append(grads)
    _run(tasks)

    total = {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}
    dparams = {"Wx": total["dwx"]}
    if cell.recurrent:
        dparams["Wh"] = np.concatenate([total[f"dwh_{r}"] for r in range(len(compiled.runs))], axis=1)
    if "b" in params:
        dparams["b"] = total["dbias"]
    if "bh" in params:
        dparams["bh"] = total["dapart_bias"]
    dparams |= {name: total[f"dvector_{name}"] for name in cell.vectors}
    return dparams, schedule.unwalk(dx), tuple(schedule.unsort(d) for d in dstate.values())


def _blank_tape(cell: Cell, X: Array, H: int, schedule: Schedule, walk: Walk) -> Tape:
    """Make a tape to write on. A prediction goes round and round in one step of it, and two of the states but h."""
    B, T, F = X.shape
    kept, kept_states = (T, T + 1) if walk.keep else (min(T, 1), min(T + 1, 2))
    make = memory.empty if schedule.order is None else memory.zeros  # steps that do not exist are zero
    gates, dtype = make((kept, B, len(cell.gates), H), X.dtype), X.dtype
    precision: Any = X.dtype.type
    taken = program(cell, precision).overwritten
    own = {name: make((kept, B, H), dtype) for name in cell.saved if name not in taken}
    x = schedule.walk(X)
    if not x.flags.c_contiguous:
        x = memory.empty((T, B, F), dtype)
        np.copyto(x, schedule.walk(X))
    return Tape(
        schedule,
        x=x,
        a=gates,
        apart=make((kept, B, len(cell.apart), H), dtype),
        states={name: make(((T + 1) if name == "h" else kept_states, B, H), dtype) for name in cell.states},
        saved={n: own[n] if n in own else gates[:, :, taken[n]] for n in cell.saved},
        mask=None if walk.mask is None else schedule.sort(walk.mask),
    )


def _on_tape(cell: Cell, tape: Tape, params: Params) -> dict[str, Any]:
    """Return what both walks read from the tape and the parameters."""
    arrays: dict[str, Any] = {"gates": tape.a, "apart": tape.apart}
    arrays |= {f"s_{s}": tape.states[s] for s in cell.states}
    arrays |= {f"saved_{n}": saved for n, saved in tape.saved.items()}
    return arrays | {f"vector_{n}": np.ascontiguousarray(params[n]) for n in cell.vectors}


def _bind(cell: Cell, function: Callable[..., None], names: list[str], values: dict[str, Any]) -> Callable[[], None]:
    """Return the call of a walk, in which Numba's own words about a cell become ours."""
    arguments = [values[name] for name in names]

    def call() -> None:
        try:
            function(*arguments)
        except NumbaError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in lines if not line.startswith("Failed in")), "")
            raise ArgumentError(
                f"cell {cell.name!r} cannot be compiled; Numba says: {reason.rstrip('.')}."
                " Write it with arithmetic and the words of saiki.maths, or use engine='reference'."
            ) from error

    return call
