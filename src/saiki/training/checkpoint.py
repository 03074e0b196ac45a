"""Checkpoints: what has been learnt, on the disk, so that a run that was cut off goes on as if nothing had happened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from time import monotonic
from typing import Any, final

import numpy as np
from filelock import FileLock, Timeout

from saiki import tensors
from saiki.cells.fingerprint import fingerprint
from saiki.errors import ArgumentError, CheckpointError, FileError
from saiki.files import as_path, check_writable, previous_of, replace_and_keep
from saiki.training.epochs import Epoch

LEAST_SECONDS = 1.0
"""Epochs that end sooner after the last one written are not written; whoever goes on repeats them."""


def description(value: Any, name: str = "value") -> str:
    """Return a text that differs wherever a value would lead to other numbers.

    Raises:
        ArgumentError: no text can be given; the message begins with ``name``.

    >>> description(lambda n: 0.1) == description(lambda n: 0.2), description((8, 4))
    (False, '(8, 4)')
    """
    try:
        return fingerprint(value, name)
    except ArgumentError as error:
        raise ArgumentError(f"{error} Without a checkpoint any value will do.") from error


@final
class Checkpoint:
    """A file that holds the latest epoch of one training run, with the one before it beside it.

    Args:
        path: the file; ``.previous`` and ``.lock`` beside it are taken too.
        run: says which run it is: whatever decides the numbers of a run, by name, as texts. A file of another run is
            not touched.

    Use ``opened`` to make one.
    """

    def __init__(self, path: Path, run: dict[str, str]) -> None:
        self.path, self.run = path, run
        self._written_at = -LEAST_SECONDS
        self._waiting: Epoch | None = None

    @classmethod
    @contextmanager
    def opened(cls, path: str | os.PathLike[str], run: dict[str, str]) -> Iterator["Checkpoint"]:
        """Hold the file for this process; the latest epoch is on the disk when it is let go.

        Raises:
            CheckpointError: another process holds it.
            OSError: the folder is missing or read-only, or the disk is full.
        """
        path = as_path("checkpoint", path)
        if path.exists() and not path.is_file():
            raise ArgumentError(f"checkpoint must be the path of a file; {path} is a folder or a device.")
        path = path.resolve()
        for file in (path, previous_of(path)):
            check_writable(file)
        lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise CheckpointError(
                f"checkpoint {path}: another process is training with it. Wait for it, or give another path."
            ) from None
        try:
            checkpoint = cls(path, run)
            try:
                yield checkpoint
            finally:
                if checkpoint._waiting is not None:
                    checkpoint._write(checkpoint._waiting)
        finally:
            lock.release()

    def read(self) -> Epoch | None:
        """Return the latest epoch that was written; None where there is none yet.

        Raises:
            CheckpointError: the file belongs to another run.
            FileError: neither file can be read.
        """
        damaged: FileError | None = None
        for path in (self.path, previous_of(self.path)):
            try:
                content = tensors.read(path)
                run, epoch = dict(content["run"]), Epoch(**content["epoch"])
                np.random.default_rng(epoch.seed)
            except FileNotFoundError:
                continue
            except FileError as error:
                damaged = damaged or error
                continue
            except (KeyError, TypeError, ValueError):
                damaged = damaged or FileError(f"{path} is no checkpoint. Give another path.")
                continue
            other = [name for name in {**self.run, **run} if self.run.get(name) != run.get(name)]
            if other:
                raise CheckpointError(
                    f"checkpoint {path}: it was written by a run with other {', '.join(other)}. Make the same call"
                    " again to go on with that run, or give another path, or delete the file to start afresh."
                )
            return epoch
        if damaged is not None:
            raise damaged
        return None

    def keep(self, epoch: Epoch) -> None:
        """Write an epoch, or have it written later if the last one was written a moment ago.

        Raises:
            OSError: the disk is full, or the folder was taken away; what was written before is still there.
        """
        if epoch.done or monotonic() - self._written_at >= LEAST_SECONDS:
            self._write(epoch)
        else:
            self._waiting = epoch

    def _write(self, epoch: Epoch) -> None:
        self._waiting = None  # what cannot be written is not tried again
        content = {field.name: getattr(epoch, field.name) for field in fields(Epoch)}
        data = tensors.encoded({"run": self.run, "epoch": content})
        try:
            replace_and_keep(self.path, data)
        except OSError as error:
            raise OSError(
                error.errno, f"checkpoint {self.path} could not be written; the one before is still there"
                f" ({error.strerror})"
            ) from error  # fmt: skip
        self._written_at = monotonic()
