"""A model as the microscope sees it: layers one after another, and the walk back through them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from saiki.arrays import Array, Params
from saiki.engines import reference
from saiki.layers import Bidirectional, Layer, Network, Recurrent
from saiki.layers.bidirectional import DIRECTIONS
from saiki.layers.layer import run_backward
from saiki.layers.recurrent import RecurrentTape


class Unit(NamedTuple):
    """A layer of the model that has no layers inside but two directions, and what a forward pass made of it.

    Attributes:
        name: what stands before the names of its parameters, such as "0/" or "1/0/".
        layer: its description.
        params: its parameters, by their own names.
        state: its initial state, as it was given.
        tape: what it kept of the forward pass.
    """

    name: str
    layer: Layer
    params: Params
    state: Any
    tape: Any


class Recurrence(NamedTuple):
    """A recurrent layer, the gradient of the loss with respect to its outputs, and what flowed back through it."""

    name: str
    layer: Recurrent
    params: Params
    tape: RecurrentTape
    d_outputs: Array
    flow: reference.Flow

    @property
    def lengths(self) -> Array:
        """The length of each sequence ``(B,)``."""
        schedule = self.tape.tape.schedule
        return schedule.unsort(schedule.lengths)


class Part(NamedTuple):
    """What a backward pass found in one unit: its gradients, by full name, and what flowed through recurrent layers."""

    unit: Unit
    d_outputs: Array
    gradients: Params
    recurrences: list[Recurrence]


def units_of(layer: Layer, params: Params, state: Any, tape: Any, name: str = "") -> list[Unit]:
    """Return the layers of a model, those of networks within it too, from input to output."""
    if not isinstance(layer, Network):
        return [Unit(name, layer, params, state, tape)]
    states = layer._states("state", state)
    return [
        unit
        for i, part in enumerate(layer.layers)
        for unit in units_of(part, layer._of(params, i), states[i], tape[i], f"{name}{i}/")
    ]


def walk_back(units: list[Unit], dY: Array, tbptt: int | None) -> list[Part]:
    """Return what a backward pass finds in each unit."""
    parts: list[Part] = []
    for unit in reversed(units):
        grads = run_backward(unit.layer, unit.params, unit.tape, dY, None, tbptt)
        found = {unit.name + name: grad for name, grad in grads.items()}
        parts.insert(0, Part(unit, dY, found, list(recurrences(unit, dY, tbptt))))
        dY = grads.X
    return parts


def head_of(parts: list[Part]) -> int:
    """Return how many units there are before the time axis is read out, by a ``Readout`` or by another layer."""
    return next((i for i, part in enumerate(parts) if part.d_outputs.ndim != 3), len(parts))


def recurrent_walk_back(units: list[Unit], dY: Array, tbptt: int | None) -> list[Recurrence]:
    """Return what flows back through the recurrent layers alone."""
    first = next(i for i, unit in enumerate(units) if isinstance(unit.layer, Recurrent | Bidirectional))
    found: list[Recurrence] = []
    for i in range(len(units) - 1, first - 1, -1):
        found[:0] = recurrences(units[i], dY, tbptt)
        if i > first:  # nothing below asks for what would go on
            dY = run_backward(units[i].layer, units[i].params, units[i].tape, dY, None, tbptt).X
    return found


def recurrences(unit: Unit, dY: Array, tbptt: int | None) -> Iterator[Recurrence]:
    """Yield what flows back through the recurrent layers of a unit: none, itself, or both directions."""
    layer, parts = unit.layer, []
    if isinstance(layer, Recurrent):
        parts = [(unit.name, layer, unit.params, unit.tape, dY)]
    elif isinstance(layer, Bidirectional):
        halves = zip(DIRECTIONS, layer.layers, unit.tape, np.split(dY, 2, axis=-1), strict=True)
        parts = [(f"{unit.name}{way}/", part, layer._of(unit.params, way), tape, dH) for way, part, tape, dH in halves]
    for name, part, params, tape, dH in parts:
        dstates = part._states("dstate", None, dH)
        flow = reference.flow_back(part.cell, params, tape.tape, dH, dstates, tbptt)
        yield Recurrence(name, part, params, tape, dH, flow)
