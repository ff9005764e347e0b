"""Counts what a server does, for Prometheus; it needs prometheus-client (extra ``metrics``)."""

from __future__ import annotations

from telex.observation.metrics import BUCKETS, Metrics

__all__ = ["BUCKETS", "Metrics"]
