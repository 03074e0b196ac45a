"""Where a row stands in what the user handed in, for messages."""

from dataclasses import dataclass
from typing import final

from saiki.training.examples import Ragged


@final
@dataclass(frozen=True, eq=False)
class Place:
    """The place in a list or a padded array of a row of ``rows``, which are held one after another.

    Attributes:
        rows: the rows of all examples.
        in_list: whether each example is an array of its own.
        flat: whether a row was one number, without an axis of features.

    >>> import numpy as np
    >>> rows = Ragged(np.zeros((5, 2)), np.array([2, 0, 3]))
    >>> Place(rows, in_list=False)("X", (3, 1)), Place(rows, in_list=True)("X", (3, 1))
    (('X', (2, 1, 1)), ('X[2]', (1, 1)))
    """

    rows: Ragged
    in_list: bool
    flat: bool = False

    def __call__(self, argument: str, at: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """Return the name of the array and the index in it, for an index in the values of the rows."""
        i = int(self.rows.owners()[at[0]])
        index = (at[0] - int(self.rows.starts[i]), *(() if self.flat else at[1:]))
        return (f"{argument}[{i}]", index) if self.in_list else (argument, (i, *index))
