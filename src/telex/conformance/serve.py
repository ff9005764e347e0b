"""A test peer for clients: the fixed application, and the conversations with a client by subject.

A connection is passed on to a server of Telex, which offers the fixed application, until a request
comes whose subject is ``conversation.NAME``. From then on the steps of this conversation are
played, and judged.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from telex.conformance.channel import Channel
from telex.conformance.player import GENEROUS, Incoming, Player, Shortfall
from telex.conformance.run import Conversation, setup_of
from telex.errors import ProtocolError
from telex.limits import Limits
from telex.network.listener import listen
from telex.testing.serving import ServingInThread
from telex.wire.processor import MessageProcessor

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from telex.address import Address
    from telex.application.application import Application

SUBJECT: Final = "conversation."
"""What the subject of a request begins with that asks for a conversation by its name."""

_BEFORE: Final = ("hello", "ping")
"""Kinds that may come before such a request."""

_LAST_WORDS: Final = 1.0
"""Seconds in which a client may read what was said last before its connection is closed."""

_PATIENCE: Final = 10.0

_AT_ONCE: Final = 64 * 1024
_MOST_BEFORE: Final = 1024 * 1024
"""Bytes before a request, and of it, after which none is looked for any more."""


class Judged(NamedTuple):
    """A conversation that a client asked for, and what it fell short of, if anything."""

    name: str
    shortfall: Shortfall | None


class Entry(NamedTuple):
    """A conversation that a client can ask for: the steps that follow its first request."""

    conversation: Conversation
    first: int
    """The number of the first of these steps, counted from 1."""


def entries(conversations: Iterable[Conversation]) -> dict[str, Entry]:
    """Return the conversations that a client can ask for, by name.

    They begin with a request of the program, after a ``hello`` or not, and need nothing of the
    program after that.
    """
    found: dict[str, Entry] = {}
    for one in conversations:
        if one["role"] != "client" or one.get("needs"):
            continue
        at = next((at for at, step in enumerate(one["steps"]) if "do" in step), None)
        if at is not None and _is_asked_by(one, at):
            found[one["name"]] = Entry(one, at + 2)
    return found


def _is_asked_by(conversation: Conversation, at: int) -> bool:
    steps = conversation["steps"]
    request = steps[at]["do"].get("request", {})
    greets = all(_kind_of(step) in ("hello", "welcome") for step in steps[:at])
    acts_later = any("do" in step for step in steps[at + 1 :])
    return greets and not acts_later and request.get("subject") == SUBJECT + conversation["name"]


def _kind_of(step: Mapping[str, Any]) -> str | None:
    [what] = step.values()
    return what.get("kind") if isinstance(what, dict) else None


class PeerForClients:
    """The listening test peer; ``tell`` is called with each conversation that is over.

    ``setup`` is that of the conversations: the token that is demanded, and limits. Raises
    AddressError.
    """

    def __init__(
        self,
        application: Application,
        address: Address,
        conversations: Iterable[Conversation],
        setup_name: str,
        setup: Mapping[str, Any],
        tell: Callable[[Judged], None],
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float,
    ) -> None:
        of_setup = (one for one in conversations if setup_of(one) == setup_name)
        self._entries: Final = entries(of_setup)
        self._tell: Final = tell
        self._tls: Final = tls
        self._timeout: Final = timeout
        self._listeners, bound = listen(address)
        self.address: Final[Address] = bound
        try:
            self._behind = ServingInThread(application, "tcp://127.0.0.1:0", options_of(setup))
        except BaseException:
            self._stop_listening()
            raise
        self._bell, self._wakes = socket.socketpair()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def serve_forever(self) -> None:
        """Serve, each connection in a thread of its own, until ``shutdown``."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakes, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener.socket, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    if key.fileobj is self._wakes:
                        return
                    self._accept(key.fileobj)

    def shutdown(self) -> None:
        """Have ``serve_forever`` return; any thread may call this."""
        self._bell.send(b".")

    def close(self) -> None:
        """Stop listening, and end the server behind."""
        self._stop_listening()
        self._behind.shutdown()
        self._behind.has_ended(_PATIENCE)
        self._bell.close()
        self._wakes.close()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _accept(self, listening: Any) -> None:
        try:
            sock, _peer = listening.accept()
        except OSError:  # whoever connected is gone
            return
        sock.setblocking(True)
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            channel = Channel(sock, self._tls, timeout=self._timeout, is_server=True)
        except OSError:  # no TLS, or not ours: there is nobody to talk to
            return
        with channel:
            passage = _Passage(channel, self._behind.address, self._entries)
            with contextlib.suppress(OSError):  # the client or the server has gone
                asked = passage.pass_on()
                if asked is not None:
                    self._judge(channel, *asked)

    def _judge(self, channel: Channel, entry: Entry, incoming: Incoming) -> None:
        steps = entry.conversation["steps"][entry.first - 1 :]
        player = Player(channel, steps, timeout=self._timeout, incoming=incoming)
        self._tell(Judged(entry.conversation["name"], player.play(entry.first)))
        channel.end()
        channel.let_read(_LAST_WORDS)


