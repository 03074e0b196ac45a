"""Options that name a file to write: refused before any work is done if it could not be written after it."""

from pathlib import Path
from typing import Any, final

import click

from saiki.files import check_writable


@final
class OutputFile(click.ParamType[Path]):
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
class PictureFile(click.ParamType[Path | None]):
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
