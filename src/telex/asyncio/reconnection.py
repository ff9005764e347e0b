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
from telex.errors import ConnectError, ConnectionClosedError, TelexError
from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Self

    from telex.address import Address
    from telex.asyncio.client import Connection

_CLOSE_SECONDS: Final = 1.0
"""How long closing the last connection may take before the next one is opened."""

logger: Final = safe_logger("telex.client")


def reconnecting(
    address: str | Address, *, min_delay: float = 0.1, max_delay: float = 30.0, **options: Any
) -> Reconnecting:
    """Give a connection, and a new one whenever the last one was closed or lost.

    ``options`` are those of ``connect()``. Before each attempt after a failure there is a pause of
    random length (exponential backoff with full jitter): at most ``min_delay`` seconds at first;
    this maximum doubles after each failure, up to ``max_delay``. A connection that lasted at least
    as long as the current maximum resets it to ``min_delay``. Raises errors that another attempt
    cannot cure: AddressError, a refused token (ConnectionClosedError with code ``unauthorized``),
    and certificates that are not trusted (ConnectError). A connection is closed when the next one
    is asked for; what goes wrong with closing is logged, and does not end the iteration.

        async for connection in telex.asyncio.reconnecting("tcp://127.0.0.1:7766"):
            try:
                async for message in connection:
                    ...
            except telex.ConnectionClosedError:
                continue
    """
    return Reconnecting(address, Backoff(min_delay, max_delay), options)


class Reconnecting:
    """Connections, one after the other; made by ``reconnecting()``.

    When a task is cancelled while it waits for a connection, or a timeout ends the wait, the next
    ``anext()`` goes on with the rest of the pause. The last connection is closed when the iterator
    is dropped, and by ``aclose()``.
    """

    def __init__(self, address: str | Address, backoff: Backoff, options: dict[str, Any]) -> None:
        self._address: Final = address
        self._backoff: Final = backoff
        self._options: Final = options
        self._not_before = 0.0
        self._connection: Connection | None = None
        self._began = 0.0
        self._keeper: AsyncGenerator[None, None] | None = None
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Connection:
        await self._end_last()
        while not self._is_closed:
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            try:
                connection = await connect(self._address, **self._options)
            except (ConnectError, ConnectionClosedError) as error:
                self._backoff.failed()
                self._not_before = time.monotonic() + self._backoff.pause()
                if is_fatal(error):
                    raise
                # A ConnectError names the address itself.
                why = error.reason if isinstance(error, ConnectError) else error
                logger.warning("%s: %s; trying again", self._address, why)
                continue
            self._connection, self._began = connection, time.monotonic()
            self._keeper = _kept(connection)
            await anext(self._keeper)
            return connection
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the last connection, and connect no more; harmless when repeated."""
        self._is_closed = True
        if self._keeper is not None:
            await self._keeper.aclose()

    async def _end_last(self) -> None:
        """Close the last connection; raise why it has ended where another would end like it."""
        connection = self._connection
        if connection is None or self._keeper is None:
            return
        ending = connection.ending
        await self._keeper.aclose()
        self._connection = self._keeper = None
        self._backoff.ended(time.monotonic() - self._began)
        self._not_before = time.monotonic() + self._backoff.pause()
        ending = ending or connection.ending
        if ending is not None and is_fatal(ending):
            raise ending


async def _kept(connection: Connection) -> AsyncGenerator[None, None]:
    """Keep a connection open until this generator is closed.

    Event loops close generators that were dropped, and wait for that before they end.
    """
    try:
        yield
    finally:
        try:
            await connection.close(_CLOSE_SECONDS)
        except TelexError as error:
            logger.warning("%s: %s", connection.peer_address, error)
