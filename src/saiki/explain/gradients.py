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
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_float
from saiki.cells import Cell, as_cell
from saiki.errors import ArgumentError, GradientError
from saiki.layers import Embedding, Gradients, Layer, Network, Recurrent
from saiki.losses import Loss

STEP = 1e-20

# Rounding of a few thousand float64 operations, relative to the largest number of the gradient.
COMPLEX_STEP_TOLERANCE = 1e-9
# The best step of a central difference leaves about eps**(2/3) = 4e-11, times the curvature of the function.
CENTRAL_TOLERANCE = 1e-6
# The same operations in float32, whose rounding is 6e-8.
FLOAT32_TOLERANCE = 1e-3

CHECKED = 200
"""Of each array at most so many numbers, drawn at random, are checked."""

FAINT = 1e-6
"""A gradient below this share of the largest one is measured against that share: it is made of what cancelled."""


class Row(NamedTuple):
    """What was found of one gradient.

    Attributes:
        name: the parameter, "X", or the part of the initial state.
        shape: the shape of the array.
        checked: how many of its numbers were checked.
        largest: the largest of them in the true gradient.
        error: the largest difference to the truth, over the largest true number.
        method: "complex step" or "central differences".
        right: whether the error is within the tolerance of the method.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    largest: float
    error: float
    method: str
    right: bool


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
        return all(row.right for row in self.rows)

    def __str__(self) -> str:
        cells = [("gradient of", "shape", "checked", "largest", "error", "by", "")]
        for name, shape, checked, largest, error, method, right in self.rows:
            verdict = "right" if right else "WRONG"
            cells.append((name, str(shape), str(checked), f"{largest:.2e}", f"{error:.1e}", method, verdict))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
        return "\n".join([self.model, *(line.rstrip() for line in lines)])


def check_gradients(
    model: str | Cell | Layer,
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    params: Params | None = None,
    *,
    loss: str | Loss = "squared_error",
    lengths: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Certificate:
    """Compare every gradient that a backward pass returns with the true one.

    Whatever is not given is drawn: inputs, an initial state, and parameters, none of them zero, since zeros hide wrong
    gradients. Without y the outputs and the final state are weighted at random and summed, which no wrong gradient
    survives.

    Args:
        model: a layer, a network, a cell, or the name of a cell.
        X: inputs ``(B, T, F)``; a few ragged sequences where none are given.
        y: targets of a network, for ``loss``.
        params: the parameters; float32 ones are held to a wider tolerance.
        loss: the name of a loss, or one itself, where y is given.
        lengths: ``(B,)``, with a given X.
        seed: decides what is drawn.

    Returns:
        A certificate; print it for a table.

    Raises:
        GradientError: a gradient is wrong; the message is the table.
        ArgumentError: something else than a cell or a layer, or y without a network.

    >>> certificate = check_gradients("lstm")
    >>> certificate.right, certificate.worst < 1e-10, list(certificate.errors)
    (True, True, ['Wx', 'Wh', 'b', 'X', 'state.0', 'state.1'])
    """
    layer = _as_layer(model)
    if y is not None and not isinstance(layer, Network):
        raise ArgumentError(f"y goes with a network; got a {type(layer).__name__}. Leave y out.")
    rng = np.random.default_rng(seed)
    if X is None:
        X, lengths = _draw_input(layer, rng), [5, 3, 1]
    X = as_float("X", X)
    params = _draw_params(layer, rng) if params is None else params
    tolerance = FLOAT32_TOLERANCE if any(p.dtype == np.float32 for p in params.values()) else None

    Y, final_state, _ = layer.forward(params, X, None, lengths, rng=np.random.default_rng(seed))
    state = _map_state(lambda part: _away_from_zero(rng, part.shape).astype(part.dtype), final_state)
    dY = _away_from_zero(rng, Y.shape).astype(Y.dtype)
    dstate = _map_state(lambda part: _away_from_zero(rng, part.shape).astype(part.dtype), final_state)

    def run(of: Params, X: Array, start: Any, engine: str | None) -> tuple[Any, Callable[[], Gradients]]:
        """Run the model to one number, and promise its gradients; dropout is the same every time."""
        again = np.random.default_rng(seed)
        if y is not None:
            assert isinstance(layer, Network)
            total, grads = layer.loss_and_gradients(of, X, y, loss, lengths, None, start, engine, again)
            return total, lambda: grads
        Y, final_state, tape = layer.forward(of, X, start, lengths, engine, again)
        ends = zip(_parts(final_state).values(), _parts(dstate).values(), strict=True)
        total = (Y * dY).sum() + sum((end * d).sum() for end, d in ends)
        return total, lambda: layer.backward(of, tape, dY, dstate)

    def value(at: Mapping[str, Array]) -> Any:
        """Run from the drawn initial state, and from none, where a learnt one steps in; add up."""
        of = {name: at[name] for name in params}
        return sum(run(of, at["X"], start, "reference")[0] for start in (_with_parts(state, at), None))

    given, without = (run(params, X, start, None)[1]() for start in (state, None))
    found = {name: given[name] + without[name] for name in params}
    found |= {"X": given.X + without.X, **_parts(given.state)}
    exact = {name: np.asarray(v, np.float64) for name, v in {**params, "X": X, **_parts(state)}.items()}
    certificate = Certificate(repr(layer), _compare(value, exact, found, rng, tolerance))
    if not certificate.right:
        raise GradientError(f"the backward pass is not the gradient of the forward pass\n{certificate}")
    return certificate


def _compare(
    value: Callable[[Mapping[str, Array]], Any],
    at: dict[str, Array],
    found: Mapping[str, Array],
    rng: np.random.Generator,
    tolerance: float | None,
) -> tuple[Row, ...]:
    """Compare gradients with complex steps, and where those disagree with central differences."""
    places = {
        name: rng.permutation(array.size)[:CHECKED] if array.size > CHECKED else np.arange(array.size)
        for name, array in at.items()
    }
    by_complex = {name: _complex_step(value, at, name, places[name]) for name in at}
    floor = FAINT * max((np.abs(d).max(initial=0) for d in by_complex.values()), default=0) or FAINT
    rows = []
    for name, array in at.items():
        got = np.asarray(found[name], np.float64).ravel()[places[name]]
        true, method, limit = by_complex[name], "complex step", tolerance or COMPLEX_STEP_TOLERANCE
        error = _error(got, true, floor)
        if not error <= limit:
            central = _central(value, at, name, places[name])
            if not _error(true, central, floor) <= CENTRAL_TOLERANCE:  # the function has no complex derivative
                true, method, limit = central, "central differences", tolerance or CENTRAL_TOLERANCE
                error = _error(got, true, floor)
        largest = float(np.abs(true).max(initial=0))
        rows.append(Row(name, array.shape, len(got), largest, error, method, error <= limit))
    return tuple(rows)


def _error(found: Array, true: Array, floor: float) -> float:
    return float(np.abs(found - true).max(initial=0) / max(np.abs(true).max(initial=0), floor))


def _complex_step(value: Callable[[Mapping[str, Array]], Any], at: dict[str, Array], name: str, places: Array) -> Array:
    """Return the derivatives at some places of one array; NaN where the function does not run on complex numbers."""
    derivatives = np.empty(len(places))
    for i, place in enumerate(places):
        shifted = at[name].astype(np.complex128)
        shifted.flat[place] += STEP * 1j
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                derivatives[i] = np.imag(value({**at, name: shifted})) / STEP
        except (TypeError, np.exceptions.ComplexWarning):
            return np.full(len(places), np.nan)
    return derivatives


def _central(value: Callable[[Mapping[str, Array]], Any], at: dict[str, Array], name: str, places: Array) -> Array:
    """Return the central differences at some places of one array."""
    derivatives = np.empty(len(places))
    for i, place in enumerate(places):
        step = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(at[name].flat[place]))
        ends = []
        for sign in (1, -1):
            shifted = at[name].copy()
            shifted.flat[place] += sign * step
            ends.append(np.real(value({**at, name: shifted})))
        derivatives[i] = (ends[0] - ends[1]) / (2 * step)
    return derivatives


def _as_layer(model: str | Cell | Layer) -> Layer:
    if isinstance(model, Layer):
        return model
    if isinstance(model, str | Cell):
        return Recurrent(as_cell(model), n_features=2, n_units=3)
    raise ArgumentError(f"model must be a layer, a network, a cell or the name of one; got {type(model).__name__}.")


def _draw_input(layer: Layer, rng: np.random.Generator) -> Array:
    first = layer
    while isinstance(first, Network):
        first = first.layers[0]
    if isinstance(first, Embedding):
        return rng.integers(first.n_tokens, size=(3, 5, 1)).astype(np.float64)
    return _away_from_zero(rng, (3, 5, layer.sizes[0] or 2))


def _draw_params(layer: Layer, rng: np.random.Generator) -> Params:
    drawn = layer.init(rng)
    constants = (name for name, p in layer.parameters().items() if p.fan_in is None)
    return drawn | {name: _away_from_zero(rng, drawn[name].shape) for name in constants}


def _away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.2, 1.0, shape) * rng.choice([-1.0, 1.0], shape)


def _map_state(function: Callable[[Array], Array], state: Any) -> Any:
    """Apply a function to every array of a state of any form."""
    if isinstance(state, tuple):
        return tuple(_map_state(function, part) for part in state)
    return None if state is None else function(state)


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
