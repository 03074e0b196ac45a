"""What one step of training is held to: a plan pointed at targets, weights, and whatever the optimizer remembers."""

import math
from typing import Any, TypeAlias

import numpy as np

from saiki.arrays import Array, Params, has_masked, with_nan
from saiki.engines.native import address
from saiki.engines.plan import Plan, Slot
from saiki.engines.tape import Goal
from saiki.optimizers import NormLimit, Rule

Rules: TypeAlias = tuple[Rule | NormLimit, ...]

LARGEST_WEIGHT = 1e18
"""Weights above it may overflow when they are added up, and are left to the layers, who are careful."""


def set_goal(plan: Plan, goal: Goal, held: list[Array]) -> bool:
    """Point at the targets, and say how much each counts; False if they are not the plain case."""
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
    weights = None
    if targets.dtype.kind == "f" and math.isnan(np.vdot(targets, targets)):  # some are missing
        missing = np.isnan(targets)
        if targets.size > math.prod(rows):
            return False
        targets, weights = np.where(missing, 0, targets), ~missing.reshape(rows)
    if goal.sample_weight is not None or goal.total is not None:
        weights = _weights(goal, rows, weights)
        if weights is None:
            return False
    held.append(np.ascontiguousarray(targets, plan.size.dtype))
    if targets.dtype.kind == "f" and targets.dtype != plan.size.dtype:  # rounding may hide a wrong one
        low, high = goal.loss.between
        wrong = (held[-1] != targets) if of_classes else (targets < low) | (targets > high)
        if wrong.any():
            return False
    plan.slots[Slot.TARGETS] = address(held[-1])
    total: Any = plan.rows
    if weights is not None:
        held.append(np.ascontiguousarray(weights, plan.size.dtype))
        plan.slots[Slot.WEIGHTS] = address(held[-1])
        total = plan.sum_of_rows(weights)
    plan.weigh_by_row(weights is not None)
    total = (total if of_classes else total * K) if goal.total is None else goal.total
    plan.scale[0] = 1 / total if total > 0 else 0.0
    return True


def _weights(goal: Goal, rows: tuple[int, ...], exists: Array | None) -> Array | None:
    """Return how much each row of targets counts, 0 where it is missing; None if they are not the plain case."""
    if goal.total is not None and not (isinstance(goal.total, float) and 0 < goal.total < math.inf):
        return None
    weights = np.asarray(1.0 if goal.sample_weight is None else goal.sample_weight, order="C")  # as sums follow it
    plain = weights.dtype.kind in "biuf" and weights.shape in ((), rows[:1], rows)
    if not plain or not weights.size or not 0 <= weights.min() <= weights.max() < LARGEST_WEIGHT:
        return None
    weights = np.broadcast_to(weights.reshape(weights.shape + (1,) * (len(rows) - weights.ndim)), rows)
    return weights if exists is None else weights * exists


def set_memories(plan: Plan, rules: Rules, states: list[Any], held: list[Array]) -> bool:
    """Point at what the optimizer remembers, and set its rates; False if it is not the plain case."""
    memories: list[Params] = []
    for rule, state in zip(rules, states, strict=True):
        if isinstance(rule, Rule):
            memories += state[0]
    set_rates(plan.rates, rules, states, 0)
    for m, memory in enumerate(memories):
        for k, (name, shape) in enumerate(plan.params):
            array = memory[name]
            if array.shape != shape or array.dtype != plan.size.dtype:
                return False
            held.append(np.ascontiguousarray(array))
            plan.old[m, k] = address(held[-1])
    return True


def set_rates(rates: Array, rules: Rules, states: list[Any], step: int) -> None:
    """Write the rates of an update, so many after the present one, for vectors and for matrices."""
    k = 0
    for rule, state in zip(rules, states, strict=True):
        if isinstance(rule, Rule):
            both = [rule.rates(state[1] + step, ndim) for ndim in (1, 2)]
            for vectors, matrices in zip(*both, strict=True):
                rates[0, k], rates[1, k] = vectors, matrices
                k += 1
