"""The kernels around the walks: bring numbers in, weigh them by the loss, hand results out.

Each is plain Python that Numba compiles. ``numbers(address)`` reads memory that Python points out anew in every call:
an array's address stands in a slot, and the slots stay where they are. Whatever is brought in is also looked at: a
number that is not finite leaves NaN in ``status``.
"""

from functools import cache, lru_cache
from types import FunctionType
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from saiki.cells.fingerprint import fingerprint
from saiki.engines.keeping import log
from saiki.engines.native import Argument, kernel, pointers
from saiki.engines.words import NotFixedError, translate
from saiki.losses import Loss
from saiki.optimizers import Rule

MOST_KEPT = 256
"""How many losses, and how many optimizers, are remembered."""

COUNT, WHOLES, ROW, MATRIX, STEPS = Argument(0), Argument(1, whole=True), Argument(1), Argument(2), Argument(3)

FETCH = """
def fetch(slot, offset, K, N, row_stride, column_stride, panels, width, first, last, status):
    source, bad = numbers(slot[0]), zero
    for p in range(first, last):
        start = p * width
        filled = min(width, N - start)
        if column_stride == 1:
            for k in range(K):
                at, to = offset + k * row_stride + start, (p * K + k) * width
                for j in range(filled):
                    value = source[at + j]
                    bad += value * zero
                    panels[to + j] = value
                for j in range(filled, width):
                    panels[to + j] = zero
        else:
            for j in range(filled):
                at, to = offset + (start + j) * column_stride, p * K * width + j
                for k in range(K):
                    value = source[at + k * row_stride]
                    bad += value * zero
                    panels[to + k * width] = value
            for j in range(filled, width):
                for k in range(K):
                    panels[(p * K + k) * width + j] = zero
    status[0] += bad
"""

LOAD = """
def load(slot, order, lengths, x, lo, hi, status):
    X, bad = numbers(slot[0]), zero
    T, B, F = x.shape
    for i in range(lo, hi):
        for t in range(T):
            if t < lengths[i]:
                at = (order[i] * T + t) * F
                for f in range(F):
                    value = X[at + f]
                    bad += value * zero
                    x[t, i, f] = value
            else:
                for f in range(F):
                    x[t, i, f] = zero
    status[0] += bad
"""

UNLOAD = """
def unload(slot, order, lengths, y, lo, hi, status):
    Y, bad = numbers(slot[0]), zero
    T, B, K = y.shape
    for i in range(lo, hi):
        for t in range(T):
            at = (order[i] * T + t) * K
            for k in range(K):
                value = y[t, i, k] if t < lengths[i] else zero
                bad += value * zero
                Y[at + k] = value
    status[0] += bad
"""

ADD_UP = """
def add_up(parts, slot, first, last):
    total = numbers(slot[0])
    for j in range(first, last):
        total[j] = parts[0, j]
    for p in range(1, parts.shape[0]):
        for j in range(first, last):
            total[j] += parts[p, j]
"""

READ = {
    "last": """
def read(h, lengths, lo, hi, y):
    for i in range(lo, hi):
        for j in range(h.shape[2]):
            y[0, i, j] = h[lengths[i] - 1, i, j] if lengths[i] > 0 else zero
""",
    "mean": """
def read(h, lengths, lo, hi, y):
    for i in range(lo, hi):
        share = one / max(lengths[i], 1)
        y[0, i, :] = zero
        for t in range(lengths[i]):
            for j in range(h.shape[2]):
                y[0, i, j] += h[t, i, j] * share
""",
}

READ_BACK = {
    "last": """
def read_back(dy, lengths, lo, hi, dh):
    for t in range(dh.shape[0]):
        for i in range(lo, hi):
            for j in range(dh.shape[2]):
                dh[t, i, j] = dy[0, i, j] if t == lengths[i] - 1 else zero
""",
    "mean": """
def read_back(dy, lengths, lo, hi, dh):
    for t in range(dh.shape[0]):
        for i in range(lo, hi):
            share = one / max(lengths[i], 1) if t < lengths[i] else zero
            for j in range(dh.shape[2]):
                dh[t, i, j] = dy[0, i, j] * share
""",
}

