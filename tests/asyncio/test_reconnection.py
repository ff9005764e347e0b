"""Reconnecting: again after what passes, later each time, and not after what does not pass."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from telex import AddressError, ConnectError, ConnectionClosedError, Message
from telex.asyncio import Reconnecting, connect, reconnecting, serve
from telex.asyncio.server_driver import ServerDriver
from telex.network.resolver import Endpoint
from telex.tls import client_context, server_context
from tests.certificates import Authority

from .stage import PATIENCE, echoing, in_loop, serving, wait_until


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note how long each pause may be at most, and make none of them."""
    longest: list[float] = []

    def uniform(least: float, most: float) -> float:
        assert least == 0
        longest.append(most)
        return 0.0

    monkeypatch.setattr("telex.client.backoff.random.uniform", uniform)
    return longest


@in_loop
async def test_a_new_connection_follows_one_that_has_ended() -> None:
    """Whenever the server ends a connection, the loop goes on with the next one."""
    async with serving() as stage:
        answers: list[int] = []
        async for connection in reconnecting(stage.address, min_delay=0.001):
            answers.append((await connection.request(len(answers))).content)
            if len(answers) == 3:
                break
            for driver in list(stage.server._server.registry.drivers):
                assert isinstance(driver, ServerDriver)
                driver.abort()
            async for _ in connection:
                pytest.fail("nothing was sent")
    assert answers == [0, 1, 2]


@in_loop
async def test_a_server_that_comes_later_is_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody listens is tried again until somebody does."""
    address = f"unix://{tmp_path}/socket"

    async def ask() -> object:
        async for connection in reconnecting(address, min_delay=0.01, max_delay=0.02):
            return (await connection.request("x", timeout=PATIENCE)).content
        return None

    asking = asyncio.create_task(ask())
    await wait_until(lambda: caplog.text.count("trying again") > 1, "it tries again")
    assert caplog.messages[0].count(address) == 1, "the address stands once in a line"
    async with serve(echoing(), address):
        assert await asking == "x"


@in_loop
async def test_pauses_grow_up_to_a_bound(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure doubles what the pause may be; the first attempt is not waited for."""
    attempts = 0

    async def fail(address: str, **options: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 9:
            raise AddressError("enough")
        raise ConnectError(address, "nobody is there")

    monkeypatch.setattr("telex.asyncio.reconnection.connect", fail)
    with pytest.raises(AddressError):
        await anext(reconnecting("tcp://127.0.0.1:1", min_delay=0.1, max_delay=3))
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3, 3, 3])


@in_loop
async def test_a_connection_that_does_not_last_is_a_failure(pauses: list[float]) -> None:
    """A server that accepts and ends at once is not stormed: the pauses grow all the same."""
    async with serving() as stage:
        async for connection in reconnecting(stage.address, min_delay=60, max_delay=300):
            await connection.ping()
            if len(pauses) == 3:
                break
            for driver in list(stage.server._server.registry.drivers):
                assert isinstance(driver, ServerDriver)
                driver.abort()
    assert pauses == [60, 120, 240]


@in_loop
async def test_a_connection_that_lasted_begins_anew(pauses: list[float]) -> None:
    """After a connection that was used for a while the next pause is a short one."""
    async with serving() as stage:
        async for connection in reconnecting(stage.address, min_delay=0.001, max_delay=0.02):
            await connection.ping()
            if len(pauses) == 3:
                break
            await asyncio.sleep(0.03)
    assert pauses == [0.001] * 3


@in_loop
async def test_what_does_not_pass_is_raised(authority: Authority) -> None:
    """A malformed address, a wrong token and a certificate nobody trusts end the loop."""

    async def first(address: Any, **options: Any) -> None:
        await anext(reconnecting(address, min_delay=60, **options))

    with pytest.raises(AddressError):
        await first("nonsense")
    async with serving(tokens={"a": "secret"}) as stage:
        with pytest.raises(ConnectionClosedError, match="token"):
            await first(stage.address, token="guessed")
    pair = authority.issue("127.0.0.1")
    context = server_context(pair.certificate, pair.key)
    async with serving(None, "tls://127.0.0.1:0", tls=context) as stage:
        with pytest.raises(ConnectError, match="not to be trusted"):
            await first(stage.address)


