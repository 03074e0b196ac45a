"""The NumPy engine for trees: one walk up and one back for all cells, written to be read and to be believed.

For a cell with gates ``a``, states ``h``, ... and one level, rows being nodes of that height in all trees::

    pair = [h_left, h_right]              what the level below, or one further below, has left
    a = x @ Wx + pair @ Wh + b            the linear part, here, the same for every cell
    h, ..., saved = cell.forward(a, ...)  the cell's own equations

and backwards, from the roots to the leaves (Goller and Kuechler 1996, "Learning task-dependent distributed
representations by backpropagation through structure")::

    da, ... = cell.backward(dh, ...)      dh: from the loss at this node, and from its parent
    dh_left, dh_right += da @ Wh.T        what the linear part hands to the children
    dWx = sum of x.T @ da                 dWh = sum of pair.T @ da           db = sum of da       dx = da @ Wx.T

A cell with ``child`` runs that once for each child, and sees the sum of the children in place of the pair. A node has
one parent, so nothing is added up over parents. It runs on complex numbers too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells.trees import TreeCell
from saiki.cells.trees.cell import SIDES
from saiki.engines.tree_tape import Levels, Nodes, Run, TreeTape, columns_of, rows_of, runs_of


def climb(cell: TreeCell, params: Params, X: Array, nodes: Nodes) -> tuple[Array, TreeTape]:
    """Run the recursion from the leaves to the roots. See ``saiki.engines.tree_tape.TreeEngine``."""
    levels = Levels.of(nodes)
    x = np.where(levels.has_input[:, None], X[levels.order], 0)
    H = params["Wx"].shape[1] // len(cell.gates)
    tape = TreeTape.blank(cell, x, H, levels, np.result_type(X, *params.values()))
    a = x @ params["Wx"] + params.get("b", 0)
    tape.a[...] = a.reshape(tape.a.shape)
    for level, (first, last) in enumerate(_bounds(levels)):
        _climb_level(cell, params, tape, first, last, level > 0)
    return tape.states["h"][levels.rows], tape


def _climb_level(cell: TreeCell, params: Params, tape: TreeTape, first: int, last: int, has_children: bool) -> None:
    """Run the recursion for some rows of one level, whose pre-activations so far are the input's part and the bias."""
    levels, now = tape.levels, _views(cell, tape, params, first, last)
    if has_children:
        seen = _seen(cell, tape, first, last)
        if cell.child is not None:
            edges = _edges(levels, first, last)
            for k, name in enumerate(cell.child_inputs):
                tape.edges[edges, k] = now[name][levels.parents[edges] - first]
            _add_products(cell, params, tape, seen, ("child",), edges)
            _run_child(cell, tape, params, edges, first, last)
        _add_products(cell, params, tape, seen, ("pair", "left", "right", "sum"), slice(first, last))
    values = _as_tuple(cell.functions["forward"](*(now[name] for name in cell.takes)))
    for name, value in zip(cell.returns, values, strict=True):
        now[name][...] = value


def leaf_states(cell: TreeCell, params: Params, X: Array) -> dict[str, Array]:
    """Return the states of leaves by name ``(n, H)``, from their inputs ``(n, F)``."""
    n = len(X)
    nothing = np.zeros(n, np.int64)
    _, tape = climb(cell, params, X, Nodes(np.ones(n, np.int64), nothing - 1, nothing, nothing, np.ones(n, bool)))
    return {name: states[:n] for name, states in tape.states.items()}


