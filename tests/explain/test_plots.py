"""Pictures show the numbers they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from saiki.explain.plots import plot_loss, training_figure


def test_the_smoothed_loss_stands_where_its_window_ends() -> None:
    losses = np.arange(1.0, 1001.0)
    axes = plot_loss(Figure().subplots(), losses.tolist(), window=10)
    raw, smooth = (np.asarray(line.get_xydata()).T for line in axes.get_lines())
    np.testing.assert_array_equal(raw[0], losses)
    np.testing.assert_array_equal(raw[1], losses)
    np.testing.assert_array_equal(smooth[0], losses[9:])
    np.testing.assert_allclose(smooth[1], losses[9:] - 4.5)


@pytest.mark.parametrize("losses", [[1.0], [0.0, 0.0], [0.5] * 30])
def test_short_and_flat_runs_can_be_drawn(losses: list[float]) -> None:
    figure = training_figure("a title", "a loss", losses, [len(losses)], [0.5], "on something")
    figure.canvas.draw()


def test_the_figure_is_labelled() -> None:
    figure = training_figure("a title", "a loss", [1.0, 2.0], [1, 2], [0.25, 1.0], "on 256 pairs")
    above, below = figure.axes
    assert figure.get_suptitle() == "a title"
    assert above.get_ylabel() == "a loss"
    assert below.get_ylabel() == "sums right"
    assert below.get_xlabel() == "iteration"
    assert np.asarray(below.get_lines()[0].get_ydata()).tolist() == [0.25, 1.0]
    assert below.get_legend() is not None
