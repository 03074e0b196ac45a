"""The NumPy engine: the one time loop and backpropagation through time, written to be read and to be believed.

For a cell with gates ``a``, states ``h``, ... and one step, rows being sequences::

    a = x @ Wx + h_prev @ Wh + b          the linear part, here, the same for every cell
    h, ..., saved = cell.forward(a, ...)  the cell's own equations

and backwards, from the last step to the first (Werbos 1990, "Backpropagation through time", Proc. IEEE 78)::

    da, dh_prev = cell.backward(dh, ...)  dh: from the loss at this step and from the step after
    dh_prev    += da @ Wh.T               what the linear part hands to the step before
    dWx = sum over t of x.T @ da          dWh = sum of h_prev.T @ da     db = sum of da     dx = da @ Wx.T

It runs on complex numbers too, which is how complex-step differentiation proves it.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells import Cell
from saiki.cells.cell import Stage
from saiki.cells.functions import argument
from saiki.engines.tape import Schedule, Tape, Walk

running = nullcontext


def predict(*_: Any) -> None:
    """Leave it to the layers, one by one: so each step is to be seen."""


learn = train = train_all = stream = predict


def forward(
    cell: Cell, params: Params, X: Array, states: tuple[Array, ...], walk: Walk
) -> tuple[Array, tuple[Array, ...], Tape]:
    """Run the recurrence over time. See ``saiki.engines.tape.Engine``."""
    B, T, _ = X.shape
    H = states[0].shape[1]
    schedule = Schedule.of(walk.lengths, B, T, walk.reverse)
    tape = Tape.blank(cell, X, H, schedule, walk.mask, np.result_type(X, *params.values(), *states))
    for name, initial in zip(cell.states, states, strict=True):
        tape.states[name][0] = schedule.sort(initial)

    a = schedule.live(tape.x) @ params["Wx"]
    a = a + params["b"] if "b" in params else a
    schedule.put_live(tape.a, a.reshape(len(a), len(cell.gates), H))
    if "bh" in params:
        tape.apart[...] += params["bh"].reshape(len(cell.apart), H)

    for t, n in enumerate(schedule.alive):
        if n == 0:
            break
        now = tape.at(cell, t) | {name: params[name] for name in cell.vectors}
        for stage in cell.stages:
            if stage.gates:
                product = _masked(now[stage.sees], tape.mask) @ params["Wh"][:, _columns(cell, stage, H)]
                parts = product.reshape(n, len(stage.gates), H).swapaxes(0, 1)
                for gate, part in zip(stage.gates, parts, strict=True):
                    now[argument("h" if gate in cell.apart else "a", gate)] += part
            values = _as_tuple(stage.forward(*(now[name] for name in stage.takes)))
            for name, value in zip(stage.returns, values, strict=True):
                now[name][...] = value

    final = (tape.states[name][schedule.lengths, np.arange(B)] for name in cell.states)
    return schedule.unwalk(tape.states["h"][1:]), tuple(map(schedule.unsort, final)), tape


class Flow(NamedTuple):
    """What flows back through time.

    Attributes:
        inputs: the gradient of each gate's pre-activation, or of its input's part ``(T, B, G * H)``: delta.
        recurrent: that of each gate's part that sees the previous state ``(T, B, R * H)``.
        vectors: what each step adds to the gradient of each vector of the cell ``(T, B, H)``.
        states: what comes back to each state, the initial one at index 0 ``(T + 1, B, H)``: the gradient of h; of
            another state without the part that goes through h of the same step, which the cell's backward adds.
    """

    inputs: Array
    recurrent: Array
    vectors: Mapping[str, Array]
    states: Mapping[str, Array]


def backward(
    cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None
) -> tuple[Params, Array, tuple[Array, ...]]:
    """Backpropagate through time. See ``saiki.engines.tape.Engine``."""
    schedule = tape.schedule
    flow = flow_back(cell, params, tape, dH, dstates, tbptt)
    dX = np.zeros(tape.x.shape, flow.inputs.dtype)
    schedule.put_live(dX, schedule.live(flow.inputs) @ params["Wx"].T)
    dinitial = tuple(schedule.unsort(flow.states[name][0]) for name in cell.states)
    return weight_gradients(cell, params, tape, flow, schedule.live), schedule.unwalk(dX), dinitial


def flow_back(cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None) -> Flow:
    """Walk back from the last step to the first. The arguments are those of ``backward``."""
    T, B, G, H = tape.a.shape
    schedule = tape.schedule
    dtype = np.result_type(tape.a, dH, *dstates)
    dh_loss = schedule.walk(dH)
    dstate = {name: schedule.sort(d).astype(dtype) for name, d in zip(cell.states, dstates, strict=True)}
    dx_parts = np.zeros((T, B, G, H), dtype)
    dh_parts = np.zeros((T, B, len(cell.recurrent), H), dtype)
    dvectors = {name: np.zeros((T, B, H), dtype) for name in cell.vectors}
    seen_states = {name: np.zeros((T + 1, B, H), dtype) for name in cell.states}

    for t in reversed(range(T)):
        n = schedule.alive[t]
        if n == 0:
            continue
        if tbptt is not None and (t + 1) % tbptt == 0 and t + 1 < T:
            for d in dstate.values():
                d[: schedule.alive[t + 1]] = 0  # a sequence that ends here keeps what the loss says of its final state
        dstate["h"][:n] += dh_loss[t, :n]
        now = tape.at(cell, t) | {name: params[name] for name in cell.vectors}
        for name, d in dstate.items():
            now[f"d{name}"] = seen_states[name][t + 1, :n] = d[:n].copy()
            d[:n] = 0  # from here on, the gradients of the previous states
        for stage in reversed(cell.stages):
            grads = _as_tuple(stage.backward(*(now[name] for name in stage.wants)))
            for name, grad in zip(stage.takes, grads, strict=True):
                if name.endswith("_prev"):
                    dstate[name.removesuffix("_prev")][:n] += grad
                elif name in cell.vectors:
                    dvectors[name][t, :n] += grad
                else:
                    now[f"d{name}"] = grad  # of a gate, or of a value that the stage before saved
            for r, gate in enumerate(cell.recurrent):
                if gate in stage.gates:
                    dh_parts[t, :n, r] = now[f"d{argument('h' if gate in cell.apart else 'a', gate)}"]
            if stage.gates:
                columns = _columns(cell, stage, H)
                rows = dh_parts[t, :n].reshape(n, len(cell.recurrent) * H)[:, columns]
                seen = _masked(rows @ params["Wh"][:, columns].T, tape.mask)
                if stage.sees == "v":
                    now["dv"] = seen
                else:
                    dstate["h"][:n] += seen
        for g, name in enumerate(cell.inputs):
            dx_parts[t, :n, g] = now[f"d{name}"]
    for name, d in dstate.items():
        seen_states[name][0] = d
    R = len(cell.recurrent)  # no -1: there may be no sequences
    return Flow(dx_parts.reshape(T, B, G * H), dh_parts.reshape(T, B, R * H), dvectors, seen_states)


def weight_gradients(cell: Cell, params: Params, tape: Tape, flow: Flow, select: Callable[[Array], Array]) -> Params:
    """Add up what steps add to the gradient of each weight.

    ``select`` picks the steps: from ``(T, B, ...)`` it returns rows ``(n, ...)``, each a step of a sequence.
    """
    H = tape.a.shape[-1]
    rows = select(flow.inputs)
    grads = {"Wx": select(tape.x).T @ rows}
    if "b" in params:
        grads["b"] = rows.sum(axis=0)
    if cell.recurrent:
        rows = select(flow.recurrent)
        seen_by = {"h_prev": tape.states["h"][:-1], **tape.saved}
        parts = [
            select(_masked(seen_by[stage.sees], tape.mask)).T @ rows[:, _columns(cell, stage, H)]
            for stage in cell.stages
        ]
        grads["Wh"] = np.concatenate(parts, axis=1)
    if "bh" in params:
        of_gates = rows.reshape(len(rows), len(cell.recurrent), H).sum(axis=0)
        grads["bh"] = of_gates[[cell.recurrent.index(gate) for gate in cell.apart]].ravel()
    return grads | {name: select(parts).sum(axis=0) for name, parts in flow.vectors.items()}


def _columns(cell: Cell, stage: Stage, H: int) -> slice:
    """Return the columns of ``Wh`` that belong to the gates of a stage; they stand side by side."""
    first = cell.recurrent.index(stage.gates[0]) if stage.gates else 0
    return slice(first * H, (first + len(stage.gates)) * H)


def _masked(h: Array, mask: Array | None) -> Array:
    """Return the state (or its gradient) of the first rows as a product with ``Wh`` sees it."""
    return h if mask is None else h * mask[: h.shape[-2]]


def _as_tuple(values: Array | tuple[Array, ...]) -> tuple[Array, ...]:
    return values if isinstance(values, tuple) else (values,)
