"""Pictures. Each function draws on axes that it is given, and returns them."""

from saiki.explain.plots.style import FORMATS
from saiki.explain.plots.training import moving_average, plot_accuracy, plot_loss, training_figure

__all__ = ["FORMATS", "moving_average", "plot_accuracy", "plot_loss", "training_figure"]
