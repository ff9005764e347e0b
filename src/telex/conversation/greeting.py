"""Greetings: what both sides say of themselves in ``hello`` and ``welcome``.

Writes and reads their content, and knows nothing of when they are said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec  # noqa: F401 - loaded now, rather than when the first peer says hello in JSON

from telex.conversation.error_content import LARGEST_CONTROL
from telex.errors import ContentError
from telex.limits import MAX_HEADER_BLOCK, MAX_SAFE_INTEGER, Limits
from telex.wire.message import Message

__version__: Final = 1
"""The version of the wire format that is spoken here."""

SMALLEST_LIMIT: Final = 256
"""Bytes of header block, and of content, that a peer must take, so that it can be told anything."""


class Greeting:
    """What one side says of itself in ``hello`` and ``welcome``.

    ``authenticate`` is the server's: it turns a token into the name of its owner, or None. A server
    that has it demands a token. ``token`` and ``keepalive`` are what a client says.
    """

    __slots__ = ("agent", "authenticate", "keepalive", "token")

    def __init__(
        self,
        agent: str,
        *,
        token: str | None = None,
        keepalive: bool = False,
        authenticate: Callable[[str], str | None] | None = None,
    ) -> None:
        self.agent: Final = agent
        self.token: Final = token
        self.keepalive: Final = keepalive
        self.authenticate: Final = authenticate

    @property
    def is_wanted(self) -> bool:
        """Whether a client has something to say that needs a hello."""
        return self.token is not None or self.keepalive

    def hello(self, limits: Limits) -> Message:
        """Make the message that a client opens with."""
        content = self._introduction(limits)
        if self.token is not None:
            content["token"] = self.token
        if self.keepalive:
            content["keepalive"] = True
        return Message(content)

    def welcome(self, limits: Limits) -> Message:
        """Make the message that accepts a hello."""
        return Message(self._introduction(limits))

    def _introduction(self, limits: Limits) -> dict[str, Any]:
        return {
            "version": __version__,
            "agent": self.agent,
            "limits": {
                "max_header_size": max(limits.max_header_size, SMALLEST_LIMIT),
                "max_content_size": max(limits.max_content_size, SMALLEST_LIMIT),
            },
        }


class PeerGreeting:
    """What the other side said of itself: who it is, what it wants, and what it takes."""

    __slots__ = ("max_content_size", "max_header_size", "token", "wants_keepalive")

    def __init__(self, said: dict[str, Any]) -> None:
        limits = said.get("limits", {})
        if not isinstance(limits, dict):
            raise ValueError("its limits must be a JSON object")
        if said.get("version", __version__) != __version__:
            raise ValueError(f"its version must be {__version__}, the only one spoken here")
        defaults = Limits()
        token = said.get("token")
        self.token: Final[str | None] = token if isinstance(token, str) else None
        self.wants_keepalive: Final[bool] = said.get("keepalive") is True
        most_header = _size_in(limits, "max_header_size", defaults.max_header_size)
        self.max_header_size: Final[int] = min(most_header, MAX_HEADER_BLOCK)
        self.max_content_size: Final[int] = min(
            _size_in(limits, "max_content_size", defaults.max_content_size), MAX_SAFE_INTEGER
        )


def check_room(greeting: Greeting, limits: Limits) -> None:
    """Raise ValueError when a greeting is needed, and its answer is over this side's limits."""
    smallest = min(limits.max_header_size, limits.max_content_size)
    if smallest < SMALLEST_LIMIT and (greeting.is_wanted or greeting.authenticate is not None):
        raise ValueError(
            f"token and keepalive need limits on headers and content of at least "
            f"{SMALLEST_LIMIT} bytes, not {smallest}"
        )


def read_greeting(message: Message) -> PeerGreeting:
    """Read a hello or a welcome; raises ValueError saying what is wrong with it."""
    if len(message.body) > LARGEST_CONTROL:
        raise ValueError(f"its content must be at most {LARGEST_CONTROL:,} bytes")
    try:
        said = message.content
    except ContentError as problem:
        raise ValueError(str(problem)) from None
    if not isinstance(said, dict):
        raise ValueError("its content must be a JSON object")
    return PeerGreeting(said)


def _size_in(limits: dict[str, Any], name: str, default: int) -> int:
    size = limits.get(name, default)
    if type(size) is not int or size < SMALLEST_LIMIT:
        raise ValueError(f"its limit {name} must be an integer of at least {SMALLEST_LIMIT}")
    return size
