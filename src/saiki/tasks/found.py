"""Structure found: the tree of arithmetic without brackets is precedence and left association, which a parser network
is to learn from examples, and to find in longer expressions than it has ever seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import as_count
from saiki.estimators import ParserNetwork
from saiki.properties import cached_property
from saiki.tasks import arithmetic
from saiki.training import Epoch
from saiki.trees import Tree, span_f1


class Found(NamedTuple):
    """How well the trees of expressions of one length are found.

    Attributes:
        n_numbers: how many numbers each expression has.
        f1: the unlabelled F1 of the spans, by who found the trees.
        example: an expression as the parser joins it.
    """

    n_numbers: int
    f1: Mapping[str, float]
    example: Tree


@final
@dataclass(frozen=True)
class ArithmeticExperiment:
    """Expressions with their trees to learn from, and others whose trees are to be found.

    Args:
        n_numbers: how many numbers an expression has; it is also tried on those with twice as many.
        n_train: how many expressions there are to learn from.
        n_test: how many of each length to draw to be tried on; those that were learnt from are left out.
        n_units: the units of the network.
        epochs: how often each is learnt from.
        beam: how many ways to join are followed up when trees are found.
        seed: same seed, same numbers.

    Raises:
        ArgumentError: a number out of range.
    """

    n_numbers: int = 5
    n_train: int = 1000
    n_test: int = 1000
    n_units: int = 64
    epochs: int = 20
    beam: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        as_count("n_numbers", self.n_numbers, 2)
        for name in ("n_train", "n_test", "n_units", "epochs", "beam"):
            as_count(name, getattr(self, name))
        as_count("seed", self.seed, 0)

    @cached_property
    def train(self) -> list[list[Any]]:
        """The expressions to learn from."""
        return arithmetic.draw(np.random.default_rng([self.seed, 6]), self.n_train, self.n_numbers)

    def learn(self, told: Callable[[Epoch], Any]) -> ParserNetwork:
        """Return a parser that has learnt from them, and tell of each epoch."""
        parser = ParserNetwork(
            n_units=self.n_units, max_iter=self.epochs, beam=self.beam, random_state=self.seed, callbacks=[told]
        )
        return parser.fit(self.train, [arithmetic.tree_of(tokens) for tokens in self.train])

    def test(self, n_numbers: int) -> list[list[Any]]:
        """Return the expressions of one length to be tried on."""
        known = set(map(tuple, self.train))
        drawn = arithmetic.draw(np.random.default_rng([self.seed, 7, n_numbers]), self.n_test, n_numbers)
        return [tokens for tokens in drawn if tuple(tokens) not in known]

    def tried(self, parser: ParserNetwork, n_numbers: int) -> Found:
        """Return how well the trees of expressions of one length are found."""
        test = self.test(n_numbers)
        right = [arithmetic.tree_of(tokens) for tokens in test]
        found = {"parser": parser.predict(test)}
        found |= {name: [make(tokens) for tokens in test] for name, make in arithmetic.BASELINES.items()}
        f1 = {name: span_f1(trees, right) for name, trees in found.items()}
        return Found(n_numbers, f1, found["parser"][0])
