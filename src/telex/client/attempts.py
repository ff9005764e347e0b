"""When to attempt which endpoint of an address: "Happy Eyeballs" (RFC 8305).

The attempts overlap: each begins a little after the one before, or at once when that has failed,
and the first endpoint that can be connected to is taken. So one that does not answer costs a
moment, and not the whole time. Sans-I/O: moments are those of ``time.monotonic()``, and handed in.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from telex.network.resolver import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.network.resolver import Endpoint

DELAY: Final = 0.25
"""Seconds between the beginnings of two attempts (RFC 8305, 5: "Connection Attempt Delay")."""

PAUSE: Final = 0.01
"""Seconds before an endpoint is attempted again that had no room for another connection."""


class Attempts:
    """The attempts to connect to one of ``endpoints`` before ``deadline``."""

    def __init__(self, endpoints: Iterable[Endpoint], deadline: float | None = None) -> None:
        self.deadline: Final = math.inf if deadline is None else deadline
        self.failures: Final[dict[str, Exception]] = {}
        """What went wrong, by the name of the endpoint."""
        self._left: Final = deque(_alternating(endpoints))
        self._under_way: Final[list[Endpoint]] = []
        self._next_at = -math.inf

    @property
    def is_over(self) -> bool:
        """Whether every attempt has failed."""
        return not self._left and not self._under_way

    @property
    def due_at(self) -> float:
        """When there is something to do even if nothing happens."""
        return min(self._next_at, self.deadline) if self._left else self.deadline

    def begin(self, now: float) -> Endpoint | None:
        """Return the endpoint to attempt now, if one is due; its outcome must be told."""
        if not self._left or now < self._next_at:
            return None
        endpoint = self._left.popleft()
        self._under_way.append(endpoint)
        # Where time is short, each endpoint gets its chance all the same.
        shares = max(0.0, self.deadline - now) / (len(self._left) + 1)
        self._next_at = now + min(DELAY, shares)
        return endpoint

    def failed(self, endpoint: Endpoint, error: Exception) -> None:
        """Record that an attempt has failed; the next one is due at once."""
        self._under_way.remove(endpoint)
        self.failures[name_of(endpoint.address)] = error
        self._next_at = -math.inf

    def postpone(self, endpoint: Endpoint, now: float) -> None:
        """Attempt an endpoint again in a moment: it has no room for a connection now."""
        self._under_way.remove(endpoint)
        self._left.appendleft(endpoint)
        self._next_at = now + PAUSE

    def expire(self) -> None:
        """Record that all attempts have taken too long."""
        for endpoint in [*self._under_way, *self._left]:
            self.failures.setdefault(name_of(endpoint.address), TimeoutError())
        self._under_way.clear()
        self._left.clear()

    def handshake_deadline(self, now: float) -> float | None:
        """Return until when an endpoint that is connected may take to agree on TLS.

        The time that is left is shared with the endpoints that would be the next.
        """
        if self.deadline == math.inf:
            return None
        others = len(self._left) + len(self._under_way)
        return now + max(0.0, self.deadline - now) / max(1, others)


def _alternating(endpoints: Iterable[Endpoint]) -> Iterator[Endpoint]:
    """Give the endpoints in their order, but families by turns (RFC 8305, 4)."""
    families: dict[int, list[Endpoint]] = {}
    for endpoint in endpoints:
        families.setdefault(endpoint.family, []).append(endpoint)
    for row in zip_longest(*families.values()):
        yield from (endpoint for endpoint in row if endpoint is not None)
