"""``python -m benchmarks.trees``: a Tree-LSTM over a forest, level by level in saiki, and node by node.

Every tree is binary and drawn at random, with an input at each leaf; the numbers are float32. "train" is forward and
backward, from a gradient at each root to those of all weights; "predict" is forward alone. What is measured:

- saiki's compiled engine, with all cores and with one thread, and its reference engine: all trees at once, level by
  level;
- NumPy, node by node, as written: a plain walk, each gate by its equation and the cell's own functions, each node
  adding to the weights' gradients; one thread (two only wait for each other at such sizes);
- NumPy, node by node, tuned: gates side by side in one array, so that a node has one product each way; slopes and
  weights' gradients of a tree at its end, at once;
- PyTorch, eager, node by node: the same operations with its tensors, autograd for the backward pass, inference mode for
  predictions, one thread too.

They take turns; a figure is the median. Node by node is slow, so it walks over a sample of the trees, and its time is
multiplied by how many times as many there are. Before anything is measured all are held to the same numbers.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import processor
from saiki.arrays import Array, Params
from saiki.engines.blas import single_threaded
from saiki.engines.threads import cores, limit_threads
from saiki.trees import Forest, Recursive, Tree

N_FEATURES = N_UNITS = 64
N_LEAVES, SAMPLE = 30, 20
TASKS = "train", "predict"
OURS = "saiki compiled", "saiki compiled, 1 thread", "saiki reference"
TOLERANCE = 1e-4
"""Some hundred float32 roundings of 6e-8, relative to the largest number."""

Nodes = list[tuple[int, int, int]]
"""The nodes of a tree, children before parents: their numbers, and those of their children, -1 at a leaf."""

Run = Callable[[str, int], Any]
"""Runs a task on the first so many trees; returns the outputs at the roots and, from training, weights' gradients."""


def main() -> None:
    """Measure in turns, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trees", description=__doc__.split("\n")[0])
    parser.add_argument("--trees", type=int, default=1000, help="how many trees (default 1,000)")
    parser.add_argument("--turns", type=int, default=7, help="how often each is measured (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    trees = [draw_tree(rng) for _ in range(arguments.trees)]
    layer = Recursive("lstm", N_FEATURES, N_UNITS)
    params = layer.init(rng, dtype=np.float32) | {"b": rng.standard_normal(5 * N_UNITS).astype(np.float32)}
    sample = min(SAMPLE, len(trees))
    forests = {n: Forest.of(trees[:n]) for n in (sample, len(trees))}
    parts = [(walk_of(tree), np.array(inputs_of(tree))) for tree in trees[:sample]]
    runs: dict[str, tuple[Run, int]] = {name: (ours(layer, params, forests, name), len(trees)) for name in OURS}
    runs["NumPy, as written"] = as_written(layer, params, parts), sample
    runs["NumPy, tuned"] = tuned(params, parts), sample
    if find_spec("torch"):
        runs["PyTorch"] = torchs(params, parts), sample
    hold_to_the_same(runs, sample)
    times: dict[str, dict[str, list[float]]] = {task: {name: [] for name in runs} for task in TASKS}
    for _ in range(arguments.turns):
        for task, of in times.items():
            for name, (run, n) in runs.items():
                start = time.perf_counter()
                run(task, n)
                of[name].append((time.perf_counter() - start) * len(trees) / n)
    rows = [{"name": name} | {task: statistics.median(times[task][name]) for task in TASKS} for name in runs]
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in ("saiki", "numpy", "numba", "torch")},
        "trees": len(trees),
        "nodes": forests[len(trees)].n_nodes,
        "sample": sample,
    }
    print(described(about, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1))


def described(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return the figures as a table."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        f"{about['date']}, {about['machine']}, {about['cores']} cores, Python {about['python']}, {versions}",
        f"Tree-LSTM, {N_UNITS} units, {N_FEATURES} features, float32: {about['trees']} binary trees of {N_LEAVES}"
        f" leaves, {about['nodes']} nodes",
        f"NumPy and PyTorch go node by node, over {about['sample']} of the trees, and their times are scaled",
        f"{'':26}" + "".join(f"{task + ', ms':>14}{'x':>9}" for task in TASKS),
    ]
    for row in rows:
        figures = "".join(f"{row[task] * 1e3:14.1f}{row[task] / rows[0][task]:9.1f}" for task in TASKS)
        lines.append(f"{row['name']:26}{figures}")
    if not find_spec("torch"):
        lines.append(f"{'PyTorch':26}   not installed here")
    return "\n".join(lines)


def installed(name: str) -> str:
    """Return the version of a package, or that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def draw_tree(rng: np.random.Generator) -> Tree:
    """Draw a binary tree, split anywhere, with a vector at each leaf."""
    parents, values, halves = list[int](), list[Any](), [(-1, N_LEAVES)]
    while halves:
        parent, n_leaves = halves.pop()
        node = len(parents)
        parents.append(parent)
        values.append(rng.standard_normal(N_FEATURES).astype(np.float32) if n_leaves == 1 else None)
        if n_leaves > 1:
            left = int(rng.integers(1, n_leaves))
            halves += [(node, n_leaves - left), (node, left)]
    return Tree(parents, values)


