"""Make the goldens of what runs over trees: what PyTorch's autograd says of the papers' equations, node by node.

PyTorch has no networks over trees, so the equations are written here once more, with its tensors and one node at a
time; its gradients are its own. It runs in an environment as for ``make_torch.py``:
``python tests/golden/make_torch_trees.py``.
Weights are drawn with no zero among them, and PyTorch computes in float64.
"""

from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
F, H = 3, 5
GATES = {"simple": 1, "lstm": 5, "child_sum_lstm": 4}


def draw(rng, *shape):
    """Draw numbers away from zero."""
    return rng.uniform(0.1, 0.7, shape) * rng.choice([-1.0, 1.0], shape)


def simple(x, children, Wx, Wh, b):
    """Socher et al. 2011, equation 4."""
    left, right = (*children, {}, {})[:2]
    pair = torch.cat([left.get("h", torch.zeros(H)), right.get("h", torch.zeros(H))])
    return {"h": torch.tanh(x @ Wx + pair @ Wh + b)}


def lstm(x, children, Wx, Wh, b):
    """Tai et al. 2015, equations 9 to 14."""
    left, right = (*children, {}, {})[:2]
    pair = torch.cat([left.get("h", torch.zeros(H)), right.get("h", torch.zeros(H))])
    i, f_left, f_right, u, o = (x @ Wx + pair @ Wh + b).chunk(5)
    c = torch.sigmoid(i) * torch.tanh(u)
    c = (
        c
        + torch.sigmoid(f_left) * left.get("c", torch.zeros(H))
        + torch.sigmoid(f_right) * right.get("c", torch.zeros(H))
    )
    return {"h": torch.sigmoid(o) * torch.tanh(c), "c": c}


def child_sum_lstm(x, children, Wx, Wh, b):
    """Tai et al. 2015, equations 2 to 8."""
    (Wx_f, *Wx_iuo), (Wh_f, *Wh_iuo), (b_f, *b_iuo) = Wx.chunk(4, 1), Wh.chunk(4, 1), b.chunk(4)
    h_sum = sum((child["h"] for child in children), torch.zeros(H))
    i, u, o = (x @ wx + h_sum @ wh + bias for wx, wh, bias in zip(Wx_iuo, Wh_iuo, b_iuo, strict=True))
    c = torch.sigmoid(i) * torch.tanh(u)
    for child in children:
        c = c + torch.sigmoid(x @ Wx_f + child["h"] @ Wh_f + b_f) * child["c"]
    return {"h": torch.sigmoid(o) * torch.tanh(c), "c": c}


def draw_tree(rng, n_nodes, most):
    """Return the parents of a tree whose nodes have at most so many children, and which nodes have an input."""
    parents = [-1]
    while len(parents) < n_nodes:
        above = int(rng.integers(len(parents)))
        if parents.count(above) < most:
            parents.append(above)
    new = rng.permutation(n_nodes)
    shuffled = np.empty(n_nodes, int)
    shuffled[new] = [-1 if above < 0 else new[above] for above in parents]
    has = rng.random(n_nodes) < 0.6
    has[rng.integers(n_nodes)] = True
    return shuffled, has


def make(name, cell, seed):
    """Run a forest of random trees forward and backward and return every array by name."""
    rng, most = np.random.default_rng(seed), 4 if name == "child_sum_lstm" else 2
    G, below = GATES[name], H if name == "child_sum_lstm" else 2 * H
    trees = [draw_tree(rng, n, most) for n in (9, 1, 14, 2, 6)]
    parents, has = (np.concatenate(part) for part in zip(*trees, strict=True))
    lengths = [len(own) for own, _ in trees]
    params = {"Wx": draw(rng, F, G * H), "Wh": draw(rng, below, G * H), "b": draw(rng, G * H)}
    weights = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
    X = torch.tensor(draw(rng, len(parents), F), requires_grad=True)
    inputs = X * torch.tensor(has)[:, None]
    outputs = [None] * len(parents)
    start = 0
    for own, _ in trees:

        def run(node, own=own, start=start):
            children = [run(child) for child in range(len(own)) if own[child] == node]
            states = cell(inputs[start + node], children, **weights)
            outputs[start + node] = states["h"]
            return states

        run(int(np.flatnonzero(own < 0)[0]))
        start += len(own)
    out, dout = torch.stack(outputs), torch.tensor(draw(rng, len(parents), H))
    (out * dout).sum().backward()
    arrays = {"lengths": np.array(lengths), "parents": parents, "has_input": has, "X": X.detach().numpy()}
    arrays |= {"H": out.detach().numpy(), "dH": dout.numpy(), "dX": X.grad.numpy()}
    arrays |= {f"params/{key}": value for key, value in params.items()}
    return arrays | {f"grads/{key}": value.grad.numpy() for key, value in weights.items()}


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    for seed, cell in enumerate((simple, lstm, child_sum_lstm)):
        np.savez_compressed(HERE / f"tree-{cell.__name__}.npz", **make(cell.__name__, cell, seed))
    print(f"made with PyTorch {torch.__version__}, NumPy {np.__version__}")
