"""A masked entry is missing in targets, and refused everywhere else; what a mask hides is never read."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import saiki
from saiki.layers.layer import Layer
from saiki.losses import evaluate
from saiki.optimizers import adam
from saiki.training import Batch, train
from saiki.trees import Forest, Parser
from tests.estimators.data import ESTIMATORS, quick

HIDDEN = 1e6
"""What stands under the masks: read, it would change every result."""

TARGETS = {"y", "y_val"}
"""The arguments in which masked entries are missing values."""

B, T, F = 4, 3, 2


def masked(array: Any) -> Any:
    """Return an array with its last number masked."""
    array = np.array(array, float if np.asarray(array).dtype.kind == "f" else None)
    mask = np.zeros(array.shape, bool)
    array.flat[-1], mask.flat[-1] = HIDDEN if array.dtype.kind == "f" else 1, True
    return np.ma.array(array, mask=mask)


def variants(value: Any) -> Iterator[Any]:
    """Yield an argument with one masked entry, in every form in which it can be given."""
    if isinstance(value, dict):
        yield from ({**value, key: part} for key in value for part in variants(value[key]))
    elif isinstance(value, tuple):
        yield from (
            (*value[:i], part, *value[i + 1 :])
            for i, old in enumerate(value)
            if old is not None
            for part in variants(old)
        )
    else:
        yield masked(value)
        yield list(masked(value))
        if np.ndim(value) > 1:
            yield [list(row) for row in masked(value)]


def with_nan(value: Any) -> Any:
    """Return what a masked target says, written with NaN."""
    plain = masked(value)
    return plain.astype(float).filled(np.nan)


class Door:
    """A public call, and valid arguments for it."""

    def __init__(self, name: str, call: Callable[..., Any], **given: Any) -> None:
        self.name, self.call, self.given = name, call, given


FIXED = {"self", "engine", "rng", "loss", "optimizer", "optimizer_state", "tape", "tbptt", "total", "checkpoint",
    "validation_data", "pairs", "scheme", "dtype"}  # fmt: skip
"""The arguments that hold no numbers of the user's."""


def of_layers(rng: np.random.Generator) -> Iterator[Door]:
    network = saiki.Network([saiki.LSTM(F, 3), saiki.Dense(3, 1)])
    layer = saiki.SimpleRNN(F, 3)
    for model, dstate in ((network, None), (layer, np.zeros((B, 3)))):
        params, X = model.init(rng), rng.standard_normal((B, T, F))
        for engine in ("compiled", "reference"):
            Y, state, tape = model.forward(params, X, engine=engine)
            arguments: dict[str, Any] = {
                "params": params, "X": X, "y": rng.standard_normal((B, T, 1)), "state": state,
                "lengths": np.array([3, 2, 1, 3]), "sample_weight": np.ones(B), "dH": Y, "tape": tape,
                "dstate": dstate, "engine": engine, "loss": "squared_error",
            }  # fmt: skip
            if model is network:
                optimizer = adam(0.1)
                arguments |= {"optimizer": optimizer, "optimizer_state": optimizer.init(params)}
            for method in ("forward", "predict", "backward", "loss_and_gradients", "update"):
                if hasattr(model, method):
                    yield from called(f"{type(model).__name__}.{method} {engine}", getattr(model, method), arguments)
    single = {"x": np.ones(F), "state": state}
    stream = saiki.Stream(network, network.init(rng))
    state = stream.step(np.ones(F))[1]
    yield from called("Stream.step", stream.step, single | {"state": state})
    network = saiki.Network([saiki.SimpleRNN(F, 2), saiki.Dense(2, 1)])
    problem = {
        "model": network,
        "params": network.init(rng),
        "X": X,
        "y": np.ones((B, T, 1)),
        "sample_weight": np.ones(B),
    }
    more = {"network": network, "tbptt": 1, "loss": "squared_error"}
    yield from called("trace", saiki.trace, problem)
    yield from called("check_gradients", saiki.check_gradients, problem | {"loss": "squared_error"})
    yield from called("truncation_error", saiki.truncation_error, problem | more)
    Y = rng.standard_normal((B, 1))
    weighed = {"loss": "squared_error", "Y": Y, "y": np.ones((B, 1)), "sample_weight": np.ones(B)}
    yield from called("evaluate", evaluate, weighed)


