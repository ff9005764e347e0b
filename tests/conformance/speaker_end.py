"""The speaker in plain Python as the tested end, without a socket."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from telex import Message, MessageProcessor
from telex.conformance.notation import content_of, has_content, shown
from telex.conversation.states import Phase
from tests.conformance.core import TestedEnd

SPEAKER: Any = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "conformance" / "speaker.py"))
)


class SpeakerEnd(TestedEnd):
    """The speaker, which has no clock."""

    def __init__(self, conversation: Mapping[str, Any], setup: Mapping[str, Any]) -> None:
        super().__init__(conversation)
        token = setup.get("token", "")
        demanded = token if self._serves else ""
        self.talk = SPEAKER.Conversation(self._serves, demanded, setup.get("limits", {}))
        if not self._serves and (token or setup.get("hello")):
            self.talk.hello(token=token, keepalive=bool(setup.get("keepalive")))
        self._asked: dict[str, int] = {}
        self._refused: dict[str, str] = {}  # what was never sent
        self._answers: dict[int, list[Message]] = {}
        self._codes: dict[int, str] = {}
        self._given_up: set[int] = set()
        self._is_mark = False  # the last part
        self._held: list[Any] = []

    @property
    def phase(self) -> Phase:
        """The phase of the diagram."""
        return Phase(self.talk.phase)

    def _drive(self) -> None:
        if self.phase is Phase.FINISHING and not self._is_bare and not self.talk.unanswered:
            self.talk.close()

    def _data_to_send(self) -> bytes:
        data = bytes(self.talk.output)
        self.talk.output.clear()
        return data

    def _elapse(self, seconds: float) -> None:
        raise AssertionError("the speaker has no clock")

    def _take(self, data: bytes) -> None:
        for header, body in self.talk.receive(data):
            [message] = MessageProcessor().receive_messages(SPEAKER.encode(header, body))
            assert message.re not in self._given_up, "an answer that nobody waits for"
            if message.re is not None and message.kind == "error":
                self._codes[message.re] = SPEAKER.code_of(header, body)
            elif message.re is not None:
                self._answers.setdefault(message.re, []).append(message)
                self._is_mark = SPEAKER.is_mark(header, body)
            elif self._serves and message.kind != "error":
                SPEAKER.handle(self.talk, self._held, header, body)
            else:
                self._received.append(message)

    def _do(self, what: Mapping[str, Any]) -> None:
        if "request" in what:
            asked = what["request"]
            content = asked["json"] if "json" in asked else _text_or_bytes(asked)
            fields = {"subject": asked["subject"]} if "subject" in asked else {}
            try:
                self._asked[what["as"]] = self.talk.ask("request", content, **fields)
            except SPEAKER.Problem as problem:
                self._refused[what["as"]] = problem.code
        elif "ping" in what:
            self._asked[what["as"]] = self.talk.ask("ping")
        elif "give up" in what:
            self._given_up.add(self._asked[what["give up"]])
            self.talk.given_up |= self._given_up
        elif "send" in what:
            self.talk.send(_text_or_bytes(what["send"]), subject=what["send"]["subject"])
        else:
            self._given_up.update(self._asked.values())
            self.talk.close("shutting-down" if "shut down" in what else "closed")

    def _check_answer(self, what: Mapping[str, Any]) -> None:
        if "too large" in what:
            assert self._refused[what["of"]] == "too-large"
            return
        number = self._asked[what["of"]]
        if "closed" in what:
            assert self.phase in (Phase.CLOSING, Phase.CLOSED, Phase.FAILED), self.phase
            assert self.talk.code == what["closed"], self.talk.code
            return
        assert number not in self.talk.waiting, f"{shown(what)}, not what waits"
        code = self._codes.get(number)
        assert code == what.get("code"), f"{shown(what)}, not {code}"
        parts = self._answers.get(number, [])
        if len(parts) > 1 and self._is_mark:
            parts.pop()
        wanted = what.get("parts", [what] if what.keys() & {"text", "json", "hex"} else None)
        if wanted is not None:
            assert len(parts) == len(wanted), f"{wanted}, not {parts}"
            assert all(map(has_content, wanted, parts)), f"{wanted}, not {parts}"


def _text_or_bytes(written: Mapping[str, Any]) -> str | bytes:
    content = content_of(written)
    return content.decode() if "text" in written else content
