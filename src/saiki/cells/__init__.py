"""The cells: the table of contents. A new cell is one new file and one line here."""

from importlib import import_module

from saiki.cells.cell import Cell
from saiki.errors import choose

__all__ = ["CELLS", "NAMES", "Cell", "as_cell"]

NAMES = (
    "simple",  # Elman 1990
)

CELLS: dict[str, Cell] = {
    name: Cell(name, module.forward, module.backward)
    for name, module in ((name, import_module(f"saiki.cells.{name}")) for name in NAMES)
}
"""Every built-in cell by name."""


def as_cell(cell: str | Cell) -> Cell:
    """Return a cell by its name, or the cell itself.

    >>> as_cell("simple").name
    'simple'
    """
    return cell if isinstance(cell, Cell) else choose("cell", cell, CELLS)
