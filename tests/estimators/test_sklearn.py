"""The estimators are scikit-learn's: its own checks, its meta-estimators, its routing and its callbacks."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import saiki
from saiki.arrays import Array
from tests.estimators.data import ARRAYS, OTHERS, classifier, ragged, regressor

CHECKS = """
import sys, warnings, saiki
from sklearn.utils.estimator_checks import check_estimator
warnings.simplefilter("ignore")
for result in check_estimator(getattr(saiki, sys.argv[1])(), on_fail=None):
    print(result["status"], result["check_name"], repr(result["exception"]))
"""


LEAST = 55
"""How many checks a classifier or a regressor has at least; a transformer has fewer."""


@pytest.mark.parametrize("name", OTHERS)
def test_scikit_learns_own_checks_stop_where_no_array_is_taken(name: str) -> None:
    with pytest.warns(SkipTestWarning, match=f"Can't test estimator {name} which requires input"):
        results = check_estimator(OTHERS[name]())
    assert [result["status"] for result in results] == ["passed"]  # test_conventions.py has the others by hand


@pytest.mark.parametrize("name", ARRAYS)
def test_scikit_learns_own_checks(name: str) -> None:
    # In a process of its own: without the variable scikit-learn skips its check of other libraries' arrays.
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    lines = subprocess.run(
        [sys.executable, "-c", CHECKS, name], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert Counter(line.split()[0] for line in lines) == {"passed": len(lines)}, [
        line for line in lines if not line.startswith("passed")
    ]
    assert len(lines) >= (LEAST if hasattr(ARRAYS[name], "predict") else 40)


META: dict[str, Callable[[], Any]] = {
    "grid search": lambda: GridSearchCV(classifier(), {"hidden_layer_sizes": [3, 4]}, cv=2),
    "pipeline": lambda: make_pipeline(saiki.SequenceScaler(), classifier()),
    "voting": lambda: VotingClassifier([("a", classifier()), ("b", classifier(cell="lstm"))], voting="soft"),
    "stacking": lambda: StackingClassifier(
        [("a", classifier()), ("b", classifier(cell="lstm"))], final_estimator=GaussianNB(), cv=2
    ),
    "calibrated": lambda: CalibratedClassifierCV(classifier(), cv=2),
    "one against the rest": lambda: OneVsRestClassifier(classifier()),
}
META_REGRESSORS: dict[str, Callable[[], Any]] = {
    "voting": lambda: VotingRegressor([("a", regressor()), ("b", regressor(cell="lstm"))]),
    "stacking": lambda: StackingRegressor([("a", regressor()), ("b", regressor(cell="lstm"))], cv=2),
}


def data(form: str, rng: np.random.Generator) -> tuple[Any, Array]:
    sequences, _, _ = ragged(rng)
    X = sequences if form == "list" else rng.standard_normal((40, 5, 2))
    return X, np.array([x[:, 0].sum() for x in X])


@pytest.mark.parametrize("form", ["array", "list"])
@pytest.mark.parametrize("name", META)
def test_meta_estimators(name: str, form: str, rng: np.random.Generator) -> None:
    X, y = data(form, rng)
    labels = np.array(["a", "b", "c"])[np.arange(len(y)) % 3]
    model = META[name]().fit(X, labels)
    assert model.predict(X).shape == labels.shape
    assert 0 <= model.score(X, labels) <= 1


@pytest.mark.parametrize("form", ["array", "list"])
@pytest.mark.parametrize("name", META_REGRESSORS)
def test_meta_regressors(name: str, form: str, rng: np.random.Generator) -> None:
    X, y = data(form, rng)
    assert np.isfinite(META_REGRESSORS[name]().fit(X, y).predict(X)).all()


@pytest.mark.parametrize("form", ["array", "list"])
def test_many_outputs(form: str, rng: np.random.Generator) -> None:
    X, y = data(form, rng)
    both = np.stack([y > 0, y > 1], axis=1)
    assert MultiOutputClassifier(classifier()).fit(X, both).predict(X).shape == both.shape
    assert MultiOutputRegressor(regressor()).fit(X, both).predict(X).shape == both.shape


@pytest.mark.parametrize("form", ["array", "list"])
def test_model_selection(form: str, rng: np.random.Generator) -> None:
    X, y = data(form, rng)
    labels = y > 0
    assert len(cross_validate(classifier(), X, labels, cv=2)["test_score"]) == 2
    assert cross_val_predict(classifier(), X, labels, cv=2, method="predict_proba").shape == (40, 2)
    sizes, _, scores = learning_curve(classifier(), X, labels, cv=2, train_sizes=[0.5, 1.0])
    assert scores.shape == (len(sizes), 2)


def test_labels_of_each_step_in_a_grid_search(rng: np.random.Generator) -> None:
    X, _, _ = ragged(rng)
    y = [x[:, 0] > 0 for x in X]
    search = GridSearchCV(classifier(output="each"), {"hidden_layer_sizes": [3, 4]}, cv=KFold(2)).fit(X, y)
    assert 0 <= search.best_score_ <= 1


def test_metadata_is_routed(rng: np.random.Generator) -> None:
    sequences, padded, lengths = ragged(rng)
    labels, weight = np.arange(40) % 2, rng.random(40)
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(lengths=True, sample_weight=True)
        model.set_score_request(lengths=True, sample_weight=True).set_predict_request(lengths=True)
        params = {"lengths": lengths, "sample_weight": weight}
        search = GridSearchCV(model, {"cell": ["gru"]}, cv=2).fit(padded, labels, **params)
        scaler = saiki.SequenceScaler().set_fit_request(lengths=True).set_transform_request(lengths=True)
        piped = make_pipeline(scaler, clone(model)).fit(padded, labels, **params)
        assert 0 <= piped.score(padded, labels, **params) <= 1
    # Two ways that ragged lists take: weights for fit only, by hand.
    scores = []
    for train, test in StratifiedKFold(2).split(labels, labels):
        own = classifier().fit([sequences[i] for i in train], labels[train], weight[train])
        scores.append(own.score([sequences[i] for i in test], labels[test], weight[test]))
    np.testing.assert_allclose(search.best_score_, np.mean(scores), rtol=1e-12)


def test_scikit_learns_callbacks(rng: np.random.Generator) -> None:
    callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    X, labels = rng.standard_normal((30, 4, 1)), np.arange(30) % 2

    class Listener:
        def __init__(self) -> None:
            self.heard: list[str] = []
            self.scores: list[float] = []

        def setup(self, estimator: Any, context: Any) -> None:
            self.heard.append("setup")

        def teardown(self, estimator: Any, context: Any) -> None:
            self.heard.append("teardown")

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.heard.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any) -> bool:
            self.heard.append(f"end {context.task_name}")
            self.scores.append(fitted_estimator.score(X, y))
            return context.task_name == "epoch" and len(self.scores) == 2

    listener = Listener()
    model = classifier(max_iter=10).set_callbacks(listener).fit(X, labels)
    epoch = ["begin epoch", "end epoch"]
    assert listener.heard == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]
    assert model.n_iter_ == 2
    assert listener.scores[-1] == model.score(X, labels)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    classifier().set_callbacks(monitor).fit(X, labels)
    assert len(monitor.get_logs().data) == 1 + 3  # the whole, and each epoch


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_digits_row_by_row(cell: str) -> None:
    # By default 0.985 with GRU and 0.982 with LSTM, the mean of 15 folds (docs/estimators.md); this is one of them.
    digits = load_digits()
    train, test = next(StratifiedKFold(5, shuffle=True, random_state=0).split(digits.images, digits.target))
    model = saiki.RNNClassifier(cell, random_state=0).fit(digits.images[train], digits.target[train])
    assert model.score(digits.images[test], digits.target[test]) > 0.96
