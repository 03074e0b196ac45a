"""The compiled engine: the walk of ``reference.py`` in machine code, with the cells' own functions inside.

For each cell and precision the loops are generated (``loops.py``), the cell's functions are bound to a vocabulary that
LLVM vectorises (``vector_maths.py``), and the weights are packed once for a kernel that multiplies small batches at the
machine's peak (``tile.py``). What one shape of batch needs is made once (``plan.py``) and kept: a call from Python then
sets a few addresses and runs.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cache
from threading import Lock
from typing import Any, final

import numpy as np

from saiki.arrays import Array, Params, as_lengths
from saiki.cells import Cell
from saiki.engines.blas import single_threaded
from saiki.engines.chain import Chain, Link
from saiki.engines.goals import Rules, set_goal, set_memories, set_rates
from saiki.engines.layout import Size
from saiki.engines.loops import overwritten
from saiki.engines.native import address
from saiki.engines.plan import Plan, Slot
from saiki.engines.tape import Goal, Schedule, Tape, Update, Walk
from saiki.engines.threads import slices, threads
from saiki.errors import ArgumentError, DtypeError
from saiki.losses import Loss
from saiki.optimizers import Optimizer, Rule

running = single_threaded

PRECISIONS = (np.dtype(np.float32), np.dtype(np.float64))

WORK_FOR_THREADS = 300_000
"""Multiplications of a walk above which a second thread pays, measured on a machine with two cores."""

KEPT, MOST_KEPT = 1 << 29, 200
"""Idle plans beyond so many bytes, or so many plans, in all are forgotten when another is made."""

_plans: OrderedDict[Any, list[Plan]] = OrderedDict()  # the least recently used first
_lock = Lock()


def _start_afresh() -> None:
    """Forget what other threads of a forked process's parent may have held or been using."""
    global _lock
    _lock = Lock()
    _plans.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def _lease(
    chain: Chain, X: Array, keep: bool, masked: bool, loss: Loss | None = None, rules: Rules | None = None
) -> Plan:
    """Return a plan that nobody uses, made now if there is none; it is ``busy`` until its user says otherwise."""
    B, T, _ = X.shape
    n_threads = min(threads(), B) if chain.work * B * T > WORK_FOR_THREADS else 1
    n_slices = slices()
    n_slices = max(1, n_threads if n_slices is None else min(n_slices, B))
    key = (chain, X.shape, X.dtype, n_slices, n_threads, keep, masked, loss, rules)
    with _lock:
        for plan in _plans.get(key, ()):
            if plan.idle:
                plan.busy = True
                _plans.move_to_end(key)
                return plan
    size = Size(B, T, X.dtype.type, n_slices, min(n_threads, n_slices), keep, masked)
    plan = Plan(chain.links, size, loss, rules)
    plan.busy = True
    with _lock:
        _plans.setdefault(key, []).append(plan)
        _plans.move_to_end(key)
        _forget()
    return plan


def _forget() -> None:
    """Forget idle plans, the least recently used first, until few enough are left."""
    sizes = [plan.nbytes for plans in _plans.values() for plan in plans]
    total, count = sum(sizes), len(sizes)
    for key in list(_plans):
        for plan in [plan for plan in _plans[key] if plan.idle]:
            if total <= KEPT and count <= MOST_KEPT:
                return
            _plans[key].remove(plan)
            total, count = total - plan.nbytes, count - 1
        if not _plans[key]:
            del _plans[key]


@cache
def _alone(cell: Cell, n_features: int, n_units: int, names: tuple[str, ...]) -> Chain:
    """Return the chain of one cell."""
    return Chain((Link(cell, n_features, n_units, {name: name for name in names}),))


