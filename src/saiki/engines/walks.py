"""The compiled walks of a cell, and what Numba has to say of a cell that it does not understand."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from saiki.cells import Cell, TreeCell
from saiki.cells.fingerprint import fingerprint
from saiki.engines.loops import backward_arguments, backward_source, forward_arguments, forward_source
from saiki.engines.native import Argument, kernel
from saiki.engines.tile import products
from saiki.engines.words import NotFixedError, translate
from saiki.errors import ArgumentError


@cache
def forward_walk(cell: Cell, dtype: Any) -> int:
    """Compile the forward walk of a cell, or find it in the cache; return its address.

    Raises:
        ArgumentError: the cell's functions use what Numba does not understand.
    """
    functions = {f"stage_{number}": stage.forward for number, stage in enumerate(cell.stages)}
    return walk_kernel("forward_walk", forward_source(cell), forward_arguments(cell), functions, cell, dtype)


@cache
def backward_walk(cell: Cell, dtype: Any) -> int:
    """Compile the backward walk of a cell; see ``forward_walk``."""
    functions = {f"back_{number}": stage.backward for number, stage in enumerate(cell.stages)}
    return walk_kernel("backward_walk", backward_source(cell), backward_arguments(cell), functions, cell, dtype)


def walk_kernel(
    name: str,
    source: str,
    arguments: Mapping[str, Argument],
    functions: Mapping[str, Any],
    cell: Cell | TreeCell,
    dtype: Any,
) -> int:
    """Compile a walk around the functions of a cell, which its source calls by these names; return its address.

    Raises:
        ArgumentError: the functions use what Numba does not understand.
    """
    kind = f"{cell.name} ({cell.activation})" if cell.activation else cell.name
    kind = f"tree {kind}" if isinstance(cell, TreeCell) else kind
    try:
        words = dict(products(dtype))
        depends = [repr(words.pop("block")).encode()]
        scope = words | {"zero": dtype(0)} | {n: translate(f, dtype) for n, f in functions.items()}
        depends += [fingerprint(function).encode() for function in functions.values()]
        return kernel(name, source, arguments, dtype, scope, depends, f"the {kind} cell for {np.dtype(dtype).name}")
    except NotFixedError as error:
        raise ArgumentError(
            f"cell {cell.name!r} cannot be compiled; {error}. Read numbers, tuples, arrays or attributes of a module"
            " instead, or use engine='reference'."
        ) from error
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.startswith("Failed in")), "")
        raise ArgumentError(
            f"cell {cell.name!r} cannot be compiled; Numba says: {reason.rstrip('.')}."
            " Write it with arithmetic and the words of saiki.maths, or use engine='reference'."
        ) from error
