"""The threads: programs side by side, awake or asleep, wanted by several at once, and after a fork."""

import gc
import os
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import saiki
from saiki.arrays import Array
from saiki.engines import threads
from saiki.engines.crew import Crew
from saiki.engines.kernels import ARGUMENTS, kernel_of
from saiki.engines.native import Table, program


def sums(n: int) -> tuple[Array, Array, list[object]]:
    """Return programs that each copy a row, the rows they write to, and what must not be freed meanwhile."""
    rows, totals = np.random.default_rng(0).standard_normal((n, 1, 1000)), np.zeros((n, 1000))
    slots = np.array([[total.ctypes.data] for total in totals])
    tables = [
        Table.of(ARGUMENTS["add_up"], {"parts": row, "slot": slot, "first": 0, "last": 1000})
        for row, slot in zip(rows, slots, strict=True)
    ]
    programs = [program([(kernel_of("add_up", np.float64), table)]) for table in tables]
    words = np.array([word for one in programs for word in (one.ctypes.data, len(one))])
    return words, totals, [rows, slots, tables, programs]


@pytest.mark.parametrize("pause", [0, 0.01], ids=["awake", "asleep"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_every_program_is_run_once(size: int, pause: float) -> None:
    crew, (words, totals, held) = Crew(size), sums(4)
    for _ in range(5):
        totals[...] = 0
        time.sleep(pause)
        crew.run(words, held)
        np.testing.assert_array_equal(totals, held[0][:, 0])  # type: ignore[index]


def test_whoever_comes_while_the_crew_is_busy_works_alone() -> None:
    crew, several = Crew(3), [sums(4) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            list(pool.map(lambda one: crew.run(one[0], one[2]), several))
            for _, totals, held in several:
                np.testing.assert_array_equal(totals, held[0][:, 0])  # type: ignore[index]
                totals[...] = 0


FORK = """
import os, numpy as np, saiki
from saiki.engines import compiled
compiled.WORK_FOR_THREADS, compiled.threads = 0, lambda: 2
net = saiki.Network([saiki.SimpleRNN(2, 3), saiki.Dense(3, 1)])
params, X = net.init(np.random.default_rng(0)), np.ones((4, 5, 2))
expected, _ = net.predict(params, X)
child = os.fork()
found, _ = net.predict(params, X)
assert (found == expected).all()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=120)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 8)
    for n_jobs, expected in ((None, 8), (3, 3), (-1, 8), (-2, 7), (-100, 1), (100, 8)):
        with saiki.limit_threads(n_jobs):
            assert threads.threads() == expected
    monkeypatch.setenv("SAIKI_NUM_THREADS", "2")
    assert threads.threads() == 2
    for bad in (0, "two", 1.5):
        with (
            pytest.raises(saiki.ArgumentError, match="n_jobs must be a whole number other than 0, or None; got"),
            saiki.limit_threads(bad),  # type: ignore[arg-type]
        ):
            pass


@pytest.mark.parametrize("interrupts", [1, 3])
def test_an_interrupt_while_waking_leaves_nobody_at_work(interrupts: int) -> None:
    crew, (words, totals, held) = Crew(3), sums(4)
    bell, left = crew._bells[1], [interrupts]

    class Interrupted:
        def locked(self) -> bool:
            return bell.locked()

        def release(self) -> None:
            if left[0]:
                left[0] -= 1
                raise KeyboardInterrupt
            bell.release()

    crew._bells[1] = Interrupted()  # type: ignore[call-overload]
    raised = 0
    while True:
        try:
            crew.run(words, held)
            break
        except KeyboardInterrupt:
            raised += 1
    assert raised > 0
    for _ in range(3):
        totals[...] = 0
        crew.run(words, held)
        np.testing.assert_array_equal(totals, held[0][:, 0])  # type: ignore[index]


def test_an_interrupted_run_keeps_its_memory_until_it_is_over() -> None:
    """The programs that a sleeping thread was given, and has not run, stay alive with their owner."""
    crew, (words, _, held) = Crew(1), sums(2)
    time.sleep(0.01)
    bell = crew._bells[0]

    class Interrupted:
        def locked(self) -> bool:
            raise KeyboardInterrupt

    class Owner:
        pass

    owner = Owner()
    alive = weakref.ref(owner)
    crew._bells[0] = Interrupted()  # type: ignore[call-overload]
    with pytest.raises(KeyboardInterrupt):
        crew.run(words, [owner, held])
    del owner
    gc.collect()
    assert alive() is not None
    crew._bells[0] = bell
    crew.run(words, held)
    gc.collect()
    assert alive() is None


FORK_AT_IMPORT = """
import os, threading, time, numpy as np, saiki
layer = saiki.SimpleRNN(2, 3)
params, X = layer.init(np.random.default_rng(0)), np.ones((4, 5, 2))
thread = threading.Thread(target=layer.predict, args=(params, X))
thread.start()
time.sleep(0.05)
child = os.fork()
if child == 0:
    layer.predict(params, X)
    os._exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_during_the_first_call_of_another_thread_does_not_hang() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK_AT_IMPORT], check=True, timeout=120)


def test_a_thread_that_is_woken_twice_goes_to_sleep_again() -> None:
    crew = Crew(1)
    before = time.process_time()
    crew._bells[0].release()
    time.sleep(0.3)
    assert time.process_time() - before < 0.2
