"""What all servers of Telex have in common here: the application, its limits, and its bytes."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.peers.contestants.base import Service, Tally, Wire
from telex import Application, Limits, Message

END: Final = "end"
"""The subject of the message that ends what is sent one way."""

LIMITS: Final = Limits(max_connections=30_000)

_NUMBERS: Final = range(1_000, 10_000)
"""Ids of requests: as many as have the same number of digits."""


def new_application(service: Service, tally: Tally) -> Application:
    """Make the application that takes what comes, or sends it back."""
    app = Application()
    note = tally.note

    def take(message: Message) -> None:
        note(len(message.content))

    def echo(message: Message) -> Any:
        return message.content

    @app.on(END)
    def end(message: Message) -> None:
        tally.end()

    app.on()(take if service is Service.SINK else echo)
    return app


def wire_of(content: bytes) -> Wire:
    """Return the bytes of requests, and how many an answer has."""
    requests = tuple(Message(content, kind="request", id=number).to_bytes() for number in _NUMBERS)
    answer = Message(content, kind="reply", re=_NUMBERS[0]).to_bytes()
    return Wire(b"", lambda received: True, requests, len(answer))
