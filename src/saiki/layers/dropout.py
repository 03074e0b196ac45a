"""Dropout: while training, some numbers are set to zero and the others made up for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_share
from saiki.engines.chain import Links
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Linked, Result, no_state


def drop_mask(
    rng: np.random.Generator | None, rate: float, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> Array | None:
    """Return what to multiply by: 0 with probability ``rate``, else ``1 / (1 - rate)``; None where nothing drops.

    >>> drop_mask(np.random.default_rng(0), 0.5, (4,), np.float64)
    array([2., 0., 0., 0.])
    """
    if rng is None or rate == 0:
        return None
    return (rng.random(shape) >= rate).astype(np.real(np.empty(0, dtype)).dtype) / (1 - rate)


@final
@dataclass(frozen=True)
class Dropout(Linked):
    """Set each number to zero with probability ``rate``, and divide the others by ``1 - rate``.

    Only where ``forward`` is given a generator, that is, while training; predictions drop nothing. Source: Srivastava
    et al. (2014), JMLR 15, section 4; over time, Gal and Ghahramani (2016), section 4.

    Args:
        rate: the share that is dropped, from 0 up to 1.
        same_over_time: whether a sequence drops the same features at every step.

    Raises:
        ArgumentError: the rate is out of range.

    >>> layer = Dropout(0.5)
    >>> X = np.ones((1, 2, 3))
    >>> layer.forward({}, X)[0].sum(), layer.forward({}, X, rng=np.random.default_rng(1))[0].tolist()
    (np.float64(6.0), [[[2.0, 2.0, 0.0], [2.0, 0.0, 0.0]]])
    """

    rate: float
    same_over_time: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", as_share("rate", self.rate))

    @property
    def sizes(self) -> tuple[None, None]:
        """As many features go out as come in."""
        return None, None

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every option."""
        return [cls(0.3), cls(0.3, same_over_time=True), cls(0)]

    def parameters(self) -> dict[str, Parameter]:
        """Return no parameters."""
        return {}

    def links(self) -> Links:
        """Return no links: predictions drop nothing."""
        return ()

    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> None:
        """Return no state."""

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:  # noqa: ARG002
        no_state("Dropout", state)
        shape = (X.shape[0], 1, X.shape[2]) if self.same_over_time and X.ndim == 3 else X.shape
        mask = drop_mask(context.rng, self.rate, shape, X.dtype)
        return Result(X if mask is None else X * mask, None, mask, context.lengths)

    def _backward(self, params: Params, tape: Any, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        return Gradients({}, dY if tape is None else dY * tape, None)  # Y = X * mask
