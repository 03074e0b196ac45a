"""The recurrent layer: any cell, run over time by an engine."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count, as_float, check_finite, check_one_precision, check_shape
from saiki.cells import Cell, as_cell
from saiki.engines import get_engine
from saiki.engines.tape import Tape
from saiki.errors import ShapeError
from saiki.initializers import Parameter
from saiki.layers.layer import Gradients, Layer


@final
@dataclass(frozen=True)
class RecurrentTape:
    """The tape of a recurrent layer: the engine's, and which engine wrote it."""

    engine: str | None
    tape: Tape


@final
@dataclass(frozen=True)
class Recurrent(Layer):
    """A layer that runs a cell over time.

    Parameters: ``Wx (n_features, G * n_units)``, ``Wh (n_units, G * n_units)`` and, with ``bias``,
    ``b (G * n_units,)``, where the G gates are column blocks in the order of the cell's signature. The state is
    ``h (B, n_units)``, or a tuple of such arrays for a cell with several states.

    Args:
        cell: the name of a cell, or a ``Cell``.
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        bias: whether there is a bias.

    Raises:
        ArgumentError: an unknown cell, or a size below 1.

    >>> layer = Recurrent("simple", n_features=2, n_units=3)
    >>> params = layer.init(np.random.default_rng(0))
    >>> H, state, tape = layer.forward(params, np.ones((4, 5, 2)))
    >>> H.shape, state.shape
    ((4, 5, 3), (4, 3))
    >>> grads = layer.backward(params, tape, dH := np.ones_like(H))
    >>> grads.params["Wh"].shape, grads.X.shape, grads.state.shape
    ((3, 3), (4, 5, 2), (4, 3))
    """

    cell: Cell
    n_features: int
    n_units: int
    bias: bool = True

    def __init__(self, cell: str | Cell, n_features: int, n_units: int, bias: bool = True) -> None:
        object.__setattr__(self, "cell", as_cell(cell))
        object.__setattr__(self, "n_features", as_count("n_features", n_features))
        object.__setattr__(self, "n_units", as_count("n_units", n_units))
        object.__setattr__(self, "bias", bool(bias))

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and of units."""
        return self.n_features, self.n_units

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in."""
        columns = len(self.cell.gates) * self.n_units
        bias = {"b": Parameter((columns,))} if self.bias else {}
        return {
            "Wx": Parameter((self.n_features, columns), self.n_features),
            "Wh": Parameter((self.n_units, columns), self.n_units),
        } | bias

    def _forward(
        self, params: Params, X: Array, state: Any, lengths: Array | None, engine: str | None
    ) -> tuple[Array, Any, RecurrentTape]:
        states = self._states("state", state, X.shape[0], X.dtype)
        H, final, tape = get_engine(engine).forward(self.cell, params, X, states, lengths)
        return H, self._as_state(final), RecurrentTape(engine, tape)

    def _backward(self, params: Params, tape: RecurrentTape, dY: Array, dstate: Any) -> Gradients:
        dstates = self._states("dstate", dstate, dY.shape[0], dY.dtype)
        dparams, dX, dinitial = get_engine(tape.engine).backward(self.cell, params, tape.tape, dY, dstates)
        return Gradients(dparams, dX, self._as_state(dinitial))

    def _output_shape(self, tape: RecurrentTape) -> tuple[int, ...]:
        T, B, _, H = tape.tape.a.shape
        return B, T, H

    def _states(self, argument: str, state: Any, B: int, dtype: npt.DTypeLike) -> tuple[Array, ...]:
        """Return the state as a tuple of checked arrays; None becomes zeros."""
        names = self.cell.states
        if state is None:
            return tuple(np.zeros((B, self.n_units), dtype) for _ in names)
        parts = (state,) if len(names) == 1 else state
        if not isinstance(parts, tuple | list) or len(parts) != len(names):
            raise ShapeError(
                f"{argument} must be the tuple ({', '.join(names)}) for a layer of {self.cell.name} cells;"
                f" got {type(state).__name__}."
            )
        arrays = tuple(as_float(argument, part) for part in parts)
        for name, array in zip(names, arrays, strict=True):
            check_shape(f"{argument} {name}", array, (B, self.n_units), "(n_sequences, n_units)")
            check_finite(f"{argument} {name}", array)
            check_one_precision({"X": np.empty(0, dtype), f"{argument} {name}": array})
        return arrays

    def _as_state(self, states: tuple[Array, ...]) -> Any:
        return states[0] if len(self.cell.states) == 1 else states


def SimpleRNN(n_features: int, n_units: int, activation: str = "tanh", bias: bool = True) -> Recurrent:
    """Return a recurrent layer of simple (Elman) cells, ``h_t = activation(x_t Wx + h_{t-1} Wh + b)``.

    Args:
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        activation: "tanh", "sigmoid", "relu" or "identity".
        bias: whether there is a bias.

    Raises:
        ArgumentError: an unknown activation, or a size below 1.

    >>> sorted(SimpleRNN(n_features=2, n_units=4).parameters())
    ['Wh', 'Wx', 'b']
    """
    return Recurrent(as_cell("simple").with_activation(activation), n_features, n_units, bias)
