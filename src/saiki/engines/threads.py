"""How many threads an engine may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from saiki.arrays import as_count
from saiki.errors import ArgumentError

_limit: ContextVar[int | None] = ContextVar("limit", default=None)
_slices: ContextVar[int | None] = ContextVar("slices", default=None)


@cache
def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return how many threads to use: never more than there are cores.

    It is what ``limit_threads`` says, else the environment's ``SAIKI_NUM_THREADS``, else its ``OMP_NUM_THREADS``, by
    which joblib shares the cores among its processes, else one for each core.
    """
    limit = _limit.get()
    if limit is not None:
        return limit
    wanted = os.environ.get("SAIKI_NUM_THREADS", "")
    if not wanted:
        shared = os.environ.get("OMP_NUM_THREADS", "")
        return min(int(shared), cores()) if shared.isdigit() and int(shared) else cores()
    if not wanted.isdigit() or int(wanted) < 1:
        raise ArgumentError(f"SAIKI_NUM_THREADS must be a whole number of at least 1; got {wanted!r}.")
    return min(int(wanted), cores())


def slices() -> int | None:
    """Return into how many slices every batch is cut, or None where that depends on the number of threads."""
    return _slices.get()


@contextmanager
def limit_threads(n_jobs: int | None = None, n_slices: int | None = None) -> Iterator[None]:
    """Use no more than so many threads in here, in this Python thread.

    A batch is cut into a slice for each thread, and the gradients that the slices found are added up; so their last
    digits depend on the number of threads. Outputs do not. Where gradients shall not either, say into how many slices
    every batch is cut: they are the same for any number of threads then, and take somewhat longer, above all in small
    networks.

    Args:
        n_jobs: how many threads; None changes nothing, -1 is one for each core, -2 one less, as in scikit-learn.
        n_slices: into how many slices every batch is cut; None leaves that to the engine.

    Raises:
        ArgumentError: 0, or not a whole number.

    >>> with limit_threads(1):
    ...     threads()
    1
    """
    if n_jobs is not None:
        if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
            raise ArgumentError(f"n_jobs must be a whole number other than 0, or None; got {n_jobs!r}. Try -1.")
        n_jobs = min(n_jobs, cores()) if n_jobs > 0 else max(1, cores() + 1 + n_jobs)
    jobs = _limit.get() if n_jobs is None else n_jobs
    cut = _slices.get() if n_slices is None else as_count("n_slices", n_slices)
    limit_before, slices_before = _limit.get(), _slices.get()
    try:  # an interrupt between two lines ends this generator, and so restores both
        _limit.set(jobs)
        _slices.set(cut)
        yield
    finally:
        _limit.set(limit_before)
        _slices.set(slices_before)
