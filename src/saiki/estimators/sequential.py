"""The estimators of sequences: what is read of them, the network, and what it says, whole or step by step."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params, as_float
from saiki.cells import as_cell
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.base import Metadata, NetworkProblem
from saiki.estimators.feature_names import step_in_order
from saiki.estimators.fitted import outputs_of, reads_each
from saiki.estimators.inputs import SEQUENCES, Sequences, knows_inputs, read_sequences
from saiki.estimators.options import FIT
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.scaling import Scaling, step_weights
from saiki.estimators.states import named_state, nested_state
from saiki.layers import Bidirectional, Conv1D, Dense, Dropout, Layer, Network, Readout, Recurrent, Stream
from saiki.layers.layer import precision_of
from saiki.training.examples import Examples, Ragged

SOME_FEATURES, SOME_OUTPUTS = 3, 2
"""The sizes of a network that nobody has given data yet."""


class SequenceEstimator(OutputsEstimator):
    """What learns from sequences; abstract."""

    learnt: ClassVar[tuple[str, ...]] = (
        "_epoch", "_scaling", "_target_scaling", "_flat_", "n_features_in_", "feature_names_in_", "_other_names_",
        "n_outputs_",
    )  # fmt: skip
    network_: Network
    _scaling: Scaling
    _words = SEQUENCES
    _fit_page = FIT
    _stream: Stream | None = None

    @property
    def reads_each(self) -> bool:
        """Whether the network says something of each step."""
        return reads_each(self.network_)

    @final
    def network_problem(
        self, X: Any = None, y: Any = None, lengths: Any = None, sample_weight: Any = None
    ) -> NetworkProblem:
        """Return what the network is given to learn: scaled, encoded and padded. For proofs and pictures.

        An estimator that is not fitted stays so; its network is given new weights. Without X only the network is
        described.
        """
        if X is None and not hasattr(self, "params_"):
            return NetworkProblem(network_of(self, SOME_FEATURES, SOME_OUTPUTS))
        return self._problem(X, y, {"sample_weight": sample_weight, "lengths": lengths})

    @final
    def _read_inputs(self, X: Any, metadata: Metadata, reset: bool) -> Sequences:
        return read_sequences(self, X, metadata.get("lengths"), reset)

    @final
    def _look_at_inputs(self, examples: Examples) -> None:
        X = examples.X
        assert isinstance(X, Ragged)
        self._scaling = Scaling.none(X.values.shape[1])
        if self.scale_inputs:
            self._scaling = Scaling.of(X.values, step_weights(examples.weight, X))

    @final
    def _network(self) -> Network:
        return network_of(self, len(self._scaling.mean), self.n_outputs_)

    @final
    def _seen(self, X: Ragged, dtype: npt.DTypeLike) -> Ragged:
        return X.with_values(self._scaling.apply(X.values, dtype))

    @final
    def _predicted(self, params: Params, X: Ragged) -> Array:
        seen = self._seen(X, precision_of(params))
        with limit_threads(self.n_jobs):
            return outputs_of(self.network_, params, seen, self.n_outputs_, self.engine)

    @final
    def _sound_inputs(self) -> bool:
        n_features = self.network_.sizes[0]
        return len(self._scaling.mean) == n_features and knows_inputs(self, n_features)

    @final
    def _stepped(self, x: npt.ArrayLike, state: Mapping[str, Array] | None) -> tuple[Array, bool, dict[str, Array]]:
        """Return the outputs of one step of one stream or several ``(S, K)``, whether it was one, and the state."""
        if not hasattr(self, "params_"):  # scikit-learn's own check takes longer than the step
            check_is_fitted(self)
        stream = self._stream
        if stream is None or stream.layer is not self.network_ or not stream.runs_with(self.params_):
            stream = self._stream = Stream(self.network_, self.params_, self.engine)
        precision, n_features = precision_of(self.params_), len(self._scaling.mean)
        values = as_float("x", x if isinstance(x, np.ndarray) else step_in_order(self, x))
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
            y, after = stream.step(values, nested)
            return y[None], True, named_state(self.network_, after)
        Y, after = self.network_.predict(self.params_, values[:, None], nested, engine=self.engine)
        return (Y[:, 0] if Y.ndim == 3 else Y), False, named_state(self.network_, after)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return state | {"_stream": None} if "_stream" in state else state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def network_of(estimator: Any, n_features: int, n_outputs: int) -> Network:
    """Return the network that an estimator's parameters describe.

    Raises:
        ArgumentError: parameters that do not go together.
    """
    sizes = np.atleast_1d(np.asarray(estimator.hidden_layer_sizes)).tolist()
    cells = list(estimator.cell) if isinstance(estimator.cell, list | tuple) else [estimator.cell] * len(sizes)
    if len(cells) != len(sizes):
        raise ArgumentError(
            f"cell must be one, or one for each of the {len(sizes)} layers of hidden_layer_sizes; got {len(cells)}."
        )
    layers: list[Layer] = []
    if estimator.conv is not None:
        n_filters, kernel_size, stride = (*estimator.conv, 1)[:3]
        if estimator.output == "each" and (stride > 1 or kernel_size % 2 == 0):
            raise ArgumentError(
                "conv must keep the number of steps where output='each': an odd kernel_size and no stride;"
                f" got {estimator.conv!r}."
            )
        layers.append(Conv1D(n_features, n_filters, kernel_size, stride, kernel_size // 2, activation="relu"))
    dropout = [Dropout(estimator.dropout)] if estimator.dropout else []
    widths = [layers[0].sizes[1] if layers else n_features]
    widths += [size * (1 + estimator.bidirectional) for size in sizes]
    for cell, size, (width, _) in zip(cells, sizes, pairwise(widths), strict=True):
        cell = as_cell(cell)
        if estimator.activation is not None:
            cell = cell.with_activation(estimator.activation)
        assert width is not None
        layer = Recurrent(cell, width, size)
        layers += [Bidirectional(layer) if estimator.bidirectional else layer, *dropout]
    turned = sizes[-1] if estimator.bidirectional and estimator.output == "last" else 0
    return Network([*layers, Readout(estimator.output, turned), Dense(widths[-1] or 0, n_outputs)])
