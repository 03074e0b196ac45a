"""What a trace is: every number of one backpropagation through time, by the names of the equations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, final

import numpy as np

from saiki.arrays import Array, as_count
from saiki.errors import ArgumentError, choose
from saiki.explain.worked import worked
from saiki.layers import Layer, Recurrent
from saiki.layers.bidirectional import DIRECTIONS

FRAMES = "pandas", "polars", "pyarrow"
"""The libraries whose data frames a trace can be had as."""


class Kept(dict[str, Array]):
    """Arrays by name; one that was not kept is an error that says what to do."""

    def __missing__(self, name: str) -> Array:
        has = f" It has {', '.join(self)}." if self else ""
        raise ArgumentError(f"this trace has no {name!r}.{has} What is kept is chosen by quantities=.")


@final
@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What happened in one recurrent layer; arrays are ``(B, T, ...)``, zero beyond a sequence's length.

    ``layer["a_i"]`` is a quantity of the cell's equations by its name there. The gradients of the loss with respect to
    pre-activations and to h have a d before the name, ``layer["da_i"]``.

    Attributes:
        name: where it stands in the model, such as "0" or "1/backward"; empty for the model itself.
        layer: its description.
        params: its parameters, by their own names.
        steps: the indices of the steps that were kept ``(T,)``.
        lengths: the length of each sequence ``(B,)``.
        initial: the states before the first step, by name ``(B, H)``.
        forward: the inputs ``(B, T, F)`` as "inputs", and every quantity of the equations by name ``(B, T, H)``, in the
            order in which they come about.
        backward: the gradients, by name ``(B, T, H)``: "dh" and its two parts, "dh_out" through the outputs of the same
            step and "dh_time" back through time; of other states the part that comes back through time, "dc_time", as
            what goes through h of the same step is in "dh"; then those of the pre-activations.
        lags: "lag_matrix" and "norm_by_lag".
    """

    name: str
    layer: Recurrent
    params: Mapping[str, Array]
    steps: Array
    lengths: Array
    initial: Mapping[str, Array]
    forward: Mapping[str, Array]
    backward: Mapping[str, Array]
    lags: Mapping[str, Array]

    @property
    def part(self) -> str:
        """The name of the part of the model that it is, or is a direction of."""
        above, _, last = self.name.rpartition("/")
        return above if last in DIRECTIONS else self.name

    def __getitem__(self, name: str) -> Array:
        return Kept({**self.forward, **self.backward})[name]

    @property
    def inputs(self) -> Array:
        """What came in at each step ``(B, T, F)``."""
        return self["inputs"]

    @property
    def a(self) -> Array:
        """The pre-activations ``(B, T, G * H)``, side by side as in ``Wx``; of a gate in two parts the input's."""
        return np.concatenate([self[name] for name in self.layer.cell.inputs], axis=-1)

    @property
    def gates(self) -> dict[str, Array]:
        """The gates, and what else the cell makes on its way, by name ``(B, T, H)``."""
        return {name: self[name] for name in self.layer.cell.saved}

    @property
    def states(self) -> dict[str, Array]:
        """The states after each step, by name ``(B, T, H)``."""
        return {name: self[name] for name in self.layer.cell.states}

    @property
    def h(self) -> Array:
        """The state h after each step, which is also the output ``(B, T, H)``."""
        return self["h"]

    @property
    def delta(self) -> Array:
        """The gradient of the loss with respect to ``a`` ``(B, T, G * H)``."""
        return np.concatenate([self[f"d{name}"] for name in self.layer.cell.inputs], axis=-1)

    @property
    def lag_matrix(self) -> Array:
        """The norm of the part of delta that comes from the loss of one step; see ``Trace``."""
        return self.lags["lag_matrix"]

    @property
    def norm_by_lag(self) -> Array:
        """The mean of ``lag_matrix`` over the steps with a loss, for each lag 0, 1, ...; NaN for one that has no pair.

        Empty where the time axis of the layer is not that of the loss.
        """
        return self.lags["norm_by_lag"]

    @property
    def spectral_radius(self) -> dict[str, float]:
        """Of the block of ``Wh`` of each gate, by gate: the largest modulus of its eigenvalues."""
        gates = self.layer.cell.recurrent
        blocks = np.split(self.params["Wh"], len(gates), axis=1) if gates else []
        return {gate: float(np.abs(np.linalg.eigvals(block)).max()) for gate, block in zip(gates, blocks, strict=True)}


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """Every number of one backpropagation through time; print it for a worked example.

    Arrays are batch-first, ``(B, T, ...)``, for the steps that were chosen: step t = 1, 2, ... of the equations is
    index t - 1 of all steps. What has been read out of the time axis has no T.

    Attributes:
        model: what was traced.
        params: its parameters, as they were.
        parts: its layers with their names, those of networks within it too, from input to output.
        loss_name: the name of the loss, or "own loss".
        of_classes: whether its targets are classes, and the softmax is part of it.
        n_targets: how many targets it is the mean of; None where some count more than others.
        loss: its value, the mean over what exists.
        steps: the indices of the steps of the outputs that were kept ``(T,)``; after a readout, of what is read.
        loss_steps: the indices of the steps that stand for the rows of the lag matrix ``(S,)``: the same, but after a
            readout all steps that are read.
        lengths: the length of each sequence at the outputs, or at what is read ``(B,)``.
        layers: what happened in each recurrent layer, from input to output; the two directions of a bidirectional layer
            are two.
        targets: what the network's outputs were held to; for an estimator, classes by number and values as it scales
            them.
        outputs: the outputs ``(B, T, K)`` or, after a readout, ``(B, K)``.
        losses: what each step adds to the loss, ``(B, T)`` or ``(B,)``.
        v: the pre-activations of the outputs, of their shape; the outputs themselves where the last layer is not dense.
        delta_out: the gradient of the loss with respect to ``v``.
        shares: by name of a parameter, the share of each step in its gradient, the time step as first axis: over all
            steps they add up to the gradient. What comes after a readout has one share, ``(1, ...)``.
        share_steps: by name of a parameter, the indices of these steps; none for what comes after a readout.
        gradients: the gradient of each parameter, by name.
        estimator: the name of the estimator whose network it is, if it was one.
        tbptt: the window of truncated backpropagation through time, or None.
    """

    model: Layer
    params: Mapping[str, Array]
    parts: tuple[tuple[str, Layer], ...]
    loss_name: str
    of_classes: bool
    n_targets: int | None
    loss: float
    steps: Array
    loss_steps: Array
    lengths: Array
    layers: tuple[LayerTrace, ...]
    targets: Array
    outputs: Array
    losses: Array
    v: Array
    delta_out: Array
    shares: Mapping[str, Array]
    share_steps: Mapping[str, Array]
    gradients: Mapping[str, Array]
    estimator: str = ""
    tbptt: int | None = None

    @property
    def lag_matrix(self) -> Array:
        """How far a loss reaches ``(S, T)``: the norm of the part of delta of step t that comes from that of step s.

        Rows are the steps of the loss, columns the steps that it reaches, and the norm is that of all sequences and
        gates together. It is the matrix of the first recurrent layer, through which everything goes that the network
        learns of its input; each of ``layers`` has its own. The rows are those of ``loss_steps``.
        """
        return self._first.lag_matrix

    @property
    def norm_by_lag(self) -> Array:
        """The mean of ``lag_matrix`` for each lag ``s - t``, over the steps that have a loss ``(T,)``."""
        return self._first.norm_by_lag

    @property
    def _first(self) -> LayerTrace:
        return self.look()[0]

    def look(self, layer: int = 0, sequence: int = 0) -> tuple[LayerTrace, Array]:
        """Return a layer, and the indices of the steps that were kept of one of its sequences.

        Raises:
            ArgumentError: there is no such layer or sequence.
        """
        if not -len(self.layers) <= layer < len(self.layers):
            raise ArgumentError(f"layer must be below {len(self.layers)}, the number of recurrent layers; got {layer}.")
        self._which(sequence)
        seen = self.layers[layer]
        return seen, seen.steps[seen.steps < seen.lengths[sequence]]

    def lag_rows(self, layer: LayerTrace) -> Array:
        """Return which rows of a lag matrix are worth showing ``(S,)``: after a readout, those that are not zero."""
        rows = np.asarray(layer.lag_matrix.any(axis=1))
        return rows if self.losses.ndim == 1 else np.full(len(rows), True)

    def _which(self, sequence: int) -> int:
        """Return the index of a sequence, or refuse it."""
        if as_count("sequence", sequence, 0) >= len(self.lengths):
            raise ArgumentError(f"sequence must be one of the {len(self.lengths)} traced, from 0; got {sequence}.")
        return sequence

    def __str__(self) -> str:
        return self.text()

    def text(self, sequence: int = 0, units: int = 5) -> str:
        """Return what was kept of one sequence as plain text, step by step, as one would work it out on paper.

        Args:
            sequence: which one.
            units: how many units of each layer are written out.

        Raises:
            ArgumentError: there is no such sequence.
        """
        return worked(self, self._which(sequence), as_count("units", units))

    def to_frame(self, what: str = "quantities", backend: str | None = None) -> Any:
        """Return a tidy data frame, with a row for each number.

        Args:
            what: "quantities" for everything that has a step and a unit: layer, quantity, sequence, t, unit, value;
                "shares" for parameter, t, row, column, value; or "lags" for layer, loss_t, t, norm. Sequences, units,
                rows and columns count from 0, t from 1; the layer of what belongs to the outputs is "output".
            backend: "pandas", "polars" or "pyarrow"; None is the first of them that is installed.

        Raises:
            ArgumentError: an unknown table, a library that is not installed, or something that was not kept.
        """
        import narwhals as nw

        rows = choose("what", what, {"quantities": self._quantities, "shares": self._shares, "lags": self._lags})
        installed = {name: name for name in FRAMES if find_spec(name)}
        if not installed:
            raise ArgumentError(f"backend: a data frame needs one of {', '.join(FRAMES)}. Try: pip install pandas")
        library: Any = choose("backend", backend or next(iter(installed)), installed)
        parts = list(rows())
        if not parts:
            raise ArgumentError(f"what: this trace has kept no {what}. What is kept is chosen by quantities=.")
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return nw.from_dict(columns, backend=library).to_native()

    def _quantities(self) -> Iterator[dict[str, Array]]:
        for layer in self.layers:
            for name, values in {**layer.forward, **layer.backward}.items():
                yield _rows(layer.name, name, values, layer.steps, layer.lengths)
        outputs = {"v": self.v, "y": self.outputs, "delta_out": self.delta_out, "loss": self.losses[..., None]}
        for name, values in outputs.items():
            if values.ndim == 3:
                yield _rows("output", name, values, self.steps, self.lengths)
            else:  # read out of the time axis: it is all there at the last step
                last = self.lengths.max() - 1
                yield _rows("output", name, values[:, None], np.array([last]), np.full(len(values), last + 1))

    def _shares(self) -> Iterator[dict[str, Array]]:
        last = np.array([self.lengths.max() - 1])
        for name, share in self.shares.items():
            values = share.reshape(len(share), -1, share.shape[-1])
            step, row, column = np.indices(values.shape).reshape(3, -1)
            steps = self.share_steps[name] if len(self.share_steps[name]) else last
            yield {
                "parameter": np.full(values.size, name), "t": steps[step] + 1, "row": row, "column": column,
                "value": values.ravel(),
            }  # fmt: skip

    def _lags(self) -> Iterator[dict[str, Array]]:
        for layer in self.layers:
            if layer.lags:
                loss_step, step = np.indices(layer.lag_matrix.shape).reshape(2, -1)
                yield {
                    "layer": np.full(len(step), layer.name), "loss_t": self.loss_steps[loss_step] + 1,
                    "t": layer.steps[step] + 1, "norm": layer.lag_matrix.ravel(),
                }  # fmt: skip


def _rows(layer: str, name: str, values: Array, steps: Array, lengths: Array) -> dict[str, Array]:
    """Return a row for each number of ``(B, T, H)`` whose step exists."""
    sequence, at, unit = np.indices(values.shape).reshape(3, -1)
    columns = {
        "layer": np.full(len(at), layer), "quantity": np.full(len(at), name), "sequence": sequence,
        "t": steps[at] + 1, "unit": unit, "value": values.ravel(),
    }  # fmt: skip
    exists = steps[at] < lengths[sequence]
    return {key: column[exists] for key, column in columns.items()}
