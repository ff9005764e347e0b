"""``connected()``: an application and a connection to it, for the time of a test.

What both ends are made of is known to ``blocking`` and ``awaited``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.limits import Limits
from telex.testing.failures import Failures, observed

if TYPE_CHECKING:
    from types import TracebackType

    from telex.application.application import Application
    from telex.testing.awaited import AsyncJoinedConnection, AsyncJoint
    from telex.testing.blocking import JoinedConnection, Joint


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
        self._failures: Final = Failures()
        self._application: Final = observed(application, self._failures)
        self._identity: Final = identity
        self._peer_address: Final = peer_address
        self._limits: Final = limits
        self._patience: Final = patience
        self._joint: Joint | None = None
        self._async_joint: AsyncJoint | None = None

    def __enter__(self) -> JoinedConnection:
        from telex.testing.blocking import Joint

        self._joint = Joint(
            self._application,
            self._limits,
            self._identity,
            self._peer_address,
            self._failures,
            self._patience,
        )
        return self._joint.connection

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        joint = self._joint
        assert joint is not None
        with self._failures.raised_after(exception):
            try:
                joint.connection.__exit__(exception_type, exception, traceback)
            finally:
                joint.end()

    async def __aenter__(self) -> AsyncJoinedConnection:
        from telex.testing.awaited import AsyncJoint

        self._async_joint = await AsyncJoint.join(
            self._application, self._limits, self._identity, self._peer_address, self._failures
        )
        return self._async_joint.connection

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        joint = self._async_joint
        assert joint is not None
        with self._failures.raised_after(exception):
            try:
                await joint.connection.__aexit__(exception_type, exception, traceback)
            finally:
                await joint.end()
