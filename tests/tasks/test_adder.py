"""The task of adding."""

import numpy as np
import pytest

import saiki
from saiki.tasks.adder import Adder, Experiment


@pytest.mark.parametrize("bits", [2, 8, 32])
def test_bits_say_the_sum(bits: int, rng: np.random.Generator) -> None:
    adder = Adder(bits)
    a, b = adder.pairs(rng.integers(adder.n_pairs, size=50))
    a[0] = b[0] = adder.n_numbers - 1  # the largest sum still fits
    X, y = adder.encode(a, b)
    places = 2.0 ** np.arange(bits)
    np.testing.assert_array_equal(X[..., 0] @ places, a)
    np.testing.assert_array_equal(X[..., 1] @ places, b)
    np.testing.assert_array_equal(y @ places, a + b)


@pytest.mark.parametrize("bits", [1, 33, 2.5])
def test_bits_out_of_range(bits: int) -> None:
    with pytest.raises(saiki.ArgumentError, match="bits must be"):
        Adder(bits)


def test_pairs_are_numbered_without_gaps() -> None:
    a, b = Adder(4).pairs(np.arange(64))
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == 64
    assert max(a.max(), b.max()) == 7


def test_training_never_sees_what_is_held_out() -> None:
    experiment = Experiment(bits=5, iterations=2000, batch_size=3)
    held_out = experiment.held_out()
    assert len(held_out) == 64
    for batch in experiment.batches():
        a, b = (batch.X[..., i] @ 2.0 ** np.arange(5) for i in (0, 1))
        assert not np.isin(a * 16 + b, held_out).any()


def test_few_bits_are_all_trained_on_and_all_watched() -> None:
    experiment = Experiment(bits=3, iterations=500)
    assert not experiment.holds_out
    assert len(experiment.held_out()) == 16
    seen = {tuple(batch.X.ravel()) for batch in experiment.batches()}
    assert len(seen) == 16


def test_every_pair_is_tried_once_up_to_twelve_bits_and_a_sample_beyond() -> None:
    for bits in (2, 8, 12):
        experiment = Experiment(bits=bits)
        codes = np.concatenate(experiment.trials())
        np.testing.assert_array_equal(codes, np.arange(experiment.adder.n_pairs))
    codes = np.concatenate(Experiment(bits=32).trials())
    assert len(codes) == 100_000
    assert codes.max() > 2**61


def test_same_seed_same_numbers() -> None:
    one, two, other = ([step.loss for step in Experiment(iterations=50, seed=seed).run()] for seed in (3, 3, 4))
    assert one == two
    assert one != other


def test_a_network_that_never_trained_is_not_right() -> None:
    experiment = Experiment()
    params = experiment.network.init(experiment.rng("weights"))
    assert experiment.right_bits(params, np.arange(1000)).all(axis=1).mean() < 0.2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "hinge"}, "loss must be one of"),
        ({"optimizer": "newton"}, "optimizer must be one of"),
        ({"activation": "softmin"}, "activation must be one of"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive, finite number"),
        ({"engine": "warp"}, "engine must be one of"),
        ({"scheme": "kaiming"}, "scheme must be one of"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=message):
        Experiment(**settings)  # type: ignore[arg-type]
