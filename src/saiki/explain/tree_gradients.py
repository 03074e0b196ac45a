"""The certificate of whatever runs over trees."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from saiki.arrays import Array, Params, check_params, existing_steps
from saiki.cells.trees import TreeCell
from saiki.errors import ArgumentError
from saiki.explain.certificate import Certificate, away_from_zero, certified
from saiki.explain.culprits import blame
from saiki.layers import Gradients
from saiki.layers.layer import precision_of
from saiki.losses import Loss, loss_for
from saiki.trees import Forest, Recursive, Tree, TreeNetwork
from saiki.trees.parser import Parser
from saiki.trees.recursive import as_forest
from saiki.trees.shapes import shapes_of

TREE_MODELS = TreeCell, Recursive, TreeNetwork, Parser
"""What runs over trees."""

DRAWN_SIZES = 7, 1, 3, 5, 2
"""How many leaves or so each drawn tree has: unsorted, with one among them that is but a leaf."""

APART = 1e-2
"""Far more than the steps of a central difference, and little enough to stay among the vectors that were given."""


def check_tree_gradients(
    model: Any,
    X: Any,
    y: Any,
    params: Params | None,
    loss: str | Loss | None,
    lengths: Any,
    sample_weight: Any,
    seed: int,
    engine: str | None,
    check: Callable[..., object],
) -> Certificate:
    """Compare every gradient of a model over trees with the true one; see ``check_gradients``, which is ``check``."""
    model = Recursive(model, 2, 3) if isinstance(model, TreeCell) else model
    if y is not None and isinstance(model, Recursive):
        raise ArgumentError(f"y goes with a network; got a {type(model).__name__}. Leave y out.")
    if loss is not None and (y is None or isinstance(model, Parser)):
        raise ArgumentError("loss goes with y, the targets of a TreeNetwork, that it is the loss of; leave it out.")
    if params is not None:
        check_params(params, {name: p.shape for name, p in model.parameters().items()})
    rng = np.random.default_rng(seed)
    if isinstance(model, Parser):
        return _check_parser(model, X, y, params, lengths, sample_weight, rng, engine)
    if lengths is not None:
        raise ArgumentError("lengths are those of sequences; trees have none. Leave it out.")
    forest = draw_forest(model, rng) if X is None else as_forest(X)
    dtype = precision_of(params) if params else np.dtype(np.float64 if forest.of_tokens else forest.inputs.dtype)
    params = draw_params(model, rng, dtype) if params is None else params
    Y, _ = _forward(model, params, forest, engine, seed)
    dY, of_loss = away_from_zero(rng, Y.shape).astype(Y.dtype), loss or loss_for(Y, y)

    def run(of: Params, forest: Forest, engine: str | None) -> tuple[Any, Callable[[], Gradients]]:
        """Run the model to one number, and promise its gradients; dropout is the same every time."""
        if y is not None:
            again = np.random.default_rng(seed)
            total, grads = model.loss_and_gradients(of, forest, y, of_loss, sample_weight, engine, again)
            return total, lambda: grads
        Y, tape = _forward(model, of, forest, engine, seed)
        return (Y * dY).sum(), lambda: model.backward(of, tape, dY)

    def value(at: Mapping[str, Array]) -> Any:
        moved = forest if forest.of_tokens else replace(forest, inputs=at["X"])
        return run({name: at[name] for name in params}, moved, "reference")[0]

    grads = run(params, forest, engine)[1]()
    found, at = dict(grads.params), dict(params)
    if not forest.of_tokens:
        found["X"] = grads.X
        at["X"] = np.where(forest.has_input[:, None], forest.inputs, 0)

    def culprit() -> str:
        given = None if y is None else (of_loss, Y, {"y": y, "sample_weight": sample_weight})
        layers = [model] if isinstance(model, Recursive) else model.layers
        named = [(f"layer {k} ({type(layer).__name__})", layer) for k, layer in enumerate(layers)]
        return blame(given, named, lambda part: check(part, seed=seed, engine=engine))

    return certified(repr(model), value, at, found, rng, dtype == np.float32, culprit)


def _check_parser(
    model: Parser,
    X: Any,
    y: Any,
    params: Params | None,
    lengths: Any,
    sample_weight: Any,
    rng: np.random.Generator,
    engine: str | None,
) -> Certificate:
    """Compare the gradients of a margin loss with the true ones.

    Vectors are moved by ``APART`` of the largest number among them first: where one comes twice, joins score exactly
    alike, and where the search finds another tree the loss has a kink, and no gradient.
    """
    if (X is None) != (y is None):
        raise ArgumentError("X and y, the known trees of its sequences, go together; give both or neither.")
    dtype = precision_of(params) if params else np.dtype(np.float64)
    if X is None:
        lengths = np.array(DRAWN_SIZES)
        shape = len(lengths), int(lengths.max()), model.sizes[0]
        X = rng.integers(model.n_tokens, size=shape) if model.n_tokens else away_from_zero(rng, shape)
        y = shapes_of([Tree.left_branching(list(range(length))) for length in lengths.tolist()])
    X, lengths = model._checked(X, lengths)
    y = y if isinstance(y, Forest) else shapes_of(y)
    params = draw_params(model, rng, dtype) if params is None else params
    if not model.n_tokens:
        largest = np.abs(X[existing_steps(lengths, X.shape[1])]).max(initial=0)
        X = X + (APART * largest * rng.standard_normal(X.shape)).astype(X.dtype)

    def value(at: Mapping[str, Array]) -> Any:
        of = {name: at[name] for name in params}
        return model.loss_and_gradients(of, at.get("X", X), y, lengths, sample_weight, "reference")[0]

    _, grads = model.loss_and_gradients(params, X, y, lengths, sample_weight, engine)
    found = dict(grads.params) | ({} if model.n_tokens else {"X": grads.X})
    at = dict(params) | ({} if model.n_tokens else {"X": X})
    return certified(
        repr(model), value, at, found, rng, dtype == np.float32, lambda: blame(None, [("Parser", model)], repr)
    )


def draw_forest(model: Any, rng: np.random.Generator) -> Forest:
    """Draw trees of all forms that a model takes, with an input at every leaf and at some other nodes."""
    most = None if any(cell.child is None for cell in _cells(model)) else 4
    n_tokens, n_features = getattr(model, "n_tokens", None), model.sizes[0] or 2
    trees = []
    for size in DRAWN_SIZES:
        parents, free = [-1], [0]
        while len(parents) < size:
            node = free[int(rng.integers(len(free)))]
            for _ in range(int(rng.integers(1, most + 1)) if most else 2):
                free.append(len(parents))
                parents.append(node)
            free.remove(node)
        leaf = np.bincount(np.array(parents) + 1, minlength=len(parents) + 1)[1:] == 0
        has = leaf | (rng.random(len(parents)) < 0.5)
        inputs = (
            rng.integers(n_tokens, size=len(parents)) if n_tokens else away_from_zero(rng, (len(parents), n_features))
        )
        values = [value if there else None for value, there in zip(inputs, has, strict=True)]
        trees.append(Tree(parents, values))
    return Forest.of(trees, {i: i for i in range(n_tokens)} if n_tokens else None)


def draw_params(model: Any, rng: np.random.Generator, dtype: Any) -> Params:
    """Draw parameters, none of them zero."""
    drawn: Params = model.init(rng, dtype=dtype)
    constants = (name for name, p in model.parameters().items() if p.fan_in is None)
    return drawn | {name: away_from_zero(rng, drawn[name].shape).astype(dtype) for name in constants}


def _cells(model: Any) -> list[TreeCell]:
    layers = [model] if isinstance(model, Recursive) else model.layers
    return [layer.cell for layer in layers if isinstance(layer, Recursive)]


def _forward(model: Any, params: Params, forest: Forest, engine: str | None, seed: int) -> tuple[Array, Any]:
    if isinstance(model, Recursive):
        return model.forward(params, forest, engine)
    Y, tape = model.forward(params, forest, engine, np.random.default_rng(seed))
    return Y, tape
