"""The times of a connection: what is due next, and whom it concerns."""

from __future__ import annotations

import logging
import math

import pytest

from telex import Limits, Message, RequestTimeoutError
from telex.connection.closing import LINGER_SECONDS
from telex.connection.unread import INBOX_SIZE, STALL_SECONDS
from telex.conversation.greeting import Greeting
from tests.connection.pump import Pair
from tests.conversations import TOKENS

LOOK_SECONDS = 0.25


def test_an_idle_connection_waits_for_nothing() -> None:
    """No timer runs at either end."""
    pair = Pair()
    pair.settle()
    assert [end.connection.next_deadline for end in pair.ends] == [math.inf, math.inf]
    pair.client.connection.handle_deadline(pair.now + 1_000)
    assert not pair.client.connection.is_finished


def test_a_message_that_has_begun_is_looked_at_by_a_server() -> None:
    """A client takes what its server sends in its own time."""
    pair = Pair(limits=Limits(header_timeout=2))
    for end in pair.ends:
        end.connection.receive_data(b"\x00", pair.now)
    assert pair.client.connection.next_deadline == math.inf
    assert pair.server.connection.next_deadline == pair.now + LOOK_SECONDS
    pair.wait(3)
    assert pair.server.conversation.error is not None
    assert "the rest of a header block" in str(pair.server.conversation.error)


def test_a_silent_peer_has_its_time() -> None:
    """``idle_timeout`` is the server's."""
    pair = Pair(limits=Limits(idle_timeout=2))
    pair.wait(1.5)
    pair.client.connection.send(Message("x"))
    pair.wait(1.5)
    assert pair.server.conversation.error is None
    pair.wait(1.5)
    assert pair.is_over
    assert pair.client.conversation.farewell is not None
    assert pair.client.conversation.farewell.code == "timeout"


def test_a_hello_has_its_time() -> None:
    """Where a token is demanded."""
    greeting = Greeting("server", authenticate=TOKENS.owner_of)
    pair = Pair(limits=Limits(handshake_timeout=2), server_greeting=greeting)
    assert pair.server.connection.next_deadline == pair.now + LOOK_SECONDS
    pair.wait(3)
    assert pair.is_over
    assert "hello" in str(pair.server.conversation.error)


def test_a_peer_that_asked_for_keepalive_is_pinged() -> None:
    """Both ends notice within their times that nothing comes any more."""
    limits = Limits(ping_interval=2, ping_timeout=2)
    pair = Pair(limits=limits, client_greeting=Greeting("client", keepalive=True))
    pair.wait(60)
    assert not pair.is_over
    for end in pair.ends:
        end.way.is_silent = True
    pair.wait(5)
    for end in pair.ends:
        assert "the answer to a ping" in str(end.conversation.error)


def test_a_peer_that_takes_nothing_has_its_time() -> None:
    """Where output keeps this side from reading."""
    pair = Pair(limits=Limits(idle_timeout=3, high_water=1_000), room=10)
    pair.client.connection.send(Message("x"))
    pair.server.connection.send(Message(bytes(5_000)))
    pair.server.work()
    assert not pair.server.connection.wants_to_read
    for _ in range(20):
        pair.now += LOOK_SECONDS
        pair.server.look_at_clock()
    assert "the peer to take what it is sent" in str(pair.server.connection.ending.final_error)


def test_a_server_that_was_held_up_holds_its_own_time_against_nobody() -> None:
    """The peer has the whole rest of its time after that."""
    pair = Pair(limits=Limits(idle_timeout=2))
    server = pair.server.connection
    pair.wait(1)
    pair.now += 60
    server.handle_deadline(pair.now)
    pair.wait(0.5)
    assert server.conversation.error is None
    pair.wait(0.5)
    assert "any message" in str(server.conversation.error)


def test_a_server_that_is_always_late_ends_a_silent_peer() -> None:
    """Each look counts as one, however late it is."""
    pair = Pair(limits=Limits(idle_timeout=2))
    server = pair.server.connection
    for look in range(8):
        assert server.conversation.error is None, look
        pair.now += 5
        server.handle_deadline(pair.now)
    assert server.conversation.error is not None


