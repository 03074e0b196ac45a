"""What a cell is: functions of numbers, whose argument names say everything that the engines need to know."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from types import FunctionType
from typing import Any, NamedTuple, final

import numpy as np

from saiki.errors import ArgumentError, choose
from saiki.maths import ACTIVATIONS

CellFunction = Callable[..., Any]


class Stage(NamedTuple):
    """One pair of functions of a cell, run after one product with ``Wh``.

    Attributes:
        forward: the function.
        backward: its backward.
        sees: what is multiplied with ``Wh``: ``h_prev``, or ``v``, which the stage before made of it.
        gates: the gates that get a part of that product, in the order of the columns of ``Wh``.
        returns: the names of what ``forward`` returns.
    """

    forward: CellFunction
    backward: CellFunction
    sees: str
    gates: tuple[str, ...]
    returns: tuple[str, ...]


@final
@dataclass(frozen=True)
class Cell:
    """One recurrence: its forward and backward equations for one unit and one step.

    ``forward`` returns the new states, then whatever ``backward`` will need. The names of its arguments say what the
    engine hands in:

    =====================  =========================================================================================
    ``a``, ``a_i``         the pre-activation of a gate, ``x @ Wx + h_prev @ Wh + b``
    ``x_n`` and ``h_n``    its two parts apart, ``x @ Wx + b`` and ``h_prev @ Wh + bh``
    ``x``, ``x_z`` alone   a gate that does not see the previous state; it has no columns in ``Wh``
    ``h_prev``, ``c_prev``  a previous state; every cell has ``h``, first, and one more for every other ``..._prev``
    any other              a parameter of its own, one number for each unit
    =====================  =========================================================================================

    Gates are column blocks of ``Wx``, ``Wh`` and ``b`` in the order in which the functions name them.

    ``backward`` takes, by name, gradients of the new states (``dh``, ``dc``), any argument of ``forward``, new states,
    and, in the order in which ``forward`` returns them, the saved values. It returns one gradient for each argument of
    ``forward``, in the same order. What flows through ``h_prev @ Wh`` belongs to the engine.

    A cell some of whose gates see the previous state through other gates has a stage before: ``look`` returns ``v``,
    which these later gates see instead of ``h_prev``, then saved values in the order in which ``look_backward`` names
    them; ``forward`` may take those as arguments. ``look_backward`` takes ``dv`` and the gradients of such values.

    All are written with the words of ``saiki.maths`` and without numeric literals. A cell whose equations say
    ``activation`` (and ``dactivation``) can be had with any activation.

    Args:
        name: what the cell is called.
        forward: the forward equations.
        backward: the backward equations.
        look: what later gates see of the previous state, or None where all see it as it is.
        look_backward: its backward.
        equations: a text with the equations, for readers.
        activation: the name of the activation; None is the one that the equations were written with, if any.

    Raises:
        ArgumentError: the functions do not fit each other.

    >>> from saiki.cells import CELLS
    >>> CELLS["lstm"].gates, CELLS["lstm"].states
    (('i', 'f', 'g', 'o'), ('h', 'c'))
    """

    name: str
    forward: CellFunction = field(repr=False)
    backward: CellFunction = field(repr=False)
    look: CellFunction | None = field(default=None, repr=False)
    look_backward: CellFunction | None = field(default=None, repr=False)
    equations: str = field(default="", repr=False)
    activation: str | None = None

    def __post_init__(self) -> None:
        if (self.look is None) != (self.look_backward is None):
            raise ArgumentError(f"cell {self.name!r}: look and look_backward come together; give both or neither.")
        if "activation" in self.forward.__code__.co_names:
            written = self.forward.__globals__["activation"]
            names = [name for name, (function, _) in ACTIVATIONS.items() if function is written]
            object.__setattr__(self, "activation", self.activation or (names[0] if names else None))
        elif self.activation is not None:
            raise ArgumentError(f"activation: the equations of cell {self.name!r} leave none to choose; leave it out.")
        if not self.gates:
            raise ArgumentError(
                f"cell {self.name!r}: a cell must have at least one gate, an argument named a, a_..., x or x_...;"
                f" forward takes {', '.join(arguments_of(self.forward))}."
            )
        for stage in self.stages:
            self._check_count(stage.forward, stage.returns)
            self._check_count(stage.backward, tuple(f"d{name}" for name in arguments_of(stage.forward)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell, tuple(getattr(self, f.name) for f in fields(self))

    @cached_property
    def _arguments(self) -> tuple[str, ...]:
        """What the functions take from the engine, in order."""
        names = (*arguments_of(self.look), *(n for n in arguments_of(self.forward) if n not in self._look_saved))
        return tuple(dict.fromkeys(names))

    @cached_property
    def _look_saved(self) -> tuple[str, ...]:
        """What ``look`` returns beside ``v``."""
        gradients = {f"d{name}" for name in ("v", *arguments_of(self.look_backward))}
        return tuple(
            name
            for name in arguments_of(self.look_backward)
            if name not in gradients and name not in arguments_of(self.look)
        )

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """For each gate the argument that has the input in it: ``a_...``, or ``x_...`` where that is all it has."""
        return tuple(n for n in self._arguments if n in ("a", "x") or n.startswith(("a_", "x_")))

    @cached_property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates, in the order of the column blocks; the only gate of a cell may be nameless."""
        return tuple(name[2:] for name in self.inputs)

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """The gates that have columns in ``Wh``, in order."""
        return tuple(g for g in self.gates if argument("a", g) in self.inputs or g in self.apart)

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """The gates that take their two parts apart, in the order of ``bh``."""
        return tuple(g for g in self.gates if g and f"h_{g}" in self._arguments)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names of what is carried from step to step: ``h`` first."""
        previous = (n.removesuffix("_prev") for n in self._arguments if n.endswith("_prev"))
        return ("h", *(n for n in previous if n != "h"))

    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """The names of the parameters that hold one number for each unit."""
        parts = {*self.inputs, *(argument("h", gate) for gate in self.apart)}
        return tuple(n for n in self._arguments if n not in parts and not n.endswith("_prev"))

    @cached_property
    def saved(self) -> tuple[str, ...]:
        """The names of what the functions return beside the new states, for their backwards."""
        known = {f"d{s}" for s in self.states} | {*self.states, *self._arguments} | {f"{s}_prev" for s in self.states}
        look = ("v", *self._look_saved) if self.look else ()
        return (*look, *(n for n in arguments_of(self.backward) if n not in known and n not in look))

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The cell's functions in the order in which they run."""
        look = ("v", *self._look_saved) if self.look else ()
        returns = (*self.states, *(n for n in self.saved if n not in look))
        sees = "v" if self.look else "h_prev"
        last = Stage(self._bind(self.forward), self._bind(self.backward), sees, self._gates_of(self.forward), returns)
        if self.look is None or self.look_backward is None:
            return (last,)
        first = self._bind(self.look), self._bind(self.look_backward)
        return Stage(*first, "h_prev", self._gates_of(self.look), look), last

    def with_activation(self, activation: str) -> "Cell":
        """Return the same equations with another activation.

        Raises:
            ArgumentError: no such activation, or the cell's equations have none to choose.
        """
        choose("activation", activation, ACTIVATIONS)
        return replace(self, activation=activation)

    def _bind(self, function: CellFunction) -> CellFunction:
        """Return the same code, reading the chosen activation where it says ``activation``."""
        if self.activation is None:
            return function
        activation, derivative = ACTIVATIONS[self.activation]
        words = {"activation": activation, "dactivation": derivative}
        return FunctionType(function.__code__, {**function.__globals__, **words}, function.__name__)

    def _gates_of(self, function: CellFunction) -> tuple[str, ...]:
        names = arguments_of(function)
        return tuple(g for g in self.recurrent if argument("a", g) in names or argument("h", g) in names)

    def _check_count(self, function: CellFunction, names: tuple[str, ...]) -> None:
        """Run a function on single numbers, and hold it to the number of values that it must return."""
        returned = function(*(np.float64(0.5) for _ in arguments_of(function)))
        count = len(returned) if isinstance(returned, tuple) else 1
        if count != len(names):
            raise ArgumentError(
                f"cell {self.name!r}: {function.__name__} must return {len(names)} values, {', '.join(names)},"
                f" as the arguments of the cell's functions say; it returns {count}."
            )


def argument(part: str, gate: str) -> str:
    """Return what a cell function calls a part (``a``, ``x`` or ``h``) of a gate.

    >>> argument("a", "i"), argument("x", "")
    ('a_i', 'x')
    """
    return f"{part}_{gate}" if gate else part


@cache  # asked for at every time step
def arguments_of(function: CellFunction | None) -> tuple[str, ...]:
    """Return the names of a function's arguments; none where there is no function."""
    return tuple(inspect.signature(function).parameters) if function else ()
