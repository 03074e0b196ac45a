"""The compiled engine: the walk of ``reference.py`` in machine code, with the cells' own functions inside.

For each cell and precision the loops are generated (``loops.py``), the cell's functions are bound to a vocabulary that
LLVM vectorises (``vector_maths.py``), and the weights are packed once for a kernel that multiplies small batches at the
machine's peak (``tile.py``). What one shape of batch needs is made once (``plan.py``) and kept: a call from Python then
sets a few addresses and runs.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_lengths
from saiki.cells import Cell
from saiki.engines.blas import single_threaded
from saiki.engines.chain import Chain, Link
from saiki.engines.goals import Rules, set_goal, set_memories, set_rates
from saiki.engines.layout import Size
from saiki.engines.locks import ProcessLock
from saiki.engines.loops import overwritten
from saiki.engines.memory import Loans
from saiki.engines.plan import Plan, Slot, laid_out
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
"""Maximum number of bytes of idle plans, and of idle plans, that are left when another plan is made."""

# A plan belongs to the call that leased it, or to the tape that the call returned. A call that ends by an error or an
# interrupt does not put its plan back, since its buffers may be half written; the plan is freed with the call. The plan
# of a tape comes back when the tape is freed, unless a backward pass was interrupted.
_idle: OrderedDict[Any, list[Plan]] = OrderedDict()  # the plans that nobody uses, the longest idle first
_lock = ProcessLock()
_loans: Loans[Plan] = Loans()  # the plans that tapes use


def _lease(
    chain: Chain, X: Array, keep: bool, masked: bool, loss: Loss | None = None, rules: Rules | None = None
) -> Plan:
    """Return a plan that nobody else uses, made now if there is none."""
    B, T, _ = X.shape
    n_threads = min(threads(), B) if chain.work * B * T > WORK_FOR_THREADS else 1
    n_slices = slices()
    n_slices = max(1, n_threads if n_slices is None else min(n_slices, B))
    key = (chain, X.shape, X.dtype, n_slices, n_threads, keep, masked, loss, rules)
    for plan in _loans.returned():
        if not plan.running:
            _put_back(plan)
    with _lock():
        plans = _idle.get(key)
        if plans:
            plan = plans.pop()
            if not plans:
                del _idle[key]
            return plan
        _forget()
    size = Size(B, T, X.dtype.type, n_slices, min(n_threads, n_slices), keep, masked)
    return Plan(chain.links, size, loss, rules, key)


def _put_back(plan: Plan) -> None:
    """Make a plan free for the next call."""
    plan.let_go()
    with _lock():
        _idle.setdefault(plan.key, []).append(plan)


def _forget() -> None:
    """Forget the plans that have been idle longest, until few enough are left."""
    sizes = [plan.nbytes for plans in _idle.values() for plan in plans]
    total, count = sum(sizes), len(sizes)
    while count and (total > KEPT or count > MOST_KEPT):
        key, plans = next(iter(_idle.items()))
        total, count = total - plans.pop(0).nbytes, count - 1
        if not plans:
            del _idle[key]


class Kept(NamedTuple):
    """What the backward pass needs of a forward pass: its plan, and what owns the memory of the tape's arrays."""

    plan: Plan
    owner: Array


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
    schedule = Schedule.of(walk.lengths, B, T, walk.reverse)
    owner, (own,) = plan.layout.lend()
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
    _point(plan, params)
    plan.set("walk", "fresh", 0)
    plan.run("forward")
    plan.let_go()
    taken = overwritten(cell)
    tape = Tape(
        schedule,
        x=own["x"],
        a=own["gates"],
        apart=own["apart"],
        states={name: own[f"s_{name}"] for name in cell.states},
        saved={n: own["gates"][:, :, taken[n]] if n in taken else own[f"saved_{n}"] for n in cell.saved},
        mask=own["mask"] if walk.mask is not None else None,
        plan=Kept(plan, owner),
    )
    _loans.lend(plan, owner)
    ends = (tape.states[name] for name in cell.states)
    final = (states[schedule.lengths % len(states), np.arange(B)] for states in ends)
    return schedule.unwalk(tape.states["h"][1:]), tuple(map(schedule.unsort, final)), tape


