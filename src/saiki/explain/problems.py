"""What an estimator gives its network, asked for in one way."""

from inspect import signature
from typing import Any

from saiki.errors import ArgumentError


def problem_of(estimator: Any, X: Any, y: Any, **metadata: Any) -> Any:
    """Return an estimator's ``network_problem``; what goes beside X and y is handed over where it is given.

    Not every estimator takes all of it: only sequences have lengths.

    Raises:
        ArgumentError: something that it does not take.
    """
    known = signature(estimator.network_problem).parameters
    for name, value in metadata.items():
        if value is not None and name not in known:
            raise ArgumentError(f"{name} is nothing that a {type(estimator).__name__} takes. Leave it out.")
    return estimator.network_problem(X, y, **{name: value for name, value in metadata.items() if value is not None})
