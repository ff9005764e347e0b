"""Plays the partner of one conversation over a channel, and judges what the tested end does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from telex.conformance.notation import matches, shown, shown_message, to_bytes
from telex.conversation.error_content import ENDING_CODES, read_problem
from telex.errors import ProtocolError
from telex.limits import MAX_HEADER_BLOCK, MAX_SAFE_INTEGER, Limits
from telex.wire.message import Message
from telex.wire.processor import MessageProcessor, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from telex.conformance.channel import Channel

GENEROUS: Final = Limits(max_header_size=MAX_HEADER_BLOCK, max_content_size=MAX_SAFE_INTEGER)
"""The partner judges what is sent to it, and refuses nothing by its size."""

_LAST_PING: Final = MAX_SAFE_INTEGER
"""The id of the ping with which the partner asks at the end whether there was anything else."""

_SENDING: Final = ("request", "send", "ping")
"""What a program does that sends one message."""

_QUIET: Final = 0.05
"""Seconds without a message after which there are no more, where the partner cannot ask."""

END: Final = "end"
_THE_END: Final = "the end of the stream"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a conversation fell short of: at which step, counted from 1."""

    step: int
    expected: str
    came: str

    def __str__(self) -> str:
        return f"step {self.step}: expected {self.expected}; came {self.came}"


class Program(Protocol):
    """What stands at the tested end, and acts there as the steps say."""

    def do(self, what: Mapping[str, Any]) -> None:
        """Begin to do it, and do not wait for what comes of it."""

    def result(self, what: Mapping[str, Any]) -> str | None:
        """Wait for this result; return None if it came, or else what came instead."""


class _Stranger:
    """A program that acts on its own, and says nothing: only what it sends is judged."""

    def do(self, what: Mapping[str, Any]) -> None:
        """Leave it to the program."""

    def result(self, what: Mapping[str, Any]) -> str | None:
        """Nobody knows."""
        return None


