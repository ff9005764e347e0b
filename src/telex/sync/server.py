"""The selectors server: listens, lets connections in, runs until it is told to end, and cleans up.

One thread serves all connections. This module knows when a server begins and ends; it does not know
how connections are polled (``loop``) and what happens on one of them (``server_driver``).
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from telex.log import safe_logger
from telex.observation.serving import open_observed
from telex.server.registry import LAST_TURNS
from telex.server.signals import signal_actions
from telex.sync.acceptor import Acceptor
from telex.sync.loop import READ, Loop

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from telex.address import Address
    from telex.application.application import Application
    from telex.application.observer import Observer
    from telex.limits import Limits
    from telex.network.listener import Listener, SharedAddress
    from telex.security.tokens import Tokens
    from telex.server.registry import Registry

logger: Final = safe_logger("telex.server")


class _AtOnce(KeyboardInterrupt):
    """Raised by a second signal, wherever the server is."""


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
) -> Server:
    """Listen on an address and return the server, which serves in ``serve_forever()``.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``; port 0 takes a free
    one. A name that stands for several addresses is listened on at all of them, and sockets that
    systemd has opened there are taken over. ``tls`` is for
    ``tls://``, from ``telex.tls.server_context()``. ``tokens`` are names, each with its secret: who
    knows none of these is not served. ``insecure`` allows ``tcp://`` beyond this machine.
    ``observer`` is told what happens, or each of several, and so are those of the application.
    ``admins`` are the names of those who may look at the connections with ``telex top``, and close
    them; with an empty list it is only who runs as the same user, at a Unix socket.
    ``max_workers`` is how many threads run handlers that block. Raises AddressError when the
    address is malformed, in use, or not to be had, and TypeError for handlers that are async.

        with telex.sync.serve(app, "tcp://127.0.0.1:7766") as server:
            server.serve_forever()
    """
    _check_is_blocking(application)
    registry, listeners, actual = open_observed(
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
    try:
        return Server(registry, listeners, actual)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


class Server:
    """A server that listens; made by ``serve()``. As a context manager it closes at the end."""

    def __init__(self, registry: Registry, listeners: list[Listener], address: Address) -> None:
        self.address: Final = address
        """Where it listens, with the actual port."""
        self._registry: Final = registry
        self._loop: Final = Loop(registry)
        self._acceptors = [Acceptor(listener, self._loop) for listener in listeners]
        self._is_started = False
        self._is_ending = False
        self._is_past_waiting = False
        self._is_closed = False
        self._in_use = threading.Lock()

    def __repr__(self) -> str:
        return f"<telex.sync.Server at {self.address}>"

    def serve_forever(self, handle_signals: bool = True) -> None:
        """Serve until ``shutdown()`` is called; then everything is closed.

        The application's start-up hooks are called first, its shutdown hooks last. In the main
        thread, SIGINT and SIGTERM end it too, and a second one ends it at once, whatever it is
        doing, except that nothing keeps the shutdown hooks from being called; SIGHUP loads the
        certificates again, where there are any. The signals' handlers are restored afterwards.
        ``handle_signals=False`` leaves signals alone.
        """
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("the server is serving already")
        try:
            if self._is_closed:
                raise RuntimeError("the server is closed")
            self._loop.calls.enter()
            with contextlib.ExitStack() as ending:
                actions = signal_actions(
                    handle_signals, self._registry.tls, self._end_by_signal, self._loop.calls.post
                )
                ending.enter_context(self._loop.wakeup.handling_signals(actions))
                ending.callback(self._close_all)
                self._serve()
        finally:
            self._release()
            self._in_use.release()

    def shutdown(self) -> None:
        """Have ``serve_forever()`` end, now or as soon as it is called, and return at once.

        It accepts no more, finishes what it has received, says goodbye to every peer, and gives
        them ``limits.drain_timeout`` to take what is theirs. Any thread, handler or signal handler
        may call this.
        """
        self._is_ending = True
        self._loop.wakeup.wake()

    def close(self) -> None:
        """Stop serving, wait until that is done, and close everything; harmless when repeated.

        Called by a handler, in whatever thread, it does not wait: that is when
        ``serve_forever()`` returns.
        """
        self.shutdown()
        if not (self._loop.calls.is_own_thread() or self._registry.threads.is_own_thread()):
            with self._in_use:
                self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _serve(self) -> None:
        """Serve from the first connection to the last, or until a second signal."""
        try:
            for hook in self._registry.application.startup_hooks:
                hook()
            self._is_started = True
            for acceptor in self._acceptors:
                self._loop.watch(acceptor, READ)
            while not self._is_ending:
                self._loop.turn()
            self._drain()
        except _AtOnce:
            pass
        finally:
            self._is_past_waiting = True  # from here on signals raise nothing
        self._registry.cut_off(time.monotonic())

    def _end_by_signal(self) -> None:
        if self._is_ending and not self._is_past_waiting:
            raise _AtOnce
        self.shutdown()

    def _drain(self) -> None:
        """Finish what was received, say goodbye, and send what is unsent while there is time."""
        deadline = time.monotonic() + self._registry.limits.drain_timeout
        for acceptor in self._acceptors:
            acceptor.ready(READ)  # those who wait to be accepted are told goodbye too
        self._stop_listening()
        for _ in range(LAST_TURNS):
            self._loop.turn(until=0.0)
        self._registry.leave(time.monotonic())
        while self._registry.drivers and time.monotonic() < deadline:
            self._loop.turn(until=deadline)

    def _stop_listening(self) -> None:
        for acceptor in self._acceptors:
            self._loop.forget(acceptor)
            acceptor.listener.close()

    def _release(self) -> None:
        """Close everything, and the loop last, which signals wake for as long as they are handled.

        Harmless when repeated.
        """
        self._close_all()
        self._loop.close()

    def _close_all(self) -> None:
        """Close everything but the loop, whatever was going on."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop_listening()
        if self._registry.drivers:  # Ctrl-C came, and nobody has handled it
            self._registry.cut_off(time.monotonic())
        self._registry.threads.shutdown(wait=False, cancel_futures=True)
        if self._is_started:
            self._call_shutdown_hooks()

    def _call_shutdown_hooks(self) -> None:
        for hook in self._registry.application.shutdown_hooks:
            try:
                hook()
            except Exception:
                logger.exception("the shutdown hook %s failed", getattr(hook, "__qualname__", hook))


def _check_is_blocking(application: Application) -> None:
    """Raise TypeError for handlers and hooks that need an event loop."""
    names = application.async_names
    if names:
        raise TypeError(
            f"{', '.join(names)}: async, which needs an event loop; "
            f"right would be telex.asyncio.serve()"
        )
