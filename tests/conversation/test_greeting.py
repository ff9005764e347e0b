"""Greetings: what is read in them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from telex import Limits, Message
from telex.conversation.greeting import Greeting, check_room, read_greeting


@pytest.mark.parametrize(
    ("greeting", "is_wanted"),
    [
        (Greeting("x"), False),
        (Greeting("x", token=""), True),
        (Greeting("x", keepalive=True), True),
    ],
)
def test_a_hello_is_wanted_for_what_it_says(greeting: Greeting, is_wanted: bool) -> None:
    """Without token and keepalive there is nothing to say."""
    assert greeting.is_wanted == is_wanted


def test_what_is_said_is_read() -> None:
    """Both sides understand each other's limits and wishes."""
    limits = Limits(max_header_size=1_000, max_content_size=2_000)
    said = read_greeting(Greeting("x", token="t", keepalive=True).hello(limits))
    assert (said.token, said.wants_keepalive) == ("t", True)
    assert (said.max_header_size, said.max_content_size) == (1_000, 2_000)
    said = read_greeting(Greeting("x", token="t", keepalive=True).welcome(limits))
    assert (said.token, said.wants_keepalive) == (None, False)
    assert (said.max_header_size, said.max_content_size) == (1_000, 2_000)


@pytest.mark.parametrize(
    "content",
    [{}, {"keepalive": False, "features": []}, {"limits": {}, "anything": ["else"]}],
)
def test_nothing_need_be_said(content: dict[str, Any]) -> None:
    """What is missing has the defaults of the format; what is not known is passed over."""
    said = read_greeting(Message(content))
    assert (said.token, said.wants_keepalive) == (None, False)
    defaults = Limits()
    assert said.max_header_size == defaults.max_header_size
    assert said.max_content_size == defaults.max_content_size


def test_limits_below_the_format_are_the_formats() -> None:
    """A side that takes less must not be told so: it could not even be told of an error."""
    limits = Limits(max_header_size=255, max_content_size=10)
    said = read_greeting(Greeting("x").welcome(limits))
    assert (said.max_header_size, said.max_content_size) == (256, 256)


@pytest.mark.parametrize("limits", [Limits(max_header_size=255), Limits(max_content_size=255)])
def test_greetings_need_room(limits: Limits) -> None:
    """Whoever cannot do without a greeting learns at once that its limits leave no room for one."""
    check_room(Greeting("x"), limits)
    for greeting in (
        Greeting("x", token="t"),
        Greeting("x", keepalive=True),
        Greeting("x", authenticate=lambda token: None),
    ):
        check_room(greeting, Limits(max_header_size=256, max_content_size=256))
        with pytest.raises(ValueError, match="at least 256 bytes, not 255"):
            check_room(greeting, limits)


def test_a_token_is_no_longer_than_a_hello_may_be() -> None:
    """A client learns so before it connects."""
    check_room(Greeting("x", token="t" * 65_000), Limits())
    with pytest.raises(ValueError, match="the token is longer than a hello may be"):
        check_room(Greeting("x", token="t" * 65_536), Limits())


@pytest.mark.parametrize("encoding", ["UTF-8", "binary", "Binary"])
def test_a_greeting_is_json_in_utf_8_under_any_of_its_names(encoding: str) -> None:
    """Names of charsets are compared without regard to case, and JSON in bytes is UTF-8."""
    said = Message(b'{"token":"t"}', content_type="Application/JSON; x=1", encoding=encoding)
    assert read_greeting(said).token == "t"


def test_limits_beyond_the_format_are_the_formats() -> None:
    """A peer that takes more than can be said takes all that can be said."""
    limits = {"max_header_size": 10**30, "max_content_size": 10**30}
    said = read_greeting(Message({"limits": limits}))
    assert (said.max_header_size, said.max_content_size) == (65_535, 2**53 - 1)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (Message("{}"), "its content must be JSON in UTF-8"),
        (Message(b"{}"), "its content must be JSON in UTF-8"),
        (Message({}, encoding="utf-16-le"), "its content must be JSON in UTF-8"),
        (Message([]), "its content must be a JSON object"),
        (Message(b"{", content_type="application/json"), "content is not valid JSON"),
        (Message({"version": 2}), "its version must be 1"),
        (Message({"version": "1"}), "its version must be 1"),
        (Message({"version": True}), "its version must be 1"),
        (Message({"version": 1.0}), "its version must be 1"),
        (Message({"version": None}), "its version must be 1"),
        (Message({"agent": 5}), "its member agent must be a string"),
        (Message({"token": 5}), "its member token must be a string"),
        (Message({"token": None}), "its member token must be a string"),
        (Message({"keepalive": "yes"}), "its member keepalive must be true or false"),
        (Message({"features": "requests"}), "its member features must be a list of strings"),
        (Message({"features": [5]}), "its features must be a list of strings"),
        (Message({"limits": None}), "its member limits must be a JSON object"),
        (Message({"limits": {"max_header_size": 255}}), "max_header_size must be an integer of"),
        (Message({"limits": {"max_content_size": 255}}), "max_content_size must be an integer of"),
        (Message({"limits": {"max_content_size": 1e3}}), "at least 256"),
        (Message({"limits": {"max_content_size": True}}), "at least 256"),
        (Message({"limits": {"max_content_size": "1000"}}), "at least 256"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(message: Message, problem: str) -> None:
    """A peer that could not even be told of an error is told so at once."""
    with pytest.raises(ValueError, match=problem):
        read_greeting(message)
