"""The classifier: a label for each sequence, or for each step."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin

from saiki.arrays import Array
from saiki.cells import Cell
from saiki.estimators.base import Checkpointed, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.labels import Labels
from saiki.estimators.options import documented
from saiki.estimators.sequential import SequenceEstimator
from saiki.losses import log_softmax
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch


@final
@documented
class RNNClassifier(ClassifierMixin, Labels, SequenceEstimator):
    """A recurrent network that tells sequences, or their steps, apart.

    ``X`` is ``(n_sequences, n_steps, n_features)``, a list of ``(n_steps, n_features)``, or ``(n_sequences, n_steps)``
    for one feature; ``lengths`` goes with padded arrays. ``y`` has a label (a text, whole number or boolean) for each
    sequence or, with ``output="each"``, for each step; None and NaN are missing labels, from which nothing is learnt.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8, 1))
    >>> y = np.where(X[:, :, 0].sum(axis=1) > 0, "up", "down")
    >>> classifier = RNNClassifier(hidden_layer_sizes=8, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]), bool(classifier.score(X, y) > 0.9)
    (array(['up', 'down'], dtype='<U4'), True)
    """

    learnt = (*SequenceEstimator.learnt, "classes_")

    def __init__(
        self,
        cell: str | Cell | Sequence[str | Cell] = "gru",
        hidden_layer_sizes: int | Sequence[int] = (64,),
        activation: str | None = None,
        bidirectional: bool = False,
        output: Literal["last", "mean", "max", "each"] = "last",
        dropout: float = 0.0,
        conv: tuple[int, ...] | None = None,
        *,
        solver: str | Optimizer = "adam",
        solver_options: Mapping[str, Any] | None = None,
        learning_rate: str | Schedule = "cosine",
        learning_rate_init: float = 0.01,
        alpha: float = 1e-4,
        clip_norm: float | None = 1.0,
        tbptt: int | None = None,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 60,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: str | Callable[..., Any] | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        scale_inputs: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        engine: str | None = None,
        n_jobs: int | None = None,
        dtype: npt.DTypeLike | None = None,
        verbose: bool = False,
        callbacks: Sequence[Callable[[Epoch], Any]] | None = None,
    ) -> None:
        hold(self, locals())

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        lengths: npt.ArrayLike | None = None,
        validation_data: Any = None,
        checkpoint: Checkpointed = None,
    ) -> RNNClassifier:
        """Learn from sequences and their targets."""
        self._fit(X, y, {"sample_weight": sample_weight, "lengths": lengths}, validation_data, checkpoint)
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        lengths: npt.ArrayLike | None = None,
    ) -> RNNClassifier:
        """Learn from some sequences once, going on from what has been learnt before.

        The first call decides the scale of the features, and the classes; the learning rate stays as it is.

        Args:
            X: the sequences.
            y: their labels.
            classes: all labels that will ever come; only the first call needs it, if its y does not hold them all.
            sample_weight: how much each sequence, or each step, counts.
            lengths: ``(n_sequences,)`` for padded arrays.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit_labels(X, y, {"sample_weight": sample_weight, "lengths": lengths}, classes)
        return self

    def predict(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the most likely label of each sequence ``(n_sequences,)``, or of each step in the form of ``X``.

        In a padded array the steps that do not exist are given the first class.
        """
        return self._labels(X, {"lengths": lengths})

    def predict_proba(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the probability of each class, ``(n_sequences, n_classes)``, or for each step in the form of ``X``."""
        return self._probabilities(X, {"lengths": lengths})

    def predict_log_proba(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the logarithms of the probabilities of ``predict_proba``."""
        return self._log_probabilities(X, {"lengths": lengths})

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: npt.ArrayLike | None = None) -> float:
        """Return the share of labels that are right, missing ones left out, each by its weight."""
        return self._scored(X, y, {"sample_weight": sample_weight, "lengths": lengths})

    def step(self, x: npt.ArrayLike, state: Mapping[str, Array] | None = None) -> tuple[Any, dict[str, Array]]:
        """Read one more step of live streams, and return the labels that ``predict`` has for all steps so far.

        Args:
            x: the features of one stream ``(n_features,)``, or of several ``(n_streams, n_features)``.
            state: what the step before returned: a dict of arrays, ``(n_streams, n_units)`` each, which
                ``numpy.savez`` keeps; None begins.

        Returns:
            The label, or one for each stream, and the state.

        Raises:
            ArgumentError: the network looks at other steps than the present one, or this is no such state.
            ShapeError: x does not fit.
        """
        outputs, single, state = self._stepped(x, state)
        labels = self.classes_[outputs.argmax(axis=1)]
        return (labels[0] if single else labels), state

    def step_proba(self, x: npt.ArrayLike, state: Mapping[str, Array] | None = None) -> tuple[Array, dict[str, Array]]:
        """Read one more step of live streams, and return the probability of each class; otherwise as ``step``."""
        outputs, single, state = self._stepped(x, state)
        probabilities = np.exp(log_softmax(outputs))
        return (probabilities[0] if single else probabilities), state
