"""The estimators of trees: what is read of them, the network, and what it says of a tree or of each node."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin

from saiki.arrays import Array, Params, as_count
from saiki.cells.trees import TREE_CELLS, TreeCell, as_tree_cell
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError, choose
from saiki.estimators.base import Checkpointed, Metadata, NetworkProblem, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.items import check_items, expect_items, learn_items, seen_items, sound_items
from saiki.estimators.labels import Labels
from saiki.estimators.options import ATTRIBUTES, PARAMETERS, Parameter, documented, fit_page
from saiki.estimators.outputs import OutputsEstimator
from saiki.estimators.scaling import step_weights
from saiki.estimators.tree_inputs import TREES, Trees, read_trees
from saiki.estimators.values import Values
from saiki.layers import Dense, Dropout, Embedding
from saiki.layers.layer import precision_of
from saiki.losses import Loss
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples
from saiki.trees import Recursive, TreeNetwork
from saiki.trees.network import OUTPUTS, TreeLayer
from saiki.trees.recursive import check_children

MOST_NODES = 1 << 14
"""Trees are predicted in batches of about so many nodes."""


def _tree_cells(name: str, value: Any) -> None:
    for cell in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(cell, str | TreeCell):
            raise ArgumentError(
                f"{name} must be the name of a cell over trees, {', '.join(map(repr, TREE_CELLS))}, a saiki.TreeCell,"
                f" or a list of them; got {cell!r}."
            )
        as_tree_cell(cell)


OF_ITEMS: dict[str, Parameter] = PARAMETERS | {
    "embedding_size": Parameter(
        as_count, "how long the vector is that is learnt for each token; not used for vectors."
    ),
    "scale_inputs": Parameter(
        PARAMETERS["scale_inputs"].rule, "whether vectors are brought to mean 0 and standard deviation 1, each feature."
    ),
    "batch_size": Parameter(PARAMETERS["batch_size"].rule, 'how many an update learns from; "auto" is 32, or all.'),
    "shuffle": Parameter(PARAMETERS["shuffle"].rule, "whether the order is drawn anew for each epoch."),
    "validation_fraction": Parameter(
        PARAMETERS["validation_fraction"].rule,
        "the share set aside for ``early_stopping`` if ``fit`` is given no validation data.",
    ),
    "dtype": Parameter(
        PARAMETERS["dtype"].rule, '"float32" or "float64"; None is what vectors are, and float64 for tokens.', True
    ),
}
"""The parameters of estimators of tokens or vectors."""

OF_TREES: dict[str, Parameter] = OF_ITEMS | {
    "cell": Parameter(
        _tree_cells,
        'the recursion: "simple", "lstm" or "gru" for nodes with a left and a right child, "child_sum_lstm" for any'
        " number in any order, a ``TreeCell``, or a list with one for each layer.",
    ),
    "hidden_layer_sizes": Parameter(
        PARAMETERS["hidden_layer_sizes"].rule, "the number of units of each recursive layer, or of the only one."
    ),
    "output": Parameter(
        lambda name, value: choose(name, value, OUTPUTS),
        'what is said: something of each tree, at its "root", or of "each" node.',
    ),
    "dropout": Parameter(
        PARAMETERS["dropout"].rule, "the share of each recursive layer's outputs that is dropped while training."
    ),
}
"""The parameters of the estimators of trees."""

ITEM_ATTRIBUTES = {name: text for name, text in ATTRIBUTES.items() if name not in ("n_features_in_", "network_")} | {
    "vocabulary_": "the tokens, sorted, in the order of their vectors; None for vectors.",
}

TREE_ATTRIBUTES = ITEM_ATTRIBUTES | {"network_": "the network, a ``saiki.TreeNetwork``."}


class TreeEstimator(OutputsEstimator):
    """What learns from trees; abstract."""

    learnt: ClassVar[tuple[str, ...]] = ("_epoch", "_scaling", "_target_scaling", "vocabulary_", "n_outputs_")
    network_: TreeNetwork
    vocabulary_: list[Any] | None
    _words = TREES
    _parameters = OF_TREES
    _attributes = TREE_ATTRIBUTES
    _fit_page = fit_page(
        "Learn from trees and their targets.",
        """X: a list of trees: ``saiki.Tree``, nested tuples or lists, or bracketed text.
            y: their targets; with ``output="each"`` a list with one for each node of each tree.
            sample_weight: how much each tree ``(n_trees,)`` counts or, with ``output="each"``, each node, a list; None
                counts all alike.
            validation_data: ``(X, y)``, or a dict with ``X``, ``y`` and, where needed, ``sample_weight``: its score is
                noted after each epoch, and decides with ``early_stopping``.""",
    )

    @property
    def reads_each(self) -> bool:
        """Whether the network says something of each node."""
        return OUTPUTS[self.network_.output]

    @final
    def network_problem(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> NetworkProblem:
        """Return what the network is given to learn: scaled and encoded. For proofs.

        An estimator that is not fitted stays so; its network is given new weights. Without X it must be fitted.
        """
        return self._problem(X, y, {"sample_weight": sample_weight})

    @final
    def _read_inputs(self, X: Any, metadata: Metadata, reset: bool) -> Trees:  # noqa: ARG002
        trees = read_trees(X)
        for cell in self._cells():
            check_children(cell, trees.forest)
        if reset:
            expect_items(self, trees.forest.inputs, trees.tokens)
            return trees
        if self.vocabulary_ is None:
            trees = trees.as_vectors(len(self._scaling.mean))
        check_items(self, trees.forest.inputs, trees.tokens)
        return trees

    @final
    def _look_at_inputs(self, examples: Examples) -> None:
        trees = examples.X
        assert isinstance(trees, Trees)
        there, weight = trees.forest.has_input, step_weights(examples.weight, trees)
        learn_items(self, trees.forest.inputs[there], trees.tokens, None if weight is None else weight[there])

    def _cells(self) -> list[TreeCell]:
        """Return the cell of each layer, as the parameters say."""
        cells = list(self.cell) if isinstance(self.cell, list | tuple) else [self.cell]
        chosen = [as_tree_cell(cell) for cell in cells]
        return chosen if self.activation is None else [cell.with_activation(self.activation) for cell in chosen]

    @final
    def _network(self) -> TreeNetwork:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes)).tolist()
        cells = self._cells() if isinstance(self.cell, list | tuple) else self._cells() * len(sizes)
        if len(cells) != len(sizes):
            raise ArgumentError(
                f"cell must be one, or one for each of the {len(sizes)} layers of hidden_layer_sizes; got {len(cells)}."
            )
        layers: list[TreeLayer] = []
        if self.vocabulary_ is None:
            width = len(self._scaling.mean)
        else:
            width = int(self.embedding_size)
            layers.append(Embedding(max(len(self.vocabulary_), 1), width))
        for cell, size in zip(cells, sizes, strict=True):
            layers += [Recursive(cell, width, size), *([Dropout(self.dropout)] if self.dropout else [])]
            width = size
        return TreeNetwork([*layers, Dense(width, self.n_outputs_)], self.output)

    @final
    def _seen(self, X: Trees, dtype: npt.DTypeLike) -> Trees:
        inputs = seen_items(self, X.forest.inputs, X.tokens, dtype)
        has_input = X.forest.has_input if X.tokens is None else inputs[:, 0] >= 0
        forest = X.forest
        parts = forest.lengths, forest.parents, forest.places, forest.heights
        return Trees(type(forest)(*parts, inputs, has_input), X.tokens)

    @final
    def _predicted(self, params: Params, X: Trees) -> Array:
        forest = self._seen(X, precision_of(params)).forest
        ends = np.cumsum(forest.lengths)
        cuts = np.flatnonzero(np.diff(ends // MOST_NODES)) + 1
        with limit_threads(self.n_jobs):
            parts = [
                self.network_.predict(params, forest.select(which), self.engine)
                for which in np.split(np.arange(len(forest)), cuts)
            ]
        return np.concatenate(parts)

    @final
    def _sound_inputs(self) -> bool:
        first = next(layer for layer in self.network_.layers if isinstance(layer, Recursive))
        return sound_items(self, self.network_.n_tokens, first.n_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


@final
@documented
class TreeRNNClassifier(ClassifierMixin, Labels, TreeEstimator):
    """A recursive network that tells trees, or their nodes, apart.

    ``X`` is a list of trees, each a ``saiki.Tree``, nested tuples or lists with tokens or vectors at the leaves, or
    bracketed text. ``y`` has a label (a text, whole number or boolean) for each tree or, with ``output="each"``, for
    each node of each tree (by its number; nested tuples and text are numbered in reading order); None and NaN are
    missing labels, which are left out. A token that ``fit`` has not seen has no input.

    >>> X = [("not", "true"), ("not", ("not", "true")), ("not", "false"), ("not", ("not", "false"))]
    >>> y = ["no", "yes", "yes", "no"]
    >>> classifier = TreeRNNClassifier(hidden_layer_sizes=8, random_state=0).fit(X, y)
    >>> classifier.predict([("not", "false")]), classifier.score(X, y)
    (array(['yes'], dtype='<U3'), 1.0)
    """

    learnt = (*TreeEstimator.learnt, "classes_")

    def __init__(
        self,
        cell: str | TreeCell | Sequence[str | TreeCell] = "lstm",
        hidden_layer_sizes: int | Sequence[int] = (64,),
        activation: str | None = None,
        embedding_size: int = 32,
        output: Literal["root", "each"] = "root",
        dropout: float = 0.0,
        *,
        solver: str | Optimizer = "adam",
        solver_options: Mapping[str, Any] | None = None,
        learning_rate: str | Schedule = "cosine",
        learning_rate_init: float = 0.01,
        alpha: float = 1e-4,
        clip_norm: float | None = 1.0,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 60,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: str | Callable[..., Any] | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        scale_inputs: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        engine: str | None = None,
        n_jobs: int | None = None,
        dtype: npt.DTypeLike | None = None,
        verbose: bool = False,
        callbacks: Sequence[Callable[[Epoch], Any]] | None = None,
    ) -> None:
        hold(self, locals())

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None, checkpoint: Checkpointed = None
    ) -> TreeRNNClassifier:
        """Learn from trees and their targets."""
        self._fit(X, y, {"sample_weight": sample_weight}, validation_data, checkpoint)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> TreeRNNClassifier:
        """Learn from some trees once, going on from what has been learnt before.

        The first call decides the tokens, or the scale of vectors, and the classes; the learning rate stays as it is.

        Args:
            X: the trees.
            y: their labels.
            classes: all labels that will ever come; only the first call needs it, if its y does not hold them all.
            sample_weight: how much each tree, or each node, counts.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit_labels(X, y, {"sample_weight": sample_weight}, classes)
        return self

    def predict(self, X: Any) -> Any:
        """Return the most likely label of each tree ``(n_trees,)``, or a list with those of the nodes of each tree."""
        return self._labels(X, {})

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, ``(n_trees, n_classes)``, or a list with those for each node."""
        return self._probabilities(X, {})

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities of ``predict_proba``."""
        return self._log_probabilities(X, {})

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of labels that are right, missing ones left out, each by its weight."""
        return self._scored(X, y, {"sample_weight": sample_weight})


@final
@documented
class TreeRNNRegressor(RegressorMixin, Values, TreeEstimator):
    """A recursive network that gives trees, or their nodes, values.

    ``X`` is a list of trees, each a ``saiki.Tree``, nested tuples or lists with tokens or vectors at the leaves, or
    bracketed text. ``y`` has one value, ``(n_trees,)``, or several, ``(n_trees, n_outputs)``, for each tree; with
    ``output="each"`` it is a list with an array ``(n_nodes,)`` or ``(n_nodes, n_outputs)`` for each tree. NaN is a
    missing value, from which nothing is learnt.

    >>> X = [(1, 2), (2, 1), ((1, 1), 1), ((2, 2), 2), (1, (1, 2)), ((2, 1), (1, 2))]
    >>> y = [3, 3, 3, 6, 4, 6]
    >>> regressor = TreeRNNRegressor(hidden_layer_sizes=8, random_state=0).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.9)
    True
    """

    learnt = (*TreeEstimator.learnt, "_one_value_")

    def __init__(
        self,
        cell: str | TreeCell | Sequence[str | TreeCell] = "lstm",
        hidden_layer_sizes: int | Sequence[int] = (64,),
        activation: str | None = None,
        embedding_size: int = 32,
        output: Literal["root", "each"] = "root",
        dropout: float = 0.0,
        *,
        loss: str | Loss = "squared_error",
        solver: str | Optimizer = "adam",
        solver_options: Mapping[str, Any] | None = None,
        learning_rate: str | Schedule = "cosine",
        learning_rate_init: float = 0.01,
        alpha: float = 1e-4,
        clip_norm: float | None = 1.0,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int = 60,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: str | Callable[..., Any] | None = None,
        scale_inputs: bool = True,
        scale_targets: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        engine: str | None = None,
        n_jobs: int | None = None,
        dtype: npt.DTypeLike | None = None,
        verbose: bool = False,
        callbacks: Sequence[Callable[[Epoch], Any]] | None = None,
    ) -> None:
        hold(self, locals())

    @with_callbacks
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None, checkpoint: Checkpointed = None
    ) -> TreeRNNRegressor:
        """Learn from trees and their targets."""
        self._fit(X, y, {"sample_weight": sample_weight}, validation_data, checkpoint)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> TreeRNNRegressor:
        """Learn from some trees once, going on from what has been learnt before.

        The first call decides the tokens, or the scale of vectors, and that of targets; the learning rate stays.

        Args:
            X: the trees.
            y: their values.
            sample_weight: how much each tree, or each node, counts.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit(X, y, {"sample_weight": sample_weight})
        return self

    def predict(self, X: Any) -> Any:
        """Return the value or values of each tree, or a list with those of the nodes of each tree."""
        return self._valued(X, {})

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R squared, missing values left out; the mean over the outputs."""
        return self._scored(X, y, {"sample_weight": sample_weight})
