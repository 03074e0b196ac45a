"""The microscope: everything that one backpropagation through time computes, by the names of the equations.

With E the loss and t the step::

    delta_t = dE/da_t               what flows back to the pre-activations of step t (in other books dE/du_t)
    dE/dWx  = sum over t of x_t.T @ delta_t     each step has its share in the gradient of every weight
    lags    = for each s, the norm of the part of delta_t that comes from the loss of step s

The numbers are those of the reference engine, whose functions make them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count, blank_padding
from saiki.cells.cell import argument
from saiki.engines import reference
from saiki.errors import ArgumentError, choose
from saiki.explain.traces import Kept, LayerTrace, Trace
from saiki.layers import Bidirectional, Dense, Layer, Network, Readout, Recurrent
from saiki.layers.bidirectional import DIRECTIONS
from saiki.layers.layer import map_state
from saiki.layers.recurrent import RecurrentTape
from saiki.losses import Loss, evaluate_parts, loss_for

QUANTITIES = {
    "inputs": "what comes into each recurrent layer",
    "a": "the pre-activations",
    "gates": "the gates, and what else a cell makes on its way",
    "states": "the states, and the initial ones",
    "delta": "the gradients of pre-activations and states",
    "shares": "the share of each step in the gradient of each weight",
    "lag_matrix": "which part of delta comes from the loss of which step",
}
"""What a trace may keep."""

MOST_NUMBERS = 1 << 25
"""About so many numbers (256 MiB) a tape and what flows back may hold while the lag matrix is made."""


class Unit(NamedTuple):
    """A layer of the model that has no layers inside but the two directions, and what a forward pass made of it."""

    name: str
    layer: Layer
    params: Params
    tape: Any


class Recurrence(NamedTuple):
    """A recurrent layer, the gradient of the loss with respect to its outputs, and what flowed back through it."""

    name: str
    layer: Recurrent
    params: Params
    tape: RecurrentTape
    d_outputs: Array
    flow: reference.Flow


def trace(
    model: Any,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    params: Params | None = None,
    *,
    loss: str | Loss | None = None,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    state: Any = None,
    tbptt: int | None = None,
    steps: slice | Iterable[int] | None = None,
    quantities: Iterable[str] | None = None,
) -> Trace:
    """Run a model forwards and backwards once, and keep every number on the way.

    Args:
        model: a network or layer, of any cells, stacks, directions and readouts; or an estimator, with data as its
            ``fit`` takes them. Nothing is dropped out, and an estimator stays as it is.
        X: ``(B, T, n_in)``.
        y: targets, as ``saiki.losses.evaluate`` takes them.
        params: the parameters; an estimator has its own.
        loss: the name of a loss, or one itself; None is that of the estimator, else the cross-entropy for class indices
            and the squared error for anything else.
        lengths: ``(B,)``, or None where all steps exist.
        sample_weight: ``(B,)`` or ``(B, T)``, or None where all targets count alike.
        state: the initial state; None starts from zero, or from the learnt initial state where there is one.
        tbptt: the window of truncated backpropagation through time, or None for the full gradient.
        steps: which steps to keep: a slice or indices; None keeps all. Memory is needed for these.
        quantities: what to keep, of "inputs", "a", "gates", "states", "delta", "shares", "lag_matrix"; None is all. The
            lag matrix takes the longest, the shares the most memory: a gradient of every weight for each step.

    Returns:
        A trace; print it for a worked example.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.

    >>> from saiki.layers import SimpleRNN
    >>> net = Network([SimpleRNN(2, 3), Dense(3, 1)])
    >>> rng = np.random.default_rng(0)
    >>> X, y, params = rng.normal(size=(4, 6, 2)), rng.normal(size=(4, 6)), net.init(rng)
    >>> seen = trace(net, X, y, params)
    >>> seen.layers[0].h.shape, seen.layers[0].delta.shape, seen.lag_matrix.shape, seen.shares["0/Wh"].shape
    ((4, 6, 3), (4, 6, 3), (6, 6), (6, 3, 3))
    >>> bool(np.allclose(seen.shares["0/Wh"].sum(axis=0), seen.gradients["0/Wh"]))
    True
    """
    if hasattr(model, "network_problem"):
        network, own, X, y, own_loss, lengths, sample_weight = model.network_problem(X, y, lengths, sample_weight)
        return trace(
            network, X, y, own if params is None else params, loss=loss or own_loss, lengths=lengths, state=state,
            sample_weight=sample_weight, tbptt=tbptt, steps=steps, quantities=quantities,
        )  # fmt: skip
    if not isinstance(model, Layer):
        raise ArgumentError(f"model must be a network, a layer or an estimator; got {type(model).__name__}.")
    if params is None:
        raise ArgumentError("params must be given with a network or layer: what it has learnt, or model.init(rng).")
    if isinstance(quantities, str):
        raise ArgumentError(f"quantities must be a list of names; got {quantities!r}. Try [{quantities!r}].")
    kept = set(QUANTITIES if quantities is None else quantities)
    for name in kept:
        choose("quantities", name, QUANTITIES)
    if tbptt is not None:
        as_count("tbptt", tbptt)

    Y, _, tape, ends = model._checked_forward(params, X, state, lengths, "reference", None)
    loss = loss_for(Y, y) if loss is None else loss
    losses, dY = evaluate_parts(loss, Y, y, ends, sample_weight)
    chosen = None if steps is None else _indices(steps, np.shape(X)[1])
    units = _units(model, params, tape.content)
    back = list(_back(units, dY, tbptt))[::-1]

    head = _head(units)
    seeds = back[head - 1].d_outputs
    T = seeds.shape[1] if seeds.ndim == 3 else 0  # a model without a time axis has no steps
    at = _kept_steps(chosen, T)
    shares: dict[str, Array] = Kept()
    if "shares" in kept:
        for part in back:
            shares |= _shares(part, chosen, tbptt)
    recurrences = [r for part in back for r in part.recurrences]
    lags = [Kept() for _ in recurrences]
    if "lag_matrix" in kept and recurrences:
        lags = _lags(model, params, X, state, tape.lengths, seeds, at, chosen, tbptt)
    lengths = np.full(len(Y), T) if tape.lengths is None else tape.lengths
    if ends is not None:
        lengths = ends
    elif recurrences:
        lengths = _lengths(recurrences[-1])
    last = units[-1]
    v, delta_out = _pre_activations(last, Y, dY) if isinstance(last.layer, Dense) else (Y, dY)
    timed = [array[:, at] if Y.ndim == 3 else array for array in (Y, losses.sum(axis=-1), v, delta_out)]
    return Trace(
        model=model, params=params, loss_name=loss if isinstance(loss, str) else repr(loss), loss=float(losses.sum()),
        steps=at, lengths=lengths,
        layers=tuple(_seen(r, lag, kept, chosen) for r, lag in zip(recurrences, lags, strict=True)),
        targets=np.asarray(y), outputs=timed[0], losses=timed[1], v=timed[2], delta_out=timed[3], shares=shares,
        gradients={name: grad for part in back for name, grad in part.gradients.items()},
    )  # fmt: skip


def _units(layer: Layer, params: Params, tape: Any, name: str = "") -> list[Unit]:
    """Return the layers of a model, those of networks within it too, from input to output."""
    if not isinstance(layer, Network):
        return [Unit(name, layer, params, tape)]
    return [
        unit
        for i, part in enumerate(layer.layers)
        for unit in _units(part, layer._of(params, i), tape[i], f"{name}{i}/")
    ]


def _head(units: list[Unit]) -> int:
    """Return how many units there are before the time axis is read out."""
    kinds = (unit.layer.kind if isinstance(unit.layer, Readout) else "each" for unit in units)
    return next((i for i, kind in enumerate(kinds) if kind != "each"), len(units))


class Part(NamedTuple):
    """What a backward pass found in one unit: its gradients, by full name, and what flowed through recurrent layers."""

    unit: Unit
    d_outputs: Array
    gradients: Params
    recurrences: list[Recurrence]


def _back(units: list[Unit], dY: Array, tbptt: int | None) -> Iterator[Part]:
    """Walk back from the last unit to the first."""
    for unit in reversed(units):
        grads = unit.layer._backward(unit.params, unit.tape, dY, None, tbptt)
        yield Part(unit, dY, {unit.name + k: v for k, v in grads.items()}, list(_recurrences(unit, dY, tbptt)))
        dY = grads.X


def _recurrent_back(units: list[Unit], dY: Array, tbptt: int | None) -> list[Recurrence]:
    """Return what flows back through the recurrent layers alone, from the first to the last."""
    first = next(i for i, unit in enumerate(units) if isinstance(unit.layer, Recurrent | Bidirectional))
    found: list[Recurrence] = []
    for i in range(len(units) - 1, first - 1, -1):
        found[:0] = _recurrences(units[i], dY, tbptt)
        if i > first:  # nothing below asks for what would go on
            dY = units[i].layer._backward(units[i].params, units[i].tape, dY, None, tbptt).X
    return found


def _recurrences(unit: Unit, dY: Array, tbptt: int | None) -> Iterator[Recurrence]:
    """Yield what flows back through the recurrent layers of a unit: none, itself, or both directions."""
    layer, parts = unit.layer, []
    if isinstance(layer, Recurrent):
        parts = [(unit.name, layer, unit.params, unit.tape, dY)]
    elif isinstance(layer, Bidirectional):
        parts = [
            (f"{unit.name}{way}/", part, layer._of(unit.params, way), tape, dH)
            for way, part, tape, dH in zip(DIRECTIONS, layer.layers, unit.tape, np.split(dY, 2, axis=-1), strict=True)
        ]
    for name, part, params, tape, dH in parts:
        dstates = part._states("dstate", None, dH)
        yield Recurrence(
            name, part, params, tape, dH, reference.flow_back(part.cell, params, tape.tape, dH, dstates, tbptt)
        )


def _seen(recurrence: Recurrence, lags: Kept, kept: set[str], chosen: Array | None) -> LayerTrace:
    """Return what happened in a recurrent layer."""
    name, layer, params, (tape, _, _), dH, flow = recurrence
    cell, schedule, H = layer.cell, tape.schedule, layer.n_units
    steps = _kept_steps(chosen, len(tape.x))
    lengths, forward, backward = _lengths(recurrence), Kept(), Kept()

    def keep(found: Kept, group: str, name: str, values: Array) -> None:
        """Keep a quantity ``(T, B, ...)`` under its name, batch-first and for the chosen steps."""
        if group in kept:
            found[name] = blank_padding(schedule.unwalk(values), lengths)[:, steps]

    keep(forward, "inputs", "inputs", tape.x)
    for g, gate in enumerate(cell.inputs):
        keep(forward, "a", gate, tape.a[:, :, g])
    for k, gate in enumerate(cell.apart):
        keep(forward, "a", argument("h", gate), tape.apart[:, :, k])
    for saved in cell.saved:
        keep(forward, "gates", saved, tape.saved[saved])
    for state in reversed(cell.states):
        keep(forward, "states", state, tape.states[state][1:])

    for state in cell.states:
        keep(backward, "delta", f"d{state}", flow.states[state][1:])
    if "delta" in kept:
        backward["dh_out"] = dH[:, steps]
    for g, gate in enumerate(cell.inputs):
        keep(backward, "delta", f"d{gate}", flow.inputs[:, :, g * H : (g + 1) * H])
    for gate in cell.apart:
        r = cell.recurrent.index(gate)
        keep(backward, "delta", f"d{argument('h', gate)}", flow.recurrent[:, :, r * H : (r + 1) * H])

    initial = {state: schedule.unsort(tape.states[state][0]) for state in cell.states}
    blocks = np.split(params["Wh"], len(cell.recurrent), axis=1) if cell.recurrent else []
    radius = {g: float(np.abs(np.linalg.eigvals(block)).max()) for g, block in zip(cell.recurrent, blocks, strict=True)}
    return LayerTrace(name.rstrip("/"), layer, steps, lengths, initial, forward, backward, lags, radius)


def _lengths(recurrence: Recurrence) -> Array:
    """Return the length of each sequence in a recurrent layer."""
    schedule = recurrence.tape.tape.schedule
    return schedule.unsort(schedule.lengths)


def _shares(part: Part, chosen: Array | None, tbptt: int | None) -> Params:
    """Return the share of each step in the gradient of each parameter of a unit."""
    unit, dY = part.unit, part.d_outputs
    found: dict[str, list[Array]] = {name: [] for name in part.gradients}
    if not found or dY.ndim != 3:
        return {name: grad[None] for name, grad in part.gradients.items()}
    for recurrence in part.recurrences:
        name, layer, params, (tape, _, from_learnt), _, flow = recurrence
        lengths = _lengths(recurrence)
        for step in _kept_steps(chosen, dY.shape[1]):
            rows = tape.schedule.rows_of(step)
            share = reference.weight_gradients(layer.cell, params, tape, flow, lambda steps: steps[rows])  # noqa: B023
            if layer.learn_initial:
                first = (lengths - 1 if layer.reverse else np.zeros_like(lengths)) == step
                for state in layer.cell.states:
                    start = tape.schedule.unsort(flow.states[state][0])[first & (lengths > 0)]
                    share[f"{state}0"] = start.sum(axis=0) * from_learnt
            for key, value in share.items():
                found[name + key].append(value)
    if not part.recurrences:  # what a step adds is what is left when no other step says anything
        for step in _kept_steps(chosen, dY.shape[1]):
            alone = np.zeros_like(dY)
            alone[:, step] = dY[:, step]
            for key, value in unit.layer._backward(unit.params, unit.tape, alone, None, tbptt).items():
                found[unit.name + key].append(value)
    return {name: np.array(values) for name, values in found.items()}


def _lags(
    model: Layer,
    params: Params,
    X: npt.ArrayLike,
    state: Any,
    lengths: Array | None,
    seeds: Array,
    at: Array,
    chosen: Array | None,
    tbptt: int | None,
) -> list[Kept]:
    """Return the lag matrix of each recurrent layer, and its mean by lag.

    A loss of one step is a gradient ``seeds`` of which all other steps are zero. A batch that holds every sequence once
    for each such step takes many of them through time at once.
    """
    X = np.asarray(X)
    B, T = seeds.shape[:2]
    width = sum(p.shape[-1] for p in model.parameters().values())
    n = int(np.clip(MOST_NUMBERS // max(1, 3 * seeds.size // seeds.shape[-1] * width), 1, max(1, len(at))))
    again = map_state(lambda part: np.repeat(part, n, axis=0), state)
    ends = None if lengths is None else np.repeat(lengths, n)
    content = model._checked_forward(params, np.repeat(X, n, axis=0), again, ends, "reference", None)[2].content
    units = _units(model, params, content)
    units = units[: _head(units)]
    found: list[list[Array]] = []
    for start in range(0, len(at), n):
        some = at[start : start + n]
        dY = np.zeros((B, n, *seeds.shape[1:]), seeds.dtype)
        dY[:, np.arange(len(some)), some] = seeds[:, some]
        recurrences = _recurrent_back(units, dY.reshape(B * n, *seeds.shape[1:]), tbptt)
        found.append([_norms(r, B, n)[: len(some)] for r in recurrences])
    lags = []
    for recurrence, parts in zip(recurrences, zip(*found, strict=True), strict=True):
        matrix = np.concatenate(parts)
        steps = _kept_steps(chosen, matrix.shape[1])
        matrix = matrix[:, steps]
        means = np.empty(0)
        if recurrence.d_outputs.shape[1] == T:
            seen = seeds[:, at].any(axis=(0, 2))
            distance = (at[seen, None] - steps) * (-1 if recurrence.layer.reverse else 1)
            pairs = [matrix[seen][distance == lag] for lag in range(T)]
            means = np.array([values.mean() if values.size else np.nan for values in pairs])
        lags.append(Kept(lag_matrix=matrix, norm_by_lag=means))
    return lags


def _norms(recurrence: Recurrence, B: int, n: int) -> Array:
    """Return the norm of delta at each step, over the sequences and gates, for each of ``n`` losses."""
    delta = recurrence.tape.tape.schedule.unwalk(recurrence.flow.inputs)
    squares = (delta * delta).reshape(B, n, *delta.shape[1:]).sum(axis=(0, 3))
    return np.sqrt(squares)


def _pre_activations(unit: Unit, Y: Array, dY: Array) -> tuple[Array, Array]:
    """Return the pre-activations of a dense layer, and the gradient with respect to them, in its outputs' shape."""
    layer, (tape, _, lengths) = unit.layer, unit.tape
    assert isinstance(layer, Dense)
    dH = dY.reshape(-1, 1, layer.n_out)
    flow = reference.flow_back(layer._cell, layer._of_cell(unit.params), tape, dH, (np.zeros_like(dH[:, 0]),), None)
    return blank_padding(tape.a.reshape(Y.shape), lengths), flow.inputs.reshape(Y.shape)


def _indices(steps: slice | Iterable[int], n_steps: int) -> Array:
    """Return which steps are asked for, sorted, each once."""
    if isinstance(steps, slice):
        asked = np.arange(n_steps)[steps]
    elif isinstance(steps, Iterable):
        asked = np.array([as_count("steps", step, -n_steps) for step in steps], int)
    else:
        raise ArgumentError(f"steps must be a slice or a list of indices; got {steps!r}. Try [{steps!r}].")
    if not len(asked) or asked.max() >= n_steps:
        got = asked.max() if len(asked) else "none of them"
        raise ArgumentError(f"steps must be indices of the {n_steps} steps, from 0, at least one; got {got}.")
    return np.unique(asked % n_steps)


def _kept_steps(chosen: Array | None, n_steps: int) -> Array:
    """Return which of the steps of a layer are kept; a convolution may leave it fewer than came in."""
    return np.arange(n_steps) if chosen is None else chosen[chosen < n_steps]
