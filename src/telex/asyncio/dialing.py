"""Opens a connection: to whichever endpoint of an address answers first.

Waiting is done here. Which endpoint is attempted when is decided by ``client.attempts``, how a
failure is told, and how long a handshake may take, elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from telex.asyncio.client_driver import ClientDriver
from telex.asyncio.waiting import until, wake
from telex.client.attempts import Attempts
from telex.client.deadlines import moment_in
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


async def dial(options: ClientOptions, timeout: float | None) -> tuple[ClientDriver, str]:
    """Open a connection on which messages can be sent; return its driver and the peer's address.

    Raises ConnectError, with every reason, when that fails or takes longer than ``timeout``.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    attempts = Attempts(await _endpoints(options, timeout), deadline)
    with Race(attempts) as race:
        while True:
            winner = race.turn()
            if attempts.is_over:
                break
            if winner is None:
                await _wait(race.sockets, attempts.due_at - time.monotonic())
                continue
            sock, endpoint = winner
            try:
                now = time.monotonic()
                return await _open(sock, options, attempts.handshake_deadline(now))
            except (OSError, ConnectionClosedError) as error:
                attempts.failed(endpoint, error)
    raise options.connect_error(attempts.failures)


async def _endpoints(options: ClientOptions, timeout: float | None) -> list[Endpoint]:
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(look_up(options.address))
    except (OSError, UnicodeError) as error:
        raise options.lookup_error(error) from error


async def _wait(sockets: Collection[socket.socket], seconds: float) -> None:
    """Wait until one of the sockets may be connected, for so many seconds at most."""
    loop = asyncio.get_running_loop()
    is_ready = loop.create_future()
    for sock in sockets:
        loop.add_writer(sock.fileno(), wake, is_ready)
    try:
        await until(is_ready, moment_in(max(0.0, seconds)))
    finally:
        for sock in sockets:
            loop.remove_writer(sock.fileno())


async def _open(
    sock: socket.socket, options: ClientOptions, deadline: float | None
) -> tuple[ClientDriver, str]:
    """Agree on TLS; raises OSError or ConnectionClosedError if that fails."""
    loop = asyncio.get_running_loop()
    timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        name = name_of(sock.getpeername())
        driver = ClientDriver(loop, sock, options.connection(time.monotonic()))
        # It takes sockets of every family, and those that were connected too.
        await loop.connect_accepted_socket(lambda: driver, sock)
    except BaseException:
        sock.close()
        raise
    try:
        async with asyncio.timeout(timeout):
            await driver.established()
        if not driver.connection.is_established:
            raise handshake_error(driver.connection)
    except BaseException:
        driver.end()
        raise
    return driver, name
