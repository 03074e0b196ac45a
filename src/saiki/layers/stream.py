"""One step at a time: for numbers that arrive one after another, and want an answer at once."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import Array, Params, as_float, check_finite, check_params
from saiki.engines import get_engine
from saiki.errors import ArgumentError, ShapeError
from saiki.layers.bidirectional import Bidirectional
from saiki.layers.conv import Conv1D
from saiki.layers.layer import Layer, Linked, as_numbers, flat_state, precision_of
from saiki.layers.network import Network
from saiki.layers.readout import Readout
from saiki.layers.recurrent import Recurrent


@final
class Stream:
    """A layer or network with fixed parameters, run one step at a time.

    The weights are laid out once, for all steps, so that a step costs microseconds. A readout of the last step reads
    each step as if it were the last.

    Args:
        layer: what to run; it must not need the steps to come, nor more than its state of those before.
        params: its parameters; changing them later changes nothing.
        engine: the name of an engine, or None for the default one.

    Raises:
        ArgumentError: a layer that cannot run step by step.
        ShapeError, DtypeError: the parameters do not fit.

    >>> import numpy as np
    >>> from saiki import SimpleRNN
    >>> layer = SimpleRNN(1, 2)
    >>> params, X = layer.init(np.random.default_rng(0)), np.array([[[1.0], [2.0]]])
    >>> stream, state = Stream(layer, params), None
    >>> for x in X[0]:
    ...     h, state = stream.step(x, state)
    >>> bool(np.allclose(h, layer.predict(params, X)[0][0, -1]))
    True
    """

    def __init__(self, layer: Layer, params: Params, engine: str | None = None) -> None:
        if not isinstance(layer, Layer):
            raise ArgumentError(f"layer must be a layer or network; got {layer!r}. Try Stream(net, params).")
        _refuse_other_steps(layer)
        check_params(params, layer._shapes)
        self.layer, self.engine = layer, engine
        self.params = {name: param.copy() for name, param in params.items()}
        self._bytes = {name: param.tobytes() for name, param in params.items()}
        self._last: tuple[Any, list[Array] | None] = (None, [])  # the state returned last, and its arrays
        chain = layer._chain
        self._at_once = None if chain is None else get_engine(engine).stream(chain, self.params)

    def __reduce__(self) -> tuple[Any, ...]:
        return Stream, (self.layer, self.params, self.engine)

    def runs_with(self, params: Params) -> bool:
        """Return whether these parameters are, number by number, those that the stream was made with."""
        return params.keys() == self._bytes.keys() and all(
            param.tobytes() == self._bytes[name]
            and (param.shape, param.dtype) == (self.params[name].shape, self.params[name].dtype)
            for name, param in params.items()
        )

    def step(self, x: npt.ArrayLike, state: Any = None) -> tuple[Array, Any]:
        """Run one step of one sequence.

        Args:
            x: the features ``(n_in,)``.
            state: what the step before returned, which is the state of a batch of one; None begins a sequence.

        Returns:
            The output ``(n_out,)``, and the state after the step.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        if type(x) is not np.ndarray or not x.flags.c_contiguous:
            x = as_float("x", x, precision_of(self.params))
        if self._at_once is not None:
            x = as_numbers("x", x, self.params)
            last, arrays = self._last
            if state is not None and state is not last:
                arrays = flat_state(state) if _same_form(state, last) else None
            found = None if arrays is None else self._at_once(x, None if state is None else arrays)
            if found is not None:
                assert isinstance(self.layer, Linked)
                y, finals = found
                state = self.layer.final_state(iter(finals))
                self._last = state, [array for final in finals for array in final]
                return y, state
        x, n_in = as_float("x", x, precision_of(self.params)), self.layer.sizes[0]
        if x.ndim != 1 or n_in not in (None, len(x)):
            of = "n_in" if n_in is None else n_in
            raise ShapeError(f"x must be the features of one step of one sequence, shape ({of},); got {x.shape}.")
        check_finite("x", x)
        Y, state = self.layer.predict(self.params, x[None, None], state, engine=self.engine)
        self._last = state, flat_state(state)
        return (Y[0, 0] if Y.ndim == 3 else Y[0]), state


def _same_form(state: Any, other: Any) -> bool:
    """Whether two states are tuples of tuples of arrays in the same way."""
    if isinstance(state, tuple) and isinstance(other, tuple):
        return len(state) == len(other) and all(map(_same_form, state, other))
    return type(state) is type(other)


def _refuse_other_steps(layer: Layer) -> None:
    """Raise an ``ArgumentError`` if a layer looks at steps other than the present one."""
    if isinstance(layer, Network):
        for part in layer.layers:
            _refuse_other_steps(part)
    reads = isinstance(layer, Readout) and layer.kind in ("mean", "max")
    if reads or isinstance(layer, Bidirectional | Conv1D) or (isinstance(layer, Recurrent) and layer.reverse):
        raise ArgumentError(
            f"layer must be one that runs step by step; {type(layer).__name__} looks at other steps than the present"
            " one. Use predict on whole sequences."
        )
