"""A plan holds the arrays that it has addresses of, for one call, and comes back whatever the call ends with."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.arrays import Array, Params
from saiki.engines import compiled
from saiki.layers import Dense, Network, Readout
from saiki.optimizers import adam
from saiki.training import Batch, train

NET = Network([saiki.SimpleRNN(2, 4), Dense(4, 1)])


def problem(rng: np.random.Generator) -> tuple[Params, Array, Array]:
    return NET.init(rng), rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5, 1))


def n_plans() -> int:
    for plan in compiled._loans.returned():
        compiled._put_back(plan)
    return sum(map(len, compiled._idle.values())) + len(compiled._loans._lent)


def test_training_ahead_starts_from_the_given_parameters_every_time(rng: np.random.Generator) -> None:
    params, X, y = problem(rng)
    truth = NET.loss_and_gradients(params, X, y, "squared_error", engine="reference")[0]
    optimizer = adam(0.01)
    for _ in range(3):
        steps = list(train(NET, params, [Batch(X, y)] * 100, optimizer, "squared_error", ahead=100))
        assert steps[0].loss == pytest.approx(truth, rel=1e-12)
    update = NET.update(params, optimizer, optimizer.init(params), X, y, "squared_error")
    assert update.loss == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("n_slices", [1, 2, 8])
def test_training_ahead_in_slices_is_training_update_by_update(n_slices: int, rng: np.random.Generator) -> None:
    params, X, y = problem(rng)
    with saiki.limit_threads(n_slices=n_slices):
        one, other = (
            list(train(NET, params, [Batch(X, y)] * 7, adam(0.01), "squared_error", ahead=ahead)) for ahead in (1, 10)
        )
    for a, b in zip(one, other, strict=True):
        assert a.loss == b.loss
        for name in params:
            np.testing.assert_array_equal(a.params[name], b.params[name])


def test_an_idle_plan_has_no_address_and_holds_no_array(rng: np.random.Generator) -> None:
    params, X, y = problem(rng)
    optimizer = adam(0.01)
    alive = [weakref.ref(array) for array in (X, y, *params.values())]
    NET.predict(params, X)
    NET.loss_and_gradients(params, X, y, "squared_error")
    update = NET.update(params, optimizer, optimizer.init(params), X, y, "squared_error")
    list(train(NET, params, [Batch(X, y)] * 5, optimizer, "squared_error", ahead=5))
    layer = NET.layers[0]
    H, _, tape = layer.forward({k[2:]: v for k, v in params.items() if k.startswith("0/")}, X)
    layer.backward({k[2:]: v for k, v in params.items() if k.startswith("0/")}, tape, H)
    del params, X, y, update, tape
    gc.collect()
    assert [ref() for ref in alive] == [None] * len(alive)
    n_plans()
    for plans in compiled._idle.values():
        for plan in plans:
            assert not plan._addresses.any()
            assert not plan.held


def misspelt(params: Params) -> Params:
    return {("0/Wxx" if name == "0/Wx" else name): array for name, array in params.items()}


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_misspelt_names_are_refused_and_leave_nothing_behind(engine: str, rng: np.random.Generator) -> None:
    params, X, y = problem(rng)
    optimizer = adam(0.01)
    state = optimizer.init(params)
    calls: list[Any] = [
        lambda: NET.predict(misspelt(params), X, engine=engine),
        lambda: NET.loss_and_gradients(misspelt(params), X, y, "squared_error", engine=engine),
        lambda: NET.update(misspelt(params), optimizer, state, X, y, "squared_error", engine=engine),
        lambda: saiki.Stream(NET, misspelt(params), engine),
    ]
    for call in calls * 2:
        with pytest.raises(saiki.ArgumentError, match="params must have the keys"):
            call()
    before = n_plans()
    for call in calls * 20:
        with pytest.raises(saiki.ArgumentError):
            call()
    assert n_plans() == before


def test_an_error_in_a_call_drops_its_plan(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    params, X, _ = problem(rng)
    expected = NET.predict(params, X)[0]
    NET.predict(params, X[:2])
    before = n_plans()

    def interrupted(self: Any, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("saiki.engines.plan.Plan.run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            NET.predict(params, X)
    gc.collect()
    assert n_plans() == before - 1
    np.testing.assert_array_equal(NET.predict(params, X)[0], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-42, 1e-310, 1e-30, 1e30, 1e300])
def test_weights_scaled_alike_give_the_same_loss(scale: float, dtype: str, rng: np.random.Generator) -> None:
    net = Network([saiki.SimpleRNN(2, 4), Readout("last"), Dense(4, 3)])
    params, X = net.init(rng, dtype=dtype), rng.standard_normal((4, 5, 2)).astype(dtype)
    y, weights = np.array([0, 2, 1, 1]), np.array([0.5, 0.0, 2.0, 1.0])
    for each in (weights, weights[:, None] * np.ones(5)):
        model, targets = (net, y) if each is weights else (NET, np.ones((4, 5, 1), dtype))
        own = params if each is weights else {k: v.astype(dtype) for k, v in NET.init(rng).items()}
        loss = "cross_entropy" if each is weights else "huber"
        plain, grads = model.loss_and_gradients(own, X, targets, loss, sample_weight=each)
        scaled, others = model.loss_and_gradients(own, X, targets, loss, sample_weight=each * scale)
        tolerance = 1e-6 if dtype == "float32" else 1e-12  # weights of 1e-310 have twelve digits
        np.testing.assert_allclose(scaled, plain, rtol=tolerance)
        for name in own:
            np.testing.assert_allclose(others[name], grads[name], rtol=10 * tolerance, atol=tolerance)


def test_every_call_of_an_estimator_sees_parameters_that_were_changed_in_place(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((20, 5, 2)), rng.integers(2, size=20)
    classifier = saiki.RNNClassifier(hidden_layer_sizes=3, max_iter=2, random_state=0).fit(X, y)

    def stepped() -> Array:
        state: Any = None
        for x in X[0]:
            _, state = classifier.step(x, state)
        return next(iter(state.values()))

    before = stepped()
    for name in sorted(classifier.params_):
        classifier.params_[name][...] *= -3
        after, network = stepped(), classifier.network_
        seen = X[:1] if not hasattr(classifier, "_scaling") else classifier._scaling.apply(X[:1], np.float64)
        _, state = network.predict(classifier.params_, seen, engine="reference")
        np.testing.assert_allclose(after.ravel(), np.ravel(state[0]), atol=1e-12)
    assert not np.allclose(before, after)
