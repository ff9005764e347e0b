"""Opens a connection: everything that an address stands for is tried in turn.

Sockets are opened here. Agreeing on TLS is the connection's, and waiting for that the driver's.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from telex.client.attempts import attempts, check_is_not_own
from telex.client.deadlines import seconds_until
from telex.client.options import handshake_error
from telex.errors import ConnectionClosedError
from telex.network.resolver import resolve
from telex.network.sockets import prepare
from telex.sync.client_driver import ClientDriver

if TYPE_CHECKING:
    from telex.client.options import ClientOptions
    from telex.network.resolver import Endpoint

_LEAST_SECONDS: Final = 0.001
"""A timeout of 0 would not wait, but say that it would have to."""


def dial(options: ClientOptions, deadline: float | None) -> tuple[ClientDriver, str]:
    """Open a connection on which messages can be sent; return its driver and the peer's address.

    Raises ConnectError, with every reason, when that fails or takes until ``deadline``.
    """
    try:
        endpoints = resolve(options.address)
    except (OSError, UnicodeError) as error:
        raise options.connect_error({str(options.address): error}) from error
    failures: dict[str, Exception] = {}
    for name, endpoint, until in attempts(endpoints, deadline):
        try:
            return _open(endpoint, options, until), name
        except (OSError, ConnectionClosedError) as error:
            failures[name] = error
    raise options.connect_error(failures)


def _open(endpoint: Endpoint, options: ClientOptions, until: float | None) -> ClientDriver:
    """Connect a socket, and agree on TLS; raises OSError or ConnectionClosedError if that fails."""
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        left = seconds_until(until)
        sock.settimeout(None if left is None else max(left, _LEAST_SECONDS))
        sock.connect(endpoint.address)
        check_is_not_own(sock)
        prepare(sock)
        driver = ClientDriver(sock, options.connection(time.monotonic()))
    except BaseException:
        sock.close()
        raise
    try:
        if not driver.connection.is_established:
            _agree(driver, until)
    except BaseException:
        driver.release()
        raise
    return driver


def _agree(driver: ClientDriver, until: float | None) -> None:
    """Wait until messages can be sent; raises OSError or ConnectionClosedError if they cannot."""
    connection = driver.connection
    driver.send_some()
    driver.wait(lambda: connection.is_established or not connection.is_open, until)
    if connection.is_established:
        return
    raise TimeoutError if connection.is_open else handshake_error(connection)
