"""Bracketed text is read as written, written as read, and where it is wrong the message shows the place."""

import time
from pathlib import Path

import numpy as np
import pytest

from saiki.errors import ArgumentError
from saiki.trees import Tree, read_trees


@pytest.mark.parametrize(
    ("text", "parents", "values", "labels"),
    [
        ("(3 (2 It) (4 works))", [-1, 0, 0], (None, "It", "works"), ("3", "2", "4")),
        ("(S (NP x))", [-1, 0], (None, "x"), ("S", "NP")),
        ("(S (NP (N x)))", [-1, 0, 1], (None, None, "x"), ("S", "NP", "N")),
        ("(2 word)", [-1], ("word",), ("2",)),
        ("word", [-1], ("word",), None),
        (" \n word\n", [-1], ("word",), None),
        ("(S a b)", [-1, 0, 0], (None, "a", "b"), ("S", None, None)),
        ("((A a) (B b))", [-1, 0, 0], (None, "a", "b"), (None, "A", "B")),
        ("( (S (A a) b) )", [-1, 0, 1, 1], (None, None, "a", "b"), (None, "S", "A", None)),
        ("((A a) b c)", [-1, 0, 0, 0], (None, "a", "b", "c"), (None, "A", None, None)),
        (
            "[MAX 2 9 [MIN 4 7] 0]",
            [-1, 0, 0, 0, 3, 3, 0],
            (None, "2", "9", None, "4", "7", "0"),
            ("MAX", None, None, "MIN", None, None, None),
        ),
        ("(A [B b](C c))", [-1, 0, 0], (None, "b", "c"), ("A", "B", "C")),
        ("(\u732b (\u540d \u518d\u5e30))", [-1, 0], (None, "\u518d\u5e30"), ("\u732b", "\u540d")),
        ("(A\t(B 8\u00a01/2)\r\n (C\u3000c))", [-1, 0, 0], (None, "8\u00a01/2", "c"), ("A", "B", "C")),
    ],
)
def test_with_labels(
    text: str, parents: list[int], values: tuple[str | None, ...], labels: tuple[str | None, ...] | None
) -> None:
    tree = Tree.from_text(text)
    assert (tree.parents.tolist(), tree.values, tree.labels) == (parents, values, labels)


@pytest.mark.parametrize(
    ("text", "nested"),
    [
        ("((7 (+ 3)) x)", (("7", ("+", "3")), "x")),
        ("(a)", ("a",)),
        ("((a) ((b)))", (("a",), (("b",),))),
        ("[a (b c) d]", ("a", ("b", "c"), "d")),
        ("a", "a"),
    ],
)
def test_without_labels(text: str, nested: object) -> None:
    tree = Tree.from_text(text, labelled=False)
    assert tree.nested() == nested
    assert tree.labels is None
    assert Tree.from_text(tree.text(), labelled=False) == tree


def test_labelled_text_is_written_as_it_was_read() -> None:
    for text in ("(3 (2 It) (4 works))", "(S (NP (N x)))", "(S a b)", "((A a) (B b))", "(2 word)", "(A ((B b)) c)"):
        assert Tree.from_text(text).text() == str(Tree.from_text(text)) == text
        assert Tree.from_text(text).text(labelled=True) == text
    assert Tree.from_text("[MAX 2 [MIN 4 7] 0]").text() == "(MAX 2 (MIN 4 7) 0)"
    assert Tree.from_text("(3 (2 It) (4 works))").text(labelled=False) == "(It works)"
    assert Tree([-1, 0, 0], [None, 1, 2], [0.5, 3, 4]).text() == "(0.5 (3 1) (4 2))"


def read_back(tree: Tree) -> bool:
    """Whether what str shows of a tree, its nodes in any order, is text of the same tree."""
    try:
        again = Tree.from_text(str(tree))
    except ArgumentError:
        return False
    return len(again) == len(tree) and again.tokens == tree.tokens


