"""The selectors server: listens, lets connections in, runs until it is told to end, and cleans up.

One thread serves all connections. This module knows when a server begins and ends; it does not know
how connections are polled (``loop``) and what happens on one of them (``server_driver``).
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from telex.application.application import check_application
from telex.application.notifier import call_hook
from telex.network.fork import belongs_to_this_process, lead_nowhere
from telex.network.listener import refusal
from telex.observation.serving import open_observed
from telex.server.driver import leave_connections_to_owner
from telex.server.registry import LAST_TURNS
from telex.server.signals import signal_actions
from telex.sync.acceptor import Acceptor
from telex.sync.loop import READ, Loop
from telex.uncopied import Uncopied

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
    """Listen on an address and return the server; ``serve_forever()`` serves.

    ``address`` is ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``unix://PATH``; port 0 chooses a
    free port. If the host name has several addresses, the server listens on all of them. If systemd
    has opened sockets on the address, the server takes them over. ``tls`` is for ``tls://``, made
    by ``telex.tls.server_context()``. ``tokens`` maps names to secrets: a client without one of
    these tokens is refused. ``insecure`` allows ``tcp://`` on an address that other machines can
    reach. ``observer``, or each of several, is called for every event, besides the observers of the
    application. ``admins`` are the names of the operators, who may list and close connections with
    ``telex top``; with an empty list, the only operators are the user who runs the server, and
    root, over a Unix socket; without ``admins`` there are no operators. ``max_workers`` is the
    number of threads for blocking handlers. Raises AddressError when the address is malformed, in
    use, or cannot be listened on, and TypeError for handlers that are async.

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
    except BaseException as error:
        for listener in listeners:
            listener.close()
        if isinstance(error, OSError):  # no descriptors are left for the loop
            raise refusal(actual, error) from error
        raise


class Server(Uncopied):
    """A server that listens; made by ``serve()``. As a context manager, it is closed at the end."""

    def __init__(self, registry: Registry, listeners: list[Listener], address: Address) -> None:
        self.address: Final = address
        """The address that the server listens on, with the actual port."""
        self._registry: Final = registry
        self._loop: Final = Loop(registry)
        self._acceptors = [Acceptor(listener, self._loop) for listener in listeners]
        self._is_started = False
        self._is_ending = False
        self._is_past_waiting = False
        self._is_closed = False
        self._in_use = threading.Lock()
        self._why_foreign: str | None = None
        belongs_to_this_process(self)

    def __repr__(self) -> str:
        return f"<telex.sync.Server at {self.address}>"

    def serve_forever(self, handle_signals: bool = True) -> None:
        """Serve until ``shutdown()`` is called; then close everything.

        Calls the application's start-up hooks first, and its shutdown hooks last. In the main
        thread, SIGINT and SIGTERM also shut the server down. A second signal stops the server at
        once, but the shutdown hooks are still called. SIGHUP loads the certificates again, if there
        are any. The old signal handlers are restored afterwards. ``handle_signals=False`` handles
        no signals.
        """
        self._check_owner()
        in_use = self._in_use
        if not in_use.acquire(blocking=False):
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
            in_use.release()

    def shutdown(self) -> None:
        """Start the shutdown of the server, and return at once.

        The server accepts no more connections, answers the messages it has received, and sends
        every peer a ``close``. The peers have ``limits.drain_timeout`` to read their output. Any
        thread, handler or signal handler may call this. If ``serve_forever()`` is not running, it
        returns as soon as it is called.
        """
        self._check_owner()
        self._is_ending = True
        self._loop.wakeup.wake()

    def close(self) -> None:
        """Shut the server down, wait until this is done, and close everything.

        A second call has no effect. If a handler calls this, in any thread, it does not wait; the
        server is closed when ``serve_forever()`` returns. In a forked process this has no effect.
        """
        if self._why_foreign is not None:
            return
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

    def leave_to_owner(self, why: str) -> None:
        """Leave the server to the process that this one was forked from."""
        self._why_foreign = why
        self._is_closed = self._is_ending = True
        lead_nowhere([acceptor.socket.fileno() for acceptor in self._acceptors])
        self._loop.leave_to_owner(why)
        leave_connections_to_owner(self._registry, why)

    def _check_owner(self) -> None:
        if self._why_foreign is not None:
            raise RuntimeError(f"the server cannot be used here: {self._why_foreign}")

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
            self._check_owner()  # a handler may have forked
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
        self._registry.end_threads()
        if self._is_started:
            self._call_shutdown_hooks()

    def _call_shutdown_hooks(self) -> None:
        for hook in self._registry.application.shutdown_hooks:
            call_hook("shutdown", hook)


def _check_is_blocking(application: Application) -> None:
    """Raise TypeError for handlers and hooks that need an event loop."""
    check_application(application)
    names = application.async_names
    if names:
        raise TypeError(
            f"{', '.join(names)}: async, which needs an event loop; "
            f"right would be telex.asyncio.serve()"
        )
