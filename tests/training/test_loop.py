"""The training loop."""

import itertools
from typing import Any

import numpy as np
import pytest

import saiki
from saiki.engines import plan
from saiki.optimizers import Optimizer, adam, sgd
from saiki.training import Batch, train

NET = saiki.Network([saiki.SimpleRNN(1, 4, "relu"), saiki.Dense(4, 1)])
BATCH = Batch(np.ones((2, 3, 1)), np.ones((2, 3)))


def test_each_step_is_one_update(rng: np.random.Generator) -> None:
    params = NET.init(rng)
    steps = list(train(NET, params, [BATCH] * 3, sgd(0.1), "squared_error"))
    expected = params
    for i, step in enumerate(steps, start=1):
        loss, grads = NET.loss_and_gradients(expected, BATCH.X, BATCH.y, "squared_error")
        expected = {k: expected[k] - 0.1 * grads[k] for k in expected}
        assert step.iteration == i
        assert step.loss == pytest.approx(loss, rel=1e-13)
        for k in expected:
            np.testing.assert_allclose(step.params[k], expected[k], rtol=1e-13)  # w + u may be rounded once, not twice


def test_the_starting_parameters_are_not_changed(rng: np.random.Generator) -> None:
    params = NET.init(rng)
    before = {k: v.copy() for k, v in params.items()}
    list(train(NET, params, [BATCH], sgd(0.1), "squared_error"))
    for k in params:
        np.testing.assert_array_equal(params[k], before[k])


def test_a_listener_may_leave_an_endless_stream(rng: np.random.Generator) -> None:
    for step in train(NET, NET.init(rng), itertools.repeat(BATCH), sgd(0.01), "squared_error"):
        if step.iteration == 5:
            break
    assert step.iteration == 5


def test_divergence_names_the_iteration_and_what_to_try() -> None:
    params = NET.init(np.random.default_rng(0))
    with pytest.raises(saiki.DivergenceError, match=r"became (inf|nan) at iteration \d+: .* smaller learning rate"):
        list(train(NET, params, [BATCH] * 200, sgd(1e6), "squared_error"))


def test_a_learning_rate_must_be_positive() -> None:
    with pytest.raises(saiki.ArgumentError, match="learning_rate must be a positive, finite number; got -1"):
        sgd(-1)


def test_an_update_that_leaves_the_finite_numbers_is_seen_at_once() -> None:
    params = {"0/Wx": np.ones((1, 4)), "0/Wh": np.zeros((4, 4)), "0/b": np.zeros(4)}
    params |= {"1/W": np.ones((4, 1)), "1/b": np.zeros(1)}
    with pytest.raises(saiki.DivergenceError, match="no longer finite after iteration 1"):
        list(train(NET, params, [Batch(np.full((1, 1, 1), 1e150), np.zeros((1, 1)))], sgd(1e100), "squared_error"))


def test_dropout_needs_a_source_and_uses_it(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(1, 8), saiki.Dropout(0.5), saiki.Dense(8, 1)])
    params = net.init(rng)
    with pytest.raises(saiki.ArgumentError, match="rng: the network has dropout, which needs a source"):
        list(train(net, params, [BATCH], sgd(0.1), "squared_error"))

    def losses(seed: int) -> list[float]:
        steps = train(net, params, [BATCH] * 5, sgd(0.1), "squared_error", rng=np.random.default_rng(seed))
        return [step.loss for step in steps]

    runs = [losses(seed) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_truncation_reaches_the_gradients(rng: np.random.Generator) -> None:
    net = saiki.Network([saiki.SimpleRNN(1, 4), saiki.Dense(4, 1)])  # rectifiers may all be at rest
    params, batch = net.init(rng), Batch(rng.standard_normal((4, 9, 1)), rng.standard_normal((4, 9)))
    one, two = (
        next(train(net, params, [batch], sgd(0.1), "squared_error", tbptt=window)).params["0/Wh"]
        for window in (None, 1)
    )
    assert not np.array_equal(one, two)


def test_typical_mistakes_get_an_answer(rng: np.random.Generator) -> None:
    params = NET.init(rng)
    for batches, optimizer, message in (
        ([BATCH], sgd, "optimizer must be one such as"),
        (BATCH, sgd(0.1), r"batches must be a list .* got Batch. Try \[batch\]"),
        ([(BATCH.X, BATCH.y)], sgd(0.1), "batches must hold saiki.training.Batch"),
    ):
        with pytest.raises(saiki.ArgumentError, match=message):
            list(train(NET, params, batches, optimizer, "squared_error"))  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="learning_rate must be a positive, finite number; got dict"):
        sgd(params)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize("optimizer", [sgd(0.1), sgd(0.1, decay=0.9), adam(0.01)], ids=["sgd", "momentum", "adam"])
