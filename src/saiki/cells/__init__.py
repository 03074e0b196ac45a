"""The cells: the table of contents. A new cell is one new file and one line here."""

from importlib import import_module
from inspect import getdoc

from saiki.cells.cell import Cell
from saiki.cells.trees import TREE_CELLS, TREE_NAMES, TreeCell, as_tree_cell
from saiki.errors import choose

__all__ = ["CELLS", "NAMES", "TREE_CELLS", "TREE_NAMES", "Cell", "TreeCell", "as_cell", "as_tree_cell"]

NAMES = (
    "simple",  # Elman 1990: one tanh
    "lstm",  # Hochreiter and Schmidhuber 1997, Gers et al. 2000: a memory behind three gates
    "peephole_lstm",  # Gers et al. 2002: gates that see the memory
    "gru",  # Cho et al. 2014, reset after the product: two gates, no memory
    "gru_reset_before",  # Cho et al. 2014, reset before the product, as published
    "mgu",  # Zhou et al. 2016: one gate
    "indrnn",  # Li et al. 2018: each unit remembers only itself
    "mingru",  # Feng et al. 2024: gates that do not see the past
)


def _load(name: str) -> Cell:
    module = import_module(f"saiki.cells.{name}")
    stages = module.forward, module.backward, getattr(module, "look", None), getattr(module, "look_backward", None)
    return Cell(name, *stages, equations=getdoc(module) or "")


CELLS: dict[str, Cell] = {name: _load(name) for name in NAMES}
"""Every built-in cell by name."""


def as_cell(cell: str | Cell) -> Cell:
    """Return a cell by its name, or the cell itself.

    >>> as_cell("simple").name
    'simple'
    """
    return cell if isinstance(cell, Cell) else choose("cell", cell, CELLS)
