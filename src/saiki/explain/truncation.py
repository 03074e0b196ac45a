"""How much truncated backpropagation through time leaves out."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_count
from saiki.errors import ArgumentError
from saiki.layers import Network
from saiki.losses import Loss


class Truncation(NamedTuple):
    """How far a truncated gradient is from the full one.

    Attributes:
        cosine: of the angle between them: 1 where they point the same way.
        relative_norm: the norm of the truncated one over that of the full one.
    """

    cosine: float
    relative_norm: float


def truncation_error(
    network: Network,
    params: Params,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    tbptt: int,
    loss: str | Loss = "cross_entropy",
    lengths: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    state: Any = None,
) -> Truncation:
    """Return how far the gradient of the parameters with windows of ``tbptt`` steps is from the full one.

    The arguments are those of ``Network.loss_and_gradients``. Both numbers are NaN where a gradient is zero.

    Raises:
        ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.

    >>> from saiki.layers import Dense, SimpleRNN
    >>> network = Network([SimpleRNN(1, 4), Dense(4, 1)])
    >>> rng = np.random.default_rng(0)
    >>> params, X, y = network.init(rng), rng.standard_normal((8, 20, 1)), rng.standard_normal((8, 20))
    >>> [round(truncation_error(network, params, X, y, k, "squared_error").cosine, 3) for k in (1, 5, 20)]
    [0.99, 0.998, 1.0]
    """
    if not isinstance(network, Network):
        raise ArgumentError(f"network must be a Network; got {type(network).__name__}. Try Network([layer]).")
    as_count("tbptt", tbptt)

    def gradient(window: int | None) -> Array:
        _, grads = network.loss_and_gradients(params, X, y, loss, lengths, sample_weight, state, tbptt=window)
        return np.concatenate([grad.ravel() for grad in grads.params.values()])

    truncated, full = gradient(tbptt), gradient(None)
    norms = np.linalg.norm(truncated), np.linalg.norm(full)
    if 0 in norms:
        return Truncation(float("nan"), float("nan"))
    return Truncation(float(truncated @ full / (norms[0] * norms[1])), float(norms[0] / norms[1]))
