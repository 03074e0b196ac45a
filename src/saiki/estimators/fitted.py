"""A network that has been fitted, and the scales around it: from sequences to outputs, whole or step by step."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params, as_float
from saiki.engines.threads import limit_threads
from saiki.errors import ShapeError
from saiki.estimators.inputs import Sequences, read_sequences
from saiki.estimators.states import named_state, nested_state
from saiki.layers import Network, Readout, Stream
from saiki.layers.layer import precision_of
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples, Ragged, rounded_up

MOST_AT_ONCE, MOST_NUMBERS, SHORT = 256, 1 << 24, 16
"""So many sequences, and numbers in them and in the layers, are predicted at once; short ones with longer ones."""


class FittedNetwork(BaseEstimator, ABC):
    """What predicts; abstract.

    Everything that it has learnt follows from the attributes ``learnt``, which are what ``saiki.save`` keeps.
    """

    learnt = (
        "_epoch", "_scaling", "_target_scaling", "_flat_", "n_features_in_", "feature_names_in_", "n_outputs_",
        "classes_", "_one_value_",
    )  # fmt: skip
    network_: Network
    _stream: Stream | None

    @abstractmethod
    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        """Return how well outputs ``(n, K)`` fit targets that are not scaled, NaN being a missing one."""

    @final
    def following(self, epoch: Epoch) -> dict[str, Any]:
        """Return the attributes that follow from what has been learnt up to an epoch."""
        best = epoch.params if epoch.best is None else epoch.best
        return {
            "_epoch": epoch,
            "_stream": None,
            "params_": best,
            "n_iter_": len(epoch.earlier[0]) + epoch.count,
            "loss_": epoch.losses[-1],
            "loss_curve_": [*epoch.earlier[0], *epoch.losses],
            "validation_scores_": [*epoch.earlier[1], *epoch.scores] or None,
            "best_validation_score_": max(epoch.scores, default=None),
        }

    @property
    def reads_each(self) -> bool:
        """Whether the network says something of each step."""
        return any(isinstance(layer, Readout) and layer.kind == "each" for layer in self.network_.layers)

    @final
    def _outputs(self, X: Any, lengths: Any) -> tuple[Sequences, Array]:
        """Return what X is, and the outputs for each sequence or step ``(n, K)``."""
        check_is_fitted(self)
        sequences = read_sequences(self, X, lengths, False)
        return sequences, self._predicted(self.params_, sequences.steps)

    @final
    def _predicted(self, params: Params, X: Ragged) -> Array:
        """Return the outputs for each sequence, or for each step that exists."""
        X = X.with_values(self._scaling.apply(X.values, precision_of(params)))
        per_step = self.reads_each
        n_outputs: int = self.n_outputs_
        outputs = np.empty((len(X.values) if per_step else len(X), n_outputs), X.values.dtype)
        order = np.arange(len(X)) if X.even else np.argsort(X.lengths, kind="stable")
        width = sum(size for layer in self.network_.layers for size in layer.sizes if size is not None)
        with limit_threads(self.n_jobs):
            for which in groups(order, X.lengths[order], MOST_NUMBERS // width):
                padded, lengths = X.pad(which)
                if not padded.shape[1]:  # no step at all: what a readout says of nothing
                    padded, lengths = np.zeros((len(which), 1, X.values.shape[1]), outputs.dtype), X.lengths[which]
                Y, _ = self.network_.predict(params, padded, lengths=lengths, engine=self.engine)
                if per_step:
                    found = Ragged.of_padded(Y, X.lengths[which] if lengths is None else lengths)
                    outputs[_places(X, which)] = found.values
                else:
                    outputs[which] = Y
        return outputs

    @final
    def _score_of(self, params: Params, examples: Examples) -> float:
        """Return the score on examples."""
        return self._score(self._predicted(params, examples.X), examples.targets, examples.target_weights)

    @final
    def _stepped(self, x: npt.ArrayLike, state: Mapping[str, Array] | None) -> tuple[Array, bool, dict[str, Array]]:
        """Return the outputs of one step of one stream or several ``(S, K)``, whether it was one, and the state."""
        if not hasattr(self, "params_"):  # scikit-learn's own check takes longer than the step
            check_is_fitted(self)
        if self._stream is None:
            self._stream = Stream(self.network_, self.params_, self.engine)
        precision, n_features = precision_of(self.params_), len(self._scaling.mean)
        values = as_float("x", x)
        if values.ndim == 0 and n_features == 1:
            values = values[None]
        if values.ndim not in (1, 2) or values.shape[-1] != n_features:
            raise ShapeError(
                f"x must be the features of one step, ({n_features},), or of one step of each of several streams,"
                f" (n_streams, {n_features}); got {values.shape}."
            )
        values = self._scaling.apply(values, precision)
        nested = None if state is None else nested_state(self.network_, state, len(np.atleast_2d(values)))
        if values.ndim == 1:
            y, after = self._stream.step(values, nested)
            return y[None], True, named_state(self.network_, after)
        Y, after = self.network_.predict(self.params_, values[:, None], nested, engine=self.engine)
        return (Y[:, 0] if Y.ndim == 3 else Y), False, named_state(self.network_, after)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {"_stream": None} if "_stream" in state else state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def groups(order: Array, lengths: Array, most_steps: int) -> Iterator[Array]:
    """Yield parts of an order to be padded together: not too many steps in all, nor very short beside very long ones.

    >>> [part.tolist() for part in groups(np.arange(5), np.array([1, 2, 2, 90, 100]), 150)]
    [[0, 1, 2], [3], [4]]
    """
    start = 0
    for end in range(1, len(order) + 1):
        full = end - start == MOST_AT_ONCE or end == len(order)
        if not full:
            longest = rounded_up(int(lengths[end]))
            full = (end - start + 1) * longest > most_steps or longest > 2 * max(int(lengths[start]), SHORT)
        if full:
            yield order[start:end]
            start = end


def _places(X: Ragged, which: Array) -> Array:
    """Return where the steps of some sequences stand."""
    return X.with_values(np.arange(len(X.values))).select(which).values
