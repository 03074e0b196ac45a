"""``saiki inspect --with``: parts of a model that its file cannot hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saiki
from tests.cli.conftest import Run
from tests.estimators.data import QUICK

PARTS = """
import saiki

my_cell = saiki.cells.CELLS["simple"].with_activation("relu")
my_loss = saiki.losses.huber(0.3)


class Parts:
    cell = my_cell
"""


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Return a folder with models, and a module with their own parts."""
    X = rng.standard_normal((9, 4, 1))
    cell, loss = saiki.cells.CELLS["simple"].with_activation("relu"), saiki.losses.huber(0.3)
    models: dict[str, dict[str, Any]] = {
        "cell": {"cell": cell},
        "both": {"cell": cell, "loss": loss},
        "loss": {"loss": loss},
        "none": {},
    }
    for name, own in models.items():
        saiki.save(saiki.RNNRegressor(**QUICK, **own).fit(X, X[:, 0, 0]), tmp_path / name)
    np.savez(tmp_path / "data.npz", X=X, y=X[:, 0, 0])
    (tmp_path / "own_parts_of_a_test.py").write_text(PARTS)
    (tmp_path / "broken_parts_of_a_test.py").write_text("1 / 0")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments",
    [
        ["cell", "--with", "own_parts_of_a_test:my_cell"],
        ["cell", "--with", "own_parts_of_a_test:Parts.cell"],
        ["cell", "--with", "cell=own_parts_of_a_test:my_cell"],
        ["both", "--with", "own_parts_of_a_test:my_cell"],  # the only part that is needed to predict
        ["both", "data.npz", "--with", "own_parts_of_a_test:my_cell", "--with", "own_parts_of_a_test:my_loss"],
        ["both", "data.npz", "--with", "loss=own_parts_of_a_test:my_loss", "--with", "own_parts_of_a_test:my_cell"],
        ["loss"],
        ["loss", "data.npz", "--with", "own_parts_of_a_test:my_loss"],
        ["none"],
    ],
    ids=" ".join,
)
def test_parts_are_found_by_their_names(run: Run, arguments: list[str]) -> None:
    code, out, err = run("inspect", *arguments)
    assert (code, err) == (0, "")
    assert "epochs" in out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cell"], "cell needs cell (Cell simple), which it could not hold. Give --with MODULE:NAME."),
        (["both"], "Give --with cell=MODULE:NAME."),
        (["loss", "data.npz"], "loss (Loss) must be given again"),
        (["none", "--with", "own_parts_of_a_test:my_cell"], "none holds all of its parameters; leave it out."),
        (["cell", "--with", "own_parts_of_a_test:nothing"], "own_parts_of_a_test has no 'nothing'."),
        (
            ["cell", "--with", "no_such_module_of_a_test:x"],
            "importing no_such_module_of_a_test failed: ModuleNotFoundError",
        ),
        (["cell", "--with", "broken_parts_of_a_test:x"], "importing broken_parts_of_a_test failed: ZeroDivisionError"),
        (["cell", "--with", "own_parts_of_a_test"], "--with must be MODULE:NAME or PARAMETER=MODULE:NAME"),
        (["cell", "--with", ":x"], "--with must be MODULE:NAME"),
        (["cell", "--with", ".x:y"], "--with must be MODULE:NAME"),
        (
            ["cell", "--with", "solver=own_parts_of_a_test:my_cell"],
            "'solver' is not one of those that cell lacks, cell.",
        ),
        (["cell", *["--with", "own_parts_of_a_test:my_cell"] * 2], "the parameter 'cell' is given twice."),
        (["cell", "--with", "own_parts_of_a_test:my_loss"], "cell must be the name of a cell"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said(run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run("inspect", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert " at 0x" not in err
