"""The equations of a model as its own code has them, line by line, with the names that a trace uses."""

import inspect
import re
from collections.abc import Iterator

from saiki.cells import Cell
from saiki.cells.cell import CellFunction, argument
from saiki.layers import Dense, Recurrent

SLOPES = {"dtanh": "1 - {0} * {0}", "dsigmoid": "{0} * (1 - {0})", "drelu": "1 where {0} > 0, else 0", "didentity": "1"}
"""What the slopes of the activations are, from their values."""

D_LOSS = {
    "squared_error": "(y - target)",
    "logistic": "(sigmoid(y) - target)",
    "cross_entropy": "(p - 1 at the class of the target)",
}
"""For some losses the slope with respect to the output y, of one target."""


def forward_equations(layer: Recurrent) -> list[str]:
    r"""Return one step of a recurrent layer: the linear part of each gate, then the lines of the cell's functions.

    >>> print("\n".join(forward_equations(Recurrent("gru", 2, 3))))
    a_r = x @ Wx_r + h_prev @ Wh_r + b_r
    a_z = x @ Wx_z + h_prev @ Wh_z + b_z
    x_n = x @ Wx_n + b_n
    h_n = h_prev @ Wh_n + bh_n
    r = sigmoid(a_r)
    z = sigmoid(a_z)
    n = tanh(x_n + r * h_n)
    h = (1 - z) * n + z * h_prev
    """
    cell = layer.cell
    lines: list[str] = []
    for stage in cell.stages:
        for name in stage.takes:
            lines += _linear(layer, name, stage.sees)
        lines += _lines(cell, stage.forward)
    return lines


def backward_equations(layer: Recurrent) -> list[str]:
    r"""Return the way back through one step: the lines of the cell's backward functions, then the linear part.

    >>> print("\n".join(backward_equations(Recurrent("simple", 2, 3))))
    da = dh * dtanh(h)
    dh_prev = da @ Wh.T
    """
    cell = layer.cell
    lines: list[str] = []

    def add(line: str) -> None:
        """Add a line; what comes back to one quantity on several ways is a sum."""
        name, value = line.split(" = ", 1)
        before = f"{name} + " if any(earlier.startswith(f"{name} =") for earlier in lines) else ""
        lines.append(f"{name} = {before if not value.startswith(f'{name} +') else ''}{value}")

    for stage in reversed(cell.stages):
        for line in _lines(cell, stage.backward):
            add(line)
        gates = [(argument("h" if gate in cell.apart else "a", gate), gate) for gate in stage.gates]
        if gates:
            product = " + ".join(f"d{name} @ {_block('Wh', gate)}.T" for name, gate in gates)
            add(f"d{stage.sees} = {product}")
    return lines


def output_equations(layer: Dense, loss: str, of_classes: bool, n_targets: int | None) -> tuple[list[str], list[str]]:
    """Return the equations of a dense layer that puts out: forward, and back to its pre-activation.

    Args:
        layer: the layer.
        loss: the name of the loss.
        of_classes: whether the softmax is part of the loss.
        n_targets: how many targets the loss is the mean of; None where each has its own weight.
    """
    activation = layer.activation
    forward = [f"v = h @ W{' + b' * layer.bias}", "y = v" if activation == "identity" else f"y = {activation}(v)"]
    if of_classes:
        forward.append("p = softmax(y), in the loss")
    if loss not in D_LOSS:
        return forward, []
    slope = "" if activation == "identity" else f" * d{activation}(y)"
    count = " * its weight in the mean" if n_targets is None else f" / {n_targets}" if n_targets > 1 else ""
    return forward, [f"delta_out = {D_LOSS[loss]}{slope}{count}"]


def slopes_in(lines: list[str]) -> list[str]:
    """Return what the slopes are that these lines name, by the values from which they are written.

    >>> slopes_in(["da = dh * dtanh(h)"])
    ['dtanh(h) = 1 - h * h']
    """
    named = dict.fromkeys(re.findall(r"\b(d(?:tanh|sigmoid|relu|identity))\((\w+)\)", "\n".join(lines)))
    return [f"{slope}({value}) = {SLOPES[slope].format(value)}" for slope, value in named]


def _linear(layer: Recurrent, name: str, sees: str) -> Iterator[str]:
    """Yield the equation of an argument that is linear in the input or the state."""
    kind, gate = layer.cell.kinds[name], name[2:]
    x = f"x @ {_block('Wx', gate)}"
    h = f"{sees} @ {_block('Wh', gate)}"
    b, bh = (f" + {_block(bias, gate)}" if layer.bias else "" for bias in ("b", "bh"))
    if kind == "sum":
        yield f"{name} = {x} + {h}{b}"
    elif kind == "input" and name != "x":
        yield f"{name} = {x}{b}"
    elif kind == "input":
        yield f"x = input @ Wx{b}"
    elif kind == "hidden":
        yield f"{name} = {h}{bh}"


def _block(weights: str, gate: str) -> str:
    """Return the block of a gate in a matrix."""
    return f"{weights}_{gate}" if gate else weights


def _lines(cell: Cell, function: CellFunction) -> Iterator[str]:
    """Yield the assignments of a cell's function as they are written; none where there is no source."""
    try:
        source = inspect.getsource(function.__code__)
    except (OSError, TypeError):
        return
    for line in source.splitlines():
        equation = re.match(r"\s+(\w+ = [^#]+?)\s*(?:#.*)?$", line)
        if equation:
            text = equation[1].replace("activation(", f"{cell.activation}(")
            yield re.sub(r"\bone_minus\((\w+)\)", r"(1 - \1)", text)
