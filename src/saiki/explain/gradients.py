"""The certificate: is what the backward pass returns the gradient of the forward pass?

Complex-step differentiation (Squire and Trapp 1998, "Using complex variables to estimate derivatives of real
functions", SIAM Review 40): for a function that is analytic, and real on real numbers, ``Im f(x + ih) / h`` is the
derivative up to ``h**2``, and nothing is subtracted. With h = 1e-20 nothing is cut off and nothing cancels; what is
left is the rounding of f itself. A function that is not analytic, or cannot run on complex numbers, is checked by
central differences.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count, as_float, check_params
from saiki.cells import Cell, as_cell
from saiki.errors import ArgumentError, DtypeError, GradientError
from saiki.explain.columns import aligned
from saiki.explain.problems import problem_of
from saiki.layers import Embedding, Gradients, Layer, Network, Recurrent
from saiki.layers.layer import map_state, precision_of
from saiki.losses import Loss, loss_for

STEP = 1e-20

DRAWN, DRAWN_LENGTHS = (4, 7), [3, 7, 0, 1]
"""The size of a drawn batch, and its lengths: unsorted, with one and none among them."""

# Rounding of a few thousand float64 operations, relative to the largest number of the gradient.
COMPLEX_STEP_TOLERANCE = 1e-9
# The best step of a central difference leaves about eps**(2/3) = 4e-11, times the curvature of the function.
CENTRAL_TOLERANCE = 1e-6
# The same operations in float32, whose rounding is 6e-8.
FLOAT32_TOLERANCE = 1e-3

CHECKED, SAMPLED = 200, 20
"""Of an array of more than so many numbers, so few are checked one by one; all of them are, along one direction."""

BELIEVED = 1e-3
"""A central difference speaks against complex steps only if its doubt is below this share of it."""

FAINT = 1e-6
"""A gradient below this share of the largest one is measured against that share: it is made of what cancelled."""

Function: TypeAlias = Callable[[Mapping[str, Array]], Any]


class Row(NamedTuple):
    """What was found of one gradient.

    Attributes:
        name: the parameter, "X", or the part of the initial state.
        shape: the shape of the array.
        checked: how many of its numbers were checked one by one; all were along a random direction.
        largest: the largest of them in the true gradient.
        error: the largest difference to the truth, over the largest true number.
        method: "complex step" or "central differences".
        verdict: "right", "WRONG", or "unclear" where neither method can tell.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    largest: float
    error: float
    method: str
    verdict: str


@final
@dataclass(frozen=True)
class Certificate:
    """The rows of a check, one for each parameter, for the input, and for each part of the initial state.

    Attributes:
        model: what was checked, in words.
        rows: what was found.
    """

    model: str
    rows: tuple[Row, ...]

    @property
    def errors(self) -> dict[str, float]:
        """The error of each gradient, by name."""
        return {row.name: row.error for row in self.rows}

    @property
    def worst(self) -> float:
        """The largest error."""
        return max(self.errors.values())

    @property
    def right(self) -> bool:
        """Whether every gradient is right."""
        return all(row.verdict == "right" for row in self.rows)

    def __str__(self) -> str:
        cells = [("gradient of", "shape", "checked", "largest", "error", "by", "")]
        for name, shape, checked, largest, error, method, verdict in self.rows:
            cells.append((name, str(shape), str(checked), f"{largest:.2e}", f"{error:.1e}", method, verdict))
        return f"{self.model}\n{aligned(cells)}"


