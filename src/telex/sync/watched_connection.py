"""A connection of the selectors server that somebody watches.

It adds to ``server_connection`` what only this front-end can tell: how many bytes go, who is at the
other end of a Unix socket. What is told of messages and handlers is ``telex.application``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.application.watched import FIELDS, Watched
from telex.errors import ConnectionClosedError
from telex.network.sockets import user_at_other_end
from telex.sync.server_connection import ServerConnection

if TYPE_CHECKING:
    import socket

    from telex.application.notifier import Notifier
    from telex.security.encryption import Encryption
    from telex.sync.service import Service
    from telex.wire.message import Message


class WatchedConnection(Watched, ServerConnection):
    """A connection that tells what becomes of its messages."""

    __slots__ = FIELDS

    def __init__(
        self, service: Service, sock: socket.socket, address: str, encryption: Encryption | None
    ) -> None:
        super().__init__(service, sock, address, encryption)
        assert service.observer is not None
        self._notifier = service.observer
        self._begun = service.begun

    @property
    def bytes_unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        output = self._output  # looked at once: other threads may ask
        return (0 if output is None else output.size) + self.conversation.bytes_to_send

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""
        return user_at_other_end(self.socket)

    def dismiss(self, reason: str) -> None:
        """End the connection in a later turn, and say why, if the peer still reads."""
        error = ConnectionClosedError("us", reason, code="shutting-down")
        if self._unsent():  # a word of it would come after all that waits
            self._service.loop.post(self.end, error)
        else:
            self._service.loop.post(self.refuse, reason, error.code)

    def _send(self, message: Message) -> None:
        super()._send(message)
        self._tell(self._notifier.message_sent, message)

    def _gather(self) -> None:
        before = self.conversation.bytes_to_send
        super()._gather()
        self._tell_of_output(before)

    def _send_at_once(self) -> None:
        before = self.conversation.bytes_to_send
        super()._send_at_once()
        self._tell_of_output(before)

    def _tell_of_output(self, before: int) -> None:
        """Tell how much of what the conversation had to say it has no more."""
        size = before - self.conversation.bytes_to_send
        if size:
            self._tell(self._notifier.data_sent, size)


def connection_type(notifier: Notifier | None) -> type[ServerConnection]:
    """Return what the connections of a server are, by who watches it."""
    is_watched = notifier is not None and notifier.follows_messages
    return WatchedConnection if is_watched else ServerConnection
