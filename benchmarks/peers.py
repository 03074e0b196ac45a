"""``python -m benchmarks.peers``: saiki, PyTorch, JAX and the floor, over the shapes that matter.

A row is one cell, shape, task and number of threads; each figure is the median of runs in one process, in which the
libraries take turns.
The network is one recurrent layer and one output at each step, in float32.

"train" is a whole step through the public calls: forward, squared error, backward, and an update by plain gradient
descent. "forward" is a prediction of all steps. Peers run at their best setting: PyTorch eagerly with its fused layers,
in inference mode for predictions; JAX as one jitted function around ``lax.scan``, with donated parameters.

The floor is the number of floating-point operations in the products, three times as many for training, over the rate of
a large float32 product measured in the same process.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any

SHAPES = [
    (1, 8, 2, 16),
    (32, 50, 8, 32),
    (32, 50, 16, 64),
    (64, 100, 32, 128),
    (128, 28, 28, 128),
    (32, 100, 64, 256),
    (32, 64, 128, 512),
]
GATES = {"simple": 1, "gru": 3, "lstm": 4}
TASKS = "forward", "train"
RATE = 1e-3
TURNS = 5


def main() -> None:
    """Measure with one thread and with all, each in a process of its own, and show the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    parser.add_argument("--tables", type=Path, metavar="FILE", help="where to write them as Markdown")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="where to draw them")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to measure each row (default 1)")
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=list(GATES))
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        for row in measure(arguments.worker, arguments.cells, arguments.seconds):
            print(json.dumps(row), flush=True)
        return
    rows = []
    cores = len(os.sched_getaffinity(0))
    for threads in sorted({1, cores}):
        worker = ["--worker", str(threads), "--seconds", str(arguments.seconds), "--cells", *arguments.cells]
        command = [sys.executable, "-m", "benchmarks.peers", *worker]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                rows.append(json.loads(line))
                print(describe(rows[-1]), flush=True)
        if process.returncode:
            sys.exit(process.returncode)
    print(summary(rows))
    if arguments.json:
        import saiki  # late: a worker must set its threads before NumPy is imported

        packages = ("numpy", "numba", "torch", "jax")
        about = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": processor(),
            "cores": cores,
            "python": platform.python_version(),
            "versions": {"saiki": saiki.__version__} | {name: version(name) for name in packages},
        }
        arguments.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1))
    if arguments.tables:
        arguments.tables.write_text("\n\n".join(tables(rows)) + "\n")
    if arguments.picture:
        draw(rows, arguments.picture)


def describe(row: dict[str, Any]) -> str:
    """Return a row as a line."""
    best = best_peer(row)
    return (
        f"{row['cell']:7} {shape_of(row):16} {row['task']:8} {row['threads']} thread(s)  saiki {row['saiki_us']:9.0f}"
        f"  torch {row['torch_us']:9.0f}  jax {row['jax_us']:9.0f}  floor {row['floor_us']:8.0f} us"
        f"  best peer / saiki {best / row['saiki_us']:5.2f}  saiki / floor {row['saiki_us'] / row['floor_us']:5.2f}"
    )


def shape_of(row: dict[str, Any]) -> str:
    """Return a shape as ``BxTxF->H``."""
    return "x".join(map(str, row["shape"][:3])) + f"->{row['shape'][3]}"


