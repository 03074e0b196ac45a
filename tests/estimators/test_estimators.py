"""What the estimators learn from, whatever form it comes in, and what they say of it."""

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score

import saiki
from saiki.arrays import Array
from saiki.estimators.options import LEARNING_RATES, PARAMETERS, REGRESSION_LOSSES
from saiki.layers.readout import KINDS
from saiki.optimizers import OPTIMIZERS
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples, Ragged
from tests.estimators.data import ESTIMATORS as EVERY
from tests.estimators.data import classifier, named, ragged, regressor

ESTIMATORS = [classifier, regressor]


@pytest.mark.parametrize("output", KINDS)
@pytest.mark.parametrize("make", ESTIMATORS)
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


@pytest.mark.parametrize("make", ESTIMATORS)
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
@pytest.mark.parametrize("make", ESTIMATORS)
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
    assert labels.score(X, np.full(30, "a label that never was")) == 0


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


CONSTANT: Callable[[int], float] = lambda _: 0.01  # noqa: E731


@pytest.mark.parametrize(
    "changes",
    [
        *({"cell": name} for name in saiki.cells.NAMES),
        {"cell": ["lstm", saiki.cells.CELLS["gru"]], "hidden_layer_sizes": (3, 4)},
        {"cell": "simple", "activation": "relu"},
        {"bidirectional": True},
        {"bidirectional": True, "hidden_layer_sizes": (3, 4), "output": "mean"},
        {"dropout": 0.3, "output": "max"},
        {"conv": (4, 3)},
        {"conv": [4, 2, 2], "hidden_layer_sizes": np.array([3])},
        *({"solver": name} for name in OPTIMIZERS),
        {"solver": "adam", "solver_options": {"beta2": 0.9}},
        {"solver": saiki.optimizers.sgd(0.1)},
        *({"learning_rate": name} for name in LEARNING_RATES),
        {"learning_rate": CONSTANT},
        {"alpha": 0.01},
        {"clip_norm": None},
        {"tbptt": 2},
        {"batch_size": 7, "shuffle": False},
        {"early_stopping": True},
        {"engine": "reference"},
        {"n_jobs": 1},
        {"dtype": "float32"},
        {"dtype": np.float32},
        {"verbose": True},
    ],
    ids=named,
)
def test_every_parameter(changes: dict[str, Any], rng: np.random.Generator) -> None:
    X = rng.standard_normal((24, 5, 2))
    model = classifier(**changes).fit(X, np.arange(24) % 3)
    assert model.predict_proba(X).shape == (24, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.log(model.predict_proba(X)), model.predict_log_proba(X), rtol=1e-4)
    assert len(model.loss_curve_) == model.n_iter_ == 3
    wanted = np.float32 if "dtype" in changes else np.float64
    assert all(param.dtype == wanted for param in model.params_.values())
    saiki.check_gradients(model, X[:3], np.arange(3))


