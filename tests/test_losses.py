"""Losses: means over what exists."""

from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.losses import LOSSES, Loss, cross_entropy, evaluate, huber, squared_error

SMOOTHED = cross_entropy(label_smoothing=0.2)
EVERY: dict[str, Loss] = LOSSES | {"narrow huber": huber(0.3), "smoothed cross-entropy": SMOOTHED}


def targets(loss: Loss, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1]) if loss.of_classes else rng.uniform(0, 1, shape)


@pytest.mark.parametrize("name", EVERY)
def test_the_slope_is_the_derivative_of_the_value(name: str, rng: np.random.Generator) -> None:
    loss = EVERY[name]
    output, target = rng.standard_normal((100, 3)) * 5, targets(loss, rng, (100, 3))
    _, slope = loss(output, target)
    for k in range(3):
        value, _ = loss(output + 1e-20j * (np.arange(3) == k), target)
        derivative = np.imag(value).sum(axis=-1) / 1e-20
        np.testing.assert_allclose(derivative, slope[:, k], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("size", [-1e4, 1e4])
def test_large_outputs_stay_finite(name: str, size: float) -> None:
    value, dY = evaluate(EVERY[name], [[size, -size, 0.0]], [[1.0, 0.0, 0.0]])
    assert np.isfinite(value)
    assert np.isfinite(dY).all()


def test_known_values() -> None:
    assert evaluate("squared_error", [[[0.5, 1.0]]], np.zeros((1, 1, 2)))[0] == (0.125 + 0.5) / 2
    assert evaluate("absolute_error", [[-3.0]], [1.0])[0] == 4
    assert [float(evaluate(huber(2.0), [[v]], [0.0])[0]) for v in (1.0, -2.0, 5.0)] == [0.5, 2.0, 8.0]
    assert evaluate("logistic", [[0.0]], [1.0])[0] == pytest.approx(np.log(2))
    assert evaluate("cross_entropy", [[0.0, 0.0, 0.0]], [2])[0] == pytest.approx(np.log(3))
    assert evaluate("cross_entropy", [[1.0, 2.0]], [0])[0] == pytest.approx(np.log(1 + np.e))
    smoothed = 0.9 * np.log(1 + np.e) + 0.1 * np.log(1 + 1 / np.e)
    assert evaluate(cross_entropy(0.2), [[1.0, 2.0]], [0])[0] == pytest.approx(smoothed)


def test_an_index_is_the_distribution_that_is_certain(rng: np.random.Generator) -> None:
    Y, y = rng.standard_normal((3, 4, 5)), rng.integers(5, size=(3, 4))
    one, other = evaluate(SMOOTHED, Y, y), evaluate(SMOOTHED, Y, np.eye(5)[y])
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("junk", [1e6, np.inf, -np.inf, np.nan])
def test_what_does_not_exist_counts_for_nothing(name: str, junk: float, rng: np.random.Generator) -> None:
    """The mean over a padded batch with gaps is the mean over a flat list of what is there."""
    loss = EVERY[name]
    Y, y = rng.standard_normal((3, 4, 2)), targets(loss, rng, (3, 4, 2))
    lengths, weight = np.array([4, 0, 2]), rng.uniform(0.5, 2.0, (3, 4))
    y[0, 1, 0] = y[2, 0, :] = np.nan
    value, dY = evaluate(loss, Y, y, lengths, weight)

    flat: Any = 0.0
    total: Any = 0.0
    expected = np.zeros(Y.shape)
    for i, t in np.ndindex(3, 4):
        parts = [slice(None)] if loss.of_classes else [slice(k, k + 1) for k in range(2)]
        for part in parts:
            if t < lengths[i] and not np.isnan(y[i, t, part]).any():
                one, slope = loss(Y[i, t, part], y[i, t, part])
                flat += weight[i, t] * float(one.sum())
                total += weight[i, t]
                expected[i, t, part] = weight[i, t] * slope
    assert value == pytest.approx(flat / total, rel=1e-13)
    np.testing.assert_allclose(dY, expected / total, atol=1e-14)

    for i, n in enumerate(lengths):  # whatever stands beyond the lengths, in targets and weights
        y[i, n:], weight[i, n:] = junk, junk
    again, dY2 = evaluate(loss, Y, y, lengths, weight)
    assert again == value
    np.testing.assert_array_equal(dY, dY2)


def test_nothing_at_all_is_zero() -> None:
    value, dY = evaluate("squared_error", np.ones((2, 3, 1)), np.full((2, 3), np.nan))
    assert value == 0
    assert not dY.any()


def test_only_the_ratio_of_weights_counts() -> None:
    Y, y = np.array([[1.0], [3.0]]), [0.0, 0.0]
    for scale in (1e-300, 1.0, 1e300):
        assert evaluate("squared_error", Y, y, sample_weight=np.array([3.0, 1.0]) * scale)[0] == pytest.approx(1.5)


@pytest.mark.parametrize("name", EVERY)
def test_float32_stays_float32(name: str) -> None:
    value, dY = evaluate(EVERY[name], np.ones((2, 3, 2), np.float32), np.full((2, 3, 2), 0.5), sample_weight=np.ones(2))
    assert value.dtype == dY.dtype == np.float32


@pytest.mark.parametrize(
    ("loss", "Y", "y", "error", "message"),
    [
        ("cross_entropy", np.ones((2, 3)), [0, 3], saiki.ArgumentError, "class indices from 0 to 2, .* got 3.0"),
        ("cross_entropy", np.ones((2, 3)), [0, -1], saiki.ArgumentError, "class indices from 0 to 2, .* got -1.0"),
        ("cross_entropy", np.ones((2, 3)), [0, 0.5], saiki.ArgumentError, "class indices from 0 to 2, .* got 0.5"),
        ("cross_entropy", np.ones((2, 3)), np.ones((2, 3)), saiki.ArgumentError, "each row summing to 1"),
        (
            "cross_entropy",
            np.ones((2, 3)),
            np.ones((2, 2)),
            saiki.ShapeError,
            r"class indices of shape \(2,\), or .* got \(2, 2\)",
        ),
        ("squared_error", np.ones((2, 3)), [0, 1], saiki.ShapeError, "use the loss 'cross_entropy'"),
        ("logistic", np.ones((2, 1)), [0, 2], saiki.ArgumentError, "y must lie between 0 and 1"),
        ("squared_error", np.ones((2, 1)), [0, 1j], saiki.DtypeError, "y must hold real numbers"),
        ("hinge", np.ones((2, 1)), [0, 1], saiki.ArgumentError, "loss must be one of 'squared_error'"),
    ],
)
def test_bad_targets(loss: str, Y: Array, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(loss, Y, y)


def test_bad_options() -> None:
    with pytest.raises(saiki.ArgumentError, match="delta must be a positive, finite number; got 0"):
        huber(0)
    with pytest.raises(saiki.ArgumentError, match="label_smoothing must be a number from 0 up to, but not, 1; got 1"):
        cross_entropy(1)
    with pytest.raises(saiki.ArgumentError, match="lengths: these outputs have no time axis"):
        evaluate("squared_error", [[1.0]], [1.0], lengths=[1])
    with pytest.raises(saiki.ArgumentError, match="sample_weight must be finite; got nan"):
        evaluate("squared_error", [[1.0]], [1.0], sample_weight=[np.nan])


def test_outputs_at_missing_targets_touch_nothing() -> None:
    value, dY = evaluate("squared_error", [[np.nan], [1.0]], [np.nan, 0.0])
    assert value == 0.5
    np.testing.assert_array_equal(dY, [[0.0], [1.0]])
    with pytest.raises(saiki.ShapeError, match=r"Y must be \(n_sequences, n_steps, n_outputs\)"):
        evaluate("squared_error", 1.0, 1.0)


@pytest.mark.parametrize("row", [[0.5, 0.49], [1.5, -0.5]])
def test_what_is_no_distribution_is_refused(row: list[float]) -> None:
    with pytest.raises(saiki.ArgumentError, match="not negative, and each row summing to 1"):
        evaluate("cross_entropy", [[0.0, 0.0]], [row])


def test_losses_that_cannot_work() -> None:
    for function, message in (
        (lambda v, t: (v - t) ** 2, "must take 2 arrays and return two, .* fails: ValueError"),
        (
            lambda v, t: (((v - t) ** 2).mean(), v - t),
            r"a value and a slope for every output, .* got \(\) and \(1, 2\)",
        ),
        (lambda v, t: (v, 1.0 if v > t else -1.0), "fails: ValueError: .* without 'if'"),
    ):
        with pytest.raises(saiki.ArgumentError, match=message):
            Loss(function)  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match=r"loss must be a name or a Loss; got .* Try saiki.losses.Loss"):
        evaluate(squared_error, np.zeros((1, 1)), np.zeros(1))  # type: ignore[arg-type]
