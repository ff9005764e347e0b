"""A line of the log for each event of a server: an observer for those who look for a fault."""

from __future__ import annotations

from telex.observation.event_log import EventLog

__all__ = ["EventLog"]
