"""Sequences that know the names of their features and, from a data frame, their ids and rows."""

from __future__ import annotations  # help() shows what is written here

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import numpy as np

from saiki.arrays import Array
from saiki.errors import ArgumentError, ShapeError
from saiki.estimators.tables import Table


@final
@dataclass(frozen=True, eq=False, repr=False)
class NamedSequences(Sequence[Array]):
    """Sequences whose features have names; estimators keep the names and put the features in order by them.

    ``X[i]`` is the array of one sequence. A slice, a list of indices or a mask gives named sequences again.

    Attributes:
        arrays: for each sequence an array ``(n_steps, n_features)``.
        features: the names of the features, in the order of the columns.
        ids: the id of each sequence; None without a data frame.
        rows: the row of the data frame that each step comes from, an array ``(n_steps,)`` for each sequence; None
            without a data frame.
        output: what the targets of the data frame belong to, as estimators call it: "last" for a target for each
            sequence, "each" for one for each step; None without targets.
        steps: the target of each step, where ``output="auto"`` had ``saiki.sequences`` guess.
    """

    arrays: tuple[Array, ...]
    features: list[Any]
    ids: list[Any] | None = None
    rows: list[Array] | None = None
    output: Literal["last", "each"] | None = None
    steps: list[Array] | None = None

    @classmethod
    def of(cls, X: Any, arrays: Iterable[Array], features: list[Any]) -> NamedSequences:
        """Return arrays with names, and with what X, from which they were made, knows of its sequences."""
        X = X.X if isinstance(X, FrameSequences) else X
        if isinstance(X, NamedSequences):
            return replace(X, arrays=tuple(arrays), features=features)
        return cls(tuple(arrays), features)

    @property
    def shape(self) -> tuple[int]:
        """The number of sequences; scikit-learn takes parts of what has a shape by ``X[indices, ...]``."""
        return (len(self),)

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, which: Any) -> Any:
        which = _of_first_axis(which)
        if isinstance(which, int | np.integer):
            return self.arrays[which]
        places = places_of(which, len(self))
        return replace(
            self,
            arrays=tuple(self.arrays[i] for i in places),
            ids=_chosen(self.ids, places),
            rows=_chosen(self.rows, places),
            steps=_chosen(self.steps, places),
        )

    def __iter__(self) -> Iterator[Array]:
        return iter(self.arrays)

    def __contains__(self, value: object) -> bool:  # arrays of several sizes cannot be compared
        return any(value is array for array in self.arrays)

    def __repr__(self) -> str:
        return f"<{_described(self)}>"


