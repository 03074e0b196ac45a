"""Threads that share the slices of a program, and stay awake for a moment between two of them.

To hand work to a sleeping thread and wait for it takes Python some 60 to 100 microseconds; a whole training step of a
small network takes less. So a thread that has finished keeps looking for more, in machine code and without Python's
lock, for about as long as it would take to wake it, and only then goes to sleep.
"""

import os
from functools import cache
from threading import Lock, Thread
from typing import Any, final

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from saiki.arrays import Array
from saiki.engines.building import compiled
from saiki.engines.native import run_at
from saiki.engines.threads import cores

READY, GO, ASLEEP = 0, 1, 2
"""What a thread's board says: it looks for work, it has work, it must be woken first."""

PATIENCE = 20_000
"""How often a thread looks for more work before it sleeps: some 200 microseconds."""

EAGER, LOOKS = 2_000, 20
"""After so many looks in vain a thread lets others have its core, if they want it; that takes as long as so many."""


def _atomic(generate: Any, arity: int) -> Any:
    """Return a compiled function of the word at a place of an array, and of ``arity`` more words."""

    def body(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return generate(builder, builder.gep(array.data, [args[1]]), *args[2:])

    words = types.int64[::1]
    if arity == 0:
        return intrinsic(lambda typingctx, a, i: (types.int64(words, types.int64), body))  # noqa: ARG005
    if arity == 1:
        return intrinsic(lambda typingctx, a, i, x: (types.int64(words, *[types.int64] * 2), body))  # noqa: ARG005
    return intrinsic(lambda typingctx, a, i, x, y: (types.int64(words, *[types.int64] * 3), body))  # noqa: ARG005


def _store(builder: Any, place: Any, word: Any) -> Any:
    builder.store_atomic(word, place, "seq_cst", 8)
    return word


def _exchange(builder: Any, place: Any, expected: Any, word: Any) -> Any:
    """Put a word where another is; return what was there."""
    return builder.extract_value(builder.cmpxchg(place, expected, word, "seq_cst", "seq_cst"), 0)


load = _atomic(lambda builder, place: builder.load_atomic(place, "seq_cst", 8), 0)
store = _atomic(_store, 1)
exchange = _atomic(_exchange, 2)


def _breathe(typingctx):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Leave the core to its other half for a moment, where there is an instruction for it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        if llvm.get_default_triple().startswith("x86_64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


breathe: Any = intrinsic(_breathe)


def _give_way(typingctx):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Let another thread have the core, if one is waiting for it, where the system can be asked so."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        if hasattr(os, "sched_yield"):
            ask = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, ask, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


give_way: Any = intrinsic(_give_way)

WORDS = types.int64[::1]

BOARD = 8
"""Words from one thread's board to the next: a line of the cache, so that no two threads write to the same."""


@compiled([types.int64(WORDS, types.int64, types.int64)])
def attend(boards, at, patience):  # type: ignore[no-untyped-def]
    """Run whatever programs are put on a board, until none came for a while."""
    idle = 0
    while True:
        if load(boards, at) == GO:
            run_at(boards[at + 1], boards[at + 2])
            store(boards, at, READY)
            idle = 0
        else:
            breathe()
            idle += 1
            if load(boards, at) == ASLEEP:  # it was woken twice for the same work
                return idle
            if idle > EAGER:  # where there are more threads than cores, the others have work
                give_way()
                idle += LOOKS
            if idle > patience and exchange(boards, at, READY, ASLEEP) == READY:
                return idle


@compiled([types.void(WORDS, types.int64)])
def await_end(boards, at):  # type: ignore[no-untyped-def]
    """Wait until the thread of a board has no work."""
    looks = 0
    while load(boards, at) == GO:
        breathe()
        looks += 1
        if looks > EAGER:
            give_way()


@compiled([types.void(WORDS, WORDS)])
def join(boards, programs):  # type: ignore[no-untyped-def]
    """Run the first program, and wait for the others."""
    run_at(programs[0], programs[1])
    for k in range(len(programs) // 2 - 1):
        await_end(boards, BOARD * k)


@compiled([types.int64(WORDS, WORDS)])
def hand_out(boards, programs):  # type: ignore[no-untyped-def]
    """Put all programs but the first on boards; if everybody is awake, run the first, and wait for the others.

    Returns:
        How many must be woken; if there are any, they are to be, and ``join`` called.
    """
    asleep = 0
    for k in range(len(programs) // 2 - 1):
        at = BOARD * k
        boards[at + 1], boards[at + 2] = programs[2 * k + 2], programs[2 * k + 3]
        if exchange(boards, at, READY, GO) == ASLEEP:
            boards[at + 3] = 1
            asleep += 1
            store(boards, at, GO)
    if asleep == 0:
        join(boards, programs)
    return asleep


@compiled([types.void(WORDS)])
def settle(boards):  # type: ignore[no-untyped-def]
    """Wait until nobody has work."""
    for at in range(0, len(boards), BOARD):
        await_end(boards, at)


@final
class Crew:
    """Threads that wait for work. A caller that finds them at work does its own work alone."""

    def __init__(self, size: int) -> None:
        self._boards = np.zeros(BOARD * max(size, 1), np.int64)
        self._boards[::BOARD] = ASLEEP
        # A bell that is unlocked has been rung. An interrupt cannot break a lock, as it can an Event, which is Python.
        self._bells = [Lock() for _ in range(size)]
        self._busy = Lock()
        self._owner: Any = None  # what owns the memory of programs that may still run
        for k, bell in enumerate(self._bells):
            bell.acquire()
            Thread(target=self._work, args=(BOARD * k, bell), name=f"saiki-{k}", daemon=True).start()

    def _work(self, at: int, bell: Lock) -> None:
        while True:
            bell.acquire()
            attend(self._boards, at, PATIENCE)

    def run(self, programs: Array, owner: object) -> None:
        """Run programs side by side.

        An interrupt may come between any two lines here. It leaves programs on the boards of sleeping threads at worst;
        their memory stays alive with the owner until they have run.

        Args:
            programs: pairs of an address and a length.
            owner: what keeps alive the programs, their tables and all arrays that these point at.
        """
        if len(programs) // 2 - 1 > len(self._bells) or self._busy.locked():
            for k in range(0, len(programs), 2):
                run_at(programs[k], programs[k + 1])
            return
        with self._busy:  # another caller may have come first since; then this one waits
            self._finish()
            self._owner = owner
            try:
                if hand_out(self._boards, programs):
                    self._ring()
                    join(self._boards, programs)
                self._owner = None
            finally:
                self._finish()

    def _ring(self) -> None:
        """Wake the threads that have work and sleep."""
        for k, bell in enumerate(self._bells):
            if self._boards[BOARD * k + 3]:
                if bell.locked():  # nobody else unlocks it
                    bell.release()
                self._boards[BOARD * k + 3] = 0

    def _finish(self) -> None:
        """Let the threads finish what an interrupted call has left to them."""
        if self._owner is not None:
            self._ring()
            settle(self._boards)
            self._owner = None


@cache
def crew() -> Crew:
    """Return the threads of this process, one for each core but the caller's own."""
    return Crew(cores() - 1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=crew.cache_clear)  # a child has none of its parent's threads
