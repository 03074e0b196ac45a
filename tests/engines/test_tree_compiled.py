"""The compiled walk over trees gives every number of the reference walk, for any forest, and really runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.cells import TREE_CELLS, TreeCell
from saiki.engines import tree_compiled, tree_reference
from saiki.engines.threads import limit_threads
from saiki.engines.tree_tape import TreeTape, overwritten
from saiki.maths import tanh
from saiki.trees import Forest, Recursive, Tree
from tests.cells.test_tree_cells import decaying, untied, weighing
from tests.trees.forests import chain, draw_params, most_of, random_trees

# The same sums in another order, and tanh and sigmoid within 4 ulp; over a few levels of values near 1. What is added
# up over many nodes is measured against the largest of its numbers. Where a node has many children, its pre-activations
# are sums of n_units * n_children numbers near 1, and each addition may round by eps: 5e-4 for 1025 children of 4 units
# in float32, of which 60 draws reached a fifth.
TOLERANCE: dict[Any, float] = {np.float64: 1e-12, np.float32: 1e-4}

OWN = {"decaying": decaying(), "weighing": weighing(), "untied": untied()}
CELLS = TREE_CELLS | OWN
EVERY_CELL = [(name, dtype) for name in TREE_CELLS for dtype in TOLERANCE] + [(name, np.float64) for name in OWN]


def everything_on(cell: TreeCell, tape: TreeTape) -> dict[str, Array]:
    """Return every quantity of a tape by name, node by node in the caller's order, but for what may be written over."""
    gates, of_child = overwritten(cell)
    kept = [g for g in range(len(cell.gates)) if g not in gates.values()]
    kept_of_child = [g for g in range(len(cell.child_gates)) if g not in of_child.values()]
    levels, found = tape.levels, {"x": tape.x, "a": tape.a[:, kept], "apart": tape.apart}
    found |= {f"state {name}": states[: len(levels.order)] for name, states in tape.states.items()}
    found |= {f"saved {name}": saved for name, saved in tape.saved.items()}
    found = {name: array[levels.rows] for name, array in found.items()}
    inner = (np.diff(levels.child_starts) > 0)[levels.rows]
    found |= {f"sum {name}": sums[levels.rows][inner] for name, sums in tape.sums.items()}
    child = np.argsort(levels.order[levels.children])  # one edge for each node that is a child
    of_edges = {"edges": tape.edges[:, kept_of_child]} | {
        f"child's {name}": saved for name, saved in tape.child_saved.items()
    }
    return found | {name: array[child] for name, array in of_edges.items() if array.size}


def both_ways(layer: Recursive, forest: Forest, dtype: Any, rng: np.random.Generator) -> None:
    """Run both engines on the same numbers, forward and backward, and compare everything."""
    params = draw_params(layer, rng, dtype)
    inputs = np.empty((layer.n_features, 2 * forest.n_nodes), dtype).T[::2]  # not contiguous
    inputs[...] = np.where(forest.has_input[:, None], forest.inputs, np.nan)
    forest = Forest(forest.lengths, forest.parents, forest.places, forest.heights, inputs, forest.has_input)
    dH = rng.standard_normal((layer.n_units, forest.n_nodes)).astype(dtype).T
    results = []
    for engine in ("reference", "compiled"):
        H, tape = layer.forward(params, forest, engine)
        grads = layer.backward(params, tape, dH)
        results.append({"H": H, "X": grads.X} | dict(grads.params) | everything_on(layer.cell, tape.tape))
    one, other = results
    assert one.keys() == other.keys()
    n_added = layer.n_units * np.diff(tape.tape.levels.child_starts).max(initial=0)
    tolerance = max(TOLERANCE[dtype], n_added * np.finfo(dtype).eps)
    for name, true in one.items():
        assert true.dtype == other[name].dtype == dtype
        bound = tolerance * max(1, np.abs(true).max(initial=0))
        np.testing.assert_allclose(other[name], true, rtol=0, atol=bound, err_msg=name)


def forest_of(layer: Recursive, n_trees: int, rng: np.random.Generator, largest: int = 12) -> Forest:
    return Forest.of(random_trees(n_trees, most_of(layer), layer.n_features, rng, largest=largest))


