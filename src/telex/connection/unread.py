"""What a connection has received and nobody has taken: messages, and parts of answers.

It says when that is too much to read on, and when waiting for an answer that comes behind it has
become hopeless. It decides nothing about the conversation and does no input or output.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from telex.connection.inbox import Inbox
from telex.connection.replies import Replies
from telex.conversation.calls import Call
from telex.limits import Limits
from telex.wire.message import Message
from telex.wire.processor import MessageProcessor

if TYPE_CHECKING:
    from mypy_extensions import i64

INBOX_SIZE: Final = 16 * 1024 * 1024
"""Bytes that may wait to be taken by a program before reading pauses."""

INBOX_FACTOR_WHILE_AWAITING_REPLY: Final = 4
"""How many times that may wait while somebody waits for an answer, which may come behind it."""

STALL_SECONDS: Final = 5.0
"""How long reading pauses before somebody is told that nothing is taken."""

_NEVER: Final = math.inf

_WHEN_ASKED: Final = 0.0
"""A pause is measured from the next question on: whoever notices it may not know the time."""


class Unread:
    """Received messages and parts that wait to be taken.

    For handlers (``is_handled``) the bounds are ``max_pending`` messages and ``high_water`` bytes.
    For a program that receives, the bound is ``INBOX_SIZE``; reading goes on when half is taken.
    """

    __slots__ = (
        "_awaited",
        "_inbox",
        "_is_handled",
        "_is_paused",
        "_most_bytes",
        "_most_messages",
        "_replies",
        "_was_taken",
        "is_sending",
        "parts",
        "stall_at",
        "stall_was_told",
    )

    def __init__(self, limits: Limits, *, is_handled: bool) -> None:
        self._is_handled: Final = is_handled
        self._most_messages: Final[i64] = limits.max_pending
        self._most_bytes: Final[i64] = limits.high_water
        self._inbox: Inbox | None = None
        self._awaited: set[Call] | None = None
        self._replies: Replies | None = None
        self._is_paused = False
        self._was_taken = False
        self.is_sending: bool = False
        """Whether output waits for the peer, which may take it only when its answers are read."""
        self.parts: i64 = 0
        """Bytes of parts of answers."""
        self.stall_at: float = _NEVER
        """When a pause has lasted for too long."""
        self.stall_was_told: bool = False
        """Whether the log says already that nothing is taken."""

    @property
    def inbox(self) -> Inbox:
        """The messages, in their order; any thread may take them from the left."""
        if self._inbox is None:
            self._inbox = Inbox()
        return self._inbox

    @property
    def count(self) -> int:
        """How many messages wait."""
        return 0 if self._inbox is None else len(self._inbox.messages)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self.parts == 0 and (self._inbox is None or not self._inbox.messages)

    @property
    def size(self) -> int:
        """How many bytes of memory the messages, parts and answers take."""
        replies = 0 if self._replies is None else self._replies.count()
        return self._taken_in_order + replies

    @property
    def _taken_in_order(self) -> i64:
        """The same without the answers to many requests."""
        return self.parts + (0 if self._inbox is None else self._inbox.size())

    @property
    def is_too_much(self) -> bool:
        """Whether so much waits that nothing more should be read."""
        if self._inbox is None and not self.parts and self._replies is None:
            return False
        if self._is_handled:
            return self.count >= self._most_messages or self.size > self._most_bytes
        unread = self._taken_in_order
        most: i64 = INBOX_SIZE
        if self._awaited:
            most *= INBOX_FACTOR_WHILE_AWAITING_REPLY
        elif self._is_paused:
            most //= 2
        if self._replies is not None and not self.is_sending:
            unread += self._replies.count_if_over(most - unread)
        self._is_paused = unread > most
        return self._is_paused

    @property
    def awaited(self) -> list[Call]:
        """The calls whose answers somebody waits for now."""
        return [] if self._awaited is None else list(self._awaited)

    def add(self, messages: list[Message]) -> None:
        """Keep messages until somebody takes them."""
        self.inbox.add(messages)

    def take(self) -> Message:
        """Take the first message. Raises IndexError when there is none."""
        self._was_taken = True
        inbox = self._inbox
        if inbox is None:
            raise IndexError("there is no message")
        message = inbox.messages.popleft()
        if not inbox.messages and self._is_handled:
            self._inbox = None  # an idle connection keeps nothing
        return message

    def clear(self) -> list[Message]:
        """Take all messages at once."""
        if self._inbox is None:
            return []
        messages = list(self._inbox.messages)
        self._inbox.messages.clear()
        return messages

    def drop_requests(self) -> int:
        """Drop the requests among the messages, and return how many they were."""
        messages = self.clear()
        plain = [message for message in messages if message.kind != "request"]
        if plain:
            self.inbox.add(plain)
        return len(messages) - len(plain)

    def hold(self, size: i64) -> None:
        """Add ``size`` bytes of parts of an answer."""
        self.parts += size

    def consumed(self, size: i64) -> None:
        """Take away ``size`` bytes of parts: somebody has taken or dropped them."""
        self.parts -= size
        self._was_taken = True

    def watch(self, row: deque[Call], processor: MessageProcessor) -> None:
        """Count the answers that have come to a row of calls, until they are taken from it."""
        if self._replies is None:
            self._replies = Replies(processor)
        self._replies.watch(row)

    def forget(self, row: deque[Call]) -> None:
        """Count these answers no longer."""
        if self._replies is not None:
            self._replies.forget(row)
            self._was_taken = True
            if not self._replies.is_watched:
                self._replies = None

    def expect(self, call: Call) -> None:
        """Read further while somebody waits for this answer; the time of a pause starts over."""
        if self._awaited is None:
            self._awaited = set()
        self._awaited.add(call)
        self._was_taken = True

    def expect_no_more(self, call: Call) -> None:
        """Read no further for this answer: nobody waits for it any more."""
        if self._awaited is not None:
            self._awaited.discard(call)

    def look(self) -> None:
        """Begin to measure a pause of reading, or end that."""
        if not self._is_paused:
            self.stall_at = _NEVER
        elif self.stall_at == _NEVER or self._was_taken:
            self._was_taken = False
            self.stall_at = _WHEN_ASKED

    def has_stalled(self, now: float) -> bool:
        """Say whether nothing was taken for ``STALL_SECONDS`` while reading pauses."""
        if now < self.stall_at:
            return False
        if self._replies is not None and self._replies.were_taken():
            self._was_taken = True
        if self.stall_at != _WHEN_ASKED and self.is_too_much and not self._was_taken:
            self.stall_at = _NEVER
            return True
        self.look()
        if self._is_paused:
            self.stall_at = now + STALL_SECONDS
        return False