def check_gradients(
    model: Any,
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    params: Params | None = None,
    *,
    loss: str | Loss | None = None,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    seed: int = 0,
    engine: str | None = None,
) -> Certificate:
    """Compare every gradient that a backward pass returns with the true one.

    Whatever is not given is drawn: inputs, an initial state, and parameters, none of them zero, since zeros hide wrong
    gradients. Without y the outputs and the final state are weighted at random and summed, which no wrong gradient
    survives.

    Args:
        model: a layer, a network, a cell, the name of a cell, or an estimator: the network that it fits, with the
            parameters that it has learnt, on data as its ``fit`` takes them.
        X: inputs ``(B, T, F)``; a few ragged sequences where none are given.
        y: targets of a network, for ``loss``.
        params: the parameters; float32 ones (or a float32 X) are held to a wider tolerance.
        loss: the name of a loss, or one itself, with y; None is the cross-entropy for class indices, else the squared
            error.
        lengths: ``(B,)``, with a given X.
        sample_weight: how much each target counts, with a given y.
        seed: decides what is drawn.
        engine: whose backward pass is checked, or None for the default one; the truth is the reference engine's.

    Returns:
        A certificate; print it for a table.

    Raises:
        GradientError: a gradient is wrong, or nothing can tell; the message is the table.
        ArgumentError, ShapeError, DtypeError: each names the argument, the rule, what came, and what to do.

    >>> certificate = check_gradients("lstm")
    >>> certificate.right, certificate.worst < 1e-10, list(certificate.errors)
    (True, True, ['Wx', 'Wh', 'b', 'state.0', 'state.1', 'X'])
    """
    if hasattr(model, "network_problem"):
        problem = problem_of(model, X, y, lengths=lengths, sample_weight=sample_weight)
        return check_gradients(
            problem.network, problem.X, problem.y, problem.params if params is None else params,
            loss=loss or problem.loss, lengths=problem.lengths, sample_weight=problem.sample_weight,
            seed=seed, engine=engine,
        )  # fmt: skip
    layer = _as_layer(model)
    if y is not None and not isinstance(layer, Network):
        raise ArgumentError(f"y goes with a network; got a {type(layer).__name__}. Leave y out.")
    if y is None and loss is not None:
        raise ArgumentError("loss goes with y, the targets that it is the loss of; give both or neither.")
    if X is None and lengths is not None:
        raise ArgumentError("lengths goes with X, whose lengths they are; give both or neither.")
    rng = np.random.default_rng(as_count("seed", seed, 0))
    if params is not None:
        check_params(params, {name: p.shape for name, p in layer.parameters().items()})
    single = getattr(X, "dtype", None) == np.float32
    dtype = precision_of(params) if params else np.dtype(np.float32 if single else np.float64)
    if X is None:
        X, lengths = _draw_input(layer, rng).astype(dtype), DRAWN_LENGTHS
    X = as_float("X", X, dtype)
    if X.dtype.kind == "c":
        raise DtypeError("X must hold real numbers; got complex ones.")
    params = _draw_params(layer, rng, dtype) if params is None else params
    tolerance = FLOAT32_TOLERANCE if dtype == np.float32 else None

    Y, final_state, _ = layer.forward(params, X, None, lengths, engine, np.random.default_rng(seed))
    target_loss = loss or loss_for(Y, y)
    state = map_state(lambda part: _away_from_zero(rng, part.shape).astype(part.dtype), final_state)
    dY = _away_from_zero(rng, Y.shape).astype(Y.dtype)
    dstate = map_state(lambda part: _away_from_zero(rng, part.shape).astype(part.dtype), final_state)

    def run(of: Params, X: Array, start: Any, engine: str | None) -> tuple[Any, Callable[[], Gradients]]:
        """Run the model to one number, and promise its gradients; dropout is the same every time."""
        again = np.random.default_rng(seed)
        if y is not None:
            assert isinstance(layer, Network)
            total, grads = layer.loss_and_gradients(of, X, y, target_loss, lengths, sample_weight, start, engine, again)
            return total, lambda: grads
        Y, final_state, tape = layer.forward(of, X, start, lengths, engine, again)
        ends = zip(_parts(final_state).values(), _parts(dstate).values(), strict=True)
        total = (Y * dY).sum() + sum((end * d).sum() for end, d in ends)
        return total, lambda: layer.backward(of, tape, dY, dstate)

    def value(at: Mapping[str, Array]) -> Any:
        """Run from the drawn initial state, and from none, where a learnt one steps in; add up."""
        of = {name: at[name] for name in params}
        return sum(run(of, at["X"], start, "reference")[0] for start in (_with_parts(state, at), None))

    begun, fresh = (run(params, X, start, engine)[1]() for start in (state, None))
    found = {name: begun[name] + fresh[name] for name in params} | _parts(begun.state)
    if _tokens_of(layer) is None:
        found["X"] = begun.X + fresh.X
    exact = {name: np.asarray(v, np.float64) for name, v in {**params, "X": X, **_parts(state)}.items()}
    certificate = Certificate(repr(layer), _compare(value, exact, found, rng, tolerance))
    if not certificate.right:
        wrong = ", ".join(f"{row.name} {row.verdict}" for row in certificate.rows if row.verdict != "right")
        raise GradientError(
            f"the backward pass is not shown to be the gradient of the forward pass: {wrong}. In a cell, compare each"
            f" line of backward with the line that it undoes, and the order of the saved values.\n{certificate}"
        )
    return certificate


