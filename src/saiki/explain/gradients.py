"""The certificate of whatever runs over sequences, of an estimator, and of whatever runs over trees."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count, as_float, check_params
from saiki.cells import Cell, as_cell
from saiki.errors import ArgumentError, DtypeError
from saiki.explain.certificate import Certificate, away_from_zero, certified
from saiki.explain.culprits import blame
from saiki.explain.problems import problem_of
from saiki.explain.tree_gradients import TREE_MODELS, check_tree_gradients, draw_params
from saiki.layers import Embedding, Gradients, Layer, Network, Recurrent
from saiki.layers.layer import map_state, precision_of
from saiki.losses import Loss, loss_for

DRAWN, DRAWN_LENGTHS = (4, 7), [3, 7, 0, 1]
"""The size of a drawn batch, and its lengths: unsorted, with one and none among them."""


def check_gradients(
    model: Any,
    X: Any = None,
    y: Any = None,
    params: Params | None = None,
    *,
    loss: str | Loss | None = None,
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    seed: int = 0,
    engine: str | None = None,
) -> Certificate:
    """Compare every gradient that a backward pass returns with the true one.

    Whatever is not given is drawn: inputs, an initial state, and parameters, none of them zero, since zeros hide wrong
    gradients. Without y the outputs and the final state are weighted at random and summed, which no wrong gradient
    survives.

    Args:
        model: a layer, a network, a cell, the name of a cell over time, or an estimator: the network that it fits, with
            the parameters that it has learnt, on data as its ``fit`` takes them. Layers, networks and cells may be over
            trees.
        X: inputs ``(B, T, F)``, a ``Forest``, or a list of trees; if None, a few ragged sequences, or trees of all
            forms.
        y: targets of a network, for ``loss``; the known trees of a parser's sequences.
        params: the parameters; float32 ones (or a float32 X) are held to a wider tolerance.
        loss: the name of a loss, or one itself, with y; None is the cross-entropy for class indices, else the squared
            error.
        lengths: ``(B,)``, with a given X.
        sample_weight: how much each target counts, with a given y.
        seed: decides what is drawn.
        engine: whose backward pass is checked, or None for the default one; the truth is the reference engine's.

    Returns:
        A certificate; print it for a table.

    Raises:
        GradientError: a gradient is wrong, or nothing can tell; the message is the table.
        ArgumentError, ShapeError, DtypeError: each names the argument, the rule, what came, and what to do.

    >>> certificate = check_gradients("lstm")
    >>> certificate.right, certificate.worst < 1e-10, list(certificate.errors)
    (True, True, ['Wx', 'Wh', 'b', 'state.0', 'state.1', 'X'])
    """
    if hasattr(model, "network_problem"):
        problem = problem_of(model, X, y, lengths=lengths, sample_weight=sample_weight)
        return check_gradients(
            problem.network, problem.X, problem.y, problem.params if params is None else params,
            loss=loss or problem.loss, lengths=problem.lengths, sample_weight=problem.sample_weight,
            seed=seed, engine=engine,
        )  # fmt: skip
    if isinstance(model, TREE_MODELS):
        return check_tree_gradients(
            model, X, y, params, loss, lengths, sample_weight, as_count("seed", seed, 0), engine, check_gradients
        )
    layer = _as_layer(model)
    if y is not None and not isinstance(layer, Network):
        raise ArgumentError(f"y goes with a network; got a {type(layer).__name__}. Leave y out.")
    if y is None and loss is not None:
        raise ArgumentError("loss goes with y, the targets that it is the loss of; give both or neither.")
    if X is None and lengths is not None:
        raise ArgumentError("lengths goes with X, whose lengths they are; give both or neither.")
    rng = np.random.default_rng(as_count("seed", seed, 0))
    if params is not None:
        check_params(params, {name: p.shape for name, p in layer.parameters().items()})
    single = getattr(X, "dtype", None) == np.float32
    dtype = precision_of(params) if params else np.dtype(np.float32 if single else np.float64)
    if X is None:
        X, lengths = _draw_input(layer, rng).astype(dtype), DRAWN_LENGTHS
    X = as_float("X", X, dtype)
    if X.dtype.kind == "c":
        raise DtypeError("X must hold real numbers; got complex ones.")
    params = draw_params(layer, rng, dtype) if params is None else params

    Y, final_state, _ = layer.forward(params, X, None, lengths, engine, np.random.default_rng(seed))
    target_loss = loss or loss_for(Y, y)
    state = map_state(lambda part: away_from_zero(rng, part.shape).astype(part.dtype), final_state)
    dY = away_from_zero(rng, Y.shape).astype(Y.dtype)
    dstate = map_state(lambda part: away_from_zero(rng, part.shape).astype(part.dtype), final_state)

    def run(of: Params, X: Array, start: Any, engine: str | None) -> tuple[Any, Callable[[], Gradients]]:
        """Run the model to one number, and promise its gradients; dropout is the same every time."""
        again = np.random.default_rng(seed)
        if y is not None:
            assert isinstance(layer, Network)
            total, grads = layer.loss_and_gradients(of, X, y, target_loss, lengths, sample_weight, start, engine, again)
            return total, lambda: grads
        Y, final_state, tape = layer.forward(of, X, start, lengths, engine, again)
        ends = zip(_parts(final_state).values(), _parts(dstate).values(), strict=True)
        total = (Y * dY).sum() + sum((end * d).sum() for end, d in ends)
        return total, lambda: layer.backward(of, tape, dY, dstate)

    def value(at: Mapping[str, Array]) -> Any:
        """Run from the drawn initial state, and from none, where a learnt one steps in; add up."""
        of = {name: at[name] for name in params}
        return sum(run(of, at["X"], start, "reference")[0] for start in (_with_parts(state, at), None))

    begun, fresh = (run(params, X, start, engine)[1]() for start in (state, None))
    found = {name: begun[name] + fresh[name] for name in params} | _parts(begun.state)
    if _tokens_of(layer) is None:
        found["X"] = begun.X + fresh.X
    at = {**params, "X": X, **_parts(state)}

    def culprit() -> str:
        of_loss = None
        if y is not None:
            of_loss = (
                target_loss,
                Y,
                {"y": y, "lengths": lengths if Y.ndim == 3 else None, "sample_weight": sample_weight},
            )
        return blame(of_loss, _layers_of(layer), lambda part: check_gradients(part, seed=seed, engine=engine))

    return certified(repr(layer), value, at, found, rng, dtype == np.float32, culprit)


def _layers_of(layer: Layer) -> list[tuple[str, Layer]]:
    """Return the layers of a network, of any depth, each with its name; any other layer as it is."""
    if not isinstance(layer, Network):
        return [(type(layer).__name__, layer)]
    return [
        (f"layer {k} ({name})" if "layer" not in name else f"layer {k}, {name}", part)
        for k, one in enumerate(layer.layers)
        for name, part in _layers_of(one)
    ]


def _as_layer(model: Any) -> Layer:
    if isinstance(model, Layer):
        return model
    if isinstance(model, str | Cell):
        return Recurrent(as_cell(model), n_features=2, n_units=3)
    raise ArgumentError(f"model must be a layer, a network, a cell or the name of one; got {type(model).__name__}.")


def _tokens_of(layer: Layer) -> int | None:
    """Return how many tokens a model knows whose input is tokens, which have no gradient; None for any other."""
    while isinstance(layer, Network):
        layer = layer.layers[0]
    return layer.n_tokens if isinstance(layer, Embedding) else None


def _draw_input(layer: Layer, rng: np.random.Generator) -> Array:
    n_tokens = _tokens_of(layer)
    if n_tokens is not None:
        return rng.integers(n_tokens, size=(*DRAWN, 1))
    return away_from_zero(rng, (*DRAWN, layer.sizes[0] or 2))


def _parts(state: Any, name: str = "state") -> dict[str, Array]:
    """Return the arrays of a state of any form, by name."""
    if isinstance(state, tuple):
        return {k: v for i, part in enumerate(state) for k, v in _parts(part, f"{name}.{i}").items()}
    return {} if state is None else {name: state}


def _with_parts(state: Any, arrays: Mapping[str, Array], name: str = "state") -> Any:
    """Return a state of the same form, with the arrays of these names in it."""
    if isinstance(state, tuple):
        return tuple(_with_parts(part, arrays, f"{name}.{i}") for i, part in enumerate(state))
    return arrays.get(name)
