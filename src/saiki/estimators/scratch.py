"""The classifier of the course, short enough to be read beside the note: each line is one of its equations, by name."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, ClassVar, Literal, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, as_count, as_float, as_positive, check_params
from saiki.errors import ArgumentError, ShapeError, choose
from saiki.estimators.base import NetworkProblem
from saiki.estimators.inputs import Sequences, counting, read_sequences, read_weights
from saiki.estimators.options import PARAMETERS, Parameter, check_parameters
from saiki.estimators.sequential import SOME_FEATURES, SOME_OUTPUTS
from saiki.estimators.targets import as_targets, check_known, missing, numbers_of, one_each, plain_labels
from saiki.initializers import he, normal, xavier
from saiki.layers import Dense, Gradients, Network, Readout, SimpleRNN
from saiki.losses import evaluate, log_softmax
from saiki.optimizers import Optimizer, adagrad, sgd
from saiki.training import train
from saiki.training.examples import Examples, Ragged

OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {"sgd": sgd, "adagrad": adagrad}

INITIALIZERS: dict[str, Callable[[float], Any]] = {"simple": normal, "xavier": lambda _: xavier, "he": lambda _: he}


@final
class ScratchSimpleRNNClassifier(ClassifierMixin, BaseEstimator):
    """A simple recurrent network, then softmax: the class that the course asks for, complete and right.

    ``a_t = x_t Wx + h_{t-1} Wh + b``, ``h_t = tanh(a_t)``, and on the last h, or on each, ``softmax(h W + b)`` with the
    cross-entropy. ``forward`` and ``backward`` are the recurrence alone, as in the note; ``backward`` returns gradients
    and changes nothing, so that calling it twice gives the same.

    Args:
        n_nodes: the number of nodes of the hidden layer.
        activation: "tanh", "sigmoid", "relu" or "identity".
        output: whether the "last" h is classified, or "each".
        initializer: "simple" for ``sigma * N(0, 1)``, "xavier" for ``1 / sqrt(fan_in)``, "he" for
            ``sqrt(2 / fan_in)``.
        sigma: the standard deviation for "simple".
        optimizer: "sgd" or "adagrad".
        lr: the learning rate.
        epochs: how often all sequences are learnt from.
        batch_size: how many sequences each update learns from.
        random_state: the seed of weights and order.

    Attributes:
        classes_: the labels, sorted.
        rnn_params_: ``Wx (n_features, n_nodes)``, ``Wh (n_nodes, n_nodes)`` and ``b (n_nodes,)``; they may be set by
            hand before ``forward``.
        output_params_: ``W (n_nodes, n_classes)`` and ``b (n_classes,)``.
        loss_curve_, validation_loss_curve_: the mean cross-entropy after each epoch, without and with validation data.
        n_features_in_: the number of features; for two axes, of steps.

    >>> X = np.random.default_rng(0).normal(size=(60, 5, 2))
    >>> y = np.where(X[:, :, 0].mean(axis=1) > 0, "up", "down")
    >>> classifier = ScratchSimpleRNNClassifier(random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.9)
    True
    >>> h = classifier.forward(X)
    >>> classifier.backward(np.ones_like(h))["Wh"].shape
    (32, 32)
    """

    _parameters: ClassVar[Mapping[str, Parameter]] = {
        "n_nodes": Parameter(as_count, ""),
        "activation": PARAMETERS["activation"]._replace(optional=False),
        "output": Parameter(lambda name, value: choose(name, value, dict.fromkeys(("last", "each"))), ""),
        "initializer": Parameter(lambda name, value: choose(name, value, INITIALIZERS), ""),
        "sigma": Parameter(as_positive, ""),
        "optimizer": Parameter(lambda name, value: choose(name, value, OPTIMIZERS), ""),
        "lr": Parameter(as_positive, ""),
        "epochs": Parameter(as_count, ""),
        "batch_size": Parameter(as_count, ""),
        "random_state": PARAMETERS["random_state"],
    }

    learnt = (
        "rnn_params_", "output_params_", "classes_", "loss_curve_", "validation_loss_curve_", "n_iter_",
        "n_features_in_", "feature_names_in_", "_other_names_", "_flat_",
    )  # fmt: skip

    def __init__(
        self,
        n_nodes: int = 32,
        activation: str = "tanh",
        output: Literal["last", "each"] = "last",
        initializer: Literal["simple", "xavier", "he"] = "xavier",
        sigma: float = 0.01,
        optimizer: Literal["sgd", "adagrad"] = "adagrad",
        lr: float = 0.05,
        epochs: int = 100,
        batch_size: int = 32,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_nodes = n_nodes
        self.activation = activation
        self.output = output
        self.initializer = initializer
        self.sigma = sigma
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> ScratchSimpleRNNClassifier:
        """Learn from sequences ``(n_sequences, n_steps, n_features)`` and their labels.

        Args:
            X: the sequences.
            y: a label for each ``(n_sequences,)`` or, with ``output="each"``, for each step ``(n_sequences, n_steps)``.
            sample_weight: how much each sequence counts; None counts all alike.
            X_val: sequences to watch.
            y_val: their labels.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
            DivergenceError: the loss or a weight is no longer finite.
        """
        check_parameters(self)
        learner = copy(self)  # an error or Ctrl-C leaves this one as it was
        learner._learn(X, y, sample_weight, X_val, y_val)
        self.__dict__ = learner.__dict__
        return self

    def _learn(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any) -> None:
        optimizer = OPTIMIZERS[self.optimizer](self.lr)
        scheme = INITIALIZERS[self.initializer](self.sigma)
        x, labels, weight = self._examples(X, y, sample_weight, reset=True)
        self.classes_ = np.unique(labels)
        learnt, watched = _examples(x, self._numbered(labels), weight), None
        if (X_val is None) != (y_val is None):
            raise ArgumentError("X_val and y_val go together; give both or neither.")
        if X_val is not None:
            x_val, labels_val, _ = self._examples(X_val, y_val, None, reset=False)
            watched = _examples(x_val.astype(x.dtype), self._numbered(labels_val), None)

        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31, size=4))
        network = self._network(x.shape[2], len(self.classes_))
        params, state = network.init(rng, scheme, x.dtype), None
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] = []
        for _ in range(self.epochs):
            order = rng.permutation(len(x))
            parts = (order[i : i + self.batch_size] for i in range(0, len(x), self.batch_size))
            batches = map(learnt.batch, parts)
            for step in train(network, params, batches, optimizer, "cross_entropy", optimizer_state=state):
                params, state = step.params, step.optimizer_state
            self.loss_curve_.append(_loss(network, params, learnt))
            if watched is not None:
                self.validation_loss_curve_.append(_loss(network, params, watched))
        self.rnn_params_ = {name[2:]: value for name, value in params.items() if name.startswith("0/")}
        self.output_params_ = {name[2:]: value for name, value in params.items() if name.startswith("2/")}
        self.n_iter_ = self.epochs

    def forward(self, X: Any, h0: Any = None) -> Array:
        """Return h of each step ``(n_sequences, n_steps, n_nodes)`` or, with ``output="last"``, of the last.

        Args:
            X: the sequences.
            h0: h before the first step ``(n_sequences, n_nodes)``; None is zeros.
        """
        check_is_fitted(self, "rnn_params_")
        x = self._read(X, reset=not hasattr(self, "_flat_"))[0].astype(self.rnn_params_["Wx"].dtype)
        layer = SimpleRNN(x.shape[2], self.n_nodes, self.activation)
        h, _, tape = layer.forward(self.rnn_params_, x, h0)
        self._tape = layer, tape, h.shape
        return h if self.output == "each" else h[:, -1]

    def backward(self, dA: Any) -> Gradients:
        """Return the gradients that belong to the last ``forward``; they change no weight.

        Args:
            dA: the gradient of the loss with respect to what ``forward`` returned, of its shape.

        Returns:
            The gradients of ``Wx``, ``Wh`` and ``b`` by name, of the input as ``.X`` and of h_0 as ``.state``.
        """
        check_is_fitted(self, "_tape", msg="Call forward before backward: it keeps what backward needs.")
        layer, tape, shape = self._tape
        dA = as_float("dA", dA)
        dH = np.zeros(shape, self.rnn_params_["Wx"].dtype)
        if self.output == "each":
            dH = dA
        elif np.shape(dA) != (shape[0], shape[2]):
            raise ShapeError(
                f"dA must have the shape of what forward returned, {(shape[0], shape[2])}; got {np.shape(dA)}."
            )
        else:
            dH[:, -1] = dA
        return layer.backward(self.rnn_params_, tape, dH)

    def predict_proba(self, X: Any) -> Array:
        """Return the softmax: the probability of each class, ``(..., n_classes)``."""
        check_is_fitted(self, "output_params_")
        x = self._read(X, reset=False)[0].astype(self.rnn_params_["Wx"].dtype)
        h, _ = SimpleRNN(x.shape[2], self.n_nodes, self.activation).predict(self.rnn_params_, x)
        check_params(self.output_params_, {"W": (self.n_nodes, len(self.classes_)), "b": (len(self.classes_),)})
        v = (h if self.output == "each" else h[:, -1]) @ self.output_params_["W"] + self.output_params_["b"]
        return np.exp(log_softmax(v))

    def predict(self, X: Any) -> Array:
        """Return the most likely label of each sequence or, with ``output="each"``, of each step."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=-1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of labels that are right."""
        _, labels, weight = self._examples(X, y, sample_weight, reset=False, all_of_them=True)
        known = numbers_of("y", labels.ravel(), self.classes_).reshape(labels.shape)
        right = (self.predict_proba(X).argmax(axis=-1) == known).reshape(len(labels), -1).mean(axis=1)
        return float(np.average(right, weights=weight))

    def _read(self, X: Any, reset: bool) -> tuple[Array, Sequences]:
        """Return the sequences as ``(n_sequences, n_steps, n_features)``, and as they came."""
        sequences = read_sequences(self, X, None, reset)
        if not sequences.X.even or not sequences.lengths.all():
            raise ShapeError("X must hold sequences of one length, at least one step; for others use RNNClassifier.")
        x, _ = sequences.X.pad(np.arange(len(sequences.X)))
        return x, sequences

    def _numbered(self, labels: Array) -> Array:
        """Return the number of the class of each label."""
        check_known("y", labels.ravel(), self.classes_)
        return numbers_of("y", labels.ravel(), self.classes_).reshape(labels.shape)

    def _examples(
        self, X: Any, y: Any, sample_weight: Any, reset: bool, all_of_them: bool = False
    ) -> tuple[Array, Array, Array | None]:
        """Return sequences, labels and weights; those of weight zero are left out but for a score."""
        x, sequences = self._read(X, reset)
        each = self.output == "each"
        labels = as_targets(y) if each else one_each(as_targets(y), "sequence")
        if labels.shape != (x.shape[:2] if each else x.shape[:1]):
            of_each = "a label for each step" if each else "one label for each"
            raise ShapeError(f"y must hold {of_each} of the {len(x)} sequences; got shape {labels.shape}.")
        if missing(labels).any():
            raise ArgumentError("y must have no missing labels here; leave those sequences out, or use RNNClassifier.")
        labels = plain_labels("y", labels.ravel()).reshape(labels.shape)
        weight = read_weights(sample_weight, sequences, per_row=False)
        counts = counting(None if all_of_them else weight, sequences, per_row=False)
        return x[counts], labels[counts], None if weight is None else np.asarray(weight)[counts]

    def network_problem(
        self, X: Any = None, y: Any = None, lengths: Any = None, sample_weight: Any = None
    ) -> NetworkProblem:
        """Return what the network is given to learn; see ``RNNClassifier.network_problem``."""
        if lengths is not None:
            raise ArgumentError("lengths: all sequences have the same here; leave it out, or use RNNClassifier.")
        if not hasattr(self, "output_params_"):
            return NetworkProblem(self._network(SOME_FEATURES, SOME_OUTPUTS))
        n_features, n_classes = len(self.rnn_params_["Wx"]), len(self.classes_)
        params = {f"0/{k}": v for k, v in self.rnn_params_.items()} | {
            f"2/{k}": v for k, v in self.output_params_.items()
        }
        network = self._network(n_features, n_classes)
        if X is None:
            return NetworkProblem(network, params)
        x, labels, weight = self._examples(X, y, sample_weight, reset=False)
        classes = self._numbered(labels)
        return NetworkProblem(network, params, x, classes, "cross_entropy", None, weight)

    def _network(self, n_features: int, n_classes: int) -> Network:
        """Return the recurrence, what is read of it, and the output before its softmax."""
        rnn = SimpleRNN(n_features, self.n_nodes, self.activation)
        return Network([rnn, Readout(self.output), Dense(self.n_nodes, n_classes)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _examples(x: Array, classes: Array, weight: Array | None) -> Examples:
    """Return what training learns from."""
    numbers = classes.astype(x.dtype)
    y = numbers if numbers.ndim == 1 else Ragged.of_padded(numbers, None)
    return Examples(Ragged.of_padded(x, None), y, weight)


def _loss(network: Network, params: dict[str, Array], examples: Examples) -> float:
    """Return the mean cross-entropy."""
    batch = examples.batch(np.arange(len(examples)))
    Y, _ = network.predict(params, batch.X)
    return float(evaluate("cross_entropy", Y, batch.y, None, batch.sample_weight)[0])
