"""What all pictures share: colours that are told apart by colour-blind people, and by their lightness in print."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

FORMATS = "png", "svg", "pdf", "jpg"
"""The endings of the files that a picture can be written to."""

# Okabe and Ito's colours.
BLUE, VERMILION, GREY, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#999999", "#E69F00", "#009E73", "#000000"

LINES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (BLACK, ":"), (ORANGE, (0, (5, 1, 1, 1, 1, 1))), (GREY, "-"))
"""Colours and dashes of lines that share axes: told apart without colours too."""

HEAT = "cividis"
"""The colours of a heatmap: they grow lighter with the number, for everyone and in print."""


def finish(axes: Axes) -> Axes:
    """Add a faint grid, whole numbers below, and the legend above, where it hides nothing."""
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)
    return axes
