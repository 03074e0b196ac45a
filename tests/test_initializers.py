"""Each matrix is scaled by its own fan-in."""

import numpy as np
import pytest

import saiki
from saiki.initializers import normal

# The standard deviation of n draws has a relative error of 1 / sqrt(2 n): 1 % of 40,000 draws is 2.8 of those.
SPREAD = 0.02


@pytest.mark.parametrize(("scheme", "scale"), [("xavier", 1.0), ("he", 2.0)], ids=["xavier", "he"])
def test_spread_follows_the_fan_in_of_each_matrix(scheme: str, scale: float) -> None:
    params = saiki.SimpleRNN(n_features=100, n_units=1000).init(np.random.default_rng(0), scheme)
    assert params["Wx"].std() == pytest.approx(np.sqrt(scale / 100), rel=SPREAD)
    assert params["Wh"].std() == pytest.approx(np.sqrt(scale / 1000), rel=SPREAD)
    assert not params["b"].any()


def test_normal_has_the_sigma_that_is_asked_for() -> None:
    layer = saiki.Dense(200, 200)
    assert layer.init(np.random.default_rng(0), "normal")["W"].std() == pytest.approx(1, rel=SPREAD)
    assert layer.init(np.random.default_rng(0), normal(0.01))["W"].std() == pytest.approx(0.01, rel=SPREAD)
    with pytest.raises(saiki.ArgumentError, match="sigma must be positive"):
        normal(0)


def test_same_generator_same_numbers() -> None:
    layer = saiki.SimpleRNN(2, 3)
    one, two = (layer.init(np.random.default_rng(7)) for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_dtype_and_scheme_are_checked() -> None:
    layer = saiki.SimpleRNN(2, 3)
    assert {v.dtype for v in layer.init(np.random.default_rng(0), dtype=np.float32).values()} == {np.dtype(np.float32)}
    with pytest.raises(saiki.ArgumentError, match="dtype must be float32 or float64; got int64"):
        layer.init(np.random.default_rng(0), dtype=np.int64)
    with pytest.raises(saiki.ArgumentError, match="scheme must be one of 'normal', 'xavier', 'he'"):
        layer.init(np.random.default_rng(0), "kaiming")
    with pytest.raises(saiki.ArgumentError, match=r"rng must be a numpy Generator; got 0. Try np.random.default_rng"):
        layer.init(0)  # type: ignore[arg-type]
