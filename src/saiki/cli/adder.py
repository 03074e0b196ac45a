"""``saiki adder``: train a small recurrent network to add, watch it, and try every pair."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import click
import numpy as np
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.cli.compare import REPEATS, compare_setups
from saiki.cli.outputs import OutputFile, PictureFile, kept, settings_of, write_json, writing
from saiki.engines import DEFAULT, ENGINES
from saiki.initializers import INITIALIZERS, normal
from saiki.maths import ACTIVATIONS
from saiki.optimizers import OPTIMIZERS
from saiki.tasks.adder import ALL_PAIRS_UP_TO, OUTPUTS, Experiment
from saiki.training import Step
from saiki.training.progress import progress

WATCH_EVERY = 100

LITTLE = 0.1
"""Below this share of right sums a hint is printed."""

SINGLE = "cell", "activation", "init", "sigma", "every"
"""Options of a single run: a comparison chooses them itself, or has no use for them."""

COMPARING = "repeats", "jobs"
"""Options of a comparison."""


@final
@dataclass
class History:
    """What happened in a run, for the picture and the JSON file."""

    experiment: Experiment
    init: str
    sigma: float | None
    loss: list[float] = field(default_factory=list)
    held_out_iteration: list[int] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)
    result: dict[str, Any] | None = None
    stopped: str | None = None

    def save_json(self, path: Path) -> bool:
        """Write versions, every setting as it was used, and the whole history as JSON."""
        experiment = self.experiment
        settings = settings_of(experiment) | {"scheme": self.init, "sigma": self.sigma}
        settings |= {"activation": experiment.recurrent.cell.activation, "engine": experiment.engine or DEFAULT}
        told = {name: value for name, value in vars(self).items() if name not in ("experiment", "init", "sigma")}
        write_json(path, {"settings": settings} | told)
        return True

    def save_picture(self, path: Path) -> bool:
        """Draw the loss and the accuracy on the held-out pairs; nothing, if nothing has happened."""
        from saiki.explain.plots import training_figure

        if not self.loss:
            return False
        experiment = self.experiment
        watched = len(experiment.held_out())
        figure = training_figure(
            f"{experiment.n_units} {experiment.cell} units ({experiment.recurrent.cell.activation}) learn to add:"
            f" sums of {experiment.bits} bits, seed {experiment.seed}",
            f"loss ({experiment.loss.replace('_', ' ')})",
            self.loss,
            self.held_out_iteration,
            self.held_out_accuracy,
            f"on {watched} pairs held out of training" if experiment.holds_out else f"on all {watched} pairs",
        )
        with writing("--picture", path) as file:
            figure.savefig(file, format=path.suffix[1:].lower())
        return True


@click.command(context_settings={"show_default": True})
@click.option("--bits", type=click.IntRange(2, 32), default=8, help="Bits of the sum; 8 adds numbers below 128.")
@click.option("--hidden-size", type=click.IntRange(1), default=16, help="Units of the recurrent layer.")
@click.option("--cell", type=click.Choice(list(CELLS)), default="simple", help="The recurrence.")
@click.option("--activation", type=click.Choice(list(ACTIVATIONS)), help="Of the units.  [default: that of the cell]")
@click.option("--init", type=click.Choice(list(INITIALIZERS)), default="xavier", help="Initial weights.")
@click.option("--sigma", type=float, help="Standard deviation of the weights, with --init normal.  [default: 1]")
@click.option("--loss", type=click.Choice(list(OUTPUTS)), default="squared_error", help="What training makes small.")
@click.option("--bias/--no-bias", default=False, help="Whether the layers have biases.")
@click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="sgd", help="How gradients change weights.")
@click.option(
    "--learning-rate",
    type=float,
    show_default="0.1; with --compare and --grid 0.1 times the bits, or 0.01 unless plain SGD",
    help="Size of each change.",
)
@click.option("--batch-size", type=click.IntRange(1), default=1, help="Examples that each update learns from.")
@click.option("--iterations", type=click.IntRange(1), default=10_000, help="Number of updates.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Same seed, same numbers.")
@click.option("--engine", type=click.Choice(list(ENGINES)), help="Code that computes.  [default: compiled]")
@click.option("--every", type=click.IntRange(1), default=1000, help="Print an example every so many updates.")
@click.option(
    "--compare", is_flag=True, help="The note's five experiments, each several times: about 10 seconds on two cores."
)
@click.option("--grid", is_flag=True, help="The same for every --init, --cell and --activation: about a minute.")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    help=f"Runs of each setup.  [default: {REPEATS[False]}; {REPEATS[True]} with --grid]",
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at the same time.  [default: one for each core]")
@click.option(
    "--picture",
    type=PictureFile(),
    show_default="adder.png, compare.png or grid.png",
    help="Picture of the loss, or 'none'.",
)
@click.option("--json", "json_file", type=OutputFile(), help="File for the settings and the whole history.")
@click.pass_context
def adder(
    context: click.Context,
    /,
    hidden_size: int,
    init: str,
    sigma: float | None,
    every: int,
    learning_rate: float | None,
    compare: bool,
    grid: bool,
    repeats: int | None,
    jobs: int | None,
    picture: Path | None,
    json_file: Path | None,
    **settings: Any,
) -> None:
    """Train a recurrent network to add two binary numbers, then try every pair.

    The network reads the two numbers bit by bit, least significant first, and says the bits of the sum; it has to
    learn to carry. With --compare or --grid many networks do, from the same seeds, and are told apart.
    """
    given = {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    misplaced = [f"--{name}" for name in (SINGLE if compare or grid else COMPARING) if name in given]
    if misplaced:
        where = "a single run, not with --compare or --grid" if compare or grid else "--compare or --grid"
        raise click.UsageError(f"{', '.join(misplaced)} can only go with {where}.")
    if "picture" not in given:
        name = "grid.png" if grid else "compare.png" if compare else "adder.png"
        option = next(option for option in context.command.params if option.name == "picture")
        picture = PictureFile().convert(name, option, context)
    settings["n_units"] = hidden_size
    if learning_rate is not None:
        settings["learning_rate"] = learning_rate
    if compare or grid:
        for name in ("cell", "activation"):
            del settings[name]
        compare_setups(settings, grid, repeats, jobs, picture, json_file)
        return

    if sigma is not None and init != "normal":
        raise click.UsageError("--sigma goes with --init normal.")
    scheme = init if sigma is None else normal(sigma)
    history = History(Experiment(scheme=scheme, **settings), init, sigma)
    with kept(history, picture, json_file):
        history.result = try_pairs(history.experiment, train_and_watch(history, every))


def train_and_watch(history: History, every: int) -> Params:
    """Train, print an example at an interval, and return the final parameters."""
    experiment = history.experiment
    held_out = experiment.held_out()
    total = experiment.iterations
    for step in progress(experiment.run(), total, "training"):
        history.loss.append(step.loss)
        if step.iteration % WATCH_EVERY == 0 or step.iteration == total:
            right = experiment.right_bits(step.params, held_out).all(axis=1)
            history.held_out_iteration.append(step.iteration)
            history.held_out_accuracy.append(float(right.mean()))
        if step.iteration % every == 0 or step.iteration == total:
            print(example(experiment, step), flush=True)
    return step.params


def example(experiment: Experiment, step: Step) -> str:
    """Return how the network added the first pair of this step, before it learnt from it."""
    said = experiment.predict(step.before, step.batch.X[:1])[0]
    a, b, true = (_number(bits) for bits in (*step.batch.X[0].T, step.batch.y[0]))
    result = _number(said)
    verdict = "" if result == true else f"   wrong: it is {true}"
    return (
        f"iteration {step.iteration:>6}   loss {step.loss:.6g}\n"
        f"  predicted  {_spelled(said)}\n"
        f"  true       {_spelled(step.batch.y[0])}\n"
        f"  {a} + {b} = {result}{verdict}\n"
    )


def try_pairs(experiment: Experiment, params: Params) -> dict[str, Any]:
    """Try the pairs, print how many come out right, bit by bit and whole, and return the counts."""
    batches = experiment.trials()
    n, n_pairs = sum(map(len, batches)), experiment.adder.n_pairs
    whole, by_bit = 0, np.zeros(experiment.bits, np.int64)
    for codes in progress(batches, len(batches), "trying pairs"):
        right = experiment.right_bits(params, codes)
        whole += int(right.all(axis=1).sum())
        by_bit += right.sum(axis=0)

    every_pair = experiment.bits <= ALL_PAIRS_UP_TO
    print(f"tried every pair, {n} of them" if every_pair else f"tried a random sample of {n} of the {n_pairs} pairs")
    table = Table()
    for column in ("bit", "right", "share"):
        table.add_column(column, justify="right")
    for bit, count in enumerate(by_bit):
        table.add_row(str(bit), str(count), f"{count / n:.2%}")
    Console().print(table)
    print(f"{whole} of {n} sums right ({whole / n:.2%})")
    if whole < LITTLE * n:
        print("it has learnt little: try another --seed, more --iterations or another --learning-rate")
    return {"tried": n, "every_pair": every_pair, "right": whole, "right_by_bit": by_bit.tolist()}


def _number(bits: Array) -> int:
    return sum(int(bit) << place for place, bit in enumerate(bits))


def _spelled(bits: Array) -> str:
    return " ".join(str(int(bit)) for bit in bits[::-1])
