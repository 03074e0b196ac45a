"""A function is known by everything that it can read, and what a cell, a loss or a rule reads stays as it was."""

import dataclasses
import enum
import functools
import math
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import saiki
from saiki.cells.fingerprint import fingerprint
from saiki.losses import Loss
from saiki.optimizers import OPTIMIZERS, Rule, follow
from tests.engines.test_compiled import run_code

LIVE = types.ModuleType("live")
"""Stands for a module of the user's own; it is not in ``sys.modules``, as one that was imported under another name."""


class Config:
    K = 1.0


class Mode(enum.Enum):
    FAST = 1.0


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
    "instance": lambda K: lambda n, o=Options(K): o.K,
    "namespace": lambda K: lambda n, o=types.SimpleNamespace(K=K): o.K,
    "partial": lambda K: functools.partial(lambda k, n: k, K),
    "callable object": Scaled,
    "bound method": bound,
    "cached function": lambda K: functools.lru_cache(lambda n: K),
    "compiled by Numba": compiled_by_numba,
    "array": lambda K: lambda n, a=np.array([K]): a[0],
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
        lambda n, lock=threading.Lock(): n,
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
    said = [run_code(code, PYTHONHASHSEED=str(seed)) for seed in (1, 2)]
    assert said[0] == said[1] != ""
