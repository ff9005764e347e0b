"""The conversation of the speaker reacts in each phase as the table of reactions says."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telex import MessageProcessor
from telex.conversation.reactions import REACTIONS, Arrival, Reaction, Role
from telex.conversation.states import Phase

SPEAKER: Any = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "conformance" / "speaker.py"))
)
TOKEN = "an open secret"
LIMIT = 100_000
AT_SERVER = Role.SERVER


def message(content: Any = b"", **fields: Any) -> bytes:
    """Return the bytes of a message."""
    header, body = SPEAKER.packed(content)
    return bytes(SPEAKER.encode({**header, **fields}, body))


HELLO = message({"version": 1, "token": TOKEN}, kind="hello")
UNASKED = {"re": 4711}
ARRIVALS: dict[Arrival, bytes] = {
    Arrival.PLAIN: message("x"),
    Arrival.REQUEST: message("x", kind="request", id=8),
    Arrival.REQUEST_WITHOUT_ID: message("x", kind="request"),
    Arrival.REQUEST_AGAIN: message("x", kind="request", id=7),
    Arrival.REPLY: message("x", kind="reply", re=1),
    Arrival.LATE_REPLY: message("x", kind="reply", re=1),
    Arrival.UNASKED_REPLY: message("x", kind="reply", **UNASKED),
    Arrival.ERROR: message({"code": "no-handler"}, kind="error", re=1),
    Arrival.LATE_ERROR: message({"code": "no-handler"}, kind="error", re=1),
    Arrival.UNASKED_ERROR: message({"code": "no-handler"}, kind="error", **UNASKED),
    Arrival.ENDING_ERROR: message({"code": "timeout"}, kind="error"),
    Arrival.NOTICE: message({"code": "not-today"}, kind="error"),
    Arrival.PING: message(kind="ping", id=9),
    Arrival.PING_WITHOUT_ID: message(kind="ping"),
    Arrival.PONG: message(kind="pong", re=2),
    Arrival.LATE_PONG: message(kind="pong", re=2),
    Arrival.UNASKED_PONG: message(kind="pong", **UNASKED),
    Arrival.HELLO: HELLO,
    Arrival.HELLO_WITHOUT_TOKEN: message({"version": 1}, kind="hello"),
    Arrival.LATE_HELLO: HELLO,
    Arrival.BROKEN_HELLO: message({"version": True}, kind="hello"),
    Arrival.WELCOME: message({"version": 1}, kind="welcome"),
    Arrival.UNASKED_WELCOME: message({"version": 1}, kind="welcome"),
    Arrival.BROKEN_WELCOME: message([], kind="welcome"),
    Arrival.CLOSE: message({"code": "closed"}, kind="close"),
    Arrival.UNKNOWN: message("x", kind="news", id=9),
    Arrival.LARGE_CONTROL: message(bytes(65_537), kind="ping", id=9),
    Arrival.BROKEN: b"\0\0",
    Arrival.TOO_LARGE: message(bytes(LIMIT + 1)),
    Arrival.END: b"",
    Arrival.END_INSIDE: b"\0",
}
LATE = {Arrival.LATE_REPLY, Arrival.LATE_ERROR, Arrival.LATE_PONG}
ANSWERS = {Arrival.REPLY, Arrival.ERROR, Arrival.PONG}
DEMANDS = {Arrival.HELLO_WITHOUT_TOKEN}
GREETS = {Arrival.WELCOME, Arrival.BROKEN_WELCOME}


def in_phase(role: Role, phase: Phase, arrival: Arrival) -> Any:
    """Return a conversation in a phase in which this may arrive."""
    is_server = role is AT_SERVER
    demands = is_server and (phase is Phase.GREETING or arrival in DEMANDS)
    one = SPEAKER.Conversation(is_server, TOKEN if demands else None, max_content=LIMIT)
    if not is_server and (phase is Phase.GREETING or arrival in GREETS):
        one.hello()
    if arrival in LATE | ANSWERS:  # a server may ask too
        for number in (one.ask("request"), one.ask("ping")):
            if arrival in LATE:
                one.give_up(number)
    if arrival is Arrival.LATE_HELLO:
        assert list(one.receive(HELLO)) == []
    if arrival is Arrival.REQUEST_AGAIN or phase is Phase.FINISHING:
        one.unanswered.add(7)
    if phase is Phase.CLOSING:
        one.close()
    if phase is Phase.FINISHING:
        assert list(one.receive(ARRIVALS[Arrival.CLOSE])) == []
    assert one.phase == phase.value or arrival in GREETS
    one.output.clear()
    return one


def said(one: Any) -> Iterator[tuple[str | None, str | None]]:
    """Yield the kind and the code of each message that is to be sent."""
    for sent in MessageProcessor().receive_messages(bytes(one.output)):
        code = json.loads(sent.body)["code"] if sent.kind == "error" else None
        yield sent.kind, code


def reactions_to(one: Any, arrival: Arrival) -> set[Reaction]:
    """Let it arrive, and return the reactions that come to what was done."""
    before = one.phase
    delivered = list(one.receive(ARRIVALS[arrival]))
    if arrival is Arrival.END_INSIDE:
        delivered += one.receive(b"")
    words = list(said(one))
    if one.phase == "failed":
        named = {
            "bad-message": Reaction.BAD_MESSAGE,
            "too-large": Reaction.TOO_LARGE,
            "unauthorized": Reaction.UNAUTHORIZED,
        }
        return {named[str(words[0][1])] if words else Reaction.FAIL}
    if delivered:
        return {Reaction.DELIVER, Reaction.TAKE}
    answers = {
        ("pong", None): Reaction.PONG,
        ("welcome", None): Reaction.WELCOME,
        ("error", "no-handler"): Reaction.NO_HANDLER,
        ("error", "unsupported-kind"): Reaction.UNSUPPORTED,
    }
    if words and words[0] in answers:
        return {answers[words[0]]}
    if one.phase == before:
        return {Reaction.DROP}
    if one.phase == "open":
        return {Reaction.OPEN}
    return {Reaction.DONE if before == "closing" else Reaction.FINISH}


@pytest.mark.parametrize("role", Role)
def test_the_speaker_reacts_as_the_table_says(role: Role) -> None:
    """Each arrival, in each phase in which it can be."""
    differing = {}
    cells = 0
    for (at, phase, arrival), reaction in REACTIONS.items():
        if at is not role:
            continue
        cells += 1
        one = in_phase(role, phase, arrival)
        came = reactions_to(one, arrival)
        if reaction not in came:
            differing[phase.value, arrival.name] = (reaction.name, [each.name for each in came])
    assert differing == {}
    assert cells > 80
