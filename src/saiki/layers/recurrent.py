"""The recurrent layer: any cell, run over time by an engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import (
    Array,
    Params,
    as_count,
    as_float,
    as_share,
    check_finite,
    check_one_precision,
    check_shape,
)
from saiki.cells import CELLS, Cell, as_cell
from saiki.engines import get_engine
from saiki.engines.chain import Link, Links
from saiki.engines.tape import Tape, Walk
from saiki.errors import ArgumentError, ShapeError, choose
from saiki.initializers import Parameter
from saiki.layers.dropout import drop_mask
from saiki.layers.layer import Context, Gradients, Layer, Linked, Result, needs_time
from saiki.maths import ACTIVATIONS


class RecurrentTape(NamedTuple):
    """The tape of a recurrent layer: the engine's, which engine wrote it, and whether it began at the learnt state."""

    tape: Tape
    engine: str | None
    from_learnt: bool


@final
@dataclass(frozen=True)
class Recurrent(Linked):
    """A layer that runs a cell over time.

    Parameters: ``Wx (n_features, G * n_units)``, where the G gates are column blocks in the order of the cell's
    signature; ``Wh (n_units, R * n_units)`` for the gates that see the previous state; with ``bias``,
    ``b (G * n_units,)``, and ``bh (A * n_units,)`` for gates that keep their two parts apart; the cell's own vectors
    ``(n_units,)``; with ``learn_initial``, ``h0`` (and ``c0``, ...) ``(n_units,)``. The state is ``h (B, n_units)``, or
    a tuple of such arrays for a cell with several states.

    Args:
        cell: the name of a cell, or a ``Cell``.
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        bias: whether there is a bias.
        reverse: whether each sequence is read from its own last step to its first.
        learn_initial: whether the initial state, where none is given, is a parameter instead of zero.
        recurrent_dropout: the share of units that, while training, no product with ``Wh`` sees; the same ones at every
            step (Gal and Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural
            networks", section 4).

    Raises:
        ArgumentError: an unknown cell, a size below 1, a share outside 0 to 1, or dropout without a ``Wh``.

    >>> layer = Recurrent("lstm", n_features=2, n_units=3)
    >>> params = layer.init(np.random.default_rng(0))
    >>> H, (h, c), tape = layer.forward(params, np.ones((4, 5, 2)))
    >>> H.shape, h.shape, c.shape
    ((4, 5, 3), (4, 3), (4, 3))
    >>> grads = layer.backward(params, tape, np.ones_like(H))
    >>> grads.params["Wh"].shape, grads.X.shape, grads.state[0].shape
    ((3, 12), (4, 5, 2), (4, 3))
    """

    cell: Cell
    n_features: int
    n_units: int
    bias: bool = True
    reverse: bool = False
    learn_initial: bool = False
    recurrent_dropout: float = 0.0

    def __init__(
        self,
        cell: str | Cell,
        n_features: int,
        n_units: int,
        bias: bool = True,
        reverse: bool = False,
        learn_initial: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        cell = as_cell(cell)
        share = as_share("recurrent_dropout", recurrent_dropout)
        if share and not cell.recurrent:
            raise ArgumentError(f"recurrent_dropout must be 0 for {cell.name} cells, which have no Wh; got {share}.")
        values = {
            "cell": cell,
            "n_features": as_count("n_features", n_features),
            "n_units": as_count("n_units", n_units),
            "bias": bool(bias),
            "reverse": bool(reverse),
            "learn_initial": bool(learn_initial),
            "recurrent_dropout": share,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and of units."""
        return self.n_features, self.n_units

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every cell, activation and option."""
        layers: list[Layer] = [
            cls(cell, 2, 3, bias, reverse)
            for cell in CELLS.values()
            for bias, reverse in [(True, False), (False, True)]
        ]
        layers += [cls(cell, 2, 3, learn_initial=True) for cell in CELLS.values()]
        layers += [cls(cell, 2, 3, recurrent_dropout=0.4) for cell in CELLS.values() if cell.recurrent]
        layers += [
            cls(cell.with_activation(name), 2, 3) for cell in CELLS.values() if cell.activation for name in ACTIVATIONS
        ]
        return layers

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape, fan-in and blocks."""
        F, H, cell = self.n_features, self.n_units, self.cell
        parameters = {"Wx": Parameter((F, len(cell.gates) * H), F, cell.gates)}
        if cell.recurrent:
            parameters["Wh"] = Parameter((H, len(cell.recurrent) * H), H, cell.recurrent)
        if self.bias:
            parameters["b"] = Parameter((len(cell.gates) * H,), None, cell.gates)
        if self.bias and cell.apart:
            parameters["bh"] = Parameter((len(cell.apart) * H,), None, cell.apart)
        parameters |= {name: Parameter((H,), H) for name in cell.vectors}
        if self.learn_initial:
            parameters |= {f"{state}0": Parameter((H,)) for state in cell.states}
        return parameters

    def links(self) -> Links | None:
        """Return the cell; none for a layer that reads backwards, or learns where it begins."""
        if self.reverse or self.learn_initial:
            return None
        return (Link(self.cell, self.n_features, self.n_units, {name: name for name in self._shapes}),)

    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> Any:
        """Return the state after the last step of each sequence."""
        return self._as_state(next(finals))

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        needs_time("Recurrent", X)
        from_learnt = self.learn_initial and state is None
        if from_learnt:
            initial = tuple(np.broadcast_to(params[f"{name}0"], (len(X), self.n_units)) for name in self.cell.states)
        else:
            initial = self._states("state", state, X)
        mask = drop_mask(context.rng, self.recurrent_dropout, (len(X), self.n_units), X.dtype)
        walk = Walk(context.lengths, self.reverse, mask, context.keep)
        H, final_states, tape = get_engine(context.engine).forward(self.cell, params, X, initial, walk)
        content = RecurrentTape(tape, context.engine, from_learnt)
        return Result(H, self._as_state(final_states), content, context.lengths)

    def _backward(self, params: Params, tape: RecurrentTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:
        engine = get_engine(tape.engine)
        dstates = self._states("dstate", dstate, dY)
        dparams, dX, dinitial = engine.backward(self.cell, params, tape.tape, dY, dstates, tbptt)
        if self.learn_initial:
            for name, d in zip(self.cell.states, dinitial, strict=True):
                dparams[f"{name}0"] = d.sum(axis=0) if tape.from_learnt else np.zeros_like(params[f"{name}0"])
        return Gradients(dparams, dX, self._as_state(dinitial))

    def _states(self, argument: str, state: Any, like: Array) -> tuple[Array, ...]:
        """Return the state as a tuple of checked arrays, for the batch and precision of ``like``; None is zeros."""
        names, shape = self.cell.states, (len(like), self.n_units)
        if state is None:
            return tuple(np.zeros(shape, like.dtype) for _ in names)
        parts = (state,) if len(names) == 1 else state
        if not isinstance(parts, tuple | list) or len(parts) != len(names):
            raise ShapeError(
                f"{argument} must be the tuple ({', '.join(names)}) for a layer of {self.cell.name} cells;"
                f" got {type(state).__name__}."
            )
        precision = np.real(like).dtype
        arrays = tuple(as_float(f"{argument} {name}", part, precision) for name, part in zip(names, parts, strict=True))
        for name, array in zip(names, arrays, strict=True):
            check_shape(f"{argument} {name}", array, shape, "(n_sequences, n_units)")
            check_finite(f"{argument} {name}", array)
            check_one_precision({"dH" if argument == "dstate" else "X": like, f"{argument} {name}": array})
        return arrays

    def _as_state(self, states: tuple[Array, ...]) -> Any:
        return states[0] if len(self.cell.states) == 1 else states


def SimpleRNN(n_features: int, n_units: int, activation: str = "tanh", **options: Any) -> Recurrent:
    """Return a recurrent layer of simple (Elman) cells, ``h_t = activation(x_t Wx + h_{t-1} Wh + b)``.

    Args:
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        activation: "tanh", "sigmoid", "relu" or "identity".
        options: ``bias``, ``reverse``, ``learn_initial``, ``recurrent_dropout``, as for ``Recurrent``.

    Raises:
        ArgumentError: an unknown activation, or a size below 1.

    >>> sorted(SimpleRNN(n_features=2, n_units=4).parameters())
    ['Wh', 'Wx', 'b']
    """
    return Recurrent(as_cell("simple").with_activation(activation), n_features, n_units, **options)


def LSTM(n_features: int, n_units: int, peepholes: bool = False, **options: Any) -> Recurrent:
    """Return a recurrent layer of long short-term memory cells; its state is ``(h, c)``, its gates i, f, g, o.

    Args:
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        peepholes: whether the gates see the memory c.
        options: ``bias``, ``reverse``, ``learn_initial``, ``recurrent_dropout``, as for ``Recurrent``.

    Raises:
        ArgumentError: a size below 1.

    >>> LSTM(n_features=2, n_units=4).parameters()["Wh"].shape
    (4, 16)
    """
    return Recurrent("peephole_lstm" if peepholes else "lstm", n_features, n_units, **options)


RESETS = {"after": "gru", "before": "gru_reset_before"}


def GRU(n_features: int, n_units: int, reset: str = "after", **options: Any) -> Recurrent:
    """Return a recurrent layer of gated recurrent units; its gates are r, z, n.

    Args:
        n_features: the number of features F that come in at each step.
        n_units: the number of units H.
        reset: "after" the product with ``Wh``, as PyTorch and Keras have it, or "before" it, as published.
        options: ``bias``, ``reverse``, ``learn_initial``, ``recurrent_dropout``, as for ``Recurrent``.

    Raises:
        ArgumentError: another ``reset``, or a size below 1.

    >>> sorted(GRU(n_features=2, n_units=4).parameters()), sorted(GRU(2, 4, reset="before").parameters())
    (['Wh', 'Wx', 'b', 'bh'], ['Wh', 'Wx', 'b'])
    """
    return Recurrent(choose("reset", reset, RESETS), n_features, n_units, **options)
