"""Ten pinned losses of a training run, for every cell in the registry and both engines."""

import json

import pytest

from saiki.cells import CELLS
from saiki.engines import ENGINES
from tests.golden.make_losses import FILE, losses

# Ten updates by Adam of sums that BLAS or the engine may add up in another order.
TOLERANCE = 1e-9


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_ten_pinned_training_losses(cell: str, engine: str) -> None:
    assert losses(cell, engine) == pytest.approx(json.loads(FILE.read_text())[cell], rel=TOLERANCE)


def test_every_cell_is_pinned() -> None:
    assert set(json.loads(FILE.read_text())) == set(CELLS)
