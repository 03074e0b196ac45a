"""Layers of a user's own in networks: traced, proved, and refused in one sentence where they break the contract."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.explain import plots
from saiki.initializers import Parameter
from saiki.layers import Dense, Gradients, Layer, Network, SimpleRNN
from saiki.layers.layer import Context, Result


@dataclass(frozen=True)
@final
class Attention(Layer):
    """Read the time axis out by a softmax over the steps or, with ``each``, put what was read beside every step."""

    n: int
    each: bool = False

    @property
    def sizes(self) -> tuple[int, int]:
        return self.n, self.n

    @classmethod
    def examples(cls) -> list[Layer]:
        return [cls(2), cls(2, True)]

    def parameters(self) -> dict[str, Parameter]:
        return {"w": Parameter((self.n,), self.n)}

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        scores = X @ params["w"]
        shares = np.exp(scores - scores.real.max(axis=1, keepdims=True))
        shares = shares / shares.sum(axis=1, keepdims=True)
        read = (shares[..., None] * X).sum(axis=1)
        Y = X + read[:, None] if self.each else read
        return Result(Y, None, (X, shares), context.lengths if self.each else None)

    def _backward(self, params: Params, tape: Any, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:
        X, shares = tape
        d_read = dY.sum(axis=1) if self.each else dY
        d_shares = (d_read[:, None] * X).sum(axis=-1)
        d_scores = shares * (d_shares - (shares * d_shares).sum(axis=1, keepdims=True))
        dX = shares[..., None] * d_read[:, None] + d_scores[..., None] * params["w"]
        return Gradients({"w": (d_scores[..., None] * X).sum(axis=(0, 1))}, dX + dY if self.each else dX, None)


@pytest.fixture
def X(rng: np.random.Generator) -> Array:
    return rng.standard_normal((3, 5, 2))


def made(each: bool, rng: np.random.Generator) -> tuple[Network, Params, Array]:
    """Return a network with an own layer in it, its parameters and targets."""
    network = Network([SimpleRNN(2, 4), Attention(4, each), Dense(4, 2)])
    return network, network.init(rng), np.array([[0, 1, 0, 1, 1]] * 3) if each else np.array([0, 1, 0])


@pytest.mark.parametrize("each", [False, True])
def test_a_network_with_an_own_layer_is_traced(each: bool, X: Array, rng: np.random.Generator) -> None:
    network, params, y = made(each, rng)
    assert saiki.check_gradients(network, X, y, params).worst < 1e-10
    seen = saiki.trace(network, X, y, params)
    loss, grads = network.loss_and_gradients(params, X, y)
    np.testing.assert_allclose(seen.loss, loss, rtol=1e-12)  # two orders of one sum
    for name, grad in grads.items():
        np.testing.assert_allclose(seen.gradients[name], grad, rtol=1e-9, atol=1e-12)  # the compiled engine rounds
        np.testing.assert_allclose(seen.shares[name].sum(axis=0), grad, rtol=1e-9, atol=1e-12)
    assert seen.lag_matrix.shape == (5, 5)
    assert seen.text().startswith(f"E = {seen.loss:.6g}")
    assert len(seen.to_frame()) > 0
    # All losses together reach a step as delta does; of one loss alone, by differences of what the trace says of it.
    weights = np.zeros(y.shape)
    weights[..., -1] = 1
    if each:
        alone = saiki.trace(network, X, y, params, sample_weight=weights)
        np.testing.assert_allclose(
            alone.lag_matrix[-1], np.linalg.norm(alone.layers[0].delta, axis=(0, 2)), rtol=1e-9, atol=1e-12
        )
        first = saiki.trace(network, X, y, params, sample_weight=weights[:, ::-1])
        np.testing.assert_allclose(  # a loss at the first step reaches every later step through the attention
            first.lag_matrix[0], np.linalg.norm(first.layers[0].delta, axis=(0, 2)), rtol=1e-9, atol=1e-12
        )
        assert (first.lag_matrix[0, 1:] > 0).all()


@pytest.mark.parametrize("each", [False, True])
def test_pictures_of_it(each: bool, X: Array, rng: np.random.Generator) -> None:
    pytest.importorskip("matplotlib")
    network, params, y = made(each, rng)
    seen = saiki.trace(network, X, y, params)
    axes = plots.panels_figure("one", [lambda axes: plots.plot_norm_by_lag(axes, seen)], (3.0, 3.0)).axes
    assert len(axes) == 1
    with pytest.raises(saiki.ArgumentError, match=r"a graph has no place for layer 1, Attention"):
        plots.panels_figure("one", [lambda axes: plots.plot_unrolled(axes, seen)], (3.0, 3.0))


FORWARD: list[Any] = [
    None,
    3,
    lambda X: X,
    lambda X: (X, None),
    lambda X: Result(None, None, None, None),  # type: ignore[arg-type]
    lambda X: Result(X.tolist(), None, None, None),
    lambda X: Result(X[:2], None, None, None),
    lambda X: Result(X[..., :1], None, None, None),
    lambda X: Result(X[:, 0, 0], None, None, None),
    lambda X: Result(X[None], None, None, None),
    lambda X: Result(X.astype(object), None, None, None),
    lambda X: Result(X.astype(int), None, None, None),
]

BACKWARD: list[Any] = [
    None,
    3,
    lambda dY: dY,
    lambda dY: ({}, dY, None),
    lambda dY: Gradients(None, dY, None),  # type: ignore[arg-type]
    lambda dY: Gradients({"w": np.zeros(3)}, dY, None),
    lambda dY: Gradients({}, None, None),  # type: ignore[arg-type]
    lambda dY: Gradients({}, dY[:1], None),
    lambda dY: Gradients({}, dY.tolist(), None),
]


@dataclass(frozen=True)
class Wrong(Layer):
    """A layer that hands its input on, or returns something else."""

    forwards: Any = None
    backwards: Any = None

    @property
    def sizes(self) -> tuple[int, int]:
        return 4, 4

    @classmethod
    def examples(cls) -> list[Layer]:
        return []

    def parameters(self) -> dict[str, Parameter]:
        return {}

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Any:
        value = self.forwards
        return value[0](X) if value and callable(value[0]) else value[0] if value else Result(X, None, None, None)

    def _backward(self, params: Params, tape: Any, dY: Array, dstate: Any, tbptt: int | None) -> Any:
        value = self.backwards
        return value[0](dY) if value and callable(value[0]) else value[0] if value else Gradients({}, dY, None)


@pytest.mark.parametrize("which", range(len(FORWARD)))
def test_a_forward_that_returns_something_else(which: int, X: Array, rng: np.random.Generator) -> None:
    network, y = Network([SimpleRNN(2, 4), Wrong((FORWARD[which],)), Dense(4, 2)]), np.zeros((3, 5), int)
    params = network.init(rng)
    for call in (
        lambda: network.forward(params, X),
        lambda: network.predict(params, X),
        lambda: network.loss_and_gradients(params, X, y),
        lambda: saiki.trace(network, X, y, params),
        lambda: saiki.check_gradients(network, X, y, params),
    ):
        with pytest.raises(saiki.ArgumentError, match=r"_forward of Wrong must return Result\(Y, state, tape, length"):
            call()
    with pytest.raises(saiki.ArgumentError, match="_forward of Wrong must return"):
        network.layers[1].forward({}, rng.standard_normal((3, 5, 4)))


@pytest.mark.parametrize("which", range(len(BACKWARD)))
def test_a_backward_that_returns_something_else(which: int, X: Array, rng: np.random.Generator) -> None:
    network, y = Network([SimpleRNN(2, 4), Wrong(None, (BACKWARD[which],)), Dense(4, 2)]), np.zeros((3, 5), int)
    params = network.init(rng)
    for call in (
        lambda: network.loss_and_gradients(params, X, y),
        lambda: saiki.trace(network, X, y, params),
        lambda: saiki.check_gradients(network, X, y, params),
    ):
        with pytest.raises(saiki.ArgumentError, match=r"_backward of Wrong must return Gradients\(params, X, state\)"):
            call()