def backward(
    cell: Cell, params: Params, tape: Tape, dH: Array, dstates: tuple[Array, ...], tbptt: int | None
) -> tuple[Params, Array, tuple[Array, ...]]:
    """Backpropagate through time. See ``saiki.engines.tape.Engine``."""
    if tape.plan is None:
        raise ArgumentError("tape must be what forward returned in this process, and no copy of it. Run forward again.")
    kept: Kept = tape.plan
    plan, schedule = kept.plan, tape.schedule
    own = plan.arrays[0]
    if dH.dtype != own["x"].dtype:
        raise DtypeError(f"dH must keep to the precision of the tape, {own['x'].dtype}; got {dH.dtype}.")
    with plan.lock():  # two threads may run backwards from one tape
        np.copyto(own["dout"], schedule.walk(dH))
        for name, d in zip(cell.states, dstates, strict=True):
            own[f"d_{name}"][...] = schedule.sort(d)
        gradients = np.empty(plan.n_gradients, own["x"].dtype)
        _point(plan, params)
        plan.point(Slot.GRADIENTS, gradients)
        for argument, word in (("fresh", 0), ("window", tbptt or 0), ("wants_dx", 1)):
            plan.set("first walk back", argument, word)
        plan.run("backward")
        plan.let_go()
        dx = schedule.unwalk(own["dx"]).copy()
        dinitial = tuple(schedule.unsort(own[f"d_{name}"]).copy() for name in cell.states)
    return plan.split(gradients), dx, dinitial


def _point(plan: Plan, params: Params) -> None:
    """Point a plan at parameters that have been checked."""
    if not plan.point_at_params({name: np.asarray(param) for name, param in params.items()}):
        dtypes = ", ".join(sorted({str(param.dtype) for param in params.values()}))
        raise DtypeError(
            f"the compiled engine takes parameters of the precision of the inputs, {np.dtype(plan.size.dtype)}; got"
            f" {dtypes}. Convert with .astype, or use engine='reference'."
        )


def predict(chain: Chain, params: Params, X: Any, lengths: Any) -> tuple[Array, list[tuple[Array, ...]]] | None:
    """Run a chain and keep nothing. See ``saiki.engines.tape.Engine``."""
    plan = _ready(chain, params, X, lengths)
    if plan is None:
        return None
    Y = np.empty((plan.size.B, len(plan.outputs), plan.outputs.shape[2]), X.dtype)
    plan.point(Slot.Y, Y)
    plan.run("predict")
    found = ((Y[:, 0] if plan.reads else Y), plan.final_states()) if plan.well else None
    _put_back(plan)  # without a result, the layers' own checks say what was wrong
    return found


def train(
    chain: Chain, params: Params, X: Any, goal: Goal, lengths: Any, optimizer: Optimizer, state: Any
) -> Update | None:
    """Run a chain forwards, backwards, and update its parameters. See ``saiki.engines.tape.Engine``."""
    rules = optimizer.rules
    if rules is None:
        return None
    states = optimizer.apart(state)
    plan = _ready(chain, params, X, lengths, goal.loss, rules)
    if plan is None:
        return None
    found = None
    if plan.trains and set_goal(plan, goal) and set_memories(plan, rules, states):
        new = [np.empty(plan.n_gradients, X.dtype) for _ in plan.new]
        plan.point_at_results(new)
        plan.point(Slot.GRADIENTS, plan.total)
        plan.set("first walk back", "wants_dx", 0)
        plan.run("train")
        well, finite = plan.well, plan.still_well  # both, since to ask is to forget
        if well:
            after = _state_after(optimizer, states, map(plan.split, new[1:]), 1)
            found = Update(plan.value, plan.split(new[0]), after, finite)
    _put_back(plan)
    return found


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
    states = optimizer.apart(state)
    plan = _ready(chain, params, X, None, loss, rules) if y.dtype == X.dtype else None
    if plan is None:
        return None
    few = plan.size.n_threads == 1 and n * plan.n_gradients * len(plan.new) <= MOST_AHEAD
    found = None
    if few and plan.trains and set_goal(plan, Goal(y, loss)) and set_memories(plan, rules, states):
        flats = [np.empty((n, plan.n_gradients), X.dtype) for _ in plan.new]
        rates, losses = np.empty((n, *plan.rates.shape), X.dtype), np.empty((n, plan.size.n_slices), X.dtype)
        for step in range(n):
            set_rates(rates[step], rules, states, step)
        plan.point(Slot.GRADIENTS, plan.total)
        plan.set("first walk back", "wants_dx", 0)
        plan.train_again(Xs, ys, flats, rates, losses)
        well, finite = plan.well, plan.still_well
        if well and finite:
            params_after, *memories = map(plan.split, flats)
            found = _updates(optimizer, states, [loss.sum() for loss in losses], params_after, memories)
    _put_back(plan)
    return found