@final
@dataclass(frozen=True, eq=False, repr=False)
class FrameSequences(Sequence[Any]):
    """The sequences of a data frame, and their targets; it unpacks as ``X, y``.

    It is given to estimators as it is, ``fit(found, found.y)``, or unpacked, ``fit(*found)``. ``found[i]`` is the array
    of one sequence, and ``len(found)`` the number of sequences; a slice, a list of indices or a mask chooses
    sequences. As it unpacks, a loop over the sequences is ``for x in found.X``.

    Attributes:
        X: the sequences, with the names of their features: arrays ``(n_steps, n_features)``.
        y: the target of each sequence ``(n_sequences,)``, or for each sequence an array with that of each step; None
            where no target was asked for.
    """

    X: NamedSequences
    y: Any
    table: Table

    @property
    def ids(self) -> list[Any]:
        """The id of each sequence, in the order of X."""
        return self.X.ids or []

    @property
    def features(self) -> list[Any]:
        """The names of the features, in the order of their columns."""
        return self.X.features

    @property
    def output(self) -> Literal["last", "each"] | None:
        """What y holds: "last" for a target for each sequence, "each" for one for each step; None without a target."""
        return self.X.output

    @property
    def guessed(self) -> bool:
        """Whether ``output`` was found from the data, as ``output="auto"`` asks."""
        return self.X.steps is not None

    @property
    def rows(self) -> list[Array]:
        """For each sequence the number of the row of the data frame, from 0, of each of its steps ``(n_steps,)``."""
        return self.X.rows or []

    def to_frame(self, predictions: Any, name: str | Sequence[Any] = "prediction") -> Any:
        """Return the rows of the data frame in their own order, with the predictions for them.

        Args:
            predictions: for each sequence a value ``(n_sequences,)`` or a row of them, such as probabilities,
                ``(n_sequences, n_columns)``, which all rows of the sequence get; or a list with an array for each
                sequence that has a value, or a row of them, for each step.
            name: the name of the new column; of several, the name of each, or the beginning that a number follows.

        Returns:
            A data frame of the caller's library, with the new columns last. Of a part of the sequences it has the rows
            of that part.

        Raises:
            ShapeError: not one prediction for each sequence or step.
            ArgumentError: the data frame has a column of that name.

        >>> import pandas as pd
        >>> from saiki import sequences
        >>> found = sequences(pd.DataFrame({"id": [7, 9, 7], "t": [2, 1, 1], "x": [0.2, 0.5, 0.1]}), id="id", time="t")
        >>> found.to_frame([np.array([10, 20]), np.array([30])])["prediction"].tolist()
        [20, 30, 10]
        """
        values = _per_row(predictions, self.rows)
        if values.ndim == 1:
            values = values[:, None]
        names = [name] if isinstance(name, str) else [str(part) for part in name]
        if isinstance(name, str) and values.shape[1] != 1:
            names = [f"{name}_{i}" for i in range(values.shape[1])]
        if len(names) != values.shape[1] or len(set(names)) < len(names):
            raise ArgumentError(
                f"name must be one, or {values.shape[1]} different ones, as many as the predictions have columns;"
                f" got {names}."
            )
        rows = np.concatenate(self.rows) if self.rows else np.zeros(0, int)
        order = np.argsort(rows, kind="stable")
        columns = {name: _plain(values[order, i]) for i, name in enumerate(names)}
        return self.table.beside(rows[order], columns)

    @property
    def shape(self) -> tuple[int]:
        """The number of sequences."""
        return (len(self),)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, which: Any) -> Any:
        which = _of_first_axis(which)
        if isinstance(which, int | np.integer):
            return self.X[which]
        y = self.y
        if y is not None:
            places = places_of(which, len(self))
            y = [y[i] for i in places] if isinstance(y, list) else y[places]
        return replace(self, X=self.X[which], y=y)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.X, self.y))

    def __contains__(self, value: object) -> bool:
        return value in self.X

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # NumPy would unpack X, y
        return np.array(list(self.X), dtype) if copy is not False else np.asarray(list(self.X), dtype)

    def __repr__(self) -> str:
        kinds = {"last": "for each sequence", "each": "for each step", None: ""}
        guess = f" (guessed; output={'last' if self.output == 'each' else 'each'!r} says otherwise)"
        target = f"; a target {kinds[self.output]}{guess if self.guessed else ''}" if self.output else ""
        return f"<{_described(self.X)}{target}>"


def _of_first_axis(which: Any) -> Any:
    """Return what is asked of the first axis in ``X[which, ...]``, as scikit-learn writes it."""
    return which[0] if isinstance(which, tuple) and len(which) == 2 and which[1] is Ellipsis else which


def places_of(which: Any, n: int) -> Array:
    """Return the indices that a slice, a list of indices or a mask chooses.

    Raises:
        IndexError: there is no such index.
    """
    places: Array = np.arange(n)[which if isinstance(which, slice) else np.asarray(which, None if len(which) else int)]
    return places


def _chosen(part: list[Any] | None, places: Array) -> list[Any] | None:
    return None if part is None else [part[i] for i in places]


