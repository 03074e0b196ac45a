"""``saiki tree``: networks that are given the structure of their data, and networks that find it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from saiki.cli.outputs import OutputFile, PictureFile, kept, write_json, writing
from saiki.tasks.found import ArithmeticExperiment, Found
from saiki.tasks.given import ListsExperiment, Outcome
from saiki.tasks.joins import JOINS
from saiki.tasks.nested_lists import text_of, value_of
from saiki.tasks.quiz import Quiz
from saiki.training.progress import progress, progress_bar

PARTS = "given", "joined", "found"
"""The parts of the command, in order."""

WIDTH = 100
"""How wide tables may be where there is no terminal to say it."""


@final
@dataclass
class Record:
    """What has happened, for the picture and the JSON file."""

    settings: dict[str, Any]
    given: list[Outcome] = field(default_factory=list)
    joined: dict[str, dict[int, float]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    stopped: str | None = None

    def save_json(self, path: Path) -> bool:
        """Write versions, settings and all results as JSON."""
        content = {
            "settings": self.settings,
            "given": [outcome._asdict() for outcome in self.given],
            "joined": self.joined,
            "found": [{"n_numbers": one.n_numbers, "f1": one.f1, "example": str(one.example)} for one in self.found],
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
    help="One part of the three alone: 'given', 'joined' or 'found'.  [default: all]",
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=25.0, help="How long each network of 'given' learns."
)
@click.option("--beam", type=click.IntRange(1), default=1, help="Ways to join that the parser of 'found' follows up.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of data and initial weights.")
@click.option("--picture", type=PictureFile(), default="tree.png", help="Picture of the results, or 'none'.")
@click.option("--json", "json_file", type=OutputFile(), help="File for the settings and the results.")
def tree(only: str | None, seconds: float, beam: int, seed: int, picture: Path | None, json_file: Path | None) -> None:
    """Recursive networks over trees: structure given, joined and found. Two minutes on two cores.

    'given': nested lists such as [MAX 2 9 [MIN 4 7]] are worked out by a Tree-LSTM on their trees, and by an LSTM on
    the flat tokens, with as many parameters and in the same time. 'joined': two neighbours become one vector by
    W [left; right], or by their sum, product or maximum. 'found': a parser network finds the trees of arithmetic
    without brackets, also of expressions twice as long as it has seen.
    """
    record = Record({"only": only, "seconds": seconds, "beam": beam, "seed": seed})
    parts = {"given": lambda: work_out(record), "joined": lambda: join(record), "found": lambda: find(record)}
    with kept(record, picture, json_file):
        for name in PARTS if only is None else (only,):
            parts[name]()


def work_out(record: Record) -> None:
    """Run the first part."""
    experiment = ListsExperiment(seconds=record.settings["seconds"], seed=record.settings["seed"])
    example = min(experiment.train, key=lambda one: (one.height != 2, len(one)))
    print(
        f"Structure given. Nested lists are to be worked out: {text_of(example)} = {value_of(example)}\n"
        f"{experiment.n_train} of depth {_range(experiment.depths)} to learn from, {experiment.seconds:g} seconds for"
        " each network; right answers on others, by depth:"
    )
    for name in experiment.networks:
        with progress_bar(max(1, round(experiment.seconds)), name) as show:
            record.given.append(experiment.run(name, lambda done, epoch: show(min(done, experiment.seconds), epoch)))
    record.given.append(experiment.guess())
    table = _table("network", "parameters", "epochs", "seconds", *map(str, experiment.test_depths))
    for one in record.given:
        learnt = [str(one.n_params), str(one.n_epochs), f"{one.seconds:.1f}"] if one.n_params else ["", "", ""]
        table.add_row(one.name, *learnt, *_shares(one.by_depth, experiment.test_depths))
    _print(table)
    deep = [depth for depth in experiment.test_depths if depth > max(experiment.depths)]
    if deep:
        print(f"(Neither network has seen lists of depth {_range(deep)}.)\n")


def join(record: Record) -> None:
    """Run the second part."""
    quiz = Quiz(seed=record.settings["seed"])
    print(
        "Two neighbours joined. The same lists, as binary trees; networks that differ in how they join alone:\n"
        f"{quiz.n_train} of depth {_range(quiz.depths)}, {quiz.epochs} epochs; right answers on others, by depth:"
    )
    for name in JOINS:
        for step in progress(quiz.run(name), quiz.n_updates, escape(name)):
            params = step.params
        record.joined[name] = quiz.by_depth(name, params)
    table = _table("joined by", *map(str, quiz.test_depths))
    for name, by_depth in record.joined.items():
        table.add_row(escape(name), *_shares(by_depth, quiz.test_depths))
    _print(table)
    print(_verdict(record.joined, max(quiz.depths)))


def find(record: Record) -> None:
    """Run the third part."""
    experiment = ArithmeticExperiment(beam=record.settings["beam"], seed=record.settings["seed"])
    print(
        "Structure found. Arithmetic without brackets, whose tree is precedence and left association:\n"
        f"{experiment.n_train} expressions of {experiment.n_numbers} numbers with their trees to learn from,"
        f" {experiment.epochs} epochs"
    )
    with progress_bar(experiment.epochs, "parser") as show:
        parser = experiment.learn(lambda epoch: show(epoch.count, epoch))
    for n_numbers in (experiment.n_numbers, 2 * experiment.n_numbers):
        record.found.append(experiment.tried(parser, n_numbers))
        longer = "" if n_numbers == experiment.n_numbers else ", twice as many as it has seen"
        print(f"\non others of {n_numbers} numbers{longer}:")
        width = max(map(len, record.found[-1].f1))
        for name, f1 in record.found[-1].f1.items():
            print(f"  {name:<{width}}  F1 {f1:.3f}")
    example = record.found[0].example
    print(
        f"\n{' '.join(map(str, example.tokens))}, as it is joined (with the score of each join):\n{example.drawn()}\n"
    )


def _verdict(joined: Mapping[str, Mapping[int, float]], depth: int) -> str:
    """Say what the quiz shows, from its numbers."""
    shares = {name: by_depth[depth] for name, by_depth in joined.items() if depth in by_depth}
    best = max(shares, key=lambda name: shares[name])
    others = max(share for name, share in shares.items() if name != best)
    weights = next(iter(JOINS))
    why = " Sum, product and maximum are the same for every tree over the same tokens; W tells left from right."
    why = why if best == weights else ""
    return f"At depth {depth} {best} has {shares[best]:.1%}, the best other {others:.1%}.{why}\n"


def _shares(by_depth: Mapping[int, float], depths: Sequence[int]) -> list[str]:
    return [f"{by_depth[depth]:.1%}" if depth in by_depth else "" for depth in depths]


def _range(depths: Sequence[int]) -> str:
    return str(depths[0]) if len(depths) == 1 else f"{min(depths)} to {max(depths)}"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(table)