def test_nothing_is_due_before_its_time() -> None:
    """A driver may call too early, and nothing happens."""
    pair = Pair(limits=Limits(idle_timeout=0.1))
    server = pair.server.connection
    server.handle_deadline(pair.now + 0.2)
    assert server.conversation.error is None
    assert server.next_deadline == pair.now + LOOK_SECONDS
    server.handle_deadline(server.next_deadline)
    assert server.conversation.error is not None


@pytest.mark.parametrize("begun_at", [0.1, 1_000.1, 12_345.678])
def test_what_is_due_is_done_at_that_very_moment(begun_at: float) -> None:
    """A driver that calls exactly when it should is not sent back to call again."""
    pair = Pair(limits=Limits(idle_timeout=1_000))
    pair.now = begun_at
    server = pair.server.connection
    server.handle_deadline(begun_at)
    server.handle_deadline(begun_at + 5_000.1)
    for _ in range(1_000):
        due = server.next_deadline
        if due == math.inf:
            break
        server.handle_deadline(due)
        assert server.next_deadline > due


def test_a_program_that_takes_nothing_is_told_and_its_calls_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An answer behind messages that nobody takes cannot come; one that is done has come."""
    pair = Pair()
    client = pair.client.connection
    waiting, done = pair.client.request("1"), pair.client.conversation.ping()
    done.end(None)
    for call in (waiting, done):
        client.unread.expect(call)
    client.unread.hold(5 * INBOX_SIZE)
    assert not client.wants_to_read
    client.handle_deadline(pair.now)
    assert client.next_deadline == pair.now + STALL_SECONDS
    client.handle_deadline(pair.now + STALL_SECONDS - 1)
    assert not waiting.is_done
    with caplog.at_level(logging.WARNING, "telex.client"):
        client.handle_deadline(pair.now + STALL_SECONDS)
    assert "nothing is read until somebody takes what has come" in caplog.text
    assert isinstance(waiting.error, RequestTimeoutError)
    assert done.error is None
    assert client.next_deadline == math.inf


def wait_in_steps(pair: Pair, seconds: float) -> None:
    """Let time pass, with a look several times a second."""
    for _ in range(int(seconds * 4)):
        pair.wait(0.25)


def test_a_peer_that_takes_nothing_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """By a warning of a client; a server says it with the address of the peer."""
    pair = Pair(room=10)
    pair.client.takes = pair.server.takes = False
    for end in pair.ends:
        end.way.is_silent = False
        end.way.room = 0
        end.connection.send(Message(bytes(5_000)))
    wait_in_steps(pair, LINGER_SECONDS - 1)
    assert pair.server.connection.take_stall() == 0
    wait_in_steps(pair, 2)
    assert 5_000 < pair.server.connection.take_stall() < 5_200
    assert pair.server.connection.take_stall() == 0
    wait_in_steps(pair, 2 * LINGER_SECONDS)
    assert pair.server.connection.take_stall() == 0
    [warning] = [record for record in caplog.records if record.name == "telex.client"]
    assert "the peer has taken nothing for 5 s: 5,1" in warning.getMessage()


def test_a_client_that_was_away_blames_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was sent while nobody was in a method of the blocking client."""
    pair = Pair(room=0)
    pair.client.connection.send(Message(bytes(5_000)))
    pair.client.transmit()
    for _ in range(5):
        pair.now += 2 * LINGER_SECONDS
        pair.client.look_at_clock()
    assert not caplog.records


def test_output_that_moves_is_no_stall() -> None:
    """The time begins anew with each byte that goes, and with each output after a pause."""
    pair = Pair(room=10)
    pair.server.connection.send(Message(bytes(100)))
    pair.settle()
    wait_in_steps(pair, 2 * LINGER_SECONDS)
    pair.server.way.room = 0
    pair.server.connection.send(Message(bytes(100)))
    wait_in_steps(pair, LINGER_SECONDS - 1)
    pair.server.way.room = 10
    pair.settle()
    wait_in_steps(pair, LINGER_SECONDS - 1)
    assert pair.server.connection.take_stall() == 0
