"""Keeping estimators: one safetensors file, with the parameters as JSON and what was learnt as tensors."""

from __future__ import annotations  # help() shows what is written here

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from saiki import tensors
from saiki.arrays import check_finite, check_params
from saiki.errors import ArgumentError, DtypeError, FileError, SaikiError, choose
from saiki.estimators.base import NetworkEstimator
from saiki.estimators.classifier import RNNClassifier
from saiki.estimators.inputs import knows_inputs
from saiki.estimators.options import NotLoaded, check_rule, check_rules, optimizer_of
from saiki.estimators.parser import ParserNetwork
from saiki.estimators.regressor import RNNRegressor
from saiki.estimators.scaling import Scaling, SequenceScaler
from saiki.estimators.scratch import ScratchSimpleRNNClassifier
from saiki.estimators.trees import TreeRNNClassifier, TreeRNNRegressor
from saiki.files import as_path
from saiki.training.epochs import Epoch, fits

NOT_NEEDED = {"callbacks", "random_state"}
"""Parameters that ``load`` leaves at None where the file could not hold them: they say nothing about the model."""

IN_TRAINING = NOT_NEEDED | {"solver", "solver_options", "learning_rate", "loss", "class_weight", "scoring", "optimizer"}
"""Parameters that only training needs; ``load`` need not be given them."""

ADDED = {"scoring"}
"""Parameters that files of earlier versions lack; they had no choice but the default."""

LONGEST, MOST_OF_KIND = 1000, 80
"""The greatest length of a parameter in a file, and of what is said of one that it could not hold."""

SMALL, MOST_COPIES = 1 << 20, 16
"""The most that a file holds: bytes, and times the bytes of the weights (for the best ones, the optimizer's state)."""

SCALINGS = {"_scaling", "_target_scaling"}

KINDS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        RNNClassifier,
        RNNRegressor,
        TreeRNNClassifier,
        TreeRNNRegressor,
        ParserNetwork,
        ScratchSimpleRNNClassifier,
        SequenceScaler,
    )
}
"""What a file may hold; its word for it is looked up here and nowhere else."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a safetensors file: the old file, if there is one, stays until the new one is whole.

    Its parameters, its weights, the scales, the training history and the optimizer's state are all kept, so that
    ``predict``, ``partial_fit`` and ``warm_start`` go on as if nothing had happened. What is no plain value (your own
    cell, optimizer, loss, schedule, scorer or callback) is not written, as a file holds numbers and no code; see
    ``load``.

    Args:
        estimator: a fitted estimator of saiki.
        path: the file.

    Raises:
        ArgumentError: no such estimator or path, an estimator whose parameters were changed since, or labels that a
            file of numbers cannot hold.
        NotFittedError: it has not been fitted.
        OSError: the folder is missing or allows no new file, the old file is read-only, or the disk is full.
    """
    path = as_path("path", path)
    kind = type(estimator).__name__
    if KINDS.get(kind) is not type(estimator):
        raise ArgumentError(
            f"estimator must be one of {', '.join(KINDS)}; got {kind}. Call saiki.save(estimator, path); of a search"
            " save the best_estimator_, of a pipeline each step."
        )
    check_is_fitted(estimator)
    if not SOUND[type(estimator)](estimator):
        raise ArgumentError(
            "estimator has parameters that were changed since it was fitted, and no longer describe what it has learnt."
            " Set them back, or fit again."
        )
    parameters = {name: _plain(value) for name, value in estimator.get_params(deep=False).items()}
    learnt = {name: vars(estimator)[name] for name in estimator.learnt if name in vars(estimator)}
    if isinstance(estimator, NetworkEstimator):
        learnt["_epoch"] = {name: getattr(_present(estimator), name) for name in Epoch.__dataclass_fields__}
        learnt |= {name: value._asdict() for name, value in learnt.items() if isinstance(value, Scaling)}
    own = [name for name, value in parameters.items() if not tensors.is_plain(value)]
    tree = {
        "kind": kind,
        "parameters": {name: value for name, value in parameters.items() if name not in own},
        "own": {name: _kind_of(parameters[name]) for name in own},
        "learnt": learnt,
    }
    tensors.write(path, tree)


def _present(estimator: NetworkEstimator) -> Epoch:
    """Return the epoch from which the attributes of an estimator follow, with ``params_`` as they are now."""
    epoch: Epoch = estimator._epoch
    return replace(epoch, **{"params" if epoch.best is None else "best": estimator.params_})


