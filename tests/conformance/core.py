"""The tested end without a driver: a conversation, what stands above it, and the time.

What a driver does by itself is done here too: it closes when the peer has ended and everything is
answered, and looks at the times of the peer, unless a conversation needs the bare core.
"""

from __future__ import annotations

import abc
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from telex import Limits, Message, MessageProcessor, RemoteError, TelexError
from telex.conformance.notation import (
    content_of,
    has_content,
    matches,
    shown,
    shown_message,
    to_bytes,
)
from telex.conversation.conversation import Call, Conversation
from telex.conversation.greeting import Greeting
from telex.conversation.reactions import REACTIONS, Arrival, Reaction, Role
from telex.conversation.states import Phase
from telex.errors import ConnectionClosedError, TooLargeError
from telex.tokens import Tokens

_LOOK = 0.25
"""Seconds between two looks at the times of the peer, as drivers have them."""

_GENEROUS = Limits(max_header_size=65_535, max_content_size=2**53 - 1)


_PHASES_AFTER = {
    Reaction.BAD_MESSAGE: Phase.FAILED,
    Reaction.TOO_LARGE: Phase.FAILED,
    Reaction.UNAUTHORIZED: Phase.FAILED,
    Reaction.FAIL: Phase.FAILED,
    Reaction.DONE: Phase.CLOSED,
}
"""Phases in which the conversation of a cell is over; the others end as their last steps say."""


def cell(covered: str) -> tuple[Role, Phase, Arrival]:
    """Return the cell that a conversation says that it covers."""
    role, phase, arrival = covered.split()
    return Role(role), Phase(phase), Arrival[arrival]


class TestedEnd(abc.ABC):
    """The tested end of one conversation, played step by step without a socket."""

    def __init__(self, conversation: Mapping[str, Any]) -> None:
        self._is_bare = "core" in conversation.get("needs", ())
        self._serves = conversation["role"] == "server"
        self._reader = MessageProcessor(_GENEROUS)
        self._sent: list[Message] = []
        self._names: dict[str, int] = {}
        self._received: list[Message] = []

    @property
    @abc.abstractmethod
    def phase(self) -> Phase:
        """The phase of the diagram."""

    def keep(self, conversation: Mapping[str, Any]) -> None:
        """Play all steps; fails the test for what falls short, or if more is sent.

        The phase is looked at where the cells that are covered say which one follows.
        """
        for number, step in enumerate(conversation["steps"], 1):
            try:
                self._play(step)
            except AssertionError as problem:
                pytest.fail(f"step {number}: {json.dumps(step)}: {problem}", pytrace=False)
        self._collect()
        assert not self._sent, f"no further message, not {shown_message(self._sent[0])}"
        for covered in conversation.get("covers", ()):
            phase = _PHASES_AFTER.get(REACTIONS[cell(covered)])
            assert phase in (None, self.phase)

    def _play(self, step: Mapping[str, Any]) -> None:
        [(key, value)] = step.items()
        if key == "in":
            self._take(b"" if value == "end" else to_bytes(value, self._names))
        elif key == "out":
            self._expect([value])
        elif key == "out any order":
            self._expect(value)
        elif key == "do":
            self._do(value)
        elif key == "result" and "of" in value:
            self._check_answer(value)
        elif key == "result":
            self._check_received(value)
        else:
            assert key == "elapse", key
            self._elapse(value)
        self._drive()
        self._collect()

    @abc.abstractmethod
    def _take(self, data: bytes) -> None:
        """Receive bytes, or none at the end of the stream, and handle what is complete."""

    @abc.abstractmethod
    def _do(self, what: Mapping[str, Any]) -> None:
        """Do what the program does."""

    @abc.abstractmethod
    def _check_answer(self, what: Mapping[str, Any]) -> None:
        """Raise AssertionError if what was asked has not ended so."""

    @abc.abstractmethod
    def _elapse(self, seconds: float) -> None:
        """Let time pass."""

    @abc.abstractmethod
    def _drive(self) -> None:
        """Close, as a driver does when the peer has ended and everything is answered."""

    @abc.abstractmethod
    def _data_to_send(self) -> bytes:
        """Return what is to be sent, once."""

    def _collect(self) -> None:
        self._sent += self._reader.receive_messages(self._data_to_send())

    def _expect(self, wanted: list[Any]) -> None:
        self._collect()
        missing = list(wanted)
        while missing:
            if missing == ["end"]:
                assert not self._sent, f"the end, not {shown_message(self._sent[0])}"
                is_over = self.phase in (Phase.CLOSING, Phase.CLOSED, Phase.FAILED)
                assert is_over, f"the end, not {self.phase}"
                return
            assert self._sent, f"{shown(missing[0])}, not nothing"
            came = self._sent.pop(0)
            for candidate in missing:
                names = matches(candidate, came, self._names) if candidate != "end" else None
                if names is not None:
                    self._names = names
                    missing.remove(candidate)
                    break
            else:
                raise AssertionError(f"one of {missing}, not {shown_message(came)}")

    def _check_received(self, what: Mapping[str, Any]) -> None:
        for one in what.get("received", [{"kind": "error", "code": what.get("noticed")}]):
            assert self._received, f"{shown(one)}, not nothing"
            came = self._received.pop(0)
            assert matches(one, came, {}) is not None, f"{shown(one)}, not {came}"


