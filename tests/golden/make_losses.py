"""Make ``training_losses.json``: ten losses of a small training run for every cell, by the reference engine.

Run ``python -m tests.golden.make_losses`` from the root of the project when a cell or an initializer is meant to give
other numbers, and look at the difference.
"""

import json
from pathlib import Path

import numpy as np

import saiki
from saiki.cells import CELLS
from saiki.optimizers import adam, chain, clip_by_norm
from saiki.training import Batch, train

FILE = Path(__file__).parent / "training_losses.json"


def losses(cell: str, engine: str) -> list[float]:
    """Return ten losses of one training run."""
    rng = np.random.default_rng(7)
    net = saiki.Network([saiki.Recurrent(cell, 3, 8), saiki.Readout("last"), saiki.Dense(8, 4)])
    X, y, lengths = rng.standard_normal((12, 9, 3)), rng.integers(4, size=12), rng.integers(1, 10, 12)
    batches = [Batch(X, y, lengths)] * 10
    optimizer = chain(clip_by_norm(1.0), adam(0.02))
    return [step.loss for step in train(net, net.init(rng), batches, optimizer, "cross_entropy", engine)]


if __name__ == "__main__":
    FILE.write_text(json.dumps({cell: losses(cell, "reference") for cell in CELLS}, indent=1) + "\n")
