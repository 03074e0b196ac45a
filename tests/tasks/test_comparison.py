"""Comparisons on the adder: the same seeds, the same numbers, and what is said of them."""

from dataclasses import replace
from multiprocessing import active_children, parent_process

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.cells import CELLS
from saiki.initializers import INITIALIZERS
from saiki.maths import ACTIVATIONS
from saiki.optimizers import OPTIMIZERS
from saiki.tasks.adder import Experiment
from saiki.tasks.comparison import Trial, compare, grid_setups, note_setups, run_trial
from saiki.tasks.findings import findings, loss_floor, summarize

DIVERGING = Experiment(
    bits=4, scheme="normal", activation="identity", loss="logistic", learning_rate=1e3, iterations=200
)


def test_the_note_has_five_setups_at_its_learning_rate() -> None:
    setups = note_setups(bits=6, seed=3)
    assert list(setups) == ["normal sigmoid", "xavier sigmoid", "he sigmoid", "he relu", "he tanh"]
    for experiment in setups.values():
        assert (experiment.bits, experiment.seed) == (6, 3)
        assert experiment.learning_rate == pytest.approx(0.6)
    assert {e.learning_rate for e in note_setups(learning_rate=0.05).values()} == {0.05}


def test_the_grid_is_the_product_of_the_registries() -> None:
    found = sorted((str(e.scheme), e.cell, e.activation or "") for e in grid_setups().values())
    open_to_choice = [name for name, cell in CELLS.items() if cell.activation]
    units = [(name, a) for name in CELLS for a in (ACTIVATIONS if name in open_to_choice else [""])]
    assert found == sorted((scheme, *unit) for scheme in INITIALIZERS for unit in units)
    assert open_to_choice
    assert len(open_to_choice) < len(CELLS)


def test_a_trial_is_the_run_of_its_experiment() -> None:
    experiment = Experiment(bits=4, iterations=120, activation="relu", scheme="he", learning_rate=0.4, seed=2)
    trial = run_trial("mine", experiment)
    steps = list(experiment.run())
    assert trial.losses.tolist() == [step.loss for step in steps]
    right = experiment.right_bits(steps[-1].params, np.arange(64)).all(axis=1)
    assert trial.right == right.mean()
    X, y = experiment.adder.encode(*experiment.adder.pairs(experiment.held_out()))
    for params, seen in ((experiment.init(), trial.gradient_before), (steps[-1].params, trial.gradient_after)):
        np.testing.assert_array_equal(
            seen, saiki.trace(experiment.network, X, y, params, loss="squared_error").norm_by_lag
        )
    states = experiment.recurrent.forward(
        {"Wx": steps[-1].params["0/Wx"], "Wh": steps[-1].params["0/Wh"]}, X, engine="reference"
    )[0]
    assert trial.dead == (states.max(axis=(0, 1)) == 0).mean()
    gradients = [experiment.network.loss_and_gradients(step.before, step.batch.X, step.batch.y, "squared_error")[1]
                 for step in steps]  # fmt: skip
    norms = [np.sqrt(sum((grad**2).sum() for grad in grads.values())) for grads in gradients]
    assert trial.largest_change == pytest.approx(max(norms), rel=1e-9)
    assert trial.final_loss == pytest.approx(trial.losses[-12:].mean())
    assert trial.best_loss == pytest.approx(np.convolve(trial.losses, np.full(12, 1 / 12), "valid").min())


def test_the_number_of_jobs_changes_no_number() -> None:
    setups = note_setups(bits=3, iterations=60, seed=1)
    one, two = (summarize(setups, compare(setups, repeats=2, jobs=jobs)) for jobs in (1, 2))
    assert [s.setup for s in one] == [s.setup for s in two] == list(setups)
    for alone, beside in zip(one, two, strict=True):
        assert [t.experiment.seed for t in alone.trials] == [t.experiment.seed for t in beside.trials] == [1, 2]
        np.testing.assert_array_equal(alone.curves, beside.curves)
        for a, b in zip(alone.trials, beside.trials, strict=True):
            assert (a.right, a.dead) == (b.right, b.dead)
            np.testing.assert_array_equal(a.gradient_before, b.gradient_before)
            np.testing.assert_array_equal(a.gradient_after, b.gradient_after)


