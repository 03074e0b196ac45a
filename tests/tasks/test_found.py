"""Arithmetic whose structure is found."""

from typing import Any

import pytest

import saiki
from saiki.tasks.arithmetic import BASELINES, tree_of
from saiki.tasks.found import ArithmeticExperiment
from saiki.training import Epoch
from saiki.trees import span_f1

FEW: dict[str, Any] = {"n_numbers": 3, "n_train": 200, "n_test": 150, "n_units": 16, "epochs": 8}


def test_none_of_those_to_be_tried_on_was_learnt_from() -> None:
    experiment = ArithmeticExperiment(n_numbers=2, n_train=200, n_test=200)
    known = set(map(tuple, experiment.train))
    tried = [tuple(tokens) for tokens in experiment.test(2)]
    assert not known & set(tried)
    assert 0 < len(tried) == len(set(tried)) < 200  # there are but 324, so some had to be left out
    assert {len(tokens) for tokens in experiment.train} == {3}
    assert {len(tokens) for tokens in experiment.test(4)} == {7}
    assert len(experiment.test(4)) == 200


def test_precedence_is_learnt_and_found_in_longer_expressions() -> None:
    experiment = ArithmeticExperiment(**FEW)
    epochs = list[Epoch]()
    parser = experiment.learn(epochs.append)
    assert [epoch.count for epoch in epochs] == list(range(1, 9))
    for n_numbers in (3, 6):
        found = experiment.tried(parser, n_numbers)
        test = experiment.test(n_numbers)
        right = [tree_of(tokens) for tokens in test]
        assert found.n_numbers == n_numbers
        assert list(found.f1) == ["parser", *BASELINES]
        assert found.f1["parser"] == parser.score(test, right)
        assert found.f1["parser"] > max(found.f1[name] for name in BASELINES)
        for name, make in BASELINES.items():
            assert found.f1[name] == span_f1([make(tokens) for tokens in test], right)
        assert list(found.example.tokens) == test[0]
        assert found.example.scores is not None


def test_same_seed_same_numbers() -> None:
    results = []
    for seed in (1, 1, 2):
        experiment, losses = ArithmeticExperiment(seed=seed, **FEW), list[Any]()
        parser = experiment.learn(lambda epoch, losses=losses: losses.append(epoch.losses[-1]))  # type: ignore[misc]
        results.append((losses, experiment.tried(parser, 4)))
    assert results[0] == results[1]
    assert results[0][0] != results[2][0]


def test_all_epochs_are_run_even_when_nothing_is_left_to_learn() -> None:
    epochs = list[Epoch]()
    ArithmeticExperiment(n_numbers=2, n_train=20, n_units=4, epochs=40).learn(epochs.append)
    assert len(epochs) == 40


def test_the_beam_reaches_the_parser() -> None:
    assert ArithmeticExperiment(**FEW | {"beam": 3, "epochs": 1, "n_train": 5}).learn(lambda epoch: None).beam == 3


@pytest.mark.parametrize("name", ["n_numbers", "n_train", "n_test", "n_units", "epochs", "beam", "seed"])
def test_bad_settings(name: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=f"{name} must be a whole number of at least"):
        ArithmeticExperiment(**{name: -1})
