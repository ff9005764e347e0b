"""Calls: how long the numbers of what was given up are remembered."""

from __future__ import annotations

import pytest

from telex import Message, TelexError
from telex.conversation.calls import Calls
from tests.conversations import reply


def test_what_was_given_up_costs_no_memory_without_bound() -> None:
    """Of very old ones, late answers are dropped without being counted."""
    calls = Calls(most_abandoned=2)
    for _ in range(100):
        calls.abandon(calls.begin(None, is_ping=False))
    assert calls.count == 0
    assert [calls.take_reply(reply(99)) for _ in range(2)] == [True, False]
    assert [calls.take_reply(reply(5)) for _ in range(2)] == [True, True]
    assert not calls.take_reply(reply(101))


def test_what_still_waits_is_answered_however_much_was_given_up() -> None:
    """An old request among those given up keeps its place."""
    calls = Calls(most_abandoned=2)
    first = calls.begin("first", is_ping=False)
    for _ in range(10):
        calls.abandon(calls.begin(None, is_ping=False))
    calls.take_reply(reply(1, "x"))
    assert first.is_done


def test_old_and_young_may_be_given_up_in_any_order() -> None:
    """Which numbers are remembered follows from when they were given up."""
    calls = Calls(most_abandoned=1)
    first, second, third = (calls.begin(None, is_ping=False) for _ in range(3))
    for call in (second, first, third):
        calls.abandon(call)
    assert [calls.take_reply(reply(re)) for re in (1, 2, 3, 3)] == [True, True, True, False]


def test_ending_all_gives_the_calls_back_in_their_order() -> None:
    """Whoever ends them tells each one why."""
    calls = Calls(most_abandoned=2)
    begun = [calls.begin(None, is_ping=False) for _ in range(3)]
    assert calls.end_all() == begun
    assert (calls.end_all(), calls.count) == ([], 0)


def test_a_reply_is_an_answer_that_came_whole() -> None:
    """Neither what is not here yet, nor parts, nor an error is one."""
    calls = Calls(most_abandoned=2)
    whole, in_parts, failed = (calls.begin(None, is_ping=False) for _ in range(3))
    assert [whole.reply] == [None]
    answer = reply(1, "x")
    calls.take_reply(answer)
    assert whole.reply is answer
    calls.take_reply(reply(2, "part", more=True))
    calls.take_reply(reply(2))
    assert in_parts.is_done
    assert in_parts.reply is None
    failed.end(TelexError("it went wrong"))
    assert failed.reply is None


def test_what_has_come_of_an_answer_is_taken_once() -> None:
    """Parts are given out as they come, and so is an answer that came whole."""
    calls = Calls(most_abandoned=2)
    in_parts, whole = (calls.begin(None, is_ping=False) for _ in range(2))
    in_parts.keeps_parts = True
    first, second, last, answer = (
        reply(1, "a", more=True),
        reply(1, "b", more=True),
        reply(1),
        reply(2),
    )
    calls.take_reply(first)
    calls.take_reply(second)
    assert in_parts.take_parts() == [first, second]
    assert in_parts.take_parts() == []
    calls.take_reply(last)
    assert (in_parts.take_parts(), in_parts.is_done) == ([], True)
    calls.take_reply(answer)
    assert whole.take_parts() == [answer]
    assert whole.take_parts() == []
    assert whole.reply is None  # it belongs to whoever took it


def test_who_follows_a_call_is_forgotten_at_its_end_and_when_it_is_given_up() -> None:
    """The follower may refer to the call, and the two would keep each other alive."""
    calls = Calls(8)
    ended, abandoned = calls.begin("a", False), calls.begin("b", False)
    seen: list[bool] = []
    ended.on_progress = lambda: seen.append(ended.is_done)
    abandoned.on_progress = lambda: seen.append(abandoned.is_done)
    ended.end(None)
    calls.abandon(abandoned)
    assert seen == [True]
    assert ended.on_progress is abandoned.on_progress is None


def test_what_was_said_before_a_call_is_read_when_the_call_is_answered() -> None:
    """By a reply, a pong or an error; the last call also by an answer that is late."""
    calls = Calls(8)
    for said_before in (1, 2, 3, 5):
        calls.begin(None, is_ping=said_before == 2, said_before=said_before)
    calls.take_pong(Message(b"", kind="pong", re=2))
    assert calls.read == 2
    calls.take_reply(reply(1))
    assert calls.read == 2
    calls.take_error(3, TelexError())
    assert calls.read == 3
    calls.end_all()
    calls.take_pong(Message(b"", kind="pong", re=4))
    assert calls.read == 5


@pytest.mark.parametrize(
    ("content_type", "is_a_part"),
    [
        ("application/octet-stream", False),
        ("Application/OCTET-STREAM", False),
        ("application/octet-stream \t;x=1", False),
        ("application/octet-streams", True),
        ("text/plain", True),
    ],
)
def test_nothing_but_the_end_of_parts_is_told_from_an_empty_part(
    content_type: str, is_a_part: bool
) -> None:
    """Bytes without content say that there is no more, whatever the case and the parameters."""
    calls = Calls(8)
    call = calls.begin(None, is_ping=False)
    call.keeps_parts = True
    calls.take_reply(reply(1, "x", more=True))
    calls.take_reply(reply(1, b"", content_type=content_type))
    assert call.is_done
    assert len(call.parts) == 1 + is_a_part


def test_an_answer_of_the_wrong_kind_is_not_late_but_wrong() -> None:
    """No pong answers a request that was given up, and no reply such a ping; nothing is done."""
    calls = Calls(most_abandoned=2)
    request, ping = calls.begin(None, is_ping=False), calls.begin(None, is_ping=True)
    calls.abandon(request)
    calls.abandon(ping)
    assert not calls.take_pong(Message(b"", kind="pong", re=request.id))
    assert not calls.take_reply(Message(b"", kind="reply", re=ping.id))
    assert (calls.abandoned, calls.open_requests) == (2, 1)
    assert calls.take_reply(Message(b"", kind="reply", re=request.id))
    assert calls.take_pong(Message(b"", kind="pong", re=ping.id))
    assert (calls.abandoned, calls.open_requests) == (0, 0)
