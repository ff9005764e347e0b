"""From seconds to wait to a moment of the clock, and back; on every front-end.

Moments are times of ``time.monotonic()``: the clock of an event loop may be another one.
"""

from __future__ import annotations

import math
import time

from telex.seconds import LONGEST_WAIT, timeout_of


def moment_in(seconds: float | None) -> float | None:
    """Return the moment that is ``seconds`` away, by the clock that all deadlines go by.

    None, for ever, stays None. Raises what ``timeout_of`` raises.
    """
    if seconds is None:
        return None
    timeout = timeout_of(seconds)
    return None if timeout is None else time.monotonic() + timeout


def seconds_until(moment: float | None) -> float | None:
    """Return how far away a moment is, 0 when it has passed, and ``LONGEST_WAIT`` at most.

    None, for ever, stays None.
    """
    return None if moment is None else min(max(0.0, moment - time.monotonic()), LONGEST_WAIT)


def milliseconds_until(moment: float) -> int:
    """Return how far away a moment is, rounded up; 0 when it has passed."""
    return math.ceil(min(max(0.0, moment - time.monotonic()), LONGEST_WAIT) * 1000)
