"""Estimators of inputs that are no sequences, and of targets that are no numbers, learn by the same few hooks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import pytest
from sklearn.base import clone

import saiki
from saiki.arrays import Array, Params
from saiki.engines.tape import Update
from saiki.estimators import keeping
from saiki.estimators.base import Metadata, NetworkEstimator, NetworkProblem, hold
from saiki.estimators.inputs import Words
from saiki.estimators.labels import Labels
from saiki.estimators.options import ATTRIBUTES, PARAMETERS, Parameter, documented, fit_page
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.values import Values
from saiki.initializers import Parameter as Weight
from saiki.initializers import initialize
from saiki.layers.updating import updated
from saiki.losses import evaluate
from saiki.training.examples import Examples, Ragged

WORDS = Words("bag", "number")


@final
@dataclass(frozen=True, eq=False)
class Bags:
    """Bags of numbers, one after another, never padded."""

    numbers: Array
    sizes: Array
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float64)
    words: ClassVar[Words] = WORDS
    n_rows: ClassVar[int | None] = None

    @classmethod
    def of(cls, bags: Any) -> "Bags":
        return cls(np.concatenate(bags).astype(np.float64), np.array([len(bag) for bag in bags]))

    @property
    def X(self) -> Self:
        return self

    @property
    def lengths(self) -> Array:
        return self.sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def select(self, which: Array) -> "Bags":
        rows = Ragged(self.numbers, self.sizes).select(which)
        return Bags(rows.values, rows.lengths)

    def pad(self, which: Array) -> tuple["Bags", None]:
        return self.select(which), None

    def arrays(self) -> tuple[Array, ...]:
        return self.numbers, self.sizes

    def owners(self) -> Array:
        return np.repeat(np.arange(len(self)), self.sizes)

    def beside(self, part: Any, which: Array) -> Any:
        found = part.select(which)
        return found.values if isinstance(found, Ragged) else found

    def like(self, values: Array) -> list[Array]:
        return Ragged(values, self.sizes).split()


@final
@dataclass(frozen=True)
class BagNetwork:
    """Outputs of each number, or of the sum over its bag."""

    n_outputs: int
    each: bool
    has_dropout: ClassVar[bool] = False

    def parameters(self) -> dict[str, Weight]:
        return {"W": Weight((2, self.n_outputs), 2)}

    def init(self, rng: np.random.Generator, scheme: Any = "xavier", dtype: Any = np.float64) -> Params:
        return initialize(rng, self.parameters(), scheme, dtype)

    def outputs(self, params: Params, X: Bags) -> Array:
        Y = np.stack([X.numbers, np.ones(len(X.numbers))], axis=1) @ params["W"]
        return Y if self.each else np.stack([np.bincount(X.owners(), y, len(X)) for y in Y.T], axis=1)

    def update(
        self, params: Params, optimizer: Any, optimizer_state: Any, X: Any, y: Any, loss: Any = "cross_entropy", *,
        sample_weight: Any = None, engine: Any = None, rng: Any = None, total: Any = None,
    ) -> Update:  # fmt: skip
        def learn() -> tuple[Any, Params]:
            weight = sample_weight
            if weight is not None and len(weight) == len(X) and self.each:
                weight = weight[X.owners()]
            value, dY = evaluate(loss, self.outputs(params, X), y, None, weight, total)
            dY = dY if self.each else dY[X.owners()]
            return value, {"W": np.stack([X.numbers, np.ones(len(X.numbers))]) @ dY}

        return updated(params, optimizer, optimizer_state, learn)


class BagEstimator(OutputsEstimator):
    learnt: ClassVar[tuple[str, ...]] = ("_epoch", "_target_scaling", "_largest", "n_outputs_")
    network_: BagNetwork
    _words = WORDS
    _parameters = PARAMETERS | {"output": Parameter(lambda name, value: None, 'of a bag, or of "each" number.')}
    _attributes: ClassVar[dict[str, str]] = {k: v for k, v in ATTRIBUTES.items() if k != "n_features_in_"}
    _fit_page = fit_page("Learn from bags.", "X: the bags.")

    @property
    def reads_each(self) -> bool:
        return self.network_.each

    def network_problem(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> NetworkProblem:
        return self._problem(X, y, {"sample_weight": sample_weight})

    def _read_inputs(self, X: Any, metadata: Metadata, reset: bool) -> Bags:
        return Bags.of(X)

    def _look_at_inputs(self, examples: Examples) -> None:
        assert isinstance(examples.X, Bags)
        self._largest = float(np.abs(examples.X.numbers).max())

    def _network(self) -> BagNetwork:
        return BagNetwork(self.n_outputs_, self.output == "each")

    def _seen(self, X: Bags, dtype: Any) -> Bags:
        return Bags(X.numbers / self._largest, X.sizes)

    def _predicted(self, params: Params, X: Bags) -> Array:
        return self.network_.outputs(params, self._seen(X, np.float64))

    def _sound_inputs(self) -> bool:
        return self._largest > 0

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None, checkpoint: Any = None
    ) -> Self:
        self._fit(X, y, {"sample_weight": sample_weight}, validation_data, checkpoint)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return self._scored(X, y, {"sample_weight": sample_weight})


@final
class BagClassifier(Labels, BagEstimator):
    learnt = (*BagEstimator.learnt, "classes_")

    def __init__(
        self, output: str = "sum", class_weight: Any = None, solver: Any = "adam", solver_options: Any = None,
        learning_rate: Any = "constant", learning_rate_init: float = 0.1, alpha: float = 0.0,
        clip_norm: float | None = None, batch_size: Any = 8, max_iter: int = 40, shuffle: bool = True,
        tol: float = 1e-4, n_iter_no_change: int = 50, early_stopping: bool = False, validation_fraction: float = 0.2,
        warm_start: bool = False, random_state: Any = 0, engine: Any = None, n_jobs: Any = 1, dtype: Any = None,
        verbose: bool = False, callbacks: Any = None, scoring: Any = None,
    ) -> None:  # fmt: skip
        hold(self, locals())

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        self._partial_fit_labels(X, y, {"sample_weight": None}, classes)
        return self

    def predict(self, X: Any) -> Any:
        return self._labels(X, {})

    def predict_proba(self, X: Any) -> Any:
        return self._probabilities(X, {})


@final
class BagRegressor(Values, BagEstimator):
    learnt = (*BagEstimator.learnt, "_one_value_")

    def __init__(
        self, output: str = "sum", loss: Any = "squared_error", scale_targets: bool = True, solver: Any = "adam",
        solver_options: Any = None, learning_rate: Any = "cosine", learning_rate_init: float = 0.1, alpha: float = 0.0,
        clip_norm: float | None = None, batch_size: Any = 8, max_iter: int = 60, shuffle: bool = True,
        tol: float = 1e-4, n_iter_no_change: int = 50, early_stopping: bool = False, validation_fraction: float = 0.2,
        warm_start: bool = False, random_state: Any = 0, engine: Any = None, n_jobs: Any = 1, dtype: Any = None,
        verbose: bool = False, callbacks: Any = None, scoring: Any = None,
    ) -> None:  # fmt: skip
        hold(self, locals())

    def predict(self, X: Any) -> Any:
        return self._valued(X, {})


@final
@dataclass(frozen=True)
class FactorNetwork:
    """Bags into bags: every number times one factor."""

    has_dropout: ClassVar[bool] = False

    def parameters(self) -> dict[str, Weight]:
        return {"factor": Weight((1,), 1)}

    def init(self, rng: np.random.Generator, scheme: Any = "xavier", dtype: Any = np.float64) -> Params:
        return initialize(rng, self.parameters(), scheme, dtype)

    def update(
        self, params: Params, optimizer: Any, optimizer_state: Any, X: Any, y: Any, loss: Any = None, *,
        sample_weight: Any = None, engine: Any = None, rng: Any = None, total: Any = None,
    ) -> Update:  # fmt: skip
        def learn() -> tuple[Any, Params]:
            off = params["factor"] * X.numbers - y.numbers
            return np.square(off).mean(), {"factor": np.array([2 * (off * X.numbers).mean()])}

        return updated(params, optimizer, optimizer_state, learn)


@final
@documented
class BagsFromBags(NetworkEstimator):
    """Targets that are no numbers, and a loss and a score of its own.

    >>> None
    """

    learnt = ("_epoch",)
    network_: FactorNetwork
    _words = WORDS
    _attributes: ClassVar[dict[str, str]] = {"network_": "the network."}
    _fit_page = fit_page("Learn bags from bags.", "X: the bags.")

    def __init__(
        self, solver: Any = "sgd", solver_options: Any = None, learning_rate: Any = "constant",
        learning_rate_init: float = 0.3, alpha: float = 0.0, clip_norm: float | None = None, batch_size: Any = 8,
        max_iter: int = 40, shuffle: bool = True, tol: float = 1e-9, n_iter_no_change: int = 50,
        early_stopping: bool = False, validation_fraction: float = 0.2, scoring: Any = None, warm_start: bool = False,
        random_state: Any = 0, engine: Any = None, n_jobs: Any = 1, dtype: Any = None, verbose: bool = False,
        callbacks: Any = None,
    ) -> None:  # fmt: skip
        hold(self, locals())

    def fit(self, X: Any, y: Any, validation_data: Any = None, checkpoint: Any = None) -> Self:
        self._fit(X, y, {}, validation_data, checkpoint)
        return self

    def score(self, X: Any, y: Any) -> float:
        return self._scored(X, y, {})

    def _read(self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool, learns: bool = True) -> Examples:
        return Examples(Bags.of(X), Bags.of(y))

    def _look_at(self, examples: Examples) -> None:
        pass

    def _network(self) -> FactorNetwork:
        return FactorNetwork()

    def _prepared(self, examples: Examples, params: Params) -> Examples:
        return examples

    def _loss(self) -> str:
        return "squared_error"

    def _score_of(self, params: Params, examples: Examples) -> float:
        assert isinstance(examples.X, Bags)
        assert isinstance(examples.y, Bags)
        return -float(np.abs(params["factor"] * examples.X.numbers - examples.y.numbers).max())

    def _by_class(self, examples: Examples, order: Array) -> Array:
        return order

    def _is_sound(self) -> bool:
        return True


def bags(rng: np.random.Generator, n: int = 60) -> list[Array]:
    return [rng.standard_normal(size) for size in rng.integers(1, 6, size=n)]


def comes_back(model: Any, X: Any, y: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that a model is kept, and that a run that was cut off ends with the same numbers."""
    monkeypatch.setitem(keeping.KINDS, type(model).__name__, type(model))
    monkeypatch.setitem(keeping.SOUND, type(model), keeping._sound_network)
    saiki.save(model, folder / "model")
    again = saiki.load(folder / "model")
    assert again.score(X, y) == model.score(X, y)
    monkeypatch.setattr("saiki.training.checkpoint.LEAST_SECONDS", 0.0)

    def cut_off(epoch: Any) -> None:
        if epoch.count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone(model).set_params(callbacks=[cut_off]).fit(X, y, checkpoint=folder / "run")
    whole = clone(model).fit(X, y, checkpoint=folder / "run")
    for name, param in model.params_.items():
        np.testing.assert_array_equal(whole.params_[name], param)
    assert whole.loss_curve_ == model.loss_curve_
    n_iter = whole.n_iter_
    assert whole.set_params(warm_start=True).fit(X, y).n_iter_ == 2 * n_iter


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("output", ["sum", "each"])
def test_labels_of_bags(
    output: str, early_stopping: bool, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = bags(rng, 300)  # of 60 too few are held out to stop by: 11 of 120 draws missed the bound, of 300 none
    y: Any = [np.where(x > 0, "up", "down") for x in X]
    if output == "sum":
        y = np.array(["up" if x.sum() > 0 else "down" for x in X])
    model = BagClassifier(output, "balanced", early_stopping=early_stopping).fit(X, y)
    assert model.score(X, y, np.arange(300)) > 0.9
    assert (model.validation_scores_ is not None) == early_stopping
    for x, probabilities in zip(X, model.predict_proba(X), strict=True):
        assert probabilities.shape == ((len(x), 2) if output == "each" else (2,))
    assert {label for part in model.predict(X) for label in np.atleast_1d(part)} == {"up", "down"}
    problem = model.network_problem(X, y)
    assert len(problem.y) == (sum(map(len, X)) if output == "each" else 300)
    assert problem.lengths is None
    comes_back(model, X, y, tmp_path, monkeypatch)
    first = BagClassifier(output).partial_fit(X, y, classes=["down", "flat", "up"])
    assert first.predict_proba(X)[0].shape[-1] == 3


@pytest.mark.parametrize("output", ["sum", "each"])
def test_values_of_bags(output: str, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = bags(rng)
    y: Any = [1000 + 20 * x for x in X] if output == "each" else np.array([3 + 20 * x.sum() for x in X])
    model = BagRegressor(output).fit(X, y, sample_weight=np.arange(60))
    assert model.score(X, y) > 0.9
    assert np.shape(model.predict(X)[0]) == np.shape(y[0])
    comes_back(BagRegressor(output).fit(X, y), X, y, tmp_path, monkeypatch)


def test_messages_call_them_what_they_are(rng: np.random.Generator) -> None:
    X = bags(rng)
    for y, message in (
        (None, "a label or value for each bag"),
        (np.zeros(3), "one entry for each of the 60 bags"),
        (X[1:] + X[:1], r"array \(n_bags, n_numbers\).*; bag \d+ has \d numbers"),
    ):
        with pytest.raises(saiki.ArgumentError if y is None else saiki.ShapeError, match=message):
            BagRegressor("each").fit(X, y)
    with pytest.raises(saiki.ArgumentError, match="a dict with X, y and, where needed, sample_weight; got int"):
        BagRegressor().fit(X, np.zeros(60), validation_data=3)
    with pytest.raises(saiki.ArgumentError, match="validation_fraction must leave bags on both sides"):
        BagRegressor(early_stopping=True).fit(X[:2], np.zeros(2))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_targets_that_are_no_numbers(
    early_stopping: bool, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = bags(rng)
    y = [3 * x for x in X]
    model = BagsFromBags(early_stopping=early_stopping).fit(X, y)
    assert model.score(X, y) > -1e-6
    assert "solver: " in (model.__doc__ or "")
    assert (model.fit.__doc__ or "").startswith("Learn bags from bags.")
    comes_back(model, X, y, tmp_path, monkeypatch)


def test_what_cannot_be_trained(rng: np.random.Generator) -> None:
    for model in (saiki.Dense(2, 1), saiki.Network, "network"):
        with pytest.raises(saiki.ArgumentError, match="network must be a Network, or have update and has_dropout"):
            next(saiki.training.train(model, {}, [], saiki.optimizers.sgd(0.1), "squared_error"))  # type: ignore[arg-type]