def subject_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a row is about, whatever the number of threads."""
    return row["cell"], tuple(row["shape"]), row["task"]


def best_peer(row: dict[str, Any]) -> float:
    """Return the time of the faster peer."""
    return float(min(row["torch_us"], row["jax_us"]))


def best_of_all(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """Return the time of the faster peer with its best number of threads."""
    return min(best_peer(r) for r in rows if subject_of(r) == subject_of(row))


def groups(rows: list[dict[str, Any]]) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """Yield each task and number of threads, most first, with its rows."""
    for threads in sorted({row["threads"] for row in rows}, reverse=True):
        for task in reversed(TASKS):
            yield task, threads, [row for row in rows if row["task"] == task and row["threads"] == threads]


def summary(rows: list[dict[str, Any]]) -> str:
    """Return, for each task and number of threads, the geometric means against the peers, and the rows won."""
    lines = []
    for task, threads, some in groups(rows):
        ratios = [best_peer(row) / row["saiki_us"] for row in some]
        means = [
            statistics.geometric_mean([time(row) / row["saiki_us"] for row in some])
            for time in (lambda row: row["torch_us"], lambda row: row["jax_us"], best_peer)
        ]
        floors = [row["saiki_us"] / row["floor_us"] for row in some if row["shape"][3] >= 128]
        small = [ratio for ratio, row in zip(ratios, some, strict=True) if row["shape"] in map(list, SHAPES[:3])]
        lines.append(
            f"{task:8} {threads} thread(s): faster than the best peer in {sum(r > 1 for r in ratios)} of {len(ratios)}"
            f" rows; geometric means: PyTorch {means[0]:.2f}, JAX {means[1]:.2f}, the best {means[2]:.2f}; least"
            f" {min(ratios):.2f}, of the small shapes {min(small):.2f}; over the floor from 128 units on"
            f" {min(floors):.2f} to {max(floors):.2f}"
        )
    for task in reversed(TASKS):
        at_best = [
            best_of_all(row, rows) / min(r["saiki_us"] for r in rows if subject_of(r) == subject_of(row))
            for row in rows
            if row["task"] == task and row["threads"] == 1
        ]
        lines.append(
            f"{task:8} each at its best number of threads: faster than the best peer in {sum(r > 1 for r in at_best)}"
            f" rows; geometric mean {statistics.geometric_mean(at_best):.2f}, least {min(at_best):.2f}"
        )
    return "\n".join(lines)


def tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a Markdown table for each task and number of threads."""
    for task, threads, some in groups(rows):
        lines = [f"### {task.capitalize()}, {threads} thread{'s' if threads > 1 else ''}\n"]
        lines.append("| cell | B×T×F→H | saiki | PyTorch | JAX | floor | best peer / saiki | saiki / floor |")
        lines.append("|---|---|---:|---:|---:|---:|---:|---:|")
        for row in some:
            shape, over = shape_of(row).replace("x", "×").replace("->", "→"), row["saiki_us"] / row["floor_us"]
            times = " | ".join(f"{row[f'{name}_us']:.0f}" for name in ("saiki", "torch", "jax"))
            ratio = best_peer(row) / row["saiki_us"]
            lines.append(f"| {row['cell']} | {shape} | {times} | {row['floor_us']:.1f} | {ratio:.2f} | {over:.1f} |")
        yield "\n".join(lines)


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw how many times as fast as each peer saiki is, with all cores, and where the floor would be."""
    import matplotlib.pyplot as plt

    threads = max(row["threads"] for row in rows)
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), sharex=True, sharey="row", layout="constrained")
    marks = (("floor_us", "the floor", ":", ""), ("jax_us", "JAX", "-", "s"), ("torch_us", "PyTorch", "-", "o"))
    for line, task in zip(axes, reversed(TASKS), strict=True):
        for axis, cell in zip(line, GATES, strict=True):
            some = [r for r in rows if (r["task"], r["cell"], r["threads"]) == (task, cell, threads)]
            for key, label, style, marker in marks:
                kept = [(i, r[key] / r["saiki_us"]) for i, r in enumerate(some) if key != "floor_us" or i > 2]
                axis.plot(*zip(*kept, strict=True), linestyle=style, marker=marker, label=label)
            axis.axhline(1, color="black", linewidth=1)
            axis.set_yscale("log")
            axis.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
            axis.set_xticks(range(len(some)), list(map(shape_of, some)), fontsize=8, rotation=35, ha="right")
            axis.set_title(f"{cell}, {task}")
        line[0].set_ylabel("its time / saiki's")
    axes[0, 0].legend()
    figure.suptitle(f"How many times as long as saiki they take, {threads} threads, float32 (above 1: saiki is faster)")
    figure.savefig(file, dpi=110)


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def measure(threads: int, cells: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the rows for one number of threads; everything that counts cores is told so before it is imported."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ |= {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SAIKI_NUM_THREADS")}
    import numpy as np

    A = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    rate = 2 * 2048**3 / min(timed(lambda: A @ A) for _ in range(8))
    for cell in cells:
        for shape in SHAPES:
            B, T, F, H = shape
            operations = 2 * B * T * GATES[cell] * H * (F + H)
            runs = {name: make(cell, shape) for name, make in (("saiki", ours), ("torch", torchs), ("jax", jaxs))}
            for task in TASKS:
                figures: dict[str, list[float]] = {name: [] for name in runs}
                for run in runs.values():
                    run[task]()  # compile, allocate
                for _ in range(TURNS):
                    for name, run in runs.items():
                        figures[name] += turn(run[task], seconds / TURNS / len(runs))
                floor = operations * (3 if task == "train" else 1) / rate
                yield (
                    {"cell": cell, "shape": list(shape), "task": task, "threads": threads}
                    | {f"{name}_us": statistics.median(values) * 1e6 for name, values in figures.items()}
                    | {"floor_us": floor * 1e6}
                )


def turn(run: Callable[[], Any], seconds: float) -> list[float]:
    """Return the times of one after another; the first two are dropped, while threads of the one before still spin."""
    times = [timed(run) for _ in range(5)]
    while sum(times) < seconds:
        times.append(timed(run))
    return times[2:]


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds that one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def data(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Return inputs and targets."""
    import numpy as np

    B, T, F, _ = shape
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, T, F)).astype(np.float32), rng.standard_normal((B, T, 1)).astype(np.float32)


