"""How a fit goes on, stops, is proved, and what it leaves behind."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples, Ragged
from tests.estimators.data import ESTIMATORS, MAKERS, OTHERS, classifier, data_for, quick, ragged, regressor


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


@pytest.mark.parametrize("make", MAKERS)
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


def test_what_is_set_aside(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 3, 1))
    y = np.array([0.0] + [1, 2] * 19 + [3])
    model = classifier(early_stopping=True, validation_fraction=0.25)
    for _ in range(20):
        learnt, held = model._split(Examples(Ragged.of_padded(X, None), y), rng)
        assert sorted(y[held]) == [1] * 5 + [2] * 5  # of each class its share, and none that is alone in its class
        assert sorted([*learnt, *held]) == list(range(40))
    few = regressor(early_stopping=True, max_iter=20, n_iter_no_change=20).fit(X[:8], X[:8, 0, 0])
    assert len(set(few.validation_scores_)) > 5  # two are held out, not one that says nothing


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


@pytest.mark.parametrize("make", MAKERS)
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


@pytest.mark.parametrize("name", [name for name, cls in ESTIMATORS.items() if hasattr(cls, "predict")])
def test_every_estimator_that_predicts_is_certified(name: str, rng: np.random.Generator) -> None:
    model, (X, y) = quick(name), data_for(name, rng)
    if name in OTHERS:  # which know no network before they are given data
        with pytest.raises(saiki.ArgumentError, match=f"{name} has no network yet: give X and y, or fit it first"):
            saiki.check_gradients(model)
    else:
        assert saiki.check_gradients(model).worst < 1e-10
    assert saiki.check_gradients(model, X, y).worst < 1e-10
    assert not hasattr(model, "params_")
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
