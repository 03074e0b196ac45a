"""What a comparison shows: numbers for a table, and sentences made of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from saiki.arrays import Array
from saiki.losses import evaluate
from saiki.tasks.adder import OUTPUTS, Experiment
from saiki.tasks.comparison import Trial, units_of

LOST = 2
"""A run whose final loss is more than so many times its best has lost what it had learnt."""

FAR = 1.2
"""What is more than so many times as large in one group of runs as in another is said."""

ENOUGH = 100
"""The mean of fewer losses than this may go up and down by chance."""

MOST_NAMED = 8
"""Of more setups than this only their number is said; the table names them."""


@final
@dataclass(frozen=True)
class Summary:
    """All trials of one setup.

    Attributes:
        setup: its name.
        trials: its trials, by seed.
    """

    setup: str
    trials: Sequence[Trial]

    @property
    def learnt(self) -> int:
        """In how many trials every sum came out right."""
        return sum(trial.right == 1 for trial in self.trials)

    @property
    def share(self) -> str:
        """That number, and of how many."""
        return f"{self.learnt} of {len(self.trials)}"

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(trial.diverged is not None for trial in self.trials)

    @property
    def right(self) -> float:
        """The median share of right sums."""
        return float(np.median([trial.right for trial in self.trials]))

    @property
    def losses(self) -> tuple[float, float, float]:
        """The least final loss, the median, and the largest; infinite where trials diverged."""
        losses = [trial.final_loss for trial in self.trials]
        return min(losses), float(np.median(losses)), max(losses)

    @property
    def curves(self) -> Array:
        """The losses ``(repeats, iterations)``, NaN from where a trial diverged."""
        curves = np.full((len(self.trials), self.trials[0].experiment.iterations), np.nan)
        for row, trial in zip(curves, self.trials, strict=True):
            row[: len(trial.losses)] = trial.losses
        return curves

    @property
    def gradient_before(self) -> Array:
        """The median norm of the gradient by lag before training ``(bits,)``."""
        return np.median([trial.gradient_before for trial in self.trials], axis=0)

    @property
    def gradient_after(self) -> Array:
        """The same after training, of the trials that did not diverge; NaN where all did."""
        there = [trial.gradient_after for trial in self.trials if trial.diverged is None]
        return np.median(there, axis=0) if there else np.full_like(self.gradient_before, np.nan)

    @property
    def reach(self) -> float:
        """Which part of the gradient at lag 0 is left at the longest lag, before training."""
        first, last = self.gradient_before[[0, -1]]
        return float(last / first) if first else 0.0


def summarize(setups: Iterable[str], trials: Iterable[Trial]) -> list[Summary]:
    """Return a summary of each of the setups that has trials, in their order, each with its trials by seed."""
    trials = sorted(trials, key=lambda trial: trial.experiment.seed)
    summaries = (Summary(name, [trial for trial in trials if trial.setup == name]) for name in setups)
    return [summary for summary in summaries if summary.trials]


def findings(summaries: Sequence[Summary]) -> list[str]:
    """Return what the trials show, in a few sentences, each with its numbers.

    >>> from saiki.tasks.comparison import compare, note_setups
    >>> setups = note_setups(bits=2, iterations=50)
    >>> print(findings(summarize(setups, compare(setups, repeats=1)))[0])
    Every sum right in no repeat: normal sigmoid, xavier sigmoid, he sigmoid, he relu, he tanh.
    """
    whole = [s for s in summaries if s.learnt == len(s.trials)]
    some = [s for s in summaries if 0 < s.learnt < len(s.trials)]
    none = [s for s in summaries if not s.learnt]
    told = []
    for repeats, group in (("every repeat", whole), ("some repeats", some), ("no repeat", none)):
        if group:
            names = [f"{s.setup} ({s.share})" if group is some else s.setup for s in group]
            of_all = f"{len(group)} of {len(summaries)} setups"
            told.append(f"Every sum right in {repeats}: {', '.join(names) if len(names) <= MOST_NAMED else of_all}.")
    if len(summaries) > MOST_NAMED:
        told.append(f"Setups that learnt in every repeat, by initial weights: {_counted(whole, summaries, _scheme)}.")
        told.append(f"By units: {_counted(whole, summaries, units_of)}.")
        if diverged := sum(summary.diverged for summary in summaries):
            told.append(f"{diverged} of {sum(len(s.trials) for s in summaries)} runs diverged.")
    else:
        told += [sentence for summary in some + none for sentence in _why(summary)]
    if len(summaries) > 1:
        least, most = (pick(summaries, key=lambda s: s.reach) for pick in (min, max))
        lag = len(least.gradient_before) - 1
        told.append(
            f"Before training, the gradient at lag {lag} is {least.reach:.1g} times that at lag 0 with {least.setup}"
            f" (the least; {least.share} learnt)"
            f" and {most.reach:.1g} times with {most.setup} (the most; {most.share})."
        )
    experiments = [summary.trials[0].experiment for summary in summaries]
    stuck = [floor for floor in map(loss_floor, experiments) if floor]
    if stuck:
        told.append(
            f"{len(stuck)} of the {len(experiments)} setups cannot come below a loss of about {stuck[0]:.2g}: without"
            " biases, their output stays in the middle between 0 and 1 until the first 1 comes in."
        )
    return told


def _scheme(experiment: Experiment) -> str:
    return str(experiment.scheme)


def _counted(chosen: Sequence[Summary], summaries: Sequence[Summary], kind: Callable[[Experiment], str]) -> str:
    """Return how many of each kind of setup were chosen, and of how many, the most first."""
    counts = Counter(kind(summary.trials[0].experiment) for summary in chosen)
    totals = Counter(kind(summary.trials[0].experiment) for summary in summaries)
    return ", ".join(f"{name} {counts[name]} of {totals[name]}" for name in sorted(totals, key=lambda n: -counts[n]))


def _why(summary: Summary) -> list[str]:
    """Say of the trials of a setup that did not learn what became of them."""
    failed = [trial for trial in summary.trials if trial.right < 1]
    diverged = [trial for trial in failed if trial.diverged is not None]
    finished = [trial for trial in failed if trial not in diverged and trial.window >= ENOUGH]
    lost = [trial for trial in finished if trial.final_loss > LOST * trial.best_loss]
    unfinished = [trial for trial in failed if trial not in diverged and trial not in lost]
    of_all, told = f"of {len(summary.trials)} repeats", []
    if diverged:
        first = min(trial.diverged or 0 for trial in diverged)
        told.append(f"{summary.setup}: {len(diverged)} {of_all} diverged, the first at iteration {first}.")
    if lost:
        best, final = (np.median([getattr(t, f"{which}_loss") for t in lost]) for which in ("best", "final"))
        told.append(
            f"{summary.setup}: {len(lost)} {of_all} came down to a loss of {best:.2g} and went up again, to {final:.2g}"
            f" in the end (medians){_beside(lost, summary)}."
        )
    if unfinished:
        final = np.median([trial.final_loss for trial in unfinished])
        told.append(
            f"{summary.setup}: {len(unfinished)} {of_all} had not learnt it all by the end, with a loss of"
            f" {final:.2g} (median){_beside(unfinished, summary)}."
        )
    return told


def _beside(failed: Sequence[Trial], summary: Summary) -> str:
    """Return what tells these trials from those that learnt: the largest gradient, and dead units."""
    learnt, told = [trial for trial in summary.trials if trial.right == 1], ""
    if learnt and summary.trials[0].experiment.optimizer == "sgd":
        there, here = (np.median([trial.largest_change for trial in group]) for group in (failed, learnt))
        if there > FAR * here:
            told += f"; the largest gradient of a run has norm {there:.2g} there, {here:.2g} where it learnt"
    dead, also = (np.mean([trial.dead for trial in group]) if group else 0 for group in (failed, learnt))
    if dead > FAR * also:
        told += f"; {dead:.0%} of the units are dead there (0 whatever comes in)"
        told += f", and {also:.0%} where it learnt" if learnt else ""
    return told


def loss_floor(experiment: Experiment) -> float:
    """Return the loss below which an experiment cannot come, as far as that follows from zeros: 0 if they can be told.

    Without biases, and with units that are 0 for the input 0, the output is the same as long as only zeros have come
    in: it is halfway between the two bits, where the target is always 0.

    >>> loss_floor(Experiment(bias=True)), loss_floor(Experiment(activation="sigmoid"))
    (0.0, 0.0)
    >>> round(loss_floor(Experiment()), 4)
    0.0052
    """
    Y, _, _ = experiment.network.forward(experiment.init(), np.zeros((1, 1, 2)), engine="reference")
    if experiment.bias or Y.item() != OUTPUTS[experiment.loss][1]:
        return 0.0
    loss, _ = evaluate(experiment.loss, Y, np.zeros((1, 1)))
    bits = np.arange(1, experiment.bits + 1)
    share = np.mean(0.25 ** np.minimum(bits, experiment.bits - 1))  # of steps; the highest bit of both is always 0
    return float(loss * share)
