"""``saiki adder --compare`` and ``--grid``, as a user meets them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from saiki.tasks.adder import Experiment
from saiki.tasks.comparison import Trial, compare, grid_setups, note_setups
from saiki.tasks.findings import findings, summarize
from tests.cli.conftest import LISTENING, Run

SHORT = ["--bits", "4", "--iterations", "150", "--repeats", "2"]


def test_the_table_the_files_and_the_sentences_hold_the_trials(run: Run, tmp_path: Path) -> None:
    code, out, err = run("adder", "--compare", *SHORT, "--seed", "5", "--jobs", "1", "--json", "c.json")
    assert (code, err) == (0, "")
    setups = note_setups(bits=4, iterations=150, seed=5)
    summaries = summarize(setups, compare(setups, repeats=2))
    lines = out.splitlines()
    for summary in summaries:
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{summary.setup} "))
        assert len(lines[row]) <= 100
        cells = lines[row].removeprefix(summary.setup).split()
        assert cells[3:5] == [f"{summary.right:.1%}", f"{summary.losses[1]:.2g}"]
        assert cells[6:] == [f"{norm:.1e}" for norm in summary.gradient_before[[1, 2, 3]]]
        assert lines[row + 1].split() == [f"{norm:.1e}" for norm in summary.gradient_after[[1, 2, 3]]]
    for sentence in findings(summaries):
        assert sentence in lines
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads((tmp_path / "c.json").read_text())
    assert told["stopped"] is None
    assert told["settings"]["learning_rate"] == pytest.approx(0.4)
    trials = [trial for summary in summaries for trial in summary.trials]
    assert [(t["setup"], t["seed"], t["right"]) for t in told["trials"]] == [
        (t.setup, t.experiment.seed, t.right) for t in trials
    ]
    for kept, trial in zip(told["trials"], trials, strict=True):
        np.testing.assert_allclose(kept["loss"], [trial.losses[:100].mean(), trial.losses[100:].mean()])
        assert kept["gradient_after"] == trial.gradient_after.tolist()


def test_the_grid_runs_every_setup_there_is(run: Run, tmp_path: Path) -> None:
    short = ["--bits", "2", "--iterations", "3", "--repeats", "1", "--hidden-size", "2", "--jobs", "1"]
    code, out, err = run("adder", "--grid", *short, "--json", "g.json", "--picture", "g.svg")
    assert (code, err) == (0, "")
    told = json.loads((tmp_path / "g.json").read_text())
    assert [trial["setup"] for trial in told["trials"]] == list(grid_setups())
    picture = (tmp_path / "g.svg").read_text()
    assert picture.count('id="axes_') >= len({name.partition(" ")[2] for name in grid_setups()})
    assert "Setups that learnt in every repeat" in out


def test_divergence_is_in_the_table_and_the_files(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "adder", "--compare", *SHORT, "--loss", "logistic", "--learning-rate", "1e200", "--jobs", "1",
        "--json", "c.json", "--picture", "c.png",
    )  # fmt: skip
    assert code == 0
    assert "diverged" in out
    trials = json.loads((tmp_path / "c.json").read_text())["trials"]
    gone = [trial for trial in trials if trial["diverged"]]
    assert gone
    assert all(trial["final_loss"] is None and trial["right"] == 0 for trial in gone)
    assert (tmp_path / "c.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "--activation", "relu"], "--activation can only go with a single run, not with --compare"),
        (["--grid", "--cell", "lstm", "--every", "5"], "--cell, --every can only go with a single run"),
        (["--compare", "--sigma", "1"], "--sigma can only go with a single run"),
        (["--repeats", "3"], "--repeats can only go with --compare or --grid."),
        (["--jobs", "2"], "--jobs can only go with --compare or --grid."),
        (["--compare", "--repeats", "0"], "0 is not in the range"),
        (["--compare", "--json", "compare.png"], "--picture and --json must be two files"),
        (["--compare", "--learning-rate", "-1"], "learning_rate must be a positive, finite number"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, arguments: list[str], message: str, tmp_path: Path) -> None:
    code, out, err = run("adder", *arguments)
    assert code == 2
    assert message in err
    assert (err.count("\n"), out) == (1, "")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_comparison_keeps_the_trials_that_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(setups: dict[str, Experiment], repeats: int, jobs: int) -> Iterator[Trial]:
        yield from islice(compare(setups, repeats), 7)
        raise KeyboardInterrupt

    monkeypatch.setattr("saiki.cli.compare.compare", interrupted)
    code, _, err = run("adder", "--compare", *SHORT, "--json", "c.json")
    assert (code, err.strip()) == (130, "saiki: interrupted")
    told = json.loads((tmp_path / "c.json").read_text())
    assert told["stopped"] == "interrupted"
    assert sorted(trial["seed"] for trial in told["trials"]) == [0] * 5 + [1] * 2
    assert (tmp_path / "compare.png").exists()


def test_ctrl_c_stops_all_processes_at_once_and_quietly(tmp_path: Path) -> None:
    options = ["--iterations", "100000000", "--jobs", "2", "--picture", "none", "--json", "c.json"]
    options += ["--engine", "reference"]  # nothing to compile, which would be told
    command = [sys.executable, "-u", "-c", LISTENING, "adder", "--compare", *options]
    with subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # the headline
            time.sleep(2)
            asked = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - asked < 10
    assert process.returncode == 130
    assert err.decode().split("\n") == ["", "saiki: interrupted", ""]
    assert json.loads((tmp_path / "c.json").read_text())["stopped"] == "interrupted"
    with pytest.raises(ProcessLookupError):  # nobody is left, once the last has gone
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs a list of child processes")
def test_a_killed_comparison_leaves_no_process_behind(tmp_path: Path) -> None:
    options = ["--iterations", "100000000", "--jobs", "2", "--picture", "none", "--engine", "reference"]
    command = [sys.executable, "-c", LISTENING, "adder", "--compare", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as parent:
        listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        until(lambda: len(listed.read_text().split()) >= 3)  # two workers, and what tracks their resources
        children = [Path("/proc", pid) for pid in listed.read_text().split()]
        time.sleep(1.0)  # so that they are in the middle of a trial
        parent.kill()
        parent.wait()
        until(lambda: not any(running(child) for child in children))


def running(process: Path) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so; fail if it takes too long."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
