"""Signals end all the servers of a loop, and leave the user's own handlers as they are."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import threading
import time

import pytest

from telex import Application, Limits, Message
from telex.asyncio import Server, run

from .stage import PATIENCE, serving, wait_until


async def begin_serving(server: Server, number: int = signal.SIGTERM) -> asyncio.Task[None]:
    """Have a server serve, and wait until it handles a signal."""
    before = signal.getsignal(number)
    task = asyncio.create_task(server.serve_forever())
    await wait_until(lambda: signal.getsignal(number) is not before, "it handles signals")
    return task


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_all_servers_of_a_loop(number: int, uvloop: bool) -> None:
    """Both end, whichever was there first, and the signal does what it did before."""

    async def main() -> None:
        before = signal.getsignal(number)
        async with serving() as one, serving() as other:
            first = await begin_serving(one.server)
            second = asyncio.create_task(other.server.serve_forever())
            await asyncio.sleep(0)
            os.kill(os.getpid(), number)
            await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)
        assert signal.getsignal(number) is before

    run(main(), uvloop=uvloop)


class Uninterrupted(selectors.SelectSelector):
    """A selector whose wait no signal ends, as on Windows."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Have another thread handle signals meanwhile."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            if timeout is None or timeout > 0:
                self.waits.set()
            return super().select(timeout)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


class WithoutSignals(asyncio.SelectorEventLoop):
    """A loop that handles no signals, as on Windows."""

    def add_signal_handler(self, *arguments: object) -> None:
        """Refuse."""
        raise NotImplementedError


def test_a_signal_ends_an_idle_server_whose_loop_handles_none() -> None:
    """Nobody is connected, and nothing else ends the wait of the loop."""
    selector = Uninterrupted()

    async def main() -> None:
        async with serving() as stage:
            serves = await begin_serving(stage.server)
            selector.waits.clear()

            def end() -> None:
                selector.waits.wait(PATIENCE)
                time.sleep(0.05)  # the thread of the loop is in the system call then
                os.kill(os.getpid(), signal.SIGTERM)

            thread = threading.Thread(target=end)
            thread.start()
            await serves
            thread.join()

    before = signal.getsignal(signal.SIGTERM)
    with asyncio.Runner(loop_factory=lambda: WithoutSignals(selector)) as runner:
        runner.run(main())
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_server_that_ends_leaves_signals_to_the_others() -> None:
    """The handler goes with the last server, not with the first."""

    async def main() -> None:
        async with serving() as one, serving() as other:
            first = await begin_serving(one.server)
            second = asyncio.create_task(other.server.serve_forever())
            await asyncio.sleep(0)
            one.server.shutdown()
            await first
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(second, PATIENCE)

    asyncio.run(main())


def test_two_tasks_that_wait_for_a_server_make_no_second_signal() -> None:
    """One signal shuts a server down gently, however many wait in ``serve_forever``."""
    gate = asyncio.Event()
    app = Application()

    @app.on()
    async def handle(message: Message) -> str:
        await gate.wait()
        return "in peace"

    async def main() -> None:
        limits = Limits(drain_timeout=PATIENCE)
        async with serving(app, limits=limits) as stage, stage.connect() as connection:
            request = asyncio.create_task(connection.request(""))
            await wait_until(lambda: stage.events.messages, "it is received")
            waiting = [await begin_serving(stage.server)]
            waiting.append(asyncio.create_task(stage.server.serve_forever()))
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            await wait_until(lambda: stage.server._server.registry.is_ending, "it shuts down")
            gate.set()
            assert (await request).content == "in peace"
            await asyncio.gather(*waiting)

    asyncio.run(main())


@pytest.mark.parametrize("uvloop", [False, True])
def test_a_handler_of_the_users_own_is_left_alone(uvloop: bool) -> None:
    """Who has asked the loop for a signal gets it, while a server serves and after that."""

    async def main() -> None:
        came: list[int] = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, came.append, signal.SIGTERM)
        async with serving() as stage:
            task = await begin_serving(stage.server, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            await wait_until(lambda: len(came) == 1, "the signal comes")
            assert not task.done()
            stage.server.shutdown()
            await task
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: len(came) == 2, "the signal comes again")
        loop.remove_signal_handler(signal.SIGTERM)

    run(main(), uvloop=uvloop)
