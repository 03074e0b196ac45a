"""The parser network finds the trees of sequences, whatever stands in them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.training.epochs import Epoch
from saiki.trees import Tree, as_tree, span_f1, vocabulary_of
from tests.estimators.data import quick, sentences

CELLS = ["simple", "lstm", "gru"]


def parser(**changes: Any) -> Any:
    return quick("ParserNetwork", **changes)


def vectors_of(X: list[list[str]], rng: np.random.Generator, dtype: Any = np.float64) -> list[Array]:
    """Return sequences with a vector in the place of each word."""
    words = {word: rng.standard_normal(3).astype(dtype) for sequence in X for word in sequence}
    return [np.stack([words[word] for word in sequence]) for sequence in X]


def assert_alike(one: Any, other: Any, atol: float = 0.0) -> None:
    for name, param in one.params_.items():
        np.testing.assert_allclose(other.params_[name], param, rtol=0, atol=atol)


def test_a_small_grammar_is_learnt(rng: np.random.Generator) -> None:
    X, y = sentences(rng, 120)
    others, their_trees = sentences(rng, 60)
    model = saiki.ParserNetwork(n_units=16, embedding_size=8, random_state=0).fit(X, y)
    assert model.score(X, y) == 1.0
    assert [tree.nested() for tree in model.predict(X)] == y
    assert model.score(others, their_trees) > 0.97
    branching = [Tree.left_branching(sequence) for sequence in X]
    assert span_f1(branching, [as_tree(tree) for tree in y]) < 0.8
    found = vectors_of(X, rng)
    assert saiki.ParserNetwork("lstm", n_units=16, random_state=0).fit(found, y).score(found, y) > 0.97


@pytest.mark.parametrize("beam", [1, 4])
def test_the_scores_of_joins_are_kept_and_are_the_networks(beam: int, rng: np.random.Generator) -> None:
    X, y = sentences(rng)
    model = parser(beam=beam).fit(X, y)
    number = {word: i for i, word in enumerate(model.vocabulary_)}
    for sequence, tree in zip(X, model.predict(X), strict=True):
        assert tree.tokens == tuple(sequence)
        assert tree.scores is not None
        np.testing.assert_array_equal(np.isnan(tree.scores), tree.is_leaf)
        ids = np.array([number[word] for word in sequence])[None, :, None]
        joins = model.network_.parse(model.params_, ids, beam=beam)
        assert np.nansum(tree.scores) == pytest.approx(joins.scores.sum())
        forest = saiki.trees.Forest.of([tree], number)
        by_network = model.network_.network.predict(model.params_, forest)[:, 0]
        np.testing.assert_allclose(tree.scores[~tree.is_leaf], by_network[~tree.is_leaf])


def test_a_beam_finds_trees_of_no_lower_score(rng: np.random.Generator) -> None:
    X, y = sentences(rng, 40)
    model = parser(max_iter=1).fit(X, y)
    greedy, wide = model.predict(X), model.set_params(beam=8).predict(X)
    worth = [[float(np.nansum(tree.scores)) for tree in trees] for trees in (greedy, wide)]
    assert all(b >= a - 1e-12 for a, b in zip(*worth, strict=True))
    assert sum(worth[1]) > sum(worth[0])
    assert model.score(X, y) == span_f1(wide, [as_tree(tree) for tree in y])
    assert_alike(parser(max_iter=1, beam=8).fit(X, y), model)  # training follows one way only


def test_the_score_is_the_f1_of_spans(rng: np.random.Generator) -> None:
    X, y = sentences(rng)
    model, known, weight = parser(max_iter=1).fit(X, y), [as_tree(tree) for tree in y], rng.random(24)
    assert model.score(X, y) == span_f1(model.predict(X), known)
    assert model.score(X, y, weight) == pytest.approx(span_f1(model.predict(X), known, weight))
    flat = [Tree.from_nested(tuple(sequence)) if len(sequence) > 1 else as_tree(sequence[0]) for sequence in X]
    assert model.score(X, flat) == span_f1(model.predict(X), flat)  # known trees of any form can be held against
    assert model.score([["it"]], ["it"]) == 1.0


@pytest.mark.parametrize("cell", CELLS)
def test_certificates(cell: str, rng: np.random.Generator) -> None:
    X, y = sentences(rng, 8)
    for data in (X, vectors_of(X, rng)):
        model = parser(cell=cell, margin=0.5)
        assert saiki.check_gradients(model, data, y, sample_weight=rng.random(8)).worst < 1e-10
        assert not hasattr(model, "params_")
        assert saiki.check_gradients(model.fit(data, y), data, y, sample_weight=rng.random(8)).worst < 1e-10
        assert saiki.check_gradients(model).worst < 1e-10


@pytest.mark.parametrize("seed", [0, 10])
def test_vectors_that_come_twice_have_a_certificate(seed: int) -> None:
    """Joins of the same vectors score exactly alike; in these sentences a step to either side has another tree."""
    rng = np.random.default_rng(seed)
    X, y = sentences(rng, 8)
    found = vectors_of(X, rng)
    assert saiki.check_gradients(parser(margin=0.5).fit(found, y), found, y).worst < 1e-10


def test_all_forms_of_the_same_sequences_and_trees_give_the_same(rng: np.random.Generator) -> None:
    X, y = sentences(rng)
    one = parser().fit(X, y)
    held = [as_tree(tree) for tree in y]
    other_values = [Tree(tree.parents, [None] * len(tree)) for tree in held]
    texts = [Tree(tree.parents, tree.values, ["?"] * len(tree)).text() for tree in held]
    for trees in (held, other_values, texts, tuple(y), [*y[:9], *held[9:15], *texts[15:]]):
        assert_alike(one, parser().fit(X, trees))
        assert one.score(X, trees) == one.score(X, y)
    for data in (tuple(map(tuple, X)), [np.array(sequence) for sequence in X]):
        assert_alike(one, parser().fit(data, y))
        assert one.predict(data) == one.predict(X)
        assert all(type(token) is str for tree in one.predict(data) for token in tree.tokens)
    found = vectors_of(X, rng)
    by_array, by_list = parser().fit(found, y), parser().fit([array.tolist() for array in found], y)
    assert_alike(by_array, by_list)
    assert by_list.predict([array.tolist() for array in found]) == by_array.predict(found)
    assert_alike(parser().fit(np.stack([found[1], found[1]]), [y[1]] * 2), parser().fit([found[1]] * 2, [y[1]] * 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors(dtype: Any, rng: np.random.Generator) -> None:
    X, y = sentences(rng)
    found = vectors_of(X, rng, dtype)
    model = parser().fit(found, y)
    assert all(param.dtype == dtype for param in model.params_.values())
    for array, tree in zip(found, model.predict(found), strict=True):
        np.testing.assert_array_equal(np.stack(tree.tokens), array)
    moved = parser().fit([7 + 3 * array for array in found], y)
    assert_alike(model, moved, 1e-3 if dtype == np.float32 else 1e-9)


def test_tokens_of_both_kinds_and_such_as_are_not_known(rng: np.random.Generator) -> None:
    X: list[Any] = [["a", 1, "b"], [1, "a"], [3], np.array([1, 3, 1])]
    y = [(("a", 1), "b"), (1, "a"), Tree.from_nested(3), ((1, 3), 1)]
    model = parser().fit(X, y)
    assert model.vocabulary_ == list(vocabulary_of([Tree.from_nested(("a", 1, "b", 3))]))
    assert [tree.tokens for tree in model.predict(X)] == [("a", 1, "b"), (1, "a"), (3,), (1, 3, 1)]
    one, other = (model.predict([["a", word, 1, "b"]])[0] for word in ("never", -7))
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.parents, other.parents)
    assert one.tokens == ("a", "never", 1, "b")


def test_predictions_depend_on_nothing_beside_the_sequence(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = sentences(rng, 30)
    model = parser().fit(X, y)
    whole, order = model.predict(X), rng.permutation(30)
    moved = model.predict([X[i] for i in order])
    monkeypatch.setattr("saiki.estimators.parser.AT_ONCE", 4)
    in_parts = model.predict(X)
    for i, at in enumerate(np.argsort(order)):
        for other in (moved[at], in_parts[i], model.predict([X[i]])[0]):
            assert other == whole[i]
            np.testing.assert_allclose(other.scores, whole[i].scores, rtol=1e-9)


def test_a_weight_is_so_many_repetitions(rng: np.random.Generator) -> None:
    X, y = sentences(rng, 10)
    X[0], y[0] = ["never", "seen"], ("never", "seen")
    weight = np.array([0, 1, 1, 2, 3, 1, 2, 0, 1, 1])
    which = np.repeat(np.arange(10), weight)
    for data in (X, vectors_of(X, rng)):
        repeated = parser().fit([data[i] for i in which], [y[i] for i in which])
        weighted = parser().fit(data, y, sample_weight=weight)
        assert_alike(repeated, weighted, 1e-9)
        assert weighted.vocabulary_ == repeated.vocabulary_
        assert weighted.score(data, y, weight) == pytest.approx(
            repeated.score([data[i] for i in which], [y[i] for i in which])
        )


def test_what_is_held_out_decides_by_its_f1(rng: np.random.Generator) -> None:
    X, y = sentences(rng, 40)
    held = sentences(rng, 20)
    seen: list[Epoch] = []
    options = {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 3, "callbacks": [seen.append]}
    model = parser(**options).fit(X, y, validation_data=held)
    best = int(np.argmax(model.validation_scores_))
    assert model.n_iter_ == min(30, best + 1 + 4)
    assert model.best_validation_score_ == model.score(*held) == model.validation_scores_[best]
    for name, value in seen[best].params.items():
        np.testing.assert_array_equal(model.params_[name], value)
    weight = rng.random(20)
    by_weight = parser().fit(X, y, validation_data={"X": held[0], "y": held[1], "sample_weight": weight})
    assert by_weight.validation_scores_[-1] == by_weight.score(*held, weight)


def test_the_margin(rng: np.random.Generator) -> None:
    X, y = sentences(rng)
    near, far = (parser(margin=margin, max_iter=1).fit(X, y).loss_ for margin in (0.1, 10.0))
    assert near < far


BAD: list[tuple[Callable[[], Any], Any, str]] = [
    (lambda: parser().fit([list("abc")], [tuple("abc")]), saiki.ArgumentError, r"y\[0\] must have two children.*has 3"),
    (
        lambda: parser().fit([["a"]], [("a",)]),
        saiki.ArgumentError,
        r"y\[0\].*node 0 has 1\. Put its child in its place",
    ),
    (
        lambda: parser().fit([list("ab")], ["a"]),
        saiki.ShapeError,
        r"a leaf for each item of X\[0\], 2 in all",
    ),
    (lambda: parser().fit([["a"]], "a"), saiki.ShapeError, "y must hold a tree for each of the 1 sequences; got str"),
    (lambda: parser().fit([[3]], [3]), saiki.ArgumentError, "A tree of one leaf is saiki.Tree.from_nested"),
    (lambda: parser().fit(["abc"], ["a"]), saiki.ArgumentError, r"X\[0\] must be a sequence.*give X\[0\].split\(\)"),
    (lambda: parser().fit([1, 2], ["a"]), saiki.ArgumentError, r"got 1\. For one sequence give \[sequence\]"),
    (lambda: parser().fit([["a"], []], ["a", "b"]), saiki.ArgumentError, r"X\[1\].*got none\. Leave it out"),
    (
        lambda: parser().fit(np.ones((2, 3)), ["a", "b"]),
        saiki.ArgumentError,
        r"X\[0\]\[0\] must be a token.*give \[",
    ),
    (lambda: parser().fit([["a", None]], ["a"]), saiki.ArgumentError, r"X\[0\]\[1\] must be a token.*got None"),
    (lambda: parser().fit([["a", True]], ["a"]), saiki.ArgumentError, r"X\[0\]\[1\] must be a token.*got True"),
    (lambda: parser().fit([[np.ones(2), "a"]], ["a"]), saiki.ShapeError, r"X\[0\] must hold vectors of one length"),
    (lambda: parser().fit([[("a", "b"), "c"]], ["a"]), saiki.ShapeError, r"X\[0\] must hold vectors of one length"),
    (lambda: parser().fit([np.ones((1, 2)), np.ones((1, 3))], ["a", "b"]), saiki.ShapeError, r"X\[1\].*as X\[0\] is"),
    (lambda: parser().fit([np.full((1, 2), np.nan)], ["a"]), saiki.ArgumentError, r"X\[0\] must be finite"),
    (lambda: parser().fit([np.ones((1, 2)) * 1j], ["a"]), saiki.DtypeError, r"X\[0\] must hold real numbers"),
    (lambda: parser(cell="child_sum_lstm").fit([["a"]], ["a"]), saiki.ArgumentError, "must have a left and a right"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_is_wrong_is_named(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_trees_to_be_scored_by_may_have_any_number_of_children() -> None:
    X, y = [["a", "b"], ["a", "b", "a"]] * 4, [("a", "b"), (("a", "b"), "a")] * 4
    model = saiki.ParserNetwork(n_units=3, max_iter=2, random_state=0)
    model.fit(X, y, validation_data=([["a", "b", "a"]], [("a", "b", "a")]))
    assert model.validation_scores_ is not None
    with pytest.raises(saiki.ArgumentError, match=r"y\[1\] must have two children or none at every node"):
        model.fit(X, [("a", "b"), ("a", "b", "a")] * 4)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1j] * 8, saiki.DtypeError, "must hold real numbers; got complex ones"),
        ([1.0] * 7, saiki.ShapeError, r"must have shape \(8,\); got \(7,\)"),
        ([-1.0] * 8, saiki.ArgumentError, "must not be negative; got -1.0"),
        ([0.0] * 8, saiki.ArgumentError, "must hold at least one weight that is not zero"),
    ],
)
def test_weights_that_are_none(weight: list[float], error: type[Exception], message: str) -> None:
    X, y = [["a", "b"], ["a", "b", "a"]] * 4, [("a", "b"), (("a", "b"), "a")] * 4
    with pytest.raises(error, match=message):
        saiki.ParserNetwork(n_units=3, max_iter=2).fit(X, y, sample_weight=weight)
