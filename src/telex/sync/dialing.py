"""Opens a connection: to whichever endpoint of an address answers first.

Waiting is done here. Which endpoint is attempted when is decided by ``client.attempts``; agreeing
on TLS is the connection's, and waiting for that the driver's.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from telex.client.attempts import Attempts
from telex.client.deadlines import milliseconds_until, seconds_until
from telex.client.options import handshake_error
from telex.client.race import Race
from telex.errors import ConnectionClosedError
from telex.network.lookup import look_up
from telex.network.resolver import name_of
from telex.sync.client_driver import ClientDriver

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from telex.client.options import ClientOptions
    from telex.network.resolver import Endpoint


def dial(options: ClientOptions, deadline: float | None) -> tuple[ClientDriver, str]:
    """Open a connection on which messages can be sent; return its driver and the peer's address.

    Raises ConnectError, with every reason, when that fails or takes until ``deadline``.
    """
    attempts = Attempts(_endpoints(options, deadline), deadline)
    with Race(attempts) as race:
        while True:
            winner = race.turn()
            if attempts.is_over:
                break
            if winner is None:
                _wait(race.sockets, attempts.due_at)
                continue
            sock, endpoint = winner
            try:
                return _open(sock, options, attempts.handshake_deadline(time.monotonic()))
            except (OSError, ConnectionClosedError) as error:
                attempts.failed(endpoint, error)
    raise options.connect_error(attempts.failures)


def _endpoints(options: ClientOptions, deadline: float | None) -> list[Endpoint]:
    lookup = look_up(options.address)
    try:
        return lookup.result(seconds_until(deadline))
    except (OSError, UnicodeError) as error:
        raise options.lookup_error(error) from error
    finally:
        lookup.cancel()


def _wait(sockets: Iterable[socket.socket], until: float) -> None:
    """Wait until one of the sockets may be connected."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLOUT)
    poll.poll(milliseconds_until(until))


def _open(
    sock: socket.socket, options: ClientOptions, until: float | None
) -> tuple[ClientDriver, str]:
    """Agree on TLS; raises OSError or ConnectionClosedError if that fails."""
    try:
        name = name_of(sock.getpeername())
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
    return driver, name


def _agree(driver: ClientDriver, until: float | None) -> None:
    """Wait until messages can be sent; raises OSError or ConnectionClosedError if they cannot."""
    connection = driver.connection
    driver.send_some()
    driver.wait(lambda: connection.is_established or not connection.is_open, until)
    if connection.is_established:
        return
    raise TimeoutError if connection.is_open else handshake_error(connection)
