"""The walk up and down trees as source code, generated from what a cell's functions ask for.

Each function walks one slice of the trees, level by level: the linear parts by ``product``, and for every unit the
cell's own functions, inlined into loops over contiguous rows. ``tree_reference.py`` is the same walk to be read; this
one is held to its numbers. Rows of a slice follow each other level by level, so what the weights' gradients are made
of is a block of rows that has just been walked over, and still is in the cache.

LLVM makes vector code of a loop only if few arrays can overlap and none is reached through an index: so what belongs
together stands in one array, and what comes from children, or goes to them, is brought near first.
"""

from saiki.cells.trees import TreeCell
from saiki.cells.trees.cell import SIDES
from saiki.engines.loops import MATRIX, PANELS, ROW, STEPS, WHOLES, fill
from saiki.engines.native import Argument
from saiki.engines.tree_tape import Run, overwritten, runs_of

PAIRS = Argument(2, whole=True)


def blocks_of(cell: TreeCell) -> dict[str, int]:
    """Return where each quantity of a node stands among its gates: pre-activations, parts apart, then saved values."""
    gates, _ = overwritten(cell)
    names = (*cell.inputs, *cell.apart, *(name for name in cell.saved if name not in gates))
    return {name: k for k, name in enumerate(names)} | gates


def child_blocks_of(cell: TreeCell) -> dict[str, int]:
    """Return where each quantity of a child stands among its gates: pre-activations, then saved values."""
    _, gates = overwritten(cell)
    names = (*cell.child_inputs, *(name for name in cell.child_saved if name not in gates))
    return {name: k for k, name in enumerate(names)} | gates


def near_of(cell: TreeCell) -> dict[str, int]:
    """Return where states of children stand while their parents are walked over, then their gradients."""
    names = [name for name in dict.fromkeys((*cell.takes, *cell.wants)) if cell.kinds.get(name) == "state"]
    names += [f"d{name}" for name in cell.takes if cell.kinds[name] == "state"]
    return {name: k for k, name in enumerate(names)}


def child_gradients_of(cell: TreeCell) -> dict[str, int]:
    """Return where the gradients of what ``child`` takes stand: those of its gates first, then those of states."""
    states = [name for name in cell.child_takes if cell.kinds[name] == "state"]
    return {name: k for k, name in enumerate((*cell.child_inputs, *states))}


