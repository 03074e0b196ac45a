"""Whatever a cell calls its quantities: the compiled engine gives the reference engine's numbers, or Cell refuses."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.engines import plan, tree_compiled
from saiki.trees import Forest, Recursive, Tree
from tests.engines.test_sources import interpreted  # noqa: F401

NAMES = (  # noqa: SIM905
    "x y i n r t c h s v w loss seen mask zero one T B H G A F lo hi a b d o dh dc da dx dv d_h gates apart "
    "row row_h spare sum child near kept product pack numbers np stage_0 back_0 forward backward table _ λ "
    "float print bias at look_at panels held first last window block_x between_v saved_v vector_k s_h m into "
    "of_child edges left right loss_row x_n h_n a_n h_prev c_prev x_prev h_left c_left h_child c_child m_sum "
    "c_sum h_sum a_c x_c"
).split()
"""Names of the engines' own sources, of NumPy and Python, of parts of gates, states and gradients."""


N_DRAWN = 100
"""Number of cells that are drawn; more than one in ten is accepted."""


def function(name: str, takes: list[str], returns: int, rng: np.random.Generator) -> Any:
    """Return a function whose values depend on all its arguments, each in another way."""
    rows = [
        "__tanh(" + " + ".join([f"__scale[{int(rng.integers(40))}] * {arg}" for arg in takes] or ["__scale[0]"]) + ")"
        for _ in range(returns)
    ]
    scope = {"__tanh": np.tanh, "__scale": tuple(rng.uniform(-1, 1, 40).tolist()), "__name__": "own"}
    exec(f"def {name}({', '.join(takes)}):\n    return {', '.join(rows)}\n", scope)
    return scope[name]


def draw(rng: np.random.Generator, most: int, least: int = 0) -> list[str]:
    count = int(rng.integers(least, most + 1))
    return [str(name) for name in rng.choice(NAMES, count, replace=False)]


def merged(*parts: list[str]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def gates(rng: np.random.Generator) -> list[str]:
    pair = ["x_{0}", "h_{0}"]
    forms = [["a_{0}"], ["x_{0}"], pair]
    return [part.format(gate) for gate in draw(rng, 2, 1) for part in forms[int(rng.integers(3))]] or ["a"]


def draw_cell(rng: np.random.Generator) -> saiki.Cell:
    """Return a cell with drawn names, whose backward is no gradient of anything."""
    takes = merged(gates(rng), draw(rng, 2), [f"{name}_prev" for name in draw(rng, 1)])
    saved, look, look_back = draw(rng, 2), None, None
    states = merged(["h"], [name.removesuffix("_prev") for name in takes if name.endswith("_prev")])
    if rng.random() < 0.5:
        own, kept = merged(["a_r"], draw(rng, 1), ["h_prev"]), draw(rng, 2)
        states = merged(states, [name.removesuffix("_prev") for name in own if name.endswith("_prev")])
        takes = merged(takes, kept[:1])
        look = function("look", own, 1 + len(kept), rng)
        look_back = function("look_backward", merged(["dv"], kept, own[:1]), len(own), rng)
        saved = [name for name in saved if name not in kept]
    wants = merged([f"d{state}" for state in states], saved, takes[:1])
    forward = function("forward", takes, len(states) + len(saved), rng)
    return saiki.Cell("drawn", forward, function("backward", wants, len(takes), rng), look, look_back)


def draw_tree_cell(rng: np.random.Generator) -> saiki.TreeCell:
    """Return a cell over trees with drawn names, with or without ``child``."""
    saved, child, child_back, takes = draw(rng, 2), None, None, merged(gates(rng), draw(rng, 2))
    if rng.random() < 0.5:
        own, kept, totals = merged(["a_f"], draw(rng, 1), ["c_child"]), draw(rng, 2), draw(rng, 1, 1)
        takes = merged([name for name in takes if name not in own], [f"{name}_sum" for name in totals])
        child = function("child", own, len(totals) + len(kept), rng)
        child_back = function("child_backward", merged([f"d{t}" for t in totals], kept, own[:1]), len(own), rng)
    else:
        takes = merged(takes, ["c_left", "c_right", "h_left"])
    wants = merged(["dh", "dc"], saved, takes[:1])
    forward = function("forward", takes, 2 + len(saved), rng)
    return saiki.TreeCell("drawn", forward, function("backward", wants, len(takes), rng), child, child_back)


def drawn(draw_one: Any, rng: np.random.Generator, n: int) -> Iterator[Any]:
    """Yield cells that were not refused, after so many draws."""
    for _ in range(n):
        try:
            yield draw_one(rng)
        except saiki.ArgumentError:
            continue


def assert_same(one: Any, other: Any, cell: Any) -> None:
    # the same float64 operations in another order, over fewer than 100 terms
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12, err_msg=repr((cell.kinds, cell.saved)))


@pytest.mark.usefixtures("interpreted")
def test_names_of_cells(rng: np.random.Generator) -> None:
    accepted = 0
    for cell in drawn(draw_cell, rng, N_DRAWN):
        accepted += 1
        layer = saiki.Recurrent(cell, 2, 2)
        params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
        X = rng.standard_normal((3, 4, 2))
        found = []
        for engine in ("reference", "compiled"):
            H, final, tape = layer.forward(params, X, lengths=[4, 2, 3], engine=engine)
            grads = layer.backward(params, tape, np.cos(H))
            states = final if isinstance(final, tuple) else (final,)
            starts = grads.state if isinstance(grads.state, tuple) else (grads.state,)
            found.append([H, *states, grads.X, *starts, *(grads.params[k] for k in params)])
        for one, other in zip(*found, strict=True):
            assert_same(one, other, cell)
    assert accepted > N_DRAWN / 20


@pytest.mark.usefixtures("interpreted")
def test_names_of_tree_cells(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_compiled, "run_at", vars(plan)["run_at"])
    monkeypatch.setattr(tree_compiled, "_kernel", tree_compiled._kernel.__wrapped__)
    trees = [Tree([2, 2, 4, 4, -1], [rng.standard_normal(2) for _ in range(5)]), Tree([-1], [rng.standard_normal(2)])]
    forest, accepted = Forest.of(trees), 0
    for cell in drawn(draw_tree_cell, rng, N_DRAWN):
        accepted += 1
        layer = Recursive(cell, 2, 2)
        params = {k: rng.standard_normal(v.shape) for k, v in layer.init(rng).items()}
        found = []
        for engine in ("reference", "compiled"):
            H, tape = layer.forward(params, forest, engine)
            grads = layer.backward(params, tape, np.cos(H))
            found.append([H, grads.X, *(grads.params[k] for k in params)])
        for one, other in zip(*found, strict=True):
            assert_same(one, other, cell)
    assert accepted > N_DRAWN / 20