def forward(
    cell: Cell, params: Params, X: Array, states: tuple[Array, ...], walk: Walk
) -> tuple[Array, tuple[Array, ...], Tape]:
    """Run the recurrence over time. See ``saiki.engines.tape.Engine``."""
    B, T, F = X.shape
    if X.dtype not in PRECISIONS:
        raise DtypeError(f"the compiled engine takes float32 and float64; got {X.dtype}. Use engine='reference'.")
    link_names = tuple(name for name in params if name in ("Wx", "Wh", "b", "bh", *cell.vectors))
    plan = _lease(_alone(cell, F, states[0].shape[1], link_names), X, walk.keep, walk.mask is not None)
    try:
        own, schedule = plan.arrays[0], Schedule.of(walk.lengths, B, T, walk.reverse)
        plan.follow(walk.lengths, schedule)
        np.copyto(own["x"], schedule.walk(X))
        if schedule.order is not None:  # steps that do not exist are zero
            for name, array in own.items():
                if name in ("gates", "apart", "dx") or name.startswith(("s_", "saved_")):
                    array[...] = 0
        for name, initial in zip(cell.states, states, strict=True):
            own[f"s_{name}"][0] = schedule.sort(initial)
        if walk.mask is not None:
            own["mask"][...] = schedule.sort(walk.mask)
        held = _pointed(plan, params, X.dtype)
        plan.set("walk", "fresh", 0)
        plan.run("forward")
        del held
        taken = overwritten(cell)
        tape = Tape(
            schedule,
            x=own["x"][...],
            a=own["gates"][...],
            apart=own["apart"][...],
            states={name: own[f"s_{name}"][...] for name in cell.states},
            saved={n: own["gates"][:, :, taken[n]] if n in taken else own[f"saved_{n}"][...] for n in cell.saved},
            mask=own["mask"][...] if walk.mask is not None else None,
            plan=plan,
        )
        ends = (tape.states[name] for name in cell.states)
        final = (states[schedule.lengths % len(states), np.arange(B)] for states in ends)
        return schedule.unwalk(tape.states["h"][1:]), tuple(map(schedule.unsort, final)), tape
    finally:
        plan.busy = False


def backward(
    cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None
) -> tuple[Params, Array, tuple[Array, ...]]:
    """Backpropagate through time. See ``saiki.engines.tape.Engine``."""
    plan, schedule = tape.plan, tape.schedule
    if plan is None:
        raise ArgumentError("tape must be what forward returned in this process, and no copy of it. Run forward again.")
    own = plan.arrays[0]
    if dH.dtype != own["x"].dtype:
        raise DtypeError(f"dH must keep to the precision of the tape, {own['x'].dtype}; got {dH.dtype}.")
    with plan.lock:
        np.copyto(own["dout"], schedule.walk(dH))
        for name, d in zip(cell.states, dstates, strict=True):
            own[f"d_{name}"][...] = schedule.sort(d)
        gradients = np.empty(plan.n_gradients, own["x"].dtype)
        plan.slots[Slot.GRADIENTS] = address(gradients)
        held = _pointed(plan, params, dH.dtype)
        for argument, word in (("fresh", 0), ("window", tbptt or 0), ("wants_dx", 1)):
            plan.set("first walk back", argument, word)
        plan.run("backward")
        del held
        dx = schedule.unwalk(own["dx"]).copy()
        dinitial = tuple(schedule.unsort(own[f"d_{name}"]).copy() for name in cell.states)
    return plan.split(gradients), dx, dinitial


def _pointed(plan: Plan, params: Params, dtype: np.dtype[Any]) -> list[Array]:
    """Point at parameters that have been checked; what is returned must live until the run is over."""
    held = plan.point({name: np.asarray(param) for name, param in params.items()}, dtype)
    if held is None:
        dtypes = ", ".join(sorted({str(param.dtype) for param in params.values()}))
        raise DtypeError(
            f"the compiled engine takes parameters of the precision of the inputs, {dtype}; got {dtypes}."
            " Convert with .astype, or use engine='reference'."
        )
    return held


def predict(chain: Chain, params: Params, X: Any, lengths: Any) -> tuple[Array, list[tuple[Array, ...]]] | None:
    """Run a chain and keep nothing. See ``saiki.engines.tape.Engine``."""
    ready = _ready(chain, params, X, lengths)
    if ready is None:
        return None
    plan, held = ready
    try:
        Y = np.empty((plan.size.B, len(plan.outputs), plan.outputs.shape[2]), X.dtype)
        plan.slots[Slot.Y] = address(Y)
        plan.run("predict")
        if not plan.well:  # the layers' own checks say what was wrong
            return None
        return (Y[:, 0] if plan.reads else Y), plan.final_states()
    finally:
        del held
        plan.busy = False


