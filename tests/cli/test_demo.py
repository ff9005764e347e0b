"""``telex demo``: a real server and a real client, and no success without equal messages."""

from __future__ import annotations

import re

import pytest

from telex import Message
from telex.application.peer import Peer
from telex.cli import demo
from telex.wire.processor import State
from tests.cli.stage import Telex
from tests.sync.stage import pause_until

QUICKLY = ["--delay", "0.02"]


def test_two_messages_arrive_in_pieces(telex: Telex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are shown: the message on its way, 20 bytes and 20 more, then the message."""
    arrived: list[int] = []
    receive = demo.Arrivals.data_received

    def count(self: demo.Arrivals, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        receive(self, peer, size, state, bytes_needed)
        arrived.append(size)

    def has_arrived() -> bool:
        """Say whether what was sent has: all pieces but the last ones are followed by a pause."""
        return arrived.count(20) == len(pauses)

    monkeypatch.setattr(demo.Arrivals, "data_received", count)
    pauses = pause_until(monkeypatch, has_arrived)
    outcome = telex("demo", *QUICKLY)
    server = [line for line in outcome.output if line.startswith("server │ ")]
    client = [line for line in outcome.output if line.startswith("client │ ")]
    text = "".join(line.removeprefix("client │").strip() for line in client)
    sizes = [int(size) for size in re.findall(r"received (\d+) byte", "\n".join(server))]
    assert (outcome.code, outcome.errors) == (0, [])
    assert '"content-type":"text/plain"' in text.replace("header block", "")
    assert "server │ text/plain, 32 bytes: Grüße, Αθήνα, 東京 🛰" in server
    assert "server │ application/octet-stream, 8 bytes: 89 50 4e 47 0d 0a 1a 0a" in server
    assert sizes == arrived
    assert sizes.count(20) == len(pauses) > 2
    assert sum(sizes) == sum(int(size) for size in re.findall(r", (\d+) bytes in pieces", text))
    assert sum("message complete" in line for line in server) == 2
    assert "Both messages arrived equal to what was sent." in outcome.output
    assert outcome.output[-1].endswith('send "Hello, wire" --chunk-size 20 --delay 0.5')
    assert max(map(len, outcome.output)) <= 80


def test_a_message_that_changes_on_its_way_is_a_failure(
    telex: Telex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demonstration proves something: it fails when what arrives is not what was sent."""
    receive = demo.Arrivals.message_received

    def receive_another(self: demo.Arrivals, peer: Peer, message: Message) -> None:
        message.content = "something else"
        receive(self, peer, message)

    monkeypatch.setattr(demo.Arrivals, "message_received", receive_another)
    outcome = telex("demo", *QUICKLY)
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(
        "telex: what arrived (text/plain, 14 bytes: something else)"
    )


def test_a_message_that_does_not_arrive_is_a_failure(
    telex: Telex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever either."""
    monkeypatch.setattr(demo, "_LONGEST_WAIT", 0.05)
    monkeypatch.setattr(demo.Arrivals, "message_received", lambda *_arguments: None)
    outcome = telex("demo", *QUICKLY)
    assert outcome.code == 1
    assert outcome.errors == ["telex: no message arrived within 0.05 s"]
