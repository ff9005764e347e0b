"""The loop of the selectors server takes turns when there is something to do, and no others."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import telex.sync
from telex import Application, Limits, Message
from telex.security.tls import server_context
from telex.sync.loop import Loop
from tests.certificates import Authority
from tests.sync.stage import PATIENCE

TURNS_OF_A_SECOND = 20
"""Far more than a server needs that only looks at the time."""

BAD_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note when a loop takes a turn."""
    noted: list[float] = []
    turn = Loop.turn

    def note(loop: Loop, until: float) -> None:
        noted.append(time.monotonic())
        turn(loop, until)

    monkeypatch.setattr(Loop, "turn", lambda loop, until=float("inf"): note(loop, until))
    return noted


class Secured:
    """A server with TLS, and how to get to it."""

    def __init__(self, server: telex.sync.Server, context: ssl.SSLContext) -> None:
        self.where = server.address.host, server.address.port
        self._context = context

    def dial(self) -> ssl.SSLSocket:
        """Connect, with TLS."""
        sock = socket.create_connection(self.where, PATIENCE)
        return self._context.wrap_socket(sock, server_hostname="localhost")


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    """Run a server for one connection, whose handler waits for as long as it is told."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    app = Application()
    app.on("wait")(lambda message: time.sleep(message.decode(float)))
    limits = Limits(max_connections=1)
    context = server_context(pair.certificate, pair.key)
    with telex.sync.serve(app, "tls://127.0.0.1:0", tls=context, limits=limits) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Secured(server, ssl.create_default_context(cafile=str(authority.file)))
        server.shutdown()
        thread.join(PATIENCE)


def settled(turns: list[float]) -> bool:
    """Wait until the loop should be at rest, and say whether it is, for a second."""
    time.sleep(0.5)
    begun = time.monotonic()
    time.sleep(1.0)
    return len([moment for moment in turns if moment > begun]) < TURNS_OF_A_SECOND


def test_reason_that_waits_for_tls_keeps_no_loop_busy(secured: Secured, turns: list[float]) -> None:
    """A peer that is refused before it speaks TLS cannot be told yet, which is waited for."""
    with secured.dial(), socket.create_connection(secured.where, PATIENCE):
        assert settled(turns)


def test_answer_that_tls_can_carry_no_more_keeps_no_loop_busy(
    secured: Secured, turns: list[float]
) -> None:
    """What was to be said when a bad record came is dropped, while the peer's end is awaited."""
    with secured.dial() as sock:
        sock.sendall(Message(0.3, subject="wait").to_bytes())
        sock.sendall(Message("", kind="ping", id=1).to_bytes())
        os.write(sock.fileno(), BAD_RECORD)
        assert settled(turns)
