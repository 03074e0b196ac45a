"""In which order trees are walked, level by level, and what an engine keeps of it.

A node's level is its height: leaves are at level 0, any other node one above its highest child. All nodes of a level,
of all trees, are one batch; from level to level upwards everything that a node needs of its children is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, final

import numpy as np

from saiki.arrays import Array, Params
from saiki.cells.functions import argument
from saiki.cells.trees import TreeCell
from saiki.cells.trees.cell import SIDES
from saiki.properties import cached_property


class Nodes(NamedTuple):
    """The nodes of many trees, one tree after another.

    Attributes:
        n_nodes: how many nodes each tree has ``(B,)``.
        parents: the number of each node's parent, counted over all trees ``(N,)``; -1 for a root.
        places: which child of its parent each node is, from 0 ``(N,)``.
        heights: the height of each node ``(N,)``, 0 for a leaf.
        has_input: which nodes have an input ``(N,)``.
    """

    n_nodes: Array
    parents: Array
    places: Array
    heights: Array
    has_input: Array


@final
@dataclass(frozen=True)
class Levels:
    """The order in which nodes are walked: slice by slice, level by level, those with an input first.

    Row N of a state is blank: it stands for children that are not there. Each slice has one of its own.

    Attributes:
        order: the node at each row ``(N,)``.
        rows: the row of each node ``(N,)``.
        has_input: which rows have an input ``(N,)``.
        starts: for each slice the first row of each level, and the first row that is no more of the slice.
        with_input: for each slice and level the first row that has no input.
        pairs: the rows of the left and right child of each row ``(N, 2)``; meaningless where a node has more.
        child_starts: where the children of each row begin in ``children`` ``(N + 1,)``.
        children: the rows of all children ``(E,)``.
    """

    order: Array
    rows: Array
    has_input: Array
    starts: tuple[Array, ...]
    with_input: tuple[Array, ...]
    pairs: Array
    child_starts: Array
    children: Array

    @classmethod
    def of(cls, nodes: Nodes, n_slices: int = 1) -> "Levels":
        """Make the levels of some trees, in slices of whole trees with about as many nodes each.

        >>> nodes = Nodes(*map(np.array, ([3, 1], [2, 2, -1, -1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 1])))
        >>> levels = Levels.of(nodes)
        >>> levels.order.tolist(), levels.starts[0].tolist(), levels.pairs[levels.rows[2]].tolist()
        ([0, 1, 3, 2], [0, 3, 4], [0, 1])
        """
        N, ends = len(nodes.parents), np.cumsum(nodes.n_nodes)
        of_tree = np.minimum((ends - nodes.n_nodes / 2) * n_slices // max(N, 1), n_slices - 1).astype(np.int64)
        slice_of = np.repeat(of_tree, nodes.n_nodes)
        n_levels = int(nodes.heights.max(initial=-1)) + 1
        level = slice_of * n_levels + nodes.heights
        has_input = nodes.has_input.astype(bool)
        order = np.argsort((2 * level + ~has_input).astype(np.min_scalar_type(2 * n_slices * n_levels)), kind="stable")
        rows = np.empty(N, np.int64)
        rows[order] = np.arange(N)
        counts = np.bincount(level, minlength=n_slices * n_levels).reshape(n_slices, n_levels)
        known = np.bincount(level[has_input], minlength=n_slices * n_levels).reshape(n_slices, n_levels)
        firsts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        starts, with_input = [], []
        for s in range(n_slices):
            own = firsts[s * n_levels : (s + 1) * n_levels + 1]
            used = np.count_nonzero(counts[s])  # a slice of flat trees has fewer levels
            starts.append(own[: used + 1])
            with_input.append(own[:used] + known[s, :used])

        inner = np.flatnonzero(nodes.parents >= 0)
        above, place = rows[nodes.parents[inner]], nodes.places[inner]
        pairs = np.empty((N, 2), np.int64)
        pairs[...] = (N + slice_of[order])[:, None]
        two = place < 2
        pairs[above[two], place[two]] = rows[inner[two]]
        child_starts = np.concatenate(([0], np.cumsum(np.bincount(above, minlength=N)))).astype(np.int64)
        children = np.empty(len(inner), np.int64)
        children[child_starts[above] + place] = rows[inner]
        return cls(order, rows, has_input[order], tuple(starts), tuple(with_input), pairs, child_starts, children)

    @cached_property
    def parents(self) -> Array:
        """The row of the parent of each child in ``children`` ``(E,)``."""
        return np.repeat(np.arange(len(self.order)), np.diff(self.child_starts))

    @property
    def n_rows(self) -> int:
        """How many rows a state has: one for each node, and a blank one for each slice."""
        return len(self.order) + len(self.starts)


class Run(NamedTuple):
    """Gates whose parts of a product with ``Wh`` stand side by side, both in ``Wh`` and in what they are added to.

    Attributes:
        sees: what is multiplied: the "pair" of children, the "left" or the "right" one alone; in a cell with ``child``
            the "sum" of the children, or each "child".
        source: the first gate, counted in ``Wh``.
        target: the first gate, counted in what they are added to: the gates, those of each child, or the parts apart.
        width: how many gates.
    """

    sees: str
    source: int
    target: int
    width: int


def runs_of(cell: TreeCell) -> list[Run]:
    """Return the products of one level."""
    single = []
    for source, gate in enumerate(cell.recurrent):
        if gate in cell.child_gates:
            single.append(Run("child", source, cell.child_gates.index(gate), 1))
        elif cell.child is not None:
            single.append(Run("sum", source, cell.gates.index(gate), 1))
        elif argument("x", gate) in cell.inputs:
            single += [Run(side, source, cell.apart.index(f"{side}_{gate}"), 1) for side in SIDES]
        else:
            single.append(Run("pair", source, cell.gates.index(gate), 1))
    runs: list[Run] = []
    for run in sorted(single):  # what sees the same stands together
        last = runs[-1] if runs else None
        if last and last[:1] == run[:1] and run.source - last.source == run.target - last.target == last.width:
            runs[-1] = last._replace(width=last.width + 1)
        else:
            runs.append(run)
    return runs


def rows_of(run: Run, H: int) -> slice:
    """Return the rows of ``Wh`` that belong to what a run sees."""
    return slice(H, 2 * H) if run.sees == "right" else slice(0, 2 * H if run.sees == "pair" else H)


def columns_of(first: int, run: Run, H: int) -> slice:
    """Return the columns of a run's gates, the first of which is gate number ``first``."""
    return slice(first * H, (first + run.width) * H)


