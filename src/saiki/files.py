"""Writing files so that nothing is lost: either the new content is there, whole, or the old one still is."""

import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from saiki.errors import ArgumentError

NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}
"""Error numbers of file systems that cannot be asked to write to the disk now."""

MAY_NOT_READ = {errno.EACCES, errno.EPERM}


def as_path(argument: str, value: object) -> Path:
    """Return the path of a file, given as text, bytes or a path.

    Raises:
        ArgumentError: something else, an empty path, one with a null character, or one that ends as a folder's does.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise ArgumentError(f"{argument} must be the path of a file; got {type(value).__name__}.")
    text = os.fsdecode(value)
    if not text or "\0" in text or text.endswith(os.sep) or text.endswith(os.altsep or os.sep):
        raise ArgumentError(f"{argument} must be the path of a file; got {text!r}.")
    return Path(text)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing bytes that takes the place of ``path`` once all is written and on the disk.

    On any error the temporary file is removed and ``path`` is as it was. What is no regular file, such as a pipe or a
    device, and what this process prints to, such as /dev/stdout, is written to directly. Another name of the same file
    (a hard link) keeps the old content; a symbolic link keeps pointing where it points.

    Raises:
        OSError: the folder is missing or allows no new file, the file is read-only, or the disk is full.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers"
    ...     with atomic_write(path) as file:
    ...         _ = file.write(b"1 2 3")
    ...     path.read_bytes()
    b'1 2 3'
    """
    before = _status(path)
    if _is_written_directly(before):
        with _opened(path, before) as file:
            yield file
        return
    check_writable(path)
    path = path.resolve()
    temporary = path.with_name(f".saiki-{secrets.token_hex(8)}")
    with _complete(temporary, path, before) as file:
        yield file
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
    new, before = path.with_name(f"{path.name}.new"), _status(path)
    new.unlink(missing_ok=True)
    with _complete(new, new, before) as file:
        file.write(data)
    if before is not None:
        os.replace(path, previous_of(path))
    os.replace(new, path)
    _sync_names(path.parent)


def check_writable(path: Path) -> None:
    """Raise an ``OSError`` now if ``atomic_write(path)`` would raise one for lack of a folder or of permission."""
    before = _status(path)
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if not _is_written_directly(before):
        with _about(path.resolve().parent):
            tempfile.TemporaryFile(dir=path.resolve().parent).close()


@contextmanager
def _complete(temporary: Path, path: Path, before: os.stat_result | None) -> Iterator[IO[bytes]]:
    """Open a new file, and give it the name ``path`` once all is written and on the disk; remove it on any error.

    Args:
        temporary: the name until then.
        path: the name from then on.
        before: the status of the file that it replaces, whose owner and permissions it takes over; None for a new one.
    """
    mode = 0o666 if before is None else stat.S_IMODE(before.st_mode)  # the system applies the umask, or an ACL
    try:
        with _about(temporary.parent):
            opened = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode & 0o666))  # noqa: SIM115
        with opened as file:
            yield file
            file.flush()
            _sync(file.fileno())
        if before is not None:
            with suppress(OSError, AttributeError):  # only root may give files away, and some systems have no owners
                os.chown(temporary, before.st_uid, before.st_gid)
            os.chmod(temporary, mode)
        with _about(path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # where the disk is full, this is what fills it
        raise


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name a path in an ``OSError`` about the temporary file, of which the user knows nothing."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file; None where there is none yet."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_written_directly(before: os.stat_result | None) -> bool:
    """Whether a file cannot be replaced: it is no regular file, has no name any more, or this process prints to it."""
    if before is None or stat.S_ISDIR(before.st_mode):
        return False
    return not stat.S_ISREG(before.st_mode) or before.st_nlink == 0 or _printed_to(before) is not None


def _printed_to(before: os.stat_result) -> int | None:
    """Return the standard stream, 1 or 2, that a file is; None for any other file."""
    for number in (1, 2):
        with suppress(OSError):
            if os.path.samestat(before, os.fstat(number)):
                return number
    return None


def _opened(path: Path, before: os.stat_result | None) -> IO[bytes]:
    """Open what cannot be replaced; a standard stream goes on where it is."""
    number = None if before is None else _printed_to(before)
    if number is None:
        return path.open("wb")
    stream = sys.stdout if number == 1 else sys.stderr
    if stream is not None:
        stream.flush()
    return os.fdopen(os.dup(number), "wb")


def _sync(handle: int) -> None:
    """Have a file or folder on the disk, where its file system can be asked to."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise


def _sync_names(folder: Path) -> None:
    """Have the names in a folder on the disk, too, where the system lets a folder be opened."""
    if hasattr(os, "O_DIRECTORY"):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in MAY_NOT_READ:  # new files are allowed in it all the same
                return
            raise
        try:
            _sync(handle)
        finally:
            os.close(handle)
