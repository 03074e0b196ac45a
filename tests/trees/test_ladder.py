"""The proof ladder over everything that runs over trees, found by introspection: nothing is added without proof."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.cells import TREE_CELLS, TreeCell
from saiki.cells.functions import arguments_of
from saiki.layers import Dense, Embedding
from saiki.maths import ACTIVATIONS
from saiki.trees import Forest, Parser, Recursive, Tree, TreeNetwork
from tests.layers.test_ladder import with_cells
from tests.trees import naive
from tests.trees.forests import (
    arrays_of,
    chain,
    draw_for,
    draw_params,
    forest_for,
    most_of,
    random_tree,
    random_trees,
)

ENGINES = "reference", "compiled"

EXACT = 1e-10  # what complex-step differentiation leaves: the rounding of a few hundred float64 operations
ROUNDING = 1e-12  # the same sums in another order: a few float64 roundings on values near 1, over a few levels

MODELS: dict[str, Any] = {
    name: model for kind in (Recursive, TreeNetwork, Parser) for name, model in with_cells(kind.examples()).items()
}
NETWORKS = {name: model for name, model in MODELS.items() if not isinstance(model, Parser)}


def gradients_of(model: Any, forest: Forest, params: Any, seed: int = 0, engine: str = "compiled") -> list[Array]:
    """Return outputs, and the gradients of the inputs and parameters for what a seed draws at the outputs."""
    Y, tape = model.forward(params, forest, engine)
    grads = model.backward(params, tape, np.random.default_rng(seed).standard_normal(Y.shape).astype(Y.dtype))
    return [Y, grads.X, *(grads[name] for name in params)]


def close(found: Any, true: Any, rounding: float = ROUNDING) -> None:
    for one, other in zip(arrays_of(found), arrays_of(true), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=rounding * max(1, np.abs(other).max(initial=0)))


def test_every_cell_and_activation_is_among_the_examples() -> None:
    for name, cell in TREE_CELLS.items():
        layers = [layer for layer in Recursive.examples() if layer.cell.name == name]
        assert {layer.bias for layer in layers} == {True, False}
        assert {layer.cell.activation for layer in layers} == (set(ACTIVATIONS) if cell.activation else {None})
    assert set(naive.NODES) == set(TREE_CELLS)
    used = {type(layer) for network in TreeNetwork.examples() for layer in network.layers}
    assert {kind.__name__ for kind in used} == {"Embedding", "Dropout", "Recursive", "LayerNorm", "Dense"}
    assert {network.output for network in TreeNetwork.examples()} == {"root", "each"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MODELS)
def test_a_every_gradient_is_right_and_none_is_zero(name: str, engine: str) -> None:
    zero = None
    for seed in range(5):  # one draw may leave a rectifier below zero at every node, or a parser without mistakes
        certificate = saiki.check_gradients(MODELS[name], seed=seed, engine=engine)
        assert certificate.worst < EXACT
        assert {row.method for row in certificate.rows} == {"complex step"}
        still = {row.name for row in certificate.rows if row.largest == 0}
        zero = still if zero is None else zero & still
        if not zero:
            break
    assert not zero


@pytest.mark.parametrize("shape", ["one node", "one tree", "nodes alone", "chains"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_every_gradient_is_right_for_any_shape(name: str, shape: str, rng: np.random.Generator) -> None:
    model, F = NETWORKS[name], NETWORKS[name].sizes[0] or 1
    trees = {
        "one node": lambda: [random_tree(1, 2, F, rng)],
        "one tree": lambda: [random_tree(9, most_of(model), F, rng)],
        "nodes alone": lambda: [random_tree(1, 2, F, rng) for _ in range(3)],
        "chains": lambda: [chain(n, F, rng) for n in (4, 1, 2)],
    }[shape]()
    engine = ENGINES[int(rng.integers(2))]
    params, forest = draw_params(model, rng), forest_for(model, trees, rng)
    assert saiki.check_gradients(model, forest, params=params, engine=engine).worst < EXACT


@pytest.mark.parametrize("cell", TREE_CELLS)
def test_a_one_unit(cell: str, rng: np.random.Generator) -> None:
    layer = Recursive(cell, 1, 1)
    params, forest = draw_for(layer, rng)
    for engine in ENGINES:
        assert saiki.check_gradients(layer, forest, params=params, engine=engine).worst < EXACT


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("output", ["root", "each"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_a_losses_of_roots_and_of_nodes(loss: str, output: str, weighted: bool, rng: np.random.Generator) -> None:
    network = TreeNetwork([Embedding(5, 3), Recursive("child_sum_lstm", 3, 4), Dense(4, 3)], output)
    params, forest = draw_for(network, rng)
    n = forest.n_nodes if output == "each" else len(forest)
    y = rng.integers(3, size=n).astype(float) if loss == "cross_entropy" else rng.standard_normal((n, 3))
    y[rng.integers(n)] = np.nan
    weight = rng.uniform(0.5, 2, n) if weighted else None
    certificate = saiki.check_gradients(network, forest, y, params, loss=loss, sample_weight=weight)
    assert certificate.worst < EXACT
    if weight is not None:  # what does not exist weighs nothing, and weights are shares
        there = ~np.isnan(y.reshape(n, -1)[:, 0])
        value, _ = network.loss_and_gradients(params, forest, y, loss, weight)
        alone = [
            network.loss_and_gradients(params, forest, np.where(np.arange(n) == i, y.T, np.nan).T, loss)[0]
            for i in np.flatnonzero(there)
        ]
        assert value == pytest.approx(np.average(alone, weights=weight[there]), rel=ROUNDING)


def broken(cell: TreeCell, name: str, part: int, factor: float) -> TreeCell:
    """Return a cell of which one function's gradient number ``part`` is multiplied by a factor."""
    arguments, scope = ", ".join(arguments_of(cell.functions[name])), {"_right": cell.functions[name]}
    exec(
        f"def {name}({arguments}):\n"
        f"    _all = _right({arguments})\n"
        "    _all = list(_all) if isinstance(_all, tuple) else [_all]\n"
        f"    _all[{part}] = _all[{part}] * {factor}\n"
        "    return tuple(_all) if len(_all) > 1 else _all[0]\n",
        scope,
    )
    own = {field.name: getattr(cell, field.name) for field in fields(cell) if field.init}
    return TreeCell(**own | {"name": "broken", name: scope[name]})


