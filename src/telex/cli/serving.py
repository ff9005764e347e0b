"""Runs a server of either front-end, in this process or in several, until it is told to end.

Nobody is told that it listens before the application's start-up hooks are through. What is served,
on which terms, and what is printed about it, is said by the command.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from telex.cli.failure import FAILED
from telex.cli.hooks import StartUpError, with_explained_hooks
from telex.log import safe_logger

if TYPE_CHECKING:
    from telex import Address, Application
    from telex.network.listener import SharedAddress

Announce = Callable[["Address"], None]
"""What is called once, with the actual address, when all that are to serve there do."""

Begin = Callable[[Callable[[], None]], None]
"""What is called in each serving process, with what ends it all; it may raise StartUpError."""

_LAST: Final = b"."

_SIZE_OF_INT: Final = 4

_LONGEST: Final = 4_000
"""Bytes of a sentence between processes, and ``_END`` behind it: a pipe takes them as one."""

_END: Final = b"\0"


logger: Final = safe_logger("telex.server")


class _Server(Protocol):
    """What the servers of both front-ends have in common."""

    @property
    def address(self) -> Address:
        """Where it listens."""

    def shutdown(self) -> None:
        """Have it end."""


def serve_here(
    application: Application,
    address: Address,
    announce: Announce,
    begin: Begin,
    *,
    with_asyncio: bool,
    **terms: Any,
) -> None:
    """Serve in this process. Raises StartUpError."""

    def start(server: _Server) -> None:
        begin(server.shutdown)
        announce(server.address)

    _serve(application, address, start, with_asyncio, terms)


def serve_by_workers(
    count: int,
    application: Application,
    address: Address,
    announce: Announce,
    begin: Begin,
    *,
    with_asyncio: bool,
    **terms: Any,
) -> int:
    """Serve in ``count`` processes that share the address; return an exit code.

    Raises StartUpError when one of the first processes cannot start: then none is replaced. One
    that takes the place of another may fail for a reason that passes, and is replaced.
    """
    from telex.network.listener import SharedAddress
    from telex.server.options import check_terms
    from telex.server.workers import run_workers

    tls = terms["tls"]
    check_terms(address, tls, terms["insecure"])
    countdown = _Countdown(count)
    failures = _Failures()

    def work(end_all: Callable[[], None]) -> None:
        def start(server: _Server) -> None:
            begin(end_all)
            if countdown.is_last():
                announce(server.address)

        try:
            _serve(application, shared, start, with_asyncio, terms)
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
            reloads=tls is not None,
            drain_timeout=terms["limits"].drain_timeout,
        )
    failures.check()
    return code


def _serve(
    application: Application,
    address: Address | SharedAddress,
    start: Callable[[_Server], None],
    with_asyncio: bool,
    terms: dict[str, Any],
) -> None:
    if with_asyncio:
        from telex import asyncio

        asyncio.run(_serve_with_asyncio(application, address, start, terms))
    else:
        from telex import sync

        explained = with_explained_hooks(application)
        with sync.serve(explained, address, **terms) as server:
            explained.startup_hooks.append(lambda: start(server))
            server.serve_forever()


class _Countdown:
    """Counts the processes that are ready, of all that were forked after this was made."""

    def __init__(self, count: int) -> None:
        self._left, given = os.pipe()
        os.write(given, b"-" * (count - 1) + _LAST)
        os.close(given)

    def is_last(self) -> bool:
        """Count the calling process; say whether it completes the number. Later ones do not."""
        return os.read(self._left, 1) == _LAST

    def is_over(self) -> bool:
        """Say whether the number was complete, so that the calling process is a later one."""
        waiting = fcntl.ioctl(self._left, termios.FIONREAD, bytes(_SIZE_OF_INT))
        return not any(waiting)


class _Failures:
    """Brings what a process failed of to the one that has forked it."""

    def __init__(self) -> None:
        self._arrivals, self._writer = os.pipe()
        for end in (self._arrivals, self._writer):
            os.set_blocking(end, False)

    def tell(self, failure: StartUpError) -> None:
        """Say in a forked process why it ends."""
        with contextlib.suppress(BlockingIOError):  # so many have failed that it is known
            os.write(self._writer, str(failure).encode("utf-8", "replace")[:_LONGEST] + _END)

    def check(self) -> None:
        """Raise what the first process has told, if any has, when all have ended."""
        with contextlib.suppress(BlockingIOError):  # none has
            first = os.read(self._arrivals, _LONGEST).partition(_END)[0]
            raise StartUpError(first.decode("utf-8", "replace"))


async def _serve_with_asyncio(
    application: Application,
    address: Address | SharedAddress,
    start: Callable[[_Server], None],
    terms: dict[str, Any],
) -> None:
    from telex import asyncio

    async with asyncio.serve(with_explained_hooks(application), address, **terms) as server:
        _end_by_signals(server)
        start(server)
        await server.serve_forever()


def _end_by_signals(server: _Server) -> None:
    """Have Ctrl-C and SIGTERM end the server from now on: who reads that it listens may act.

    The server handles them itself as soon as it serves.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: server.shutdown())
