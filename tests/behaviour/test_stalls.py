"""Peers that take nothing: memory is bounded, and whoever waits is told why."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, Observer, Peer, TelexError
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import Background, Pair, Serve, name_of, wait_until

MEBIBYTE = 1024 * 1024

PINGS = b"".join(Message(b"", kind="ping", id=number).to_bytes() for number in range(1, 1_001))


class Stalls(Observer):
    """Remembers who stalled."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def stalled(self, peer: Peer, unsent: int) -> None:
        """Remember the peer."""
        assert unsent > 0
        self.names.append(peer.address)


def test_a_client_stops_reading_from_a_server_that_floods_it_with_pings(pair: Pair) -> None:
    """The server does not take the pongs, so the client holds only so many of them."""
    with pair(limits=Limits(high_water=64 * 1024)) as (client, peer):
        background = Background(client.receive)
        peer.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError):
            while sent < 256 * MEBIBYTE:
                peer.sendall(PINGS)
                sent += len(PINGS)
        assert sent < 64 * MEBIBYTE
        assert background.is_under_way
        peer.close()
        background.wait_for(ConnectionClosedError)


@pytest.mark.parametrize("server_kind", ["both"])
def test_ends_that_only_send_are_told_that_nothing_is_taken(
    serve: Serve, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Both servers and a client, at the same time, because it takes 5 s; each says it once."""
    app = Application()

    @app.on()
    def flood(message: Message, peer: Peer) -> None:
        with suppress(TelexError):
            for _ in range(20):
                peer.send(bytes(MEBIBYTE))

    stalls = Stalls()
    kinds: list[FrontEnd] = ["sync", "asyncio"]
    socks: list[socket.socket] = []
    for kind in kinds:
        socks.append(serve(app, front_end=kind, observers=[stalls]).plug_in())
        socks[-1].sendall(Message("x").to_bytes())
    names = [name_of(sock) for sock in socks]
    with pair() as (client, peer):
        background = Background(lambda: client.send_many([bytes(20 * MEBIBYTE)] * 3))
        wait_until(lambda: set(names) <= set(stalls.names), "the observer is told")
        wait_until(lambda: clients_warnings(caplog), "the client warns")
        for sock in (*socks, peer):
            sock.close()
        background.wait()
    assert len(stalls.names) == 2
    assert len(clients_warnings(caplog)) == 1
    for name in names:
        lines = [record.getMessage() for record in caplog.records]
        assert sum(f"{name}: the peer has taken nothing for 5 s" in line for line in lines) == 1


def clients_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what clients have warned of."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "telex.client" and record.levelno == logging.WARNING
    ]