def of_trees(rng: np.random.Generator) -> Iterator[Door]:
    network = saiki.TreeNetwork([saiki.Recursive("lstm", F, 3), saiki.Dense(3, 1)])
    trees = [(np.ones(F), np.zeros(F)), np.ones(F)]
    params, optimizer = network.init(rng), adam(0.1)
    arguments: dict[str, Any] = {
        "params": params, "X": Forest.of([saiki.Tree.from_nested(tree) for tree in trees]), "y": np.ones((2, 1)),
        "sample_weight": np.ones(2), "loss": "squared_error", "optimizer": optimizer,
        "optimizer_state": optimizer.init(params), "dY": np.ones((2, 1)),
        "tape": network.forward(params, [saiki.Tree.from_nested(tree) for tree in trees])[1],
    }  # fmt: skip
    for method in ("forward", "predict", "backward", "loss_and_gradients", "update"):
        yield from called(f"TreeNetwork.{method}", getattr(network, method), arguments)
    parser = Parser("simple", F, 3, None, 1.0)
    known = {"params": parser.init(rng), "X": rng.standard_normal((1, 2, F)), "sample_weight": np.ones(1),
        "lengths": np.array([2])}  # fmt: skip
    yield from called("Parser.parse", parser.parse, known)
    yield from called("Parser.loss", parser.loss_and_gradients, known, y=[saiki.Tree.from_nested(("a", "b"))])
    yield Door("Tree", lambda X: saiki.Tree.from_nested((X, np.ones(F))), X=np.ones(F))


def of_estimators(rng: np.random.Generator) -> Iterator[Door]:
    """Every method of every estimator that takes numbers, found by looking."""
    for name, cls in ESTIMATORS.items():
        each: dict[str, Any] = {"X": rng.standard_normal((8, T, F)), "y": np.arange(8) % 2, "sample_weight": np.ones(8)}
        words = getattr(cls, "_words", None)
        if words is not None and words.row == "node":
            each["X"] = [(np.ones(F), np.zeros(F)) if i % 2 else (np.zeros(F), np.ones(F)) for i in range(8)]
        if words is not None and words.row == "item":
            each |= {"X": [rng.standard_normal((2, F)) for _ in range(8)], "y": [("a", "b")] * 8}
        for key in ("lengths", "classes", "x", "X_val", "y_val", "h0", "state"):
            each[key] = {
                "lengths": np.full(8, T), "classes": np.arange(2), "x": np.ones(F), "X_val": each["X"],
                "y_val": each["y"], "h0": np.zeros((8, 6)), "state": None,
            }[key]  # fmt: skip
        few = {"epochs": 1, "n_nodes": 6} if "epochs" in cls().get_params() else {}
        fitted = quick(name, **few)
        fitted.fit(each["X"], each["y"])
        if hasattr(fitted, "step"):
            each["state"] = fitted.step(np.ones((2, F)))[1]
            each["x"] = np.ones((2, F))
        for method, function in inspect.getmembers(cls, inspect.isfunction):
            taken = set(inspect.signature(function).parameters) & each.keys()
            if method.startswith(("_", "set_", "network_")) or not taken:
                continue
            fresh = method in ("fit", "partial_fit", "fit_transform")

            def call(method: str = method, fresh: bool = fresh, model: Any = fitted, **given: Any) -> Any:
                model = clone(model) if fresh else model
                found = getattr(model, method)(**given)
                return getattr(found, "params_", found) if fresh else found

            given = {key: value for key, value in each.items() if key in taken and value is not None}
            yield from called(f"{name}.{method}", call, given, names=taken)
    X = rng.standard_normal((8, T, F))
    regressor = quick("RNNRegressor").fit(X, X[:, 0, 0])
    given = {"estimator": regressor, "X": X, "y": X[:, 0, 0], "sample_weight": np.ones(8), "lengths": np.full(8, T)}

    def shuffled(**given: Any) -> Any:
        return saiki.sequence_permutation_importance(random_state=0, n_repeats=1, **given)["importances"]

    yield from called("importance", shuffled, given, names=set(given))


