"""From seconds to wait to a moment of the clock, and back; on every front-end.

Moments are times of ``time.monotonic()``: the clock of an event loop may be another one.
"""

from __future__ import annotations

import time


def moment_in(seconds: float | None) -> float | None:
    """Return the moment that is ``seconds`` away, by the clock that all deadlines go by."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_until(moment: float | None) -> float | None:
    """Return how far away a moment is, 0 when it has passed; None, for ever, stays None."""
    return None if moment is None else max(0.0, moment - time.monotonic())
