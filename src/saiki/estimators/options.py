"""The parameters of the estimators: the rule of each, and the optimizer and the stopping that they describe."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import fill
from typing import Any, NamedTuple, TypeVar, final

import numpy as np

from saiki import optimizers
from saiki.arrays import as_count, as_positive, as_share
from saiki.cells import Cell, as_cell
from saiki.engines import get_engine
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, choose, shown
from saiki.estimators.scoring import check_scoring
from saiki.layers.readout import KINDS
from saiki.losses import LOSSES, Loss
from saiki.maths import ACTIVATIONS
from saiki.optimizers import OPTIMIZERS, Optimizer, Schedule
from saiki.training.epochs import Epoch, Stopping, n_plateaus

T = TypeVar("T")

LEARNING_RATES: dict[str, Callable[[float, int], Schedule]] = {
    "constant": lambda rate, updates: optimizers.constant(rate),  # noqa: ARG005
    "cosine": optimizers.cosine,
    "step": lambda rate, updates: optimizers.step(rate, max(1, updates // 3)),
    "plateau": lambda rate, updates: optimizers.constant(rate),  # noqa: ARG005  # ``optimizers_of`` makes it smaller
}
"""The learning rate over a fit of so many updates, by name; "step" divides it by 10 after each third."""

PLATEAU_FACTOR, MOST_PLATEAUS = 0.1, 8
"""The factor of the learning rate after each plateau, that of ``ReduceLROnPlateau`` in PyTorch and Keras.

