"""An observer that logs each event of a server in one line, to find faults.

The server itself logs connections that end with an error, as warnings; this observer logs all other
events. Text of a peer is escaped, as everywhere in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from telex.application.naming import named
from telex.application.observer import Observer
from telex.log import safe_logger

if TYPE_CHECKING:
    from telex.application.peer import Peer
    from telex.errors import TelexError
    from telex.wire.message import Message

logger: Final = safe_logger("telex.events")


class EventLog(Observer):
    """Logs connections, messages, and the time of the handlers, one line for each event.

    Each line begins with the address of the peer. The lines go to the logger ``telex.events``, at
    ``level``.
    """

    def __init__(self, level: int = logging.INFO) -> None:
        self._level: Final = level

    def connected(self, peer: Peer) -> None:
        """Log the new connection."""
        logger.log(self._level, "connected", peer=peer)

    def message_received(self, peer: Peer, message: Message) -> None:
        """Log the subject, the kind and the size."""
        kind, size = message.kind or "plain", _size_of(message)
        logger.log(
            self._level, "received %s, %s, %s", named(message.subject), kind, size, peer=peer
        )

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Log the time that a handler took."""
        name = "the handler of other subjects" if pattern is None else f"handler {pattern!r}"
        logger.log(self._level, "%s took %.6f s", name, seconds, peer=peer)

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """Log the code of the error."""
        logger.log(self._level, "%s failed: %s", named(message.subject), code, peer=peer)

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Log the size of a sent message."""
        logger.log(self._level, "sent %s", _size_of(message), peer=peer)

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Log the end of the connection, and its reason."""
        reason = "" if error is None else f": {error}"
        logger.log(self._level, "disconnected%s", reason, peer=peer)
        logger.forget(peer)


def _size_of(message: Message) -> str:
    size = len(message.body)
    return "1 byte" if size == 1 else f"{size:,} bytes"
