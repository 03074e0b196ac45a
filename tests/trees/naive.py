"""An obvious slow oracle: one tree at a time, one node at a time, by recursion, written from the papers' equations.

For each cell a function of one node returns the node's states and, from the gradients of those, everything backwards.
Vectors are rows, and weights are cut into gates by hand. Nothing of the library but its trees is used.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from saiki.arrays import Array, Params
from saiki.trees import Tree

States = dict[str, Array]
Back = Callable[[States], tuple[Array, list[States]]]
"""From gradients of a node's states to those of its input and of its children's states; weights' are added up."""


def sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


def gate(p: Params, block: int, H: int, x: Array, seen: Array) -> Array:
    """Return ``x @ Wx + seen @ Wh + b`` of one block of columns."""
    of = slice(block * H, (block + 1) * H)
    return x @ p["Wx"][:, of] + seen @ p["Wh"][:, of] + p["b"][of]


def undo(p: Params, d: Params, block: int, x: Array, seen: Array, da: Array) -> tuple[Array, Array]:
    """Add up what a gate adds to the weights' gradients; return those of its input and of what it saw."""
    of = slice(block * len(da), (block + 1) * len(da))
    d["Wx"][:, of] += np.outer(x, da)
    d["Wh"][:, of] += np.outer(seen, da)
    d["b"][of] += da
    return p["Wx"][:, of] @ da, p["Wh"][:, of] @ da


def two(children: list[States], name: str, H: int) -> tuple[Array, Array]:
    """Return a state of the left and the right child, zero where there is none."""
    held = [child[name] for child in children] + [np.zeros(H)] * 2
    return held[0], held[1]


def simple(p: Params, d: Params, x: Array, children: list[States]) -> tuple[States, Back]:
    """Socher et al. 2011, equation 4: ``p = tanh(W [c1; c2] + b)``."""
    H = p["Wx"].shape[1]
    pair = np.concatenate(two(children, "h", H))
    h = np.tanh(gate(p, 0, H, x, pair))

    def back(dstate: States) -> tuple[Array, list[States]]:
        dx, dpair = undo(p, d, 0, x, pair, dstate["h"] * (1 - h**2))
        return dx, [{"h": dpair[:H]}, {"h": dpair[H:]}]

    return {"h": h}, back


def lstm(p: Params, d: Params, x: Array, children: list[States]) -> tuple[States, Back]:
    """Tai et al. 2015, equations 9 to 14, N = 2; blocks i, l, r, g, o."""
    H = p["Wx"].shape[1] // 5
    pair, (c_left, c_right) = np.concatenate(two(children, "h", H)), two(children, "c", H)
    i, f_left, f_right = (sigmoid(gate(p, k, H, x, pair)) for k in (0, 1, 2))
    u, o = np.tanh(gate(p, 3, H, x, pair)), sigmoid(gate(p, 4, H, x, pair))
    c = i * u + f_left * c_left + f_right * c_right
    t = np.tanh(c)

    def back(dstate: States) -> tuple[Array, list[States]]:
        dc = dstate["c"] + dstate["h"] * o * (1 - t**2)
        das = [
            dc * u * i * (1 - i),
            dc * c_left * f_left * (1 - f_left),
            dc * c_right * f_right * (1 - f_right),
            dc * i * (1 - u**2),
            dstate["h"] * t * o * (1 - o),
        ]
        dx, dpair = (
            sum(parts) for parts in zip(*(undo(p, d, k, x, pair, da) for k, da in enumerate(das)), strict=True)
        )
        return dx, [{"h": dpair[:H], "c": dc * f_left}, {"h": dpair[H:], "c": dc * f_right}]

    return {"h": o * t, "c": c}, back


def child_sum_lstm(p: Params, d: Params, x: Array, children: list[States]) -> tuple[States, Back]:
    """Tai et al. 2015, equations 2 to 8; blocks f, i, g, o."""
    H = p["Wx"].shape[1] // 4
    seen = sum((child["h"] for child in children), np.zeros(H))
    fs = [sigmoid(gate(p, 0, H, x, child["h"])) for child in children]
    i, u, o = sigmoid(gate(p, 1, H, x, seen)), np.tanh(gate(p, 2, H, x, seen)), sigmoid(gate(p, 3, H, x, seen))
    c = i * u + sum((f * child["c"] for f, child in zip(fs, children, strict=True)), np.zeros(H))
    t = np.tanh(c)

    def back(dstate: States) -> tuple[Array, list[States]]:
        dc = dstate["c"] + dstate["h"] * o * (1 - t**2)
        das = [dc * u * i * (1 - i), dc * i * (1 - u**2), dstate["h"] * t * o * (1 - o)]
        dx, dseen = (
            sum(parts) for parts in zip(*(undo(p, d, k, x, seen, da) for k, da in enumerate(das, 1)), strict=True)
        )
        below = []
        for f, child in zip(fs, children, strict=True):
            dx_f, dh = undo(p, d, 0, x, child["h"], dc * child["c"] * f * (1 - f))
            dx = dx + dx_f
            below.append({"h": dseen + dh, "c": dc * f})
        return dx, below

    return {"h": o * t, "c": c}, back


