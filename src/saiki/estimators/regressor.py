"""The regressor: a value, or several, for each sequence or for each step."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from saiki.arrays import Array
from saiki.cells import Cell
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.base import Checkpointed, SequenceEstimator, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.inputs import Sequences, read_per_step
from saiki.estimators.options import documented
from saiki.estimators.scaling import Scaling
from saiki.losses import Loss
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples, Ragged


@final
@documented
class RNNRegressor(RegressorMixin, SequenceEstimator):
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
        self._fit(X, y, sample_weight, lengths, validation_data, checkpoint)
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
        self._partial_fit(X, y, sample_weight, lengths)
        return self

    def predict(self, X: Any, lengths: npt.ArrayLike | None = None) -> Any:
        """Return the values in the form of ``y``: for each sequence, or for each step in the form of ``X``.

        They are float32 where X is, else float64.
        """
        sequences, outputs = self._outputs(X, lengths)
        values = self._values(outputs).astype(sequences.steps.values.dtype)
        return sequences.like(values) if self.reads_each else values

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: npt.ArrayLike | None = None) -> float:
        """Return the coefficient of determination R squared, missing values left out; the mean over the outputs."""
        return self._scored(X, y, sample_weight, lengths)

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

    def _values(self, outputs: Array) -> Array:
        """Return outputs as values: on the scale of the targets, in float64, one for each row where y had one."""
        values = outputs.astype(np.float64) if self._target_scaling is None else self._target_scaling.undo(outputs)
        return values[:, 0] if self._one_value_ else values

    def _read_targets(self, y: Any, sequences: Sequences, counts: Array, each: bool, reset: bool) -> Array | Ragged:
        steps = read_per_step("y", y, sequences) if each else None
        options = {"ensure_2d": False, "ensure_all_finite": "allow-nan", "input_name": "y", "allow_nd": True}
        values = check_array(y if steps is None else steps.values, dtype=np.float64, **options)
        if values.ndim > 2:
            raise ShapeError(
                f"y must hold one value, or a row of values, for each sequence; got shape {np.shape(y)}. For values of"
                " each step use output='each'."
            )
        one, n_outputs = values.ndim == 1, 1 if values.ndim == 1 else values.shape[1]
        if reset:
            self._one_value_, self.n_outputs_ = one, n_outputs
        elif n_outputs != self.n_outputs_:
            raise ShapeError(f"y must hold {self.n_outputs_} values for each, as in fit; got {n_outputs}.")
        values = np.where(counts.reshape(-1, *(1,) * (values.ndim - 1)), values, np.nan).astype(values.dtype)
        return values if steps is None else steps.with_values(values)

    def _weighed(self, examples: Examples) -> Examples:
        return examples

    def _expect(self, classes: Any) -> None:  # noqa: ARG002
        raise ArgumentError("classes are for classifiers.")

    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:
        if not self.scale_targets:
            return None
        return Scaling.of(examples.targets.reshape(len(examples.targets), -1), examples.target_weights)

    def _loss(self) -> str | Loss:
        return self.loss

    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        predicted = self._values(outputs).reshape(len(outputs), -1).astype(np.float64)
        targets = targets.reshape(len(targets), -1).astype(np.float64)
        scores = []
        for value, target in zip(predicted.T, targets.T, strict=True):
            there = ~np.isnan(target)
            if not there.any():
                continue
            own = np.ones(there.sum()) if weight is None else weight[there]
            left = np.square(value[there] - target[there]) @ own
            in_all = np.square(target[there] - np.average(target[there], weights=own)) @ own
            scores.append(1 - left / in_all if in_all > 0 else float(left == 0))
        return float(np.mean(scores))

    def _by_class(self, examples: Examples, order: Array) -> Array:  # noqa: ARG002
        return order

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
