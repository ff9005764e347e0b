"""The handshake: which of ``hello`` and ``welcome`` have come, and whether the peer is admitted.

A client says hello, and the server answers welcome (wire format, "hello and welcome"). What they
say is written and read by ``greeting``. This module must never know messages of the application,
nor what else keeps a conversation from going on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.conversation.greeting import Greeting, PeerGreeting, read_greeting
from telex.conversation.mistakes import check_size, misplaced
from telex.conversation.outgoing import Outgoing
from telex.errors import ConnectionClosedError
from telex.limits import Limits
from telex.wire.message import Message
from telex.wire.processor import MessageProcessor

if TYPE_CHECKING:
    from mypy_extensions import i64

_BEFORE_ADMISSION: Final = ("hello", "ping", "close")
"""Kinds of the messages that a peer may send before a token has admitted it."""

MOST_BEFORE_ADMISSION: Final = 64
"""Messages that a peer may send before a token has admitted it: a server is not kept busy by
pings of peers that it does not know."""


class Handshake:
    """The handshake of one conversation. ``serves`` says which side this is.

    ``is_admitted`` says whether the peer may send anything: it is a server, it has shown a token,
    or no token is demanded. ``owner`` is the name that belongs to the token.
    """

    __slots__ = (
        "_greeting",
        "_has_greeted",
        "_heard",
        "_limits",
        "_outgoing",
        "_peer",
        "_serves",
        "is_admitted",
        "owner",
    )

    def __init__(
        self, greeting: Greeting, limits: Limits, outgoing: Outgoing, *, serves: bool
    ) -> None:
        self._greeting: Final = greeting
        self._limits: Final = limits
        self._outgoing: Final = outgoing
        self._serves: Final = serves
        self._has_greeted: bool = False
        self._heard: i64 = 0  # messages before admission
        self._peer: PeerGreeting | None = None
        self.is_admitted: bool = not serves or greeting.authenticate is None
        self.owner: str | None = None

    @property
    def peer_wants_keepalive(self) -> bool:
        """Whether the peer has asked this side to ping it while it is silent."""
        return self._peer is not None and self._peer.wants_keepalive

    def begin(self) -> bool:
        """Say hello if this side has to; return whether the handshake must end before all else."""
        if self._serves:
            return not self.is_admitted
        if self._greeting.is_wanted:
            self._has_greeted = True
            self._outgoing.say(self._greeting.hello(self._limits), "hello", 0, 0)
        return self._has_greeted

    def check_admits(self, message: Message) -> None:
        """Raise ConnectionClosedError if the peer must show its token before this message.

        And TooLargeError where it has too much content.
        """
        if self.is_admitted:
            return
        _check_before_admission(message.kind, len(message.body))
        self._heard += 1
        if self._heard > MOST_BEFORE_ADMISSION:
            raise _unauthorized(f"at most {MOST_BEFORE_ADMISSION} messages may come before a token")

    def check_begun(self, processor: MessageProcessor) -> None:
        """Do the same for a message of which only the header has come.

        So a peer that is not admitted fills no memory with content that will be refused.
        """
        fields = processor.fields
        if fields is not None:
            _check_before_admission(fields.kind, processor.content_length)

    def take_hello(self, message: Message, *, can_answer: bool, is_late: bool = False) -> None:
        """Read the client's hello, and answer it where this side can still send (``can_answer``).

        Raises ProtocolError for a second hello, one that comes late (``is_late``), and one that
        cannot be read; ConnectionClosedError for one without a token that is known here.
        """
        if not self._serves:
            raise misplaced(message, "only a client says it")
        if self._has_greeted:
            raise misplaced(message, "it came a second time")
        if is_late:
            raise misplaced(message, "only plain messages and pings may come before it")
        self._has_greeted = True
        peer = self._read(message)
        authenticate = self._greeting.authenticate
        if authenticate is not None:
            if peer.token is None:
                raise _unauthorized("hello is refused: it holds no token")
            self.owner = authenticate(peer.token)
            if self.owner is None:
                raise _unauthorized("hello is refused: its token is not known here")
            self.is_admitted = True
        if can_answer:
            self._outgoing.say(self._greeting.welcome(self._limits), "welcome", 0, 0)

    def take_welcome(self, message: Message) -> None:
        """Read the server's welcome.

        Raises ProtocolError for a welcome that answers no hello, and for one that cannot be read.
        """
        if self._serves:
            raise misplaced(message, "only a server says it")
        if self._peer is not None or not self._has_greeted:
            raise misplaced(message, "it answers no hello")
        self._read(message)

    def _read(self, message: Message) -> PeerGreeting:
        """Read what the peer is ready to receive, and keep to that from now on."""
        try:
            peer = read_greeting(message)
        except ValueError as error:
            problem = str(error)
        else:
            self._peer = peer
            self._outgoing.keep_to(peer)
            return peer
        raise misplaced(message, problem)


def _check_before_admission(kind: str | None, length: i64) -> None:
    if kind not in _BEFORE_ADMISSION:
        raise _unauthorized("this server demands a token, and the client sent none in a hello")
    check_size(kind, length)


def _unauthorized(why: str) -> ConnectionClosedError:
    return ConnectionClosedError("us", why, code="unauthorized")
