"""``python -m benchmarks.adder``: 10,000 updates of the binary adder, as a plain NumPy loop and by saiki.

Both do the same arithmetic on the same numbers, one example of 8 steps at a time: tanh units, a sigmoid output, squared
error, backpropagation through time, plain gradient descent. They take turns, a part of the iterations each; the losses
are compared.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np

from saiki.arrays import Params
from saiki.tasks.adder import Experiment
from saiki.training import Batch


def plain(params: Params, batches: Iterator[Batch], rate: float) -> Iterator[float]:
    """Train step by step, and yield the loss of each iteration."""
    Wx, Wh, W = (params[name].copy() for name in ("0/Wx", "0/Wh", "1/W"))
    for batch in batches:
        X, target = batch.X[0], batch.y[0]
        T = len(X)
        h, y = np.zeros((T + 1, Wh.shape[0])), np.zeros(T)
        for t in range(T):
            h[t] = np.tanh(X[t] @ Wx + h[t - 1] @ Wh)  # h[-1] is the initial state, zero
            y[t] = 1 / (1 + np.exp(-(h[t] @ W)[0]))
        error = y - target
        dv = error * y * (1 - y) / T
        dWx, dWh, dW, dh = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(W), np.zeros(Wh.shape[0])
        for t in reversed(range(T)):
            dW[:, 0] += h[t] * dv[t]
            da = (W[:, 0] * dv[t] + dh) * (1 - h[t] ** 2)
            dWx += np.outer(X[t], da)
            dWh += np.outer(h[t - 1], da)
            dh = Wh @ da
        Wx -= rate * dWx
        Wh -= rate * dWh
        W -= rate * dW
        yield float((error**2).mean() / 2)


def main() -> None:
    """Run both in turns, and print how long an iteration takes in each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adder", description=__doc__.split("\n")[0])
    parser.add_argument("--iterations", type=int, default=10_000, help="how many updates (default 10,000)")
    parser.add_argument("--turns", type=int, default=10, help="into how many turns they are cut (default 10)")
    arguments = parser.parse_args()
    experiment = Experiment(iterations=arguments.iterations)
    next(Experiment(iterations=1).run())  # compile
    batches = list(experiment.batches())  # drawn beforehand, for both
    runs = {
        "plain NumPy": plain(experiment.init(), iter(batches), experiment.learning_rate),
        "saiki": (step.loss for step in experiment.run()),
    }
    losses: dict[str, list[float]] = {name: [] for name in runs}
    times: dict[str, list[float]] = {name: [] for name in runs}
    count = arguments.iterations // arguments.turns
    for _ in range(arguments.turns):
        for name, run in runs.items():
            start = time.perf_counter()
            losses[name] += islice(run, count)
            times[name].append((time.perf_counter() - start) / count)
    apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
    plainly, ours = (statistics.median(times[name]) * 1e6 for name in runs)
    print(f"plain NumPy {plainly:.1f} us, saiki {ours:.1f} us an iteration: {plainly / ours:.1f} times as fast")
    print(f"largest difference between their losses in {arguments.iterations} iterations: {apart:.1e}")


if __name__ == "__main__":
    main()
