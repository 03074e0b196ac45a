"""Trees as flat arrays say what recursion would say, and need none."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from saiki.errors import ArgumentError, DtypeError, SaikiError, ShapeError
from saiki.trees import Tree, as_tree

DEEP = 10_000


def random_nested(rng: np.random.Generator, depth: int = 5) -> Any:
    """Nested tuples of up to four parts; every leaf is a number of its own."""
    if not depth or rng.random() < 0.25:
        return int(rng.integers(10**9))
    return tuple(random_nested(rng, depth - 1) for _ in range(rng.integers(1, 5)))


def shuffled(tree: Tree, rng: np.random.Generator) -> tuple[Tree, np.ndarray]:
    """The same nodes under other numbers, and the new number of each old one."""
    new = rng.permutation(len(tree))
    parents = np.empty(len(tree), int)
    values: list[Any] = [None] * len(tree)
    for node, parent in enumerate(tree.parents):
        parents[new[node]] = -1 if parent < 0 else new[parent]
        values[new[node]] = tree.values[node]
    return Tree(parents, values), new


def deep_nested(side: str) -> Any:
    nested: Any = "end"
    for level in range(DEEP):
        nested = (nested, level) if side == "left" else (level, nested)
    return nested


def test_it_is_light() -> None:
    heavy = {"numba", "sklearn", "matplotlib", "rich"}
    code = f"import sys, saiki.trees; print(*({heavy!r} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_everything_that_follows_from_parents() -> None:
    tree = Tree([2, 2, -1, 1, 1, 1], ["c", None, None, "x", "y", "z"])
    assert (tree.n_nodes, len(tree), tree.root, tree.height) == (6, 6, 2, 2)
    assert tree.n_children.tolist() == [0, 3, 2, 0, 0, 0]
    assert tree.child_starts.tolist() == [0, 0, 3, 5, 5, 5, 5]
    assert tree.children.tolist() == [3, 4, 5, 0, 1]
    assert tree.is_leaf.tolist() == [True, False, False, True, True, True]
    assert tree.heights.tolist() == [0, 1, 2, 0, 0, 0]
    assert tree.depths.tolist() == [1, 1, 0, 2, 2, 2]
    assert tree.reading_order.tolist() == [2, 0, 1, 3, 4, 5]
    assert tree.leaves.tolist() == [0, 3, 4, 5]
    assert tree.spans.tolist() == [[0, 1], [1, 4], [0, 4], [1, 2], [2, 3], [3, 4]]
    assert tree.tokens == ("c", "x", "y", "z")
    assert not tree.is_binary
    assert tree.nested() == ("c", ("x", "y", "z"))


def test_one_node() -> None:
    tree = Tree([-1], ["alone"])
    assert (tree.n_nodes, tree.root, tree.height, tree.tokens, tree.nested()) == (1, 0, 0, ("alone",), "alone")
    assert tree.children.shape == (0,)
    assert tree.spans.tolist() == [[0, 1]]
    assert tree.is_binary
    assert tree.text() == str(tree) == "alone"
    assert tree.drawn() == "─ alone"
    assert repr(tree) == "Tree of 1 node, 1 leaf, height 0: alone"
    assert Tree([-1]).values == (None,)


def test_random_trees_against_recursion(rng: np.random.Generator) -> None:
    for _ in range(40):
        nested = random_nested(rng)
        read = Tree.from_nested(nested)
        np.testing.assert_array_equal(read.reading_order, np.arange(len(read)))
        tree, new = shuffled(read, rng)
        check_by_recursion(tree)
        check_by_recursion(read)
        assert read.nested() == nested
        assert sorted(new[read.leaves]) == sorted(tree.leaves)
        np.testing.assert_array_equal(tree.heights[new], read.heights)
        np.testing.assert_array_equal(tree.depths[new], read.depths)


def check_by_recursion(tree: Tree) -> None:
    position, order = 0, []

    def walk(node: int, depth: int) -> tuple[int, int, int, Any]:
        nonlocal position
        order.append(node)
        own = np.flatnonzero(tree.parents == node)
        first = position
        below = [walk(int(child), depth + 1) for child in own]
        if not below:
            position += 1
        height = max((part[0] + 1 for part in below), default=0)
        assert (tree.depths[node], tree.heights[node], tree.n_children[node]) == (depth, height, len(own))
        assert tree.children[tree.child_starts[node] : tree.child_starts[node + 1]].tolist() == own.tolist()
        assert tree.spans[node].tolist() == [first, position]
        return height, first, position, tuple(part[3] for part in below) if below else tree.values[node]

    assert walk(tree.root, 0)[3] == tree.nested()
    assert tree.reading_order.tolist() == order
    assert tree.leaves.tolist() == [node for node in order if tree.is_leaf[node]]
    assert tree.tokens == tuple(tree.values[leaf] for leaf in tree.leaves)


def test_what_is_kept_cannot_be_changed() -> None:
    given = np.array([-1, 0, 0])
    vectors = [None, np.zeros(2, np.float32), np.ones(2, np.float32)]
    tree = Tree(given, vectors, scores=[0.5, None, np.nan])
    given[:] = 0
    vectors[1][:] = 9  # type: ignore[index]
    assert tree.parents.tolist() == [-1, 0, 0]
    assert tree.parents.dtype == np.int64
    held = tree.values[1]
    assert isinstance(held, np.ndarray)
    assert held.dtype == np.float32
    assert held.tolist() == [0, 0]
    assert tree.scores is not None
    np.testing.assert_array_equal(tree.scores, [0.5, np.nan, np.nan])
    for array in (tree.parents, tree.scores, held, tree.heights, tree.children, tree.spans, tree.leaves):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        tree.parents = given  # type: ignore[misc]


def test_tokens_and_labels_become_plain() -> None:
    tree = Tree([-1, 0, 0], np.array([7, 8, 9]), np.array([1.0, np.nan, 3.0]))
    assert tree.values == (7, 8, 9)
    assert {type(value) for value in tree.values} == {int}
    assert tree.labels == (1.0, None, 3.0)
    assert Tree([-1], [np.str_("a")], [np.int64(4)]) == Tree([-1], ["a"], [4])
    assert Tree([-1, 0], labels=[None, None]).labels is None
    assert Tree([-1, 0], labels=[("a", 1), None]).labels == (("a", 1), None)
    whole = Tree([-1], [np.array([1, 2])]).values[0]
    assert isinstance(whole, np.ndarray)
    assert whole.dtype == np.float64


def test_equality_and_hash() -> None:
    tree = Tree([-1, 0, 0], [None, "a", "b"], ["x", None, None])
    same = Tree(np.array([-1, 0, 0], np.int8), (None, "a", "b"), ("x", None, None), scores=[1, 2, 3])
    assert tree == same
    assert hash(tree) == hash(same)
    for other in (
        Tree([-1, 0, 0], [None, "a", "c"], ["x", None, None]),
        Tree([-1, 0, 0], [None, "a", "b"], ["y", None, None]),
        Tree([-1, 0, 0], [None, "a", "b"]),
        Tree([-1, 0, 1], [None, "a", "b"], ["x", None, None]),
        (("a", "b")),
    ):
        assert tree != other
    assert Tree([-1], [1]) != Tree([-1], ["1"])
    zero, minus = (Tree([-1], [np.array([sign, 1.0])]) for sign in (0.0, -0.0))
    assert zero == minus
    assert hash(zero) == hash(minus)
    assert zero != Tree([-1], [np.array([0, 1], np.float32)])
    assert zero != Tree([-1], [np.array([0, 2.0])])


@pytest.mark.parametrize("again", [lambda tree: pickle.loads(pickle.dumps(tree)), copy.deepcopy, copy.copy])
def test_copies_are_equal_and_read_only(again: Callable[[Tree], Tree]) -> None:
    for values in ([None, "a", 3], [None, np.ones(3), np.zeros(3)]):
        tree = Tree([-1, 0, 0], values, [1, None, "x"], [0.25, np.nan, np.nan])
        assert tree.heights.tolist() == [1, 0, 0]
        other = again(tree)
        assert other == tree
        np.testing.assert_array_equal(other.scores, tree.scores)
        assert not other.parents.flags.writeable
        assert "heights" not in vars(other) or again is copy.copy
    assert b"heights" not in pickle.dumps(tree)


@pytest.mark.parametrize("side", ["left", "right"])
def test_ten_thousand_levels(side: str) -> None:
    nested = deep_nested(side)
    tree = Tree.from_nested(nested)
    assert (len(tree), tree.height, len(tree.leaves)) == (2 * DEEP + 1, DEEP, DEEP + 1)
    text = tree.text()
    read = Tree.from_text(text, labelled=False)
    assert read.text() == str(read) == text
    np.testing.assert_array_equal(read.parents, tree.parents)
    again = Tree(tree.parents, tree.values)
    assert again == tree
    assert hash(again) == hash(tree)
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert copy.deepcopy(tree) == tree
    assert tree.binarized() is tree
    assert Tree.from_nested(tree.nested()) == tree
    branching = Tree.left_branching if side == "left" else Tree.right_branching
    assert branching(tree.tokens) == tree
    wide = Tree.from_nested(tree.tokens).binarized(side)
    assert wide == tree
    assert len(repr(tree)) < 130
    assert "below" in tree.drawn()
    labelled = Tree(tree.parents, tree.values, ["l"] * len(tree))
    round_trip = Tree.from_text(labelled.text())
    assert round_trip.labels == labelled.labels
    assert round_trip.tokens == tuple(map(str, tree.tokens))
    shown, spine = nested, tree.nested()
    for _ in range(DEEP):
        one, other = (0, 1) if side == "left" else (1, 0)
        assert shown[other] == spine[other]
        shown, spine = shown[one], spine[one]
    parents = np.arange(-1, DEEP)
    for chain in (Tree(parents), Tree([*range(1, DEEP), -1])):
        assert chain.height == len(chain) - 1
        assert str(chain).endswith("_" + ")" * chain.height)
    with pytest.raises(ArgumentError, match=r"parents must lead up .* got a cycle through nodes 0, .* and 9990 more"):
        Tree([*range(1, DEEP), 0, -1])


def test_a_deep_mistake_has_a_short_message() -> None:
    nested: Any
    for nested in (None, {}, (), 1.5, True):
        for _ in range(DEEP):
            nested = ("a", nested)
        with pytest.raises(ArgumentError) as caught:
            Tree.from_nested(nested)
        assert len(str(caught.value)) < 300
        assert "nested[1][1][1][1][1][1]...[1][1][1][1][1][1] (10000 levels down) must" in str(caught.value)
    with pytest.raises(SaikiError):
        Tree(deep_nested("left"))
    with pytest.raises(ArgumentError, match=r"values\[0\] must be a token .* got a tuple"):
        Tree([-1], [deep_nested("left")])


def test_a_list_inside_of_itself_is_refused_and_one_held_twice_is_not() -> None:
    loop: list[Any] = ["a"]
    loop.append(["b", loop])
    with pytest.raises(ArgumentError, match=r"nested\[1\]\[1\] must not hold itself"):
        Tree.from_nested(loop)
    twice = ("a", "b")
    assert Tree.from_nested((twice, twice)).nested() == (twice, twice)


@pytest.mark.parametrize(
    ("nested", "message"),
    [
        ((), r"nested must have something in it; got an empty tuple\."),
        (("a", ("b", "c", [])), r"nested\[1\]\[2\] must have something in it; got an empty list\."),
        (("a", None), r"nested\[1\] must be a token, a vector, or a tuple of such; got None\."),
        (("a", {"b": 1}), r"nested\[1\] must be a token \(a str or an int\) or a vector .*; got a dict\."),
        ((("a", 1.5), "b"), r"nested\[0\]\[1\] must be a token .*; got 1\.5\. Use np\.array"),
        ((("a", True), "b"), r"nested\[0\]\[1\] must be a token .*; got True\."),
        (("a", b"b"), r"nested\[1\] must be a token .*; got a bytes\."),
        ((np.ones(2), "b"), r"either tokens or vectors; got the token 'b' as nested\[1\] and a vector as nested\[0\]"),
        ((np.ones(2), np.ones(3)), r"nested\[1\] must have 2 numbers, as nested\[0\] has; got 3\."),
        ((np.ones(2), (np.ones((1, 2)),)), r"nested\[1\]\[0\] must be a vector of shape \(n_features,\)"),
        ((np.ones(2), np.array([1, np.nan])), r"nested\[1\] must be finite; got nan at index \[1\]"),
    ],
)
def test_what_is_no_nested_tree(nested: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Tree.from_nested(nested)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Tree([]), ArgumentError, r"parents must have at least one node; got none\."),
        (lambda: Tree([[-1]]), ShapeError, r"parents must be \(n_nodes,\), .* got shape \(1, 1\)"),
        (lambda: Tree(-1), ShapeError, r"got shape \(\)"),
        (lambda: Tree([-1.0, 0.0]), ArgumentError, r"parents must be whole numbers; got dtype float64"),
        (lambda: Tree(["a"]), DtypeError, "parents must hold numbers"),
        (lambda: Tree([-1, 5, 0]), ArgumentError, r"from 0 to 2, or -1 for the root; got 5 for node 1"),
        (lambda: Tree([-1, 0, -2]), ArgumentError, r"got -2 for node 2"),
        (lambda: Tree([1, 0]), ArgumentError, r"parents must be -1 for one node, the root; got none"),
        (lambda: Tree([-1, 0, -1]), ArgumentError, r"-1 for one node, the root; got 2: nodes 0, 2"),
        (lambda: Tree([-1, 2, 3, 1, 0]), ArgumentError, r"a cycle through nodes 1, 2, 3\."),
        (lambda: Tree([4, 1, 1, 2, -1]), ArgumentError, r"a cycle through node 1\."),
        (lambda: Tree([-1, 0], ["a"]), ShapeError, r"values must have one entry for each of the 2 nodes; got 1\."),
        (lambda: Tree([-1, 0], "ab"), ArgumentError, r"values must be a list, .* got 'ab'"),
        (lambda: Tree([-1], np.array("a")), ShapeError, "without axes"),
        (lambda: Tree([-1, 0], [None, False]), ArgumentError, r"values\[1\] must be a token .*; got False"),
        (lambda: Tree([-1, 0], [None, [1.0]]), ArgumentError, r"values\[1\] .* got a list\. Use np\.array"),
        (lambda: Tree([-1, 0], [np.ones(1), "a"]), ArgumentError, "either tokens or vectors"),
        (lambda: Tree([-1], [np.ones(0)]), ShapeError, r"values\[0\] must be a vector"),
        (lambda: Tree([-1], [np.array(["a"])]), DtypeError, r"values\[0\] must hold numbers"),
        (lambda: Tree([-1, 0], [np.ones(2), np.ones(2, np.float32)]), DtypeError, "one precision"),
        (lambda: Tree([-1, 0], labels=["a"]), ShapeError, r"labels must have one entry for each of the 2 nodes"),
        (lambda: Tree([-1], labels=[[1]]), ArgumentError, r"labels\[0\] must be hashable, .* got a list"),
        (lambda: Tree([-1], labels=3), ArgumentError, r"labels must be a list"),  # type: ignore[arg-type]
        (lambda: Tree([-1], scores=[1, 2]), ShapeError, r"scores must hold one number for each node, shape \(1,\)"),
        (lambda: Tree([-1], scores=["a"]), DtypeError, "scores must hold numbers"),
        (lambda: Tree([-1], scores=[1j]), DtypeError, "scores must be real"),
        (lambda: Tree([-1], scores=[np.inf]), ArgumentError, r"scores must be finite; got inf at index \[0\]"),
        (lambda: Tree.left_branching([]), ArgumentError, "values must have at least one value"),
        (lambda: Tree.balanced("the cat"), ArgumentError, r"values must be a list.*Use \.split\(\)"),
        (
            lambda: Tree.right_branching(["a", None]),
            ArgumentError,
            r"values\[1\] must be a token or a vector; got None",
        ),
        (lambda: Tree([-1]).binarized("middle"), ArgumentError, r"side must be one of 'left', 'right'; got 'middle'"),
        (lambda: as_tree(3), ArgumentError, r"tree must be a Tree, nested tuples .* or text .*; got 3"),
        (lambda: as_tree((1, ()), "pair"), ArgumentError, r"pair\[1\] must have something in it"),
        (lambda: as_tree("(a", "pair"), ArgumentError, "pair must close every bracket"),
    ],
)
def test_errors_name_the_argument_the_rule_and_what_came(
    make: Callable[[], Tree], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_as_tree_takes_every_form() -> None:
    tree = Tree.from_nested((("a", "b"), "c"))
    assert as_tree(tree) is tree
    assert as_tree([["a", "b"], "c"]) == tree
    assert as_tree("(1 (2 a) (3 b))").labels == ("1", "2", "3")


def test_binarized() -> None:
    tree = Tree.from_text("(S (A a) (B (X x) (Y y) (Z z) (W w)) (C (D d)))")
    scored = Tree(tree.parents, tree.values, tree.labels, np.arange(len(tree)))
    left, right = scored.binarized(), scored.binarized("right")
    assert left.text() == "(S ((A a) (B (((X x) (Y y)) (Z z)) (W w))) (C (D d)))"
    assert right.text() == "(S (A a) ((B (X x) ((Y y) ((Z z) (W w)))) (C (D d))))"
    for one in (left, right):
        np.testing.assert_array_equal(one.reading_order, np.arange(len(one)))
        assert one.n_children.max() == 2
        assert one.tokens == tree.tokens
        assert one.labels is not None
        assert one.scores is not None
        kept = ~np.isnan(one.scores)
        np.testing.assert_array_equal(one.scores[kept], np.arange(len(tree)))
        assert [label for label, here in zip(one.labels, kept, strict=True) if not here] == [None] * 3
        assert one.binarized() is one
    assert not left.is_binary  # C has one child
    assert Tree.from_nested(tuple("abc")).binarized().is_binary


def test_binarized_keeps_the_leaves_of_random_trees(rng: np.random.Generator) -> None:
    for _ in range(20):
        tree = Tree.from_nested(random_nested(rng))
        for side in ("left", "right"):
            binary = tree.binarized(side)
            assert binary.tokens == tree.tokens
            assert binary.n_children.max() <= 2
            assert len(binary) == len(tree) + np.maximum(tree.n_children - 2, 0).sum()


def test_baselines() -> None:
    for n_leaves in range(1, 18):
        for make in (Tree.left_branching, Tree.right_branching, Tree.balanced):
            tree = make(range(n_leaves))
            assert tree == Tree.from_nested(tree.nested())  # in reading order
            assert Tree(tree.parents, tree.values) == tree
            assert tree.tokens == tuple(range(n_leaves))
            assert tree.is_binary
            least = int(np.ceil(np.log2(n_leaves)))
            assert tree.height == (least if make is Tree.balanced else n_leaves - 1)
    assert Tree.left_branching(["a", "b", "c", "d"]).nested() == ((("a", "b"), "c"), "d")
    assert Tree.right_branching(np.array([4, 5, 6])).nested() == (4, (5, 6))
    assert Tree.balanced(np.eye(3)).tokens[2].tolist() == [0, 0, 1]  # type: ignore[union-attr]


def test_str_shows_what_text_cannot() -> None:
    vectors = Tree.from_nested((np.ones(3), (np.ones(3), np.zeros(3))))
    assert str(vectors) == "(<3> (<3> <3>))"
    assert str(Tree([-1, 0, 0])) == "(_ _)"
    assert str(Tree([1, -1, 1], ["he", "eats", "fish"], ["subj", "root", None])) == "(root=eats (subj he) fish)"
    assert str(Tree([-1, 0], ["a b", "(c)"])) == "(=a b (c))"
    long = Tree.left_branching(range(100))
    assert repr(long).startswith("Tree of 199 nodes, 100 leaves, height 99: ((((")
    assert len(repr(long).split(": ")[1]) == 60


def test_the_drawing() -> None:
    tree = Tree(
        [-1, 0, 1, 1, 0], [None, None, "a", "b", "c"], ["S", None, None, "x", None], [0.12345, 2, None, None, None]
    )
    assert tree.drawn().splitlines() == ["┬ S (0.123)", "├─┬ (2)", "│ ├── a", "│ └── x b", "└── c"]
    assert Tree.from_nested((np.ones(4),)).drawn() == "┬\n└── <4>"


def test_the_drawing_says_how_many_nodes_it_leaves_out() -> None:
    deep = Tree([-1, *range(99)]).drawn().splitlines()
    assert len(deep) == 42
    assert deep[-1].strip() == "└── ... 59 nodes below"
    wide = Tree([-1] + [0] * 999).drawn().splitlines()
    assert len(wide) == 401
    assert wide[-1] == "... and 600 nodes more"
    both = Tree.balanced(range(4096)).drawn().splitlines()
    assert both[-1] == f"... and {2 * 4096 - 1 - 400} nodes more"
    left = Tree.left_branching(range(1000)).drawn().splitlines()
    drawn = sum("..." not in line for line in left)
    assert drawn + sum(int(line.split("... ")[1].split()[0]) for line in left if "..." in line) == 1999
