"""The ``saiki`` command."""

import sys

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
    """Run the command; whatever goes wrong is one line and an exit code."""
    try:
        sys.exit(saiki.main(standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        _stop(error.format_message(), error.exit_code)
    except ArgumentError as error:
        _stop(str(error), USAGE)
    except (SaikiError, OSError) as error:
        _stop(str(error), FAILED)
    except MemoryError as error:
        _stop(f"not enough memory: {error}. Try fewer units, shorter sequences or smaller batches.", FAILED)
    except click.Abort:
        _stop("interrupted", INTERRUPTED)


def _stop(message: str, code: int) -> None:
    click.echo(f"saiki: {' '.join(message.split())}", err=True)
    sys.exit(code)
