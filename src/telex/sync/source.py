"""What a loop can watch. It says nothing of what a source does in its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket


class Source(Protocol):
    """Something with a socket; ``watched`` is what the loop watches it for, 0 for nothing."""

    socket: socket.socket
    watched: int

    def ready(self, events: int) -> None:
        """Do what the socket is ready for; raises nothing."""
