"""Options that name a file to write: refused before any work is done if it could not be written after it."""

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, Protocol, final

import click
import numpy as np

import saiki
from saiki.errors import SaikiError
from saiki.files import atomic_write, check_writable


@final
class OutputFile(click.ParamType):  # type: ignore[type-arg] # generic from click 8.4 on
    """A file that can be written."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path, or fail with one line that says why it cannot be written."""
        path = Path(value)
        try:
            check_writable(path)
        except OSError as error:
            self.fail(f"cannot write {str(path)!r}: {error.strerror or error}.", param, ctx)
        return path


@final
class PictureFile(click.ParamType):  # type: ignore[type-arg]
    """A file that can be written, with the ending of a picture format; or "none", for no picture."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | None:
        """Return the path or None, or fail with one line that says why no picture can be written there."""
        if value == "none":
            return None
        try:
            from saiki.explain.plots import FORMATS
        except ImportError:
            self.fail("pictures need matplotlib: pip install 'saiki[plots]', or give 'none'.", param, ctx)
        path = OutputFile().convert(value, param, ctx)
        if path.suffix[1:].lower() not in FORMATS:
            self.fail(f"{str(path)!r} must end in one of .{', .'.join(FORMATS)}.", param, ctx)
        return path


class Record(Protocol):
    """What happened in a run, and why it stopped before its end, if it did."""

    stopped: str | None

    def save_picture(self, path: Path) -> bool:
        """Draw what has happened, and say whether anything has."""

    def save_json(self, path: Path) -> bool:
        """Write what has happened, and say whether anything has."""


@contextmanager
def kept(record: Record, picture: Path | None, json_file: Path | None) -> Iterator[None]:
    """Write the files of a run at its end, however it ends, and name those that were written.

    Raises:
        UsageError: both are one file.
    """
    if picture is not None and json_file is not None and picture.resolve() == json_file.resolve():
        raise click.UsageError(f"--picture and --json must be two files; both are {str(picture)!r}.")
    with ExitStack() as at_the_end:
        if picture is not None:
            at_the_end.callback(_save, "picture", record.save_picture, picture)
        if json_file is not None:
            at_the_end.callback(_save, "history", record.save_json, json_file)
        try:
            yield
        except KeyboardInterrupt:
            record.stopped = "interrupted"
            raise
        except Exception as error:
            record.stopped = f"{type(error).__name__}: {error}"
            raise


def _save(what: str, save: Callable[[Path], bool], path: Path) -> None:
    """Write a file and name it, unless there was nothing to write."""
    if save(path):
        print(f"{what}: {path}")


def settings_of(experiment: Any) -> dict[str, Any]:
    """Return what an experiment, a dataclass, was given, and its defaults."""
    return {f.name: getattr(experiment, f.name) for f in fields(experiment) if f.init}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write versions and what follows them, to the file of ``--json``."""
    versions = {"saiki": saiki.__version__, "numpy": np.__version__, "python": platform.python_version()}
    with writing("--json", path) as file:
        file.write(json.dumps(versions | content, indent=1).encode())


@contextmanager
def writing(option: str, path: Path) -> Iterator[IO[bytes]]:
    """Open the file of an option, and name both if it cannot be written."""
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise SaikiError(f"{option}: {str(path)!r} could not be written: {error.strerror or error}.") from error
