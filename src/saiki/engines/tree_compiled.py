"""The compiled engine for trees: the walk of ``tree_reference.py`` in machine code, with the cells' own functions.

The trees are cut into slices of about as many nodes, one for each thread; a slice is walked through all its levels with
no barrier, and what the slices found is added up in a fixed order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells.trees import TreeCell
from saiki.engines import memory
from saiki.engines.crew import crew
from saiki.engines.native import Argument, Table, address, program, run_at
from saiki.engines.threads import slices, threads
from saiki.engines.tile import products, width_of
from saiki.engines.tree_loops import (
    blocks_of,
    child_blocks_of,
    child_gradients_of,
    climb_arguments,
    climb_source,
    descend_arguments,
    descend_source,
    gradient_arguments,
    near_of,
)
from saiki.engines.tree_tape import Levels, Nodes, TreeTape, columns_of, rows_of, runs_of
from saiki.engines.walks import walk_kernel
from saiki.errors import DtypeError

ROWS_AT_ONCE = 128
"""How many rows of a level are walked over at once: what they see of their children stays in the cache."""

BLOCK_ROWS = 512
"""How many rows give their weight gradients at once."""

WORK_FOR_THREADS = 8_000_000
"""Multiplications of a walk above which a second thread pays, measured on a machine with two cores."""

PRECISIONS = (np.float32, np.float64)

GRADIENTS = {"Wx": "dwx", "Wh": "dwh", "b": "dbias"}
"""What the walk down calls the gradient of a parameter."""


class Walked(NamedTuple):
    """What the walk down needs to know of the walk up."""

    n_threads: int
    values: dict[str, Any]


@cache
def _kernel(cell: TreeCell, up: bool, dtype: Any) -> int:
    """Compile a walk of a cell, or find it in the cache; return its address."""
    if up:
        own = {name: function for name, function in cell.functions.items() if "backward" not in name}
        return walk_kernel("climb", climb_source(cell), climb_arguments(cell), own, cell, dtype)
    own = {name: function for name, function in cell.functions.items() if "backward" in name}
    return walk_kernel("descend", descend_source(cell), descend_arguments(cell), own, cell, dtype)


def climb(cell: TreeCell, params: Params, X: Array, nodes: Nodes) -> tuple[Array, TreeTape]:
    """Run the recursion from the leaves to the roots. See ``saiki.engines.tree_tape.TreeEngine``."""
    dtype: Any = X.dtype.type
    F, GH = params["Wx"].shape
    if dtype not in PRECISIONS or any(param.dtype != dtype for param in params.values()):
        dtypes = ", ".join(sorted({str(array.dtype) for array in (X, *params.values())}))
        raise DtypeError(f"the compiled engine takes float32 or float64; got {dtypes}. Use engine='reference'.")
    H = GH // len(cell.gates)
    n_threads, n_slices = _share(len(X) * GH * (F + 2 * H), len(nodes.n_nodes))
    levels = Levels.of(nodes, n_slices)
    x = memory.empty(X.shape, dtype)
    np.take(X, levels.order, axis=0, out=x)
    x[~levels.has_input] = 0
    tape, arrays = _tape(cell, x, H, levels, dtype)
    values: dict[str, Any] = {"pairs": levels.pairs, "child_starts": levels.child_starts, "children": levels.children}
    values |= arrays | {f"vector_{name}": np.ascontiguousarray(params[name]) for name in cell.vectors}
    weights = {"wx": _packed(params["Wx"]), "bias": np.ascontiguousarray(params.get("b", np.zeros(GH, dtype)))}
    for r, run in enumerate(runs_of(cell)):
        weights[f"wh_{r}"] = _packed(params["Wh"][rows_of(run, H), columns_of(run.source, run, H)])
    held = [values | weights | _own(cell, levels, s, H, dtype) for s in range(n_slices)]
    _run(_kernel(cell, True, dtype), climb_arguments(cell), held, n_threads)
    return tape.states["h"][levels.rows], replace(tape, plan=Walked(n_threads, values))


def descend(cell: TreeCell, params: Params, tape: TreeTape, dH: Array) -> tuple[Params, Array]:
    """Walk back from the roots to the leaves. See ``saiki.engines.tree_tape.TreeEngine``."""
    levels, (N, G, H) = tape.levels, tape.a.shape
    dtype: Any = tape.a.dtype.type
    plan: Walked = tape.plan
    values = dict(plan.values)
    d = values["d"] = memory.empty((levels.n_rows, len(cell.states), H), dtype)
    d[:, 1:] = d[N:] = 0
    d[:N, 0] = dH[levels.order]
    values |= {f"dsum_{name}": memory.empty((N, H), dtype) for name in cell.totals}
    width = (G + len(cell.apart)) * H
    values |= {"da": memory.empty((N, width), dtype), "dx": memory.empty(tape.x.shape, dtype)}
    values |= {f"vector_{name}": np.ascontiguousarray(params[name]) for name in cell.vectors}
    values["dedges"] = memory.empty((len(levels.children), len(child_gradients_of(cell)), H), dtype)
    values["wx_back"] = _packed(params["Wx"].T)
    for r, run in enumerate(runs_of(cell)):
        values[f"wh_back_{r}"] = _packed(params["Wh"][rows_of(run, H), columns_of(run.source, run, H)].T)
    shapes = {GRADIENTS.get(name, f"dvector_{name}"): param.shape for name, param in params.items()}
    shapes = {"dwh": (0, 0), "dbias": (G * H,)} | shapes
    columns = products(dtype)["columns"]
    held = [
        values
        | _own(cell, levels, s, H, dtype)
        | {name: np.zeros(shapes[name], dtype) for name in gradient_arguments(cell)}
        | {"block": np.empty((BLOCK_ROWS, 2 * H), dtype), "panels": np.empty(BLOCK_ROWS * (width + columns), dtype)}
        for s in range(len(levels.starts))
    ]
    _run(_kernel(cell, False, dtype), descend_arguments(cell), held, plan.n_threads)
    grads = {}
    for name in params:
        first, *others = (own[GRADIENTS.get(name, f"dvector_{name}")] for own in held)
        for part in others:
            first += part
        grads[name] = first
    return grads, values["dx"][levels.rows]


def _share(work: int, n_trees: int) -> tuple[int, int]:
    """Return how many threads walk, and how many slices of the trees."""
    n_threads = max(1, min(threads(), n_trees)) if work > WORK_FOR_THREADS else 1
    n_slices = slices()
    n_slices = n_threads if n_slices is None else max(1, min(n_slices, n_trees))
    return min(n_threads, n_slices), n_slices


def _tape(cell: TreeCell, x: Array, H: int, levels: Levels, dtype: Any) -> tuple[TreeTape, dict[str, Array]]:
    """Return a tape, and the arrays that its own are views of, as the walks call them."""
    N, E, S = len(levels.order), len(levels.children), len(cell.states)
    blocks, of_child, G, C = blocks_of(cell), child_blocks_of(cell), len(cell.gates), len(cell.child_inputs)
    arrays = {
        "x": x,
        "gates": memory.empty((N, 1 + max(blocks.values()), H), dtype),
        "edges": memory.empty((E, 1 + max(of_child.values(), default=-1), H), dtype),
        "s": memory.empty((levels.n_rows, S, H), dtype),
    }
    arrays["s"][N:] = 0
    sums = {name: memory.empty((N, H), dtype) for name in (("h", *cell.totals) if cell.child is not None else ())}
    gates, edges = arrays["gates"], arrays["edges"]
    tape = TreeTape(
        levels,
        x,
        a=gates[:, :G],
        apart=gates[:, G : G + len(cell.apart)],
        edges=edges[:, :C],
        states={name: arrays["s"][:, k] for k, name in enumerate(cell.states)},
        saved={name: gates[:, blocks[name]] for name in cell.saved},
        sums=sums,
        child_saved={name: edges[:, of_child[name]] for name in cell.child_saved},
    )
    return tape, arrays | {f"sum_{name}": array for name, array in sums.items()}


def _own(cell: TreeCell, levels: Levels, s: int, H: int, dtype: Any) -> dict[str, Array]:
    """Return what a slice has of its own."""
    return {
        "starts": levels.starts[s],
        "with_input": np.ascontiguousarray(levels.with_input[s]),
        "seen": np.empty((ROWS_AT_ONCE, 2 * H), dtype),
        "near": np.empty((ROWS_AT_ONCE, len(near_of(cell)), H), dtype),
        "spare": np.empty(products(dtype)["columns"] * 8, dtype),
    }


def _packed(W: Array) -> Array:
    """Return a matrix as the panels that ``product`` takes."""
    K, N = W.shape
    dtype: Any = W.dtype.type
    width = width_of(N, dtype)
    panels = np.empty((-(-N // width), K, width), dtype)
    products(dtype)["pack"](W, panels)
    return panels


def _run(kernel: int, arguments: Mapping[str, Argument], held: Sequence[dict[str, Any]], n_threads: int) -> None:
    """Run a walk for each slice, shared out among threads; the arrays live until it is over."""
    calls = [(kernel, Table.of(arguments, own)) for own in held]
    programs = [program(calls[lo:hi]) for lo, hi in pairwise(len(calls) * k // n_threads for k in range(n_threads + 1))]
    words = [word for one in programs for word in (address(one), len(one))]
    if n_threads == 1:
        run_at(*words)
    else:
        crew().run(np.array(words, np.int64), (calls, programs, held))
