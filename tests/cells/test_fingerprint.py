"""A function is known by everything that it can read, and what a cell, a loss or a rule reads stays as it was."""

import copy
import dataclasses
import functools
import os
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import saiki
from saiki.cells.fingerprint import fingerprint
from saiki.losses import Loss
from saiki.optimizers import OPTIMIZERS, Rule


class Config:
    K = 1.0


class Scaled:
    def __init__(self, K: float) -> None:
        self.K = K

    def __call__(self, n: int) -> float:
        return self.K * n


@dataclasses.dataclass
class Options:
    K: float = 1.0


def calling_each_other(K: float) -> Callable[[int], Any]:
    def even(n: int) -> Any:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> Any:
        return n != 0 and even(n - 1) * K

    return even


def with_default(value: Any) -> Callable[..., float]:
    return lambda n, value=value: 0.1


def with_keyword(K: float) -> Callable[..., float]:
    def function(n: int, *, k: float = K) -> float:
        return k

    return function


def reading_a_module(K: float) -> Callable[..., float]:
    settings = types.ModuleType("settings")
    settings.__dict__["K"] = K
    package = types.ModuleType("package")
    package.__dict__["settings"] = settings
    return lambda n: package.settings.K


def reading_a_class(K: float) -> Callable[..., float]:
    class Own:
        pass

    Own.K = K  # type: ignore[attr-defined]
    return lambda n: Own.K  # type: ignore[attr-defined]


def compiled_by_numba(K: float) -> Any:
    return numba.njit(lambda n: n * K)


def bound(K: float) -> Any:
    return Scaled(K).__call__


