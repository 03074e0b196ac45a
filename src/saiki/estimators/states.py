"""The state of live streams: a dict of arrays, which ``numpy.savez`` can keep."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from saiki.arrays import Array, refuse_masked
from saiki.errors import ArgumentError, ShapeError
from saiki.layers import Network, Recurrent


def state_names(network: Network) -> list[list[str]]:
    """Return for each layer the names of its state's arrays: ``"0/h"``, ``"0/c"``, ...

    >>> from saiki import LSTM, Dense
    >>> state_names(Network([LSTM(2, 3), Dense(3, 1)]))
    [['0/h', '0/c'], []]
    """
    return [
        [f"{i}/{name}" for name in layer.cell.states] if isinstance(layer, Recurrent) else []
        for i, layer in enumerate(network.layers)
    ]


def named_state(network: Network, nested: tuple[Any, ...]) -> dict[str, Array]:
    """Return a network's state as arrays ``(n_streams, n_units)`` by name."""
    named: dict[str, Array] = {}
    for names, part in zip(state_names(network), nested, strict=True):
        named |= zip(names, part if len(names) > 1 else (part,), strict=False)
    return named


def nested_state(network: Network, named: Mapping[str, Array], n_streams: int) -> tuple[Any, ...]:
    """Return what ``named_state`` was given.

    Raises:
        ArgumentError: it is no dict, or an array is missing or not known.
        ShapeError: an array has not one row for each stream.
    """
    names = state_names(network)
    known = {name for part in names for name in part}
    if not isinstance(named, Mapping) or named.keys() != known:
        got = sorted(map(str, named)) if isinstance(named, Mapping) else type(named).__name__
        raise ArgumentError(f"state must be None or the dict that step returned, with {sorted(known)}; got {got}.")
    for name, array in named.items():
        refuse_masked(f"state[{name!r}]", array)
        if np.ndim(array) != 2 or len(array) != n_streams:
            raise ShapeError(
                f"state must have a row for each of the {n_streams} streams of x; state[{name!r}] has shape"
                f" {np.shape(array)}. Streams come and go with their rows: take array[[0, 2]] of each, or add rows of"
                " zeros."
            )
    parts = [tuple(named[name] for name in part) for part in names]
    return tuple(part if len(part) > 1 else part[0] if part else None for part in parts)
