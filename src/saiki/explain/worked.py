"""A trace as a worked example: one sequence, step by step, as one would write it on paper."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from saiki.arrays import Array
from saiki.explain.columns import aligned
from saiki.explain.equations import (
    backward_equations,
    delta_out_equation,
    forward_equations,
    output_equations,
    slopes_in,
)
from saiki.layers import Bidirectional, Dense, Dropout, Readout, Recurrent
from saiki.losses import log_softmax

if TYPE_CHECKING:
    from saiki.explain.traces import LayerTrace, Trace

MOST_STEPS = 12
"""So many steps are written out, half of them the last ones."""

LARGEST = 6
"""Weights of up to so many rows and columns are written out."""

READ = {"last": " at the step that is read", "mean": " / length", "max": " where it is the largest"}
"""How what comes back from a readout is dealt out."""

PARTS = {"out": ", outputs", "time": ", time"}
"""What the parts of the gradient of a state are called."""

WIDE = 11
"""The width of a number."""

Line = tuple[str, str]
"""The name of what stands on a line, and the rest of it."""


def worked(trace: "Trace", sequence: int, units: int) -> str:
    """Return the worked example of one sequence; see ``Trace.text``."""
    forward: list[tuple[str, list[Line]]] = [("start", list(_initial(trace, sequence, units)))]
    backward: list[tuple[str, list[Line]]] = []
    for step in _some(_all_steps(trace, sequence)):
        if step is None:
            forward.append(("...", [("", "")]))
            backward.insert(0, ("...", [("", "")]))
        else:
            forward.append((f"t = {step + 1}", list(_forward(trace, sequence, step, units))))
            backward.insert(0, (f"t = {step + 1}", list(_backward(trace, sequence, step, units))))
    if trace.losses.ndim == 1:
        forward.append(("read", list(_outputs(trace, (sequence,), units))))
        backward.insert(0, ("read", [_line("delta_out", trace.delta_out[sequence], units)]))
    sections = [("forward", forward), (_ways_back(trace), backward)]
    parts = [_beginning(trace, sequence), *_equations(trace), _weights(trace), *_written(sections), _gradients(trace)]
    parts += [_lags(trace, layer) for layer in trace.layers if layer.lags]
    return "\n\n".join(part for part in parts if part)


def _written(sections: list[tuple[str, list[tuple[str, list[Line]]]]]) -> Iterator[str]:
    """Yield sections as text: the step, the name and the numbers, each in a column as wide as it must be."""
    blocks = [block for _, section in sections for block in section]
    first = max(len(heading) for heading, _ in blocks) + 2
    second = max((len(name) for _, lines in blocks for name, _ in lines), default=0)
    for title, section in sections:
        lines = [
            f"{heading if i == 0 else '':<{first}}{name:<{second}}{rest}".rstrip()
            for heading, block in section
            for i, (name, rest) in enumerate(block)
        ]
        yield "\n".join([title, *(lines or ["there are no steps"])])


def _all_steps(trace: "Trace", sequence: int) -> list[int]:
    """Return the steps of a sequence that any layer, or the outputs, have kept."""
    axes = [(trace.steps, trace.lengths), *((layer.steps, layer.lengths) for layer in trace.layers)]
    return sorted({int(step) for steps, lengths in axes for step in steps if step < lengths[sequence]})


def _some(steps: list[int]) -> list[int | None]:
    """Return the steps to write out; None stands for those left out."""
    if len(steps) <= MOST_STEPS:
        return list(steps)
    return [*steps[: MOST_STEPS // 2], None, *steps[-MOST_STEPS // 2 :]]


def _beginning(trace: "Trace", sequence: int) -> str:
    B, loss = len(trace.lengths), trace.loss_name.replace("_", " ")
    one = "one sequence" if B == 1 else f"the mean over the targets of {B} sequences; here is number {sequence}, from 0"
    length = trace.layers[0].lengths[sequence] if trace.layers else trace.lengths[sequence]
    lines = [f"E = {trace.loss:.6g}, {loss}; {one}; {_counted(length, 'step')}"]
    if trace.estimator:
        lines.append(f"inputs and targets are as the network of the {trace.estimator} has them, not as they were given")
    if trace.tbptt is not None:
        lines.append(
            f"truncated: nothing comes back from one window of {_counted(trace.tbptt, 'step')} to the one before"
        )
    return "\n".join(lines)


def _equations(trace: "Trace") -> Iterator[str]:
    """Yield what each layer is: equations where it is recurrent or puts out, else its description."""
    for layer in trace.layers:
        cell = layer.layer.cell
        kind = f"{cell.name} ({cell.activation})" if cell.activation else cell.name
        walked = ", read from the last step to the first: h_prev is h of the step after" if layer.layer.reverse else ""
        heading = f"{_called(layer.name)}: {kind}, {_sizes(*layer.layer.sizes)}{walked}"
        yield "\n".join([heading, *(f"  {line}" for line in forward_equations(layer.layer))])
    last_name, last = trace.parts[-1]
    for name, part in trace.parts:
        if part is not last and not isinstance(part, Recurrent | Bidirectional | Dropout):
            yield f"{_called(name)}: {part!r}, whose numbers are not shown"
    if isinstance(last, Dense):
        lines = output_equations(last, _v(trace), trace.of_classes)
        yield "\n".join(
            [f"output, {_called(last_name)}: dense, {_sizes(*last.sizes)}", *(f"  {line}" for line in lines)]
        )


def _ways_back(trace: "Trace") -> str:
    """Return the equations of the way back, from the outputs to the first layer."""
    last, of_slopes = trace.parts[-1][1], []
    lines = ["backward: dh = dh, outputs + dh, time; da is delta, dE/da"]
    activation = last.activation if isinstance(last, Dense) else "identity"
    by_index = trace.of_classes and trace.targets.ndim < trace.outputs.ndim
    gaps = trace.targets.dtype.kind == "f" and bool(np.isnan(trace.targets).any())
    out = delta_out_equation(activation, trace.loss_name, by_index, trace.n_targets, gaps)
    for i, layer in reversed(list(enumerate(trace.layers))):
        step = "before" if layer.layer.reverse else "after"
        own = [f"dh, outputs = {_from_above(trace, i)}", f"dh, time = dh_prev of the step {step}"]
        own += [f"d{state} = d{state}, time, to begin with" for state in layer.layer.cell.states[1:]]
        equations = backward_equations(layer.layer)
        of_slopes += equations
        out += [*([f"{_called(layer.name)}:"] if len(trace.layers) > 1 else []), *own, *equations]
    return "\n".join([*lines, *(f"  {line}" for line in [*out, *slopes_in([*out, *of_slopes])])])


def _from_above(trace: "Trace", i: int) -> str:
    """Return what comes back to the outputs of the i-th recurrent layer, from what stands on it."""
    place = [name for name, _ in trace.parts].index(trace.layers[i].part)
    half = "its half of " if isinstance(trace.parts[place][1], Bidirectional) else ""
    read = ""
    for above, part in trace.parts[place + 1 :]:
        if isinstance(part, Dropout):
            continue
        if isinstance(part, Readout):
            read = READ.get(part.kind, "")
        elif isinstance(part, Dense) and part is trace.parts[-1][1]:
            return f"{half}delta_out @ W.T{read}"
        elif isinstance(part, Recurrent):
            return f"{half}delta @ Wx.T of {_called(above)}"
        elif isinstance(part, Bidirectional):
            return f"{half}delta @ Wx.T of both directions of {_called(above)}"
        else:
            return f"{half}what comes back through {_called(above)}"
    return f"{half}delta_out{read}"


def _called(name: str) -> str:
    return f"layer {name}" if name else "the layer"


def _v(trace: "Trace") -> str:
    """Return what the pre-activation of the output is called: v, if no cell has another v."""
    return "v_out" if any("v" in layer.layer.cell.saved for layer in trace.layers) else "v"


def _sizes(n_features: int, n_units: int) -> str:
    return f"{_counted(n_features, 'feature')}, {_counted(n_units, 'unit')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _weights(trace: "Trace") -> str:
    """Return the weights of a small model and their gradients, a row of numbers for each row."""
    small = {name: param.reshape(-1, param.shape[-1]) for name, param in trace.params.items()}
    if not small or any(max(param.shape) > LARGEST for param in small.values()):
        return ""
    width, columns = max(map(len, small)), max(param.shape[1] for param in small.values())
    beside = columns <= LARGEST // 2  # there is room for the gradients
    lines = ["weights" + (", and to the right of each row its gradient" if beside else "")]
    for name, param in small.items():
        for i, (row, gradient) in enumerate(zip(param, trace.gradients[name].reshape(param.shape), strict=True)):
            text = f"{_numbers(row, columns):<{WIDE * columns}}  |{_numbers(gradient, columns)}"
            lines.append(f"  {name if i == 0 else '':<{width}}{text if beside else _numbers(row, columns)}")
    return "\n".join(lines)


def _initial(trace: "Trace", sequence: int, units: int) -> Iterator[Line]:
    """Yield the states before the first step."""
    for layer in trace.layers:
        for name, values in layer.initial.items():
            yield _line(_name(trace, layer, name), values[sequence], units)


def _forward(trace: "Trace", sequence: int, step: int, units: int) -> Iterator[Line]:
    for layer, at in _at(trace, sequence, step):
        inputs = "input" if "x" in layer.forward else "x"  # as the equations have it
        for name, values in layer.forward.items():
            yield _line(_name(trace, layer, inputs if name == "inputs" else name), values[at], units)
    if trace.losses.ndim == 2 and step in trace.steps and step < trace.lengths[sequence]:
        yield from _outputs(trace, (sequence, int(np.searchsorted(trace.steps, step))), units)


def _outputs(trace: "Trace", at: tuple[int, ...], units: int) -> Iterator[Line]:
    """Yield the outputs, what they were held to, and what that adds to the loss."""
    target = trace.targets[at[:1]][trace.steps[at[1]]] if len(at) > 1 else trace.targets[at]
    v, y = trace.v[at], trace.outputs[at]
    values = {_v(trace): v, "y": y} | ({"p": np.exp(log_softmax(y))} if trace.of_classes else {})
    values |= {"target": np.atleast_1d(target), "adds to E": np.atleast_1d(trace.losses[at])}
    if len(v) == 1 and values["target"].size == 1:
        rest = (f"  {name} {value.item():.4g}" for name, value in values.items() if name != _v(trace))
        yield _v(trace), _numbers(v, units) + "".join(rest)
    else:
        yield from (_line(name, value, units) for name, value in values.items())


def _backward(trace: "Trace", sequence: int, step: int, units: int) -> Iterator[Line]:
    if trace.delta_out.ndim == 3 and step in trace.steps and step < trace.lengths[sequence]:
        yield _line("delta_out", trace.delta_out[sequence, np.searchsorted(trace.steps, step)], units)
    for layer, at in reversed(list(_at(trace, sequence, step))):
        for name, values in layer.backward.items():
            if name != "dh":  # it is the sum of its two parts
                shown = re.sub("_(out|time)$", lambda part: PARTS[part[1]], name)
                yield _line(_name(trace, layer, shown), values[at], units)


def _at(trace: "Trace", sequence: int, step: int) -> "Iterator[tuple[LayerTrace, tuple[int, int]]]":
    """Yield the layers that have kept a step of a sequence, and where in their arrays."""
    for layer in trace.layers:
        if step in layer.steps and step < layer.lengths[sequence]:
            yield layer, (sequence, int(np.searchsorted(layer.steps, step)))


def _name(trace: "Trace", layer: "LayerTrace", name: str) -> str:
    """Return the name of a quantity, after that of its layer where there are several."""
    return name if len(trace.layers) == 1 else f"{layer.name} {name}"


def _line(name: str, values: Array, units: int) -> Line:
    return name, _numbers(values, units)


def _numbers(values: Array, most: int) -> str:
    more = f"  ... {len(values) - most} more" if len(values) > most else ""
    return "".join(f"{value + 0.0:>{WIDE}.4g}" for value in values[:most]) + more


def _gradients(trace: "Trace") -> str:
    """Return how much each step adds to the gradient of each weight."""
    if not trace.shares:
        return ""
    kept = sorted({int(step) for steps in trace.share_steps.values() for step in steps})
    steps = [step for step in _some(kept) if step is not None]
    rows = [("", *(f"t = {step + 1}" for step in steps), "gradient")]
    for name, share in trace.shares.items():
        at = {int(step): place for place, step in enumerate(trace.share_steps[name])}
        norms = (_norm(share[at[step]]) if step in at else "" for step in steps)
        rows.append((name, *norms, _norm(trace.gradients[name])))
    whose = "" if len(trace.lengths) == 1 else f" of all {len(trace.lengths)} sequences"
    text = f"gradients{whose}: norms of each step's share, and of the whole; not the norms add up to it, but the shares"
    return "\n".join([text, *_indented(aligned(rows, right=True))])


def _lags(trace: "Trace", layer: "LayerTrace") -> str:
    """Return how far the loss of each step reaches."""
    where = "" if len(trace.layers) == 1 else f" of layer {layer.name}"
    where += "" if len(trace.lengths) == 1 else f", over all {len(trace.lengths)} sequences,"
    lines = [f"lags: the norm of the part of delta_t{where} that comes from the loss of step s"]
    seen = trace.lag_rows(layer)
    loud = list(zip(trace.loss_steps[seen], layer.lag_matrix[seen], strict=True))
    if 0 < max(len(loud), layer.lag_matrix.shape[1]) <= MOST_STEPS:
        rows = [("s \\ t", *(str(step + 1) for step in layer.steps))]
        rows += [(str(step + 1), *(_norm(value) if value else "" for value in row)) for step, row in loud]
        lines += _indented(aligned(rows, right=True))
    means = [(str(lag), f"{mean:.3g}") for lag, mean in enumerate(layer.norm_by_lag) if not np.isnan(mean)]
    if len(means) > 1:
        few = [means[place] for place in _places(len(means))]
        lines.append("mean by lag " + ("t - s, as it reads backwards" if layer.layer.reverse else "s - t"))
        lines += _indented(aligned(list(zip(*few, strict=True)), right=True))
    radii = ", ".join(f"{gate} {radius:.3g}".strip() for gate, radius in layer.spectral_radius.items())
    return "\n".join([*lines, *([f"spectral radius of Wh: {radii}"] if radii else [])])


def _places(n: int) -> list[int]:
    """Return which of n numbers are shown: the first ones, then ever fewer, and the last."""
    return sorted({place for place in range(n) if place < 8 or place.bit_count() == 1} | {n - 1})


def _indented(text: str) -> Iterable[str]:
    return (f"  {line}" for line in text.splitlines())


def _norm(values: Array) -> str:
    return f"{np.linalg.norm(values):.3g}"