def fails_in_a_child(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    if parent_process() is not None:
        raise MemoryError("of the child")
    return rng.standard_normal(shape)


def test_what_goes_wrong_in_another_process_is_raised_here() -> None:
    experiment = Experiment(bits=2, iterations=5, scheme=fails_in_a_child)
    with pytest.raises(MemoryError, match="of the child"):
        list(compare({"it": experiment}, repeats=2, jobs=2))
    assert not active_children()


def test_a_process_that_is_killed_is_an_error_and_no_hang() -> None:
    trials = compare({"long": Experiment(bits=2, iterations=5)}, repeats=2000, jobs=2)
    next(trials)
    active_children()[0].kill()
    with pytest.raises(saiki.SaikiError, match="a process ended before its trial did"):
        list(trials)
    assert not active_children()


def test_the_rate_is_the_notes_for_plain_steps_alone() -> None:
    rates = {name: next(iter(note_setups(bits=4, optimizer=name).values())).learning_rate for name in OPTIMIZERS}
    assert rates == {name: 0.4 if name in ("sgd", "momentum", "nesterov") else 0.01 for name in OPTIMIZERS}


def test_all_setups_see_the_same_pairs_in_the_same_repeat() -> None:
    drawn = [[b.X.tolist() for b in replace(e, seed=4).batches()] for e in note_setups(bits=4, iterations=9).values()]
    assert drawn[1:] == drawn[:-1]


def test_divergence_is_told_and_not_raised() -> None:
    trial = run_trial("too fast", DIVERGING)
    assert trial.diverged == len(trial.losses) + 1 < 200
    assert (trial.right, trial.final_loss) == (0, np.inf)
    assert np.isnan(trial.gradient_after).all()
    (summary,) = summarize(["too fast"], [trial])
    assert np.isnan(summary.curves[0, len(trial.losses) :]).all()
    assert f"too fast: 1 of 1 repeats diverged, the first at iteration {trial.diverged}." in findings([summary])


def made(
    setup: str, losses: list[float], right: float, dead: float = 0.0, bias: bool = True, largest: float = 1.0
) -> Trial:
    experiment = Experiment(iterations=2000, bias=bias, activation="relu")
    return Trial(setup, experiment, np.repeat(losses, 100), right, 0.5 ** np.arange(8.0), np.ones(8), dead, largest)


def test_findings_are_what_the_trials_say() -> None:
    trials = [
        *(made("good", [0.1] * 20, right=1.0) for _ in range(2)),
        made("mixed", [0.01] * 20, right=1.0, dead=0.25),
        made("mixed", [0.01] * 10 + [0.2] * 10, right=0.5, dead=0.75, largest=4.0),
        *(made("bad", [0.3] * 20, right=0.0) for _ in range(2)),
    ]
    said = findings(summarize(["good", "mixed", "bad", "never ran"], trials))
    assert said == [
        "Every sum right in every repeat: good.",
        "Every sum right in some repeats: mixed (1 of 2).",
        "Every sum right in no repeat: bad.",
        "mixed: 1 of 2 repeats came down to a loss of 0.01 and went up again, to 0.2 in the end (medians);"
        " the largest gradient of a run has norm 4 there, 1 where it learnt;"
        " 75% of the units are dead there (0 whatever comes in), and 25% where it learnt.",
        "bad: 2 of 2 repeats had not learnt it all by the end, with a loss of 0.3 (median).",
        "Before training, the gradient at lag 7 is 0.008 times that at lag 0 with good (the least; 2 of 2 learnt)"
        " and 0.008 times with good (the most; 2 of 2).",
    ]
    many = summarize([str(i) for i in range(9)], [made(str(i), [0.1] * 20, float(i < 4)) for i in range(9)])
    assert findings(many)[:4] == [
        "Every sum right in every repeat: 0, 1, 2, 3.",
        "Every sum right in no repeat: 4, 5, 6, 7, 8.",
        "Setups that learnt in every repeat, by initial weights: xavier 4 of 9.",
        "By units: relu 4 of 9.",
    ]


@pytest.mark.parametrize("loss", ["squared_error", "logistic"])
def test_no_training_comes_below_the_floor(loss: str) -> None:
    experiment = Experiment(bits=3, loss=loss, learning_rate=0.3, iterations=10_000)
    floor = loss_floor(experiment)
    X, y = experiment.adder.encode(*experiment.adder.pairs(np.arange(16)))
    *_, last = experiment.run()
    reached, _ = experiment.network.loss_and_gradients(last.params, X, y, loss)
    assert floor < reached < 1.5 * floor
    assert loss_floor(replace(experiment, bias=True)) == 0


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"jobs": 0}, {"jobs": 1.5}])
def test_bad_counts(wrong: dict[str, int]) -> None:
    with pytest.raises(saiki.ArgumentError, match=f"{next(iter(wrong))} must be a whole number of at least 1"):
        compare(note_setups(), **wrong)
