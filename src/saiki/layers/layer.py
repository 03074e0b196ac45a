"""What every layer is: an immutable description with a pure forward and a pure backward."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from saiki.arrays import (
    PRECISIONS,
    Array,
    Params,
    as_count,
    as_float,
    as_sequences,
    blank_padding,
    check_finite,
    check_one_precision,
    check_params,
    check_shape,
    in_c_order,
    refuse_masked,
)
from saiki.engines import get_engine, memory
from saiki.engines.chain import Chain, Link, Links
from saiki.errors import ArgumentError
from saiki.initializers import Parameter, Scheme, initialize
from saiki.properties import cached_property


@final
@dataclass(frozen=True)
class Gradients(Mapping[str, Array]):
    """The result of a backward pass; read as a mapping, it is the gradients of the parameters.

    Attributes:
        params: the gradient of each parameter, by the parameter's name.
        X: the gradient of the input ``(B, T, F)``.
        state: the gradient of the initial state, in the form of the state.
    """

    params: Params
    X: Array
    state: Any

    def __getitem__(self, name: str) -> Array:
        if name not in self.params:
            raise KeyError(f"no parameter {name!r}; the names are {', '.join(self.params)}")
        return self.params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.params)

    def __len__(self) -> int:
        return len(self.params)


class Context(NamedTuple):
    """What goes along with the arrays through a forward pass.

    Attributes:
        lengths: the length of each sequence ``(B,)``, or None where all steps exist or there is no time any more.
        engine: the name of the engine, or None for the default one.
        rng: the source of dropout; None drops nothing.
        keep: whether there will be a backward pass.
    """

    lengths: Array | None
    engine: str | None
    rng: np.random.Generator | None
    keep: bool = True


class Result(NamedTuple):
    """What a layer's own forward returns: the outputs, the final state, the tape, and the lengths of the outputs."""

    Y: Array
    state: Any
    tape: Any
    lengths: Array | None


@final
@dataclass(frozen=True)
class LayerTape:
    """What ``forward`` returns for ``backward``.

    Attributes:
        layer: the layer that wrote it.
        engine: the engine that it asked for.
        content: what the layer's own backward needs.
        output_shape: the shape of the outputs.
        lengths: the lengths of the inputs.
        output_lengths: the lengths of the outputs.
    """

    layer: "Layer"
    engine: str | None
    content: Any
    output_shape: tuple[int, ...]
    lengths: Array | None
    output_lengths: Array | None


