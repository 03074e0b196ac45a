"""A network: layers one after another. It is a layer itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy.typing as npt

from saiki.arrays import Array, Params
from saiki.errors import ArgumentError, ShapeError
from saiki.initializers import Parameter
from saiki.layers.layer import Gradients, Layer
from saiki.losses import Loss, evaluate


@final
@dataclass(frozen=True)
class Network(Layer):
    """Layers one after another, each taking the outputs of the one before.

    Its parameters are those of its layers, under ``"0/Wx"``, ``"1/W"``, ...; its state is a tuple with the state of
    each layer, None for a layer without one.

    Args:
        layers: the layers, from input to output.

    Raises:
        ArgumentError: no layers, or something that is none.
        ShapeError: a layer does not take as many features as the one before gives.

    >>> import numpy as np
    >>> from saiki import Dense, SimpleRNN
    >>> net = Network([SimpleRNN(2, 16), Dense(16, 1)])
    >>> params = net.init(np.random.default_rng(0))
    >>> sorted(params)
    ['0/Wh', '0/Wx', '0/b', '1/W', '1/b']
    >>> X, y = np.ones((3, 5, 2)), np.zeros((3, 5))
    >>> loss, grads = net.loss_and_gradients(params, X, y, loss="squared_error")
    >>> grads.params["0/Wh"].shape
    (16, 16)
    """

    layers: tuple[Layer, ...]

    def __init__(self, layers: Sequence[Layer]) -> None:
        if not isinstance(layers, Sequence) or not layers or not all(isinstance(layer, Layer) for layer in layers):
            raise ArgumentError(
                f"layers must be a list of one or more layers; got {layers!r}."
                " Try Network([SimpleRNN(2, 16), Dense(16, 1)])."
            )
        layers = tuple(layers)
        for i, (one, after) in enumerate(pairwise(layers)):
            given, taken = one.sizes[1], after.sizes[0]
            if given != taken:
                raise ShapeError(f"layers[{i + 1}] must take {given} features, as layers[{i}] gives; it takes {taken}.")
        object.__setattr__(self, "layers", layers)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that the first layer takes, and that the last one gives."""
        return self.layers[0].sizes[0], self.layers[-1].sizes[1]

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of all layers: shape and fan-in."""
        return {
            f"{i}/{name}": parameter
            for i, layer in enumerate(self.layers)
            for name, parameter in layer.parameters().items()
        }

    def loss_and_gradients(
        self,
        params: Params,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        loss: str | Loss,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        state: Any = None,
        engine: str | None = None,
    ) -> tuple[Any, Gradients]:
        """Return the mean loss over what exists, and its gradients.

        Args:
            params: the parameters, as ``init`` makes them.
            X: ``(B, T, n_in)``.
            y: targets in the shape of the outputs; the last axis may be left out where it is 1; NaN is a missing one.
            loss: the name of a loss, or a loss itself.
            lengths: ``(B,)``, or None where all steps exist.
            sample_weight: ``(B,)`` or ``(B, T)``, or None where all targets count alike.
            state: the initial state; None starts from zero.
            engine: the name of an engine, or None for the default one.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        Y, _, tape = self.forward(params, X, state, lengths, engine)
        value, dY = evaluate(loss, Y, y, lengths, sample_weight)
        return value, self.backward(params, tape, dY)

    def _forward(
        self, params: Params, X: Array, state: Any, lengths: Array | None, engine: str | None
    ) -> tuple[Array, tuple[Any, ...], tuple[Any, ...]]:
        states, tapes = [], []
        for i, initial in enumerate(self._states("state", state)):
            X, final_state, tape = self.layers[i]._forward(self._of(params, i), X, initial, lengths, engine)
            states.append(final_state)
            tapes.append(tape)
        return X, tuple(states), tuple(tapes)

    def _backward(self, params: Params, tape: tuple[Any, ...], dY: Array, dstate: Any) -> Gradients:
        dparams: Params = {}
        dstates = list(self._states("dstate", dstate))
        for i in reversed(range(len(self.layers))):
            grads = self.layers[i]._backward(self._of(params, i), tape[i], dY, dstates[i])
            dparams = {f"{i}/{name}": grad for name, grad in grads.params.items()} | dparams
            dY, dstates[i] = grads.X, grads.state
        return Gradients(dparams, dY, tuple(dstates))

    def _output_shape(self, tape: tuple[Any, ...]) -> tuple[int, ...]:
        return self.layers[-1]._output_shape(tape[-1])

    def _of(self, params: Params, i: int) -> Params:
        """Return the parameters of layer ``i`` under their own names."""
        return {name: params[f"{i}/{name}"] for name in self.layers[i].parameters()}

    def _states(self, argument: str, state: Any) -> tuple[Any, ...]:
        if state is None:
            return (None,) * len(self.layers)
        if not isinstance(state, tuple | list) or len(state) != len(self.layers):
            raise ShapeError(
                f"{argument} must be a tuple with the state of each of the {len(self.layers)} layers,"
                f" None for a layer without one; got {type(state).__name__}."
            )
        return tuple(state)
