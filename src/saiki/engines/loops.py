"""The time loop and backpropagation through time as source code, generated from what a cell's functions ask for.

Each function walks one slice of the batch through all time: the linear parts by ``product``, and for every unit the
cell's own functions, inlined into loops over contiguous rows. ``reference.py`` is the same walk to be read; this one is
held to its numbers.
"""

from typing import NamedTuple

from saiki.cells import Cell
from saiki.cells.cell import Stage
from saiki.cells.functions import argument
from saiki.engines.native import Argument

COUNT, WHOLES = Argument(0), Argument(1, whole=True)
ROW, MATRIX, STEPS, GATES = Argument(1), Argument(2), Argument(3), Argument(4)
PANELS = STEPS


class Run(NamedTuple):
    """Gates whose parts of a product with ``Wh`` stand side by side, both in ``Wh`` and in what they are added to.

    Attributes:
        stage: the number of the stage that uses them.
        sees: what is multiplied: the previous ``h``, or ``v``.
        apart: whether they go into ``apart`` instead of into the pre-activations.
        source: the first gate, counted in ``Wh``.
        target: the first gate, counted in what they are added to.
        width: how many gates.
    """

    stage: int
    sees: str
    apart: bool
    source: int
    target: int
    width: int


def runs_of(cell: Cell) -> list[Run]:
    """Return the products of one step."""
    runs: list[Run] = []
    for number, stage in enumerate(cell.stages):
        for gate in stage.gates:
            apart = gate in cell.apart
            target = (cell.apart if apart else cell.gates).index(gate)
            source = cell.recurrent.index(gate)
            last = runs[-1] if runs else None
            if last and (last.stage, last.apart, last.target + last.width) == (number, apart, target):
                runs[-1] = last._replace(width=last.width + 1)
            else:
                runs.append(Run(number, stage.sees, apart, source, target, 1))
    return runs


def overwritten(cell: Cell) -> dict[str, int]:
    """Return, for each saved value that may take the place of its gate's pre-activation, the number of the gate.

    That is a value with the gate's name, which the stage returns that takes the gate or a later one, where no backward
    function asks for the pre-activation.
    """
    asked = {name for stage in cell.stages for name in stage.wants}
    returned = {name: k for k, stage in enumerate(cell.stages) for name in stage.returns}
    taken = {name: k for k, stage in enumerate(cell.stages) for name in stage.takes}
    return {
        gate: g
        for g, (gate, pre_activation) in enumerate(zip(cell.gates, cell.inputs, strict=True))
        if gate in cell.saved and pre_activation not in asked and returned[gate] >= taken[pre_activation]
    }


def rows(cell: Cell, names: tuple[str, ...]) -> list[str]:
    """Return lines that name, at step ``t`` and sequence ``i``, the row of each quantity.

    A prediction keeps fewer steps than there are, and goes round and round in them.
    """
    places = {name: f"gates[at, i, {g}]" for g, name in enumerate(cell.inputs)}
    places |= {argument("h", gate): f"apart[at, i, {k}]" for k, gate in enumerate(cell.apart)}
    places |= {f"{s}_prev": f"s_{s}[t % s_{s}.shape[0], i]" for s in cell.states}
    places |= {s: f"s_{s}[(t + 1) % s_{s}.shape[0], i]" for s in cell.states}
    places |= {name: f"saved_{name}[at, i]" for name in cell.saved}
    places |= {name: f"gates[at, i, {g}]" for name, g in overwritten(cell).items()}
    places |= {name: f"vector_{name}" for name in cell.vectors}
    return [f"row_{name} = {places[name]}" for name in dict.fromkeys(names) if name in places]


def fill(target: str, rows: str, columns: str, value: str) -> list[str]:
    """Return lines that set a block, number by number; to assign whole blocks takes Numba far longer to compile."""
    return [f"for i in range({rows}):", f"    for j in range({columns}):", f"        {target} = {value}"]


def clear(name: str, kind: Argument) -> list[str]:
    """Return lines that set a row or a matrix to zero."""
    if kind == ROW:
        return [f"for j in range({name}.shape[0]):", f"    {name}[j] = zero"]
    return fill(f"{name}[i, j]", f"{name}.shape[0]", f"{name}.shape[1]", "zero")


