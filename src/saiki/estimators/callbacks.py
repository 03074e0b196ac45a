"""scikit-learn's own callbacks, where the installed version has them: each epoch is one task of the fit."""

from collections.abc import Callable, Mapping
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Listeners", "with_callbacks"]


class Listeners:
    """Those of scikit-learn's callbacks that listen to one fit.

    Args:
        estimator: whose fit it is.
        n_epochs: how many epochs there will be at most.
        data: what the callbacks may ask for: ``X``, ``y``, ``metadata``.
    """

    def __init__(self, estimator: Any, n_epochs: int, data: dict[str, Any]) -> None:
        self.estimator, self.data = estimator, data
        begin = getattr(estimator, "_init_callback_context", None)
        self._root = begin(max_subtasks=n_epochs) if begin else None
        self._begin(self._root)

    def epoch(self, learnt: Mapping[str, Any]) -> bool:
        """Tell of an epoch, and of the attributes that a fit ending here would leave; return whether to stop."""
        if self._root is None:
            return False
        task = self._root.subcontext(task_name="epoch")
        self._begin(task)
        return self._end(task, learnt)

    def end(self, learnt: Mapping[str, Any]) -> None:
        """Tell that the fit has ended."""
        if self._root is not None:
            self._end(self._root, learnt)

    def _begin(self, task: Any) -> None:
        if task is not None:
            task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def _end(self, task: Any, learnt: Mapping[str, Any]) -> bool:
        return bool(
            task.call_on_fit_task_end(estimator=self.estimator, reconstruction_attributes=dict(learnt), **self.data)
        )
