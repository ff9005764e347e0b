"""A connection while it goes on: bytes in and out, what waits, and when reading pauses."""

from __future__ import annotations

import pytest

from telex import Application, ConnectionClosedError, Limits, Message
from telex.connection.backlog import BACKLOG_FACTOR
from telex.connection.connection import Connection
from telex.connection.unread import INBOX_SIZE
from telex.conversation.batch import BATCH_SIZE
from telex.conversation.greeting import Greeting
from tests.connection.pump import Pair, Served


def reads(connection: Connection) -> bool:
    """Say whether a driver is to receive."""
    return connection.wants_to_read


def is_backed_up(connection: Connection) -> bool:
    """Say whether nothing should be added to the output."""
    return connection.is_backed_up


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_messages_and_answers_arrive_however_they_are_cut(size: int) -> None:
    """Everything comes once and in order; both ends are quiet afterwards."""
    application = Application()

    @application.on("count")
    def count(message: Message) -> object:
        yield from range(message.content)

    application.on("echo")(lambda message: message.content)
    pair = Pair(application, room=1_000)
    parts = pair.client.request(3, subject="count")
    echo = pair.client.request({"a": 1}, subject="echo")
    for number in range(3):
        pair.server.connection.send(Message(number))
    pair.settle(size)
    assert [part.content for part in parts.take_parts()] == [0, 1, 2]
    assert echo.reply is not None
    assert echo.reply.content == {"a": 1}
    assert pair.client.contents == [0, 1, 2]
    assert pair.client.connection.is_quiet
    assert pair.server.connection.is_quiet


def test_what_was_sent_and_what_is_unsent_is_known() -> None:
    """Bytes that were offered are unsent until they are said to have gone."""
    pair = Pair(room=10)
    connection = pair.client.connection
    assert connection.data_to_send() == []
    connection.send(Message(b"12345"))
    size = connection.unsent
    assert size > 10
    pair.client.transmit()
    assert (connection.sent, connection.unsent) == (10, size - 10)
    assert connection.said == size
    pair.settle()
    assert (connection.sent, connection.unsent) == (size, 0)


def test_long_content_is_received_into_its_place() -> None:
    """Where there is no layer, without a copy."""
    pair = Pair()
    content = bytes(range(256)) * 2_000
    pair.client.connection.send(Message(content))
    pair.settle(70_000)
    assert pair.server.contents == [content]
    assert pair.server.connection.content_buffer() is None


def test_a_client_says_hello_where_it_asks_for_something() -> None:
    """Keepalive is wanted on both sides then."""
    pair = Pair(client_greeting=Greeting("client", keepalive=True))
    pair.settle()
    assert pair.client.conversation.wants_keepalive
    assert pair.server.conversation.wants_keepalive


def test_bad_bytes_never_raise() -> None:
    """They end the connection, and the peer is told; what came before them counts."""
    pair = Pair()
    pair.client.connection.send(Message("before"))
    pair.client.transmit()
    pair.client.way.data += b"\x00\x01"
    pair.settle()
    assert pair.server.contents == ["before"]
    assert pair.is_over
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "bad-message"


def test_reading_pauses_while_too_much_output_is_unsent() -> None:
    """Above ``high_water``, until half of that is gone."""
    pair = Pair(limits=Limits(high_water=10_000), room=0)
    server = pair.server.connection
    assert reads(server)
    server.send(Message(bytes(12_000)))
    assert reads(server)  # nothing is handed over before the next turn
    server.data_to_send()
    assert is_backed_up(server)
    assert not reads(server)
    assert not server.is_quiet
    pair.server.way.room = 4_000
    pair.server.transmit()
    assert is_backed_up(server)
    pair.server.way.room = 8_000
    pair.server.transmit()
    assert not is_backed_up(server)
    assert reads(server)


def test_whoever_says_much_sends_a_batch_before_the_rest() -> None:
    """A batch that was said and not sent has to go first; so has output of which too much waits."""
    pair = Pair(limits=Limits(high_water=2 * BATCH_SIZE), room=0)
    client = pair.client.connection
    seen = [client.must_send_first]
    for size in (BATCH_SIZE, 2 * BATCH_SIZE):
        client.send(Message(bytes(size)))
        seen.append(client.must_send_first)
        client.data_to_send()
        seen.append(client.must_send_first)
    assert seen == [False, True, False, True, True]


def test_an_end_that_asks_never_stops_reading_for_the_peers_sake() -> None:
    """Answers of the peer may be all that frees the output."""
    pair = Pair(limits=Limits(high_water=10_000), room=0)
    for end in pair.ends:
        end.connection.send(Message(bytes(12_000)))
        end.connection.data_to_send()
    assert reads(pair.client.connection)
    assert not reads(pair.server.connection)
    pair.server.conversation.request(Message("x"))
    assert reads(pair.server.connection)


def test_reading_pauses_while_too_many_requests_are_unanswered() -> None:
    """At ``max_pending`` of them, until one is answered, or nobody receives the answers."""
    application = Application()
    application.on("slow", blocking=True, concurrent=True)(lambda message: message)
    pair = Pair(application, limits=Limits(max_pending=2))
    for _ in range(3):
        pair.client.request(subject="slow")
        pair.client.transmit()
        pair.server.turn(len(pair.client.way.data))
    server = pair.server
    assert isinstance(server, Served)
    assert server.conversation.unanswered == 2
    assert not reads(server.connection)
    server.dispatcher.returned(server.runs.pop(), "done")
    assert reads(server.connection)


