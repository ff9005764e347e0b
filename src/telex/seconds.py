"""Times that users give, in seconds: checked here, and made fit for what waits so long.

Whatever waits is told a finite time: the system's calls refuse more than their own numbers hold.
"""

from __future__ import annotations

import math
from typing import Any, Final, SupportsFloat

LONGEST_WAIT: Final = 24 * 60 * 60.0
"""The longest time that is handed to one call that waits. Who has to wait longer waits again."""

_FOR_EVER: Final = 100 * 365 * LONGEST_WAIT
"""From here on, a timeout is no limit."""


def timeout_of(seconds: float | None, name: str = "timeout") -> float | None:
    """Return a timeout as a finite number of seconds, or None where there is no limit.

    None, infinity, and more than a hundred years are no limit. What is left of a time may have
    become negative: that counts as 0, no time at all. Raises TypeError for what is no number, and
    ValueError for the number that is none (NaN).
    """
    if seconds is None:
        return None
    checked = _number(seconds, name)
    return None if checked > _FOR_EVER else max(0.0, checked)


def pause_of(seconds: float, name: str) -> float:
    """Return a pause as a finite number of seconds, a day at most.

    Raises TypeError for what is no number, and ValueError for a negative number, and for NaN.
    """
    checked = _number(seconds, name)
    if checked < 0:
        raise ValueError(f"{name} must not be negative, not {seconds}")
    return min(checked, LONGEST_WAIT)


def _number(seconds: Any, name: str) -> float:
    if not _is_number(seconds):
        raise TypeError(
            f"{name} must be a number of seconds, not {seconds!r} ({type(seconds).__name__})"
        )
    try:
        number = float(seconds)
    except OverflowError:  # an integer beyond all that a float holds
        return math.inf if seconds > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(f"{name} must be a number of seconds, not NaN")
    return number


def _is_number(seconds: object) -> bool:
    return isinstance(seconds, SupportsFloat)
