"""Connections of clients that write the current trace into what they send.

A connection of either front-end makes each message by a function of its own before the message is
sent; that function is replaced here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Protocol, TypeVar

from telex.observation.tracing.propagation import TRACE_CONTEXT, carrying_context
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.propagators.textmap import TextMapPropagator

    from telex.application.peer import MessageKeywords
    from telex.wire.message import Message


class _Connection(Protocol):
    """A connection of a client, or one that is being opened."""

    _prepare: Callable[[object, MessageKeywords], Message]


Connection = TypeVar("Connection", bound=_Connection)


def traced(connection: Connection, *, propagator: TextMapPropagator = TRACE_CONTEXT) -> Connection:
    """Return the same connection, which adds the current trace to every message that it sends.

    ``connection`` is the result of ``telex.sync.connect()`` or ``telex.asyncio.connect()``. If
    there is no current trace, nothing is added; headers of the same names are replaced.
    ``propagator`` decides which headers are written; the default is W3C Trace Context. Raises
    TypeError for an object that is no connection.

        with telex.tracing.traced(telex.sync.connect(address)) as connection:
            connection.request("4711", subject="price")
    """
    if not hasattr(connection, "_prepare"):
        raise TypeError(f"{connection!r} is none of what connect() returns")
    connection._prepare = functools.partial(_carrying, propagator)
    return connection


def _carrying(propagator: TextMapPropagator, content: object, keywords: MessageKeywords) -> Message:
    return carrying_context(message_from(content, keywords), propagator)
