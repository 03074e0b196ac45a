"""Matrix products for recurrent steps: small batches times weights that stay the same for many steps.

A general product packs both matrices anew in every call. Here the right one is packed once, into panels of a few
vectors' width, and an inner kernel keeps a block of the result in registers while it runs down the whole inner
dimension: rows of the left matrix are broadcast, panels of the right one are read in order, ``llvm.fma`` adds up. It
starts from what is in the result, so ``h Wh`` lands on ``x Wx + b`` with no pass of its own.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from saiki.engines.building import build
from saiki.engines.native import pointers


class Block(NamedTuple):
    """The block of the result that is kept in registers.

    Attributes:
        rows: of the left matrix.
        vectors: of the right matrix, side by side.
        width: numbers in a vector.
    """

    rows: int
    vectors: int
    width: int

    @property
    def columns(self) -> int:
        """The width of a panel."""
        return self.vectors * self.width


@cache
def target_block(itemsize: int) -> Block:
    """Choose the block for the vectors and registers of the processor that Numba compiles for.

    That is this machine's, unless NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name another one.

    AVX-512 has 32 registers of 64 bytes: 8 rows by 2 vectors take 16, and leave room for the operands. AVX2 has 16 of
    32 bytes, of which 4 by 2 take 8; NEON 32 of 16 bytes, of which 8 by 2 take 16.
    """
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    has = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    if "avx512f" in has:
        return Block(8, 2, 64 // itemsize)
    if {"avx2", "fma"} <= has:
        return Block(4, 2, 32 // itemsize)
    return Block(8, 2, 16 // itemsize)


def make_kernel(rows: int, vectors: int, width: int, bits: int) -> Any:
    """Return ``kernel(a, row_stride, k_stride, b, start, start_stride, c, c_stride, K)``: one block of ``start + A B``.

    ``a``, ``b``, ``start`` and ``c`` are addresses, strides count numbers: ``A[i, k]`` is at ``a + i * row_stride +
    k * k_stride``, ``B`` is a packed panel, row ``i`` of C is at ``c + i * c_stride``.
    """
    scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
    vector, word = ir.VectorType(scalar, width), ir.IntType(64)
    places = [(i, v) for i in range(rows) for v in range(vectors)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        a, row_stride, k_stride, b, start, start_stride, c, c_stride, K = args
        a, b, start, c = (builder.inttoptr(p, scalar.as_pointer()) for p in (a, b, start, c))
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{width}f{bits}"
        )

        def vector_at(base: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())

        def block_at(base: Any, stride: Any) -> dict[tuple[int, int], Any]:
            return {
                (i, v): vector_at(base, builder.add(builder.mul(word(i), stride), word(v * width))) for i, v in places
            }

        sums = {place: cgutils.alloca_once(builder, vector) for place in places}
        for place, source in block_at(start, start_stride).items():
            builder.store(builder.load(source, align=bits // 8), sums[place])
        with cgutils.for_range(builder, K) as loop:
            row = builder.mul(loop.index, word(vectors * width))
            right = [
                builder.load(vector_at(b, builder.add(row, word(v * width))), align=bits // 8) for v in range(vectors)
            ]
            column = builder.gep(a, [builder.mul(loop.index, k_stride)])
            for i in range(rows):
                number = builder.load(builder.gep(column, [builder.mul(word(i), row_stride)]))
                blank = ir.Constant(vector, ir.Undefined)
                first = builder.insert_element(blank, number, ir.IntType(32)(0))
                lanes = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)
                left = builder.shuffle_vector(first, blank, lanes)
                for v in range(vectors):
                    added = builder.call(fma, [left, right[v], builder.load(sums[i, v])])
                    builder.store(added, sums[i, v])
        for place, target in block_at(c, c_stride).items():
            builder.store(builder.load(sums[place]), target, align=bits // 8)
        return context.get_dummy_value()

    @intrinsic
    def kernel(typingctx, a, row_stride, k_stride, b, start, start_stride, c, c_stride, K):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return types.void(*[types.intp] * 9), generate

    return kernel


THIN = 4
"""Results of up to so many columns are summed up column by column; a panel would be nearly empty."""


@cache
def products(dtype: Any) -> dict[str, Any]:
    """Return what sources need for products in one precision: functions, and ``columns``, the width of a panel.

    ``pack(B, panels)`` copies ``B (K, N)`` into ``panels (ceil(N / width), K, width)``, filled up with zeros; with a
    width of 1 they are B's columns. ``width_of(N)`` is the width to choose. ``product(A, panels, start, C, spare)``
    makes ``C (M, N)`` the sum of ``A B`` and of the row ``start (N,)``, or of C itself, if start is empty;
    ``spare (rows * columns,)`` takes the block that sticks out.
    """
    size = np.dtype(dtype).itemsize
    block, number, words = target_block(size), from_dtype(np.dtype(dtype)), pointers(dtype)
    matrix, panels, row = number[:, :], number[:, :, ::1], number[::1]
    full = [types.void(matrix, panels, row, matrix, row)]
    scope: dict[str, Any] = {}
    of_block = [repr(block).encode()]
    for name, vectors in (("wide", block.vectors), ("slim", 1)):
        rows = [r for r in (8, 4, 2, 1) if r <= block.rows]
        kernels = {f"kernel{r}": make_kernel(r, vectors, block.width, 8 * size) for r in rows}
        calls = "".join(
            f"            {'if' if r == rows[0] else 'elif'} left >= {r}:\n"
            f"                kernel{r}(a, row_stride, k_stride, b, begin, begin_stride, target, stride, K)\n"
            f"                i += {r}\n"
            for r in rows
        )
        source = PANEL_PRODUCT.format(columns=vectors * block.width, size=size, most=block.rows, calls=calls)
        scope[name] = build("panel_product", source, kernels, full, of_block)
    scope["thin"] = build(
        "thin_product", THIN_PRODUCT.format(size=size), words, [types.void(matrix, panels, row, matrix)]
    )
    widths = {"thin": THIN, "slim": block.width, "wide": block.columns}
    return {
        "product": build("product", PRODUCT.format(slim=block.width), scope, full, of_block),
        "pack": build("pack", PACK, {"zero": dtype(0)}, [types.void(matrix, panels)]),
        "width_of": build("width_of", WIDTH.format(**widths), {}),
        "columns": block.columns,
        "block": block,
    }


def width_of(N: int, dtype: Any) -> int:
    """Return the width of the panels of a matrix with ``N`` columns."""
    block = target_block(np.dtype(dtype).itemsize)
    return 1 if N <= THIN else block.width if block.width >= N else block.columns


WIDTH = """
def width_of(N):
    return 1 if N <= {thin} else {slim} if N <= {slim} else {wide}
