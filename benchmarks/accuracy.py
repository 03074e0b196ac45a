"""``python -m benchmarks.accuracy``: accuracy and time of the estimators beside the same networks in PyTorch.

Both have the same sizes, the same number of epochs, batches of 32, Adam along the same falling cosine, the same penalty
and clipping, in float32; they take turns, fold by fold, on one thread and on all. What is timed is training alone:
after each epoch the clock stands still while the accuracy on what was held out is measured.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

import saiki
from saiki.arrays import Array
from saiki.tasks.adder import Adder

RATE, ALPHA, CLIP, BATCH = 0.005, 1e-4, 1.0, 32


@dataclass(frozen=True)
class Task:
    """Sequences with labels, cut into what is learnt from and what is held out, and the network for them.

    Attributes:
        name: what it is called.
        cell: the recurrence.
        n_units: its size.
        epochs: how often all is learnt from.
        enough: the accuracy whose time is noted.
        each: whether each step has a label; then a sequence is right if all of them are.
        folds: ``(X, y, X held out, y held out)``.
    """

    name: str
    cell: str
    n_units: int
    epochs: int
    enough: float
    each: bool
    folds: list[tuple[Array, Array, Array, Array]]


@dataclass
class Run:
    """The training time after each epoch, and the accuracy then."""

    seconds: list[float]
    accuracies: list[float]

    def until(self, enough: float) -> float:
        """Return after how much training so much was reached; infinity for never."""
        pairs = zip(self.seconds, self.accuracies, strict=True)
        return next((seconds for seconds, accuracy in pairs if accuracy >= enough), np.inf)


def tasks() -> Iterator[Task]:
    """Digits, read row by row; and the sums of two numbers below 128, bit by bit."""
    digits = load_digits()
    X, y = digits.images.astype(np.float32), digits.target
    X = (X - X.mean(axis=(0, 1))) / np.where(X.std(axis=(0, 1)) > 0, X.std(axis=(0, 1)), 1)
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(X, y)
    parts = [(X[train], y[train], X[test], y[test]) for train, test in folds]
    for cell in ("gru", "lstm"):
        yield Task("digits", cell, 64, 30, 0.97, False, parts)
    pairs = np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=-1).reshape(-1, 2)
    X, y = Adder(8).encode(pairs[:, 0], pairs[:, 1])
    X, y = X.astype(np.float32), y.astype(int)
    parts = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(pairs))
        parts.append((X[order[:1000]], y[order[:1000]], X[order[1000:]], y[order[1000:]]))
    yield Task("adder", "simple", 16, 60, 0.99, True, parts)


def accuracy(predicted: Array, y: Array) -> float:
    """Return the share of sequences of which every label is right."""
    right = predicted == y
    return float(right.all(axis=1).mean() if right.ndim == 2 else right.mean())


def ours(task: Task, fold: tuple[Array, ...], seed: int, threads: int) -> Run:
    """Train saiki's estimator."""
    X, y, X_held, y_held = fold
    run, spent, start = Run([], []), 0.0, time.perf_counter()

    def note(epoch: Any) -> None:
        nonlocal spent
        stop = time.perf_counter()
        logits, _ = model.network_.predict(epoch.params, X_held)
        run.seconds.append(stop - start - spent)
        run.accuracies.append(accuracy(logits.argmax(axis=-1), y_held))
        spent += time.perf_counter() - stop

    model = saiki.RNNClassifier(
        task.cell, task.n_units, output="each" if task.each else "last", max_iter=task.epochs, tol=0,
        n_iter_no_change=task.epochs, scale_inputs=False, learning_rate_init=RATE, alpha=ALPHA, clip_norm=CLIP,
        batch_size=BATCH, random_state=seed, n_jobs=threads, callbacks=[note],
    )  # fmt: skip
    model.fit(X, y)
    return run


class Net(torch.nn.Module):
    """The same network in PyTorch."""

    def __init__(self, task: Task, n_features: int, n_classes: int) -> None:
        super().__init__()
        kind = {"simple": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[task.cell]
        self.recurrent = kind(n_features, task.n_units, batch_first=True)
        self.output = torch.nn.Linear(task.n_units, n_classes)
        self.each = task.each

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        H, _ = self.recurrent(X)
        return self.output(H if self.each else H[:, -1])


def torchs(task: Task, fold: tuple[Array, ...], seed: int, threads: int) -> Run:
    """Train PyTorch's network."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    X, y, X_held = (torch.from_numpy(part) for part in fold[:3])
    y_held, n = fold[3], len(X)
    net = Net(task, X.shape[2], int(y.max()) + 1)
    weights = [p for p in net.parameters() if p.ndim > 1]
    biases = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": ALPHA}, {"params": biases}]
    optimizer = torch.optim.Adam(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.epochs * -(-n // BATCH))
    loss_of = torch.nn.CrossEntropyLoss()
    run, spent = Run([], []), 0.0
    for _ in range(task.epochs):
        start = time.perf_counter()
        for which in torch.randperm(n).split(BATCH):
            optimizer.zero_grad()
            logits = net(X[which])
            loss = loss_of(logits.reshape(-1, logits.shape[-1]), y[which].reshape(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            schedule.step()
        spent += time.perf_counter() - start
        with torch.no_grad():
            predicted = net(X_held).argmax(dim=-1).numpy()
        run.seconds.append(spent)
        run.accuracies.append(accuracy(predicted, y_held))
    return run


LIBRARIES: dict[str, Callable[[Task, tuple[Array, ...], int, int], Run]] = {"saiki": ours, "PyTorch": torchs}


def main() -> None:
    """Run all, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.split("\n")[0])
    parser.add_argument("--folds", type=int, default=5, help="how many folds of each task (default 5)")
    folds = parser.parse_args().folds
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = sorted({1, cores})
    print(f"saiki {saiki.__version__}, PyTorch {torch.__version__}, NumPy {np.__version__}, {cores} cores", flush=True)
    print("task    cell    library  threads  accuracy          seconds  seconds to enough (reached)")
    for task in tasks():
        for one in LIBRARIES.values():  # compile, and wake what sleeps
            one(task, tuple(part[:100] for part in task.folds[0]), 0, cores)
        runs: dict[tuple[str, int], list[Run]] = {(name, n): [] for name in LIBRARIES for n in counts}
        for seed, fold in enumerate(task.folds[:folds]):
            for name, threads in runs:
                runs[name, threads].append(LIBRARIES[name](task, fold, seed, threads))
        for (name, threads), found in runs.items():
            ends = [run.accuracies[-1] for run in found]
            times = [run.until(task.enough) for run in found]
            reached = [seconds for seconds in times if np.isfinite(seconds)]
            median = f"{statistics.median(reached):.2f}" if reached else "-"
            print(
                f"{task.name:7} {task.cell:7} {name:8} {threads:7}  {np.mean(ends):.4f} +- {np.std(ends):.4f} "
                f" {statistics.median(run.seconds[-1] for run in found):7.2f}  {median} for {task.enough}"
                f" ({len(reached)} of {len(found)})",
                flush=True,
            )


if __name__ == "__main__":
    main()