def test_random_labelled_trees_survive(rng: np.random.Generator) -> None:
    survived = 0
    for _ in range(200):
        n_nodes = int(rng.integers(1, 12))
        parents = [-1, *(int(rng.integers(node)) for node in range(1, n_nodes))]
        leaf = [node not in parents for node in range(n_nodes)]
        values = [f"t{node}" if leaf[node] else None for node in range(n_nodes)]
        labels = [None if rng.random() < 0.2 else f"l{node}" for node in range(n_nodes)]
        tree = Tree(parents, values, labels)
        assert str(tree)
        if not read_back(tree):
            with pytest.raises(ArgumentError, match="as text with labels"):
                tree.text(labelled=True)
            continue
        survived += 1
        text = tree.text(labelled=True)
        assert text == str(tree)
        again = Tree.from_text(text)
        assert again.tokens == tree.tokens
        order = tree.reading_order.tolist()
        held = (None,) * n_nodes if tree.labels is None else tree.labels
        assert [held[node] for node in order] == list(again.labels or (None,) * n_nodes)
    assert survived > 50


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (Tree([-1, 0], [None, "a b"]), r"node 1 must have a token that is one word, .* got 'a b'"),
        (Tree([-1, 0], [None, "a\nb"]), r"node 1 must have a token that is one word"),
        (Tree([-1, 0], [None, ""]), r"node 1 must have a token that is one word, .* got ''"),
        (Tree([-1], ["a]"]), r"node 0 must have a token that is one word, .* got 'a\]'"),
        (Tree([-1], ["a"], ["("]), r"node 0 must have a label that is one word, .* got '\('"),
        (Tree([-1], ["a"], [("x", 1)]), r"node 0 must have a label that is one word, .* got a tuple"),
        (Tree([-1, 0]), r"node 1 must have a token, as it is a leaf, .* got None"),
        (Tree([-1, 0], ["eats", "he"]), r"node 0 must have no value of its own, .* got 'eats'"),
        (Tree([-1], [np.ones(3)]), r"node 0 must have a token to be written as text; got a vector of 3 numbers"),
        (Tree([-1, 0, 0], [None, "a", "b"], [None, None, "x"]), r"node 0 must have a label .*labelled=False"),
        (Tree([-1, 0], [None, "a"], ["x", None]), r"node 0 must have a labelled child or several"),
    ],
)
def test_what_cannot_be_written(tree: Tree, message: str) -> None:
    assert str(tree)
    with pytest.raises(ArgumentError, match=message):
        tree.text()


LONG = "(S " + " ".join(f"(W word{number:02})" for number in range(20))


@pytest.mark.parametrize(
    ("text", "labelled", "message", "excerpt", "column"),
    [
        ("", True, "text must hold a tree; got nothing at line 1, column 1", "", 1),
        (" \n ", True, "text must hold a tree; got nothing at line 1, column 1", "", 1),
        (
            "()",
            True,
            "text must have a word or a bracket in every bracket; got an empty one at line 1, column 1",
            "()",
            1,
        ),
        ("(a [])", False, "got an empty one at line 1, column 4", "(a [])", 4),
        ("(3)", True, "got one with a label, '3', and nothing else, at line 1, column 1", "(3)", 1),
        ("(3\n  (2 It)\n  (4))", True, "got one with a label, '4', and nothing else, at line 3, column 3", "  (4))", 3),
        ("(3 (2 It) (4 works)", True, "close every bracket; got '(' that stays open at line 1, column 1", None, 1),
        ("(3 (2 It) [4 works", True, "got '[' that stays open at line 1, column 11", None, 11),
        ("3 (2 It)", True, "be one tree; got more after its end, '(', at line 1, column 3", None, 3),
        ("It works", True, "be one tree; got more after its end, 'works', at line 1, column 4", None, 4),
        ("(3 a)\n(3 b)", True, "be one tree; got more after its end, '(', at line 2, column 1", "(3 b)", 1),
        ("(3 a) b", True, "got more after its end, 'b', at line 1, column 7", None, 7),
        ("(3 a))", True, "open every bracket that it closes; got ')' without one at line 1, column 6", None, 6),
        ("]", True, "got ']' without one at line 1, column 1", None, 1),
        (
            "(3 [2 It) x)",
            True,
            "close the bracket of line 1, column 4 with one of its kind; got ')' for '[' at line 1, column 9",
            None,
            9,
        ),
        ("(3\t(2 It]", True, "got ']' for '(' at line 1, column 9", "(3 (2 It]", 9),
    ],
)
def test_a_mistake_is_shown(text: str, labelled: bool, message: str, excerpt: str | None, column: int) -> None:
    with pytest.raises(ArgumentError) as caught:
        Tree.from_text(text, labelled)
    said, shown, caret = str(caught.value).split("\n")
    assert message in said
    assert said.startswith("text must ")
    assert said.endswith(".")
    assert shown == f"  {text if excerpt is None else excerpt}"
    assert caret == " " * (column + 1) + "^"