def targets_for(X: Any, y: Any, each: bool) -> Any:
    """Return y as an estimator of steps, or of sequences, needs it where X comes from a data frame.

    Where ``saiki.sequences`` guessed that each sequence has one target, an estimator of steps takes the target of each
    step, as ``output="each"`` would have given it.

    Raises:
        ArgumentError: y is for each step and the estimator for each sequence, or the targets of the steps are others.
    """
    X = X.X if isinstance(X, FrameSequences) else X
    if not isinstance(X, NamedSequences) or X.output is None or len(y) != len(X):
        return y
    of_steps = isinstance(y, list | tuple) and any(np.ndim(part) for part in y)
    if X.output == "each" and of_steps and not each:
        found = "found several in one sequence and guessed" if X.steps is not None else "was given"
        raise ArgumentError(
            f"y must hold a target for each sequence; it has one for each step, as saiki.sequences {found}"
            " output='each'. Give the estimator output='each', or saiki.sequences output='last'."
        )
    if X.output == "each" or of_steps or not each or X.steps is None:
        return y
    if np.ndim(y) == 1 and all(_agrees(part, value) for part, value in zip(X.steps, y, strict=True)):
        return X.steps
    raise ArgumentError(
        "y must hold a target for each step; it has one for each sequence, as saiki.sequences guessed output='last'."
        " Give saiki.sequences output='each', or the estimator another output."
    )


def _agrees(steps: Array, value: Any) -> bool:
    """Whether the targets of the steps of a sequence that are not missing are all one value."""
    there = [step for step in steps.tolist() if step is not None and step == step]
    value = value.item() if isinstance(value, np.generic) else value
    return all(step == value for step in there)


def _per_row(predictions: Any, rows: list[Array]) -> Array:
    """Return the prediction for each step of all sequences, one sequence after another."""
    lengths = np.array([len(part) for part in rows], int)
    wanted = (
        f"one prediction for each of the {len(rows)} sequences, (n_sequences,) or (n_sequences, n_columns), or a list"
        " of an array for each, (n_steps,) or (n_steps, n_columns)"
    )
    if np.ndim(predictions) == 0 if not isinstance(predictions, list | tuple) else False:
        raise ShapeError(f"predictions must hold {wanted}; got {type(predictions).__name__}.")
    if len(predictions) != len(rows):
        hint = " Give the list as predict returned it." if len(predictions) == lengths.sum() else ""
        raise ShapeError(f"predictions must hold {wanted}; got {len(predictions)}.{hint}")
    of_steps = isinstance(predictions, list | tuple) or getattr(predictions, "dtype", None) == np.dtype(object)
    if not (of_steps and any(np.ndim(part) for part in predictions)):
        values = _column(predictions)
        if values.ndim > 2:
            raise ShapeError(
                f"predictions must hold {wanted}; got shape {values.shape}. Of a padded array give a list:"
                " [part[:n] for part, n in zip(predictions, lengths)]."
            )
        return np.repeat(values, lengths, axis=0)
    parts = [_column(part) for part in predictions]
    for i, (part, length) in enumerate(zip(parts, lengths, strict=True)):
        if part.ndim not in (1, 2) or part.shape[1:] != parts[0].shape[1:] or len(part) != length:
            raise ShapeError(
                f"predictions must hold {wanted}; sequence {i} has {length} steps, and predictions[{i}] has shape"
                f" {part.shape}."
            )
    if len({part.dtype.kind in "US" for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts)


def _column(values: Any) -> Array:
    """Return predictions as an array that leaves each what it is."""
    array = np.asarray(values)
    if not isinstance(values, np.ndarray) and array.dtype.kind in "US":
        array = np.array(values, object)
    return array


def _plain(values: Array) -> Array:
    """Return a column of objects as the numbers or truth values that they all are, where they are."""
    if values.dtype == object and len({type(value) for value in values}) == 1 and type(values[0]) in (int, float, bool):
        return np.array(values.tolist())
    return values


def _described(X: NamedSequences) -> str:
    lengths = [len(array) for array in X.arrays]
    least, most = min(lengths, default=0), max(lengths, default=0)
    steps = f"{most}" if least == most else f"{least} to {most}"
    return f"{len(X)} sequences of {steps} steps; features {', '.join(map(repr, X.features))}"
