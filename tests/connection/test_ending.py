"""The one reason of an end: what broke first, what was lost with it, and the errors that say so."""

from __future__ import annotations

import pytest

from telex import ConnectionClosedError, Message, ProtocolError, RemoteError, WaitTimeoutError
from telex.connection.ending import Ending, not_handled, what_was_cut, without_frames
from telex.connection.output import Output
from telex.conversation.conversation import Conversation
from telex.wire.processor import MessageProcessor
from tests.conversations import error, new_client, new_server, tell

GONE = ConnectionClosedError("peer", "it is gone")


def ending_of(conversation: Conversation | None = None) -> tuple[Ending, Conversation, Output]:
    """Make the ending of a client's conversation, and what it looks at."""
    conversation = conversation or new_client()
    output = Output()
    return Ending(conversation, output), conversation, output


def test_what_broke_first_is_the_reason() -> None:
    """Neither a later break nor the conversation that ends of it changes the reason."""
    ending, conversation, _ = ending_of()
    ending.break_with(GONE)
    ending.break_with(ConnectionClosedError("us", "another reason"))
    ending.end_conversation()
    ending.end_conversation()
    assert ending.broken is GONE
    assert conversation.error is not None
    assert str(ending.final_error) == str(GONE)
    assert not ending.is_good


def test_a_mistake_of_the_peer_comes_before_a_break() -> None:
    """The conversation ended by itself, and the network breaks because of that."""
    ending, conversation, _ = ending_of()
    conversation.fail(ProtocolError("a mistake"))
    ending.break_with(GONE)
    assert ending.broken is None
    assert str(ending.final_error) == "a mistake"
    told = ending.closed_error()
    assert (told.by, told.code) == ("us", "bad-message")
    assert isinstance(told.__cause__, ProtocolError)


def test_a_refusal_of_this_side_is_its_own_reason() -> None:
    """The error says who ended the connection, why, and with which code."""
    ending, conversation, _ = ending_of()
    conversation.fail(ConnectionClosedError("us", "there is no room", code="overloaded"))
    told = ending.closed_error()
    assert (told.by, told.reason, told.code) == ("us", "there is no room", "overloaded")


def test_nothing_broke_where_nothing_broke() -> None:
    """A conversation goes on until something ends it."""
    ending, conversation, _ = ending_of()
    ending.end_conversation()
    assert not conversation.is_over
    assert ending.final_error is None


def test_a_message_that_was_cut_is_named() -> None:
    """How much of it came, and what was missing, is part of the reason."""
    ending, conversation, _ = ending_of()
    tell(conversation)
    conversation.receive_data(Message("hello").to_bytes()[:-2])
    ending.break_with(GONE)
    ending.reach()
    assert "2 short of its content" in str(ending.final_error)
    assert "2 short of its content" in ending.closed_error().reason
    assert conversation.error is not None
    assert "2 short of its content" in str(conversation.error)


def test_the_words_for_a_cut_are_found_once() -> None:
    """A processor that has failed, or is between messages, has nothing cut."""
    processor = MessageProcessor()
    assert what_was_cut(processor) == ""
    processor = MessageProcessor()
    processor.receive_messages(b"\x00")
    words = what_was_cut(processor)
    assert words.startswith(", ")
    assert what_was_cut(processor) == ""


def test_everything_lost_is_counted_in_the_final_error() -> None:
    """Messages, bytes and requests."""
    ending, conversation, output = ending_of(new_server())
    tell(conversation, Message("x", kind="request", id=1))
    output.add([b"12345"])
    ending.dropped = 1
    cause = OSError("no route")
    gone = ConnectionClosedError("peer", "it is gone")
    gone.__cause__ = cause
    ending.break_with(gone)
    ending.reach()
    final = ending.final_error
    assert isinstance(final, ConnectionClosedError)
    assert "it is gone; 1 message was not handled" in str(final)
    assert (final.unsent, final.unanswered) == (5, 1)
    assert final.__cause__ is cause
    assert ending.closed_error().__cause__ is cause


