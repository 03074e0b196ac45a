"""What layers tell an engine that can run several of them at once: cells, one walking over the outputs of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

from saiki.cells import Cell


@final
@dataclass(frozen=True)
class Link:
    """A cell that walks over the outputs of the link before.

    Attributes:
        cell: the cell; one that sees no previous state is a dense layer.
        n_features: how many numbers come in at each step.
        n_units: how many go out.
        names: what the caller calls each of the parameters that there are, by its name in an engine.
        carries: whether the caller sees a state that it carries from step to step; a dense layer has none.
    """

    cell: Cell
    n_features: int
    n_units: int
    names: Mapping[str, str]
    carries: bool = True

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter and its gradient, also of those that the caller does not have."""
        F, H, cell = self.n_features, self.n_units, self.cell
        shapes: dict[str, tuple[int, ...]] = {"Wx": (F, len(cell.gates) * H), "Wh": (H, len(cell.recurrent) * H)}
        return shapes | {"b": (len(cell.gates) * H,), "bh": (len(cell.apart) * H,)} | dict.fromkeys(cell.vectors, (H,))


@final
@dataclass(frozen=True)
class Read:
    """One output for a sequence instead of one for each step: "last" or "mean"."""

    kind: str


Links: TypeAlias = tuple[Link | Read, ...]


@final
class Chain:
    """Links that are run one after another. Each is one of its own: an engine keeps what it has made ready for it."""

    def __init__(self, links: Links) -> None:
        self.links = links
        cells = [link for link in links if isinstance(link, Link)]
        self.work = sum(link.n_units * len(link.cell.gates) * (link.n_units + link.n_features) for link in cells)

    def __reduce__(self) -> tuple[type["Chain"], tuple[Links]]:
        return Chain, (self.links,)
