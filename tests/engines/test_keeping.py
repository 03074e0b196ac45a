"""A cache of compiled code that fails costs a compilation and one warning: never the run, never a wrong number."""

import logging
import os
from pathlib import Path
from typing import Any

import numba
import pytest
from numba import types

from saiki.engines import keeping
from saiki.engines.building import compiled

VALUE, OTHER = 1, 2


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(keeping, "_warned", [])
    return tmp_path


def compile_one(value: int = VALUE) -> Any:
    """Compile a small function, or find it, as another process would."""
    scope: dict[str, Any] = {}
    exec(compile(f"def constant(x):\n    return x + {value}\n", keeping.__file__, "exec"), scope)
    return compiled([types.int64(types.int64)], [str(value).encode()])(scope["constant"])


def files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.rglob(f"*.{kind}"))


def test_what_was_kept_is_found(folder: Path) -> None:
    assert compile_one()(10) == 11
    again = compile_one()
    assert again(10) == 11
    assert sum(again.stats.cache_hits.values()) == 1
    assert compile_one(OTHER)(10) == 12
    assert keeping._warned == []


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_noticed_and_mended(kind: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    compile_one()
    (path,) = files(folder, kind)
    whole = path.read_bytes()
    damaged = [b"", b"garbage", whole[:1], whole[: len(whole) // 2], whole[:-1]]
    places = range(0, len(whole), max(1, len(whole) // 40))
    damaged += [whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :] for place in places]
    for data in damaged:
        path.write_bytes(data)
        assert compile_one()(10) == 11
        again = compile_one()
        assert sum(again.stats.cache_hits.values()) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "cannot keep compiled code" in caplog.text


def test_a_changed_byte_of_machine_code_is_never_run(folder: Path) -> None:
    compile_one()
    (path,) = files(folder, "nbc")
    whole = path.read_bytes()
    code = whole.index(b"\x7fELF") if b"\x7fELF" in whole else len(whole) // 2
    for place in range(code, len(whole), max(1, (len(whole) - code) // 40)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        made = compile_one()
        assert made(10) == 11
        assert not made.stats.cache_hits


def test_code_of_another_function_or_processor_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_one(), compile_one(OTHER)
    first, second = files(folder, "nbc")
    first.write_bytes(second.read_bytes())
    assert (compile_one()(10), compile_one(OTHER)(10)) == (11, 12)
    codegen = type(numba.core.registry.cpu_target.target_context.codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda self: ("other", "processor", ""))
    for path in files(folder, "nbi"):
        path.unlink()
    made = compile_one()
    assert made(10) == 11
    assert not made.stats.cache_hits


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["_save_index", "_save_data", "_load_index"])
def test_a_full_or_forbidden_disk_is_one_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, name, full)
    assert compile_one()(10) == 11
    assert compile_one(OTHER)(10) == 12
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text


def test_no_folder_at_all_is_one_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(os, "makedirs", full)
    assert compile_one()(10) == 11
    assert compile_one(OTHER)(10) == 12
    assert len(caplog.records) == 1
    assert "no folder that can be written" in caplog.text


def test_every_compiled_function_is_kept_by_this_cache() -> None:
    engines = Path(keeping.__file__).parent
    for path in engines.glob("*.py"):
        assert "cache=True" not in path.read_text(), path.name
