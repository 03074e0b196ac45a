"""What has learnt from trees is saved, loaded and gone on with to the bit, and forged files are refused."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saiki
from saiki import files, tensors
from saiki.estimators.tree_inputs import read_items, read_trees
from saiki.training import checkpoint as checkpoint_module
from saiki.training.epochs import Epoch
from saiki.trees import Tree
from tests.estimators.data import OTHERS, data_for, expressions, named, quick

MIXED = [("a", (1, "b")), (2, "ä"), "a", (1, (-3, 10**30))]


def vectors_like(X: Any, rng: np.random.Generator) -> Any:
    """Return the same with vectors in the place of tokens."""
    return [
        rng.standard_normal((len(one), 3))
        if isinstance(one, list)
        else Tree(Tree.from_nested(one).parents, list(rng.standard_normal((len(Tree.from_nested(one)), 3))))
        for one in X
    ]


def assert_alike(one: Any, other: Any) -> None:
    assert one.loss_curve_ == other.loss_curve_
    assert one.validation_scores_ == other.validation_scores_
    for name, param in one.params_.items():
        np.testing.assert_array_equal(other.params_[name], param)


@pytest.mark.parametrize("kind", ["tokens", "vectors", "each"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_model_comes_back(name: str, kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    changes: dict[str, Any] = {"early_stopping": True, "dtype": "float32"} if kind == "tokens" else {}
    if kind == "vectors":
        X = vectors_like(X, rng)
    elif kind == "each" and name != "ParserNetwork":
        changes = {"output": "each", "cell": ["gru", "simple"], "hidden_layer_sizes": (4, 3), "dropout": 0.2}
        found = expressions(rng, 12)
        X, y = found.trees, [[np.nan if t is None else float(t) for t in truths] for truths in found.truths]
    model = quick(name, **changes).fit(X, y)
    saiki.save(model, tmp_path / "model")
    other = saiki.load(tmp_path / "model")
    assert other.get_params() == model.get_params()
    for one, two in zip(model.predict(X), other.predict(X), strict=True):
        assert np.array_equal(one, two)
    assert other.score(X, y) == model.score(X, y)
    assert other.vocabulary_ == model.vocabulary_
    assert_alike(model, other)
    if not model.early_stopping:
        assert_alike(model.partial_fit(X, y), other.partial_fit(X, y))
        for again in (model, other):
            again.set_params(warm_start=True).fit(X, y)
        assert_alike(model, other)


def test_tokens_of_every_kind(tmp_path: Path) -> None:
    model = quick("TreeRNNClassifier").fit(MIXED, ["x", "y", "x", "y"])
    saiki.save(model, tmp_path / "model")
    other = saiki.load(tmp_path / "model")
    assert other.vocabulary_ == [-3, 1, 2, 10**30, "a", "b", "ä"]
    assert [type(token) for token in other.vocabulary_] == [int] * 4 + [str] * 3
    np.testing.assert_array_equal(other.predict_proba(MIXED), model.predict_proba(MIXED))
    assert other.classes_.tolist() == ["x", "y"]
    both = quick("TreeRNNRegressor").fit(MIXED, np.eye(4)[:, :2])
    saiki.save(both, tmp_path / "both")
    np.testing.assert_array_equal(saiki.load(tmp_path / "both").predict(MIXED), both.predict(MIXED))


def test_a_cell_of_ones_own_is_asked_for(tmp_path: Path, rng: np.random.Generator) -> None:
    cell = saiki.cells.TREE_CELLS["simple"].with_activation("relu")
    for name in OTHERS:
        X, y = data_for(name, rng)
        model = quick(name, cell=cell).fit(X, y)
        saiki.save(model, tmp_path / "model")
        with pytest.raises(saiki.ArgumentError, match=r"cell \(TreeCell simple\) must be given again"):
            saiki.load(tmp_path / "model")
        assert saiki.load(tmp_path / "model", cell=cell).score(X, y) == model.score(X, y)
        with pytest.raises(saiki.FileError, match="no sound estimator"):
            saiki.load(tmp_path / "model", cell="gru")


def _changed(tree: Any, path: str, value: Any) -> Any:
    *way, last = path.split(".")
    at = tree
    for key in way:
        at = at[key]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return tree


OF_TOKENS: list[tuple[str, Any]] = [
    ("learnt.vocabulary_", ["a"]),
    ("learnt.vocabulary_", ["a", "b", "c", "c"]),
    ("learnt.vocabulary_", ["a", "b", "c", 1.5]),
    ("learnt.vocabulary_", ["a", "b", "c", None]),
    ("learnt.vocabulary_", ["a", "b", "c", True]),
    ("learnt.vocabulary_", ["a", "b", "c", ["d"]]),
    ("learnt.vocabulary_", ("a", "b", "c", "d")),
    ("learnt.vocabulary_", "abcd"),
    ("learnt.vocabulary_", 4),
    ("learnt.vocabulary_", {"a": 0, "b": 1, "c": 2, "d": 3}),
    ("learnt.vocabulary_", np.arange(4)),
    ("learnt.vocabulary_", None),
    ("learnt.vocabulary_", ...),
    ("learnt._scaling", {"mean": np.zeros(4), "scale": np.ones(4)}),
    ("learnt._scaling", ...),
    ("learnt._epoch.params.0/W", np.zeros((3, 4))),
    ("parameters.embedding_size", 10**12),
    ("parameters.cell", "child_sum_lstm"),
    ("parameters.cell", ["lstm", ["gru"]]),
]
OF_VECTORS: list[tuple[str, Any]] = [
    ("learnt.vocabulary_", ["a", "b", "c"]),
    ("learnt.vocabulary_", []),
    ("learnt._scaling", None),
    ("learnt._scaling", ...),
    ("learnt._scaling.mean", np.zeros(2)),
    ("learnt._scaling.scale", np.zeros(3)),
    ("learnt._scaling.scale", np.full(3, np.inf)),
    ("learnt._scaling", {"mean": np.zeros(4), "scale": np.ones(4)}),
]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [*(("tokens", *case) for case in OF_TOKENS), *(("vectors", *case) for case in OF_VECTORS)],
    ids=named,
)
@pytest.mark.parametrize("name", OTHERS)
def test_forged_files(name: str, kind: str, path: str, value: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    X: Any = [list("abc"), ["d"]] if name == "ParserNetwork" else [("a", ("b", "c")), "d"]
    y = [(("a", "b"), "c"), "d"] if name == "ParserNetwork" else [0, 1]
    saiki.save(quick(name).fit(X if kind == "tokens" else vectors_like(X, rng), y), tmp_path / "model")
    tensors.write(tmp_path / "model", _changed(tensors.read(tmp_path / "model"), path, value))
    with pytest.raises(saiki.FileError, match="model"):
        saiki.load(tmp_path / "model")


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_a_fit_that_is_cut_off_goes_on_to_the_bit(
    name: str, early_stopping: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    X, y = data_for(name, rng)
    options: dict[str, Any] = {"max_iter": 6, "batch_size": 5, "early_stopping": early_stopping}
    options |= {} if name == "ParserNetwork" else {"dropout": 0.2}

    def interrupt(epoch: Epoch) -> None:
        if epoch.count == 4:
            raise KeyboardInterrupt

    path = tmp_path / "run"
    first = quick(name, callbacks=[lambda epoch: epoch.count == 2], **options).fit(X, y, checkpoint=path)
    assert first.n_iter_ == 2
    second = quick(name, callbacks=[interrupt], **options)
    with pytest.raises(KeyboardInterrupt):
        second.fit(X, y, checkpoint=path)
    assert second.n_iter_ == 4  # what was learnt is there
    assert len(second.predict(X)) == len(X)
    whole = quick(name, **options).fit(X, y)
    seen: list[Any] = []
    assert_alike(whole, quick(name, **options).fit(X, y, checkpoint=path))
    assert_alike(whole, quick(name, callbacks=[seen.append], **options).fit(X, y, checkpoint=path))
    assert not seen  # nothing was left to learn


@pytest.mark.parametrize("name", OTHERS)
def test_another_call_is_refused(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    path = tmp_path / "run"
    quick(name).fit(X, y, checkpoint=path)
    others: dict[str, Callable[[], Any]] = {
        "data": lambda: quick(name).fit(X[::-1], y[::-1], checkpoint=path),
        "embedding_size": lambda: quick(name, embedding_size=5).fit(X, y, checkpoint=path),
        "cell": lambda: quick(name, cell="gru" if name != "ParserNetwork" else "lstm").fit(X, y, checkpoint=path),
        "validation data": lambda: quick(name).fit(X, y, validation_data=(X, y), checkpoint=path),
    }
    for what, call in others.items():
        with pytest.raises(saiki.CheckpointError, match=f"a run with other .*{what}"):
            call()
    quick(name).fit(X, y, checkpoint=path)


def test_whatever_stands_in_the_data_is_told_apart() -> None:
    forests: list[Any] = [
        [("a", "b")], [("a", "c")], [("b", "a")], [(1, 2)], [("1", "2")], [("a", ("b",))], ["a", "b"],
        [Tree([-1, 0, 0], ["a", None, "b"])], [(np.ones(2), np.zeros(2))], [(np.ones(2), np.ones(2))],
    ]  # fmt: skip
    read = [saiki.training.examples.Examples(read_trees(X), np.zeros(len(X))).digest() for X in forests]
    assert len(set(read)) == len(read)
    sequences: list[Any] = [[["a", "b"]], [["a", "c"]], [[1, 2]], [["1", "2"]], [["a"], ["b"]], [np.ones((2, 1))]]
    items = [saiki.training.examples.Examples(read_items(X), np.zeros(len(X))).digest() for X in sequences]
    assert len(set(items)) == len(items)


def test_a_parsers_trees_are_part_of_a_run(tmp_path: Path) -> None:
    X = [list("abc"), list("ab")]
    quick("ParserNetwork").fit(X, [(("a", "b"), "c"), ("a", "b")], checkpoint=tmp_path / "run")
    with pytest.raises(saiki.CheckpointError, match="other data"):
        quick("ParserNetwork").fit(X, [("a", ("b", "c")), ("a", "b")], checkpoint=tmp_path / "run")


@pytest.mark.parametrize("name", OTHERS)
def test_a_full_disk_loses_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(checkpoint_module, "LEAST_SECONDS", 0.0)
    X, y = data_for(name, rng)
    write = files.replace_and_keep
    writes: list[Path] = []

    def fails_the_third_time(path: Path, data: bytes) -> None:
        writes.append(path)
        if len(writes) == 3:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint_module, "replace_and_keep", fails_the_third_time)
    model = quick(name, max_iter=6)
    with pytest.raises(OSError, match="could not be written; the one before is still there"):
        model.fit(X, y, checkpoint=tmp_path / "run")
    assert model.n_iter_ == 3
    assert_alike(quick(name, max_iter=6).fit(X, y), quick(name, max_iter=6).fit(X, y, checkpoint=tmp_path / "run"))


FIT = """
import sys, numpy as np, saiki
from saiki.training import checkpoint
from tests.estimators.data import data_for, quick
checkpoint.LEAST_SECONDS = 0.0
X, y = data_for(sys.argv[1], np.random.default_rng(0))
model = quick(sys.argv[1], max_iter=150, batch_size=5, early_stopping=True, n_iter_no_change=150)
print("begins", flush=True)
model.fit(X, y, checkpoint=sys.argv[2], validation_data=(X, y))
saiki.save(model, sys.argv[3])
"""


@pytest.mark.parametrize("name", ["ParserNetwork", "TreeRNNClassifier"])
def test_killed_at_any_moment_it_ends_the_same(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    def run(checkpoint: str, result: str, epochs: int | None) -> int | None:
        """Fit in another process, which is killed once it has written so many epochs more."""
        command = [sys.executable, "-c", FIT, name, str(tmp_path / checkpoint), str(tmp_path / result)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            goal = None if epochs is None else epochs + written(tmp_path / checkpoint)
            while process.poll() is None:
                if goal is not None and written(tmp_path / checkpoint) >= goal:
                    process.send_signal(signal.SIGKILL)
                    goal = None
        return process.returncode

    assert run("whole.run", "whole", None) == 0
    killed = [run("run", "result", int(rng.integers(1, 40))) for _ in range(2)]
    assert -signal.SIGKILL in killed
    assert run("run", "result", None) == 0
    assert (tmp_path / "result").read_bytes() == (tmp_path / "whole").read_bytes()


def written(path: Path) -> int:
    """Return how many epochs a checkpoint holds."""
    try:
        return int(tensors.read(path)["epoch"]["count"])
    except (OSError, saiki.FileError):
        return 0