def train(
    chain: Chain, params: Params, X: Any, goal: Goal, lengths: Any, optimizer: Optimizer, state: Any
) -> Update | None:
    """Run a chain forwards, backwards, and update its parameters. See ``saiki.engines.tape.Engine``."""
    rules = optimizer.rules
    if rules is None:
        return None
    ready = _ready(chain, params, X, lengths, goal.loss, rules)
    if ready is None:
        return None
    plan, held = ready
    try:
        states = optimizer.apart(state)
        if not plan.trains or not set_goal(plan, goal, held) or not set_memories(plan, rules, states, held):
            return None
        new = [np.empty(plan.n_gradients, X.dtype) for _ in plan.new]
        for k, array in enumerate(new):
            plan.new[k] = address(array)
        plan.slots[Slot.GRADIENTS] = address(plan.total)
        plan.set("first walk back", "wants_dx", 0)
        plan.run("train")
        well, finite = plan.well, plan.still_well  # both, since to ask is to forget
        if not well:
            return None
        after = plan.split(new[0])
        plan.adopt(after, new[0])
        state = _state_after(optimizer, states, map(plan.split, new[1:]), 1)
        return Update(plan.value, after, state, finite)
    finally:
        del held
        plan.busy = False


MOST_AHEAD = 1_000_000
"""How many numbers of parameters and memories may be kept for updates that nobody has looked at yet."""


def train_all(
    chain: Chain, params: Params, pairs: Sequence[tuple[Any, Any]], loss: Loss, optimizer: Optimizer, state: Any
) -> Iterator[Update] | None:
    """Update the parameters of a chain once for each pair. See ``saiki.engines.tape.Engine``."""
    rules, n = optimizer.rules, len(pairs)
    Xs, ys = [X for X, _ in pairs], [y for _, y in pairs]
    X, y = Xs[0], ys[0]
    if rules is None or not all(_alike(one, X) for one in Xs) or not all(_alike(one, y) for one in ys):
        return None
    ready = _ready(chain, params, X, None, loss, rules) if y.dtype == X.dtype else None
    if ready is None:
        return None
    plan, held = ready
    try:
        states = optimizer.apart(state)
        if plan.size.n_threads > 1 or not plan.trains or n * plan.n_gradients * len(plan.new) > MOST_AHEAD:
            return None
        if not set_goal(plan, Goal(y, loss), held) or not set_memories(plan, rules, states, held):
            return None
        flats = [np.empty((n, plan.n_gradients), X.dtype) for _ in plan.new]
        rates, losses = np.empty((n, *plan.rates.shape), X.dtype), np.empty(n, X.dtype)
        for step in range(n):
            set_rates(rates[step], rules, states, step)
        plan.slots[Slot.GRADIENTS] = address(plan.total)
        plan.set("first walk back", "wants_dx", 0)
        plan.train_again(Xs, ys, flats, rates, losses)
        well, finite = plan.well, plan.still_well
        return _updates(plan, optimizer, states, losses, flats) if well and finite else None
    finally:
        del held
        plan.busy = False


def _alike(array: Any, first: Any) -> bool:
    """Whether an array lies in memory as the first one does."""
    plain = type(array) is np.ndarray and type(first) is np.ndarray and array.flags.c_contiguous
    return plain and array.shape == first.shape and array.dtype == first.dtype


def _updates(
    plan: Plan, optimizer: Optimizer, states: list[Any], losses: Array, flats: list[Array]
) -> Iterator[Update]:
    """Yield what each update has changed, from a row for each of the parameters and of whatever is remembered."""
    params, *memories = (plan.split(flat) for flat in flats)
    for step, loss in enumerate(losses):
        state = _state_after(optimizer, states, (_row(memory, step) for memory in memories), step + 1)
        yield Update(loss, _row(params, step), state, True)


def _row(rows: Params, step: int) -> Params:
    return {name: array[step] for name, array in rows.items()}