WEIGH = """
def weigh(slot, weights_slot, weighted, order, lengths, y, scale, dy, lo, hi, value, status):
    targets, weights, total, bad = numbers(slot[0]), numbers(weights_slot[0]), 0.0, zero
    T, B, K = y.shape
    for i in range(lo, hi):
        for t in range(T):
            if t >= lengths[i]:
                dy[t, i, :] = zero
                continue
            row = order[i] * T + t
            weight = weights[row] if weighted else one
            at = row * K
            for k in range(K):
                target = targets[at + k]
                if not (low <= target <= high):
                    bad = nan
                worth, slope = loss(y[t, i, k], target)
                total += worth * weight
                dy[t, i, k] = slope * (weight * scale[0])
    value[0] = total * scale[0]
    status[0] += bad
"""

WEIGH_CLASSES = """
def weigh(slot, weights_slot, weighted, order, lengths, y, scale, dy, lo, hi, value, status):
    targets, weights, total, bad = numbers(slot[0]), numbers(weights_slot[0]), 0.0, zero
    T, B, K = y.shape
    for i in range(lo, hi):
        for t in range(T):
            if t >= lengths[i]:
                dy[t, i, :] = zero
                continue
            row = order[i] * T + t
            weight = weights[row] if weighted else one
            index = targets[row]
            right = int(index) if 0 <= index < K else 0
            if right != index:
                bad = nan
            largest, exponentials = y[t, i, 0], zero
            for k in range(K):
                largest = max(largest, y[t, i, k])
            for k in range(K):
                exponentials += np.exp(y[t, i, k] - largest)
            log_sum = np.log(exponentials)
            for k in range(K):
                target = spread / K + (kept if k == right else zero)
                worth, slope = loss(y[t, i, k] - largest, target, log_sum)
                total += worth * weight
                dy[t, i, k] = slope * (weight * scale[0])
    value[0] = total * scale[0]
    status[0] += bad
"""

NORM = """
def norm(total, n, limit, factor):
    largest, squares = zero, 0.0
    for j in range(n):
        largest = max(largest, abs(total[j]))
    factor[0] = one
    if zero < largest < infinity:
        for j in range(n):
            share = total[j] / largest
            squares += share * share
        size = largest * np.sqrt(squares)
        if size > limit[0]:
            factor[0] = limit[0] / size
"""

ARGUMENTS = {
    "fetch": {"slot": WHOLES}
    | dict.fromkeys(("offset", "K", "N", "row_stride", "column_stride"), COUNT)
    | {"panels": ROW, "width": COUNT, "first": COUNT, "last": COUNT, "status": ROW},
    "load": {"slot": WHOLES, "order": WHOLES, "lengths": WHOLES, "x": STEPS}
    | {"lo": COUNT, "hi": COUNT, "status": ROW},
    "unload": {"slot": WHOLES, "order": WHOLES, "lengths": WHOLES, "y": STEPS, "lo": COUNT}
    | {"hi": COUNT, "status": ROW},
    "add_up": {"parts": MATRIX, "slot": WHOLES, "first": COUNT, "last": COUNT},
    "read": {"h": STEPS, "lengths": WHOLES, "lo": COUNT, "hi": COUNT, "y": STEPS},
    "read_back": {"dy": STEPS, "lengths": WHOLES, "lo": COUNT, "hi": COUNT, "dh": STEPS},
    "norm": {"total": ROW, "n": COUNT, "limit": ROW, "factor": ROW},
    "weigh": {
        "slot": WHOLES,
        "weights_slot": WHOLES,
        "weighted": COUNT,
        "order": WHOLES,
        "lengths": WHOLES,
        "y": STEPS,
        "scale": ROW,
        "dy": STEPS,
    }
    | {"lo": COUNT, "hi": COUNT, "value": ROW, "status": ROW},
}
"""The arguments of each kernel, in order."""

SOURCES = {"fetch": FETCH, "load": LOAD, "unload": UNLOAD, "add_up": ADD_UP, "norm": NORM}


def numbers_of(dtype: Any) -> dict[str, Any]:
    """Return the constants and pointers of the kernels' sources in one precision."""
    return pointers(dtype) | {
        "np": np,
        "zero": dtype(0),
        "one": dtype(1),
        "nan": dtype(np.nan),
        "infinity": dtype(np.inf),
    }


