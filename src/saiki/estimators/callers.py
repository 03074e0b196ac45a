"""Where a warning comes from: the line of the user that called saiki."""

import sys


def level_of_user() -> int:
    """Return the ``stacklevel`` of the first caller outside saiki and scikit-learn, for a warning of our caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("saiki", "sklearn"):
        level, frame = level + 1, frame.f_back
    return level
