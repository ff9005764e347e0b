"""The driver of a connection of the asyncio server: faults, ends, and the clock."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Any

import pytest

import telex.asyncio
from telex import Application, ConnectionClosedError, Limits, Message
from telex.application.dispatcher import Dispatcher
from telex.application.peer import Peer
from telex.asyncio.server_driver import ServerDriver
from telex.asyncio.server_loop import ServerLoop
from telex.connection.times import LOOK_SECONDS
from telex.conversation.greeting import Greeting
from telex.server.registry import Registry

from .stage import PATIENCE, in_loop, serving, wait_until


def break_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Have the next call of a method fail as none should."""
    method = getattr(owner, name)

    def fail(*arguments: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(owner, name, fail)


def flood(peer: Peer) -> None:
    """Send until that is too much for the server."""
    while True:
        peer.send(bytes(100_000))


@pytest.mark.parametrize(
    ("owner", "name"), [(Dispatcher, "received"), (Registry, "note")], ids=["received", "note"]
)
@in_loop
async def test_a_fault_of_the_server_ends_one_connection(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault is logged with its traceback; other connections are served as before."""
    if not hasattr(owner, "__dict__") or telex.is_compiled():
        pytest.skip("methods of compiled classes cannot be replaced")
    async with serving() as stage, stage.connect() as other, stage.plug_in() as plain:
        await other.ping()
        break_once(monkeypatch, owner, name)
        plain.send_bytes(Message("x").to_bytes()[:-1])
        await plain.receive_bytes_until_the_end()
        error = await stage.ending()
        assert (await other.request("x", timeout=PATIENCE)).content == "x"
    assert isinstance(error, ConnectionClosedError)
    assert error.by == "us"
    [record] = [record for record in caplog.records if "a fault of this server" in record.message]
    assert record.exc_info


@in_loop
async def test_a_peer_that_is_cut_off_from_outside_is_closed() -> None:
    """Where no handler of the peer runs, and the peer does nothing, its connection ends at once."""
    limits = Limits(high_water=1000, drain_timeout=0.1)
    async with serving(limits=limits) as stage, stage.plug_in() as plain:
        plain.writer.transport.pause_reading()
        await wait_until(lambda: stage.events.connections, "it is connected")
        peer = stage.events.connections[0]
        with pytest.raises(ConnectionClosedError, match="reads far too slowly"):
            flood(peer)
        error = await stage.ending()
    assert isinstance(error, ConnectionClosedError)
    assert error.code == "overloaded"


@in_loop
async def test_a_handler_of_a_connection_that_is_gone_still_counts() -> None:
    """What it holds is held until it is done, although its connection has ended."""
    gate = asyncio.Event()
    app = Application()

    @app.on()
    async def wait(message: Message) -> None:
        await gate.wait()

    async with serving(app, limits=Limits(high_water=10_000)) as stage, stage.plug_in() as plain:
        registry = stage.server._server.registry
        plain.send(Message(bytes(300_000)))
        await wait_until(lambda: stage.events.messages, "it is received")
        peer = stage.events.connections[0]
        with pytest.raises(ConnectionClosedError):
            flood(peer)
        plain.writer.transport.abort()
        await stage.ending()
        assert registry.bytes_held >= 300_000
        gate.set()
        await wait_until(lambda: registry.bytes_held == 0, "nothing is held")


def test_call_of_a_thread_after_the_event_loop_has_closed_says_that_the_server_has_ended() -> None:
    """The error is the same as after a shutdown, although nobody has closed the server."""
    loop = asyncio.new_event_loop()
    registry = Registry(Application(), Limits(), Greeting("test"), None, None, None)
    with socket.socket() as sock:
        driver = ServerDriver(ServerLoop(loop, registry), sock, "a peer")
        loop.close()
        with pytest.raises(ConnectionClosedError, match="the server was shut down") as caught:
            driver.post(print)
    assert (caught.value.by, caught.value.code) == ("us", "shutting-down")


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_what_came_while_the_loop_was_busy_counts(uvloop: bool) -> None:
    """A loop that was held up receives before it holds anybody to a time, whatever loop it is."""
    if uvloop:
        pytest.importorskip("uvloop")
    data = Message("in time").to_bytes()
    slow: list[Any] = []
    app = Application()

    @app.on("hold up")
    def hold_up(message: Message) -> None:
        os.write(slow[0].fileno(), data[5:])
        time.sleep(1.0)

    @app.on()
    def echo(message: Message) -> object:
        return message.content

    async def main() -> None:
        async with (
            serving(app, limits=Limits(header_timeout=0.9, idle_timeout=PATIENCE)) as stage,
            stage.plug_in() as other,
            stage.plug_in() as plain,
        ):
            slow.append(plain.writer.get_extra_info("socket"))
            drivers = stage.server._server.registry.drivers
            await wait_until(lambda: len(drivers) == 2, "both are connected")

            async def server_has_looked() -> None:
                """Wait until the server has seen since when the message comes in."""
                before = time.monotonic()
                await wait_until(
                    lambda: all(
                        driver.connection.next_deadline > before + LOOK_SECONDS
                        for driver in drivers
                    ),
                    "the server has looked at the clock",
                )

            for _ in range(3):
                stage.events.sizes.clear()
                plain.send_bytes(data[:5])
                await wait_until(lambda: sum(stage.events.sizes) == 5, "the begin has come")
                await server_has_looked()
                other.send(Message("", subject="hold up"))
                assert (await plain.receive()).content == "in time"

    telex.asyncio.run(main(), uvloop=uvloop)
