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

from saiki.arrays import Array
from saiki.errors import GradientError
from saiki.explain.columns import aligned

STEP = 1e-20

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


def certified(
    model: str,
    value: Function,
    at: dict[str, Array],
    found: Mapping[str, Array],
    rng: np.random.Generator,
    single: bool,
    culprit: Callable[[], str] = lambda: "",
) -> Certificate:
    """Compare gradients with the truth, and return the certificate.

    Args:
        model: what is checked, in words.
        value: runs the model to one number, from arrays by name.
        at: those arrays.
        found: the gradient of some of them, as the backward pass has it.
        rng: draws the directions.
        single: whether the backward pass computed in float32.
        culprit: says, after a gradient was found wrong, which part of the model is to blame.

    Raises:
        GradientError: a gradient is wrong, or nothing can tell; the message is the table.
    """
    exact = {name: np.asarray(array, np.float64) for name, array in at.items()}
    certificate = Certificate(model, _compare(value, exact, found, rng, FLOAT32_TOLERANCE if single else None))
    if not certificate.right:
        wrong = ", ".join(f"{row.name} {row.verdict}" for row in certificate.rows if row.verdict != "right")
        raise GradientError(
            f"the backward pass is not shown to be the gradient of the forward pass: {wrong}.{culprit()}\n{certificate}"
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


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw numbers of either sign, none of them near zero."""
    return rng.uniform(0.2, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