@cache
def kernel_of(name: str, dtype: Any) -> int:
    """Return the address of a kernel: of ``SOURCES``, or ``"read last"``, ``"read_back mean"``, ..."""
    name, _, kind = name.partition(" ")
    source = {"read": READ, "read_back": READ_BACK}[name][kind] if kind else SOURCES[name]
    return kernel(name, source, ARGUMENTS[name], dtype, numbers_of(dtype))


@lru_cache(MOST_KEPT)
def weigher(loss: Loss, dtype: Any) -> int:
    """Return the address of the kernel that weighs outputs by a loss; 0 if Numba does not understand the loss."""
    function = loss.functions["function"]
    if not isinstance(function, FunctionType):
        return 0
    low, high = (dtype(np.clip(end, np.finfo(dtype).min, np.finfo(dtype).max)) for end in loss.between)
    words = {"low": low, "high": high, "kept": dtype(1 - loss.label_smoothing), "spread": dtype(loss.label_smoothing)}
    source = WEIGH_CLASSES if loss.of_classes else WEIGH
    try:
        words["loss"] = translate(function, dtype)
        depends = [fingerprint(function).encode(), repr((loss.between, loss.label_smoothing)).encode()]
        return kernel("weigh", source, ARGUMENTS["weigh"], dtype, numbers_of(dtype) | words, depends, "the loss")
    except (NumbaError, NotFixedError) as error:
        why = f" ({error})" if isinstance(error, NotFixedError) else ""
        log.warning("saiki cannot compile the loss%s; NumPy evaluates it, and the layers run one by one", why)
        return 0


def update_arguments(rules: tuple[Rule, ...]) -> dict[str, Argument]:
    """Return the arguments of the kernel that updates one parameter, in order."""
    memories = range(sum(rule.memories for rule in rules))
    arrays = {"total": ROW, "factor": ROW, "rates": ROW, "w_slot": WHOLES, "new_w_slot": WHOLES}
    arrays |= {f"{age}m{k}_slot": WHOLES for k in memories for age in ("", "new_")}
    return arrays | {"at": COUNT, "first": COUNT, "last": COUNT, "status": ROW}


@lru_cache(MOST_KEPT)
def updater(rules: tuple[Rule, ...], dtype: Any) -> int:
    """Return the address of the kernel that updates one parameter by rules; 0 if Numba does not understand them."""
    functions = [rule.functions["function"] for rule in rules]
    if not all(isinstance(function, FunctionType) for function in functions):
        return 0
    arguments = update_arguments(rules)
    pointed = [name.removesuffix("_slot") for name in arguments if name.endswith("_slot")]
    lines = [f"def update({', '.join(arguments)}):"]
    lines += [f"    {name} = numbers({name}_slot[0])" for name in pointed]
    lines += ["    bad = zero", "    for j in range(first, last):", "        g = total[at + j] * factor[0]"]
    memory, rate = 0, 0
    for r, rule in enumerate(rules):
        own = [f"m{k}" for k in range(memory, memory + rule.memories)]
        n_rates = len(rule.rates(0, 1))
        values = ["g", "w[j]", *(f"{m}[j]" for m in own), *(f"rates[{k}]" for k in range(rate, rate + n_rates))]
        lines.append(f"        {', '.join(['g', *(f'next_{m}' for m in own)])} = rule_{r}({', '.join(values)})")
        lines += [f"        new_{m}[at + j] = next_{m}" for m in own]
        memory, rate = memory + rule.memories, rate + n_rates
    lines += ["        value = w[j] + g", "        bad += value * zero", "        new_w[at + j] = value"]
    lines.append("    status[0] += bad\n")
    try:
        words = {f"rule_{r}": translate(function, dtype) for r, function in enumerate(functions)}
        depends = [fingerprint(function).encode() for function in functions]
        scope, source = numbers_of(dtype) | words, "\n".join(lines)
        return kernel("update", source, arguments, dtype, scope, depends, "the optimizer", exact=True)
    except (NumbaError, NotFixedError) as error:
        why = f" ({error})" if isinstance(error, NotFixedError) else ""
        log.warning("saiki cannot compile the optimizer's rules%s; NumPy evaluates them", why)
        return 0