def options_of(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a server of Telex is in this setup."""
    options: dict[str, Any] = {"limits": Limits(**setup.get("limits", {}))}
    if setup.get("token") is not None:
        options["tokens"] = {"tester": setup["token"]}
    return options


class _Passage:
    """Passes a connection on to the server behind, until a conversation is asked for."""

    def __init__(self, channel: Channel, behind: Address, known: Mapping[str, Entry]) -> None:
        self._channel: Final = channel
        self._known: Final = known
        self._server: Final = socket.create_connection((behind.host, behind.port), _PATIENCE)
        self._server.settimeout(None)
        self._is_asked = False
        self._back: Final = threading.Thread(target=self._pass_back, daemon=True)

    def pass_on(self) -> tuple[Entry, Incoming] | None:
        """Pass everything on; return what was asked for, or None at the end of the connection."""
        asked = None
        with contextlib.closing(self._server):
            self._back.start()
            with contextlib.suppress(OSError):  # the server has ended: it has told the client why
                asked = self._read()
            self._is_asked = asked is not None
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)
            self._back.join()
            if asked is None:
                self._channel.let_read(_LAST_WORDS)
        return asked

    def _read(self) -> tuple[Entry, Incoming] | None:
        begun = bytearray()
        processor = MessageProcessor(GENEROUS)
        count = 0
        while data := self._channel.receive():
            begun += data
            try:
                messages = processor.receive_messages(data)
            except ProtocolError:
                messages = []
            for at, message in enumerate(messages):
                entry = self._known.get((message.subject or "").removeprefix(SUBJECT))
                if message.kind == "request" and entry is not None:
                    before = _first(count + at, begun)
                    self._server.sendall(data[: max(0, len(data) - len(begun) + before)])
                    return entry, Incoming(self._channel, processor, messages[at:])
            count += len(messages)
            self._server.sendall(data)
            may_ask = processor.error is None and len(begun) <= _MOST_BEFORE
            if not may_ask or any(message.kind not in _BEFORE for message in messages):
                self._pass_rest()
                break
        return None

    def _pass_rest(self) -> None:
        while data := self._channel.receive():
            self._server.sendall(data)

    def _pass_back(self) -> None:
        """Pass on what the server says; its ``close`` is not for a client that asked."""
        processor = MessageProcessor(GENEROUS)
        with contextlib.suppress(OSError):
            while data := self._server.recv(_AT_ONCE):
                for message in processor.receive_messages(data):
                    if not (self._is_asked and message.kind == "close"):
                        self._channel.send(message.to_bytes())
            if not self._is_asked:
                self._channel.end()


def _first(count: int, stream: bytearray) -> int:
    """Return how many bytes the first messages of a stream are."""
    at = 0
    for _ in range(count):
        content = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        at = content + int(json.loads(stream[at + 2 : content])["content-length"])
    return at
