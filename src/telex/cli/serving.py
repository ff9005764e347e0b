"""Runs a server of either front-end, in this process or in several, until it shuts down.

The address is announced after the start-up hooks of the application have succeeded.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from telex.cli.failure import FAILED
from telex.cli.hooks import StartUpError, with_explained_hooks
from telex.log import safe_logger

if TYPE_CHECKING:
    from telex import Address, Application
    from telex.network.listener import SharedAddress

Announce = Callable[["Address"], None]
"""Is called once, with the actual address, when all processes serve."""

Begin = Callable[[Callable[[], None]], None]
"""Is called in each serving process, with a function that ends all; may raise StartUpError."""

_LAST: Final = b"."

_SIZE_OF_INT: Final = 4

_LONGEST: Final = 4_000
"""Bytes of a text between processes, with ``_END`` after it: a pipe writes so many at once."""

_END: Final = b"\0"


logger: Final = safe_logger("telex.server")


class _Server(Protocol):
    """The common part of the servers of both front-ends."""

    @property
    def address(self) -> Address:
        """The address that the server listens on."""

    def shutdown(self) -> None:
        """Begin to shut down."""


def serve_here(
    application: Application,
    address: Address,
    announce: Announce,
    begin: Begin,
    *,
    with_asyncio: bool,
    **options: Any,
) -> None:
    """Serve in this process. Raises StartUpError."""

    def start(server: _Server) -> None:
        begin(server.shutdown)
        announce(server.address)

    _serve(application, address, start, with_asyncio, options)


def serve_by_workers(
    count: int,
    application: Application,
    address: Address,
    announce: Announce,
    begin: Begin,
    *,
    with_asyncio: bool,
    **options: Any,
) -> int:
    """Serve in ``count`` processes that share the address; return an exit code.

    Raises StartUpError when one of the first processes cannot start; then no process is replaced. A
    process that replaces another one may fail for a temporary reason, and is replaced again.
    """
    from telex.network.listener import SharedAddress
    from telex.security.tls import reload_certificates
    from telex.server.options import check_terms
    from telex.server.workers import run_workers

    tls = options["tls"]
    check_terms(address, tls, options["insecure"])
    countdown = _Countdown(count)
    failures = _Failures()

    def work(end_all: Callable[[], None]) -> None:
        def start(server: _Server) -> None:
            begin(end_all)
            if countdown.is_last():
                announce(server.address)

        try:
            _serve(application, shared, start, with_asyncio, options)
        except StartUpError as failure:
            if countdown.is_over():
                logger.error("%s", failure)
                sys.exit(FAILED)
            failures.tell(failure)
            end_all()

    with SharedAddress(address) as shared:
        code = run_workers(
            count,
            shared,
            work,
            reload=None if tls is None else partial(reload_certificates, tls),
            drain_timeout=options["limits"].drain_timeout,
        )
    failures.check()
    return code


def _serve(
    application: Application,
    address: Address | SharedAddress,
    start: Callable[[_Server], None],
    with_asyncio: bool,
    options: dict[str, Any],
) -> None:
    if with_asyncio:
        from telex import asyncio

        asyncio.run(_serve_with_asyncio(application, address, start, options))
    else:
        from telex import sync

        explained = with_explained_hooks(application)
        with sync.serve(explained, address, **options) as server:
            explained.startup_hooks.append(lambda: start(server))
            server.serve_forever()


class _Countdown:
    """Counts the processes that are ready, among those that are forked later."""

    def __init__(self, count: int) -> None:
        self._left, given = os.pipe()
        os.write(given, b"-" * (count - 1) + _LAST)
        os.close(given)

    def is_last(self) -> bool:
        """Count the calling process; return whether it is the last of the number."""
        return os.read(self._left, 1) == _LAST

    def is_over(self) -> bool:
        """Return whether the number is complete: the calling process replaces another."""
        import fcntl  # there are none where no process can be forked
        import termios

        waiting = fcntl.ioctl(self._left, termios.FIONREAD, bytes(_SIZE_OF_INT))
        return not any(waiting)


class _Failures:
    """Sends the failure of a forked process to its parent."""

    def __init__(self) -> None:
        self._arrivals, self._writer = os.pipe()
        for end in (self._arrivals, self._writer):
            os.set_blocking(end, False)

    def tell(self, failure: StartUpError) -> None:
        """Send, in a forked process, the reason why it ends."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of other failures
            os.write(self._writer, str(failure).encode("utf-8", "replace")[:_LONGEST] + _END)

    def check(self) -> None:
        """Raise the first failure, if any, after all processes have ended."""
        with contextlib.suppress(BlockingIOError):  # no process has failed
            first = os.read(self._arrivals, _LONGEST).partition(_END)[0]
            raise StartUpError(first.decode("utf-8", "replace"))


async def _serve_with_asyncio(
    application: Application,
    address: Address | SharedAddress,
    start: Callable[[_Server], None],
    options: dict[str, Any],
) -> None:
    from telex import asyncio

    async with asyncio.serve(with_explained_hooks(application), address, **options) as server:
        _end_by_signals(server)
        start(server)
        await server.serve_forever()


def _end_by_signals(server: _Server) -> None:
    """Shut the server down at Ctrl-C and SIGTERM, until it serves and handles them itself.

    A program that reads the announcement may send a signal at once.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: server.shutdown())
