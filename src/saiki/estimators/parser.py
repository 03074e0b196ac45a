"""The parser network as an estimator: from sequences and their trees to the trees of other sequences."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from saiki.arrays import Array, Params, as_count, as_positive
from saiki.cells.trees import TreeCell, as_tree_cell
from saiki.engines.threads import limit_threads
from saiki.errors import ArgumentError
from saiki.estimators.base import Checkpointed, Metadata, NetworkEstimator, NetworkProblem, hold
from saiki.estimators.callbacks import with_callbacks
from saiki.estimators.inputs import weights_of
from saiki.estimators.items import check_items, expect_items, learn_items, seen_items, sound_items
from saiki.estimators.options import Parameter, documented, fit_page
from saiki.estimators.tree_inputs import ITEMS, Items, KnownTrees, read_items, read_known_trees
from saiki.estimators.trees import ITEM_ATTRIBUTES, OF_ITEMS
from saiki.layers.layer import precision_of
from saiki.losses import Loss
from saiki.optimizers import Optimizer, Schedule
from saiki.training.epochs import Epoch
from saiki.training.examples import Examples
from saiki.trees import Parser, Tree, span_f1, tree_of
from saiki.trees.shapes import shapes_of

AT_ONCE, MOST_NUMBERS = 128, 1 << 22
"""So many sequences of about the same length, and numbers of their states, are parsed at once."""


def _cell(name: str, value: Any) -> None:
    if not isinstance(value, str | TreeCell):
        raise ArgumentError(f"{name} must be the name of a cell over trees, or a saiki.TreeCell; got {value!r}.")
    if as_tree_cell(value).child is not None:
        raise ArgumentError(
            f"{name} must have a left and a right child, as 'simple', 'lstm' and 'gru' have; {value!r} adds them up."
        )


OF_PARSERS: dict[str, Parameter] = OF_ITEMS | {
    "cell": Parameter(_cell, 'what two neighbours are joined by: "simple", "lstm", "gru", or a ``TreeCell``.'),
    "n_units": Parameter(as_count, "the number of units of what they are joined to."),
    "margin": Parameter(
        as_positive, "by how much the right tree must score more than another for each join of that which is wrong."
    ),
    "beam": Parameter(
        as_count,
        "how many ways to join are followed up when predicting; 1 always joins the best pair. Training always does, so"
        " more find trees with higher sums of scores, which need not be better ones.",
    ),
}
"""The parameters of the parser network."""


@final
@documented
class ParserNetwork(NetworkEstimator):
    """A recursive network that finds the trees of sequences, learnt from sequences whose trees are known.

    Of all pairs of neighbours it joins the one with the highest score, again and again, until one vector is left
    (Socher, Lin, Ng and Manning 2011, "Parsing natural scenes and natural language with recursive neural networks"). It
    is trained by max-margin: a tree must score less than the known one, by ``margin`` for each of its joins that the
    known one does not have.

    ``X`` is a list of sequences of tokens, or of arrays ``(n_items, n_features)``; ``y`` has a tree for each, a
    ``saiki.Tree``, nested tuples or bracketed text, with a leaf for each item; what stands at its nodes does not
    matter. A token that was not there in ``fit`` is as none.

    >>> X = ["abcabc", "abc", "abcabcabc"]
    >>> X = [list(text) for text in X]
    >>> y = [((("a", "b"), "c"), (("a", "b"), "c")), (("a", "b"), "c")]
    >>> y.append((y[0], y[1]))
    >>> parser = ParserNetwork(n_units=8, random_state=0).fit(X, y)
    >>> print(parser.predict([list("abcabc")])[0])
    (((a b) c) ((a b) c))
    >>> parser.score(X, y)
    1.0
    """

    learnt: ClassVar[tuple[str, ...]] = ("_epoch", "_scaling", "vocabulary_")
    network_: Parser
    vocabulary_: list[Any] | None
    _words = ITEMS
    _parameters = OF_PARSERS
    _attributes = {name: text for name, text in ITEM_ATTRIBUTES.items() if name not in ("classes_", "n_outputs_")} | {
        "network_": "the network, a ``saiki.trees.Parser``.",
    }
    _fit_page = fit_page(
        "Learn from sequences and their trees.",
        """X: a list of sequences of tokens or vectors.
            y: a tree for each, whose nodes have two children or none.
            sample_weight: how much each sequence counts ``(n_sequences,)``; None counts all alike.
            validation_data: ``(X, y)``, or a dict with ``X``, ``y`` and, where needed, ``sample_weight``: its score is
                noted after each epoch, and decides with ``early_stopping``.""",
    )

    def __init__(
        self,
        cell: str | TreeCell = "simple",
        n_units: int = 64,
        embedding_size: int = 32,
        margin: float = 1.0,
        beam: int = 1,
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
    ) -> ParserNetwork:
        """Learn from sequences and their trees."""
        self._fit(X, y, {"sample_weight": sample_weight}, validation_data, checkpoint)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> ParserNetwork:
        """Learn from some sequences once, going on from what has been learnt before.

        The first call decides the tokens, or the scale of vectors; the learning rate stays as it is.

        Args:
            X: the sequences.
            y: their trees.
            sample_weight: how much each sequence counts.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        self._partial_fit(X, y, {"sample_weight": sample_weight})
        return self

    def predict(self, X: Any) -> list[Tree]:
        """Return the tree of each sequence, with the score of each join at its node, and the items at the leaves."""
        check_is_fitted(self)
        items = read_items(X)
        check_items(self, items.items.values, items.tokens)
        return self._trees(self.params_, items, items.values())

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the unlabelled F1 of the spans of all joins; see ``saiki.trees.span_f1``."""
        return self._scored(X, y, {"sample_weight": sample_weight})

    def network_problem(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> NetworkProblem:
        """Return what the network is given to learn: scaled, encoded and padded. For proofs.

        An estimator that is not fitted stays so; its network is given new weights. Without X it must be fitted.
        """
        return self._problem(X, y, {"sample_weight": sample_weight})._replace(loss=None)

    def _trees(self, params: Params, items: Items, values: Sequence[Sequence[Any]] | None = None) -> list[Tree]:
        """Return the trees that a network with these parameters finds, those of sequences of a length together."""
        seen = items.items.with_values(seen_items(self, items.items.values, items.tokens, precision_of(params)))
        lengths, found = items.items.lengths, list[Any]([None] * len(items))
        order = np.argsort(lengths, kind="stable")
        with limit_threads(self.n_jobs):
            longest = int(lengths.max()) * int(self.beam) * self.network_.n_units
            at_once = max(1, min(AT_ONCE, MOST_NUMBERS // longest))
            for which in np.split(order, range(at_once, len(order), at_once)):
                X, _ = seen.pad(which)
                joins = self.network_.parse(params, X, lengths[which], int(self.beam))
                for row, i in enumerate(which.tolist()):
                    n = int(lengths[i])
                    own = [None] * n if values is None else values[i]
                    found[i] = tree_of(joins.children[row, : n - 1], joins.scores[row, : n - 1], own)
        return found

    def _read(self, X: Any, y: Any, metadata: Metadata, reset: bool, fitting: bool, learns: bool = True) -> Examples:
        if y is None:
            raise ArgumentError(
                "ParserNetwork requires y to be passed, but the target y is None. Give a tree for each."
            )
        items = read_items(X)
        if reset:
            expect_items(self, items.items.values, items.tokens)
        else:
            check_items(self, items.items.values, items.tokens)
        known = read_known_trees(y, items)
        if fitting and learns:
            shapes_of(known.trees, "y")  # what is learnt from must be binary; what is only scored need not
        weight = metadata.get("sample_weight")
        weight = None if weight is None else weights_of(weight, len(items))
        return Examples(items, known, weight)

    def _look_at(self, examples: Examples) -> None:
        items = examples.X
        assert isinstance(items, Items)
        weight = examples.weight[items.owners()] if isinstance(examples.weight, np.ndarray) else None
        learn_items(self, items.items.values, items.tokens, weight)

    def _network(self) -> Parser:
        chosen = self.cell, int(self.embedding_size), int(self.n_units)
        if self.vocabulary_ is None:
            return Parser(chosen[0], len(self._scaling.mean), chosen[2], None, float(self.margin))
        return Parser(*chosen, max(len(self.vocabulary_), 1), float(self.margin))

    def _prepared(self, examples: Examples, params: Params) -> Examples:
        items, known = examples.X, examples.y
        assert isinstance(items, Items)
        assert isinstance(known, KnownTrees)
        values = seen_items(self, items.items.values, items.tokens, precision_of(params))
        seen = Items(items.items.with_values(values), items.tokens)
        return Examples(seen, shapes_of(known.trees, "y"), examples.weight)

    def _loss(self) -> str | Loss:
        return "margin"

    def _score_of(self, params: Params, examples: Examples) -> float:
        items, known = examples.X, examples.y
        assert isinstance(items, Items)
        assert isinstance(known, KnownTrees)
        weight = examples.weight if isinstance(examples.weight, np.ndarray) else None
        return span_f1(self._trees(params, items), known.trees, weight)

    def _by_class(self, examples: Examples, order: Array) -> Array:  # noqa: ARG002
        return order

    def _is_sound(self) -> bool:
        return sound_items(self, self.network_.n_tokens, self.network_.n_features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = True
        return tags
