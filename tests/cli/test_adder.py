"""``saiki adder``, as a user meets it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saiki.initializers import normal
from saiki.tasks.adder import Experiment
from tests.cli.conftest import LISTENING, Run

ROOT = Path(__file__).parent.parent.parent
SHORT = ["--iterations", "200", "--every", "100"]


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
    (block,) = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines():  # the README shows what this run prints
        assert line in [*out.splitlines(), "..."]


def test_it_prints_the_block_of_the_note(run: Run) -> None:
    _, out, _ = run("adder", "--iterations", "250", "--every", "100", "--bits", "4", "--picture", "none")
    lines = out.splitlines()
    wrong = 0
    for place, iteration in ((0, 100), (5, 200), (10, 250)):
        assert lines[place].split()[:3] == ["iteration", str(iteration), "loss"]
        said, true = (lines[place + i].split() for i in (1, 2))
        assert (said[0], true[0]) == ("predicted", "true")
        a, _, b, _, result, *verdict = lines[place + 3].split()
        assert int("".join(true[1:]), 2) == int(a) + int(b)
        assert int("".join(said[1:]), 2) == int(result)
        assert bool(verdict) == (said[1:] != true[1:])
        wrong += bool(verdict)
    assert wrong  # or the test could not tell the said from the true


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {}),
        (["--bits", "5"], {"bits": 5}),
        (["--hidden-size", "3"], {"n_units": 3}),
        (["--cell", "lstm"], {"cell": "lstm"}),
        (["--activation", "sigmoid"], {"activation": "sigmoid"}),
        (["--init", "he"], {"scheme": "he"}),
        (["--init", "normal", "--sigma", "0.1"], {"scheme": normal(0.1)}),
        (["--loss", "logistic"], {"loss": "logistic"}),
        (["--bias"], {"bias": True}),
        (["--optimizer", "adam"], {"optimizer": "adam"}),
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--batch-size", "7"], {"batch_size": 7}),
        (["--seed", "5"], {"seed": 5}),
        (["--engine", "reference"], {"engine": "reference"}),
    ],
)
def test_every_option_reaches_the_experiment(run: Run, arguments: list[str], settings: dict[str, Any]) -> None:
    code, _, _ = run("adder", "--iterations", "120", "--picture", "none", "--json", "h.json", *arguments)
    assert code == 0
    history = json.loads(Path("h.json").read_text())
    experiment = Experiment(**{"iterations": 120} | settings)
    steps = list(experiment.run())
    assert history["loss"] == [step.loss for step in steps]
    right = experiment.right_bits(steps[-1].params, np.concatenate(experiment.trials()))
    assert history["result"]["right"] == sum(all(bits) for bits in right.tolist())
    assert history["result"]["right_by_bit"] == right.sum(axis=0).tolist()
    assert history["held_out_iteration"] == [100, 120]
    held_out = experiment.right_bits(steps[-1].params, experiment.held_out()).tolist()
    assert history["held_out_accuracy"][-1] == sum(map(all, held_out)) / len(held_out)
    for name, value in settings.items():
        assert history["settings"][name] == ("normal" if callable(value) else value)


def test_logistic_loss_learns_to_add(run: Run) -> None:
    _, out, _ = run("adder", "--loss", "logistic", "--iterations", "4000", "--picture", "none")
    assert "16384 of 16384 sums right" in out


def test_the_bar_moves_on_a_terminal(tmp_path: Path) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "saiki", "adder", "--iterations", "300", "--picture", "none"]
    wide = os.environ | {"COLUMNS": "120"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=end, env=wide)
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(terminal, 4096):
            shown += chunk
    out, _ = process.communicate(timeout=60)
    assert b"training" in shown
    assert b"300/300" in shown
    assert b"loss" in shown
    assert b"sums right" in out
    assert b"\x1b" not in out


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
        (["--cell", "lstm", "--activation", "relu"], "the equations of cell 'lstm' leave none to choose"),
        (["--sigma", "1"], "--sigma goes with --init normal."),
        (["--sigma", "0", "--init", "normal"], "sigma must be a positive, finite number"),
        (
            ["--picture", "no/such/folder/a.png"],
            "cannot write 'no/such/folder/a.png': No such file or directory.",
        ),
        (["--picture", "."], "cannot write '.': Is a directory"),
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


@pytest.mark.parametrize("learning_rate", ["1e300", "10"])
def test_divergence_stops_and_keeps_what_was_done(run: Run, learning_rate: str, tmp_path: Path) -> None:
    settings = [
        "--loss",
        "logistic",
        "--activation",
        "relu",
        "--init",
        "normal",
        "--every",
        "1",
        "--learning-rate",
        learning_rate,
    ]
    code, _, err = run("adder", *settings, "--json", "h.json")
    assert code == 1
    assert "training diverged. Try a smaller learning rate" in err
    assert err.count("\n") == 1
    history = json.loads((tmp_path / "h.json").read_text())
    assert "diverged" in history["stopped"]
    assert history["result"] is None


def test_a_full_disk_names_the_option_and_loses_nothing_else(run: Run, tmp_path: Path) -> None:
    code, _, err = run("adder", *SHORT, "--json", "/dev/full", "--picture", "kept.png")
    assert code == 1
    assert err == "saiki: --json: '/dev/full' could not be written: No space left on device.\n"
    assert (tmp_path / "kept.png").exists()


def test_the_picture_and_the_history_may_not_be_one_file(run: Run) -> None:
    code, _, err = run("adder", "--json", "adder.png")
    assert code == 2
    assert "--picture and --json must be two files; both are 'adder.png'" in err


def test_too_large_a_network_is_one_line(run: Run) -> None:
    code, _, err = run("adder", "--hidden-size", "10000000", "--picture", "none")
    assert code == 1
    assert err.startswith("saiki: not enough memory")
    assert err.count("\n") == 1


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    options = ["--iterations", "100000000", "--every", "1", "--json", "h.json"]
    command = [sys.executable, "-u", "-c", LISTENING, "adder", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # the first example has been printed
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "saiki: interrupted"  # before it, what had to be compiled
    assert json.loads((tmp_path / "h.json").read_text())["stopped"] == "interrupted"
    assert (tmp_path / "adder.png").exists()


def test_help_and_version(run: Run) -> None:
    assert "Train a recurrent network to add" in run("adder", "--help")[1]
    assert "version" in run("--version")[1]
    assert run()[0] == 2
