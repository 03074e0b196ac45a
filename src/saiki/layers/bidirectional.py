"""Two recurrent layers side by side, one reading forwards and one backwards."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.errors import ArgumentError, ShapeError
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Result
from saiki.layers.recurrent import Recurrent

DIRECTIONS = "forward", "backward"


class BidirectionalTape(NamedTuple):
    """The tapes of the two directions."""

    forward: Any
    backward: Any


@final
@dataclass(frozen=True)
class Bidirectional(Layer):
    """A recurrent layer and its twin that reads each sequence from its own last step to its first.

    At each step the outputs are those of both directions side by side, forward first: ``(B, T, 2 * n_units)``.
    Parameters are those of the layer under ``"forward/Wx"``, ``"backward/Wx"``, ...; the state is a tuple with the
    state of each direction. Source: Schuster and Paliwal (1997), "Bidirectional recurrent neural networks".

    Args:
        layer: the recurrent layer that reads forwards.

    Raises:
        ArgumentError: not a recurrent layer, or one that reads backwards itself.

    >>> layer = Bidirectional(Recurrent("gru", n_features=2, n_units=3))
    >>> H, state, tape = layer.forward(layer.init(np.random.default_rng(0)), np.ones((4, 5, 2)), lengths=[5, 3, 1, 0])
    >>> H.shape, state[0].shape, state[1].shape
    ((4, 5, 6), (4, 3), (4, 3))
    """

    layer: Recurrent

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Recurrent) or self.layer.reverse:
            raise ArgumentError(
                f"layer must be a recurrent layer that reads forwards; got {self.layer!r}."
                " Try Bidirectional(LSTM(2, 16))."
            )

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and of the units of both directions."""
        return self.layer.n_features, 2 * self.layer.n_units

    @property
    def layers(self) -> tuple[Recurrent, Recurrent]:
        """The layer that reads forwards, and its twin."""
        return self.layer, replace(self.layer, reverse=True)

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every cell."""
        return [*(cls(Recurrent(cell, 2, 2)) for cell in CELLS), cls(Recurrent("lstm", 2, 2, learn_initial=True))]

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of both directions."""
        return {f"{way}/{name}": p for way in DIRECTIONS for name, p in self.layer.parameters().items()}

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        results = [
            layer._forward(self._of(params, way), X, part, context)
            for layer, way, part in zip(self.layers, DIRECTIONS, self._states("state", state), strict=True)
        ]
        Y = np.concatenate([result.Y for result in results], axis=-1)
        tape = BidirectionalTape(*(result.tape for result in results))
        return Result(Y, tuple(result.state for result in results), tape, context.lengths)

    def _backward(
        self, params: Params, tape: BidirectionalTape, dY: Array, dstate: Any, tbptt: int | None
    ) -> Gradients:
        parts = np.split(dY, 2, axis=-1)
        dstates = self._states("dstate", dstate)
        both = [
            layer._backward(self._of(params, way), layer_tape, part, d, tbptt)
            for layer, way, layer_tape, part, d in zip(self.layers, DIRECTIONS, tape, parts, dstates, strict=True)
        ]
        dparams = {f"{way}/{k}": v for way, grads in zip(DIRECTIONS, both, strict=True) for k, v in grads.items()}
        return Gradients(dparams, both[0].X + both[1].X, tuple(grads.state for grads in both))

    def _of(self, params: Params, way: str) -> Params:
        return {name: params[f"{way}/{name}"] for name in self.layer.parameters()}

    def _states(self, argument: str, state: Any) -> tuple[Any, Any]:
        if state is None:
            return None, None
        if not isinstance(state, tuple | list) or len(state) != 2:
            raise ShapeError(
                f"{argument} must be a tuple with the state of the forward and of the backward direction;"
                f" got {type(state).__name__}."
            )
        return state[0], state[1]