def _state_after(optimizer: Optimizer, states: list[Any], memories: Iterator[Params], updates: int) -> Any:
    """Return the optimizer's state after so many updates, when this is what it remembers."""
    after = []
    for rule, state in zip(optimizer.rules or (), states, strict=True):
        if isinstance(rule, Rule):
            state = tuple(next(memories) for _ in range(rule.memories)), state[1] + updates
        after.append(state)
    return optimizer.together(iter(after))


def learn(
    chain: Chain, params: Params, X: Any, goal: Goal, lengths: Any
) -> tuple[Any, Params, Array, list[tuple[Array, ...]]] | None:
    """Run a chain forwards, weigh its outputs, and run it backwards. See ``saiki.engines.tape.Engine``."""
    ready = _ready(chain, params, X, lengths, goal.loss)
    if ready is None:
        return None
    plan, held = ready
    try:
        if not plan.learns or not set_goal(plan, goal, held):
            return None
        gradients, dX = np.empty(plan.n_gradients, X.dtype), np.empty(X.shape, X.dtype)
        plan.slots[Slot.GRADIENTS], plan.slots[Slot.DX] = address(gradients), address(dX)
        plan.set("first walk back", "wants_dx", 1)
        plan.run("learn")
        if not plan.well:
            return None
        plan.run("hand out dX")
        return plan.value, plan.split(gradients), dX, plan.state_gradients()
    finally:
        del held
        plan.busy = False


def _ready(
    chain: Chain, params: Any, X: Any, lengths: Any, loss: Loss | None = None, rules: Rules | None = None
) -> tuple[Plan, list[Array]] | None:
    """Return a plan that points at the caller's arrays, and those; None if they are not the plain case."""
    first: Any = chain.links[0]
    if type(X) is not np.ndarray or X.dtype not in PRECISIONS or X.ndim != 3 or X.shape[2] != first.n_features:
        return None
    if not X.size or not isinstance(params, dict):
        return None
    if lengths is not None:
        lengths = as_lengths(lengths, *X.shape[:2])
    plan = _lease(chain, X, loss is not None, False, loss, rules)
    held = plan.point(params, X.dtype) if len(params) == len(plan.params) else None
    if held is None:
        plan.busy = False
        return None
    plan.follow(lengths)
    held.append(np.ascontiguousarray(X))
    plan.slots[Slot.X] = address(held[-1])
    return plan, held


def stream(chain: Chain, params: Params) -> "Streamer | None":
    """Lay out the weights of a chain for single steps. See ``saiki.engines.tape.Engine``."""
    dtypes = {param.dtype for param in params.values()}
    (dtype, *others) = dtypes or {np.dtype(np.float64)}
    return None if others or dtype not in PRECISIONS else Streamer(chain, params, dtype)


@final
class Streamer:
    """A chain with fixed parameters, run for one step of one sequence at a time."""

    def __init__(self, chain: Chain, params: Params, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._plan = plan = Plan(chain.links, Size(1, 1, dtype.type, 1, 1, keep=False))
        held = _pointed(plan, params, dtype)
        plan.run("fetch")
        del held
        plan.set("walk", "fresh", 0)
        self._starts = [state[0] for states, _ in plan.ends for state in states]
        self._x_shape, self._y_shape = (plan.arrays[0]["x"].shape[2],), (plan.outputs.shape[2],)

    def __call__(self, x: Any, states: list[Array] | None) -> tuple[Array, list[tuple[Array, ...]]] | None:
        """Return the output and the final states; None if what came is not the plain case."""
        plan = self._plan
        if type(x) is not np.ndarray or x.dtype != self._dtype or x.shape != self._x_shape or not x.flags.c_contiguous:
            return None
        y = np.empty(self._y_shape, self._dtype)
        with plan.lock:
            if states is None:
                for start in self._starts:
                    start[...] = 0
            else:
                if len(states) != len(self._starts):
                    return None
                for start, state in zip(self._starts, states, strict=True):
                    if state.shape != start.shape or state.dtype != self._dtype:
                        return None
                    start[...] = state
            plan.slots[Slot.X], plan.slots[Slot.Y] = address(x), address(y)
            plan.run("step")
            return (y, plan.final_states()) if plan.well else None