def test_updates_made_ahead_are_the_same_updates(
    optimizer: Optimizer, engine: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = saiki.Network([saiki.GRU(2, 4), saiki.Dense(4, 1)])
    params = net.init(rng)
    batches = [Batch(rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 5))) for _ in range(7)]
    odd = Batch(batches[0].X, np.full((3, 5), np.nan), sample_weight=np.ones(3))
    for stream in (batches, [*batches[:3], Batch(batches[0].X[:, :2], batches[0].y[:, :2]), odd, *batches]):
        one, other = (list(train(net, params, stream, optimizer, "huber", engine, ahead=n)) for n in (1, 3))
        assert [step.iteration for step in other] == list(range(1, len(stream) + 1))
        for a, b in zip(one, other, strict=True):
            assert a.batch is b.batch
            assert type(a.loss) is type(b.loss) is float
            assert a.loss == pytest.approx(b.loss, rel=1e-12, abs=1e-12)
            for k in params:
                np.testing.assert_allclose(a.params[k], b.params[k], atol=1e-13)
                np.testing.assert_allclose(a.before[k], b.before[k], atol=1e-13)
        for x, y in zip(
            optimizer.apart(one[-1].optimizer_state), optimizer.apart(other[-1].optimizer_state), strict=True
        ):
            assert x[1] == y[1] == len(stream)
            for m, w in zip(x[0], y[0], strict=True):
                for k in params:
                    np.testing.assert_allclose(m[k], w[k], atol=1e-13)


def test_ahead_the_engine_makes_all_updates_in_one_call(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, make = [], plan.Plan.train_again

    def counted(self: plan.Plan, *arguments: Any) -> None:
        calls.append(len(arguments[0]))
        make(self, *arguments)

    monkeypatch.setattr(plan.Plan, "train_again", counted)
    list(train(NET, NET.init(rng), [BATCH] * 10, sgd(0.01), "squared_error", ahead=4))
    assert calls == [4, 4, 2]


def test_divergence_ahead_is_seen_at_its_own_iteration() -> None:
    params = NET.init(np.random.default_rng(0))
    seen: list[list[int]] = []
    for ahead in (1, 50):
        seen.append([])
        with pytest.raises(saiki.DivergenceError) as error:
            for step in train(NET, params, [BATCH] * 200, sgd(1e6), "squared_error", ahead=ahead):
                seen[-1].append(step.iteration)
        assert f"at iteration {len(seen[-1]) + 1}:" in str(
            error.value
        ) or f"after iteration {len(seen[-1]) + 1}:" in str(error.value)
    assert seen[0] == seen[1]


def test_an_update_with_what_is_not_its_optimizer_or_state(rng: np.random.Generator) -> None:
    params = NET.init(rng)
    for engine in ("reference", "compiled"):
        with pytest.raises(saiki.ArgumentError, match="optimizer must be one such as"):
            NET.update(params, "adam", None, BATCH.X, BATCH.y, "huber", engine=engine)  # type: ignore[arg-type]
        for state in (None, sgd(0.1).init(params), ((), ())):
            with pytest.raises(saiki.ArgumentError, match=r"optimizer_state must be what this optimizer's init"):
                NET.update(params, adam(0.1), state, BATCH.X, BATCH.y, "huber", engine=engine)
