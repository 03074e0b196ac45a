"""Fork again and again while another thread works: every child can make the same calls.

python -m tests.engines.forks --forks 50
"""

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import saiki
from saiki.layers import Bidirectional, Dense, Network
from tests.engines.fuzz import flat


def calls() -> dict[str, Callable[[], Any]]:
    """Return calls that take locks or compute cached properties, by name."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 6, 2)), rng.integers(2, size=20)
    classifier = saiki.RNNClassifier(hidden_layer_sizes=4, max_iter=1, random_state=0).fit(X, y)
    layered = Network([Bidirectional(saiki.LSTM(2, 4)), Dense(8, 2)])
    params = layered.init(rng)
    kept = layered.forward(params, X)
    trees = [(("a", "b"), "c"), ("b", ("c", "a"))] * 10
    tree = saiki.TreeRNNClassifier(hidden_layer_sizes=4, max_iter=1, random_state=0).fit(trees, [0, 1] * 10)
    return {
        "step": lambda: classifier.step(X[0, 0])[0],
        "predict": lambda: classifier.predict_proba(X),
        "layer by layer": lambda: layered.forward(params, X)[0],
        "backward": lambda: layered.backward(params, kept[2], kept[0]).params,
        "trees": lambda: tree.predict_proba([saiki.Tree.from_nested(one) for one in trees]),
        "new network": lambda: Network([saiki.GRU(2, 3), Dense(3, 1)]).init(np.random.default_rng(0)),
    }


def forks(name: str, call: Callable[[], Any], n: int) -> None:
    """Fork while another thread makes a call; raise if a child hangs or gets other numbers."""
    expected, over = [array.copy() for array in flat(call())], threading.Event()

    def work() -> None:
        while not over.is_set():
            call()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for k in range(n):
            time.sleep(0.0003 * (k % 7))
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # which ends a child that hangs
                same = all(np.array_equal(a, b) for a, b in zip(expected, flat(call()), strict=True))
                os._exit(0 if same else 1)
            status = os.waitpid(child, 0)[1]
            assert status == 0, f"{name}: child {k} ended with {status}"
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, default=50)
    arguments = parser.parse_args()
    for name, call in calls().items():
        forks(name, call, arguments.forks)
    print("every child ended well")