@pytest.mark.parametrize("loss", [*REGRESSION_LOSSES, saiki.losses.huber(0.3)], ids=named)
def test_losses_of_the_regressor(loss: Any, rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 5, 1))
    model = regressor(loss=loss, max_iter=100).fit(X, X[:, -1, 0])
    assert model.score(X, X[:, -1, 0]) > 0.8


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"cell": "grú"}, "cell must be one of .*'gru'"),
    ({"cell": 3}, "cell must be the name of a cell"),
    ({"cell": ["gru", "lstm"]}, "cell must be one, or one for each of the 1 layers"),
    ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must be a whole number"),
    ({"hidden_layer_sizes": "64"}, "hidden_layer_sizes must be a whole number"),
    ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes must be a whole number of at least 1, or several"),
    ({"activation": "gelu"}, "activation must be one of"),
    ({"activation": "relu", "cell": "lstm"}, "leave none to choose"),
    ({"bidirectional": "yes"}, "bidirectional must be True or False; got 'yes'"),
    ({"output": "first"}, "output must be one of 'last'"),
    ({"dropout": 1.0}, "dropout must be a number from 0 up to, but not, 1"),
    ({"conv": 3}, "conv must be None, "),
    ({"conv": (3, 2), "output": "each"}, "conv must keep the number of steps where output='each'"),
    ({"solver": "lbfgs"}, "solver must be one of"),
    ({"solver_options": {"beta3": 1}}, "solver_options must be one of 'beta1'"),
    ({"solver_options": 3}, "solver_options must be None or a dict"),
    ({"solver": "momentum", "solver_options": {"decay": 1}}, "the solver 'momentum' has none"),
    ({"solver": saiki.optimizers.adam(), "solver_options": {"beta1": 1}}, "give them to your optimizer itself"),
    ({"learning_rate": "adaptive"}, "learning_rate must be one of"),
    ({"learning_rate": 0.01}, "The rate itself is learning_rate_init=0.01"),
    ({"learning_rate_init": 0}, "learning_rate_init must be a positive"),
    ({"learning_rate_init": None}, "learning_rate_init must be a positive"),
    ({"alpha": -1}, "alpha must be 0 or a positive"),
    ({"clip_norm": 0}, "clip_norm must be a positive"),
    ({"tbptt": 0}, "tbptt must be a whole number"),
    ({"batch_size": 0}, "batch_size must be a whole number"),
    ({"max_iter": 0}, "max_iter must be a whole number"),
    ({"tol": -1.0}, "tol must be"),
    ({"n_iter_no_change": 0}, "n_iter_no_change must be"),
    ({"validation_fraction": 0}, "validation_fraction must be between 0 and 1"),
    ({"early_stopping": True, "validation_fraction": 0.99}, "validation_fraction must leave sequences"),
    ({"class_weight": "even"}, "class_weight must be None"),
    ({"class_weight": {0: -1, 1: 1}}, "must not be negative"),
    ({"engine": "cuda"}, "engine must be one of"),
    ({"n_jobs": 0}, "n_jobs must be"),
    ({"dtype": "int8"}, "dtype must be None, 'float32' or 'float64'"),
    ({"dtype": "nothing"}, "dtype must be None, 'float32' or 'float64'"),
    ({"callbacks": 3}, "callbacks must be a list of functions"),
    ({"verbose": "no"}, "verbose must be True or False"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=named)
def test_wrong_parameters(changes: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 5, 2))
    y = np.arange(8) % 2
    with pytest.raises(saiki.ArgumentError, match=message):
        classifier(**changes).fit(X, np.tile(y[:, None], 5) if changes.get("output") == "each" else y)


def test_wrong_losses(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 5, 2))
    for loss, message in (("cross_entropy", "loss must be one of"), (saiki.losses.cross_entropy(), "not of classes")):
        with pytest.raises(saiki.ArgumentError, match=message):
            regressor(loss=loss).fit(X, X[:, 0, 0])


def test_every_parameter_is_declared_once() -> None:
    for make in ESTIMATORS:
        model = make()
        assert model.get_params().keys() <= PARAMETERS.keys()
        for name in model.get_params():
            assert f"        {name}: " in (type(model).__doc__ or "")
    assert PARAMETERS.keys() == classifier().get_params().keys() | regressor().get_params().keys()


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
@pytest.mark.parametrize("make", ESTIMATORS)
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


@pytest.mark.parametrize("make", ESTIMATORS)
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


@pytest.mark.parametrize("make", ESTIMATORS)
def test_sequences_without_steps(make: Callable[..., Any], rng: np.random.Generator) -> None:
    X = [rng.standard_normal((n, 2)) for n in (3, 0, 2, 4, 0, 1)]
    model = make().fit(X, np.arange(6) % 2)
    assert len(model.predict(X)) == 6
    assert len(model.predict([np.empty((0, 2))])) == 1
    steps = make(output="each").fit(X, [np.arange(len(x)) % 2 for x in X])
    assert [len(part) for part in steps.predict(X)] == [3, 0, 2, 4, 0, 1]


@pytest.mark.parametrize("make", ESTIMATORS)
def test_not_fitted(make: Callable[..., Any]) -> None:
    calls: list[Callable[[Any], Any]] = [
        lambda m: m.predict(X4),
        lambda m: m.step(np.ones(2)),
        lambda m: m.score(X4, np.ones(4)),
    ]
    for call in calls:
        with pytest.raises(NotFittedError):
            call(make())


