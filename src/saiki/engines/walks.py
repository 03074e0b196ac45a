"""The compiled walks of a cell, and what Numba has to say of a cell that it does not understand."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

from saiki.cells import Cell
from saiki.engines.loops import backward_arguments, backward_source, forward_arguments, forward_source
from saiki.engines.native import kernel
from saiki.engines.tile import products
from saiki.engines.words import depends_on, translate
from saiki.errors import ArgumentError


class Walks(NamedTuple):
    """The addresses of both kernels."""

    forward: int
    backward: int


@cache
def walks(cell: Cell, dtype: Any) -> Walks:
    """Compile the walks of a cell, or find them in the cache.

    Raises:
        ArgumentError: the cell's functions use what Numba does not understand.
    """
    scope: dict[str, Any] = {**products(dtype), "zero": dtype(0)}
    depends = []
    for number, stage in enumerate(cell.stages):
        for name, function in ((f"stage_{number}", stage.forward), (f"back_{number}", stage.backward)):
            depends.append(depends_on(function))
            scope[name] = translate(function, dtype)
    purpose = f"the {cell.name} cell for {np.dtype(dtype).name}"
    try:
        return Walks(
            kernel("forward_walk", forward_source(cell), forward_arguments(cell), dtype, scope, depends, purpose),
            kernel("backward_walk", backward_source(cell), backward_arguments(cell), dtype, scope, depends, purpose),
        )
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.startswith("Failed in")), "")
        raise ArgumentError(
            f"cell {cell.name!r} cannot be compiled; Numba says: {reason.rstrip('.')}."
            " Write it with arithmetic and the words of saiki.maths, or use engine='reference'."
        ) from error