def test_of_a_long_line_the_part_around_the_mistake_is_shown() -> None:
    for place in (0, 10, 19):
        wrong = LONG.replace(f"word{place:02})", f"word{place:02}]") + ")"
        with pytest.raises(ArgumentError) as caught:
            Tree.from_text(f"\n{wrong}\n")
        said, shown, caret = str(caught.value).split("\n")
        assert f"line 2, column {wrong.index(']') + 1}." in said
        assert shown[len(caret) - 1] == "]"
        assert len(shown) <= 62
        assert shown.startswith("  ...") == (place > 0)
        assert shown.endswith("...") == (place < 19)


def test_the_mark_stands_below_wide_letters() -> None:
    with pytest.raises(ArgumentError) as caught:
        Tree.from_text("(\u732b \u518d\u5e30]")
    assert str(caught.value).split("\n")[2] == "  " + " " * 8 + "^"


def test_text_must_be_text() -> None:
    with pytest.raises(ArgumentError, match=r"text must be a str; got a tuple\."):
        Tree.from_text(("a", "b"))  # type: ignore[arg-type]


def test_a_file_in_any_layout(tmp_path: Path) -> None:
    path = tmp_path / "trees.txt"
    path.write_bytes(b"\xef\xbb\xbf(3 (2 It)\r\n   (4 works))  (1 a)(2 b)\n\n word \n(A (B \xe7\x8c\xab))\n")
    trees = read_trees(path)
    assert [str(tree) for tree in trees] == ["(3 (2 It) (4 works))", "(1 a)", "(2 b)", "word", "(A (B \u732b))"]
    assert read_trees(str(path))[0] == trees[0]
    path.write_text("((a b) c)\n(d)\n")
    assert [tree.nested() for tree in read_trees(path, labelled=False)] == [(("a", "b"), "c"), ("d",)]
    for nothing in ("", " \n\n"):
        path.write_text(nothing)
        assert read_trees(path) == []


@pytest.mark.parametrize(
    ("text", "message", "caret"),
    [
        ("(1 a)\n(2 (3 b)\n(4 c)\n", "must close every bracket; got '(' that stays open at line 2, column 1.", 3),
        ("(1 a)\n (2 b))\n", "must open every bracket that it closes; got ')' without one at line 2, column 7.", 9),
        (
            "(1 a)\nIt works\n",
            "of more than one word; got 'It', neither in a bracket nor alone on its line, at line 2,",
            3,
        ),
        ("(1 a) b\n", "got 'b', neither in a bracket nor alone on its line, at line 1, column 7.", 9),
    ],
)
def test_mistakes_in_a_file_name_it(tmp_path: Path, text: str, message: str, caret: int) -> None:
    path = tmp_path / "trees.txt"
    path.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        read_trees(path)
    assert str(caught.value).startswith(f"{path} must ")
    assert message in str(caught.value)
    assert str(caught.value).split("\n")[2] == " " * (caret - 1) + "^"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_trees(tmp_path / "none.txt")
    path = tmp_path / "latin.txt"
    path.write_bytes("(1 caf\u00e9)".encode("latin-1"))
    with pytest.raises(ArgumentError, match=r"latin\.txt must be text in UTF-8; got byte 0xe9 at position 6\."):
        read_trees(path)


def test_reading_takes_linear_time(tmp_path: Path) -> None:
    path, seconds = tmp_path / "trees.txt", []
    for n_trees in (2_000, 16_000):
        path.write_text("(3 (2 It) (4 (2 really) (4 works))) " * n_trees)  # in one line
        start = time.perf_counter()
        assert len(read_trees(path)) == n_trees
        seconds.append(time.perf_counter() - start)
    assert seconds[1] < 40 * seconds[0]
