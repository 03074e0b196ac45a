"""Memory is handed out again only when nobody refers to it."""

import gc
from threading import Thread

import numpy as np
import pytest

from saiki.engines import memory


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without memory that other tests have left idle."""
    monkeypatch.setattr(memory, "_idle", [])
    monkeypatch.setattr(memory, "_loans", memory.Loans())


def test_memory_in_use_is_never_handed_out() -> None:
    held = [memory.empty((200, 200), np.float64) for _ in range(5)]
    views = [array[3:7].T for array in held]
    places = {array.ctypes.data for array in held}
    del held
    assert len(places) == 5
    fresh = [memory.empty((200, 200), np.float64) for _ in range(5)]
    assert not places & {array.ctypes.data for array in fresh}
    del views
    assert memory.empty((200, 200), np.float64).ctypes.data in places


def test_idle_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT", 0)
    for size in (1 << 17, 1 << 19, 1 << 21, 1 << 23):
        memory.empty((size,), np.uint8)
    memory.empty((1 << 25,), np.uint8)
    assert sum(block.nbytes for block in memory._idle) == 0


def test_small_arrays_are_left_to_the_allocator() -> None:
    memory.empty((1 << 17,), np.uint8)
    before = len(memory._idle) + len(memory._loans._lent)
    memory.empty((10,), np.float64)
    assert len(memory._idle) + len(memory._loans._lent) == before


def test_memory_comes_back_from_other_threads_and_from_cycles() -> None:
    loans: memory.Loans[str] = memory.Loans()
    array = np.zeros(3)
    cycle: list[object] = [array[1:]]
    cycle.append(cycle)
    loans.lend("memory", array)
    thread = Thread(target=lambda held: held.clear(), args=([array],))
    del array
    thread.start()
    thread.join()
    assert list(loans.returned()) == []
    del cycle, thread
    gc.collect()
    assert list(loans.returned()) == ["memory"]