def own_arrays(cell: Cell) -> list[str]:
    """Return the names of the saved values that have arrays of their own."""
    return [name for name in cell.saved if name not in overwritten(cell)]


def on_tape(cell: Cell) -> dict[str, Argument]:
    """Return the arguments that both walks find on the tape or among the parameters."""
    arrays = {"gates": GATES, "apart": GATES} | {f"s_{s}": STEPS for s in cell.states}
    return arrays | {f"saved_{n}": STEPS for n in own_arrays(cell)} | {f"vector_{n}": ROW for n in cell.vectors}


def forward_arguments(cell: Cell) -> dict[str, Argument]:
    """Return the arguments of the forward walk, in order."""
    weights = {"wx": PANELS} | {f"wh_{r}": PANELS for r in range(len(runs_of(cell)))}
    rows = {"alive": WHOLES, "lo": COUNT, "hi": COUNT, "masked": COUNT, "mask": MATRIX, "x": STEPS}
    biases = {"bias": ROW, "apart_bias": ROW, "fresh": COUNT}
    return rows | biases | weights | on_tape(cell) | {"seen": MATRIX, "spare": ROW}


def forward_source(cell: Cell) -> str:
    """Return the source of ``forward_walk``."""
    out = [f"def forward_walk({', '.join(forward_arguments(cell))}):"]
    out += [
        "    kept, B, G, H = gates.shape",
        "    A, nothing = apart.shape[2], bias[:0]",
        "    flat, flat_apart = gates.reshape(kept, B, G * H), apart.reshape(kept, B, A * H)",
        "    if fresh:",
        *(f"        {line}" for s in cell.states for line in fill(f"s_{s}[0, lo + i, j]", "hi - lo", "H", "zero")),
        "    for t in range(x.shape[0]):",
        "        at = t % kept",
        "        n = min(alive[t], hi) - lo",
        "        if n <= 0:",
        "            break",
        *(f"        {line}" for line in fill("flat_apart[at, lo + i, j]", "n", "A * H", "apart_bias[j]") if cell.apart),
        "        product(x[t, lo : lo + n], wx, bias, flat[at, lo : lo + n], spare)",
    ]
    for number, stage in enumerate(cell.stages):
        out += [f"        {line}" for line in seen_lines(stage)]
        for r, run in enumerate(runs_of(cell)):
            if run.stage == number:
                into = "flat_apart" if run.apart else "flat"
                block = f"{run.target} * H : {run.target + run.width} * H"
                out.append(f"        product(look_at, wh_{r}, nothing, {into}[at, lo : lo + n, {block}], spare)")
        names = stage.takes
        out.append("        for i in range(lo, lo + n):")
        out += [f"            {line}" for line in rows(cell, (*names, *stage.returns))]
        values = ", ".join(f"row_{name}[j]" for name in names)
        returned = ", ".join(f"new_{name}" for name in stage.returns)
        out += ["            for j in range(H):", f"                {returned} = stage_{number}({values})"]
        out += [f"                row_{name}[j] = new_{name}" for name in stage.returns]
    return "\n".join(out) + "\n"


def seen_lines(stage: Stage) -> list[str]:
    """Return lines that set ``look_at`` to the rows that a product of this stage sees."""
    if not stage.gates:
        return []
    source = "s_h[t % s_h.shape[0], lo : lo + n]" if stage.sees == "h_prev" else "saved_v[at, lo : lo + n]"
    return [
        f"look_at = {source}",
        "if masked:",
        *(f"    {line}" for line in fill("seen[i, j]", "n", "H", "look_at[i, j] * mask[lo + i, j]")),
        "    look_at = seen[:n]",
    ]


