"""Pictures show the numbers they are given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

import saiki
from saiki.explain.plots import (
    comparison_figure,
    plot_by_depth,
    plot_delta,
    plot_f1,
    plot_lag_matrix,
    plot_loss,
    plot_losses_with_spread,
    plot_norm_by_lag,
    plot_quantity,
    plot_tree,
    plot_unrolled,
    plot_weights,
    training_figure,
    tree_tasks_figure,
)
from saiki.explain.plots.style import BLUE
from saiki.trees import Tree


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


def image(axes: Axes) -> Any:
    (drawn,) = axes.get_images()
    return drawn.get_array()


@pytest.fixture
def seen(rng: np.random.Generator) -> saiki.Trace:
    net = saiki.Network([saiki.LSTM(2, 3), saiki.Bidirectional(saiki.SimpleRNN(3, 2)), saiki.Dense(4, 1)])
    X, y = rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5))
    return saiki.trace(net, X, y, net.init(rng), lengths=[5, 3, 4])


@pytest.mark.parametrize("name", ["inputs", "a_i", "f", "c", "h", "dh", "da_o"])
def test_a_heatmap_has_the_numbers_of_its_sequence(name: str, seen: saiki.Trace) -> None:
    axes = plot_quantity(Figure().subplots(), seen, name, sequence=1)
    np.testing.assert_array_equal(image(axes), seen.layers[0][name][1, :3].T)
    assert axes.get_title() == f"layer 0: {name}"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "3"]
    low, high = axes.get_images()[0].get_clim()
    assert (low, high) == (0, 1) if name == "f" else low == -high


def test_delta_is_drawn_by_gate(seen: saiki.Trace) -> None:
    axes = plot_delta(Figure().subplots(), seen)
    np.testing.assert_array_equal(image(axes).filled(0), np.abs(seen.layers[0].delta[0].T))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["da_i", "da_f", "da_g", "da_o"]


def test_the_lag_matrix_and_its_mean(seen: saiki.Trace) -> None:
    axes = plot_lag_matrix(Figure().subplots(), seen, layer=2)
    np.testing.assert_array_equal(image(axes).filled(0), seen.layers[2].lag_matrix)
    axes = Figure().subplots()
    for layer in range(3):
        plot_norm_by_lag(axes, seen, layer)
    for line, of_layer in zip(axes.get_lines(), seen.layers, strict=True):
        np.testing.assert_array_equal(np.asarray(line.get_ydata()), of_layer.norm_by_lag)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 3
    assert axes.get_yscale() == "log"


def test_weights_are_drawn_with_their_numbers(rng: np.random.Generator) -> None:
    weights = rng.standard_normal((2, 3))
    axes = plot_weights(Figure().subplots(), weights, "Wx")
    np.testing.assert_array_equal(image(axes), weights)
    assert [text.get_text() for text in axes.texts] == [f"{w:.2f}" for w in weights.ravel()]
    assert plot_weights(Figure().subplots(), weights[0], "b").get_images()[0].get_array().shape == (1, 3)  # type: ignore[union-attr]


def test_numbers_are_left_out_where_there_is_no_room(rng: np.random.Generator) -> None:
    assert not plot_weights(Figure().subplots(), rng.standard_normal((40, 40)), "Wh").texts


def test_the_unrolled_graph_has_every_number(seen: saiki.Trace) -> None:
    axes = plot_unrolled(Figure(figsize=(12, 8)).subplots(), seen, sequence=2)
    boxes = [text.get_text() for text in axes.texts]
    for step in range(4):
        for layer in seen.layers:
            assert "\n".join(["h", *(f"{v:.2g}" for v in layer.h[2, step])]) in boxes
            assert "\n".join(["dh", *(f"{v:.2g}" for v in layer["dh"][2, step])]) in boxes
        assert f"target {seen.targets[2, step]:.3g}\ny\n{seen.outputs[2, step, 0]:.2g}" in boxes
        assert f"delta_out\n{seen.delta_out[2, step, 0]:.2g}" in boxes
    assert not any(box.startswith("x at t = 5") for box in boxes)
    solid = [text for text in axes.texts if isinstance(text, Annotation) and text.arrowprops]
    level = [way for way in solid if way.xy[1] == way.xyann[1] and (way.arrowprops or {}).get("color") == BLUE]
    assert {round(way.xy[1]): way.xy[0] > way.xyann[0] for way in level} == {1: True, 2: True, 3: False}


def test_steps_that_do_not_follow_each_other_have_no_arrow_between(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(2, 2), saiki.Dense(2, 1)])
    X, y = np.ones((1, 6, 2)), np.ones((1, 6))
    arrows = []
    for steps in ([0, 1, 2], [0, 3, 4]):
        axes = plot_unrolled(Figure().subplots(), saiki.trace(net, X, y, net.init(rng), steps=steps))
        arrows.append(sum(not text.get_text() for text in axes.texts))
    assert arrows[0] == arrows[1] + 2


def test_what_cannot_be_drawn(seen: saiki.Trace, rng: np.random.Generator) -> None:
    axes = Figure().subplots()
    net = saiki.Network([saiki.SimpleRNN(2, 7), saiki.Dense(7, 1)])
    wide = saiki.trace(net, np.ones((1, 3, 2)), np.ones((1, 3)), net.init(rng))
    conv = saiki.Network([saiki.SimpleRNN(2, 2), saiki.Conv1D(2, 2, 2, stride=2), saiki.SimpleRNN(2, 2)])
    strided = saiki.trace(conv, np.ones((1, 4, 2)), np.ones((1, 2, 2)), conv.init(rng))
    cases: list[tuple[Callable[[], Axes], str]] = [
        (lambda: plot_quantity(axes, seen, "r"), "this trace has no 'r'. It has inputs, a_i"),
        (
            lambda: plot_quantity(axes, seen, "h", layer=3),
            "layer must be below 3, the number of recurrent layers; got 3",
        ),
        (lambda: plot_quantity(axes, seen, "h", sequence=3), "sequence must be one of the 3 traced, from 0; got 3"),
        (lambda: plot_unrolled(axes, seen, 3), "sequence must be one of the 3 traced, from 0; got 3"),
        (lambda: plot_unrolled(axes, wide), "room for 8 steps and 6 units; got 3 steps and 7 units"),
        (lambda: plot_unrolled(axes, strided), "a graph has no place for layer 1, Conv1D"),
    ]
    cases += [
        (lambda: plot_lag_matrix(seen, axes), "trace must be what saiki.trace returns; got Axes"),  # type: ignore[arg-type]
        (lambda: plot_weights(axes, 3, "W"), "weights must be a matrix"),  # type: ignore[arg-type]
    ]
    for draw, message in cases:
        with pytest.raises(saiki.ArgumentError, match=message):
            draw()


def test_the_median_and_the_band_are_those_of_the_repeats() -> None:
    repeats = np.arange(1.0, 6.0)[:, None] * np.ones(9)
    axes = plot_losses_with_spread(Figure().subplots(), {"five": repeats}, window=1)
    (line,), (band,) = axes.get_lines(), axes.collections
    assert np.asarray(line.get_ydata()).tolist() == [3.0] * 9
    assert np.asarray(line.get_xdata()).tolist() == list(range(1, 10))
    edges = np.asarray(band.get_paths()[0].vertices)
    assert (edges[:, 1].min(), edges[:, 1].max()) == (2.0, 4.0)
    assert axes.get_yscale() == "log"


def test_a_repeat_that_diverged_counts_as_infinitely_large() -> None:
    repeats = np.full((3, 8), 1.0)
    repeats[1:, 4:] = np.nan  # most of them, halfway
    axes = plot_losses_with_spread(Figure().subplots(), {"three": repeats}, window=1)
    assert np.isfinite(np.asarray(axes.get_lines()[0].get_ydata())).tolist() == [True] * 4 + [False] * 4


def test_long_curves_are_drawn_with_few_points_and_as_told() -> None:
    values = np.arange(1.0, 100_001.0)
    axes = plot_losses_with_spread(Figure().subplots(), {"long": values[None]}, window=100)
    x, y = np.asarray(axes.get_lines()[0].get_xydata()).T
    assert len(x) <= 400
    assert (x[0], x[-1]) == (100, 100_000)
    np.testing.assert_allclose(y, x - 49.5)


def test_panels_share_axes_and_one_legend() -> None:
    losses = {"a": np.ones((2, 20)), "b": np.full((2, 20), 2.0)}
    figure = comparison_figure("a title", "a loss", dict.fromkeys(("p", "q", "r"), losses), columns=2)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == ["p", "q", "r", ""]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert len({axes.get_ylim() for axes in figure.axes[:3]}) == 1
    assert figure.get_suptitle() == "a title"


SENTENCE = "(S (NP (DT The) (NN cat)) (VP (VBD sat) (PP (IN on) (NP (DT the) (JJ old) (NN mat)))))"


def written(axes: Axes) -> dict[str, Any]:
    """The words of a picture, and the places that they belong to."""
    return {text.get_text(): text.xy if isinstance(text, Annotation) else text.get_position() for text in axes.texts}


def test_a_tree_has_every_token_label_and_score_in_its_place() -> None:
    tree = Tree.from_text(SENTENCE)
    scores = np.where(tree.is_leaf, np.nan, np.arange(len(tree)) / 20)
    axes = plot_tree(Figure(figsize=(8, 6)).subplots(), Tree(tree.parents, tree.values, tree.labels, scores))
    at = written(axes)
    for place, word in enumerate(tree.tokens):
        assert at[str(word)] == (place, 0)
    assert at["S"] == (3, 4)
    assert at["VP"] == (4, 3)
    assert {text.get_text() for text in axes.texts} >= {"NP", "PP", "DT", "NN", "VBD", "IN", "JJ"}
    for node in np.flatnonzero(~tree.is_leaf):
        assert at[f"{scores[node]:.2f}"] == (tree.spans[node].mean() - 0.5, tree.heights[node])
    dots, discs = axes.collections[1:]
    np.testing.assert_array_equal(dots.get_offsets(), [(place, 0) for place in range(7)])
    np.testing.assert_array_equal(discs.get_array(), scores[~tree.is_leaf])
    assert [other.get_ylabel() for other in axes.figure.axes] == ["", "score"]


def test_no_words_of_a_tree_lie_on_each_other_and_no_lines_cross() -> None:
    tree = Tree.from_text(SENTENCE)
    scored = Tree(tree.parents, tree.values, tree.labels, np.linspace(-1, 1, len(tree)))
    for drawn, layout in [(tree, "constrained"), (scored, "constrained"), (tree, None), (scored, "tight")]:
        figure = Figure(figsize=(6, 4), layout=layout)  # type: ignore[arg-type]
        axes = plot_tree(figure.subplots(), drawn)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        assert all(axes.bbox.y0 - 1 <= box.y0 and box.y1 <= axes.bbox.y1 + 1 for box in boxes)
        lines = [np.asarray(path.vertices) for path in axes.collections[0].get_paths()]
        upright, level = ([line for line in lines if line[0, axis] == line[1, axis]] for axis in (0, 1))
        assert len(upright) + len(level) == len(lines)
        for (x, low), (_, high) in upright:
            assert not any(left < x < right and low < y < high for (left, y), (right, _) in level)


def test_long_labels_of_a_tree_are_cut_before_they_reach_anything(rng: np.random.Generator) -> None:
    for tree in (Tree.from_text(SENTENCE), Tree.balanced(list("abcdefgh")), Tree.right_branching(list("abcdefg"))):
        labels = ["label" * int(rng.integers(1, 5)) for _ in range(len(tree))]
        for scores in (None, np.linspace(0, 1, len(tree))):
            figure = Figure(figsize=(7, 5))
            axes = plot_tree(figure.subplots(), Tree(tree.parents, tree.values, labels, scores))
            figure.draw_without_rendering()
            texts = [text for text in axes.texts if text.get_text().startswith("l")]
            assert any(text.get_text().endswith("…") for text in texts)
            boxes = [text.get_window_extent() for text in axes.texts]
            assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
            lines = [np.asarray(path.vertices) for path in axes.collections[0].get_paths()]
            ways = [axes.transData.transform(line) for line in lines]
            for text in texts:
                box = text.get_window_extent()
                for (x, low), (other, high) in ways:
                    assert not (x == other and box.x0 < x < box.x1 and low < box.y1 and box.y0 < high)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (Tree([-1], ["alone"], ["S"], [0.5]), {"alone", "S", "0.50"}),
        (Tree([-1]), {""}),
        (Tree.from_text("(S (NP (N $x$)))"), {"S", "NP", "N", "$x$"}),
        (Tree([1, -1, 1], ["he", "eats", "fish"], ["subj", "root", "obj"]), {"he", "root eats", "fish", "subj", "obj"}),
        (Tree.from_nested((np.ones(3), np.ones(3))), {"<3>"}),
        (Tree.from_nested(("a" * 50, "b")), {"a" * 19 + "…", "b"}),
        (Tree([-1, 0], ["x", "y"], scores=[np.nan, np.nan]), {"x", "y"}),
        (Tree([-1, 0], ["x", "y"], scores=[-12345.0, np.nan]), {"x", "y", "-1e4"}),
    ],
)
def test_odd_trees_can_be_drawn(tree: Tree, words: set[str]) -> None:
    figure = Figure(layout="constrained")
    axes = plot_tree(figure.subplots(), tree)
    figure.canvas.draw()
    assert {text.get_text() for text in axes.texts} == words


@pytest.mark.parametrize("make", [Tree.left_branching, Tree.right_branching])
def test_ten_thousand_levels_can_be_drawn_with_few_words(make: Callable[[range], Tree]) -> None:
    tree = make(range(10_000))
    labelled = Tree(tree.parents, tree.values, ["label"] * len(tree), np.arange(len(tree)))
    axes = plot_tree(Figure().subplots(), labelled)
    assert 5 < len(axes.texts) < 200
    assert len(axes.collections[0].get_paths()) == 3 * 9_999


def test_what_is_no_tree_cannot_be_drawn() -> None:
    with pytest.raises(saiki.ArgumentError, match=r"tree must be a Tree; got tuple\. Try saiki\.trees\.as_tree"):
        plot_tree(Figure().subplots(), ("a", "b"))  # type: ignore[arg-type]


SHARES = {"one": {1: 0.9, 2: 0.5, 3: 0.25}, "two": {1: 0.4, 4: 0.0}}
F1 = {"5 numbers": {"parser": 1.0, "left-branching": 0.25}, "10 numbers": {"parser": 0.5, "left-branching": 0.0}}
FOUND = Tree.from_nested((("a", "b"), "c"))


def test_shares_are_drawn_by_depth_and_told_apart_without_colours() -> None:
    axes = plot_by_depth(Figure().subplots(), SHARES, "a title")
    lines = axes.get_lines()
    for line, (name, by_depth) in zip(lines, SHARES.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_array_equal(line.get_xydata(), list(by_depth.items()))
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2
    assert axes.get_xticks().tolist() == [1, 2, 3, 4]
    assert axes.get_ylim()[0] == 0 < 1 < axes.get_ylim()[1]
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("a title", "depth", "right answers")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(SHARES)


def test_f1_is_drawn_as_bars_with_their_numbers() -> None:
    figure = Figure()
    axes = plot_f1(figure.subplots(), F1, "a title")
    figure.canvas.draw()
    for bars, (kind, scores) in zip(axes.containers, F1.items(), strict=True):
        assert bars.get_label() == kind
        assert [bar.get_height() for bar in bars] == list(scores.values())
    assert [text.get_text() for text in axes.texts] == ["1.00", "0.25", "0.50", "0.00"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["parser", "left-\nbranching"]
    left, right = (bars[0] for bars in axes.containers)
    assert left.get_x() + left.get_width() == pytest.approx(right.get_x())  # side by side, not on each other
    assert left.get_hatch() != right.get_hatch()
    assert max(axes.get_yticks()) == 1
    legend = axes.get_legend()
    assert legend is not None
    above = legend.get_window_extent().y0
    assert all(text.get_window_extent().y1 < above for text in axes.texts)


@pytest.mark.parametrize(
    ("parts", "titles"),
    [
        (
            (SHARES, SHARES, F1, FOUND),
            ["structure given", "two neighbours", "structure found", "a tree that was found"],
        ),
        ((SHARES, {}, {}, None), ["structure given"]),
        (({}, SHARES, {}, None), ["two neighbours"]),
        (({}, {}, F1, FOUND), ["structure found", "a tree that was found"]),
        (
            (SHARES, SHARES, {"5 numbers": F1["5 numbers"]}, None),
            ["structure given", "two neighbours", "structure fou"],
        ),
    ],
)
def test_the_figure_of_the_tasks_has_a_panel_for_what_there_is(parts: tuple[Any, ...], titles: list[str]) -> None:
    figure = tree_tasks_figure(*parts)
    figure.canvas.draw()
    shown = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title[: len(start)] for title, start in zip(shown, titles, strict=True)] == titles
    assert figure.get_suptitle() == "Recursive networks over trees"
