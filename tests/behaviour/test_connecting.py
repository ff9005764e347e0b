"""How clients connect: to which of several addresses, within which time, and with whose help."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telex
import telex.asyncio
from telex import Address, ConnectError
from telex.client.attempts import DELAY
from telex.network.resolver import Endpoint
from telex.testing.serving import start
from tests.behaviour.stage import PATIENCE, Connect, Running, echoing
from tests.programs import FRONT_ENDS, run_program

SOON = 5.0
"""Seconds that only an attempt takes that waited for a time to run out."""


@contextlib.contextmanager
def black_hole() -> Iterator[Endpoint]:
    """Give an endpoint that does not answer: more wait there than the system lets wait."""
    with contextlib.ExitStack() as waiting, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        where = listener.getsockname()
        for _ in range(4):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(where)
        yield Endpoint(socket.AF_INET, where)


def stand_for(monkeypatch: pytest.MonkeyPatch, *endpoints: Endpoint) -> None:
    """Have every name stand for these endpoints."""
    monkeypatch.setattr("telex.network.lookup.resolve", lambda address: list(endpoints))


@pytest.mark.parametrize("timeout", [PATIENCE, None])
def test_an_address_that_does_not_answer_costs_a_moment(
    connect: Connect, running: Running, monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    """The next address is attempted after a quarter of a second, also where no time is set."""
    with black_hole() as nobody, running() as stage:
        port = stage.address.port
        stand_for(monkeypatch, nobody, Endpoint(socket.AF_INET, ("127.0.0.1", port)))
        begin = time.monotonic()
        with connect("tcp://name:1", timeout=timeout) as connection:
            assert DELAY <= time.monotonic() - begin < SOON
            assert connection.peer_address == f"127.0.0.1:{port}"
            assert connection.request("here", timeout=PATIENCE).content == "here"


def test_without_time_an_address_that_needs_no_resolver_is_attempted(connect: Connect) -> None:
    """The error is that of the attempt, and blames no resolver, which was not asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        pytest.raises(ConnectError, match="connection refused"),
        connect(f"tcp://127.0.0.1:{port}", timeout=0),
    ):
        pass


def test_of_two_addresses_one_refuses_and_the_other_is_silent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure is told, and all of them together take no longer than they may."""
    with black_hole() as nobody, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stand_for(monkeypatch, nobody, Endpoint(socket.AF_INET, unused.getsockname()))
        with pytest.raises(ConnectError, match=r"127.0.0.1:\d+: connection refused; .*: timed out"):
            connect("tcp://name:1", timeout=0.4)


def test_an_address_that_agrees_on_nothing_leaves_time_for_the_next(
    connect: Connect, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts and never answers the TLS handshake takes its share of the time."""
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        running(address="tls://127.0.0.1:0") as stage,
    ):
        here = Endpoint(socket.AF_INET, ("127.0.0.1", stage.address.port))
        stand_for(monkeypatch, Endpoint(socket.AF_INET, mute.getsockname()), here)
        with connect("tls://name:1", timeout=2.0, server_hostname="localhost") as connection:
            assert connection.request("here", timeout=PATIENCE).content == "here"


def test_a_slow_resolver_takes_no_longer_than_it_may(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time to connect is for everything, also for what cannot be interrupted."""
    answered = threading.Event()
    monkeypatch.setattr("telex.network.lookup.resolve", lambda address: answered.wait(PATIENCE))
    begin = time.monotonic()
    try:
        with pytest.raises(ConnectError, match="timed out waiting for the name to be resolved"):
            connect("tcp://slow.example:1", timeout=0.2)
        assert time.monotonic() - begin < SOON
    finally:
        answered.set()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://localhost:0", "unix://{}/socket"])
def test_a_busy_pool_of_the_program_keeps_nobody_from_connecting(
    address: str, tmp_path: Path
) -> None:
    """Clients and servers of asyncio need no thread of the loop's executor, nor a resolver here."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        is_over = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            loop.set_default_executor(pool)
            busy = loop.run_in_executor(None, is_over.wait, PATIENCE)
            try:
                async with (
                    asyncio.timeout(SOON),
                    telex.asyncio.serve(echoing(), address.format(tmp_path)) as server,
                    telex.asyncio.connect(server.address) as connection,
                ):
                    assert (await connection.request("here")).content == "here"
            finally:
                is_over.set()
                await busy

    asyncio.run(main())


ZONE = """
def zone_of_this_machine():
    with open("/proc/net/if_inet6") as interfaces:
        for line in interfaces:
            digits, _, _, scope, _, name = line.split()
            if scope == "20":
                groups = [digits[at : at + 4] for at in range(0, 32, 4)]
                return f"{':'.join(groups)}%{name}"

app = telex.Application()

@app.on()
def echo(message, peer):
    return f"{message.content} {peer.address}"

where = zone_of_this_machine()
if where is None:
    print("none")
    sys.exit()
serving = start(kind, app, f"tcp://[{where}]:0", {"insecure": True})
client = Driven(serving.address)
name = where.partition("%")[2]
assert client.connection.peer_address.endswith(f"%{name}]:{serving.address.port}")
answer = client.do("request", "here", timeout=30).content
assert f"%{name}]:" in answer, answer
client.do("close")
client.stop()
serving.shutdown()
assert serving.has_ended(30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the addresses of interfaces in /proc")
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_the_zone_of_an_address_is_kept(front_end: str) -> None:
    """A link-local address of IPv6 means nothing without its interface, on every event loop."""
    if run_program(ZONE, front_end) == "none\n":
        pytest.skip("no interface of this machine has a link-local address")


def test_a_unix_server_without_room_is_waited_for(connect: Connect, tmp_path: Path) -> None:
    """The system tells nobody when there is room again: a client asks until its time ends."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(path)
        listener.listen(0)
        for _ in range(4):
            sock = waiting.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            sock.connect_ex(path)
        with pytest.raises(ConnectError, match="timed out"):
            connect(f"unix://{path}", timeout=0.1)

        def accept_some() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        accepting = threading.Timer(0.1, accept_some)
        accepting.start()
        connection = connect(f"unix://{path}", timeout=PATIENCE)
        assert connection.peer_address == f"unix:{path}"
        accepting.join()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
def test_a_unix_socket_may_have_an_abstract_name(
    connect: Connect, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served and connected to, is no file, and is free again with its server."""
    monkeypatch.chdir(tmp_path)
    address = Address.parse(f"unix://@telex-test-{os.getpid()}-{threading.get_ident()}")
    for _ in range(2):
        with running(address=str(address)) as stage:
            assert stage.address == address
            with connect(stage) as connection:
                assert connection.peer_address == f"unix:{address.path}"
                assert connection.request("here", timeout=PATIENCE).content == "here"
            with pytest.raises(telex.AddressError, match="another server listens there"):
                start("sync", echoing(), address, {})
            assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectError, match="refused"):
        connect(address)


def test_this_machine_is_not_what_a_resolver_says(
    connect: Connect, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token may be said in the clear to a local name: no resolver can send it elsewhere."""

    def lie(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("a resolver was asked")

    with running(tokens={"pump-7": "secret"}) as stage:
        monkeypatch.setattr(socket, "getaddrinfo", lie)
        for host in ("localhost", "LocalHost.", "telex.localhost"):
            with connect(f"tcp://{host}:{stage.address.port}", token="secret") as connection:
                assert connection.request("here", timeout=PATIENCE).content == "here"
        with pytest.raises(telex.AddressError, match="cannot show a token to"):
            connect(f"tcp://localhost.localdomain:{stage.address.port}", token="secret")
