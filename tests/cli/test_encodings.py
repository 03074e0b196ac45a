"""Whatever the terminal cannot print is escaped, and a reader that has gone away is no error."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import saiki
from saiki import cli
from tests.cli.conftest import Run
from tests.cli.test_tree import make_small
from tests.estimators.data import QUICK

ENCODINGS = ["ascii", "cp932", "utf-8"]

LABELS = ["再帰", "naïve\u2603", "\U0001f600"]

TABLE = ["--id", "名前", "--feature", "x", "--target", "étiquette"]

COMMANDS: dict[str, list[list[str]]] = {
    "adder": [
        ["--bits", "3", "--hidden-size", "4", "--iterations", "20", "--every", "20", "--picture", "none"],
    ],
    "inspect": [["再帰.safetensors"], ["再帰.safetensors", "表.csv", *TABLE, "--view", "all"], ["無い"]],
    "tree": [["--only", "found", "--picture", "none"]],
}
"""Calls of every command."""


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a model and a table that no terminal but a Unicode one can print."""
    monkeypatch.chdir(tmp_path)
    X, y = rng.standard_normal((9, 4, 1)), np.array(LABELS)[np.arange(9) % 3]
    saiki.save(saiki.RNNClassifier(**QUICK).fit(X, y), "再帰.safetensors")
    frame = pd.DataFrame({"名前": np.repeat([f"名{i}\u2603" for i in range(9)], 4), "x": X.ravel()})
    frame.assign(étiquette=np.repeat(y, 4)).to_csv("表.csv", index=False)
    make_small(monkeypatch.setattr)
    return tmp_path


def test_every_command_is_tried() -> None:
    assert COMMANDS.keys() == cli.saiki.commands.keys()


def printed(arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Return the exit code and what a terminal of an encoding shows."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        patch.setattr(sys, "argv", ["saiki", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return int(stop.value.code or 0), out, err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_in_every_encoding(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder
    for arguments in [*COMMANDS[name], ["--help"], ["--nothing", "再帰"]]:
        found = {encoding: printed([name, *arguments], encoding, monkeypatch) for encoding in ENCODINGS}
        wanted = found["utf-8"]
        for encoding, (code, out, err) in found.items():
            assert code == wanted[0] == (0 if arguments in COMMANDS[name] and arguments != ["無い"] else code)
            assert "Traceback" not in out + err
            assert "UnicodeEncodeError" not in out + err
            if name == "inspect":  # the same numbers each time, so that all of it can be compared
                escaped = [text.encode(encoding, "backslashreplace").decode(encoding) for text in wanted[1:]]
                assert [out, err] == escaped


def test_the_environment_decides(folder: Path) -> None:
    np.save("x.npy", np.ones((1, 4, 1)))  # which a label is predicted for, and printed
    command = [sys.executable, "-m", "saiki", "inspect", "再帰.safetensors", "x.npy", "--view", "inputs"]
    environment = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"sequence 0: predicted" in done.stdout


def test_a_reader_that_has_gone_away(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(  # another process, as Python itself complains at its end
        [sys.executable, "-m", "saiki", "inspect", "再帰.safetensors"],
        stdout=writer, stderr=subprocess.PIPE, cwd=folder, timeout=120, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.usefixtures("folder")
def test_a_full_disk_behind_standard_output(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, open("/dev/full", "w", encoding="utf-8") as full:
        patch.setattr(sys, "stdout", full)
        code, _, err = run("inspect", "再帰.safetensors")
    assert (code, err) == (1, "saiki: [Errno 28] No space left on device\n")


@pytest.mark.usefixtures("folder")
def test_no_standard_streams_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, wanted in (["inspect", "再帰.safetensors"], 0), (["inspect", "無い"], 1):
        for name, value in {"stdout": None, "stderr": None, "argv": ["saiki", *arguments]}.items():
            monkeypatch.setattr(sys, name, value)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert int(stop.value.code or 0) == wanted
