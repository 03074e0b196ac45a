"""``python -m saiki.cells`` lists every cell with its equations."""

from saiki.cells import CELLS, TREE_CELLS

OVER = {"": CELLS, " over trees": TREE_CELLS}

for over, cells in OVER.items():
    for name, cell in cells.items():
        title = f"{name}{over}"
        print(f"{title}\n{'=' * len(title)}\n\n{cell.equations}\n")
