"""The search for a tree: of all pairs of neighbours the best is joined, again and again, until one vector is left.

All sequences of a batch are joined at the same time. An item is what stands between two places of a sequence: a leaf,
or whatever has been joined so far; it is known by the place where it begins.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from saiki.arrays import Array

States: TypeAlias = dict[str, Array]
Join: TypeAlias = Callable[[States, States], tuple[States, Array]]
"""From the states of left and right items, by name ``(n, H)``, to those of what they become, and its score ``(n,)``."""

Penalty: TypeAlias = Callable[[Array, Array, Array], Array]
"""From sequences, and where joins of them begin and end, each ``(n,)``, to what is added to the joins' scores."""


class Joins(NamedTuple):
    """What was joined, sequence by sequence, in order; of a sequence of L items only the first L - 1 joins count.

    Attributes:
        children: the numbers of the left and the right node ``(B, T - 1, 2)``; leaves are 0 to L - 1, joins from L on.
        spans: where what was joined begins, and ends ``(B, T - 1, 2)``.
        scores: the score of each join ``(B, T - 1)``.
    """

    children: Array
    spans: Array
    scores: Array


def search(join: Join, leaves: States, lengths: Array, beam: int = 1, penalty: Penalty | None = None) -> Joins:
    """Join neighbours until one item of each sequence is left.

    Args:
        join: joins two items, and scores that.
        leaves: the states of the leaves by name ``(B, T, H)``.
        lengths: how many of them there are ``(B,)``, one or more each.
        beam: how many ways to have got here are followed up at a time, those with the highest sums of scores; with 1
            the best pair is joined, and that is that.
        penalty: what is added to the scores of joins, or None.

    Returns:
        The joins of the way with the highest sum of scores.
    """
    B, T, _ = leaves["h"].shape
    n_joins, R, rows = max(T - 1, 0), B * beam, np.repeat(np.arange(B), beam)
    length = lengths[rows]
    held = _begin(leaves, rows)
    held["total"][np.arange(R) % beam > 0] = -np.inf  # at first there is one way only
    draws = np.random.default_rng(0).integers(1 << 63, size=(2, T + 1))

    def spell(first: Array, end: Array) -> Array:
        """Return numbers whose sums tell sets of spans apart."""
        return draws[0][first] * draws[1][end]

    def consider(ways: Array, first: Array) -> None:
        """Join the items that begin at some places with those after them, and note how good that is."""
        second = held["end"][ways, first]
        items = {name: held[f"state {name}"] for name in leaves}
        left, right = held["node"][ways, first], held["node"][ways, second]
        states, score = join(
            {name: item[ways, left] for name, item in items.items()},
            {name: item[ways, right] for name, item in items.items()},
        )
        for name, state in states.items():
            held[f"joined {name}"][ways, first] = state
        held["score"][ways, first] = score
        extra = 0 if penalty is None else penalty(rows[ways], first, held["end"][ways, second])
        held["worth"][ways, first] = score + extra

    consider(*np.nonzero(np.arange(1, T + 1) < length[:, None]))
    for step in range(n_joins):
        going = lengths - 1 > step
        place = _choose(held, going, beam, spell)
        ways = np.flatnonzero(np.repeat(going, beam) & np.isfinite(held["total"]))
        first = place[ways]
        second = held["end"][ways, first]
        end, node = held["end"][ways, second], length[ways] + step
        held["children"][ways, step, 0], held["children"][ways, step, 1] = (
            held["node"][ways, first],
            held["node"][ways, second],
        )
        held["spans"][ways, step, 0], held["spans"][ways, step, 1] = first, end
        held["scores"][ways, step] = held["score"][ways, first]
        held["spelled"][ways] += spell(first, end)
        for name in leaves:
            held[f"state {name}"][ways, node] = held[f"joined {name}"][ways, first]
        held["node"][ways, first], held["end"][ways, first], held["begin"][ways, end] = node, end, first
        held["worth"][ways, first] = held["worth"][ways, second] = -np.inf
        after, before = end < length[ways], first > 0
        consider(
            np.concatenate((ways[after], ways[before])),
            np.concatenate((first[after], held["begin"][ways, first][before])),
        )
    best = np.arange(B) * beam
    return Joins(held["children"][best], held["spans"][best], held["scores"][best])


def _begin(leaves: States, rows: Array) -> dict[str, Array]:
    """Return what is known of each way: a row for each.

    "node", "end" and "begin" are the node of the item that begins at a place, where it ends, and where what ends at a
    place begins; "state ..." are those of all nodes; "joined ...", "score" and "worth" are what the item that begins at
    a place would be if joined with the next, and how good that is.
    """
    (_, T, H), R = leaves["h"].shape, len(rows)
    n_joins = max(T - 1, 0)
    dtype, places = leaves["h"].dtype, np.arange(T + 1)
    held = {
        "node": np.tile(places[:T], (R, 1)),
        "end": np.tile(places[:T] + 1, (R, 1)),
        "begin": np.tile(places - 1, (R, 1)),
        "score": np.zeros((R, T), dtype),
        "worth": np.full((R, T), -np.inf, dtype),
        "total": np.zeros(R, dtype),
        "spelled": np.zeros(R, np.int64),
        "children": np.zeros((R, n_joins, 2), np.int64),
        "spans": np.zeros((R, n_joins, 2), np.int64),
        "scores": np.zeros((R, n_joins), dtype),
    }
    for name, states in leaves.items():
        held[f"state {name}"] = np.zeros((R, T + n_joins, H), dtype)
        held[f"state {name}"][:, :T] = states[rows]
        held[f"joined {name}"] = np.zeros((R, T, H), dtype)
    return held


def _choose(held: dict[str, Array], going: Array, beam: int, spell: Callable[[Array, Array], Array]) -> Array:
    """Choose the next join of each way, and add its worth; ways of which better ones are left over are given up.

    Returns:
        The place of the chosen join ``(R,)``.
    """
    R, T = held["worth"].shape
    if beam == 1:
        place = held["worth"].argmax(axis=1)
        held["total"] += np.where(going, held["worth"][np.arange(R), place], 0)
        return place
    B = len(going)
    totals = (held["total"][:, None] + held["worth"]).reshape(B, beam * T)
    second = np.minimum(held["end"], T - 1)
    ends = np.take_along_axis(held["end"], second, axis=1)
    spelled = (held["spelled"][:, None] + spell(np.arange(T), ends)).reshape(B, beam * T)
    chosen, worth = np.zeros((B, beam), np.int64), np.full((B, beam), -np.inf)
    for k in range(beam):
        chosen[:, k] = totals.argmax(axis=1)
        worth[:, k] = totals[np.arange(B), chosen[:, k]]
        same = spelled == spelled[np.arange(B), chosen[:, k]][:, None]  # other orders of the same joins
        totals[same] = -np.inf
    source = (np.arange(B)[:, None] * beam + chosen // T).reshape(R)
    source = np.where(np.repeat(going, beam), source, np.arange(R))
    moved = np.flatnonzero(source != np.arange(R))
    for array in held.values():
        array[moved] = array[source[moved]]
    held["total"] = np.where(np.repeat(going, beam), worth.reshape(R), held["total"])
    return (chosen % T).reshape(R)
