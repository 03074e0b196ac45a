"""Keeping estimators: one safetensors file, with the parameters as JSON and what was learnt as tensors."""

from __future__ import annotations  # help() shows what is written here

import os
from collections.abc import Callable
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
from saiki.estimators.options import check_parameters, optimizer_of
from saiki.estimators.parser import ParserNetwork
from saiki.estimators.regressor import RNNRegressor
from saiki.estimators.scaling import Scaling, SequenceScaler
from saiki.estimators.scratch import ScratchSimpleRNNClassifier
from saiki.estimators.trees import TreeRNNClassifier, TreeRNNRegressor
from saiki.training.epochs import Epoch

NOT_NEEDED = {"callbacks", "random_state"}
"""Parameters that ``load`` leaves at None where the file could not hold them: they say nothing about the model."""

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
    cell, optimizer, loss or schedule) is not written, as a file holds numbers and no code: ``load`` must be given it
    again.

    Raises:
        ArgumentError: no such estimator, one whose parameters were changed since, or labels that a file of numbers
            cannot hold.
        NotFittedError: it has not been fitted.
        OSError: the folder is missing or read-only, or the disk is full.
    """
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
        learnt["_epoch"] = {name: getattr(estimator._epoch, name) for name in Epoch.__dataclass_fields__}
        learnt |= {name: value._asdict() for name, value in learnt.items() if isinstance(value, Scaling)}
    own = [name for name, value in parameters.items() if not tensors.is_plain(value)]
    tree = {
        "kind": kind,
        "parameters": {name: value for name, value in parameters.items() if name not in own},
        "own": {name: repr(parameters[name]) for name in own},
        "learnt": learnt,
    }
    tensors.write(Path(path), tree)


def load(path: str | os.PathLike[str], **own: Any) -> Any:
    """Read the estimator that ``save`` has written.

    Args:
        path: the file.
        own: the parameters that the file could not hold, such as ``cell=my_cell``.

    Returns:
        The fitted estimator.

    Raises:
        FileError: the file is damaged or cut short, or was written by something else.
        ArgumentError: parameters of your own are missing, or too many.
        OSError: there is no such file, or it may not be read.

    >>> import tempfile
    >>> X = np.random.default_rng(0).normal(size=(20, 4, 1))
    >>> regressor = RNNRegressor(hidden_layer_sizes=4, max_iter=2).fit(X, X.sum(axis=(1, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(regressor, f"{folder}/model.safetensors")
    ...     bool((load(f"{folder}/model.safetensors").predict(X) == regressor.predict(X)).all())
    True
    """
    path = Path(path)
    tree = tensors.read(path)
    try:
        cls, parameters = choose("kind", tree["kind"], KINDS), tree["parameters"]
        missing = sorted(tree["own"].keys() - own.keys() - NOT_NEEDED)
        extra = sorted(own.keys() - tree["own"].keys())
        known = cls().get_params(deep=False).keys()
        if parameters.keys() | tree["own"].keys() != known or not tree["learnt"].keys() <= set(cls.learnt):
            raise FileError(f"{path} names parameters that this saiki does not know. Update saiki.")
    except FileError:
        raise
    except (SaikiError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path} is no file that saiki.save wrote: {error}") from None
    if missing or extra:
        needed = ", ".join(f"{name}={tree['own'][name]}" for name in missing) or "none"
        raise ArgumentError(
            f"load must be given again what {path} could not hold: {needed}; got {extra or 'nothing'} more."
        )
    try:
        estimator = cls(**parameters, **own)
        if isinstance(estimator, NetworkEstimator):
            _restore(estimator, dict(tree["learnt"]))
        else:
            estimator.__dict__.update(tree["learnt"])
        sound = SOUND[type(estimator)](estimator)
    except (SaikiError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FileError(f"{path} holds no sound estimator: {error}") from None
    if not sound:
        raise FileError(f"{path} holds no sound estimator: its parts do not fit each other.")
    return estimator


def _restore(estimator: NetworkEstimator, learnt: dict[str, Any]) -> None:
    """Give an estimator back what it had learnt."""
    check_parameters(estimator)
    for name in SCALINGS & learnt.keys():
        learnt[name] = None if learnt[name] is None else _scaling(name, Scaling(**learnt[name]))
    epoch = learnt["_epoch"] = Epoch(**learnt["_epoch"])
    estimator.__dict__.update(learnt)
    estimator.__dict__.update(estimator.following(epoch))
    estimator.network_ = estimator._network()
    shapes = {name: parameter.shape for name, parameter in estimator.network_.parameters().items()}
    for params in (epoch.params, estimator.params_):
        check_params(params, shapes)


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
    epoch = estimator._epoch
    history = (*epoch.losses, *epoch.scores, *epoch.earlier[0], *epoch.earlier[1])
    state = optimizer_of(estimator, 1).init(epoch.params)
    if not _alike(epoch.optimizer_state, state) or not isinstance(epoch.count, int):
        return False
    np.random.default_rng().bit_generator.state = epoch.random_state
    return all(isinstance(n, float) and np.isfinite(n) for n in history) and bool(estimator._is_sound())


def _alike(state: Any, like: Any) -> bool:
    """Whether a state has the form of another, and finite numbers."""
    if isinstance(like, dict):
        return isinstance(state, dict) and state.keys() == like.keys() and all(_alike(state[k], like[k]) for k in like)
    if isinstance(like, tuple | list):
        return type(state) is type(like) and len(state) == len(like) and all(map(_alike, state, like))
    if isinstance(like, np.ndarray):
        fits = isinstance(state, np.ndarray) and state.shape == like.shape and state.dtype == like.dtype
        return fits and bool(np.isfinite(state).all())
    return type(state) is type(like)


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
