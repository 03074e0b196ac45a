"""What a cell is: two functions of numbers, whose argument names say everything the engines need to know."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from types import FunctionType
from typing import Any, final

from saiki.errors import ArgumentError, choose
from saiki.maths import ACTIVATIONS

CellFunction = Callable[..., Any]


@final
@dataclass(frozen=True)
class Cell:
    """One recurrence, as its forward and its backward equations for one unit and one step.

    ``forward`` takes one argument per gate, then what else the equations need, and returns the new states followed by
    what the backward will need. Argument names carry the meaning:

    ============  ==========================================================================================
    name          what the engine hands in
    ============  ==========================================================================================
    ``a``, ``a_i``  the pre-activation of a gate, ``x @ Wx + h_prev @ Wh + b``; gates are column blocks of
                    ``Wx``, ``Wh`` and ``b`` in the order of the signature
    ``c_prev``      the previous value of a state; every cell has the state ``h``, and one more for every
                    other ``..._prev`` in the signature
    ============  ==========================================================================================

    ``backward`` takes by name the gradients of the new states (``dh``, ``dc``), new states (``h``), previous states
    (``c_prev``) and, in the order in which ``forward`` returns them, the saved values; it returns one gradient for each
    argument of ``forward``, in the same order. The part of a gradient that flows through ``h_prev @ Wh`` belongs to
    the engine.

    Both are written with the words of ``saiki.maths`` and without numeric literals. A cell whose equations say
    ``activation`` (and ``dactivation``) can be had with any activation.

    Args:
        name: what the cell is called.
        forward: the forward equations.
        backward: the backward equations.

    Raises:
        ArgumentError: the signatures do not fit each other.

    >>> from saiki.cells import CELLS
    >>> CELLS["simple"].gates, CELLS["simple"].states
    (('a',), ('h',))
    """

    name: str
    forward: CellFunction
    backward: CellFunction

    def __post_init__(self) -> None:
        if not self.gates:
            raise ArgumentError(
                f"cell {self.name!r}: forward must take at least one gate, named a or a_...;"
                f" got {arguments_of(self.forward)}."
            )
        unknown = [n for n in arguments_of(self.forward) if n not in self.gates and not n.endswith("_prev")]
        if unknown:
            raise ArgumentError(
                f"cell {self.name!r}: forward's arguments must be gates (a, a_...) or previous states (..._prev);"
                f" got {unknown}."
            )

    @cached_property
    def gates(self) -> tuple[str, ...]:
        """The names of the pre-activations, in the order of the column blocks."""
        return tuple(n for n in arguments_of(self.forward) if n == "a" or n.startswith("a_"))

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names of what is carried from step to step: ``h`` first."""
        previous = (n.removesuffix("_prev") for n in arguments_of(self.forward) if n.endswith("_prev"))
        return ("h", *(n for n in previous if n != "h"))

    @cached_property
    def saved(self) -> tuple[str, ...]:
        """The names of what ``forward`` returns beside the new states, for ``backward``."""
        known = {f"d{s}" for s in self.states} | {*self.states} | {f"{s}_prev" for s in self.states}
        return tuple(n for n in arguments_of(self.backward) if n not in known)

    @property
    def activation(self) -> str | None:
        """The name of the activation, or None if the equations leave none to choose."""
        if "activation" not in self.forward.__code__.co_names:
            return None
        function = self.forward.__globals__["activation"]
        return next(name for name, (candidate, _) in ACTIVATIONS.items() if candidate is function)

    def with_activation(self, activation: str) -> "Cell":
        """Return the same equations with another activation.

        Raises:
            ArgumentError: no such activation, or the cell's equations have none to choose.
        """
        return _with_activation(self, activation)


@cache  # asked for at every time step
def arguments_of(function: CellFunction) -> tuple[str, ...]:
    """Return the names of a function's arguments."""
    return tuple(inspect.signature(function).parameters)


@cache
def _with_activation(cell: Cell, activation: str) -> Cell:
    function, derivative = choose("activation", activation, ACTIVATIONS)
    if cell.activation is None:
        raise ArgumentError(f"activation: the equations of cell {cell.name!r} leave none to choose; leave it out.")
    words = {"activation": function, "dactivation": derivative}
    return Cell(cell.name, _rebind(cell.forward, words), _rebind(cell.backward, words))


def _rebind(function: CellFunction, words: dict[str, Any]) -> CellFunction:
    """Return the same code reading other functions under some of its global names."""
    rebound = FunctionType(
        function.__code__, {**function.__globals__, **words}, function.__name__, function.__defaults__
    )
    rebound.__doc__ = function.__doc__
    return rebound
