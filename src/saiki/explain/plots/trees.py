"""A tree as a picture: its leaves in a row below, every join above what it joins."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from saiki.arrays import Array
from saiki.errors import ArgumentError
from saiki.explain.plots.style import BLACK, BLUE, GREY, HEAT
from saiki.trees import Tree
from saiki.trees.brackets import columns, written

FONT, SMALL = 9, 7
"""The sizes of words and of scores, in points."""

LETTER = 0.58
"""The width of most letters as a share of their size; Chinese ones take two."""

DISC, DOT, LINE = 22, 5, 1.2
"""The diameters of a node with its score in it, and of one without, and the width of a line, in points."""

LONGEST = 20
"""Longer words are cut."""

CLEAR = 3
"""So many points are left free beside a word."""


def plot_tree(axes: Axes, tree: Tree) -> Axes:
    """Draw a tree: leaves in a row below, each join above the middle of its leaves, as high as its longest way down.

    Below each leaf stands its token, beside each node its label, and its value if it has children. Scores are the
    colours of the nodes, and stand in them where there is room. Where there is little room words are turned, cut, or
    left out.

    Args:
        axes: where to draw; about 0.5 inches for each leaf and level are roomy.
        tree: what to draw.

    Raises:
        ArgumentError: what is given is no ``Tree``.
    """
    if not isinstance(tree, Tree):
        raise ArgumentError(f"tree must be a Tree; got {type(tree).__name__}. Try saiki.trees.as_tree(...).")
    axes.set_axis_off()
    norm = None
    if tree.scores is not None and not np.isnan(tree.scores).all():
        low, high = np.nanmin(tree.scores), np.nanmax(tree.scores)
        norm = Normalize(low, high) if low < high else Normalize(low - 0.5, high + 0.5)  # a scale needs two ends
        axes.figure.colorbar(ScalarMappable(norm, HEAT), ax=axes, label="score")
    x, y = tree.spans.mean(axis=1) - 0.5, tree.heights.astype(float)
    words = [_short(tree.values[leaf]) for leaf in tree.leaves.tolist()]
    longest = max(map(_points, words))
    across, up = _set_limits(axes, tree, longest)
    tight = min(across, up)
    roomy = norm is not None and min(across, up - FONT) >= DISC + CLEAR
    dot = max(min(DOT, tight), 0.5)
    diameters = np.full(len(tree), dot)

    lines = LineCollection(list(_ways(tree, x, y)), colors=GREY, linewidths=max(min(LINE, tight / 4), 0.05), zorder=1)
    axes.add_collection(lines)
    bare = np.ones(len(tree), bool) if tree.scores is None else np.isnan(tree.scores)
    axes.scatter(x[bare], y[bare], s=dot**2, color=BLUE, linewidths=0, zorder=2)
    if tree.scores is not None and norm is not None:
        diameters[~bare] = DISC if roomy else dot + 2 * (dot == DOT)
        edge = 0.6 if dot == DOT else 0.0
        axes.scatter(
            x[~bare], y[~bare], diameters[~bare] ** 2, tree.scores[~bare],
            cmap=HEAT, norm=norm, edgecolors=BLACK, linewidths=edge, zorder=2,
        )  # fmt: skip
        for node in np.flatnonzero(~bare).tolist() if roomy else ():
            score = float(tree.scores[node])
            colour = "black" if norm(score) > 0.55 else "white"
            axes.text(x[node], y[node], _number(score), color=colour, fontsize=SMALL, ha="center", va="center")
    _write_tokens(axes, words, across, longest, diameters[tree.leaves].max() / 2)
    if up >= diameters.max() / 2 + FONT * 1.5:
        _write_labels(axes, tree, (x, y), diameters / 2, across)
    return axes


def _set_limits(axes: Axes, tree: Tree, longest: float) -> tuple[float, float]:
    """Return how many points a leaf has across, and a level up, where the longest word has ``longest``."""
    engine = axes.figure.get_layout_engine()
    if engine is not None:
        engine.execute(axes.figure.canvas.figure)  # else the axes would change their size when they are drawn
    width, height = (side * 72 / axes.figure.dpi for side in (axes.bbox.width, axes.bbox.height))
    n_leaves = len(tree.leaves)
    across = width / (n_leaves + 0.2)
    axes.set_xlim(-0.6, n_leaves - 0.4)
    if not tree.height:
        axes.set_ylim(-0.5, 0.5)
        return across, height
    below = min((FONT * 1.3 if longest + CLEAR <= across else longest) + DISC / 2 + CLEAR, height / 2)
    above = min(DISC / 2 + FONT * 1.5, height / 4)
    up = (height - below - above) / tree.height
    axes.set_ylim(-below / up, tree.height + above / up)
    return across, up


def _ways(tree: Tree, x: Array, y: Array) -> Array:
    """Return lines that never cross: from each child up to the height of its parent, and there from side to side."""
    children, inner = tree.children, np.flatnonzero(~tree.is_leaf)
    above = y[tree.parents[children]]
    first, last = children[tree.child_starts[inner]], children[tree.child_starts[inner + 1] - 1]
    up = np.stack([x[children], y[children], x[children], above], axis=1)
    along = np.stack([x[first], y[inner], x[last], y[inner]], axis=1)
    return np.concatenate([up, along]).reshape(-1, 2, 2)


def _write_tokens(axes: Axes, words: list[str], across: float, longest: float, radius: float) -> None:
    """Write the words below the leaves, turned if they are too long, and some of them if they are too many."""
    turned = longest + CLEAR > across
    step = max(1, int(np.ceil(FONT * 1.2 / across))) if turned else 1
    for place in range(0, len(words), step):
        axes.annotate(
            words[place], (place, 0), (0, -radius - CLEAR), ha="center", va="top", fontsize=FONT,
            rotation=90 if turned else 0, textcoords="offset points", parse_math=False,
        )  # fmt: skip


def _write_labels(axes: Axes, tree: Tree, places: tuple[Array, Array], radii: Array, across: float) -> None:
    """Write the labels to the upper right of their nodes, as much of each as has room before the next line up."""
    x, y = places
    parents, leaves, ends = tree.parents.tolist(), tree.leaves.tolist(), tree.spans[:, 1].tolist()
    for node in range(len(tree)):
        label = None if tree.labels is None else tree.labels[node]
        value = None if tree.is_leaf[node] else tree.values[node]
        text = " ".join(_short(word) for word in (label, value) if word is not None)
        if not text:
            continue
        aside = radii[node] * 0.75 + CLEAR
        room = (len(leaves) - 0.4 - x[node]) * across
        if ends[node] < len(leaves):  # the line up to the right at this height is that of the highest node below it
            beside = leaves[ends[node]]
            while y[parents[beside]] <= y[node]:
                beside = parents[beside]
            room = (x[beside] - x[node]) * across - (radii[beside] if y[beside] == y[node] else 0)
        share = (room - aside - CLEAR) / _points(text)
        if share < 1:
            text = text[: int(share * len(text)) - 1] + "…" if share * len(text) >= 2 else ""
        if text:
            axes.annotate(
                text, (x[node], y[node]), (aside, aside), va="bottom", fontsize=FONT, textcoords="offset points",
                parse_math=False,
            )  # fmt: skip


def _points(text: str) -> float:
    """Return about how wide a text is, in points."""
    return columns(text) * LETTER * FONT


def _number(score: float) -> str:
    """Return a score in at most five characters.

    >>> _number(0.123), _number(-1.234), _number(-12.34), _number(1234.5), _number(-123456.0)
    ('0.12', '-1.23', '-12.3', '1234', '-1e5')
    """
    size = abs(score)
    if size >= 9999.5:
        return f"{score:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{score:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def _short(value: Any) -> str:
    """Return a word that is not too long; nothing for nothing."""
    text = "" if value is None else " ".join(written(value).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