def on_tape(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments that both walks find on the tape, in the order of the levels, or among the parameters."""
    order = {"starts": WHOLES, "with_input": WHOLES, "pairs": PAIRS, "child_starts": WHOLES, "children": WHOLES}
    arrays = {"x": MATRIX, "gates": STEPS, "edges": STEPS, "s": STEPS}
    if cell.child is not None:
        arrays |= {f"sum_{name}": MATRIX for name in ("h", *cell.totals)}
    scratch = {"seen": MATRIX, "near": STEPS, "spare": ROW}
    return order | arrays | {f"vector_{name}": ROW for name in cell.vectors} | scratch


def climb_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk up, in order."""
    weights = {"wx": PANELS, "bias": ROW} | {f"wh_{r}": PANELS for r in range(len(runs_of(cell)))}
    return on_tape(cell) | weights


def descend_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk down, in order."""
    weights = {"wx_back": PANELS} | {f"wh_back_{r}": PANELS for r in range(len(runs_of(cell)))}
    errors = {"d": STEPS} | {f"dsum_{name}": MATRIX for name in cell.totals}
    errors |= {"da": MATRIX, "dedges": STEPS, "dx": MATRIX}
    return on_tape(cell) | weights | errors | gradient_arguments(cell) | {"block": MATRIX, "panels": ROW}


def gradient_arguments(cell: TreeCell) -> dict[str, Argument]:
    """Return the arguments of the walk down that are gradients of parameters, all zero to begin with."""
    return {"dwx": MATRIX, "dwh": MATRIX, "dbias": ROW} | {f"dvector_{name}": ROW for name in cell.vectors}


def climb_source(cell: TreeCell) -> str:
    """Return the source of ``climb``."""
    runs, node = list(enumerate(runs_of(cell))), ("pair", "left", "right", "sum")
    apart = fill("flat[first + i, G * H + j]", "n", "A * H", "zero") if cell.apart else []
    out = [
        f"def climb({', '.join(climb_arguments(cell))}):",
        "    (N, W, H), most, nothing = gates.shape, seen.shape[0], bias[:0]",
        f"    G, A, flat = {len(cell.gates)}, {len(cell.apart)}, gates.reshape(N, W * H)",
        "    flat_edges = edges.reshape(edges.shape[0], edges.shape[1] * H)",
        "    for v in range(len(starts) - 1):",
        "        for first in range(starts[v], starts[v + 1], most):",
        "            last = min(first + most, starts[v + 1])",
        "            n, known = last - first, min(max(with_input[v], first), last)",
        "            if known > first:",
        "                product(x[first:known], wx, bias, flat[first:known, : G * H], spare)",
        *(f"            {line}" for line in fill("flat[known + i, j]", "last - known", "G * H", "bias[j]")),
        *(f"            {line}" for line in apart),
        *(f"            {line}" for line in _near_lines(cell)),
        "            if v > 0:",
        *(f"                {line}" for line in _gather_lines(cell)),
        *(f"                {_product_line(cell, run, f'wh_{r}')}" for r, run in runs if run.sees in node),
    ]
    if cell.totals:
        nothing = [line for t in cell.totals for line in fill(f"sum_{t}[first + i, j]", "n", "H", "zero")]
        out += ["            else:", *(f"                {line}" for line in nothing)]
    out.append("            for i in range(first, last):")
    out += [f"                {line}" for line in _rows(cell, (*cell.takes, *cell.returns))]
    values, returned = _values(cell.takes), ", ".join(f"new_{name}" for name in cell.returns)
    out += ["                for j in range(H):", f"                    {returned} = forward({values})"]
    out += [f"                    row_{name}[j] = new_{name}" for name in cell.returns]
    return "\n".join(out) + "\n"


def _near_lines(cell: TreeCell) -> list[str]:
    """Return lines that bring the states of the children of rows ``first`` to ``last`` near, as the cell asks for."""
    lines = []
    for name, k in near_of(cell).items():
        if cell.kinds.get(name) == "state":
            state, _, side = name.rpartition("_")
            lines += [f"    child = s[pairs[first + i, {SIDES.index(side)}], {cell.states.index(state)}]"]
            lines += ["    for j in range(H):", f"        near[i, {k}, j] = child[j]"]
    return ["for i in range(n):", *lines] if lines else []


def _pair_lines(target: str, rows: str) -> list[str]:
    """Return lines that put the h of the left and the right child of rows from ``first`` on side by side."""
    return [
        f"for i in range({rows}):",
        "    left, right = s[pairs[first + i, 0], 0], s[pairs[first + i, 1], 0]",
        "    for j in range(H):",
        f"        {target}[i, j] = left[j]",
        "    for j in range(H):",
        f"        {target}[i, H + j] = right[j]",
    ]


def _gather_lines(cell: TreeCell) -> list[str]:
    """Return lines that bring together what products see of the children of rows ``first`` to ``last``."""
    if cell.child is None:
        return _pair_lines("seen", "n")
    runs = [(r, run) for r, run in enumerate(runs_of(cell)) if run.sees == "child"]
    lines = [
        "for i in range(first, last):",
        "    into = sum_h[i]",
        "    for j in range(H):",
        "        into[j] = zero",
        "    for e in range(child_starts[i], child_starts[i + 1]):",
        "        of_child = s[children[e], 0]",
        "        for j in range(H):",
        "            into[j] += of_child[j]",
    ]
    for k, name in enumerate(cell.child_inputs):
        g = cell.inputs.index(name)
        lines += ["        for j in range(H):", f"            edges[e, {k}, j] = gates[i, {g}, j]"]
    if runs:
        lines += [
            "for e in range(child_starts[first], child_starts[last], most):",
            "    until = min(e + most, child_starts[last])",
            *(f"    {line}" for line in fill("seen[i, j]", "until - e", "H", "s[children[e + i], 0, j]")),
            *(
                f"    product(seen[: until - e, :H], wh_{r}, nothing, flat_edges[e:until,"
                f" {run.target} * H : {run.target + run.width} * H], spare)"
                for r, run in runs
            ),
        ]
    lines += [
        "for i in range(first, last):",
        *(f"    into_{t} = sum_{t}[i]" for t in cell.totals),
        *(line for t in cell.totals for line in ("    for j in range(H):", f"        into_{t}[j] = zero")),
        "    for e in range(child_starts[i], child_starts[i + 1]):",
        *(f"        {line}" for line in _child_rows(cell, (*cell.child_takes, *cell.child_saved))),
        "        for j in range(H):",
        f"            {', '.join(f'new_{name}' for name in cell.child_returns)} = child({_values(cell.child_takes)})",
        *(f"            into_{t}[j] += new_{t}" for t in cell.totals),
        *(f"            row_{name}[j] = new_{name}" for name in cell.child_saved),
    ]
    return lines


def _first_of(cell: TreeCell, run: Run) -> int:
    """Return where the first gate of a run stands among those of a node, or of a child."""
    return run.target + (len(cell.gates) if run.sees in SIDES else 0)


def _product_line(cell: TreeCell, run: Run, weights: str) -> str:
    """Return the line that adds to the gates of rows ``first`` to ``last`` what they have of the children."""
    source = {
        "pair": "seen[:n]",
        "left": "seen[:n, :H]",
        "right": "seen[:n, H:]",
        "sum": "sum_h[first:last]",
    }[run.sees]
    at = _first_of(cell, run)
    return f"product({source}, {weights}, nothing, flat[first:last, {at} * H : {at + run.width} * H], spare)"


def _rows(cell: TreeCell, names: tuple[str, ...]) -> list[str]:
    """Return lines that name, at row ``i``, the row of each quantity of a node."""
    places = {name: f"gates[i, {k}]" for name, k in blocks_of(cell).items()}
    places |= {name: f"s[i, {k}]" for k, name in enumerate(cell.states)}
    places |= {f"{name}_sum": f"sum_{name}[i]" for name in cell.totals} | {n: f"vector_{n}" for n in cell.vectors}
    places |= {name: f"near[i - first, {k}]" for name, k in near_of(cell).items()}
    return [f"row_{name} = {places[name]}" for name in dict.fromkeys(names) if name in places]


def _child_rows(cell: TreeCell, names: tuple[str, ...]) -> list[str]:
    """Return lines that name, at place ``e``, the row of each quantity of a child."""
    places = {name: f"edges[e, {k}]" for name, k in child_blocks_of(cell).items()}
    places |= {n: f"vector_{n}" for n in cell.vectors}
    places |= {f"{name}_child": f"s[children[e], {k}]" for k, name in enumerate(cell.states)}
    return [f"row_{name} = {places[name]}" for name in dict.fromkeys(names) if name in places]


def _values(names: tuple[str, ...]) -> str:
    return ", ".join(f"row_{name}[j]" for name in names)


def descend_source(cell: TreeCell) -> str:
    """Return the source of ``descend``."""
    out = [
        f"def descend({', '.join(descend_arguments(cell))}):",
        "    H, most, nothing = gates.shape[2], seen.shape[0], dbias[:0]",
        f"    G, top, flat_dedges = {len(cell.gates)}, starts[-1], dedges.reshape(len(dedges), dedges.shape[1] * H)",
        "    for v in range(len(starts) - 2, -1, -1):",
        "        last = starts[v + 1]",
        "        while last > starts[v]:",
        "            first = max(last - most, starts[v])",
        "            n, known = last - first, min(max(with_input[v], first), last)",
        *(f"            {line}" for line in _near_lines(cell)),
        *(f"            {line}" for line in _node_back_lines(cell)),
        "            if v > 0:",
        *(f"                {line}" for line in _children_back_lines(cell)),
        "            if known > first:",
        *(f"                {line}" for line in fill("dx[first + i, j]", "known - first", "dx.shape[1]", "zero")),
        "                product(da[first:known, : G * H], wx_back, nothing, dx[first:known], spare)",
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
    lines += [f"    rowd_{name} = d[i, {k}]" for k, name in enumerate(cell.states)]
    blocks, near = blocks_of(cell), near_of(cell)
    places: dict[str, str] = {}
    for name in cell.takes:
        kind = cell.kinds[name]
        if kind == "total":
            places[name] = f"dsum_{name.removesuffix('_sum')}[i]"
        elif kind == "state":
            places[name] = f"near[i - first, {near[f'd{name}']}]"
        elif kind != "vector":
            places[name] = f"da[i, {blocks[name]} * H : {blocks[name] + 1} * H]"
    lines += [f"    grad_{name} = {place}" for name, place in places.items()]
    for name in cell.child_inputs:  # what each child adds follows
        g = cell.inputs.index(name)
        lines += [f"    for j in range({g} * H, {g + 1} * H):", "        da[i, j] = zero"]
    gradients = {f"d{s}": f"rowd_{s}[j]" for s in cell.states}
    values = ", ".join(gradients.get(name, f"row_{name}[j]") for name in cell.wants)
    lines += ["    for j in range(H):", f"        {', '.join(f'out_{n}' for n in cell.takes)} = backward({values})"]
    for name in cell.takes:
        line = f"dvector_{name}[j] += out_{name}" if name in cell.vectors else f"grad_{name}[j] = out_{name}"
        lines.append(f"        {line}")
    return lines


def _hand_lines(row: str, state: str, value: str) -> list[str]:
    """Return lines that add to what comes back to a state of a child; nothing else is added there at that time."""
    return [f"back = d[{row}, {state}]", "for j in range(H):", f"    back[j] += {value}"]


def _children_back_lines(cell: TreeCell) -> list[str]:
    """Return lines that hand to the children of rows ``first`` to ``last`` what comes back to them."""
    runs = list(enumerate(runs_of(cell)))

    def back(run: Run, r: int, rows: str, source: str, target: str) -> str:
        at = _first_of(cell, run)
        return f"product({source}[{rows}, {at} * H : {at + run.width} * H], wh_back_{r}, nothing, {target}, spare)"

    if cell.child is None:
        targets = {"pair": "seen[:n]", "left": "seen[:n, :H]", "right": "seen[:n, H:]"}
        hand = [_hand_lines(f"pairs[first + i, {k}]", "0", f"seen[i, {k} * H + j]") for k in range(len(SIDES))]
        for name, k in near_of(cell).items():
            if cell.kinds.get(name[1:]) == "state":
                state, _, side = name[1:].rpartition("_")
                row, number = f"pairs[first + i, {SIDES.index(side)}]", cell.states.index(state)
                hand.append(_hand_lines(row, str(number), f"near[i, {k}, j]"))
        return [
            *fill("seen[i, j]", "n", "2 * H", "zero"),
            *(back(run, r, "first:last", "da", targets[run.sees]) for r, run in runs),
            "for i in range(n):",
            *(f"    {line}" for lines in hand for line in lines),
        ]
    gradients, columns = {f"d{name}": f"rowd_{name}[j]" for name in cell.totals}, child_gradients_of(cell)
    values = ", ".join(gradients.get(name, f"row_{name}[j]") for name in cell.child_wants)
    lines = ["for i in range(first, last):", *(f"    rowd_{name} = dsum_{name}[i]" for name in cell.totals)]
    lines += ["    for e in range(child_starts[i], child_starts[i + 1]):"]
    lines += [f"        {line}" for line in _child_rows(cell, cell.child_wants)]
    lines += [f"        grad_{name} = dedges[e, {k}]" for name, k in columns.items()]
    lines += ["        for j in range(H):"]
    lines += [f"            {', '.join(f'out_{n}' for n in cell.child_takes)} = child_backward({values})"]
    for name in cell.child_takes:
        line = f"grad_{name}[j] = out_{name}" if name in columns else f"dvector_{name}[j] += out_{name}"
        lines.append(f"            {line}")
    for name, k in columns.items():
        if name in cell.inputs:
            g = cell.inputs.index(name)
            lines += ["        for j in range(H):", f"            da[i, {g} * H + j] += dedges[e, {k}, j]"]
        else:
            number = cell.states.index(name.rpartition("_")[0])
            hand_on = _hand_lines("children[e]", str(number), f"dedges[e, {k}, j]")
            lines += [f"        {line}" for line in hand_on]
    of_sum = [(r, run) for r, run in runs if run.sees == "sum"]
    lines += [*fill("seen[i, j]", "n", "H", "zero")]
    lines += [back(run, r, "first:last", "da", "seen[:n, :H]") for r, run in of_sum]
    lines += [
        "for i in range(n):",
        "    for e in range(child_starts[first + i], child_starts[first + i + 1]):",
        *(f"        {line}" for line in _hand_lines("children[e]", "0", "seen[i, j]")),
    ]
    of_child = [(r, run) for r, run in runs if run.sees == "child"]
    if of_child:
        lines += [
            "for e in range(child_starts[first], child_starts[last], most):",
            "    until = min(e + most, child_starts[last])",
            *(f"    {line}" for line in fill("seen[i, j]", "until - e", "H", "zero")),
            *(f"    {back(run, r, 'e:until', 'flat_dedges', 'seen[: until - e, :H]')}" for r, run in of_child),
            "    for i in range(until - e):",
            *(f"        {line}" for line in _hand_lines("children[e + i]", "0", "seen[i, j]")),
        ]
    return lines


def _flush_lines(cell: TreeCell) -> list[str]:
    """Return lines that add to the gradients of the weights what rows ``first`` to ``top`` give."""

    def add(left: str, rows: str, source: str, columns: tuple[int, int], target: str) -> list[str]:
        lo, hi = columns
        return [
            f"width, N_columns = width_of({hi - lo} * H), {hi - lo} * H",
            "count = (N_columns + width - 1) // width",
            f"packed = panels[: count * ({rows}) * width].reshape(count, {rows}, width)",
            f"pack({source}, {lo} * H : {hi} * H], packed)",
            f"product({left}.T, packed, nothing, {target}, spare)",
        ]

    G = len(cell.gates)
    lines = ["held, inputs = top - first, False", "for u in range(len(with_input)):"]
    lines += ["    inputs = inputs or min(with_input[u], top) > max(starts[u], first)"]
    lines += ["for i in range(first, top):", "    for j in range(G * H):", "        dbias[j] += da[i, j]", "if inputs:"]
    lines += [f"    {line}" for line in add("x[first:top]", "held", "da[first:top", (0, G), "dwx")]
    inner = _pair_lines("block", "held") if cell.child is None else []
    seen = {
        "pair": ("block[:held]", "dwh"),
        "left": ("block[:held, :H]", "dwh[:H]"),
        "right": ("block[:held, H:]", "dwh[H:]"),
        "sum": ("sum_h[first:top]", "dwh"),
    }
    for run in runs_of(cell):
        at = _first_of(cell, run)
        columns, into = (at, at + run.width), f"[:, {run.source} * H : {run.source + run.width} * H]"
        if run.sees != "child":
            left, target = seen[run.sees]
            inner += add(left, "held", "da[first:top", columns, f"{target}{into}")
            continue
        rows = "until - e"
        inner += [
            "for e in range(child_starts[first], child_starts[top], block.shape[0]):",
            "    until = min(e + block.shape[0], child_starts[top])",
            *(f"    {line}" for line in fill("block[i, j]", rows, "H", "s[children[e + i], 0, j]")),
            *(
                f"    {line}"
                for line in add(f"block[: {rows}, :H]", rows, "flat_dedges[e:until", columns, f"dwh{into}")
            ),
        ]
    return [*lines, *(["if v > 0:", *(f"    {line}" for line in inner)] if inner else [])]