def walk_of(tree: Tree) -> Nodes:
    """Return the nodes of a tree, children before parents."""
    starts, children = tree.child_starts.tolist(), tree.children.tolist()
    return [
        (node, *(children[starts[node] : starts[node + 1]] or (-1, -1))) for node in tree.reading_order[::-1].tolist()
    ]


def inputs_of(tree: Tree) -> list[Array]:
    """Return the vectors of all nodes, zeros where there is none."""
    nothing = np.zeros(N_FEATURES, np.float32)
    return [nothing if value is None else value for value in tree.values]


def hold_to_the_same(runs: dict[str, tuple[Run, int]], sample: int) -> None:
    """Raise unless all find the same outputs and gradients; it compiles and allocates too."""
    results = {name: run("train", sample) for name, (run, _) in runs.items()}
    true = results[OURS[0]]
    for name, found in results.items():
        for one, other in zip(found, true, strict=True):
            apart = np.abs(one - other).max() / np.abs(other).max()
            if not apart < TOLERANCE:
                raise SystemExit(f"{name} is {apart:.1e} away from {OURS[0]}")
    for run, n in runs.values():
        for task in TASKS:
            run(task, n)


def ours(layer: Recursive, params: Params, forests: dict[int, Forest], name: str) -> Run:
    """Return the tasks in saiki."""
    engine = "reference" if name == "saiki reference" else "compiled"

    def run(task: str, n: int) -> Any:
        forest = forests[n]
        with limit_threads(1 if name.endswith("1 thread") else None):
            H, tape = layer.forward(params, forest, engine)
            if task == "predict":
                return (H[forest.roots],)
            dH = np.zeros_like(H)
            dH[forest.roots] = 1
            grads = layer.backward(params, tape, dH)
        return H[forest.roots], *(grads[key] for key in ("Wx", "Wh", "b"))

    return run


