"""``saiki inspect``, as a user meets it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import saiki
from saiki.cli.inspect import VIEWS
from saiki.explain.traces import FRAMES
from tests.cli.conftest import Run
from tests.estimators.data import ESTIMATORS, OTHERS, QUICK, data_for, quick

SEQUENCES, STEPS, FEATURES = 12, 5, 2


@pytest.fixture
def kept(tmp_path: Path, rng: np.random.Generator) -> Any:
    """Return a fitted classifier, whose file and data lie where the command runs."""
    X, y = rng.standard_normal((SEQUENCES, STEPS, FEATURES)), np.array(["down", "up"] * (SEQUENCES // 2))
    classifier = saiki.RNNClassifier(cell="lstm", output="last", **QUICK | {"hidden_layer_sizes": 3}).fit(X, y)
    saiki.save(classifier, tmp_path / "model.safetensors")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    np.savez(tmp_path / "ragged.npz", X=X, y=y, lengths=np.arange(SEQUENCES) % STEPS + 1)
    np.save(tmp_path / "inputs.npy", X)
    rows = pd.DataFrame(X.reshape(-1, FEATURES), columns=["one", "two"])
    rows["who"] = np.repeat(np.arange(SEQUENCES), STEPS)
    rows["when"] = np.tile(np.arange(STEPS), SEQUENCES)
    rows["label"] = np.repeat(y, STEPS)
    rows.sample(frac=1, random_state=0).sort_values("who", kind="stable").to_csv(tmp_path / "table.csv", index=False)
    rows.to_parquet(tmp_path / "table.parquet")
    return classifier, X, y


TABLE = ("--id", "who", "--time", "when", "--feature", "one", "--feature", "two", "--target", "label")


def test_a_model_alone(run: Run, kept: Any) -> None:
    code, out, err = run("inspect", "model.safetensors")
    classifier, _, _ = kept
    assert (code, err) == (0, "")
    assert out.startswith(repr(classifier).splitlines()[0])
    assert f"{sum(p.size for p in classifier.params_.values())} parameters; 3 epochs" in out
    for epoch, loss in enumerate(classifier.loss_curve_, 1):
        assert any(line.split()[0] == str(epoch) and line.endswith(f" {loss:.3g}") for line in out.splitlines()[3:])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_in_the_terminal_and_as_a_picture(view: str, run: Run, kept: Any, tmp_path: Path) -> None:
    code, out, err = run("inspect", "model.safetensors", "data.npz", "--view", view, "--sequence", "1")
    assert (code, err) == (0, "")
    assert "12 sequences of 5 steps, score" in out
    assert "sequence 1: predicted" in out
    assert len(out.splitlines()) > 6
    code, out, err = run("inspect", "model.safetensors", "data.npz", "--view", view, "--picture", "seen.png")
    assert (code, err) == (0, "")
    assert "picture: seen.png" in out
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")


def test_the_blocks_are_those_of_the_trace(run: Run, kept: Any) -> None:
    classifier, X, y = kept
    _, out, _ = run("inspect", "model.safetensors", "data.npz", "--view", "states", "--sequence", "4")
    h = saiki.trace(classifier, X[4:5], y[4:5]).layers[0].h[0]
    lines = out.split("h (rows: unit; columns: step t)\n")[1].splitlines()
    places = np.round((h.T / np.abs(h).max() + 1) / 2 * 8).astype(int)
    for unit in range(3):
        assert lines[unit].split() == [str(unit), "".join(".:-=+*#%@"[place] * 2 for place in places[unit])]
    assert lines[4].split()[0] == f"{-np.abs(h).max():.3g}"


def test_the_worked_example_is_that_of_the_sequence(run: Run, kept: Any) -> None:
    classifier, X, y = kept
    _, out, _ = run("inspect", "model.safetensors", "data.npz", "--view", "worked", "--sequence", "2", "--steps", "2:3")
    said = [line.rstrip() for line in str(saiki.trace(classifier, X[2:3], y[2:3], steps=[1, 2])).splitlines()]
    assert [line.rstrip() for line in out.splitlines()][-len(said) :] == said


@pytest.mark.parametrize("table", ["table.csv", "table.parquet"])
def test_a_table_gives_what_arrays_give(table: str, run: Run, kept: Any) -> None:
    _, arrays, _ = run("inspect", "model.safetensors", "data.npz")
    _, out, err = run("inspect", "model.safetensors", table, *TABLE)
    assert err == ""
    assert out.replace(table, "data.npz").replace("sequence 0 (0)", "sequence 0") == arrays


@pytest.mark.parametrize("library", FRAMES)
def test_a_table_is_read_as_what_it_holds(
    library: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr("saiki.cli.data.FRAMES", (library,))
    rows = pd.DataFrame({"who": np.repeat(["007", "7", "07"], 4), "when": [9, 10, 11, 12] * 3, "label": "up"})
    rows["one"], rows["two"] = rng.standard_normal((2, 12))
    rows.loc[4:7, "label"] = "down"
    found = saiki.sequences(rows, "who", "when", ["one", "two"], "label")
    classifier = saiki.RNNClassifier(**QUICK).fit(*found)
    saiki.save(classifier, tmp_path / "m.safetensors")
    table = ("--id", "who", "--time", "when", "--target", "label")

    shuffled = rows.sample(frac=1, random_state=1).sort_values("who", kind="stable")
    shuffled[["two", "one", "who", "when", "label"]].to_csv(tmp_path / "table.csv", index=False)
    code, out, err = run("inspect", "m.safetensors", "table.csv", *table)
    assert (code, err) == (0, "")
    assert f"3 sequences of 4 steps, score {classifier.score(*found):.4g}" in out
    assert "sequence 0 (007): predicted" in out
    _, named, _ = run("inspect", "m.safetensors", "table.csv", *table, "--feature", "one", "--feature", "two")
    assert named == out  # in the order of fit
    np.savez(tmp_path / "data.npz", X=np.array(list(found.X)), y=found.y)
    code, arrays, err = run("inspect", "m.safetensors", "data.npz")
    assert arrays.replace("data.npz", "table.csv").replace("sequence 0:", "sequence 0 (007):") == out
    assert (
        err == "saiki: data.npz: X does not have valid feature names, but RNNClassifier was fitted with feature names\n"
    )

    for times in (["9:05", "10:05", "11:05", "12:05"], ["1/9/2026", "1/10/2026", "1/11/2026", "2/1/2026"]):
        rows.assign(when=times * 3).to_csv(tmp_path / "table.csv", index=False)
        code, out, err = run("inspect", "m.safetensors", "table.csv", *table)
        assert (code, out) == (2, "")
        assert "table.csv: column 'when' must have a certain order; it holds text" in err
    rows.drop(columns="one").to_csv(tmp_path / "table.csv", index=False)
    code, out, err = run("inspect", "m.safetensors", "table.csv", *table)
    assert (code, out) == (2, "")
    assert "X must have the features that RNNClassifier was fitted with, 'one', 'two'; missing: 'one'" in err


def test_lengths_and_inputs_alone(run: Run, kept: Any) -> None:
    _, out, _ = run("inspect", "model.safetensors", "ragged.npz", "--sequence", "2", "--view", "worked")
    assert "one sequence; 3 steps" in out
    assert "12 sequences of 1 to 5 steps" in out
    code, out, err = run("inspect", "model.safetensors", "inputs.npy", "--view", "all")
    assert (code, err) == (0, "")
    assert "inputs (rows: feature; columns: step t)" in out
    assert "delta" not in out


def test_what_stands_beyond_a_sequence_is_not_shown(run: Run, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((6, 5, 2)), np.full((6, 5), "a")
    y[:, ::2], lengths = "b", [3, 5, 4, 5, 5, 5]
    classifier = saiki.RNNClassifier(**QUICK | {"output": "each"}).fit(X, y, lengths=lengths)
    saiki.save(classifier, tmp_path / "m.safetensors")
    np.savez(tmp_path / "d.npz", X=X, y=y, lengths=lengths)
    _, out, _ = run("inspect", "m.safetensors", "d.npz")
    assert "target ['b' 'a' 'b']\n" in out


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_can_be_looked_into_or_says_why_not(
    name: str, run: Run, tmp_path: Path, rng: np.random.Generator
) -> None:
    X, y = data_for(name, rng)
    saiki.save(quick(name).fit(X, y), tmp_path / "m.safetensors")
    np.savez(tmp_path / "d.npz", X=rng.standard_normal((12, 5, 2)), y=np.arange(12) % 2)
    if name in OTHERS:
        code, out, err = run("inspect", "m.safetensors", "--view", "all")
        assert (code, err) == (0, "")
        assert "loss after each epoch" in out
        assert "Wh" in out
        code, out, err = run("inspect", "m.safetensors", "d.npz")
        assert (code, out) == (2, "")
        assert f"holds a {name}, which DATA cannot be shown of" in err
        assert "Leave DATA out" in err
        return
    code, out, err = run("inspect", "m.safetensors", "d.npz", "--view", "all")
    if hasattr(ESTIMATORS[name], "network_problem"):
        assert (code, err) == (0, "")
        assert "mean by lag" in out
    else:
        assert code == 2
        assert "has no network to look into" in err


def test_all_views_are_drawn_but_a_graph_without_room(run: Run, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((6, 12, 2)), rng.standard_normal(6)
    saiki.save(saiki.RNNRegressor(**QUICK | {"hidden_layer_sizes": 7}).fit(X, y), tmp_path / "m.safetensors")
    np.savez(tmp_path / "d.npz", X=X, y=y)
    code, _, err = run("inspect", "m.safetensors", "d.npz", "--view", "all", "--picture", "all.png")
    assert (code, err) == (0, "")
    code, _, err = run("inspect", "m.safetensors", "d.npz", "--view", "worked", "--picture", "one.png")
    assert code == 2
    assert "a graph has room for 8 steps and 6 units; got 12 steps and 7 units" in err
    assert not (tmp_path / "one.png").exists()


def test_a_simple_cell_has_no_gates(run: Run, tmp_path: Path, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((6, 4, 2)), rng.standard_normal(6)
    saiki.save(saiki.RNNRegressor(**QUICK | {"cell": "simple"}).fit(X, y), tmp_path / "m.safetensors")
    np.savez(tmp_path / "d.npz", X=X, y=y)
    for more in ((), ("--picture", "none.png")):
        code, out, err = run("inspect", "m.safetensors", "d.npz", "--view", "gates", *more)
        assert (code, err) == (0, "")
        assert "there is nothing to see: RNNRegressor has no gates here" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.safetensors"], "No such file or directory"),
        (["data.npz"], "data.npz"),
        (["model.safetensors", "nowhere.npz"], "No such file or directory"),
        (["model.safetensors", "none.csv", "--id", "who"], "No such file or directory"),
        (["model.safetensors", "model.safetensors"], "data must be a file .npz, .npy, .csv or .parquet"),
        (["model.safetensors", "table.csv"], "--id must name the column"),
        (
            ["model.safetensors", "table.csv", "--id", "whom"],
            "id must be one of 'one', 'two', 'who'.*Did you mean 'who'",
        ),
        (["model.safetensors", "data.npz", "--target", "y"], "--target goes with a table"),
        (["model.safetensors", "--id", "who"], "go with DATA, a table"),
        (["model.safetensors", "--view", "states"], "--view states needs DATA"),
        (["model.safetensors", "inputs.npy", "--view", "delta"], "--view delta needs targets"),
        (["model.safetensors", "data.npz", "--sequence", "12"], "--sequence must be one of the 12"),
        (["model.safetensors", "data.npz", "--layer", "1"], "layer must be below 1, the number of recurrent layers"),
        (["model.safetensors", "data.npz", "--steps", "0:3"], "--steps must be FIRST:LAST, counted from 1"),
        (["model.safetensors", "data.npz", "--steps", "4"], "--steps must be FIRST:LAST"),
        (
            ["model.safetensors", "data.npz", "--steps", "9:12"],
            "--steps must name some of the 5 steps",
        ),
        (["model.safetensors", "wrong.npz"], "wrong.npz must hold X and, if they are known, y and lengths; it holds Z"),
        (["model.safetensors", "broken.npz"], "broken.npz holds no arrays that NumPy can read"),
        (["model.safetensors", "cut.npz"], "cut.npz holds no arrays that NumPy can read"),
        (["model.safetensors", "objects.npz"], "pad X with anything, and add lengths"),
        (["model.safetensors", "scalar.npz"], "scalar.npz: X must be"),
        (["model.safetensors", "none.npz"], "--sequence 0 has no steps; choose another"),
        (["model.safetensors", "steps.csv", *TABLE], "steps.csv: "),
        (["model.safetensors", "broken.parquet", "--id", "who"], "broken.parquet is no table"),
        (["model.safetensors", "narrow.npz"], "X has 1 features, but RNNClassifier is expecting 2"),
        (["model.safetensors", "data.npz", "--view", "state"], "'state' is not one of"),
        (["model.safetensors", "data.npz", "--picture", "seen.doc"], "must end in one of .png"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, run: Run, kept: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", Z=np.ones(3))
    np.savez(tmp_path / "narrow.npz", X=np.ones((2, 5, 1)), y=["up", "down"])
    np.savez(tmp_path / "scalar.npz", X=3.0)
    np.savez(tmp_path / "none.npz", X=np.ones((2, 5, 2)), lengths=[0, 5], y=["up", "down"])
    np.savez(tmp_path / "objects.npz", X=np.array([np.ones((2, 2)), np.ones((3, 2))], object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "data.npz").read_bytes()[:-40])
    rows = pd.read_csv(tmp_path / "table.csv")
    rows["label"] = ["up", "down"] * (len(rows) // 2)
    rows.to_csv(tmp_path / "steps.csv", index=False)
    for name in ("broken.npz", "broken.parquet"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    code, out, err = run("inspect", *arguments)
    assert code in (1, 2)
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert re.search(message, err), err
