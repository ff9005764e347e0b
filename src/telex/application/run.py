"""A handler at work on a message, and how long one connection may keep its server's thread.

Which message is handled when is decided by ``dispatcher``. This module knows no socket and no event
loop.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from telex.application.handler import Handler
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Context

    from mypy_extensions import i64

TURN_SECONDS: Final = 0.001
"""How long the handlers of one connection are called before other connections have their turn."""

RUN_BYTES: Final = 256
"""Bytes of memory that a run takes besides its message, while it waits for a thread."""

TASK_BYTES: Final = 4096
"""The same for a run in a task of an event loop: a context, the task, and coroutines."""

_MOST_UNSEEN: Final = 64
"""Calls at most between two looks at the clock."""


class Run:
    """A handler at work on a message, for longer than one call."""

    __slots__ = (
        "begun_at",
        "context",
        "handler",
        "is_unwanted",
        "message",
        "parts",
        "request",
        "size",
    )

    def __init__(self, handler: Handler, message: Message) -> None:
        self.handler: Final = handler
        self.message: Final = message
        self.request: Final = request_id(message)
        self.size: Final = message.memory_size + (TASK_BYTES if handler.is_async else RUN_BYTES)
        self.parts: Iterator[object] | None = None
        self.begun_at: float = 0.0
        self.context: Context | None = None
        """The context of the message, where the front-end gives each message one of its own."""
        self.is_unwanted: bool = False
        """Whether nobody wants the next part, so that the generator is only closed."""


class Turn:
    """One turn of a connection: the clock is looked at before calls 2, 3, 5, 9, 17 and so on."""

    __slots__ = ("_ends_at", "_left", "_step")

    def __init__(self) -> None:
        self._left: i64 = 2  # a single message costs no look at the clock
        self._step: i64 = 1
        self._ends_at: float = 0.0

    def is_over(self) -> bool:
        """Say whether to stop before the next call."""
        self._left -= 1
        if self._left > 0:
            return False
        now = perf_counter()
        if self._ends_at == 0.0:
            self._ends_at = now + TURN_SECONDS
        if now >= self._ends_at:
            self._left = 1  # who asks again is told again
            return True
        self._left = self._step
        self._step = min(2 * self._step, _MOST_UNSEEN)
        return False


def request_id(message: Message) -> int | None:
    """Return the number under which a message wants an answer; None for a plain one."""
    return None if message.kind is None else message.id
