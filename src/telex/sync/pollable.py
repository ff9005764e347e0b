"""What the loop of the selectors server polls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket


class Pollable(Protocol):
    """Something with a socket. The loop sets ``watched``: the events polled for, 0 for none."""

    socket: socket.socket
    watched: int

    def ready(self, events: int) -> None:
        """Do what the socket is ready for; raises nothing."""
