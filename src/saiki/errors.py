"""What can go wrong, by name. Every message says which argument, the rule, what came, and what to do."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


class SaikiError(Exception):
    """The base of every error that saiki raises on purpose."""


class ArgumentError(SaikiError, ValueError):
    """An argument breaks its rule: an unknown name, a number out of range, a value that is not finite."""


class ShapeError(ArgumentError):
    """An array has the wrong number of axes or the wrong sizes."""


class DtypeError(SaikiError, TypeError):
    """An array holds something that is no number, or two precisions are mixed."""


class DivergenceError(SaikiError, ArithmeticError):
    """Training left the finite numbers: the loss became NaN or infinite."""


class FileError(SaikiError, ValueError):
    """A file is damaged, or none that saiki wrote."""


class CheckpointError(SaikiError, RuntimeError):
    """A checkpoint belongs to another training run, or another process is writing it."""


class GradientError(SaikiError, AssertionError):
    """A backward pass is not the gradient of its forward pass; the message is the table of what was found."""


class AxesWarning(UserWarning):
    """An array looks as if its steps stood where its features should."""


class UnknownTokensWarning(UserWarning):
    """None of the tokens that came was there in fit, so that nothing is known of any."""


def shown(value: object, most: int = 200) -> str:
    """Return a value as a message shows it: short, and without addresses.

    >>> shown("a"), shown(list(range(1000))), shown(object())
    ("'a'", 'list', 'object')
    """
    text = repr(value)
    return text if len(text) <= most and " at 0x" not in text else type(value).__name__


def choose(argument: str, name: object, table: Mapping[Any, T]) -> T:
    """Look a name up in a table of choices.

    Args:
        argument: what the caller calls this argument, for the message.
        name: the name asked for; a text, or a value of the type of the table's names.
        table: the choices by name.

    Raises:
        ArgumentError: the name is not in the table; the message lists the names that are.

    >>> choose("scheme", "xavier", {"xavier": 1, "he": 2})
    1
    >>> choose("scheme", "javier", {"xavier": 1, "he": 2})
    Traceback (most recent call last):
    saiki.errors.ArgumentError: scheme must be one of 'xavier', 'he'; got 'javier'. Did you mean 'xavier'?
    """
    if _is_in(name, table):
        return table[name]
    folded = {known.casefold(): known for known in table if isinstance(known, str)}
    close = get_close_matches(name.casefold(), folded, n=1) if isinstance(name, str) else []
    close_names = [folded[text] for text in close] or [known for known in table if str(known) == str(name)]
    remedy = f" Did you mean {close_names[0]!r}?" if close_names else ""
    raise ArgumentError(f"{argument} must be one of {', '.join(map(repr, table))}; got {shown(name)}.{remedy}")


def _is_in(name: object, table: Mapping[Any, Any]) -> bool:
    try:
        return name in table
    except TypeError:  # it cannot be hashed
        return False
