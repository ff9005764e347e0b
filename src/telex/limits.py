"""Every limit that Telex keeps, with its default. Plain numbers, no behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MAX_HEADER_BLOCK: Final = 65_535
"""Bytes that a proto-header can announce (wire format, proto-header)."""

MAX_SAFE_INTEGER: Final = 2**53 - 1
"""The largest number in a field that Telex knows: exact in every JSON reader (RFC 7493, 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one side: sizes in bytes, times in seconds.

    ================== =====================================================================
    limit              what it limits, and what happens beyond it
    ================== =====================================================================
    max_header_size    a header block: refused (bad-message) before it is buffered
    max_content_size   content of a message: refused (too-large) before it is buffered
    max_buffered       memory of a server: its largest connection is closed (overloaded)
    max_connections    connections of a server: a further one is closed (overloaded)
    header_timeout     from a message's first byte to its whole header block: closed (timeout)
    min_rate           bytes a second of content, over every ten seconds: closed (timeout)
    handshake_timeout  TLS handshake, and ``hello`` if a token is demanded: closed
    idle_timeout       nothing received, or no output read: closed (timeout); None is no limit
    ping_interval      nothing received from a peer that asked for keepalive: a ping is sent
    ping_timeout       no answer to a ping: closed (timeout)
    max_pending        unanswered requests, or waiting messages, of a connection: reading pauses
    high_water         unsent output, or waiting messages, of a connection: reading pauses
    drain_timeout      time to drain at shutdown: open connections are cut off, and logged
    ================== =====================================================================
    """

    max_header_size: int = 16 * 1024
    max_content_size: int = 16 * 1024 * 1024
    max_buffered: int = 256 * 1024 * 1024
    max_connections: int = 10_000
    header_timeout: float = 10.0
    min_rate: int = 1024
    handshake_timeout: float = 10.0
    idle_timeout: float | None = None
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    max_pending: int = 1024
    high_water: int = 1024 * 1024
    drain_timeout: float = 10.0

    def __post_init__(self) -> None:
        self._check_types()
        if not 2 <= self.max_header_size <= MAX_HEADER_BLOCK:
            raise ValueError(f"max_header_size must be 2 to 65,535, not {self.max_header_size}")
        if not 0 <= self.max_content_size <= MAX_SAFE_INTEGER:
            raise ValueError(f"max_content_size must be 0 to 2^53-1, not {self.max_content_size}")
        for name in ("max_buffered", "max_connections", "max_pending", "high_water"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0 seconds, not {value}")
            if value is not None and MAX_SAFE_INTEGER < value < math.inf:
                raise ValueError(f"{name} must be at most 2^53-1 seconds, or infinite, not {value}")
        if self.min_rate < 0:
            raise ValueError(f"min_rate must be at least 0, not {self.min_rate}")

    def _check_types(self) -> None:
        """Raise TypeError for what is no number, before it is compared with any."""
        for name in _NUMBERS:
            _refuse_unless(isinstance(getattr(self, name), int), self, name, "a whole number")
        for name in _TIMES:
            value = getattr(self, name)
            is_one = isinstance(value, (int, float)) or (value is None and name == "idle_timeout")
            _refuse_unless(is_one, self, name, "a number of seconds")


def _refuse_unless(is_right: bool, limits: Limits, name: str, right: str) -> None:
    if not is_right:
        value = getattr(limits, name)
        raise TypeError(f"{name} must be {right}, not {value!r} ({type(value).__name__})")


_NUMBERS: Final = (
    "max_header_size",
    "max_content_size",
    "max_buffered",
    "max_connections",
    "min_rate",
    "max_pending",
    "high_water",
)

_TIMES: Final = (
    "header_timeout",
    "handshake_timeout",
    "idle_timeout",
    "ping_interval",
    "ping_timeout",
    "drain_timeout",
)