def ours(cell: str, shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return both tasks in saiki."""
    import numpy as np

    import saiki
    from saiki.optimizers import sgd
    from saiki.training import Batch, train

    X, y = data(shape)
    network = saiki.Network([saiki.Recurrent(cell, shape[2], shape[3]), saiki.Dense(shape[3], 1)])
    params = network.init(np.random.default_rng(0), dtype=np.float32)
    steps = train(network, params, repeat(Batch(X, y)), sgd(RATE), "squared_error", engine="compiled")
    return {"forward": lambda: network.predict(params, X, engine="compiled"), "train": lambda: next(steps)}


def torchs(cell: str, shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return both tasks in PyTorch."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    X, y = map(torch.from_numpy, data(shape))
    kind = {"simple": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    layer, out = kind(shape[2], shape[3], batch_first=True), torch.nn.Linear(shape[3], 1)
    optimizer = torch.optim.SGD([*layer.parameters(), *out.parameters()], RATE)

    def forward() -> Any:
        with torch.inference_mode():
            return out(layer(X)[0])

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(out(layer(X)[0]), y) / 2
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"forward": forward, "train": step}


def jaxs(cell: str, shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return both tasks in JAX."""
    from functools import partial

    import jax
    import jax.numpy as jnp

    (B, _, F, H), G = shape, GATES[cell]
    X, y = map(jnp.asarray, data(shape))
    keys = jax.random.split(jax.random.key(0), 3)
    params = {
        "Wx": jax.random.normal(keys[0], (F, G * H)) / F**0.5,
        "Wh": jax.random.normal(keys[1], (H, G * H)) / H**0.5,
        "b": jnp.zeros(G * H),
        "bh": jnp.zeros(H),
        "W": jax.random.normal(keys[2], (H, 1)) / H**0.5,
        "c": jnp.zeros(1),
    }

    def cell_step(params: Any, state: Any, xw: Any) -> Any:
        h = state[0]
        if cell == "simple":
            h = jnp.tanh(xw + h @ params["Wh"])
            return (h,), h
        hw = h @ params["Wh"]
        if cell == "gru":
            xr, xz, xn = jnp.split(xw, 3, axis=-1)
            hr, hz, hn = jnp.split(hw, 3, axis=-1)
            r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
            n = jnp.tanh(xn + r * (hn + params["bh"]))
            h = (1 - z) * n + z * h
            return (h,), h
        i, f, g, o = jnp.split(xw + hw, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def outputs(params: Any, X: Any) -> Any:
        xw = (X @ params["Wx"] + params["b"]).swapaxes(0, 1)
        start = (jnp.zeros((B, H)),) * (2 if cell == "lstm" else 1)
        _, hs = jax.lax.scan(partial(cell_step, params), start, xw)
        return (hs @ params["W"] + params["c"]).swapaxes(0, 1)

    def loss(params: Any) -> Any:
        return jnp.mean((outputs(params, X) - y) ** 2) / 2

    @partial(jax.jit, donate_argnums=0)
    def update(params: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, g: p - RATE * g, params, grads)

    forward = jax.jit(outputs)
    kept = {"params": jax.tree.map(jnp.copy, params)}

    def step() -> float:
        value, kept["params"] = update(kept["params"])
        jax.block_until_ready(kept["params"])
        return float(value)

    return {"forward": lambda: forward(params, X).block_until_ready(), "train": step}


if __name__ == "__main__":
    main()
