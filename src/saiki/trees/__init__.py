"""Trees: what recursive networks read, and those networks: the same idea as over time, over trees."""

from saiki.trees.forest import Forest, vocabulary_of
from saiki.trees.network import TreeNetwork
from saiki.trees.parser import Parser
from saiki.trees.reading import as_tree, read_trees
from saiki.trees.recursive import Recursive
from saiki.trees.shapes import tree_of
from saiki.trees.spans import SpanScore, span_f1, span_score
from saiki.trees.tree import Tree

__all__ = [
    "Forest",
    "Parser",
    "Recursive",
    "SpanScore",
    "Tree",
    "TreeNetwork",
    "as_tree",
    "read_trees",
    "span_f1",
    "span_score",
    "tree_of",
    "vocabulary_of",
]
