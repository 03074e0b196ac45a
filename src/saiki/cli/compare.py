"""``saiki adder --compare`` and ``--grid``: many setups learn to add, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from saiki.arrays import Array
from saiki.cli.outputs import kept, settings_of, write_json, writing
from saiki.engines import DEFAULT
from saiki.engines.threads import cores
from saiki.tasks.adder import Experiment
from saiki.tasks.comparison import LAST, PLAIN, Trial, compare, grid_setups, note_setups, units_of
from saiki.tasks.findings import Summary, findings, summarize
from saiki.training.progress import progress

REPEATS = {False: 10, True: 3}
"""How often each setup is run, and how often in the grid."""

JSON_MEAN = 100
"""The JSON file holds the mean loss of each so many iterations."""

WIDTH = 100
"""How wide the table may be where there is no terminal to say it."""


LEGEND = (
    f"learnt: repeats with every sum right; right: sums right; loss: of the last {LAST} iterations, or a tenth;\n"
    "lags: norm of the gradient, before training and below it after. Medians over repeats, but for least-most.\n"
)


@final
@dataclass
class Comparison:
    """The trials so far, for the picture and the JSON file."""

    setups: Mapping[str, Experiment]
    grid: bool
    repeats: int
    trials: list[Trial] = field(default_factory=list)
    stopped: str | None = None

    @property
    def summaries(self) -> list[Summary]:
        """A summary of each setup, in the order of the setups."""
        return summarize(self.setups, self.trials)

    @property
    def first(self) -> Experiment:
        """The first setup, whose settings are those of all, but for what is compared."""
        return next(iter(self.setups.values()))

    def save_json(self, path: Path) -> bool:
        """Write versions, settings, every trial, and what they show as JSON."""
        settings = settings_of(self.first) | {"engine": self.first.engine or DEFAULT}
        for compared in ("cell", "activation", "scheme"):
            del settings[compared]
        content = {
            "settings": settings | {"repeats": self.repeats, "grid": self.grid},
            "loss_is_mean_of": JSON_MEAN,
            "trials": [_as_json(trial) for summary in self.summaries for trial in summary.trials],
            "findings": findings(self.summaries),
            "stopped": self.stopped,
        }
        write_json(path, content)
        return True

    def save_picture(self, path: Path) -> bool:
        """Draw the losses with their spread; nothing, if no trial has ended."""
        from saiki.explain.plots import comparison_figure

        if not self.trials:
            return False
        panels: dict[str, dict[str, Array]] = {}
        for summary in self.summaries:
            experiment = self.setups[summary.setup]
            heading, name = (units_of(experiment), str(experiment.scheme)) if self.grid else ("", summary.setup)
            panels.setdefault(heading, {})[name] = summary.curves
        figure = comparison_figure(
            f"{self.first.n_units} units learn to add: sums of {self.first.bits} bits,"
            f" learning rate {self.first.learning_rate:g}\n"
            f"lines: median of {self.repeats} repeats, mean of 100 iterations; bands: half of the repeats or more",
            f"loss ({self.first.loss.replace('_', ' ')})",
            panels,
        )
        with writing("--picture", path) as file:
            figure.savefig(file, format=path.suffix[1:].lower())
        return True


def compare_setups(
    settings: dict[str, Any],
    grid: bool,
    repeats: int | None,
    jobs: int | None,
    picture: Path | None,
    json_file: Path | None,
) -> None:
    """Run the note's setups, or all there are, and print a table and what it shows."""
    setups = (grid_setups if grid else note_setups)(**settings)
    comparison = Comparison(setups, grid, repeats or REPEATS[grid])
    with kept(comparison, picture, json_file):
        print(_headline(comparison))
        total = len(setups) * comparison.repeats
        for trial in progress(compare(setups, comparison.repeats, jobs or cores()), total, "comparing"):
            comparison.trials.append(trial)
        console = Console()
        console = console if console.is_terminal else Console(width=WIDTH)
        console.print(_table(comparison.summaries))
        print(LEGEND)
        for sentence in findings(comparison.summaries):
            print(sentence)


def _headline(comparison: Comparison) -> str:
    """Return what is compared, and at which settings."""
    first = comparison.first
    last, rate, of_sum = first.seed + comparison.repeats - 1, first.learning_rate, ""
    if first.optimizer in PLAIN:
        of_sum = f" ({rate / first.bits:g} for their sum; the note's is 0.1)"
    return (
        f"{len(comparison.setups)} setups, repeats: {comparison.repeats} each (seeds {first.seed} to {last}):"
        f" {first.iterations} iterations\n"
        f"of {first.optimizer} at learning rate {rate:g} for the mean loss over {first.bits} steps{of_sum}"
    )


def _table(summaries: list[Summary]) -> Table:
    """Return a row for each setup, with the gradients before training above those after it."""
    bits = len(summaries[0].gradient_before)
    lags = sorted({1, bits // 2, bits - 1})
    diverged = any(summary.diverged for summary in summaries)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("setup", no_wrap=True)
    columns = ["learnt", "right", "loss", "least-most", *(f"lag {lag}" for lag in lags)]
    for column in [*columns, *(["diverged"] if diverged else [])]:
        table.add_column(column, justify="right", no_wrap=True)
    for summary in summaries:
        least, median, most = (f"{loss:.2g}" for loss in summary.losses)
        gradients = zip(summary.gradient_before[lags], summary.gradient_after[lags], strict=True)
        table.add_row(
            summary.setup,
            summary.share,
            f"{summary.right:.1%}",
            median,
            f"{least}-{most}",
            *(f"{before:.1e}\n{_shown(after)}" for before, after in gradients),
            *([str(summary.diverged)] if diverged else []),
        )
    return table


def _shown(gradient: float) -> str:
    return "-" if np.isnan(gradient) else f"{gradient:.1e}"


def _as_json(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain values; what is not finite is null."""
    experiment, losses = trial.experiment, trial.losses
    starts = np.arange(0, len(losses), JSON_MEAN)
    means = np.add.reduceat(losses, starts) / np.diff([*starts, len(losses)]) if len(losses) else losses
    return {
        "setup": trial.setup,
        "initializer": experiment.scheme,
        "cell": experiment.cell,
        "activation": experiment.recurrent.cell.activation,
        "seed": experiment.seed,
        "diverged": trial.diverged,
        "right": trial.right,
        "final_loss": _finite(trial.final_loss),
        "dead": _finite(trial.dead),
        "largest_change": _finite(trial.largest_change),
        "gradient_before": [_finite(norm) for norm in trial.gradient_before.tolist()],
        "gradient_after": [_finite(norm) for norm in trial.gradient_after.tolist()],
        "loss": means.tolist(),
    }


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
