"""The microscope: everything that one backpropagation through time computes, by the names of the equations.

With E the loss and t the step::

    delta_t = dE/da_t               what flows back to the pre-activations of step t (in other books dE/du_t)
    dE/dWx  = sum over t of x_t.T @ delta_t     each step has its share in the gradient of every weight
    lags    = for each s, the norm of the part of delta_t that comes from the loss of step s

The numbers are those of the reference engine, whose functions make them.
"""

from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count, blank_padding, with_nan
from saiki.cells.functions import argument
from saiki.engines import reference
from saiki.errors import ArgumentError, choose
from saiki.explain.lags import lag_matrices, mean_by_lag
from saiki.explain.problems import problem_of
from saiki.explain.traces import Kept, LayerTrace, Trace
from saiki.explain.tree_gradients import TREE_MODELS
from saiki.explain.walk import Part, Recurrence, Unit, head_of, units_of, walk_back
from saiki.layers import Conv1D, Dense, Layer
from saiki.losses import LOSSES, Loss, as_loss, evaluate_parts, loss_for

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

OVER_TREES = "model must recur over time to be traced"


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
        steps: which steps to keep: a slice, or indices of the steps of X; None keeps all. A layer that has fewer steps,
            after a convolution, keeps those of them that it has.
        quantities: what to keep, of "inputs", "a", "gates", "states", "delta", "shares", "lag_matrix"; None is all. The
            lag matrix takes the longest: a way back for each step that has a loss, so that 1000 such steps take seconds
            to a minute. The shares take the most memory: a gradient of every weight for each step.

    Returns:
        A trace; print it for a worked example.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.

    >>> from saiki.layers import Network, SimpleRNN
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
        if isinstance(model, type):
            raise ArgumentError(
                f"model must be a fitted estimator, not its class; got {model.__name__}. Call fit first."
            )
        network, own, *_ = model.network_problem()
        if isinstance(network, TREE_MODELS):
            raise ArgumentError(
                f"{OVER_TREES}; a {type(model).__name__} reads trees. saiki.check_gradients(model, X, y) proves its"
                " gradients, and for the numbers themselves model.network_problem(X, y) has its network, what it is"
                " given, and its parameters: see the network's forward and backward."
            )
        if params is None and own is None:
            raise ArgumentError(f"model must be fitted before it is traced; this {type(model).__name__} is not.")
        problem = problem_of(model, X, y, lengths=lengths, sample_weight=sample_weight)
        seen = trace(
            problem.network, problem.X, problem.y, problem.params if params is None else params,
            loss=loss or problem.loss, lengths=problem.lengths, sample_weight=problem.sample_weight,
            state=state, tbptt=tbptt, steps=steps, quantities=quantities,
        )  # fmt: skip
        return replace(seen, estimator=type(model).__name__)
    if isinstance(model, TREE_MODELS):
        raise ArgumentError(
            f"{OVER_TREES}; a {type(model).__name__} reads trees. saiki.check_gradients(model) proves its gradients;"
            " for the numbers themselves see what its forward and backward return."
        )
    if not isinstance(model, Layer):
        raise ArgumentError(f"model must be a network, a layer or an estimator; got {type(model).__name__}.")
    if params is None:
        raise ArgumentError("params must be given with a network or layer: what it has learnt, or model.init(rng).")
    kept = _asked(quantities)
    if tbptt is not None:
        as_count("tbptt", tbptt)

    Y, _, tape, ends = model._checked_forward(params, X, state, lengths, "reference", None)
    if 0 in Y.shape or 0 in np.shape(X):
        raise ArgumentError(f"X must hold at least one sequence and step; got shape {np.shape(X)}.")
    chosen = None if steps is None else _indices(steps, np.shape(X)[1])
    of_loss = as_loss(loss_for(Y, y) if loss is None else loss)
    values, slopes, weights = evaluate_parts(of_loss, Y, y, ends, sample_weight)
    losses, dY = values * weights, slopes * weights
    units = units_of(model, params, state, tape.content)
    parts = walk_back(units, dY, tbptt)

    head = units[: head_of(parts)]
    seeds = parts[len(head) - 1].d_outputs if head else dY
    n_steps = seeds.shape[1] if seeds.ndim == 3 else 0  # nothing before the readout: no step that a loss could see
    at = _kept_steps(chosen, n_steps)
    rows = at if Y.ndim == 3 else np.arange(n_steps)
    recurrences = [r for part in parts for r in part.recurrences]
    lags = [Kept() for _ in recurrences]
    if "lag_matrix" in kept and recurrences:
        matrices = lag_matrices(head, recurrences, X, tape.lengths, seeds, rows, tbptt)
        lags = _lags(matrices, recurrences, seeds, rows, chosen)
    shares = [share for part in parts for share in _shares(part, chosen, tbptt)] if "shares" in kept else []
    v, delta_out = _pre_activations(units[-1], Y, dY) if isinstance(units[-1].layer, Dense) else (Y, dY)
    timed = [array[:, at] if Y.ndim == 3 else array for array in (Y, losses.sum(axis=-1), v, delta_out)]
    return Trace(
        model=model,
        params={name: param.copy() for name, param in params.items()},
        parts=tuple((unit.name.rstrip("/"), unit.layer) for unit in units),
        loss_name=loss if isinstance(loss, str) else next((k for k, v in LOSSES.items() if v is of_loss), "own loss"),
        of_classes=of_loss.of_classes,
        n_targets=_number_of_targets(weights, sample_weight),
        tbptt=tbptt,
        loss=float(losses.sum()),
        steps=at,
        loss_steps=rows,
        lengths=_lengths(head, tape.lengths, len(Y), n_steps or np.shape(X)[1]),
        layers=tuple(_seen(r, lag, kept, chosen) for r, lag in zip(recurrences, lags, strict=True)),
        targets=np.asarray(with_nan(y)),
        outputs=timed[0],
        losses=timed[1],
        v=timed[2],
        delta_out=timed[3],
        shares=Kept({share.name: share.values for share in shares}),
        share_steps={share.name: share.steps for share in shares},
        gradients={name: grad for part in parts for name, grad in part.gradients.items()},
    )


