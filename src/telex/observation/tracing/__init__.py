"""Traces that go on from program to program: W3C trace context in the headers of messages.

On the way in, ``instrument(application)`` has a span around each handler, which continues the trace
that the message names. On the way out, ``traced(connection)`` writes the current trace into the
headers of what is sent. Nothing is done where neither was called.

It needs OpenTelemetry (extra ``tracing``), and only its API: which spans are kept, and where they
go, is for the program to configure.
"""

from __future__ import annotations

from telex.extras import needed_for

with needed_for("telex.tracing", "opentelemetry-api"):
    from telex.observation.tracing.connections import traced
    from telex.observation.tracing.handlers import instrument

__all__ = ["instrument", "traced"]
