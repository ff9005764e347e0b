"""The proxy does to bytes what it is told, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import telex.sync
from telex import Address
from telex.testing import Proxy, Servers, Weather
from telex.testing import proxy as module

SECONDS = 30.0
DATA = random.Random(1).randbytes(1_000_000)


@pytest.fixture
def echo() -> Iterator[Address]:
    """Serve connections that get back what they send."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with sock:
            try:
                while data := sock.recv(65_536):
                    sock.sendall(data)
            except OSError:
                return  # it was reset, as some tests want it

    def accept() -> None:
        while True:
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield Address("tcp", *listener.getsockname())
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def exchange(address: Address) -> bytes:
    """Send all of the data, and return what comes back until the end."""
    with socket.create_connection((address.host, address.port), SECONDS) as sock:
        broken: list[OSError] = []

        def send() -> None:
            try:
                sock.sendall(DATA)
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                broken.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        received = b"".join(iter(lambda: sock.recv(65_536), b""))
        sender.join(SECONDS)
        if broken:  # a reset is told once, to whoever asks first
            raise broken[0]
        return received


def test_pieces_are_what_was_sent(echo: Address) -> None:
    """However it is cut and held up, the same bytes come in the same order, and then the end."""
    weather = Weather(
        largest_piece=4096, delay_chance=0.01, longest_delay=0.005, stall_chance=0.001, stall=0.05
    )
    with Proxy(echo, weather) as proxy:
        assert hashlib.sha256(exchange(proxy.address)).digest() == hashlib.sha256(DATA).digest()
        assert proxy.pieces > 2 * len(DATA) / 4096


def test_a_reset_comes_when_enough_has_passed(echo: Address) -> None:
    """Both sides lose the connection, and the proxy counts it."""
    with Proxy(echo, Weather(reset_every=10_000)) as proxy:
        with pytest.raises(ConnectionResetError):
            exchange(proxy.address)
        assert proxy.resets == 1


def test_a_frozen_network_passes_nothing(echo: Address) -> None:
    """What was sent comes when it thaws."""
    with (
        Proxy(echo) as proxy,
        socket.create_connection((proxy.address.host, proxy.address.port), SECONDS) as sock,
    ):
        sock.sendall(b"before")
        assert sock.recv(100) == b"before"
        proxy.freeze()
        sock.sendall(b"frozen")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(SECONDS)
        proxy.thaw()
        assert sock.recv(100) == b"frozen"


def test_what_is_passing_passes_before_the_network_is_frozen(
    echo: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that nothing does, whatever the proxy was at when it was told."""
    order: list[str] = []
    passing, may_pass = threading.Event(), threading.Event()
    forward = module._Direction.forward

    def pass_slowly(way: module._Direction, now: float) -> int:
        passing.set()
        may_pass.wait(SECONDS)
        order.append("passed")
        return forward(way, now)

    def freeze() -> None:
        proxy.freeze()
        order.append("frozen")

    monkeypatch.setattr(module._Direction, "forward", pass_slowly)
    with (
        Proxy(echo) as proxy,
        socket.create_connection((proxy.address.host, proxy.address.port), SECONDS),
    ):
        assert passing.wait(SECONDS)
        freezing = threading.Thread(target=freeze)
        freezing.start()
        freezing.join(0.1)
        may_pass.set()
        freezing.join(SECONDS)
    assert order[-1] == "frozen"


def test_a_reset_can_be_asked_for(echo: Address) -> None:
    """Every connection is lost at once."""
    with (
        Proxy(echo) as proxy,
        socket.create_connection((proxy.address.host, proxy.address.port), SECONDS) as sock,
    ):
        sock.sendall(b"before")
        assert sock.recv(100) == b"before"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_it_leads_to_unix_sockets_too(tmp_path: Path) -> None:
    """Clients connect over TCP, whatever the server listens on; an address may be text."""
    app = telex.Application()
    app.on()(lambda message: message.content)
    with (
        Servers() as serve,
        Proxy(str(serve(app, address=f"unix://{tmp_path}/socket"))) as proxy,
        telex.sync.connect(proxy.address, timeout=SECONDS) as connection,
    ):
        assert proxy.address.scheme == "tcp"
        assert connection.request("through", timeout=SECONDS).content == "through"


def test_tls_stays_tls(echo: Address) -> None:
    """A client is told to encrypt where the server wants it; the proxy looks into nothing."""
    with Proxy(Address("tls", echo.host, echo.port)) as proxy:
        assert proxy.address.scheme == "tls"
        assert exchange(proxy.address) == DATA


@pytest.mark.parametrize("target", ["tcp://127.0.0.1:1", "unix:///nobody/listens"])
def test_a_server_that_is_not_there_is_an_end(target: str) -> None:
    """The client is let in and then dropped, and the next one is let in as well."""
    with Proxy(target) as proxy:
        for _ in range(2):
            where = (proxy.address.host, proxy.address.port)
            with socket.create_connection(where, SECONDS) as sock:
                assert sock.recv(100) == b""


def accepting(failures: list[OSError]) -> Callable[[socket.socket], tuple[socket.socket, object]]:
    """Return a way to accept that fails as the system may, and then no more."""
    accept = socket.socket.accept

    def accept_or_fail(listener: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop()
        return accept(listener)

    return accept_or_fail


def test_a_client_that_gives_up_ends_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells of it when the connection is accepted; the next one is let in."""
    monkeypatch.setattr(socket.socket, "accept", accepting([ConnectionAbortedError()]))
    with Proxy("tcp://127.0.0.1:1") as proxy:
        where = (proxy.address.host, proxy.address.port)
        with socket.create_connection(where, SECONDS) as sock:
            assert sock.recv(100) == b""


def test_a_proxy_that_cannot_go_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections end, and the end of its context tells why."""
    too_many = OSError(errno.EMFILE, "too many open files")
    monkeypatch.setattr(socket.socket, "accept", accepting([too_many]))
    failed = pytest.raises(RuntimeError, match=r"the proxy to .* failed")
    with failed as caught, Proxy("tcp://127.0.0.1:1") as proxy:
        where = (proxy.address.host, proxy.address.port)
        with (
            contextlib.suppress(ConnectionResetError),  # it was never let in
            socket.create_connection(where, SECONDS) as sock,
        ):
            assert sock.recv(100) == b""
    assert caught.value.__cause__ is too_many


def test_an_address_that_is_none_is_refused_at_once() -> None:
    """Before anything listens."""
    with pytest.raises(telex.AddressError, match="carrier-pigeon"):
        Proxy("carrier-pigeon://roof")
