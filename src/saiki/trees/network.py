"""A network over trees: recursive layers between an embedding and an output, at each root or at each node."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import (
    Array,
    Params,
    as_float,
    check_finite,
    check_one_precision,
    check_params,
    check_shape,
    in_c_order,
)
from saiki.engines import get_engine
from saiki.engines.tape import Update
from saiki.errors import ArgumentError, SaikiError, ShapeError, choose
from saiki.initializers import Parameter, Scheme, initialize
from saiki.layers import Dense, Dropout, Embedding, Gradients, LayerNorm
from saiki.layers.layer import Context, precision_of
from saiki.layers.updating import updated
from saiki.losses import Loss, evaluate
from saiki.optimizers import Optimizer
from saiki.properties import cached_property
from saiki.trees.forest import Forest
from saiki.trees.recursive import Recursive, as_forest

TreeLayer: TypeAlias = Recursive | Dense | Dropout | Embedding | LayerNorm
"""What a network over trees may have: recursive layers, and such as treat every node by itself."""

OUTPUTS = {"root": False, "each": True}
"""What is said: one thing of a tree, at its root, or something of each node."""


class TreeNetworkTape(NamedTuple):
    """What ``forward`` returns for ``backward``; what it knows of the forest is its own, whatever becomes of that."""

    network: "TreeNetwork"
    engine: str | None
    roots: Array
    mask: Array | None
    n_nodes: int
    layers: tuple[Any, ...]
    output_shape: tuple[int, ...]


@final
@dataclass(frozen=True)
class TreeNetwork:
    """Layers one after another over trees; what follows the last recursive layer sees the roots, or each node.

    Its parameters are those of its layers, under ``"0/W"``, ``"1/Wx"``, ... A second recursive layer takes the states
    of the first as the inputs of all nodes.

    Args:
        layers: the layers, from input to output, a recursive one among them; an ``Embedding`` comes first.
        output: "root", one output for each tree ``(B, K)``, or "each", one for each node of all trees ``(N, K)``.

    Raises:
        ArgumentError: no recursive layer, something that is no layer over trees, or another output.
        ShapeError: a layer does not take as many features as the one before gives.

    >>> from saiki.trees import Tree, vocabulary_of
    >>> trees = [Tree.from_nested(("not", ("not", "true"))), Tree.from_nested(("not", "true"))]
    >>> forest = Forest.of(trees, vocabulary_of(trees))
    >>> net = TreeNetwork([Embedding(2, 4), Recursive("lstm", 4, 8), Dense(8, 2)])
    >>> params = net.init(np.random.default_rng(0))
    >>> loss, grads = net.loss_and_gradients(params, forest, [1, 0])
    >>> net.predict(params, forest).shape, grads.params["1/Wh"].shape
    ((2, 2), (16, 40))
    """

    layers: tuple[TreeLayer, ...]
    output: str = "root"

    def __init__(self, layers: Sequence[TreeLayer], output: str = "root") -> None:
        choose("output", output, OUTPUTS)
        if not isinstance(layers, Sequence) or not any(isinstance(layer, Recursive) for layer in layers):
            raise ArgumentError(
                "layers must be a list with a Recursive layer in it; got"
                f" {[type(layer).__name__ for layer in layers] if isinstance(layers, Sequence) else layers!r}. Try"
                " TreeNetwork([Recursive('lstm', 2, 16), Dense(16, 1)])."
            )
        given: int | None = None
        for i, layer in enumerate(layers):
            if not isinstance(layer, TreeLayer) or (isinstance(layer, Embedding) and i > 0):
                raise ArgumentError(
                    f"layers[{i}] must be a Recursive, Dense, Dropout or LayerNorm layer, or first an Embedding;"
                    f" got {type(layer).__name__}."
                )
            taken, gives = layer.sizes
            if None not in (given, taken) and given != taken:
                raise ShapeError(f"layers[{i}] must take {given} features, as come from before it; it takes {taken}.")
            given = given if gives is None else gives
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "output", output)

    @classmethod
    def examples(cls) -> "list[TreeNetwork]":
        """Return networks that put every kind of layer before and after others."""
        return [
            cls([Embedding(5, 3), Recursive("lstm", 3, 4), Dense(4, 3)]),
            cls([Embedding(5, 3), Dropout(0.2), Recursive("gru", 3, 4), Dropout(0.3), Dense(4, 3)], "each"),
            cls([Recursive("simple", 2, 3), LayerNorm(3), Recursive("child_sum_lstm", 3, 4), Dense(4, 2)], "each"),
            cls([Dense(2, 3, "tanh"), Recursive("child_sum_lstm", 3, 4), Dense(4, 3, "tanh"), Dense(3, 2)]),
        ]

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The number of features that the first layer takes, and that the last one gives."""
        taken = next((layer.sizes[0] for layer in self.layers if layer.sizes[0] is not None), None)
        given = next((layer.sizes[1] for layer in reversed(self.layers) if layer.sizes[1] is not None), None)
        return taken, given

    @property
    def has_dropout(self) -> bool:
        """Whether training draws at random what to drop."""
        return any(isinstance(layer, Dropout) and layer.rate > 0 for layer in self.layers)

    @property
    def n_tokens(self) -> int | None:
        """How many tokens it knows; None where it takes vectors."""
        first = self.layers[0]
        return first.n_tokens if isinstance(first, Embedding) else None

    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters of all layers: shape, fan-in and blocks."""
        return {f"{i}/{k}": p for i, layer in enumerate(self.layers) for k, p in layer.parameters().items()}

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: parameter.shape for name, parameter in self.parameters().items()}

    @cached_property
    def _last_recursive(self) -> int:
        return max(i for i, layer in enumerate(self.layers) if isinstance(layer, Recursive))

    def init(self, rng: np.random.Generator, scheme: Scheme = "xavier", dtype: npt.DTypeLike = np.float64) -> Params:
        """Draw parameters: weights by ``scheme``, each by its own fan-in, and zero biases; see ``Layer.init``."""
        return initialize(rng, self.parameters(), scheme, dtype)

    def forward(
        self,
        params: Params,
        X: "Forest | Sequence[Any]",
        engine: str | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, TreeNetworkTape]:
        """Run the network.

        Args:
            params: the parameters, as ``init`` makes them.
            X: a ``Forest``, or a list of trees with vectors.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout while training; None, for predictions, drops nothing.

        Returns:
            The outputs, one for each tree ``(B, K)`` or for each node ``(N, K)``, and the tape that ``backward`` needs.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        get_engine(engine)
        check_params(params, self._shapes)
        params = {name: in_c_order(param) for name, param in params.items()}  # on which the order of sums depends
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise ArgumentError(f"rng must be a numpy Generator or None; got {rng!r}. Try np.random.default_rng(0).")
        forest = as_forest(X)
        if forest.of_tokens != (self.n_tokens is not None):
            has = "tokens, whose network begins with an Embedding" if forest.of_tokens else "vectors, not tokens"
            raise ArgumentError(f"X has {has}; this network begins with {type(self.layers[0]).__name__}.")
        values = forest.inputs
        if not forest.of_tokens:
            values = as_float("X", values, precision_of(params))
            check_finite("X", values[forest.has_input])
            check_one_precision({"X": values} | {f"params[{k!r}]": v for k, v in params.items()})
        return self._forward(params, forest, values, Context(None, engine, rng))

    def _forward(
        self, params: Params, forest: Forest, values: Array, context: Context
    ) -> tuple[Array, TreeNetworkTape]:
        tapes: list[Any] = []
        nodes = forest.nodes
        mask = known = None if forest.has_input.all() else forest.has_input.copy()
        values = values if isinstance(self.layers[0], Recursive) else values.copy()  # the tape keeps them
        with get_engine(context.engine).running():
            for i, layer in enumerate(self.layers):
                own = self._of(params, i)
                try:
                    if isinstance(layer, Recursive):
                        layer.check_children(forest)
                        values, tape = layer._forward(own, nodes, values, context.engine)
                        nodes, mask = nodes._replace(has_input=np.ones(forest.n_nodes, bool)), None
                        if i == self._last_recursive and not OUTPUTS[self.output]:
                            values = values[forest.roots]
                    else:
                        Y, _, tape, _ = layer._forward(own, _some(values, mask)[None], None, context)
                        values = _spread(Y[0], mask)
                except SaikiError as error:
                    raise type(error)(f"layers[{i}]: {error}") from error
                tapes.append(tape)
        values = values if isinstance(self.layers[-1], Recursive) else values.copy()  # the tape has them too
        roots, n_nodes = forest.roots, forest.n_nodes
        return values, TreeNetworkTape(self, context.engine, roots, known, n_nodes, tuple(tapes), values.shape)

    def backward(self, params: Params, tape: TreeNetworkTape, dY: npt.ArrayLike) -> Gradients:
        """Run the network backwards.

        Args:
            params: the parameters that the forward pass was given.
            tape: what the forward pass returned.
            dY: the gradient of the loss with respect to the outputs.

        Returns:
            The gradients of the parameters, and of the inputs ``(N, F)``, zero for tokens.

        Raises:
            ShapeError, DtypeError: dY does not have the shape and precision of what it is the gradient of.
        """
        check_params(params, self._shapes)
        if not isinstance(tape, TreeNetworkTape) or tape.network != self:
            raise ArgumentError(f"tape must be what this network's forward returned second; got {type(tape).__name__}.")
        dY = as_float("dY", dY, precision_of(params))
        check_shape("dY", dY, tape.output_shape, "the shape of the outputs")
        check_one_precision({"dY": dY} | {f"params[{k!r}]": v for k, v in params.items()})
        check_finite("dY", dY)
        return self._backward(params, tape, dY)

    def _backward(self, params: Params, tape: TreeNetworkTape, dY: Array) -> Gradients:
        dparams = dict[str, Array]()
        params = {name: in_c_order(param) for name, param in params.items()}
        first = next(i for i, layer in enumerate(self.layers) if isinstance(layer, Recursive))
        with get_engine(tape.engine).running():
            for i in reversed(range(len(self.layers))):
                layer, own = self.layers[i], self._of(params, i)
                if isinstance(layer, Recursive):
                    if i == self._last_recursive and not OUTPUTS[self.output]:
                        at_roots, dY = dY, np.zeros((tape.n_nodes, dY.shape[1]), dY.dtype)
                        dY[tape.roots] = at_roots
                    grads = layer._backward(own, tape.layers[i], dY)
                    dY = grads.X
                else:
                    mask = tape.mask if i < first else None
                    grads = layer._backward(own, tape.layers[i], _some(dY, mask)[None], None, None)
                    dY = _spread(grads.X[0], mask)
                dparams = {f"{i}/{name}": grad for name, grad in grads.params.items()} | dparams
        return Gradients(dparams, dY, None)

    def predict(self, params: Params, X: "Forest | Sequence[Any]", engine: str | None = None) -> Array:
        """Return the outputs of ``forward``; the arguments and errors are its own."""
        return self.forward(params, X, engine)[0]

    def loss_and_gradients(
        self,
        params: Params,
        X: "Forest | Sequence[Any]",
        y: npt.ArrayLike,
        loss: str | Loss = "cross_entropy",
        sample_weight: Sequence[float] | Array | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
        total: float | None = None,
    ) -> tuple[Any, Gradients]:
        """Return the mean loss over what exists, and its gradients.

        Args:
            params: the parameters, as ``init`` makes them.
            X: a ``Forest``, or a list of trees with vectors.
            y: targets for the outputs, ``(B,)`` or ``(B, K)``, or for each node ``(N,)`` or ``(N, K)``; NaN is missing.
            loss: the name of a loss, or a loss itself.
            sample_weight: how much each target counts: that of a tree ``(B,)``, or of each node ``(N,)``; None counts
                all alike.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout; None drops nothing.
            total: what the weighted sum of the losses is divided by; see ``saiki.losses.evaluate``.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        forest = as_forest(X)
        if OUTPUTS[self.output] and sample_weight is not None and np.shape(sample_weight) == (len(forest),):
            sample_weight = as_float("sample_weight", sample_weight)[forest.owners()]
        Y, tape = self.forward(params, forest, engine, rng)
        value, dY = evaluate(loss, Y, y, None, sample_weight, total)
        return value, self._backward(params, tape, dY)

    def update(
        self,
        params: Params,
        optimizer: Optimizer,
        optimizer_state: Any,
        X: "Forest | Sequence[Any]",
        y: npt.ArrayLike,
        loss: str | Loss = "cross_entropy",
        *,
        sample_weight: Sequence[float] | Array | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
        total: float | None = None,
    ) -> Update:
        """Make one step of training: loss, gradients, and an update of the parameters, which come back as new arrays.

        Args:
            params: the parameters before the update.
            optimizer: turns gradients into updates.
            optimizer_state: what ``optimizer.init(params)`` made, or the update before returned.
            X: a ``Forest``, or a list of trees; like all that follows, as for ``loss_and_gradients``.
            y: the targets.
            loss: the name of a loss, or a loss itself.
            sample_weight: how much each target counts.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout.
            total: what the weighted sum of the losses is divided by.

        Returns:
            The loss before the update, the parameters and the optimizer's state after it, and whether all are finite.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """

        def learn() -> tuple[Any, Params]:
            value, grads = self.loss_and_gradients(params, X, y, loss, sample_weight, engine, rng, total)
            return value, grads.params

        return updated(params, optimizer, optimizer_state, learn)

    def _of(self, params: Params, i: int) -> Params:
        """Return the parameters of layer ``i`` under their own names."""
        prefix = f"{i}/"
        return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}


def _some(values: Array, mask: Array | None) -> Array:
    """Return the rows that a layer sees which treats each by itself."""
    return values if mask is None else values[mask]


def _spread(rows: Array, mask: Array | None) -> Array:
    """Return the rows of such a layer where they belong, and zeros elsewhere."""
    if mask is None:
        return rows
    spread = np.zeros((len(mask), rows.shape[1]), rows.dtype)
    spread[mask] = rows
    return spread
