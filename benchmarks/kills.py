"""``python -m benchmarks.kills``: is a fit that is killed again and again still the fit that it would have been?

One process trains with a checkpoint and saves the model. Then it is done again, but the process is killed (SIGKILL) at
random moments, its start and its writing of files among them, and started anew, until it comes to its end. The two
files must be the same to the last byte.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIT = """
import sys, numpy as np, saiki
from saiki.training import checkpoint
checkpoint.LEAST_SECONDS = 0.0  # every epoch is written, so that kills meet writing
rng = np.random.default_rng(0)
X = [rng.standard_normal((n, 2)) for n in rng.integers(1, 9, size=200)]
y = np.array([x[:, 0].sum() > 0 for x in X])
model = saiki.RNNClassifier(
    "lstm", hidden_layer_sizes=(16,), dropout=0.2, early_stopping=True, n_iter_no_change=10_000, tol=0,
    max_iter=EPOCHS, random_state=3,
)
model.fit(X, y, checkpoint=sys.argv[1])
saiki.save(model, sys.argv[2])
"""


def main() -> None:
    """Kill, and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="how often (default 100)")
    parser.add_argument("--epochs", type=int, default=1000, help="how long the fit is (default 1000 epochs)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def start(checkpoint: str, result: str) -> subprocess.Popen[bytes]:
            code = FIT.replace("EPOCHS", str(arguments.epochs))
            return subprocess.Popen([sys.executable, "-c", code, str(folder / checkpoint), str(folder / result)])

        begun = time.monotonic()
        assert start("whole.run", "whole").wait() == 0
        took = time.monotonic() - begun
        print(f"uninterrupted: {took:.1f} s", flush=True)
        killed = finished = 0
        while killed < arguments.kills:
            process = start("run", "result")
            try:
                assert process.wait(moments.uniform(0, 3.0)) == 0
                finished += 1
                compare(folder)
                for path in folder.glob("run*"):
                    path.unlink()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
        assert start("run", "result").wait() == 0
        compare(folder)
        print(f"{killed} kills, {finished + 1} fits came to their end, all the same to the last byte")


def compare(folder: Path) -> None:
    """Raise unless both ended the same."""
    if (folder / "result").read_bytes() != (folder / "whole").read_bytes():
        raise SystemExit("the fit that was killed ended otherwise")


if __name__ == "__main__":
    main()