def test_early_stopping_keeps_the_best(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 5, 1))
    y = rng.integers(2, size=60)  # nothing to learn: the score wanders
    held = {"X": X[40:], "y": y[40:], "sample_weight": np.ones(20)}
    seen: list[Epoch] = []
    model = classifier(early_stopping=True, max_iter=50, n_iter_no_change=4, callbacks=[seen.append])
    model.fit(X[:40], y[:40], validation_data=held)
    assert model.n_iter_ < 50
    best = int(np.argmax(model.validation_scores_))
    assert model.best_validation_score_ == model.validation_scores_[best] == model.score(X[40:], y[40:])
    for name, value in seen[best].params.items():
        np.testing.assert_array_equal(model.params_[name], value)
    assert model.n_iter_ == best + 1 + 5
    watched = classifier().fit(X[:40], y[:40], validation_data=(X[40:], y[40:]))
    assert len(watched.validation_scores_) == 3
    assert classifier().fit(X, y).validation_scores_ is None


def test_training_stops_when_the_loss_does(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3, 1))
    assert classifier(max_iter=50, tol=1e9, n_iter_no_change=1).fit(X, X[:, 0, 0] > 0).n_iter_ == 50  # on its way down
    model = classifier(max_iter=500, tol=1e-2, n_iter_no_change=3, learning_rate="constant").fit(X, X[:, 0, 0] > 0)
    assert model.n_iter_ < 500
    best = np.minimum.accumulate(model.loss_curve_)
    falls = np.diff(model.loss_curve_, prepend=np.inf) < 0
    assert falls[0]
    assert all(later > before - 1e-2 for before, later in zip(best[-5:-1], model.loss_curve_[-4:], strict=True))


def test_callbacks_end_a_fit(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3, 1))
    model = classifier(max_iter=50, callbacks=[lambda epoch: epoch.count == 4]).fit(X, X[:, 0, 0] > 0)
    assert model.n_iter_ == 4


@pytest.mark.parametrize("make", ESTIMATORS)
def test_warm_start_and_partial_fit(make: Callable[..., Any], rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3, 1))
    y = X[:, 0, 0] > 0
    model = make(warm_start=True).fit(X, y)
    first = model.loss_curve_
    assert model.fit(X, y).loss_curve_[:3] == first
    assert model.n_iter_ == 6
    with pytest.raises(saiki.ArgumentError, match=r"another one\. Set them back"):
        model.set_params(hidden_layer_sizes=5).fit(X, y)
    one = make(learning_rate="constant", solver="adam").fit(X, y)
    steps = make(learning_rate="constant", solver="adam")
    for _ in range(3):
        steps.partial_fit(X, y)
    for name in one.params_:
        np.testing.assert_array_equal(one.params_[name], steps.params_[name])
    with pytest.raises(saiki.ArgumentError, match="early_stopping must be False for partial_fit"):
        make(early_stopping=True).partial_fit(X, y)


def test_a_warm_start_is_judged_by_itself() -> None:
    X = np.random.default_rng(0).standard_normal((80, 5, 1))
    y = X[:, -1, 0] > 0
    model = classifier(early_stopping=True, warm_start=True, max_iter=60, n_iter_no_change=60).fit(X, y)
    assert model.score(X, y) > 0.8
    model.set_params(early_stopping=False).fit(X, ~y)
    assert model.score(X, ~y) > 0.8
    assert (model.n_iter_, len(model.loss_curve_), len(model.validation_scores_)) == (120, 120, 60)
    assert model.set_params(early_stopping=True).fit(X, y).score(X, y) > 0.8


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


def test_what_is_set_aside(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 3, 1))
    y = np.array([0.0] + [1, 2] * 19 + [3])
    model = classifier(early_stopping=True, validation_fraction=0.25)
    for _ in range(20):
        learnt, held = model._split(Examples(Ragged.of_padded(X, None), y), rng)
        assert isinstance(held.y, np.ndarray)
        assert sorted(held.y) == [1] * 5 + [2] * 5  # of each class its share, and none that is alone in its class
        assert len(learnt) == 30
    few = regressor(early_stopping=True, max_iter=20, n_iter_no_change=20).fit(X[:8], X[:8, 0, 0])
    assert len(set(few.validation_scores_)) > 5  # two are held out, not one that says nothing


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


