"""Pictures. Each function draws on axes that it is given, and returns them."""

from saiki.explain.plots.comparison import comparison_figure, plot_losses_with_spread
from saiki.explain.plots.microscope import (
    plot_delta,
    plot_lag_matrix,
    plot_matrix,
    plot_norm_by_lag,
    plot_quantity,
    plot_weights,
)
from saiki.explain.plots.panels import panels_figure
from saiki.explain.plots.style import FORMATS
from saiki.explain.plots.training import moving_average, plot_accuracy, plot_loss, training_figure
from saiki.explain.plots.tree_tasks import plot_by_depth, plot_f1, tree_tasks_figure
from saiki.explain.plots.trees import plot_tree
from saiki.explain.plots.unrolled import plot_unrolled

__all__ = [
    "FORMATS",
    "comparison_figure",
    "moving_average",
    "panels_figure",
    "plot_accuracy",
    "plot_by_depth",
    "plot_delta",
    "plot_f1",
    "plot_lag_matrix",
    "plot_loss",
    "plot_losses_with_spread",
    "plot_matrix",
    "plot_norm_by_lag",
    "plot_quantity",
    "plot_tree",
    "plot_unrolled",
    "plot_weights",
    "training_figure",
    "tree_tasks_figure",
]
