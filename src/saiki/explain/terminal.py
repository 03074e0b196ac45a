"""The pictures of a trace for a terminal: blocks of colour, or characters where there are no colours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from saiki.arrays import Array
from saiki.explain.matrices import Matrix, decades

COLOURS = np.array(
    [(0, 34, 78), (18, 53, 112), (59, 73, 108), (87, 93, 109), (112, 113, 115), (138, 134, 120), (165, 156, 116),
     (195, 179, 105), (225, 204, 85), (254, 232, 56)]
)  # fmt: skip
"""From small to large: dark blue over grey to yellow, lighter with the number for everyone."""

CHARACTERS = ".:-=+*#%@"
"""From small to large, where there are no colours."""

MOST_ROWS = 48


@final
@dataclass(frozen=True, eq=False)
class Heatmap:
    """A matrix as blocks, the first row above; it prints itself on a console of rich, as wide as that is."""

    matrix: Matrix

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        matrix = self.matrix
        margin = max(map(len, matrix.rows), default=0) + 1
        room = max(1, options.max_width - margin)
        wide = 2 if 2 * len(matrix.columns) <= room else 1
        rows, row_step = _some(len(matrix.rows), MOST_ROWS)
        columns, column_step = _some(len(matrix.columns), room // wide)
        colours = console.color_system in ("256", "truecolor") and not console.no_color  # fewer would be too few
        steps = {"row": row_step, "column": column_step}
        said = ", ".join(f"one {what} in {step}" for what, step in steps.items() if step > 1)
        axes = f"rows: {matrix.row_label}; columns: {matrix.column_label}"
        yield Text(f"{matrix.title} ({axes}{f'; {said}' if said else ''})")
        if not matrix.values.size or (matrix.logarithmic and not (matrix.values > 0).any()):
            yield Text("all zero" if matrix.values.size else "no steps")
            return
        for row in rows:
            line = Text(f"{matrix.rows[row]:>{margin - 1}} ")
            for column in columns:
                self._block(line, matrix.values[row, column], wide, colours)
            yield line
        ends = [matrix.columns[column] for column in (columns[0], columns[-1])] if len(columns) else [""]
        gap = max(len(columns) * wide - len(ends[0]), len(ends[-1]) + 1)
        yield Text(" " * margin + (ends[0] if len(columns) < 2 else f"{ends[0]}{ends[1]:>{gap}}"))
        yield self._scale(margin, colours)

    def _share(self, value: float) -> float | None:
        """Return where a number stands between the smallest and the largest; None if it stands nowhere."""
        low, high, logarithmic = self.matrix.low, self.matrix.high, self.matrix.logarithmic
        if logarithmic:
            if value <= 0:
                return None
            low, high, value = np.log([low, high, value])
        return float(np.clip((value - low) / (high - low), 0, 1)) if high > low else 1.0

    def _block(self, line: Text, value: float, wide: int, colours: bool) -> None:
        share = self._share(value)
        if share is None:
            line.append(" " * wide)
        elif colours:
            red, green, blue = COLOURS[round(share * (len(COLOURS) - 1))]
            line.append(" " * wide, style=f"on rgb({red},{green},{blue})")
        else:
            line.append(CHARACTERS[round(share * (len(CHARACTERS) - 1))] * wide)

    def _scale(self, margin: int, colours: bool) -> Text:
        low, high, logarithmic = self.matrix.low, self.matrix.high, self.matrix.logarithmic
        line = Text(f"{' ' * margin}{low:.3g} ")
        for value in (np.geomspace if logarithmic else np.linspace)(low, high, len(COLOURS if colours else CHARACTERS)):
            self._block(line, value, 1, colours)
        return line.append(f" {high:.3g}" + (", blank: zero" if logarithmic else ""))


def _some(n: int, most: int) -> tuple[Array, int]:
    """Return which of n rows or columns are shown, at most so many, and the step between them."""
    step = max(1, -(-n // max(1, most)))
    return np.arange(0, n, step), step


def bars(title: str, names: Sequence[str], values: Array, width: int = 40, most: int = 24) -> Text:
    """Return a bar for each of some positive numbers, on a log scale: those that are not are left out.

    >>> print(bars("halves", "abc", np.array([1.0, 0.5, 0.25]), width=4))
    halves
      a #### 1
      b ##   0.5
      c #    0.25
    """
    low, high = decades(values)
    span = np.log(high / low) or 1.0

    def lines() -> Iterator[str]:
        places = sorted({*_some(len(values), most)[0].tolist(), len(values) - 1} - {-1})
        margin = max((len(names[place]) for place in places), default=0)
        for place in places:
            if values[place] > 0:
                bar = "#" * max(1, round(width * float(np.clip(np.log(values[place] / low) / span, 0, 1))))
                yield f"  {names[place]:>{margin}} {bar:<{width}} {values[place]:.3g}"

    return Text("\n".join([title, *lines()]))
