"""What the functions of every cell have in common: plain arithmetic, whose argument names say what it needs."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from types import FunctionType
from typing import Any, ClassVar, NoReturn, Self, final

import numpy as np

from saiki.cells.fingerprint import fingerprint
from saiki.cells.reading import fixed, home_of, package_of
from saiki.errors import ArgumentError, choose
from saiki.maths import ACTIVATIONS
from saiki.properties import cached_property

CellFunction = Callable[..., Any]

Refuse = Callable[[str], NoReturn]
"""Raises an error that names the cell, and says what is wrong with it."""


def argument(part: str, gate: str) -> str:
    """Return what a cell function calls a part (``a``, ``x`` or ``h``) of a gate.

    >>> argument("a", "i"), argument("x", "")
    ('a_i', 'x')
    """
    return f"{part}_{gate}" if gate else part


def arguments_of(function: CellFunction | None) -> tuple[str, ...]:
    """Return the names of a function's arguments; none where there is no function."""
    return function.__code__.co_varnames[: function.__code__.co_argcount] if function else ()


def check_plain(refuse: Refuse, functions: Sequence[CellFunction | None]) -> None:
    """Refuse whatever is no Python function of plain arguments."""
    for function in functions:
        if not isinstance(function, FunctionType):
            refuse(f"its functions must be plain Python functions; got {function!r}")
        parameters = inspect.signature(function).parameters.values()
        if any(p.kind != p.POSITIONAL_OR_KEYWORD or p.default is not p.empty for p in parameters):
            refuse(f"{function.__name__} must take plain arguments, without * and defaults")


def chosen_activation(cell: str, functions: Sequence[CellFunction | None], activation: str | None) -> str | None:
    """Return the name of the activation, that of the equations where none is chosen; None where they have none.

    Raises:
        ArgumentError: the equations leave none to choose.
    """
    says = [f for f in functions if f and "activation" in f.__code__.co_names]
    written = says[0].__globals__.get("activation") if says else None
    names = [name for name, (function, _) in ACTIVATIONS.items() if function is written]
    if not names and activation is not None:
        raise ArgumentError(f"activation: the equations of cell {cell!r} leave none to choose; leave it out.")
    return activation or (names[0] if names else None)


def bind(function: CellFunction, activation: str | None) -> CellFunction:
    """Return the same code, with what it reads fixed, and the chosen activation where it says ``activation``."""
    assert isinstance(function, FunctionType)
    if activation is None:
        return fixed(function)
    chosen, derivative = ACTIVATIONS[activation]
    return fixed(function, {"activation": chosen, "dactivation": derivative})


def check_names(refuse: Refuse, meanings: Mapping[str, Iterable[str]]) -> None:
    """Refuse a name with two meanings."""
    known: dict[str, str] = {}
    for meaning, names in meanings.items():
        for name in dict.fromkeys(names):
            if name in known:
                refuse(f"{name!r} would be {known[name]} and {meaning}; give one of them another name")
            known[name] = meaning


def meant(name: str, ends: Sequence[str], gates: Sequence[str]) -> str | None:
    """Return the name with a meaning that was probably meant by one without; None where there is none.

    Args:
        name: a name, such as ``hprev``, that means nothing but a parameter of the cell's own.
        ends: what names of states end in: "prev", or "left", "right", ...
        gates: the names of the cell's gates.

    >>> meant("hprev", ["prev"], [""]), meant("cPrevious", ["prev"], [""]), meant("xn", ["prev"], ["r", "z"])
    ('h_prev', 'c_prev', 'x_n')
    >>> meant("spread", ["prev"], [""]), meant("xi", ["prev"], [""])
    (None, None)
    """
    plain = name.lower().replace("_", "").replace("previous", "prev")
    for end in ends:
        before, found, after = plain.partition(end)
        if found and len(before + after) < 2 and name != end:
            return f"{before or after or 'h'}_{end}"
        if get_close_matches(name.lower(), [f"{plain[:1]}_{end}"], cutoff=0.8):
            return f"{plain[:1]}_{end}"
    two = len(name) == 2 and name[0] in "axh" and name[1].isalpha() and any(gates)
    return f"{name[0]}_{name[1]}" if two else None


