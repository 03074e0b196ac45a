"""What the estimators learn from, whatever form it comes in, and what they say of it."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

import saiki
from saiki.layers.readout import KINDS
from tests.estimators.data import MAKERS, classifier, ragged, regressor


@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("make", MAKERS)
def test_all_forms_of_the_same_data_give_the_same(
    make: Callable[..., Any], output: str, rng: np.random.Generator
) -> None:
    sequences, padded, lengths = ragged(rng)
    targets = [x[:, 0] > 0 for x in sequences] if output == "each" else np.array([x[-1, 0] > 0 for x in sequences])
    filled: Any = targets
    if output == "each":
        filled = np.full(padded.shape[:2], np.nan)
        for row, target in zip(filled, targets, strict=True):
            row[: len(target)] = target
    one = make(output=output).fit(sequences, targets)
    other = make(output=output).fit(padded, filled, lengths=lengths)
    wider = make(output=output).fit(
        padded[:, : lengths.max()], filled[:, : lengths.max()] if output == "each" else filled, lengths=lengths
    )
    for name in one.params_:
        np.testing.assert_array_equal(one.params_[name], other.params_[name])
        np.testing.assert_array_equal(one.params_[name], wider.params_[name])
    predicted = one.predict(sequences)
    again = one.predict(padded, lengths=lengths)
    if output == "each":
        assert [len(part) for part in predicted] == lengths.tolist()
        again = [row[:length] for row, length in zip(again, lengths, strict=True)]
        predicted, again = np.concatenate(predicted), np.concatenate(again)
    np.testing.assert_array_equal(predicted, again)
    assert one.score(sequences, targets) == one.score(padded, filled, lengths=lengths)


@pytest.mark.parametrize("make", MAKERS)
def test_two_axes_are_one_feature(make: Callable[..., Any], rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 5))
    y = X.sum(axis=1) > 0
    flat, deep, listed = make().fit(X, y), make().fit(X[..., None], y), make().fit([x[:, None] for x in X], y)
    assert (flat.n_features_in_, deep.n_features_in_, listed.n_features_in_) == (5, 1, 1)
    for model in (flat, deep, listed):
        np.testing.assert_array_equal(model.predict(X), flat.predict(X))
        np.testing.assert_array_equal(model.predict(X[..., None]), flat.predict(X))
    with pytest.raises(ValueError, match=r"4 features, but .* is expecting 5 features"):
        flat.predict(X[:, :4])
    assert len(deep.predict(X[:, :4])) == 20  # any number of steps


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_a_weight_is_so_many_repetitions(make: Callable[..., Any], per_step: bool, rng: np.random.Generator) -> None:
    sequences, _, lengths = ragged(rng, 10)
    output = "each" if per_step else "last"
    y: Any = [x[:, 0] > 0 for x in sequences] if per_step else np.array([x[0, 0] > 0 for x in sequences])
    weight = rng.integers(0, 4, size=10)
    which = np.repeat(np.arange(10), weight)
    repeated = make(output=output).fit([sequences[i] for i in which], [y[i] for i in which])
    weighted = make(output=output).fit(sequences, y, sample_weight=weight)
    for name in repeated.params_:
        np.testing.assert_allclose(weighted.params_[name], repeated.params_[name], atol=1e-9)
    np.testing.assert_allclose(
        weighted.score(sequences, y, weight), repeated.score([sequences[i] for i in which], [y[i] for i in which])
    )
    if per_step:
        by_step = [np.full(length, w) for length, w in zip(lengths, weight, strict=True)]
        stepped = make(output=output).fit(sequences, y, sample_weight=by_step)
        for name in stepped.params_:
            np.testing.assert_allclose(stepped.params_[name], repeated.params_[name], atol=1e-9)


def test_class_weights_count_for_steps_too(rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 5, 1))
    y = np.where(X[:, :, 0] > 1, "rare", "often")
    by_hand = np.where(y == "rare", 3.0, 0.5)
    named = classifier(output="each", class_weight={"rare": 3, "often": 0.5}).fit(X, y)
    weighted = classifier(output="each", scale_inputs=True).fit(X, y, sample_weight=by_hand)
    scaled = classifier(output="each", scale_inputs=False, class_weight={"rare": 3, "often": 0.5}).fit(X, y)
    unscaled = classifier(output="each", scale_inputs=False).fit(X, y, sample_weight=by_hand)
    assert weighted.params_.keys() == named.params_.keys()
    for name in scaled.params_:
        np.testing.assert_allclose(scaled.params_[name], unscaled.params_[name], atol=1e-12)
    plain = classifier(output="each", max_iter=60).fit(X, y)
    balanced = classifier(output="each", max_iter=60, class_weight="balanced").fit(X, y)
    assert (balanced.predict(X) == "rare").sum() >= (plain.predict(X) == "rare").sum()
    with pytest.raises(saiki.ArgumentError, match=r"class_weight must name classes of y.*'never'"):
        classifier(output="each", class_weight={"never": 1}).fit(X, y)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_light_sample_counts_less_even_in_a_batch_of_its_own(batch_size: int, rng: np.random.Generator) -> None:
    X, y = np.ones((20, 3, 1)), np.arange(20) % 2
    weight = np.where(y == 1, 1e-3, 1.0)
    model = classifier(batch_size=batch_size, max_iter=30, solver="sgd", learning_rate_init=0.3, scale_inputs=False)
    probability = model.fit(X, y, sample_weight=weight).predict_proba(X[:1])[0, 1]
    assert probability < 0.1  # what counts is 1 to 1000, though the labels are half and half


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_targets_add_nothing(missing: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 5, 1))
    y = np.array(["a", "b"], object)[(X[:, 0, 0] > 0).astype(int)]
    gaps = rng.random(30) < 0.3
    y[gaps] = missing
    there = classifier(early_stopping=True).fit(X, y)
    without = classifier(early_stopping=True).fit(X[~gaps], y[~gaps])
    assert there.classes_.tolist() == ["a", "b"]
    for name in there.params_:
        np.testing.assert_array_equal(there.params_[name], without.params_[name])
    assert there.validation_scores_ == without.validation_scores_
    assert there.score(X, y) == without.score(X[~gaps], y[~gaps])


def test_missing_values_of_some_steps_and_outputs(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 5, 2))
    y = np.stack([X[:, :, 0], 100 + 10 * X[:, :, 1]], axis=2)
    y[rng.random(y.shape) < 0.3] = np.nan
    model = regressor(output="each", max_iter=100, hidden_layer_sizes=12).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.8
    there = ~np.isnan(y)
    by_output = [r2_score(y[..., k][there[..., k]], model.predict(X)[..., k][there[..., k]]) for k in range(2)]
    np.testing.assert_allclose(model.score(X, y), np.mean(by_output))
    beyond = np.where(np.arange(5)[:, None] < 3, y, 1e30)  # steps that do not exist
    short = regressor(output="each").fit(X, y, lengths=np.full(30, 3))
    other = regressor(output="each").fit(X, beyond, lengths=np.full(30, 3))
    for name in short.params_:
        np.testing.assert_array_equal(short.params_[name], other.params_[name])


def test_scores_are_scikit_learns(rng: np.random.Generator) -> None:
    X, weight = rng.standard_normal((30, 5, 1)), rng.random(30)
    y = X[:, :, 0].sum(axis=1)
    values, labels = regressor().fit(X, y), classifier().fit(X, y > 0)
    np.testing.assert_allclose(values.score(X, y, weight), r2_score(y, values.predict(X), sample_weight=weight))
    right = accuracy_score(y > 0, labels.predict(X), sample_weight=weight)
    np.testing.assert_allclose(labels.score(X, y > 0, weight), right)
    assert labels.score(X, np.full(30, 7)) == 0  # a label that was not there in fit


def test_sensors_far_from_zero(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 6, 2))
    y = X[:, -3:, 0].sum(axis=1)
    plain = regressor(max_iter=60, hidden_layer_sizes=16).fit(X, y)
    moved = regressor(max_iter=60, hidden_layer_sizes=16).fit(1e5 + 1e3 * X, 1e6 + 1e-3 * y)
    np.testing.assert_allclose(moved.predict(1e5 + 1e3 * X), 1e6 + 1e-3 * plain.predict(X), rtol=1e-9)
    assert plain.score(X, y) > 0.8
    bare = regressor(max_iter=60, hidden_layer_sizes=16, scale_inputs=False, scale_targets=False)
    assert bare.fit(1e5 + 1e3 * X, y).score(1e5 + 1e3 * X, y) < 0.5
    constant = np.concatenate([X, np.full((60, 6, 1), 7.0)], axis=2)
    assert np.isfinite(regressor().fit(constant, y).predict(constant)).all()


def test_axes_that_look_swapped(rng: np.random.Generator) -> None:
    walks = rng.standard_normal((20, 50, 3)).cumsum(axis=1)
    y = np.arange(20) % 2
    with pytest.warns(saiki.AxesWarning, match=r"says 3 steps of 50 features.*transpose\(0, 2, 1\)"):
        classifier().fit(walks.transpose(0, 2, 1), y)
    with pytest.warns(saiki.AxesWarning):
        classifier().fit(rng.standard_normal((20, 2, 50)), y)
    with pytest.warns(saiki.AxesWarning):
        classifier().fit(walks[:, :, :1].transpose(0, 2, 1), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier().fit(walks, y)
        classifier().fit(rng.standard_normal((20, 10, 16)), y)
        classifier().fit(rng.standard_normal((20, 30, 3)).cumsum(axis=2), y)
    with pytest.raises(
        saiki.ShapeError, match=r"20 entries|one entry for each of the 50 sequences; got 20.*transpose\(1, 0, 2\)"
    ):
        classifier().fit(walks.transpose(1, 0, 2), y)


NAN = np.full((4, 3, 1), np.nan)
X4 = np.ones((4, 3, 2))
BAD: list[tuple[Any, Any, dict[str, Any], str]] = [
    (np.ones(4), np.ones(4), {}, r"one sequence of one feature is X\[None, :, None\]"),
    (np.ones((4, 3, 2, 2)), np.ones(4), {}, r"X must be \(n_sequences, n_steps, n_features\), a list of"),
    (NAN, np.ones(4), {}, r"X must be finite; got nan.*give lengths= where NaN is padding"),
    ([np.ones((2, 2)), np.ones((2, 3))], [0, 1], {}, r"X\[1\] must be \(n_steps, n_features\)"),
    ([np.ones((2, 2)), np.full((2, 2), np.inf)], [0, 1], {}, r"X\[1\] must be finite"),
    ([["a", "b"], ["c"]], [0, 1], {}, r"X\[0\] must hold numbers"),
    ([np.ones((2, 1)), 1j * np.ones((2, 1))], [0, 1], {}, "Complex data not supported"),
    (X4.astype(str), np.ones(4), {}, "X must hold numbers; got dtype"),
    (X4, None, {}, "requires y to be passed"),
    (X4, "yes!", {}, "one entry for each"),
    (X4, np.ones(5), {}, "one entry for each of the 4 sequences; got 5"),
    (X4, np.ones((4, 3, 2)), {}, "y must hold one|dim 3, while dim <= 2"),
    (X4, np.full(4, np.nan), {}, "at least one target that is not missing"),
    (X4, [0, 1, np.inf, 0], {}, "y contains infinity|y must be finite; got inf"),
    (X4, np.ones(4), {"lengths": [3, 3, 3]}, "lengths must hold one number per sequence"),
    (X4, np.ones(4), {"lengths": [3, 3, 3, 4]}, "lengths must lie between 0"),
    ([np.ones((3, 2))] * 4, np.ones(4), {"lengths": [3, 3, 3, 3]}, "lengths go with padded arrays"),
    (X4, np.ones(4), {"sample_weight": np.ones(3)}, "sample_weight must have shape"),
    (X4, np.ones(4), {"sample_weight": np.ones((4, 3))}, "sample_weight must have shape"),
    (X4, np.ones(4), {"sample_weight": [1, 1, 1, -1]}, "sample_weight must not be negative"),
    (X4, np.ones(4), {"sample_weight": [1, 1, 1, np.nan]}, "sample_weight must be finite"),
    (X4, np.ones(4), {"sample_weight": np.zeros(4)}, "weight.* not zero"),
    (X4, np.ones(4), {"validation_data": 3}, r"validation_data must be a pair \(X, y\)"),
    (X4, np.ones(4), {"validation_data": {"X": X4}}, r"validation_data must be a pair \(X, y\)"),
    (X4, np.ones(4), {"validation_data": (np.ones((4, 3, 1)), np.ones(4))}, "1 features, but .* is expecting 2"),
]


@pytest.mark.parametrize(("X", "y", "options", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
@pytest.mark.parametrize("make", MAKERS)
def test_bad_input_is_named_and_changes_nothing(
    make: Callable[..., Any], X: Any, y: Any, options: dict[str, Any], message: str, rng: np.random.Generator
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make().fit(X, y, **options)
    model = make().fit(rng.standard_normal((10, 3, 2)), np.arange(10) % 2)
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y, **options)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones((4, 4)), r"y\[0\] has shape \(4,\)"),
        (np.ones(4), "one for each step"),
        ([np.ones(3)] * 3, "one entry for each of the 4"),
        ([np.ones(3)] * 3 + [np.ones(2)], "sequence 3 has 3 steps"),
    ],
)
def test_bad_targets_of_steps(make: Callable[..., Any], y: Any, message: str) -> None:
    with pytest.raises(saiki.ShapeError, match=message):
        make(output="each").fit(X4, y)


@pytest.mark.parametrize("make", MAKERS)
def test_sequences_without_steps(make: Callable[..., Any], rng: np.random.Generator) -> None:
    X = [rng.standard_normal((n, 2)) for n in (3, 0, 2, 4, 0, 1)]
    model = make().fit(X, np.arange(6) % 2)
    assert len(model.predict(X)) == 6
    assert len(model.predict([np.empty((0, 2))])) == 1
    steps = make(output="each").fit(X, [np.arange(len(x)) % 2 for x in X])
    assert [len(part) for part in steps.predict(X)] == [3, 0, 2, 4, 0, 1]


@pytest.mark.parametrize("make", MAKERS)
def test_not_fitted(make: Callable[..., Any]) -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda m: m.predict(X4),
        lambda m: m.step(np.ones(2)),
        lambda m: m.score(X4, np.ones(4)),
    ]
    for call in calls:
        with pytest.raises(NotFittedError):
            call(make())


def test_far_from_zero_in_float32(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 5, 1))
    y = 1.7e9 + 60 * X[:, -1, 0]
    model = regressor(dtype="float32", max_iter=60).fit(1e9 + X, y)
    assert model.params_["0/Wx"].dtype == np.float32
    assert model.score(1e9 + X, y) > 0.8
    assert r2_score(y, model.predict(1e9 + X)) == pytest.approx(model.score(1e9 + X, y))
    single = X.astype(np.float32)
    assert regressor().fit(single, y).predict(single).dtype == np.float32
    assert classifier().fit(single, y > 1.7e9).predict_proba(single).dtype == np.float32


@pytest.mark.parametrize("labels", [[0, 1], [True, False], ["a", "b"], [1.5, 2.5]], ids=str)
@pytest.mark.parametrize("missing", [None, float("nan")], ids=str)
def test_labels_of_every_kind_may_be_missing(labels: list[Any], missing: Any, rng: np.random.Generator) -> None:
    if labels == [1.5, 2.5]:
        labels = [1.0, 2.0]  # scikit-learn takes others for values
    X = rng.standard_normal((12, 3, 1))
    y = [*labels * 5, missing, missing]
    assert classifier().fit(X, y).classes_.tolist() == sorted(labels)
    steps = [[*labels, missing]] * 11 + [[missing] * 3]
    assert classifier(output="each").fit(list(X), steps).classes_.tolist() == sorted(labels)


def test_large_sets_are_predicted_in_parts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X = [rng.standard_normal((n, 2)) for n in rng.integers(0, 9, size=50)]
    model = regressor(output="each").fit(X, [x[:, 0] for x in X])
    whole = model.predict(X)
    monkeypatch.setattr("saiki.estimators.fitted.MOST_AT_ONCE", 7)
    for one, other in zip(whole, model.predict(X), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