def _number_of_targets(weights: Array, sample_weight: npt.ArrayLike | None) -> int | None:
    """Return how many targets the loss is the mean of; None where they count differently."""
    if sample_weight is not None and np.ptp(np.asarray(sample_weight)) > 0:
        return None
    return int(np.count_nonzero(weights))


def _asked(quantities: Any) -> set[str]:
    """Return which quantities are asked for."""
    if quantities is None:
        return set(QUANTITIES)
    if isinstance(quantities, str) or not isinstance(quantities, Iterable):
        raise ArgumentError(f"quantities must be a list of names; got {quantities!r}. Try [{quantities!r}].")
    asked = list(quantities)
    for name in asked:
        choose("quantities", name, QUANTITIES)
    return set(asked)


def _lengths(head: list[Unit], given: Array | None, n_sequences: int, n_steps: int) -> Array:
    """Return the length of each sequence where the time axis ends: at the outputs, or at what is read."""
    for unit in head:
        if isinstance(unit.layer, Conv1D):
            given = unit.tape.lengths
    return np.full(n_sequences, n_steps) if given is None else given


def _seen(recurrence: Recurrence, lags: Kept, kept: set[str], chosen: Array | None) -> LayerTrace:
    """Return what happened in a recurrent layer."""
    name, layer, params, (tape, _, _), dH, flow = recurrence
    cell, schedule, H = layer.cell, tape.schedule, layer.n_units
    steps = _kept_steps(chosen, len(tape.x))
    lengths, forward, backward = recurrence.lengths, Kept(), Kept()

    def keep(found: Kept, group: str, name: str, values: Array) -> None:
        """Keep a quantity ``(B, T, ...)`` under its name, for the chosen steps."""
        if group in kept:
            found[name] = blank_padding(values, lengths)[:, steps]

    keep(forward, "inputs", "inputs", schedule.unwalk(tape.x))
    for g, gate in enumerate(cell.inputs):
        keep(forward, "a", gate, schedule.unwalk(tape.a[:, :, g]))
    for k, gate in enumerate(cell.apart):
        keep(forward, "a", argument("h", gate), schedule.unwalk(tape.apart[:, :, k]))
    for saved in cell.saved:
        keep(forward, "gates", saved, schedule.unwalk(tape.saved[saved]))
    for state in reversed(cell.states):
        keep(forward, "states", state, schedule.unwalk(tape.states[state][1:]))

    dh = schedule.unwalk(flow.states["h"][1:])
    keep(backward, "delta", "dh", dh)
    keep(backward, "delta", "dh_out", dH)
    keep(backward, "delta", "dh_time", dh - dH)
    for state in cell.states[1:]:
        keep(backward, "delta", f"d{state}_time", schedule.unwalk(flow.states[state][1:]))
    for g, gate in enumerate(cell.inputs):
        keep(backward, "delta", f"d{gate}", schedule.unwalk(flow.inputs[:, :, g * H : (g + 1) * H]))
    for gate in cell.apart:
        r = cell.recurrent.index(gate)
        d_apart = flow.recurrent[:, :, r * H : (r + 1) * H]
        keep(backward, "delta", f"d{argument('h', gate)}", schedule.unwalk(d_apart))

    initial = {state: schedule.unsort(tape.states[state][0]) for state in cell.states}
    return LayerTrace(name.rstrip("/"), layer, params, steps, lengths, initial, forward, backward, lags)


