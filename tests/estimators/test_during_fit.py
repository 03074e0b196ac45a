"""An estimator during its own fit: the model of the epoch, validation scorers, and rates that wait for a plateau."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss, make_scorer

import saiki
from saiki.estimators.options import MOST_PLATEAUS, PLATEAU_FACTOR, optimizers_of
from saiki.training.epochs import Epoch, n_plateaus
from tests.estimators.data import ESTIMATORS, classifier, data_for, quick, ragged, regressor

TRAINED = [name for name, cls in ESTIMATORS.items() if "callbacks" in cls().get_params()]
"""The estimators that tell callbacks about epochs."""


def same_numbers(one: Any, two: Any) -> bool:
    """Whether two predictions are equal: arrays to the bit, trees with their scores."""
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(one, two, strict=True))


def epochs_of(name: str, X: Any, y: Any, n: int) -> list[Any]:
    """Return estimators that were stopped after 1, ..., n epochs of one fit."""
    stops = [lambda epoch, n=n: epoch.count == n for n in range(1, n + 1)]
    return [quick(name, max_iter=n, callbacks=[stop]).fit(X, y) for stop in stops]


@pytest.mark.parametrize("name", TRAINED)
def test_a_callback_sees_the_model_of_its_epoch(name: str, rng: np.random.Generator, tmp_path: Path) -> None:
    X, y = data_for(name, rng)
    wanted = epochs_of(name, X, y, 3)
    seen: list[Any] = []

    def look(epoch: Epoch) -> None:
        at = wanted[epoch.count - 1]
        assert model.params_ is epoch.params
        assert (model.n_iter_, model.loss_, len(model.loss_curve_)) == (epoch.count, epoch.losses[-1], epoch.count)
        assert model.score(X, y) == at.score(X, y)
        assert same_numbers(model.predict(X), at.predict(X))
        saiki.save(model.set_params(callbacks=None), tmp_path / "model")
        for other in (saiki.load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.copy(model)):
            assert same_numbers(other.predict(X), at.predict(X))
        assert not hasattr(clone(model), "params_")
        seen.append(quick(name, max_iter=1).fit(X, y).score(X, y))

    model = quick(name, max_iter=3)
    for _ in range(2):  # a first fit, and a second one
        model.set_params(callbacks=[look])
        assert same_numbers(model.fit(X, y).predict(X), wanted[-1].predict(X))
    assert len(seen) == 6


def test_the_second_fit_has_other_classes_features_and_scales(rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((20, 4, 1)), 100 + rng.standard_normal((20, 4, 3))
    labels = np.array(["a", "b", "c"])[np.arange(20) % 3]
    seen: list[Any] = []

    def look(_: Epoch) -> None:
        label, _ = model.step(second[0, 0])
        seen.append((label in "abc", model.score(second, labels), model.n_features_in_, len(model.classes_)))

    class Nosy:
        """Sequences that look at the estimator while they are read."""

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            assert same_numbers(model.predict(first), before)
            assert model.score(first, np.arange(20) % 2) >= 0
            return second

    model = classifier(random_state=1).fit(first, np.arange(20) % 2)
    before = model.predict(first)
    alone = [classifier(random_state=1, max_iter=n, learning_rate="constant") for n in (1, 2, 3)]
    wanted = [one.fit(second, labels).score(second, labels) for one in alone]
    model.set_params(callbacks=[look], learning_rate="constant").fit(Nosy(), labels)
    assert seen == [(True, score, 3, 3) for score in wanted]


def test_a_failed_fit_leaves_the_estimator_as_it_was(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 4, 1)), np.arange(20) % 2
    model = classifier().fit(X, y)
    before = dict(vars(model))

    def fail(*_: Any) -> float:
        raise RuntimeError("the scorer of a user")

    for changes, error in (
        ({"scoring": fail, "early_stopping": True}, RuntimeError),
        ({"solver_options": {"nothing": 1}}, saiki.ArgumentError),
        ({"class_weight": {5: 1}}, saiki.ArgumentError),
    ):
        other = copy.copy(model).set_params(**changes)
        with pytest.raises(error):
            other.fit(np.concatenate([X, X], axis=2), np.arange(20) % 3)
        unchanged = {name: value for name, value in vars(other).items() if name not in changes}
        assert unchanged == {name: value for name, value in before.items() if name not in changes}
    with pytest.raises(saiki.ArgumentError):
        classifier().partial_fit(X, y, classes=[3, 4])
    fresh = classifier()
    with pytest.raises(saiki.ShapeError):
        fresh.partial_fit(X, y[:3], classes=[0, 1])
    assert not hasattr(fresh, "classes_")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_a_callback_keeps_the_last_epoch(error: type[BaseException], rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4, 1)), rng.integers(2, size=30)

    def fail(epoch: Epoch) -> None:
        if epoch.count == 7:
            raise error

    model = classifier(early_stopping=True, max_iter=20, n_iter_no_change=20, learning_rate="constant")
    seen: list[Epoch] = []
    whole = clone(model).set_params(max_iter=7, callbacks=[seen.append]).fit(X, y)
    with pytest.raises(error):
        model.set_params(callbacks=[fail]).fit(X, y)
    assert model.n_iter_ == 7
    best = seen[int(np.argmax(whole.validation_scores_))]
    for name, param in best.params.items():  # what is kept in the end is the best, as after a whole fit
        np.testing.assert_array_equal(model.params_[name], param)


def test_scikit_learns_callbacks_see_the_epoch(rng: np.random.Generator) -> None:
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    X, y = rng.standard_normal((20, 4, 3)), np.array(["a", "b", "c"])[np.arange(20) % 3]
    seen: list[tuple[str, float, float]] = []

    class Listener:
        def setup(self, estimator: Any, context: Any) -> None: ...
        def teardown(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_begin(self, estimator: Any, context: Any) -> None: ...
        def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> None:
            seen.append((context.task_name, estimator.score(X, y), fitted_estimator.score(X, y)))

    model = classifier(early_stopping=True, learning_rate="constant").fit(X[:, :, :1], np.arange(20) % 2)
    scores: list[float] = []
    model.set_params(callbacks=[lambda _: scores.append(model.score(X, y))]).set_callbacks(Listener()).fit(X, y)
    assert [score for name, score, _ in seen if name == "epoch"] == scores
    assert all(one == two for _, one, two in seen)
    assert seen[-1][1] == model.score(X, y)


# Scorers of validation data


def test_scoring_is_called_with_the_users_own_data(rng: np.random.Generator) -> None:
    sequences, padded, lengths = ragged(rng)
    y = np.array(["no", "yes"])[np.arange(40) % 2]
    seen: list[Any] = []

    def scorer(estimator: Any, X: Any, labels: Any, sample_weight: Any = None) -> float:
        seen.append((X, labels, sample_weight))
        return float(estimator.score(X, labels))

    own = classifier(early_stopping=True, max_iter=6).fit(sequences, y)
    model = classifier(early_stopping=True, max_iter=6, scoring=scorer)
    for X, options in ((sequences, {}), (padded, {"lengths": lengths})):
        del seen[:]
        assert model.fit(X, y, **options).validation_scores_ == own.validation_scores_
        assert model.best_validation_score_ == own.best_validation_score_
        held, labels, weight = seen[-1]
        assert weight is None
        assert isinstance(held, list)
        assert set(labels) == {"no", "yes"}
        for sequence, label in zip(held, labels, strict=True):
            assert any(np.array_equal(sequence, s) and label == truth for s, truth in zip(sequences, y, strict=True))
    weights = rng.random(40)
    model.fit(sequences, y, sample_weight=weights)
    assert set(seen[-1][2]) <= set(weights)
    named = classifier(max_iter=6, scoring="accuracy")
    held_out = {"X": padded[:9], "y": y[:9], "lengths": lengths[:9], "sample_weight": weights[:9]}
    plain = classifier(max_iter=6).fit(sequences, y, validation_data=held_out)
    np.testing.assert_allclose(  # two sums of the same weights
        named.fit(sequences, y, validation_data=held_out).validation_scores_, plain.validation_scores_, rtol=1e-12
    )


def test_missing_labels_are_left_out_of_what_a_scorer_sees(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 4, 1))
    y = np.where(X[:, 0, 0] > 0, "up", "down").astype(object)
    y[::5] = None
    frame = pytest.importorskip("pandas").Series(y, index=range(100, 140))
    for labels in (y, y.tolist(), frame):
        model = classifier(scoring="balanced_accuracy", max_iter=4).fit(X, labels, validation_data=(X, labels))
        there = [label is not None for label in y]
        assert model.validation_scores_[-1] > 0
        assert model.score(X[there], y[there]) == model.score(X, labels)


@pytest.mark.parametrize("name", TRAINED)
def test_every_estimator_takes_a_scorer(name: str, rng: np.random.Generator) -> None:
    X, y = data_for(name, rng)
    own = quick(name, max_iter=2).fit(X, y, validation_data=(X, y))
    model = quick(name, max_iter=2, scoring=lambda estimator, X, y: estimator.score(X, y))
    assert model.fit(X, y, validation_data=(X, y)).validation_scores_ == own.validation_scores_
    by_name = "accuracy" if hasattr(model, "predict_proba") else "neg_mean_absolute_error"
    model.set_params(scoring=by_name)
    if name == "ParserNetwork":
        with pytest.raises(saiki.ArgumentError, match=r"scoring must be None or a function .* with ParserNetwork"):
            model.fit(X, y, validation_data=(X, y))
    else:
        assert len(model.fit(X, y, validation_data=(X, y)).validation_scores_) == 2


def test_a_scorer_decides_when_to_stop(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4, 1)), rng.integers(2, size=30)
    model = classifier(early_stopping=True, max_iter=30, n_iter_no_change=2, scoring=lambda e, X, y: -e.n_iter_)
    assert model.fit(X, y).n_iter_ == 4
    assert model.validation_scores_ == [-1, -2, -3, -4]
    np.testing.assert_array_equal(model.predict_proba(X), model.fit(X, y).predict_proba(X))
    loss = classifier(early_stopping=True, max_iter=4, scoring="neg_log_loss").fit(X, y, validation_data=(X, y))
    assert loss.best_validation_score_ == pytest.approx(-log_loss(y, loss.predict_proba(X)), rel=1e-12)  # one sum


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("acuracy", r"scoring must be one of the names that .*get_scorer_names\(\).*Did you mean 'accuracy'\?"),
        ("", "scoring must be one of the names"),
        (3, "scoring must be None, the name of a scorer"),
        (dict, "scoring must be None, the name of a scorer .*got dict"),
        (["accuracy"], "scoring must be None, the name of a scorer .*got list"),
        (accuracy_score, r"Use sklearn\.metrics\.make_scorer\(accuracy_score\) instead"),
        ("f1", "scoring='f1' cannot score the validation data: pos_label"),
        ("r2", "scoring='r2' cannot score the validation data"),
        (lambda e, X, y: float("nan"), "scoring must return a finite number; got nan after epoch 1"),
        (lambda e, X, y: np.inf, "scoring must return a finite number; got inf"),
        (lambda e, X, y: None, "scoring must return a finite number; got NoneType"),
        (lambda e, X, y: {"a": 1.0}, "scoring must return a finite number; got dict"),
        (lambda e, X, y: np.ones(2), "scoring must return a finite number; got ndarray"),
        (lambda e, X, y: "0.5", "scoring must return a finite number; got str"),
        (lambda e, X, y: 1j, "scoring must return a finite number; got complex"),
    ],
)
def test_wrong_scorers(scoring: Any, message: str, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((12, 3, 1)), np.array(["a", "b"])[np.arange(12) % 2]
    with pytest.raises(saiki.ArgumentError, match=message):
        classifier(scoring=scoring).fit(X, y, validation_data=(X, y))


def test_where_a_scorer_has_nothing_to_score(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((12, 3, 1)), np.arange(12) % 2
    with pytest.raises(saiki.ArgumentError, match="scoring says how validation data are scored, and there are none"):
        classifier(scoring="accuracy").fit(X, y)
    each = np.tile(y[:, None], 3)
    for scoring in ("accuracy", make_scorer(accuracy_score)):
        with pytest.raises(saiki.ArgumentError, match="with output='each': the scorers of scikit-learn need one label"):
            classifier(scoring=scoring, output="each").fit(X, each, validation_data=(X, each))
    own: Callable[..., Any] = lambda e, X, y: np.mean(e.predict(X) == y)  # noqa: E731
    model = classifier(scoring=own, output="each").fit(X, each, validation_data=(X, each))
    assert model.validation_scores_[-1] == model.score(X, each)


# Learning rates that wait for a plateau


def rates(model: Any, histories: list[tuple[float, ...]]) -> list[float]:
    """Return the learning rate after each history of losses, as plain gradient descent shows it."""
    grads = {"W": np.ones(1)}
    found = []
    for losses in histories:
        optimizer = optimizers_of(model, 1)(Epoch(len(losses), {}, None, {}, losses=losses))
        found.append(float(-optimizer.update(grads, optimizer.init(grads), grads)[0]["W"][0]))
    return found


def test_a_plateau_divides_the_rate_by_ten() -> None:
    model = regressor(
        solver="sgd", learning_rate="plateau", learning_rate_init=0.5, n_iter_no_change=4, tol=0.1, clip_norm=None
    )
    losses = (3.0, 2.0, 1.95, 1.92, 1.91, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    found = rates(model, [losses[:n] for n in range(len(losses) + 1)])
    # More than two epochs in a row that are not better by more than 0.1: after the fifth, the ninth, ...
    np.testing.assert_allclose(found, [0.5] * 5 + [0.05] * 4 + [0.005] * 3, rtol=1e-12)  # rounding of 0.1**n
    long = rates(model, [(1.0,) * 1000])
    np.testing.assert_allclose(long, 0.5 * PLATEAU_FACTOR**MOST_PLATEAUS, rtol=1e-12)
    assert n_plateaus(Epoch(2, {}, None, {}, losses=(1.0, 2.0, 3.0), scores=(1.0, 2.0, 3.0)), 0, 0.0) == 0


def test_a_plateau_slows_a_fit_down_and_goes_on_after_a_checkpoint(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saiki.training.checkpoint.LEAST_SECONDS", 0.0)
    X, y = rng.standard_normal((30, 4, 1)), rng.standard_normal(30)
    changes = {"learning_rate": "plateau", "tol": 10.0, "n_iter_no_change": 3, "max_iter": 9, "early_stopping": False}
    seen: list[Epoch] = []
    whole = regressor(**changes, callbacks=[seen.append]).fit(X, y)
    assert whole.n_iter_ == 5  # the first epoch, and more than three that are no better by 10
    first, last = (
        max(np.abs(two.params[name] - one.params[name]).max() for name in one.params)
        for one, two in ((seen[0], seen[1]), (seen[3], seen[4]))
    )
    assert last < first / 5
    steady = regressor(**changes | {"learning_rate": "constant"}).fit(X, y)
    assert steady.loss_curve_[:3] == whole.loss_curve_[:3]  # the rate falls after the third epoch
    assert steady.loss_curve_[4] != whole.loss_curve_[4]

    def interrupt(epoch: Epoch) -> None:
        if epoch.count == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        regressor(**changes, callbacks=[interrupt]).fit(X, y, checkpoint=tmp_path / "run")
    resumed = regressor(**changes).fit(X, y, checkpoint=tmp_path / "run")
    assert resumed.loss_curve_ == whole.loss_curve_
    for name, param in whole.params_.items():
        np.testing.assert_array_equal(resumed.params_[name], param)
    again = regressor(**changes, warm_start=True).fit(X, y).fit(X, y)
    assert again.n_iter_ == 10  # a fit that goes on begins with the first rate, and waits anew
    one, two = (regressor(**changes | {"learning_rate": rate}).partial_fit(X, y) for rate in ("plateau", "constant"))
    assert one.loss_ == two.loss_


def test_the_validation_score_decides_on_a_plateau_where_there_is_one(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4, 1)), np.arange(30) % 2
    changes = {"learning_rate": "plateau", "n_iter_no_change": 4, "max_iter": 8, "tol": 0.0}
    rising = classifier(**changes, scoring=lambda e, X, y: e.n_iter_).fit(X, y, validation_data=(X, y))
    steady = classifier(**changes | {"learning_rate": "constant"}).fit(X, y)
    assert rising.loss_curve_ == steady.loss_curve_
    falling = classifier(**changes, scoring=lambda e, X, y: -e.n_iter_).fit(X, y, validation_data=(X, y))
    assert falling.loss_curve_[:4] == steady.loss_curve_[:4]
    assert falling.loss_curve_[5] != steady.loss_curve_[5]
