"""What a log shows of training, and that showing it stops nothing."""

import io
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.training import progress as module
from saiki.training.progress import progress, progress_bar
from tests.estimators.data import classifier, regressor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only number is the time."""
    now = [100.0]
    monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    return now


def test_lines_come_at_growing_intervals(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(3600), 3600, "training", silent=0.0):
        clock[0] += 1.0
    lines = capsys.readouterr().err.splitlines()
    times = [float(line.split(", ")[-1].removesuffix(" s")) for line in lines]
    assert lines[0] == "training 1/3600, 0.0 s"
    assert lines[-1] == "training 3600/3600, 3600.0 s"
    assert 10 < len(lines) < 30
    pauses = np.diff(times)[:-1]
    assert (pauses >= 1).all()
    assert (np.diff(pauses) >= -1).all()  # an epoch of one second more or less


def test_short_work_that_nobody_asked_about_is_silent(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(5), 5, "comparing"):
        clock[0] += 1.0
    assert capsys.readouterr() == ("", "")
    with progress_bar(60, "a [name]") as show:
        for second in range(60):
            clock[0] += 1.0
            show(second + 1, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a [name] 10/60, 10.0 s"
    assert lines[-1] == "a [name] 60/60, 60.0 s"


def test_a_fit_says_how_well_it_goes(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    X = rng.standard_normal((20, 4, 1))
    model = regressor(verbose=True, max_iter=5).fit(X, X[:, 0, 0], validation_data=(X, X[:, 0, 0]))
    out, err = capsys.readouterr()
    assert out == ""
    first, *_, last = err.splitlines()
    number = r"-?[0-9.e+-]+"
    assert re.fullmatch(rf"epoch 1/5, loss {number}, score {number}, [0-9.]+ s", first)
    assert last.startswith(f"epoch 5/5, loss {model.loss_:.4g}, score {model.validation_scores_[-1]:.4g}, ")

    def stop(epoch: Any) -> bool:
        if epoch.count == 3:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        regressor(verbose=True, max_iter=5, callbacks=[stop]).fit(X, X[:, 0, 0], checkpoint=tmp_path / "run")
    assert capsys.readouterr().err.splitlines()[-1].startswith("epoch 3/5, ")
    regressor(verbose=True, max_iter=5).fit(X, X[:, 0, 0], checkpoint=tmp_path / "run")
    assert re.match(r"epoch [2-4]/5, ", capsys.readouterr().err.splitlines()[0])  # goes on counting
    assert classifier(verbose=True, max_iter=1).fit(X, X[:, 0, 0] > 0).n_iter_ == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("kind", ["none", "closed", "full"])
def test_a_log_that_is_gone_stops_no_training(
    kind: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    log: Any = {"none": None, "closed": io.StringIO(), "full": Full()}[kind]
    if kind == "closed":
        log.close()
    X = rng.standard_normal((20, 4, 1))
    monkeypatch.setattr(sys, "stderr", log)
    assert regressor(verbose=True).fit(X, X[:, 0, 0]).n_iter_ == 3
    assert capsys.readouterr().out == ""


def test_the_lines_of_a_script_are_there_at_once() -> None:
    code = (
        "import os, numpy as np, saiki\n"
        "X = np.ones((4, 2, 1))\n"
        "saiki.RNNRegressor(hidden_layer_sizes=2, max_iter=2, verbose=True, engine='reference',"
        " callbacks=[lambda epoch: os._exit(0) if epoch.count == 2 else None]).fit(X, [1, 2, 3, 4])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=120, env=os.environ | {"TERM": "xterm"}
    )
    assert done.stdout == b""
    assert done.stderr.startswith(b"epoch 1/2, loss ")  # although the process had no time to write what it kept back
    assert saiki.__version__
