"""A sentence as a tree: its phrases by their names, and for each join a score of how good it is."""

import numpy as np
from matplotlib.figure import Figure

from saiki.explain.plots import plot_tree
from saiki.trees import Tree

text = "(S (NP (DT The) (NN cat)) (VP (VBD sat) (PP (IN on) (NP (DT the) (NP (JJ old) (NN mat))))))"
tree = Tree.from_text(text)
scores = np.where(tree.is_leaf, np.nan, 0.97 - 0.11 * tree.heights)  # as a parser might give them
figure = Figure(figsize=(8, 5), layout="constrained")
plot_tree(figure.subplots(), Tree(tree.parents, tree.values, tree.labels, scores))
figure.savefig("tree.png")
