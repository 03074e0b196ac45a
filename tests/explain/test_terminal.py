"""Blocks of colour, and what stands in for them."""

import re
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from saiki.explain.matrices import Matrix
from saiki.explain.terminal import CHARACTERS, COLOURS, Heatmap, bars


def printed(matrix: Matrix, width: int = 80, colours: bool = False) -> list[str]:
    file = StringIO()
    Console(file=file, width=width, force_terminal=colours, color_system="truecolor" if colours else None).print(
        Heatmap(matrix)
    )
    return file.getvalue().splitlines()


def matrix(values: np.ndarray, logarithmic: bool = False) -> Matrix:
    rows, columns = (tuple(map(str, range(1, size + 1))) for size in values.shape)
    low = values[values > 0].min(initial=1.0) if logarithmic else -np.abs(values).max()
    return Matrix("title", values, rows, columns, "unit", "step", low, values.max(), logarithmic)


def test_small_is_dark_and_large_is_light() -> None:
    lightness = COLOURS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()  # readable without colours, too
    lines = printed(matrix(np.array([[-1.0, 0.0, 1.0]])), colours=True)
    blocks = re.findall(r"48;2;(\d+);(\d+);(\d+)m  ", lines[1])
    assert [tuple(map(int, block)) for block in blocks] == [tuple(COLOURS[place]) for place in (0, 4, 9)]


def test_characters_stand_in_for_colours() -> None:
    lines = printed(matrix(np.array([[-1.0, 0.0, 1.0], [1.0, 1.0, -1.0]])))
    assert lines[:4] == ["title (rows: unit; columns: step)", "1 ..++@@", "2 @@@@..", "  1    3"]
    assert lines[4] == f"  -1 {CHARACTERS} 1"


def test_without_colours_or_with_too_few_there_are_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    values = Heatmap(matrix(np.array([[-1.0, 1.0]])))
    for system, no_colour in (("standard", False), ("truecolor", True)):
        file = StringIO()
        Console(file=file, width=80, force_terminal=True, color_system=system, no_color=no_colour).print(values)  # type: ignore[arg-type]
        assert "1 ..@@" in file.getvalue()


def test_nothing_to_see_is_said() -> None:
    assert printed(matrix(np.zeros((2, 2)), logarithmic=True))[1:] == ["all zero"]
    assert printed(Matrix("none", np.empty((2, 0)), ("1", "2"), (), "unit", "step", -1, 1))[1:] == ["no steps"]


def test_powers_of_ten_and_zeros() -> None:
    lines = printed(matrix(np.array([[0.0, 1e-4, 1e-2, 1.0]]), logarithmic=True))
    assert lines[1] == "1   ..++@@"
    assert lines[3].endswith("1, blank: zero")


@pytest.mark.parametrize("width", [20, 40, 80])
def test_what_has_no_room_is_left_out_and_told(width: int) -> None:
    lines = printed(matrix(np.arange(1000.0 * 200).reshape(200, 1000)), width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())  # the title may have been broken
    assert "one row in 5" in text
    assert "one column in" in text
    assert len(lines) < 48


def test_bars_of_long_histories_end_with_the_last() -> None:
    lines = str(bars("losses", [str(i) for i in range(1, 1001)], np.geomspace(1, 1e-3, 1000))).splitlines()
    assert len(lines) < 30
    assert lines[-1].split() == ["1000", "#", "0.001"]
