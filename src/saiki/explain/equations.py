"""The equations of a model as its own code has them, line by line, with the names that a trace uses."""

import ast
import inspect
import re
from collections.abc import Iterator
from textwrap import dedent

from saiki.cells import Cell
from saiki.cells.functions import CellFunction, argument
from saiki.layers import Dense, Recurrent
from saiki.maths import ACTIVATIONS

NO_SOURCE = "what the cell makes of them, whose source cannot be shown"

D_LOSS = {
    "squared_error": "(y - target)",
    "logistic": "(sigmoid(y) - target)",
    "absolute_error": "sign(y - target)",
    "huber": "clip(y - target, -1, 1)",
    "cross_entropy": "(p - target)",
}
"""For each loss the slope with respect to the output y, of one target."""


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
        own = _lines(cell, stage.forward, stage.returns)
        lines += [f"{', '.join(stage.returns)} = {NO_SOURCE}"] if own is None else own
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
        names = tuple(f"d{name}" for name in stage.takes)
        own = _lines(cell, stage.backward, names)
        if own is None:
            return [*lines, f"{', '.join(names)} = {NO_SOURCE}"]
        for line in own:
            add(line)
        gates = [(argument("h" if gate in cell.apart else "a", gate), gate) for gate in stage.gates]
        if gates:
            product = " + ".join(f"d{name} @ {_block('Wh', gate)}.T" for name, gate in gates)
            add(f"d{stage.sees} = {product}")
    return lines


def output_equations(layer: Dense, v: str, of_classes: bool) -> list[str]:
    """Return the equations of a dense layer that puts out.

    Args:
        layer: the layer.
        v: what its pre-activation is called.
        of_classes: whether the softmax is part of the loss.
    """
    y = v if layer.activation == "identity" else f"{layer.activation}({v})"
    return [f"{v} = h @ W{' + b' * layer.bias}", f"y = {y}", *(["p = softmax(y), in the loss"] if of_classes else [])]


def delta_out_equation(activation: str, loss: str, by_index: bool, n_targets: int | None, gaps: bool) -> list[str]:
    """Return how the loss comes back to the pre-activation of an output; nothing for a loss of one's own.

    Args:
        activation: that of the output.
        loss: the name of the loss.
        by_index: whether targets are given as the number of a class.
        n_targets: how many targets the loss is the mean of; None where some count more than others.
        gaps: whether some targets are missing.

    >>> delta_out_equation("sigmoid", "squared_error", False, 8, False)
    ['delta_out = (y - target) * dsigmoid(y) / 8']
    """
    if loss not in D_LOSS:
        return []
    slope = "(p, less 1 at the class of the target)" if by_index else D_LOSS[loss]
    slope += "" if activation == "identity" else f" * d{activation}(y)"
    count = " * its weight in the mean" if n_targets is None else f" / {n_targets}" if n_targets > 1 else ""
    return [f"delta_out = {slope}{count}{', and 0 where there is no target' * gaps}"]


def slopes_in(lines: list[str]) -> list[str]:
    """Return what the slopes are that these lines name, by the values from which they are written.

    >>> slopes_in(["da = dh * dtanh(h)"])
    ['dtanh(h) = 1 - h * h']
    """
    of_name = {derivative.__name__: derivative for _, derivative in ACTIVATIONS.values()}
    named = dict.fromkeys(re.findall(rf"\b({'|'.join(of_name)})\((\w+)\)", "\n".join(lines)))
    return [f"{name}({value}) = {_returned(of_name[name], value)}" for name, value in named]


def _returned(function: CellFunction, argument: str) -> str:
    """Return what a function of one argument returns, as it is written there, with a name for the argument."""
    definition = _definition(function)
    assert definition is not None
    (value,) = [statement.value for statement in definition.body if isinstance(statement, ast.Return)]
    (name,) = (own.arg for own in definition.args.args)
    return re.sub(rf"\b{name}\b", argument, ast.unparse(value or ast.Constant(None))).replace("np.", "")


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


def _lines(cell: Cell, function: CellFunction, names: tuple[str, ...]) -> list[str] | None:
    """Return the assignments of a cell's function as they are written; None where they cannot all be shown.

    Args:
        cell: whose function it is.
        function: the function.
        names: what it returns, in order.
    """
    definition = _definition(function)
    if definition is None:
        return None
    lines = []
    for i, statement in enumerate(definition.body):
        if i == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # the docstring
        if isinstance(statement, ast.Return) and statement.value is not None:
            many = isinstance(statement.value, ast.Tuple) and len(names) > 1
            values = statement.value.elts if many and isinstance(statement.value, ast.Tuple) else [statement.value]
            if len(values) != len(names):
                return None
            pairs = list(zip(names, map(ast.unparse, values), strict=True))
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            pairs = [(ast.unparse(statement.targets[0]), ast.unparse(statement.value))]
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            pairs = [(ast.unparse(statement.target), ast.unparse(statement.value))]
        else:
            return None
        for name, value in pairs:
            value = value.replace("activation(", f"{cell.activation}(")
            lines += [f"{name} = " + re.sub(r"\bone_minus\((\w+)\)", r"(1 - \1)", value)] if name != value else []
    return lines


def _definition(function: CellFunction) -> ast.FunctionDef | None:
    """Return a function as it is written; None where there is no source."""
    try:
        (definition,) = ast.parse(dedent(inspect.getsource(function.__code__))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return definition if isinstance(definition, ast.FunctionDef) else None
