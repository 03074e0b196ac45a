"""Estimators whose network has outputs for each example, or for each of its rows, that targets are held against."""

from abc import abstractmethod
from typing import Any, final

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params, as_array
from saiki.errors import ArgumentError, DtypeError, ShapeError
from saiki.estimators.base import Metadata, NetworkEstimator
from saiki.estimators.inputs import Given, counting, read_weights
from saiki.estimators.named import targets_for
from saiki.estimators.scaling import Scaling
from saiki.layers.layer import precision_of
from saiki.training.examples import Examples, Ragged


class OutputsEstimator(NetworkEstimator):
    """What learns targets and predicts them; abstract.

    What the inputs are, one class says, and what the targets are another; a third is both. A row is what an example
    is made of, such as a step; the parameter ``output`` is "each" where each has a target.
    """

    _target_scaling: Scaling | None
    n_outputs_: int

    # The inputs

    @property
    @abstractmethod
    def reads_each(self) -> bool:
        """Whether the network that was fitted says something of each row."""

    @abstractmethod
    def _read_inputs(self, X: Any, metadata: Metadata, reset: bool) -> Given:
        """Return checked inputs, and the form in which they came."""

    @abstractmethod
    def _look_at_inputs(self, examples: Examples) -> None:
        """Learn what the network needs to know of the first inputs before it is made, such as their scale."""

    @abstractmethod
    def _seen(self, X: Any, dtype: npt.DTypeLike) -> Any:
        """Return inputs as the network sees them, in its precision."""

    @abstractmethod
    def _predicted(self, params: Params, X: Any) -> Array:
        """Return the outputs ``(n, n_outputs_)`` for each example, or each row, of inputs as they were read."""

    @abstractmethod
    def _sound_inputs(self) -> bool:
        """Whether what was learnt of the inputs fits the network; an error says no as well."""

    # The targets

    @abstractmethod
    def _read_targets(
        self, y: Any, inputs: Given, counts: Array, each: bool, reset: bool, learns: bool
    ) -> Array | Ragged:
        """Return the targets as float64, NaN for those that are missing or do not count.

        With ``reset`` they decide how many outputs there are, ``n_outputs_``; with ``learns`` the network shall learn
        them.
        """

    @abstractmethod
    def _weighed(self, examples: Examples) -> Examples:
        """Return the examples to train on, with whatever weight the targets themselves have."""

    @abstractmethod
    def _scaling_of_targets(self, examples: Examples) -> Scaling | None:
        """Return the scale of the targets; None where they have none."""

    @abstractmethod
    def _score(self, outputs: Array, targets: Array, weight: Array | None) -> float:
        """Return how well outputs ``(n, K)`` fit targets that are not scaled, NaN being a missing one."""

    @abstractmethod
    def _sound_targets(self) -> bool:
        """Whether what was learnt of the targets fits the network; an error says no as well."""

    # Both

    @final
    def _read(self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool, learns: bool = True) -> Examples:
        """Return checked examples, with a target for each or for each row of it."""
        one = self._words.one
        if y is None:
            raise ArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Give a label or value for"
                f" each {one}."
            )
        if hasattr(y, "toarray"):
            raise DtypeError(f"y must be dense; got {type(y).__name__}. Use y.toarray() instead.")
        each = self.output == "each" if fitting else self.reads_each
        y = y if hasattr(y, "__len__") else as_array("y", y)
        if np.ndim(y) == 0 if isinstance(y, np.ndarray) else isinstance(y, str):
            raise ShapeError(f"y must hold one entry for each {one}; got {y!r}.")
        y = targets_for(X, y, each)
        inputs = self._read_inputs(X, metadata, reset)
        n, n_targets = len(inputs.X), len(y)
        if n_targets != n:
            swapped = getattr(X, "ndim", 0) == 3 and X.shape[1] == n_targets
            hint = " The first two axes of X look swapped; try X.transpose(1, 0, 2)." if swapped else ""
            raise ShapeError(f"y must hold one entry for each of the {n} {one}s; got {n_targets}.{hint}")
        weight = read_weights(metadata.get("sample_weight"), inputs, each)
        counts = counting(weight, inputs, each)
        examples = Examples(inputs.X, self._read_targets(y, inputs, counts, each, reset, learns), weight)
        if not examples.weights.any():
            raise ArgumentError("y must hold at least one target that is not missing and whose weight is not zero.")
        return examples

    @final
    def _look_at(self, examples: Examples) -> None:
        self._look_at_inputs(examples)
        self._target_scaling = self._scaling_of_targets(examples)

    @final
    def _prepared(self, examples: Examples, params: Params) -> Examples:
        dtype, targets = precision_of(params), examples.targets
        if self._target_scaling is not None:
            targets = self._target_scaling.apply(targets.reshape(len(targets), -1), dtype).reshape(targets.shape)
        scaled = examples.with_targets(targets.astype(dtype, copy=False))
        return self._weighed(Examples(self._seen(examples.X, dtype), scaled.y, examples.weight))

    @final
    def _score_of(self, params: Params, examples: Examples) -> float:
        return self._score(self._predicted(params, examples.X), examples.targets, examples.target_weights)

    @final
    def _outputs(self, X: Any, metadata: Metadata) -> tuple[Given, Array]:
        """Return what X is, and the outputs for each example or row ``(n, K)``."""
        check_is_fitted(self)
        inputs = self._read_inputs(X, metadata, False)
        return inputs, self._predicted(self.params_, inputs.X)

    @final
    def _like(self, inputs: Given, values: Array) -> Any:
        """Return what was found from outputs: for each example or, where the network says each, in the form of X."""
        return inputs.like(values) if self.reads_each else values

    @final
    def _is_sound(self) -> bool:
        scaling = self._target_scaling
        sound = scaling is None or len(scaling.mean) == self.n_outputs_
        return sound and self._sound_inputs() and self._sound_targets()
