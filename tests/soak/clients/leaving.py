"""Clients that leave without a word, in every state that a connection passes through."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final

from telex import Message
from tests.encrypted import EncryptedSocket
from tests.soak.clients.client import BareClient, request

Socket = socket.socket | EncryptedSocket

_CLOSE: Final = Message({"code": "closed"}, kind="close").to_bytes()


class Leaving(BareClient):
    """Goes on to a random state, and leaves there: with an end of the stream, or with a reset."""

    name = "leaving"

    def live(self) -> str:
        """Connect, go on to some state, and leave."""
        sock = self.plug_in()
        try:
            where = self.dice.choice((*_BEFORE_TLS, *_STATES))
            if where in _BEFORE_TLS:
                _BEFORE_TLS[where](self, sock)
            else:
                _STATES[where](self, self.encrypted(sock))
            self.sleep(self.dice.choice((0, 0.02, 0.5)))
            if self.dice.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            sock.close()
        return f"left {where}"

    def shut_down(self, sock: socket.socket) -> None:
        """End the output, and stay for the answer to nothing."""
        sock.shutdown(socket.SHUT_WR)
        self.hear(sock, 1.0)

    def say_some_of_tls(self, sock: socket.socket) -> None:
        """Send the first part of a TLS handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = self.world.tls or ssl.create_default_context()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            data = outgoing.read()
            sock.sendall(data[: self.dice.randint(1, len(data))])

    def say(self, sock: Socket, data: bytes, *, cut: bool = False) -> None:
        """Say hello and this, which may be cut anywhere."""
        end = self.dice.randint(1, len(data)) if cut else len(data)
        sock.sendall(self.hello() + data[:end])


def _nothing(client: Leaving, sock: Socket) -> None:
    """Say nothing."""


def _some_of_hello(client: Leaving, sock: Socket) -> None:
    hello = client.hello()
    sock.sendall(hello[: client.dice.randint(1, len(hello))])


def _half_closed(client: Leaving, sock: Socket) -> None:
    client.say(sock, request(1, "slow"))
    sock.shutdown(socket.SHUT_WR)
    client.hear(sock, 1.0)


_BEFORE_TLS: Final[dict[str, Callable[[Leaving, socket.socket], None]]] = {
    "before anything": _nothing,
    "in the TLS handshake": Leaving.say_some_of_tls,
    "with half a connection": Leaving.shut_down,
}

_STATES: Final[dict[str, Callable[[Leaving, Socket], None]]] = {
    "before hello": _nothing,
    "in hello": _some_of_hello,
    "after hello": lambda client, sock: client.say(sock, b""),
    "in a message": lambda client, sock: client.say(
        sock, request(1, "number", {"number": 0, "filling": "x" * 5000}), cut=True
    ),
    "asking": lambda client, sock: client.say(sock, request(1, "slow") + request(2, "thread")),
    "asking much": lambda client, sock: client.say(
        sock, b"".join(request(n, "thread") for n in range(1, 60))
    ),
    "in an answer without an end": lambda client, sock: client.say(
        sock, request(1, "endless", {"number": 0, "size": 1000})
    ),
    "watching": lambda client, sock: client.say(sock, request(1, "watch")),
    "in parts from a thread": lambda client, sock: client.say(
        sock, request(1, "thread-parts", {"number": 0, "count": 5000})
    ),
    "while it is pushed to": lambda client, sock: client.say(
        sock, request(1, "thread-push", {"number": 0, "count": 500, "size": 1000})
    ),
    "with a large answer": lambda client, sock: client.say(
        sock, request(1, "large", {"size": 1_000_000})
    ),
    "with half a connection, asking": _half_closed,
    "after close": lambda client, sock: client.say(sock, request(1, "slow") + _CLOSE),
    "after close, watching": lambda client, sock: client.say(sock, request(1, "watch") + _CLOSE),
}
