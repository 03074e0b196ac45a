"""What every layer is: an immutable description with a pure forward and a pure backward."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_float, as_sequences, check_one_precision, check_params, check_shape
from saiki.engines import get_engine
from saiki.initializers import Initializer, Parameter, initialize


@final
@dataclass(frozen=True)
class Gradients(Mapping[str, Array]):
    """The result of a backward pass; read as a mapping, it is the gradients of the parameters.

    Attributes:
        params: the gradient of each parameter, by the parameter's name.
        X: the gradient of the input ``(B, T, F)``.
        state: the gradient of the initial state, in the form of the state.
    """

    params: Params
    X: Array
    state: Any

    def __getitem__(self, name: str) -> Array:
        if name not in self.params:
            raise KeyError(f"no parameter {name!r}; the names are {', '.join(self.params)}")
        return self.params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.params)

    def __len__(self) -> int:
        return len(self.params)


class Layer(ABC):
    """A layer maps sequences ``(B, T, n_in)`` to sequences ``(B, T, n_out)``; it holds no parameters.

    The public calls check what comes in, once; the equations are in ``_forward`` and ``_backward``.
    """

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and that go out."""

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in."""

    @abstractmethod
    def _forward(
        self, params: Params, X: Array, state: Any, lengths: Array | None, engine: str | None
    ) -> tuple[Array, Any, Any]: ...

    @abstractmethod
    def _backward(self, params: Params, tape: Any, dY: Array, dstate: Any) -> Gradients: ...

    @abstractmethod
    def _output_shape(self, tape: Any) -> tuple[int, ...]: ...

    @final
    def init(
        self,
        rng: np.random.Generator,
        scheme: str | Initializer = "xavier",
        dtype: npt.DTypeLike = np.float64,
    ) -> Params:
        """Draw parameters: weights by ``scheme``, each by its own fan-in, and zero biases.

        Args:
            rng: the source of randomness.
            scheme: "normal", "xavier", "he", or an initializer such as ``saiki.initializers.normal(0.01)``.
            dtype: float64 or float32; the layer then computes in it.

        Raises:
            ArgumentError: an unknown scheme or another dtype.
        """
        return initialize(rng, self.parameters(), scheme, dtype)

    @final
    def forward(
        self,
        params: Params,
        X: npt.ArrayLike,
        state: Any = None,
        lengths: npt.ArrayLike | None = None,
        engine: str | None = None,
    ) -> tuple[Array, Any, Any]:
        """Run the layer.

        Args:
            params: the parameters, as ``init`` makes them.
            X: ``(B, T, n_in)``, finite wherever a step exists; whole numbers take the precision of the parameters.
            state: the initial state; None starts from zero.
            lengths: ``(B,)``, or None where all steps exist. Outputs beyond a sequence's length are zero.
            engine: the name of an engine, or None for the default one.

        Returns:
            The outputs ``(B, T, n_out)``, the final state, and the tape that ``backward`` needs.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        get_engine(engine)
        check_params(params, {name: p.shape for name, p in self.parameters().items()})
        precision = next((np.real(v).dtype for v in params.values()), np.float64)
        X, lengths = as_sequences(X, self.sizes[0], lengths, precision)
        check_one_precision({"X": X} | {f"params[{k!r}]": v for k, v in params.items()})
        return self._forward(params, X, state, lengths, engine)

    @final
    def backward(self, params: Params, tape: Any, dY: npt.ArrayLike, dstate: Any = None) -> Gradients:
        """Run the layer backwards.

        Args:
            params: the parameters that the forward pass was given.
            tape: what the forward pass returned.
            dY: the gradient of the loss with respect to the outputs ``(B, T, n_out)``.
            dstate: its gradient with respect to the final state; None where the loss does not see that.

        Returns:
            The gradients of the parameters, of the input and of the initial state.

        Raises:
            ShapeError, DtypeError: dY or dstate does not have the shape and precision of what it is the gradient of.
        """
        check_params(params, {name: p.shape for name, p in self.parameters().items()})
        dY = as_float("dY", dY)
        check_shape("dY", dY, self._output_shape(tape), "the shape of the outputs")
        check_one_precision({"dY": dY} | {f"params[{k!r}]": v for k, v in params.items()})
        return self._backward(params, tape, dY, dstate)
