"""Memory is handed out again only when nobody refers to it."""

import numpy as np

from saiki.engines import memory


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


def test_idle_memory_is_given_back(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(memory, "KEPT", 0)
    for size in (1 << 17, 1 << 19, 1 << 21, 1 << 23):
        memory.empty((size,), np.uint8)
    kept = [memory._kept[i].nbytes for i in range(len(memory._kept)) if memory._references(i) == memory._IDLE]
    assert sum(kept) <= (1 << 21) + (1 << 23)


def test_small_arrays_are_left_to_the_allocator() -> None:
    before = len(memory._kept)
    memory.empty((10,), np.float64)
    assert len(memory._kept) == before