@in_loop
async def test_one_address_that_is_not_trusted_is_enough(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a name with several addresses, a certificate counts more than who was not there."""
    pair = authority.issue("localhost")
    context = server_context(pair.certificate, pair.key)
    async with serving(None, "tls://127.0.0.1:0", tls=context) as stage:
        port = stage.address.port
        hosts = ("127.0.0.2", "127.0.0.1", "127.0.0.3")
        endpoints = [Endpoint(socket.AF_INET, (host, port)) for host in hosts]
        monkeypatch.setattr("telex.network.lookup.resolve", lambda address: endpoints)
        with pytest.raises(ConnectError, match=r"refused; .*not to be trusted.*; .*refused"):
            await anext(reconnecting(f"tls://localhost:{port}", min_delay=60))


@in_loop
async def test_what_is_refused_later_is_raised_too(authority: Authority) -> None:
    """A missing token or client certificate is noticed only after connecting, and is as final."""
    pair = authority.issue("127.0.0.1")
    mutual = server_context(pair.certificate, pair.key, authority.file)
    tls = client_context(authority.file)
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("tcp://127.0.0.1:0", {"tokens": {"a": "secret"}}, {}),
        ("tls://127.0.0.1:0", {"tls": mutual}, {"tls": tls}),
    ]
    for address, server_options, client_options in kinds:
        async with serving(None, address, **server_options) as stage:
            connections = reconnecting(stage.address, min_delay=60, **client_options)
            connection = await anext(connections)
            with pytest.raises(ConnectionClosedError):
                await connection.request("x")
            with pytest.raises(ConnectionClosedError, match=r"token|certificate"):
                await anext(connections)


@in_loop
async def test_an_error_of_the_caller_ends_the_loop() -> None:
    """What is raised in the loop comes out of it, and the connection is closed."""

    async def use(connections: Reconnecting) -> None:
        async for connection in connections:
            await connection.ping()
            raise ZeroDivisionError

    async with serving() as stage:
        connections = reconnecting(stage.address)
        with pytest.raises(ZeroDivisionError):
            await use(connections)
        await connections.aclose()
        assert await stage.ending() is None


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that vouches for whom the test wants."""
    return Authority(tmp_path)


@in_loop
async def test_options_are_those_of_connect() -> None:
    """What ``connect`` takes, ``reconnecting`` takes."""
    async with serving(tokens={"a": "secret"}) as stage:
        async for connection in reconnecting(stage.address, token="secret", keepalive=True):
            assert (await connection.request(Message("x"))).content == "x"
            break
        async with connect(stage.address, token="secret") as connection:
            await connection.ping()


@in_loop
async def test_a_peer_that_hangs_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is given up after a moment, that is logged, and the next one is opened."""
    monkeypatch.setattr("telex.asyncio.reconnection._CLOSE_SECONDS", 0.01)

    with socket.create_server(("127.0.0.1", 0)) as listener:  # which accepts nobody
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        connections = reconnecting(address, min_delay=0.001)
        for _ in range(3):
            connection = await anext(connections)
            await connection.send("x")
        await connections.aclose()
    assert caplog.text.count("waiting for the peer to end the connection") == 3


@in_loop
async def test_a_wait_that_timed_out_goes_on_with_the_pause() -> None:
    """A timeout shorter than the pauses does not keep anybody from connecting."""
    async with serving() as stage:
        connections = reconnecting("tcp://127.0.0.1:1", min_delay=0.1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(connections)
        connections._address = stage.address  # type: ignore[misc]
        timeouts = 0
        while True:
            try:
                async with asyncio.timeout(0.05):
                    connection = await anext(connections)
            except TimeoutError:
                timeouts += 1
                assert timeouts < 100
            else:
                break
        assert (await connection.request("x", timeout=PATIENCE)).content == "x"
        await connections.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(connections)
