"""What a cell is: functions of numbers, whose argument names say everything that the engines need to know."""

from dataclasses import dataclass, field
from typing import NamedTuple, final

from saiki.cells.functions import CellFunction, Equations, argument, arguments_of, check_count, check_names, meant
from saiki.properties import cached_property

RESERVED = {"Wx", "Wh", "b", "bh", "h", "v"}
"""Names that parameters of the engine, or values of every cell, have already."""


class Stage(NamedTuple):
    """One pair of functions of a cell, run after one product with ``Wh``.

    Attributes:
        forward: the function.
        takes: the names of its arguments.
        returns: the names of what it returns.
        backward: its backward.
        wants: the names of the backward's arguments.
        sees: what is multiplied with ``Wh``: ``h_prev``, or ``v``, which the stage before made of it.
        gates: the gates that get a part of that product, in the order of the columns of ``Wh``.
    """

    forward: CellFunction
    takes: tuple[str, ...]
    returns: tuple[str, ...]
    backward: CellFunction
    wants: tuple[str, ...]
    sees: str
    gates: tuple[str, ...]


@final
@dataclass(frozen=True)
class Cell(Equations):
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

    ``backward`` takes, by name, gradients of the new states (``dh``, ``dc``), any argument of ``forward`` and new
    states; every other name is a saved value, and those stand in the order in which ``forward`` returns them. It
    returns one gradient for each argument of ``forward``, in the same order. What flows through ``h_prev @ Wh`` belongs
    to the engine.

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
        ArgumentError: the functions do not fit each other, or an argument's name has no meaning.

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
    version: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.look is None) != (self.look_backward is None):
            self._refuse("look and look_backward come together; give both or neither")
        functions = (self.forward, self.backward, *((self.look, self.look_backward) if self.look else ()))
        self._take(functions)
        self._hold()
        for name, kind in self.kinds.items():
            if kind == "vector" and (name in RESERVED or name in {f"{s}0" for s in self.states} or name[:2] == "h_"):
                self._refuse(f"{name!r} has no meaning as an argument here; see saiki.Cell for the names")
        self._check_parameters(["prev"], "saiki.Cell")
        self._check_meanings()
        of = {name: meant(name, ["prev"], self.gates) for name in self.saved}
        doubtful = {name: one for name, one in of.items() if one is not None and one not in of}
        for stage in self.stages:
            check_count(self._refuse, stage.forward, stage.takes, stage.returns, doubtful)
            check_count(self._refuse, stage.backward, stage.wants, tuple(f"d{name}" for name in stage.takes))

    def _check_meanings(self) -> None:
        """Refuse names with two meanings: each quantity stands under one name, for the equations and the engines."""
        taken = arguments_of(self.look), arguments_of(self.forward)
        twice = [name for name in self.inputs if name in taken[0] and name in taken[1]]
        if twice:
            self._refuse(f"gates of look must differ from those of forward; got {', '.join(twice)} for both")
        if self.look and not self.stages[-1].gates:
            self._refuse(
                "look returns v, which no gate of forward sees; give forward a gate a or a_..., or leave look out"
            )
        handed = [f"d{name}" for name in self._look_returns if name != "v" and name not in taken[1]]
        unknown = [name for name in arguments_of(self.look_backward) if name in handed]
        if unknown:
            self._refuse(f"look_backward asks for {unknown[0]!r}, but forward does not take {unknown[0][1:]!r}")
        strange = [state for state in self.states if state != state.lower() or not state]
        if strange:
            self._refuse(f"{strange[0] + '_prev'!r} has no meaning as an argument here; write it in lower case")
        between = self._look_returns
        arguments = [name for name, kind in self.kinds.items() if kind not in ("between", "previous")]
        saved = [name for name in self.saved if name not in between]
        looking = [name for name in between if name.partition("_")[0] in ("a", "x", "h")]
        if looking:
            self._refuse(f"look returns {looking[0]!r}, which is the name of a gate's part; give it another name")
        previous = [f"{state}_prev" for state in self.states]
        meanings = {"a new state": self.states, "a previous state": previous, "an argument": arguments}
        meanings["a value that look returns"] = between
        named = [name for names in meanings.values() for name in names]
        gradients = [f"d{name}" for name in named]
        check_names(self._refuse, {**meanings, "a saved value": saved, "the gradient of another value": gradients})

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each argument of the forward functions is, in order.

        "sum", "input" and "hidden" are a gate's pre-activation and its two parts, "previous" a state, "between" a value
        that ``look`` hands to ``forward``, and "vector" a parameter of the cell's own.
        """
        names = dict.fromkeys((*arguments_of(self.look), *arguments_of(self.forward)))
        kinds = {}
        for name in names:
            part, _, gate = name.partition("_")
            if name.endswith("_prev"):
                kinds[name] = "previous"
            elif self.look and name in self._look_returns:
                kinds[name] = "between"
            elif part == "a" and (gate or name == "a"):
                kinds[name] = "sum"
            elif part == "x" and (gate or name == "x"):
                kinds[name] = "input"
            elif part == "h" and gate and f"x_{gate}" in names:
                kinds[name] = "hidden"
            else:
                kinds[name] = "vector"
        return kinds

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """The gates that take their two parts apart, in the order of ``bh``."""
        return tuple(name[2:] for name, kind in self.kinds.items() if kind == "hidden")

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """The gates that have columns in ``Wh``, in order."""
        return tuple(g for g in self.gates if g in self.apart or self.kinds.get(argument("a", g)) == "sum")

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names of what is carried from step to step: ``h`` first."""
        previous = (name.removesuffix("_prev") for name, kind in self.kinds.items() if kind == "previous")
        return ("h", *(name for name in previous if name != "h"))

    @cached_property
    def saved(self) -> tuple[str, ...]:
        """The names of what the functions return beside the new states, for their backwards."""
        return tuple(name for stage in self.stages for name in stage.returns if name not in self.states)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The cell's functions in the order in which they run."""
        known = {*self.kinds, *self.states, *(f"d{s}" for s in self.states), *(f"{s}_prev" for s in self.states)}
        known |= set(self._look_returns)
        saved = tuple(name for name in arguments_of(self.backward) if name not in known)
        last = self._stage("forward", "backward", (*self.states, *saved), "v" if self.look else "h_prev")
        if self.look is None or self.look_backward is None:
            return (last,)
        return self._stage("look", "look_backward", self._look_returns, "h_prev"), last

    @cached_property
    def _look_returns(self) -> tuple[str, ...]:
        """What ``look`` returns: ``v``, and what its backward asks for beside gradients and its own arguments."""
        if self.look is None:
            return ()
        names, own = arguments_of(self.look_backward), arguments_of(self.look)
        gradients = {"dv", *(f"d{name}" for name in names)}
        return ("v", *(name for name in names if name not in own and name not in gradients))

    def _stage(self, forward: str, backward: str, returns: tuple[str, ...], sees: str) -> Stage:
        run, back = self.functions[forward], self.functions[backward]
        takes, wants = arguments_of(run), arguments_of(back)
        gates = tuple(g for g in self.recurrent if argument("a", g) in takes or argument("h", g) in takes)
        return Stage(run, takes, returns, back, wants, sees, gates)
