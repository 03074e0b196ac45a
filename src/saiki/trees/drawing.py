"""A tree as lines of text, one for each node."""

from typing import TYPE_CHECKING

import numpy as np

from saiki.trees.brackets import written

if TYPE_CHECKING:
    from saiki.trees.tree import Tree

DEEPEST, MOST_NODES = 40, 400
"""What lies deeper, or comes after so many nodes, is counted instead of drawn."""


def drawing(tree: "Tree") -> str:
    """Return a picture of a tree in box-drawing characters; see ``Tree.drawn``."""
    parents, order, depths = tree.parents.tolist(), tree.reading_order.tolist(), tree.depths.tolist()
    n_children, starts, children = tree.n_children.tolist(), tree.child_starts.tolist(), tree.children.tolist()
    sizes = [1] * tree.n_nodes  # nodes from here down
    for node in reversed(order[1:]):
        sizes[parents[node]] += sizes[node]
    lines: list[str] = []
    trunks = [""] * (DEEPEST + 3)  # what stands before the children of the last node of each depth
    n_left = tree.n_nodes
    for node in order:
        depth = depths[node]
        if depth > DEEPEST:
            continue
        if len(lines) >= MOST_NODES:
            lines.append(f"... and {_counted(n_left)} more")
            break
        is_last = not depth or children[starts[parents[node] + 1] - 1] == node
        branch = "" if not depth else "└─" if is_last else "├─"
        trunks[depth + 1] = trunks[depth] + ("" if not depth else "  " if is_last else "│ ")
        glyph = "┬" if n_children[node] else "─"
        lines.append(f"{trunks[depth]}{branch}{glyph} {node_text(tree, node)}".rstrip())
        n_left -= 1
        if depth == DEEPEST and n_children[node]:
            lines.append(f"{trunks[depth + 1]}└── ... {_counted(sizes[node] - 1)} below")
            n_left -= sizes[node] - 1
    return "\n".join(lines)


def node_text(tree: "Tree", node: int) -> str:
    """Return what there is to say of a node: its label, value and score."""
    value, label = tree.values[node], None if tree.labels is None else tree.labels[node]
    words = [str(label)] if label is not None else []
    words += [written(value)] if value is not None else []
    if tree.scores is not None and not np.isnan(tree.scores[node]):
        words.append(f"({tree.scores[node]:.3g})")
    return " ".join(" ".join(words).split())


def _counted(n_nodes: int) -> str:
    return f"{n_nodes} node{'s' if n_nodes != 1 else ''}"