def backward_arguments(cell: Cell) -> dict[str, Argument]:
    """Return the arguments of the backward walk, in order."""
    rows = {"alive": WHOLES, "lo": COUNT, "hi": COUNT, "masked": COUNT, "mask": MATRIX, "window": COUNT, "x": STEPS}
    weights = {"wx_back": PANELS} | {f"wh_back_{r}": PANELS for r in range(len(runs_of(cell)))}
    errors = (
        {"dh_loss": STEPS, "fresh": COUNT} | {f"d_{s}": MATRIX for s in cell.states} | {"wants_dx": COUNT, "dx": STEPS}
    )
    block = {"da": MATRIX, "dapart": MATRIX, "block_x": MATRIX} | {f"block_{s}": MATRIX for s in seen_names(cell)}
    handed = {f"between_{n}": MATRIX for n in between(cell)}
    spare = {"panels": ROW, "spare": ROW}
    return rows | weights | on_tape(cell) | errors | gradient_arguments(cell) | block | handed | spare


def gradient_arguments(cell: Cell) -> dict[str, Argument]:
    """Return the arguments of the backward walk that are gradients of parameters, all zero to begin with."""
    arrays = {"dwx": MATRIX, "dwh": MATRIX, "dbias": ROW, "dapart_bias": ROW}
    return arrays | {f"dvector_{n}": ROW for n in cell.vectors}


def seen_names(cell: Cell) -> list[str]:
    """Return what products with ``Wh`` see, each once."""
    return list(dict.fromkeys(run.sees for run in runs_of(cell)))


def between(cell: Cell) -> list[str]:
    """Return the gradients that pass from the last stage to the first, and "0", what a mask needs room for.

    No value of a cell has a name that begins with a digit.
    """
    if cell.look is None:
        return ["0"]
    first, last = cell.stages
    return ["0", *(name for name in last.takes if name in first.returns), "v"]


def backward_source(cell: Cell) -> str:
    """Return the source of ``backward_walk``."""
    runs = runs_of(cell)
    out = [
        f"def backward_walk({', '.join(backward_arguments(cell))}):",
        "    T, B, G, H = gates.shape",
        "    A, F, most, nothing = apart.shape[2], x.shape[2], da.shape[0], dbias[:0]",
        *(f"    {line}" for name, kind in gradient_arguments(cell).items() for line in clear(name, kind)),
        "    if fresh:",
        *(f"        {line}" for s in cell.states for line in fill(f"d_{s}[lo + i, j]", "hi - lo", "H", "zero")),
        "    held = 0",
        "    for t in range(T - 1, -1, -1):",
        "        at = t",
        "        n = min(alive[t], hi) - lo",
        "        if n <= 0:",
        "            continue",
        "        if window > 0 and (t + 1) % window == 0 and t + 1 < T:",
        "            ended = min(alive[t + 1], hi) - lo",
        *(f"            {line}" for s in cell.states for line in fill(f"d_{s}[lo + i, j]", "ended", "H", "zero")),
        "        if held + n > most:",
        *(f"            {line}" for line in flush_lines(cell)),
        "        first, last = held, held + n",
    ]
    for number in reversed(range(len(cell.stages))):
        out += [f"        {line}" for line in backward_stage(cell, number)]
        for r, run in enumerate(runs):
            if run.stage != number:
                continue
            block = f"{run.target} * H : {run.target + run.width} * H"
            source = f"{'dapart' if run.apart else 'da'}[first:last, {block}]"
            target = "between_v[:n]" if run.sees == "v" else "d_h[lo : lo + n]"
            out += [
                "        if masked:",
                *(f"            {line}" for line in fill("between_0[i, j]", "n", "H", "zero")),
                f"            product({source}, wh_back_{r}, nothing, between_0[:n], spare)",
                "            for i in range(n):",
                "                for j in range(H):",
                f"                    {target.split('[')[0]}[{'i' if run.sees == 'v' else 'lo + i'}, j] +="
                " between_0[i, j] * mask[lo + i, j]",
                "        else:",
                f"            product({source}, wh_back_{r}, nothing, {target}, spare)",
            ]
    out += [
        "        if wants_dx:",
        *(f"            {line}" for line in fill("dx[t, lo + i, j]", "n", "F", "zero")),
        "            product(da[first:last], wx_back, nothing, dx[t, lo : lo + n], spare)",
        *(f"        {line}" for line in fill("block_x[first + i, j]", "n", "F", "x[t, lo + i, j]")),
    ]
    for name in seen_names(cell):
        source, block = "s_h" if name == "h_prev" else "saved_v", f"block_{name}[first + i, j]"
        out += [
            *(f"        {line}" for line in fill(block, "n", "H", f"{source}[t, lo + i, j]")),
            "        if masked:",
            *(f"            {line}" for line in fill(block, "n", "H", f"{block} * mask[lo + i, j]")),
        ]
    out += ["        held = last", "    if held > 0:", *(f"        {line}" for line in flush_lines(cell))]
    return "\n".join(out) + "\n"


