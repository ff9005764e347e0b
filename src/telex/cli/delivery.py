"""Sends messages to a server, and finds out whether the server has read them all.

Messages from the server are received, so that the server need not wait, and dropped. Only errors
are reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex import WaitTimeoutError
from telex.cli.failure import CommandError
from telex.conversation.error_content import read_problem
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from telex import Limits, Message
    from telex.cli.destination import Destination
    from telex.cli.progress import SendingProgress
    from telex.sync import Connection

_MAX_SHOWN: Final = 1_000
"""Characters that are shown of an error."""


def deliver(
    batches: Iterable[list[Message]],
    destination: Destination,
    limits: Limits,
    piece_size: int | None,
    delay: float,
    timeout: float,
    progress: SendingProgress,
) -> None:
    """Send messages, batch by batch, and wait until the server has read them.

    With ``piece_size``, messages are sent in pieces of so many bytes, ``delay`` seconds apart.
    After the last one, the server has ``timeout`` seconds to read everything. Raises CommandError
    when there is no server, when the server refused a message, and when it has not read everything
    in time; ConnectionClosedError when it ended the connection.
    """
    refusal: str | None = None
    with destination.connect(limits) as connection:
        for batch in batches:
            if piece_size is None:
                connection.send_many(batch)
                progress.add(batch)
            else:
                for message in batch:
                    connection.send(message, chunk_size=piece_size, delay=delay)
                    progress.add([message])
            refusal = refusal or _first_error(connection)
        try:
            connection.close(timeout)
        except WaitTimeoutError as late:
            raise CommandError(
                f"the server has not read everything within {timeout:g} s (see --timeout)"
            ) from late
    if refusal is not None:
        raise CommandError(f"the server refused a message: {refusal}")


def _first_error(connection: Connection) -> str | None:
    """Receive the messages that have arrived; return the text of the first error."""
    first: str | None = None
    while True:
        try:
            message = connection.receive(timeout=0)
        except WaitTimeoutError:
            return first
        if first is None and message.kind == "error":
            first = printable(str(read_problem(message, "error"))[:_MAX_SHOWN])
