"""A progress bar or, in a log, lines now and then: one listener among others."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from time import perf_counter
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


SILENT = 10.0
"""Seconds without a line at the beginning, where nobody has asked for lines."""

FIRST_PAUSE, GROWTH = 1.0, 1.5
"""Seconds until the second line, and the factor by which each later pause grows: a dozen lines in an hour."""


def progress(events: Iterable[T], total: int, description: str, silent: float = SILENT, before: int = 0) -> Iterator[T]:
    """Pass events on, and show how many of ``total`` have come, how fast, and how well it goes.

    Everything goes to standard error. A terminal or a notebook has a bar, and what is printed meanwhile appears above
    it. Elsewhere, as in a log, there are lines: one at first, others at growing intervals of time, and one at the end.

    Args:
        events: what to pass on: training steps, epochs, or anything else.
        total: how many there will be.
        description: what is being done.
        silent: the number of seconds before the first line.
        before: how many of the total have come before these.

    >>> list(progress("abc", 3, "reading"))
    ['a', 'b', 'c']
    """
    with progress_bar(total, description, silent) as show:
        for count, event in enumerate(events, before + 1):
            show(count, event)
            yield event


@contextmanager
def progress_bar(total: float, description: str, silent: float = SILENT) -> Iterator[Callable[[float, object], None]]:
    """Show a bar or lines as ``progress`` does, and yield a function of the amount done and the event.

    >>> with progress_bar(10, "waiting") as show:
    ...     show(2.5, None)
    """
    console = Console(stderr=True)
    if console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal):
        with _bar(console, total, description) as show:
            yield show
    else:
        lines = _Lines(total, description, silent)
        try:
            yield lines.show
        finally:
            lines.end()


@contextmanager
def _bar(console: Console, total: float, description: str) -> Iterator[Callable[[float, object], None]]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    # Lines bound for a file must not be drawn into the terminal above the bar.
    redirect = sys.stdout is not None and sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=redirect) as bar:
        task = bar.add_task(description, total=total, state="")
        yield lambda done, event: bar.update(task, completed=done, state=_state(event))


class _Lines:
    """Lines for a log: the first after ``silent`` seconds, the others at growing intervals of time."""

    def __init__(self, total: float, description: str, silent: float) -> None:
        self.total, self.description = total, description
        self.began = perf_counter()
        self.due, self.printed = silent, False
        self.waiting: tuple[float, object] | None = None

    def show(self, done: float, event: object) -> None:
        """Print a line if it is time for one."""
        self.waiting = done, event
        seconds = perf_counter() - self.began
        if seconds >= self.due:
            self._print(seconds)
            self.due = seconds + max(FIRST_PAUSE, (GROWTH - 1) * seconds)

    def end(self) -> None:
        """Print the last line, if others have been printed."""
        if self.printed and self.waiting is not None:
            self._print(perf_counter() - self.began)

    def _print(self, seconds: float) -> None:
        assert self.waiting is not None
        done, event = self.waiting
        parts = f"{self.description} {done:.6g}/{self.total:.6g}", _state(event), f"{seconds:.1f} s"
        with suppress(OSError, ValueError):  # a log that is closed or full stops no training
            print(", ".join(filter(None, parts)), file=sys.stderr or StringIO(), flush=True)
        self.waiting, self.printed = None, True


def _state(event: object) -> str:
    """Say how well it goes."""
    if isinstance(event, Step):
        return f"loss {event.loss:.4g}"
    if isinstance(event, Epoch):
        return f"loss {event.losses[-1]:.4g}" + (f", score {event.scores[-1]:.4g}" if event.scores else "")
    return ""
