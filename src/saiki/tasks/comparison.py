"""Many experiments on the adder side by side, from the same seeds: which learn to add, which do not, and why.

One run says little: the same setup may learn with one seed and not with the next. So every setup is run several times,
and the k-th time all of them start from the same seed and see the same pairs of numbers.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, final

import numpy as np

from saiki.arrays import Array, Params, as_count
from saiki.cells import CELLS
from saiki.engines.blas import single_threaded
from saiki.engines.threads import limit_threads
from saiki.errors import DivergenceError, SaikiError
from saiki.explain.microscope import trace
from saiki.initializers import INITIALIZERS
from saiki.maths import ACTIVATIONS
from saiki.tasks.adder import Experiment

NOTE = (("normal", "sigmoid"), ("xavier", "sigmoid"), ("he", "sigmoid"), ("he", "relu"), ("he", "tanh"))
"""The initial weights and the activation of each of the note's five experiments."""

NOTE_RATE = 0.1
"""The note's learning rate, for a loss that is the sum over the steps; for a mean it is as many times larger."""

PLAIN = "sgd", "momentum", "nesterov"
"""The optimizers whose steps are as large as the gradient is; to others the size of the loss does not matter."""

OTHER_RATE = 0.01
"""The learning rate of those others, if none is given."""

LAST = 1000
"""The final loss is the mean of so many iterations, or of a tenth of a run if that is fewer."""


