"""Opens a connection: all endpoints of an address are tried in turn.

How a failure is told, and how long a handshake may take, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

from telex.asyncio.client_driver import ClientDriver
from telex.asyncio.event_loops import running_loop
from telex.client.attempts import attempts, check_is_not_own
from telex.client.options import handshake_error
from telex.errors import ConnectionClosedError
from telex.network.resolver import resolve
from telex.network.sockets import prepare

if TYPE_CHECKING:
    from telex.client.options import ClientOptions
    from telex.network.resolver import Endpoint


async def dial(options: ClientOptions, deadline: float | None) -> ClientDriver:
    """Return the driver of an established connection, before ``deadline``, a time of the loop.

    Raises ConnectError, with every reason.
    """
    loop = running_loop()
    try:
        async with asyncio.timeout_at(deadline):
            endpoints = await loop.run_in_executor(None, resolve, options.address)
    except (OSError, UnicodeError) as error:
        raise options.connect_error({str(options.address): error}) from error
    failures: dict[str, Exception] = {}
    for name, endpoint, until in attempts(endpoints, deadline):
        try:
            async with asyncio.timeout_at(until):
                return await _open(options, endpoint)
        except (OSError, ConnectionClosedError) as error:
            failures[name] = error
    raise options.connect_error(failures)


async def _open(options: ClientOptions, endpoint: Endpoint) -> ClientDriver:
    """Connect to an endpoint; raises OSError."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        prepare(sock)
        await loop.sock_connect(sock, endpoint.address)
        check_is_not_own(sock)
        driver = ClientDriver(loop, sock, options.connection(time.monotonic()))
        # It takes sockets of every family, and those that were connected too.
        await loop.connect_accepted_socket(lambda: driver, sock)
    except BaseException:
        sock.close()
        raise
    try:
        await driver.established()
        if not driver.connection.is_established:
            raise handshake_error(driver.connection)
    except BaseException:
        driver.end()
        raise
    return driver
