"""The memory of a plan: every array that the walks of a chain work on, cut from one piece."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array
from saiki.engines import memory
from saiki.engines.chain import Link, Links, Read
from saiki.engines.loops import between, own_arrays, runs_of, seen_names
from saiki.engines.tile import products, width_of

BLOCK_ROWS = 512
"""How many rows (steps by sequences) give their weight gradients at once: they still are in the cache."""

GRADIENTS = {"dwx": "Wx", "dwh": "Wh", "dbias": "b", "dapart_bias": "bh"}
"""What the backward walk calls the gradient of a parameter."""

LINE = 64
"""Number of bytes in a line of the cache."""

SLICED = {"seen", "spare", "da", "dapart", "panels"}
"""The arrays of which each slice has its own, beside ``block_...`` and ``between_...``."""


class Size(NamedTuple):
    """What a plan is made for.

    Attributes:
        B: the number of sequences.
        T: the number of steps.
        dtype: float32 or float64.
        n_slices: into how many slices the batch is cut.
        n_threads: how many threads share them; no more than there are slices.
        keep: whether there will be a backward pass.
        masked: whether products with ``Wh`` see a mask.
    """

    B: int
    T: int
    dtype: Any
    n_slices: int
    n_threads: int
    keep: bool
    masked: bool = False


@final
class Layout:
    """The arrays of one chain for one size.

    Attributes:
        slices: the first row of each slice of the batch, and the first that is no more of it.
        arrays: for each link its arrays by name, as the walks call them, time before sequences.
        params: the caller's name and the shape of each parameter.
        places: where the gradient of each stands among all gradients of the caller's.
        n_gradients: how many numbers those are.
        gradients: for each slice the gradients of all parameters, also of those that the caller does not have.
        status, values: a number for each slice.
        scale: one number.
        dtype: the dtype of all of them.
        nbytes: the size of the memory.
    """

    def __init__(self, chain: Links, size: Size) -> None:
        self.chain, self.size, self._columns = chain, size, products(size.dtype)["columns"]
        self.dtype: np.dtype[Any] = np.dtype(size.dtype)
        self.slices = list(pairwise(size.B * k // size.n_slices for k in range(size.n_slices + 1)))
        self._starts: dict[tuple[int, str], int] = {}
        self.params: list[tuple[str, tuple[int, ...]]] = []
        self.places: list[slice] = []
        at = 0
        for known in (True, False):  # those first that the caller knows
            for k, link in enumerate(chain):
                for name, shape in link.shapes.items() if isinstance(link, Link) else ():
                    if isinstance(link, Link) and (name in link.names) == known:
                        self._starts[k, name] = at
                        if known:
                            self.params.append((link.names[name], shape))
                            self.places.append(slice(at, at + math.prod(shape)))
                        at += math.prod(shape)
        self.n_gradients = self.places[-1].stop if self.places else 0
        cut = self._cut(at)
        self.gradients, self.status, self.values, self.scale = (
            cut["gradients"],
            cut["status"],
            cut["values"],
            cut["scale"],
        )
        self.arrays = _by_link(cut["links"], len(chain))
        self.status[...] = 0
        for own in self.arrays:
            for name in {"mask", "bias", "apart_bias"} & own.keys():
                own[name][...] = 0

    def _cut(self, n_gradients: int) -> dict[str, Any]:
        """Cut the memory; what is no link's own is found by name, the rest under "links"."""
        size, T, width = self.size, self.size.T, 0
        S = size.n_slices
        shapes: dict[Any, tuple[int, ...]] = {"status": (S, 1), "values": (S, 1), "scale": (1,)}
        shapes["gradients"] = (S if size.keep else 0, n_gradients)
        for k, link in enumerate(self.chain):
            if isinstance(link, Read):
                T = 1
                shapes[k, "y"] = (1, size.B, width)
            else:
                width = link.n_units
                shapes |= {(k, name): shape for name, shape in self._shapes(link, T).items()}
                if k == 0:
                    shapes[k, "x"] = (T, size.B, link.n_features)
                    shapes[k, "dx"] = (T if size.keep else 0, size.B, link.n_features)
            if size.keep:
                shapes[k, "dout"] = (T, size.B, width)
        self._all_shapes, self._memory, self._all_places = shapes, *_reserve(shapes, size.dtype)
        self.nbytes = self._memory.nbytes
        arrays = _cut(self._memory, shapes, self._all_places, size.dtype)
        shared = {name: array for name, array in arrays.items() if isinstance(name, str)}
        return shared | {"links": {name: array for name, array in arrays.items() if name not in shared}}

    def lend(self) -> tuple[Array, list[dict[str, Array]]]:
        """Return a new array over the memory, and for each link its arrays as views of that one.

        When the array is gone, no such view is left.
        """
        owner = memory.over(self._memory)
        arrays = _cut(owner, self._all_shapes, self._all_places, self.size.dtype)
        return owner, _by_link({n: a for n, a in arrays.items() if not isinstance(n, str)}, len(self.chain))

    def _shapes(self, link: Link, T: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a link's arrays; those of a slice's own have the slices first."""
        (B, _, dtype, S, _, keep, masked), cell = self.size, link.cell
        F, H, G, A = link.n_features, link.n_units, len(link.cell.gates), len(link.cell.apart)
        rows = max((hi - lo for lo, hi in self.slices), default=0)
        steps, states = (T, T + 1) if keep else (min(T, 1), min(T + 1, 2))

        def panels(K: int, N: int) -> tuple[int, int, int]:
            width = width_of(N, dtype)
            return -(-N // width), K, width

        runs = runs_of(cell)
        shapes: dict[str, tuple[int, ...]] = {
            "gates": (steps, B, G, H), "apart": (steps, B, A, H), "bias": (G * H,), "apart_bias": (A * H,),
            "mask": (B, H) if masked else (0, H), "wx": panels(F, G * H), "spare": (S, 8 * self._columns),
            "seen": (S, rows if masked else 0, H),
        }  # fmt: skip
        shapes |= {f"wh_{r}": panels(H, run.width * H) for r, run in enumerate(runs)}
        shapes |= {f"s_{s}": ((T + 1) if s == "h" else states, B, H) for s in cell.states}
        shapes |= {f"saved_{n}": (steps, B, H) for n in own_arrays(cell)} | {f"vector_{n}": (H,) for n in cell.vectors}
        if not keep:
            return shapes
        most = max(min(BLOCK_ROWS, T * rows), rows, 1)
        widest = -(-G * H // self._columns) * self._columns
        shapes |= {f"d_{s}": (B, H) for s in cell.states} | {"wx_back": panels(G * H, F)}
        shapes |= {f"wh_back_{r}": panels(run.width * H, H) for r, run in enumerate(runs)}
        shapes |= {"da": (S, most, G * H), "dapart": (S, most, A * H), "block_x": (S, most, F)}
        shapes |= {f"block_{n}": (S, most, H) for n in seen_names(cell)}
        shapes |= {f"between_{n}": (S, rows, H) for n in between(cell)}
        return shapes | {"panels": (S, widest * most)}

    def input(self, k: int) -> Array:
        """Return what link ``k`` reads."""
        before = self.arrays[k - 1]
        return self.arrays[0]["x"] if k == 0 else before["y"] if "y" in before else before["s_h"][1:]

    def after_reading(self, k: int) -> bool:
        """Return whether link ``k`` comes after a readout."""
        return any(isinstance(link, Read) for link in self.chain[:k])

    def arrays_of(self, k: int, s: int) -> dict[str, Any]:
        """Return the arrays of a link, with those of one slice where each has its own."""
        lo, hi = self.slices[s]
        values: dict[str, Any] = {"masked": int(self.size.masked)}
        for name, array in self.arrays[k].items():
            values[name] = array[s] if name in SLICED or name.startswith(("block_", "between_")) else array
        if "da" in values:
            most = max(min(BLOCK_ROWS, len(values["gates"]) * (hi - lo)), hi - lo, 1)
            values |= {n: v[:most] for n, v in values.items() if n in ("da", "dapart") or n.startswith("block_")}
        return values

    def gradients_of(self, k: int, s: int) -> dict[str, Array]:
        """Return where the gradients of a link's parameters stand, by the names that the walk has for them."""
        link, found = self.chain[k], {}
        assert isinstance(link, Link)
        names = GRADIENTS | {f"dvector_{n}": n for n in link.cell.vectors}
        for name, param in names.items():
            at, shape = self._starts[k, param], link.shapes[param]
            found[name] = self.gradients[s, at : at + math.prod(shape)].reshape(shape)
        return found


def _by_link(arrays: Mapping[tuple[int, str], Array], n_links: int) -> list[dict[str, Array]]:
    """Return for each link its arrays by name."""
    return [{name: array for (i, name), array in arrays.items() if i == k} for k in range(n_links)]


def _reserve(shapes: Mapping[Any, tuple[int, ...]], dtype: Any) -> tuple[Array, dict[Any, int]]:
    """Return memory for arrays of these shapes as bytes, and where each begins: at the start of a line of the cache."""
    starts, at = {}, 0
    for name, shape in shapes.items():
        starts[name] = at
        at += -(-math.prod(shape) * np.dtype(dtype).itemsize // LINE) * LINE
    arena = memory.empty((at + LINE,), np.uint8)
    first = -arena.ctypes.data % LINE
    return arena, {name: first + start for name, start in starts.items()}


def _cut(
    owner: Array, shapes: Mapping[Any, tuple[int, ...]], places: Mapping[Any, int], dtype: Any
) -> dict[Any, Array]:
    """Return arrays of these shapes at their places in memory that is given as bytes."""
    return {name: np.ndarray(shape, dtype, owner, places[name]) for name, shape in shapes.items()}
