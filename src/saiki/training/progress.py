"""A progress bar, as one listener among others."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from saiki.training.epochs import Epoch
from saiki.training.loop import Step

T = TypeVar("T")


def progress(events: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Pass events on, and show on the terminal how many of ``total`` have come, how fast, and how well it goes.

    The bar goes to standard error, and only to a terminal or a notebook; what is printed meanwhile appears above it.

    Args:
        events: what to pass on: training steps, epochs, or anything else.
        total: how many will come.
        description: what is being done.

    >>> list(progress("abc", 3, "reading"))
    ['a', 'b', 'c']
    """
    with progress_bar(total, description) as show:
        for count, event in enumerate(events, 1):
            yield event
            show(count, event)


@contextmanager
def progress_bar(total: float, description: str) -> Iterator[Callable[[float, object], None]]:
    """Show a bar as ``progress`` does, and give a function to be told how much of ``total`` is done, and of the event.

    >>> with progress_bar(10, "waiting") as show:
    ...     show(2.5, None)
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    console = Console(stderr=True)
    # Lines bound for a file must not be drawn into the terminal above the bar.
    with Progress(
        *columns,
        console=console,
        disable=not (console.is_terminal or console.is_jupyter),
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(description, total=total, state="")
        yield lambda done, event: bar.update(task, completed=done, state=_state(event))


def _state(event: object) -> str:
    """Say how well it goes."""
    if isinstance(event, Step):
        return f"loss {event.loss:.4g}"
    if isinstance(event, Epoch):
        return f"loss {event.losses[-1]:.4g}" + (f", score {event.scores[-1]:.4g}" if event.scores else "")
    return ""
