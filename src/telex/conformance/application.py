"""The fixed application: what a server must offer to be tested with the conversations.

It works on every server of Telex.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from telex.application.application import Application
from telex.application.observer import Observer
from telex.errors import Refusal, TelexError
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.application.peer import Peer

_LONGEST_HOLD = 5.0
"""Seconds after which a held request is answered in any case, so that no thread is left behind."""


class _Held(Observer):
    """What the connections hold, until it is released or they end."""

    def __init__(self) -> None:
        self._released: dict[Peer, threading.Event] = {}

    def connected(self, peer: Peer) -> None:
        """Hold what this peer asks for."""
        self._released[peer] = threading.Event()

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Hold it no longer."""
        self._released.pop(peer).set()

    def wait(self, peer: Peer) -> None:
        """Wait until what the peer asked for is released."""
        released = self._released.get(peer)
        if released is not None:
            released.wait(_LONGEST_HOLD)

    def release(self, peer: Peer) -> None:
        """Hold nothing of this peer any more."""
        self._released[peer].set()


def fixed_application() -> Application:
    """Return the application; each server needs its own."""
    app = Application()
    held = _Held()
    app.observers.append(held)

    @app.on("echo")
    def echo(message: Message, peer: Peer) -> Message | None:
        same = Message(
            message.body,
            content_type=message.content_type,
            encoding=message.encoding,
            subject="echo" if message.kind is None else None,
        )
        if message.kind is None:
            peer.send(same)
            return None
        return same

    @app.on("count")
    def count(message: Message) -> Iterator[str]:
        for number in range(1, int(message.content) + 1):
            yield str(number)

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("not-today", "this subject is always refused")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise RuntimeError("this subject always fails")

    @app.on("fail-midway")
    def fail_midway(message: Message) -> Iterator[str]:
        yield "1"
        raise RuntimeError("this subject always fails after one part")

    @app.on("hold", concurrent=True, blocking=True)
    def hold(message: Message, peer: Peer) -> Message:
        held.wait(peer)
        return Message(message.body, content_type=message.content_type, encoding=message.encoding)

    @app.on("release")
    def release(message: Message, peer: Peer) -> None:
        held.release(peer)

    @app.on("large")
    def large(message: Message) -> bytes:
        return bytes(int(message.content))

    return app
