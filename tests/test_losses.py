"""Losses: means over what exists."""

import numpy as np
import pytest

from saiki.losses import LOSSES, evaluate


@pytest.mark.parametrize("loss", LOSSES)
def test_the_slope_is_the_derivative_of_the_value(loss: str, rng: np.random.Generator) -> None:
    output, target = rng.standard_normal(100) * 5, rng.uniform(0, 1, 100)
    _, slope = LOSSES[loss](output, target)
    value, _ = LOSSES[loss](output + 1e-20j, target)
    np.testing.assert_allclose(np.imag(value) / 1e-20, slope, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_large_outputs_stay_finite(loss: str, logit: float) -> None:
    value, dY = evaluate(loss, np.full((1, 1, 1), logit), np.zeros((1, 1)))
    assert np.isfinite(value)
    assert np.isfinite(dY).all()


def test_known_values() -> None:
    Y = np.array([[[0.5, 1.0]]])
    assert evaluate("squared_error", Y, np.zeros((1, 1, 2)))[0] == (0.125 + 0.5) / 2
    assert evaluate("logistic", np.zeros((1, 1)), [1.0])[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize("loss", LOSSES)
def test_what_does_not_exist_counts_for_nothing(loss: str, rng: np.random.Generator) -> None:
    """The mean over a padded batch with gaps is the mean over a flat list of what is there."""
    Y, y = rng.standard_normal((3, 4, 2)), rng.uniform(0, 1, (3, 4, 2))
    y[0, 1, 0] = y[2, 0, :] = np.nan
    lengths = np.array([4, 0, 2])
    weight = rng.uniform(0.5, 2.0, 3)
    there = [(i, t, k) for i in range(3) for t in range(lengths[i]) for k in range(2) if not np.isnan(y[i, t, k])]
    value, dY = evaluate(loss, Y, y, lengths, weight)
    singles = {at: LOSSES[loss](Y[at], y[at]) for at in there}
    total = sum(weight[at[0]] for at in there)
    assert value == pytest.approx(sum(weight[at[0]] * singles[at][0] for at in there) / total, rel=1e-14)
    for at in np.ndindex(Y.shape):
        assert dY[at] == pytest.approx(weight[at[0]] * singles[at][1] / total if at in singles else 0, rel=1e-14)


def test_nothing_at_all_is_zero() -> None:
    value, dY = evaluate("squared_error", np.ones((2, 3, 1)), np.full((2, 3), np.nan))
    assert value == 0
    assert not dY.any()


def test_float32_stays_float32() -> None:
    Y = np.ones((2, 3, 1), np.float32)
    value, dY = evaluate("logistic", Y, np.zeros((2, 3)), sample_weight=np.ones(2))
    assert value.dtype == dY.dtype == np.float32