MAKERS: dict[str, Callable[[float], Any]] = {
    "closure": lambda K: lambda n: K,
    "inner lambda": lambda K: lambda n: (lambda: K)(),
    "comprehension": lambda K: lambda n: [K for _ in range(n)],
    "default": lambda K: lambda n, k=K: k,
    "keyword-only default": with_keyword,
    "helpers that call each other": calling_each_other,
    "module attribute": reading_a_module,
    "class attribute": reading_a_class,
    "instance": lambda K: with_default(Options(K)),
    "namespace": lambda K: with_default(types.SimpleNamespace(K=K)),
    "partial": lambda K: functools.partial(lambda k, n: k, K),
    "callable object": Scaled,
    "bound method": bound,
    "cached function": lambda K: functools.lru_cache(lambda n: K),
    "compiled by Numba": compiled_by_numba,
    "array": lambda K: with_default(np.array([K])),
    "tuple": lambda K: lambda n, a=(1, (K,)): a,
    "dict": lambda K: lambda n, a={"K": [K]}: a,
    "object that cannot be pickled": lambda K: types.SimpleNamespace(call=lambda n: K),
    "vectorised by NumPy": lambda K: np.vectorize(lambda n: K),
    "loss": lambda K: Loss(lambda v, t: (K * (v - t), K * (v - t))),
    "schedule": lambda K: saiki.optimizers.warm_up(saiki.optimizers.cosine(K, 9), 3),
    "solver": lambda K: saiki.optimizers.adam(0.1, beta1=K / 10),
    "rule": lambda K: Rule(lambda g, w: -K * g),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_what_a_function_can_read_is_in_its_fingerprint(kind: str) -> None:
    make = MAKERS[kind]
    assert fingerprint(make(1.0)) == fingerprint(make(1.0)) != fingerprint(make(2.0))


def test_what_was_used_has_the_fingerprint_of_what_is_new() -> None:
    for make in OPTIMIZERS.values():
        used, new = make(0.1), make(0.1)
        params = {"W": np.ones((2, 2))}
        used.update(params, used.init(params), params)
        assert used.rules
        assert fingerprint(used) == fingerprint(new) != fingerprint(make(0.2))


@pytest.mark.parametrize(
    "value",
    [
        threading.Lock(),
        (n for n in range(3)),
        functools.partial(print, threading.Lock()),
        lambda n: eval("n"),
        with_default(threading.Lock()),
        np.frompyfunc(lambda n: n, 1, 1),
        types.SimpleNamespace(events=[threading.Event()]),
    ],
)
def test_what_cannot_be_described_is_an_error_that_names_it(value: Any) -> None:
    with pytest.raises(saiki.ArgumentError, match=r"^learning_rate.* so that saiki cannot tell it from another one"):
        fingerprint(value, "learning_rate")


def test_too_deep_is_an_error() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = (deep,)
    with pytest.raises(saiki.ArgumentError, match=r"^value holds objects within objects"):
        fingerprint(deep)
    del deep


def test_an_order_that_differs_between_processes_is_no_difference() -> None:
    code = (
        "from saiki.cells.fingerprint import fingerprint\n"
        "print(fingerprint([lambda n: n in {'a', 'b', 'c', 'd'}, {'e', 'f', 'g'}]))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed}, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert said[0] == said[1] != ""


SHARED = """
import sys, numpy as np, saiki, settings
from saiki.losses import Loss
from saiki.optimizers import Rule, follow, adam
def forward(a, h_prev): return settings.K * a + h_prev
def backward(dh, h_prev): return settings.K * dh, dh
def tree_forward(a, h_left): return settings.K * a + h_left
def tree_backward(dh, h_left): return settings.K * dh, dh
def loss(v, t): return settings.K * (v - t), settings.K + v * 0
def rule(g, w): return -settings.K * g
cell, tree = saiki.Cell("own", forward, backward), saiki.TreeCell("own", tree_forward, tree_backward)
if len(sys.argv) > 1:  # what was made before the change keeps what it read
    own = cell, tree, Loss(loss), follow(Rule(rule))
    settings.K = float(sys.argv[1])
else:
    own = cell, tree, Loss(loss), follow(Rule(rule))
cell, tree, loss, solver = own
net = saiki.Network([saiki.Recurrent(cell, 1, 1), saiki.Dense(1, 1)])
params, X = net.init(np.random.default_rng(0)), np.ones((2, 3, 1))
layer = saiki.trees.Recursive(tree, 1, 1)
forest = saiki.trees.Forest.of([saiki.Tree([2, 2, -1], [np.ones(1), np.ones(1), None])])
weights = layer.init(np.random.default_rng(0))
for engine in ("reference", "compiled"):
    update = net.update(params, solver, solver.init(params), X, X, loss, engine=engine)
    H, tape = layer.forward(weights, forest, engine)
    grads = layer.backward(weights, tape, np.ones_like(H))
    print(update.loss, *(p.sum() for p in update.params.values()), H.sum(), grads.params["Wx"].sum())
"""


def test_a_changed_module_attribute_is_seen_by_both_engines_in_the_next_process(tmp_path: Path) -> None:
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    found = []
    for K, later in (("0.5", []), ("2.0", ["9"])):
        (tmp_path / "settings.py").write_text(f"K = {K}\n")
        command = [sys.executable, "-c", SHARED, *later]
        said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        reference, compiled = (np.array(line.split(), float) for line in said.splitlines())
        np.testing.assert_allclose(compiled, reference, rtol=1e-10)  # the same float64 operations in another order
        found.append(reference)
    assert (found[0] != found[1]).all()


def cell_reading(expression: str, scope: dict[str, Any]) -> saiki.Cell:
    code = f"def forward(a, h_prev): return {expression} * a + h_prev\ndef backward(dh): return dh, dh\n"
    exec(code, scope)
    return saiki.Cell("own", scope["forward"], scope["backward"])


@pytest.mark.parametrize("expression", ["settings.K", "package.settings.K", "K", "array[0]", "pair[1]", "helper(K)"])
def test_a_cell_keeps_what_it_read_when_it_was_made(expression: str) -> None:
    settings, package = types.ModuleType("settings"), types.ModuleType("package")
    scope: dict[str, Any] = {
        "settings": settings,
        "package": package,
        "array": np.array([2.0]),
        "K": 2.0,
        "pair": (1, 2.0),
    }
    settings.__dict__["K"], package.__dict__["settings"] = 2.0, settings
    exec("def helper(v): return K * v / K", scope)
    first = cell_reading(expression, scope)
    forward = scope["forward"]
    settings.__dict__["K"] = scope["array"][0] = scope["K"] = 3.0
    scope["pair"] = (1, 3.0)
    assert first.stages[0].forward(1.0, 0.0) == 2
    again = saiki.Cell("own", forward, first.backward)
    assert again.stages[0].forward(1.0, 0.0) == 3
    assert first != again  # or one would be given the machine code of the other
    assert copy.deepcopy(first).stages[0].forward(1.0, 0.0) == 2
    assert pickle.loads(pickle.dumps(saiki.cells.CELLS["gru"])) == saiki.cells.CELLS["gru"]


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("Config.K", "'Config', a class"),
        ("options.K", "'options', of type Options"),
        ("listed[0]", "'listed', of type list"),
    ],
)
def test_what_may_change_later_is_not_compiled(expression: str, what: str) -> None:
    cell = cell_reading(expression, {"Config": Config, "options": Options(), "listed": [2.0]})
    layer = saiki.Recurrent(cell, 2, 3)
    params = layer.init(np.random.default_rng(0))
    assert layer.forward(params, np.ones((1, 2, 2)), engine="reference")[0].shape == (1, 2, 3)
    with pytest.raises(saiki.ArgumentError, match=f"it reads {what}, which may change later. .* engine='reference'"):
        layer.forward(params, np.ones((1, 2, 2)), engine="compiled")


def test_a_function_that_counts_its_calls_still_does() -> None:
    scope: dict[str, Any] = {"count": 0}
    exec("def squared(v, t):\n    global count\n    count += 1\n    return (v - t) ** 2 / 2, v - t", scope)
    loss = Loss(scope["squared"])
    loss(np.ones((2, 2)), np.zeros((2, 2)))
    assert scope["count"] == 2  # once when it was made


def test_a_checkpoint_names_the_parameter_that_cannot_be_described(tmp_path: Path) -> None:
    model = saiki.RNNRegressor(hidden_layer_sizes=2, max_iter=1, learning_rate=with_default(threading.Lock()))
    with pytest.raises(saiki.ArgumentError, match=r"^learning_rate: defaults.* Without a checkpoint"):
        model.fit(np.ones((4, 2, 1)), np.ones(4), checkpoint=tmp_path / "run")
    model.fit(np.ones((4, 2, 1)), np.ones(4))
