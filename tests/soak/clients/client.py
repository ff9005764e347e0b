"""What every sort of client has: the world it lives in, its dice, and how it connects."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import telex.sync
from telex import Address, ConnectionClosedError, Limits, Message
from telex.conversation.greeting import Greeting
from tests.encrypted import EncryptedSocket
from tests.soak.ledger import Ledger

PATIENCE: Final = 40.0
"""Seconds after which a good client counts its request as not answered."""

_SOCKET_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
"""How often a client looks whether all is over."""


@dataclass
class World:
    """What all clients share."""

    calm: Address
    """A network that cuts and delays, and loses nothing."""
    rough: Address
    """A network that stalls and resets, too."""
    direct: Address
    """The server itself."""
    token: str
    tls: ssl.SSLContext | None
    ledger: Ledger = field(default_factory=Ledger)
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when every client should come to its end."""

    def options(self) -> dict[str, Any]:
        """Return the options of ``connect()``."""
        return {"token": self.token, "tls": self.tls, "timeout": PATIENCE}


class Client(ABC):
    """One client of a sort: it lives again and again, and each life has an outcome."""

    name: ClassVar[str]
    """The sort, in a few words."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world: Final = world
        self.dice: Final = dice


class ThreadClient(Client):
    """A client that has a thread of its own."""

    @abstractmethod
    def live(self) -> str:
        """Connect, do what this sort does, and leave; return how that ended.

        Raises TelexError or OSError, which are outcomes too. Any other exception is a fault.
        """

    def sleep(self, most: float) -> None:
        """Pause for a random time up to ``most`` seconds; not for long when all is over."""
        self.world.is_over.wait(self.dice.uniform(0, most))


class LoopClient(Client):
    """A client that is a task of an event loop."""

    @abstractmethod
    async def live(self) -> str:
        """Connect, do what this sort does, and leave; see ``ThreadClient.live``."""


class BareClient(ThreadClient):
    """A client without a front-end: it can be as rude as it likes on a plain socket."""

    def plug_in(self, *, receive_buffer: int = 0) -> socket.socket:
        """Connect a plain socket, through the rough network or directly."""
        address = self.dice.choice((self.world.rough, self.world.direct))
        sock = socket.socket()
        sock.settimeout(_SOCKET_SECONDS)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            sock.connect((address.host, address.port))
        except BaseException:
            sock.close()
            raise
        return sock

    @contextmanager
    def plugged_in(self, *, receive_buffer: int = 0) -> Iterator[socket.socket | EncryptedSocket]:
        """Connect a socket for the time of the context, and agree on TLS where that is spoken."""
        sock = self.plug_in(receive_buffer=receive_buffer)
        try:
            yield self.encrypted(sock)
        finally:
            sock.close()

    def encrypted(self, sock: socket.socket) -> socket.socket | EncryptedSocket:
        """Return the socket with TLS around it, where that is spoken."""
        if self.world.tls is None:
            return sock
        try:
            return EncryptedSocket(sock, self.world.tls, name="127.0.0.1")
        except EOFError as error:
            raise ConnectionError(str(error)) from error

    def hello(self, *, token: str | None = None, keepalive: bool = False) -> bytes:
        """Return the bytes of a hello with this client's token, or another."""
        greeting = Greeting("soak", token=token or self.world.token, keepalive=keepalive)
        content = greeting.hello(Limits()).content
        return Message(content, kind="hello").to_bytes()

    def hear(self, sock: socket.socket | EncryptedSocket, seconds: float) -> str:
        """Receive until the server ends the stream, at most for this time; say which it was."""
        deadline = time.monotonic() + seconds
        sock.settimeout(_LOOK_SECONDS)
        while time.monotonic() < deadline and not self.world.is_over.is_set():
            try:
                if not sock.recv(1 << 16):
                    return "ended by the server"
            except TimeoutError:
                continue
            except EOFError:
                return "ended by the server, without the end of TLS"
            except ssl.SSLError as error:
                return f"ended by TLS: {error.reason}"
        return "left"

    def wait_for_reset(self, sock: socket.socket | EncryptedSocket, seconds: float) -> str:
        """Read nothing until the server ends the connection, at most for this time."""
        for _ in range(int(seconds * 10)):
            if self.world.is_over.wait(0.1):
                return "left"
            bare = sock.bare if isinstance(sock, EncryptedSocket) else sock
            if bare.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _has_ended(bare):
                return "ended by the server"
        return "left"


def request(number: int, subject: str, content: object = None, **fields: Any) -> bytes:
    """Return the bytes of a request."""
    content = {"number": 0} if content is None else content
    return Message(content, subject=subject, kind="request", id=number, **fields).to_bytes()


def is_refusal(error: BaseException) -> bool:
    """Say whether the server lets nobody else in for the moment."""
    return isinstance(error, ConnectionClosedError) and error.code == "overloaded"


def _has_ended(sock: socket.socket) -> bool:
    """Say whether the connection is not established any more; Linux tells that."""
    established = 1
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] != established


def connect(world: World, address: Address, **options: Any) -> telex.sync.Connection:
    """Connect a blocking client."""
    return telex.sync.connect(address, **{**world.options(), **options})
