"""Parts of a model that its file cannot hold, such as a cell: found by the names of their modules."""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import click


def load_with(path: Path, parts: Iterable[str]) -> Any:
    """Return the estimator in a file.

    Args:
        path: the file.
        parts: what was given to ``--with``: ``MODULE:NAME``, or ``PARAMETER=MODULE:NAME`` where several are needed.

    Raises:
        UsageError: a part that cannot be imported, or that the file needs no part for.
        FileError, ArgumentError, OSError: see ``saiki.load``.
    """
    keeping: Any = import_module("saiki.estimators.keeping")  # other commands start faster without scikit-learn
    kinds = keeping.own_parameters(path)
    own: dict[str, Any] = {}
    for part in parts:
        name, _, place = part.rpartition("=")
        if not name:
            if not kinds:
                raise click.UsageError(f"--with {part}: {path} holds all of its parameters; leave it out.")
            name = next((kind for kind in kinds if kind not in own), next(iter(kinds)))
        if name not in kinds or name in own:
            rule = "is given twice" if name in own else f"is not one of those that {path} lacks, {', '.join(kinds)}"
            raise click.UsageError(f"--with {part}: the parameter {name!r} {rule}.")
        own[name] = _imported(part, place)
    for name in kinds.keys() - own.keys() - keeping.IN_TRAINING:
        example = "--with MODULE:NAME" if len(kinds) == 1 else f"--with {name}=MODULE:NAME"
        raise click.UsageError(f"{path} needs {name} ({kinds[name]}), which it could not hold. Give {example}.")
    return keeping.load(path, **own)


def _imported(part: str, place: str) -> Any:
    """Return what a module, found from the current folder too, has under a name."""
    module_name, _, name = place.partition(":")
    if not module_name or not name or module_name.startswith("."):
        raise click.UsageError(
            f"--with must be MODULE:NAME or PARAMETER=MODULE:NAME, such as mycells:my_cell; got {part!r}."
        )
    sys.path.insert(0, "")  # the current folder, as for python -m
    try:
        value: Any = import_module(module_name)
    except Exception as error:  # it is the code of the user, and anything may happen in it
        raise click.UsageError(
            f"--with {part}: importing {module_name} failed: {type(error).__name__}: {error}."
        ) from error
    finally:
        sys.path.remove("")
    for attribute in name.split("."):
        if not hasattr(value, attribute):
            raise click.UsageError(f"--with {part}: {module_name} has no {name!r}.")
        value = getattr(value, attribute)
    return value
