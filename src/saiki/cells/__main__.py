"""``python -m saiki.cells`` lists every cell with its equations."""

from saiki.cells import CELLS

for name, cell in CELLS.items():
    print(f"{name}\n{'=' * len(name)}\n\n{cell.equations}\n")