class _Unexpected(Exception):  # noqa: N818 - it is no error of this program
    """Something else came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(expected, came)
        self.expected: Final = expected
        self.came: Final = came


class Incoming:
    """The messages of the tested end, one after the other.

    ``processor`` has read the beginning of the stream, and ``messages`` came of it.
    """

    def __init__(
        self,
        channel: Channel,
        processor: MessageProcessor | None = None,
        messages: Iterable[Message] = (),
    ) -> None:
        self._channel: Final = channel
        self._processor: Final = processor or MessageProcessor(GENEROUS)
        self._waiting: Final = list(messages)
        self._end: str | None = None

    def next(self, timeout: float) -> Message | str | None:
        """Return the next message; a string that says how the stream ended; None after a while."""
        self.wait_for(1, timeout)
        return self._waiting.pop(0) if self._waiting else self._end

    def wait_for(self, count: int, timeout: float) -> None:
        """Wait until so many messages are there, or the end, or for as long as ``timeout``."""
        deadline = time.monotonic() + timeout
        while len(self._waiting) < count and self._end is None:
            data = self._channel.receive(max(0.0, deadline - time.monotonic()))
            if data is None:
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            if data:
                self._waiting.extend(self._processor.receive_messages(data))
                if self._processor.error is not None:
                    self._end = f"what is no message: {self._processor.error}"
            else:
                self._processor.receive_eof()
                self._end = _THE_END
        except ProtocolError as error:
            self._end = f"what is no message: {error}"


class Player:
    """Plays the steps of one conversation; ``timeout`` is for each thing that must come."""

    def __init__(
        self,
        channel: Channel,
        steps: Sequence[Mapping[str, Any]],
        *,
        timeout: float,
        program: Program | None = None,
        incoming: Incoming | None = None,
    ) -> None:
        self._channel: Final = channel
        self._steps: Final = steps
        self._timeout: Final = timeout
        self._program: Final[Program] = program or _Stranger()
        self._incoming: Final = incoming or Incoming(channel)
        self._sent: Final = MessageProcessor(GENEROUS)
        self._names: dict[str, int] = {}
        self._may_ask = True
        self._due = 0

    def play(self, first: int = 1) -> Shortfall | None:
        """Play all steps, of which the first one has this number; return the first shortfall."""
        for number, step in enumerate([*self._steps, None], first):
            try:
                self._check_is_all() if step is None else self._play(step)
            except _Unexpected as problem:
                return Shortfall(number, problem.expected, problem.came)
        return None

    def _play(self, step: Mapping[str, Any]) -> None:
        [(key, value)] = step.items()
        if key == "in":
            self._send(value)
        elif key == "out":
            self._expect([value])
        elif key == "out any order":
            self._expect(value)
        elif key == "do":
            self._incoming.wait_for(self._due, self._timeout)  # so that the order is the steps'
            self._program.do(value)
            self._due += any(name in value for name in _SENDING)
        elif key == "result":
            came = self._program.result(value)
            if came is not None:
                raise _Unexpected(f"the result {shown(value)}", came)
        elif key == "elapse":
            time.sleep(value)
        else:
            raise ValueError(f"unknown step: {key!r}")

    def _send(self, what: Mapping[str, Any] | str) -> None:
        """Send a message, bytes or the end; a peer that takes them no more is judged later."""
        if isinstance(what, str):
            self._may_ask = False
            self._channel.end()
            return
        data = to_bytes(what, self._names)
        try:
            if self._sent.state not in (State.FAILED, State.CLOSED):
                self._sent.receive_messages(data)
        except ProtocolError:
            self._may_ask = False
        if what.get("kind") == "close" or (
            what.get("kind") == "error" and "re" not in what and _code_of(what) in ENDING_CODES
        ):
            self._may_ask = False
        try:
            self._channel.send(data)
        except OSError:
            self._may_ask = False

    def _expect(self, wanted: Sequence[Mapping[str, Any] | str]) -> None:
        """Take as many messages as are wanted, in any order."""
        missing = list(wanted)
        self._due = 0
        while missing:
            expected = _shown(missing[0])
            if len(missing) > 1:
                expected = f"one of: {', '.join(map(_shown, missing))}"
            came = self._incoming.next(self._timeout)
            if came is None:
                raise _Unexpected(expected, f"nothing within {self._timeout:g} s")
            for candidate in missing:
                if self._is(candidate, came):
                    missing.remove(candidate)
                    break
            else:
                raise _Unexpected(expected, _shown(came))

    def _is(self, wanted: Mapping[str, Any] | str, came: Message | str) -> bool:
        if isinstance(wanted, str) or isinstance(came, str):
            self._may_ask = False
            return wanted == END and came == _THE_END
        if came.kind == "close" or (
            came.kind == "error" and came.re is None and read_problem(came, "").code in ENDING_CODES
        ):
            self._may_ask = False
        names = matches(wanted, came, self._names)
        if names is None:
            return False
        self._names = names
        return True

    def _check_is_all(self) -> None:
        """Raise if there was another message.

        Where both sides may still speak, a ping asks: what was said before comes before its pong.
        """
        if not self._may_ask or self._sent.state is not State.PROTO_HEADER:
            came = self._incoming.next(_QUIET)
            if came is not None and came != _THE_END:
                raise _Unexpected("no further message", _shown(came))
            return
        self._send({"kind": "ping", "id": _LAST_PING})
        came = self._incoming.next(self._timeout)
        if isinstance(self._program, _Stranger) and _ends(came):
            return
        if not isinstance(came, Message) or (came.kind, came.re) != ("pong", _LAST_PING):
            told = f"nothing within {self._timeout:g} s" if came is None else _shown(came)
            expected = "no further message, and a pong for a last ping with the id"
            raise _Unexpected(f"{expected} {_LAST_PING}", told)


def _ends(came: Message | str | None) -> bool:
    """Say whether this is how a program ends a conversation that has nothing more for it."""
    return came == _THE_END or (isinstance(came, Message) and came.kind == "close")


def _code_of(written: Mapping[str, Any]) -> object:
    content = written.get("json")
    return content.get("code") if isinstance(content, dict) else written.get("code")


def _shown(what: Mapping[str, Any] | Message | str) -> str:
    if isinstance(what, Message):
        return shown_message(what)
    if isinstance(what, str):
        return _THE_END if what == END else what
    return shown(what)
