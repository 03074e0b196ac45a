"""``saiki tree``: networks that are given the structure of their data, and networks that find it."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import click
from click.core import ParameterSource

from saiki.cli.outputs import OutputFile, PictureFile, kept, settings_of, write_json, writing
from saiki.tasks.found import ArithmeticExperiment, Found
from saiki.tasks.given import ListsExperiment, Outcome
from saiki.tasks.joins import JOINS
from saiki.tasks.nested_lists import text_of, value_of
from saiki.tasks.quiz import Quiz
from saiki.training.progress import progress, progress_bar
from saiki.trees import Tree

PARTS = "given", "joined", "found"
"""The parts of the command, in order."""

PART_OF = {"seconds": "given", "beam": "found"}
"""Options that one part alone has a use for."""

SEEDS = 2**32 - 1
"""The greatest seed; scikit-learn takes none above it."""


@final
@dataclass
class Record:
    """What has happened, for the picture and the JSON file."""

    settings: dict[str, dict[str, Any]]
    given: list[Outcome] = field(default_factory=list)
    joined: dict[str, dict[int, float]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    stopped: str | None = None

    def save_json(self, path: Path) -> bool:
        """Write versions, the settings of each part as they were used, and all results as JSON."""
        content = {
            "settings": self.settings,
            "given": [outcome._asdict() for outcome in self.given],
            "joined": self.joined,
            "found": [one._asdict() | {"example": str(one.example)} for one in self.found],
            "stopped": self.stopped,
        }
        write_json(path, content)
        return True

    def save_picture(self, path: Path) -> bool:
        """Draw what there is of each part; nothing, if nothing has happened."""
        from saiki.explain.plots import tree_tasks_figure

        if not (self.given or self.joined or self.found):
            return False
        given = {outcome.name: outcome.by_depth for outcome in self.given}
        example = self.found[0].example if self.found else None
        found = {f"{one.n_numbers} numbers": one.f1 for one in self.found}
        figure = tree_tasks_figure(given, self.joined, found, example)
        with writing("--picture", path) as file:
            figure.savefig(file, format=path.suffix[1:].lower())
        return True


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    type=click.Choice(PARTS),
    help="One part of the three alone.  [default: all]",
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=25.0, help="How long each network of 'given' learns."
)
@click.option("--beam", type=click.IntRange(1), default=1, help="Ways to join that the parser of 'found' follows up.")
@click.option("--seed", type=click.IntRange(0, SEEDS), default=0, help="Of data and initial weights.")
@click.option("--picture", type=PictureFile(), default="tree.png", help="Picture of the results, or 'none'.")
@click.option("--json", "json_file", type=OutputFile(), help="File for the settings and the results.")
@click.pass_context
def tree(
    context: click.Context,
    only: str | None,
    seconds: float,
    beam: int,
    seed: int,
    picture: Path | None,
    json_file: Path | None,
) -> None:
    """Recursive networks over trees: structure given, joined and found. Two minutes on two cores.

    'given': nested lists such as [MAX 2 9 [MIN 4 7]] are worked out by a Tree-LSTM on their trees, and by an LSTM on
    the flat tokens, with as many parameters and in the same time. 'joined': two neighbours become one vector by
    W [left; right], or by their sum, product or maximum. 'found': a parser network finds the trees of arithmetic
    without brackets, also of expressions twice as long as it has seen.
    """
    for name, part in PART_OF.items():
        if only not in (None, part) and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} goes with the part '{part}', which --only {only} leaves out.")
    parts: dict[str, tuple[Any, Callable[[Any, Record], None]]] = {
        "given": (ListsExperiment(seconds=seconds, seed=seed), work_out),
        "joined": (Quiz(seed=seed), join),
        "found": (ArithmeticExperiment(beam=beam, seed=seed), find),
    }
    chosen = PARTS if only is None else (only,)
    record = Record({name: settings_of(parts[name][0]) for name in chosen})
    with kept(record, picture, json_file):
        for name in chosen:
            experiment, run = parts[name]
            run(experiment, record)


def work_out(experiment: ListsExperiment, record: Record) -> None:
    """Run the first part."""
    example = min(experiment.train, key=lambda one: (one.height != 2, len(one)))
    print(
        f"Structure given: nested lists are worked out, such as {text_of(example)} = {value_of(example)}\n"
        "(SM: the last digit of the sum; MED: the median, of two the lower). Two networks\n"
        f"learn from {experiment.n_train} of depth {_range(experiment.depths)}, for {experiment.seconds:g} seconds"
        f" each. Right answers on {len(experiment.test)}\nothers\n('always ...' is the commonest answer):\n"
    )
    header = " weights", " epochs", " seconds", *_columns(experiment.test_depths)
    width = max(map(len, experiment.networks))
    _print_row("", width, header, header)

    def keep(outcome: Outcome) -> None:
        record.given.append(outcome)
        learnt = outcome.n_params, outcome.n_epochs, f"{outcome.seconds:.1f}"
        shares = _shares(outcome.by_depth, experiment.test_depths)
        _print_row(outcome.name, width, (*(learnt if outcome.n_params else ("", "", "")), *shares), header)

    for name in experiment.networks:
        with progress_bar(experiment.seconds, name) as show:
            outcome = experiment.run(name, lambda done, epoch: show(min(done, experiment.seconds), epoch))
        keep(outcome)
    keep(experiment.guess())
    if max(experiment.test_depths) > max(experiment.depths):
        print(f"\nNo list to learn from was deeper than {max(experiment.depths)}. On busy cores both learn less.")
    print()


def join(quiz: Quiz, record: Record) -> None:
    """Run the second part."""
    print(
        "Two neighbours joined into one vector, the quiz of docs/notes.md. Networks that\n"
        f"differ in the join alone learn from {quiz.n_train} nested lists of depth {_range(quiz.depths)}, {quiz.epochs}"
        f" times\neach. Right answers on {len(quiz.test)} others:\n"
    )
    width, header = max(map(len, JOINS)), _columns(quiz.test_depths)
    _print_row("", width, header, header)
    for name in JOINS:
        for step in progress(quiz.run(name), quiz.n_updates, name):
            params = step.params
        record.joined[name] = quiz.by_depth(name, params)
        _print_row(name, width, _shares(record.joined[name], quiz.test_depths), header)
    print(f"\n{verdict(record.joined, max(quiz.depths))}\n")


def verdict(joined: Mapping[str, Mapping[int, float]], depth: int) -> str:
    """Say what the quiz shows at a depth, if it was asked there, and what holds whatever the numbers are."""
    first, *others = JOINS
    shown = ""
    if all(depth in by_depth for by_depth in joined.values()):
        best = max(others, key=lambda name: joined[name][depth])
        shown = (
            f"At depth {depth} {first} has {joined[first][depth]:.0%} right; the best of the others, {best},"
            f" {joined[best][depth]:.0%}.\n"
        )
    return f"{shown}For the same tokens, sum, product and maximum do not depend on the tree."


def find(experiment: ArithmeticExperiment, record: Record) -> None:
    """Run the third part."""
    print(
        "Structure found: arithmetic without brackets, whose tree is precedence and left\n"
        f"association. A parser learns from {experiment.n_train} expressions of"
        f" {experiment.n_numbers} numbers and their trees,\n"
        f"{experiment.epochs} times each. F1 (the share of right joins) in others, of its trees and\n"
        "of those that nobody has to learn ('without precedence': each operator with the\n"
        "number after it, from left to right):"
    )
    with progress_bar(experiment.epochs, "parser") as show:
        parser = experiment.learn(lambda epoch: show(epoch.count, epoch))
    for n_numbers in (experiment.n_numbers, 2 * experiment.n_numbers):
        found = experiment.tried(parser, n_numbers)
        record.found.append(found)
        print(f"\n{n_numbers} numbers" + (", twice as many:" if n_numbers > experiment.n_numbers else ":"))
        width = max(map(len, found.f1))
        for name, f1 in found.f1.items():
            print(f"  {name:<{width}}  F1 {f1:.3f}")
    example = record.found[0].example
    print(f"\n{' '.join(map(str, example.tokens))}, as it is joined, with the score of each join:\n{_drawn(example)}\n")


def _drawn(tree: Tree) -> str:
    """Return a tree with lines; in brackets, where no lines can be printed."""
    return tree.drawn() if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf") else str(tree)


def _columns(depths: Sequence[int]) -> list[str]:
    return [f"depth {depth}" if depth == depths[0] else f"{depth:>4}" for depth in depths]


def _shares(by_depth: Mapping[int, float], depths: Sequence[int]) -> list[str]:
    return [f"{by_depth[depth]:.0%}" if depth in by_depth else "" for depth in depths]


def _range(depths: Sequence[int]) -> str:
    return str(depths[0]) if len(depths) == 1 else f"{min(depths)} to {max(depths)}"


def _print_row(name: str, width: int, cells: Iterable[object], header: Iterable[str]) -> None:
    """Print a row when it is there, so that it is not lost if the next one never comes."""
    row = "".join(f" {cell!s:>{len(column)}}" for cell, column in zip(cells, header, strict=True))
    print(f"  {name:<{width}}{row}", flush=True)
