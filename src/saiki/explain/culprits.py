"""Which part of a model is to blame for a wrong gradient: each part is checked alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from saiki.arrays import Array
from saiki.cells import Cell, TreeCell
from saiki.errors import GradientError, SaikiError
from saiki.explain.certificate import certified
from saiki.losses import Loss, evaluate


def blame(
    loss: tuple[str | Loss, Array, Mapping[str, Any]] | None,
    parts: Iterable[tuple[str, Any]],
    check: Callable[[Any], object],
) -> str:
    """Return a sentence that names the parts whose gradients are wrong by themselves.

    Args:
        loss: the loss, the outputs that it was evaluated at, and what else ``evaluate`` takes; None without targets.
        parts: the layers of the model, each with its name; the model itself where it has no parts.
        check: compares the gradients of a part with the true ones.
    """
    found = []
    if loss is not None and _is_wrong(lambda: _check_loss(*loss)):
        found.append(
            "The loss is wrong: the second value that its function returns is not the derivative of the first with"
            " respect to the output."
        )
    parts = list(parts)
    for name, part in parts:
        if (len(parts) == 1 and not found) or (len(parts) > 1 and _is_wrong(lambda part=part: check(part))):  # type: ignore[misc]
            found.append(f"{name} is wrong: {_remedy(part)}")
    if not found:
        found.append(
            "Each part alone is right; compare how the backward pass joins them with how the forward pass does."
        )
    return "".join(f" {sentence}" for sentence in found)


def _is_wrong(check: Callable[[], object]) -> bool:
    """Return whether a check finds a wrong gradient; a part that cannot be checked alone is not blamed."""
    try:
        check()
    except GradientError:
        return True
    except SaikiError:
        return False
    return False


def _check_loss(loss: str | Loss, Y: Array, given: Mapping[str, Any]) -> None:
    """Compare the gradient of a loss with the true one."""
    _, dY = evaluate(loss, Y, **given)
    rng = np.random.default_rng(0)
    certified(
        "the loss", lambda at: evaluate(loss, at["Y"], **given)[0], {"Y": Y}, {"Y": dY}, rng, Y.dtype == np.float32
    )


def _remedy(part: Any) -> str:
    """Return what to compare in a part."""
    held = (part, *vars(part).values())  # a layer in both directions holds two
    cell = next((one.cell for one in held if isinstance(getattr(one, "cell", None), Cell | TreeCell)), None)
    if cell is not None:
        return (
            f"in its cell {cell.name!r} compare each line of backward with the line of forward that it differentiates,"
            " the derivatives that it calls, and the order of the saved values."
        )
    return "compare each line of its backward pass with the line of its forward pass that it differentiates."
