"""Random networks, options and calls: the compiled engine gives the numbers of the reference, whatever came before.

A case is a network and a random sequence of calls on the same arrays, interleaved with changes in place, freed inputs
and memory filled with NaN. Both engines make the calls, each on its own copies. Every result of the compiled engine is
held to that of the reference, and a call that is made again must give the same bits.

    python -m tests.engines.fuzz --cases 10000 --seed 1
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.cells import CELLS
from saiki.engines import compiled
from saiki.layers import (
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Layer,
    LayerNorm,
    Network,
    Readout,
    Recurrent,
    Stream,
)
from saiki.losses import LOSSES
from saiki.optimizers import Optimizer, adam, chain, clip_by_norm, decay_weights, sgd
from saiki.training import Batch, train

TOLERANCE: dict[str, float] = {"float64": 1e-10, "float32": 2e-4}
"""Sums in another order and functions within 4 ulp, over at most 9 steps, a few layers and a few updates."""

NORMALISED = 20
"""How much larger the tolerance is with a LayerNorm: it divides rounding errors by the spread of few, alike, units."""

FEW_CELLS = "simple", "gru", "lstm"
ENGINES = "reference", "compiled"
LOSSES_OF_VALUES = "squared_error", "huber", "absolute_error"


def network(rng: np.random.Generator, cells: tuple[str, ...]) -> tuple[Network, int]:
    """Return a random network of 2 features, and how many outputs it has."""

    def size() -> int:
        return int(rng.choice([1, 2, 3, 5, 17]))

    layers: list[Layer] = []
    width, kind = 2, int(rng.integers(8))
    if kind == 0:
        layers.append(Conv1D(width, 3, 3, 1, 1, activation="tanh"))
        width = 3
    turned = 0
    for _ in range(int(rng.integers(1, 4))):
        layer, units = None, size()
        if kind == 1 and rng.random() < 0.5:
            layer = Bidirectional(Recurrent(str(rng.choice(cells)), width, units))
            turned = units
            layers.append(layer)
            width = 2 * units
        else:
            layers.append(Recurrent(str(rng.choice(cells)), width, units, reverse=kind == 2))
            width, turned = units, units if kind == 2 else 0
        if kind == 3:
            layers.append(LayerNorm(width))
        if kind == 4:
            layers.append(Dropout(0.5))
    readout = str(rng.choice(["none", "last", "mean", "max"], p=[0.4, 0.3, 0.2, 0.1]))
    if readout != "none":
        layers.append(Readout(readout, n_reversed=turned if readout == "last" else 0))
    n_outputs = int(rng.integers(1, 4))
    layers.append(Dense(width, n_outputs, bias=bool(rng.integers(2))))
    return Network(layers), n_outputs


def laid_differently(array: Array, rng: np.random.Generator) -> Array:
    """Return the same numbers in another layout of memory."""
    kind = rng.integers(6)
    if kind == 0:
        return np.asfortranarray(array)
    if kind == 1:  # every second row of a larger array
        larger = np.full((2 * len(array), *array.shape[1:]), np.nan, array.dtype)
        larger[::2] = array
        return larger[::2]
    if kind == 2:
        return np.ascontiguousarray(array[::-1])[::-1]
    if kind == 3:
        copied = array.copy()
        copied.flags.writeable = False
        return copied
    if kind == 4:  # not aligned
        memory = np.zeros(array.nbytes + 1, np.uint8)
        view = memory[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    return array.copy()


def poison() -> None:
    """Fill freed memory with NaN, so that a number read there shows."""
    for size in (5, 16, 50, 200, 1000, 5000):
        for _ in range(4):
            np.full(size, np.nan)


class Story:
    """One case.

    Args:
        seed: decides everything.
        cells: the names of the cells to draw from.
    """

    def __init__(self, seed: int, cells: tuple[str, ...]) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.net, self.n_outputs = network(rng, cells)
        self.dtype = str(rng.choice(["float64", "float64", "float32"]))
        normalises = any(isinstance(layer, LayerNorm) for layer in self.net.layers)
        self.tolerance = TOLERANCE[self.dtype] * (NORMALISED if normalises else 1)
        drawn = self.net.init(rng)
        start = {k: (0.5 * rng.standard_normal(v.shape)).astype(self.dtype) for k, v in drawn.items()}
        self.params: dict[str, Params] = {engine: {k: v.copy() for k, v in start.items()} for engine in ENGINES}
        self.tapes: list[Any] = []
        self.n_results = 0

    def tell(self) -> Counter[str]:
        """Make some calls in a random order; return how often each kind was made."""
        acts = [self.predict, self.learn, self.update, self.train, self.forward, self.backward, self.change_params]
        acts += [self.misspelt, self.step]
        made: Counter[str] = Counter()
        for k in self.rng.integers(len(acts), size=int(self.rng.integers(3, 8))):
            n_jobs, n_slices = int(self.rng.integers(1, 4)), [None, 1, 2, 8][int(self.rng.integers(4))]
            with pytest.MonkeyPatch.context() as patch, saiki.limit_threads(n_slices=n_slices):
                patch.setattr(compiled, "WORK_FOR_THREADS", 0)
                patch.setattr(compiled, "threads", lambda n=n_jobs: n)
                acts[k]()
            made[acts[k].__name__] += 1
            if self.rng.random() < 0.3:
                poison()
        return made

    def batch(self) -> tuple[Array, Any]:
        """Return inputs and lengths; sizes repeat, so that plans do."""
        B, T = int(self.rng.integers(1, 5)), int(self.rng.choice([1, 2, 4, 9]))
        X = self.rng.standard_normal((B, T, 2)).astype(self.dtype)
        lengths = self.rng.integers(0, T + 1, B) if self.rng.random() < 0.4 else None
        return X, lengths

    def goal(self, rows: tuple[int, ...]) -> dict[str, Any]:
        """Return a loss and fitting targets, and maybe weights and a total."""
        rng = self.rng
        loss = str(rng.choice([*LOSSES_OF_VALUES, *(["cross_entropy"] if self.n_outputs > 1 else ["logistic"])]))
        if LOSSES[loss].of_classes:
            y: Array = rng.integers(self.n_outputs, size=rows)
            if rng.random() < 0.5:
                y = np.where(rng.random(rows) < 0.3, np.nan, y)
        else:
            y = rng.random((*rows, self.n_outputs)).astype(self.dtype)
            if rng.random() < 0.3:
                y = np.where(rng.random(y.shape) < 0.3, np.nan, y)
        options: dict[str, Any] = {}
        if rng.random() < 0.5:
            scale = float(rng.choice([1.0, 1e-42, 1e-310, 1e30, 1e300]))
            options["sample_weight"] = (rng.random(rows if rng.random() < 0.5 else rows[:1]) + 0.1) * scale
            if rng.random() < 0.3:
                options["sample_weight"][0] = 0
            if rng.random() < 0.3:
                options["total"] = 3.5 * scale if scale > 1e-300 else None
        elif rng.random() < 0.2:
            options["total"] = 3.5
        return {"y": y, "loss": loss, **options}

    def same(self, results: dict[str, Any], what: str) -> None:
        """Hold the results of the compiled engine to those of the reference."""
        one, other = (flat(results[engine]) for engine in ENGINES)
        assert len(one) == len(other), what
        for a, b in zip(one, other, strict=True):
            scale = max(1.0, float(np.abs(a[np.isfinite(a)]).max(initial=0)))
            np.testing.assert_allclose(b, a, atol=self.tolerance * scale, rtol=self.tolerance, err_msg=what)
            self.n_results += 1

    def call(self, function: Callable[[str, Params], Any], what: str, pure: bool = True) -> None:
        """Make a call with both engines; a pure call again, after others, for the same bits."""
        results = {engine: function(engine, self.params[engine]) for engine in ENGINES}
        self.same(results, what)
        if pure and self.rng.random() < 0.5:
            poison()
            again = function("compiled", self.params["compiled"])
            for a, b in zip(flat(results["compiled"]), flat(again), strict=True):
                np.testing.assert_array_equal(b, a, err_msg=f"{what}, again")

    def predict(self) -> None:
        X, lengths = self.batch()
        X = laid_differently(X, self.rng)
        self.call(lambda engine, p: self.net.predict(p, X, lengths=lengths, engine=engine), "predict")

    def rows(self, X: Array, lengths: Any) -> tuple[int, ...]:
        return self.net.predict(self.params["reference"], X, lengths=lengths, engine="reference")[0].shape[:-1]

    def learn(self) -> None:
        X, lengths = self.batch()
        goal, X = self.goal(self.rows(X, lengths)), laid_differently(X, self.rng)
        tbptt = int(self.rng.integers(1, 5)) if self.rng.random() < 0.15 else None

        def learn(engine: str, params: Params) -> Any:
            value, grads = self.net.loss_and_gradients(params, X, lengths=lengths, engine=engine, tbptt=tbptt, **goal)
            return value, dict(sorted(grads.params.items())), grads.X, grads.state

        self.call(learn, f"learn {goal['loss']}")

    def optimizer(self) -> Optimizer:
        return [
            lambda: sgd(0.05),
            lambda: sgd(0.05, decay=0.5),
            lambda: chain(clip_by_norm(0.1), sgd(0.05)),
            lambda: chain(decay_weights(0.1), adam(0.01)),
        ][int(self.rng.integers(4))]()

    def update(self) -> None:
        """Make updates one after another; the parameters after them are those of the rest of the story."""
        optimizer, n = self.optimizer(), int(self.rng.integers(1, 4))
        batches = []
        for _ in range(n):
            X, lengths = self.batch()
            batches.append((X, lengths, self.goal(self.rows(X, lengths))))
        again = self.rng.random() < 0.5  # from the same parameters, which are not changed

        def updates(engine: str, params: Params) -> Any:
            state, losses = optimizer.init(params), []
            for X, lengths, goal in batches:
                made = self.net.update(params, optimizer, state, X, lengths=lengths, engine=engine, **goal)
                params, state = made.params, made.optimizer_state
                losses.append(made.loss)
            if not again:
                self.params[engine] = params
            return losses, params

        self.call(updates, "update", pure=again)

    def train(self) -> None:
        """Train ahead from the same parameters several times, which begins with the same losses each time."""
        if self.net.has_dropout:
            return
        optimizer, ahead = self.optimizer(), int(self.rng.choice([1, 2, 10]))
        X, lengths = self.batch()
        goal = self.goal(self.rows(X, lengths))
        if self.rng.random() < 0.6:  # the case that is made in one go
            lengths = None
            goal = {"y": self.rng.random((*self.rows(X, None), self.n_outputs)).astype(self.dtype), "loss": "huber"}
        loss = goal.pop("loss")
        batches = [Batch(X, lengths=lengths, **goal)] * int(self.rng.integers(1, 8))

        def losses(engine: str, params: Params) -> Any:
            steps = list(train(self.net, params, batches, optimizer, loss, engine, ahead=ahead))
            return [step.loss for step in steps], steps[-1].params

        self.call(losses, f"train {ahead} ahead")

    def forward(self) -> None:
        X, lengths = self.batch()
        found = {engine: self.net.forward(self.params[engine], X, lengths=lengths, engine=engine) for engine in ENGINES}
        X[...] = np.nan  # the tape has its own
        self.same({engine: found[engine][:2] for engine in ENGINES}, "forward")
        self.tapes.append((found, {engine: dict(self.params[engine]) for engine in ENGINES}))
        if len(self.tapes) > 3:
            self.tapes.pop(0)

    def backward(self) -> None:
        """Run backwards from some tape, maybe not the last, maybe not for the first time."""
        if not self.tapes:
            return
        found, params = self.tapes[int(self.rng.integers(len(self.tapes)))]
        dH = self.rng.standard_normal(found["reference"][0].shape).astype(self.dtype)
        tbptt = int(self.rng.integers(1, 5)) if self.rng.random() < 0.2 else None
        results = {}
        for engine in ENGINES:
            grads = self.net.backward(params[engine], found[engine][2], dH, tbptt=tbptt)
            results[engine] = dict(sorted(grads.params.items())), grads.X, grads.state
        self.same(results, "backward")
        if self.rng.random() < 0.3:
            self.tapes.clear()

    def change_params(self) -> None:
        """Change parameters in place, which tapes see in their backward pass, or put other arrays in their place."""
        name = str(self.rng.choice(sorted(self.params["reference"])))
        kind, factor = int(self.rng.integers(3)), float(self.rng.choice([-1.0, 0.5, 1.5]))
        for engine in ENGINES:
            params = self.params[engine]
            if kind == 0 and params[name].flags.writeable:
                params[name] *= params[name].dtype.type(factor)
            elif kind == 1:
                self.params[engine] = {**params, name: params[name] * params[name].dtype.type(factor)}
            else:
                layout = np.random.default_rng(int(1000 * factor) + 1000)
                self.params[engine] = {k: laid_differently(v, layout) for k, v in params.items()}

    def misspelt(self) -> None:
        """A wrong name, or a missing parameter, is the same error from both engines."""
        X, _ = self.batch()
        name = str(self.rng.choice(sorted(self.params["reference"])))
        for engine in ENGINES:
            wrong = dict(self.params[engine])
            wrong[f"{name}x"] = wrong.pop(name)
            with pytest.raises(saiki.ArgumentError, match="params must have the keys"):
                self.net.predict(wrong, X, engine=engine)

    def step(self) -> None:
        try:
            streams = {engine: Stream(self.net, self.params[engine], engine) for engine in ENGINES}
        except saiki.ArgumentError:  # a network that does not run step by step
            return
        X, states = self.rng.standard_normal((4, 2)).astype(self.dtype), dict.fromkeys(ENGINES)
        for x in X:
            y = {}
            for engine in ENGINES:
                y[engine], states[engine] = streams[engine].step(x, states[engine])
            self.same({engine: (y[engine], states[engine]) for engine in ENGINES}, "step")
            poison()


def flat(tree: Any) -> list[Array]:
    """Return the arrays and numbers of nested tuples, lists and dicts."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return [array for part in tree for array in flat(part)]
    return [] if tree is None else [np.asarray(tree)]


def run(seed: int, cells: tuple[str, ...] = FEW_CELLS) -> Counter[str]:
    """Act out one case; an error names its seed."""
    try:
        story = Story(seed, cells)
        made = story.tell()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    made["results"] = story.n_results
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    failed, start = [], time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.cases):
        try:
            total += run(seed, tuple(CELLS))
        except AssertionError as error:
            failed.append(seed)
            print(error)
    print(f"{arguments.cases} cases, {len(failed)} failed {failed[:20]}, {time.monotonic() - start:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in total.most_common()))


if __name__ == "__main__":
    main()
