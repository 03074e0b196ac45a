"""The parser finds what an obvious slow search finds, and learns by the loss that is written down."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.trees import Forest, Parser, Tree
from saiki.trees import parser as parser_module
from saiki.trees.search import search
from saiki.trees.shapes import forest_of, node_spans, shapes_of
from tests.trees import naive
from tests.trees.forests import draw_params
from tests.trees.test_ladder import renumbered

ROUNDING = 1e-12  # the same sums in another order, over a few joins of values near 1
EXACT = 1e-10  # what complex-step differentiation leaves
EVERY = 42  # as many ways as there are to join some of six items: a search that forgets none of them

PARSERS = {f"{parser.cell.name}-{i}": parser for i, parser in enumerate(Parser.examples())}
LENGTHS = np.array([6, 1, 4, 2, 3, 6])

Span = tuple[int, int]


def drawn(parser: Parser, rng: np.random.Generator, lengths: Array = LENGTHS) -> tuple[Params, Array]:
    """Draw parameters and sequences, nonsense beyond their ends."""
    shape = len(lengths), int(lengths.max()), parser.sizes[0]
    X: Array = rng.standard_normal(shape)
    if parser.n_tokens is not None:
        X = rng.integers(-1, parser.n_tokens, shape)
    X = X.copy()
    for i, length in enumerate(lengths):
        X[i, length:] = 10**6 if parser.n_tokens is not None else np.nan
    return draw_params(parser, rng), X


class Slow:
    """One sequence, one join at a time, with the oracle's cells."""

    def __init__(self, parser: Parser, params: Params, X: Array, penalty: Any = None) -> None:
        names = sorted({name.split("/")[0] for name in params})
        at = names[-2]
        self.name, self.penalty, self.L = parser.cell.name, penalty, len(X)
        self.own = {k.split("/")[1]: v for k, v in params.items() if k.startswith(f"{at}/")}
        self.W = params[f"{names[-1]}/W"][:, 0]
        F = self.own["Wx"].shape[0]
        vectors = X if at == names[0] else [params["0/W"][t] if t >= 0 else np.zeros(F) for t in X[:, 0]]
        self.leaves = [self.node(x, []) for x in vectors]
        self.nothing = np.zeros(F)

    def node(self, x: Array, children: list[naive.States]) -> naive.States:
        return naive.NODES[self.name](self.own, self.own, x, children)[0]

    def join(self, left: naive.States, right: naive.States) -> tuple[naive.States, float]:
        states = self.node(self.nothing, [left, right])
        return states, float(states["h"] @ self.W)

    def find(self, beam: int) -> tuple[list[list[int]], list[Span], list[float]]:
        """Return the children, spans and scores of the joins of the way with the highest sum."""
        start = [(i, states, i, i + 1) for i, states in enumerate(self.leaves)]
        ways: list[Any] = [(0.0, start, [], [], [])]
        for step in range(self.L - 1):
            found = []
            for total, items, children, spans, scores in ways:
                for k, (left, right) in enumerate(pairwise(items)):
                    states, score = self.join(left[1], right[1])
                    span = left[2], right[3]
                    worth = total + score + (0 if self.penalty is None else self.penalty[span])
                    after = [*items[:k], (self.L + step, states, *span), *items[k + 2 :]]
                    found.append((worth, after, [*children, [left[0], right[0]]], [*spans, span], [*scores, score]))
            ways, seen = [], set()
            for way in sorted(found, key=lambda way: -way[0]):
                if frozenset(way[3]) not in seen and len(ways) < beam:
                    seen.add(frozenset(way[3]))
                    ways.append(way)
        return ways[0][2:]

    def every_tree(self, first: int, end: int) -> Iterator[tuple[naive.States, float, set[Span], Any]]:
        """Yield the states, the score, the spans and the nesting of every tree over some items."""
        if end - first == 1:
            yield self.leaves[first], 0.0, set(), first
        for middle in range(first + 1, end):
            for left, s_left, spans_left, a in self.every_tree(first, middle):
                for right, s_right, spans_right, b in self.every_tree(middle, end):
                    states, score = self.join(left, right)
                    yield states, s_left + s_right + score, {*spans_left, *spans_right, (first, end)}, (a, b)


