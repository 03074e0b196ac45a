"""Optimizers, against their formulas written out for one number; PyTorch's own numbers are in the goldens."""

import numpy as np
import pytest

import saiki
from saiki.arrays import Params
from saiki.optimizers import (
    OPTIMIZERS,
    Optimizer,
    Rule,
    adamw,
    apply_updates,
    chain,
    clip_by_norm,
    clip_by_value,
    constant,
    cosine,
    decay_weights,
    follow,
    scale_by_learning_rate,
    sgd,
    step,
    warm_up,
)


def run(optimizer: Optimizer, params: Params, gradients: list[Params]) -> Params:
    state = optimizer.init(params)
    for grads in gradients:
        updates, state = optimizer.update(grads, state, params)
        params = apply_updates(params, updates)
    return params


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_bottom_of_a_bowl(name: str) -> None:
    optimizer, params = OPTIMIZERS[name](0.1), {"W": np.array([[3.0, -2.0]]), "b": np.array([1.0])}
    state = optimizer.init(params)
    for _ in range(3000):
        updates, state = optimizer.update({k: 2 * v for k, v in params.items()}, state, params)
        params = apply_updates(params, updates)
    assert all(np.abs(v).max() < 0.1 for v in params.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_pure_and_keep_float32(name: str, rng: np.random.Generator) -> None:
    optimizer, params = OPTIMIZERS[name](0.1), {"W": rng.standard_normal((2, 2)).astype(np.float32)}
    grads = {"W": np.ones((2, 2), np.float32)}
    _, state = optimizer.update(grads, optimizer.init(params), params)
    one, two = (optimizer.update(grads, state, params)[0] for _ in range(2))
    np.testing.assert_array_equal(one["W"], two["W"])
    assert one["W"].dtype == np.float32


def test_momentum_and_nesterov_written_out() -> None:
    gradients = [{"w": np.array([g])} for g in (1.0, 2.0, -1.0)]
    m = w = 0.0
    n = v = 0.0
    for (g,) in (grads["w"] for grads in gradients):
        m = 0.9 * m + g
        w -= 0.1 * m
        n = 0.9 * n + g
        v -= 0.1 * (g + 0.9 * n)
    start = {"w": np.zeros(1)}
    assert run(sgd(0.1, decay=0.9), start, gradients)["w"][0] == pytest.approx(w)
    assert run(sgd(0.1, decay=0.9, nesterov=True), start, gradients)["w"][0] == pytest.approx(v)


def test_clipping_by_norm_keeps_the_direction_of_all_gradients_together() -> None:
    grads = {"a": np.array([3.0]), "b": np.array([[4.0]])}
    clipped, _ = clip_by_norm(1.0).update(grads, None, grads)
    assert clipped["a"][0] == pytest.approx(0.6)
    assert clipped["b"][0, 0] == pytest.approx(0.8)
    untouched, _ = clip_by_norm(5.1).update(grads, None, grads)
    assert untouched is grads
    huge = {"a": np.array([3e200]), "b": np.array([4e200])}
    clipped, _ = clip_by_norm(1.0).update(huge, None, huge)
    assert clipped["a"][0] == pytest.approx(0.6)


def test_clipping_by_value_cuts_each_number() -> None:
    grads, link = {"a": np.array([-3.0, 0.5])}, clip_by_value(1.0)
    clipped, _ = link.update(grads, link.init(grads), grads)
    assert clipped["a"].tolist() == [-1.0, 0.5]


def test_decay_shrinks_matrices_and_leaves_vectors_alone() -> None:
    params = {"W": np.array([[2.0]]), "b": np.array([2.0])}
    zero = {k: np.zeros_like(v) for k, v in params.items()}
    after = run(chain(decay_weights(0.5), scale_by_learning_rate(0.1)), params, [zero])
    assert after["W"][0, 0] == pytest.approx(1.9)
    assert after["b"][0] == 2.0
    after = run(adamw(0.1, weight_decay=0.5), params, [zero])
    assert after["W"][0, 0] == pytest.approx(1.9)


def test_schedules_are_followed_update_by_update() -> None:
    ones = [{"w": np.ones(1)}] * 4
    assert run(sgd(step(1.0, 2, 0.1)), {"w": np.zeros(1)}, ones)["w"][0] == pytest.approx(-2.2)
    assert run(sgd(warm_up(constant(1.0), 2)), {"w": np.zeros(1)}, ones)["w"][0] == pytest.approx(-3.5)
    assert cosine(1.0, 10, final=0.2)(10) == pytest.approx(0.2)
    assert cosine(1.0, 10)(0) == 1.0
    falling = warm_up(cosine(1.0, 10), 5)
    assert [falling(n) for n in (4, 5, 15)] == pytest.approx([1.0, 1.0, 0.0])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("learning_rate", [0, -1, float("nan"), float("inf"), "0.1"])
def test_bad_learning_rates(name: str, learning_rate: float) -> None:
    with pytest.raises(saiki.ArgumentError, match="learning_rate must be a positive, finite number; got"):
        OPTIMIZERS[name](learning_rate)


def test_bad_options() -> None:
    with pytest.raises(saiki.ArgumentError, match="decay must be a number from 0 up to, but not, 1; got 1"):
        sgd(0.1, decay=1)
    with pytest.raises(saiki.ArgumentError, match="limit must be a positive"):
        clip_by_norm(0)
    with pytest.raises(saiki.ArgumentError, match="final must be from 0 to the learning rate"):
        cosine(1.0, 10, final=2.0)


@pytest.mark.parametrize("number", [np.float64, np.float32, float])
def test_numpy_numbers_as_options_keep_float32(number: type) -> None:
    params = {"W": np.ones((2, 2), np.float32)}
    for optimizer in (
        sgd(lambda count: number(0.1)),
        sgd(number(0.1), decay=number(0.9), nesterov=True),
        adamw(number(0.1), number(0.01), number(0.9), number(0.99), number(1e-8)),
        chain(clip_by_norm(number(0.1)), clip_by_value(number(0.1)), scale_by_learning_rate(cosine(number(0.1), 10))),
    ):
        assert run(optimizer, params, [params] * 2)["W"].dtype == np.float32


def test_gradients_that_are_zero_or_not_finite_pass_the_clip() -> None:
    for value in (0.0, np.inf, np.nan):
        grads = {"a": np.array([value])}
        clipped, _ = clip_by_norm(1.0).update(grads, None, grads)
        np.testing.assert_array_equal(clipped["a"], grads["a"])
    with pytest.raises(saiki.ArgumentError, match="updates must be a whole number of at least 1"):
        warm_up(1.0, 0)


def test_rules_and_chains_that_cannot_work() -> None:
    for rule, message in (
        (lambda g, w: -g, r"rule must be a saiki.optimizers.Rule; got .* Try Rule"),
        (Rule(lambda g: -g), "must take g, w, 0 memories and 0 rates, .*; on arrays it fails: TypeError"),
        (Rule(lambda g, w, m: g, memories=1), "must return g and 1 memories, 2 in all; got 1"),
    ):
        with pytest.raises(saiki.ArgumentError, match=message):
            follow(rule)  # type: ignore[arg-type]
    with pytest.raises(saiki.ArgumentError, match="links must be one or more optimizers"):
        chain([sgd(0.1)])  # type: ignore[arg-type]