def load(path: str | os.PathLike[str], **own: Any) -> Any:
    """Read the estimator that ``save`` has written.

    To predict, an estimator needs its own cell again, and no other code. Other parameters that the file could not hold
    may be left out: a later fit that depends on one says that it must be given.

    Args:
        path: the file.
        own: the parameters that the file could not hold, such as ``cell=my_cell`` or ``solver=my_optimizer``.

    Returns:
        The fitted estimator.

    Raises:
        FileError: the file is damaged or cut short, or was written by something else.
        ArgumentError: the cell is missing, or parameters are given that the file holds.
        OSError: there is no such file, or it may not be read.

    >>> import tempfile
    >>> X = np.random.default_rng(0).normal(size=(20, 4, 1))
    >>> regressor = RNNRegressor(hidden_layer_sizes=4, max_iter=2).fit(X, X.sum(axis=(1, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(regressor, f"{folder}/model.safetensors")
    ...     bool((load(f"{folder}/model.safetensors").predict(X) == regressor.predict(X)).all())
    True
    """
    path = as_path("path", path)
    cls, parameters, kinds = _described(path, tensors.read_claims(path))
    extra = sorted(own.keys() - kinds.keys())
    if extra:
        held = ", ".join(kinds) or "none"
        raise ArgumentError(
            f"{', '.join(extra)} must be left out: {path} holds it. The parameters that it could not hold: {held}."
        )
    needed = [name for name in kinds if name not in own and name not in IN_TRAINING]
    if needed:
        what = ", ".join(f"{name} ({kinds[name]})" for name in needed)
        raise ArgumentError(
            f"{what} must be given again, as {path} could not hold it. Use"
            f" saiki.load(path, {', '.join(f'{name}=...' for name in needed)})."
        )
    for name, value in own.items():
        if issubclass(cls, NetworkEstimator):
            check_rule(cls, name, value)
    missing = {name: None if name in NOT_NEEDED else NotLoaded(kind) for name, kind in kinds.items()}
    try:
        estimator = cls(**(missing | parameters | own))
        if isinstance(estimator, NetworkEstimator):
            check_rules(estimator)
            _check_claims(estimator, tensors.read_claims(path)["learnt"])
            _restore(estimator, dict(tensors.read(path)["learnt"]))
        else:
            estimator.__dict__.update(tensors.read(path)["learnt"])
        sound = SOUND[type(estimator)](estimator)
    except FileError:
        raise
    except Exception as error:  # anything may stand in a file
        raise FileError(f"{path} holds no sound estimator: {str(error)[:300]}") from None
    if not sound:
        raise FileError(f"{path} holds no sound estimator: its parts do not fit each other.")
    return estimator


