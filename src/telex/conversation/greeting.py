"""Greetings: what both sides say of themselves in ``hello`` and ``welcome``.

Writes and reads their content, and knows nothing of when they are said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec  # noqa: F401 - loaded now, rather than when the first peer says hello in JSON

from telex.conversation.mistakes import LARGEST_CONTROL
from telex.errors import ContentError
from telex.limits import MAX_HEADER_BLOCK, MAX_SAFE_INTEGER, Limits
from telex.wire.content import JSON, form_of, is_binary
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
    """What the other side said of itself: who it is, what it wants, and what it takes.

    Raises ValueError for a member of a wrong type; members that are not known mean nothing.
    """

    __slots__ = ("max_content_size", "max_header_size", "token", "wants_keepalive")

    def __init__(self, said: dict[str, Any]) -> None:
        version = said.get("version", __version__)
        if type(version) is not int or version != __version__:
            raise ValueError(f"its version must be {__version__}, the only one spoken here")
        _member(said, "agent", str, "a string")
        features = _member(said, "features", list, "a list of strings") or []
        if any(not isinstance(feature, str) for feature in features):
            raise ValueError("its features must be a list of strings")
        limits = _member(said, "limits", dict, "a JSON object") or {}
        defaults = Limits()
        self.token: Final[str | None] = _member(said, "token", str, "a string")
        self.wants_keepalive: Final[bool] = (
            _member(said, "keepalive", bool, "true or false") is True
        )
        most_header = _size_in(limits, "max_header_size", defaults.max_header_size)
        self.max_header_size: Final[int] = min(most_header, MAX_HEADER_BLOCK)
        self.max_content_size: Final[int] = min(
            _size_in(limits, "max_content_size", defaults.max_content_size), MAX_SAFE_INTEGER
        )


def check_room(greeting: Greeting, limits: Limits) -> None:
    """Raise ValueError when a greeting is needed, and it or its answer is over a limit."""
    smallest = min(limits.max_header_size, limits.max_content_size)
    if smallest < SMALLEST_LIMIT and (greeting.is_wanted or greeting.authenticate is not None):
        raise ValueError(
            f"token and keepalive need limits on headers and content of at least "
            f"{SMALLEST_LIMIT} bytes, not {smallest}"
        )
    if greeting.is_wanted and len(greeting.hello(limits).body) > LARGEST_CONTROL:
        raise ValueError(f"the token is longer than a hello may be: {LARGEST_CONTROL:,} bytes")


def read_greeting(message: Message) -> PeerGreeting:
    """Read a hello or a welcome; raises ValueError saying what is wrong with it."""
    encoding = message.encoding
    if form_of(message.content_type) != JSON or not (
        encoding.lower() == "utf-8" or is_binary(encoding)
    ):
        raise ValueError("its content must be JSON in UTF-8, and its header must say so")
    try:
        said = message.content
    except ContentError as problem:
        raise ValueError(str(problem)) from None
    if not isinstance(said, dict):
        raise ValueError("its content must be a JSON object")
    return PeerGreeting(said)


def _member(said: dict[str, Any], name: str, type_: type, what: str) -> Any:
    """Return a member, which may be absent: None."""
    if name not in said:
        return None
    value = said[name]
    if not isinstance(value, type_):
        raise ValueError(f"its member {name} must be {what}")
    return value


def _size_in(limits: dict[str, Any], name: str, default: int) -> int:
    size = limits.get(name, default)
    if type(size) is not int or size < SMALLEST_LIMIT:
        raise ValueError(f"its limit {name} must be an integer of at least {SMALLEST_LIMIT}")
    return size
