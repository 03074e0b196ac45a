"""Adding two binary numbers, least significant bit first: the carry has to live in the hidden state.

At step t the network sees bit t of ``a`` and of ``b``, and says bit t of ``a + b``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np

from saiki.arrays import Array, Params, as_count
from saiki.cells import as_cell
from saiki.engines import get_engine
from saiki.errors import ArgumentError, choose
from saiki.initializers import Scheme
from saiki.layers import Dense, Network, Recurrent
from saiki.optimizers import OPTIMIZERS
from saiki.training import Batch, Step, train

OUTPUTS = {"squared_error": ("sigmoid", 0.5), "logistic": ("identity", 0.0)}
"""For each loss: the activation of the output it is meant for, and the output from which on a bit is 1."""

DRAWN_AT_ONCE = 4096
"""Pairs to train on are drawn in blocks of about so many."""

AHEAD = 100
"""So many updates are made before the first of them is told of: no pair depends on what was learnt before."""

ALL_PAIRS_UP_TO = 12
"""With more bits than this, a random sample of the pairs is tried."""


@final
@dataclass(frozen=True)
class Adder:
    """The task of adding two numbers whose sum fits into ``bits`` bits.

    Args:
        bits: the number of bits of the sum, 2 to 32.

    Raises:
        ArgumentError: ``bits`` is out of range.

    >>> X, y = Adder(4).encode(np.array([3]), np.array([1]))
    >>> X[0].T.tolist(), y[0].tolist()
    ([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], [0.0, 0.0, 1.0, 0.0])
    """

    bits: int = 8

    def __post_init__(self) -> None:
        if as_count("bits", self.bits, 2) > 32:
            raise ArgumentError(f"bits must be at most 32; got {self.bits}.")

    @property
    def n_numbers(self) -> int:
        """How many numbers each of the two can be: those below half of what ``bits`` bits can hold."""
        return 1 << (self.bits - 1)

    @property
    def n_pairs(self) -> int:
        """How many different pairs there are."""
        return self.n_numbers**2

    def to_bits(self, numbers: Array) -> Array:
        """Return the bits ``(n, bits)`` of numbers ``(n,)``, least significant first, as float64."""
        return ((numbers[:, None] >> np.arange(self.bits)) & 1).astype(np.float64)

    def encode(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Return the inputs ``(n, bits, 2)`` and the targets ``(n, bits)`` for numbers ``(n,)``."""
        return np.stack([self.to_bits(a), self.to_bits(b)], axis=-1), self.to_bits(a + b)

    def pairs(self, codes: Array) -> tuple[Array, Array]:
        """Return the pairs with the given numbers, counted from 0 to ``n_pairs - 1``."""
        return codes // self.n_numbers, codes % self.n_numbers


