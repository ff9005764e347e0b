"""A thread that waits while another one, the leader, does the work of a connection.

It is woken by tokens, of which one too many does no harm. Who leads is not known here.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from telex.client.deadlines import seconds_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiter:
    """What a thread waits for, and how it is woken."""

    __slots__ = ("is_ready", "tokens")

    def __init__(self, is_ready: Callable[[], object]) -> None:
        self.is_ready: Final = is_ready
        self.tokens: Final[SimpleQueue[None]] = SimpleQueue()

    def wait(self, deadline: float | None) -> None:
        """Wait for a token, until ``deadline`` at most."""
        try:
            self.tokens.get(timeout=seconds_until(deadline))
        except Empty:
            return
