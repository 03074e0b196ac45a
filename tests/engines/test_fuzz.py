"""A few hundred random cases, and a few seconds of Ctrl-C; ``fuzz.py`` and ``interrupts.py`` run as many as wanted."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.engines import fuzz

CASES, PARTS = 300, 10


@pytest.mark.parametrize("part", range(PARTS))
def test_the_compiled_engine_gives_the_numbers_of_the_reference_whatever_came_before(part: int) -> None:
    made: Counter[str] = Counter()
    for seed in range(CASES // PARTS * part, CASES // PARTS * (part + 1)):
        made += fuzz.run(seed)
    assert made["results"] > 10 * CASES // PARTS
    assert len(made) == 10, f"some kinds of calls were never made: {made}"


def test_after_interrupts_at_any_moment_nothing_is_held_and_every_number_is_right() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.engines.interrupts", "--seconds", "8"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_that_is_forked_while_another_thread_works_does_not_hang() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.engines.forks", "--forks", "20"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
