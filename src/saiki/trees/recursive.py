"""The recursive layer: any cell over trees, walked by an engine from the leaves to the roots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import (
    Array,
    Params,
    as_count,
    as_float,
    check_finite,
    check_one_precision,
    check_params,
    check_shape,
    in_c_order,
)
from saiki.cells.trees import TREE_CELLS, TreeCell, as_tree_cell
from saiki.engines import get_tree_engine
from saiki.engines.tree_tape import Nodes, TreeTape
from saiki.errors import ArgumentError, ShapeError
from saiki.initializers import Parameter, Scheme, initialize
from saiki.layers.layer import Gradients, precision_of
from saiki.maths import ACTIVATIONS
from saiki.properties import cached_property
from saiki.trees.forest import Forest


class RecursiveTape(NamedTuple):
    """What ``forward`` returns for ``backward``: who wrote it, with which engine, and the engine's own tape."""

    layer: "Recursive"
    engine: str | None
    tape: TreeTape


@final
@dataclass(frozen=True)
class Recursive:
    """A layer that runs a cell from the leaves of trees to their roots.

    Parameters: ``Wx (n_features, G * n_units)``, where the G gates are column blocks in the order of the cell's
    signature; ``Wh (2 * n_units, R * n_units)`` for the gates that see the children, the rows of the left child above
    those of the right one, or ``(n_units, R * n_units)`` for a cell that adds its children up; with ``bias``,
    ``b (G * n_units,)``; the cell's own vectors ``(n_units,)``.

    Args:
        cell: the name of a cell of ``saiki.cells.TREE_CELLS``, or a ``TreeCell``.
        n_features: the number of features F of an input.
        n_units: the number of units H.
        bias: whether there is a bias.

    Raises:
        ArgumentError: an unknown cell, or a size below 1.

    >>> from saiki.trees import Forest, Tree
    >>> a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    >>> forest = Forest.of([Tree.from_nested((a, (b, a))), Tree.from_nested((a, b))])
    >>> layer = Recursive("lstm", n_features=2, n_units=3)
    >>> params = layer.init(np.random.default_rng(0))
    >>> H, tape = layer.forward(params, forest)
    >>> H.shape, layer.backward(params, tape, np.ones_like(H)).params["Wh"].shape
    ((8, 3), (6, 15))
    """

    cell: TreeCell
    n_features: int
    n_units: int
    bias: bool = True

    def __init__(self, cell: str | TreeCell, n_features: int, n_units: int, bias: bool = True) -> None:
        values = {
            "cell": as_tree_cell(cell),
            "n_features": as_count("n_features", n_features),
            "n_units": as_count("n_units", n_units),
            "bias": bool(bias),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features of an input, and of units."""
        return self.n_features, self.n_units

    @classmethod
    def examples(cls) -> "list[Recursive]":
        """Return a layer for every cell, activation and option."""
        layers = [cls(cell, 2, 3, bias) for cell in TREE_CELLS.values() for bias in (True, False)]
        chosen = [cell for cell in TREE_CELLS.values() if cell.activation]
        return layers + [cls(cell.with_activation(name), 2, 3) for cell in chosen for name in ACTIVATIONS]

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape, fan-in and blocks."""
        F, H, cell = self.n_features, self.n_units, self.cell
        parameters = {"Wx": Parameter((F, len(cell.gates) * H), F, cell.gates)}
        if cell.recurrent:
            below = H if cell.child is not None else 2 * H
            parameters["Wh"] = Parameter((below, len(cell.recurrent) * H), below, cell.recurrent)
        if self.bias:
            parameters["b"] = Parameter((len(cell.gates) * H,), None, cell.gates)
        return parameters | {name: Parameter((H,), H) for name in cell.vectors}

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: parameter.shape for name, parameter in self.parameters().items()}

    def init(self, rng: np.random.Generator, scheme: Scheme = "xavier", dtype: npt.DTypeLike = np.float64) -> Params:
        """Draw parameters: weights by ``scheme``, each by its own fan-in, and zero biases; see ``Layer.init``."""
        return initialize(rng, self.parameters(), scheme, dtype)

    def forward(
        self, params: Params, X: "Forest | Sequence[Any]", engine: str | None = None
    ) -> tuple[Array, RecursiveTape]:
        """Run the layer.

        Args:
            params: the parameters, as ``init`` makes them.
            X: a ``Forest`` with vectors of ``n_features`` numbers, or a list of trees with such vectors.
            engine: the name of an engine, or None for the default one.

        Returns:
            The states h of all nodes ``(N, n_units)``, one tree after another, and the tape that ``backward`` needs.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        check_params(params, self._shapes)
        forest = as_forest(X)
        if forest.of_tokens or forest.inputs.shape[1] != self.n_features:
            got = "tokens" if forest.of_tokens else f"vectors of {forest.inputs.shape[1]}"
            raise ShapeError(
                f"X must hold vectors of {self.n_features} numbers, as the layer was made for; got {got}."
                + (" Put an Embedding before it, in a TreeNetwork." if forest.of_tokens else "")
            )
        self.check_children(forest)
        inputs = as_float("X", forest.inputs, precision_of(params))
        check_finite("X", inputs[forest.has_input])
        check_one_precision({"X": inputs} | {f"params[{k!r}]": v for k, v in params.items()})
        return self._forward(params, forest.nodes, inputs, engine)

    def backward(self, params: Params, tape: RecursiveTape, dH: npt.ArrayLike) -> Gradients:
        """Run the layer backwards.

        Args:
            params: the parameters that the forward pass was given.
            tape: what the forward pass returned.
            dH: the gradient of the loss with respect to the states h of all nodes ``(N, n_units)``.

        Returns:
            The gradients of the parameters, and of the inputs ``(N, n_features)``.

        Raises:
            ShapeError, DtypeError: dH does not have the shape and precision of what it is the gradient of.
        """
        check_params(params, self._shapes)
        if not isinstance(tape, RecursiveTape) or tape.layer != self:
            raise ArgumentError(f"tape must be what this layer's forward returned second; got {type(tape).__name__}.")
        dH = as_float("dH", dH, precision_of(params))
        check_shape("dH", dH, (len(tape.tape.x), self.n_units), "(n_nodes, n_units)")
        check_one_precision({"dH": dH} | {f"params[{k!r}]": v for k, v in params.items()})
        check_finite("dH", dH)
        return self._backward(params, tape, dH)

    def check_children(self, forest: Forest) -> None:
        """Raise an ``ArgumentError`` where a node has more children than the cell takes."""
        check_children(self.cell, forest)

    def _forward(self, params: Params, nodes: Nodes, inputs: Array, engine: str | None) -> tuple[Array, RecursiveTape]:
        params = {name: in_c_order(param) for name, param in params.items()}  # on which the order of sums depends
        H, tape = get_tree_engine(engine).climb(self.cell, params, inputs, nodes)
        return H, RecursiveTape(self, engine, tape)

    def _backward(self, params: Params, tape: RecursiveTape, dH: Array) -> Gradients:
        params = {name: in_c_order(param) for name, param in params.items()}
        grads, dX = get_tree_engine(tape.engine).descend(self.cell, params, tape.tape, dH)
        return Gradients(grads, dX, None)


def check_children(cell: TreeCell, forest: Forest) -> None:
    """Raise an ``ArgumentError`` where a node has more children than a cell takes."""
    if cell.child is None and forest.places.max(initial=0) > 1:
        node = int(forest.places.argmax())
        tree = int(forest.owners()[node])
        n = int((forest.parents[forest.owners() == tree] == forest.parents[node]).sum())
        raise ArgumentError(
            f"X must hold trees whose nodes have at most two children, for cells of the kind {cell.name!r};"
            f" node {forest.parents[node]} of X[{tree}] has {n}. Choose 'child_sum_lstm', which takes any"
            " number, or give saiki.trees.as_tree(tree).binarized()."
        )


def as_forest(X: "Forest | Sequence[Any]") -> Forest:
    """Return a forest, or trees with vectors as one."""
    if not isinstance(X, Forest | list | tuple):
        raise ArgumentError(f"X must be a Forest or a list of trees; got {type(X).__name__}.")
    return X if isinstance(X, Forest) else Forest.of(X)
