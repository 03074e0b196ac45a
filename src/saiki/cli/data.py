"""Data for the command: sequences from a file of arrays or from a table."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from saiki.errors import ArgumentError, FileError

TABLES: dict[str, Callable[..., Any]] = {".csv": nw.read_csv, ".parquet": nw.read_parquet}
LIBRARIES = "pandas", "polars", "pyarrow"


class Data(NamedTuple):
    """Sequences, and what belongs to them; see the ``fit`` of an estimator."""

    X: Any
    y: Any = None
    lengths: Any = None

    def one(self, sequence: int) -> "Data":
        """Return one sequence.

        Raises:
            ArgumentError: there is no such sequence.
        """
        if not 0 <= sequence < len(self.X):
            raise ArgumentError(f"--sequence must be one of the {len(self.X)} in the file, from 0; got {sequence}.")
        return Data(*(None if part is None else part[sequence : sequence + 1] for part in self))


def read_data(path: Path, columns: dict[str, Any]) -> Data:
    """Read sequences.

    Args:
        path: an .npz file with X and, if they are known, y and lengths; an .npy file with X; or a .csv or .parquet
            table with a row for each step.
        columns: of a table: ``id``, ``time``, ``features`` and ``target``, as ``saiki.sequences`` takes them.

    Raises:
        ArgumentError: an ending that says none of these, columns that are missing or do not belong, or a table
            without a library that reads it.
        FileError: the file holds something else.
        OSError: there is no such file, or it may not be read.
    """
    given = {name: value for name, value in columns.items() if value}
    ending = path.suffix.lower()
    if ending in (".npz", ".npy"):
        if given:
            raise ArgumentError(f"--{next(iter(given))} goes with a table, .csv or .parquet; {path} holds arrays.")
        return _arrays(path)
    if ending not in TABLES:
        raise ArgumentError(f"data must be a file .npz, .npy, .csv or .parquet; got {str(path)!r}.")
    if "id" not in given:
        raise ArgumentError("--id must name the column that says to which sequence a row of a table belongs.")
    library: Any = next((name for name in LIBRARIES if find_spec(name)), None)
    if library is None:
        raise ArgumentError(f"tables need one of {', '.join(LIBRARIES)}. Try: pip install pandas")
    from saiki.estimators import sequences

    with path.open("rb"):  # the libraries' own errors name no file
        pass
    try:
        frame = TABLES[ending](str(path), backend=library)
    except Exception as error:
        raise FileError(f"{path} is no table that {library} can read: {error}") from error
    return Data(*sequences(frame, **given))


def _arrays(path: Path) -> Data:
    """Read arrays; nothing in the file is run."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = {"X": found} if isinstance(found, np.ndarray) else dict(found)
    except (ValueError, EOFError, KeyError) as error:
        raise FileError(f"{path} holds no arrays that NumPy can read: {error}") from error
    if "X" not in arrays or not arrays.keys() <= set(Data._fields):
        raise FileError(f"{path} must hold X and, if they are known, y and lengths; it holds {', '.join(arrays)}.")
    return Data(**arrays)
