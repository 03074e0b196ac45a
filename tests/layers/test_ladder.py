"""The proof ladder over every layer, found by introspection: a new one cannot be added without proof."""

import inspect
import pickle
import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.layers import Bidirectional, Embedding, Layer, Network, Recurrent
from saiki.maths import ACTIVATIONS

T = TypeVar("T")

# Batches and single sequences may sum in another order: a few float64 roundings on values near 1.
ROUNDING = 1e-12

# Complex-step differentiation leaves the rounding of a few hundred float64 operations.
EXACT = 1e-10


def kinds(base: type[Layer] = Layer) -> Iterator[type[Layer]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("saiki."):  # and not a layer of another test
            if not inspect.isabstract(kind):
                yield kind
            yield from kinds(kind)


def with_cells(models: Sequence[T]) -> dict[str, T]:
    """Name models by their class, their cells and their place, so that ``pytest -k`` finds those of a cell."""
    cells = (dict.fromkeys(re.findall(r"Cell\(name='(\w+)'", repr(model))) for model in models)
    return {"-".join([type(m).__name__, *own, str(i)]): m for i, (m, own) in enumerate(zip(models, cells, strict=True))}


EXAMPLES = {name: layer for kind in kinds() for name, layer in with_cells(kind.examples()).items()}
SHAPES = {"one of each": (1, 1), "one sequence": (1, 4), "one step": (3, 1), "more": (4, 6)}


def starts_with_tokens(layer: Layer) -> bool:
    return isinstance(layer, Embedding) or (isinstance(layer, Network) and starts_with_tokens(layer.layers[0]))


def draw(layer: Layer, rng: np.random.Generator, B: int, T: int) -> tuple[Params, Array]:
    params = {k: rng.uniform(0.2, 0.9, p.shape) * rng.choice([-1, 1], p.shape) for k, p in layer.parameters().items()}
    if starts_with_tokens(layer):
        return params, rng.integers(5, size=(B, T, 1)).astype(float)
    return params, rng.standard_normal((B, T, layer.sizes[0] or 2))


def test_every_class_is_final_or_abstract() -> None:
    for kind in kinds():
        assert getattr(kind, "__final__", False), kind
        assert not [other for other in kind.__subclasses__() if other.__module__.startswith("saiki.")], kind


def test_every_cell_and_activation_is_among_the_examples() -> None:
    layers = [layer for layer in EXAMPLES.values() if isinstance(layer, Recurrent)]
    for name, cell in CELLS.items():
        assert any(layer.cell is cell for layer in layers), name
        assert {layer.cell.activation for layer in layers if layer.cell.name == name} == (
            set(ACTIVATIONS) if cell.activation else {None}
        )
    both = {layer.layer.cell.name for layer in EXAMPLES.values() if isinstance(layer, Bidirectional)}
    assert both == set(CELLS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_every_gradient_is_right_and_none_is_zero(name: str) -> None:
    zero = None
    for seed in range(5):  # one draw may leave a rectifier below zero at every step
        certificate = saiki.check_gradients(EXAMPLES[name], seed=seed)
        assert certificate.worst < EXACT
        assert {row.method for row in certificate.rows} == {"complex step"}
        still = {row.name for row in certificate.rows if row.largest == 0}
        zero = still if zero is None else zero & still
        if not zero:
            break
    assert not zero


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_every_gradient_is_right_for_any_shape(name: str, shape: str, rng: np.random.Generator) -> None:
    layer = EXAMPLES[name]
    params, X = draw(layer, rng, *SHAPES[shape])
    assert saiki.check_gradients(layer, X, params=params, seed=int(rng.integers(1000))).worst < EXACT


@pytest.mark.parametrize("cell", CELLS)
def test_a_one_unit(cell: str, rng: np.random.Generator) -> None:
    layer = Recurrent(cell, 1, 1)
    params, X = draw(layer, rng, 2, 3)
    assert saiki.check_gradients(layer, X, params=params).worst < EXACT


@pytest.mark.parametrize("name", EXAMPLES)
def test_d_a_ragged_batch_is_its_sequences_one_by_one(name: str, rng: np.random.Generator) -> None:
    layer, lengths = EXAMPLES[name], np.array([4, 6, 0, 5])
    params, X = draw(layer, rng, 4, 6)
    padded = np.where(np.arange(6)[None, :, None] < lengths[:, None, None], X, np.nan)
    Y, _, tape = layer.forward(params, padded, lengths=lengths)
    grads = layer.backward(params, tape, np.ones_like(Y))
    total = {k: np.zeros_like(v) for k, v in params.items()}
    for i, n in enumerate(lengths):
        one, _, tape = layer.forward(params, X[i : i + 1, :n])
        alone = layer.backward(params, tape, np.ones_like(one))
        if Y.ndim == 3:
            np.testing.assert_allclose(Y[i, : one.shape[1]], one[0], atol=ROUNDING)
            assert not Y[i, one.shape[1] :].any()
        elif n:
            np.testing.assert_allclose(Y[i], one[0], atol=ROUNDING)
        np.testing.assert_allclose(grads.X[i, :n], alone.X[0], atol=ROUNDING)
        assert not grads.X[i, n:].any()
        total = {k: total[k] + alone[k] for k in total}
    for k in params:
        np.testing.assert_allclose(grads[k], total[k], atol=10 * ROUNDING)


@pytest.mark.parametrize("name", EXAMPLES)
def test_d_the_order_of_the_batch_changes_nothing(name: str, rng: np.random.Generator) -> None:
    layer, lengths, order = EXAMPLES[name], np.array([4, 6, 0, 5]), rng.permutation(4)
    params, X = draw(layer, rng, 4, 6)
    Y, _, tape = layer.forward(params, X, lengths=lengths)
    Y2, _, tape2 = layer.forward(params, X[order], lengths=lengths[order])
    np.testing.assert_allclose(Y[order], Y2, atol=ROUNDING)
    grads, grads2 = layer.backward(params, tape, np.ones_like(Y)), layer.backward(params, tape2, np.ones_like(Y))
    np.testing.assert_allclose(grads.X[order], grads2.X, atol=ROUNDING)
    for k in params:
        np.testing.assert_allclose(grads[k], grads2[k], atol=10 * ROUNDING)


@pytest.mark.parametrize("name", EXAMPLES)
def test_c_predictions_of_the_compiled_engine_are_those_of_the_reference(name: str, rng: np.random.Generator) -> None:
    layer = EXAMPLES[name]
    params, X = draw(layer, rng, 4, 6)
    for lengths in (None, [4, 6, 0, 5]):
        Y, state, _ = layer.forward(params, X, lengths=lengths, engine="reference")
        Y2, state2 = layer.predict(params, X, lengths=lengths, engine="compiled")
        np.testing.assert_allclose(Y2, Y, atol=10 * ROUNDING)
        for one, other in zip(flat(state), flat(state2), strict=True):
            np.testing.assert_allclose(other, one, atol=10 * ROUNDING)


@pytest.mark.parametrize("name", EXAMPLES)
def test_float32_stays_float32(name: str, rng: np.random.Generator) -> None:
    layer = EXAMPLES[name]
    params, X = draw(layer, rng, 3, 5)
    small = {k: v.astype(np.float32) for k, v in params.items()}
    Y, state, tape = layer.forward(small, X.astype(np.float32), lengths=[5, 2, 4], rng=np.random.default_rng(0))
    grads = layer.backward(small, tape, np.ones_like(Y), state)
    everything = [Y, grads.X, *grads.params.values(), *flat(state), *flat(grads.state)]
    assert {array.dtype for array in everything} == {np.dtype(np.float32)}
    exact, _, _ = layer.forward(params, X, lengths=[5, 2, 4], rng=np.random.default_rng(0))
    np.testing.assert_allclose(Y, exact, atol=1e-4)  # a few dozen float32 roundings of 6e-8, on values up to 100


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_caller_does_with_arrays_changes_no_gradient(name: str, rng: np.random.Generator) -> None:
    layer = EXAMPLES[name]
    params, X = draw(layer, rng, 1, 6)
    Y, _, tape = layer.forward(params, X)
    before = layer.backward(params, tape, np.ones_like(Y))
    ones = np.ones_like(Y)
    X[...] = 0
    Y[...] = 0
    after = layer.backward(params, tape, ones)
    np.testing.assert_array_equal(before.X, after.X)
    for k in params:
        np.testing.assert_array_equal(before[k], after[k])
    assert (ones == 1).all()


@pytest.mark.parametrize("name", EXAMPLES)
def test_nan_gradients_beyond_the_lengths_touch_nothing(name: str, rng: np.random.Generator) -> None:
    layer = EXAMPLES[name]
    params, X = draw(layer, rng, 2, 6)
    Y, _, tape = layer.forward(params, X, lengths=[6, 4])
    if Y.ndim == 3:
        short = layer.forward(params, X[:, :4])[0].shape[1]
        dY = np.ones_like(Y)
        dY[1, short:] = np.nan
        grads = layer.backward(params, tape, dY)
        assert all(np.isfinite(g).all() for g in [grads.X, *grads.params.values()])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layer_can_be_pickled_and_compared(name: str) -> None:
    layer = EXAMPLES[name]
    copy = pickle.loads(pickle.dumps(layer))
    assert copy == layer
    assert hash(copy) == hash(layer)
    assert "0x" not in repr(layer)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_steps_and_no_sequences(name: str) -> None:
    layer = EXAMPLES[name]
    params = layer.init(np.random.default_rng(0))
    for B, T in [(2, 0), (0, 6)]:
        Y, _, tape = layer.forward(params, np.zeros((B, T, layer.sizes[0] or 2)))
        grads = layer.backward(params, tape, np.zeros_like(Y))
        assert len(Y) == B
        assert grads.X.shape == (B, T, layer.sizes[0] or 2)


def flat(state: object) -> list[Array]:
    if isinstance(state, tuple):
        return [array for part in state for array in flat(part)]
    return [state] if isinstance(state, np.ndarray) else []