@pytest.mark.parametrize(("name", "dtype"), EVERY_CELL)
def test_every_cell_and_shape(name: str, dtype: Any, rng: np.random.Generator) -> None:
    for bias in (True, False):
        for F, H in ((1, 1), (3, 5), (2, 37)):
            layer = Recursive(CELLS[name], F, H, bias)
            for n_trees, largest in ((1, 1), (4, 1), (3, 20), (30, 9)):
                both_ways(layer, forest_of(layer, n_trees, rng, largest), dtype, rng)


@pytest.mark.parametrize("slices", [1, 2, 3, 7])
@pytest.mark.parametrize("name", CELLS)
def test_any_number_of_slices_and_threads(
    name: str, slices: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(tree_compiled, "WORK_FOR_THREADS", 0)
    layer = Recursive(CELLS[name], 3, 5)
    for n_trees in (1, 2, 9):
        forest = forest_of(layer, n_trees, rng)
        for n_threads in (1, 2, slices):
            monkeypatch.setattr(tree_compiled, "threads", lambda n=n_threads: n)
            both_ways(layer, forest, np.float64, rng)
            with limit_threads(n_slices=slices):
                both_ways(layer, forest, np.float64, rng)


def test_the_same_numbers_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(tree_compiled, "WORK_FOR_THREADS", 0)
    layer = Recursive("child_sum_lstm", 3, 40)
    params, forest = draw_params(layer, rng, np.float32), forest_of(layer, 40, rng, 30)
    forest = replace(forest, inputs=forest.inputs.astype(np.float32))
    results = []
    for n_slices, n_threads in ((4, 1), (4, 2), (4, 4), (1, 1)):
        monkeypatch.setattr(tree_compiled, "threads", lambda n=n_threads: n)
        with limit_threads(n_slices=n_slices):
            H, tape = layer.forward(params, forest)
            results.append((H, layer.backward(params, tape, np.ones_like(H))["Wh"]))
    for H, dWh in results[1:3]:
        np.testing.assert_array_equal(H, results[0][0])
        np.testing.assert_array_equal(dWh, results[0][1])
    np.testing.assert_array_equal(results[3][0], results[0][0])


@pytest.mark.parametrize(("name", "dtype"), [case for case in EVERY_CELL if CELLS[case[0]].child is not None])
def test_more_children_than_are_walked_over_at_once(name: str, dtype: Any, rng: np.random.Generator) -> None:
    layer = Recursive(CELLS[name], 3, 4)
    below, trees = tree_compiled.ROWS_AT_ONCE, []
    for n_children in (300, below, 1, below + 1, 2 * tree_compiled.BLOCK_ROWS + 1):
        parents = np.array([-1, *[0] * n_children, *[1] * 3])  # one of the children has children itself
        has = rng.random(len(parents)) < 0.8
        values = rng.standard_normal((len(parents), 3))
        trees.append(
            Tree(parents, [v if there else None for v, there in zip(values, has | (parents < 0), strict=True)])
        )
    both_ways(layer, Forest.of(trees), dtype, rng)
    both_ways(layer, Forest.of(trees[:1] * 20), dtype, rng)  # rows whose children are several blocks


@pytest.mark.parametrize("n_trees", [127, 128, 129, 511, 512, 513, 700])
@pytest.mark.parametrize("name", CELLS)
def test_levels_wider_than_a_block(name: str, n_trees: int, rng: np.random.Generator) -> None:
    layer = Recursive(CELLS[name], 2, 3)
    several = random_trees(6, most_of(layer), 2, rng, largest=5)
    trees = [several[int(i)] for i in rng.integers(len(several), size=n_trees)]
    both_ways(layer, Forest.of(trees), np.float64, rng)


@pytest.mark.parametrize("name", CELLS)
def test_forests_of_one_form_where_blocks_end_with_levels(name: str, rng: np.random.Generator) -> None:
    """Full trees of 64, 128, 256 and 512 rows a level: whole blocks and whole strips of rows."""
    layer = Recursive(CELLS[name], 2, 3)
    for n_trees in (16, 64):
        parents = [-1, *(node // 2 for node in range(2 * 31 - 2))]
        trees = [
            Tree(parents, [v if 2 * i + 2 > len(parents) else None for i, v in enumerate(values)])
            for values in rng.standard_normal((n_trees, len(parents), 2))
        ]
        both_ways(layer, Forest.of(trees), np.float64, rng)


@pytest.mark.parametrize("name", CELLS)
def test_ten_thousand_levels(name: str, rng: np.random.Generator) -> None:
    layer = Recursive(CELLS[name], 2, 2)
    params, tree = draw_params(layer, rng), chain(10_000, 2, rng)
    results = []
    for engine in ("reference", "compiled"):
        H, tape = layer.forward(params, [tree], engine)
        grads = layer.backward(params, tape, np.ones_like(H))
        results.append([H, grads.X, *(grads[key] for key in params)])
    for one, other in zip(*results, strict=True):
        # a chain forgets its beginning: what differs in one node is gone some nodes later
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-12 * max(1, np.abs(one).max()))


def test_the_compiled_path_really_ran(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    layer, run, ran = Recursive("lstm", 2, 3), tree_compiled._run, []

    def counted(kernel: int, *others: Any) -> None:
        ran.append(kernel)
        run(kernel, *others)

    def never(*_: Any) -> None:
        raise AssertionError("the reference engine ran")

    monkeypatch.setattr(tree_compiled, "_run", counted)
    monkeypatch.setattr(tree_reference, "climb", never)
    monkeypatch.setattr(tree_reference, "descend", never)
    params, forest = draw_params(layer, rng), forest_of(layer, 3, rng)
    for engine in (None, "compiled"):
        H, tape = layer.forward(params, forest, engine)
        layer.backward(params, tape, H)
    up, down = (tree_compiled._kernel(layer.cell, way, np.float64) for way in (True, False))
    assert ran == [up, down] * 2
    with pytest.raises(AssertionError, match="the reference engine ran"):
        layer.forward(params, forest, "reference")


def test_a_second_thread_is_for_much_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_compiled, "threads", lambda: 2)
    enough = tree_compiled.WORK_FOR_THREADS + 1
    assert tree_compiled._share(enough, 10) == (2, 2)
    assert tree_compiled._share(enough, 1) == (1, 1)
    assert tree_compiled._share(enough - 1, 10) == (1, 1)
    assert tree_compiled._share(0, 0) == (1, 1)
    with limit_threads(n_slices=5):
        assert tree_compiled._share(enough, 10) == (2, 5)
        assert tree_compiled._share(enough, 3) == (2, 3)
        assert tree_compiled._share(0, 10) == (1, 5)


def test_what_cannot_be_compiled_is_an_error_that_says_what_to_do(rng: np.random.Generator) -> None:
    layer = Recursive("simple", 2, 3)
    params, forest = layer.init(rng), Forest.of([Tree([-1], [np.ones(2)])])
    mixed = params | {"b": params["b"].astype(complex)}
    with pytest.raises(saiki.DtypeError, match=r"takes float32 or float64; got complex128, float64\. Use engine='ref"):
        layer.forward(mixed, forest, "compiled")
    odd = TreeCell("odd", lambda a: np.stack([tanh(a)])[0], lambda dh: dh)
    with pytest.raises(saiki.ArgumentError, match=r"'odd' cannot be compiled; Numba says: .+ use engine='reference'"):
        Recursive(odd, 2, 3).forward(params, forest, "compiled")


def test_a_second_thread_is_used_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_compiled, "threads", lambda: 2)
    bound = tree_compiled.WORK_FOR_THREADS
    assert [tree_compiled._share(work, 9) for work in (bound, bound + 1)] == [(1, 1), (2, 2)]
    assert tree_compiled._share(bound + 1, 1) == (1, 1)  # one tree has one slice
    forest = Forest.of([Tree.balanced([np.ones(64)] * 64)] * 40)
    layer = Recursive("lstm", 64, 64)
    params = layer.init(np.random.default_rng(0))
    used = [len(layer.forward(params, some)[1].tape.levels.starts) for some in (forest, forest.select(np.arange(1)))]
    assert used == [2, 1]