def own_parameters(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the parameters that a file could not hold: name and kind, those first without which nothing is predicted.

    The errors are those of ``load``.
    """
    path = as_path("path", path)
    _, _, kinds = _described(path, tensors.read_claims(path))
    return dict(sorted(kinds.items(), key=lambda one: one[0] in IN_TRAINING))


def _described(path: Path, tree: Any) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """Return the class of the estimator in a file, the parameters that it holds, and the kinds of those it does not.

    Raises:
        FileError: this is no such file, or one of a later saiki.
    """
    try:
        cls, parameters, own = choose("kind", _short(tree["kind"]), KINDS), dict(tree["parameters"]), tree["own"]
        kinds = {name: _kind_of_text(text) for name, text in own.items()}
        known = {name: value for name, value in cls().get_params(deep=False).items() if name not in kinds}
        learnt = tree["learnt"].keys()
        for name in parameters.keys() - {"class_weight"}:  # whose labels may be of any length
            _check_length(parameters[name])
    except (SaikiError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(f"{path} is no file that saiki.save wrote: {error}") from None
    parameters = {name: known[name] for name in ADDED & known.keys()} | parameters
    if (
        parameters.keys() != known.keys()
        or not kinds.keys() <= cls().get_params().keys()
        or not learnt <= {*cls.learnt}
    ):
        raise FileError(f"{path} names parameters that this saiki does not know. Update saiki.")
    return cls, parameters, kinds


def _short(text: Any) -> str:
    """Return a text that is not too long to be looked for among others."""
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ValueError(f"a name must be a text of at most {LONGEST} characters")
    return text


def _check_length(value: Any) -> None:
    """Raise a ``ValueError`` if a parameter is too long to be one."""
    if isinstance(value, str | list | tuple | dict) and len(value) > LONGEST:
        raise ValueError(f"a parameter must have a length of at most {LONGEST}")
    if isinstance(value, list | tuple | dict):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_length(part)


def _check_claims(estimator: NetworkEstimator, learnt: dict[str, Any]) -> None:
    """Raise a ``ValueError``, before anything is read, if the tensors of a file are not as large as the network says.

    Args:
        estimator: the estimator, which learns nothing by it.
        learnt: what the file claims to hold.
    """
    claimed = type(estimator)(**estimator.get_params(deep=False))
    claimed.__dict__.update(learnt)
    for name in SCALINGS & learnt.keys():
        claimed.__dict__[name] = None if learnt[name] is None else Scaling(**learnt[name])
    shapes = {name: parameter.shape for name, parameter in claimed._network().parameters().items()}
    params = learnt["_epoch"]["params"]
    if {name: array.shape for name, array in params.items()} != shapes:
        raise ValueError("the shapes of its weights are not those of its network")
    if _nbytes(learnt) > SMALL + MOST_COPIES * _nbytes(params):
        raise ValueError("it holds much more than its network needs")


def _nbytes(tree: Any) -> int:
    """Return the number of bytes of all arrays in a tree."""
    if isinstance(tree, dict):
        return sum(map(_nbytes, tree.values()))
    if isinstance(tree, tuple | list):
        return sum(map(_nbytes, tree))
    return tree.nbytes if isinstance(tree, np.ndarray) else 0


def _restore(estimator: NetworkEstimator, learnt: dict[str, Any]) -> None:
    """Give an estimator back what it had learnt."""
    for name in SCALINGS & learnt.keys():
        learnt[name] = None if learnt[name] is None else _scaling(name, Scaling(**learnt[name]))
    epoch = learnt["_epoch"] = Epoch(**learnt["_epoch"])
    estimator.__dict__.update(learnt)
    estimator.__dict__.update(estimator.following(epoch))
    estimator.network_ = estimator._network()
    shapes = {name: parameter.shape for name, parameter in estimator.network_.parameters().items()}
    for params in (epoch.params, estimator.params_):
        check_params(params, shapes)


def _kind_of(value: Any) -> str:
    """Return what a value is, in a few words without addresses."""
    if isinstance(value, NotLoaded):
        return value.kind
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {', '.join(map(_kind_of, value))}"[:MOST_OF_KIND]
    name = getattr(value, "__qualname__", getattr(value, "name", None))
    kind = "function" if inspect.isroutine(value) else "class" if isinstance(value, type) else type(value).__name__
    return (f"{kind} {name}" if isinstance(name, str) else kind)[:MOST_OF_KIND]


def _kind_of_text(text: str) -> str:
    """Return the kind that a file names; earlier versions wrote the ``repr`` of the value."""
    return re.split(r" at 0x|[(\[=]", _printable(text[:LONGEST]))[0].lstrip("<")[:MOST_OF_KIND] or "own value"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _plain(value: Any) -> Any:
    """Return a parameter as a file can hold it, where it can."""
    if isinstance(value, type | np.dtype):
        return np.dtype(value).name
    return dict(value) if isinstance(value, dict) else value


def _scaling(name: str, scaling: Scaling) -> Scaling:
    for array in scaling:
        if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != scaling.mean.shape:
            raise DtypeError(f"{name} must be two arrays of float64 of one shape.")
        check_finite(name, array)
    if scaling.mean.ndim != 1 or not (scaling.scale > 0).all():
        raise ArgumentError(f"{name} must have positive scales.")
    return scaling


def _sound_network(estimator: Any) -> bool:
    """Whether what an estimator that trains a network has learnt fits together."""
    if estimator.network_ != estimator._network():
        return False
    epoch, state = estimator._epoch, None
    if not any(isinstance(getattr(estimator, name), NotLoaded) for name in ("solver", "solver_options")):
        state = optimizer_of(estimator, None).init(epoch.params)
    return fits(epoch, epoch.params, state) and epoch.count > 0 and bool(estimator._is_sound())


def _sound_scratch(estimator: Any) -> bool:
    """Whether what the course's class has learnt fits together."""
    network, params, *_ = estimator.network_problem()
    check_params(params, network._shapes)
    return bool(estimator.classes_.shape == network.sizes[1:]) and knows_inputs(estimator, network.sizes[0])


def _sound_scaler(estimator: Any) -> bool:
    """Whether what a scaler has learnt fits together."""
    _scaling("the scale", Scaling(estimator.mean_, estimator.scale_))
    return knows_inputs(estimator, len(estimator.mean_))


SOUND: dict[type, Callable[[Any], bool]] = {
    RNNClassifier: _sound_network,
    RNNRegressor: _sound_network,
    TreeRNNClassifier: _sound_network,
    TreeRNNRegressor: _sound_network,
    ParserNetwork: _sound_network,
    ScratchSimpleRNNClassifier: _sound_scratch,
    SequenceScaler: _sound_scaler,
}
