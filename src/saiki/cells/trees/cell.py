"""What a cell over trees is: functions of numbers, whose argument names say what comes from the children."""

from dataclasses import dataclass, field
from typing import final

from saiki.cells.functions import CellFunction, Equations, argument, arguments_of, check_count, check_names
from saiki.properties import cached_property

RESERVED = {"Wx", "Wh", "b", "h"}
"""Names that parameters of the engine, or the state of every cell, have already."""

SIDES = "left", "right"


@final
@dataclass(frozen=True)
class TreeCell(Equations):
    """One recursion: the forward and backward equations for one unit of one node.

    ``forward`` returns the states of the node, then whatever ``backward`` will need. The names of its arguments say
    what the engine hands in; ``pair`` is ``[h_left, h_right]``, side by side, and zero where there is no child:

    ==========================  =====================================================================================
    ``a``, ``a_i``              the pre-activation of a gate, ``x @ Wx + pair @ Wh + b``
    ``x_n`` with both of        its parts apart, ``x @ Wx + b``, and what of ``pair @ Wh`` comes from the left and from
    ``left_n``, ``right_n``     the right child
    ``x``, ``x_z`` alone        a gate that sees no child; it has no columns in ``Wh``
    ``h_left``, ``c_right``     a state of a child; every cell has ``h``, first, and one more for every other
    any other                   a parameter of its own, one number for each unit
    ==========================  =====================================================================================

    Such a node has at most two children, whose order matters. A cell with ``child`` takes any number of children in any
    order: ``child`` is run for each of them, on ``h_child``, ``c_child`` and gates ``a_f`` whose pre-activation is
    ``x @ Wx + h_child @ Wh + b``. It returns what is to be added up over the children, then what ``child_backward``
    needs; the sum of its ``m`` is ``m_sum`` to ``forward``, in whose gates ``pair`` is the sum of the children's ``h``.

    Gates are column blocks of ``Wx``, ``Wh`` and ``b`` in the order in which the functions name them, ``child`` first.
    ``backward`` and ``child_backward`` take, by name, gradients of what the forward functions return, any of their
    arguments, states and saved values; they return one gradient for each argument of the forward function, in order.

    All are written with the words of ``saiki.maths`` and without numeric literals; equations that say ``activation``
    can be had with any.

    Args:
        name: what the cell is called.
        forward: the forward equations of a node.
        backward: their backward.
        child: what a node takes of each child, or None where it has a left and a right one.
        child_backward: its backward.
        equations: a text with the equations, for readers.
        activation: the name of the activation; None is the one that the equations were written with, if any.

    Raises:
        ArgumentError: the functions do not fit each other, or an argument's name has no meaning.

    >>> from saiki.cells import TREE_CELLS
    >>> TREE_CELLS["lstm"].gates, TREE_CELLS["lstm"].states
    (('i', 'l', 'r', 'g', 'o'), ('h', 'c'))
    """

    name: str
    forward: CellFunction = field(repr=False)
    backward: CellFunction = field(repr=False)
    child: CellFunction | None = field(default=None, repr=False)
    child_backward: CellFunction | None = field(default=None, repr=False)
    equations: str = field(default="", repr=False)
    activation: str | None = None
    version: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.child is None) != (self.child_backward is None):
            self._refuse("child and child_backward come together; give both or neither")
        functions = (self.forward, self.backward, *((self.child, self.child_backward) if self.child else ()))
        self._take(functions)
        self._hold()
        for name in self.kinds:
            if self._is_lost(name):
                self._refuse(f"{name!r} has no meaning as an argument here; see saiki.TreeCell for the names")
        self._check_parameters([*SIDES, "child", "sum", "prev"], "saiki.TreeCell")
        self._check_meanings()
        both = [name for name in self.child_inputs if name in self.takes]
        if both:
            self._refuse(f"gates of each child must differ from those of the node; got {', '.join(both)} for both")
        run = self.functions
        gradients = tuple(f"d{name}" for name in self.takes), tuple(f"d{name}" for name in self.child_takes)
        check_count(self._refuse, run["forward"], self.takes, self.returns)
        check_count(self._refuse, run["backward"], self.wants, gradients[0])
        if self.child is not None:
            check_count(self._refuse, run["child"], self.child_takes, self.child_returns)
            check_count(self._refuse, run["child_backward"], self.child_wants, gradients[1])

    def _check_meanings(self) -> None:
        """Refuse names with two meanings: each quantity stands under one name, for the equations and the engines."""
        engine = ["h_sum", *(f"{state}_child" for state in self.states)] if self.child else []
        engine = [name for name in engine if name not in self.kinds]
        meanings = {"a state": self.states, "an argument": self.kinds, "a value of the engine": engine}
        gradients = [f"d{name}" for names in meanings.values() for name in names]
        check_names(self._refuse, {**meanings, "a saved value": self.saved, "the gradient of another value": gradients})
        gradients += [f"d{name}" for name in self.totals]
        of_child = {"a sum over the children": self.totals, "a value that child returns": self.child_saved}
        check_names(self._refuse, {**meanings, **of_child, "the gradient of another value": dict.fromkeys(gradients)})
        lost = [n for n in self.wants if n in self.kinds and n not in self.takes and n not in self.vectors]
        if lost:
            self._refuse(f"backward asks for {lost[0]!r}, which only child has; let it return a value that needs it")

    def _is_lost(self, name: str) -> bool:
        """Return whether an argument looks like something that the engine hands in, but cannot here."""
        kind, (begin, _, rest), (_, _, end) = self.kinds[name], name.partition("_"), name.rpartition("_")
        if kind == "vector":
            return name in RESERVED or end in (*SIDES, "child", "sum", "prev") or begin in (*SIDES, "h")
        if kind in SIDES:  # the parts of a gate come together
            return any(argument(side, rest) not in self.kinds for side in SIDES)
        return name == "h_sum" or (kind == "state" and self.child is not None and name in self.takes)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each argument of the forward functions is, in order.

        "sum" and "input" are a gate's pre-activation and its input's part, "left" and "right" what it has of a child,
        "state" a child's state, "total" what is added up over the children, and "vector" a parameter of its own.
        """
        names = dict.fromkeys((*arguments_of(self.child), *arguments_of(self.forward)))
        ends = ("child",) if self.child else SIDES
        kinds = {}
        for name in names:
            part, _, gate = name.partition("_")
            if part == "a" and (gate or name == "a"):
                kinds[name] = "sum"
            elif part == "x" and (gate or name == "x"):
                kinds[name] = "input"
            elif part in SIDES and not self.child and argument("x", gate) in names:
                kinds[name] = part
            elif name.rpartition("_")[0] and name.rpartition("_")[2] in ends:
                kinds[name] = "state"
            elif self.child and name.endswith("_sum") and name not in arguments_of(self.child):
                kinds[name] = "total"
            else:
                kinds[name] = "vector"
        return kinds

    @cached_property
    def apart(self) -> tuple[str, ...]:
        """The arguments that hold what a gate has of one child: those of the left one, then those of the right one."""
        return tuple(name for side in SIDES for name, kind in self.kinds.items() if kind == side)

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """The gates that have columns in ``Wh``, in order."""
        apart = {name.partition("_")[2] for name in self.apart}
        return tuple(g for g in self.gates if g in apart or self.kinds.get(argument("a", g)) == "sum")

    @cached_property
    def child_inputs(self) -> tuple[str, ...]:
        """Those of ``inputs`` that ``child`` takes."""
        return tuple(name for name in arguments_of(self.child) if self.kinds[name] in ("sum", "input"))

    @cached_property
    def child_gates(self) -> tuple[str, ...]:
        """The gates that there are once for each child."""
        return tuple(name[2:] for name in self.child_inputs)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The names of what a node hands to its parent: ``h`` first."""
        of_children = (name.rpartition("_")[0] for name, kind in self.kinds.items() if kind == "state")
        return tuple(dict.fromkeys(("h", *of_children)))

    @cached_property
    def totals(self) -> tuple[str, ...]:
        """The names of what ``child`` returns to be added up over the children."""
        return tuple(name.removesuffix("_sum") for name, kind in self.kinds.items() if kind == "total")

    @cached_property
    def saved(self) -> tuple[str, ...]:
        """The names of what ``forward`` returns beside the states, for ``backward``."""
        known = {*self.kinds, *self.states, *(f"d{state}" for state in self.states)}
        return tuple(name for name in arguments_of(self.backward) if name not in known)

    @cached_property
    def child_saved(self) -> tuple[str, ...]:
        """The names of what ``child`` returns beside what is added up, for ``child_backward``."""
        known = {*arguments_of(self.child), *self.totals, *(f"d{name}" for name in self.totals)}
        return tuple(name for name in arguments_of(self.child_backward) if name not in known)

    @property
    def takes(self) -> tuple[str, ...]:
        """The arguments of ``forward``."""
        return arguments_of(self.forward)

    @property
    def returns(self) -> tuple[str, ...]:
        """What ``forward`` returns."""
        return (*self.states, *self.saved)

    @property
    def wants(self) -> tuple[str, ...]:
        """The arguments of ``backward``."""
        return arguments_of(self.backward)

    @property
    def child_takes(self) -> tuple[str, ...]:
        """The arguments of ``child``."""
        return arguments_of(self.child)

    @property
    def child_returns(self) -> tuple[str, ...]:
        """What ``child`` returns."""
        return (*self.totals, *self.child_saved)

    @property
    def child_wants(self) -> tuple[str, ...]:
        """The arguments of ``child_backward``."""
        return arguments_of(self.child_backward)
