"""Traces that go on from program to program; they need OpenTelemetry (extra ``tracing``)."""

from __future__ import annotations

from telex.observation.tracing import instrument, traced

__all__ = ["instrument", "traced"]