class Share(NamedTuple):
    """The share of each step in the gradient of a parameter."""

    name: str
    steps: Array
    values: Array


def _shares(part: Part, chosen: Array | None, tbptt: int | None) -> list[Share]:
    """Return the share of each step in the gradient of each parameter of a unit."""
    unit, dY = part.unit, part.d_outputs
    if dY.ndim != 3:
        return [Share(name, np.empty(0, int), grad[None]) for name, grad in part.gradients.items()]
    steps = _kept_steps(chosen, dY.shape[1])
    found: dict[str, list[Array]] = {name: [] for name in part.gradients}
    for recurrence in part.recurrences:
        name, layer, params, (tape, _, from_learnt), _, flow = recurrence
        first = recurrence.lengths - 1 if layer.reverse else np.where(recurrence.lengths > 0, 0, -1)
        for step in steps:
            rows = tape.schedule.rows_of(step)
            share = reference.weight_gradients(layer.cell, params, tape, flow, itemgetter(rows))
            if layer.learn_initial:
                for state in layer.cell.states:
                    start = tape.schedule.unsort(flow.states[state][0])[first == step]
                    share[f"{state}0"] = start.sum(axis=0) * from_learnt
            for key, value in share.items():
                found[name + key].append(value)
    if found and not part.recurrences:  # what a step adds is what is left when no other step says anything
        for step in steps:
            alone = np.zeros_like(dY)
            alone[:, step] = dY[:, step]
            for key, value in unit.layer._backward(unit.params, unit.tape, alone, None, tbptt).items():
                found[unit.name + key].append(value)
    none = {name: np.zeros((0, *grad.shape), grad.dtype) for name, grad in part.gradients.items()}
    return [Share(name, steps, np.array(values) if values else none[name]) for name, values in found.items()]


def _lags(
    matrices: list[Array], recurrences: list[Recurrence], seeds: Array, losses: Array, chosen: Array | None
) -> list[Kept]:
    """Return what is kept of lag matrices: the chosen columns, and the mean by lag of those."""
    seen = np.asarray(seeds[:, losses].any(axis=(0, 2)))
    kept = []
    for matrix, recurrence in zip(matrices, recurrences, strict=True):
        steps = _kept_steps(chosen, matrix.shape[1])
        matrix, means = matrix[:, steps], np.empty(0)
        if recurrence.d_outputs.shape[1] == seeds.shape[1]:  # else a lag has no meaning
            means = mean_by_lag(matrix, seen, losses, steps, recurrence.layer.reverse)
        kept.append(Kept(lag_matrix=matrix, norm_by_lag=means))
    return kept


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