def backward_stage(cell: Cell, number: int) -> list[str]:
    """Return the loop over units of one stage, backwards."""
    stage = cell.stages[number]
    last_stage = number == len(cell.stages) - 1
    wanted, given = stage.wants, stage.takes
    d_states = [f"d{s}" for s in cell.states]
    handed = {f"d{name}": name for name in between(cell) if name != "0"}
    lines = ["for i in range(lo, lo + n):"]
    body = rows(cell, wanted)
    body += [f"rowd_{s} = d_{s}[i]" for s in cell.states]
    if last_stage:
        body.append("loss_row = dh_loss[t, i]")
    body += [f"rowb_{name} = between_{name}[i - lo]" for name in between(cell) if name != "0"]
    for name in given:
        if name in cell.inputs:
            g = cell.inputs.index(name)
            body.append(f"grad_{name} = da[first + i - lo, {g} * H : {g + 1} * H]")
        elif name in (argument("h", gate) for gate in cell.apart):
            k = [argument("h", gate) for gate in cell.apart].index(name)
            body.append(f"grad_{name} = dapart[first + i - lo, {k} * H : {k + 1} * H]")
    lines += [f"    {line}" for line in body]
    values = []
    for name in wanted:
        if name == "dh":
            values.append("(rowd_h[j] + loss_row[j])")
        elif name in d_states:
            values.append(f"rowd_{name[1:]}[j]")
        elif name in handed:
            values.append(f"rowb_{handed[name]}[j]")
        else:
            values.append(f"row_{name}[j]")
    outs = ", ".join(f"out_{name}" for name in given)
    lines += ["    for j in range(H):", f"        {outs} = back_{number}({', '.join(values)})"]
    previous = {name.removesuffix("_prev"): name for name in given if name.endswith("_prev")}
    for name in given:
        if name.endswith("_prev"):
            continue
        if name in cell.vectors:
            lines.append(f"        dvector_{name}[j] += out_{name}")
        elif f"d{name}" in handed:
            lines.append(f"        rowb_{name}[j] = out_{name}")
        else:
            lines.append(f"        grad_{name}[j] = out_{name}")
    for s in cell.states:
        grad = f"out_{previous[s]}" if s in previous else "zero"
        if last_stage:
            lines.append(f"        rowd_{s}[j] = {grad}")
        elif s in previous:
            lines.append(f"        rowd_{s}[j] += {grad}")
    if last_stage and cell.look is not None:
        lines.append("        rowb_v[j] = zero")
    return lines


def flush_lines(cell: Cell) -> list[str]:
    """Return lines that add what a block of rows gives to the gradients of the weights, and start a new block."""

    def pack_lines(source: str, N: str) -> list[str]:
        return [
            f"width = width_of({N})",
            f"count = ({N} + width - 1) // width",
            "packed = panels[: count * held * width].reshape(count, held, width)",
            f"pack({source}, packed)",
        ]

    lines = [*pack_lines("da[:held]", "G * H"), "product(block_x[:held].T, packed, nothing, dwx, spare)"]
    lines += ["for r in range(held):", "    for j in range(G * H):", "        dbias[j] += da[r, j]"]
    if cell.apart:
        lines += ["for r in range(held):", "    for j in range(A * H):", "        dapart_bias[j] += dapart[r, j]"]
    for run in runs_of(cell):
        if run.apart or run.width < len(cell.gates):
            block = f"{run.target} * H : {run.target + run.width} * H"
            source = f"{'dapart' if run.apart else 'da'}[:held, {block}]"
            lines += pack_lines(source, f"{run.width} * H")
        columns = f"{run.source} * H : {run.source + run.width} * H"
        lines.append(f"product(block_{run.sees}[:held].T, packed, nothing, dwh[:, {columns}], spare)")
    return [*lines, "held = 0"]
