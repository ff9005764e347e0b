"""Watching for room in a socket beside its transport."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import pytest

from telex import Application, Message
from telex.asyncio import connect
from telex.asyncio.room_watch import RoomWatch
from telex.asyncio.server_driver import ServerDriver
from tests.asyncio.stage import in_loop, serving, wait_until
from tests.forking import forked

SOON = 10.0
"""Seconds within which an end is told that nobody holds back."""


@in_loop
async def test_room_is_told_once() -> None:
    """As soon as there is room, and not before; the duplicate is given back then."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        told: list[str] = []
        try:
            while True:
                near.send(bytes(100_000))
        except BlockingIOError:
            RoomWatch(asyncio.get_running_loop(), near, lambda: told.append("room"))
        await asyncio.sleep(0)
        assert told == []
        while len(far.recv(1 << 20)) == 1 << 20:
            pass
        await wait_until(lambda: told, "room is told")
        await asyncio.sleep(0.01)
        assert told == ["room"]


@in_loop
async def test_a_fork_does_not_keep_open_what_its_owner_closes_while_output_waits() -> None:
    """The peer sees the end when the owner ends, on both sides, though the fork lives on."""
    app = Application()

    @app.on()
    def much(message: Message) -> bytes:
        return bytes(16 << 20)

    def reads_the_end(peer: socket.socket) -> None:
        peer.settimeout(SOON)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(1 << 20):
                pass

    async with serving(app) as stage:
        host, port = stage.address.host, stage.address.port
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = await connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            of_client, _ = listener.accept()
        with of_client, socket.create_connection((host, port)) as of_server:
            await client.send(bytes(16 << 20))
            of_server.sendall(Message("", kind="request", id=1).to_bytes())
            await wait_until(lambda: stage.server._server.registry.drivers, "it is served")
            [served] = stage.server._server.registry.drivers
            assert isinstance(served, ServerDriver)
            for driver in (client._driver, served):
                await wait_until(lambda it=driver: it._room_watch, "output waits")  # type: ignore[misc]
            with forked(signal.pause):
                client._driver.end()
                served._end()
                await asyncio.to_thread(reads_the_end, of_client)
                await asyncio.to_thread(reads_the_end, of_server)


@in_loop
async def test_without_a_descriptor_it_looks_again_in_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody is left waiting for ever, and a watch that was cancelled tells nothing."""

    def refuse(number: int) -> int:
        raise OSError(24, "Too many open files")

    near, far = socket.socketpair()
    with near, far, monkeypatch.context() as patch:
        patch.setattr(os, "dup", refuse)
        told: list[str] = []
        loop = asyncio.get_running_loop()
        RoomWatch(loop, near, lambda: told.append("cancelled")).cancel()
        RoomWatch(loop, near, lambda: told.append("room"))
        await wait_until(lambda: told, "room is told")
        assert told == ["room"]
