"""The peer of one connection, and what it needs of whoever moves the bytes: its ``Driver``."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from telex.errors import ConnectionClosedError, TelexError
from telex.log import safe_logger
from telex.uncopied import Uncopied
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from telex.application.peer import MessageKeywords
    from telex.connection.connection import Connection
    from telex.limits import Limits
    from telex.wire.message import Message

logger: Final = safe_logger("telex.server")


class Queues(NamedTuple):
    """What waits at one connection: messages for their handlers, and bytes."""

    messages: int
    """Messages that were received, and whose handlers have not been called yet."""
    partial: int
    """Bytes of a message that is not complete yet."""
    unsent: int
    """Bytes that the network has not taken yet."""


class Driver(Protocol):
    """Who moves the bytes of a connection, in a thread of its own."""

    __slots__ = ()

    @property
    def limits(self) -> Limits:
        """The limits of the front-end."""

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is the driver's."""

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Have a function called in the driver's thread; any thread may call this.

        Where the call brings ``size`` bytes, the caller waits while too many are on their way.
        Raises WaitTimeoutError and ConnectionClosedError.
        """

    def flush(self) -> None:
        """Give the network what it takes now."""

    def flush_soon(self) -> None:
        """The same when everybody who is at work now has added to it."""

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served, and end the connection."""

    def sent(self, message: Message) -> None:
        """Tell the observers of a message that no request asked for."""


class ConnectedPeer(Uncopied):
    """The peer of one connection; see ``Peer`` for what handlers see of it."""

    __slots__ = ("_connection", "_driver", "_not_sent", "address")

    def __init__(self, connection: Connection, driver: Driver, address: str) -> None:
        self.address: Final = address
        """The address of the peer, such as ``127.0.0.1:54321``."""
        self._connection: Final = connection
        self._driver: Final = driver
        self._not_sent = 0

    def __repr__(self) -> str:
        who = "" if self.identity is None else f" of {self.identity}"
        return f"<Peer {self.address}{who}, {self._connection.conversation.phase.value}>"

    @property
    def identity(self) -> str | None:
        """The name in the peer's certificate or of its token; None without either."""
        return self._connection.conversation.identity

    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message; see ``Peer.send``."""
        message = message_from(content, keywords)
        driver = self._driver
        if driver.is_own_thread():
            self._send(message)
            return
        message = copy.copy(message)  # the caller may change it before its turn comes
        header, body = message.to_buffers(driver.limits)  # an error in it is raised here
        self._connection.check_open()
        driver.post(self._send_posted, message, size=len(header) + len(body))

    @property
    def queues(self) -> Queues:
        """What waits; any thread may look."""
        connection = self._connection
        partial = connection.conversation.bytes_buffered
        return Queues(connection.unread.count, partial, connection.unsent)

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if it is at the other end of a Unix socket."""
        return self._driver.user_id

    def close(self, reason: str) -> None:
        """End the connection as soon as those who are at work now are done, and tell the peer why.

        A peer that does not read is told nothing.
        """
        self._driver.post(self._driver.refuse, "shutting-down", reason)

    def _send(self, message: Message) -> None:
        connection, driver = self._connection, self._driver
        try:
            connection.send(message)
        except ConnectionClosedError:
            driver.flush_soon()  # the driver closes if this is what cut the connection off
            raise
        conversation = connection.conversation
        if conversation.is_full and not conversation.is_over:  # last words go behind all answers
            driver.flush()
            connection.check_open()
        driver.flush_soon()
        driver.sent(message)

    def _send_posted(self, message: Message) -> None:
        """Send a message for another thread, which can no longer be told when it comes too late.

        Messages that come too late together are logged together.
        """
        try:
            self._send(message)
        except TelexError as error:
            self._not_sent += 1
            if self._not_sent == 1:
                with contextlib.suppress(ConnectionClosedError):  # it is logged at the end
                    self._driver.post(self._tell_of_not_sent, error)
                    return
                self._tell_of_not_sent(error)

    def _tell_of_not_sent(self, error: TelexError) -> None:
        """Log how many messages of other threads were not sent."""
        count, self._not_sent = self._not_sent, 0
        what = "a message was" if count == 1 else f"{count:,} messages were"
        logger.warning("%s not sent: %s", what, error.with_traceback(None), peer=self)
