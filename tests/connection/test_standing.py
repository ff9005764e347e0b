"""How a connection stands, for those who drive it: whether more may come, be said, or be sent."""

from __future__ import annotations

from telex import ConnectionClosedError, Message
from telex.connection.unread import INBOX_SIZE, STALL_SECONDS
from telex.conversation.greeting import Greeting
from tests.connection.pump import Pair

GONE = ConnectionClosedError("peer", "it is gone")


def test_more_may_come_until_the_peer_has_ended_or_the_connection_is_cut() -> None:
    """What is open may bring messages and answers."""
    pair = Pair()
    before = pair.client.connection.closing.may_receive
    pair.client.connection.receive_eof(pair.now)
    assert (before, pair.client.connection.closing.may_receive) == (True, False)
    pair.server.connection.cut_off(GONE, pair.now)
    assert not pair.server.connection.closing.may_receive


def test_a_welcome_is_awaited_until_the_greeting_is_answered() -> None:
    """Where nothing is to be greeted, no welcome is awaited."""
    pair = Pair(client_greeting=Greeting("client", keepalive=True))
    before = pair.client.connection.awaits_welcome
    pair.settle()
    assert (before, pair.client.connection.awaits_welcome) == (True, False)
    assert not Pair().client.connection.awaits_welcome


def test_more_may_be_said_until_either_side_has_ended() -> None:
    """Neither after a goodbye, nor after a break."""
    pair = Pair()
    for end in pair.ends:
        assert end.connection.is_open
        assert not end.connection.closing.has_begun
    pair.client.connection.close(pair.now)
    pair.server.connection.output_lost(GONE, pair.now)
    for end in pair.ends:
        assert not end.connection.is_open
        assert end.connection.closing.has_begun
    assert pair.server.connection.closing.output_lost
    assert not pair.client.connection.closing.output_lost


def test_a_driver_waits_for_the_network_while_it_has_been_offered_something() -> None:
    """What was only said is not waited for."""
    pair = Pair(room=0)
    client = pair.client.connection
    client.send(Message("x"))
    before = client.wants_to_write
    pair.client.transmit()
    assert (before, client.wants_to_write) == (False, True)


def test_who_closed_first_is_known() -> None:
    """An end of this side's own choice, and one of the peer's; a break is nobody's choice."""
    pair = Pair()
    pair.client.connection.close(pair.now)
    pair.settle()
    assert pair.client.connection.ending.is_own_choice
    assert not pair.server.connection.ending.is_own_choice
    pair = Pair()
    pair.client.connection.lost(GONE, pair.now)
    assert not pair.client.connection.ending.is_own_choice


def test_a_reason_that_is_looked_at_is_told_to_nobody() -> None:
    """Whoever closes is still told of it."""
    pair = Pair()
    pair.client.connection.lost(GONE, pair.now)
    ending = pair.client.connection.ending
    assert ending.reason().reason == "it is gone"
    assert not ending.was_told
    assert ending.unseen_error() is not None


def test_a_second_stall_of_one_pause_is_logged_once() -> None:
    """Calls that came later end all the same."""
    pair = Pair()
    client = pair.client.connection
    client.unread.hold(5 * INBOX_SIZE)
    for _ in range(2):
        call = pair.client.request("x")
        client.unread.expect(call)
        assert not client.wants_to_read
        client.handle_deadline(pair.now)
        pair.now += STALL_SECONDS
        client.handle_deadline(pair.now)
    assert client.unread.stall_was_told