@pytest.mark.parametrize("factor", [0, -1, 1.000001])
@pytest.mark.parametrize("name", TREE_CELLS)
def test_b_one_wrong_part_of_any_backward_is_refused(name: str, factor: float) -> None:
    """Every gradient that a cell's functions return is dropped, turned round, or made a little too large in turn."""
    cell = TREE_CELLS[name]
    for function, takes in (("backward", cell.takes), ("child_backward", cell.child_takes)):
        for part in range(len(takes)):
            with pytest.raises(saiki.GradientError, match="WRONG"):
                saiki.check_gradients(broken(cell, function, part, factor), engine="reference")
    assert saiki.check_gradients(broken(cell, "backward", 0, 1.0), engine="reference").right  # by the same way


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TREE_CELLS)
def test_c_an_obvious_walk_of_one_tree_gives_the_same(name: str, engine: str, rng: np.random.Generator) -> None:
    layer = Recursive(name, 2, 3)
    trees, params = random_trees(8, most_of(layer), 2, rng), draw_params(layer, rng)
    H, tape = layer.forward(params, trees, engine)
    dH = rng.standard_normal(H.shape)
    grads = layer.backward(params, tape, dH)
    ends = np.cumsum([len(tree) for tree in trees])[:-1]
    one_by_one = [naive.walk(name, params, tree, d) for tree, d in zip(trees, np.split(dH, ends), strict=True)]
    outputs, of_params, of_inputs = zip(*one_by_one, strict=True)
    close([H, grads.X], [np.concatenate(outputs), np.concatenate(of_inputs)])
    close([grads[key] for key in params], [sum(d[key] for d in of_params) for key in params])


