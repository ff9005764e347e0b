"""Connects again and again: after a failure later each time, and never where it is of no use.

What is done with a connection is the user's; what one is, is ``client``'s.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from telex.asyncio.client import connect
from telex.client.backoff import Backoff
from telex.client.options import is_fatal
from telex.errors import ConnectError, ConnectionClosedError
from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from telex.address import Address
    from telex.asyncio.client import Connection

logger: Final = safe_logger("telex.client")


async def reconnecting(
    address: str | Address, *, min_delay: float = 0.1, max_delay: float = 30.0, **options: Any
) -> AsyncGenerator[Connection, None]:
    """Give a connection, and a new one whenever the last one was closed or lost.

    ``options`` are those of ``connect()``. Before each attempt after a failure there is a pause of
    random length (exponential backoff with full jitter): at most ``min_delay`` seconds at first;
    this maximum doubles after each failure, up to ``max_delay``. A connection that lasted at least
    as long as the current maximum resets it to ``min_delay``. Raises errors that another attempt
    cannot cure: AddressError, a refused token (ConnectionClosedError with code ``unauthorized``),
    and certificates that are not trusted (ConnectError). A connection is closed when the next one
    is asked for.

        async for connection in telex.asyncio.reconnecting("tcp://127.0.0.1:7766"):
            try:
                async for message in connection:
                    ...
            except telex.ConnectionClosedError:
                continue
    """
    backoff = Backoff(min_delay, max_delay)
    while True:
        await asyncio.sleep(backoff.pause())
        try:
            connection = await connect(address, **options)
        except (ConnectError, ConnectionClosedError) as error:
            if is_fatal(error):
                raise
            logger.warning("%s: %s; trying again", address, error)
            backoff.failed()
            continue
        begin = time.monotonic()
        try:
            yield connection
        finally:
            ending = await _close(connection)
        if ending is not None and is_fatal(ending):
            raise ending
        backoff.ended(time.monotonic() - begin)


async def _close(connection: Connection) -> ConnectionClosedError | None:
    """Close a connection that may have ended already; return why it has, if it has."""
    ending = connection.ending
    try:
        await connection.close(timeout=1.0)
    except ConnectionClosedError as error:
        logger.warning("%s: %s", connection.peer_address, error)
        ending = ending or error
    return ending
