"""How much is unsent: what a peer makes an end say is bounded, where it does not take that."""

from __future__ import annotations

import pytest

from telex import Limits, Message
from telex.connection.backlog import OWED_FACTOR
from telex.connection.connection import Connection
from tests.connection.pump import Pair

LIMITS = Limits(high_water=1_000)


def reads(connection: Connection) -> bool:
    """Say whether a connection wants to receive."""
    return connection.wants_to_read


def flood(pair: Pair, count: int = 50) -> None:
    """Have the server's end ping again and again, whatever comes of it."""
    for _ in range(count):
        pair.server.conversation.abandon(pair.server.conversation.ping())


def settle_without_answers(pair: Pair) -> None:
    """Have the client receive and answer, and the server take nothing."""
    for _ in range(10):
        pair.server.transmit()
        pair.client.turn()


def test_a_client_reads_on_when_its_answers_to_pings_are_taken() -> None:
    """Above ``high_water`` reading pauses, until half of it has gone."""
    pair = Pair(limits=LIMITS)
    pair.client.way.room = 0
    flood(pair)
    settle_without_answers(pair)
    client = pair.client.connection
    assert client.unsent > LIMITS.high_water
    assert not reads(client)
    pair.client.way.room = client.unsent - LIMITS.high_water // 2 - 1
    pair.client.transmit()
    assert not reads(client)
    pair.client.way.room = 1 << 20
    pair.client.transmit()
    assert reads(client)
    pair.settle()
    assert pair.client.ending is None


def test_what_the_program_itself_says_keeps_no_client_from_reading() -> None:
    """Two ends that both send would else wait for each other."""
    pair = Pair(limits=LIMITS)
    pair.client.way.room = 0
    pair.client.connection.send(Message(bytes(100 * LIMITS.high_water)))
    flood(pair, 5)
    settle_without_answers(pair)
    assert reads(pair.client.connection)


def test_a_client_that_awaits_an_answer_reads_on_and_refuses_a_peer_that_floods() -> None:
    """The answer may come behind the pings; their answers are bounded by the end of all."""
    pair = Pair(limits=LIMITS)
    pair.client.way.room = 0
    pair.client.request(subject="slow")
    flood(pair)
    settle_without_answers(pair)
    client = pair.client.connection
    assert client.unsent > LIMITS.high_water
    assert reads(client)
    flood(pair, OWED_FACTOR * 50)
    settle_without_answers(pair)
    error = client.ending.closed_error()
    assert (error.by, error.code) == ("us", "overloaded")
    assert "does not take the answers" in error.reason


@pytest.mark.parametrize("end", ["server", "client"])
def test_answers_that_were_taken_long_ago_are_held_against_nobody(end: str) -> None:
    """They are many on a connection that lives long; what is unsent now may be the program's."""
    pair = Pair(limits=LIMITS)
    answering, asking = (
        (pair.server, pair.client) if end == "server" else (pair.client, pair.server)
    )
    pair.client.request(subject="slow")
    for _ in range(100):
        asking.conversation.abandon(asking.conversation.ping())
        pair.settle()
    answering.way.room = 0
    answering.connection.send(Message(bytes(2 * OWED_FACTOR * LIMITS.high_water)))
    asking.conversation.abandon(asking.conversation.ping())
    asking.transmit()
    answering.turn()
    assert answering.connection.unsent > OWED_FACTOR * LIMITS.high_water
    assert not answering.connection.closing.is_cut
    assert not answering.connection.closing.is_refused