def called(
    name: str, call: Callable[..., Any], given: dict[str, Any], names: set[str] | None = None, **always: Any
) -> Iterator[Door]:
    """Yield a door for each argument of a call that holds numbers."""
    taken = set(inspect.signature(call).parameters) if names is None else names
    required = {key: value for key, value in given.items() if key in taken and value is not None} | always
    for key, value in required.items():
        if key in FIXED | {"model", "network", "estimator"} | always.keys() or isinstance(value, str):
            continue
        if isinstance(value, Forest) or (isinstance(value, list) and not isinstance(value[0], np.ndarray)):
            continue  # trees, whose vectors are checked where trees are made

        def only(call: Callable[..., Any] = call, key: str = key, rest: dict[str, Any] = required, **given: Any) -> Any:
            return call(**{k: v for k, v in rest.items() if k != key}, **given)

        yield Door(f"{name}({key})", only, **{key: value})


@pytest.mark.parametrize("kind", [of_layers, of_trees, of_estimators])
def test_no_door_reads_what_a_mask_hides(kind: Callable[..., Iterator[Door]], rng: np.random.Generator) -> None:
    tried = 0
    for door in kind(rng):
        ((key, value),) = door.given.items()
        expected = found(door, with_nan(value)) if key in TARGETS else None  # None is an error
        for given in variants(value):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if expected is not None:
                    assert _same(found(door, given), expected), door.name
                    continue
                with pytest.raises((saiki.SaikiError, ValueError)) as caught:
                    door.call(**{key: given})
                    pytest.fail(f"{door.name} has read a masked entry")
                if isinstance(given, np.ma.MaskedArray):
                    assert "mask" in str(caught.value) or "missing" in str(caught.value), (door.name, caught.value)
        tried += 1
        if isinstance(value, np.ndarray):  # a mask that hides nothing is none
            whole = door.call(**{key: np.ma.array(value, mask=np.zeros(value.shape, bool))})
            assert _same(whole, door.call(**{key: value})), door.name
    assert tried > 10, "few doors were found"


def found(door: Door, value: Any) -> Any:
    """Return what a call returns for this argument, None where it raises."""
    try:
        return door.call(**dict.fromkeys(door.given, value))
    except saiki.SaikiError:
        return None


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return all(_same(found[key], value) for key, value in expected.items())
    if isinstance(expected, tuple | list):
        return all(map(_same, found, expected))
    if isinstance(expected, np.ndarray | float):
        return np.array_equal(found, expected, equal_nan=np.asarray(expected).dtype.kind == "f")
    return True


def test_masked_labels_are_no_class(rng: np.random.Generator) -> None:
    X = rng.standard_normal((6, 3, 1))
    y = np.ma.array([0, 99, 1, 0, 99, 1], mask=np.arange(6) % 3 == 1)
    assert quick("RNNClassifier").fit(X, y).classes_.tolist() == [0, 1]
    steps = np.ma.array(rng.integers(2, size=(6, 3)))
    steps[0, 1] = 99
    steps.mask = steps == 99
    for form in (steps, list(steps), [list(row) for row in steps]):
        assert quick("RNNClassifier", output="each").fit(X, form).classes_.tolist() == [0, 1]
    text = np.ma.array(["a", "99", "b", "a", "99", "b"], mask=y.mask)
    assert quick("RNNClassifier").fit(X, text).classes_.tolist() == ["a", "b"]


def test_the_compiled_engine_reads_no_masked_target(rng: np.random.Generator) -> None:
    network = saiki.Network([saiki.LSTM(F, 3), saiki.Readout("last"), saiki.Dense(3, 2)])
    params, X = network.init(rng), rng.standard_normal((B, T, F))
    y = np.ma.array([0, 1, 1, 1], mask=np.arange(4) == 3)
    loss, _ = network.loss_and_gradients(params, X, y)
    assert loss == network.loss_and_gradients(params, X, [0, 1, 1, np.nan])[0]
    steps = list(train(network, params, [Batch(X, y)] * 3, adam(0.1), "cross_entropy", ahead=3))
    assert steps[0].loss == loss


def test_a_layer_is_found_by_looking() -> None:
    """The doors above are those of the base classes, which every layer shares."""
    assert all(vars(cls).get("forward") is None for cls in Layer.__subclasses__())