def test_the_network_says_what_it_was_fitted_for(rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 3, 1))
    model = classifier().fit(X, np.arange(12) % 2)
    assert model.set_params(output="each").predict(X).shape == (12,)
    assert model.score(X, np.arange(12) % 2) >= 0


def test_partial_fit_knows_the_classes_of_the_first_call(rng: np.random.Generator) -> None:
    X = rng.standard_normal((9, 3, 1))
    model = classifier().partial_fit(X, np.zeros(9, int), classes=[0, 1, 2])
    model.partial_fit(X, np.arange(9) % 3)
    assert model.predict_proba(X).shape == (9, 3)
    with pytest.raises(saiki.ArgumentError, match="y must hold the classes of the first fit"):
        model.partial_fit(X, np.arange(9))
    with pytest.raises(saiki.ArgumentError, match="classes must be those of the first call"):
        model.partial_fit(X, np.arange(9) % 3, classes=[0, 1])


@pytest.mark.parametrize("make", ESTIMATORS)
@pytest.mark.parametrize("output", ["last", "each"])
@pytest.mark.parametrize("cell", ["gru", "lstm", ["lstm", "simple"]], ids=named)
def test_step_by_step_is_the_whole(
    make: Callable[..., Any], output: str, cell: Any, rng: np.random.Generator, tmp_path: Any
) -> None:
    X = 50 + 10 * rng.standard_normal((20, 6, 2))
    y = X[:, :, 0] > 50 if output == "each" else X[:, -1, 0] > 50
    model = make(cell=cell, output=output, hidden_layer_sizes=[4, 3][: len(cell) if isinstance(cell, list) else 1])
    model.fit(X, y)
    whole = model.predict(X)
    one, all_of_them = None, None
    for t in range(6):
        value, one = model.step(X[3, t], one)
        values, all_of_them = model.step(X[:, t], all_of_them)
        np.savez(tmp_path / "state.npz", **one)
        one = dict(np.load(tmp_path / "state.npz"))
        expected = whole[:, t] if output == "each" else model.predict(X[:, : t + 1])
        np.testing.assert_allclose(values, expected, rtol=1e-9)
        np.testing.assert_allclose(value, expected[3], rtol=1e-9)
    if make is classifier:
        probability = model.step_proba(X[3, 0])[0]
        np.testing.assert_allclose(probability, model.step_proba(X[:, 0])[0][3])
        np.testing.assert_allclose(probability.sum(), 1)


def test_streams_that_cannot_be(rng: np.random.Generator) -> None:
    X = rng.standard_normal((8, 4, 2))
    y = np.arange(8) % 2
    model = classifier().fit(X, y)
    with pytest.raises(saiki.ShapeError, match=r"x must be the features of one step, \(2,\), or"):
        model.step(np.ones(3))
    with pytest.raises(saiki.ArgumentError, match="x must be finite"):
        model.step([1.0, np.nan])
    with pytest.raises(saiki.ArgumentError, match="state must be None or the dict that step returned, with"):
        model.step(X[0, 0], {"h": np.zeros((1, 6))})
    with pytest.raises(saiki.ShapeError, match="a row for each of the 3 streams"):
        model.step(X[:3, 0], model.step(X[0, 0])[1])
    for changes in ({"bidirectional": True}, {"conv": (3, 3)}, {"output": "mean"}):
        with pytest.raises(saiki.ArgumentError, match="runs step by step"):
            classifier(**changes).fit(X, y).step(X[0, 0])
    assert classifier().fit(X[:, :, :1], y).step(0.5)[0] in (0, 1)


@pytest.mark.parametrize("make", ESTIMATORS)
def test_pickle_and_copy(make: Callable[..., Any], rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 4, 2))
    model = make().fit(X, np.arange(10) % 2)
    model.step(X[0, 0])
    for other in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        np.testing.assert_array_equal(other.step(X[0, 0])[0], model.step(X[0, 0])[0])
        assert other.partial_fit(X, np.arange(10) % 2).n_iter_ == 4


