"""The quiz of the course notes as an experiment: how are two neighbours joined into one vector?

By W [left; right], by their sum, their product or their maximum: four networks that differ in the join alone (W has
weights and a tanh, the others have nothing to learn) learn to work nested lists out, from as many examples. Sums,
products and maxima do not depend on the order of what they join, nor on how it is nested; so whatever does cannot be
learnt with them. Lists of depth 1 do not: their leaves say it all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from saiki.arrays import Params, as_count
from saiki.layers import Dense, Embedding
from saiki.optimizers import adam, chain, clip_by_norm, cosine
from saiki.properties import cached_property
from saiki.tasks import nested_lists
from saiki.tasks.given import answers, as_binary_trees, shares_by_depth
from saiki.tasks.joins import JOINS
from saiki.training import Batch, Step, train
from saiki.trees import Forest, Recursive, Tree, TreeNetwork

RATE, BATCH = 0.003, 32


@final
@dataclass(frozen=True)
class Quiz:
    """Nested lists to learn from, others to be tried on, and a network for each way to join.

    Args:
        n_units: the length of a vector.
        n_train: how many lists there are to learn from.
        n_test: how many to draw to be tried on; those that were learnt from are left out.
        epochs: how often each is learnt from.
        depths: the depths of those to learn from.
        test_depths: the depths of those to be tried on.
        seed: same seed, same numbers.

    Raises:
        ArgumentError: a number out of range.
    """

    n_units: int = 64
    n_train: int = 4000
    n_test: int = 2000
    epochs: int = 15
    depths: tuple[int, ...] = (1, 2, 3)
    test_depths: tuple[int, ...] = (1, 2, 3, 4)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_units", "n_train", "n_test", "epochs"):
            as_count(name, getattr(self, name))
        as_count("seed", self.seed, 0)

    @cached_property
    def train(self) -> list[Tree]:
        """The lists to learn from."""
        return nested_lists.draw(np.random.default_rng([self.seed, 2]), self.n_train, self.depths)

    @cached_property
    def test(self) -> list[Tree]:
        """The lists to be tried on."""
        known = set(self.train)
        drawn = nested_lists.draw(np.random.default_rng([self.seed, 3]), self.n_test, self.test_depths)
        return [one for one in drawn if one not in known]

    @property
    def n_updates(self) -> int:
        """How many updates each network makes."""
        return self.epochs * -(-self.n_train // BATCH)

    def network(self, join: str) -> TreeNetwork:
        """Return the network with one way to join; there is no bias, so that a join is that and nothing else."""
        H = self.n_units
        read = Dense(H, H, "tanh"), Dense(H, len(nested_lists.DIGITS))
        return TreeNetwork([Embedding(len(nested_lists.FLAT_TOKENS), H), Recursive(JOINS[join], H, H, False), *read])

    def run(self, join: str) -> Iterator[Step]:
        """Train the network with one way to join, and tell of each update."""
        network, forest, y = self.network(join), _forest(self.train), answers(self.train).astype(np.float32)
        rng = np.random.default_rng([self.seed, 4])

        def batches() -> Iterator[Batch]:
            for _ in range(self.epochs):
                order = rng.permutation(len(y))
                for start in range(0, len(y), BATCH):
                    which = order[start : start + BATCH]
                    yield Batch(forest.select(which), y[which])

        params = network.init(np.random.default_rng([self.seed, 5]), dtype=np.float32)
        optimizer = chain(clip_by_norm(1.0), adam(cosine(RATE, self.n_updates)))
        yield from train(network, params, batches(), optimizer, "cross_entropy")

    def by_depth(self, join: str, params: Params) -> dict[int, float]:
        """Return the share of right answers for the lists of each depth to be tried on."""
        return shares_by_depth(self.test, self.network(join).predict(params, _forest(self.test)).argmax(axis=1))


def _forest(lists: list[Tree]) -> Forest:
    return Forest.of(as_binary_trees(lists), {token: i for i, token in enumerate(nested_lists.FLAT_TOKENS)})
