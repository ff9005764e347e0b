"""``connected()``: an application and a connection to it, for the time of a test.

What both ends are made of is known to ``blocking`` and ``awaited``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.limits import Limits
from telex.testing.failures import Failures, observed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from telex.application.application import Application
    from telex.testing.awaited import AsyncJoinedConnection
    from telex.testing.blocking import JoinedConnection


def connected(
    application: Application,
    *,
    identity: str | None = None,
    peer_address: str = "127.0.0.1:50000",
    limits: Limits | None = None,
    patience: float = 10.0,
) -> Joined:
    """Connect to an application without a server, a port or a thread: ``with`` or ``async with``.

    ``with`` gives a ``JoinedConnection``, a ``telex.sync.Connection`` with more attributes.
    Handlers run in the test's own thread, also those with ``blocking=True``; when ``send`` returns,
    the message has been handled. ``async with`` gives a ``telex.asyncio.Connection``, and handlers
    run in the test's event loop. Start-up hooks run at the beginning, shutdown hooks at the end.

    ``identity`` and ``peer_address`` are the peer's identity and address in the handlers.
    ``limits`` are for both ends. A blocking call without a timeout raises WaitTimeoutError when
    nothing has happened for ``patience`` seconds.

    The end of the context raises the exceptions of handlers and shutdown hooks, in a
    BaseExceptionGroup. It does not raise those that a request has raised, or that the test has
    removed from ``connection.failures``. An exception that leaves the context is in the group too;
    but an AssertionError or ``pytest.fail()`` is raised alone, with notes about the other failures.

    >>> import telex
    >>> app = telex.Application()
    >>> @app.on("greet")
    ... def greet(message, peer):
    ...     peer.send("somebody was greeted", subject="news")
    ...     return f"hello {message.content}"
    >>> with connected(app) as connection:
    ...     connection.request("you", subject="greet").content
    ...     [message.content for message in connection.received()]
    'hello you'
    ['somebody was greeted']
    """
    return Joined(application, identity, peer_address, limits or Limits(), patience)


class Joined:
    """The result of ``connected()``: use it once, with ``with`` or ``async with``."""

    def __init__(
        self,
        application: Application,
        identity: str | None,
        peer_address: str,
        limits: Limits,
        patience: float,
    ) -> None:
        failures = self._failures = Failures()
        served = observed(application, failures)
        self._arguments = (served, limits, identity, peer_address, patience, failures)
        self._context: AbstractContextManager[JoinedConnection]
        self._async_context: AbstractAsyncContextManager[AsyncJoinedConnection]

    def __enter__(self) -> JoinedConnection:
        from telex.testing.blocking import joined

        self._context = joined(*self._arguments)
        return self._context.__enter__()

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._failures.raised_after(exception):
            self._context.__exit__(exception_type, exception, traceback)

    async def __aenter__(self) -> AsyncJoinedConnection:
        from telex.testing.awaited import joined

        self._async_context = joined(*self._arguments)
        return await self._async_context.__aenter__()

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._failures.raised_after(exception):
            await self._async_context.__aexit__(exception_type, exception, traceback)
