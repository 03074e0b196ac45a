"""Scorers of validation data: a name or a function that the parameter ``scoring`` holds."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import _safe_indexing

from saiki.arrays import Array
from saiki.errors import ArgumentError

Scorer: TypeAlias = Callable[..., Any]


class UserData(NamedTuple):
    """Examples in the form in which the user gave them.

    Attributes:
        X: the inputs; padded sequences that came with ``lengths`` are a list without padding.
        y: the targets.
        sample_weight: the weights; None where all count alike.
    """

    X: Any
    y: Any
    sample_weight: Any

    @classmethod
    def of_rows(cls, X: Any, y: Any, metadata: Mapping[str, Any], rows: Array) -> "UserData":
        """Return some of the examples; ``metadata`` has the ``lengths`` and ``sample_weight`` of all, where given."""
        X, y, weight = (None if part is None else _rows(part, rows) for part in (X, y, metadata.get("sample_weight")))
        lengths = metadata.get("lengths")
        if lengths is not None:
            lengths = np.asarray(lengths)[rows].tolist()
            X = np.asarray(X)
            X = _unpadded(X[..., None] if X.ndim == 2 else X, lengths)
            y, weight = (_unpadded(part, lengths) if _is_per_step(part) else part for part in (y, weight))
        return cls(X, y, weight)


def check_scoring(name: str, value: Any) -> None:
    """Raise an ``ArgumentError`` unless the value is the name of a scorer, or may be one itself."""
    if isinstance(value, str):
        known = get_scorer_names()
        if value not in known:
            close = get_close_matches(value, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ArgumentError(
                f"{name} must be one of the names that sklearn.metrics.get_scorer_names() lists, such as 'accuracy' or"
                f" 'r2', or a function scorer(estimator, X, y); got {value!r}.{hint}"
            )
    elif not callable(value) or isinstance(value, type):
        got = value.__name__ if isinstance(value, type) else type(value).__name__
        raise ArgumentError(
            f"{name} must be None, the name of a scorer such as 'accuracy', or a function scorer(estimator, X, y); got"
            f" {got}."
        )
    elif inspect.isfunction(value) and value.__module__.startswith("sklearn.metrics."):
        raise ArgumentError(
            f"{name} must be a function scorer(estimator, X, y); got the metric {value.__name__}(y_true, y_pred). Use"
            f" sklearn.metrics.make_scorer({value.__name__}) instead."
        )


def scorer_of(estimator: Any, validated: bool) -> Scorer | None:
    """Return the scorer that the parameter ``scoring`` of an estimator asks for; None is the estimator's own score.

    Args:
        estimator: the estimator, whose parameters have been checked.
        validated: whether there are validation data.

    Raises:
        ArgumentError: there is nothing to score, or a scorer of scikit-learn would be given something for each step.
    """
    if estimator.scoring is None:
        return None
    if not validated:
        raise ArgumentError(
            "scoring says how validation data are scored, and there are none. Set early_stopping=True, give fit"
            " validation_data, or leave scoring out."
        )
    scorer: Scorer = get_scorer(estimator.scoring) if isinstance(estimator.scoring, str) else estimator.scoring
    if _is_of_sklearn(scorer) and getattr(estimator, "output", "each") == "each":
        what = "output='each'" if hasattr(estimator, "output") else type(estimator).__name__
        raise ArgumentError(
            f"scoring must be None or a function scorer(estimator, X, y) with {what}: the scorers of scikit-learn need"
            f" one label or value for each example; got {estimator.scoring!r}."
        )
    return scorer


def evaluate_scorer(scorer: Scorer, estimator: Any, data: UserData) -> float:
    """Return the score of a fitted estimator.

    A scorer that takes ``sample_weight`` is given the weights where the data have some.

    Raises:
        ArgumentError: a scorer of scikit-learn cannot score this, or the scorer returns no finite number.
    """
    weighted = data.sample_weight is not None and _takes_weights(scorer)
    options = {"sample_weight": data.sample_weight} if weighted else {}
    said = f"scoring={estimator.scoring!r}" if isinstance(estimator.scoring, str) else "scoring"
    try:
        score = scorer(estimator, data.X, data.y, **options)
    except (ValueError, TypeError) as error:
        if not _is_of_sklearn(scorer):
            raise
        raise ArgumentError(f"{said} cannot score the validation data: {error}") from error
    is_number = np.ndim(score) == 0 and isinstance(np.asarray(score)[()], int | float | np.bool_ | np.number)
    if not is_number or np.iscomplexobj(score) or not np.isfinite(score):
        got = f"{float(score)}" if is_number and not np.iscomplexobj(score) else type(score).__name__
        raise ArgumentError(
            f"{said} must return a finite number; got {got} after epoch {estimator.n_iter_}. Use another scorer, or"
            " more validation data."
        )
    return float(score)


def _is_of_sklearn(scorer: Scorer) -> bool:
    """Whether a scorer is one of scikit-learn's, which needs flat arrays."""
    return type(scorer).__module__.startswith("sklearn.metrics")


def _takes_weights(scorer: Scorer) -> bool:
    try:
        parameters = inspect.signature(scorer).parameters.values()
    except (ValueError, TypeError):  # some functions written in C do not say what they take
        return False
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _rows(data: Any, rows: Array) -> Any:
    """Return some entries of the user's data, in their form."""
    return _safe_indexing(data if hasattr(data, "__getitem__") else np.asarray(data), rows)


def _is_per_step(part: Any) -> bool:
    """Whether targets or weights have an entry for each step."""
    return part is not None and not hasattr(part, "columns") and np.ndim(next(iter(part), 0)) > 0


def _unpadded(part: Any, lengths: list[int]) -> list[Any]:
    """Return the steps of each sequence that exist."""
    return [sequence[:n] for sequence, n in zip(part, lengths, strict=True)]