class Layer(ABC):
    """A layer maps sequences ``(B, T, n_in)`` to sequences ``(B, T, n_out)``; it holds no parameters.

    The public calls check what comes in, once; the equations are in ``_forward`` and ``_backward``.
    """

    @property
    @abstractmethod
    def sizes(self) -> tuple[int | None, int | None]:
        """The number of features that come in, and that go out; None for as many as come in."""

    @abstractmethod
    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape, fan-in and blocks."""

    @classmethod
    @abstractmethod
    def examples(cls) -> "list[Layer]":
        """Return small layers of this class that between them use every option; each is proved by the tests."""

    @final
    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: parameter.shape for name, parameter in self.parameters().items()}

    @final
    @cached_property
    def _chain(self) -> Chain | None:
        """What an engine may run at once; None if that is not the whole layer."""
        links = links_of(self)
        return Chain(links) if links and isinstance(links[0], Link) else None

    @abstractmethod
    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result: ...

    @abstractmethod
    def _backward(self, params: Params, tape: Any, dY: Array, dstate: Any, tbptt: int | None) -> Gradients: ...

    @final
    def init(
        self,
        rng: np.random.Generator,
        scheme: Scheme = "xavier",
        dtype: npt.DTypeLike = np.float64,
    ) -> Params:
        """Draw parameters: weights by ``scheme``, each by its own fan-in, and zero biases.

        Args:
            rng: the source of randomness.
            scheme: the name of an initializer, one itself such as ``saiki.initializers.normal(0.01)``, or a dict of
                them for some parameters, such as ``{"Wh": "orthogonal", "b_f": constant(1)}``.
            dtype: float64 or float32; the layer then computes in it.

        Raises:
            ArgumentError: an unknown scheme or parameter, or another dtype.
        """
        return initialize(rng, self.parameters(), scheme, dtype)

    @final
    def forward(
        self,
        params: Params,
        X: npt.ArrayLike,
        state: Any = None,
        lengths: npt.ArrayLike | None = None,
        engine: str | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[Array, Any, LayerTape]:
        """Run the layer.

        Args:
            params: the parameters, as ``init`` makes them.
            X: ``(B, T, n_in)``, finite wherever a step exists; whole numbers take the precision of the parameters.
            state: the initial state; None starts from zero, or from the learnt initial state where there is one.
            lengths: ``(B,)``, or None where all steps exist. Outputs beyond a sequence's length are zero.
            engine: the name of an engine, or None for the default one.
            rng: the source of dropout while training; None, for predictions, drops nothing.

        Returns:
            The outputs ``(B, T, n_out)``, the final state, and the tape that ``backward`` needs.

        Raises:
            ShapeError, DtypeError, ArgumentError: each names the argument, the rule, what came, and what to do.
        """
        Y, final_state, tape, _ = self._checked_forward(params, X, state, lengths, engine, rng)
        return memory.copy(Y), final_state, tape  # what the caller does with Y changes no gradient

    @final
    def predict(
        self,
        params: Params,
        X: npt.ArrayLike,
        state: Any = None,
        lengths: npt.ArrayLike | None = None,
        engine: str | None = None,
    ) -> tuple[Array, Any]:
        """Return the outputs and the final state of ``forward``, and keep nothing for a backward pass.

        The arguments and errors are those of ``forward``.
        """
        if state is None and self._chain is not None:
            X = as_numbers("X", X, params)
            at_once = get_engine(engine).predict(self._chain, params, X, lengths)
            if at_once is not None:
                Y, finals = at_once
                return Y, final_state_of(self, iter(finals))
        return self._checked_forward(params, X, state, lengths, engine, None, keep=False)[:2]

    @final
    def backward(
        self, params: Params, tape: LayerTape, dH: npt.ArrayLike, dstate: Any = None, tbptt: int | None = None
    ) -> Gradients:
        """Run the layer backwards.

        Args:
            params: the parameters that the forward pass was given.
            tape: what the forward pass returned.
            dH: the gradient of the loss with respect to the outputs ``(B, T, n_out)``.
            dstate: its gradient with respect to the final state; None where the loss does not see that.
            tbptt: truncated backpropagation through time: no gradient passes from one window of that many steps to the
                window before. None is the full gradient.

        Returns:
            The gradients of the parameters, of the input and of the initial state.

        Raises:
            ShapeError, DtypeError: dH or dstate does not have the shape and precision of what it is the gradient of.
            ArgumentError: tbptt is below 1.
        """
        check_params(params, self._shapes)
        if not isinstance(tape, LayerTape) or tape.layer != self:
            of = f"the tape of {tape.layer}" if isinstance(tape, LayerTape) else type(tape).__name__
            raise ArgumentError(f"tape must be what this layer's forward returned third; got {of}.")
        dH = as_float("dH", dH, precision_of(params))
        check_shape("dH", dH, tape.output_shape, "the shape of the outputs")
        check_one_precision({"dH": dH} | {f"params[{k!r}]": v for k, v in params.items()})
        dH = dH if tape.output_lengths is None else blank_padding(dH, tape.output_lengths)
        check_finite("dH", dH)
        return self._unchecked_backward(params, tape, dH, dstate, tbptt)

    @final
    def _unchecked_backward(
        self, params: Params, tape: LayerTape, dH: Array, dstate: Any, tbptt: int | None
    ) -> Gradients:
        """Run backwards; a gradient that is not finite passes, for whoever asks to see."""
        if tbptt is not None:
            as_count("tbptt", tbptt)
        params = {name: in_c_order(param) for name, param in params.items()}
        with get_engine(tape.engine).running():
            grads = run_backward(self, params, tape.content, dH, dstate, tbptt)
        return Gradients(grads.params, blank_padding(grads.X, tape.lengths), grads.state)

    @final
    def _checked_forward(
        self,
        params: Params,
        X: npt.ArrayLike,
        state: Any,
        lengths: npt.ArrayLike | None,
        engine: str | None,
        rng: np.random.Generator | None,
        keep: bool = True,
    ) -> tuple[Array, Any, LayerTape, Array | None]:
        """Check everything, run, and return also the lengths of the outputs."""
        get_engine(engine)
        check_params(params, self._shapes)
        params = {name: in_c_order(param) for name, param in params.items()}  # on which the order of sums depends
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise ArgumentError(f"rng must be a numpy Generator or None; got {rng!r}. Try np.random.default_rng(0).")
        X, lengths = as_sequences(X, self.sizes[0], lengths, precision_of(params))
        check_one_precision({"X": X} | {f"params[{k!r}]": v for k, v in params.items()})
        context = Context(lengths, engine, rng, keep)
        with get_engine(engine).running():
            Y, final_state, content, ends = run_forward(self, params, X, state, context)
        return Y, final_state, LayerTape(self, engine, content, Y.shape, lengths, ends), ends


def run_forward(layer: Layer, params: Params, X: Array, state: Any, context: Context) -> Result:
    """Run a layer's own forward, and hold what it returns to what every layer must return.

    Raises:
        ArgumentError: a layer of a user's own returns something else.
    """
    result = layer._forward(params, X, state, context)
    n_out = layer.sizes[1]
    Y = result[0] if isinstance(result, tuple) and len(result) == 4 else None
    fits = isinstance(Y, np.ndarray) and Y.dtype.kind in "fc" and Y.ndim in (2, 3) and len(Y) == len(X)
    if Y is None or not fits or n_out not in (None, Y.shape[-1]):
        width = "n_out" if n_out is None else n_out
        raise ArgumentError(
            f"_forward of {type(layer).__name__} must return Result(Y, state, tape, lengths), where Y is an array"
            f" ({len(X)}, n_steps, {width}) of floats or, with the time axis read out, ({len(X)}, {width}); got"
            f" {_described(result if Y is None else Y)}."
        )
    return result


def run_backward(layer: Layer, params: Params, tape: Any, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:
    """Run a layer's own backward, and hold what it returns to what every layer must return.

    Raises:
        ArgumentError: a layer of a user's own returns something else.
    """
    grads = layer._backward(params, tape, dY, dstate, tbptt)
    fits = isinstance(grads, Gradients) and isinstance(grads.params, Mapping)
    shapes = {name: np.shape(grad) for name, grad in grads.params.items()} if fits else None
    if shapes != layer._shapes or not isinstance(grads.X, np.ndarray) or len(grads.X) != len(dY):
        got = _described(grads) if shapes is None else f"params of {shapes} and X {_described(grads.X)}"
        raise ArgumentError(
            f"_backward of {type(layer).__name__} must return Gradients(params, X, state), with params of"
            f" {layer._shapes} and X in the shape of the inputs of {len(dY)} sequences; got {got}."
        )
    return grads


def _described(value: Any) -> str:
    """Say what an own layer returned."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    return f"a tuple of {len(value)}" if isinstance(value, tuple) and kind == "tuple" else kind


