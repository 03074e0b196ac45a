"""The quiz of the notes: what is lost when two neighbours become their sum, product or maximum."""

from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.tasks.joins import JOINS
from saiki.tasks.nested_lists import FLAT_TOKENS, joined, value_of
from saiki.tasks.quiz import Quiz
from saiki.trees import Forest, Tree, TreeNetwork

FEW: dict[str, Any] = {"n_units": 8, "n_train": 200, "n_test": 100, "epochs": 3}
WEIGHTS, *FORGETFUL = JOINS


def any_tree(tokens: list[Any], rng: np.random.Generator) -> Tree:
    """A binary tree over tokens in any order, whose shape is drawn too."""
    parts = [tokens[i] for i in rng.permutation(len(tokens))]
    while len(parts) > 1:
        place = int(rng.integers(len(parts) - 1))
        parts[place : place + 2] = [(parts[place], parts[place + 1])]
    return Tree.from_nested(parts[0])


def root_vectors(join: str, rng: np.random.Generator) -> Array:
    """What a network of the quiz makes of many trees over the same tokens: the vectors at their roots."""
    network = Quiz(n_units=6).network(join)
    params = {name: 2 * param for name, param in network.init(rng).items()}
    layers = network.layers[:2]
    tokens = [FLAT_TOKENS[i] for i in rng.integers(len(FLAT_TOKENS), size=7)] + [1, 2]
    trees = [any_tree(tokens, rng) for _ in range(20)]
    assert len(set(trees)) > 10
    forest = Forest.of(trees, {token: i for i, token in enumerate(FLAT_TOKENS)})
    of_layers = {name: param for name, param in params.items() if int(name.split("/")[0]) < len(layers)}
    return TreeNetwork(layers).predict(of_layers, forest)


@pytest.mark.parametrize("join", FORGETFUL)
def test_sum_product_and_maximum_forget_the_tree(join: str, rng: np.random.Generator) -> None:
    vectors = root_vectors(join, rng)
    assert np.ptp(vectors[0]) > 0  # not all the same number, which would show nothing
    np.testing.assert_allclose(vectors, np.broadcast_to(vectors[0], vectors.shape), rtol=1e-12, atol=1e-13)


def test_weights_tell_trees_apart(rng: np.random.Generator) -> None:
    vectors = root_vectors(WEIGHTS, rng)
    assert np.abs(vectors - vectors[0]).max(axis=1)[1:].max() > 0.01


def test_the_networks_differ_in_the_join_alone() -> None:
    quiz = Quiz()
    shapes = {name: {k: p.shape for k, p in quiz.network(name).parameters().items()} for name in JOINS}
    own = {name: {k: s for k, s in of.items() if not k.startswith("1/")} for name, of in shapes.items()}
    assert all(of == own[WEIGHTS] for of in own.values())
    for name in JOINS:
        joining = {k for k in shapes[name] if k.startswith("1/")}
        assert joining == ({"1/Wx", "1/Wh"} if name == WEIGHTS else {"1/Wx"})


@pytest.mark.parametrize("join", JOINS)
def test_same_seed_same_numbers(join: str) -> None:
    runs = [(quiz, list(quiz.run(join))) for quiz in (Quiz(seed=seed, **FEW) for seed in (1, 1, 2))]
    losses = [[step.loss for step in steps] for _, steps in runs]
    assert losses[0] == losses[1] != losses[2]
    one, again, _ = (quiz.by_depth(join, steps[-1].params) for quiz, steps in runs)
    assert one == again
    quiz, steps = runs[0]
    assert len(steps) == quiz.n_updates == 3 * 7
    assert np.mean(losses[0][-7:]) < np.mean(losses[0][:7])


def test_every_list_is_learnt_from_once_an_epoch() -> None:
    quiz = Quiz(seed=5, **FEW)
    batches = [step.batch for step in quiz.run("sum")]
    assert [len(batch.y) for batch in batches] == [32, 32, 32, 32, 32, 32, 8] * 3
    for epoch in range(3):
        seen = np.concatenate([batch.y for batch in batches[7 * epoch : 7 * epoch + 7]])
        assert sorted(seen) == sorted(np.concatenate([batch.y for batch in batches[:7]]))


def test_none_of_those_to_be_tried_on_was_learnt_from() -> None:
    quiz = Quiz(depths=(1,), test_depths=(1, 2), n_train=1500, n_test=1000)
    assert not set(quiz.train) & set(quiz.test)
    assert 500 < len(set(quiz.test)) == len(quiz.test) < 1000  # some had to be left out
    assert {one.height for one in quiz.train} == {1}
    assert {one.height for one in quiz.test} == {1, 2}


def test_shares_are_those_of_what_the_network_says(rng: np.random.Generator) -> None:
    quiz = Quiz(**FEW)
    network, number = quiz.network("maximum"), {token: i for i, token in enumerate(FLAT_TOKENS)}
    params = network.init(rng)
    right: dict[int, list[bool]] = {}
    for one in quiz.test:
        (scores,) = network.predict(params, Forest.of([joined(one)], number))
        right.setdefault(one.height, []).append(int(scores.argmax()) == value_of(one))
    assert quiz.by_depth("maximum", params) == {depth: np.mean(right[depth]) for depth in (1, 2, 3, 4)}


def test_only_what_nests_is_lost() -> None:
    quiz = Quiz(n_units=24, n_train=1200, n_test=1000, epochs=12, depths=(1, 2), test_depths=(1, 2))
    shares = {}
    for name in (WEIGHTS, "sum"):
        *_, last = quiz.run(name)
        shares[name] = quiz.by_depth(name, last.params)
    assert shares["sum"][1] > shares["sum"][2] + 0.1
    assert shares[WEIGHTS][2] > shares["sum"][2]


@pytest.mark.parametrize("name", ["n_units", "n_train", "n_test", "epochs", "seed"])
def test_bad_settings(name: str) -> None:
    with pytest.raises(saiki.ArgumentError, match=f"{name} must be a whole number of at least"):
        Quiz(**{name: -1})  # type: ignore[arg-type]


def test_a_join_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        Quiz().network("mean")
