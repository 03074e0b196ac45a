"""The packed product, for every block that a machine may choose, against NumPy."""

from typing import Any

import numpy as np
import pytest
from numba.core.registry import cpu_target

import saiki
from saiki.engines import tile, walks
from saiki.engines.tile import Block

BLOCKS = {"AVX-512": (8, 2, 64), "AVX2": (4, 2, 32), "NEON": (8, 2, 16)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", BLOCKS)
def test_products_of_any_size_and_layout(
    kind: str, dtype: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, vectors, size = BLOCKS[kind]
    monkeypatch.setattr(tile, "target_block", lambda itemsize: Block(rows, vectors, size // itemsize))
    words = tile.products.__wrapped__(dtype)
    product, pack, columns = (words[name] for name in ("product", "pack", "columns"))
    tolerance = 200 * np.finfo(dtype).eps  # sums of up to 40 products of size 1 to 10
    for M, K, N in [
        (1, 1, 1),
        (7, 3, 33),
        (16, 32, 128),
        (9, 0, 5),
        (0, 3, 4),
        (13, 40, 100),
        (8, 8, 32),
        (9, 40, 2),
        (9, 5, 1),
        (7, 3, 16),
        (3, 2, 7),
    ]:
        A, B, C = (rng.standard_normal(shape).astype(dtype) for shape in ((M, K), (K, N), (M, N)))
        width = words["width_of"](N)
        panels, spare = np.empty((-(-N // width), K, width), dtype), np.empty(8 * columns, dtype)
        pack(B, panels)
        for left in (A, np.asfortranarray(A)):
            around = np.full((M, N + 3), 7, dtype)
            for start in (np.empty(0, dtype), C[0] if M else np.zeros(N, dtype)):
                around[:, 1 : N + 1] = C
                product(left, panels, start, around[:, 1 : N + 1], spare)
                expected = A @ B + (start if len(start) else C)
                np.testing.assert_allclose(around[:, 1 : N + 1], expected, atol=tolerance)
            assert (around[:, 0] == 7).all()
            assert (around[:, N + 1 :] == 7).all()


@pytest.mark.parametrize(
    ("features", "block"),
    [
        ("+avx512f,+avx2,+fma", (8, 2, 16)),
        ("+sse2,-avx512f,+avx2,+fma", (4, 2, 8)),
        ("+avx2", (8, 2, 4)),
        ("", (8, 2, 4)),
    ],
)
def test_the_block_is_that_of_the_processor_that_numba_compiles_for(
    features: str, block: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    codegen = type(cpu_target.target_context.codegen())
    monkeypatch.setattr(codegen, "magic_tuple", lambda self: ("triple", "processor", features))
    assert tuple(tile.target_block.__wrapped__(4)) == block


def test_the_block_is_in_the_name_of_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    depends: list[Any] = []

    def remembered(*arguments: Any) -> int:
        depends.append(arguments[5])
        return 0

    monkeypatch.setattr(walks, "kernel", remembered)
    for size in (64, 32):
        block = Block(8, 2, size // 4)
        monkeypatch.setattr(walks, "products", lambda dtype, block=block: {"block": block})
        walks.forward_walk.__wrapped__(saiki.cells.CELLS["simple"], np.float32)
    assert depends[0] != depends[1]
