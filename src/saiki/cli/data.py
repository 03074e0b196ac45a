"""Data for the command: sequences from a file of arrays or from a table."""

import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import narwhals as nw
import numpy as np

from saiki.errors import ArgumentError, FileError, SaikiError
from saiki.explain.traces import FRAMES

TABLES: dict[str, Callable[..., Any]] = {".csv": nw.read_csv, ".parquet": nw.read_parquet}


class Data(NamedTuple):
    """Sequences, and what belongs to them as for ``fit``; and the id of each, where a table has some."""

    X: Any
    y: Any = None
    lengths: Any = None
    ids: Any = None

    def one(self, sequence: int) -> "Data":
        """Return one sequence.

        Raises:
            ArgumentError: there is no such sequence.
        """
        if not 0 <= sequence < len(self.X):
            raise ArgumentError(f"--sequence must be one of the {len(self.X)} in the file, from 0; got {sequence}.")
        if self.n_steps[sequence] == 0:
            raise ArgumentError(f"--sequence {sequence} has no steps; choose another.")
        return Data(*(None if part is None else part[sequence : sequence + 1] for part in self))

    @property
    def n_steps(self) -> list[int]:
        """How many steps each sequence has."""
        return [len(x) for x in self.X] if self.lengths is None else [int(length) for length in self.lengths]


def read_data(path: Path, columns: dict[str, Any], output: str) -> Data:
    """Read sequences.

    Args:
        path: an .npz file with X and, if they are known, y and lengths; an .npy file with X; or a .csv or .parquet
            table with a row for each step.
        columns: of a table: ``id``, ``time``, ``features`` and ``target``, as ``saiki.sequences`` takes them.
        output: "each" if the target of a table is one for each step; anything else is one for each sequence.

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
    library: Any = next((name for name in FRAMES if find_spec(name)), None)
    if library is None:
        raise ArgumentError(f"tables need one of {', '.join(FRAMES)}. Try: pip install pandas")
    from saiki.estimators import sequences

    with path.open("rb"):  # the libraries' own errors name no file
        pass
    try:
        options = (
            _as_text(library, [*given.get("id", ()), *([given["time"]] if "time" in given else [])])
            if ending == ".csv"
            else {}
        )
        frame = TABLES[ending](str(path), backend=library, **options)
    except Exception as error:
        raise FileError(f"{path} is no table that {library} can read: {error}") from error
    try:
        found = sequences(frame, **given, output="each" if output == "each" else "last")
    except SaikiError as error:
        raise type(error)(f"{path}: {error}") from error
    return Data(found.X, found.y, None, found.ids)


def _as_text(library: str, names: list[str]) -> dict[str, Any]:
    """Return what makes a library read some columns of a .csv file as text, and whole numbers as what they are.

    As numbers the ids 7 and 007 would be one, and long times would lose digits; beside a missing one, pandas would make
    floats of whole numbers.
    """
    if library == "pandas":
        return {"dtype": dict.fromkeys(names, "str"), "dtype_backend": "numpy_nullable"}
    if library == "polars":
        return {"schema_overrides": dict.fromkeys(names, str)}
    types = dict.fromkeys(names, import_module("pyarrow").string())
    return {"convert_options": import_module("pyarrow.csv").ConvertOptions(column_types=types)}


def _arrays(path: Path) -> Data:
    """Read arrays; nothing in the file is run."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = {"X": found} if isinstance(found, np.ndarray) else dict(found)
    except (ValueError, EOFError, KeyError, BadZipFile, zlib.error) as error:
        ragged = (
            " For sequences of different lengths pad X with anything, and add lengths."
            if "pickle" in str(error)
            else ""
        )
        raise FileError(f"{path} holds no arrays that NumPy can read: {error}.{ragged}") from error
    if "X" not in arrays or not arrays.keys() <= {"X", "y", "lengths"}:
        raise FileError(f"{path} must hold X and, if they are known, y and lengths; it holds {', '.join(arrays)}.")
    if arrays["X"].ndim not in (2, 3):
        raise FileError(
            f"{path}: X must be (n_sequences, n_steps, n_features), or (n_sequences, n_steps) for one feature;"
            f" got {arrays['X'].shape}."
        )
    return Data(**arrays)
