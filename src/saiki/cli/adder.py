"""``saiki adder``: train a small recurrent network to add, watch it, and try every pair."""

import json
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any, final

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.cli.outputs import OutputFile, PictureFile
from saiki.engines import DEFAULT, ENGINES
from saiki.errors import SaikiError
from saiki.files import atomic_write
from saiki.initializers import INITIALIZERS, normal
from saiki.maths import ACTIVATIONS
from saiki.optimizers import OPTIMIZERS
from saiki.tasks.adder import ALL_PAIRS_UP_TO, OUTPUTS, Experiment
from saiki.training import Step
from saiki.training.progress import progress

WATCH_EVERY = 100


@final
@dataclass
class History:
    """What happened in a run, for the picture and the JSON file."""

    loss: list[float] = field(default_factory=list)
    held_out_iteration: list[int] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)
    result: dict[str, Any] | None = None
    stopped: str | None = None


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
@click.option("--learning-rate", type=float, default=0.1, help="Size of each change.")
@click.option("--batch-size", type=click.IntRange(1), default=1, help="Examples that each update learns from.")
@click.option("--iterations", type=click.IntRange(1), default=10_000, help="Number of updates.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Same seed, same numbers.")
@click.option("--engine", type=click.Choice(list(ENGINES)), help="Code that computes.  [default: compiled]")
@click.option("--every", type=click.IntRange(1), default=1000, help="Print an example every so many updates.")
@click.option("--picture", type=PictureFile(), default="adder.png", help="Picture of the loss, or 'none'.")
@click.option("--json", "json_file", type=OutputFile(), help="File for the settings and the whole history.")
def adder(
    hidden_size: int,
    init: str,
    sigma: float | None,
    every: int,
    picture: Path | None,
    json_file: Path | None,
    **settings: Any,
) -> None:
    """Train a recurrent network to add two binary numbers, then try every pair.

    The network reads the two numbers bit by bit, least significant first, and says the bits of the sum; it has to
    learn to carry.
    """
    if sigma is not None and init != "normal":
        raise click.UsageError("--sigma goes with --init normal.")
    scheme = init if sigma is None else normal(sigma)
    experiment = Experiment(n_units=hidden_size, scheme=scheme, **settings)

    if picture is not None and json_file is not None and picture.resolve() == json_file.resolve():
        raise click.UsageError(f"--picture and --json must be two files; both are {str(picture)!r}.")

    history = History()
    with ExitStack() as at_the_end:  # what has been done is kept, however it ends
        if picture is not None:
            at_the_end.callback(save_picture, picture, history, experiment)
        if json_file is not None:
            at_the_end.callback(save_history, json_file, history, experiment, init, sigma)
        try:
            history.result = try_pairs(experiment, train_and_watch(experiment, history, every))
        except KeyboardInterrupt:
            history.stopped = "interrupted"
            raise
        except Exception as error:
            history.stopped = f"{type(error).__name__}: {error}"
            raise
    for what, path in (("history", json_file), ("picture", picture)):
        if path is not None:
            print(f"{what}: {path}")


def train_and_watch(experiment: Experiment, history: History, every: int) -> Params:
    """Train, print an example at an interval, and return the final parameters."""
    held_out = experiment.held_out()
    total = experiment.iterations
    for step in progress(experiment.run(), total, "training"):
        history.loss.append(step.loss)
        if step.iteration % WATCH_EVERY == 0 or step.iteration == total:
            right = experiment.right_bits(step.params, held_out).all(axis=1)
            history.held_out_iteration.append(step.iteration)
            history.held_out_accuracy.append(float(right.mean()))
        if step.iteration % every == 0 or step.iteration == total:
            print(example(experiment, step))
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
    return {"tried": n, "every_pair": every_pair, "right": whole, "right_by_bit": by_bit.tolist()}


def save_history(path: Path, history: History, experiment: Experiment, init: str, sigma: float | None) -> None:
    """Write versions, every setting as it was used, and the whole history as JSON."""
    settings = {f.name: getattr(experiment, f.name) for f in fields(experiment) if f.init}
    settings |= {"scheme": init, "sigma": sigma}
    settings |= {"activation": experiment.recurrent.cell.activation, "engine": experiment.engine or DEFAULT}
    document = {
        "saiki": saiki.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "settings": settings,
    } | asdict(history)
    with writing("--json", path) as file:
        file.write(json.dumps(document, indent=1).encode())


def save_picture(path: Path, history: History, experiment: Experiment) -> None:
    """Draw the loss and the accuracy on the held-out pairs; nothing, if nothing has happened."""
    from saiki.explain.plots import training_figure

    if not history.loss:
        return
    watched = len(experiment.held_out())
    figure = training_figure(
        f"{experiment.n_units} {experiment.cell} units ({experiment.recurrent.cell.activation}) learn to add:"
        f" sums of {experiment.bits} bits, seed {experiment.seed}",
        f"loss ({experiment.loss.replace('_', ' ')})",
        history.loss,
        history.held_out_iteration,
        history.held_out_accuracy,
        f"on {watched} pairs held out of training" if experiment.holds_out else f"on all {watched} pairs",
    )
    with writing("--picture", path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())


@contextmanager
def writing(option: str, path: Path) -> Iterator[IO[bytes]]:
    """Open the file of an option, and name both if it cannot be written."""
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise SaikiError(f"{option}: {str(path)!r} could not be written: {error.strerror or error}.") from error


def _number(bits: Array) -> int:
    return sum(int(bit) << place for place, bit in enumerate(bits))


def _spelled(bits: Array) -> str:
    return " ".join(str(int(bit)) for bit in bits[::-1])
