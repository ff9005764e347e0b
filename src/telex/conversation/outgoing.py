"""What is to be sent: messages as bytes, in order, none larger than the peer will take.

Knows what the peer said of its limits, and nothing of why something is sent, or where to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.conversation.error_content import close_message, problem_message
from telex.conversation.greeting import PeerGreeting
from telex.conversation.mistakes import LARGEST_CONTROL
from telex.errors import TooLargeError
from telex.limits import MAX_HEADER_BLOCK, Limits
from telex.wire.message import Message

if TYPE_CHECKING:
    from mypy_extensions import i64

LARGE: Final = 16_384
"""Bytes of content from which handing it to the system by itself costs less than a copy."""


class Outgoing:
    """Bytes of messages that nobody has taken yet.

    Until the peer says what it takes, it is thought to take what this side takes (``limits``), and
    each error that may be sent at all.
    """

    __slots__ = (
        "_last_words",
        "_longest_error",
        "_max_content_size",
        "_max_header_size",
        "_pieces",
        "_size",
        "_small",
        "said_itself",
    )

    def __init__(self, limits: Limits) -> None:
        self._max_header_size: i64 = limits.max_header_size
        self._max_content_size: i64 = limits.max_content_size
        self._longest_error: i64 = LARGEST_CONTROL
        self._pieces: list[bytes] | None = None
        self._small: list[bytes] = []
        self._size: i64 = 0
        self._last_words: bytes = b""
        self.said_itself: i64 = 0
        """Bytes that the conversation said by itself, such as pongs, since this was set to 0."""

    @property
    def size(self) -> i64:
        """Bytes that ``take`` would return."""
        return self._size + len(self._last_words)

    @property
    def has_last_words(self) -> bool:
        """Whether the error that ends everything is written, and not taken yet."""
        return len(self._last_words) > 0

    def keep_to(self, peer: PeerGreeting) -> None:
        """Respect the limits that the peer has announced."""
        self._max_header_size = peer.max_header_size
        self._max_content_size = peer.max_content_size
        self._longest_error = min(peer.max_content_size, LARGEST_CONTROL)

    def check(self, message: Message, kind: str | None, id: i64, re: i64, more: bool) -> None:
        """Raise what ``write`` would, and write nothing."""
        length: i64 = len(message.body)
        if length > self._max_content_size:
            raise TooLargeError("content", length, self._max_content_size)
        timeout = message.timeout_ms or 0
        message.check_header_as(length, kind, id, re, more, self._max_header_size, timeout)

    def write(self, message: Message, kind: str | None, id: i64, re: i64, more: bool) -> None:
        """Write a message of the application under a kind and with numbers that are not its own.

        Its timeout is its own; in a reply, where it would mean nothing, it is left out. Raises
        ContentError, and TooLargeError before anything is written.
        """
        body = message.body
        if len(body) > self._max_content_size:
            raise TooLargeError("content", len(body), self._max_content_size)
        timeout = 0 if kind == "reply" else message.timeout_ms or 0
        self._add(message, body, kind, id, re, more, self._max_header_size, timeout)

    def say(self, message: Message, kind: str, id: i64, re: i64) -> None:
        """Write a message of the conversation's own: these fit every peer, see ``greeting``."""
        before = self._size
        self._add(message, message.body, kind, id, re, False, MAX_HEADER_BLOCK, 0)
        self.said_itself += self._size - before

    def complain(self, code: str, detail: str, re: i64) -> None:
        """Write an error, with as much of the detail as the peer takes."""
        self.say(problem_message(code, detail, self._longest_error), "error", 0, re)

    def say_close(self, code: str, reason: str) -> None:
        """Write a close."""
        self.say(close_message(code, reason, self._longest_error), "close", 0, 0)

    def say_last(self, code: str, detail: str) -> None:
        """Write an error that stays behind everything else that is written before it is taken."""
        message = problem_message(code, detail, self._longest_error)
        message.kind = "error"
        self._last_words = message.to_bytes()

    def take(self) -> list[bytes]:
        """Return all bytes in order, and forget them.

        What is short is joined; long content is an item of its own, and never copied.
        """
        if self._last_words:
            self._small.append(self._last_words)
            self._last_words = b""
        self._join()
        pieces = self._pieces
        self._pieces = None
        self._size = 0
        return [] if pieces is None else pieces

    def _add(
        self,
        message: Message,
        body: bytes,
        kind: str | None,
        id: i64,
        re: i64,
        more: bool,
        max_header_size: i64,
        timeout: i64,
    ) -> None:
        """Add a message, with its content joined to others only where that is short."""
        length: i64 = len(body)
        size = message.add_header_as(
            self._small, length, kind, id, re, more, max_header_size, timeout
        )
        self._size += size + length
        if length < LARGE:
            self._small.append(body)
        else:
            self._join()
            self._add_piece(body)

    def _join(self) -> None:
        if self._small:
            self._add_piece(b"".join(self._small))
            self._small.clear()

    def _add_piece(self, piece: bytes) -> None:
        if self._pieces is None:
            self._pieces = [piece]
        else:
            self._pieces.append(piece)
