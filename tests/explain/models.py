"""Models, parameters and parts of them, for the tests of the microscope."""

from typing import Any

import numpy as np

from saiki.arrays import Params
from saiki.cells import CELLS
from saiki.layers import Bidirectional, Conv1D, Dense, Layer, Readout, Recurrent
from tests.layers.test_ladder import draw

EXACT = 1e-12  # the same sums in another order


LENGTHS = [3, 7, 0, 1]


def drawn(model: Layer, rng: np.random.Generator) -> Params:
    return draw(model, rng, 1, 1)[0]


def part_of(params: Params, first: int, last: int) -> Params:
    """Return the parameters of some layers of a network, numbered from 0."""
    numbered = {name: name.split("/", 1) for name in params}
    return {f"{int(i) - first}/{key}": params[name] for name, (i, key) in numbered.items() if first <= int(i) < last}


def simple(n_in: int, **options: Any) -> Recurrent:
    return Recurrent("simple", n_in, 2, **options)


READ: dict[str, list[Layer]] = {
    "each step": [simple(2), Dense(2, 1, "sigmoid")],
    "a stack": [simple(2), Recurrent("mgu", 2, 2), Dense(2, 1)],
    "backwards": [simple(2, reverse=True), Recurrent("lstm", 2, 2), Dense(2, 2)],
    "forwards, then backwards": [Recurrent("lstm", 2, 2), simple(2, reverse=True, learn_initial=True), Dense(2, 1)],
    "both ways": [Bidirectional(Recurrent("gru", 2, 2)), Dense(4, 1)],
    "both ways above": [simple(2), Bidirectional(simple(2)), Dense(4, 1)],
    "the last": [Recurrent("gru", 2, 2), Readout("last"), Dense(2, 2)],
    "the last of both ways": [Bidirectional(simple(2)), simple(4), Readout("last"), Dense(2, 2)],
    "the last of each way": [simple(2), Bidirectional(simple(2)), Readout("last", n_reversed=2), Dense(4, 1)],
    "the mean": [simple(2), Readout("mean"), Dense(2, 2, "tanh")],
    "the largest": [Recurrent("indrnn", 2, 2, reverse=True), Readout("max"), Dense(2, 2)],
    "between convolutions": [Conv1D(2, 2, 2), simple(2), Conv1D(2, 2, 3, stride=2, padding=1), simple(2), Dense(2, 1)],
    **{f"{cell} cells": [Recurrent(cell, 2, 2), Dense(2, 1)] for cell in CELLS},
}
