"""The training loop."""

import itertools

import numpy as np
import pytest

import saiki
from saiki.optimizers import sgd
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
    params, batch = NET.init(rng, "he"), Batch(rng.standard_normal((4, 9, 1)), rng.standard_normal((4, 9)))
    one, two = (
        next(train(NET, params, [batch], sgd(0.1), "squared_error", tbptt=window)).params["0/Wh"]
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
