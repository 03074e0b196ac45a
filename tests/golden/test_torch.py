"""The same numbers as PyTorch 2.13, from files that ``make_torch.py`` made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.engines import ENGINES
from saiki.losses import cross_entropy, evaluate
from saiki.optimizers import OPTIMIZERS, apply_updates

HERE = Path(__file__).parent
LENGTHS = [4, 6, 1, 5]  # as in make_torch.py

# The same equations in another order of sums, over six steps of a few dozen products; the largest difference seen in
# float32, relative to the largest number, is 1.02e-6.
TOLERANCE: dict[Any, float] = {np.float64: 1e-12, np.float32: 2e-6}

LAYERS = {
    "simple-tanh": saiki.SimpleRNN(3, 5),
    "simple-relu": saiki.SimpleRNN(3, 5, "relu"),
    "lstm": saiki.LSTM(3, 5),
    "gru": saiki.GRU(3, 5),
}
CASES = [f"{name}{both}{ragged}" for name in LAYERS for both in ("", "-both") for ragged in ("", "-ragged")]


def load(name: str) -> dict[str, Array]:
    with np.load(HERE / f"{name}.npz") as file:
        return dict(file)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_layers_agree(case: str, dtype: Any, engine: str) -> None:
    golden: Params = {k: v.astype(dtype) for k, v in load(case).items()}
    both = "-both" in case
    one_way = LAYERS[case.removesuffix("-ragged").removesuffix("-both")]
    layer: Any = saiki.Bidirectional(one_way) if both else one_way

    def state(kind: str) -> Any:
        ways = []
        for way in range(2 if both else 1):
            parts = [golden[f"{kind}.{way}.{i}"] for i in range(2) if f"{kind}.{way}.{i}" in golden]
            ways.append(tuple(parts) if len(parts) > 1 else parts[0])
        return tuple(ways) if both else ways[0]

    params = {k.removeprefix("params/"): v for k, v in golden.items() if k.startswith("params/")}
    lengths = LENGTHS if "ragged" in case else None
    H, final, tape = layer.forward(params, golden["X"], state("initial"), lengths, engine)
    grads = layer.backward(params, tape, golden["dH"], state("dfinal"))

    def close(found: Any, true: Any) -> None:
        if isinstance(true, tuple):
            for one, other in zip(found, true, strict=True):
                close(one, other)
            return
        assert found.dtype == dtype
        np.testing.assert_allclose(found, true, atol=TOLERANCE[dtype] * max(1, np.abs(true).max()))

    close(H, golden["H"])
    close(final, state("final"))
    close(grads.X, golden["dX"])
    close(grads.state, state("dinitial"))
    true = {k.removeprefix("grads/"): v for k, v in golden.items() if k.startswith("grads/")}
    assert grads.params.keys() == true.keys()
    for name, value in true.items():
        close(grads[name], value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_agree(name: str) -> None:
    golden = load("optimizers")
    optimizer, params = OPTIMIZERS[name](0.1), {"W": golden["start"]}
    state = optimizer.init(params)
    for gradient, expected in zip(golden["gradients"], golden[name], strict=True):
        updates, state = optimizer.update({"W": gradient}, state, params)
        params = apply_updates(params, updates)
        np.testing.assert_allclose(params["W"], expected, atol=1e-13)


@pytest.mark.parametrize(
    ("case", "target"),
    [
        ("squared_error", "numbers"),
        ("absolute_error", "numbers"),
        ("huber", "numbers"),
        ("logistic", "soft"),
        ("cross_entropy", "classes"),
        ("cross_entropy-soft", "soft"),
        ("cross_entropy-smoothed", "classes"),
    ],
)
def test_losses_agree(case: str, target: str) -> None:
    golden = load("losses")
    loss = cross_entropy(0.1) if case.endswith("smoothed") else case.removesuffix("-soft")
    value, slope = evaluate(loss, golden["logits"], golden[target])
    assert value == pytest.approx(float(golden[f"{case}/value"]), rel=1e-13)
    np.testing.assert_allclose(slope, golden[f"{case}/slope"], atol=1e-15)
