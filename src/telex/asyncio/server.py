"""The asyncio server: listens, lets connections in, runs until it is told to end, and cleans up.

Connections are accepted by ``acceptor``, and served by ``server_driver``.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from asyncio import FIRST_COMPLETED
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from telex.asyncio.acceptor import Acceptor
from telex.asyncio.awaitable_context import Opening
from telex.asyncio.event_loops import running_loop
from telex.asyncio.server_loop import ServerLoop
from telex.asyncio.signals import handling
from telex.asyncio.waiting import check_loop, wake
from telex.log import safe_logger
from telex.network.fork import belongs_to_this_process, empty_selector, lead_nowhere
from telex.network.lookup import call_in_thread
from telex.observation.serving import open_observed
from telex.server.driver import leave_connections_to_owner
from telex.server.registry import LAST_TURNS
from telex.server.signals import signal_actions
from telex.uncopied import Uncopied

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Mapping
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from telex.address import Address
    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.limits import Limits
    from telex.network.listener import Listener, SharedAddress
    from telex.security.tokens import Tokens
    from telex.server.registry import Registry

_HOOK_SECONDS: Final = 1.0
"""How long shutdown hooks may take when there is a hurry."""

logger: Final = safe_logger("telex.server")


def serve(
    application: Application,
    address: str | Address | SharedAddress,
    *,
    limits: Limits | None = None,
    observer: Observer | Iterable[Observer] | None = None,
    admins: Collection[str] | None = None,
    tokens: Mapping[str, str] | Tokens | None = None,
    tls: ssl.SSLContext | None = None,
    insecure: bool = False,
    max_workers: int | None = None,
) -> Opening[Server]:
    """Listen on an address, and serve what connects, in this event loop.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``; port 0 takes a free
    one. A name that stands for several addresses is listened on at all of them. ``tls`` is for
    ``tls://``, from ``telex.tls.server_context()``. ``tokens`` are names, each with its secret: who
    knows none of these is not served. ``insecure`` allows ``tcp://`` beyond this machine.
    ``observer`` is told what happens, or each of several, and so are those of the application.
    ``admins`` are the names of those who may look at the connections with ``telex top``, and close
    them; with an empty list it is only who runs as the same user, at a Unix socket.
    ``max_workers`` is how many threads run handlers that block. Raises AddressError when the
    address is malformed, in use, or not to be had.

        async with telex.asyncio.serve(app, "tcp://127.0.0.1:7766") as server:
            await server.serve_forever()

    Awaiting it gives the server too, which then has to be closed.
    """

    async def start() -> Server:
        loop = running_loop()
        opening = partial(
            open_observed,
            application,
            address,
            observer=observer,
            admins=admins,
            limits=limits,
            tokens=tokens,
            tls=tls,
            insecure=insecure,
            max_workers=max_workers,
        )
        opened = call_in_thread(opening)
        try:
            registry, listeners, actual = await asyncio.wrap_future(opened)
        except asyncio.CancelledError:
            opened.add_done_callback(_close_unwanted)
            raise
        server = Server(ServerLoop(loop, registry), listeners, actual)
        await server.start()
        return server

    return Opening(start())


class Server(Uncopied):
    """A server that serves; made by ``serve()``. As a context manager it closes at the end."""

    def __init__(self, server: ServerLoop, listeners: list[Listener], address: Address) -> None:
        self.address: Final = address
        """The address that the server listens on, with the actual port."""
        self._server: Final = server
        self._acceptors = [Acceptor(listener, server) for listener in listeners]
        self._hurry: asyncio.Future[bool] = server.loop.create_future()
        self._ending: asyncio.Task[None] | None = None
        self._hooks: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[bool] = server.loop.create_future()
        self._why_foreign: str | None = None
        belongs_to_this_process(self)

    def __repr__(self) -> str:
        return f"<telex.asyncio.Server at {self.address}>"

    async def start(self) -> None:
        """Run the start-up hooks, and accept from then on; ``serve()`` does this."""
        try:
            for hook in self._server.registry.application.startup_hooks:
                await _call(hook)
        except BaseException:
            for acceptor in self._acceptors:
                acceptor.close()
            raise
        self._server.context = copy_context()  # with what the hooks have set
        for acceptor in self._acceptors:
            acceptor.start()

    async def serve_forever(self, handle_signals: bool = True) -> None:
        """Wait until the server has been shut down.

        In the main thread, SIGINT and SIGTERM shut it down too, with all other servers that serve
        in this event loop, and a second one ends them without waiting for anybody; SIGHUP loads the
        certificates again, where there are any. The signals' handlers are restored afterwards. A
        signal for which the loop has a handler already (``loop.add_signal_handler``) is left to
        that, and ``handle_signals=False`` leaves all of them alone.
        """
        self._check_owner()
        server = self._server
        check_loop(server.loop, "server")
        actions = signal_actions(
            handle_signals, server.registry.tls, self._end_by_signal, server.calls.post
        )
        with handling(server.loop, actions):
            await asyncio.shield(self._ended)

    def shutdown(self) -> None:
        """Have the server end, and return at once; any thread or signal handler may call it.

        It accepts no more, finishes what it has received, says goodbye to every peer, and gives
        them ``limits.drain_timeout`` to take what is theirs.
        """
        self._check_owner()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the server with it
            self._server.loop.call_soon_threadsafe(self._begin_ending)

    async def close(self) -> None:
        """Shut down, and wait until that is done; harmless when repeated.

        Cancelled while it waits, it cuts off what is left. Called by a handler or a shutdown hook
        it does not wait: the server waits for those. Handlers that are at work after
        ``limits.drain_timeout`` are cancelled, and not waited for if they do not end soon. In a
        forked process this has no effect.
        """
        if self._why_foreign is not None:
            return
        check_loop(self._server.loop, "server")
        self._begin_ending()
        task = asyncio.current_task()
        if task is self._hooks or task in self._server.tasks:
            return
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            wake(self._hurry)
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def leave_to_owner(self, why: str) -> None:
        """Leave the server to the process that this one was forked from."""
        self._why_foreign = why
        empty_selector(getattr(self._server.loop, "_selector", None))  # of asyncio's own loops
        lead_nowhere([acceptor.socket.fileno() for acceptor in self._acceptors])
        self._server.calls.leave_to_owner(why)
        leave_connections_to_owner(self._server.registry, why)
        if not self._ended.done():  # the loop goes on in a process that a handler has forked
            self._ended.set_exception(self._foreign_error())
            self._ended.exception()  # which nobody needs to see

    def _check_owner(self) -> None:
        if self._why_foreign is not None:
            raise self._foreign_error()

    def _foreign_error(self) -> RuntimeError:
        return RuntimeError(f"the server cannot be used here: {self._why_foreign}")

    def _begin_ending(self) -> None:
        if self._ending is None:
            self._ending = self._server.task(self._end())

    def _end_by_signal(self) -> None:
        if self._ending is not None:
            wake(self._hurry)
        self._begin_ending()

    async def _end(self) -> None:
        """Finish what was received, within the time for it, and close everything."""
        try:
            for acceptor in self._acceptors:
                acceptor.accept()  # those who wait to be accepted are told goodbye too
                acceptor.close()
            # Only connections that are in the registry are drained.
            await asyncio.gather(
                *(task for acceptor in self._acceptors for task in acceptor.opening),
                return_exceptions=True,
            )
            await self._drain()
            self._server.registry.cut_off(time.monotonic())
            await self._server.end_handlers(self._hurry)
            await self._server.nobody_left
            await self._call_shutdown_hooks()
        finally:
            self._server.calls.close()
            wake(self._ended)

    async def _drain(self) -> None:
        """Have all connections end by themselves, until the time is over or there is a hurry."""
        for _ in range(LAST_TURNS):
            await asyncio.sleep(0)
        registry = self._server.registry
        registry.leave(time.monotonic())
        if not registry.drivers:
            wake(self._server.nobody_left)
        await asyncio.wait(  # the time begins here: nobody is cut off who was not told goodbye
            (self._server.nobody_left, self._hurry),
            timeout=registry.limits.drain_timeout,
            return_when=FIRST_COMPLETED,
        )

    async def _call_shutdown_hooks(self) -> None:
        """Call one hook after the other, for as long as they take, or a bounded time in a hurry."""
        self._hooks = self._server.task(self._call_at_the_end())
        await asyncio.wait((self._hooks, self._hurry), return_when=FIRST_COMPLETED)
        await asyncio.wait((self._hooks,), timeout=_HOOK_SECONDS)
        if not self._hooks.done():
            self._hooks.cancel()
            logger.warning("there was no time for the shutdown hook %s", self._hooks.get_name())

    async def _call_at_the_end(self) -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        for hook in self._server.registry.application.shutdown_hooks:
            task.set_name(getattr(hook, "__qualname__", None) or repr(hook))
            try:
                await _call(hook)
            except KeyboardInterrupt:  # the program ends
                raise
            except BaseException as failure:
                if isinstance(failure, asyncio.CancelledError) and task.cancelling():
                    raise
                logger.exception("the shutdown hook %s failed", task.get_name())


def _close_unwanted(opened: Future[tuple[Registry, list[Listener], Address]]) -> None:
    """Listen no more: whoever wanted to serve has been cancelled meanwhile."""
    if not opened.cancelled() and opened.exception() is None:
        for listener in opened.result()[1]:
            listener.close()


async def _call(hook: Callable[[], object]) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result
