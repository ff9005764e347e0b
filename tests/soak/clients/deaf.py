"""Clients that read nothing, or too little, or send too slowly: they reach the limits on time."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Final

from telex import Message
from tests.encrypted import EncryptedSocket
from tests.soak.clients.client import BareClient, request

_LONGEST: Final = 15.0
"""Seconds after which such a client leaves, if nobody has ended it."""

_BUFFER: Final = 4096
_CLOSE: Final = Message({"code": "closed"}, kind="close").to_bytes()


class Deaf(BareClient):
    """Asks for more than it will ever read, and reads nothing."""

    name = "deaf"

    def live(self) -> str:
        """Ask, and read nothing until the server ends that."""
        with self.plugged_in(receive_buffer=_BUFFER) as sock:
            bare = sock.bare if isinstance(sock, EncryptedSocket) else sock
            sock.sendall(self.hello())
            wish = self.dice.choice(
                (self._large, self._endless, self._watch, self._pushes, self._pings)
            )
            bare.settimeout(2.0)
            with contextlib.suppress(TimeoutError):
                sock.sendall(wish() + self.dice.choice((b"", _CLOSE)))
            return self.wait_for_reset(sock, _LONGEST)

    def _large(self) -> bytes:
        return b"".join(request(n, "large", {"size": 700_000}) for n in range(1, 11))

    def _endless(self) -> bytes:
        return request(1, "endless", {"number": 0, "size": self.dice.choice((100, 100_000))})

    def _watch(self) -> bytes:
        return request(1, "watch")

    def _pushes(self) -> bytes:
        subject = self.dice.choice(("push", "thread-push"))
        size = self.dice.choice((1000, 100_000))
        return request(1, subject, {"number": 0, "count": 200, "size": size})

    def _pings(self) -> bytes:
        return b"".join(Message(b"", kind="ping", id=n).to_bytes() for n in range(1, 5000))


class Slow(BareClient):
    """Says little, or nothing at all, until its time is over."""

    name = "slow"

    def live(self) -> str:
        """Be slow in one way."""
        with self.plugged_in() as sock:
            ways = (
                self._header_by_bytes,
                self._content_by_bytes,
                self._idle,
                self._no_hello,
                self._no_pong,
                self._slow_reader,
            )
            return self.dice.choice(ways)(sock)

    def _header_by_bytes(self, sock: socket.socket | EncryptedSocket) -> str:
        sock.sendall(self.hello())
        return self._trickle(sock, request(1, "number"), pause=0.5)

    def _content_by_bytes(self, sock: socket.socket | EncryptedSocket) -> str:
        sock.sendall(self.hello())
        block = json.dumps({"content-length": 60_000}).encode()
        sock.sendall(struct.pack(">H", len(block)) + block)
        return self._trickle(sock, bytes(60_000), pause=0.5)

    def _idle(self, sock: socket.socket | EncryptedSocket) -> str:
        sock.sendall(self.hello())
        return self.hear(sock, _LONGEST)

    def _no_hello(self, sock: socket.socket | EncryptedSocket) -> str:
        return self.hear(sock, _LONGEST)

    def _no_pong(self, sock: socket.socket | EncryptedSocket) -> str:
        sock.sendall(self.hello(keepalive=True))
        return self.hear(sock, _LONGEST)

    def _slow_reader(self, sock: socket.socket | EncryptedSocket) -> str:
        """Read as slowly as is still allowed, and take all that was asked for."""
        sock.sendall(self.hello() + request(1, "large", {"size": 300_000}) + _CLOSE)
        while sock.recv(30_000) and not self.world.is_over.wait(0.05):
            pass
        return "closed"

    def _trickle(self, sock: socket.socket | EncryptedSocket, data: bytes, pause: float) -> str:
        for at in range(len(data)):
            if self.world.is_over.wait(pause) or at * pause > _LONGEST:
                return "left"
            sock.sendall(data[at : at + 1])
        return "sent"


class Mute(BareClient):
    """Connects, and says nothing, not even TLS."""

    name = "mute"

    def live(self) -> str:
        """Wait for the server's patience to end."""
        sock = self.plug_in()
        with sock:
            return self.hear(sock, _LONGEST)


class Hoarder(BareClient):
    """Announces content that it does not send to its end, on several connections at a time."""

    name = "hoarding"
    _CONNECTIONS = 5

    def live(self) -> str:
        """Have the server keep as much as it may."""
        block = json.dumps({"content-length": 1_000_000}).encode()
        announcement = struct.pack(">H", len(block)) + block + bytes(950_000)
        with contextlib.ExitStack() as stack:
            hoard = []
            for _ in range(self._CONNECTIONS):
                sock = stack.enter_context(self.plugged_in())
                sock.settimeout(10.0)
                sock.sendall(self.hello() + announcement)
                hoard.append(sock)
            outcomes = [self.hear(sock, self.dice.uniform(0.1, 1.0)) for sock in hoard]
        return max(outcomes)


class Storm(BareClient):
    """Connects as often as it can at a time, which is more than the server takes."""

    name = "storming"
    _CONNECTIONS = 80

    def live(self) -> str:
        """Connect, wait and leave."""
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(self.plug_in()) for _ in range(self._CONNECTIONS)]
            self.sleep(1.0)
            if self.dice.random() < 0.5:
                for sock in crowd:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sleep(2.0)
        return "left"