def _compare(
    value: Function, at: dict[str, Array], found: Mapping[str, Array], rng: np.random.Generator, tolerance: float | None
) -> tuple[Row, ...]:
    """Compare every gradient with the truth: number by number, and as a whole along a random direction.

    Complex steps are the truth where they agree with central differences along that direction, or where those are too
    coarse to say; else the function has no complex derivative, and central differences are the truth.
    """
    eps = np.finfo(np.float64).eps
    moved = at | {name: at[name] * (1 + eps * rng.choice([-1, 1], at[name].shape)) for name in found}
    probes = {}
    for name in found:
        array = at[name]
        some = rng.permutation(array.size)[:SAMPLED] if array.size > CHECKED else np.arange(array.size)
        every, single = rng.choice([-1.0, 1.0], array.shape), np.eye(array.size)
        directions = [*(single[place].reshape(array.shape) for place in some), every]
        by_complex = np.array([_complex_step(value, at, name, direction) for direction in directions])
        probes[name] = directions, by_complex, _complex_step(value, moved, name, every)
    largest = max((np.abs(true[:-1]).max(initial=0) for _, true, _ in probes.values()), default=0)
    floor = FAINT * largest if largest > 0 else FAINT

    rows = []
    for name, (directions, true, shaken) in probes.items():
        got = np.array([(np.asarray(found[name], np.float64) * direction).sum() for direction in directions])
        scale = max(np.abs(true[:-1]).max(initial=0), floor)
        central, doubt = _central(value, at, name, directions[-1])
        apart = abs(true[-1] - central) > CENTRAL_TOLERANCE * max(scale, abs(true[-1])) + 10 * doubt
        if np.isfinite(true).all() and not (apart and doubt < BELIEVED * abs(central)):
            # what a rounding of the inputs changes is not the gradient's fault
            limit = max(tolerance or COMPLEX_STEP_TOLERANCE, 30 * abs(shaken - true[-1]) / scale)
            method, error = "complex step", np.abs(got - true).max() / scale
            verdict = "right" if error <= limit else "WRONG"
        else:
            ends = [_central(value, at, name, direction) for direction in directions]
            true, doubts = (np.array(column) for column in zip(*ends, strict=True))
            scale = max(np.abs(true[:-1]).max(initial=0), FAINT)
            method, errors = "central differences", np.abs(got - true) / scale
            limit = tolerance or CENTRAL_TOLERANCE
            error = errors.max()
            verdict = (
                "right" if error <= limit else "WRONG" if (errors > limit + 10 * doubts / scale).any() else "unclear"
            )
        shown = float(np.abs(true[:-1]).max(initial=0))
        rows.append(Row(name, at[name].shape, len(directions) - 1, shown, float(error), method, verdict))
    return tuple(rows)


def _complex_step(value: Function, at: Mapping[str, Array], name: str, direction: Array) -> float:
    """Return the derivative along a direction in one array; NaN where the function does not run on complex numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return float(np.imag(value({**at, name: at[name] + STEP * 1j * direction})) / STEP)
    except (TypeError, np.exceptions.ComplexWarning):
        return float("nan")


def _central(value: Function, at: Mapping[str, Array], name: str, direction: Array) -> tuple[float, float]:
    """Return the central difference along a direction in one array, and how much to doubt it.

    At a kink, or where the function bends within a step, the slopes on both sides, or at two sizes of the step, differ.
    """
    step = np.cbrt(np.finfo(np.float64).eps) / max(1.0, np.sqrt(np.count_nonzero(direction)))

    def moved(h: float) -> float:
        return float(np.real(value({**at, name: at[name] + h * direction})))

    below, here, above = moved(-step), moved(0.0), moved(step)
    slope, wider = (above - below) / (2 * step), (moved(2 * step) - moved(-2 * step)) / (4 * step)
    return slope, abs(wider - slope) + abs(above - 2 * here + below) / step


def _as_layer(model: Any) -> Layer:
    if isinstance(model, Layer):
        return model
    if isinstance(model, str | Cell):
        return Recurrent(as_cell(model), n_features=2, n_units=3)
    raise ArgumentError(f"model must be a layer, a network, a cell or the name of one; got {type(model).__name__}.")


def _tokens_of(layer: Layer) -> int | None:
    """Return how many tokens a model knows whose input is tokens, which have no gradient; None for any other."""
    while isinstance(layer, Network):
        layer = layer.layers[0]
    return layer.n_tokens if isinstance(layer, Embedding) else None


def _draw_input(layer: Layer, rng: np.random.Generator) -> Array:
    n_tokens = _tokens_of(layer)
    if n_tokens is not None:
        return rng.integers(n_tokens, size=(*DRAWN, 1))
    return _away_from_zero(rng, (*DRAWN, layer.sizes[0] or 2))


def _draw_params(layer: Layer, rng: np.random.Generator, dtype: np.dtype[Any]) -> Params:
    drawn = layer.init(rng, dtype=dtype)
    constants = (name for name, p in layer.parameters().items() if p.fan_in is None)
    return drawn | {name: _away_from_zero(rng, drawn[name].shape).astype(dtype) for name in constants}


def _away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.2, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


def _parts(state: Any, name: str = "state") -> dict[str, Array]:
    """Return the arrays of a state of any form, by name."""
    if isinstance(state, tuple):
        return {k: v for i, part in enumerate(state) for k, v in _parts(part, f"{name}.{i}").items()}
    return {} if state is None else {name: state}


def _with_parts(state: Any, arrays: Mapping[str, Array], name: str = "state") -> Any:
    """Return a state of the same form, with the arrays of these names in it."""
    if isinstance(state, tuple):
        return tuple(_with_parts(part, arrays, f"{name}.{i}") for i, part in enumerate(state))
    return arrays.get(name)
