"""Convolution over time, and the sizes of convolutions in any number of dimensions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from saiki.arrays import Array, Params, as_count, blank_padding
from saiki.errors import ShapeError, choose
from saiki.initializers import Parameter
from saiki.layers.layer import Context, Gradients, Layer, Result, needs_time, no_state
from saiki.maths import ACTIVATIONS

Size = int | Sequence[int]


def conv_output_size(
    input_size: Size, kernel_size: Size, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> int | tuple[int, ...]:
    """Return the size of what a convolution gives: ``(n + 2 p - d (k - 1) - 1) // s + 1``, and at least 0.

    Args:
        input_size: the size of what comes in: a number, or one for each dimension.
        kernel_size: the size of the filter; like the rest, a number for all dimensions or one for each.
        stride: how far the filter moves from one output to the next.
        padding: how many zeros stand at each end.
        dilation: how far apart the inputs are that a filter sees.

    Raises:
        ShapeError: a sequence has another number of dimensions than ``input_size``.
        ArgumentError: a number is negative, or a filter, stride or dilation is 0.

    >>> conv_output_size((5, 5), (3, 3), stride=2, padding=1)
    (3, 3)
    >>> conv_output_size(28, 5)
    24
    """
    if not isinstance(input_size, Sequence):
        (size,) = conv_output_size([input_size], kernel_size, stride, padding, dilation)  # type: ignore[misc]
        return size
    columns = [[as_count("input_size", n, 0) for n in input_size]]
    for argument, value, least in (
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        values = list(value) if isinstance(value, Sequence) else [value] * len(input_size)
        if len(values) != len(input_size):
            raise ShapeError(
                f"{argument} must have one number for each of the {len(input_size)} dimensions; got {value}."
            )
        columns.append([as_count(argument, v, least) for v in values])
    sizes = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(*columns, strict=True))
    return tuple(max(size, 0) for size in sizes)


class Conv1DTape(NamedTuple):
    """What the backward pass needs: the padded input, the outputs, and their lengths."""

    padded: Array
    Y: Array
    lengths: Array | None


@final
@dataclass(frozen=True)
class Conv1D(Layer):
    """Convolution over time: ``Y[t] = activation(b + sum over k of X[stride * t + dilation * k - padding] W[k])``.

    Parameters: ``W (kernel_size, n_in, n_out)`` and, with ``bias``, ``b (n_out,)``. The time axis shrinks as
    ``conv_output_size`` says, and each sequence's length with it; nothing of what lies beyond a sequence's length is
    seen.

    Args:
        n_in: the number of features that come in.
        n_out: the number of features that go out.
        kernel_size: how many steps each output sees.
        stride: how many steps lie between one output and the next.
        padding: how many zeros stand before the first and after the last step.
        dilation: how far apart the steps are that an output sees.
        activation: "identity", "relu", "tanh" or "sigmoid".
        bias: whether there is a bias.

    Raises:
        ArgumentError: an unknown activation, or a number out of range.

    >>> layer = Conv1D(1, 1, kernel_size=3, stride=2, padding=1, bias=False)
    >>> layer.forward({"W": np.ones((3, 1, 1))}, [[[1.0], [2.0], [3.0], [4.0], [5.0]]])[0].ravel().tolist()
    [3.0, 9.0, 9.0]
    """

    n_in: int
    n_out: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    activation: str = "identity"
    bias: bool = True

    def __post_init__(self) -> None:
        as_count("n_in", self.n_in)
        as_count("n_out", self.n_out)
        as_count("kernel_size", self.kernel_size)
        as_count("stride", self.stride)
        as_count("padding", self.padding, 0)
        as_count("dilation", self.dilation)
        choose("activation", self.activation, ACTIVATIONS)

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of features that come in, and that go out."""
        return self.n_in, self.n_out

    @classmethod
    def examples(cls) -> list[Layer]:
        """Return a layer for every option."""
        return [
            cls(2, 3, 1),
            cls(2, 3, 3, bias=False),
            cls(2, 3, 2, stride=2),
            cls(2, 3, 3, padding=2),
            cls(2, 3, 2, dilation=3),
            cls(1, 2, 3, stride=2, padding=1, dilation=2, activation="tanh"),
        ]

    def parameters(self) -> dict[str, Parameter]:
        """Return the layer's parameters by name: shape and fan-in."""
        bias = {"b": Parameter((self.n_out,))} if self.bias else {}
        shape = (self.kernel_size, self.n_in, self.n_out)
        return {"W": Parameter(shape, self.kernel_size * self.n_in)} | bias

    def _forward(self, params: Params, X: Array, state: Any, context: Context) -> Result:
        no_state("Conv1D", state)
        needs_time("Conv1D", X)
        n_steps = self._output_size(X.shape[1])
        lengths = context.lengths
        if lengths is not None:
            lengths = np.array([self._output_size(int(n)) for n in lengths], np.int64)
        function, _ = ACTIVATIONS[self.activation]
        padded = np.pad(X, ((0, 0), (self.padding, self.padding), (0, 0)))
        V = np.zeros((len(X), n_steps, self.n_out), np.result_type(X, params["W"]))
        for W, steps in zip(params["W"], self._steps(n_steps), strict=True):
            V += padded[:, steps] @ W
        Y = blank_padding(function(V + params["b"] if self.bias else V), lengths)
        return Result(Y, None, Conv1DTape(padded, Y, lengths), lengths)

    def _backward(self, params: Params, tape: Conv1DTape, dY: Array, dstate: Any, tbptt: int | None) -> Gradients:  # noqa: ARG002
        _, derivative = ACTIVATIONS[self.activation]
        dV = blank_padding(dY * derivative(tape.Y), tape.lengths)  # Y = function(V)
        rows = dV.reshape(-1, self.n_out)
        dW, dpadded = np.empty_like(params["W"], dtype=dV.dtype), np.zeros(tape.padded.shape, dV.dtype)
        for k, steps in enumerate(self._steps(dV.shape[1])):
            dW[k] = tape.padded[:, steps].reshape(-1, self.n_in).T @ rows  # V += padded[steps] W
            dpadded[:, steps] += dV @ params["W"][k].T
        bias = {"b": rows.sum(axis=0)} if self.bias else {}
        dX = dpadded[:, self.padding : tape.padded.shape[1] - self.padding]
        return Gradients({"W": dW} | bias, dX, None)

    def _steps(self, n_steps: int) -> Iterator[slice]:
        """Yield, for each place of the filter, the padded steps that it meets on its way."""
        for k in range(self.kernel_size):
            first = k * self.dilation
            yield slice(first, first + self.stride * n_steps, self.stride) if n_steps else slice(0, 0)

    def _output_size(self, n_steps: int) -> int:
        """Return how many steps come out; none, padded or not, where none come in."""
        size = conv_output_size(n_steps, self.kernel_size, self.stride, self.padding, self.dilation)
        assert isinstance(size, int)
        return size if n_steps else 0
