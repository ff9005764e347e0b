"""Watching for room in a socket beside its transport."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from telex.asyncio.room_watch import RoomWatch
from tests.asyncio.stage import in_loop, wait_until


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
