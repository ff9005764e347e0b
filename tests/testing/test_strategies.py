"""The strategies make what they say, all of it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import telex
from telex import Message, MessageProcessor
from telex.testing.strategies import cuttings, headers, json_values, messages

FIRST_FOUND = settings(phases=[Phase.generate], max_examples=5_000)
"""Finds any example, and does not look for the smallest."""


@dataclass(frozen=True)
class Reading:
    """What a sensor tells."""

    celsius: int


@given(messages())
def test_messages_can_be_sent_by_every_front_end(message: Message) -> None:
    """They are plain: kind and numbers are the conversation's."""
    assert (message.kind, message.id, message.re, message.more) == (None, None, None, False)
    with telex.testing.connected(telex.Application()) as connection:
        connection.send(message)


@given(messages(contents=st.builds(Reading), subjects=st.just("sensors.roof")))
def test_messages_carry_what_is_wanted(message: Message) -> None:
    """Content of a test's own, and a subject that chooses its handler."""
    (arrived,) = MessageProcessor().receive_messages(message.to_bytes())
    assert arrived.subject == "sensors.roof"
    assert arrived.decode(Reading) == message.content


@pytest.mark.parametrize(
    "condition",
    [
        lambda message: message.content_type == "text/plain" and message.encoding == "utf-16",
        lambda message: message.content_type == "application/octet-stream" and message.body,
        lambda message: isinstance(message.content, dict) and message.content,
        lambda message: message.content is None,
        lambda message: message.headers and message.subject,
        lambda message: message.subject is None,
    ],
)
def test_messages_are_of_every_kind(condition: Callable[[Message], bool]) -> None:
    """Text, bytes and JSON, with and without subject and headers."""
    assert condition(find(messages(), condition, settings=FIRST_FOUND))


def test_messages_of_the_wire_have_numbers() -> None:
    """A parser of one's own sees kinds and numbers too."""

    def has_all(message: Message) -> bool:
        return bool(message.kind and message.id and message.re and message.more)

    assert has_all(find(messages(plain=False), has_all, settings=FIRST_FOUND))


@given(headers())
def test_headers_are_an_applications_own(own: dict[str, object]) -> None:
    """None has the name of a field that Telex knows."""
    assert Message("", headers=own).headers == own


@given(json_values())
def test_json_values_can_be_sent(value: object) -> None:
    """Each arrives as what it was."""
    sent = Message(value, content_type="application/json")
    (arrived,) = MessageProcessor().receive_messages(sent.to_bytes())
    assert arrived.content == value


@given(st.data(), st.binary(), st.integers(0, 20))
def test_cuttings_are_the_same_bytes(data: st.DataObject, whole: bytes, most: int) -> None:
    """In order, with nothing lost, in at most one piece more than there are cuts."""
    pieces = data.draw(cuttings(whole, most=most))
    assert b"".join(pieces) == whole
    assert 1 <= len(pieces) <= most + 1


def test_bytes_are_cut_everywhere() -> None:
    """Byte by byte too, and with empty pieces between."""
    assert find(cuttings(b"abc"), lambda pieces: pieces == [b"a", b"b", b"c"])
    assert find(cuttings(b"abc"), lambda pieces: b"" in pieces[1:-1])


def test_a_missing_hypothesis_is_one_clear_line() -> None:
    """It says which extra brings it."""
    code = "import sys; sys.modules['hypothesis'] = None; import telex.testing.strategies"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert result.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: telex.testing.strategies needs hypothesis: pip install hypothesis"
    )
