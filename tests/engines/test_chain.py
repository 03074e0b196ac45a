"""A network run at once gives the numbers of its layers run one by one, and leaves them what it does not know."""

import functools
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.engines import compiled, plan
from saiki.layers import Dense, Dropout, Network, Readout
from saiki.losses import LOSSES, Loss, cross_entropy, huber
from saiki.optimizers import OPTIMIZERS, Optimizer, chain, clip_by_norm, clip_by_value, decay_weights, follow, sgd
from saiki.optimizers import Rule as UpdateRule
from saiki.training import Batch, train

# Sums in another order, and tanh and sigmoid within 4 ulp, over 7 steps on values near 1.
TOLERANCE: dict[Any, float] = {np.float64: 1e-12, np.float32: 1e-5}
# RMSprop's first updates divide a gradient near zero by its own size: what rounding left of it decides the sign.
AFTER_UPDATES: dict[Any, float] = {np.float64: 1e-9, np.float32: 1e-2}

NETWORKS = {
    "each step": Network([saiki.LSTM(3, 5), Dense(5, 4)]),
    "last": Network([saiki.GRU(3, 5), Dropout(0.2), Readout("last"), Dense(5, 4)]),
    "mean, three layers": Network(
        [saiki.SimpleRNN(3, 20), saiki.GRU(20, 6), Readout("mean"), Dense(6, 3, "tanh"), Dense(3, 4, bias=False)]
    ),
    "nested": Network([Network([saiki.Recurrent("mgu", 3, 4), Readout("each")]), Dense(4, 4, "relu")]),
}
LENGTHS = [None, [7, 0, 3, 1, 6]]


def numbers(net: Network, dtype: Any, rng: np.random.Generator) -> tuple[Params, Array]:
    params = {k: (0.5 * rng.standard_normal(v.shape)).astype(dtype) for k, v in net.init(rng).items()}
    return params, rng.standard_normal((5, 7, 3)).astype(dtype)


