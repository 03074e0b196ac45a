"""Complex-step proof of every layer's backward pass: parameters, input and initial state, nothing at zero."""

from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.cells import CELLS
from saiki.layers import Layer
from saiki.maths import ACTIVATIONS
from tests.complex_step import complex_step

# Complex-step has no truncation error; what is left is the rounding of a few hundred float64 operations.
EXACT = 1e-10

SHAPES = {
    "one of each": (1, 1, 1, 1),
    "one unit": (3, 4, 2, 1),
    "one sequence": (1, 6, 2, 3),
    "all": (3, 5, 2, 4),
}


def every_recurrent(n_features: int, n_units: int) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for name, cell in CELLS.items():
        layers[name] = saiki.Recurrent(cell, n_features, n_units)
        if cell.activation is not None:
            for activation in ACTIVATIONS:
                layers[f"{name} {activation}"] = saiki.Recurrent(
                    cell.with_activation(activation), n_features, n_units, bias=False
                )
    return layers


def every_layer(n_features: int, n_units: int) -> dict[str, Layer]:
    layers = every_recurrent(n_features, n_units)
    for activation in ACTIVATIONS:
        layers[f"dense {activation}"] = saiki.Dense(n_features, n_units, activation)
    layers["network"] = saiki.Network(
        [
            saiki.SimpleRNN(n_features, n_units),
            saiki.SimpleRNN(n_units, 2, "sigmoid"),
            saiki.Dense(2, 3, "sigmoid", bias=False),
        ]
    )
    return layers


def random_like(rng: np.random.Generator, value: Any) -> Any:
    """Draw numbers away from zero for a state of any form."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(random_like(rng, part) for part in value)
    return rng.uniform(0.2, 1.0, value.shape) * rng.choice([-1, 1], value.shape)


def flatten(state: Any, path: str = "state") -> dict[str, Array]:
    if state is None:
        return {}
    if isinstance(state, tuple):
        return {k: v for i, part in enumerate(state) for k, v in flatten(part, f"{path}.{i}").items()}
    return {path: state}


def unflatten(state: Any, arrays: dict[str, Array], path: str = "state") -> Any:
    if isinstance(state, tuple):
        return tuple(unflatten(part, arrays, f"{path}.{i}") for i, part in enumerate(state))
    return arrays.get(path)


def proof(layer: Layer, rng: np.random.Generator, B: int, T: int, lengths: Array | None) -> float:
    """Return the worst difference between the backward pass and the truth, over the size of the gradient."""
    params = {name: random_like(rng, value) for name, value in layer.init(rng).items()}
    X = rng.standard_normal((B, T, layer.sizes[0]))
    Y, final, _ = layer.forward(params, X)
    state, dY, dstate = random_like(rng, final), random_like(rng, Y), random_like(rng, final)

    def loss(at: dict[str, Array]) -> Any:
        at_params = {name: at[name] for name in params}
        Y, final, _ = layer.forward(at_params, at["X"], unflatten(state, at), lengths)
        pairs = zip(flatten(final).values(), flatten(dstate).values(), strict=True)
        return (Y * dY).sum() + sum((f * d).sum() for f, d in pairs)

    true = complex_step(loss, {**params, "X": X, **flatten(state)})
    _, _, tape = layer.forward(params, X, state, lengths)
    grads = layer.backward(params, tape, dY, dstate)
    found = {**grads.params, "X": grads.X, **flatten(grads.state)}
    assert found.keys() == true.keys()
    return max(float(np.abs(found[k] - true[k]).max() / max(1.0, np.abs(true[k]).max())) for k in true)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", every_layer(1, 1))
def test_backward_is_the_gradient_of_forward(name: str, shape: str, rng: np.random.Generator) -> None:
    B, T, F, H = SHAPES[shape]
    assert proof(every_layer(F, H)[name], rng, B, T, None) < EXACT


@pytest.mark.parametrize("name", every_layer(1, 1))
def test_backward_is_the_gradient_of_forward_with_ragged_lengths(name: str, rng: np.random.Generator) -> None:
    assert proof(every_layer(2, 3)[name], rng, 4, 5, np.array([2, 5, 0, 1])) < EXACT


def test_a_broken_backward_is_found(rng: np.random.Generator) -> None:
    """The first error of the second course note: the derivative taken at the incoming error."""
    simple = CELLS["simple"]

    def backward(dh: Any, h: Any) -> Any:
        return dh * (1 - np.tanh(dh) ** 2)

    broken = saiki.Recurrent(saiki.Cell("broken", simple.forward, backward), 2, 3)
    assert proof(broken, rng, 3, 4, None) > 1e-3


@pytest.mark.parametrize("loss", saiki.losses.LOSSES)
@pytest.mark.parametrize("ragged", [False, True])
def test_loss_and_gradients_belong_together(loss: str, ragged: bool, rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(2, 3), saiki.Dense(3, 2)])
    params = {name: random_like(rng, value) for name, value in net.init(rng).items()}
    X, y = rng.standard_normal((4, 5, 2)), rng.uniform(0.1, 0.9, (4, 5, 2))
    y[0, 0, 0] = np.nan
    lengths = [5, 2, 0, 1] if ragged else None
    weight = rng.uniform(0.5, 2.0, (4, 5))

    def value(at: dict[str, Array]) -> Any:
        at_params = {name: at[name] for name in params}
        return net.loss_and_gradients(at_params, at["X"], y, loss, lengths, weight)[0]

    true = complex_step(value, {**params, "X": X})
    _, grads = net.loss_and_gradients(params, X, y, loss, lengths, weight)
    for name in params:
        np.testing.assert_allclose(grads[name], true[name], atol=EXACT)
    np.testing.assert_allclose(grads.X, true["X"], atol=EXACT)
