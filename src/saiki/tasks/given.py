"""Structure given: does it help to be told the tree? Nested lists are to be worked out, by a Tree-LSTM that walks over
their trees, and by an LSTM that reads the same tokens one after another, with as many parameters and in the same time.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, as_count, as_positive
from saiki.estimators import RNNClassifier, TreeRNNClassifier
from saiki.properties import cached_property
from saiki.tasks import nested_lists
from saiki.training import Epoch
from saiki.trees import Tree

RATE, EMBEDDING = 0.005, 32
"""The learning rate at the beginning of the time, and the length of the vector that the tree network has of a token."""

MOST_EPOCHS = 100_000
"""More than there will ever be in the time."""

WARMING_UP = 64
"""A fit of so few lists, of which no time is taken, has whatever must be compiled compiled."""

Told = Callable[[float, Epoch], Any]
"""Is told of the seconds so far, and of each epoch."""


class Outcome(NamedTuple):
    """How well a network has learnt to work lists out.

    Attributes:
        name: which one.
        n_params: how many parameters it has.
        n_epochs: how often it saw the training lists.
        seconds: how long it has learnt.
        by_depth: the share of right answers for the lists of each depth to be tried on.
    """

    name: str
    n_params: int
    n_epochs: int
    seconds: float
    by_depth: Mapping[int, float]


@final
@dataclass(frozen=True)
class ListsExperiment:
    """Nested lists to learn from, others to be tried on, and two networks.

    Args:
        seconds: how long each network learns.
        n_units: the units of the Tree-LSTM; the LSTM has as many as make up as many parameters.
        n_train: how many lists there are to learn from.
        n_test: how many to draw to be tried on; those that were learnt from are left out.
        depths: the depths of those to learn from.
        test_depths: the depths of those to be tried on.
        seed: decides lists and initial weights; the time that an epoch takes decides the rest.

    Raises:
        ArgumentError: a number out of range.
    """

    seconds: float = 25.0
    n_units: int = 64
    n_train: int = 8000
    n_test: int = 3000
    depths: tuple[int, ...] = (1, 2, 3, 4)
    test_depths: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    seed: int = 0

    def __post_init__(self) -> None:
        as_positive("seconds", self.seconds)
        for name in ("n_units", "n_train", "n_test"):
            as_count(name, getattr(self, name))
        as_count("seed", self.seed, 0)

    @cached_property
    def train(self) -> list[Tree]:
        """The lists to learn from."""
        return nested_lists.draw(np.random.default_rng([self.seed, 0]), self.n_train, self.depths)

    @cached_property
    def test(self) -> list[Tree]:
        """The lists to be tried on."""
        known = set(self.train)
        drawn = nested_lists.draw(np.random.default_rng([self.seed, 1]), self.n_test, self.test_depths)
        return [one for one in drawn if one not in known]

    @cached_property
    def networks(self) -> dict[str, tuple[Any, Callable[[Sequence[Tree]], list[Any]]]]:
        """The two networks by name, each with what makes of lists that which it reads."""
        common: dict[str, Any] = {
            "learning_rate_init": RATE,
            "dtype": "float32",
            "random_state": self.seed,
            "n_iter_no_change": MOST_EPOCHS,
        }
        of_tree = TreeRNNClassifier("lstm", self.n_units, embedding_size=EMBEDDING, **common)
        n_tokens, n_classes, H = len(nested_lists.FLAT_TOKENS), len(nested_lists.DIGITS), self.n_units
        wanted = n_tokens * EMBEDDING + 5 * H * (EMBEDDING + 2 * H + 1) + n_classes * (H + 1)
        units = min(range(1, 8 * H), key=lambda n: abs(4 * n * (n_tokens + n + 1) + n_classes * (n + 1) - wanted))
        flat = RNNClassifier("lstm", units, scale_inputs=False, **common)
        return {"Tree-LSTM on trees": (of_tree, as_binary_trees), "LSTM on flat tokens": (flat, as_vectors)}

    def run(self, name: str, told: Told) -> Outcome:
        """Train one of the networks for as long as it may, and try it.

        Args:
            name: which one.
            told: is told of the seconds so far and of each epoch; what it returns does not count.
        """
        network, form = self.networks[name]
        X, y = form(self.train), answers(self.train)
        network.set_params(max_iter=1).fit(X[:WARMING_UP], y[:WARMING_UP])
        clock = Clock(self.seconds)

        def end_in_time(epoch: Epoch) -> bool:
            told(clock.elapsed, epoch)
            return clock.elapsed >= self.seconds

        network.set_params(max_iter=MOST_EPOCHS, learning_rate=clock.rate, callbacks=[end_in_time]).fit(X, y)
        seconds = clock.elapsed
        n_params = sum(param.size for param in network.params_.values())
        shares = shares_by_depth(self.test, network.predict(form(self.test)))
        return Outcome(name, n_params, network.n_iter_, seconds, shares)

    def guess(self) -> Outcome:
        """Return how often the commonest answer is right, which is what a network knows that has learnt nothing."""
        commonest = np.bincount(answers(self.train)).argmax()
        return Outcome(f"always {commonest}", 0, 0, 0.0, shares_by_depth(self.test, commonest))


@final
class Clock:
    """The time that a network has; a learning rate falls over it along a cosine, whatever an epoch takes."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._start = seconds, monotonic()

    @property
    def elapsed(self) -> float:
        """How many seconds it has been running."""
        return monotonic() - self._start

    def rate(self, update: int) -> float:  # noqa: ARG002
        """Return the learning rate now."""
        return RATE * (1 + math.cos(math.pi * min(1.0, self.elapsed / self.seconds))) / 2


def answers(lists: Sequence[Tree]) -> Array:
    """Return what lists come to ``(n,)``."""
    return np.array([nested_lists.value_of(tree) for tree in lists])


def shares_by_depth(lists: Sequence[Tree], said: Any) -> dict[int, float]:
    """Return the share of right answers for the lists of each depth, from what was said of each list, or of all."""
    right, depths = said == answers(lists), np.array([one.height for one in lists])
    return {depth: float(right[depths == depth].mean()) for depth in np.unique(depths).tolist()}


def as_binary_trees(lists: Sequence[Tree]) -> list[Any]:
    """Return lists as trees whose nodes have a left and a right child."""
    return [nested_lists.joined(tree) for tree in lists]


def as_vectors(lists: Sequence[Tree]) -> list[Any]:
    """Return the flat tokens of lists, each as a vector that is 1 at its own place."""
    number = {token: i for i, token in enumerate(nested_lists.FLAT_TOKENS)}
    single = np.eye(len(number), dtype=np.float32)
    return [single[[number[token] for token in nested_lists.flat_tokens(tree)]] for tree in lists]
