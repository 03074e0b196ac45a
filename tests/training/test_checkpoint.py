"""A run that is cut off goes on from its checkpoint as if nothing had happened."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import files, tensors
from saiki.training import checkpoint as checkpoint_module
from saiki.training.checkpoint import Checkpoint, description
from saiki.training.epochs import Epoch
from tests.estimators.data import classifier, regressor

RUN = {"estimator": "one"}


def epoch(count: int, done: bool = False) -> Epoch:
    return Epoch(
        count, {"W": np.full(3, float(count))}, ((np.ones(2), count), None), {"state": {"inc": 2**100}}, done=done
    )


def test_epochs_are_kept_and_the_one_before_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "LEAST_SECONDS", 0.0)
    path = tmp_path / "run"
    with Checkpoint.opened(path, RUN) as kept:
        assert kept.read() is None
        for count in (1, 2):
            kept.keep(epoch(count))
            found = kept.read()
            assert found is not None
            assert found.count == count
            assert found.optimizer_state[0][1] == count
            assert found.random_state == {"state": {"inc": 2**100}}
    assert tensors.read(files.previous_of(path))["epoch"]["count"] == 1
    for damage in (b"", path.read_bytes()[:-1]):
        path.write_bytes(damage)
        with Checkpoint.opened(path, RUN) as kept:
            found = kept.read()
            assert found is not None
            assert found.count == 1
    path.unlink()  # between the two renames
    with Checkpoint.opened(path, RUN) as kept:
        assert kept.read() is not None
    files.previous_of(path).write_bytes(b"noise")
    with Checkpoint.opened(path, RUN) as kept, pytest.raises(saiki.FileError, match="damaged"):
        kept.read()


def test_no_more_than_one_a_second_but_always_the_last(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with Checkpoint.opened(path, RUN) as kept:
        for count in range(1, 50):
            kept.keep(epoch(count))
        assert tensors.read(path)["epoch"]["count"] == 1
    assert tensors.read(path)["epoch"]["count"] == 49


def test_another_run_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with Checkpoint.opened(path, RUN) as kept:
        kept.keep(epoch(1, done=True))
    before = path.read_bytes()
    other = Checkpoint.opened(path, {"estimator": "two"})
    with other as kept, pytest.raises(saiki.CheckpointError, match=r"a run with other estimator\. Make the same call"):
        kept.read()
    assert path.read_bytes() == before
    tensors.write(path, {"something": "else"})
    with Checkpoint.opened(path, RUN) as kept, pytest.raises(saiki.FileError, match="is no checkpoint"):
        kept.read()


def test_two_processes_on_one_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from saiki.training.checkpoint import Checkpoint\n"
        "with Checkpoint.opened(Path(sys.argv[1]), {}): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        held = Checkpoint.opened(path, RUN)
        with pytest.raises(saiki.CheckpointError, match="another process is training with it"), held:
            pass
        other.kill()  # which frees it
    with Checkpoint.opened(path, RUN) as kept:
        assert kept.read() is None


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        regressor().fit(np.ones((4, 2, 1)), np.ones(4), checkpoint=tmp_path / "nowhere" / "run")
    if os.geteuid() != 0:  # who may write anywhere
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(PermissionError):
            regressor().fit(np.ones((4, 2, 1)), np.ones(4), checkpoint=tmp_path / "run")
        tmp_path.chmod(stat.S_IRWXU)
    with pytest.raises(saiki.ArgumentError, match="checkpoint must be the path of a file"):
        regressor().fit(np.ones((4, 2, 1)), np.ones(4), checkpoint=tmp_path)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(checkpoint_module, "LEAST_SECONDS", 0.0)
    X = rng.standard_normal((20, 4, 1))
    path, writes = tmp_path / "run", 0
    write = files.replace_and_keep

    def fails_the_third_time(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 3:
            path.with_name("run.new").write_bytes(data[:10])
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint_module, "replace_and_keep", fails_the_third_time)
    model = regressor(max_iter=6)
    with pytest.raises(OSError, match="could not be written; the one before is still there"):
        model.fit(X, X[:, 0, 0], checkpoint=path)
    assert model.n_iter_ == 3  # what was learnt is there
    again = regressor(max_iter=6).fit(X, X[:, 0, 0], checkpoint=path)
    whole = regressor(max_iter=6).fit(X, X[:, 0, 0])
    assert again.loss_curve_ == whole.loss_curve_


def test_another_call_is_refused_and_the_same_goes_on(tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 4, 1)), np.arange(20) % 2
    path = tmp_path / "run"
    first = classifier().fit(X, y, checkpoint=path)
    seen: list[Any] = []
    again = classifier(callbacks=[seen.append]).fit(X, y, checkpoint=path)  # nothing was left to learn
    assert not seen
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    others: dict[str, Any] = {
        "hidden_layer_sizes": lambda: classifier(hidden_layer_sizes=5).fit(X, y, checkpoint=path),
        "max_iter": lambda: classifier(max_iter=4).fit(X, y, checkpoint=path),
        "data": lambda: classifier().fit(X + 1, y, checkpoint=path),
        "validation data": lambda: classifier().fit(X, y, validation_data=(X, y), checkpoint=path),
        "random_state": lambda: classifier(random_state=1).fit(X, y, checkpoint=path),
        "classes": lambda: classifier().fit(X, np.where(y, "a", "b"), checkpoint=path),
        "estimator": lambda: regressor().fit(X, y, checkpoint=path),
    }
    for what, call in others.items():
        with pytest.raises(saiki.CheckpointError, match=f"other .*{what}"):
            call()


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("solver", lambda: saiki.optimizers.sgd(0.01), lambda: saiki.optimizers.sgd(0.5)),
        ("learning_rate", lambda: saiki.optimizers.cosine(0.01, 9), lambda: saiki.optimizers.cosine(0.05, 9)),
        ("learning_rate", lambda: lambda n: 0.1 / (n + 1), lambda: lambda n: 0.1 / (n + 2)),
        ("cell", lambda: saiki.cells.CELLS["simple"], lambda: saiki.cells.CELLS["simple"].with_activation("relu")),
    ],
)
def test_what_a_function_does_is_part_of_a_run(name: str, one: Any, other: Any, tmp_path: Path) -> None:
    assert description(one()) == description(one()) != description(other())
    X, y = np.ones((6, 2, 1)), np.arange(6) % 2
    classifier(**{name: one()}).fit(X, y, checkpoint=tmp_path / "run")
    classifier(**{name: one()}).fit(X, y, checkpoint=tmp_path / "run")
    with pytest.raises(saiki.CheckpointError, match=name):
        classifier(**{name: other()}).fit(X, y, checkpoint=tmp_path / "run")


def test_a_fit_ended_by_a_callback_goes_on(tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 4, 1)), np.arange(20) % 2
    first = classifier(max_iter=6, callbacks=[lambda epoch: epoch.count == 2]).fit(X, y, checkpoint=tmp_path / "run")
    assert first.n_iter_ == 2
    again = classifier(max_iter=6).fit(X, y, checkpoint=tmp_path / "run")
    assert again.loss_curve_ == classifier(max_iter=6).fit(X, y).loss_curve_


@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_a_seed_too(early_stopping: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((40, 4, 1)), np.arange(40) % 2

    def stop(epoch: Epoch) -> None:
        if epoch.count == 2:
            raise KeyboardInterrupt

    options = {"random_state": None, "early_stopping": early_stopping, "max_iter": 5}
    with pytest.raises(KeyboardInterrupt):
        classifier(callbacks=[stop], **options).fit(X, y, checkpoint=tmp_path / "run")
    whole = classifier(**options).fit(X, y, checkpoint=tmp_path / "run")
    assert whole.n_iter_ == 5
    assert len(whole.validation_scores_ or []) == 5 * early_stopping


FIT = """
import sys, numpy as np, saiki
from saiki.training import checkpoint
checkpoint.LEAST_SECONDS = 0.0
rng = np.random.default_rng(0)
X = [rng.standard_normal((n, 2)) for n in rng.integers(1, 9, size=120)]
y = np.array([x[:, 0].sum() > 0 for x in X])
model = saiki.RNNClassifier(
    "lstm", hidden_layer_sizes=(8,), dropout=0.2, early_stopping=True, n_iter_no_change=50, max_iter=50, random_state=3
)
print("begins", flush=True)
model.fit(X, y, checkpoint=sys.argv[1])
saiki.save(model, sys.argv[2])
"""


@contextmanager
def fitting(checkpoint: Path, result: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", FIT, str(checkpoint), str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        yield process


def test_killed_at_any_moment_it_ends_the_same(tmp_path: Path, rng: np.random.Generator) -> None:
    for name in ("warm", "whole"):  # what compiles for the first time takes longer than any fit after it
        with fitting(tmp_path / f"{name}.run", tmp_path / name) as process:
            start = time.monotonic()
            assert process.wait() == 0
            took = time.monotonic() - start
    for path in tmp_path.glob("warm*"):
        path.unlink()
    killed = 0
    for _ in range(4):
        with fitting(tmp_path / "run", tmp_path / "result") as process:
            try:
                process.wait(rng.uniform(0, 0.25) * took)  # each goes on where the one before was killed
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
    with fitting(tmp_path / "run", tmp_path / "result") as process:
        assert process.wait() == 0
    assert killed > 0
    assert (tmp_path / "result").read_bytes() == (tmp_path / "whole").read_bytes()
    left = {path.name for path in tmp_path.iterdir()} - {"whole.run.lock", "run.lock"}
    assert left == {"whole", "whole.run", "whole.run.previous", "result", "run", "run.previous"}
