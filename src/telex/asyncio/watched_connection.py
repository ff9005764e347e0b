"""A connection of the asyncio server that somebody watches.

It adds to ``server_connection`` what only this front-end can tell: how many bytes go, who is at the
other end of a Unix socket. What is told of messages and handlers is ``telex.application``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from telex.application.watched import FIELDS, Watched
from telex.asyncio.channel import Channel
from telex.asyncio.server_connection import ServerConnection
from telex.errors import ConnectionClosedError

if TYPE_CHECKING:
    from telex.application.notifier import Notifier
    from telex.asyncio.service import Service
    from telex.wire.message import Message


class WatchedConnection(Watched, ServerConnection):
    """A connection that tells what becomes of its messages."""

    __slots__ = FIELDS

    def __init__(self, service: Service, channel: Channel, address: str) -> None:
        super().__init__(service, channel, address)
        assert service.observer is not None
        self._notifier = service.observer
        self._begun = service.begun

    @property
    def bytes_unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._channel.unsent

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""
        return self._channel.user_id

    def dismiss(self, reason: str) -> None:
        """End the connection in a later turn, and say why, if the peer still reads."""
        service = self._service
        error = ConnectionClosedError("us", reason, code="shutting-down")
        self._channel.look_at_output()
        if self._channel.unsent:  # a word of it would come after all that waits
            service.loop.call_soon(self.end, error, context=service.context.copy())
        else:
            service.loop.call_soon(self.refuse, reason, error.code, context=service.context.copy())

    def took(self, size: int) -> None:
        """Take note that the channel has taken bytes to be sent."""
        self._tell(self._notifier.data_sent, size)

    def _send(self, message: Message) -> None:
        super()._send(message)
        self._tell(self._notifier.message_sent, message)


class WatchedChannel(Channel):
    """The channel of such a connection, which it tells how much is sent."""

    __slots__ = ()

    def flush(self) -> None:
        """Give all that the conversation has to the transport."""
        before = self._conversation.bytes_to_send
        super().flush()
        size = before - self._conversation.bytes_to_send
        if size and not self.is_lost:
            cast("WatchedConnection", self._user).took(size)


def connection_types(
    notifier: Notifier | None,
) -> tuple[type[Channel], type[ServerConnection]]:
    """Return what the channels and connections of a server are, by who watches it."""
    if notifier is not None and notifier.follows_messages:
        return WatchedChannel, WatchedConnection
    return Channel, ServerConnection
