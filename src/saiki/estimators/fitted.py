"""What a fitted network says of sequences of any lengths: in parts that fit into memory, with little padding."""

from collections.abc import Iterator

import numpy as np

from saiki.arrays import Array, Params
from saiki.layers import Network, Readout
from saiki.training.examples import Ragged, rounded_up

MOST_AT_ONCE, MOST_NUMBERS, SHORT = 256, 1 << 24, 16
"""So many sequences, and numbers in them and in the layers, are predicted at once; short ones with longer ones."""


def reads_each(network: Network) -> bool:
    """Whether a network says something of each step."""
    return any(isinstance(layer, Readout) and layer.kind == "each" for layer in network.layers)


def outputs_of(network: Network, params: Params, X: Ragged, n_outputs: int, engine: str | None) -> Array:
    """Return the outputs for each sequence, or for each step that exists, ``(n, n_outputs)``."""
    per_step = reads_each(network)
    outputs = np.empty((len(X.values) if per_step else len(X), n_outputs), X.values.dtype)
    order = np.arange(len(X)) if X.even else np.argsort(X.lengths, kind="stable")
    width = sum(size for layer in network.layers for size in layer.sizes if size is not None)
    for which in groups(order, X.lengths[order], MOST_NUMBERS // width):
        padded, lengths = X.pad(which)
        if not padded.shape[1]:  # no step at all: what a readout says of nothing
            padded, lengths = np.zeros((len(which), 1, X.values.shape[1]), outputs.dtype), X.lengths[which]
        Y, _ = network.predict(params, padded, lengths=lengths, engine=engine)
        if per_step:
            found = Ragged.of_padded(Y, X.lengths[which] if lengths is None else lengths)
            outputs[_places(X, which)] = found.values
        else:
            outputs[which] = Y
    return outputs


def groups(order: Array, lengths: Array, most_steps: int) -> Iterator[Array]:
    """Yield parts of an order to be padded together: not too many steps in all, nor very short beside very long ones.

    >>> [part.tolist() for part in groups(np.arange(5), np.array([1, 2, 2, 90, 100]), 150)]
    [[0, 1, 2], [3], [4]]
    """
    start = 0
    for end in range(1, len(order) + 1):
        full = end - start == MOST_AT_ONCE or end == len(order)
        if not full:
            longest = rounded_up(int(lengths[end]))
            full = (end - start + 1) * longest > most_steps or longest > 2 * max(int(lengths[start]), SHORT)
        if full:
            yield order[start:end]
            start = end


def _places(X: Ragged, which: Array) -> Array:
    """Return where the steps of some sequences stand."""
    return X.with_values(np.arange(len(X.values))).select(which).values
