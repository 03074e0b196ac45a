"""The cells over trees: the table of contents. A new cell is one new file and one line here."""

from importlib import import_module
from inspect import getdoc

from saiki.cells.trees.cell import TreeCell
from saiki.errors import choose

__all__ = ["TREE_CELLS", "TREE_NAMES", "TreeCell", "as_tree_cell"]

TREE_NAMES = (
    "simple",  # Socher et al. 2011: W [left; right]
    "lstm",  # Tai et al. 2015, section 3.2: a memory, a left and a right child
    "child_sum_lstm",  # Tai et al. 2015, section 3.1: a memory, any number of children in any order
    "gru",  # two gated paths from the children to their parent, no memory
)


def _load(name: str) -> TreeCell:
    module = import_module(f"saiki.cells.trees.{name}")
    child = getattr(module, "child", None), getattr(module, "child_backward", None)
    return TreeCell(name, module.forward, module.backward, *child, equations=getdoc(module) or "")


TREE_CELLS: dict[str, TreeCell] = {name: _load(name) for name in TREE_NAMES}
"""Every built-in cell over trees by name."""


def as_tree_cell(cell: str | TreeCell) -> TreeCell:
    """Return a cell by its name, or the cell itself.

    >>> as_tree_cell("simple").name
    'simple'
    """
    return cell if isinstance(cell, TreeCell) else choose("cell", cell, TREE_CELLS)
