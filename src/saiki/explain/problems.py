"""What an estimator gives its network, asked for in one way."""

from typing import Any


def problem_of(estimator: Any, X: Any, y: Any, **metadata: Any) -> Any:
    """Return an estimator's ``network_problem``; what goes beside X and y is handed over where it is given.

    Not every estimator takes all of it: only sequences have lengths.
    """
    return estimator.network_problem(X, y, **{name: value for name, value in metadata.items() if value is not None})
