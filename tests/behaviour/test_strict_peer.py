"""Telex and a strict peer of the published four-header format, over real sockets, no option set."""

from __future__ import annotations

import sys

import pytest

from telex import Address, Application, Message
from tests.behaviour.stage import PATIENCE, Connect, Serve
from tests.peers import StrictPeer, StrictServer

TEXT = "Grüße, 世界! 👋"
JSON = {"action": "search", "values": [1, 2.5, None, "ü"]}
BINARY = bytes(range(256)) * 300

every_piece_size = pytest.mark.parametrize("piece_size", [1, 20, 65_536])


@pytest.fixture
def address(serve: Serve) -> Address:
    """Serve an application that sends content back under the type that it came with."""
    app = Application()

    @app.on()
    def echo(message: Message) -> Message:
        return Message(message.content, content_type=message.content_type)

    return serve(app).address


@every_piece_size
def test_a_strict_client_talks_to_telex(address: Address, piece_size: int) -> None:
    """Text, JSON and bytes go to a Telex server and come back, all four fields with them."""
    with StrictPeer.connect(address.host, address.port, piece_size) as peer:
        peer.send_text(TEXT)
        peer.send_json(JSON)
        peer.send_binary(BINARY[:2_000])
        answers = [peer.receive() for _ in range(3)]
        peer.end()
        assert peer.receive() is None
    assert [answer and answer.content for answer in answers] == [TEXT, JSON, BINARY[:2_000]]
    for answer in answers:
        assert answer is not None
        assert list(answer.header) == [
            "byteorder",
            "content-type",
            "content-encoding",
            "content-length",
        ]
        assert answer.header["byteorder"] == sys.byteorder


def test_a_strict_client_may_send_text_in_any_charset(address: Address) -> None:
    """What the four fields say is believed."""
    with StrictPeer.connect(address.host, address.port) as peer:
        peer.send_text("grüß", "utf-16-le")
        answer = peer.receive()
    assert answer is not None
    assert answer.content == "grüß"


def test_large_content_comes_back_to_a_strict_client(address: Address) -> None:
    """Content of megabytes crosses in both directions."""
    content = BINARY * 50
    with StrictPeer.connect(address.host, address.port) as peer:
        peer.send_binary(content)
        answer = peer.receive()
    assert answer is not None
    assert answer.body == content


@every_piece_size
def test_telex_talks_to_a_strict_server(connect: Connect, piece_size: int) -> None:
    """Text, JSON and bytes go to a strict server and come back, and nothing need be set for it."""
    with (
        StrictServer(piece_size) as server,
        connect(server.address) as connection,
    ):
        connection.send(TEXT)
        connection.send(Message(JSON, content_type="text/json"))
        connection.send(BINARY[:2_000])
        connection.send(JSON)
        answers = [connection.receive(timeout=PATIENCE) for _ in range(4)]
    assert [answer.content for answer in answers] == [TEXT, JSON, BINARY[:2_000], JSON]
    assert [answer.byteorder for answer in answers] == ["big"] * 4
    assert [message.content for message in server.received[:3]] == [TEXT, JSON, BINARY[:2_000]]
    assert server.received[3].header["content-type"] == "application/json"


def test_a_strict_server_lets_further_fields_pass(connect: Connect) -> None:
    """Subject and headers are further fields, which the format allows; the answer has none."""
    with (
        StrictServer() as server,
        connect(server.address) as connection,
    ):
        connection.send("hi", subject="greet", headers={"site": "north"})
        answer = connection.receive(timeout=PATIENCE)
    assert answer.subject is None
    assert answer.headers == {}
    (message,) = server.received
    assert message.header["subject"] == "greet"
    assert message.header["site"] == "north"


def test_many_messages_cross_both_ways(connect: Connect) -> None:
    """What a strict server answers while Telex still sends is neither lost nor mixed up."""
    contents = [f"message {number}" for number in range(1_000)]
    with (
        StrictServer() as server,
        connect(server.address) as connection,
    ):
        connection.send_many(contents)
        answers = [connection.receive(timeout=PATIENCE).content for _ in contents]
    assert answers == contents
    assert len(server.received) == 1_000


def test_a_strict_client_is_not_told_close(address: Address) -> None:
    """Who has shown no kinds sees none, also when it ends first: only answers, and the end."""
    with StrictPeer.connect(address.host, address.port) as peer:
        peer.send_text(TEXT)
        peer.end()
        answer = peer.receive()
        assert answer is not None
        assert answer.content == TEXT
        assert peer.receive() is None


def test_a_strict_server_is_not_told_close(connect: Connect) -> None:
    """A client that closes says so by the end of its stream alone."""
    with StrictServer() as server:
        connection = connect(server.address)
        connection.send("hi")
        assert connection.receive(timeout=PATIENCE).content == "hi"
        connection.close()
    assert [message.content for message in server.received] == ["hi"]