def as_written(layer: Recursive, params: Params, parts: list[tuple[Nodes, Array]]) -> Run:
    """Return the tasks as a NumPy loop over nodes that follows the equations."""
    cell, H = layer.cell, N_UNITS
    gates = {
        name: tuple(np.ascontiguousarray(params[key][..., g * H : (g + 1) * H]) for key in ("Wx", "Wh", "b"))
        for g, name in enumerate(cell.inputs)
    }
    nothing = np.zeros(H, np.float32)

    def climb(walk: Nodes, x: Array) -> list[dict[str, Array]]:
        kept: list[dict[str, Array]] = [{} for _ in walk]
        for node, left, right in walk:
            if left < 0:
                now = {"c_left": nothing, "c_right": nothing}
                now |= {name: x[node] @ Wx + b for name, (Wx, _, b) in gates.items()}
            else:
                pair = np.concatenate((kept[left]["h"], kept[right]["h"]))
                now = {"pair": pair, "c_left": kept[left]["c"], "c_right": kept[right]["c"]}
                now |= {name: pair @ Wh + b for name, (_, Wh, b) in gates.items()}
            values = cell.forward(*(now[name] for name in cell.takes))
            kept[node] = now | dict(zip(cell.returns, values, strict=True))
        return kept

    def descend(walk: Nodes, x: Array, kept: list[dict[str, Array]], into: tuple[Array, ...]) -> None:
        d = [{"dh": nothing, "dc": nothing} for _ in walk]
        d[walk[-1][0]]["dh"] = np.ones(H, np.float32)
        for node, left, right in reversed(walk):
            now = kept[node] | d[node]
            grads = dict(zip(cell.takes, cell.backward(*(now[name] for name in cell.wants)), strict=True))
            dpair = np.zeros(2 * H, np.float32)
            for g, (name, (Wx, Wh, _)) in enumerate(gates.items()):
                da, columns = grads[name], slice(g * H, (g + 1) * H)
                into[2][columns] += da
                if left < 0:
                    into[0][:, columns] += np.outer(x[node], da)
                    _ = da @ Wx.T  # the gradient of the input, as the others have it
                else:
                    into[1][:, columns] += np.outer(now["pair"], da)
                    dpair += da @ Wh.T
            if left >= 0:
                d[left], d[right] = (
                    {"dh": dpair[:H], "dc": grads["c_left"]},
                    {"dh": dpair[H:], "dc": grads["c_right"]},
                )

    def run(task: str, n: int) -> Any:
        grads, roots = tuple(np.zeros_like(params[key]) for key in ("Wx", "Wh", "b")), []
        with single_threaded():
            for walk, x in parts[:n]:
                kept = climb(walk, x)
                roots.append(kept[walk[-1][0]]["h"])
                if task == "train":
                    descend(walk, x, kept, grads)
        return np.stack(roots), *grads

    return run


