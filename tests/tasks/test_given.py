"""Nested lists worked out with their trees and without: a fair comparison."""

from itertools import count
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.tasks import given
from saiki.tasks.given import ListsExperiment, Outcome, as_binary_trees, as_vectors, shares_by_depth
from saiki.tasks.nested_lists import FLAT_TOKENS, flat_tokens, tree_of, value_of

FEW: dict[str, Any] = {"n_train": 100, "n_test": 60, "depths": (1, 2), "test_depths": (1, 2, 3)}
LISTS = [tree_of(text) for text in ("[MAX 2 9]", "[MIN 2 9]", "[SM 8 [MED 3 4 9]]")]


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a hundredth of a second whenever it is read."""
    times = count()
    monkeypatch.setattr(given, "monotonic", lambda: next(times) / 100)


def run_both(experiment: ListsExperiment) -> list[Outcome]:
    return [experiment.run(name, lambda done, epoch: None) for name in experiment.networks]


@pytest.mark.usefixtures("ticks")
@pytest.mark.parametrize("n_units", [24, 64])
def test_both_networks_have_as_many_parameters(n_units: int) -> None:
    of_tree, flat = run_both(ListsExperiment(0.01, n_units, **FEW))
    assert of_tree.n_params == pytest.approx(flat.n_params, rel=0.02)


@pytest.mark.usefixtures("ticks")
def test_both_networks_stop_at_the_end_of_the_time_and_the_rate_falls_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, rate = list[float](), given.Clock.rate
    monkeypatch.setattr(given.Clock, "rate", lambda *args: rates.append(rate(*args)) or rates[-1])  # type: ignore[func-returns-value]
    experiment, told = ListsExperiment(6.0, 8, **FEW), list[float]()
    for name in experiment.networks:
        rates.clear()
        told.clear()
        outcome = experiment.run(name, lambda done, epoch: told.append(done))
        assert outcome.name == name
        assert outcome.n_epochs == len(told) > 20
        assert told == sorted(told)
        assert told[-2] < 6.0 <= outcome.seconds < 6.0 + 2 * (told[-1] - told[-2])
        assert rates == sorted(rates, reverse=True)
        assert rates[0] == pytest.approx(given.RATE, rel=0.01)
        assert 0 <= rates[-1] < given.RATE / 100


def test_both_networks_really_learn_for_as_long_as_they_may() -> None:
    for outcome in run_both(ListsExperiment(0.3, 8, **FEW)):
        assert 0.3 <= outcome.seconds < 2.3  # the rest of an epoch, on a busy machine


@pytest.mark.usefixtures("ticks")
def test_a_loss_that_does_not_fall_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "RATE", 1e-12)
    for outcome in run_both(ListsExperiment(6.0, 4, **FEW)):
        assert outcome.n_epochs > 20
        assert outcome.seconds >= 6.0


@pytest.mark.usefixtures("ticks")
def test_the_tree_helps_where_the_answer_is_nested() -> None:
    experiment = ListsExperiment(40.0, 16, n_train=1000, n_test=600, depths=(1, 2), test_depths=(1, 2, 3))
    outcomes = [*run_both(experiment), experiment.guess()]
    for outcome in outcomes:
        assert list(outcome.by_depth) == [1, 2, 3]
    by_name = {outcome.name: outcome.by_depth for outcome in outcomes}
    of_tree, flat, always = by_name.values()
    assert of_tree[2] > flat[2] > always[2]


def test_none_of_those_to_be_tried_on_was_learnt_from() -> None:
    experiment = ListsExperiment(depths=(1,), test_depths=(1, 2), n_train=1500, n_test=1000)
    assert len(set(experiment.train)) == len(experiment.train) == 1500
    assert not set(experiment.train) & set(experiment.test)
    assert 500 < len(set(experiment.test)) == len(experiment.test) < 1000  # some had to be left out
    assert {one.height for one in experiment.train} == {1}
    assert {one.height for one in experiment.test} == {1, 2}


def test_same_seed_same_lists() -> None:
    one, again, other = (ListsExperiment(seed=seed, **FEW) for seed in (3, 3, 4))
    assert one.train == again.train
    assert one.test == again.test
    assert one.train != other.train


def test_both_networks_read_the_same_tokens() -> None:
    for one, tree, vectors in zip(LISTS, as_binary_trees(LISTS), as_vectors(LISTS), strict=True):
        tokens = flat_tokens(one)
        assert list(tree.tokens) == tokens
        assert [FLAT_TOKENS[i] for i in vectors.argmax(axis=1)] == tokens
        np.testing.assert_array_equal(vectors.sum(axis=1), 1)


def test_shares_are_counted_by_depth() -> None:
    assert [value_of(one) for one in LISTS] == [9, 2, 2]
    assert shares_by_depth(LISTS, np.array([9, 9, 2])) == {1: 0.5, 2: 1.0}
    assert shares_by_depth(LISTS, 2) == {1: 0.5, 2: 1.0}


def test_guessing_says_the_commonest_answer() -> None:
    experiment = ListsExperiment(**FEW)
    guess, values = experiment.guess(), [value_of(one) for one in experiment.train]
    commonest = int(guess.name.removeprefix("always "))
    assert values.count(commonest) == max(map(values.count, range(10)))
    assert guess.by_depth == shares_by_depth(experiment.test, commonest)
    assert (guess.n_params, guess.n_epochs, guess.seconds) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": 0}, "seconds must be a positive, finite number; got 0"),
        ({"seconds": float("nan")}, "seconds must be a positive, finite number; got nan"),
        ({"n_units": 0}, "n_units must be a whole number of at least 1"),
        ({"n_train": 2.5}, "n_train must be a whole number"),
        ({"n_test": 0}, "n_test must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=message):
        ListsExperiment(**settings)
