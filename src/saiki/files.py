"""Writing files so that nothing is lost: either the new content is there, whole, or the old one still is."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes that takes the place of ``path`` once all is written and on the disk.

    On any error the temporary file is removed and ``path`` is as it was. Pipes and devices are written to directly.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers"
    ...     with atomic_write(path) as file:
    ...         _ = file.write(b"1 2 3")
    ...     path.read_bytes()
    b'1 2 3'
    """
    if _is_device(path):
        with path.open("wb") as file:
            yield file
        return
    _check_folder(path)
    path = path.resolve()  # a link keeps pointing where it points
    mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".saiki-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_names(path.parent)


def previous_of(path: Path) -> Path:
    """Return where ``replace_and_keep`` keeps what was there before."""
    return path.with_name(f"{path.name}.previous")


def replace_and_keep(path: Path, data: bytes) -> None:
    """Write a file, and keep what was there before beside it, as ``.previous``.

    At every moment one of the two is there, whole. Only one process may write a path; what one that was killed left
    half written, as ``.new``, the next one writes over.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        new.unlink(missing_ok=True)  # where the disk is full, this is what fills it
        raise
    if path.exists():
        os.replace(path, previous_of(path))
    os.replace(new, path)
    _sync_names(path.parent)


def check_writable(path: Path) -> None:
    """Raise an ``OSError`` now if ``atomic_write(path)`` would raise one for lack of a folder or of permission."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be written")
    if not _is_device(path):
        _check_folder(path)
        tempfile.TemporaryFile(dir=path.resolve().parent).close()


def _sync_names(folder: Path) -> None:
    """Have the names in a folder on the disk, too, where the system lets a folder be opened."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _check_folder(path: Path) -> None:
    """Raise an ``OSError`` that names the folder, not a temporary file in it."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _is_device(path: Path) -> bool:
    """Whether a path names what cannot be replaced: a pipe, a device, or an open file such as /dev/stdout."""
    return path.is_relative_to("/dev") or path.is_relative_to("/proc") or (path.exists() and not path.is_file())


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
