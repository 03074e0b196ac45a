"""Ctrl-C at random moments, again and again: afterwards nothing is held, and every number is right.

python -m tests.engines.interrupts --seconds 60 --seed 1
"""

import argparse
import gc
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

import saiki
from saiki.engines import compiled, crew, memory, plan, threads, tree_compiled
from saiki.layers import Bidirectional, Dense, Network, Readout, Stream
from saiki.optimizers import adam
from saiki.training import Batch, train
from tests.engines.fuzz import flat


def calls() -> list[Callable[[], Any]]:
    """Return calls of every kind: at once and layer by layer, with one thread and several, ahead, and step by step."""
    rng = np.random.default_rng(0)
    at_once = Network([saiki.GRU(3, 5), Readout("last"), Dense(5, 2)])
    layered = Network([Bidirectional(saiki.LSTM(3, 4)), Dense(8, 2)])
    X, y, each = rng.standard_normal((4, 6, 3)), np.array([0, 1, 1, 0]), rng.standard_normal((4, 6, 2))
    params, others, optimizer = at_once.init(rng), layered.init(rng), adam(0.01)
    stream = Stream(at_once, params)
    tree = saiki.TreeRNNClassifier(hidden_layer_sizes=4, max_iter=1, random_state=0)
    trees = [(("a", "b"), "c"), ("b", ("c", "a"))] * 3
    tree.fit(trees, [0, 1] * 3)

    def steps() -> Any:
        state, found = None, []
        for x in X[0]:
            h, state = stream.step(x, state)
            found.append(h)
        return found

    def backward() -> Any:
        H, _, tape = layered.forward(others, X)
        return layered.backward(others, tape, H).params

    return [
        lambda: at_once.predict(params, X),
        lambda: at_once.loss_and_gradients(params, X, y)[1].params,
        lambda: at_once.update(params, optimizer, optimizer.init(params), X, y).params,
        lambda: [s.loss for s in train(at_once, params, [Batch(X, y)] * 5, optimizer, "cross_entropy", ahead=5)],
        lambda: [s.loss for s in train(layered, others, [Batch(X, each)] * 2, optimizer, "huber")],
        lambda: layered.predict(others, X, lengths=[6, 0, 3, 2]),
        backward,
        steps,
        lambda: tree.predict_proba(trees),
    ]


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"]


def attack(seconds: float, seed: int) -> tuple[int, int]:
    """Interrupt calls for so many seconds; return the number of interrupts, and of calls that ended.

    Raises:
        AssertionError: a number is wrong, or something is held afterwards.
    """
    draw, made, pool = random.Random(seed), calls(), crew.Crew(1)  # one thread even where there is one core
    for module in (compiled, plan, tree_compiled):
        for name, value in {"WORK_FOR_THREADS": 0, "threads": lambda: 2, "crew": lambda: pool}.items():
            if hasattr(module, name):
                setattr(module, name, value)
    expected = [[array.copy() for array in flat(once())] for once in made]
    before, ended = blas_threads(), 0
    allowed, interrupts = 0, 0

    def interrupt(*_: Any) -> None:
        nonlocal allowed, interrupts
        if allowed:
            allowed -= 1
            interrupts += 1
            if allowed:  # a second one, while the first is on its way out
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 1e-4))
            raise KeyboardInterrupt

    def one_round() -> None:
        nonlocal ended
        k = draw.randrange(len(made))
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(2e-5, 2e-3))
        for _ in range(10):
            found = flat(made[k]())
            for one, other in zip(expected[k], found, strict=True):
                assert np.array_equal(one, other), f"call {k} gave other numbers"
            ended += 1

    end = time.monotonic() + seconds
    signal.signal(signal.SIGALRM, interrupt)
    while time.monotonic() < end:
        # At most two interrupts can come, so the third handler is never interrupted.
        try:
            try:
                try:
                    allowed = draw.choice([1, 1, 2])
                    one_round()
                except KeyboardInterrupt:
                    pass
                allowed = 0
            except KeyboardInterrupt:
                allowed = 0
        except KeyboardInterrupt:
            allowed = 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(0.01)
    gc.collect()
    for k, once in enumerate(made):
        for one, other in zip(expected[k], flat(once()), strict=True):
            assert np.array_equal(one, other), f"call {k} gives other numbers afterwards"
    gc.collect()
    assert blas_threads() == before, f"BLAS has {blas_threads()} threads, not {before}"
    assert not pool._busy.locked(), "the threads are held"
    list(map(compiled._put_back, compiled._loans.returned()))
    memory.empty((1 << 20,), np.uint8)
    assert not compiled._loans._lent, "plans are held"
    n_plans = sum(map(len, compiled._idle.values()))
    assert n_plans <= 100, f"there are {n_plans} plans"
    assert (threads.slices(), threads._limit.get()) == (None, None), "a limit of threads is held"
    return interrupts, ended


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("{} interrupts, {} calls ended".format(*attack(arguments.seconds, arguments.seed)))