def tuned(params: Params, parts: list[tuple[Nodes, Array]]) -> Run:
    """Return the tasks as a NumPy loop over nodes with as little as possible in it."""
    H, one = N_UNITS, np.float32(1)
    Wx, Wh, b = (params[key] for key in ("Wx", "Wh", "b"))
    zero = np.zeros(H, np.float32)
    order = np.r_[0 : 3 * H, 4 * H : 5 * H, 3 * H : 4 * H]  # the three gates and the fourth side by side, then tanh's
    Wx, Wh, b = (np.ascontiguousarray(array[..., order]) for array in (Wx, Wh, b))
    WxT, WhT = np.ascontiguousarray(Wx.T), np.ascontiguousarray(Wh.T)

    def climb(walk: Nodes, x: Array) -> tuple[Any, ...]:
        n = len(walk)
        h, c, t, pairs = np.empty((n, H), np.float32), [zero] * n, [zero] * n, np.empty((n, 2 * H), np.float32)
        gates = np.empty((n, 5 * H), np.float32)
        for node, left, right in walk:
            a = gates[node]
            if left < 0:
                np.matmul(x[node], Wx, out=a)
            else:
                pair = pairs[node]
                pair[:H], pair[H:] = h[left], h[right]
                np.matmul(pair, Wh, out=a)
            a += b
            s, g = a[: 4 * H], a[4 * H :]
            np.negative(s, out=s)
            np.exp(s, out=s)
            s += one
            np.divide(one, s, out=s)
            np.tanh(g, out=g)
            c_new = s[:H] * g
            if left >= 0:
                c_new += s[H : 2 * H] * c[left]
                c_new += s[2 * H : 3 * H] * c[right]
            c[node], t[node] = c_new, np.tanh(c_new)
            np.multiply(s[3 * H :], t[node], out=h[node])
        return h, c, t, pairs, gates

    def descend(walk: Nodes, x: Array, kept: tuple[Any, ...], into: tuple[Array, ...]) -> None:
        _, c, t, pairs, gates = kept
        n = len(walk)
        da, dh, dc_of = np.empty((n, 5 * H), np.float32), [zero] * n, [zero] * n
        dh[walk[-1][0]] = np.ones(H, np.float32)
        slopes = gates * (one - gates)
        slopes[:, 4 * H :] = one - gates[:, 4 * H :] ** 2
        for node, left, right in reversed(walk):
            gate, d, slope, tanh_c = gates[node], da[node], slopes[node], t[node]
            np.multiply(dh[node], tanh_c, out=d[3 * H : 4 * H])
            dc = dc_of[node] + dh[node] * gate[3 * H : 4 * H] * (one - tanh_c * tanh_c)
            np.multiply(dc, gate[4 * H :], out=d[:H])
            np.multiply(dc, gate[:H], out=d[4 * H :])
            if left < 0:
                d[H : 3 * H] = 0
                d *= slope
                continue
            np.multiply(dc, c[left], out=d[H : 2 * H])
            np.multiply(dc, c[right], out=d[2 * H : 3 * H])
            d *= slope
            dpair = d @ WhT
            dh[left], dh[right] = dpair[:H], dpair[H:]
            dc_of[left], dc_of[right] = dc * gate[H : 2 * H], dc * gate[2 * H : 3 * H]
        leaves = [node for node, left, _ in walk if left < 0]
        inner = [node for node, left, _ in walk if left >= 0]
        into[0][...] += x[leaves].T @ da[leaves]
        into[1][...] += pairs[inner].T @ da[inner]
        into[2][...] += da.sum(axis=0)
        _ = da[leaves] @ WxT  # the gradient of the inputs, as the others have it

    def run(task: str, n: int) -> Any:
        grads, roots = (np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)), []
        with single_threaded():
            for walk, x in parts[:n]:
                kept = climb(walk, x)
                roots.append(kept[0][walk[-1][0]])
                if task == "train":
                    descend(walk, x, kept, grads)
        back = np.argsort(order)
        return np.stack(roots), *(grad[..., back] for grad in grads)

    return run


def torchs(params: Params, parts: list[tuple[Nodes, Array]]) -> Run:
    """Return the tasks in PyTorch, one node at a time."""
    import torch

    torch.set_num_threads(1)
    weights = [torch.tensor(params[key], requires_grad=True) for key in ("Wx", "Wh", "b")]
    inputs = [(walk, torch.tensor(x, requires_grad=True)) for walk, x in parts]

    def climb(walk: Nodes, x: Any) -> Any:
        Wx, Wh, b = weights
        h, c = [None] * len(walk), [None] * len(walk)
        rows = x.unbind(0)
        for node, left, right in walk:
            if left < 0:
                i, _, _, g, o = torch.addmv(b, Wx.t(), rows[node]).chunk(5)
                new = torch.sigmoid(i) * torch.tanh(g)
            else:
                i, l, r, g, o = torch.addmv(b, Wh.t(), torch.cat((h[left], h[right]))).chunk(5)  # noqa: E741
                new = torch.sigmoid(i) * torch.tanh(g) + torch.sigmoid(l) * c[left] + torch.sigmoid(r) * c[right]
            c[node], h[node] = new, torch.sigmoid(o) * torch.tanh(new)
        return h[walk[-1][0]]

    def run(task: str, n: int) -> Any:
        if task == "predict":
            with torch.inference_mode():
                return (torch.stack([climb(walk, x) for walk, x in inputs[:n]]).numpy(),)
        for tensor in (*weights, *(x for _, x in inputs)):
            tensor.grad = None
        roots = []
        for walk, x in inputs[:n]:
            root = climb(walk, x)
            root.sum().backward()
            roots.append(root.detach())
        return torch.stack(roots).numpy(), *(weight.grad.numpy() for weight in weights)

    return run


if __name__ == "__main__":
    main()
