"""Factories: messages made of content, with shared defaults and without them."""

from __future__ import annotations

import sys

import pytest

from telex import ContentError, Message, MessageFactory, MessageProcessor
from telex.wire.factory import message_from, message_of

OTHER_BYTEORDER = "big" if sys.byteorder == "little" else "little"


def received(message: Message) -> Message:
    """Return the message that arrives when ``message`` is sent."""
    (arrived,) = MessageProcessor().receive_messages(message.to_bytes())
    return arrived


@pytest.mark.parametrize(
    "content", [b"", b"bytes", bytearray(b"x"), "", "text", "Grüße", {"a": 1}, [1, 2], None, 5]
)
def test_an_answer_is_made_as_any_message_is(content: object) -> None:
    """The short way to a message without headers leads to the same one."""
    for subject in (None, "orders.new"):
        made, usual = message_of(content, subject), Message(content, subject=subject)
        assert made == usual
        assert made.to_bytes() == usual.to_bytes()
        assert made.content == usual.content


def test_an_answer_that_cannot_be_written_is_refused_as_any_message_is() -> None:
    """Text that no charset takes."""
    with pytest.raises(ContentError):
        message_of("\ud800")


def test_message_is_handed_over_as_it_is_or_made() -> None:
    """Content comes with the keywords of Message; a Message comes alone."""
    message = Message("as it is")
    assert message_from(message, {}) is message
    assert message_from("made", {}) == Message("made")
    assert message_from("made", {"subject": "s"}) == Message("made", subject="s")
    assert message_from("made", {"subject": "s", "id": 1}) == Message("made", subject="s", id=1)
    assert message_from("made", {"id": 1}) == Message("made", id=1)
    with pytest.raises(TypeError, match="subject, id: keywords go with content"):
        message_from(message, {"subject": "s", "id": 1})


def test_a_factory_makes_messages_with_its_defaults() -> None:
    """Encoding, headers, byte order and subject are said once for many messages."""
    factory = MessageFactory(
        encoding="utf-16-le", headers={"site": "north"}, byteorder=OTHER_BYTEORDER, subject="s"
    )
    for message in (
        factory.text("ü"),
        factory.binary(b"\x00"),
        factory.json({"a": 1}),
        factory.create([1]),
    ):
        assert message.headers == {"site": "north"}
        assert message.byteorder == OTHER_BYTEORDER
        assert message.subject == "s"
        assert received(message) == message
    assert factory.text("ü").body == b"\xfc\x00"
    assert factory.binary(b"\x00").encoding == "binary"


def test_a_factory_without_defaults_makes_plain_messages() -> None:
    """The factory adds nothing that it was not told."""
    factory = MessageFactory()
    assert factory.text("x") == factory.create("x") == Message("x")
    assert factory.binary(b"x") == factory.create(b"x") == Message(b"x")
    assert factory.json([1]) == factory.create([1]) == Message([1])


def test_what_a_message_is_given_goes_before_the_defaults() -> None:
    """Keywords of a single message replace a default; its headers are added to the shared ones."""
    factory = MessageFactory(
        encoding="utf-16-le", headers={"a": 1, "b": 1}, byteorder="little", subject="s"
    )
    message = factory.text(
        "ü", encoding="latin-1", headers={"b": 2, "c": 3}, byteorder="big", subject="t", id=5
    )
    assert message.headers == {"a": 1, "b": 2, "c": 3}
    assert (message.encoding, message.byteorder, message.subject) == ("latin-1", "big", "t")
    assert message.id == 5
    assert factory.text("x").headers == {"a": 1, "b": 1}


def test_a_factory_says_which_kind_of_content_it_makes() -> None:
    """text(), binary() and json() decide the type, whatever the object; a keyword refines it."""
    factory = MessageFactory()
    assert factory.json("text").content_type == "application/json"
    assert factory.json("text").body == b'"text"'
    assert factory.text("<p>", content_type="text/html").content_type == "text/html"
    assert factory.binary(b"\x89PNG", content_type="image/png").content_type == "image/png"


def test_a_factory_keeps_its_defaults_to_itself() -> None:
    """Who changes a dict that was given, or a message that was made, changes no other message."""
    headers = {"list": [1]}
    factory = MessageFactory(headers=headers)
    headers["list"].append(2)
    factory.text("x").headers["list"].append(3)
    assert factory.text("x").headers == {"list": [1]}
