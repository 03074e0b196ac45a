"""Make what is kept of every cell: ten losses of a small training run, and its row of the table in ``docs/cells.md``.

Run ``python -m tests.golden.make_losses`` from the root of the project after adding a cell; the numbers of the other
cells stay as they are, to the last digit. If a cell is meant to give other numbers, name it, as in
``python -m tests.golden.make_losses gru``, and look at the difference.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import saiki
from saiki.cells import CELLS
from saiki.errors import choose
from saiki.optimizers import adam, chain, clip_by_norm
from saiki.training import Batch, train

FILE = Path(__file__).parent / "training_losses.json"
PAGE = Path(__file__).parents[2] / "docs/cells.md"

TABLE = re.compile(r"(?:^\| `\w+` \| .* \| .* \| .* \|\n)+", re.MULTILINE)


def losses(cell: str, engine: str) -> list[float]:
    """Return ten losses of one training run."""
    rng = np.random.default_rng(7)
    net = saiki.Network([saiki.Recurrent(cell, 3, 8), saiki.Readout("last"), saiki.Dense(8, 4)])
    X, y, lengths = rng.standard_normal((12, 9, 3)), rng.integers(4, size=12), rng.integers(1, 10, 12)
    batches = [Batch(X, y, lengths)] * 10
    optimizer = chain(clip_by_norm(1.0), adam(0.02))
    return [step.loss for step in train(net, net.init(rng), batches, optimizer, "cross_entropy", engine)]


def row(cell: str) -> str:
    """Return the beginning of the row of a cell in the table, up to the layer."""
    made = CELLS[cell]
    gates = ", ".join(made.gates) if made.gates != ("",) else "1"
    own = [*(["Wh"] if made.recurrent else []), *(["bh"] if made.apart else []), *made.vectors]
    return f"| `{cell}` | {gates} | {', '.join(f'`{parameter}`' for parameter in own) or 'none'} |"


def pin(file: Path, page: Path, again: Iterable[str] = ()) -> None:
    """Write the losses and rows that are missing, and the losses of the cells that are to be made again."""
    changed = {name for name in again if choose("cell", name, CELLS)}
    kept = {name: values for name, values in json.loads(file.read_text()).items() if name not in changed}
    pinned = {name: kept[name] if name in kept else losses(name, "reference") for name in CELLS}
    file.write_text(json.dumps(pinned, indent=1) + "\n")
    text = page.read_text()
    rows = {line.split("`")[1]: line for line in TABLE.search(text)[0].splitlines()}  # type: ignore[index]
    table = [rows.get(name) or f'{row(name)} `Recurrent("{name}", n_features, n_units)` |' for name in CELLS]
    page.write_text(TABLE.sub(lambda _: "\n".join(table) + "\n", text, count=1))


if __name__ == "__main__":
    pin(FILE, PAGE, sys.argv[1:])