def test_an_interruption_is_told_with_what_is_unsent() -> None:
    """Whoever closes later need not be told again."""
    ending, _, output = ending_of()
    output.add([b"12345"])
    error = ending.interrupted_error()
    assert (error.by, error.unsent) == ("us", 5)
    assert "interrupted while bytes were on their way" in str(error)
    assert ending.was_told


def test_what_was_unsent_at_the_end_stays_so() -> None:
    """Bytes that are let go of afterwards were lost all the same."""
    ending, _, output = ending_of()
    output.add([b"12345"])
    assert ending.unsent == 5
    ending.reach()
    output.discard()
    output.add([b"6"])
    assert ending.unsent == 5
    assert not ending.is_good


def test_an_end_without_losses_is_good() -> None:
    """Whether this side or the peer has said goodbye."""
    ending, conversation, _ = ending_of()
    conversation.close("closed", "close() was called")
    assert ending.is_good
    assert ending.closed_error().reason == "close() was called"
    ending, conversation, _ = ending_of()
    tell(conversation, Message({"code": "shutting-down"}, kind="close"))
    assert ending.is_good
    ending, conversation, _ = ending_of()
    tell(conversation, Message({"code": "tired"}, kind="close"))
    assert not ending.is_good


def test_nothing_unseen_is_told_of_a_good_end() -> None:
    """Neither of a goodbye of the peer, nor of one of this side."""
    ending, conversation, _ = ending_of()
    assert ending.unseen_error() is None
    tell(conversation, Message({"code": "closed"}, kind="close"))
    assert ending.unseen_error() is None


def test_a_stream_that_ends_first_without_a_goodbye_is_told_where_messages_may_be_lost() -> None:
    """It is no error where every plain message is confirmed, or where this side ended first."""
    ending, conversation, _ = ending_of()
    conversation.send(Message("a reading"))
    conversation.receive_eof()
    unseen = ending.unseen_error()
    assert isinstance(unseen, ConnectionClosedError)
    assert (unseen.by, unseen.unconfirmed) == ("peer", 1)
    assert ending.unseen_error() is None  # told once
    ending, conversation, _ = ending_of()
    conversation.receive_eof()
    assert ending.unseen_error() is None
    ending, conversation, _ = ending_of()
    conversation.send(Message("a reading"))
    conversation.close("closed", "")
    assert ending.unseen_error() is None


def test_unsent_bytes_at_a_good_end_are_told() -> None:
    """The peer ended before it had read all."""
    ending, _, output = ending_of()
    output.add([b"123"])
    assert ending.unseen_error() is None  # they may go yet
    ending.reach()
    unseen = ending.unseen_error()
    assert isinstance(unseen, ConnectionClosedError)
    assert unseen.unsent == 3
    assert "it ended before it had read all" in str(unseen)


@pytest.mark.parametrize("how", ["broken", "failed", "refused"])
def test_a_bad_end_is_told_once(how: str) -> None:
    """Somebody who met the reason already is not told of it again."""
    ending, conversation, _ = ending_of()
    if how == "broken":
        ending.break_with(GONE)
    elif how == "failed":
        conversation.fail(ProtocolError("a mistake"))
    else:
        tell(conversation, error("overloaded"))
    assert ending.unseen_error() is not None
    assert ending.was_told
    assert ending.unseen_error() is None


def test_an_error_that_nobody_received_is_told() -> None:
    """The first one that the peer told in messages that were dropped at the end."""
    ending, _, _ = ending_of()
    ending.note_dropped([Message("x"), error("refused"), error("no-more")])
    unseen = ending.unseen_error()
    assert unseen is not None
    assert isinstance(unseen, RemoteError)
    assert unseen.code == "refused"


def test_an_end_that_is_waited_for_in_vain_has_a_reason() -> None:
    """Unsent bytes, or a peer that does not end, unless it may be busy with what was given up."""
    ending, _, output = ending_of()
    assert isinstance(ending.overdue_error(2), WaitTimeoutError)
    ending.gave_up = True
    assert ending.overdue_error(2) is None
    output.add([b"123"])
    overdue = ending.overdue_error(2)
    assert isinstance(overdue, ConnectionClosedError)
    assert overdue.unsent == 3
    assert "the peer did not read on for 2 s" in str(overdue)


