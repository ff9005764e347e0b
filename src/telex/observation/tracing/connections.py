"""Connections of clients that write the current trace into what they send.

A connection of ``telex.sync`` prepares each message by a function of its own before it is sent;
here that is replaced.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Self, overload

import telex.asyncio
import telex.sync
from telex.observation.tracing.propagation import TRACE_CONTEXT, carrying_context
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

    from opentelemetry.propagators.textmap import TextMapPropagator

    from telex.errors import TelexError
    from telex.wire.message import Message


@overload
def traced(
    connection: telex.sync.Connection, *, propagator: TextMapPropagator = ...
) -> telex.sync.Connection: ...


@overload
def traced(
    connection: telex.asyncio.Connection, *, propagator: TextMapPropagator = ...
) -> telex.asyncio.Connection: ...


@overload
def traced(
    connection: telex.asyncio.Opening[telex.asyncio.Connection],
    *,
    propagator: TextMapPropagator = ...,
) -> telex.asyncio.Opening[telex.asyncio.Connection]: ...


def traced(connection: Any, *, propagator: TextMapPropagator = TRACE_CONTEXT) -> Any:
    """Return the same connection, which adds the current trace to every message that it sends.

    ``connection`` is the result of ``telex.sync.connect()`` or ``telex.asyncio.connect()``. If
    there is no current trace, nothing is added; headers of the same names are replaced.
    ``propagator`` decides which headers are written; the default is W3C Trace Context. Raises
    TypeError for an object that is no connection.

        with telex.tracing.traced(telex.sync.connect(address)) as connection:
            connection.request("4711", subject="price")
    """
    if isinstance(connection, telex.sync.Connection):
        connection._prepare = functools.partial(_carrying, propagator)
        return connection
    if isinstance(connection, telex.asyncio.Connection):
        return _TracedAsyncioConnection.of(connection, propagator)
    if isinstance(connection, telex.asyncio.Opening):
        return telex.asyncio.Opening(_opened(connection, propagator))
    raise TypeError(f"{connection!r} is none of what connect() returns")


class _TracedAsyncioConnection(telex.asyncio.Connection):
    """A connection of ``telex.asyncio``."""

    _carrying: Callable[..., Message]

    @classmethod
    def of(cls, connection: telex.asyncio.Connection, propagator: TextMapPropagator) -> Self:
        """Make another face of a connection."""
        face = cls(connection._link, connection.address)
        face._carrying = functools.partial(_carrying, propagator)
        return face

    async def send(self, content: object, **keywords: Any) -> None:
        """Send a message; see ``Connection.send``."""
        await super().send(self._carrying(content, keywords))

    async def send_many(self, messages: Iterable[object] | AsyncIterable[object]) -> None:
        """Send many messages; see ``Connection.send_many``."""
        await super().send_many(_all_carrying(self._carrying, messages))

    async def request(
        self, content: object, *, timeout: float | None = None, **keywords: Any
    ) -> Message:
        """Ask, and return the answer; see ``Connection.request``."""
        return await super().request(self._carrying(content, keywords), timeout=timeout)

    def request_many(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        *,
        timeout: float | None = None,
        most: int = 256,
    ) -> AsyncGenerator[Message | TelexError, None]:
        """Ask many times; see ``Connection.request_many``."""
        return super().request_many(
            _all_carrying(self._carrying, requests), timeout=timeout, most=most
        )

    def request_parts(
        self, content: object, *, timeout: float | None = None, **keywords: Any
    ) -> telex.asyncio.Parts:
        """Ask for an answer in parts; see ``Connection.request_parts``."""
        return super().request_parts(self._carrying(content, keywords), timeout=timeout)


async def _opened(
    opening: telex.asyncio.Opening[telex.asyncio.Connection], propagator: TextMapPropagator
) -> telex.asyncio.Connection:
    return _TracedAsyncioConnection.of(await opening, propagator)


def _all_carrying(
    carrying: Callable[..., Message], items: Iterable[object] | AsyncIterable[object]
) -> Iterable[object] | AsyncIterable[object]:
    if isinstance(items, AsyncIterable):
        return _each_carrying(carrying, items)
    return map(carrying, items)


async def _each_carrying(
    carrying: Callable[..., Message], items: AsyncIterable[object]
) -> AsyncIterator[object]:
    async for item in items:
        yield carrying(item)


def _carrying(
    propagator: TextMapPropagator, content: object, keywords: dict[str, Any] | None = None
) -> Message:
    return carrying_context(message_from(content, keywords or {}), propagator)
