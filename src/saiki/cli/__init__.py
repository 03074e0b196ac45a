"""The ``saiki`` command."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

import click
from click.exceptions import NoArgsIsHelpError

from saiki.cli.adder import adder
from saiki.cli.inspect import inspect
from saiki.cli.tree import tree
from saiki.errors import ArgumentError, SaikiError

USAGE, FAILED, INTERRUPTED = 2, 1, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="saiki")
def saiki() -> None:
    """Recurrent neural networks from scratch: every equation visible, every gradient proved."""


saiki.add_command(adder)
saiki.add_command(inspect)
saiki.add_command(tree)


def main() -> None:
    """Run the command; an error prints one line and sets the exit code.

    What the terminal cannot print is escaped, with a backslash, and never an error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = saiki.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where an error is caught
        sys.exit(code)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        _stop(error.format_message(), error.exit_code)
    except ArgumentError as error:
        _stop(str(error), USAGE)
    except BrokenPipeError:  # as in ``saiki inspect ... | head -1``
        _leave(FAILED)
    except (SaikiError, OSError) as error:
        _stop(str(error), FAILED)
    except MemoryError as error:
        _stop(f"not enough memory: {error}. Try fewer units, shorter sequences or smaller batches.", FAILED)
    except click.Abort:
        _stop("interrupted", INTERRUPTED)


def _stop(message: str, code: int) -> None:
    if sys.stderr is not None:
        with suppress(OSError):  # click.echo would write UTF-8 to a terminal that knows ASCII alone
            print(f"saiki: {' '.join(message.split())}", file=sys.stderr, flush=True)
    _leave(code)


def _leave(code: int) -> None:
    """Exit; what cannot be written to standard output any more is dropped, or Python would complain at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
