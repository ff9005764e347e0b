"""What all connections of a server share: its limits, its threads, and the count of what is held.

Whatever is for one connection alone is in ``server_connection``; when a server begins and ends is
``server``'s. Nothing here is done for each message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.application.notifier import notifier_of
from telex.server.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.application.session import Run
    from telex.conversation.conversation import Greeting
    from telex.limits import Limits
    from telex.sync.loop import Loop


class Service:
    """The common ground of a server's connections, in the thread of its loop."""

    def __init__(
        self,
        loop: Loop,
        application: Application,
        limits: Limits,
        greeting: Greeting,
        observer: Observer | Iterable[Observer] | None,
        max_workers: int | None,
    ) -> None:
        self.loop: Final = loop
        self.application: Final = application
        self.limits: Final = limits
        self.greeting: Final = greeting
        self.observer: Final = notifier_of(observer)
        self.begun: Final[dict[Run, float]] = {}
        """When each handler began that is at work, where that is watched."""
        self.threads: Final = Threads(max_workers)
        """For handlers that block; there are none before they are needed."""
        self.bytes_held: int = 0
        """Of all connections together: parts of messages, messages not handled, unsent output."""

    def account(self, more: int) -> None:
        """Take note that a connection holds more bytes, or fewer; past the limit, one has to go."""
        self.bytes_held += more
        while more > 0 and self.bytes_held > self.limits.max_buffered:
            before = self.bytes_held
            most = max(self.loop.connections, key=lambda connection: connection.bytes_to_gain)
            if most.bytes_to_gain:
                most.overload(before)
            if self.bytes_held >= before:
                return  # what is held is at work, and nobody can be made to let go of it
