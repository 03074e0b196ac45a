"""The walk up and down trees as source code, generated from what a cell's functions ask for.

Each function walks one slice of the trees, level by level: the linear parts by ``product``, and for every unit the
cell's own functions, inlined into loops over contiguous rows. ``tree_reference.py`` is the same walk to be read; this
one is held to its numbers. Rows of a slice follow each other level by level, so what the weights' gradients are made
of is a block of rows that has just been walked over, and still is in the cache.
"""

from saiki.cells.trees import TreeCell
from saiki.cells.trees.cell import SIDES
from saiki.engines.loops import MATRIX, PANELS, ROW, STEPS, WHOLES, fill
from saiki.engines.native import Argument
from saiki.engines.tree_tape import Run, overwritten, runs_of

PAIRS = Argument(2, whole=True)


def on_tape(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments that both walks find on the tape, in the order of the levels, or among the parameters."""
    order = {"starts": WHOLES, "with_input": WHOLES, "pairs": PAIRS, "child_starts": WHOLES, "children": WHOLES}
    arrays = {"x": MATRIX, "gates": STEPS, "apart": STEPS, "edges": STEPS} | {f"s_{s}": MATRIX for s in cell.states}
    gates, of_child = overwritten(cell)
    arrays |= {f"saved_{name}": MATRIX for name in cell.saved if name not in gates}
    if cell.child is not None:
        arrays |= {f"sum_{name}": MATRIX for name in ("h", *cell.totals)}
    arrays |= {f"child_saved_{name}": MATRIX for name in cell.child_saved if name not in of_child}
    return order | arrays | {f"vector_{name}": ROW for name in cell.vectors} | {"seen": MATRIX, "spare": ROW}


def climb_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk up, in order."""
    weights = {"wx": PANELS, "bias": ROW} | {f"wh_{r}": PANELS for r in range(len(runs_of(cell)))}
    return on_tape(cell) | weights


def descend_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk down, in order."""
    weights = {"wx_back": PANELS} | {f"wh_back_{r}": PANELS for r in range(len(runs_of(cell)))}
    errors = {f"d_{s}": MATRIX for s in cell.states} | {f"dsum_{name}": MATRIX for name in cell.totals}
    errors |= {"da": MATRIX, "dapart": MATRIX, "dedges": MATRIX, "dx": MATRIX}
    return on_tape(cell) | weights | errors | gradient_arguments(cell) | {"block": MATRIX, "panels": ROW}


def gradient_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk down that are gradients of parameters, all zero to begin with."""
    return {"dwx": MATRIX, "dwh": MATRIX, "dbias": ROW} | {f"dvector_{name}": ROW for name in cell.vectors}


def climb_source(cell: TreeCell) -> str:
    """Return the source of ``climb``."""
    runs, node = list(enumerate(runs_of(cell))), ("pair", "left", "right", "sum")
    out = [
        f"def climb({', '.join(climb_arguments(cell))}):",
        "    N, G, H = gates.shape",
        "    A, most, nothing = apart.shape[1], seen.shape[0], bias[:0]",
        "    flat, flat_apart = gates.reshape(N, G * H), apart.reshape(N, A * H)",
        "    flat_edges = edges.reshape(edges.shape[0], edges.shape[1] * H)",
        "    for v in range(len(starts) - 1):",
        "        for first in range(starts[v], starts[v + 1], most):",
        "            last = min(first + most, starts[v + 1])",
        "            n, known = last - first, min(max(with_input[v], first), last)",
        "            if known > first:",
        "                product(x[first:known], wx, bias, flat[first:known], spare)",
        *(f"            {line}" for line in fill("flat[known + i, j]", "last - known", "G * H", "bias[j]")),
        *(f"            {line}" for line in fill("flat_apart[first + i, j]", "n", "A * H", "zero") if cell.apart),
        "            if v > 0:",
        *(f"                {line}" for line in _gather_lines(cell)),
        *(f"                {_product_line(run, f'wh_{r}')}" for r, run in runs if run.sees in node),
    ]
    if cell.child is not None:
        out += [
            "            else:",
            *(
                f"                {line}"
                for t in cell.totals
                for line in fill(f"sum_{t}[first + i, j]", "n", "H", "zero")
            ),
        ]
    out.append("            for i in range(first, last):")
    out += [f"                {line}" for line in _rows(cell, (*cell.takes, *cell.returns))]
    values, returned = _values(cell.takes), ", ".join(f"new_{name}" for name in cell.returns)
    out += ["                for j in range(H):", f"                    {returned} = forward({values})"]
    out += [f"                    row_{name}[j] = new_{name}" for name in cell.returns]
    return "\n".join(out) + "\n"


def _gather_lines(cell: TreeCell) -> list[str]:
    """Return lines that bring together what products see of the children of rows ``first`` to ``last``."""
    if cell.child is None:
        return [
            "for i in range(n):",
            "    row_left, row_right = s_h[pairs[first + i, 0]], s_h[pairs[first + i, 1]]",
            "    for j in range(H):",
            "        seen[i, j] = row_left[j]",
            "    for j in range(H):",
            "        seen[i, H + j] = row_right[j]",
        ]
    runs = [(r, run) for r, run in enumerate(runs_of(cell)) if run.sees == "child"]
    lines = [
        "for i in range(first, last):",
        "    row_sum = sum_h[i]",
        "    for j in range(H):",
        "        row_sum[j] = zero",
        "    for e in range(child_starts[i], child_starts[i + 1]):",
        "        row_child = s_h[children[e]]",
        "        for j in range(H):",
        "            row_sum[j] += row_child[j]",
    ]
    for k, gate in enumerate(cell.child_gates):
        g = cell.gates.index(gate)
        lines += ["        for j in range(H):", f"            edges[e, {k}, j] = gates[i, {g}, j]"]
    if runs:
        lines += [
            "for e in range(child_starts[first], child_starts[last], most):",
            "    until = min(e + most, child_starts[last])",
            *(f"    {line}" for line in fill("seen[i, j]", "until - e", "H", "s_h[children[e + i], j]")),
            *(
                f"    product(seen[: until - e, :H], wh_{r}, nothing, flat_edges[e:until,"
                f" {run.target} * H : {run.target + run.width} * H], spare)"
                for r, run in runs
            ),
        ]
    lines += [
        "for i in range(first, last):",
        *(f"    row_sum_{t} = sum_{t}[i]" for t in cell.totals),
        "    for j in range(H):",
        *(f"        row_sum_{t}[j] = zero" for t in cell.totals),
        "    for e in range(child_starts[i], child_starts[i + 1]):",
        *(f"        {line}" for line in _child_rows(cell, (*cell.child_takes, *cell.child_saved))),
        "        for j in range(H):",
        f"            {', '.join(f'new_{name}' for name in cell.child_returns)} = child({_values(cell.child_takes)})",
        *(f"            row_sum_{t}[j] += new_{t}" for t in cell.totals),
        *(f"            row_{name}[j] = new_{name}" for name in cell.child_saved),
    ]
    return lines


def _product_line(run: Run, weights: str) -> str:
    """Return the line that adds to the gates of rows ``first`` to ``last`` what they have of the children."""
    source = {
        "pair": "seen[:n]",
        "left": "seen[:n, :H]",
        "right": "seen[:n, H:]",
        "sum": "sum_h[first:last]",
    }[run.sees]
    into = "flat_apart" if run.sees in SIDES else "flat"
    columns = f"{run.target} * H : {run.target + run.width} * H"
    return f"product({source}, {weights}, nothing, {into}[first:last, {columns}], spare)"


def _rows(cell: TreeCell, names: tuple[str, ...]) -> list[str]:
    """Return lines that name, at row ``i``, the row of each quantity of a node."""
    places = {name: f"gates[i, {g}]" for g, name in enumerate(cell.inputs)}
    places |= {name: f"apart[i, {k}]" for k, name in enumerate(cell.apart)}
    places |= {s: f"s_{s}[i]" for s in cell.states} | {name: f"saved_{name}[i]" for name in cell.saved}
    places |= {f"{name}_sum": f"sum_{name}[i]" for name in cell.totals} | {n: f"vector_{n}" for n in cell.vectors}
    places |= {f"{s}_{side}": f"s_{s}[pairs[i, {k}]]" for s in cell.states for k, side in enumerate(SIDES)}
    places |= {name: f"gates[i, {g}]" for name, g in overwritten(cell)[0].items()}
    return [f"row_{name} = {places[name]}" for name in dict.fromkeys(names) if name in places]


def _child_rows(cell: TreeCell, names: tuple[str, ...]) -> list[str]:
    """Return lines that name, at place ``e``, the row of each quantity of a child."""
    places = {name: f"edges[e, {k}]" for k, name in enumerate(cell.child_inputs)}
    places |= {name: f"child_saved_{name}[e]" for name in cell.child_saved} | {n: f"vector_{n}" for n in cell.vectors}
    places |= {f"{s}_child": f"s_{s}[children[e]]" for s in cell.states}
    places |= {name: f"edges[e, {k}]" for name, k in overwritten(cell)[1].items()}
    return [f"row_{name} = {places[name]}" for name in dict.fromkeys(names) if name in places]


def _values(names: tuple[str, ...]) -> str:
    return ", ".join(f"row_{name}[j]" for name in names)


def descend_source(cell: TreeCell) -> str:
    """Return the source of ``descend``."""
    out = [
        f"def descend({', '.join(descend_arguments(cell))}):",
        "    N, G, H = gates.shape",
        "    A, C, most, nothing = apart.shape[1], edges.shape[1], seen.shape[0], dbias[:0]",
        "    top = starts[-1]",
        "    for v in range(len(starts) - 2, -1, -1):",
        "        last = starts[v + 1]",
        "        while last > starts[v]:",
        "            first = max(last - most, starts[v])",
        "            n, known = last - first, min(max(with_input[v], first), last)",
        *(f"            {line}" for line in _node_back_lines(cell)),
        "            if v > 0:",
        *(f"                {line}" for line in _children_back_lines(cell)),
        "            if known > first:",
        *(f"                {line}" for line in fill("dx[first + i, j]", "known - first", "dx.shape[1]", "zero")),
        "                product(da[first:known], wx_back, nothing, dx[first:known], spare)",
        *(f"            {line}" for line in fill("dx[known + i, j]", "last - known", "dx.shape[1]", "zero")),
        "            last = first",
        "            if top - first + most > block.shape[0] or (first == starts[v] and v < 2):",
        *(f"                {line}" for line in _flush_lines(cell)),
        "                top = first",
    ]
    return "\n".join(out) + "\n"


def _node_back_lines(cell: TreeCell) -> list[str]:
    """Return the loop over nodes and units, backwards."""
    lines = ["for i in range(first, last):", *(f"    {line}" for line in _rows(cell, cell.wants))]
    lines += [f"    rowd_{s} = d_{s}[i]" for s in cell.states]
    places: dict[str, str] = {}
    for name in cell.takes:
        kind = cell.kinds[name]
        if kind in ("sum", "input"):
            g = cell.inputs.index(name)
            places[name] = f"da[i, {g} * H : {g + 1} * H]"
        elif kind in SIDES:
            k = cell.apart.index(name)
            places[name] = f"dapart[i, {k} * H : {k + 1} * H]"
        elif kind == "total":
            places[name] = f"dsum_{name.removesuffix('_sum')}[i]"
        elif kind == "state":
            state, _, side = name.rpartition("_")
            places[name] = f"d_{state}[pairs[i, {SIDES.index(side)}]]"
    lines += [f"    grad_{name} = {place}" for name, place in places.items()]
    for name in cell.child_gates:  # what each child adds follows
        g = cell.gates.index(name)
        lines += [f"    for j in range({g} * H, {g + 1} * H):", "        da[i, j] = zero"]
    gradients = {f"d{s}": f"rowd_{s}[j]" for s in cell.states}
    values = ", ".join(gradients.get(name, f"row_{name}[j]") for name in cell.wants)
    lines += ["    for j in range(H):", f"        {', '.join(f'out_{n}' for n in cell.takes)} = backward({values})"]
    for name in cell.takes:
        if name in cell.vectors:
            lines.append(f"        dvector_{name}[j] += out_{name}")
        else:
            sign = "+=" if cell.kinds[name] == "state" else "="
            lines.append(f"        grad_{name}[j] {sign} out_{name}")
    return lines


def _children_back_lines(cell: TreeCell) -> list[str]:
    """Return lines that hand to the children of rows ``first`` to ``last`` what comes back to them."""
    runs = list(enumerate(runs_of(cell)))

    def back(run: Run, r: int, rows: str, source: str, target: str) -> str:
        columns = f"{run.target} * H : {run.target + run.width} * H"
        return f"product({source}[{rows}, {columns}], wh_back_{r}, nothing, {target}, spare)"

    if cell.child is None:
        targets = {"pair": "seen[:n]", "left": "seen[:n, :H]", "right": "seen[:n, H:]"}
        return [
            *fill("seen[i, j]", "n", "2 * H", "zero"),
            *(
                back(run, r, "first:last", "dapart" if run.sees in SIDES else "da", targets[run.sees])
                for r, run in runs
            ),
            "for i in range(n):",
            "    row_left, row_right = d_h[pairs[first + i, 0]], d_h[pairs[first + i, 1]]",
            "    for j in range(H):",
            "        row_left[j] += seen[i, j]",
            "    for j in range(H):",
            "        row_right[j] += seen[i, H + j]",
        ]
    gradients = {f"d{name}": f"rowd_{name}[j]" for name in cell.totals}
    values = ", ".join(gradients.get(name, f"row_{name}[j]") for name in cell.child_wants)
    lines = ["for i in range(first, last):", *(f"    rowd_{name} = dsum_{name}[i]" for name in cell.totals)]
    lines += ["    for e in range(child_starts[i], child_starts[i + 1]):"]
    lines += [f"        {line}" for line in _child_rows(cell, cell.child_wants)]
    for name in cell.child_takes:
        if name in cell.inputs:
            k, g = cell.child_gates.index(name[2:]), cell.inputs.index(name)
            lines.append(f"        grad_{name} = dedges[e, {k} * H : {k + 1} * H]")
            lines.append(f"        gate_{name} = da[i, {g} * H : {g + 1} * H]")
        elif name not in cell.vectors:
            lines.append(f"        grad_{name} = d_{name.rpartition('_')[0]}[children[e]]")
    lines += ["        for j in range(H):"]
    lines += [f"            {', '.join(f'out_{n}' for n in cell.child_takes)} = child_backward({values})"]
    for name in cell.child_takes:
        if name in cell.inputs:
            lines += [f"            grad_{name}[j] = out_{name}", f"            gate_{name}[j] += out_{name}"]
        else:
            target = f"dvector_{name}" if name in cell.vectors else f"grad_{name}"
            lines.append(f"            {target}[j] += out_{name}")
    of_sum = [(r, run) for r, run in runs if run.sees == "sum"]
    lines += [*fill("seen[i, j]", "n", "H", "zero")]
    lines += [back(run, r, "first:last", "da", "seen[:n, :H]") for r, run in of_sum]
    lines += [
        "for i in range(n):",
        "    row_seen = seen[i]",
        "    for e in range(child_starts[first + i], child_starts[first + i + 1]):",
        "        row_child = d_h[children[e]]",
        "        for j in range(H):",
        "            row_child[j] += row_seen[j]",
    ]
    of_child = [(r, run) for r, run in runs if run.sees == "child"]
    if of_child:
        lines += [
            "for e in range(child_starts[first], child_starts[last], most):",
            "    until = min(e + most, child_starts[last])",
            *(f"    {line}" for line in fill("seen[i, j]", "until - e", "H", "zero")),
            *(f"    {back(run, r, 'e:until', 'dedges', 'seen[: until - e, :H]')}" for r, run in of_child),
            "    for i in range(until - e):",
            "        row_child, row_seen = d_h[children[e + i]], seen[i]",
            "        for j in range(H):",
            "            row_child[j] += row_seen[j]",
        ]
    return lines


def _flush_lines(cell: TreeCell) -> list[str]:
    """Return lines that add to the gradients of the weights what rows ``first`` to ``top`` give."""
    runs = runs_of(cell)

    def add(left: str, rows: str, source: str, columns: tuple[str, str], target: str) -> list[str]:
        lo, hi = columns
        return [
            f"width, N_columns = width_of({hi} - {lo}), {hi} - {lo}",
            "count = (N_columns + width - 1) // width",
            f"packed = panels[: count * ({rows}) * width].reshape(count, {rows}, width)",
            f"pack({source}, packed)",
            f"product({left}.T, packed, nothing, {target}, spare)",
        ]

    def columns(run: Run, first: int) -> tuple[str, str]:
        return f"{first} * H", f"{first + run.width} * H"

    lines = ["held, inputs = top - first, False", "for u in range(len(with_input)):"]
    lines += ["    inputs = inputs or min(with_input[u], top) > max(starts[u], first)"]
    lines += ["for i in range(first, top):", "    for j in range(G * H):", "        dbias[j] += da[i, j]", "if inputs:"]
    lines += [f"    {line}" for line in add("x[first:top]", "held", "da[first:top]", ("0", "G * H"), "dwx")]
    inner: list[str] = []
    if cell.child is None:
        inner += [
            "for i in range(held):",
            "    row_left, row_right = s_h[pairs[first + i, 0]], s_h[pairs[first + i, 1]]",
            "    for j in range(H):",
            "        block[i, j] = row_left[j]",
            "    for j in range(H):",
            "        block[i, H + j] = row_right[j]",
        ]
    seen = {
        "pair": ("block[:held]", "dwh"),
        "left": ("block[:held, :H]", "dwh[:H]"),
        "right": ("block[:held, H:]", "dwh[H:]"),
        "sum": ("sum_h[first:top]", "dwh"),
    }
    for run in runs:
        lo, hi = columns(run, run.target)
        target = ", ".join(columns(run, run.source)).replace(", ", " : ")
        if run.sees != "child":
            source = "dapart" if run.sees in SIDES else "da"
            left, into = seen[run.sees]
            inner += add(left, "held", f"{source}[first:top, {lo} : {hi}]", (lo, hi), f"{into}[:, {target}]")
        else:
            inner += [
                "for e in range(child_starts[first], child_starts[top], block.shape[0]):",
                "    until = min(e + block.shape[0], child_starts[top])",
                *(f"    {line}" for line in fill("block[i, j]", "until - e", "H", "s_h[children[e + i], j]")),
                *(
                    f"    {line}"
                    for line in add(
                        "block[: until - e, :H]",
                        "until - e",
                        f"dedges[e:until, {lo} : {hi}]",
                        (lo, hi),
                        f"dwh[:, {target}]",
                    )
                ),
            ]
    return [*lines, *(["if v > 0:", *(f"    {line}" for line in inner)] if inner else [])]
