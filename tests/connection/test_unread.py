"""What nobody has taken yet: when it is too much, and when waiting behind it is hopeless."""

from __future__ import annotations

import math
from collections import deque

import pytest

from telex import Limits, Message, MessageProcessor
from telex.connection.unread import INBOX_SIZE, STALL_SECONDS, Unread
from telex.conversation.calls import Call

BIG = Message(bytes(INBOX_SIZE // 2))
"""Two of these are more than may wait for a program: a message takes more than its content."""


def for_program() -> Unread:
    """Return what waits for a program that receives."""
    return Unread(Limits(), is_handled=False)


def is_too_much(unread: Unread) -> bool:
    """Say whether reading is to pause."""
    return unread.is_too_much


def is_empty(unread: Unread) -> bool:
    """Say whether nothing waits."""
    return unread.is_empty


def test_messages_are_taken_in_their_order() -> None:
    """What came first is taken first, and nothing is left."""
    for is_handled in (True, False):
        unread = Unread(Limits(), is_handled=is_handled)
        assert is_empty(unread)
        assert (unread.count, unread.size) == (0, 0)
        first, second, third = Message("1"), Message("2"), Message("3")
        unread.add([first, second])
        unread.add([third])
        assert unread.count == 3
        assert unread.size == sum(message.memory_size for message in (first, second, third))
        assert [unread.take() for _ in range(3)] == [first, second, third]
        assert is_empty(unread)
        assert unread.size == 0
        with pytest.raises(IndexError):
            unread.take()


def test_all_messages_can_be_taken_at_once() -> None:
    """A connection that closes takes them to drop them."""
    unread = for_program()
    assert unread.clear() == []
    message = Message("1")
    unread.add([message])
    assert unread.clear() == [message]
    assert is_empty(unread)


def test_requests_that_cannot_be_answered_are_dropped_alone() -> None:
    """Where no answer can be sent any more, plain messages are still there for their handlers."""
    unread = Unread(Limits(), is_handled=True)
    assert unread.drop_requests() == 0
    first, second = Message("1"), Message("2")
    unread.add([first, Message("?", kind="request"), second])
    assert unread.drop_requests() == 1
    assert [unread.take(), unread.take()] == [first, second]
    unread.add([Message("?", kind="request")])
    assert unread.drop_requests() == 1
    assert is_empty(unread)


def test_too_many_messages_for_handlers_are_too_much() -> None:
    """At ``max_pending`` messages reading pauses, until one is taken."""
    unread = Unread(Limits(max_pending=2), is_handled=True)
    assert not is_too_much(unread)
    unread.add([Message("1")])
    assert not is_too_much(unread)
    unread.add([Message("2")])
    assert is_too_much(unread)
    unread.take()
    assert not is_too_much(unread)


def test_too_many_bytes_for_handlers_are_too_much() -> None:
    """Above ``high_water`` bytes reading pauses."""
    unread = Unread(Limits(high_water=10_000), is_handled=True)
    unread.add([Message(bytes(5_000))])
    assert not is_too_much(unread)
    unread.add([Message(bytes(5_000))])
    assert is_too_much(unread)


def test_a_program_may_leave_much_and_reading_goes_on_when_half_is_taken() -> None:
    """Above ``INBOX_SIZE`` reading pauses; below half of it, it goes on."""
    unread = for_program()
    unread.add([BIG])
    assert not is_too_much(unread)
    unread.add([BIG])
    assert is_too_much(unread)
    unread.take()
    assert is_too_much(unread)
    unread.take()
    assert not is_too_much(unread)
    unread.add([BIG])
    assert not is_too_much(unread)


def test_an_awaited_answer_makes_room_for_four_times_as_much() -> None:
    """The answer may come behind messages that nobody takes."""
    unread = for_program()
    call = Call(1, None, False)
    unread.expect(call)
    assert unread.awaited == [call]
    for _ in range(7):
        unread.add([BIG])
    assert not is_too_much(unread)
    unread.add([BIG])
    assert is_too_much(unread)
    unread.expect_no_more(call)
    assert unread.awaited == []


def test_nobody_waits_until_somebody_does() -> None:
    """A call that was never expected is forgotten without harm."""
    unread = for_program()
    assert unread.awaited == []
    unread.expect_no_more(Call(1, None, False))
    assert unread.awaited == []


def test_parts_of_answers_count_until_they_are_consumed() -> None:
    """They wait outside of the inbox, and are too much like messages."""
    unread = for_program()
    unread.hold(INBOX_SIZE)
    assert not is_empty(unread)
    assert not is_too_much(unread)
    unread.hold(1)
    assert unread.size == INBOX_SIZE + 1
    assert is_too_much(unread)
    unread.consumed(INBOX_SIZE + 1)
    assert is_empty(unread)
    assert not is_too_much(unread)


def test_a_pause_in_which_nothing_is_taken_is_a_stall() -> None:
    """It is told once, ``STALL_SECONDS`` after somebody who knows the time has seen the pause."""
    unread = for_program()
    unread.look()
    assert unread.stall_at == math.inf
    unread.add([BIG, BIG])
    assert is_too_much(unread)
    unread.look()
    assert not unread.has_stalled(1.0)
    unread.look()
    assert unread.stall_at == 1.0 + STALL_SECONDS
    assert not unread.has_stalled(5.9)
    assert unread.has_stalled(6.0)
    assert unread.stall_at == math.inf
    assert not unread.has_stalled(7.0)


def test_a_pause_in_which_something_is_taken_begins_anew() -> None:
    """A program that is slow, and takes messages, has not stalled."""
    unread = for_program()
    unread.add([BIG, BIG, BIG])
    assert is_too_much(unread)
    unread.look()
    assert not unread.has_stalled(0.0)
    unread.take()
    assert not unread.has_stalled(6.0)
    assert unread.stall_at == 6.0 + STALL_SECONDS
    unread.take()
    unread.take()
    assert not unread.has_stalled(20.0)
    assert unread.stall_at == math.inf


def row_of(count: int, size: int) -> tuple[deque[Call], MessageProcessor]:
    """Return calls of which ``count`` have answers, and what received these."""
    processor = MessageProcessor()
    row: deque[Call] = deque()
    for number in range(1, count + 1):
        reply = Message(bytes(size), kind="reply", re=number)
        call = Call(number, None, is_ping=False)
        [call.reply] = processor.receive_messages(reply.to_bytes())
        row.append(call)
    row.append(Call(count + 1, None, is_ping=False))
    return row, processor


def test_answers_that_nobody_has_taken_count() -> None:
    """Until they are taken from their row, or nobody takes any more."""
    unread = for_program()
    row: deque[Call] = deque()
    answers, processor = row_of(3, INBOX_SIZE // 4)
    unread.watch(row, MessageProcessor())
    assert not is_too_much(unread)
    unread.forget(row)
    unread.watch(row, processor)
    row += answers
    assert 3 * INBOX_SIZE // 4 < unread.size < INBOX_SIZE
    assert not is_too_much(unread)
    unread.hold(INBOX_SIZE // 2)
    assert is_too_much(unread)
    row.popleft()
    row.popleft()
    unread.consumed(INBOX_SIZE // 4)
    assert is_too_much(unread)
    unread.consumed(INBOX_SIZE // 4)
    assert not is_too_much(unread)
    unread.forget(row)
    unread.forget(row)
    assert unread.size == 0


def test_answers_pause_nothing_while_this_side_sends() -> None:
    """A peer may take the next requests only when its answers to the first ones are read."""
    unread = for_program()
    row, processor = row_of(3, INBOX_SIZE // 2)
    unread.watch(row, MessageProcessor())
    unread.watch(row, processor)
    assert unread.size > INBOX_SIZE
    for unread.is_sending in (True, False):
        assert is_too_much(unread) is not unread.is_sending


def test_answers_that_are_taken_end_the_time_of_a_stall() -> None:
    """Whoever takes them need not tell."""
    unread = for_program()
    row, processor = row_of(8, INBOX_SIZE // 4)
    late = MessageProcessor()
    unread.watch(row, late)
    assert not is_too_much(unread)
    late.receive_messages(Message(bytes(INBOX_SIZE)).to_bytes())
    assert is_too_much(unread)
    unread.look()
    assert not unread.has_stalled(0)
    row.popleft()
    assert not unread.has_stalled(STALL_SECONDS)
    assert not unread.has_stalled(STALL_SECONDS)
    assert unread.has_stalled(2 * STALL_SECONDS)
    unread.watch(deque(), processor)
    unread.forget(row)
    assert unread.size == 0