def test_an_interrupted_fit_keeps_what_it_has_learnt(rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 4, 1))
    y = X[:, 0, 0]

    def interrupt(epoch: Epoch) -> None:
        if epoch.count == 2:
            raise KeyboardInterrupt

    model = regressor(max_iter=9, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    np.testing.assert_array_equal(
        model.predict(X), regressor(max_iter=9, callbacks=[lambda e: e.count == 2]).fit(X, y).predict(X)
    )
    assert model.n_iter_ == 2


def test_divergence_is_said(rng: np.random.Generator) -> None:
    X = rng.standard_normal((10, 4, 1))
    model = regressor(solver="sgd", learning_rate_init=1e200, clip_norm=None, scale_targets=False)
    with pytest.raises(saiki.DivergenceError, match="Try a smaller learning rate"):
        model.fit(X, 1e100 * X[:, 0, 0])


@pytest.mark.parametrize("name", [name for name, cls in EVERY.items() if hasattr(cls, "predict")])
def test_every_estimator_that_predicts_is_certified(name: str, rng: np.random.Generator) -> None:
    model, X, y = EVERY[name](), rng.standard_normal((6, 4, 2)), np.arange(6) % 2
    assert saiki.check_gradients(model).worst < 1e-10
    assert saiki.check_gradients(model.fit(X, y), X, y).worst < 1e-10


def test_certificates_of_estimators(rng: np.random.Generator) -> None:
    sequences, _, _ = ragged(rng, 6)
    for model, y in (
        (classifier(bidirectional=True), np.arange(6) % 2),
        (classifier(output="each", class_weight="balanced"), [np.arange(len(x)) % 2 for x in sequences]),
        (regressor(cell="lstm", conv=(3, 3)), rng.standard_normal((6, 2))),
    ):
        for certificate in (
            saiki.check_gradients(model),
            saiki.check_gradients(model, sequences, y),
            saiki.check_gradients(model.fit(sequences, y)),
            saiki.check_gradients(model, sequences, y, sample_weight=np.arange(6)),
        ):
            assert certificate.worst < 1e-10


def test_the_same_seed_gives_the_same(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 4, 1))
    y = X[:, 0, 0]
    curves = [regressor(random_state=seed, dropout=0.2).fit(X, y).loss_curve_ for seed in (1, 1, 2)]
    assert curves[0] == curves[1] != curves[2]
    assert all(map(math.isfinite, curves[0]))


@pytest.mark.parametrize("output", ["mean", "each"])
def test_the_same_fit_is_the_same_to_the_bit(output: str, rng: np.random.Generator) -> None:
    # Loops may round differently where arrays lie differently: it took up to 15 fits for one to show it.
    sequences, _, _ = ragged(rng)
    y = [x[:, 0] > 0 for x in sequences] if output == "each" else np.array([x[-1, 0] > 0 for x in sequences])
    first = classifier(output=output).fit(sequences, y)
    for _ in range(60):
        junk = [np.empty(n) for n in rng.integers(1, 3000, size=5)]  # while the last ones still are there
        assert len(junk) == 5
        again = classifier(output=output).fit(sequences, y)
        for name, param in first.params_.items():
            np.testing.assert_array_equal(again.params_[name], param)


def test_large_sets_are_predicted_in_parts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    X = [rng.standard_normal((n, 2)) for n in rng.integers(0, 9, size=50)]
    model = regressor(output="each").fit(X, [x[:, 0] for x in X])
    whole = model.predict(X)
    monkeypatch.setattr("saiki.estimators.fitted.MOST_AT_ONCE", 7)
    for one, other in zip(whole, model.predict(X), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_progress_bar_is_silent_in_files(capsys: pytest.CaptureFixture[str], rng: np.random.Generator) -> None:
    X: Array = rng.standard_normal((10, 4, 1))
    regressor(verbose=True).fit(X, X[:, 0, 0])
    assert capsys.readouterr() == ("", "")
