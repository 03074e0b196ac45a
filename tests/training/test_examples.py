"""Ragged examples: whatever is selected and padded is what it was."""

import numpy as np
import pytest

from saiki.training.examples import Examples, Ragged, rounded_up


@pytest.mark.parametrize("lengths", [[3, 3, 3], [3, 1, 0, 5], [0, 0], []])
def test_ragged(lengths: list[int], rng: np.random.Generator) -> None:
    parts = [rng.standard_normal((n, 2)) for n in lengths]
    ragged = Ragged.of_list(parts) if parts else Ragged(np.empty((0, 2)), np.empty(0, int))
    assert len(ragged) == len(parts)
    for one, other in zip(ragged.split(), parts, strict=True):
        np.testing.assert_array_equal(one, other)
    for which in (rng.permutation(len(parts)), rng.permutation(len(parts))[:2]):
        padded, ends = ragged.pad(which)
        for row, i in zip(padded, which, strict=True):
            np.testing.assert_array_equal(row[: lengths[i]], parts[i])
            assert not row[lengths[i] :].any()
        assert (ends is None) == ragged.even
        for one, i in zip(ragged.select(which).split(), which, strict=True):
            np.testing.assert_array_equal(one, parts[i])
    if parts:
        again = Ragged.of_padded(ragged.padded(6), np.array(lengths))
        np.testing.assert_array_equal(again.values, ragged.values)


def test_few_shapes_of_batches_occur() -> None:
    shapes = {rounded_up(n) for n in range(1, 1001)}
    assert len(shapes) < 75
    assert all(n <= rounded_up(n) <= 1.125 * n for n in range(9, 1001))


def test_weights_of_examples_are_sums_over_their_targets() -> None:
    X = Ragged(np.zeros((5, 1)), np.array([2, 3]))
    steps = Ragged(np.array([1.0, np.nan, 1, 1, 1]), X.lengths)
    assert Examples(X, steps).weights.tolist() == [1, 3]
    assert Examples(X, steps, np.array([2.0, 0.5])).weights.tolist() == [2, 1.5]
    assert Examples(X, steps, Ragged(np.array([1.0, 9, 2, 3, 4]), X.lengths)).weights.tolist() == [1, 9]
    batch = Examples(X, steps, np.array([2.0, 0.5])).batch(np.array([1]))
    assert batch.total == 3 * 3.5 / 4  # its targets, times the mean weight of all
    both = np.array([[1.0, np.nan], [1, 2]])
    assert Examples(X, both).n_targets.tolist() == [1, 2]
