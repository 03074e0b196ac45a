"""Text in columns."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], right: bool = False) -> str:
    """Return rows of cells as lines of text, each column as wide as its widest cell.

    >>> print(aligned([("name", "size"), ("a", "12")]))
    name  size
    a     12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    place = str.rjust if right else str.ljust
    lines = ("  ".join(place(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
