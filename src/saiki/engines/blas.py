"""Keep the threads of BLAS still while an engine's own threads work.

The threads of a BLAS spin for a while after each product, waiting for the next; on the cores that the engine's threads
then need. A training step of a large layer took twice as long for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_inside: list[Any] = []  # one entry for every caller; the first holds what is to be restored by the last


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """Hold BLAS to one thread; when the last of several callers leaves, it has as many again as before.

    >>> with single_threaded():
    ...     {pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"}
    {1}
    """
    with _lock:
        _inside.append(None if _inside else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limiter = _inside[0]
            _inside.pop()
            if not _inside:
                limiter.restore_original_limits()
