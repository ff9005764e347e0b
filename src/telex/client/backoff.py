"""How long to wait before the next attempt to connect: exponential backoff with full jitter."""

from __future__ import annotations

import random
from typing import Final

from telex.seconds import pause_of

_MOST_DOUBLINGS: Final = 60
"""Beyond this a power of two is longer than anybody waits, and may be too large for a float."""


class Backoff:
    """The pauses between attempts.

    A pause has a random length: at most ``min_delay`` seconds after the first failure. This maximum
    doubles with each failure, up to ``max_delay``, and to a day at most. Raises ValueError for a
    negative time, and TypeError for what is none.
    """

    def __init__(self, min_delay: float, max_delay: float) -> None:
        self._min: Final = pause_of(min_delay, "min_delay")
        self._max: Final = pause_of(max_delay, "max_delay")
        self._failures = 0

    def pause(self) -> float:
        """Return the seconds to wait before the next attempt; 0 where none has failed."""
        return random.uniform(0, self._longest(self._failures - 1)) if self._failures else 0.0

    def failed(self) -> None:
        """Count an attempt that made no connection."""
        self._failures += 1

    def ended(self, lasted: float) -> None:
        """Count a connection that lasted so many seconds; a long one makes up for all failures."""
        self._failures = 1 if lasted >= self._longest(self._failures) else self._failures + 1

    def _longest(self, doublings: int) -> float:
        return min(self._max, self._min * 2.0 ** min(doublings, _MOST_DOUBLINGS))
