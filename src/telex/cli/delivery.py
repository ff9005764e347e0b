"""Hands messages to a server, and finds out whether it takes them all.

What the server's application sends back is not for a sender: it is taken, so that the server need
not wait, and dropped, unless it tells of a problem.
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

_LONGEST_TEXT: Final = 1_000


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

    With ``piece_size`` they go in pieces of so many bytes, ``delay`` seconds apart. When all is
    sent, the server has ``timeout`` seconds to read it. Raises CommandError when there is no
    server, when it refused a message, and when it has not read all in time, ConnectionClosedError
    when it went away.
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
            refusal = refusal or _told(connection)
        try:
            connection.close(timeout)
        except WaitTimeoutError as late:
            raise CommandError(
                f"the server has not read everything within {timeout:g} s (see --timeout)"
            ) from late
    if refusal is not None:
        raise CommandError(f"the server refused a message: {refusal}")


def _told(connection: Connection) -> str | None:
    """Take what has come from the server; return the first problem that it tells of."""
    first: str | None = None
    while True:
        try:
            message = connection.receive(timeout=0)
        except WaitTimeoutError:
            return first
        if first is None and message.kind == "error":
            first = printable(str(read_problem(message, "error"))[:_LONGEST_TEXT])
