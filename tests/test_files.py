"""Nothing is lost while writing."""

import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saiki
from saiki import files
from saiki.files import as_path, atomic_write, check_writable, previous_of, replace_and_keep


def write(path: Path, data: bytes) -> None:
    with atomic_write(path) as file:
        file.write(data)


WRITERS: list[Callable[[Path, bytes], None]] = [write, replace_and_keep]


def test_an_error_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    for error in (OSError("disk full"), KeyboardInterrupt(), MemoryError()):
        with pytest.raises(type(error)), atomic_write(path) as file:
            file.write(b"half")
            raise error
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("fsync", errno.ENOSPC),
        ("fsync", errno.EIO),
        ("replace", errno.EXDEV),
        ("replace", errno.EBUSY),
        ("replace", errno.EPERM),
        ("open", errno.ENOSPC),
        ("open", errno.EROFS),
        ("close", errno.EDQUOT),
    ],
)
def test_every_system_call_may_fail(
    writer: Callable[[Path, bytes], None], function: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept"
    writer(path, b"old")

    class Unclosable:
        """A file whose last bytes do not fit on the disk, as a network file system says when it is closed."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def __enter__(self) -> Any:
            return self.file

        def __exit__(self, *_: object) -> None:
            self.file.close()
            raise OSError(number, os.strerror(number))

    def fail(*args: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number), *map(str, args[:1]))

    with monkeypatch.context() as patch:
        if function == "close":
            patch.setattr(files, "open", lambda *a, **o: Unclosable(open(*a, **o)), raising=False)  # noqa: SIM115
        else:
            patch.setattr(os, function, fail)
        with pytest.raises(OSError, match=re.escape(f"[Errno {number}]")) as caught:
            writer(path, b"new")
    assert ".saiki-" not in str(caught.value)  # the user knows nothing of a temporary file
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", sorted(files.NO_FSYNC))
def test_file_systems_that_cannot_be_asked_to_write_now(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    for writer in WRITERS:
        writer(tmp_path / "new", b"1")
        assert (tmp_path / "new").read_bytes() == b"1"


def test_a_folder_that_may_be_written_but_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse_folders(path: Any, flags: int, *mode: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", refuse_folders)
    write(tmp_path / "new", b"1")
    assert (tmp_path / "new").read_bytes() == b"1"


def test_the_type_of_a_file_decides_not_its_path(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK):
        path = shared / f"saiki-test-{os.getpid()}"
        try:
            write(path, b"old")
            with pytest.raises(OSError, match="full"), atomic_write(path) as file:
                file.write(b"half")
                raise OSError("disk full")
            assert path.read_bytes() == b"old"
        finally:
            path.unlink()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write(fifo, b"through a pipe")
    reader.join(10)
    assert got == [b"through a pipe"]
    assert list(tmp_path.iterdir()) == [fifo]
    write(Path("/dev/null"), b"nowhere")
    assert Path("/dev/null").is_char_device()


def test_a_full_device_is_an_error() -> None:
    full = Path("/dev/full")
    if full.exists():
        with pytest.raises(OSError, match="No space left"), atomic_write(full) as file:
            file.write(b"x")


def test_what_a_process_prints_to_is_gone_on_with(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from saiki.files import atomic_write
print("before")
with atomic_write(Path("/dev/stdout")) as file:
    file.write(b"written\\n")
print("after")
"""
    out = tmp_path / "out"
    with out.open("wb") as target:
        subprocess.run([sys.executable, "-c", code], stdout=target, check=True)
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout
    for text in (out.read_bytes(), piped):
        assert text.split() == [b"before", b"written", b"after"]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_keeps_pointing_where_it_points(writer: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    if writer is replace_and_keep:  # which is given a path without links
        link = target
    else:
        link.symlink_to(target)
    for data in (b"dangling", b"new"):
        writer(link, data)
        assert link.is_symlink() == (link != target)
        assert target.read_bytes() == data


def test_hard_links_and_loops(tmp_path: Path) -> None:
    path, other = tmp_path / "one", tmp_path / "other"
    path.write_text("old")
    other.hardlink_to(path)
    write(path, b"new")
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"old")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="loop"):
        write(tmp_path / "loop", b"x")


def test_names_of_every_kind(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    for name in ("x" * longest, os.fsdecode(b"caf\xe9"), "日本語", " ", "a\nb"):
        write(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"
    with pytest.raises(OSError, match="too long"):
        write(tmp_path / ("x" * (longest + 1)), b"1")
    assert as_path("path", os.fsencode(tmp_path) + b"/caf\xe9").read_bytes() == b"1"
    refused: list[Any] = ["", "a/", "a\0b", 3, None, [], tmp_path.open]
    for wrong in refused:
        with pytest.raises(saiki.ArgumentError, match="path must be the path of a file"):
            as_path("path", wrong)
    with pytest.raises(NotADirectoryError):
        write(tmp_path / " " / "below a file", b"1")


def test_permissions(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    for writer in WRITERS:
        path.write_text("old")
        for mode in (0o640, 0o600, 0o666):
            path.chmod(mode)
            writer(path, b"new")
            assert path.stat().st_mode & 0o777 == mode
    for umask in (0o022, 0o077, 0o000):
        before = os.umask(umask)
        try:
            write(tmp_path / f"new{umask}", b"1")
            assert (tmp_path / f"new{umask}").stat().st_mode & 0o777 == 0o666 & ~umask
        finally:
            os.umask(before)
    assert "umask(" not in Path(files.__file__).read_text()  # it is that of all threads
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)
        write(path, b"new")
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_file_or_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine"
    path.write_text("old")
    with monkeypatch.context() as patch:  # as root may write everywhere
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(PermissionError, match="mine"):
            check_writable(path)
        with pytest.raises(PermissionError, match="mine"):
            write(path, b"new")
    assert path.read_text() == "old"


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IsADirectoryError):
        check_writable(tmp_path)
    with pytest.raises(IsADirectoryError):
        write(tmp_path, b"x")
    with pytest.raises(FileNotFoundError):
        check_writable(tmp_path / "no" / "folder")


def test_what_was_there_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for data in (b"1", b"2", b"3"):
        replace_and_keep(path, data)
    assert (path.read_bytes(), previous_of(path).read_bytes()) == (b"3", b"2")
