"""The steps of an end: who is waited for, how long, and when nothing more can come or go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telex import Application, ConnectionClosedError, Limits, Message
from telex.connection.closing import (
    LINGER_BYTES,
    LINGER_SECONDS,
    MOST_BEFORE_REFUSAL,
    SILENT_SECONDS,
    UNWANTED_SECONDS,
)
from telex.conversation.states import Phase
from tests.connection.layers import MaskingLayer
from tests.connection.pump import Layers, Pair, Served

LAYERS: dict[str, Callable[[], Layers]] = {
    "plain": lambda: (None, None),
    "layered": lambda: (MaskingLayer(is_server=False), MaskingLayer(is_server=True)),
}

CUT = ConnectionClosedError("us", "no more patience", code="overloaded")


def test_a_client_that_closes_ends_with_the_servers_end() -> None:
    """Both say goodbye, in the shortest way, and both ends are good."""
    pair = Pair()
    assert not pair.client.connection.is_finished
    pair.client.connection.close(pair.now)
    pair.settle()
    assert pair.is_over
    for end in pair.ends:
        assert end.connection.ending.is_good
        assert end.connection.ending.unseen_error() is None


def test_what_comes_after_close_is_received_and_dropped() -> None:
    """The peer must not meet a reset for what it sent before it knew."""
    pair = Pair(room=5_000)
    pair.server.connection.send(Message("before"))
    pair.server.connection.send(Message(bytes(100_000)))
    pair.client.turn(20)
    pair.client.connection.close(pair.now)
    pair.settle()
    assert pair.is_over
    assert pair.client.received == []
    assert all(end.connection.ending.is_good for end in pair.ends)


def test_long_content_that_comes_after_close_is_dropped_too() -> None:
    """Content that is received into its place is no exception."""
    pair = Pair()
    pair.server.connection.send(Message(bytes(300_000)))
    pair.server.transmit()
    pair.client.turn(70_000)
    assert pair.client.connection.content_buffer() is not None
    pair.client.connection.close(pair.now)
    pair.settle()
    assert pair.client.received == []
    assert pair.is_over


def test_a_client_that_waits_for_nothing_waits_for_the_servers_end_without_a_limit() -> None:
    """How long ``close()`` waits is said by whoever calls it."""
    pair = Pair()
    pair.client.connection.close(pair.now)
    pair.server.way.is_silent = True
    pair.wait(1_000)
    assert pair.client.ending is None
    overdue = pair.client.connection.ending.overdue_error(10)
    assert "the peer to end the connection" in str(overdue)


def test_a_client_that_only_gave_requests_up_ends_when_everything_is_sent() -> None:
    """The peer may be at work on them for long, and nobody wants what comes of that."""
    application = Application()
    application.on("slow", blocking=True)(lambda message: message)
    for abandons in (True, False):
        pair = Pair(application)
        call = pair.client.request(subject="slow")
        if abandons:
            pair.client.conversation.abandon(call)
        pair.settle()
        pair.client.connection.close(pair.now)
        assert pair.client.connection.ending.gave_up
        assert pair.client.connection.ending.overdue_error(10) is None
        pair.settle()
        assert pair.client.connection.next_deadline == pair.now + UNWANTED_SECONDS
        pair.wait(UNWANTED_SECONDS)
        assert pair.client.ending is not None
        assert pair.client.ending.is_good


def test_a_client_that_gave_requests_up_ends_when_its_plain_messages_are_read() -> None:
    """It asks the peer with a ping, which is answered while the peer is at work."""
    application = Application()
    application.on("slow", blocking=True)(lambda message: message)
    pair = Pair(application)
    pair.client.conversation.abandon(pair.client.request(subject="slow"))
    pair.client.connection.send(Message("to be read"))
    assert pair.client.conversation.unconfirmed == 1
    pair.client.connection.close(pair.now)
    pair.settle()
    assert pair.client.conversation.unconfirmed == 0
    pair.wait(UNWANTED_SECONDS)
    assert pair.client.ending is not None
    assert pair.client.ending.is_good


def test_a_client_that_gave_requests_up_waits_a_second_for_a_peer_that_reads_nothing() -> None:
    """Then its plain messages may be lost, and it says so."""
    pair = Pair(Application())
    pair.client.conversation.abandon(pair.client.request(subject="slow"))
    pair.client.connection.send(Message("to be read"))
    client = pair.client.connection
    client.close(pair.now)
    client.data_sent(sum(map(len, client.data_to_send())))
    assert client.wants_to_end_output
    client.output_ended(pair.now)
    assert client.next_deadline == pair.now + SILENT_SECONDS
    client.handle_deadline(pair.now + SILENT_SECONDS)
    assert client.is_finished
    assert client.finish().closed_error().unconfirmed == 1


def test_a_server_that_leaves_answers_what_came_and_reads_no_more() -> None:
    """The goodbye follows the last answer; what comes behind it is ignored."""
    application = Application()
    application.on("slow", blocking=True)(lambda message: message)
    pair = Pair(application)
    call = pair.client.request(subject="slow")
    pair.settle()
    pair.server.connection.leave(pair.now)
    pair.client.connection.send(Message("late"))
    pair.settle()
    assert not pair.server.connection.wants_to_read
    server = pair.server
    assert isinstance(server, Served)
    run = server.runs.pop()
    server.dispatcher.returned(run, "done")
    server.work()
    assert server.connection.wants_to_read  # to see the end
    pair.settle()
    assert call.reply is not None
    assert call.reply.content == "done"
    assert pair.client.conversation.closed_error().code == "shutting-down"
    assert pair.is_over
    assert all(end.connection.ending.is_good for end in pair.ends)


def test_a_server_that_leaves_waits_a_second_for_a_silent_peer() -> None:
    """A peer that still sends moves that second, and what it sends is dropped."""
    pair = Pair()
    pair.server.connection.leave(pair.now)
    pair.server.work()
    assert pair.server.connection.next_deadline == pair.now + SILENT_SECONDS
    assert pair.server.connection.receive_data(b"anything", pair.now + 0.9) == []
    assert pair.server.connection.next_deadline == pair.now + 0.9 + SILENT_SECONDS
    pair.client.way.is_silent = True
    pair.wait(1.9)
    assert pair.server.ending is not None
    assert pair.server.ending.is_good


def test_leaving_hurries_an_end_that_is_under_way() -> None:
    """A peer that has everything is waited for no longer than leaving allows."""
    pair = Pair()
    pair.client.way.is_silent = True
    pair.server.connection.refuse("overloaded", "there is no room", pair.now)
    pair.server.work()
    assert pair.server.connection.next_deadline == pair.now + LINGER_SECONDS
    pair.server.connection.leave(pair.now)
    assert pair.server.connection.next_deadline == pair.now + SILENT_SECONDS


def test_a_peer_that_ended_its_stream_is_answered_first() -> None:
    """Its end is a goodbye; this side says its own when everything is answered."""
    application = Application()
    application.on("now")(lambda message: "done")
    pair = Pair(application)
    call = pair.client.request(subject="now")
    pair.client.transmit()
    pair.client.way.has_ended = True
    pair.settle()
    assert call.reply is not None
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.detail == "everything is answered"


def test_an_end_of_this_side_is_awaited_for_five_seconds() -> None:
    """A peer that said its last, and keeps its stream open, does not hold the connection."""
    pair = Pair()
    pair.client.conversation.ping()
    pair.client.transmit()
    goodbye = Message({"code": "closed", "reason": "enough"}, kind="close")
    pair.client.way.data += goodbye.to_bytes()
    pair.server.turn()
    assert pair.server.conversation.phase is Phase.CLOSED
    assert pair.server.connection.next_deadline == pair.now + LINGER_SECONDS
    pair.now += LINGER_SECONDS
    pair.server.look_at_clock()
    assert pair.server.ending is not None
    assert pair.server.ending.is_good


def test_a_refused_peer_is_told_and_waited_for() -> None:
    """It is told the reason, has five seconds to end, and is served no more."""
    application = Application()
    pair = Pair(application)
    pair.server.connection.refuse("overloaded", "there is no room", pair.now)
    pair.server.work()
    assert pair.server.connection.closing.is_refused
    assert not pair.server.connection.closing.is_served
    assert not pair.server.connection.closing.can_answer
    assert pair.server.connection.next_deadline == pair.now + LINGER_SECONDS
    pair.settle()
    assert pair.is_over
    assert pair.client.conversation.farewell is not None
    assert str(pair.client.conversation.farewell.detail) == "there is no room"
    assert pair.client.ending is not None
    unseen = pair.client.ending.unseen_error()
    assert isinstance(unseen, ConnectionClosedError)
    assert unseen.code == "overloaded"


def refuse_behind(pair: Pair, *sizes: int) -> None:
    """Have the server refuse its peer while messages of these sizes are unsent, in a batch each."""
    for size in sizes:
        pair.server.connection.send(Message(bytes(size)))
        pair.server.transmit()
    pair.server.connection.send(Message("not even handed to the output"))
    pair.server.connection.refuse("overloaded", "there is no room", pair.now)


@pytest.mark.parametrize("layered", LAYERS)
def test_a_peer_that_is_refused_behind_a_little_output_reads_that_and_the_reason(
    layered: str,
) -> None:
    """Nothing of what was sent is lost."""
    pair = Pair(room=10, layers=LAYERS[layered]())
    pair.settle()
    refuse_behind(pair, 100, 200)
    pair.settle()
    assert [len(message.body) for message in pair.client.received][:2] == [100, 200]
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "overloaded"


@pytest.mark.parametrize("layered", LAYERS)
def test_a_peer_that_is_refused_behind_much_output_reads_one_batch_and_the_reason(
    layered: str,
) -> None:
    """What is on its way is completed, and everything behind that is lost, and counted."""
    pair = Pair(room=10, layers=LAYERS[layered]())
    pair.settle()
    refuse_behind(pair, 100, MOST_BEFORE_REFUSAL, 300)
    assert pair.server.connection.unsent < 1_000
    pair.settle()
    assert [len(message.body) for message in pair.client.received] == [100]
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "overloaded"
    assert pair.server.ending is not None
    assert pair.server.ending.unsent > MOST_BEFORE_REFUSAL + 300
    assert "there is no room" in str(pair.server.ending.final_error)


@pytest.mark.parametrize("layered", LAYERS)
def test_a_peer_that_is_refused_within_long_content_is_cut_off(layered: str) -> None:
    """It would read the reason behind all of that; so it is told by the end alone."""
    pair = Pair(room=10, layers=LAYERS[layered]())
    pair.settle()
    refuse_behind(pair, MOST_BEFORE_REFUSAL)
    assert pair.server.connection.is_finished
    pair.server.work()
    assert pair.server.ending is not None
    assert pair.server.ending.unsent > MOST_BEFORE_REFUSAL
    assert "there is no room" in str(pair.server.ending.final_error)
    pair.settle()
    assert pair.client.ending is not None
    assert pair.client.ending.closed_error().by == "peer"


def test_what_a_refused_peer_sent_and_nobody_handled_is_counted() -> None:
    """The end says how many messages were dropped."""
    pair = Pair()
    pair.server.takes = False
    for _ in range(2):
        pair.client.connection.send(Message("x"))
    pair.settle()
    pair.server.connection.refuse("overloaded", "there is no room", pair.now)
    pair.server.work()
    assert "; 2 messages were not handled" in str(pair.server.connection.ending.final_error)


def test_a_peer_that_sends_on_after_the_end_is_read_for_a_while() -> None:
    """To close while it sends would reset the connection; ``LINGER_BYTES`` are enough."""
    pair = Pair()
    connection = pair.server.connection
    connection.refuse("overloaded", "there is no room", pair.now)
    pair.server.work()
    chunk = bytes(1 << 20)
    for _ in range(LINGER_BYTES // len(chunk)):
        assert connection.receive_data(chunk, pair.now) == []
    assert not connection.is_finished
    connection.receive_data(b"x", pair.now)
    assert connection.is_finished


def test_a_peer_that_said_goodbye_and_reads_no_more_is_given_up() -> None:
    """As long as it takes some of the rest, it is waited for; then for five seconds."""
    pair = Pair(room=1_000)
    pair.client.connection.send(Message("x"))
    pair.server.connection.send(Message(bytes(10_000)))
    pair.client.transmit()
    pair.client.way.has_ended = True
    pair.server.turn()
    pair.server.turn()
    pair.server.turn()
    for _ in range(3):
        pair.now += 3.0
        pair.server.look_at_clock()
        assert pair.server.ending is None
        pair.client.turn(100)
        pair.server.work()
    for _ in range(30):
        pair.now += 0.25
        pair.server.look_at_clock()
    assert pair.server.ending is not None
    assert "it does not read on" in str(pair.server.ending.final_error)
    assert pair.server.ending.unsent > 0


def test_cutting_off_tells_the_peer_where_nothing_is_in_the_way() -> None:
    """An idle peer is told the reason; all is over at once."""
    pair = Pair()
    pair.server.connection.cut_off(CUT, pair.now)
    assert pair.server.connection.is_finished
    assert not pair.server.connection.wants_to_read
    pair.server.work()
    pair.client.turn()
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "overloaded"


@pytest.mark.parametrize("layered", LAYERS)
def test_a_lost_connection_was_not_refused(layered: str) -> None:
    """Nobody is told anything, and handlers of plain messages go on."""
    pair = Pair(layers=LAYERS[layered]())
    pair.settle()
    connection = pair.server.connection
    connection.lost(ConnectionClosedError("peer", "it reset the connection"), pair.now)
    for _ in range(2):
        connection.data_to_send()
    assert connection.conversation.is_over
    assert not connection.closing.is_refused


def test_a_refused_peer_stays_refused_when_the_connection_is_lost() -> None:
    """What it sent is not wanted any more, whatever happens to the network."""
    pair = Pair()
    connection = pair.server.connection
    connection.refuse("overloaded", "there is no room", pair.now)
    connection.lost(ConnectionClosedError("peer", "it reset the connection"), pair.now)
    connection.data_to_send()
    assert connection.closing.is_refused
    assert "there is no room" in str(connection.ending.final_error)


def test_cutting_off_does_not_change_why_a_connection_ended() -> None:
    """An end that is under way keeps its reason."""
    pair = Pair()
    pair.server.connection.refuse("bad-message", "what is this", pair.now)
    pair.server.work()
    pair.server.connection.cut_off(CUT, pair.now)
    assert "what is this" in str(pair.server.connection.finish().final_error)
    pair = Pair(room=10)
    pair.client.connection.send(Message(bytes(100)))
    pair.client.transmit()
    pair.client.conversation.fail(CUT)
    other = ConnectionClosedError("us", "another reason")
    pair.client.connection.cut_off(other, pair.now)
    assert "no more patience" in str(pair.client.connection.finish().final_error)


def test_cutting_off_after_the_last_word_tells_nothing_more() -> None:
    """The output has ended already."""
    pair = Pair()
    pair.server.connection.leave(pair.now)
    pair.server.work()
    pair.server.connection.cut_off(CUT, pair.now)
    assert pair.server.connection.data_to_send() == []
    assert pair.server.connection.finish().is_good


def test_requests_that_wait_are_dropped_with_the_output() -> None:
    """Nobody receives their answers; plain messages that came between them are handled."""
    pair = Pair()
    pair.server.takes = False
    pair.client.request("a")
    pair.client.connection.send(Message("b"))
    pair.client.request("c")
    pair.settle()
    lost = ConnectionClosedError("peer", "it receives no more")
    pair.server.connection.output_lost(lost, pair.now)
    assert pair.server.connection.ending.dropped == 2
    assert pair.server.connection.unread.count == 1


def test_output_that_is_lost_leaves_what_the_peer_sent() -> None:
    """What came before counts; the reason is that nothing could be sent."""
    pair = Pair()
    pair.client.connection.send(Message("before"))
    pair.client.transmit()
    lost = ConnectionClosedError("peer", "it receives no more")
    pair.server.connection.output_lost(lost, pair.now)
    pair.server.turn()
    assert pair.server.contents == ["before"]
    assert not pair.server.connection.is_finished
    with pytest.raises(ConnectionClosedError, match="it receives no more"):
        pair.server.connection.check_open()
    with pytest.raises(ConnectionClosedError, match="it receives no more"):
        pair.server.connection.send(Message("x"))
    pair.client.way.has_ended = True
    pair.server.turn()
    pair.server.work()
    assert pair.server.ending is not None
    assert str(pair.server.ending.final_error) == str(lost)


def test_a_lost_connection_keeps_what_waits_to_be_taken() -> None:
    """The program takes it, and then meets the reason."""
    pair = Pair()
    pair.client.takes = False
    pair.server.connection.send(Message("before"))
    call = pair.client.conversation.ping()
    pair.server.transmit()
    pair.client.turn()
    pair.client.connection.lost(ConnectionClosedError("peer", "it is gone"), pair.now)
    pair.client.work()
    assert pair.client.ending is not None
    assert isinstance(call.error, ConnectionClosedError)
    assert call.error.reason == "it is gone"
    assert pair.client.connection.unread.take().content == "before"


def test_a_connection_that_is_lost_after_its_end_keeps_its_reason() -> None:
    """A peer that resets after the goodbye has changed nothing."""
    pair = Pair()
    pair.client.connection.close(pair.now)
    pair.client.work()
    pair.server.turn()
    pair.server.conversation.close("closed", "enough")
    pair.server.connection.lost(ConnectionClosedError("peer", "it reset"), pair.now)
    assert pair.server.connection.is_finished
    assert pair.server.connection.finish().is_good


def test_an_end_that_comes_twice_is_one_end() -> None:
    """A driver may see the end of the stream again."""
    pair = Pair()
    pair.server.connection.receive_eof(pair.now)
    pair.server.connection.receive_eof(pair.now)
    pair.server.work()
    assert pair.server.connection.is_finished


def test_finishing_ends_whatever_goes_on() -> None:
    """Calls end, nothing is sent or answered any more, and the reason is final."""
    application = Application()
    application.on("slow", blocking=True)(lambda message: message)
    pair = Pair(application)
    call = pair.client.request(subject="slow")
    pair.settle()
    client, server = pair.client.connection, pair.server.connection
    assert client.finish() is client.finish()
    assert isinstance(call.error, ConnectionClosedError)
    assert call.error.by == "us"
    with pytest.raises(ConnectionClosedError):
        client.send(Message("x"))
    with pytest.raises(ConnectionClosedError):
        client.conversation.request(Message("x"))
    server.finish()
    before = server.conversation.unanswered
    server.conversation.answer(1, Message("late"))
    assert server.conversation.unanswered == before
    assert server.data_to_send() == client.data_to_send() == []


def test_nothing_changes_a_reason_that_is_final() -> None:
    """Bytes, ends, losses, times and orders come too late."""
    limits = Limits(idle_timeout=1)
    for is_lost in (True, False):
        pair = Pair(limits=limits)
        connection = pair.server.connection
        if is_lost:
            connection.lost(ConnectionClosedError("peer", "it is gone"), pair.now)
        else:
            pair.client.connection.close(pair.now)
            pair.settle()
        ending = connection.finish()
        before = str(ending.final_error), str(ending.closed_error()), ending.is_good
        other = ConnectionClosedError("us", "another reason")
        assert connection.receive_data(Message("x").to_bytes(), pair.now) == []
        connection.receive_eof(pair.now)
        connection.lost(other, pair.now)
        connection.refuse("overloaded", "too late", pair.now)
        connection.cut_off(other, pair.now)
        connection.leave(pair.now)
        connection.handle_deadline(pair.now + 100)
        assert connection.data_to_send() == []
        after = str(ending.final_error), str(ending.closed_error()), ending.is_good
        assert after == before
