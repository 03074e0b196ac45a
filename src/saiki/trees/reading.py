"""Trees from what callers have: an argument in one of several forms, a file."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from saiki.errors import ArgumentError
from saiki.trees.brackets import parsed
from saiki.trees.checking import shown
from saiki.trees.nesting import unnested
from saiki.trees.tree import Tree


def as_tree(value: Any, argument: str = "tree") -> Tree:
    """Return a tree from a ``Tree``, which is returned itself, nested tuples or lists, or bracketed text with labels.

    Args:
        value: the tree in one of these forms.
        argument: what the caller calls it, for messages.

    Raises:
        ArgumentError: another form, or as ``Tree.from_nested`` and ``Tree.from_text`` raise.

    >>> as_tree((("a", "b"), "c")).tokens
    ('a', 'b', 'c')
    >>> as_tree("(3 (2 It) (4 works))").labels
    ('3', '2', '4')
    """
    if isinstance(value, Tree):
        return value
    if isinstance(value, str):
        return Tree._from_text(value, True, argument)
    if isinstance(value, tuple | list):
        return Tree.of_parts(*unnested(value, argument))
    leaf = isinstance(value, int | np.integer) or (isinstance(value, np.ndarray) and value.ndim == 1)
    raise ArgumentError(
        f"{argument} must be a Tree, nested tuples such as (('a', 'b'), 'c'), or text such as"
        f" '(3 (2 It) (4 works))'; got {shown(value)}."
        + (" A tree of one leaf is saiki.Tree.from_nested(value)." if leaf else "")
    )


def read_trees(path: str | PathLike[str], labelled: bool = True) -> list[Tree]:
    """Return all trees of a file of bracketed text in UTF-8, one after another in any layout.

    A tree may go over many lines, and a line may hold many trees; a tree that is one bare word has a line of its own.

    Args:
        path: the file.
        labelled: whether the first bare word of a bracket is its label, as in ``Tree.from_text``.

    Raises:
        OSError: the file cannot be read.
        ArgumentError: it is not UTF-8, or malformed; the message names the file, line and column.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "trees.txt"
    ...     written = path.write_text("(3 (2 It) (4 works))" + chr(10) + "(1 (2 It) (1 (2 does) (2 not)))")
    ...     [tree.tokens for tree in read_trees(path)]
    [('It', 'works'), ('It', 'does', 'not')]
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"{path} must be text in UTF-8; got byte 0x{error.object[error.start]:02x} at position {error.start}."
            " Save it as UTF-8."
        ) from None
    return [Tree.of_parts(*parts) for parts in parsed(text, labelled, str(path), several=True)]
