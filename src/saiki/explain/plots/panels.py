"""Several pictures in one."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def panels_figure(title: str, draws: Sequence[Callable[[Axes], Any]], size: tuple[float, float] = (5.5, 4.0)) -> Figure:
    """Return a figure with a panel for each of some functions that draw on axes.

    Args:
        title: what it shows.
        draws: what draws each panel.
        size: the width and height of a panel in inches.
    """
    columns = math.ceil(math.sqrt(len(draws)))
    rows = math.ceil(len(draws) / columns)
    figure = Figure(figsize=(columns * size[0], rows * size[1] + 0.4), dpi=120, layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, draw in zip(places, draws, strict=False):
        draw(axes)
    for axes in places[len(draws) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize="medium")
    return figure
