"""Everything that one chain of cells needs for one shape of batch: memory, tables, programs. Made once, run often.

A batch is cut into slices, one for each thread. A slice walks through all time, and through all links of the chain,
with no barrier; what the slices found is added up at the end, in a fixed order.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, final

import numpy as np

from saiki.arrays import Array, Params
from saiki.engines.chain import Link, Links, Read
from saiki.engines.crew import crew
from saiki.engines.kernels import ARGUMENTS, kernel_of, update_arguments, updater, weigher
from saiki.engines.layout import Layout, Size
from saiki.engines.locks import ProcessLock
from saiki.engines.loops import backward_arguments, forward_arguments, runs_of
from saiki.engines.native import Argument, Table, address, program, run_again, run_at
from saiki.engines.tape import Schedule
from saiki.engines.walks import backward_walk, forward_walk
from saiki.losses import Loss
from saiki.optimizers import NormLimit, Rule

Calls = list[tuple[int, Table]]


class Slot:
    """What the slots point at: the caller's arrays, and from ``PARAMS`` on the parameters."""

    X, TARGETS, WEIGHTS, Y, GRADIENTS, DX, PARAMS = range(7)


def laid_out(array: Array) -> Array:
    """Return an array as kernels read it, contiguous and aligned: itself, or a copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.array(array, order="C")


@final
class Plan:
    """One chain of cells, made ready for one size.

    Attributes:
        arrays: for each link its arrays by name, as the walks call them, time before sequences.
        key: what the engine finds it by.
        slots: the addresses of the caller's arrays, see ``Slot``; ``point`` sets them before a run.
        held: the arrays that addresses were taken of; a plan has no address of an array that it does not hold.
        running: whether a run has begun and not ended; an interrupt leaves it so, maybe with a program not yet run.
        params: the caller's name and the shape of each parameter.
        places: where the gradient of each begins among all gradients, and ends.
        outputs: what the last link gives, ``(T, B, K)`` in the order of walking.
        order, lengths, alive: the schedule, to be set before a run where it is not that all steps exist.
        status: for each slice NaN after a run in which something was not finite or not as it must be.
        values: for each slice its part of the loss.
    """

    def __init__(
        self,
        chain: Links,
        size: Size,
        loss: Loss | None = None,
        rules: tuple[Rule | NormLimit, ...] | None = None,
        key: Any = None,
    ) -> None:
        self.chain, self.size, self.key, self.lock, self._ragged = chain, size, key, ProcessLock(), False
        self.layout = layout = Layout(chain, size)
        self.arrays, self.params, self.places = layout.arrays, layout.params, layout.places
        self.n_gradients, self.gradients = layout.n_gradients, layout.gradients
        self.status, self.values, self.scale = layout.status, layout.values, layout.scale
        self.held: list[Array] = []
        self.running = False
        n_memories = sum(rule.memories for rule in rules or () if isinstance(rule, Rule))
        n_slots, n_params = Slot.PARAMS + len(self.params), len(self.params)
        self._addresses = np.zeros(n_slots + (1 + n_memories) + n_memories * n_params, np.int64)
        self.slots, self.new, old = np.split(self._addresses, [n_slots, n_slots + 1 + n_memories])
        self.old = old.reshape(n_memories, n_params)
        self._offsets = np.array([place.start for place in self.places], np.int64) * np.dtype(size.dtype).itemsize
        self.order, self.lengths = np.arange(size.B), np.full(size.B, size.T)
        self.alive = np.full(size.T, size.B)
        self._once = {"lengths": np.ones(size.B, np.int64), "alive": np.full(1, size.B)}
        self.outputs = self.layout.input(len(chain))
        self._tables: dict[str, list[Table]] = {}
        self._weighted = False
        self._unasked = np.zeros_like(self.status)
        self._programs: list[Array] = []
        self.reads = self.layout.after_reading(len(chain))
        self.ends = [  # the states that the caller sees, and whether they come after the readout
            ([self.arrays[k][f"s_{name}"] for name in link.cell.states], self.layout.after_reading(k))
            for k, link in enumerate(chain)
            if isinstance(link, Link) and link.carries
        ]
        self._phases = self._make_phases(loss)
        if rules is not None and self.learns:
            self._make_update(rules)
        self.nbytes = layout.nbytes

    @property
    def rows(self) -> int:
        """How many outputs there are."""
        return self.size.B if self.reads else int(self.lengths.sum()) if self._ragged else self.size.B * self.size.T

    def leave_padding_out(self, weights: Array) -> None:
        """Set the weights ``(B,)`` or ``(B, T)`` of outputs that do not exist to zero."""
        if not self.reads and self._ragged:
            lengths = np.empty_like(self.lengths)
            lengths[self.order] = self.lengths
            weights[np.arange(self.size.T) >= lengths[:, None]] = 0

    def weigh_by_row(self, weighted: bool) -> None:
        """Say whether each row of outputs has a weight of its own, at ``Slot.WEIGHTS``."""
        if weighted != self._weighted:
            self._weighted = weighted
            self.set("weigh", "weighted", int(weighted))

    @property
    def value(self) -> Any:
        """The loss of the last run."""
        return self.values.sum() if self.size.n_slices > 1 else self.values[0, 0]

    def run(self, name: str) -> None:
        """Run "forward", "backward", "predict", "learn" or "hand out dX"."""
        self.running = True
        if self.size.n_threads == 1:
            run_at(*self._phases[name][0])
        else:
            for programs in self._phases[name]:
                crew().run(programs, self)
        self.running = False

    def train_again(self, Xs: list[Array], ys: list[Array], flats: list[Array], rates: Array, losses: Array) -> None:
        """Run "train" once for each pair of inputs and targets; all arrays must be as those that it is pointed at.

        Args:
            Xs: the inputs, in turn.
            ys: the targets.
            flats: the parameters after each update, and the optimizer's memories then; a row for each update.
            rates: the optimizer's rates ``(n, 2, n_rates)``.
            losses: for each update the part of the loss of each slice ``(n, n_slices)``, to be written.
        """
        n, steps, slots, old = len(Xs), np.arange(len(Xs)), address(self.slots), address(self.old)
        self.held += [*Xs, *ys, *flats, rates, losses]
        columns: dict[int, Any] = {
            slots + 8 * Slot.X: [address(X) for X in Xs],
            slots + 8 * Slot.TARGETS: [address(y) for y in ys],
        }
        for m, flat in enumerate(flats):
            after = address(flat) + steps * flat.strides[0]
            columns[address(self.new) + 8 * m] = after
            for k, offset in enumerate(self._offsets):
                place = slots + 8 * (Slot.PARAMS + k) if m == 0 else old + 8 * ((m - 1) * len(self.params) + k)
                first = self.slots[Slot.PARAMS + k] if m == 0 else self.old[m - 1, k]
                columns[place] = np.append(first, after[:-1] + offset)
        lent = [
            (table, "value", address(losses) + steps * losses.strides[0] + s * losses.itemsize)
            for s, table in enumerate(self._tables["weigh"])
        ]
        for table, (_, shape) in zip(
            self._tables["update"], (one for one in self.params for _ in range(self.size.n_slices)), strict=True
        ):
            lent.append((table, "rates", address(rates[:, min(len(shape), 2) - 1]) + steps * rates.strides[0]))
        before = [table.words[table.places[name]] for table, name, _ in lent]
        for table, name, words in lent:
            columns[address(table.words) + 8 * table.places[name]] = words
        words = np.empty((n, len(columns)), np.int64)
        for p, column in enumerate(columns.values()):
            words[:, p] = column
        start, length = self._phases["train"][0]
        run_again(start, length, np.array(list(columns), np.int64), words)
        for (table, name, _), word in zip(lent, before, strict=True):
            table[name] = word

    @property
    def learns(self) -> bool:
        """Whether the loss is one that can be compiled."""
        return "learn" in self._phases

    @property
    def well(self) -> bool:
        """Whether nothing was found that is not as it must be."""
        return self._is_clear(self.status)

    @property
    def still_well(self) -> bool:
        """Whether no parameter stopped being finite by the update."""
        return self._is_clear(self.after)

    def _is_clear(self, status: Array) -> bool:
        found = status.any() if self.size.n_slices > 1 else status[0, 0]
        if found:
            status[...] = 0
        return not found

    @property
    def trains(self) -> bool:
        """Whether the optimizer, too, is one that can be compiled."""
        return "train" in self._phases

    def set(self, name: str, argument: str, word: int) -> None:
        """Set a whole number in all tables of one kind."""
        for table in self._tables[name]:
            table[argument] = word

    def follow(self, lengths: Array | None, schedule: Schedule | None = None) -> None:
        """Walk by other lengths than before; None where all steps exist."""
        if lengths is None:
            if self._ragged:
                self.order[...], self.lengths[...], self.alive[...] = np.arange(self.size.B), self.size.T, self.size.B
        else:
            schedule = schedule or Schedule.of(lengths, self.size.B, self.size.T)
            assert schedule.order is not None
            self.order[...], self.lengths[...], self.alive[...] = schedule.order, schedule.lengths, schedule.alive
        self._ragged = lengths is not None

    def point(self, slot: int, array: Array) -> None:
        """Set a slot to the address of an array that is contiguous, and hold the array."""
        self.held.append(array)
        self.slots[slot] = address(array)

    def point_at_params(self, params: Params) -> bool:
        """Set the slots of the parameters; return False if one is missing or has another shape or dtype."""
        return self._point_at_all(self.slots[Slot.PARAMS :], params)

    def point_at_memory(self, m: int, memory: Params) -> bool:
        """Set the addresses of memory ``m`` of the optimizer; return False as for parameters."""
        return self._point_at_all(self.old[m], memory)

    def _point_at_all(self, words: Array, arrays: Params) -> bool:
        """Set words to the addresses of arrays named and shaped like the parameters.

        The addresses are taken anew for every run: an array that is the same object as before may have other memory.
        """
        held, dtype = self.held, self.layout.dtype
        for k, (name, shape) in enumerate(self.params):
            array: Any = arrays.get(name)
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                return False
            if not array.flags.carray:
                array = laid_out(array)
            held.append(array)
            words[k] = address(array)
        return True

    def point_at_results(self, arrays: list[Array]) -> None:
        """Set where "train" writes the parameters after the update, and the optimizer's memories."""
        self.held += arrays
        for k, array in enumerate(arrays):
            self.new[k] = address(array)

    def let_go(self) -> None:
        """Forget every address of a caller's array, and let go of the arrays."""
        self._addresses.fill(0)
        self.held.clear()

    def final_states(self) -> list[tuple[Array, ...]]:
        """Return, for each link that carries a state, its states after the last step of each sequence."""
        finals = []
        for states, once in self.ends:
            if once or not self._ragged:
                T = 1 if once else self.size.T
                finals.append(tuple(state[T % len(state)].copy() for state in states))
            else:
                final = tuple(np.empty(state.shape[1:], state.dtype) for state in states)
                for end, state in zip(final, states, strict=True):
                    end[self.order] = state[self.lengths % len(state), np.arange(self.size.B)]
                finals.append(final)
        return finals

    def state_gradients(self) -> list[tuple[Array, ...]]:
        """Return, for each link that carries a state, the gradients of its initial states."""
        found = []
        for k, link in enumerate(self.chain):
            if isinstance(link, Link) and link.carries:
                own = []
                for name in link.cell.states:
                    own.append(np.empty((self.size.B, link.n_units), self.size.dtype))
                    own[-1][self.order] = self.arrays[k][f"d_{name}"]
                found.append(tuple(own))
        return found

    def split(self, flat: Array) -> dict[str, Array]:
        """Return for each parameter its part of what lies in one piece; of rows of such pieces, a row for each."""
        return {
            name: flat[..., place].reshape(*flat.shape[:-1], *shape)
            for (name, shape), place in zip(self.params, self.places, strict=True)
        }

    def _make_phases(self, loss: Loss | None) -> dict[str, list[Any]]:
        """Make every table, and the programs of every kind of run: phases, each for all slices side by side."""
        n = range(self.size.n_slices)
        fetch = [self._fetch(s, back=False) for s in n]
        walk = [self._walk(s) for s in n]
        load, unload = [self._load(s) for s in n], [self._unload(s, Slot.Y, self.outputs, len(self.chain)) for s in n]
        phases = {
            "fetch": self._phases_of(fetch),
            "step": self._phases_of([load[s] + walk[s] + unload[s] for s in n]),
            "forward": self._phases_of(fetch, walk),
            "predict": self._phases_of(fetch, [load[s] + walk[s] + unload[s] for s in n]),
        }
        if self.size.keep:
            fetch_back, walk_back = [self._fetch(s, back=True) for s in n], [self._walk_back(s) for s in n]
            add_up = [self._add_up(s) for s in n]
            phases["backward"] = self._phases_of(fetch_back, walk_back, add_up)
        if loss is not None and weigher(loss, self.size.dtype):
            weigh = [self._weigh(s, loss) for s in n]
            hand_out = [self._unload(s, Slot.DX, self.arrays[0]["dx"], 0) for s in n]
            steps = [load[s] + walk[s] + weigh[s] + walk_back[s] for s in n]
            self._learning = [fetch[s] + fetch_back[s] for s in n], steps, add_up
            phases["learn"] = self._phases_of(*self._learning)
            phases["hand out dX"] = self._phases_of(hand_out)
        return phases

    def _phases_of(self, *phases: list[Calls]) -> list[Any]:
        """Return for each phase the addresses and lengths of the threads' programs; one thread has but one phase."""
        S, n_threads = self.size.n_slices, self.size.n_threads
        if n_threads == 1:
            phases = ([[call for phase in phases for calls in phase for call in calls]],)
        else:
            ends = [S * k // n_threads for k in range(n_threads + 1)]
            phases = tuple(
                [[call for calls in phase[lo:hi] for call in calls] for lo, hi in pairwise(ends)] for phase in phases
            )
        result = []
        for phase in phases:
            programs = [program(calls) for calls in phase]
            self._programs += programs  # they must stay where they are
            words = [word for one in programs for word in (address(one), len(one))]
            result.append(words if len(words) == 2 else np.array(words, np.int64))
        return result

    def _call(self, kind: str, kernel: int, arguments: Mapping[str, Argument], values: Mapping[str, Any]) -> Calls:
        """Return a call as a list of one, and remember its table."""
        table = Table.of(arguments, values)
        self._tables.setdefault(kind, []).append(table)
        return [(kernel, table)]

    def _slot(self, slot: int | str) -> Array:
        """Return a slot by its number, or by the name of the parameter."""
        if isinstance(slot, str):
            slot = Slot.PARAMS + [name for name, _ in self.params].index(slot)
        return self.slots[slot : slot + 1]

    def _rows(self, s: int, k: int) -> dict[str, Any]:
        """Return the rows of a slice, and which of them exist when link ``k`` walks."""
        lo, hi = self.layout.slices[s]
        schedule = self._once if self.layout.after_reading(k) else {"lengths": self.lengths, "alive": self.alive}
        return {"lo": lo, "hi": hi, "order": self.order, **schedule}

    def _fetch(self, s: int, back: bool) -> Calls:
        """Pack a slice's share of the weights."""
        calls: Calls = []
        S, dtype = self.size.n_slices, self.size.dtype

        def fetch(name: str, target: Array, offset: int, K: int, N: int, row_stride: int, column_stride: int) -> None:
            width = target.shape[2] if target.ndim == 3 else N
            count = -(-N // width) if N else 0
            values = {
                "slot": self._slot(name), "offset": offset, "K": K, "N": N, "row_stride": row_stride,
                "column_stride": column_stride, "panels": target.reshape(-1), "width": width,
                "first": count * s // S, "last": count * (s + 1) // S, "status": self.status[s],
            }  # fmt: skip
            calls.extend(self._call("fetch", kernel_of("fetch", dtype), ARGUMENTS["fetch"], values))

        for k, link in enumerate(self.chain):
            if isinstance(link, Read):
                continue
            own, F, H = self.arrays[k], link.n_features, link.n_units
            GH, RH = len(link.cell.gates) * H, len(link.cell.recurrent) * H
            vectors = {n: f"vector_{n}" for n in link.cell.vectors}
            if back:
                fetch(link.names["Wx"], own["wx_back"], 0, GH, F, 1, GH)
            else:
                fetch(link.names["Wx"], own["wx"], 0, F, GH, GH, 1)
                vectors |= {"b": "bias", "bh": "apart_bias"}
            for name, target in vectors.items():
                if name in link.names:
                    fetch(link.names[name], own[target], 0, 1, len(own[target]), 0, 1)
            for r, run in enumerate(runs_of(link.cell)):
                if back:
                    fetch(link.names["Wh"], own[f"wh_back_{r}"], run.source * H, run.width * H, H, 1, RH)
                else:
                    fetch(link.names["Wh"], own[f"wh_{r}"], run.source * H, H, run.width * H, RH, 1)
        return calls

    def _walk(self, s: int) -> Calls:
        """Walk forwards through all links."""
        calls: Calls = []
        for k, link in enumerate(self.chain):
            rows, own = self._rows(s, k), self.arrays[k]
            if isinstance(link, Read):
                values = rows | {"h": self.layout.input(k), "y": own["y"]}
                calls += self._call("read", kernel_of(f"read {link.kind}", self.size.dtype), ARGUMENTS["read"], values)
            else:
                values = rows | self.layout.arrays_of(k, s) | {"x": self.layout.input(k), "fresh": 1}
                calls += self._call(
                    "walk", forward_walk(link.cell, self.size.dtype), forward_arguments(link.cell), values
                )
        return calls

    def _walk_back(self, s: int) -> Calls:
        """Walk backwards through all links."""
        calls: Calls = []
        for k, link in reversed(list(enumerate(self.chain))):
            rows, own = self._rows(s, k), self.arrays[k]
            if isinstance(link, Read):
                values = rows | {"dy": own["dout"], "dh": self.arrays[k - 1]["dout"]}
                kernel = kernel_of(f"read_back {link.kind}", self.size.dtype)
                calls += self._call("read back", kernel, ARGUMENTS["read_back"], values)
            else:
                values = rows | self.layout.arrays_of(k, s) | self.layout.gradients_of(k, s) | {
                    "x": self.layout.input(k), "window": 0, "dh_loss": own["dout"], "fresh": 1, "wants_dx": 1,
                    "dx": own["dx"] if k == 0 else self.arrays[k - 1]["dout"],
                }  # fmt: skip
                kernel = backward_walk(link.cell, self.size.dtype)
                kind = "walk back" if k else "first walk back"
                calls += self._call(kind, kernel, backward_arguments(link.cell), values)
        return calls

    def _load(self, s: int) -> Calls:
        values = self._rows(s, 0) | {
            "slot": self._slot(Slot.X),
            "x": self.arrays[0]["x"],
            "status": self.status[s],
        }
        return self._call("load", kernel_of("load", self.size.dtype), ARGUMENTS["load"], values)

    def _unload(self, s: int, slot: int, y: Array, k: int) -> Calls:
        status = self.status if slot == Slot.Y else self._unasked  # a gradient may be what it is
        values = self._rows(s, k) | {"slot": self._slot(slot), "y": y, "status": status[s]}
        return self._call("unload", kernel_of("unload", self.size.dtype), ARGUMENTS["unload"], values)

    def _weigh(self, s: int, loss: Loss) -> Calls:
        values = self._rows(s, len(self.chain)) | {
            "slot": self._slot(Slot.TARGETS), "weights_slot": self._slot(Slot.WEIGHTS), "weighted": 0,
            "y": self.outputs, "scale": self.scale, "dy": self.arrays[-1]["dout"], "value": self.values[s],
            "status": self.status[s],
        }  # fmt: skip
        return self._call("weigh", weigher(loss, self.size.dtype), ARGUMENTS["weigh"], values)

    def _add_up(self, s: int) -> Calls:
        n, S = self.n_gradients, self.size.n_slices
        values = {
            "parts": self.gradients,
            "slot": self._slot(Slot.GRADIENTS),
            "first": n * s // S,
            "last": n * (s + 1) // S,
        }
        return self._call("add up", kernel_of("add_up", self.size.dtype), ARGUMENTS["add_up"], values)

    def _make_update(self, rules: tuple[Rule | NormLimit, ...]) -> None:
        """Make what updates the parameters by what one step has learnt."""
        limits = [rule.limit for rule in rules[:1] if isinstance(rule, NormLimit)]
        rest = tuple(rule for rule in rules[len(limits) :] if isinstance(rule, Rule))
        kernel = updater(rest, self.size.dtype) if len(limits) + len(rest) == len(rules) else 0
        if not kernel:
            return
        S, dtype = self.size.n_slices, self.size.dtype
        n_memories, n_rates = len(self.old), sum(len(rule.rates(0, 1)) for rule in rest)
        self.total, self.after = np.empty(self.n_gradients, dtype), np.zeros((S, 1), dtype)
        self.rates, self._factor = np.zeros((2, n_rates), dtype), np.ones(1, dtype)
        norm: Calls = []
        if limits:
            values = {
                "total": self.total,
                "n": self.n_gradients,
                "limit": np.array(limits, dtype),
                "factor": self._factor,
            }
            norm = self._call("norm", kernel_of("norm", dtype), ARGUMENTS["norm"], values)
            self._limit = values["limit"]
        updates: list[Calls] = [[] for _ in range(S)]
        for k, ((name, shape), place) in enumerate(zip(self.params, self.places, strict=True)):
            n = math.prod(shape)
            for s in range(S):
                values = {
                    "total": self.total, "factor": self._factor, "rates": self.rates[min(len(shape), 2) - 1],
                    "w_slot": self._slot(name), "new_w_slot": self.new[:1], "at": place.start, "first": n * s // S,
                    "last": n * (s + 1) // S, "status": self.after[s],
                }  # fmt: skip
                for m in range(n_memories):
                    values |= {f"m{m}_slot": self.old[m, k : k + 1], f"new_m{m}_slot": self.new[m + 1 : m + 2]}
                updates[s] += self._call("update", kernel, update_arguments(rest), values)
        norms = [[norm] + [[]] * (S - 1)] if norm else []
        self._phases["train"] = self._phases_of(*self._learning, *norms, updates)
