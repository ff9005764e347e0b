"""A timer that lets the loop receive first where the loop was held up."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from contextvars import ContextVar, copy_context

import pytest

from telex.asyncio import run
from telex.asyncio.timer import Timer
from tests.asyncio.stage import in_loop, wait_until


@in_loop
async def test_timer_calls_once_for_each_time_that_it_is_set() -> None:
    """At the last moment that it was set to, and in the context that was given."""
    variable: ContextVar[str] = ContextVar("variable", default="none")
    called: list[str] = []
    context = copy_context()
    context.run(variable.set, "given")
    timer = Timer(asyncio.get_running_loop(), lambda: called.append(variable.get()))
    assert timer.moment == math.inf
    timer.set(time.monotonic() + 1_000)
    moment = time.monotonic() + 0.01
    timer.set(moment, context)
    assert timer.moment == moment
    await wait_until(lambda: called, "it calls")
    assert time.monotonic() >= moment
    assert timer.moment == math.inf
    assert called == ["given"]


@in_loop
async def test_timer_that_was_cancelled_does_not_call() -> None:
    """It may be cancelled at any time, and again."""
    called: list[str] = []
    loop = asyncio.get_running_loop()
    timer = Timer(loop, lambda: called.append("too late"))
    timer.cancel()
    timer.set(time.monotonic())
    timer.cancel()
    assert timer.moment == math.inf
    other = Timer(loop, lambda: called.append("other"))
    other.set(time.monotonic() + 0.01)
    await wait_until(lambda: called, "the other one calls")
    assert called == ["other"]


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_loop_that_was_held_up_receives_first(uvloop: bool) -> None:
    """What came meanwhile is there before the timer calls, on every loop."""
    if uvloop:
        pytest.importorskip("uvloop")

    async def main(listener: socket.socket) -> None:
        order: list[str] = []
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        peer, _ = listener.accept()
        timer = Timer(asyncio.get_running_loop(), lambda: order.append("timer"))

        async def receive() -> None:
            await reader.readexactly(1)
            order.append("received")

        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        with peer:
            timer.set(time.monotonic() + 0.01)
            peer.sendall(b"x")
            time.sleep(0.1)  # the loop is held up
            await wait_until(lambda: len(order) == 2, "both happen")
        await receiving
        writer.close()
        assert order == ["received", "timer"]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run(main(listener), uvloop=uvloop)