@final
@dataclass(frozen=True)
class Experiment:
    """One training run on the adder: everything that decides its numbers.

    The defaults are those of the course note, with tanh units and Xavier weights: 8 bits, 2 inputs, 16 units, 1 output,
    no biases, squared error, one example at a time, 10,000 iterations. The learning rate, 0.1, is the note's in number
    only: the note adds the loss of the steps up, of which saiki takes the mean, so that the note's own 0.1 is 0.8 here.
    Activation None is the cell's own.

    Attributes:
        adder: the task.
        recurrent: the recurrent layer.
        network: that layer, and one output for each step.

    Raises:
        ArgumentError: a name that does not exist, or a number out of range.
    """

    bits: int = 8
    n_units: int = 16
    cell: str = "simple"
    activation: str | None = None
    scheme: Scheme = "xavier"
    loss: str = "squared_error"
    bias: bool = False
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    iterations: int = 10_000
    batch_size: int = 1
    seed: int = 0
    engine: str | None = None
    adder: Adder = field(init=False)
    recurrent: Recurrent = field(init=False)
    network: Network = field(init=False)

    def __post_init__(self) -> None:
        activation, _ = choose("loss", self.loss, OUTPUTS)
        get_engine(self.engine)
        choose("optimizer", self.optimizer, OPTIMIZERS)(self.learning_rate)
        as_count("iterations", self.iterations)
        as_count("batch_size", self.batch_size)
        as_count("seed", self.seed, 0)
        cell = as_cell(self.cell)
        if self.activation is not None:
            cell = cell.with_activation(self.activation)
        object.__setattr__(self, "adder", Adder(self.bits))
        object.__setattr__(self, "recurrent", Recurrent(cell, 2, self.n_units, self.bias))
        output = Dense(self.n_units, 1, activation, self.bias)
        object.__setattr__(self, "network", Network([self.recurrent, output]))
        self.init()  # an unknown scheme is refused here

    @property
    def holds_out(self) -> bool:
        """Whether some pairs are kept from training; where there are fewer than 64, each is needed for learning."""
        return self.adder.n_pairs >= 64

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the generator for one purpose, so that none changes the numbers of another."""
        purposes = ("weights", "pairs", "held out", "trial")
        return np.random.default_rng([self.seed, purposes.index(purpose)])

    def held_out(self) -> Array:
        """Return the pairs whose accuracy is watched: 256 that are never trained on, or a quarter of fewer than 1024.

        Where nothing is held out, every pair is both trained on and watched.
        """
        n_pairs = self.adder.n_pairs
        if not self.holds_out:
            return np.arange(n_pairs)
        rng, codes = self.rng("held out"), np.empty(0, np.int64)
        while len(codes) < min(256, n_pairs // 4):  # drawn singly, since 32 bits have too many pairs to shuffle
            codes = np.unique(np.append(codes, rng.integers(n_pairs)))
        return codes

    def batches(self) -> Iterator[Batch]:
        """Draw the pairs to train on, with replacement, and never one that is held out."""
        adder, rng = self.adder, self.rng("pairs")
        avoid = self.held_out() if self.holds_out else np.empty(0, np.int64)
        at_once = max(1, DRAWN_AT_ONCE // self.batch_size)
        for first in range(0, self.iterations, at_once):
            n_batches = min(at_once, self.iterations - first)
            codes = rng.integers(adder.n_pairs, size=n_batches * self.batch_size)
            while (seen := np.isin(codes, avoid)).any():
                codes[seen] = rng.integers(adder.n_pairs, size=np.count_nonzero(seen))
            X, y = adder.encode(*adder.pairs(codes))
            yield from map(Batch, np.split(X, n_batches), np.split(y, n_batches))

    def init(self) -> Params:
        """Draw the initial parameters."""
        return self.network.init(self.rng("weights"), self.scheme)

    def run(self) -> Iterator[Step]:
        """Train, and yield a ``Step`` after each iteration.

        Raises:
            DivergenceError: the loss left the finite numbers.
        """
        optimizer = OPTIMIZERS[self.optimizer](self.learning_rate)
        return train(self.network, self.init(), self.batches(), optimizer, self.loss, self.engine, ahead=AHEAD)

    def predict(self, params: Params, X: Array) -> Array:
        """Return the bits ``(n, bits)`` that the network says, as booleans."""
        with np.errstate(all="ignore"):  # a network about to diverge may overflow; training says so
            Y, _, _ = self.network.forward(params, X, engine=self.engine)
        _, threshold = OUTPUTS[self.loss]
        said: Array = Y[..., 0] > threshold
        return said

    def right_bits(self, params: Params, codes: Array) -> Array:
        """Return which bits ``(n, bits)`` the network gets right for the pairs with these numbers."""
        X, y = self.adder.encode(*self.adder.pairs(codes))
        right: Array = self.predict(params, X) == (y > 0)
        return right

    def trials(self, sample: int = 100_000, batch: int = 1 << 14) -> list[Array]:
        """Return the numbers of the pairs to try at the end, in batches.

        Every pair up to 12 bits; beyond, ``sample`` pairs drawn at random with replacement.
        """
        n_pairs = self.adder.n_pairs
        if self.bits <= ALL_PAIRS_UP_TO:
            codes = np.arange(n_pairs)
        else:
            codes = self.rng("trial").integers(n_pairs, size=sample)
        return np.split(codes, range(batch, len(codes), batch))