def random_shape(length: int, rng: np.random.Generator) -> Tree:
    """Draw a binary tree, whose leaves are numbered left to right, under any numbers."""

    def nested(first: int, end: int) -> Any:
        if end - first == 1:
            return first
        middle = int(rng.integers(first + 1, end))
        return nested(first, middle), nested(middle, end)

    return renumbered(Tree.from_nested(nested(0, length)), rng)[0]


def inner_spans(tree: Tree) -> set[Span]:
    return {(int(first), int(end)) for first, end in tree.spans[~tree.is_leaf]}


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("beam", [1, 2, 3, EVERY])
@pytest.mark.parametrize("name", PARSERS)
def test_the_search_is_an_obvious_slow_one(name: str, beam: int, penalised: bool, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    T = X.shape[1]
    penalty = rng.standard_normal((len(X), T, T + 1))
    joins = parser.parse(params, X, LENGTHS, beam, (lambda *place: penalty[place]) if penalised else None)
    for i, L in enumerate(LENGTHS):
        slow = Slow(parser, params, X[i, :L], penalty[i] if penalised else None)
        children, spans, scores = slow.find(beam)
        found = [tuple(span) for span in joins.spans[i, : L - 1].tolist()]
        assert set(found) == set(spans)  # the same joins in another order are worth the same
        true = dict(zip(spans, scores, strict=True))
        np.testing.assert_allclose(joins.scores[i, : L - 1], [true[span] for span in found], atol=ROUNDING)
        if beam == 1:
            assert found == spans
            assert joins.children[i, : L - 1].tolist() == children


@pytest.mark.parametrize("name", PARSERS)
def test_a_wide_beam_finds_the_best_of_all_trees(name: str, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    wide, greedy = parser.parse(params, X, LENGTHS, EVERY), parser.parse(params, X, LENGTHS)
    for i, L in enumerate(LENGTHS):
        trees = list(Slow(parser, params, X[i, :L]).every_tree(0, L))
        assert len(trees) == {6: 42, 4: 5, 3: 2}.get(int(L), 1)  # Catalan's numbers
        _, best, spans, _ = max(trees, key=lambda tree: tree[1])
        total = wide.scores[i, : L - 1].sum()
        assert total == pytest.approx(best, abs=ROUNDING)
        assert {tuple(span) for span in wide.spans[i, : L - 1].tolist()} == spans
        assert total >= greedy.scores[i, : L - 1].sum() - ROUNDING


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("name", PARSERS)
def test_a_ragged_batch_is_its_sequences_one_by_one(name: str, beam: int, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    together = parser.parse(params, X, LENGTHS, beam)
    for i, L in enumerate(LENGTHS):
        alone = parser.parse(params, X[i : i + 1, :L], beam=beam)
        np.testing.assert_array_equal(together.children[i, : L - 1], alone.children[0])
        np.testing.assert_array_equal(together.spans[i, : L - 1], alone.spans[0])
        np.testing.assert_allclose(together.scores[i, : L - 1], alone.scores[0], atol=ROUNDING)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("name", PARSERS)
def test_the_scores_are_what_the_network_says_of_the_tree(name: str, beam: int, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    joins = parser.parse(params, X, LENGTHS, beam)
    for i, L in enumerate(LENGTHS):
        values = [None if parser.n_tokens and x[0] < 0 else int(x[0]) if parser.n_tokens else x for x in X[i, :L]]
        parents = np.full(2 * L - 1, -1)
        for step, children in enumerate(joins.children[i, : L - 1]):
            parents[children] = L + step
        held, known = [Tree(parents, [*values, *[None] * (L - 1)])], {token: token for token in range(5)}
        forest = Forest.of(held, known if parser.n_tokens else None)
        for children in joins.children[i, : L - 1]:
            forest.places[children] = 0, 1  # not in the order of their numbers
        Y = parser.network.predict(params, forest)
        np.testing.assert_allclose(joins.scores[i, : L - 1], Y[L:, 0], atol=ROUNDING)
        for node, (first, end) in enumerate(joins.spans[i, : L - 1], L):
            below = {node}
            for child in range(2 * L - 2, -1, -1):
                below |= {child} if parents[child] in below else set()
            assert sorted(leaf for leaf in below if leaf < L) == list(range(first, end))


def losses_of(parser: Parser, params: Params, X: Array, trees: list[Tree]) -> tuple[list[float], list[float]]:
    """Return the loss of each sequence by its definition, and that of Socher et al. for whole trees, exactly."""
    losses, published = [], []
    for x, tree, L in zip(X, trees, LENGTHS, strict=True):
        right, margin = inner_spans(tree), parser.margin
        penalties = np.full((2, L, L + 1), [[[margin]], [[-np.inf]]])
        for span in right:
            penalties[:, span[0], span[1]] = 0
        (_, spans, scores), (_, _, truth) = (Slow(parser, params, x[:L], penalty).find(1) for penalty in penalties)
        worth = [score + margin * (span not in right) for score, span in zip(scores, spans, strict=True)]
        losses.append(max(0.0, *np.cumsum(np.subtract(worth, truth)), 0.0))
        every = [(score, spans) for _, score, spans, _ in Slow(parser, params, x[:L]).every_tree(0, int(L))]
        best = max(score + margin * len(spans - right) for score, spans in every)
        published.append(best - next(score for score, spans in every if spans == right))
    return losses, published


@pytest.mark.parametrize("name", PARSERS)
def test_the_loss_is_its_definition(name: str, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    trees, weight = [random_shape(int(L), rng) for L in LENGTHS], rng.uniform(0.5, 2, len(X))
    losses, _ = losses_of(parser, params, X, trees)
    run = partial(parser.loss_and_gradients, params, X, trees, LENGTHS)
    for engine in ("reference", "compiled"):
        assert run(engine=engine)[0] == pytest.approx(np.mean(losses), abs=ROUNDING)
        value, grads = run(sample_weight=weight, engine=engine)
        assert value == pytest.approx(np.average(losses, weights=weight), abs=ROUNDING)
        total, _ = run(sample_weight=weight, engine=engine, total=7.0)
        assert total == pytest.approx((np.array(losses) * weight).sum() / 7, abs=ROUNDING)
        assert not grads.X[np.array(losses) == 0].any()
    inside = np.where(np.isnan(X), 1.0, X) if parser.n_tokens is None else X
    certificate = saiki.check_gradients(parser, inside, trees, params, lengths=LENGTHS, sample_weight=weight)
    assert certificate.worst < EXACT


@pytest.mark.parametrize("name", PARSERS)
def test_the_loss_of_a_search_that_forgets_nothing_is_no_less_than_the_published_one(
    name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    trees = [random_shape(int(L), rng) for L in LENGTHS]
    _, published = losses_of(parser, params, X, trees)
    monkeypatch.setattr(
        parser_module,
        "search",
        lambda join, leaves, lengths, _, penalty: search(join, leaves, lengths, EVERY, penalty),
    )
    assert min(published) >= 0  # the right tree is among all
    assert parser.loss_and_gradients(params, X, trees, LENGTHS)[0] >= np.mean(published) - ROUNDING


@pytest.mark.parametrize("name", [name for name, parser in PARSERS.items() if parser.n_tokens is None])  # no ties
def test_what_is_found_without_mistakes_has_no_loss_and_no_gradient(name: str, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    joins = parser.parse(params, X, LENGTHS)
    close = Parser(parser.cell, parser.n_features, parser.n_units, parser.n_tokens, margin=1e-9)
    for y in (
        forest_of(joins, LENGTHS),
        shapes_of([tree_of(joins.children[i], int(L)) for i, L in enumerate(LENGTHS)]),
    ):
        value, grads = close.loss_and_gradients(params, X, y, LENGTHS)
        assert value == 0
        assert not any(grad.any() for grad in (grads.X, *grads.params.values()))


@pytest.mark.parametrize("name", PARSERS)
def test_a_tree_that_the_search_misses_though_it_is_better_has_a_loss(name: str, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    close = Parser(parser.cell, parser.n_features, parser.n_units, parser.n_tokens, margin=1e-9)
    lengths = np.full(200, 6)
    params, X = drawn(parser, rng, lengths)
    best, greedy = parser.parse(params, X, lengths, EVERY), parser.parse(params, X, lengths)
    missed = best.scores.sum(axis=1) > greedy.scores.sum(axis=1) + 1e-6  # whole trees held against each other: none
    single = np.eye(len(X))[missed]
    assert len(single)
    for weight in single[:5]:
        value, grads = close.loss_and_gradients(params, X, forest_of(best, lengths), lengths, weight)
        assert value > 0
        assert any(grad.any() for grad in grads.params.values())


def tree_of(children: Array, L: int) -> Tree:
    """Return a tree of joins, whose children stand left to right."""
    nested: list[Any] = list(range(L))
    for left, right in children[: L - 1]:
        nested.append((nested[left], nested[right]))
    return Tree.from_nested(nested[-1])


def test_forests_of_shapes_are_numbered_leaves_first(rng: np.random.Generator) -> None:
    trees = [random_shape(int(L), rng) for L in rng.integers(1, 12, 20)]
    forest = shapes_of(trees)
    spans, start = node_spans(forest), 0
    for tree in trees:
        n, L = len(tree), len(tree.leaves)
        parents, places, own = (part[start : start + n] for part in (forest.parents, forest.places, spans))
        heights = forest.heights[start : start + n]
        assert own[:L].tolist() == [[i, i + 1] for i in range(L)]
        assert {tuple(span) for span in own[L:].tolist()} == inner_spans(tree)
        assert sorted(heights.tolist()) == sorted(tree.heights.tolist())
        assert not heights[:L].any()
        for node in range(n - 1):
            assert parents[node] > node
            assert own[node, places[node]] == own[parents[node], places[node]]
        assert parents[-1] == -1
        start += n
    assert start == forest.n_nodes
    assert shapes_of([]).n_nodes == 0


def test_unknown_tokens_are_leaves_without_an_input(rng: np.random.Generator) -> None:
    parser = Parser("lstm", 3, 4, n_tokens=5)
    params = draw_params(parser, rng)
    X = np.array([[[1], [-1], [-1], [2]]])
    before = parser.parse(params, X)
    trees = [Tree.right_branching(range(4))]
    value, grads = parser.loss_and_gradients(params, X, trees)
    params["0/W"][4] = params["0/W"][0] = 100.0  # neither the last token nor the first is taken for one not known
    for one, other in zip(before, parser.parse(params, X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert parser.loss_and_gradients(params, X, trees)[0] == value
    assert not grads["0/W"][[0, 3, 4]].any()


@pytest.mark.parametrize("name", PARSERS)
def test_float32_stays_float32_and_nothing_is_changed(name: str, rng: np.random.Generator) -> None:
    parser = PARSERS[name]
    params, X = drawn(parser, rng)
    small = {key: value.astype(np.float32) for key, value in params.items()}
    seen = X if parser.n_tokens is not None else X.astype(np.float32)
    kept, y = seen.copy(), shapes_of([random_shape(int(L), rng) for L in LENGTHS])
    assert parser.parse(small, seen, LENGTHS).scores.dtype == np.float32
    value, grads = parser.loss_and_gradients(small, seen, y, LENGTHS)
    assert {grad.dtype for grad in grads.params.values()} == {np.dtype(np.float32)}
    assert value == pytest.approx(parser.loss_and_gradients(params, X, y, LENGTHS)[0], rel=1e-4)
    np.testing.assert_array_equal(seen, kept)


def test_no_sequences_at_all(rng: np.random.Generator) -> None:
    for parser in PARSERS.values():
        params, X = draw_params(parser, rng), np.zeros((0, 3, parser.sizes[0]), int if parser.n_tokens else float)
        assert parser.parse(params, X, beam=2).children.shape == (0, 2, 2)
        value, grads = parser.loss_and_gradients(params, X, [])
        assert value == 0
        assert not any(grad.any() for grad in grads.params.values())


ERRORS: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "axes": (saiki.ShapeError, r"X must be \(n_sequences, n_items, 2\), with at least one item; got \(4, 2\)",
             {"X": np.ones((4, 2))}),
    "features": (saiki.ShapeError, r"X must be .* got \(2, 4, 3\)", {"X": np.ones((2, 4, 3))}),
    "NaN": (saiki.ArgumentError, "X must be finite; got nan at index", {"X": np.full((2, 4, 2), np.nan)}),
    "too long": (saiki.ArgumentError, "lengths must lie between 0 and the number of steps, 4; got 5",
                 {"lengths": [5, 1]}),
    "none": (saiki.ArgumentError, "lengths must be at least 1: a sequence of no items has", {"lengths": [4, 0]}),
    "one length": (saiki.ShapeError, r"lengths must hold one number per sequence, shape \(2,\)", {"lengths": [4]}),
    "a tree less": (saiki.ShapeError, "y must hold a tree for each sequence, with a leaf for each item",
                    {"y": [Tree.balanced(range(4))]}),
    "leaves": (saiki.ShapeError, "y must hold a tree for each sequence, with a leaf for each item",
               {"y": [Tree.balanced(range(4)), Tree.balanced(range(3))]}),
    "three": (saiki.ArgumentError, r"trees\[1\] must have two children or none at every node; node 0 has 3. Give",
              {"y": [Tree.balanced(range(4)), Tree([-1, 0, 0, 0])]}),
    "one child": (saiki.ArgumentError, r"trees\[0\] must have two children or none at every node; node 0 has 1. Put",
                  {"y": [Tree([-1, 0])] * 2}),
    "numbers": (saiki.ArgumentError, "y must be trees, or a Forest numbered as saiki.trees.shapes.shapes_of does",
                {"y": Forest.of([Tree.balanced(range(4))] * 2, {})}),
    "weights": (saiki.ShapeError, r"sample_weight must be \(n_sequences,\) = \(2,\); got \(1,\)",
                {"sample_weight": [1.0]}),
    "engine": (saiki.ArgumentError, "engine must be one of 'reference', 'compiled'; got 'quick'", {"engine": "quick"}),
    "params": (saiki.ArgumentError, "params must have the keys 0/Wx, 0/Wh, 0/b, 1/W; missing", {"params": {}}),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, rng: np.random.Generator) -> None:
    parser = PARSERS["simple-0"]
    params, X = drawn(parser, rng, np.array([4, 4]))
    error, match, given = ERRORS[case]
    good: dict[str, Any] = {"params": params, "X": X, "y": [Tree.balanced(range(4))] * 2}
    with pytest.raises(error, match=match):
        parser.loss_and_gradients(**good | given)


def test_errors_of_parsers_and_tokens(rng: np.random.Generator) -> None:
    with pytest.raises(saiki.ArgumentError, match="cell must have a left and a right child; 'child_sum_lstm' adds its"):
        Parser("child_sum_lstm", 2, 3)
    with pytest.raises(saiki.ArgumentError, match="cell must be one of 'simple', 'lstm'"):
        Parser("tree", 2, 3)
    with pytest.raises(saiki.ArgumentError, match="margin must be a positive, finite number; got 0"):
        Parser("simple", 2, 3, margin=0)
    with pytest.raises(saiki.ArgumentError, match="n_tokens must be a whole number of at least 1; got 0"):
        Parser("simple", 2, 3, n_tokens=0)
    parser = PARSERS["lstm-1"]
    params = draw_params(parser, rng)
    for wrong in (5, -2, 0.5):
        with pytest.raises(saiki.ArgumentError, match=rf"whole numbers from 0 to 4, or -1 .*; got {wrong}\. Give"):
            parser.parse(params, np.full((1, 3, 1), wrong))
    with pytest.raises(saiki.ArgumentError, match="beam must be a whole number of at least 1; got 0"):
        parser.parse(params, np.zeros((1, 3, 1)), beam=0)
