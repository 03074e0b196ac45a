"""Each matrix is scaled by its own fan-in."""

import numpy as np
import pytest

import saiki
from saiki.initializers import Initializer, constant, normal, uniform

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
    with pytest.raises(saiki.ArgumentError, match="sigma must be a positive, finite number"):
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
    with pytest.raises(saiki.ArgumentError, match="scheme must be one of 'normal', 'xavier', 'he', 'orthogonal', 'id"):
        layer.init(np.random.default_rng(0), "kaiming")
    with pytest.raises(saiki.ArgumentError, match=r"rng must be a numpy Generator; got 0. Try np.random.default_rng"):
        layer.init(0)  # type: ignore[arg-type]


def test_orthogonal_matrices_are_orthogonal_gate_by_gate() -> None:
    params = saiki.LSTM(7, 5).init(np.random.default_rng(0), "orthogonal")
    for g in range(4):
        for name in ("Wh", "Wx"):
            block = params[name][:, 5 * g : 5 * g + 5]
            np.testing.assert_allclose(block.T @ block, np.eye(5), atol=1e-14)
    wide = saiki.Dense(2, 6).init(np.random.default_rng(0), "orthogonal")["W"]
    np.testing.assert_allclose(wide @ wide.T, np.eye(2), atol=1e-14)


def test_a_dict_names_parameters_and_gates() -> None:
    net = saiki.Network([saiki.LSTM(2, 3), saiki.Dense(3, 1)])
    scheme: dict[str, str | Initializer] = {"Wh": "identity", "b_f": constant(1), "W": normal(0.01)}
    params = net.init(np.random.default_rng(0), scheme)
    np.testing.assert_array_equal(params["0/Wh"], np.tile(np.eye(3), 4))
    np.testing.assert_array_equal(params["0/b"], [0] * 3 + [1] * 3 + [0] * 6)
    assert np.abs(params["1/W"]).max() < 0.1
    assert params["0/Wx"].std() > 0.1
    with pytest.raises(saiki.ArgumentError, match="scheme names b_forget, wh; the parameters are Wx, Wh, b, W"):
        net.init(np.random.default_rng(0), {"wh": "identity", "b_forget": "he"})
    with pytest.raises(saiki.ArgumentError, match=r"scheme\['Wh'\] must be one of"):
        net.init(np.random.default_rng(0), {"Wh": "idendity"})


def test_own_vectors_can_be_drawn_apart() -> None:
    params = saiki.Recurrent("indrnn", 2, 50).init(np.random.default_rng(0), {"u": uniform(0, 1)})
    assert 0 <= params["u"].min() < params["u"].max() < 1
    assert params["u"].shape == (50,)
    with pytest.raises(saiki.ArgumentError, match="low must be below high"):
        uniform(1, 1)


def test_every_parameter_has_its_own_fan_in() -> None:
    rng = np.random.default_rng(0)
    assert saiki.Conv1D(50, 200, 8).init(rng)["W"].std() == pytest.approx(1 / np.sqrt(400), rel=SPREAD)
    assert saiki.Embedding(400, 100).init(rng)["W"].std() == pytest.approx(1, rel=SPREAD)
    assert saiki.Recurrent("indrnn", 2, 5000).init(rng)["u"].std() == pytest.approx(1 / np.sqrt(5000), rel=2 * SPREAD)


def test_orthogonal_matrices_are_drawn_evenly() -> None:
    """Without the choice of signs the diagonal of Q R has a bias, and so has the trace of Q."""
    traces = [np.trace(saiki.Dense(3, 3).init(np.random.default_rng(s), "orthogonal")["W"]) for s in range(2000)]
    assert abs(np.mean(traces)) < 0.1  # a standard error of 0.022


def test_own_initializers_are_held_to_the_shape() -> None:
    with pytest.raises(saiki.ShapeError, match="what the initializer of 'Wx' returns must be the shape"):
        saiki.SimpleRNN(2, 3).init(np.random.default_rng(0), lambda rng, shape, fan_in: np.zeros(3))
    with pytest.raises(saiki.ArgumentError, match="value must be finite"):
        constant(float("nan"))
