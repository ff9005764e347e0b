"""A server's turn without a network: requests that have come, to the answers that are sent.

A pair of joined sockets stands for the connection. All else is what the blocking server runs on,
from its loop to its handlers, in one thread and without a client beside it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Final

from benchmarks.standing_clock import standing_clock
from benchmarks.task import Job
from telex import Application, Limits, Message, MessageProcessor
from telex.conversation.greeting import Greeting
from telex.server.registry import Registry
from telex.sync.loop import Loop
from telex.sync.server_driver import ServerDriver

_RECEIVE_SIZE: Final = 1024 * 1024
_SUBJECT: Final = "orders.new"


@contextlib.contextmanager
def server_turn(requests: int, content_size: int) -> Iterator[Job]:
    """Prepare the job of one turn: so many requests come, and each is answered by a handler."""
    content = bytes(content_size)
    received = b"".join(_request(number, content) for number in range(1, requests + 1))
    buffer = memoryview(bytearray(_RECEIVE_SIZE))
    with _connected(_application(content)) as (loop, peer):

        def turn() -> bytes:
            peer.sendall(received)
            loop.turn()
            return bytes(buffer[: peer.recv_into(buffer)])

        answered = turn()
        _check(answered, requests, content)
        yield lambda: requests if turn() == answered else 0


def _request(number: int, content: bytes) -> bytes:
    return Message(content, kind="request", id=number, subject=_SUBJECT).to_bytes()


def _application(answer: bytes) -> Application:
    application = Application()

    @application.on(_SUBJECT)
    def take(message: Message) -> bytes:
        return answer

    return application


@contextlib.contextmanager
def _connected(application: Application) -> Iterator[tuple[Loop, socket.socket]]:
    """Make a server's loop with one connection, and the socket at the other end of that."""
    registry = Registry(application, Limits(), Greeting("benchmarks"), None, None, None)
    with standing_clock(), contextlib.closing(Loop(registry)) as loop:
        served, peer = socket.socketpair()
        with served, peer:
            served.setblocking(False)
            peer.setblocking(False)
            loop.calls.enter()
            ServerDriver(loop, served, "a peer").begin()
            yield loop, peer


def _check(answered: bytes, requests: int, content: bytes) -> None:
    """Raise RuntimeError unless every request was answered, and in one turn."""
    answers = MessageProcessor().receive_messages(answered)
    found = [(answer.re, answer.content) for answer in answers if answer.kind == "reply"]
    if found != [(number, content) for number in range(1, requests + 1)]:
        raise RuntimeError(f"a turn answered {len(found)} of {requests} requests")