After the maximum number of plateaus the rate stays: a smaller one would change no weight. PyTorch, too, ignores
changes of the rate below 1e-8.
"""

FALLING = "cosine", "step"

REGRESSION_LOSSES = {
    name: loss for name, loss in LOSSES.items() if not loss.of_classes and loss.between == (-np.inf, np.inf)
}
"""The losses of any numbers, by name."""

LONGEST_MESSAGE = 400
"""The greatest number of characters of a message about a parameter."""

AUTO_BATCH = 32
"""The batch size "auto", where there are so many sequences."""


def _sizes(name: str, value: Any) -> None:
    several = value.ndim == 1 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
    sizes = list(value) if several and not isinstance(value, str | bytes) else [value]
    for size in sizes or [None]:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentError(
                f"{name} must be a whole number of at least 1, or several as (64, 32); got {shown(value)}."
            )


def _cells(name: str, value: Any) -> None:
    for cell in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(cell, str | Cell):
            raise ArgumentError(
                f"{name} must be the name of a cell, such as 'gru' or 'lstm', a saiki.Cell, or a list of them; got"
                f" {shown(cell)}."
            )
        as_cell(cell)


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{name} must be True or False; got {shown(value)}.")


def _not_negative(name: str, value: Any) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value < np.inf:
        raise ArgumentError(f"{name} must be 0 or a positive, finite number; got {shown(value)}.")


def _conv(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise ArgumentError(
            f"{name} must be None, (n_filters, kernel_size) or (n_filters, kernel_size, stride); got {shown(value)}."
        )
    for number in value:
        as_count(name, number)


def _batch_size(name: str, value: Any) -> None:
    if not isinstance(value, str) or value != "auto":
        as_count(name, value)


def _dtype(name: str, value: Any) -> None:
    try:
        known = isinstance(value, str | type | np.dtype) and np.dtype(value) in (np.float32, np.float64)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ArgumentError(f"{name} must be None, 'float32' or 'float64'; got {shown(value)}.")


def _solver(name: str, value: Any) -> None:
    if not isinstance(value, Optimizer):
        choose(name, value, OPTIMIZERS)


def _solver_options(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name} must be None or a dict such as {{'beta2': 0.99}}; got {shown(value)}.")


def _learning_rate(name: str, value: Any) -> None:
    if isinstance(value, int | float):
        raise ArgumentError(
            f"{name} says how the rate changes: {', '.join(map(repr, LEARNING_RATES))}, or a function; got"
            f" {shown(value)}. The rate itself is learning_rate_init={shown(value)}."
        )
    if not callable(value):
        choose(name, value, LEARNING_RATES)
    elif not isinstance(rate := value(0), int | float | np.number):
        raise ArgumentError(
            f"{name} must be a function from the number of the update to the rate; got one that returns"
            f" {type(rate).__name__} for 0."
        )


def _callbacks(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or not all(map(callable, value)):
        raise ArgumentError(f"{name} must be a list of functions of an Epoch; got {shown(value)}.")


def _fraction(name: str, value: Any) -> None:
    if not as_share(name, value):
        raise ArgumentError(f"{name} must be between 0 and 1; got {shown(value)}.")


def _class_weight(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) and not (isinstance(value, str) and value == "balanced"):
        raise ArgumentError(f"{name} must be None, 'balanced', or a dict from class to weight; got {shown(value)}.")


def _loss(name: str, value: Any) -> None:
    if not isinstance(value, Loss):
        choose(name, value, REGRESSION_LOSSES)
    elif value.of_classes:
        raise ArgumentError(f"{name} must be one of numbers, not of classes; try saiki.losses.huber(0.5).")


def _engine(name: str, value: Any) -> None:  # noqa: ARG001
    get_engine(value)


def _verbose(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_ | int):
        raise ArgumentError(f"{name} must be True or False; got {shown(value)}.")


def _n_jobs(name: str, value: Any) -> None:  # noqa: ARG001
    with limit_threads(value):
        pass


def _named(table: Mapping[str, Any]) -> str:
    return ", ".join(f'"{name}"' for name in table)


class Parameter(NamedTuple):
    """A parameter of an estimator.

    Attributes:
        rule: raises where a value breaks it.
        text: what it means, for the docstrings.
        optional: whether it may be None.
    """

    rule: Callable[[str, Any], object]
    text: str
    optional: bool = False


PARAMETERS: dict[str, Parameter] = {
    "cell": Parameter(
        _cells,
        "the recurrence: the name of a cell (see ``saiki.cells``), a ``Cell``, or a list with one for each layer.",
    ),
    "hidden_layer_sizes": Parameter(_sizes, "the number of units of each recurrent layer, or of the only one."),
    "activation": Parameter(
        lambda name, value: choose(name, value, ACTIVATIONS),
        '"tanh", "sigmoid", "relu" or "identity" in place of the activation that the cell has; None leaves it.',
        optional=True,
    ),
    "bidirectional": Parameter(_flag, "whether each layer also reads backwards, with as many units again."),
    "output": Parameter(
        lambda name, value: choose(name, value, KINDS),
        'what is read of a sequence: its "last" step, the "mean" or "max" over its steps, or "each" step for itself.',
    ),
    "dropout": Parameter(as_share, "the share of each recurrent layer's outputs that is dropped while training."),
    "conv": Parameter(
        _conv,
        "a convolution over time before the first recurrent layer, with ReLU: ``(n_filters, kernel_size)`` or"
        " ``(n_filters, kernel_size, stride)``; None is none.",
        optional=True,
    ),
    "loss": Parameter(_loss, f"what training makes small: {_named(REGRESSION_LOSSES)}, or a ``Loss``."),
    "solver": Parameter(
        _solver,
        f"{_named(OPTIMIZERS)}, or an ``Optimizer``, which then has its own learning rate.",
    ),
    "solver_options": Parameter(
        _solver_options,
        "further arguments of the solver, such as ``{'beta2': 0.99}``; see ``saiki.optimizers``.",
        optional=True,
    ),
    "learning_rate": Parameter(
        _learning_rate,
        'how the learning rate changes over a fit: "constant", "cosine" down to zero, "step" to a tenth after each'
        ' third, "plateau" to a tenth whenever the validation score, or the training loss without validation data, has'
        " not improved by more than ``tol`` for more than ``n_iter_no_change // 2`` epochs in a row; or a function from"
        " the number of the update to the rate. Each fit begins anew; ``partial_fit`` keeps the rate where it begins.",
    ),
    "learning_rate_init": Parameter(as_positive, "the learning rate at the beginning."),
    "alpha": Parameter(_not_negative, "the L2 penalty: so much times each weight is added to its gradient."),
    "clip_norm": Parameter(as_positive, "the most that the norm of all gradients may be; None clips nothing.", True),
    "tbptt": Parameter(
        as_count,
        "the window of truncated backpropagation through time; None is the full gradient.",
        optional=True,
    ),
    "batch_size": Parameter(_batch_size, 'how many sequences an update learns from; "auto" is 32, or all if fewer.'),
    "max_iter": Parameter(as_count, "the number of epochs at most."),
    "shuffle": Parameter(_flag, "whether the order of the sequences is drawn anew for each epoch."),
    "tol": Parameter(
        _not_negative,
        "by how much the validation score must rise with ``early_stopping``, or else the training loss fall, ...",
    ),
    "n_iter_no_change": Parameter(
        as_count,
        "... lest training stops after more than so many epochs. The loss stops no training whose learning rate falls"
        ' to the end, as "cosine" and "step" do.',
    ),
    "early_stopping": Parameter(
        _flag, "whether the score on validation data decides when to stop; the weights with the best one are kept."
    ),
    "validation_fraction": Parameter(
        _fraction, "the share of the sequences set aside for ``early_stopping`` if ``fit`` is given no validation data."
    ),
    "scoring": Parameter(
        check_scoring,
        "how the validation data are scored after each epoch, higher being better: the name of one of scikit-learn's"
        " scorers, or a function ``scorer(estimator, X, y)`` of the estimator as it is after the epoch; None is its own"
        " ``score``.",
        optional=True,
    ),
    "class_weight": Parameter(
        _class_weight,
        'how much each class counts: a dict from label to weight, or "balanced", so that all classes count alike; None'
        " counts every target alike.",
        optional=True,
    ),
    "scale_inputs": Parameter(_flag, "whether each feature is brought to mean 0 and standard deviation 1."),
    "scale_targets": Parameter(_flag, "whether targets are, while training; predictions are on the scale of y."),
    "warm_start": Parameter(_flag, "whether ``fit`` goes on from the weights of the fit before."),
    "random_state": Parameter(
        lambda name, value: None,  # scikit-learn checks it  # noqa: ARG005
        "the seed of weights, order, dropout and validation data; an int makes a fit repeatable.",
        optional=True,
    ),
    "engine": Parameter(_engine, "the name of an engine; None is the compiled one.", optional=True),
    "n_jobs": Parameter(_n_jobs, "how many threads at most; None or -1 is one for each core.", optional=True),
    "dtype": Parameter(
        _dtype, '"float32" or "float64"; None is what X is, and float64 for whole numbers.', optional=True
    ),
    "verbose": Parameter(
        _verbose,
        "whether to show a progress bar with the loss, the score and the time left or, in a log, a line now and then.",
    ),
    "callbacks": Parameter(
        _callbacks,
        "functions that are given each ``Epoch`` as it ends, when the estimator predicts with the weights of that"
        " epoch; one that returns True ends the training.",
        optional=True,
    ),
}
"""Every parameter of the estimators, once: its rule, and what it means.

