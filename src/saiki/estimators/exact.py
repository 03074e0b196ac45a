"""Exact keys of Python values and of texts: equal keys are equal values, and the order of keys is that of values."""

import datetime
import re
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real
from typing import Any, NamedTuple

import numpy as np

DAY = 86_400
"""Number of seconds of a day."""

NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,9})?")

DATE_OF_DIGITS = re.compile(r"0[0-9]{5}([0-9]{2}){0,4}")
"""What may be a date without separators, the day first: 01022026."""

MOMENT = re.compile(
    r"((?P<year>[0-9]{4})-(?P<month>[0-9]{2})(-(?P<day>[0-9]{2}))?)?"
    r"(?P<gap>[T ](?=[0-9]))?"
    r"((?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(:(?P<second>[0-9]{2})([.,](?P<fraction>[0-9]+))?)?)?"
    r"(?P<zone>Z|(?P<sign>[+-])(?P<zone_hour>[0-9]{2})(:?(?P<zone_minute>[0-9]{2}))?)?"
)
"""ISO 8601: a month, a date, a date with a time of day and perhaps a zone, or a time of day."""


class Key(NamedTuple):
    """A value as something exact.

    Attributes:
        kind: what the value is; only keys of one kind have an order.
        value: compares and hashes as the value itself does, without rounding.
    """

    kind: str
    value: Any


def key_of(value: Any) -> Key | None:
    """Return the key of a Python value: a number, a date or time, a truth value; None for any other.

    Python compares two times of one zone by what the clock shows, which is wrong in the hour that a clock change
    repeats. A key holds the instant.

    >>> key_of(2**53 + 1) == key_of(2.0**53), key_of(True) == key_of(1), key_of("a")
    (False, False, None)
    """
    if isinstance(value, bool | np.bool_):
        return Key("truth value", bool(value))
    if isinstance(value, np.timedelta64):  # to NumPy it is a whole number
        return None
    if isinstance(value, np.longdouble):
        return Key("number", Fraction(*value.as_integer_ratio()) if np.isfinite(value) else float(value))
    if isinstance(value, np.number):  # which NumPy would round to compare it with a number of Python
        value = value.item()
    if isinstance(value, Decimal):
        return None if value.is_nan() else Key("number", value)
    if isinstance(value, Real):
        return Key("number", value.numerator if isinstance(value, Rational) and value.denominator == 1 else value)
    if isinstance(value, datetime.datetime):
        seconds = value.toordinal() * DAY + _seconds(value.hour, value.minute, value.second)
        rest = value.microsecond * 1000 + getattr(value, "nanosecond", 0)
        offset = value.utcoffset()
        if offset is None:
            return Key("date and time without a zone", (seconds, rest))
        return Key("date and time with a zone", divmod(seconds * 10**9 + rest - _nanoseconds(offset), 10**9))
    if isinstance(value, datetime.date):
        return Key("date", value.toordinal())
    if isinstance(value, datetime.time) and value.tzinfo is None:
        return Key("time of day", (_seconds(value.hour, value.minute, value.second), value.microsecond * 1000))
    if isinstance(value, datetime.timedelta):
        return Key("duration", _nanoseconds(value))
    return None


def key_of_text(text: str) -> Key | None:
    """Return the key of a text that is a number or ISO 8601; None for any other text.

    >>> key_of_text("10") > key_of_text("9"), key_of_text("9:05"), key_of_text("1/9/2026")
    (True, None, None)
    >>> key_of_text("2026-10-25T02:15+01:00") > key_of_text("2026-10-25 00:45:00.5Z")
    True
    """
    text = text.strip()
    if DATE_OF_DIGITS.fullmatch(text):
        return None
    if NUMBER.fullmatch(text):
        return Key("text of a number", Decimal(text))
    found = MOMENT.fullmatch(text)
    if not text or not found:
        return None
    part = found.groupdict()
    dated, timed = part["year"] is not None, part["hour"] is not None
    if bool(part["gap"]) != (dated and timed) or (timed and dated and part["day"] is None):
        return None
    if part["zone"] and not (dated and timed):
        return None
    try:
        day = datetime.date(int(part["year"] or 1), int(part["month"] or 1), int(part["day"] or 1)).toordinal()
        clock = datetime.time(int(part["hour"] or 0), int(part["minute"] or 0), int(part["second"] or 0))
        offset = datetime.time(int(part["zone_hour"] or 0), int(part["zone_minute"] or 0))
    except ValueError:
        return None
    if not timed:
        return Key("text of a date" if part["day"] else "text of a month", day)
    seconds = (day if dated else 0) * DAY + _seconds(clock.hour, clock.minute, clock.second)
    seconds -= int(f"{part['sign'] or '+'}1") * _seconds(offset.hour, offset.minute, 0)
    rest = Decimal(f"0.{part['fraction'] or 0}")
    if not dated:
        return Key("text of a time of day", (seconds, rest))
    return Key(f"text of a date and time {'with' if part['zone'] else 'without'} a zone", (seconds, rest))


def _seconds(hours: int, minutes: int, seconds: int) -> int:
    return (hours * 60 + minutes) * 60 + seconds


def _nanoseconds(duration: datetime.timedelta) -> int:
    """Return a duration as nanoseconds, which a Timedelta of pandas has beyond Python's microseconds."""
    whole = (duration.days * DAY + duration.seconds) * 10**6 + duration.microseconds
    return whole * 1000 + int(getattr(duration, "nanoseconds", 0))
