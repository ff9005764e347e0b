"""The server under soak, in a process of its own: its counters are nobody else's."""

from __future__ import annotations

import asyncio
import collections
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import telex.asyncio
import telex.sync
from telex import Application, Limits, Message, Observer, TelexError
from telex.application.peer import Peer
from telex.server.registry import Registry
from tests.soak import counters, faults
from tests.soak.application import Done, new_application
from tests.soak.disturbances import RaisingFilter, RaisingObserver
from tests.soak.process import QUIET_SECONDS, answer_commands
from tests.soak.records import Records

LIMITS: Final = Limits(
    max_header_size=4096,
    max_content_size=1 << 20,
    max_buffered=12 << 20,
    max_connections=240,
    header_timeout=3.0,
    handshake_timeout=5.0,
    idle_timeout=10.0,
    ping_interval=1.0,
    ping_timeout=4.0,
    max_pending=16,
    high_water=64 << 10,
    drain_timeout=10.0,
)
"""Limits that two hundred clients reach."""

_MAX_WORKERS: Final = 24

_LIMITS_BY_WORDS: Final = {
    "the server holds": "max_buffered",
    "connections, its most": "max_connections",
    "whole header": "header_timeout",
    "bytes a second": "min_rate",
    "TLS handshake": "handshake_timeout",
    "hello": "handshake_timeout",
    "ping": "ping_timeout",
    "far too slowly": "high_water (cut off)",
    "header block is": "max_header_size",
    "content is": "max_content_size",
}


class Tally(Observer):
    """Counts how connections end, which limits were reached, and whether each begin has its end."""

    def __init__(self, done: Done) -> None:
        self._done: Final = done
        self.balance: Final[collections.Counter[str]] = collections.Counter()
        self.endings: Final[collections.Counter[str]] = collections.Counter()
        self.limits: Final[collections.Counter[str]] = collections.Counter()
        self.failed: Final[collections.Counter[str]] = collections.Counter()
        self.messages: int = 0

    def connected(self, peer: Peer) -> None:
        """Count a connection."""
        self.balance["connections"] += 1

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Count an ending, and the limit that it names."""
        self.balance["connections"] -= 1
        self._done.notes.pop(peer.address, None)
        self.endings[_ending(error)] += 1
        code = getattr(error, "code", "")
        if error is not None and getattr(error, "by", "us") == "us":
            limit = next(
                (name for words, name in _LIMITS_BY_WORDS.items() if words in str(error)), ""
            )
            if code == "timeout" and not limit:
                limit = "idle_timeout"
            if limit and code != "unauthorized":
                self.limits[limit] += 1

    def message_received(self, peer: Peer, message: Message) -> None:
        """Count a message, and whether too many wait behind it."""
        self.messages += 1
        if peer.queues.messages >= LIMITS.max_pending:  # type: ignore[attr-defined]
            self.limits["max_pending"] += 1

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Count where output is above the high-water mark."""
        if peer.queues.unsent >= LIMITS.high_water:  # type: ignore[attr-defined]
            self.limits["high_water"] += 1

    def handler_started(self, peer: Peer, message: Message, pattern: str | None) -> None:
        """Count a handler at work."""
        self.balance["handlers"] += 1

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Count a handler that is done."""
        self.balance["handlers"] -= 1

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """Count why a message was not handled."""
        self.failed[code] += 1


class SoakedServer:
    """The server, its application, and everything that is counted about both."""

    def __init__(self, options: dict[str, Any]) -> None:
        dice = random.Random(f"{options['seed']} server")
        self.done: Final = Done()
        self.tally: Final = Tally(self.done)
        self.records: Final = Records()
        self.front_end: Final[str] = options["front_end"]
        self.application: Final[Application] = new_application(
            self.done, dice, in_loop=self.front_end != "sync"
        )
        self.loop: asyncio.AbstractEventLoop | None = None
        self.registry: Registry | None = None
        self._plan: Final[list[str]] = options["faults"]
        # Without TLS there is nothing that proves the server; tokens work all the same.
        certificate = options["certificate"]
        self.terms: Final[dict[str, Any]] = {
            "limits": LIMITS,
            "tokens": options["tokens"],
            "tls": None if certificate is None else telex.tls.server_context(*certificate),
            "observer": [self.tally, RaisingObserver(dice)],
            "max_workers": _MAX_WORKERS,
        }
        scheme = "tcp" if certificate is None else "tls"
        self.address: Final = f"{scheme}://127.0.0.1:0"
        self.records.install(RaisingFilter(dice))

    # Commands

    def plant(self) -> None:
        """Begin with the faults that a test of the soak plants."""
        for name in self._plan:
            faults.PLANTS[name](self)

    def wait_until_quiet(self) -> list[str]:
        """Wait until nothing is left of the clients; return what is left after all patience."""
        deadline = time.monotonic() + QUIET_SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"{what}: {number:,}" for what, number in left.items()]

    def count(self) -> dict[str, int]:
        """Count what this process holds."""
        return counters.count(self.loop)

    def report(self) -> dict[str, Any]:
        """Tell what has happened so far."""
        return {
            "endings": self.tally.endings,
            "limits": self.tally.limits,
            "failed": self.tally.failed,
            "messages": self.tally.messages,
            "handled": self.done.handled,
            "sum": self.done.sum,
            "logged": self.records.levels,
            "problems": self.records.problems.texts(),
        }

    def _left(self) -> dict[str, int]:
        """Return what is not zero and should be when no client is left."""
        assert self.registry is not None
        left = {
            "connections": len(self.registry.drivers),
            "connections without an end, as observers see it": self.tally.balance["connections"],
            "handlers without an end, as observers see it": self.tally.balance["handlers"],
            "generators at work": self.done.generators,
            "bytes that the server counts as held": self.registry.bytes_held,
        }
        return {what: number for what, number in left.items() if number}


def serve(server: SoakedServer) -> None:
    """Serve until the standard input ends."""
    if server.front_end == "sync":
        with telex.sync.serve(server.application, server.address, **server.terms) as blocking:
            server.registry = blocking._registry
            with _commands(server, str(blocking.address), blocking.shutdown):
                blocking.serve_forever(handle_signals=False)
    else:
        telex.asyncio.run(_serve_in_loop(server), uvloop=server.front_end == "uvloop")


async def _serve_in_loop(server: SoakedServer) -> None:
    loop = server.loop = asyncio.get_running_loop()
    async with telex.asyncio.serve(server.application, server.address, **server.terms) as awaited:
        server.registry = awaited._server.registry

        def shut_down() -> None:
            loop.call_soon_threadsafe(awaited.shutdown)

        with _commands(server, str(awaited.address), shut_down):
            await awaited.serve_forever(handle_signals=False)


@contextmanager
def _commands(server: SoakedServer, address: str, shut_down: Any) -> Iterator[None]:
    """Answer commands in a thread of their own; end the server when no more can come."""

    def answer() -> None:
        commands = {name: getattr(server, name) for name in ("plant", "wait_until_quiet", "count")}
        answer_commands({**commands, "report": server.report, "address": lambda: address})
        shut_down()

    thread = threading.Thread(target=answer, name="commands")
    thread.start()
    yield
    thread.join()


def _ending(error: TelexError | None) -> str:
    if error is None:
        return "closed"
    by = getattr(error, "by", "us")
    code = getattr(error, "code", type(error).__name__)
    return f"{code}, by {'this side' if by == 'us' else 'the peer'}"


if __name__ == "__main__":
    serve(SoakedServer(json.loads(sys.argv[1])))