An estimator for which one means something else has an entry of its own, as ``_parameters``.
"""

ATTRIBUTES = {
    "classes_": "the labels, sorted; the columns of ``predict_proba`` are in this order.",
    "n_features_in_": "the number of features; for two axes, of steps.",
    "n_outputs_": "the number of outputs of the network.",
    "network_": "the network, a ``saiki.Network``.",
    "params_": "its parameters, by name.",
    "n_iter_": "how many epochs there have been.",
    "loss_": "the training loss of the last epoch.",
    "loss_curve_": "the training loss of each epoch, on the scale on which the network learns.",
    "validation_scores_": "the score on the validation data after each epoch; None where there are none.",
    "best_validation_score_": "the best of them.",
}
"""What a fit leaves behind."""


def fit_page(summary: str, arguments: str) -> str:
    """Return the docstring of ``fit``.

    Args:
        summary: the first line.
        arguments: the lines on the arguments that not every estimator has.
    """
    return f"""{summary}

        Ctrl-C or an error leaves what was learnt up to the last epoch that ended; bad input changes nothing.

        Args:
            {arguments}
            checkpoint: a file for what has been learnt so far, written at most once a second and at the end. The same
                call made again goes on from it, and ends with the same numbers as if it had never been cut off.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
            DivergenceError: the loss or a weight is no longer finite.
            CheckpointError: the checkpoint belongs to another fit, or another process is using it.
            FileError: the checkpoint is damaged, and so is the one before.
            OSError: the checkpoint cannot be written.
        """


FIT = fit_page(
    "Learn from sequences and their targets.",
    """X: the sequences.
            y: their targets.
            sample_weight: how much each sequence ``(n_sequences,)`` counts or, with ``output="each"``, each step
                ``(n_sequences, n_steps)`` or a list; None counts all alike.
            lengths: ``(n_sequences,)`` for padded arrays.
            validation_data: ``(X, y)``, or a dict with ``X``, ``y`` and, where needed, ``lengths`` and
                ``sample_weight``: its score is noted after each epoch, and decides with ``early_stopping``.""",
)
"""What ``fit`` says of sequences."""


def documented(cls: type[T]) -> type[T]:
    """Return an estimator with its parameters and attributes in its docstring, before the example."""
    kind: Any = cls
    names = list(inspect.signature(cls).parameters)
    attributes = [name for name in kind._attributes if name != "classes_" or "class_weight" in names]
    lines = ["Args:", *(f"    {name}: {kind._parameters[name].text}" for name in names), ""]
    lines += ["Attributes:", *(f"    {name}: {kind._attributes[name]}" for name in attributes), ""]
    wrapped = [fill(line, 120, subsequent_indent=" " * 8) if line else "" for line in lines]
    # Python 3.13 removes the indentation of docstrings, and earlier versions keep it.
    before, example, after = inspect.cleandoc(cls.__doc__ or "").partition(">>> ")
    cls.__doc__ = "\n".join([before.rstrip(), "", *wrapped, example + after])
    vars(cls)["fit"].__doc__ = inspect.cleandoc(kind._fit_page)
    return cls


@final
@dataclass(frozen=True)
class NotLoaded:
    """The value of a parameter that a file could not hold and ``load`` was not given: no fit goes on with it.

    Attributes:
        kind: what the value was, for messages.
    """

    kind: str

    def __repr__(self) -> str:
        return f"<{self.kind}, not loaded>"


def check_parameters(estimator: Any) -> None:
    """Hold every parameter of an estimator to its rule.

    Raises:
        ArgumentError: one breaks it, or must be given again after ``load``.
    """
    check_given(estimator, estimator.get_params(deep=False))
    check_rules(estimator)


def check_given(estimator: Any, names: Iterable[str]) -> None:
    """Raise an ``ArgumentError`` if one of these parameters was not loaded."""
    missing = {name: value for name in names if isinstance(value := getattr(estimator, name, None), NotLoaded)}
    if missing:
        what = ", ".join(f"{name} ({value.kind})" for name, value in missing.items())
        again = ", ".join(f"{name}=..." for name in missing)
        raise ArgumentError(
            f"{what} must be given again, as the file that this {type(estimator).__name__} was loaded from could not"
            f" hold it. Use saiki.load(path, {again}) or set_params({again})."
        )


def check_rules(estimator: Any) -> None:
    """Hold every parameter of an estimator that was loaded to its rule.

    Raises:
        ArgumentError: one breaks it.
    """
    for name, value in estimator.get_params(deep=False).items():
        if not isinstance(value, NotLoaded):
            check_rule(estimator, name, value)


def check_rule(estimator: Any, name: str, value: Any) -> None:
    """Raise an ``ArgumentError`` if a value breaks the rule of a parameter of an estimator."""
    rule, _, optional = estimator._parameters[name]
    if value is None and optional:
        return
    try:
        rule(name, value)
    except ArgumentError as error:
        if len(str(error)) > LONGEST_MESSAGE:  # it shows all of a large value
            raise ArgumentError(f"{str(error)[:LONGEST_MESSAGE]} ...") from None
        raise


def optimizer_of(estimator: Any, n_updates: int | None, factor: float = 1.0) -> Optimizer:
    """Return the optimizer that an estimator's parameters describe.

    Args:
        estimator: whose parameters.
        n_updates: how many updates there will be; None where nobody knows, and the learning rate stays as it is.
        factor: what ``learning_rate_init`` is multiplied by.

    Raises:
        ArgumentError: options that the solver does not have.
    """
    clip = [] if estimator.clip_norm is None else [optimizers.clip_by_norm(estimator.clip_norm)]
    decay = [optimizers.decay_weights(estimator.alpha)] if estimator.alpha else []
    solver, options = estimator.solver, dict(estimator.solver_options or {})
    if isinstance(solver, Optimizer):
        if options:
            raise ArgumentError("solver_options go with the name of a solver; give them to your optimizer itself.")
        return optimizers.chain(*clip, *decay, solver)
    make = OPTIMIZERS[solver]
    known = [name for name in inspect.signature(make).parameters if name != "learning_rate"]
    for name in options:
        if not known:
            raise ArgumentError(f"solver_options: the solver {solver!r} has none; got {name!r}. Leave them out.")
        choose("solver_options", name, dict.fromkeys(known))
    rate = estimator.learning_rate
    if not callable(rate):
        schedule = LEARNING_RATES[rate if n_updates is not None else "constant"]
        rate = schedule(factor * float(estimator.learning_rate_init), n_updates or 1)
    return optimizers.chain(*clip, *decay, make(rate, **options))


def optimizers_of(estimator: Any, n_updates: int) -> Callable[[Epoch], Optimizer]:
    """Return a function from an epoch to the optimizer of the next one: the same, unless the rate waits for plateaus.

    The arguments and errors are those of ``optimizer_of``.
    """
    waits = isinstance(estimator.learning_rate, str) and estimator.learning_rate == "plateau"
    patience, tol = estimator.n_iter_no_change // 2, estimator.tol

    @cache
    def after(count: int) -> Optimizer:
        return optimizer_of(estimator, n_updates, PLATEAU_FACTOR**count)

    return lambda epoch: after(min(n_plateaus(epoch, patience, tol), MOST_PLATEAUS) if waits else 0)


def stopping_of(estimator: Any) -> Stopping:
    """Return when an estimator's parameters say to stop.

    Where the learning rate falls to the end, a loss that has not fallen for a while is no reason to leave early.
    """
    falls = estimator.learning_rate in FALLING if isinstance(estimator.learning_rate, str) else False
    patience = estimator.max_iter if falls and not estimator.early_stopping else estimator.n_iter_no_change
    return Stopping(estimator.max_iter, patience, estimator.tol, bool(estimator.early_stopping))


def batch_size_of(estimator: Any, n_examples: int) -> int:
    """Return how many examples each update learns from."""
    return min(AUTO_BATCH if estimator.batch_size == "auto" else int(estimator.batch_size), n_examples)


def tbptt_of(estimator: Any) -> int | None:
    """Return the window of truncated backpropagation through time; None for what has no time as well."""
    return getattr(estimator, "tbptt", None)