@pytest.mark.parametrize("name", NETWORKS)
def test_c_networks_give_the_same_on_both_engines(name: str, rng: np.random.Generator) -> None:
    params, forest = draw_for(NETWORKS[name], rng)
    one, other = (gradients_of(NETWORKS[name], forest, params, engine=engine) for engine in ENGINES)
    close(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_d_a_forest_is_its_trees_one_by_one(name: str, rng: np.random.Generator) -> None:
    model = NETWORKS[name]
    params, forest = draw_for(model, rng, 5)
    Y, tape = model.forward(params, forest)
    dY = rng.standard_normal(Y.shape)
    grads = model.backward(params, tape, dY)
    total = {key: np.zeros_like(value) for key, value in params.items()}
    owners = forest.owners() if len(Y) == forest.n_nodes else np.arange(len(forest))
    for i in range(len(forest)):
        one, tape = model.forward(params, forest.select(np.array([i])))
        alone = model.backward(params, tape, dY[owners == i])
        close([one, alone.X], [Y[owners == i], grads.X[forest.owners() == i]])
        total = {key: total[key] + alone[key] for key in total}
    close([grads[key] for key in params], [total[key] for key in params])


@pytest.mark.parametrize("name", NETWORKS)
def test_d_the_order_of_the_trees_changes_nothing(name: str, rng: np.random.Generator) -> None:
    model, order = NETWORKS[name], rng.permutation(5)
    params, forest = draw_for(model, rng, 5)
    other = forest.select(order)
    nodes = np.concatenate([np.flatnonzero(forest.owners() == i) for i in order])
    (Y, tape), (Y2, tape2) = model.forward(params, forest), model.forward(params, other)
    rows = nodes if len(Y) == forest.n_nodes else order
    dY = rng.standard_normal(Y.shape)
    grads, grads2 = model.backward(params, tape, dY), model.backward(params, tape2, dY[rows])
    close([Y2, grads2.X], [Y[rows], grads.X[nodes]])
    close(dict(grads2.params), dict(grads.params))


def renumbered(tree: Tree, rng: np.random.Generator) -> tuple[Tree, Array]:
    """Return the same tree under other numbers that leave the order of children, and the new number of each node."""
    new = np.empty(len(tree), int)
    new[rng.permutation(len(tree))] = np.arange(len(tree))
    starts, children = tree.child_starts, tree.children
    for node in range(len(tree)):
        own = children[starts[node] : starts[node + 1]]
        new[own] = np.sort(new[own])
    old = np.argsort(new)
    above = tree.parents[old]
    return Tree(np.where(above < 0, -1, new[above]), [tree.values[node] for node in old]), new


@pytest.mark.parametrize("name", NETWORKS)
def test_d_other_numbers_of_the_nodes_change_nothing(name: str, rng: np.random.Generator) -> None:
    model = NETWORKS[name]
    trees = random_trees(4, most_of(model), model.sizes[0] or 1, rng)
    params, forest = draw_params(model, rng), forest_for(model, trees, rng)
    values = [int(v[0]) if forest.of_tokens else v for v in forest.inputs]
    held = [v if there else None for v, there in zip(values, forest.has_input, strict=True)]
    parts = [renumbered(Tree(t.parents, held[s : s + len(t)]), rng) for t, s in zip(trees, forest.starts, strict=True)]
    new = np.concatenate([start + own for (_, own), start in zip(parts, forest.starts, strict=True)])
    vocabulary = {i: i for i in range(model.n_tokens)} if forest.of_tokens else None
    other = Forest.of([tree for tree, _ in parts], vocabulary)
    (Y, tape), (Y2, tape2) = model.forward(params, forest), model.forward(params, other)
    dY = rng.standard_normal(Y.shape)
    each = len(Y) == forest.n_nodes
    dY2 = dY.copy()
    if each:
        dY2[new] = dY
    grads, grads2 = model.backward(params, tape, dY), model.backward(params, tape2, dY2)
    close([Y2[new] if each else Y2, grads2.X[new]], [Y, grads.X])
    close(dict(grads2.params), dict(grads.params))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_d_what_stands_where_there_is_no_input_touches_nothing(
    name: str, engine: str, rng: np.random.Generator
) -> None:
    params, forest = draw_for(NETWORKS[name], rng)
    for nothing in (np.nan, 0.0, 1e300) if not forest.of_tokens else (-1, 10**6):
        inputs = np.where(forest.has_input[:, None], forest.inputs, nothing).astype(forest.inputs.dtype)
        other = replace(forest, inputs=inputs)
        found = gradients_of(NETWORKS[name], other, params, engine=engine)
        for one, true in zip(found, gradients_of(NETWORKS[name], forest, params, engine=engine), strict=True):
            np.testing.assert_array_equal(one, true)
        assert not found[1][~forest.has_input].any()


def forest_parts(forest: Forest) -> list[Array]:
    """Return copies of what a forest is made of."""
    return [getattr(forest, field.name).copy() for field in fields(forest)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_float32_stays_float32(name: str, engine: str, rng: np.random.Generator) -> None:
    params, forest = draw_for(NETWORKS[name], rng)
    small = {key: value.astype(np.float32) for key, value in params.items()}
    parts = forest_parts(forest)
    parts[-2] = parts[-2] if forest.of_tokens else parts[-2].astype(np.float32)
    found = gradients_of(NETWORKS[name], Forest(*parts), small, engine=engine)
    of_tokens = {found[1].dtype} if forest.of_tokens else set()  # they have no gradient
    assert {array.dtype for array in found} - of_tokens == {np.dtype(np.float32)}
    true = gradients_of(NETWORKS[name], forest, params, engine=engine)
    close(found, true, 1e-4)  # some hundred float32 roundings of 6e-8, where a norm divides by what is small


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [*NETWORKS, "a last Dense"])
def test_e_what_the_caller_does_with_arrays_changes_no_gradient(
    name: str, engine: str, full: bool, rng: np.random.Generator
) -> None:
    last = TreeNetwork([Recursive("simple", 2, 3), Dense(3, 2, "tanh")], "each")
    model = NETWORKS.get(name, last)
    params, forest = draw_for(model, rng)
    parts = forest_parts(forest)
    if full:
        parts[-1][...], parts[-2] = True, np.maximum(parts[-2], 0) if forest.of_tokens else parts[-2]
    before, weights = [part.copy() for part in parts], {key: value.copy() for key, value in params.items()}
    forest = Forest(*parts)
    Y, tape = model.forward(params, forest, engine)
    dY = rng.standard_normal(Y.shape)
    kept = dY.copy()
    once = model.backward(params, tape, dY)
    first = [array.copy() for array in (once.X, *arrays_of(dict(once.params)))]
    for one, other in zip([*parts, dY, *params.values()], [*before, kept, *weights.values()], strict=True):
        np.testing.assert_array_equal(one, other)
    for array in (Y, once.X, *arrays_of(dict(once.params)), *parts):
        array[...] = 0
    again = model.backward(params, tape, dY)
    for one, other in zip((again.X, *arrays_of(dict(again.params))), first, strict=True):
        np.testing.assert_array_equal(one, other)


def test_e_several_python_threads_at_once(rng: np.random.Generator) -> None:
    layer = Recursive("lstm", 3, 16)
    params = draw_params(layer, rng)
    forests = [Forest.of(random_trees(30, 2, 3, rng, largest=40)) for _ in range(6)]

    def work(forest: Forest) -> list[Array]:
        return gradients_of(layer, forest, params)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for one, other in zip(pool.map(work, forests), map(work, forests), strict=True):
                for found, true in zip(one, other, strict=True):
                    np.testing.assert_array_equal(found, true)


@pytest.mark.parametrize("name", MODELS)
def test_it_can_be_pickled_and_compared(name: str) -> None:
    model = MODELS[name]
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert hash(copy) == hash(model)
    assert "0x" not in repr(model)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_trees(name: str, engine: str, rng: np.random.Generator) -> None:
    params, forest = draw_for(NETWORKS[name], rng)
    Y, dX, *grads = gradients_of(NETWORKS[name], forest.select(np.array([], int)), params, engine=engine)
    assert len(Y) == len(dX) == 0
    assert not any(grad.any() for grad in grads)
