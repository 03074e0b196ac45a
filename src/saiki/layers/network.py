"""A network: layers one after another. It is a layer itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params
from saiki.engines import get_engine
from saiki.engines.chain import Chain, Link, Links, Read
from saiki.engines.tape import Goal, Update
from saiki.errors import ArgumentError, SaikiError, ShapeError
from saiki.initializers import Parameter
from saiki.layers.bidirectional import Bidirectional
from saiki.layers.conv import Conv1D
from saiki.layers.dense import Dense
from saiki.layers.dropout import Dropout
from saiki.layers.embedding import Embedding
from saiki.layers.layer import (
    Context,
    Gradients,
    Layer,
    Linked,
    Result,
    as_numbers,
    final_state_of,
    links_of,
    run_backward,
    run_forward,
)
from saiki.layers.norm import LayerNorm
from saiki.layers.readout import Readout
from saiki.layers.recurrent import GRU, LSTM, Recurrent, SimpleRNN
from saiki.layers.updating import check_optimizer, updated
from saiki.losses import Loss, as_loss, evaluate
from saiki.optimizers import Optimizer


@final
@dataclass(frozen=True)
class Network(Linked):
    """Layers one after another, each taking the outputs of the one before.

    Its parameters are those of its layers, under ``"0/Wx"``, ``"1/W"``, ...; its state is a tuple with the state of
    each layer, None for a layer without one.

    Args:
        layers: the layers, from input to output.

    Raises:
        ArgumentError: no layers, or something that is none.
        ShapeError: a layer does not take as many features as the one before gives.

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
        given: int | None = None
        turned = 0  # how many features, at the end, come from a direction that reads backwards
        for i, layer in enumerate(layers):
            taken, gives = layer.sizes
            if None not in (given, taken) and given != taken:
                raise ShapeError(f"layers[{i}] must take {given} features, as come from before it; it takes {taken}.")
            if isinstance(layer, Readout) and layer.kind == "last" and layer.n_reversed != turned:
                raise ArgumentError(
                    f"layers[{i}] must be Readout('last', n_reversed={turned}), as {turned} features before it read"
                    f" backwards and end at the first step; got n_reversed={layer.n_reversed}."
                )
            given = given if gives is None else gives
            if isinstance(layer, Bidirectional):
                turned = layer.layer.n_units
            elif isinstance(layer, Recurrent):
                turned = layer.n_units if layer.reverse else 0
            elif not isinstance(layer, Dropout | LayerNorm):
                turned = 0
        object.__setattr__(self, "layers", tuple(layers))

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The number of features that the first layer takes, and that the last one gives."""
        taken = next((layer.sizes[0] for layer in self.layers if layer.sizes[0] is not None), None)
        given = next((layer.sizes[1] for layer in reversed(self.layers) if layer.sizes[1] is not None), None)
        return taken, given

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return networks that put every kind of layer before and after others."""
        return [
            cls([SimpleRNN(2, 3), SimpleRNN(3, 2, "sigmoid"), Dense(2, 1, "sigmoid", bias=False)]),
            cls([Embedding(5, 2), Dropout(0.3), GRU(2, 3, recurrent_dropout=0.3), Readout("each"), Dense(3, 2)]),
            cls([Bidirectional(LSTM(2, 2)), Readout("last", n_reversed=2), LayerNorm(4), Dense(4, 3)]),
            cls([Conv1D(2, 3, 2, stride=2, activation="tanh"), LayerNorm(3), LSTM(3, 2), Readout("mean")]),
            cls([Recurrent("mingru", 2, 3), Network([Recurrent("indrnn", 3, 2), Readout("max")]), Dense(2, 2)]),
        ]

    @property
    def has_dropout(self) -> bool:
        """Whether training draws at random what to drop."""
        return any(
            layer.has_dropout
            if isinstance(layer, Network)
            else (isinstance(layer, Dropout) and layer.rate > 0) or _recurrent_dropout(layer) > 0
            for layer in self.layers
        )

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of all layers: shape, fan-in and blocks."""
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
        loss: str | Loss = "cross_entropy",
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        state: Any = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
        tbptt: int | None = None,
        total: float | None = None,
    ) -> tuple[Any, Gradients]:
        """Return the mean loss over what exists, and its gradients.

        Args:
            params: the parameters, as ``init`` makes them.
            X: ``(B, T, n_in)``.
            y: targets, as ``saiki.losses.evaluate`` takes them; NaN is a missing one.
            loss: the name of a loss, or a loss itself.
            lengths: ``(B,)``, or None where all steps exist.
            sample_weight: ``(B,)`` or ``(B, T)``, or None where all targets count alike.
            state: the initial state; None starts from zero.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout; None drops nothing.
            tbptt: the window of truncated backpropagation through time, or None for the full gradient.
            total: what the weighted sum of the losses is divided by; see ``saiki.losses.evaluate``.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        chain = self._at_once(state, rng, tbptt)
        X = as_numbers("X", X, params) if chain is not None else X
        goal = Goal(y, as_loss(loss), sample_weight, total)
        at_once = chain and get_engine(engine).learn(chain, params, X, goal, lengths)
        if at_once:
            value, dparams, dX, dstates = at_once
            return value, Gradients(dparams, dX, self.final_state(iter(dstates)))
        Y, _, tape, lengths = self._checked_forward(params, X, state, lengths, engine, rng)
        value, dY = evaluate(loss, Y, y, lengths, sample_weight, total)
        return value, self._unchecked_backward(params, tape, dY, None, tbptt)

    def update(
        self,
        params: Params,
        optimizer: Optimizer,
        optimizer_state: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        loss: str | Loss = "cross_entropy",
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
        tbptt: int | None = None,
        total: float | None = None,
    ) -> Update:
        """Make one step of training: loss, gradients, and an update of the parameters, which come back as new arrays.

        Args:
            params: the parameters before the update.
            optimizer: turns gradients into updates.
            optimizer_state: what ``optimizer.init(params)`` made, or the update before returned.
            X: ``(B, T, n_in)``.
            y: targets; like all that follows, as for ``loss_and_gradients``.
            loss: the name of a loss, or a loss itself.
            lengths: ``(B,)``, or None where all steps exist.
            sample_weight: ``(B,)`` or ``(B, T)``, or None where all targets count alike.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout; None drops nothing.
            tbptt: the window of truncated backpropagation through time, or None for the full gradient.
            total: what the weighted sum of the losses is divided by; see ``saiki.losses.evaluate``.

        Returns:
            The loss before the update, the parameters and the optimizer's state after it, and whether all are finite.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.

        >>> from saiki.optimizers import adam
        >>> net, optimizer = Network([SimpleRNN(2, 16), Dense(16, 1)]), adam(0.01)
        >>> params = net.init(np.random.default_rng(0))
        >>> X, y = np.ones((3, 5, 2)), np.zeros((3, 5))
        >>> update = net.update(params, optimizer, optimizer.init(params), X, y, "huber")
        >>> bool(net.loss_and_gradients(update.params, X, y, "huber")[0] < update.loss)
        True
        """
        check_optimizer(optimizer)
        chain = self._at_once(None, rng, tbptt)
        if chain is not None:
            X = as_numbers("X", X, params)
            goal = Goal(y, as_loss(loss), sample_weight, total)
            at_once = get_engine(engine).train(chain, params, X, goal, lengths, optimizer, optimizer_state)
            if at_once is not None:
                return at_once

        def learn() -> tuple[Any, Params]:
            value, grads = self.loss_and_gradients(
                params, X, y, loss, lengths, sample_weight, None, engine, rng, tbptt, total
            )
            return value, grads.params

        return updated(params, optimizer, optimizer_state, learn)

    def updates(
        self,
        params: Params,
        optimizer: Optimizer,
        optimizer_state: Any,
        pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
        loss: str | Loss = "cross_entropy",
        engine: str | None = None,
    ) -> Iterator[Update]:
        """Make one step of training for each pair of inputs and targets, in order; see ``update``.

        An engine may make them all before the first is told of: for small networks that is several times as fast.

        Args:
            params: the parameters before the first update.
            optimizer: turns gradients into updates.
            optimizer_state: what ``optimizer.init(params)`` made, or the update before returned.
            pairs: ``(X, y)`` for each step; not empty.
            loss: the name of a loss, or a loss itself.
            engine: the name of an engine, or None for the default one.

        Yields:
            What each step has changed.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        at_once = self._chain and get_engine(engine).train_all(
            self._chain, params, pairs, as_loss(loss), optimizer, optimizer_state
        )
        if at_once:
            yield from at_once
            return
        for X, y in pairs:
            update = self.update(params, optimizer, optimizer_state, X, y, loss, engine=engine)
            params, optimizer_state = update.params, update.optimizer_state
            yield update

    def _at_once(self, state: Any, rng: Any, tbptt: Any) -> Chain | None:
        """Return what an engine may run at once, with these options; None if the layers are to run one by one."""
        plain = state is None and tbptt is None
        drops = rng is not None and (self.has_dropout or not isinstance(rng, np.random.Generator))
        return self._chain if plain and not drops else None

    def links(self) -> Links | None:
        """Return the links of all layers, one after another; None if one of them is no link."""
        links: list[Link | Read] = []
        for i, layer in enumerate(self.layers):
            own = links_of(layer)
            if own is None:
                return None
            for link in own:
                names = {name: f"{i}/{key}" for name, key in link.names.items()} if isinstance(link, Link) else {}
                if any(isinstance(before, Read) for before in links) and (isinstance(link, Read) or link.carries):
                    return None  # which needs the time axis that has been read out; the layers say so
                links.append(replace(link, names=names) if isinstance(link, Link) else link)
        return tuple(links)

    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> tuple[Any, ...]:
        """Return the final state of each layer."""
        return tuple(final_state_of(layer, finals) for layer in self.layers)

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        states, tapes = [], []
        for i, initial in enumerate(self._states("state", state)):
            try:
                X, final_state, tape, lengths = run_forward(self.layers[i], self._of(params, i), X, initial, context)
            except SaikiError as error:
                raise type(error)(f"layers[{i}]: {error}") from error
            context = context._replace(lengths=lengths)
            states.append(final_state)
            tapes.append(tape)
        return Result(X, tuple(states), tuple(tapes), context.lengths)

    def _backward(self, params: Params, tape: tuple[Any, ...], dY: Array, dstate: Any, tbptt: int | None) -> Gradients:
        dparams: Params = {}
        dstates = list(self._states("dstate", dstate))
        for i in reversed(range(len(self.layers))):
            grads = run_backward(self.layers[i], self._of(params, i), tape[i], dY, dstates[i], tbptt)
            dparams = {f"{i}/{name}": grad for name, grad in grads.params.items()} | dparams
            dY, dstates[i] = grads.X, grads.state
        return Gradients(dparams, dY, tuple(dstates))

    def _of(self, params: Params, i: int) -> Params:
        """Return the parameters of layer ``i`` under their own names."""
        prefix = f"{i}/"
        return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}

    def _states(self, argument: str, state: Any) -> tuple[Any, ...]:
        if state is None:
            return (None,) * len(self.layers)
        if not isinstance(state, tuple | list) or len(state) != len(self.layers):
            raise ShapeError(
                f"{argument} must be a tuple with the state of each of the {len(self.layers)} layers,"
                f" None for a layer without one; got {type(state).__name__}."
            )
        return tuple(state)


def _recurrent_dropout(layer: Layer) -> float:
    """Return the share of recurrent dropout of a layer."""
    inner = layer.layer if isinstance(layer, Bidirectional) else layer
    return inner.recurrent_dropout if isinstance(inner, Recurrent) else 0.0
