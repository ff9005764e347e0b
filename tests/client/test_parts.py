"""The parts of an answer, as both clients keep them."""

from __future__ import annotations

from telex import Limits, Message
from telex.client.parts import PartsOfAnswer
from telex.connection.connection import Connection
from telex.conversation.greeting import Greeting


def asked() -> tuple[Connection, PartsOfAnswer]:
    """Return a connection, and an answer that was asked for."""
    connection = Connection(Limits(), Greeting("test"), serves=False, now=0.0)
    answer = PartsOfAnswer(connection, Message("x", subject="list"), 2.0)
    assert answer.has_progressed()
    answer.ask()
    assert not answer.has_progressed()
    return connection, answer


def reply(connection: Connection, content: str, *, more: bool) -> None:
    """Have a part arrive."""
    message = Message(content, kind="reply", re=1, more=more)
    connection.receive_data(message.to_bytes(), 0.0)


def test_parts_count_as_unread_until_they_are_taken() -> None:
    """Who takes a part, or drops them all, knows how many bytes are consumed by that."""
    connection, answer = asked()
    for content in ("one", "two", "three"):
        reply(connection, content, more=True)
    held = connection.unread.parts
    part = answer.take()
    assert part.content == "one"
    assert part.memory_size + answer.drop() == held > 0
    assert not answer.has_progressed()
    assert answer.is_wanted()


def test_an_answer_that_is_over_and_taken_is_wanted_no_more() -> None:
    """Then there is nothing to give up."""
    connection, answer = asked()
    reply(connection, "one", more=True)
    reply(connection, "", more=False)
    assert answer.has_progressed()
    assert answer.is_wanted()
    answer.take()
    answer.drop()
    assert not answer.is_wanted()


def test_a_late_part_is_told_from_a_late_answer() -> None:
    """The error names what did not come."""
    connection, answer = asked()
    assert "the answer to a message with subject 'list'" in str(answer.late_error())
    assert "next part" not in str(answer.late_error())
    reply(connection, "one", more=True)
    answer.take()
    assert "the next part of the answer" in str(answer.late_error())
