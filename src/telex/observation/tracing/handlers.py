"""A span around each handler of an application, current while the handler runs.

A generator runs step by step, each perhaps in another thread, and others run in between: its span
is the current one within each step, and in none of the pauses.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telex.application.application import Application
from telex.application.handler import Handler, Style
from telex.application.peer import Peer
from telex.errors import Refusal
from telex.observation.tracing.propagation import TRACE_CONTEXT, carrying_context, context_of
from telex.version import __version__
from telex.wire.factory import message_from

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import Span, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from telex.wire.message import Message

_LONGEST_SUBJECT: Final = 256
_END: Final = object()


def instrument(
    application: Application,
    *,
    tracer_provider: TracerProvider | None = None,
    propagator: TextMapPropagator = TRACE_CONTEXT,
) -> Application:
    """Put a span around each call of an application's handlers; return the application.

    The span continues the trace in the headers of the message, if there is one, and is the current
    span while the handler runs. The span is named ``process PATTERN``, with the pattern that the
    handler was registered for. Its attributes are those of OpenTelemetry's semantic conventions
    for messaging. Messages that a handler sends with ``peer.send`` carry the trace.
    ``tracer_provider`` is the global one by default. ``propagator`` decides which headers are read
    and written; the default is W3C Trace Context. Call this once for an application; handlers may
    be registered before or after.

        app = telex.tracing.instrument(telex.Application())
    """
    tracer = trace.get_tracer("telex", __version__, tracer_provider)
    application.wrap_handlers(lambda handler: _TracedHandler(handler, tracer, propagator))
    return application


class _TracedHandler(Handler):
    """A handler with a span around each call."""

    __slots__ = ("_handler", "_propagator", "_tracer")

    def __init__(self, handler: Handler, tracer: Tracer, propagator: TextMapPropagator) -> None:
        super().__init__(
            handler.function,
            pattern=handler.pattern,
            concurrent=handler.concurrent,
            blocking=handler.blocking,
        )
        self._handler: Final = handler
        self._tracer: Final = tracer
        self._propagator: Final = propagator

    def replaced(self, function: Callable[..., object]) -> Handler:
        """Return the handler with another function, within the same span."""
        return _TracedHandler(self._handler.replaced(function), self._tracer, self._propagator)

    def call(self, message: Message, peer: Peer) -> Any:
        """Call the handler within its span; see ``Handler.call``."""
        if self.style is Style.GENERATOR:
            return self._parts(message, peer)
        if self.style is Style.COROUTINE:
            return self._awaited(message, peer)
        if self.style is Style.ASYNC_GENERATOR:
            return self._awaited_parts(message, peer)
        with self._begun(message, peer) as work, work.step():
            return self._handler.call(message, _TracedPeer(peer, self._propagator))

    async def _awaited(self, message: Message, peer: Peer) -> object:
        with self._begun(message, peer) as work, work.step():
            return await self._handler.call(message, _TracedPeer(peer, self._propagator))

    def _parts(self, message: Message, peer: Peer) -> Generator[object, None, None]:
        with self._begun(message, peer) as work:
            with work.step():
                parts = self._handler.call(message, _TracedPeer(peer, self._propagator))
            try:
                while True:
                    with work.step():
                        part = next(parts, _END)
                    if part is _END:
                        return
                    yield part
            finally:
                with work.step():
                    parts.close()

    async def _awaited_parts(self, message: Message, peer: Peer) -> AsyncGenerator[object, None]:
        with self._begun(message, peer) as work:
            with work.step():
                parts = self._handler.call(message, _TracedPeer(peer, self._propagator))
            try:
                while True:
                    with work.step():
                        part = await anext(parts, _END)
                    if part is _END:
                        return
                    yield part
            finally:
                with work.step():
                    await parts.aclose()

    @contextlib.contextmanager
    def _begun(self, message: Message, peer: Peer) -> Iterator[_Work]:
        """Begin a span, and end it with the context."""
        parent = context_of(message, self._propagator)
        span = self._tracer.start_span(
            "process" if self.pattern is None else f"process {self.pattern}",
            parent,
            SpanKind.CONSUMER if message.kind is None else SpanKind.SERVER,
            _attributes_of(message, peer, self.pattern),
        )
        try:
            yield _Work(span, trace.set_span_in_context(span, parent))
        finally:
            span.end()


class _Work:
    """What a handler does for a message: a span, and the context in which it is the current one."""

    def __init__(self, span: Span, context: Context) -> None:
        self._span: Final = span
        self._context: Final = context

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Make the span the current one, and note in it what goes wrong."""
        token = contexts.attach(self._context)
        try:
            yield
        except Refusal as refusal:  # an answer like others: the handler has done its work
            self._span.set_attribute("error.type", refusal.code)
            raise
        except Exception as error:
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, str(error)))
            raise
        finally:
            contexts.detach(token)


class _TracedPeer(Peer):
    """A peer that is sent the current trace; the same peer to whoever compares it."""

    __slots__ = ("_peer", "_propagator")

    def __init__(self, peer: Peer, propagator: TextMapPropagator) -> None:
        self._peer: Final = peer
        self._propagator: Final = propagator

    @property
    def address(self) -> str:
        """Where the peer is."""
        return self._peer.address

    @property
    def identity(self) -> str | None:
        """Who the peer is."""
        return self._peer.identity

    def send(self, content: object, **keywords: Any) -> None:
        """Send a message with the trace that is the current one."""
        self._peer.send(carrying_context(message_from(content, keywords), self._propagator))

    def __eq__(self, other: object) -> bool:
        return self._peer == (other._peer if isinstance(other, _TracedPeer) else other)

    def __hash__(self) -> int:
        return hash(self._peer)

    def __repr__(self) -> str:
        return repr(self._peer)


def _attributes_of(message: Message, peer: Peer, pattern: str | None) -> dict[str, AttributeValue]:
    """Describe a message (OpenTelemetry, "semantic conventions for messaging spans")."""
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "telex",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.body.size": len(message.body),
    }
    if message.subject is not None:
        attributes["messaging.destination.name"] = message.subject[:_LONGEST_SUBJECT]
    if pattern is not None and ("*" in pattern or ">" in pattern):
        attributes["messaging.destination.template"] = pattern
    if message.id is not None:
        attributes["messaging.message.id"] = str(message.id)
    if peer.identity is not None:
        attributes["enduser.id"] = peer.identity
    host, colon, port = peer.address.rpartition(":")
    if colon and port.isdecimal() and host != "unix":
        attributes["network.peer.address"] = host.strip("[]")
        attributes["network.peer.port"] = int(port)
    else:
        attributes["network.peer.address"] = peer.address
    return attributes