def check_count(
    refuse: Refuse,
    function: CellFunction,
    takes: tuple[str, ...],
    returns: tuple[str, ...],
    doubtful: Mapping[str, str] | None = None,
) -> None:
    """Run a function on arrays and on numbers, and hold it to the number of values that it must return.

    ``doubtful`` has for some names of ``returns`` those that were probably meant.
    """
    for what, value in (("arrays", np.full(2, 0.5)), ("single numbers", np.float64(0.5))):
        try:
            returned = function(*(value for _ in takes))
        except Exception as error:
            refuse(
                f"{function.__name__} fails on {what}: {type(error).__name__}: {error}; write it with arithmetic"
                " and the words of saiki.maths, without 'if', max() and the module math"
            )
    count = len(returned) if isinstance(returned, tuple) else 1
    if count != len(returns) or isinstance(returned, tuple) != (len(returns) > 1):
        got = f"a tuple of {count}" if isinstance(returned, tuple) else type(returned).__name__
        form = "a tuple of " if len(returns) > 1 else ""
        remedy = "look for a name misspelt, or left out, on either side"
        if count == len(returns) == 1:
            remedy = f"write 'return {returns[0]}', without a comma or brackets"
        elif doubtful:
            remedy = ", ".join(
                f"{name!r} is taken for a saved value; is {of!r} meant?" for name, of in doubtful.items()
            )
        refuse(
            f"{function.__name__} must return {form}{', '.join(returns)}, which the cell's arguments name;"
            f" it returns {got}: {remedy}"
        )


class Equations(ABC):
    """What every cell is, over time or over trees: a dataclass of functions and a name; abstract."""

    name: str
    activation: str | None
    version: str
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    @abstractmethod
    def kinds(self) -> dict[str, str]:
        """What each argument of the forward functions is, in order; "sum", "input" and "vector" among them."""

    @final
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self) if field.init)

    @final
    def __deepcopy__(self, memo: object) -> Self:
        return self  # what the functions read stays fixed

    @final
    @cached_property
    def functions(self) -> dict[str, CellFunction]:
        """The functions that run, by the names of the arguments: what they read is as it was when the cell was made."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.init}
        return {name: bind(value, self.activation) for name, value in given.items() if isinstance(value, FunctionType)}

    @final
    def _hold(self) -> None:
        """Remember what the functions read, so that a cell made after a change of it is another cell."""
        own = [getattr(self, name) for name in self.functions]
        if any(package_of(home_of(function)) != "library" for function in own):
            try:
                object.__setattr__(self, "version", fingerprint(tuple(self.functions.values()), f"cell {self.name!r}"))
            except ArgumentError:  # such a cell is not compiled, see ``reading``
                return

    @final
    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """For each gate the argument that has the input in it: ``a_...``, or ``x_...`` where that is apart, or all."""
        return tuple(name for name, kind in self.kinds.items() if kind in ("sum", "input"))

    @final
    @cached_property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates, in the order of the column blocks; the only gate of a cell may be nameless."""
        return tuple(name[2:] for name in self.inputs)

    @final
    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """The names of the parameters that hold one number for each unit."""
        return tuple(name for name, kind in self.kinds.items() if kind == "vector")

    @final
    def with_activation(self, activation: str) -> Self:
        """Return the same equations with another activation.

        Raises:
            ArgumentError: no such activation, or the cell's equations have none to choose.
        """
        choose("activation", activation, ACTIVATIONS)
        return replace(self, activation=activation)

    @final
    def _take(self, functions: Sequence[CellFunction | None]) -> None:
        """Hold the name of the functions' activation; refuse what are no functions of a cell, and gates that clash."""
        check_plain(self._refuse, functions)
        object.__setattr__(self, "activation", chosen_activation(self.name, functions, self.activation))
        if not self.gates or len(set(self.gates)) < len(self.gates):
            self._refuse(f"gates, arguments named a, a_..., x or x_..., must be there, and differ; got {self.inputs}")

    @final
    def _check_parameters(self, ends: Sequence[str], home: str) -> None:
        """Refuse parameters whose names are near to names that mean something else, or are taken."""
        for name in self.vectors:
            of = meant(name, ends, self.gates)
            if of is not None:
                self._refuse(
                    f"{name!r} would be a parameter, one number for each unit, but looks like {of!r}; see {home} for"
                    " the names that have a meaning, and give a parameter one that is like none of them"
                )
            start, _, gate = name.partition("_")
            if start in ("Wx", "Wh", "b", "bh") and gate in self.gates:
                self._refuse(f"{name!r} has no meaning as an argument here: it is a part of {start}; see {home}")

    @final
    def _refuse(self, why: str) -> NoReturn:
        raise ArgumentError(f"cell {self.name!r}: {why}.")
