"""Trees: what recursive networks read, as flat arrays, from nested tuples, bracketed text and files."""

from saiki.trees.reading import as_tree, read_trees
from saiki.trees.tree import Tree

__all__ = ["Tree", "as_tree", "read_trees"]
