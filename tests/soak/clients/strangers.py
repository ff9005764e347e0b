"""Clients that speak something else: garbage in place of messages, or no TLS, or HTTP."""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import struct
from collections.abc import Callable
from typing import Final

import telex.sync
from telex import ConnectError, Message
from tests.soak.clients.client import BareClient, ThreadClient, request

_OTHER_PROTOCOLS: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: soak\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    b"\r\n\r\n",
)


class Garbage(BareClient):
    """Sends what is no message, or none that may come here, with and without hello before it."""

    name = "speaking garbage"

    def live(self) -> str:
        """Send something wrong, and hear what the server says to it."""
        with self.plugged_in() as sock:
            if self.dice.random() < 0.8:
                sock.sendall(self.hello())
            what, make = self.dice.choice(tuple(_GARBAGE.items()))
            sock.sendall(make(self.dice))
            return f"{what}: {self.hear(sock, 2.0)}"


class WrongToken(BareClient):
    """Has no token, or a wrong one."""

    name = "with a wrong token"

    def live(self) -> str:
        """Be refused."""
        with self.plugged_in() as sock:
            token = self.dice.choice(("", "guessed", "x" * 5000))
            hello = self.hello(token=token) if token else request(1, "number")
            sock.sendall(hello + request(2, "number"))
            return self.hear(sock, 5.0)


class NoTls(BareClient):
    """Speaks another protocol than the server, from the first byte on."""

    name = "speaking no TLS"

    def live(self) -> str:
        """Say something that is not TLS, and hear what the server says to it."""
        with self.plug_in() as sock:
            noise = self.dice.randbytes(self.dice.randint(1, 3000))
            sock.sendall(self.dice.choice((*_OTHER_PROTOCOLS, noise, self.hello())))
            return self.hear(sock, 2.0)


class Distrusting(ThreadClient):
    """Does not trust the server's certificate."""

    name = "distrusting"

    def live(self) -> str:
        """Connect, and break the handshake off."""
        with contextlib.suppress(ConnectError):
            address = self.dice.choice((self.world.rough, self.world.direct))
            context = ssl.create_default_context() if self.world.tls is not None else None
            telex.sync.connect(address, tls=context, timeout=10.0).close()
            return "connected"
        return "not connected"


class Failing(ThreadClient):
    """Asks for what fails: handlers that raise, refuse, or do not exist."""

    name = "asking for failures"
    _CODES = (
        ("fail", "handler-failed"),
        ("refuse", "out-of-stock"),
        ("fail-in-thread", "handler-failed"),
        ("unwritable", "handler-failed"),
        ("nothing-of-this-name", "no-handler"),
    )

    def live(self) -> str:
        """Be told of each failure by its code."""
        address = self.dice.choice((self.world.calm, self.world.direct))
        with telex.sync.connect(address, **self.world.options()) as connection:
            for _ in range(self.dice.randint(1, 5)):
                subject, code = self.dice.choice(self._CODES)
                try:
                    connection.request({"number": 0}, subject=subject, timeout=40.0)
                except telex.RemoteError as error:
                    if error.code != code:
                        self.world.ledger.problems.add(f"{self.name}: {subject} ended in {error}")
                else:
                    self.world.ledger.problems.add(f"{self.name}: {subject} did not fail")
                parts = connection.request_parts({"number": 0}, subject="fail-in-parts")
                with contextlib.suppress(telex.RemoteError):
                    for _ in parts:
                        pass
                self.sleep(0.2)
        return "closed"


def _block(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">H", len(text)) + text


def _cut_anywhere(dice: random.Random) -> bytes:
    """Return a request of which some bytes were changed."""
    data = bytearray(request(1, "number") * 3)
    for _ in range(dice.randint(1, 5)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


def _nested(dice: random.Random) -> bytes:
    deep = "[" * 1500 + "]" * 1500
    text = f'{{"x":{deep},"content-length":0}}'.encode()
    return struct.pack(">H", len(text)) + text


_GARBAGE: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "random bytes": lambda dice: dice.randbytes(dice.randint(1, 3000)),
    "changed bytes": _cut_anywhere,
    "a header that is no JSON": lambda dice: struct.pack(">H", 9) + b"{no json}",
    "a header that is too large": lambda dice: _block({"x": "y" * 8000, "content-length": 0}),
    "lists in lists": _nested,
    "content that is too large": lambda dice: _block({"content-length": 1 << 30}),
    "content that does not fit": lambda dice: request(1, "typed", ["no", "numbers"]),
    "a request without id": lambda dice: Message(1, kind="request").to_bytes(),
    "two requests with one id": lambda dice: request(1, "slow") + request(1, "slow"),
    "an answer to nothing": lambda dice: Message(1, kind="reply", re=77).to_bytes(),
    "an unknown kind": lambda dice: Message(1, kind="whatever", id=1).to_bytes(),
    "error messages": lambda dice: (
        Message({"code": "x", "detail": "\x1b" * 500}, kind="error").to_bytes() * 20
    ),
    "hello again": lambda dice: Message({"version": 1}, kind="hello").to_bytes() * 2,
    "more after close": lambda dice: (
        Message({"code": "closed"}, kind="close").to_bytes() + request(1, "number") * 50
    ),
    "HTTP": lambda dice: _OTHER_PROTOCOLS[0],
}
