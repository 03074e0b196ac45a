"""What the estimators of trees learn from, in every form, and what they say of a tree or of each node."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold

import saiki
from saiki.arrays import Array
from saiki.cells.trees import TREE_CELLS
from saiki.estimators import trees as trees_module
from saiki.trees import Tree
from tests.estimators.data import QUICK, Expressions, expressions

EACH: dict[str, Any] = {"output": "each"}


def classifier(**changes: Any) -> saiki.TreeRNNClassifier:
    return saiki.TreeRNNClassifier(**(QUICK | {"embedding_size": 4} | changes))


def regressor(**changes: Any) -> saiki.TreeRNNRegressor:
    return saiki.TreeRNNRegressor(**(QUICK | {"embedding_size": 4} | changes))


MAKERS: list[Callable[..., Any]] = [classifier, regressor]


def assert_alike(one: Any, other: Any, atol: float = 0.0) -> None:
    """Two fits ended with the same parameters."""
    assert one.params_.keys() == other.params_.keys()
    for name, param in one.params_.items():
        np.testing.assert_allclose(other.params_[name], param, rtol=0, atol=atol)


def with_vectors(nested: Any, vectors: dict[str, Array]) -> Tree:
    """Return a tree with a vector in the place of each token."""
    tree = Tree.from_nested(nested)
    return Tree(tree.parents, [None if value is None else vectors[str(value)] for value in tree.values])


def vectors_for(rng: np.random.Generator, dtype: Any = np.float64) -> dict[str, Array]:
    return {token: rng.standard_normal(3).astype(dtype) for token in ("true", "false", "not", "and", "or")}


def numbers(found: Expressions) -> list[Array]:
    """Return the truths as numbers, NaN where there are none."""
    return [np.array([np.nan if truth is None else truth for truth in truths], float) for truths in found.truths]


def listed(tree: Any) -> Any:
    return tree if isinstance(tree, str) else [listed(part) for part in tree]


@pytest.mark.parametrize("output", ["root", "each"])
@pytest.mark.parametrize("make", MAKERS)
def test_all_forms_of_the_same_trees_give_the_same(make: Any, output: str, rng: np.random.Generator) -> None:
    found = expressions(rng)
    y: Any = numbers(found) if output == "each" else found.values
    held = [Tree.from_nested(tree) for tree in found.trees]
    texts = [Tree(tree.parents, tree.values, ["?"] * len(tree)).text() for tree in held]
    forms: dict[str, Any] = {
        "lists": [listed(tree) for tree in found.trees],
        "trees": held,
        "text": texts,
        "parents": [Tree(tree.parents.tolist(), list(tree.values)) for tree in held],
        "array": np.array([*held, None], object)[:-1],
        "tuple": tuple(found.trees),
        "mixed": [*found.trees[:5], *held[5:9], *texts[9:]],
    }
    one = make(output=output).fit(found.trees, y)
    for X in forms.values():
        assert_alike(one, make(output=output).fit(X, y))
        for a, b in zip(one.predict(X), one.predict(found.trees), strict=True):
            np.testing.assert_array_equal(a, b)
        assert one.score(X, y) == one.score(found.trees, y)
    assert one.vocabulary_ == ["and", "false", "not", "or", "true"]


def test_nodes_have_the_callers_numbers(rng: np.random.Generator) -> None:
    found = expressions(rng, 8)
    nodes = [rng.permutation(len(truths)) for truths in found.truths]
    X = []
    for nested, order in zip(found.trees, nodes, strict=True):
        tree = Tree.from_nested(nested)
        parents, values = np.empty(len(tree), int), np.empty(len(tree), object)
        # children stand in the order of their numbers: those of a node keep theirs
        for node in range(len(tree)):
            below = np.flatnonzero(tree.parents == node)
            order[below] = np.sort(order[below])
        parents[order] = [-1 if above < 0 else order[above] for above in tree.parents]
        values[order] = tree.values
        X.append(Tree(parents, list(values)))
    model = classifier(**EACH).fit(found.trees, found.truths)
    for tree, moved, order in zip(found.trees, X, nodes, strict=True):
        np.testing.assert_array_equal(model.predict_proba([moved])[0][order], model.predict_proba([tree])[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", MAKERS)
def test_vectors(make: Any, dtype: Any, rng: np.random.Generator) -> None:
    found, vectors = expressions(rng), vectors_for(rng, dtype)
    X = [with_vectors(tree, vectors) for tree in found.trees]
    model = make(max_iter=5).fit(X, found.values)
    assert all(param.dtype == dtype for param in model.params_.values())
    assert model.vocabulary_ is None
    if make is regressor:
        assert model.predict(X).dtype == dtype
    moved = [with_vectors(tree, {token: 7 + 3 * vector for token, vector in vectors.items()}) for tree in found.trees]
    assert_alike(model, make(max_iter=5).fit(moved, found.values), 1e-3 if dtype == np.float32 else 1e-9)
    apart = make(max_iter=5, scale_inputs=False)
    assert not np.allclose(apart.fit(moved, found.values).loss_curve_, apart.fit(X, found.values).loss_curve_)
    whole = [with_vectors(tree, {token: np.arange(3) for token in vectors}) for tree in found.trees]
    assert all(param.dtype == np.float64 for param in make().fit(whole, found.values).params_.values())


@pytest.mark.parametrize("labels", [["b", "a"], [True, False], [3, 9], np.array(["x", "y"], object)], ids=str)
@pytest.mark.parametrize("output", ["root", "each"])
def test_labels_of_every_kind(labels: Any, output: str, rng: np.random.Generator) -> None:
    found = expressions(rng)
    kinds = np.asarray(labels)

    def named(truth: bool | None) -> Any:
        return None if truth is None else labels[int(truth)]

    y: Any = [named(truth) for truth in found.values]
    if output == "each":
        y = [[named(truth) for truth in truths] for truths in found.truths]
    model = classifier(output=output).fit(found.trees, y)
    assert model.classes_.tolist() == sorted(kinds.tolist())
    predicted = model.predict(found.trees)
    flat = np.concatenate(predicted) if output == "each" else predicted
    assert set(flat.tolist()) <= set(kinds.tolist())
    probabilities = model.predict_proba(found.trees)
    every = np.concatenate(probabilities) if output == "each" else probabilities
    np.testing.assert_allclose(every.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[every.argmax(axis=1)], flat)
    logs = model.predict_log_proba(found.trees)
    np.testing.assert_allclose(np.exp(np.concatenate(logs) if output == "each" else logs), every)
    known = np.concatenate(y) if output == "each" else np.array(y)
    there = np.array([label is not None for label in known])
    right = accuracy_score(known[there].tolist(), flat[there].tolist())
    assert model.score(found.trees, y) == pytest.approx(right)


def test_values(rng: np.random.Generator) -> None:
    found = expressions(rng)
    sizes = np.array([[len(truths), 1.0 * bool(truths[0])] for truths in found.truths])
    one, both = regressor().fit(found.trees, sizes[:, 0]), regressor().fit(found.trees, sizes)
    assert (one.predict(found.trees).shape, both.predict(found.trees).shape) == ((24,), (24, 2))
    assert both.score(found.trees, sizes) == pytest.approx(r2_score(sizes, both.predict(found.trees)))
    y = [np.stack([own, own], axis=1) for own in numbers(found)]
    each = regressor(**EACH).fit(found.trees, y)
    assert [part.shape for part in each.predict(found.trees)] == [part.shape for part in y]
    known = np.concatenate(y)
    there = ~np.isnan(known[:, 0])
    assert each.score(found.trees, y) == pytest.approx(
        r2_score(known[there], np.concatenate(each.predict(found.trees))[there])
    )


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_labels_of_nodes_change_nothing(missing: Any, rng: np.random.Generator) -> None:
    found = expressions(rng)
    names = {True: "yes", False: "no", None: missing}
    y = [[names[truth] for truth in truths] for truths in found.truths]
    model = classifier(**EACH, early_stopping=True).fit(found.trees, y)
    filled = [["no" if truth is None else names[truth] for truth in truths] for truths in found.truths]
    weight = [[float(truth is not None) for truth in truths] for truths in found.truths]
    by_weight = classifier(**EACH, early_stopping=True).fit(found.trees, filled, sample_weight=weight)
    assert_alike(model, by_weight)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(found.trees, y) == pytest.approx(by_weight.score(found.trees, filled, sample_weight=weight))
    values = numbers(found)
    by_value = regressor(**EACH).fit(found.trees, values)
    assert_alike(by_value, regressor(**EACH).fit(found.trees, [np.nan_to_num(own) for own in values], weight))


@pytest.mark.parametrize("make", MAKERS)
def test_a_tree_without_targets_is_left_out(make: Any, rng: np.random.Generator) -> None:
    found = expressions(rng)
    odd, y = [("never", "seen")], [None if make is classifier else np.nan]
    without = make().fit(found.trees, found.values)
    assert_alike(without, make().fit(odd + found.trees, y + found.values))
    assert_alike(without, make().fit(odd + found.trees, [True, *found.values], sample_weight=[0] + [1] * 24))
    each = make(**EACH).fit(found.trees, numbers(found))
    more = make(**EACH).fit(odd + found.trees, [np.full(3, np.nan), *numbers(found)])
    assert_alike(each, more)
    assert more.vocabulary_ == each.vocabulary_
    with pytest.raises(saiki.ArgumentError, match="y must hold at least one target that is not missing"):
        make().fit(odd, y)


@pytest.mark.parametrize("make", MAKERS)
def test_a_weight_is_so_many_repetitions(make: Any, rng: np.random.Generator) -> None:
    found, vectors = expressions(rng, 10), vectors_for(rng)
    weight = rng.permutation([0, 1, 1, 2, 3, 1, 2, 0, 1, 1])
    which = np.repeat(np.arange(10), weight)
    for X in (found.trees, [with_vectors(tree, vectors) for tree in found.trees]):
        for options, y in (({}, found.values), (EACH, numbers(found))):
            repeated = make(**options).fit([X[i] for i in which], [y[i] for i in which])
            weighted = make(**options).fit(X, y, sample_weight=weight)
            assert_alike(repeated, weighted, 1e-9)
            assert weighted.score(X, y, weight) == pytest.approx(
                repeated.score([X[i] for i in which], [y[i] for i in which])
            )


def test_a_weight_of_a_node_is_so_many_repetitions_of_its_label(rng: np.random.Generator) -> None:
    found = expressions(rng, 10)
    weight = [rng.integers(3, size=len(truths)) for truths in found.truths]
    weight[0][:] = 1
    y = numbers(found)
    twice = [[np.where(own > k, labels, np.nan) for own, labels in zip(weight, y, strict=True)] for k in range(2)]
    repeated = classifier(**EACH).fit(found.trees * 2, twice[0] + twice[1])
    assert_alike(repeated, classifier(**EACH).fit(found.trees, y, sample_weight=weight), 1e-9)


def test_a_weight_at_the_root_alone_leaves_the_scale_of_vectors(rng: np.random.Generator) -> None:
    found, vectors = expressions(rng), vectors_for(rng)
    X = [with_vectors(tree, vectors) for tree in found.trees]
    y = [np.where(np.arange(len(truths)) == 0, bool(truths[0]), 0) for truths in found.truths]
    weight = [np.eye(1, len(truths))[0] for truths in found.truths]
    plain, own = classifier().fit(X, found.values), classifier(**EACH).fit(X, y, sample_weight=weight)
    assert own._scaling is not None
    spread = np.array([value for tree in X for value in tree.values if value is not None])
    np.testing.assert_allclose(plain._scaling.mean, spread.mean(axis=0))
    assert (np.abs(own._scaling.mean) > 0).all()
    assert (own._scaling.scale != 1).all()


def test_class_weights(rng: np.random.Generator) -> None:
    found = expressions(rng)
    by_hand = [np.where(own == 1, 3.0, 0.5) for own in numbers(found)]
    named = classifier(**EACH, class_weight={1: 3, 0: 0.5}).fit(found.trees, numbers(found))
    assert_alike(named, classifier(**EACH).fit(found.trees, numbers(found), sample_weight=by_hand), 1e-12)
    truths = np.array(found.values, bool)
    share = truths.mean()
    even = np.where(truths, 0.5 / share, 0.5 / (1 - share))
    balanced = classifier(class_weight="balanced").fit(found.trees, found.values)
    assert_alike(balanced, classifier().fit(found.trees, found.values, sample_weight=even), 1e-12)
    with pytest.raises(saiki.ArgumentError, match="class_weight must name classes of y"):
        classifier(class_weight={"never": 1}).fit(found.trees, found.values)


@pytest.mark.parametrize("make", MAKERS)
def test_predictions_depend_on_nothing_beside_the_tree(
    make: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = expressions(rng)
    say = "predict" if make is regressor else "predict_proba"
    for options, y in (({}, found.values), (EACH, numbers(found))):
        model = make(**options).fit(found.trees, y)
        whole = getattr(model, say)(found.trees)
        order = rng.permutation(24)
        moved = getattr(model, say)([found.trees[i] for i in order])
        with monkeypatch.context() as patch:
            patch.setattr(trees_module, "MOST_NODES", 7)
            in_parts = getattr(model, say)(found.trees)
        for i, at in enumerate(np.argsort(order)):
            alone = getattr(model, say)([found.trees[i]])[0]
            for other in (moved[at], in_parts[i], alone):
                np.testing.assert_allclose(other, whole[i], rtol=1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_that_is_not_known_is_as_none(make: Any, rng: np.random.Generator) -> None:
    found = expressions(rng)
    model = make(**EACH).fit(found.trees, numbers(found))
    unknown, none = Tree([-1, 0, 0], [None, "never", "true"]), Tree([-1, 0, 0], [None, None, "true"])
    one, other, known = model.predict([unknown, none, ("not", "true")])
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, known) or make is classifier
    assert len(model.predict([Tree([-1])])[0]) == 1  # of nothing but its shape
    of_vectors = make().fit([with_vectors(tree, vectors_for(rng)) for tree in found.trees], found.values)
    empty, full = Tree([-1, 0, 0]), Tree([-1, 0, 0], [None, np.ones(3), None])
    np.testing.assert_allclose(of_vectors.predict([empty])[0], of_vectors.predict([empty, full])[0])
    assert make().fit([Tree([-1]), empty] * 3, [0, 1] * 3).vocabulary_ == []


def test_a_second_call_knows_the_tokens_and_classes_of_the_first(rng: np.random.Generator) -> None:
    found = expressions(rng, 9)
    model = classifier().partial_fit(found.trees, [0] * 9, classes=[0, 1, 2])
    model.partial_fit([("never", "true"), "false"], [1, 2])
    assert model.vocabulary_ == ["and", "false", "not", "or", "true"]
    assert model.predict_proba(found.trees).shape == (9, 3)
    with pytest.raises(saiki.ArgumentError, match=r"y must hold the classes of the first fit, \[0, 1, 2\]"):
        model.partial_fit(found.trees, range(9))
    with pytest.raises(saiki.ArgumentError, match="classes must be those of the first call"):
        model.partial_fit(found.trees, [0] * 9, classes=[0, 1])
    with pytest.raises(saiki.ShapeError, match="y must hold 1 values for each, as in fit; got 2"):
        regressor().fit(found.trees, np.arange(9)).partial_fit(found.trees, np.ones((9, 2)))


@pytest.mark.parametrize("cell", TREE_CELLS)
def test_certificates(cell: str, rng: np.random.Generator) -> None:
    found, vectors = expressions(rng, 6), vectors_for(rng)
    y, weight = numbers(found), [rng.random(len(truths)) for truths in found.truths]
    forms: list[Any] = [found.trees, [with_vectors(tree, vectors) for tree in found.trees]]
    for X in forms:
        for model in (classifier(cell=cell, **EACH, class_weight="balanced"), regressor(cell=cell, **EACH)):
            assert saiki.check_gradients(model, X, y, sample_weight=weight).worst < 1e-10
            assert not hasattr(model, "params_")
            assert saiki.check_gradients(model.fit(X, y), X, y, sample_weight=weight).worst < 1e-10
            assert saiki.check_gradients(model, X, y, sample_weight=np.arange(6)).worst < 1e-10
            assert saiki.check_gradients(model).worst < 1e-10
    whole = classifier(cell=cell).fit(found.trees, [True, None, *found.values[2:]])
    assert saiki.check_gradients(whole, found.trees, np.array(found.values)).worst < 1e-10


@pytest.mark.parametrize(
    "changes",
    [
        *({"cell": name} for name in TREE_CELLS),
        {"cell": ["simple", saiki.cells.TREE_CELLS["gru"]], "hidden_layer_sizes": (4, 5)},
        {"cell": "simple", "activation": "relu", "hidden_layer_sizes": np.array([4, 3]), "dropout": 0.3},
        {"solver": "momentum", "alpha": 0.01, "clip_norm": None, "batch_size": 5, "shuffle": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("make", MAKERS)
def test_every_network(make: Any, changes: dict[str, Any], rng: np.random.Generator) -> None:
    found = expressions(rng)
    model = make(**changes, **EACH).fit(found.trees, numbers(found))
    assert len(model.predict(found.trees)) == 24
    assert_alike(model, make(**changes, **EACH).fit(found.trees, numbers(found)))
    assert saiki.check_gradients(model, found.trees[:3], numbers(found)[:3]).right
    assert len([name for name in model.params_ if name.endswith("Wh")]) == np.size(model.hidden_layer_sizes)


def test_any_number_of_children_in_any_order(rng: np.random.Generator) -> None:
    X, y = [("a", "b", "a", "b"), ("b", ("a",)), ("a", ("b", "b", "b"))] * 2, [0, 1, 2] * 2
    model = classifier(cell="child_sum_lstm").fit(X, y)
    np.testing.assert_allclose(model.predict_proba([("a", "b", "b")]), model.predict_proba([("b", "a", "b")]))
    with pytest.raises(saiki.ArgumentError, match=r"at most two children.*'lstm'.* has 4\. Choose 'child_sum_lstm'"):
        classifier().fit(X, y)
    with pytest.raises(saiki.ArgumentError, match=r"node 0 of X\[1\] has 3"):
        classifier().fit([("a", "b")], [0]).predict([("a", "b"), ("a", "b", "a")])


def test_labels_of_each_node_in_a_grid_search(rng: np.random.Generator) -> None:
    found = expressions(rng)
    search = GridSearchCV(classifier(**EACH), {"cell": ["simple", "gru"]}, cv=KFold(2), error_score="raise")
    assert 0 <= search.fit(found.trees, found.truths).best_score_ <= 1


def test_learning_to_compute(rng: np.random.Generator) -> None:
    found, others = expressions(rng, 150), expressions(rng, 60, deepest=6)
    options: dict[str, Any] = {"hidden_layer_sizes": 16, "max_iter": 60, "random_state": 0, "embedding_size": 8}
    model = saiki.TreeRNNClassifier(**options, **EACH).fit(found.trees, found.truths)
    assert model.score(found.trees, found.truths) == 1.0
    assert model.score(others.trees, others.truths) > 0.97  # twice as deep as any that it has seen
    by_root = saiki.TreeRNNRegressor("gru", **options).fit(found.trees, found.values)
    assert by_root.score(found.trees, found.values) > 0.95
