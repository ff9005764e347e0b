"""Opens a connection: to whichever endpoint of an address answers first.

Waiting is done here. Which endpoint is attempted when is decided by ``client.attempts``, how a
failure is told, and how long a handshake may take, elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING

from telex.asyncio.client_driver import ClientDriver
from telex.asyncio.event_loops import running_loop
from telex.asyncio.waiting import until, wake
from telex.client.attempts import Attempts
from telex.client.deadlines import seconds_until
from telex.client.options import handshake_error
from telex.client.race import Race
from telex.errors import ConnectionClosedError
from telex.network.lookup import look_up
from telex.network.resolver import name_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from telex.client.options import ClientOptions
    from telex.network.resolver import Endpoint


async def dial(options: ClientOptions, deadline: float | None) -> tuple[ClientDriver, str]:
    """Open a connection on which messages can be sent; return its driver and the peer's address.

    Raises ConnectError, with every reason, when that fails or takes until ``deadline``.
    """
    running_loop()  # before anything is opened: it must be a loop that watches sockets
    attempts = Attempts(await _endpoints(options, deadline), deadline)
    with Race(attempts) as race:
        while True:
            winner = race.turn()
            if attempts.is_over:
                break
            if winner is None:
                await _wait(race.sockets, attempts.due_at)
                continue
            sock, endpoint = winner
            try:
                return await _open(sock, options, attempts.handshake_deadline(time.monotonic()))
            except (OSError, ConnectionClosedError) as error:
                attempts.failed(endpoint, error)
    raise options.connect_error(attempts.failures)


async def _endpoints(options: ClientOptions, deadline: float | None) -> list[Endpoint]:
    lookup = look_up(options.address)
    try:
        if lookup.done():
            return lookup.result()
        async with asyncio.timeout(seconds_until(deadline)):
            return await asyncio.wrap_future(lookup)
    except (OSError, UnicodeError) as error:
        raise options.lookup_error(error) from error


async def _wait(sockets: Collection[socket.socket], moment: float) -> None:
    """Wait until one of the sockets may be connected."""
    loop = asyncio.get_running_loop()
    is_ready = loop.create_future()
    for sock in sockets:
        loop.add_writer(sock.fileno(), wake, is_ready)
    try:
        await until(is_ready, None if moment == math.inf else moment)
    finally:
        for sock in sockets:
            loop.remove_writer(sock.fileno())


async def _open(
    sock: socket.socket, options: ClientOptions, deadline: float | None
) -> tuple[ClientDriver, str]:
    """Agree on TLS; raises OSError or ConnectionClosedError if that fails."""
    loop = asyncio.get_running_loop()
    try:
        name = name_of(sock.getpeername())
        driver = ClientDriver(loop, sock, options.connection(time.monotonic()))
        # It takes sockets of every family, and those that were connected too.
        await loop.connect_accepted_socket(lambda: driver, sock)
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(seconds_until(deadline)):
            await driver.established()
        if not driver.connection.is_established:
            raise handshake_error(driver.connection)
    except BaseException:
        driver.end()
        raise
    return driver, name
