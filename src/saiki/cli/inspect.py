"""``saiki inspect``: look into a saved model, and at what it does with data."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.console import Console
from rich.text import Text

from saiki.arrays import Params
from saiki.cli.data import Data, read_data
from saiki.cli.outputs import PictureFile, writing
from saiki.cli.own import load_with
from saiki.errors import ArgumentError, DtypeError, SaikiError, ShapeError
from saiki.explain.matrices import Matrix, of_delta, of_lags, of_quantity, of_weights
from saiki.explain.microscope import QUANTITIES, trace
from saiki.explain.terminal import Heatmap, bars
from saiki.explain.traces import Trace
from saiki.explain.tree_gradients import TREE_MODELS

PANEL = 5.5, 4.0
"""The size of a panel of a picture, in inches."""


class Looked(NamedTuple):
    """What the views are made of: a model, its parameters, a trace of one sequence if there are data, and a layer."""

    model: Any
    params: Params
    trace: Any
    layer: int


class Panel(NamedTuple):
    """One thing to see: as something that a console of rich prints, and as something that draws on axes."""

    text: Any
    draw: Callable[[Any], Any]
    size: tuple[float, float] = PANEL


class View(NamedTuple):
    """A choice of ``--view``.

    Attributes:
        help: what it shows.
        needs: beside the model: "nothing", "data", or "targets" as well.
        keeps: which quantities of a trace.
        panels: makes it.
    """

    help: str
    needs: str
    keeps: tuple[str, ...]
    panels: Callable[[Looked], Iterable[Panel]]


def _drawn(function: str, *arguments: Any) -> Callable[[Any], Any]:
    """Return what draws on axes with a function of ``saiki.explain.plots``, which needs matplotlib only then."""
    return lambda axes: getattr(import_module("saiki.explain.plots"), function)(axes, *arguments)


def _heatmap(matrix: Matrix) -> Panel:
    return Panel(Heatmap(matrix), _drawn("plot_matrix", matrix))


def _loss(looked: Looked) -> Iterator[Panel]:
    losses = np.asarray(getattr(looked.model, "loss_curve_", ()))
    names = [str(epoch) for epoch in range(1, len(losses) + 1)]
    yield Panel(bars("loss after each epoch, on a log scale", names, losses), _drawn("plot_loss", losses, 1, "epoch"))


def _weights(looked: Looked) -> Iterator[Panel]:
    for name, weights in looked.params.items():
        yield _heatmap(of_weights(weights, name))


def _quantities(looked: Looked, names: Iterable[str]) -> Iterator[Panel]:
    for name in names:
        yield _heatmap(of_quantity(looked.trace, name, looked.layer))


def _lag_norms(looked: Looked) -> Iterator[Panel]:
    norms = looked.trace.look(looked.layer)[0].norm_by_lag
    text = bars("mean norm of what comes back over each lag, on a log scale", list(map(str, range(len(norms)))), norms)
    yield Panel(text, _drawn("plot_norm_by_lag", looked.trace, looked.layer))


def _worked(looked: Looked) -> Iterator[Panel]:
    seen: Trace = looked.trace
    rows, columns = len(seen.layers) + 2, max((len(layer.steps) for layer in seen.layers), default=1)
    yield Panel(Text(seen.text()), _drawn("plot_unrolled", seen), (2.3 * columns, 1.6 * rows))


def _delta(looked: Looked) -> Iterator[Panel]:
    yield _heatmap(of_delta(looked.trace, looked.layer))


def _lags(looked: Looked) -> Iterator[Panel]:
    yield _heatmap(of_lags(looked.trace, looked.layer))


def _inputs(looked: Looked) -> Iterator[Panel]:
    yield from _quantities(looked, ["inputs"])


def _states(looked: Looked) -> Iterator[Panel]:
    yield from _quantities(looked, looked.trace.look(looked.layer)[0].layer.cell.states)


def _gates(looked: Looked) -> Iterator[Panel]:
    yield from _quantities(looked, looked.trace.look(looked.layer)[0].layer.cell.saved)


VIEWS: dict[str, View] = {
    "loss": View("the loss of each epoch", "nothing", (), _loss),
    "weights": View("all weights, as matrices", "nothing", (), _weights),
    "inputs": View("what the layer sees, as the model has scaled it", "data", ("inputs",), _inputs),
    "states": View("its states over time", "data", ("states",), _states),
    "gates": View("its gates over time, if it has some", "data", ("gates",), _gates),
    "delta": View("how the loss flows back", "targets", ("delta",), _delta),
    "lags": View("how far the loss of each step reaches", "targets", ("lag_matrix",), _lags),
    "lag-norms": View("the same by lag: gradients that vanish or explode", "targets", ("lag_matrix",), _lag_norms),
    "worked": View("every number, step by step; drawn, the unrolled graph", "targets", tuple(QUANTITIES), _worked),
}
"""What there is to see."""

USUAL = {"nothing": ("loss",), "data": ("inputs", "states"), "targets": ("states", "delta", "lags")}
"""What is shown of a model alone, with data, and with targets, unless something else is asked for."""

KNOWN = list(USUAL)
"""From knowing little to knowing all."""

HELP = "\b\n" + "\n".join(f"  {name:<11}{view.help}" for name, view in VIEWS.items())


@click.command(epilog=f"Views:\n\n{HELP}")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "--view",
    "views",
    type=click.Choice([*VIEWS, "all"]),
    multiple=True,
    help="What to show; more than one, if given again.",
)
@click.option("--sequence", type=click.IntRange(0), default=0, show_default=True, help="Which sequence, from 0.")
@click.option("--layer", type=int, default=0, show_default=True, help="Which recurrent layer, from 0.")
@click.option("--steps", metavar="FIRST:LAST", help="Which steps, counted from 1.  [default: all]")
@click.option("--id", "id_", multiple=True, help="Of a table: the column of the sequence's id; repeatable.")
@click.option("--time", help="Of a table: the column to sort steps by; text: ISO 8601.")
@click.option("--feature", "features", multiple=True, help="Of a table: a column of features; repeatable.")
@click.option("--target", help="Of a table: the column of the target.")
@click.option(
    "--with",
    "parts",
    metavar="[PARAMETER=]MODULE:NAME",
    multiple=True,
    help="A part of your own that MODEL needs, such as mycells:my_cell; repeatable.",
)
@click.option("--picture", type=PictureFile(), help="Draw into this file, not in the terminal.")
def inspect(
    model: Path,
    data: Path | None,
    views: tuple[str, ...],
    sequence: int,
    layer: int,
    steps: str | None,
    id_: tuple[str, ...],
    time: str | None,
    features: tuple[str, ...],
    target: str | None,
    parts: tuple[str, ...],
    picture: Path | None,
) -> None:
    """Look into a MODEL that saiki.save has written, and at what it does with DATA.

    DATA is an .npz file with X and, if they are known, y and lengths, an .npy file with X, or a .csv or .parquet table
    with a row for each step. Features that had names in fit are put into the order of fit. Without DATA there are the
    loss and the weights to see; without targets also inputs, gates and states; with targets everything that
    backpropagation through time computes for one sequence.
    """
    columns = {"id": id_, "time": time, "features": features, "target": target}
    if data is None and any(columns.values()):
        raise click.UsageError("--id, --time, --feature and --target go with DATA, a table.")
    estimator = load_with(model, parts)
    if not hasattr(estimator, "network_problem"):
        raise ArgumentError(f"{model} holds a {type(estimator).__name__}, which has no network to look into.")
    network, params, *_ = estimator.network_problem()
    if data is not None and isinstance(network, TREE_MODELS):
        raise ArgumentError(
            f"{model} holds a {type(estimator).__name__}, which DATA cannot be shown of: what there is to see over time"
            " it does over trees. Leave DATA out for its loss and weights; in Python see saiki.load(...).predict."
        )
    said = [repr(estimator), f"{sum(p.size for p in params.values()):,} parameters; {estimator.n_iter_} epochs"]

    found = None if data is None else read_data(data, columns, getattr(estimator, "output", "last"))
    if found is not None and features and not hasattr(estimator, "feature_names_in_"):
        found = found._replace(X=list(found.X))  # the command says in which order, and the model knows no names
    has = "nothing" if found is None else "data" if found.y is None else "targets"
    asked = _asked(views, has, picture is not None)
    seen = None
    if found is not None:
        with _about(str(data)):
            one = found.one(sequence)
            said += _scores(str(data), estimator, found, sequence)
            targets = _predicted(estimator, one) if one.y is None else one.y
            keeps = {name for view in asked for name in VIEWS[view].keeps}
            chosen = _steps(steps, one.n_steps[0])
            seen = trace(estimator, one.X, targets, lengths=one.lengths, steps=chosen, quantities=keeps)
    looked = Looked(estimator, params, seen, layer)
    panels = [panel for name in asked for panel in VIEWS[name].panels(looked)]
    if picture is not None and panels:  # before a word is said, as it may fail
        which = f", sequence {sequence}" if found else ""
        _draw(panels, picture, f"{type(estimator).__name__} in {model.name}{which}")
    console = Console()
    console.print("\n".join(said), highlight=False, soft_wrap=True)
    if not panels:
        print(f"there is nothing to see: {type(estimator).__name__} has no {', '.join(asked)} here")
    elif picture is not None:
        print(f"picture: {picture}")
    else:
        for panel in panels:
            console.print()
            console.print(panel.text, highlight=False, soft_wrap=isinstance(panel.text, Text))


@contextmanager
def _about(path: str) -> Iterator[None]:
    """Say which file it was whose data the model cannot take, or takes with a doubt."""
    try:
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always", UserWarning)
            yield
        for text in dict.fromkeys(str(doubt.message) for doubt in doubts):
            click.echo(f"saiki: {path}: {text}", err=True)
    except (ShapeError, DtypeError) as error:
        raise type(error)(f"{path}: {error}") from error
    except SaikiError:
        raise
    except ValueError as error:  # as scikit-learn raises
        raise ArgumentError(f"{path}: {error}") from error


def _asked(views: tuple[str, ...], has: str, drawn: bool) -> Iterable[str]:
    """Return the views that are asked for, or refuse one that cannot be had."""
    if "all" in views:  # in a picture the graph has no room beside others
        possible = (name for name, view in VIEWS.items() if KNOWN.index(view.needs) <= KNOWN.index(has))
        return [name for name in possible if not drawn or name != "worked"]
    for name in views:
        if KNOWN.index(VIEWS[name].needs) > KNOWN.index(has):
            lacks = "DATA" if has == "nothing" else "targets: y in an .npz file, or --target of a table"
            raise click.UsageError(f"--view {name} needs {lacks}.")
    return dict.fromkeys(views) or USUAL[has]


def _scores(path: str, estimator: Any, data: Data, sequence: int) -> Iterator[str]:
    """Yield how well the model does, on all sequences and on the one that is looked at."""
    one, score, held = data.one(sequence), "", ""
    if data.y is not None:
        score = f", score {estimator.score(data.X, data.y, **_with_lengths(estimator, data)):.4g}"
        held = f", target {_short(_own(estimator, one.y[0], one.n_steps[0]))}"
    least, most = min(data.n_steps), max(data.n_steps)
    steps = f"{most} steps" if least == most else f"{least} to {most} steps"
    which = "" if one.ids is None else f" ({one.ids[0] if isinstance(one.ids[0], str) else _short(one.ids[0])})"
    yield f"{path}: {len(data.X)} sequences of {steps}{score}"
    said = _own(estimator, _predicted(estimator, one)[0], one.n_steps[0])
    yield f"sequence {sequence}{which}: predicted {_short(said)}{held}"


def _own(estimator: Any, values: Any, n_steps: int) -> Any:
    """Return what belongs to the steps of a sequence, without padding, where there is something for each."""
    return values[:n_steps] if estimator.output == "each" else values


def _predicted(estimator: Any, data: Data) -> Any:
    """Return what the model itself says."""
    return estimator.predict(data.X, **_with_lengths(estimator, data))


def _with_lengths(estimator: Any, data: Data) -> dict[str, Any]:
    if data.lengths is None:
        return {}
    if "lengths" not in signature(estimator.predict).parameters:
        raise ArgumentError(f"lengths: a {type(estimator).__name__} takes sequences of one length; leave it out.")
    return {"lengths": data.lengths}


def _short(values: Any) -> str:
    return np.array2string(np.asarray(values), threshold=12, edgeitems=4, precision=4)


def _steps(text: str | None, n_steps: int) -> slice | None:
    """Return the slice of steps that are counted from 1, the last one included."""
    if text is None:
        return None
    first, colon, last = text.partition(":")
    try:
        bounds = int(first or 1), int(last) if last else None
    except ValueError:
        bounds = 0, None
    if not colon or bounds[0] < 1 or (bounds[1] is not None and bounds[1] < bounds[0]):
        raise click.UsageError(f"--steps must be FIRST:LAST, counted from 1, such as 1:20; got {text!r}.")
    if bounds[0] > n_steps:
        raise click.UsageError(f"--steps must name some of the {n_steps} steps of this sequence; got {text!r}.")
    return slice(bounds[0] - 1, bounds[1])


def _draw(panels: list[Panel], path: Path, title: str) -> None:
    """Draw panels into one picture."""
    from saiki.explain.plots import panels_figure

    size = max(panel.size[0] for panel in panels), max(panel.size[1] for panel in panels)
    figure = panels_figure(title, [panel.draw for panel in panels], size)
    with writing("--picture", path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
