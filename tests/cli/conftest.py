"""What the tests of the command share: how to run it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from saiki import cli

# A shell starts what runs in the background with Ctrl-C ignored, and the tests may run there.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from saiki.cli import main; main()"
)

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
