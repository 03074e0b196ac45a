"""Trees, forests and parameters at random, for the tests of what runs over trees."""

from typing import Any

import numpy as np

from saiki.arrays import Array, Params
from saiki.trees import Forest, Recursive, Tree, TreeNetwork, vocabulary_of

HAS = 0.5
"""The share of inner nodes that have an input, and of nodes in mixed trees that have one."""


def random_parents(n_nodes: int, most: int, rng: np.random.Generator) -> list[int]:
    """Draw a tree: each new node goes below one that has fewer than ``most`` children; numbers are shuffled."""
    parents, n_children = [-1], [0]
    while len(parents) < n_nodes:
        free = [node for node, n in enumerate(n_children) if n < most]
        above = free[int(rng.integers(len(free)))]
        n_children[above] += 1
        n_children.append(0)
        parents.append(above)
    new = rng.permutation(n_nodes)
    shuffled = [-1] * n_nodes
    for node, above in enumerate(parents):
        shuffled[new[node]] = -1 if above < 0 else int(new[above])
    return shuffled


def random_tree(n_nodes: int, most: int, F: int, rng: np.random.Generator, dtype: Any = np.float64) -> Tree:
    """Draw a tree with vectors at some nodes, leaves and others, and with one at least."""
    parents = random_parents(n_nodes, most, rng)
    has = rng.random(n_nodes) < HAS
    has[rng.integers(n_nodes)] = True
    return Tree(parents, [rng.standard_normal(F).astype(dtype) if there else None for there in has])


def random_trees(
    n_trees: int, most: int, F: int, rng: np.random.Generator, dtype: Any = np.float64, largest: int = 12
) -> list[Tree]:
    """Draw trees of any size, the last of which is one node."""
    sizes = [*rng.integers(1, largest + 1, n_trees - 1), 1]
    return [random_tree(int(size), most, F, rng, dtype) for size in sizes]


def chain(n_nodes: int, F: int, rng: np.random.Generator) -> Tree:
    """Return a tree in which every node but one has one child, with a vector at every node."""
    return Tree([*range(1, n_nodes), -1], list(rng.standard_normal((n_nodes, F))))


def draw_params(layer: Any, rng: np.random.Generator, dtype: Any = np.float64) -> Params:
    """Draw parameters with no zero among them, small enough that no rounding grows from level to level."""
    drawn = {}
    for name, p in layer.parameters().items():
        scale = min(0.5, 1 / np.sqrt(p.shape[0])) if len(p.shape) > 1 else 0.5
        drawn[name] = (scale * rng.uniform(0.3, 1, p.shape) * rng.choice([-1, 1], p.shape)).astype(dtype)
    return drawn


def most_of(model: Recursive | TreeNetwork) -> int:
    """Return how many children the nodes of drawn trees have at most."""
    layers = [model] if isinstance(model, Recursive) else model.layers
    return 2 if any(isinstance(layer, Recursive) and layer.cell.child is None for layer in layers) else 4


def forest_for(model: Recursive | TreeNetwork, trees: list[Tree], rng: np.random.Generator) -> Forest:
    """Return trees as what a model takes: with tokens in place of the vectors, for one that takes tokens."""
    n_tokens = getattr(model, "n_tokens", None)
    if n_tokens is None:
        return Forest.of(trees)
    tokens = [
        Tree(tree.parents, [None if value is None else int(rng.integers(n_tokens)) for value in tree.values])
        for tree in trees
    ]
    vocabulary = vocabulary_of(tokens)
    assert set(vocabulary) <= set(range(n_tokens))
    return Forest.of(tokens, {token: token for token in range(n_tokens)})


def draw_for(model: Recursive | TreeNetwork, rng: np.random.Generator, n_trees: int = 4) -> tuple[Params, Forest]:
    """Draw parameters and a forest for a model."""
    trees = random_trees(n_trees, most_of(model), model.sizes[0] or 1, rng)
    return draw_params(model, rng), forest_for(model, trees, rng)


def arrays_of(value: Any) -> list[Array]:
    """Return all arrays of something that holds arrays."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    return [array for part in value for array in arrays_of(part)] if isinstance(value, list | tuple) else []
