"""``saiki tree``, as a user meets it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import saiki
from saiki.cli.tree import verdict
from saiki.tasks.found import ArithmeticExperiment
from saiki.tasks.given import ListsExperiment, Outcome
from saiki.tasks.joins import JOINS
from saiki.tasks.nested_lists import tree_of, value_of
from saiki.tasks.quiz import Quiz
from tests.cli.conftest import LISTENING, Run

SMALL: dict[str, dict[str, Any]] = {
    "ListsExperiment": {"n_units": 8, "n_train": 120, "n_test": 80, "depths": (1, 2), "test_depths": (1, 2, 3)},
    "Quiz": {"n_units": 8, "n_train": 150, "n_test": 80, "epochs": 2},
    "ArithmeticExperiment": {"n_numbers": 3, "n_train": 60, "n_test": 50, "n_units": 8, "epochs": 3},
}
EXPERIMENTS: dict[str, Callable[..., Any]] = {
    "ListsExperiment": ListsExperiment,
    "Quiz": Quiz,
    "ArithmeticExperiment": ArithmeticExperiment,
}
QUICK = ["--seconds", "0.2"]
BLOCKS = {"given": "Structure given", "joined": "Two neighbours joined", "found": "Structure found"}


def make_small(change: Callable[[Any, str, Any], None] = setattr, **others: dict[str, Any]) -> None:
    """Give the command smaller experiments."""
    module = import_module("saiki.cli.tree")  # beside it there is the command, of the same name
    for name, settings in SMALL.items():
        change(module, name, partial(EXPERIMENTS[name], **settings | others.get(name, {})))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch.setattr)


def read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text())
    return told


@pytest.mark.usefixtures("small")
def test_what_is_printed_is_what_came_out(run: Run, tmp_path: Path) -> None:
    code, out, err = run("tree", *QUICK, "--json", "t.json")
    assert (code, err) == (0, "")
    lines, told = out.splitlines(), read(tmp_path / "t.json")
    assert max(map(len, lines)) <= 80
    assert told["stopped"] is None
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")
    assert lines[-2:] == ["history: t.json", "picture: tree.png"]
    assert [out.index(block) for block in BLOCKS.values()] == sorted(out.index(block) for block in BLOCKS.values())

    (text, value) = re.findall(r"such as (.*) = (\d)$", out, re.MULTILINE)[0]
    assert value_of(tree_of(text)) == int(value)
    rows = {line.strip(): line for line in lines}
    of_tree, flat, always = told["given"]
    for one in (of_tree, flat):
        learnt = [one["name"], one["n_params"], one["n_epochs"], f"{one['seconds']:.1f}"]
        assert row([*learnt, *percents(one["by_depth"])]) in map(row, rows)
        assert list(one["by_depth"]) == ["1", "2", "3"]
    assert row([always["name"], *percents(always["by_depth"])]) in map(row, rows)
    assert "No list to learn from was deeper than 2. On busy cores both learn less." in lines

    assert list(told["joined"]) == list(JOINS)
    for name, by_depth in told["joined"].items():
        assert row([name, *percents(by_depth)]) in map(row, rows)
    joined = {name: {int(depth): share for depth, share in of.items()} for name, of in told["joined"].items()}
    assert verdict(joined, 3) in out

    assert [one["n_numbers"] for one in told["found"]] == [3, 6]
    printed = [(name, f1) for name, f1 in re.findall(r"^  (\S.*?) +F1 ([01]\.\d{3})$", out, re.MULTILINE)]
    assert printed == [(name, f"{f1:.3f}") for one in told["found"] for name, f1 in one["f1"].items()]
    words = re.findall(r"[^\s()]+", told["found"][0]["example"])
    assert f"{' '.join(words)}, as it is joined, with the score of each join:" in lines

    assert list(told["settings"]) == ["given", "joined", "found"]
    for settings, asked in zip(told["settings"].values(), SMALL.values(), strict=True):
        assert settings.items() >= json.loads(json.dumps(asked)).items()
        assert settings["seed"] == 0
    assert told["settings"]["given"]["seconds"] == 0.2


def row(cells: str | list[Any]) -> list[str]:
    """The words of a row, whatever stands between them."""
    return (cells if isinstance(cells, str) else " ".join(map(str, cells))).split()


def percents(by_depth: dict[str, float]) -> list[str]:
    return [f"{share:.0%}" for share in by_depth.values()]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("part", BLOCKS)
def test_one_part_alone(run: Run, tmp_path: Path, part: str) -> None:
    options = QUICK if part == "given" else ["--beam", "2"] if part == "found" else []
    code, out, _ = run("tree", "--only", part, *options, "--seed", "7", "--json", "t.json", "--picture", "t.svg")
    told = read(tmp_path / "t.json")
    assert code == 0
    assert [name for name, block in BLOCKS.items() if block in out] == [part]
    assert [name for name in BLOCKS if told[name]] == [part]
    assert list(told["settings"]) == [part]
    assert told["settings"][part]["seed"] == 7
    assert told["settings"][part].get("beam", 2) == 2
    assert 'id="axes_1"' in (tmp_path / "t.svg").read_text()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("part", ["joined", "found"])
def test_same_seed_same_output(run: Run, part: str) -> None:
    options = ["tree", "--only", part, "--picture", "none"]
    first, again, other = (run(*options, "--seed", seed)[1] for seed in "112")
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "lost"], "'lost' is not one of 'given', 'joined', 'found'."),
        (["--seconds", "0"], "0.0 is not in the range x>0"),
        (["--seconds", "nan"], "seconds must be a positive, finite number; got nan."),
        (["--seconds", "inf"], "seconds must be a positive, finite number; got inf."),
        (["--beam", "0"], "0 is not in the range x>=1"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--seed", "4294967296"], "4294967296 is not in the range 0<=x<=4294967295"),
        (
            ["--only", "joined", "--seconds", "3"],
            "--seconds goes with the part 'given', which --only joined leaves out.",
        ),
        (["--only", "given", "--beam", "1"], "--beam goes with the part 'found', which --only given leaves out."),
        (["--picture", "no/such/a.png"], "cannot write 'no/such/a.png': No such file or directory."),
        (["--picture", "tree.txt"], "'tree.txt' must end in one of ."),
        (["--json", "."], "cannot write '.': Is a directory"),
        (["--json", "tree.png"], "--picture and --json must be two files; both are 'tree.png'"),
        (["--nonsense"], "No such option"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    kept = [] if "--json" in arguments else ["--json", "t.json"]
    code, out, err = run("tree", *arguments, *kept)
    assert code == 2
    assert message in err
    assert (err.count("\n"), out) == (1, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("error", "code", "said", "stopped"),
    [
        (KeyboardInterrupt(), 130, "interrupted", "interrupted"),
        (saiki.SaikiError("it broke."), 1, "it broke.", "SaikiError: it broke."),
        (MemoryError("9 GB"), 1, "not enough memory: 9 GB.", "MemoryError: 9 GB"),
    ],
)
def test_what_came_out_before_the_end_is_kept(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    said: str,
    stopped: str,
) -> None:
    right = Quiz.run

    def stopped_by_the_third(quiz: Quiz, join: str) -> Iterator[Any]:
        if join == "product":
            raise error
        yield from right(quiz, join)

    monkeypatch.setattr(Quiz, "run", stopped_by_the_third)
    got, out, err = run("tree", *QUICK, "--json", "t.json", "--picture", "t.svg")
    told = read(tmp_path / "t.json")
    assert got == code
    assert err.strip().startswith(f"saiki: {said}")
    assert told["stopped"] == stopped
    assert (len(told["given"]), list(told["joined"]), told["found"]) == (3, ["W [left; right]", "sum"], [])
    for name, by_depth in told["joined"].items():
        assert row([name, *percents(by_depth)]) in map(row, out.splitlines())
    picture = (tmp_path / "t.svg").read_text()
    assert ('id="axes_2"' in picture, 'id="axes_3"' in picture) == (True, False)


@pytest.mark.usefixtures("small")
def test_an_end_before_anything_came_out_draws_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(ListsExperiment, "run", stopped)
    code, out, _ = run("tree", "--json", "t.json")
    assert code == 130
    assert "picture" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]
    assert read(tmp_path / "t.json")["given"] == []


@pytest.mark.usefixtures("small")
def test_a_full_disk_names_the_option_and_loses_nothing_else(run: Run, tmp_path: Path) -> None:
    code, out, err = run("tree", "--only", "joined", "--json", "/dev/full", "--picture", "kept.png")
    assert code == 1
    assert err == "saiki: --json: '/dev/full' could not be written: No space left on device.\n"
    assert (tmp_path / "kept.png").exists()
    assert "maximum" in out


def test_ctrl_c_of_the_real_command(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-c", LISTENING, "tree", "--seconds", "600", "--json", "t.json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            while b"weights" not in process.stdout.readline():
                assert process.poll() is None
            time.sleep(1.5)  # so that it learns
            asked = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - asked < 10
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "saiki: interrupted"  # before it, what had to be compiled
    assert read(tmp_path / "t.json")["stopped"] == "interrupted"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_pipe_gets_plain_text_in_its_own_encoding(tmp_path: Path, encoding: str) -> None:
    code = "from tests.cli.test_tree import make_small; make_small(); from saiki.cli import main; main()"
    command = [sys.executable, "-c", code, "tree", *QUICK, "--picture", "none"]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": path},
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    out = done.stdout.decode(encoding)
    assert "Structure found" in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    assert ("└" in out) == (encoding == "utf-8")
    assert b"\x1b" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_nothing_is_claimed_of_depths_that_were_not_tried(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: dict[str, Any] = {
        "Quiz": {"test_depths": (1, 2), "depths": (3,)},
        "ListsExperiment": {"test_depths": (2, 1)},
    }
    make_small(monkeypatch.setattr, **others)
    code, out, _ = run("tree", *QUICK, "--json", "t.json")
    assert code == 0
    assert "At depth" not in out
    assert "No list to learn from was deeper" not in out
    assert "For the same tokens, sum, product and maximum do not depend on the tree." in out
    assert list(read(tmp_path / "t.json")["joined"]["sum"]) == ["1", "2"]


def test_the_sentence_of_the_quiz_follows_from_its_numbers() -> None:
    always = "For the same tokens, sum, product and maximum do not depend on the tree."
    shares = dict(zip(JOINS, (0.604, 0.2, 0.3, 0.1), strict=True))
    joined = {name: {1: 0.9, 3: share} for name, share in shares.items()}
    said = "At depth 3 W [left; right] has 60% right; the best of the others, product, 30%.\n"
    assert verdict(joined, 3) == said + always
    shares |= {"W [left; right]": 0.1, "maximum": 0.52}
    joined = {name: {1: 0.9, 3: share} for name, share in shares.items()}
    said = "At depth 3 W [left; right] has 10% right; the best of the others, maximum, 52%.\n"
    assert verdict(joined, 3) == said + always
    assert verdict(joined, 2) == always


def test_help_tells_the_parts(run: Run) -> None:
    code, out, _ = run("tree", "--help")
    assert code == 0
    assert "[given|joined|found]" in out
    assert all(f"'{part}'" in out for part in BLOCKS)