@final
@dataclass(frozen=True)
class TreeTape:
    """Every quantity of a forward pass that the backward pass, or a reader, needs, in the order of walking.

    Attributes:
        levels: that order.
        x: inputs ``(N, F)``, zero where a node has none.
        a: pre-activations ``(N, G, H)``, a block for each gate; only the input's part for a gate that takes its parts
            apart, and for the gates that there are once for each child. An engine may put a gate's saved value in its
            place where no backward asks for it.
        apart: what such a gate has of the left child, and of the right ``(N, 2 * A, H)``.
        edges: the pre-activations of the gates of each child ``(E, C, H)``.
        states: for each state ``(N + S, H)``; the last rows, one for each slice, are blank.
        saved: what ``forward`` returned beside them ``(N, H)``.
        sums: for a cell with ``child`` the sums over the children ``(N, H)``, of ``h`` and of what ``child`` returned.
        child_saved: what ``child`` returned beside that ``(E, H)``.
        plan: what else an engine keeps for its backward pass.
    """

    levels: Levels
    x: Array
    a: Array
    apart: Array
    edges: Array
    states: Mapping[str, Array]
    saved: Mapping[str, Array]
    sums: Mapping[str, Array]
    child_saved: Mapping[str, Array]
    plan: Any = None

    @classmethod
    def blank(cls, cell: TreeCell, x: Array, H: int, levels: Levels, dtype: Any) -> "TreeTape":
        """Make a tape to write on, with the inputs ``x (N, F)`` on it."""
        N, E = len(levels.order), len(levels.children)
        return cls(
            levels,
            x,
            a=np.zeros((N, len(cell.gates), H), dtype),
            apart=np.zeros((N, len(cell.apart), H), dtype),
            edges=np.zeros((E if cell.child_gates else 0, len(cell.child_gates), H), dtype),
            states={name: np.zeros((levels.n_rows, H), dtype) for name in cell.states},
            saved={name: np.zeros((N, H), dtype) for name in cell.saved},
            sums={name: np.zeros((N, H), dtype) for name in (("h", *cell.totals) if cell.child is not None else ())},
            child_saved={name: np.zeros((E, H), dtype) for name in cell.child_saved},
        )


def overwritten(cell: TreeCell) -> tuple[dict[str, int], dict[str, int]]:
    """Return, for each saved value that may take the place of its gate's pre-activation, where that stands.

    That is a value with the gate's name, where no backward asks for the pre-activation; those of a node stand among its
    gates, those of a child among the gates that there are once for each child.
    """
    asked = {*cell.wants, *cell.child_wants}
    free = [gate for gate, name in zip(cell.gates, cell.inputs, strict=True) if name not in asked]
    of_child = {gate: k for k, gate in enumerate(cell.child_gates) if gate in free and gate in cell.child_saved}
    node = [gate for gate in cell.gates if gate in free and gate in cell.saved and gate not in cell.child_gates]
    return {gate: cell.gates.index(gate) for gate in node}, of_child


class TreeEngine(Protocol):
    """The walk from the leaves to the roots and back, for any cell over trees. Rows are nodes in the caller's order."""

    def climb(self, cell: TreeCell, params: Params, X: Array, nodes: Nodes) -> tuple[Array, TreeTape]:
        """Return the outputs h of all nodes ``(N, H)``, and the tape; ``X (N, F)`` counts where there is an input."""

    def descend(self, cell: TreeCell, params: Params, tape: TreeTape, dH: Array) -> tuple[Params, Array]:
        """Return the gradients of the parameters, and of the inputs ``(N, F)``."""
