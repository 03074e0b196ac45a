"""``saiki adder``, as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from saiki import cli

SHORT = ["--iterations", "200", "--every", "100"]


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


def test_the_default_run_gets_every_sum_right(run: Run, tmp_path: Path) -> None:
    code, out, err = run("adder", "--json", "history.json")
    assert code == 0
    assert err == ""
    assert "16384 of 16384 sums right (100.00%)" in out
    assert (tmp_path / "adder.png").read_bytes().startswith(b"\x89PNG")
    history = json.loads((tmp_path / "history.json").read_text())
    assert len(history["loss"]) == 10_000
    assert history["held_out_iteration"][-1] == 10_000
    assert history["held_out_accuracy"][-1] == 1.0
    assert history["result"] == {
        "tried": 16384,
        "every_pair": True,
        "right": 16384,
        "right_by_bit": [16384] * 8,
    }
    assert history["settings"]["bits"] == 8
    assert history["stopped"] is None


def test_it_prints_the_block_of_the_note(run: Run) -> None:
    _, out, _ = run("adder", *SHORT, "--bits", "4", "--picture", "none")
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["iteration", "100", "loss"]
    assert lines[1].split()[0] == "predicted"
    true = lines[2].split()
    a, _, b, _, *_ = lines[3].split()
    assert true[0] == "true"
    assert int("".join(true[1:]), 2) == int(a) + int(b)


def test_beyond_twelve_bits_it_says_that_it_tries_a_sample(run: Run) -> None:
    _, out, _ = run("adder", "--bits", "32", "--iterations", "2", "--picture", "none")
    assert "tried a random sample of 100000 of the 4611686018427387904 pairs" in out


def test_same_seed_same_output(run: Run) -> None:
    first, again, other = (run("adder", *SHORT, "--seed", seed, "--picture", "none")[1] for seed in "112")
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bits", "0"], "Invalid value for '--bits': 0 is not in the range 2<=x<=32."),
        (["--activation", "softmin"], "'softmin' is not one of 'tanh', 'sigmoid', 'relu', 'identity'."),
        (["--learning-rate", "-1"], "learning_rate must be a positive, finite number; got -1.0."),
        (["--sigma", "1"], "--sigma goes with --init normal."),
        (["--sigma", "0", "--init", "normal"], "sigma must be a positive, finite number"),
        (
            ["--picture", "no/such/folder/a.png"],
            "cannot write 'no/such/folder/a.png': No such file or directory.",
        ),
        (["--picture", "."], "cannot write '.': . is a folder."),
        (["--picture", "adder.txt"], "'adder.txt' must end in one of ."),
        (["--json", "no/such/folder/a.json"], "cannot write 'no/such/folder/a.json'"),
        (["--engine", "warp"], "'warp' is not"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run: Run, arguments: list[str], message: str, tmp_path: Path) -> None:
    code, out, err = run("adder", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_divergence_stops_and_keeps_what_was_done(run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "adder", "--activation", "relu", "--init", "normal", "--learning-rate", "1e300", "--json", "h.json"
    )
    assert code == 1
    assert "training diverged. Try a smaller learning rate" in err
    assert err.count("\n") == 1
    history = json.loads((tmp_path / "h.json").read_text())
    assert "diverged" in history["stopped"]
    assert history["result"] is None


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "saiki",
        "adder",
        "--iterations",
        "100000000",
        "--every",
        "1",
        "--json",
        "h.json",
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    process.stdout.readline()  # the first example has been printed
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode().strip() == "saiki: interrupted"
    assert json.loads((tmp_path / "h.json").read_text())["stopped"] == "interrupted"
    assert (tmp_path / "adder.png").exists()


def test_help_and_version(run: Run) -> None:
    assert "Train a recurrent network to add" in run("adder", "--help")[1]
    assert "version" in run("--version")[1]
    assert run()[0] == 2