def _alike(array: Any, first: Any) -> bool:
    """Whether an array lies in memory as the first one does."""
    plain = type(array) is np.ndarray and type(first) is np.ndarray and laid_out(array) is array
    return plain and array.shape == first.shape and array.dtype == first.dtype


def _updates(
    optimizer: Optimizer, states: list[Any], losses: list[Any], params: Params, memories: list[Params]
) -> Iterator[Update]:
    """Yield the updates, from a row for each of them in every parameter and every memory of the optimizer."""
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
    plan = _ready(chain, params, X, lengths, goal.loss)
    if plan is None:
        return None
    found = None
    if plan.learns and set_goal(plan, goal):
        gradients, dX = np.empty(plan.n_gradients, X.dtype), np.empty(X.shape, X.dtype)
        plan.point(Slot.GRADIENTS, gradients)
        plan.point(Slot.DX, dX)
        plan.set("first walk back", "wants_dx", 1)
        plan.run("learn")
        if plan.well:
            plan.run("hand out dX")
            found = plan.value, plan.split(gradients), dX, plan.state_gradients()
    _put_back(plan)
    return found


def _ready(
    chain: Chain, params: Any, X: Any, lengths: Any, loss: Loss | None = None, rules: Rules | None = None
) -> Plan | None:
    """Return a plan that points at the caller's arrays; None if they are not the plain case."""
    first: Any = chain.links[0]
    if type(X) is not np.ndarray or X.dtype not in PRECISIONS or X.ndim != 3 or X.shape[2] != first.n_features:
        return None
    if not X.size or not isinstance(params, dict):
        return None
    if lengths is not None:
        lengths = as_lengths(lengths, *X.shape[:2])
    plan = _lease(chain, X, loss is not None, False, loss, rules)
    if len(params) != len(plan.params) or not plan.point_at_params(params):
        _put_back(plan)
        return None
    plan.follow(lengths)
    plan.point(Slot.X, laid_out(X))
    return plan


def stream(chain: Chain, params: Params) -> "Streamer | None":
    """Lay out the weights of a chain for single steps. See ``saiki.engines.tape.Engine``."""
    dtypes = {param.dtype for param in params.values()}
    (dtype, *others) = dtypes or {np.dtype(np.float64)}
    return None if others or dtype not in PRECISIONS else Streamer(chain, params, dtype)


@final
class Streamer:
    """A chain with fixed parameters, run for one step of one sequence at a time."""

    def __init__(self, chain: Chain, params: Params, dtype: np.dtype[Any]) -> None:
        self._chain, self._params, self._dtype = chain, params, dtype
        plan = self._laid_out()
        self._starts = [state[0].shape for states, _ in plan.ends for state in states]
        self._x_shape, self._y_shape = (plan.arrays[0]["x"].shape[2],), (plan.outputs.shape[2],)
        self._idle = [plan]  # one for each thread that has run a step at the same time as others

    def _laid_out(self) -> Plan:
        """Return a plan with the weights laid out in it."""
        plan = Plan(self._chain.links, Size(1, 1, self._dtype.type, 1, 1, keep=False))
        _point(plan, self._params)
        plan.run("fetch")
        plan.let_go()
        plan.set("walk", "fresh", 0)
        return plan

    def __call__(self, x: Any, states: list[Array] | None) -> tuple[Array, list[tuple[Array, ...]]] | None:
        """Return the output and the final states; None if the arguments are not the plain case."""
        if type(x) is not np.ndarray or x.dtype != self._dtype or x.shape != self._x_shape or laid_out(x) is not x:
            return None
        if states is not None and (
            len(states) != len(self._starts)
            or any(s.shape != start or s.dtype != self._dtype for s, start in zip(states, self._starts, strict=True))
        ):
            return None
        y = np.empty(self._y_shape, self._dtype)
        try:
            plan = self._idle.pop()
        except IndexError:
            plan = self._laid_out()
        starts = [state[0] for states, _ in plan.ends for state in states]
        for k, start in enumerate(starts):
            start[...] = 0 if states is None else states[k]
        plan.point(Slot.X, x)
        plan.point(Slot.Y, y)
        plan.run("step")
        found = (y, plan.final_states()) if plan.well else None
        plan.let_go()
        self._idle.append(plan)
        return found
