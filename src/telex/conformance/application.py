"""The fixed application: what a server must offer to be tested with the conversations.

It works on every server of Telex.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from telex.application.application import Application
from telex.errors import Refusal
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.application.peer import Peer

_LONGEST_HOLD = 5.0
"""Seconds after which a held request is answered in any case, so that no thread is left behind."""


def fixed_application() -> Application:
    """Return the application; each server needs its own."""
    app = Application()
    held: dict[Peer, threading.Event] = {}

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
        held.setdefault(peer, threading.Event()).wait(_LONGEST_HOLD)
        return Message(message.body, content_type=message.content_type, encoding=message.encoding)

    @app.on("release")
    def release(message: Message, peer: Peer) -> None:
        held.setdefault(peer, threading.Event()).set()

    @app.on("large")
    def large(message: Message) -> bytes:
        return bytes(int(message.content))

    return app
