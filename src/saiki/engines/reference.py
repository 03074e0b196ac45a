"""The NumPy engine: the one time loop and backpropagation through time, written to be read and to be believed.

For a cell with gates ``a_i``, states ``h``, ... and one step, rows being sequences::

    a = x @ Wx + h_prev @ Wh + b          the linear part, here, the same for every cell
    h, ..., saved = cell.forward(a, ...)  the cell's own equations

and backwards, from the last step to the first (Werbos 1990, "Backpropagation through time", Proc. IEEE 78)::

    da, dh_prev = cell.backward(dh, ...)  dh: from the loss at this step and from the step after
    dh_prev    += da @ Wh.T               what the linear part hands to the step before
    dWx = sum over t of x.T @ da          dWh = sum of h_prev.T @ da          db = sum of da          dx = da @ Wx.T

It runs on complex numbers too, which is how complex-step differentiation proves it.
"""

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells import Cell
from saiki.cells.cell import arguments_of
from saiki.engines.tape import Schedule, Tape


def forward(
    cell: Cell, params: Params, X: Array, states: tuple[Array, ...], lengths: Array | None
) -> tuple[Array, tuple[Array, ...], Tape]:
    """Run the recurrence over time. See ``saiki.engines.tape.Engine``."""
    B, T, _ = X.shape
    G, H = len(cell.gates), params["Wh"].shape[0]
    dtype = np.result_type(X, *params.values(), *states)
    schedule = Schedule.of(lengths, B, T)

    tape = Tape(
        schedule,
        x=np.ascontiguousarray(schedule.sort(X).swapaxes(0, 1)),
        a=np.empty((T, B, G, H), dtype),
        states={name: np.zeros((T + 1, B, H), dtype) for name in cell.states},
        saved={name: np.zeros((T, B, H), dtype) for name in cell.saved},
    )
    for name, initial in zip(cell.states, states, strict=True):
        tape.states[name][0] = schedule.sort(initial)
    h, Wh = tape.states["h"], params["Wh"]
    a = tape.a.reshape(T, B, G * H)
    np.matmul(tape.x, params["Wx"], out=a)
    if "b" in params:
        a += params["b"]

    for t, n in enumerate(schedule.alive):
        a[t, :n] += h[t, :n] @ Wh
        values = cell.forward(*(_at(tape, cell, name, t, n) for name in arguments_of(cell.forward)))
        values = values if isinstance(values, tuple) else (values,)
        n_states = len(cell.states)
        for name, value in zip(cell.states, values[:n_states], strict=True):
            tape.states[name][t + 1, :n] = value
        for name, value in zip(cell.saved, values[n_states:], strict=True):
            tape.saved[name][t, :n] = value

    final = tuple(schedule.unsort(tape.states[name][schedule.lengths, np.arange(B)]) for name in cell.states)
    return schedule.unsort(h[1:].swapaxes(0, 1)), final, tape


def backward(
    cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...]
) -> tuple[Params, Array, tuple[Array, ...]]:
    """Backpropagate through time. See ``saiki.engines.tape.Engine``."""
    T, B, G, H = tape.a.shape
    schedule, Wh = tape.schedule, params["Wh"]
    dh_loss = schedule.sort(dH).swapaxes(0, 1)
    dtype = np.result_type(tape.a, dH, *dstates)
    dstate = {f"d{s}": schedule.sort(d).astype(dtype) for s, d in zip(cell.states, dstates, strict=True)}
    da = np.zeros((T, B, G * H), dtype)

    for t in reversed(range(T)):
        n = schedule.alive[t]
        dstate["dh"][:n] += dh_loss[t, :n]
        now = {name: d[:n] for name, d in dstate.items()}
        grads = cell.backward(
            *(now[name] if name in now else _at(tape, cell, name, t, n) for name in arguments_of(cell.backward))
        )
        grads = grads if isinstance(grads, tuple) else (grads,)
        of = dict(zip(arguments_of(cell.forward), grads, strict=True))
        for g, gate in enumerate(cell.gates):
            da[t, :n, g * H : (g + 1) * H] = of[gate]
        for name in cell.states:
            dstate[f"d{name}"][:n] = of.get(f"{name}_prev", 0)
        dstate["dh"][:n] += da[t, :n] @ Wh.T

    rows = da.reshape(T * B, G * H)
    dparams = {
        "Wx": tape.x.reshape(T * B, tape.x.shape[2]).T @ rows,
        "Wh": tape.states["h"][:-1].reshape(T * B, H).T @ rows,
    }
    if "b" in params:
        dparams["b"] = rows.sum(axis=0)
    dX = schedule.unsort((da @ params["Wx"].T).swapaxes(0, 1))
    return dparams, dX, tuple(schedule.unsort(dstate[f"d{name}"]) for name in cell.states)


def _at(tape: Tape, cell: Cell, name: str, t: int, n: int) -> Array:
    """Return the value that a cell function calls ``name``, at step ``t``, for the first ``n`` sequences."""
    if name in cell.gates:
        return tape.a[t, :n, cell.gates.index(name)]
    if name in cell.states:
        return tape.states[name][t + 1, :n]
    if name in cell.saved:
        return tape.saved[name][t, :n]
    return tape.states[name.removesuffix("_prev")][t, :n]