def gru(p: Params, d: Params, x: Array, children: list[States]) -> tuple[States, Back]:
    """Cho et al. 2014, equations 5 to 8, over two children; blocks l, r, z, s, n."""
    H = p["Wx"].shape[1] // 5
    h_left, h_right = two(children, "h", H)
    pair, nothing = np.concatenate((h_left, h_right)), np.zeros(H)
    l, r, z, s = (sigmoid(gate(p, k, H, x, pair)) for k in range(4))  # noqa: E741
    left, right = np.concatenate((h_left, nothing)), np.concatenate((nothing, h_right))
    none, Wh_n = np.zeros(2 * H), p["Wh"][:, 4 * H :]
    n = np.tanh(gate(p, 4, H, x, none) + l * (left @ Wh_n) + r * (right @ Wh_n))
    h = (1 - z) * n + z * (s * h_left + (1 - s) * h_right)

    def back(dstate: States) -> tuple[Array, list[States]]:
        dh = dstate["h"]
        dn = dh * (1 - z) * (1 - n**2)
        das = [
            dn * (left @ Wh_n) * l * (1 - l),
            dn * (right @ Wh_n) * r * (1 - r),
            dh * (s * h_left + (1 - s) * h_right - n) * z * (1 - z),
            dh * z * (h_left - h_right) * s * (1 - s),
        ]
        dx, dpair = (
            sum(parts) for parts in zip(*(undo(p, d, k, x, pair, da) for k, da in enumerate(das)), strict=True)
        )
        dx_n, _ = undo(p, d, 4, x, none, dn)
        d["Wh"][:, 4 * H :] += np.outer(left, dn * l) + np.outer(right, dn * r)
        dleft = dpair[:H] + Wh_n[:H] @ (dn * l) + dh * z * s
        dright = dpair[H:] + Wh_n[H:] @ (dn * r) + dh * z * (1 - s)
        return dx + dx_n, [{"h": dleft}, {"h": dright}]

    return {"h": h}, back


NODES: dict[str, Callable[[Params, Params, Array, list[States]], tuple[States, Back]]] = {
    "simple": simple,
    "lstm": lstm,
    "child_sum_lstm": child_sum_lstm,
    "gru": gru,
}
"""What one node does, by the cell's name."""


def walk(name: str, params: Params, tree: Tree, dH: Array | None = None) -> tuple[Array, Params, Array]:
    """Walk one tree: return the outputs of its nodes ``(n_nodes, H)``, and, for their gradients dH, those of the
    parameters, and of the inputs ``(n_nodes, F)``."""
    d = {key: np.zeros_like(value) for key, value in params.items()}
    states: dict[int, States] = {}
    backs: dict[int, Back] = {}
    below = {node: [child for child in range(len(tree)) if tree.parents[child] == node] for node in range(len(tree))}
    F = params["Wx"].shape[0]

    def climb(node: int) -> None:
        for child in below[node]:
            climb(child)
        value: Any = tree.values[node]
        x = np.zeros(F) if value is None else value
        states[node], backs[node] = NODES[name](params, d, x, [states[child] for child in below[node]])

    climb(tree.root)
    H = np.array([states[node]["h"] for node in range(len(tree))])
    dX = np.zeros((len(tree), F))

    def descend(node: int, dstate: States) -> None:
        assert dH is not None
        dx, of_children = backs[node](dstate | {"h": dstate["h"] + dH[node]})
        dX[node] = 0 if tree.values[node] is None else dx
        for child, dchild in zip(below[node], of_children, strict=False):
            descend(child, dchild)

    if dH is not None:
        descend(tree.root, {state: np.zeros(H.shape[1]) for state in states[tree.root]})
    return H, d, dX
