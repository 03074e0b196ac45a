"""The same numbers over trees as PyTorch 2.13, from files that ``make_torch_trees.py`` made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saiki.engines import TREE_ENGINES
from saiki.trees import Forest, Recursive, Tree

HERE = Path(__file__).parent
NAMES = sorted(path.stem.removeprefix("tree-") for path in HERE.glob("tree-*.npz"))

# The same equations in another order of sums, over a few levels of a few dozen products; in float32 the largest
# difference seen, relative to the largest number, is 3e-7.
TOLERANCE: dict[Any, float] = {np.float64: 1e-13, np.float32: 2e-6}


def test_there_is_a_golden_for_each_published_cell() -> None:
    assert NAMES == ["child_sum_lstm", "lstm", "simple"]  # the gated unit over trees is this library's own


@pytest.mark.parametrize("engine", TREE_ENGINES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_cells_over_trees_agree(name: str, dtype: Any, engine: str) -> None:
    with np.load(HERE / f"tree-{name}.npz") as file:
        golden = {key: value.astype(dtype) if value.dtype.kind == "f" else value for key, value in file.items()}
    ends = np.cumsum(golden["lengths"])[:-1]
    values = [x if there else None for x, there in zip(golden["X"], golden["has_input"], strict=True)]
    parts = np.split(golden["parents"], ends)
    starts = [0, *ends]
    trees = [Tree(own, values[start : start + len(own)]) for own, start in zip(parts, starts, strict=True)]
    params = {key.removeprefix("params/"): value for key, value in golden.items() if key.startswith("params/")}
    layer = Recursive(name, 3, 5)
    H, tape = layer.forward(params, Forest.of(trees), engine)
    grads = layer.backward(params, tape, golden["dH"])
    pairs = [(H, golden["H"]), (grads.X, golden["dX"]), *((grads[key], golden[f"grads/{key}"]) for key in params)]
    for found, true in pairs:
        assert found.dtype == dtype
        np.testing.assert_allclose(found, true, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(true).max()))