def test_requests_are_read_beside_a_generator_that_waits_for_room() -> None:
    """Its parts stop at half of what pauses reading."""
    application = Application()

    @application.on("parts")
    def parts(message: Message) -> object:
        for _ in range(10):
            yield bytes(3_000)

    pair = Pair(application, limits=Limits(high_water=10_000), room=0)
    call = pair.client.request(subject="parts")
    pair.client.way.room = 1_000
    pair.client.transmit()
    pair.server.turn()
    server = pair.server
    assert isinstance(server, Served)
    assert server.dispatcher.has_generators
    assert not server.connection.has_room
    assert reads(server.connection)
    pair.server.way.room = 10_000
    pair.settle()
    assert call.is_done
    assert call.error is None
    assert len(call.take_parts()) == 10


def test_reading_goes_on_where_answers_are_received_by_nobody() -> None:
    """Else the end of the peer would never be seen."""
    pair = Pair(limits=Limits(max_pending=1))
    pair.client.request()
    pair.client.transmit()
    pair.server.turn()
    server = pair.server.connection
    assert not reads(server)
    server.output_lost(ConnectionClosedError("peer", "it receives no more"), pair.now)
    assert reads(server)
    server.handlers_running = 1
    assert not reads(server)


def test_reading_pauses_while_a_program_takes_nothing() -> None:
    """Above ``INBOX_SIZE``; who closes reads on, and drops."""
    pair = Pair()
    client = pair.client.connection
    client.unread.hold(INBOX_SIZE + 1)
    assert not reads(client)
    assert not client.is_quiet
    client.close(pair.now)
    assert reads(client)


def test_a_peer_that_reads_far_too_slowly_is_cut_off() -> None:
    """Whoever sends then is told so, and so is whoever sends later."""
    pair = Pair(limits=Limits(high_water=100), room=0)
    server = pair.server.connection
    server.send(Message(bytes(100 * BACKLOG_FACTOR)))
    server.data_to_send()
    for _ in range(2):
        with pytest.raises(ConnectionClosedError, match="it reads far too slowly") as caught:
            server.send(Message("x"))
        assert (caught.value.by, caught.value.code) == ("us", "overloaded")
    assert not server.closing.can_answer
    pair.server.way.room = 1 << 20
    pair.settle()
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "overloaded"


def test_what_a_connection_holds_is_known_and_let_go_of() -> None:
    """Messages that wait, a message that has begun, unsent output, and messages at work."""
    pair = Pair(room=0)
    server = pair.server.connection
    assert server.memory_held == 0
    server.send(Message(bytes(1_000)))
    unsent = server.memory_held
    assert unsent > 1_000
    server.data_to_send()
    assert server.memory_held == unsent
    server.bytes_at_work += 500
    assert server.memory_held == unsent + 500
    server.receive_data(Message(bytes(1_000)).to_bytes()[:-1], pair.now)
    assert server.memory_held >= unsent + 500 + 1_000
    assert server.memory_to_gain == server.memory_held - 500
    before = server.memory_held
    server.unread.add([Message(bytes(1_000))])
    assert server.memory_held >= before + 1_000
    server.cut_off(ConnectionClosedError("us", "too much", code="overloaded"), pair.now)
    assert server.memory_to_gain == 0


def test_a_refused_peer_holds_nothing_of_a_message_that_has_begun() -> None:
    """Its end is waited for, and the rest of the message is dropped: it must not cost others."""
    pair = Pair()
    server = pair.server.connection
    server.receive_data(Message(bytes(1_000_000)).to_bytes()[:-1], pair.now)
    assert server.memory_held >= 1_000_000
    server.refuse("overloaded", "too much is held", pair.now)
    pair.server.transmit()
    assert not server.is_finished
    assert server.memory_held == 0
    error = server.ending.final_error
    assert error is not None
    assert "too much is held" in str(error)


def test_content_that_is_set_aside_counts_before_it_has_come() -> None:
    """The memory is taken when the content begins."""
    pair = Pair()
    data = Message(bytes(1_000_000)).to_bytes()
    pair.server.connection.receive_data(data[:70_000], pair.now)
    assert pair.server.connection.memory_held >= 200_000


@pytest.mark.parametrize("what", ["unread", "handlers", "unanswered", "leaving", "partial"])
def test_a_connection_on_which_something_has_begun_is_not_quiet(what: str) -> None:
    """A driver has something to decide then."""
    pair = Pair()
    server = pair.server.connection
    assert server.is_quiet
    if what == "unread":
        server.unread.add([Message("x")])
    elif what == "handlers":
        server.handlers_running += 1
    elif what == "unanswered":
        pair.client.request()
        pair.client.transmit()
        pair.server.turn()
    elif what == "leaving":
        server.leave(pair.now)
    else:
        server.receive_data(b"\x00", pair.now)
    assert not server.is_quiet