class CoreEnd(TestedEnd):
    """The core of Telex; the time is handed in."""

    def __init__(self, conversation: Mapping[str, Any], setup: Mapping[str, Any]) -> None:
        super().__init__(conversation)
        self._now = 0.0
        token = setup.get("token")
        keepalive = bool(setup.get("keepalive") or setup.get("hello"))
        greeting = Greeting("tested", token=token, keepalive=keepalive)
        if self._serves:
            tokens = Tokens({"tester": token}) if token is not None else None
            owner_of = None if tokens is None else tokens.owner_of
            greeting = Greeting("tested", authenticate=owner_of)
        limits = Limits(**setup.get("limits", {}))
        self.core = Conversation(limits, greeting, serves=self._serves, now=self._now)
        self._calls: dict[str, Call] = {}
        self._held: list[Message] = []

    @property
    def phase(self) -> Phase:
        """The phase of the diagram."""
        return self.core.phase

    # What a driver does

    def _drive(self) -> None:
        core = self.core
        if core.phase is Phase.FINISHING and not self._is_bare and not core.unanswered:
            core.close("closed", "everything is answered")

    def _data_to_send(self) -> bytes:
        return b"".join(self.core.data_to_send())

    def _elapse(self, seconds: float) -> None:
        until = self._now + seconds
        while self._now < until:
            self._now += _LOOK
            self.core.check_time(self._now)
            self._collect()

    # Steps

    def _take(self, data: bytes) -> None:
        if not data:
            self.core.receive_eof()
            return
        for message in self.core.receive_data(data):
            if not self._serves or message.kind == "error":
                self._received.append(message)
            else:
                self._handle(message)

    def _do(self, what: Mapping[str, Any]) -> None:
        core = self.core
        if "request" in what:
            try:
                call = core.request(_made(what["request"]))
            except TooLargeError as error:
                call = Call(0, None, False)
                call.end(error)
            call.keeps_parts = True
            self._calls[what["as"]] = call
        elif "ping" in what:
            self._calls[what["as"]] = core.ping()
        elif "give up" in what:
            core.abandon(self._calls[what["give up"]])
        elif "send" in what:
            core.send(_made(what["send"]))
        elif "shut down" in what:
            core.close("shutting-down", "the server shuts down")
        else:
            assert "close" in what, what
            core.close("closed", "it was closed here")

    def _check_answer(self, what: Mapping[str, Any]) -> None:
        call = self._calls[what["of"]]
        assert call.is_done, f"{shown(what)}, not a call that waits"
        _check_error(call.error, what)
        parts = call.take_parts()
        has_content_of_its_own = any(form in what for form in ("text", "json", "hex"))
        wanted = what.get("parts", [what] if has_content_of_its_own else None)
        if wanted is not None:
            assert len(parts) == len(wanted), f"{wanted}, not {parts}"
            assert all(map(has_content, wanted, parts)), f"{wanted}, not {parts}"

    # The fixed application

    def _handle(self, message: Message) -> None:
        if message.kind is None:
            self._handle_plain(message)
            return
        core, id, subject = self.core, message.id, message.subject
        if subject == "echo":
            core.answer(id, _same(message))
        elif subject == "count":
            for number in range(1, int(str(message.content)) + 1):
                core.answer(id, Message(str(number)), more=True)
            core.answer(id, Message(b""))
        elif subject == "fail-midway":
            core.answer(id, Message("1"), more=True)
            core.refuse(id, "handler-failed", "")
        elif subject == "hold":
            self._held.append(message)
        elif subject == "large":
            try:
                core.answer(id, Message(bytes(int(str(message.content)))))
            except TooLargeError as error:
                core.refuse(id, "too-large", str(error))
        else:
            codes = {"refuse": "not-today", "fail": "handler-failed"}
            core.refuse(id, codes.get(str(subject), "no-handler"), "")

    def _handle_plain(self, message: Message) -> None:
        if message.subject == "echo":
            same = _same(message)
            same.subject = "echo"
            with contextlib.suppress(ConnectionClosedError):  # this side has said its last
                self.core.send(same)
        elif message.subject == "refuse":
            self.core.complain("not-today", "")
        elif message.subject == "release":
            for held in self._held:
                self.core.answer(held.id, _same(held))
            self._held.clear()


def _same(message: Message) -> Message:
    return Message(message.body, content_type=message.content_type, encoding=message.encoding)


def _made(written: Mapping[str, Any]) -> Message:
    subject = written.get("subject")
    if "text" in written:
        return Message(str(written["text"]) * written.get("repeat", 1), subject=subject)
    if "json" in written:
        return Message(written["json"], subject=subject)
    return Message(content_of(written), subject=subject)


def _check_error(error: TelexError | None, what: Mapping[str, Any]) -> None:
    if "code" in what:
        assert isinstance(error, RemoteError), f"{shown(what)}, not {error!r}"
        assert error.code == what["code"]
    elif "closed" in what:
        assert isinstance(error, ConnectionClosedError), f"{shown(what)}, not {error!r}"
        assert error.code == what["closed"]
    elif what.get("too large"):
        assert isinstance(error, TooLargeError), f"{shown(what)}, not {error!r}"
    else:
        assert error is None, f"{shown(what)}, not {error!r}"