class Linked(Layer):
    """A layer that an engine may run at once with those before and after it, as links of a chain."""

    @abstractmethod
    def links(self) -> Links | None:
        """Return what it is to an engine, without dropout; None if with these options it is none of that."""

    @abstractmethod
    def final_state(self, finals: Iterator[tuple[Array, ...]]) -> Any:
        """Return its final state; the next of ``finals`` belongs to the next of its links that carries one."""


def links_of(layer: Layer) -> Links | None:
    """Return what a layer is to an engine, or None."""
    return layer.links() if isinstance(layer, Linked) else None


def final_state_of(layer: Layer, finals: Iterator[tuple[Array, ...]]) -> Any:
    """Return the final state of a layer that is a chain, or part of one."""
    assert isinstance(layer, Linked)
    return layer.final_state(finals)


def flat_state(state: Any) -> list[Array]:
    """Return the arrays of a state of any form."""
    if isinstance(state, tuple | list):
        return [array for part in state for array in flat_state(part)]
    refuse_masked("state", state)
    return [] if state is None else [np.asarray(state)]


def map_state(function: Callable[[Array], Array], state: Any) -> Any:
    """Apply a function to every array of a state of any form."""
    if isinstance(state, tuple | list):
        return tuple(map_state(function, part) for part in state)
    return None if state is None else function(np.asarray(state))


def precision_of(params: Params) -> np.dtype[Any]:
    """Return what whole numbers become beside these parameters."""
    return next((np.real(v).dtype for v in params.values()), np.dtype(np.float64))


def as_numbers(argument: str, value: npt.ArrayLike, params: Params) -> npt.ArrayLike:
    """Return numbers as floats; whole numbers take the precision of the parameters.

    An engine that runs layers one by one for lists and another byte order would give other last digits.
    """
    if type(value) is np.ndarray and value.dtype in PRECISIONS and value.flags.aligned:
        return value
    return as_float(argument, value, precision_of(params)) if isinstance(params, dict) else value


def needs_time(layer: str, X: Array) -> None:
    """Raise an ``ArgumentError`` if a layer that needs the time axis comes after it has been read out."""
    if X.ndim != 3:
        raise ArgumentError(f"{layer} needs the time axis; put it before the readout.")


def no_state(layer: str, state: Any) -> None:
    """Raise an ``ArgumentError`` if a layer that has no state is given one."""
    if state is not None:
        raise ArgumentError(f"state: {layer} has none; got {type(state).__name__}. Give None for it.")
