"""Telex for blocking code: ``connect()`` for a client, ``serve()`` for a server, no event loop.

The server is one thread that waits for many sockets with ``selectors``; the client's input and
output happen in the thread that calls it.
"""

from __future__ import annotations

from telex.sync.client import Connection, connect
from telex.sync.parts import Parts
from telex.sync.pipeline import Answers
from telex.sync.server import Server, serve

__all__ = ["Answers", "Connection", "Parts", "Server", "connect", "serve"]
