"""``python -m benchmarks.start``: from a new process to the first result, and what it takes.

Each line is a process of its own: import, and one training step of a layer with 64 units and a dense layer on 32
sequences of 50 steps with 16 features, in float32. saiki starts once with an empty cache and then again; the memory is
the most that the process held, less what it held after its imports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

COMMON = """
import resource, sys, time
def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "linux" else 1024)
begun = time.perf_counter()
"""
SAIKI = (
    COMMON
    + """
import numpy as np, saiki
from saiki.optimizers import sgd
imported = time.perf_counter() - begun
import saiki.engines.compiled
before, (B, T, F, H) = held(), {shape}
net = saiki.Network([saiki.Recurrent({cell!r}, F, H), saiki.Dense(H, 1)])
params, optimizer = net.init(np.random.default_rng(0), dtype=np.float32), sgd(0.1)
X, y = np.zeros((B, T, F), np.float32), np.zeros((B, T), np.float32)
state = optimizer.init(params)
loss, params, state, _ = net.update(params, optimizer, state, X, y, "squared_error")
first = time.perf_counter() - begun
for _ in range(5):
    loss, params, state, _ = net.update(params, optimizer, state, X, y, "squared_error")
print(imported, first, held() - before)
"""
)
TORCH = (
    COMMON
    + """
import torch
imported = time.perf_counter() - begun
before, (B, T, F, H) = held(), {shape}
layer = {{"simple": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}}[{cell!r}](F, H, batch_first=True)
out = torch.nn.Linear(H, 1)
optimizer = torch.optim.SGD([*layer.parameters(), *out.parameters()], 0.1)
X, y = torch.zeros(B, T, F), torch.zeros(B, T, 1)
for i in range(6):
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.mse_loss(out(layer(X)[0]), y).backward()
    optimizer.step()
    if i == 0:
        first = time.perf_counter() - begun
print(imported, first, held() - before)
"""
)
SMALL, LARGE = (32, 50, 16, 64), (32, 64, 128, 512)


def main() -> None:
    """Start the processes, and print what they say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print rows in place of lines")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for cell in ("simple", "gru", "lstm"):
            for name, code in (("saiki, empty cache", SAIKI), ("saiki", SAIKI), ("torch", TORCH)):
                rows.append({"cell": cell, "what": name} | start(code, cell, SMALL, cache))
            for name, code in (("saiki", SAIKI), ("torch", TORCH)):
                rows.append({"cell": cell, "what": f"{name}, 512 units"} | start(code, cell, LARGE, cache))
    for row in rows:
        print(
            json.dumps(row) if arguments.json else
            f"{row['cell']:7} {row['what']:20} import {row['import_s']:5.2f} s  first result {row['first_s']:6.2f} s"
            f"  memory {row['memory_mib']:6.1f} MiB"
        )  # fmt: skip


def start(code: str, cell: str, shape: tuple[int, ...], cache: str) -> dict[str, float]:
    """Run one process, and return its times and memory."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    begun = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", code.format(cell=cell, shape=shape)],
        check=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ).stdout  # fmt: skip
    imported, first, kib = map(float, said.split())
    whole = time.perf_counter() - begun
    return {"import_s": imported, "first_s": first, "process_s": whole, "memory_mib": kib / 1024}


if __name__ == "__main__":
    main()
