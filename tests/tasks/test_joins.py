"""The four answers of the quiz as cells: proved on both engines, and what they are for single joins."""

import numpy as np
import pytest

import saiki
from saiki.cells import TREE_CELLS
from saiki.tasks.joins import JOINS
from saiki.trees import Recursive, Tree

OBVIOUS = {
    "sum": np.add,
    "product": np.multiply,
    "maximum": np.maximum,
}


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize("name", JOINS)
def test_gradients_are_right(name: str, engine: str) -> None:
    for bias in (False, True):
        certificate = saiki.check_gradients(Recursive(JOINS[name], 2, 3, bias=bias), engine=engine)
        assert certificate.right, str(certificate)


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize("name", OBVIOUS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leaves_are_vectors_and_inner_nodes_their_joins(name: str, engine: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 4)).astype(dtype)
    layer = Recursive(JOINS[name], 4, 4, bias=False)
    assert list(layer.parameters()) == ["Wx"]
    H, _ = layer.forward({"Wx": np.eye(4, dtype=dtype)}, [Tree.from_nested((a, (b, c)))], engine=engine)
    join = OBVIOUS[name]
    expected = np.stack([join(a, join(b, c)), a, join(b, c), b, c])
    assert H.dtype == dtype
    np.testing.assert_allclose(H, expected, rtol=4 * float(np.finfo(dtype).eps))


def test_the_right_answer_comes_first_and_is_the_recursive_network() -> None:
    assert list(JOINS) == ["W [left; right]", "sum", "product", "maximum"]
    assert JOINS["W [left; right]"] is TREE_CELLS["simple"]
