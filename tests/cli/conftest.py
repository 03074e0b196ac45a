"""The command, as its tests run it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from saiki import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs ``saiki`` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def saiki(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["saiki", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return saiki
