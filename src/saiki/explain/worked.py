"""A trace as a worked example: one sequence, step by step, as one would write it on paper."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from saiki.arrays import Array
from saiki.explain.columns import aligned
from saiki.layers import Dense, Network

if TYPE_CHECKING:
    from saiki.explain.traces import LayerTrace, Trace

MOST_STEPS = 12
"""So many steps are written out, half of them the last ones."""

LARGEST = 6
"""Weights of up to so many rows and columns are written out."""


def worked(trace: "Trace", sequence: int, units: int) -> str:
    """Return the worked example of one sequence; see ``Trace.text``."""
    forward = list(_initial(trace, sequence, units))
    backward: list[str] = []
    for step in _written_out(trace.steps, trace.lengths[sequence]):
        if step is None:
            forward.append("...")
            backward.insert(0, "...")
        else:
            forward += _headed(f"t = {step + 1}", _forward(trace, sequence, step, units))
            backward[:0] = _headed(f"t = {step + 1}", _backward(trace, sequence, step, units))
    if trace.losses.ndim == 1:
        forward += _headed("read", _outputs(trace, (sequence,), units))
        backward[:0] = _headed("read", [_line("delta_out", trace.delta_out[sequence], units)])
    forward.insert(0, "forward")
    backward.insert(
        0, "backward, where dh has a part from the outputs of the step, and one that comes back through time"
    )
    parts = [_beginning(trace, sequence), *map(_equations, trace.layers), _readout(trace), _weights(trace)]
    parts += ["\n".join(forward), "\n".join(backward), _gradients(trace)]
    parts += [_lags(trace, layer) for layer in trace.layers if layer.lags]
    return "\n\n".join(part for part in parts if part)


def _headed(heading: str, lines: Iterable[str]) -> list[str]:
    """Return lines with a heading before the first."""
    return [f"{heading if i == 0 else '':<7}{line}" for i, line in enumerate(lines)]


def _written_out(steps: Array, length: int) -> Iterator[int | None]:
    """Yield the steps to write out; None stands for those left out."""
    steps = steps[steps < length]
    if len(steps) <= MOST_STEPS:
        yield from steps.tolist()
        return
    yield from steps[: MOST_STEPS // 2].tolist()
    yield None
    yield from steps[-MOST_STEPS // 2 :].tolist()


def _beginning(trace: "Trace", sequence: int) -> str:
    B, loss = len(trace.lengths), trace.loss_name.replace("_", " ")
    one = "one sequence" if B == 1 else f"the mean over {B} sequences, of which this is number {sequence}, from 0"
    return f"E = {trace.loss:.6g}, {loss}; {one}; {trace.lengths[sequence]} steps"


def _equations(layer: "LayerTrace") -> str:
    """Return what a layer is, and its equations as its cell states them."""
    cell = layer.layer.cell
    kind = f"{cell.name} ({cell.activation})" if cell.activation else cell.name
    walked = ", read from the last step to the first" if layer.layer.reverse else ""
    lines = [f"layer {layer.name}: {kind}, {_counted(*layer.layer.sizes)}{walked}"]
    block = re.search(r"::\n\n((?: {4}.*\n|\n)+)", cell.equations)
    equations = (block[1] if block else cell.equations).replace("activation(", f"{cell.activation}(")
    if not layer.layer.bias:
        equations = re.sub(r" \+ bh?(_\w+)?(?=\W)", "", equations)
    return "\n".join([*lines, *(f"  {line.strip()}" for line in equations.strip().splitlines())])


def _counted(n_features: int, n_units: int) -> str:
    return ", ".join(f"{n} {what}" + "s" * (n != 1) for n, what in ((n_features, "feature"), (n_units, "unit")))


def _readout(trace: "Trace") -> str:
    """Return the equations of the outputs."""
    last = trace.model.layers[-1] if isinstance(trace.model, Network) else trace.model
    if not isinstance(last, Dense):
        return ""
    bias = " + b" if last.bias else ""
    y = "v" if last.activation == "identity" else f"{last.activation}(v)"
    return f"output: dense, {_counted(*last.sizes)}\n  v = h @ W{bias}\n  y = {y}"


def _weights(trace: "Trace") -> str:
    """Return the weights of a small model, a row of numbers for each row."""
    small = {name: param.reshape(-1, param.shape[-1]) for name, param in trace.params.items()}
    if any(max(param.shape) > LARGEST for param in small.values()):
        return ""
    lines = ["  " + _line(name if i == 0 else "", row, LARGEST) for name, p in small.items() for i, row in enumerate(p)]
    return "\n".join(["weights", *lines])


def _initial(trace: "Trace", sequence: int, units: int) -> Iterator[str]:
    """Yield the states before the first step, where they are not zero."""
    for layer in trace.layers:
        for name, values in layer.initial.items():
            if values[sequence].any():
                yield _line(_name(trace, layer, f"{name}_0"), values[sequence], units)


def _forward(trace: "Trace", sequence: int, step: int, units: int) -> Iterator[str]:
    for layer, at in _at(trace, sequence, step):
        for name, values in layer.forward.items():
            yield _line(_name(trace, layer, "x" if name == "inputs" else name), values[at], units)
    if trace.losses.ndim == 2:
        yield from _outputs(trace, (sequence, int(np.searchsorted(trace.steps, step))), units)


def _outputs(trace: "Trace", at: tuple[int, ...], units: int) -> Iterator[str]:
    """Yield the outputs, what they were held to, and what that adds to the loss."""
    target = trace.targets[at[:1]][trace.steps[at[1]]] if len(at) > 1 else trace.targets[at]
    values = {"v": trace.v[at], "y": trace.outputs[at], "target": target, "adds to E": trace.losses[at]}
    if len(trace.v[at]) == 1:
        yield "  ".join(f"{name} {np.squeeze(value):.3g}" for name, value in values.items())
    else:
        yield from (_line(name, np.atleast_1d(value), units) for name, value in values.items())


def _backward(trace: "Trace", sequence: int, step: int, units: int) -> Iterator[str]:
    if trace.delta_out.ndim == 3:
        yield _line("delta_out", trace.delta_out[sequence, np.searchsorted(trace.steps, step)], units)
    for layer, at in reversed(list(_at(trace, sequence, step))):
        rest = {name: values[at] for name, values in layer.backward.items()}
        if rest:
            dh, of_step = rest.pop("dh"), rest.pop("dh_out")
            rest = {"dh, outputs": of_step, "dh, time": dh - of_step} | rest
        for name, values in rest.items():
            yield _line(_name(trace, layer, name), values, units)


def _at(trace: "Trace", sequence: int, step: int) -> "Iterator[tuple[LayerTrace, tuple[int, int]]]":
    """Yield the layers that have kept a step of a sequence, and where in their arrays."""
    for layer in trace.layers:
        if step in layer.steps and step < layer.lengths[sequence]:
            yield layer, (sequence, int(np.searchsorted(layer.steps, step)))


def _name(trace: "Trace", layer: "LayerTrace", name: str) -> str:
    """Return the name of a quantity, after that of its layer where there are several."""
    return name if len(trace.layers) == 1 else f"{layer.name} {name}"


def _line(name: str, values: Array, units: int) -> str:
    more = f"  ... {len(values) - units} more" if len(values) > units else ""
    return f"{name:<12}" + " ".join(f"{value + 0.0:>9.3g}" for value in values[:units]) + more


def _gradients(trace: "Trace") -> str:
    """Return how much each step adds to the gradient of each weight."""
    if not trace.shares:
        return ""
    steps = [step for step in _written_out(trace.steps, trace.lengths.max(initial=0)) if step is not None]
    rows = [("", *(f"t = {step + 1}" for step in steps), "gradient")]
    for name, share in trace.shares.items():
        once = len(share) == 1 < len(trace.steps)
        norms = ["" if once else _norm(share[np.searchsorted(trace.steps, step)]) for step in steps]
        rows.append((name, *norms, _norm(trace.gradients[name])))
    text = "gradients: the norm of each step's share, and of the whole gradient, which is the sum of the shares"
    return "\n".join([text, *(f"  {line}" for line in aligned(rows, right=True).splitlines())])


def _lags(trace: "Trace", layer: "LayerTrace") -> str:
    """Return how far the loss of each step reaches."""
    where = "" if len(trace.layers) == 1 else f" of layer {layer.name}"
    lines = [f"lags: the norm of the part of delta_t{where} that comes from the loss of step s"]
    if layer.lag_matrix.shape[1] <= MOST_STEPS:
        rows = [("s \\ t", *(str(step + 1) for step in layer.steps))]
        rows += [
            (str(step + 1), *(_norm(value) if value else "" for value in row))
            for step, row in zip(trace.steps, layer.lag_matrix, strict=True)
        ]
        lines += [f"  {line}" for line in aligned(rows, right=True).splitlines()]
    means = [(str(lag), f"{mean:.3g}") for lag, mean in enumerate(layer.norm_by_lag) if not np.isnan(mean)]
    few = [row for row in means if int(row[0]) < 8 or int(row[0]).bit_count() == 1]
    if len(means) > 1:
        lines.append("mean by lag s - t" + (", of steps read backwards t - s" if layer.layer.reverse else ""))
        lines += [f"  {line}" for line in aligned(list(zip(*few, strict=True)), right=True).splitlines()]
    radii = ", ".join(f"{gate} {radius:.3g}".strip() for gate, radius in layer.spectral_radius.items())
    return "\n".join([*lines, *([f"spectral radius of Wh: {radii}"] if radii else [])])


def _norm(values: Array) -> str:
    return f"{np.linalg.norm(values):.3g}"
