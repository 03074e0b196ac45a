"""``python -m saiki.cells`` lists every cell with its equations."""

from saiki.cells import CELLS, TREE_CELLS

titles = {name: cell.equations for name, cell in CELLS.items()}
titles |= {f"{name} over trees": cell.equations for name, cell in TREE_CELLS.items()}

for title, equations in titles.items():
    print(f"{title}\n{'=' * len(title)}\n\n{equations}\n")
