"""The vocabulary of cells for the compiled engine: scalar functions that LLVM turns into vector instructions.

``np.tanh`` and ``np.exp`` are calls into a library, one number at a time. Here both come from ``expm1`` on a short
interval: with ``k = rint(x / ln 2)`` and ``r = x - k ln 2``, ``|r| <= ln(2) / 2``, the Taylor polynomial of
``exp(r) - 1`` of degree 7 (float32) or 13 (float64) is exact to rounding, and ``exp(x) - 1 = 2**k * p + (2**k - 1)``.
No step branches, so a loop over them becomes vector code.

Errors, measured against long double by ``tests/engines/test_vector_maths.py``: sigmoid and tanh within 4 ulp in float32
and float64. Beyond ``|x| = 87`` (float32) or 708 (float64) sigmoid stays at its value there, within 2e-38 or 4e-308 of
the truth: no number becomes subnormal.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic

from saiki import maths


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function of numbers so that it melts into the loop that calls it."""
    return njit(forceinline=True, error_model="numpy", nogil=True)(function)


def _llvm(name: str, arity: int) -> Any:
    """Return a function of floats that is one LLVM intrinsic, which the vectoriser knows."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        kind = args[0].type
        bits = 32 if isinstance(kind, ir.FloatType) else 64
        function = ir.FunctionType(kind, [kind] * arity)
        return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.f{bits}"), args)

    if arity == 1:
        return intrinsic(lambda typingctx, x: (x(x), generate))  # noqa: ARG005
    if arity == 2:
        return intrinsic(lambda typingctx, x, y: (x(x, x), generate))  # noqa: ARG005
    return intrinsic(lambda typingctx, x, y, z: (x(x, x, x), generate))  # noqa: ARG005


rint, fabs = _llvm("rint", 1), _llvm("fabs", 1)
copysign, minimum, maximum = _llvm("copysign", 2), _llvm("minimum", 2), _llvm("maximum", 2)
fma = _llvm("fma", 3)


@intrinsic
def power_of_two(typingctx: Any, k: Any) -> Any:  # noqa: ARG001
    """Return ``2**k`` for a whole float ``k`` in the range of normal numbers, by writing the exponent's bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        single = isinstance(args[0].type, ir.FloatType)
        whole = ir.IntType(32 if single else 64)
        exponent = builder.add(builder.fptosi(args[0], whole), whole(127 if single else 1023))
        return builder.bitcast(builder.shl(exponent, whole(23 if single else 52)), args[0].type)

    return k(k), generate


@cache
def vocabulary(dtype: type) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return, for each word of ``saiki.maths``, the compiled function that stands for it in one precision."""
    single = dtype is np.float32
    zero, one, two = dtype(0), dtype(1), dtype(2)
    over_ln2 = dtype(1 / math.log(2))
    # ln 2 in two parts, the first with so few bits that k times it is exact.
    ln2_high = dtype(0.693359375) if single else dtype(float.fromhex("0x1.62e42fee00000p-1"))
    ln2_low = dtype(math.log(2) - 0.693359375) if single else dtype(float.fromhex("0x1.a39ef35793c76p-33"))
    largest_exp, largest_tanh = (dtype(87), dtype(9.02)) if single else (dtype(708), dtype(19.1))
    degree = 7 if single else 13

    scope = {
        "rint": rint, "fma": fma, "power_of_two": power_of_two,
        "over_ln2": over_ln2, "ln2_high": ln2_high, "ln2_low": ln2_low,
    } | {f"c{n}": dtype(1 / math.factorial(n)) for n in range(1, degree + 1)}  # fmt: skip
    horner = "".join(f"    p = fma(p, r, c{n})\n" for n in range(degree - 1, 0, -1))
    exec(
        "def expm1_parts(x):\n"
        "    k = rint(x * over_ln2)\n"
        "    r = fma(-k, ln2_low, fma(-k, ln2_high, x))\n"
        f"    p = c{degree}\n{horner}"
        "    return p * r, power_of_two(k)\n",
        scope,
    )
    expm1_parts = inlined(scope["expm1_parts"])

    @inlined
    def exp(x):  # type: ignore[no-untyped-def]
        p, scale = expm1_parts(maximum(minimum(x, largest_exp), -largest_exp))
        return fma(p, scale, scale)

    @inlined
    def sigmoid(x):  # type: ignore[no-untyped-def]
        return one / (one + exp(-x))

    @inlined
    def tanh(x):  # type: ignore[no-untyped-def]
        size = minimum(fabs(x), largest_tanh)
        p, scale = expm1_parts(size + size)
        e = fma(p, scale, scale - one)
        return copysign(e / (e + two), x)

    @inlined
    def softplus(x):  # type: ignore[no-untyped-def]
        return maximum(x, zero) + np.log1p(exp(-fabs(x)))

    words = {
        maths.tanh: tanh,
        maths.sigmoid: sigmoid,
        maths.softplus: softplus,
        maths.dtanh: inlined(lambda y: one - y * y),
        maths.dsigmoid: inlined(lambda y: y * (one - y)),
        maths.relu: inlined(lambda x: maximum(x, zero)),
        maths.drelu: inlined(lambda y: one if y > zero else zero),
        maths.identity: inlined(lambda x: x),
        maths.didentity: inlined(lambda y: one + zero * y),
        maths.one_minus: inlined(lambda y: one - y),
    }
    return words
