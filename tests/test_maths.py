"""The vocabulary of cells."""

import numpy as np
import pytest

from saiki.maths import ACTIVATIONS, relu, sigmoid, softplus

GRID = np.concatenate([np.linspace(-30, 30, 601) + 0.05, [-700.0, 700.0]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_from_the_output_is_the_slope(name: str) -> None:
    function, derivative = ACTIVATIONS[name]
    slope = np.imag(function(GRID + 1e-20j)) / 1e-20
    # 1 - y * y and y * (1 - y) cancel where y is near 1: half an ulp of 1 is all that can be kept there.
    np.testing.assert_allclose(derivative(function(GRID)), slope, rtol=1e-12, atol=2.3e-16)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_stays_float32(name: str) -> None:
    function, derivative = ACTIVATIONS[name]
    y = function(GRID.astype(np.float32))
    assert y.dtype == derivative(y).dtype == np.float32
    assert np.isfinite(y).all()


def test_sigmoid_keeps_its_relative_precision_where_it_is_tiny() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-40.0, -700.0])), np.exp([-40.0, -700.0]), rtol=1e-15)


def test_softplus_is_finite_and_right() -> None:
    np.testing.assert_allclose(softplus(GRID), np.logaddexp(0, GRID), rtol=1e-15)
    assert softplus(np.array([1e4, -1e4])).tolist() == [1e4, 0.0]


def test_relu_lets_nan_through() -> None:
    assert np.isnan(relu(np.array([np.nan]))).all()
