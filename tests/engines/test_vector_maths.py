"""The compiled vocabulary: its error over the whole range, and its agreement with ``saiki.maths``."""

from types import FunctionType
from typing import Any

import numpy as np
import pytest
from numba import njit

from saiki import maths
from saiki.arrays import Array
from saiki.engines.vector_maths import vocabulary

ULP = 4

LIMIT = {np.float32: 87.0, np.float64: 708.0}


def compiled(word: Any, dtype: Any, x: Array) -> Array:
    function, y = vocabulary(dtype)[word], np.empty_like(x)

    @njit(error_model="numpy")
    def loop(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = function(x[i])

    loop(x, y)
    return y


def grid(dtype: Any) -> Array:
    limit = LIMIT[dtype]
    small = np.logspace(-30, 1.9, 200_000)
    return np.concatenate([np.linspace(-limit, limit, 400_001), small, -small, [0.0, -0.0]]).astype(dtype)


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_errors_in_units_of_the_last_place(name: str, dtype: Any) -> None:
    x = grid(dtype)
    exact = x.astype(np.longdouble)
    truth = np.tanh(exact) if name == "tanh" else 1 / (1 + np.exp(-exact))
    y = compiled(getattr(maths, name), dtype, x)
    ulp = np.abs(y - truth) / np.spacing(np.abs(truth).astype(dtype))
    assert ulp.max() < ULP


@pytest.mark.parametrize("dtype", LIMIT)
def test_far_out_the_values_stay_and_nothing_is_hidden(dtype: Any) -> None:
    x = np.array([-np.inf, -1e30, 1e30, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(compiled(maths.tanh, dtype, x), np.array([-1, -1, 1, 1, np.nan], dtype))
    sigmoid = compiled(maths.sigmoid, dtype, x)
    assert 0 <= sigmoid[0] <= 2 * np.finfo(dtype).tiny * (1 if dtype is np.float64 else 2)
    assert sigmoid[2] == sigmoid[3] == 1
    assert np.isnan(sigmoid[4])


@pytest.mark.parametrize("dtype", LIMIT)
def test_every_word_means_the_same(dtype: Any, rng: np.random.Generator) -> None:
    words = {v for v in vars(maths).values() if isinstance(v, FunctionType) and v.__module__ == maths.__name__}
    assert vocabulary(dtype).keys() == words
    x = rng.uniform(-3, 3, 1000).astype(dtype)
    for word in words:
        inputs = getattr(maths, word.__name__[1:])(x) if word.__name__ in ("dtanh", "dsigmoid", "drelu") else x
        y = compiled(word, dtype, inputs)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, word(inputs), rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