def test_messages_that_were_not_handled_are_counted_in_words() -> None:
    """One, and many."""
    assert not_handled(1) == "1 message was not handled"
    assert not_handled(1_234) == "1,234 messages were not handled"


def test_an_error_that_is_kept_holds_no_frames() -> None:
    """Neither its own, nor those of its cause."""

    def fail() -> None:
        try:
            raise OSError("no route")
        except OSError as error:
            raise ConnectionClosedError("peer", "it is gone") from error

    with pytest.raises(ConnectionClosedError) as caught:
        fail()
    kept = without_frames(caught.value)
    assert kept.__traceback__ is None
    assert kept.__cause__ is not None
    assert kept.__cause__.__traceback__ is None


def test_an_end_without_unsent_bytes_stays_so() -> None:
    """Bytes that come too late to be sent were not lost with the end."""
    ending, _, output = ending_of()
    ending.reach()
    output.discard()
    output.add([b"late"])
    assert ending.unsent == 0


def lost(error: OSError | None = None) -> ConnectionClosedError:
    """Return the error for a peer that went without a goodbye."""
    gone = ConnectionClosedError("peer", "it reset the connection")
    gone.__cause__ = error
    return gone


@pytest.mark.parametrize("cause", [None, ConnectionResetError(104, "reset")])
def test_a_peer_that_just_leaves_loses_nothing(cause: OSError | None) -> None:
    """Between messages, with all that it asked answered, nothing is lost by that."""
    ending, conversation, _ = ending_of(new_server())
    tell(conversation, Message("x", kind="request", id=1))
    conversation.answer(1, Message("y"))
    conversation.data_to_send()
    ending.break_with(lost(cause))
    ending.reach()
    assert ending.final_error is not None
    assert not ending.has_loss


def test_an_end_without_an_error_loses_nothing() -> None:
    """There is nothing that anybody could be told."""
    assert not ending_of()[0].has_loss


@pytest.mark.parametrize("what", ["message", "request", "output", "unhandled"])
def test_what_is_missing_when_a_peer_leaves_is_lost(what: str) -> None:
    """A message that was cut, an answer, bytes that were not sent, or a message that waited."""
    ending, conversation, output = ending_of(new_server())
    if what == "message":
        conversation.receive_data(Message("x").to_bytes()[:-1])
    elif what == "request":
        tell(conversation, Message("x", kind="request", id=1))
    elif what == "output":
        output.add([b"unsent"])
    else:
        ending.dropped = 1
    ending.break_with(lost(BrokenPipeError(32, "broken pipe")))
    ending.reach()
    assert ending.has_loss


def test_a_peer_that_said_goodbye_wants_no_answers() -> None:
    """What it does not take after that is its own choice; what it sent before counts."""
    ending, conversation, output = ending_of(new_server())
    tell(conversation, Message("x", kind="request", id=1))
    tell(conversation, Message({"code": "closed"}, kind="close"))
    output.add([b"unsent"])
    ending.break_with(lost())
    assert not ending.has_loss
    ending.dropped = 1
    assert ending.has_loss


@pytest.mark.parametrize("how", ["mistake", "refusal", "network", "peer"])
def test_what_was_refused_or_failed_is_a_loss(how: str) -> None:
    """Whether by this side, by the peer, or by the network between them."""
    ending, conversation, _ = ending_of(new_server())
    if how == "mistake":
        conversation.receive_data(b"\0\0")
    elif how == "refusal":
        conversation.fail(ConnectionClosedError("us", "too many", code="overloaded"))
    elif how == "network":
        ending.break_with(lost(TimeoutError(110, "timed out")))
    else:
        tell(conversation, error("overloaded"))
        ending.break_with(lost())
    assert ending.has_loss