@final
@dataclass(frozen=True, eq=False)
class Trial:
    """One run of one setup.

    Attributes:
        setup: the name of the setup.
        experiment: everything that decides the numbers, the seed among them.
        losses: the loss of each iteration, up to the last that was finite.
        right: the share of the sums that it gets right in the end, from 0 to 1; 0 where it diverged.
        gradient_before: before training, the norm of the part of delta that comes from the loss of 0, 1, 2, ... steps
            later, on the held-out pairs ``(bits,)``; ``Trace.norm_by_lag`` has more of it.
        gradient_after: the same after training; NaN where it diverged.
        dead: the share of units that after training are 0 at every step of every held-out pair, so that no gradient
            passes through them; NaN where it diverged.
        largest_change: the largest norm of a change of all weights, over the learning rate: with plain SGD the largest
            norm of the gradient in the run.
    """

    setup: str
    experiment: Experiment
    losses: Array
    right: float
    gradient_before: Array
    gradient_after: Array
    dead: float
    largest_change: float

    @property
    def diverged(self) -> int | None:
        """The iteration at which it diverged, or None."""
        done = len(self.losses)
        return None if done == self.experiment.iterations else done + 1

    @property
    def final_loss(self) -> float:
        """The mean loss of the last iterations; infinite where it diverged."""
        return np.inf if self.diverged else float(self.losses[-self.window :].mean())

    @property
    def best_loss(self) -> float:
        """The lowest mean loss of as many iterations in a row; infinite where it never made so many."""
        sums = np.concatenate([[0], self.losses.cumsum()])
        return float(np.min(sums[self.window :] - sums[: -self.window], initial=np.inf) / self.window)

    @property
    def window(self) -> int:
        """How many iterations the final loss is the mean of."""
        return min(LAST, -(-self.experiment.iterations // 10))


def name_of(experiment: Experiment) -> str:
    """Return what an experiment is called among others: its initial weights and its units.

    >>> name_of(Experiment(scheme="he", activation="relu")), name_of(Experiment(cell="lstm"))
    ('he relu', 'xavier lstm')
    """
    return f"{experiment.scheme} {units_of(experiment)}"


def units_of(experiment: Experiment) -> str:
    """Return what the units of an experiment are called.

    >>> units_of(Experiment(activation="relu")), units_of(Experiment(cell="indrnn", activation="relu"))
    ('relu', 'indrnn relu')
    """
    cell = experiment.recurrent.cell
    words = () if cell.name == "simple" else (cell.name,)
    return " ".join((*words, *([cell.activation] if cell.activation else [])))


def note_setups(**settings: Any) -> dict[str, Experiment]:
    """Return the note's five experiments by name.

    Args:
        settings: of ``Experiment``; without a learning rate, it is the note's: 0.1 for the sum over the steps, which
            is 0.1 times the number of bits for saiki's mean; or 0.01 for optimizers that scale the gradient themselves.

    >>> for name, experiment in note_setups().items():
    ...     print(name, experiment.learning_rate)
    normal sigmoid 0.8
    xavier sigmoid 0.8
    he sigmoid 0.8
    he relu 0.8
    he tanh 0.8
    """
    return _setups(({"scheme": scheme, "activation": activation} for scheme, activation in NOTE), settings)


def grid_setups(**settings: Any) -> dict[str, Experiment]:
    """Return every initializer with every cell and, where its equations leave it open, every activation, by name.

    Args:
        settings: as for ``note_setups``.

    >>> list(grid_setups())[:5]
    ['normal tanh', 'normal sigmoid', 'normal relu', 'normal identity', 'normal lstm']
    """
    units = [
        {"cell": name, "activation": activation}
        for name, cell in CELLS.items()
        for activation in (ACTIVATIONS if cell.activation else (None,))
    ]
    return _setups(({"scheme": scheme, **unit} for scheme in INITIALIZERS for unit in units), settings)


def _setups(choices: Iterable[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Experiment]:
    first = Experiment(**settings)
    rate = {"learning_rate": NOTE_RATE * first.bits if first.optimizer in PLAIN else OTHER_RATE}
    experiments = [Experiment(**rate | settings | choice) for choice in choices]
    return {name_of(experiment): experiment for experiment in experiments}


def run_trial(setup: str, experiment: Experiment) -> Trial:
    """Train once, on one thread, and measure; to diverge is a result, and no error.

    >>> trial = run_trial("four bits", Experiment(bits=4, iterations=50))
    >>> trial.losses.shape, trial.gradient_before.shape, trial.diverged
    ((50,), (4,), None)
    """
    losses, params, diverged, largest = [], experiment.init(), False, 0.0
    with limit_threads(1), single_threaded(), np.errstate(all="ignore"):
        gradient_before, _ = _look(experiment, params)
        try:
            for step in experiment.run():
                losses.append(step.loss)
                params = step.params
                largest = max(largest, _distance(step.before, params))
        except DivergenceError:
            diverged = True
        right, gradient_after, dead = 0.0, np.full(experiment.bits, np.nan), np.nan
        if not diverged:
            gradient_after, dead = _look(experiment, params)
            sums = [experiment.right_bits(params, codes).all(axis=1) for codes in experiment.trials()]
            right = float(np.concatenate(sums).mean())
    largest /= experiment.learning_rate
    return Trial(setup, experiment, np.array(losses), right, gradient_before, gradient_after, dead, largest)


def _distance(before: Params, after: Params) -> float:
    """Return the norm of the change of all weights."""
    changes = (after[name] - before[name] for name in after)
    return float(np.sqrt(sum(np.vdot(change, change) for change in changes)))


def _look(experiment: Experiment, params: Params) -> tuple[Array, float]:
    """Return the norm of the gradient by lag, and the share of dead units, on the held-out pairs."""
    X, y = experiment.adder.encode(*experiment.adder.pairs(experiment.held_out()))
    seen = trace(experiment.network, X, y, params, loss=experiment.loss, quantities=["states", "lag_matrix"])
    return seen.norm_by_lag, float((seen.layers[0].h == 0).all(axis=(0, 1)).mean())


def compare(setups: Mapping[str, Experiment], repeats: int = 10, jobs: int = 1) -> Iterator[Trial]:
    """Run every setup several times, and yield each trial as it ends.

    Whatever the number of jobs, the trials are the same; only their order is not. Leave the loop, and what is still
    running is stopped.

    Args:
        setups: the experiments, by name.
        repeats: how often each is run: with its own seed, the one after that, and so on.
        jobs: how many processes run trials at the same time. With more than one, a script must start what it does
            under ``if __name__ == "__main__":``, as with any use of processes.

    Raises:
        ArgumentError: ``repeats`` or ``jobs`` is not at least 1.
        SaikiError: a process ended before its trial did.

    >>> trials = list(compare(note_setups(bits=2, iterations=20), repeats=2))
    >>> len(trials), trials[0].setup, trials[0].experiment.seed, trials[5].experiment.seed
    (10, 'normal sigmoid', 0, 1)
    """
    as_count("repeats", repeats)
    as_count("jobs", jobs)
    # All setups before any is repeated: what an interrupted comparison has found speaks of all of them.
    tasks = [
        (name, replace(experiment, seed=experiment.seed + repeat))
        for repeat in range(repeats)
        for name, experiment in setups.items()
    ]
    if jobs == 1:
        return (run_trial(*task) for task in tasks)
    return _in_processes(tasks, min(jobs, len(tasks)))


def _in_processes(tasks: list[tuple[str, Experiment]], jobs: int) -> Iterator[Trial]:
    """Run trials in processes of their own: what of a small run is Python would hold threads up.

    Each has its own pipe and shares nothing, so that it can be stopped at any moment.
    """
    context, waiting = get_context("spawn"), iter(tasks)  # a fork would copy locks that the engine's threads hold
    workers: dict[Any, BaseProcess] = {}
    try:
        with _children_ignore_interrupts():
            for _ in range(jobs):
                ours, theirs = context.Pipe()
                workers[ours] = context.Process(target=_work, args=(theirs,), daemon=True)
                workers[ours].start()
                theirs.close()
        for connection, task in zip(workers, waiting, strict=False):
            connection.send(task)
        busy = list(workers)
        while busy:
            ready: list[Any] = wait(busy)
            for connection in ready:
                answer = connection.recv()
                if (following := next(waiting, None)) is None:
                    busy.remove(connection)
                else:
                    connection.send(following)
                if isinstance(answer, Exception):
                    raise answer
                yield answer
    except (EOFError, ConnectionError) as error:
        raise SaikiError(
            "a process ended before its trial did, perhaps for lack of memory. Try fewer jobs, or fewer units."
        ) from error
    finally:
        for connection, process in workers.items():
            connection.close()
            process.terminate()
            process.join()


def _work(connection: Any) -> None:
    """Run the trials that come in, and send back what came of them, until there is nobody to send it to."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            task = connection.recv()
            try:
                answer: Trial | Exception = run_trial(*task)
            except Exception as error:
                answer = error
            connection.send(answer)


def _end_with_parent() -> None:
    """End this process, in the middle of a trial too, when the one that started it has been killed."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Start processes that a Ctrl-C does not reach: this one stops them, and they have nothing to say about it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when first started, it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