def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every run of a plan will add its name."""
    run, runs = plan.Plan.run, []

    def noted(self: plan.Plan, name: str) -> None:
        runs.append(name)
        run(self, name)

    monkeypatch.setattr(plan.Plan, "run", noted)
    return runs


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_losses_and_gradients(
    name: str, dtype: Any, slices: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    monkeypatch.setattr(compiled, "threads", lambda: slices)
    runs, net = ran(monkeypatch), NETWORKS[name]
    params, X = numbers(net, dtype, rng)
    for lengths in LENGTHS:
        Y, state, _ = net.forward(params, X, lengths=lengths, engine="reference")
        Y2, state2 = net.predict(params, X, lengths=lengths, engine="compiled")
        np.testing.assert_allclose(Y2, Y, atol=TOLERANCE[dtype])
        for one, other in zip(flat(state), flat(state2), strict=True):
            np.testing.assert_allclose(other, one, atol=TOLERANCE[dtype])
        for loss in ("squared_error", cross_entropy(0.1), "logistic", huber(0.3), "absolute_error"):
            of_classes = isinstance(loss, Loss) and loss.of_classes
            y = rng.integers(4, size=Y.shape[:-1]) if of_classes else rng.random(Y.shape)
            value, grads = net.loss_and_gradients(params, X, y, loss, lengths, engine="reference")
            value2, grads2 = net.loss_and_gradients(params, X, y, loss, lengths, engine="compiled")
            assert type(value2) is dtype
            np.testing.assert_allclose(value2, value, rtol=100 * TOLERANCE[dtype])
            np.testing.assert_allclose(grads2.X, grads.X, atol=TOLERANCE[dtype])
            assert list(grads2) == list(params)
            for k in params:
                np.testing.assert_allclose(grads2[k], grads[k], atol=TOLERANCE[dtype])
    assert runs == (["predict"] + ["learn", "hand out dX"] * 5) * 2


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(
    name: str, dtype: Any, slices: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    monkeypatch.setattr(compiled, "threads", lambda: slices)
    runs, net = ran(monkeypatch), NETWORKS["last"]
    params, X = numbers(net, dtype, rng)
    batches = [Batch(X, rng.integers(4, size=5)) for _ in range(4)]
    links = [(), (clip_by_norm(0.05),), (clip_by_norm(1e6), clip_by_value(0.01), decay_weights(0.1))]
    for before in links:
        optimizer = chain(*before, OPTIMIZERS[name](0.01)) if before else OPTIMIZERS[name](0.01)
        plain = Network([saiki.GRU(3, 5), Readout("last"), Dense(5, 4)])  # training drops nothing here
        own = {k.replace("3/", "2/"): v for k, v in params.items()}
        one, other = (
            list(train(plain, own, batches, optimizer, "cross_entropy", engine)) for engine in ("reference", "compiled")
        )
        np.testing.assert_allclose([s.loss for s in other], [s.loss for s in one], rtol=AFTER_UPDATES[dtype])
        for k in own:
            assert other[-1].params[k].dtype == dtype
            np.testing.assert_allclose(other[-1].params[k], one[-1].params[k], atol=AFTER_UPDATES[dtype])
        sizes = [[np.shape(a) for a in flat_state(step[-1].optimizer_state)] for step in (one, other)]
        assert sizes[0] == sizes[1]
    assert runs == ["train"] * 4 * len(links)


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["each step", "last"])
def test_weights_and_missing_targets(
    name: str, dtype: Any, slices: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    monkeypatch.setattr(compiled, "threads", lambda: slices)
    runs, net = ran(monkeypatch), NETWORKS[name]
    params, X = numbers(net, dtype, rng)
    for lengths in LENGTHS:
        rows = net.predict(params, X, lengths=lengths)[0].shape[:-1]
        classes = rng.integers(4, size=rows).astype(dtype)
        some = np.where(rng.random(rows) < 0.4, np.nan, classes)
        weights = [None, rng.random(5), rng.random(rows), np.array([0, 0, 1, 2, 0])]
        runs.clear()
        for y, weight, total in itertools.product([classes, some, np.full(rows, np.nan)], weights, [None, 2.5]):
            value, grads = net.loss_and_gradients(
                params, X, y, "cross_entropy", lengths, weight, engine="reference", total=total
            )
            value2, grads2 = net.loss_and_gradients(
                params, X, y, "cross_entropy", lengths, weight, engine="compiled", total=total
            )
            np.testing.assert_allclose(value2, value, rtol=100 * TOLERANCE[dtype], atol=TOLERANCE[dtype])
            for k in params:
                np.testing.assert_allclose(grads2[k], grads[k], atol=TOLERANCE[dtype])
        assert runs.count("learn") == 24  # none was left to the layers
        net.loss_and_gradients(params, X, classes, "cross_entropy", lengths)  # which knows no weights any more
        plain = net.loss_and_gradients(params, X, classes, "cross_entropy", lengths, engine="reference")[0]
        np.testing.assert_allclose(net.loss_and_gradients(params, X, classes, "cross_entropy", lengths)[0], plain, 1e-5)


@pytest.mark.parametrize("weight", [-np.ones(5), np.full(5, np.nan), np.ones(4), "heavy"])
def test_weights_that_are_none_are_refused_as_ever(weight: Any, rng: np.random.Generator) -> None:
    net = NETWORKS["last"]
    params, X = numbers(net, np.float64, rng)
    with pytest.raises(saiki.SaikiError, match="sample_weight"):
        net.loss_and_gradients(params, X, np.zeros(5, int), sample_weight=weight)
    with pytest.raises(saiki.ArgumentError, match="total"):
        net.loss_and_gradients(params, X, np.zeros(5, int), total=0.0)


def test_what_is_out_of_the_ordinary_is_left_to_the_layers(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = NETWORKS["each step"]
    params, X = numbers(net, np.float64, rng)
    y = rng.standard_normal((5, 7, 4))
    missing = np.where(rng.random(y.shape) < 0.5, np.nan, y)
    cases: list[dict[str, Any]] = [
        {"y": missing},
        {"sample_weight": rng.random(5) * 1e200},
        {"state": ((np.ones((5, 5)), np.ones((5, 5))), None)},
        {"tbptt": 3},
        {"X": X.tolist()},
        {"X": rng.integers(3, size=X.shape)},
        {"X": np.asfortranarray(X)},
        {"y": y.tolist()},
        {"y": y.astype(np.float32)},
        {"y": rng.integers(4, size=(5, 7)).astype(float), "loss": "cross_entropy"},
        {"y": np.full((5, 7, 4), 0.25), "loss": "cross_entropy"},
        {"params": {k: np.asfortranarray(v) for k, v in reversed(params.items())}},
        {"loss": Loss(lambda v, t: (np.asarray([(v - t) ** 2])[0], 2 * (v - t)))},  # Numba makes no array of this
    ]
    for change in cases:
        arguments: dict[str, Any] = {"params": params, "X": X, "y": y, "loss": "squared_error"} | change
        value, grads = net.loss_and_gradients(**arguments, engine="reference")
        value2, grads2 = net.loss_and_gradients(**arguments, engine="compiled")
        np.testing.assert_allclose(value2, value, rtol=1e-12)
        for k in params:
            np.testing.assert_allclose(grads2[k], grads[k], atol=1e-12)


def test_an_optimizer_of_ones_own(rng: np.random.Generator) -> None:
    """One with a rule is compiled, one without is called, and one that Numba does not understand is called too."""
    net = Network([saiki.SimpleRNN(3, 5), Dense(5, 1)])
    params, X = net.init(rng), rng.standard_normal((5, 7, 3))
    signs = follow(UpdateRule(lambda g, w: -0.01 * np.sign(g)))
    called = Optimizer(signs.init, signs.update)
    odd = follow(UpdateRule(lambda g, w: np.stack([-0.01 * np.sign(g)])[0]))
    results = [
        [step.params for step in train(net, params, [Batch(X, X[..., 0])] * 3, optimizer, "squared_error")][-1]
        for optimizer in (signs, called, odd)
    ]
    for k in params:
        np.testing.assert_allclose(results[0][k], results[1][k], atol=1e-12)
        np.testing.assert_allclose(results[0][k], results[2][k], atol=1e-12)


def test_nothing_handed_out_is_written_to_again(rng: np.random.Generator) -> None:
    net = NETWORKS["each step"]
    params, X = numbers(net, np.float64, rng)
    y, optimizer = rng.standard_normal((5, 7, 4)), sgd(0.1, decay=0.9)

    def results(X: Array) -> list[Array]:
        Y, state = net.predict(params, X)
        _, grads = net.loss_and_gradients(params, X, y, "squared_error")
        update = net.update(params, optimizer, optimizer.init(params), X, y, "squared_error")
        memories = [m for one in optimizer.apart(update.optimizer_state) for memory in one[0] for m in memory.values()]
        return [Y, *flat(state), grads.X, *grads.params.values(), *update.params.values(), *memories]

    kept = results(X)
    copies = [array.copy() for array in kept]
    results(2 * X)
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_tape_outlives_other_runs_of_its_layer(rng: np.random.Generator) -> None:
    layer = saiki.GRU(3, 5)
    params, X = layer.init(rng), rng.standard_normal((4, 6, 3))
    H, _, tape = layer.forward(params, X)
    expected = layer.backward(params, tape, np.ones_like(H))["Wh"].copy()
    inner = tape.content.tape.states["h"]
    before = inner.copy()
    for _ in range(3):
        layer.backward(params, layer.forward(params, 3 * X)[2], np.ones_like(H))
    np.testing.assert_array_equal(layer.backward(params, tape, np.ones_like(H))["Wh"], expected)
    del tape
    for _ in range(3):
        layer.forward(params, 3 * X)
    np.testing.assert_array_equal(inner, before)


def test_parameters_changed_in_place_are_seen(rng: np.random.Generator) -> None:
    net = NETWORKS["each step"]
    params, X = numbers(net, np.float64, rng)
    net.predict(params, X)
    params["0/Wh"] *= 2
    np.testing.assert_allclose(net.predict(params, X)[0], net.forward(params, X, engine="reference")[0], atol=1e-12)


def test_several_python_threads_at_once(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    net = NETWORKS["last"]
    params, batches = net.init(rng), [rng.standard_normal((16, 30, 3)) for _ in range(8)]
    y = rng.integers(4, size=16)

    def work(X: Array) -> tuple[Array, Array]:
        return net.predict(params, X)[0], net.loss_and_gradients(params, X, y)[1]["0/Wh"]

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for one, other in zip(pool.map(work, batches), map(work, batches), strict=True):
                np.testing.assert_array_equal(one[0], other[0])
                np.testing.assert_array_equal(one[1], other[1])


def test_outputs_never_depend_on_the_number_of_threads_and_gradients_need_not(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WORK_FOR_THREADS", 0)
    net = Network([saiki.LSTM(3, 40), Dense(40, 2)])
    params, X = net.init(rng, dtype=np.float32), rng.standard_normal((21, 9, 3)).astype(np.float32)
    results = []
    for n_threads in (1, 2, 3, 5):
        monkeypatch.setattr(compiled, "threads", lambda n=n_threads: n)
        Y, _ = net.predict(params, X)
        with saiki.limit_threads(n_slices=5):
            results.append([Y, *net.loss_and_gradients(params, X, X[..., :2], "huber")[1].values()])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("limit", ["KEPT", "MOST_KEPT"])
def test_idle_plans_are_forgotten(limit: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, limit, 0)
    net = NETWORKS["each step"]
    params, X = numbers(net, np.float64, rng)
    for T in range(1, 8):
        net.predict(params, X[:, :T])
    assert sum(len(plans) for plans in compiled._idle.values()) == 1


def flat(state: Any) -> list[Array]:
    if isinstance(state, tuple):
        return [array for part in state for array in flat(part)]
    return [] if state is None else [state]


def flat_state(state: Any) -> list[Any]:
    if isinstance(state, tuple | list):
        return [array for part in state for array in flat_state(part)]
    return [state[name] for name in sorted(state)] if isinstance(state, dict) else [state]


def test_every_loss_was_tried() -> None:
    assert set(LOSSES) == {"squared_error", "absolute_error", "huber", "logistic", "cross_entropy"}


def test_parameters_of_a_subclass_are_their_numbers(rng: np.random.Generator) -> None:
    class Marked(np.ndarray):  # as np.load(..., mmap_mode="r") gives them
        pass

    layer = saiki.GRU(3, 4)
    params, X = layer.init(rng), rng.standard_normal((2, 5, 3))
    marked: Params = {k: v.view(Marked) for k, v in params.items()}
    H, _, tape = layer.forward(params, X)
    H2, _, tape2 = layer.forward(marked, X)
    np.testing.assert_array_equal(H2, H)
    for one, other in zip(
        layer.backward(params, tape, H).values(), layer.backward(marked, tape2, H).values(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(layer.predict(marked, X)[0], H)
    np.testing.assert_allclose(saiki.Stream(layer, marked).step(X[0, 0])[0], H[0, 0], atol=1e-14)


def test_one_precision_from_the_tape_to_the_gradient(rng: np.random.Generator) -> None:
    layer = saiki.GRU(3, 4)
    params, X = layer.init(rng), rng.standard_normal((2, 5, 3))
    H, _, tape = layer.forward(params, X)
    small = {k: v.astype(np.float32) for k, v in params.items()}
    with pytest.raises(saiki.DtypeError, match="dH must keep to the precision of the tape, float64; got float32"):
        layer.backward(small, tape, H.astype(np.float32))
    with pytest.raises(saiki.DtypeError, match=r"takes parameters .* float64; got complex128.* use engine='reference'"):
        layer.forward({k: v + 0j for k, v in params.items()}, X)
    with pytest.raises(saiki.ArgumentError, match="tape must be what forward returned in this process"):
        layer.backward(params, pickle.loads(pickle.dumps(tape)), H)


def test_parameters_whose_shape_is_changed_in_place_are_seen(rng: np.random.Generator) -> None:
    layer = saiki.SimpleRNN(2, 3)
    params, X = layer.init(rng), rng.standard_normal((2, 5, 2))
    layer.predict(params, X)
    params["Wx"].shape = (3, 2)
    with pytest.raises(saiki.ShapeError, match=r"params\['Wx'\] must have shape"):
        layer.predict(params, X)


def test_functions_that_differ_in_what_they_hold_are_different_kernels() -> None:
    net = Network([saiki.SimpleRNN(2, 3), Dense(3, 1)])
    params, X = net.init(np.random.default_rng(0)), np.ones((2, 4, 2))
    y = np.zeros((2, 4))

    def weighted(factor: float) -> Loss:
        return Loss(lambda v, t, by=factor: (by * (v - t) ** 2 / 2, by * (v - t)))

    def indexed(factors: Array) -> Loss:
        return Loss(lambda v, t: (factors[1000] * (v - t) ** 2 / 2, factors[1000] * (v - t)))

    many: Array = np.ones(2000)
    others = many.copy()
    others[1000] = 5
    for one, five in ((weighted(1), weighted(5)), (indexed(many), indexed(others))):
        single, fivefold = (net.loss_and_gradients(params, X, y, loss)[0] for loss in (one, five))
        assert fivefold == pytest.approx(5 * single)


def test_what_needs_the_time_axis_after_a_readout_is_refused_by_both_engines(rng: np.random.Generator) -> None:
    for late in (saiki.SimpleRNN(3, 2), Readout("mean")):
        net = Network([saiki.SimpleRNN(2, 3), Readout("last"), late])
        for engine in ("reference", "compiled"):
            with pytest.raises(saiki.ArgumentError, match="needs the time axis; put it before the readout"):
                net.predict(net.init(rng), np.ones((2, 4, 2)), engine=engine)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients_of_the_initial_state(lengths: Any, rng: np.random.Generator) -> None:
    for name in ("each step", "mean, three layers"):
        net = NETWORKS[name]
        params, X = numbers(net, np.float64, rng)
        y = rng.random(net.predict(params, X)[0].shape)
        one, other = (
            net.loss_and_gradients(params, X, y, "huber", lengths, engine=engine)[1].state
            for engine in ("reference", "compiled")
        )
        assert [part is None for part in one] == [part is None for part in other]
        for a, b in zip(flat(one), flat(other), strict=True):
            np.testing.assert_allclose(b, a, atol=1e-12)


def test_targets_are_judged_before_they_are_rounded(rng: np.random.Generator) -> None:
    net = Network([saiki.SimpleRNN(2, 3), Dense(3, 1)])
    params = net.init(rng, dtype=np.float32)
    with pytest.raises(saiki.ArgumentError, match="y must lie between 0 and 1"):
        net.loss_and_gradients(params, np.ones((1, 1, 2), np.float32), [[1 + 1e-9]], "logistic")
    with pytest.raises(saiki.DtypeError, match="y must be one array; got a list of parts"):
        net.loss_and_gradients(params, np.ones((2, 2, 2), np.float32), [[1.0, 0.0], [1.0]], "logistic")


@pytest.mark.parametrize("share", [0.5, 0.9, 1.1, 1.9])
def test_clipping_near_the_limit(share: float, rng: np.random.Generator) -> None:
    net = Network([saiki.SimpleRNN(2, 3), Dense(3, 1)])
    params, X, y = net.init(rng), rng.standard_normal((2, 4, 2)), rng.standard_normal((2, 4))
    _, grads = net.loss_and_gradients(params, X, y, "huber")
    norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
    optimizer = chain(clip_by_norm(float(share * norm)), sgd(1.0))
    one, other = (
        net.update(params, optimizer, optimizer.init(params), X, y, "huber", engine=engine).params
        for engine in ("reference", "compiled")
    )
    for k in params:
        np.testing.assert_allclose(other[k], one[k], atol=1e-13)


def test_no_sequences_in_slices() -> None:
    layer = saiki.LSTM(2, 3)
    with saiki.limit_threads(n_slices=4):
        H, _, _ = layer.forward(layer.init(np.random.default_rng(0)), np.zeros((0, 4, 2)))
        assert H.shape == (0, 4, 3)


def test_functions_without_code_are_called() -> None:
    net = Network([saiki.SimpleRNN(2, 3), Dense(3, 1)])
    params, X, y = net.init(np.random.default_rng(0)), np.ones((2, 4, 2)), np.zeros((2, 4))
    by_name, _ = net.loss_and_gradients(params, X, y, "squared_error")
    partly, _ = net.loss_and_gradients(params, X, y, Loss(functools.partial(LOSSES["squared_error"].function)))
    assert partly == pytest.approx(by_name)