"""

PRODUCT = """
def product(A, panels, start, C, spare):
    if panels.shape[2] == 1:
        thin(A, panels, start, C)
    elif panels.shape[2] == {slim}:
        slim(A, panels, start, C, spare)
    else:
        wide(A, panels, start, C, spare)
"""

THIN_PRODUCT = """
def thin_product(A, panels, start, C):
    M, N, K = C.shape[0], C.shape[1], A.shape[1]
    row_stride, k_stride = A.strides[0] // {size}, A.strides[1] // {size}
    a, b, c = numbers(A.ctypes.data), numbers(panels.ctypes.data), numbers(C.ctypes.data)
    c_row, c_column = C.strides[0] // {size}, C.strides[1] // {size}
    if len(start) > 0:
        for i in range(M):
            for p in range(N):
                c[i * c_row + p * c_column] = start[p]
    if row_stride != 1 or k_stride == 1:
        for i in range(M):
            for p in range(N):
                total = c[i * c_row + p * c_column]
                for k in range(K):
                    total += a[i * row_stride + k * k_stride] * b[p * K + k]
                c[i * c_row + p * c_column] = total
        return
    for p in range(N):
        for k in range(0, K - 3, 4):
            a0, b0 = k * k_stride, p * K + k
            a1, a2, a3 = a0 + k_stride, a0 + 2 * k_stride, a0 + 3 * k_stride
            f0, f1, f2, f3 = b[b0], b[b0 + 1], b[b0 + 2], b[b0 + 3]
            if N == 1 and c_row == 1:
                for i in range(M):
                    c[i] += a[a0 + i] * f0 + a[a1 + i] * f1 + a[a2 + i] * f2 + a[a3 + i] * f3
            else:
                for i in range(M):
                    c[i * c_row + p * c_column] += a[a0 + i] * f0 + a[a1 + i] * f1 + a[a2 + i] * f2 + a[a3 + i] * f3
        for k in range(K - K % 4, K):
            for i in range(M):
                c[i * c_row + p * c_column] += a[k * k_stride + i] * b[p * K + k]
"""

PANEL_PRODUCT = """
def panel_product(A, panels, start, C, spare):
    M, N, K = C.shape[0], C.shape[1], A.shape[1]
    row_stride, k_stride = A.strides[0] // {size}, A.strides[1] // {size}
    for p in range(panels.shape[0]):
        first = p * {columns}
        width = min({columns}, N - first)
        b = panels.ctypes.data + {size} * {columns} * K * p
        i = 0
        while i < M:
            left = M - i
            a = A.ctypes.data + A.strides[0] * i
            if width == {columns}:
                target, stride = C.ctypes.data + C.strides[0] * i + {size} * first, C.strides[0] // {size}
                begin, begin_stride = target, stride
                if len(start) > 0:
                    begin, begin_stride = start.ctypes.data + {size} * first, 0
            else:
                target, stride = spare.ctypes.data, {columns}
                begin, begin_stride = target, stride
                for r in range(min(left, {most})):
                    for j in range(width):
                        spare[r * {columns} + j] = start[first + j] if len(start) > 0 else C[i + r, first + j]
            at = i
{calls}
            if width < {columns}:
                for r in range(i - at):
                    for j in range(width):
                        C[at + r, first + j] = spare[r * {columns} + j]
"""

PACK = """
def pack(B, panels):
    K, N = B.shape
    width = panels.shape[2]
    for p in range(panels.shape[0]):
        filled = min(width, N - p * width)
        for k in range(K):
            for j in range(filled):
                panels[p, k, j] = B[k, p * width + j]
            for j in range(filled, width):
                panels[p, k, j] = zero
"""
