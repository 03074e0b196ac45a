"""What one step of training is held to: a plan pointed at targets, weights, and whatever the optimizer remembers."""

import math
from typing import Any, TypeAlias

import numpy as np

from saiki.arrays import Array, Params, has_masked, power_of_two, with_nan
from saiki.engines.plan import Plan, Slot, laid_out
from saiki.engines.tape import Goal
from saiki.optimizers import NormLimit, Rule

Rules: TypeAlias = tuple[Rule | NormLimit, ...]


def set_goal(plan: Plan, goal: Goal) -> bool:
    """Point at the targets, and set how much each counts; return False if they are not the plain case."""
    T, B, K = plan.outputs.shape
    rows = (B,) if plan.reads else (B, T)
    of_classes = goal.loss.of_classes
    if has_masked(goal.sample_weight):  # np.asarray would read what the mask hides
        return False
    try:
        targets = np.asarray(with_nan(goal.y))
    except ValueError:  # a ragged list
        return False
    if targets.shape == rows:
        fits = of_classes or K == 1
    else:
        fits = targets.shape == (*rows, K) and not of_classes
    if not fits or targets.dtype.kind not in "biuf" or not plan.rows:
        return False
    exists = None
    if targets.dtype.kind == "f" and math.isnan(np.vdot(targets, targets)):  # some are missing
        missing = np.isnan(targets)
        if targets.size > math.prod(rows):
            return False
        targets, exists = np.where(missing, 0, targets), ~missing.reshape(rows)
    own = np.ascontiguousarray(targets, plan.size.dtype)
    if targets.dtype.kind == "f" and targets.dtype != plan.size.dtype:  # rounding may hide a wrong one
        low, high = goal.loss.between
        wrong = (own != targets) if of_classes else (targets < low) | (targets > high)
        if wrong.any():
            return False
    plan.point(Slot.TARGETS, laid_out(own))
    weighted = exists is not None or goal.sample_weight is not None or goal.total is not None
    total: Any = plan.rows
    if weighted:
        found = _weights(plan, goal, rows, exists)
        if found is None:
            return False
        weights, total = found
        plan.point(Slot.WEIGHTS, np.ascontiguousarray(weights, plan.size.dtype))
    plan.weigh_by_row(weighted)
    scale = 1 / (total if of_classes or goal.total is not None else total * K) if total > 0 else 0.0
    limits = np.finfo(plan.size.dtype)
    if scale and not float(limits.tiny) <= scale <= float(limits.max):
        return False
    plan.scale[0] = scale
    return True


def _weights(plan: Plan, goal: Goal, rows: tuple[int, ...], exists: Array | None) -> tuple[Array, float] | None:
    """Return the weight of each row of targets, 0 where it is missing, and what the weighted sum is divided by.

    Both are scaled by a power of two that makes the largest weight about 1. So they fit into float32 and their sum does
    not overflow, and no digit changes. None where the weights are not the plain case.
    """
    if goal.total is not None and not (isinstance(goal.total, float) and 0 < goal.total < math.inf):
        return None
    weights = np.asarray(1.0 if goal.sample_weight is None else goal.sample_weight)
    plain = weights.dtype.kind in "biuf" and weights.shape in ((), rows[:1], rows)
    if not plain or not weights.size or not 0 <= weights.min() <= weights.max() < math.inf:
        return None
    weights = np.broadcast_to(weights.reshape(weights.shape + (1,) * (len(rows) - weights.ndim)), rows)
    weights = np.array(weights, np.float64, order="C")  # as sums follow it
    if exists is not None:
        weights *= exists
    plan.leave_padding_out(weights)
    unit = float(power_of_two(weights.max()))
    weights /= unit
    return weights, float(weights.sum()) if goal.total is None else goal.total / unit


def set_memories(plan: Plan, rules: Rules, states: list[Any]) -> bool:
    """Point at the optimizer's memories, and set its rates; return False if they are not the plain case."""
    memories: list[Params] = []
    for rule, state in zip(rules, states, strict=True):
        if isinstance(rule, Rule):
            memories += state[0]
    set_rates(plan.rates, rules, states, 0)
    return all(plan.point_at_memory(m, memory) for m, memory in enumerate(memories))


def set_rates(rates: Array, rules: Rules, states: list[Any], step: int) -> None:
    """Write the rates of an update, so many after the present one, for vectors and for matrices."""
    k = 0
    for rule, state in zip(rules, states, strict=True):
        if isinstance(rule, Rule):
            both = [rule.rates(state[1] + step, ndim) for ndim in (1, 2)]
            for vectors, matrices in zip(*both, strict=True):
                rates[0, k], rates[1, k] = vectors, matrices
                k += 1
