"""Every parameter of the estimators: what it changes, and what it refuses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.estimators.options import LEARNING_RATES, PARAMETERS, REGRESSION_LOSSES
from saiki.optimizers import OPTIMIZERS
from tests.estimators.data import MAKERS, classifier, named, regressor

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
    for make in MAKERS:
        model = make()
        assert model.get_params().keys() <= PARAMETERS.keys()
        for name in model.get_params():
            assert f"\n    {name}: " in (type(model).__doc__ or "")
    assert PARAMETERS.keys() == classifier().get_params().keys() | regressor().get_params().keys()
