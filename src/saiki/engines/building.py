"""Compile generated code once, and find it again in the next process.

Numba's cache knows a function by its file, its name and its signature, and looks at the time stamp of that file alone.
Code generated from a cell depends on more: on the cell's functions, on the generator, on the vocabulary. So the name
carries a hash of all that, and the code says that it comes from this file, beside which (or, where that cannot be
written, in the user's cache folder) Numba then keeps what it compiled.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from numba import njit

FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Everything but the promise that there are no NaN and no infinities, which would hide a divergence."""

HERE = Path(__file__).parent


@cache
def engine_sources() -> bytes:
    """Return the sources of all that generates code."""
    return b"".join(path.read_bytes() for path in sorted(HERE.glob("*.py")))


def fingerprint(code: CodeType) -> bytes:
    """Return what a function does, without where it stands."""
    names = repr((code.co_names, code.co_varnames)).encode()
    constants = (fingerprint(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts)
    return b"|".join([code.co_code, names, *constants])


def build(
    name: str,
    source: str,
    scope: Mapping[str, Any],
    signatures: Iterable[Any] | None = None,
    depends: Iterable[bytes] = (),
) -> Any:
    """Compile the function ``name`` of a generated source.

    Args:
        name: the function's name in the source.
        source: Python, in what Numba understands.
        scope: what its global names mean.
        signatures: the signatures to compile now, or None to compile when first called.
        depends: whatever else the code depends on.
    """
    digest = hashlib.sha256(b"|".join([source.encode(), engine_sources(), *depends])).hexdigest()[:16]
    namespace: dict[str, Any] = {"__name__": __name__, **scope}  # a name that the next process can import
    exec(compile(source, __file__, "exec"), namespace)
    function: FunctionType = namespace[name]
    function.__qualname__ = f"{name}_{digest}"
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": FASTMATH}
    return njit(list(signatures), **options)(function) if signatures else njit(**options)(function)
