"""Telex for asyncio: the names of ``telex.sync``, awaited.

One event loop serves many connections, and every handler may be ``async def``. ``run()`` is
``asyncio.run()`` on the fastest loop that is installed.
"""

from __future__ import annotations

from telex.asyncio.awaitable_context import Opening
from telex.asyncio.client import Connection, connect
from telex.asyncio.parts import Parts
from telex.asyncio.pipeline import Answers
from telex.asyncio.reconnection import Reconnecting, reconnecting
from telex.asyncio.runner import run
from telex.asyncio.server import Server, serve

__all__ = [
    "Answers",
    "Connection",
    "Opening",
    "Parts",
    "Reconnecting",
    "Server",
    "connect",
    "reconnecting",
    "run",
    "serve",
]
