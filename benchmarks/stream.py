"""``python -m benchmarks.stream``: one step of one sequence, in saiki, PyTorch and ONNX Runtime.

Each gets 8 numbers and the state, and returns one output and the state, in float32. PyTorch runs its fused layer in
inference mode on one thread, ONNX Runtime the operator of the same name on one thread: their fastest setting here.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import saiki
from saiki.arrays import Array

N_FEATURES = 8
GATES = {"simple": 1, "gru": 3, "lstm": 4}
TURNS, PER_TURN = 10, 500


def main() -> None:
    """Measure in turns, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the rows")
    arguments = parser.parse_args()
    rows = []
    print(f"{'cell':8}{'units':>6}{'saiki':>10}{'PyTorch':>10}{'ONNX Runtime':>14}   us a step")
    for cell in GATES:
        for n_units in (16, 64, 128):
            network = saiki.Network([saiki.Recurrent(cell, N_FEATURES, n_units), saiki.Dense(n_units, 1)])
            params = network.init(np.random.default_rng(0), dtype=np.float32)
            x = np.random.default_rng(1).standard_normal(N_FEATURES).astype(np.float32)
            runs = {
                "saiki": ours(saiki.Stream(network, params), x),
                "torch": torchs(cell, n_units, x),
                "onnx": onnxs(cell, n_units, x),
            }
            times: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(TURNS):
                for name, run in runs.items():
                    for _ in range(PER_TURN):
                        start = time.perf_counter()
                        run()
                        times[name].append(time.perf_counter() - start)
            row = {f"{name}_us": statistics.median(values) * 1e6 for name, values in times.items()}
            rows.append({"cell": cell, "n_units": n_units} | row)
            print(
                f"{cell:8}{n_units:6}{row['saiki_us']:10.1f}{row['torch_us']:10.1f}{row['onnx_us']:14.1f}", flush=True
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def ours(stream: saiki.Stream, x: Array) -> Callable[[], None]:
    """Return a step in saiki."""
    state = None

    def step() -> None:
        nonlocal state
        _, state = stream.step(x, state)

    return step


def torchs(cell: str, n_units: int, x: Array) -> Callable[[], None]:
    """Return a step in PyTorch; its weights are its own."""
    import torch

    torch.set_num_threads(1)
    kind = {"simple": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    layer, out = kind(N_FEATURES, n_units, batch_first=True), torch.nn.Linear(n_units, 1)
    one, state = torch.from_numpy(x)[None, None], None

    def step() -> None:
        nonlocal state
        with torch.inference_mode():
            h, state = layer(one, state)
            out(h)

    return step


def onnxs(cell: str, n_units: int, x: Array) -> Callable[[], None]:
    """Return a step in ONNX Runtime; its weights are its own."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    H, G = n_units, GATES[cell]
    rng = np.random.default_rng(0)
    weights = {"W": (1, G * H, N_FEATURES), "R": (1, G * H, H), "B": (1, 2 * G * H), "V": (H, 1), "c": (1,)}
    held = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32) * 0.1, n) for n, s in weights.items()]
    states = ["h", "c0"] if cell == "lstm" else ["h"]
    operator = {"simple": "RNN", "gru": "GRU", "lstm": "LSTM"}[cell]
    options = {"linear_before_reset": 1} if cell == "gru" else {}
    ends = [f"{state}_next" for state in states]
    nodes = [
        helper.make_node(operator, ["x", "W", "R", "B", "", *states], ["H", *ends], hidden_size=H, **options),
        helper.make_node("Squeeze", ["H"], ["flat"]),
        helper.make_node("MatMul", ["flat", "V"], ["product"]),
        helper.make_node("Add", ["product", "c"], ["y"]),
    ]

    def value(name: str, shape: list[int] | None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [value("x", [1, 1, N_FEATURES]), *(value(state, [1, 1, H]) for state in states)]
    outputs = [value("y", None), *(value(end, [1, 1, H]) for end in ends)]
    graph = helper.make_graph(nodes, "step", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    feed = {"x": x[None, None]} | {state: np.zeros((1, 1, H), np.float32) for state in states}

    def step() -> None:
        _, *new = session.run(None, feed)
        feed.update(zip(states, new, strict=True))

    return step


if __name__ == "__main__":
    main()
