"""The regressor: a value, or several, for each sequence or for each step."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin

from saiki.arrays import Array
from saiki.cells import Cell
from saiki.estimators.base import Checkpointed, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.options import documented
from saiki.estimators.sequential import SequenceEstimator
from saiki.estimators.values import Values
from saiki.losses import Loss
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch


@final
@documented
class RNNRegressor(RegressorMixin, Values, SequenceEstimator):
    """A recurrent network that gives sequences, or their steps, values.

    ``X`` is ``(n_sequences, n_steps, n_features)``, a list of ``(n_steps, n_features)``, or ``(n_sequences, n_steps)``
    for one feature; ``lengths`` goes with padded arrays. ``y`` has one value, ``(n_sequences,)``, or several,
    ``(n_sequences, n_outputs)``, for each sequence; with ``output="each"`` so many for each step, in an array
    ``(n_sequences, n_steps)`` or ``(n_sequences, n_steps, n_outputs)``, or in a list. NaN is a missing value, from
    which nothing is learnt.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8, 1))
    >>> y = 1000 + 50 * X[:, :, 0].sum(axis=1)
    >>> regressor = RNNRegressor(hidden_layer_sizes=8, random_state=0).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.9)
    True
    """

    learnt = (*SequenceEstimator.learnt, "_one_value_")

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
        loss: str | Loss = "squared_error",
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
        scale_inputs: bool = True,
        scale_targets: bool = True,
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
    ) -> RNNRegressor:
        """Learn from sequences and their targets."""
        self._fit(X, y, {"sample_weight": sample_weight, "lengths": lengths}, validation_data, checkpoint)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, lengths: npt.ArrayLike | None = None
    ) -> RNNRegressor:
        """Learn from some sequences once, going on from what has been learnt before.

        The first call decides the scales of features and targets; the learning rate stays as it is.

        Args:
            X: the sequences.
            y: their values.
            sample_weight: how much each sequence, or each step, counts.
            lengths: ``(n_sequences,)`` for padded arrays.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit(X, y, {"sample_weight": sample_weight, "lengths": lengths})
        return self

    def predict(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the values in the form of ``y``: for each sequence, or for each step in the form of ``X``.

        They are float32 where X is, else float64.
        """
        return self._valued(X, {"lengths": lengths})

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: npt.ArrayLike | None = None) -> float:
        """Return the coefficient of determination R squared, missing values left out; the mean over the outputs."""
        return self._scored(X, y, {"sample_weight": sample_weight, "lengths": lengths})

    def step(self, x: npt.ArrayLike, state: Mapping[str, Array] | None = None) -> tuple[Any, dict[str, Array]]:
        """Read one more step of live streams, and return the values that ``predict`` has for all steps so far.

        Args:
            x: the features of one stream ``(n_features,)``, or of several ``(n_streams, n_features)``.
            state: what the step before returned: a dict of arrays, ``(n_streams, n_units)`` each, which
                ``numpy.savez`` keeps; None begins.

        Returns:
            The value or values, or those for each stream, and the state.

        Raises:
            ArgumentError: the network looks at other steps than the present one, or this is no such state.
            ShapeError: x does not fit.
        """
        outputs, single, state = self._stepped(x, state)
        values = self._values(outputs)
        return (values[0] if single else values), state
