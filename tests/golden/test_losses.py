"""Ten pinned losses of a training run, for every cell in the registry and both engines."""

import json
from pathlib import Path

import pytest

from saiki.cells import CELLS
from saiki.engines import ENGINES
from saiki.errors import ArgumentError
from tests.golden.make_losses import FILE, PAGE, losses, pin

# Ten updates by Adam of sums that BLAS or the engine may add up in another order.
TOLERANCE = 1e-9


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_ten_pinned_training_losses(cell: str, engine: str) -> None:
    assert losses(cell, engine) == pytest.approx(json.loads(FILE.read_text())[cell], rel=TOLERANCE)


def test_every_cell_is_pinned() -> None:
    assert set(json.loads(FILE.read_text())) == set(CELLS)


def test_only_what_is_missing_or_named_is_made(tmp_path: Path) -> None:
    file, page = tmp_path / "losses.json", tmp_path / "cells.md"
    pinned, text = json.loads(FILE.read_text()), PAGE.read_text()
    missing = next(line for line in text.splitlines(keepends=True) if line.startswith("| `mgu` |"))
    file.write_text(json.dumps({name: [0.1 + 0.2] for name in pinned if name != "mgu"}))
    page.write_text(text.replace(missing, ""))
    pin(file, page, ["simple"])
    made = json.loads(file.read_text())
    assert list(made) == list(CELLS)
    for name, values in made.items():
        assert values == (pytest.approx(pinned[name], rel=TOLERANCE) if name in ("mgu", "simple") else [0.1 + 0.2])
    assert page.read_text() == text
    with pytest.raises(ArgumentError, match="cell must be one of"):
        pin(file, page, ["grru"])
