"""The trace that a message belongs to: read from its headers, and written into them.

Which headers these are is said by a propagator of OpenTelemetry: ``traceparent`` and ``tracestate``
(W3C Trace Context) unless the program chooses another one. The program's global propagator is not
asked, as it carries baggage too: a peer would put entries into the context of the handler, and be
told those that are meant for the program's own services. What a peer writes may be anything.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator

    from telex.wire.message import Message

Headers = dict[str, Any]


class _TextOnly(Getter[Headers]):
    """Finds headers that are text; a propagator must not see what else JSON can say."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        """Return the value of a header, as the only one of a list."""
        value = carrier.get(key)
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Headers) -> list[str]:
        """Return the names of all headers."""
        return list(carrier)


_TEXT_ONLY: Final = _TextOnly()

TRACE_CONTEXT: Final = TraceContextTextMapPropagator()
"""What is used unless the program chooses another one."""


def context_of(message: Message, propagator: TextMapPropagator) -> Context:
    """Return the context that a received message names; an empty one if it names none."""
    return propagator.extract(message.headers, Context(), _TEXT_ONLY)


def carrying_context(message: Message, propagator: TextMapPropagator) -> Message:
    """Return a message that names the current context; the same one if there is none."""
    carrier: Headers = {}
    propagator.inject(carrier)
    if not carrier:
        return message
    marked = copy.copy(message)  # it belongs to the caller, who may send it again
    marked.headers = {**message.headers, **carrier}
    return marked