def joined_states(
    cell: TreeCell, params: Params, left: Mapping[str, Array], right: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the states of nodes without an input by name ``(n, H)``, from those of their children.

    It is one level of the walk, for whoever has no tree yet.
    """
    n, H = left["h"].shape
    below, above = np.arange(2 * n), np.arange(2 * n, 3 * n)
    parents, places = np.concatenate((above, above, np.full(n, -1))), np.repeat((0, 1, 0), n)
    nodes = Nodes(np.array([3 * n]), parents, places, np.repeat((0, 0, 1), n), np.zeros(3 * n, bool))
    tape = TreeTape.blank(cell, np.empty((3 * n, 0)), H, Levels.of(nodes), params["Wx"].dtype)
    for name, states in tape.states.items():
        states[below] = np.concatenate((left[name], right[name]))
    if "b" in params:
        tape.a[above] = params["b"].reshape(tape.a.shape[1:])
    _climb_level(cell, params, tape, 2 * n, 3 * n, True)
    return {name: states[above] for name, states in tape.states.items()}


def descend(cell: TreeCell, params: Params, tape: TreeTape, dH: Array) -> tuple[Params, Array]:
    """Walk back from the roots to the leaves. See ``saiki.engines.tree_tape.TreeEngine``."""
    levels, (N, G, H) = tape.levels, tape.a.shape
    dtype = np.result_type(tape.a, dH)
    dstate = {name: np.zeros((levels.n_rows, H), dtype) for name in cell.states}
    dstate["h"][:N] = dH[levels.order]
    da, dapart = np.zeros((N, G, H), dtype), np.zeros(tape.apart.shape, dtype)
    dedges = np.zeros(tape.edges.shape, dtype)
    dvectors = {name: np.zeros(H, dtype) for name in cell.vectors}
    dsums = {name: np.zeros((N, H), dtype) for name in tape.sums}
    for level, (first, last) in reversed(list(enumerate(_bounds(levels)))):
        here = slice(first, last)
        now = _views(cell, tape, params, first, last) | {f"d{s}": dstate[s][here] for s in cell.states}
        found = _as_tuple(cell.functions["backward"](*(now[name] for name in cell.wants)))
        for name, grad in zip(cell.takes, found, strict=True):
            kind = cell.kinds[name]
            if kind in ("sum", "input"):
                da[here, cell.inputs.index(name)] = grad
            elif kind in SIDES:
                dapart[here, cell.apart.index(name)] = grad
            elif kind == "total":
                dsums[name.removesuffix("_sum")][here] = grad
            elif kind == "vector":
                dvectors[name] += np.broadcast_to(grad, (last - first, H)).sum(axis=0)
            elif level > 0:
                state, _, side = name.rpartition("_")
                dstate[state][levels.pairs[here, SIDES.index(side)]] += grad  # no two nodes share a child
        if level == 0:
            continue
        edges = _edges(levels, first, last)
        if cell.child is not None:
            _run_child_back(cell, tape, params, edges, first, last, dsums, (dstate, da, dedges, dvectors))
        for run in runs_of(cell):
            rows = {"child": dedges, "left": dapart, "right": dapart}.get(run.sees, da)
            rows = rows[edges if run.sees == "child" else here].reshape(-1, rows.shape[1] * H)
            seen = rows[:, columns_of(run.target, run, H)] @ _weights(params, run, H).T
            if run.sees == "sum":
                dstate["h"][levels.children[edges]] += seen[levels.parents[edges] - first]
            elif run.sees == "child":
                dstate["h"][levels.children[edges]] += seen
            else:
                for side in SIDES if run.sees == "pair" else (run.sees,):
                    part = seen[:, rows_of(Run(side, 0, 0, 0), H)] if run.sees == "pair" else seen
                    dstate["h"][levels.pairs[here, SIDES.index(side)]] += part
    flat = da.reshape(N, G * H)
    grads = _weight_gradients(cell, params, tape, flat, dapart, dedges) | dvectors
    return grads, np.where(levels.has_input[:, None], flat @ params["Wx"].T, 0)[levels.rows]


def _bounds(levels: Levels) -> list[tuple[int, int]]:
    """Return the first row of each level, and the first that is no more of it."""
    (starts,) = levels.starts
    return list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))


def _edges(levels: Levels, first: int, last: int) -> slice:
    """Return the places in ``children`` of the children of some rows."""
    return slice(int(levels.child_starts[first]), int(levels.child_starts[last]))


def _views(cell: TreeCell, tape: TreeTape, params: Params, first: int, last: int) -> dict[str, Array]:
    """Return, for some rows, a view of every quantity of a node under its name in the equations."""
    here = slice(first, last)
    views = {name: states[here] for name, states in tape.states.items()}
    views |= {name: saved[here] for name, saved in tape.saved.items()}
    views |= {name: tape.a[here, g] for g, name in enumerate(cell.inputs)}
    views |= {name: tape.apart[here, k] for k, name in enumerate(cell.apart)}
    views |= {f"{name}_sum": sums[here] for name, sums in tape.sums.items()}
    for name in cell.takes + cell.wants:
        if cell.kinds.get(name) == "state":
            state, _, side = name.rpartition("_")
            views[name] = tape.states[state][tape.levels.pairs[here, SIDES.index(side)]]
    return views | {name: params[name] for name in cell.vectors}


def _child_views(cell: TreeCell, tape: TreeTape, params: Params, edges: slice) -> dict[str, Array]:
    """Return, for some children, a view of every quantity under its name in the equations."""
    views = {name: tape.edges[edges, k] for k, name in enumerate(cell.child_inputs)}
    views |= {name: saved[edges] for name, saved in tape.child_saved.items()}
    views |= {f"{name}_child": states[tape.levels.children[edges]] for name, states in tape.states.items()}
    return views | {name: params[name] for name in cell.vectors}


def _seen(cell: TreeCell, tape: TreeTape, first: int, last: int) -> dict[str, Array]:
    """Return what products with ``Wh`` see of the children of some rows, each of which has one or more."""
    levels, h = tape.levels, tape.states["h"]
    if cell.child is None:
        left, right = (h[levels.pairs[first:last, side]] for side in (0, 1))
        return {"left": left, "right": right, "pair": np.concatenate((left, right), axis=1)}
    edges = _edges(levels, first, last)
    each = h[levels.children[edges]]
    tape.sums["h"][first:last] = np.add.reduceat(each, levels.child_starts[first:last] - edges.start)
    return {"child": each, "sum": tape.sums["h"][first:last]}


def _add_products(
    cell: TreeCell, params: Params, tape: TreeTape, seen: dict[str, Array], kinds: tuple[str, ...], rows: slice
) -> None:
    """Add what the gates have of the children to their pre-activations."""
    H = tape.a.shape[2]
    for run in runs_of(cell):
        if run.sees in kinds:
            target = {"child": tape.edges, "left": tape.apart, "right": tape.apart}.get(run.sees, tape.a)
            product = seen[run.sees] @ _weights(params, run, H)
            target[rows, run.target : run.target + run.width] += product.reshape(-1, run.width, H)


def _run_child(cell: TreeCell, tape: TreeTape, params: Params, edges: slice, first: int, last: int) -> None:
    """Run a cell's ``child`` for each child of some rows, and add up what it returns."""
    now = _child_views(cell, tape, params, edges)
    values = _as_tuple(cell.functions["child"](*(now[name] for name in cell.child_takes)))
    begins = tape.levels.child_starts[first:last] - edges.start
    for name, value in zip(cell.child_returns, values, strict=True):
        if name in cell.totals:
            tape.sums[name][first:last] = np.add.reduceat(value, begins)
        else:
            tape.child_saved[name][edges] = value


def _run_child_back(
    cell: TreeCell, tape: TreeTape, params: Params, edges: slice, first: int, last: int, dsums: Any, into: Any
) -> None:
    """Run ``child_backward`` for each child of some rows."""
    dstate, da, dedges, dvectors = into
    levels = tape.levels
    now = _child_views(cell, tape, params, edges)
    now |= {f"d{name}": dsums[name][levels.parents[edges]] for name in cell.totals}
    grads = _as_tuple(cell.functions["child_backward"](*(now[name] for name in cell.child_wants)))
    for name, grad in zip(cell.child_takes, grads, strict=True):
        if name in cell.inputs:
            k = cell.child_gates.index(name[2:])
            dedges[edges, k] = grad
            begins = levels.child_starts[first:last] - edges.start
            da[first:last, cell.inputs.index(name)] = np.add.reduceat(dedges[edges, k], begins)
        elif name in cell.vectors:
            dvectors[name] += grad.sum(axis=0)
        else:
            dstate[name.rpartition("_")[0]][levels.children[edges]] += grad


def _weight_gradients(
    cell: TreeCell, params: Params, tape: TreeTape, da: Array, dapart: Array, dedges: Array
) -> Params:
    """Add up what nodes add to the gradient of each weight."""
    H = tape.a.shape[2]
    grads = {"Wx": tape.x.T @ da}
    if "b" in params:
        grads["b"] = da.sum(axis=0)
    if cell.recurrent:
        dWh, N = np.zeros(params["Wh"].shape, da.dtype), len(da)
        inner = int(tape.levels.starts[0][1]) if len(tape.levels.starts[0]) > 1 else N  # leaves see no child
        seen = _seen(cell, tape, inner, N) if inner < N else {}
        for run in runs_of(cell) if seen else ():
            rows = {"child": dedges, "left": dapart[inner:], "right": dapart[inner:]}.get(run.sees, da[inner:])
            rows = rows.reshape(len(rows), -1)[:, columns_of(run.target, run, H)]
            dWh[rows_of(run, H), columns_of(run.source, run, H)] = seen[run.sees].T @ rows
        grads["Wh"] = dWh
    return grads


def _weights(params: Params, run: Run, H: int) -> Array:
    """Return the part of ``Wh`` that belongs to a run."""
    return params["Wh"][rows_of(run, H), columns_of(run.source, run, H)]


def _as_tuple(values: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    return values if isinstance(values, tuple) else (values,)
