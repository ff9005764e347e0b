"""A layer around the bytes of a connection: agreed on first, ended by itself, or broken.

Each test of a layer's own steps runs with one that a test can read; TLS is tested at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import telex.tls
from telex import Application, ConnectionClosedError, Limits, Message
from telex.connection.closing import LINGER_BYTES
from telex.connection.connection import Connection
from telex.connection.layer import Layer
from telex.conversation.greeting import Greeting
from telex.conversation.states import Phase
from telex.security.tls_layer import TlsLayer
from tests.certificates import Authority
from tests.connection.layers import HELLO, MaskingLayer
from tests.connection.pump import End, Layers, Pair


def masked() -> Layers:
    """Return a layer for both ends."""
    return MaskingLayer(is_server=False), MaskingLayer(is_server=True)


def is_established(end: End) -> bool:
    """Say whether the two ends have agreed on the layer."""
    return end.connection.is_established


def test_a_layer_starts_as_nothing_that_was_agreed_on() -> None:
    """What is known of the peer is set by what comes."""
    layer = MaskingLayer(is_server=True)
    assert not layer.is_established
    assert not layer.has_ended
    assert layer.error is None
    assert layer.mismatch == ""
    assert layer.identity is None


def test_messages_go_when_the_layer_is_agreed_on() -> None:
    """Until then they wait, unsent; nothing of them travels as it is."""
    pair = Pair(layers=masked())
    client = pair.client.connection
    client.send(Message("hello"))
    assert not is_established(pair.client)
    pair.client.transmit()
    assert bytes(pair.client.way.data) == HELLO
    assert client.unsent > 0
    pair.server.turn()
    pair.client.turn()
    assert is_established(pair.client)
    assert client.unsent == 0
    assert b"hello" not in pair.client.way.data
    pair.settle(1)
    assert pair.server.contents == ["hello"]
    assert pair.server.conversation.identity == "masked"


def test_the_verified_name_counts_unless_there_is_none() -> None:
    """A layer that has verified nobody leaves the identity as it is."""
    pair = Pair(layers=masked())
    pair.settle()
    assert pair.client.conversation.identity == "masked"

    class Nameless(MaskingLayer):
        def receive(self, data: bytes | memoryview) -> bytes:
            said = super().receive(data)
            self.identity = None
            return said

    pair = Pair(layers=(MaskingLayer(is_server=False), Nameless(is_server=True)))
    pair.server.conversation.identity = "ada"
    pair.settle()
    assert pair.server.conversation.identity == "ada"


def test_no_content_is_received_past_a_layer() -> None:
    """Its place is no place for what the layer has yet to undo."""
    pair = Pair(layers=masked())
    pair.client.connection.send(Message(bytes(1_000_000)))
    pair.settle(100_000)
    assert pair.server.connection.content_buffer(1) is None
    assert len(pair.server.contents) == 1


def test_both_ends_announce_their_ends_within_the_layer() -> None:
    """The goodbye, the layer's end and the network's end come in this order, and all is well."""
    pair = Pair(layers=masked())
    pair.settle()
    pair.client.connection.close(pair.now)
    pair.settle(1)
    assert pair.is_over
    for end in pair.ends:
        assert end.connection.ending.is_good
        assert end.connection.ending.final_error is None


def test_a_stream_that_is_cut_within_the_layer_has_broken() -> None:
    """Anybody on the way could have ended it, so the layer's word is the reason."""
    pair = Pair(layers=masked())
    pair.settle()
    pair.client.way.has_ended = True
    pair.settle()
    assert pair.server.ending is not None
    assert str(pair.server.ending.final_error) == (
        "connection closed by the peer: it cut the connection without its end"
    )


def test_a_cut_after_the_peers_goodbye_breaks_nothing() -> None:
    """Nothing could follow that matters."""
    pair = Pair(layers=masked())
    pair.settle()
    pair.server.connection.receive_data(
        MaskingLayer(is_server=False).encode([Message({}, kind="close").to_bytes()])[1], pair.now
    )
    pair.client.way.has_ended = True
    pair.settle()
    assert pair.server.ending is not None
    assert pair.server.ending.broken is None


def test_an_error_of_the_layer_ends_the_connection_and_is_told() -> None:
    """What came before it counts; the output ends with what the layer has to say of it."""
    pair = Pair(layers=masked())
    pair.settle()
    pair.client.connection.send(Message("before"))
    pair.client.transmit()
    pair.client.way.data += b"?"
    pair.server.turn()
    assert pair.server.contents == ["before"]
    assert bytes(pair.server.way.data) == b"!"
    assert pair.server.way.has_ended
    assert pair.server.conversation.phase is Phase.FAILED
    assert str(pair.server.connection.ending.final_error) == (
        "connection closed by this side: a frame of no known type"
    )


def test_bytes_behind_an_error_of_the_layer_are_dropped_and_counted() -> None:
    """A layer that is broken reads nothing more; a peer that floods it is cut off at a bound."""
    layer = MaskingLayer(is_server=True)
    server = Connection(Limits(), Greeting("server"), serves=True, now=0.0, layer=layer)
    assert server.receive_data(HELLO + b"?", 0.0) == []
    assert layer.error is not None
    kept = len(layer._received)
    flood = bytes(LINGER_BYTES // 4)
    for _ in range(4):
        assert server.receive_data(flood, 1.0) == []
        assert not server.is_finished
    assert server.receive_data(flood, 1.0) == []
    assert server.is_finished
    assert len(layer._received) == kept


def test_what_was_said_before_an_error_of_the_layer_is_lost_and_counted() -> None:
    """No layer is left to carry it."""
    pair = Pair(layers=masked())
    pair.settle()
    pair.server.connection.send(Message("too late"))
    pair.server.connection.receive_data(b"?", pair.now)
    pair.server.transmit()
    assert bytes(pair.server.way.data) == b"!"
    assert pair.server.connection.ending.unsent > len("too late")


class BreakingLayer(MaskingLayer):
    """A layer that breaks as soon as something is to be sent through it."""

    def encode(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Break."""
        self.error = ConnectionClosedError("us", "no key is left")
        return [b"half of a frame"]


def test_what_breaks_the_layer_is_lost_and_told() -> None:
    """Nothing of it travels, and whoever sends next gets the reason."""
    pair = Pair(layers=(MaskingLayer(is_server=False), BreakingLayer(is_server=True)))
    pair.settle()
    server = pair.server.connection
    server.send(Message("too late"))
    pair.server.transmit()
    assert bytes(pair.server.way.data) == b""
    assert not server.is_open
    assert server.ending.unsent > len("too late")
    with pytest.raises(ConnectionClosedError, match="no key is left"):
        server.check_open()


def test_a_peer_without_the_layer_is_told_in_plain_bytes() -> None:
    """The mistake is named in an error that such a peer can read."""
    pair = Pair(layers=(None, MaskingLayer(is_server=True)))
    pair.client.connection.send(Message("hello"))
    pair.settle()
    assert pair.server.received == []
    farewell = pair.client.conversation.farewell
    assert farewell is not None
    assert (farewell.code, farewell.detail) == (
        "bad-message",
        "the peer does not mask its bytes, as it should",
    )


@pytest.mark.parametrize("size", [10, 30_000])
def test_the_layers_end_comes_behind_everything_that_waits_to_be_wrapped(size: int) -> None:
    """A slow peer reads all messages, the goodbye, and then the layer's end."""
    pair = Pair(room=20_000, layers=masked())
    pair.settle()
    for number in range(20):
        pair.server.connection.send(Message(bytes([number]) * size))
        pair.server.transmit()
    unsent = pair.server.connection.unsent
    assert pair.server.connection.is_quiet == (size == 10)
    assert pair.server.connection.memory_held >= unsent >= 19 * (size if size > 10 else 0)
    pair.server.connection.close(pair.now)
    pair.server.work()
    assert pair.server.way.has_ended == (size == 10)
    pair.settle()
    assert pair.client.contents == [bytes([number]) * size for number in range(20)]
    assert pair.is_over
    for end in pair.ends:
        assert end.connection.ending.is_good
        assert end.connection.unsent == 0


def test_what_waits_to_be_wrapped_is_lost_and_counted_when_the_layer_breaks() -> None:
    """Only what the layer has wrapped can still go."""
    pair = Pair(room=10, layers=masked())
    pair.settle()
    for _ in range(5):
        pair.server.connection.send(Message(bytes(50_000)))
        pair.server.transmit()
    assert pair.server.connection.unsent > 250_000
    pair.server.connection.receive_data(b"?", pair.now)
    pair.server.transmit()
    assert pair.server.connection.unsent < 51_000
    assert pair.server.connection.ending.unsent > 250_000


def test_a_close_during_the_handshake_waits_for_it() -> None:
    """The layer's end can only be announced once the two sides have agreed."""
    pair = Pair(layers=masked())
    pair.client.transmit()
    pair.client.connection.close(pair.now)
    pair.client.work()
    assert not pair.client.way.has_ended
    pair.settle()
    assert pair.is_over
    assert all(end.connection.ending.is_good for end in pair.ends)


@pytest.mark.parametrize("keepalive", [False, True])
def test_a_peer_that_ends_during_the_handshake_is_not_waited_for(keepalive: bool) -> None:
    """Whatever waits to be said is unsent, and the connection ends."""
    pair = Pair(layers=masked(), client_greeting=Greeting("client", keepalive=keepalive))
    pair.client.transmit()
    pair.client.connection.receive_eof(pair.now)
    pair.client.work()
    ending = pair.client.ending
    assert ending is not None
    assert (ending.unsent > 0) == keepalive
    assert ending.closed_error().by == "peer"


def test_a_handshake_that_takes_too_long_is_given_up() -> None:
    """Both ends wait for it as long as their limits say."""
    limits = Limits(handshake_timeout=3)
    pair = Pair(limits=limits, layers=masked())
    pair.client.way.is_silent = True
    server = pair.server.connection
    assert pair.client.connection.next_deadline == pair.now + 3
    pair.wait(2.9)
    assert not server.is_finished
    pair.wait(0.3)
    for end in pair.ends:
        assert end.ending is not None
        assert str(end.ending.final_error) == (
            "connection closed by this side: timed out after 3 s waiting for the TLS handshake"
        )


def test_a_server_that_was_held_up_waits_on_for_the_handshake() -> None:
    """The peer may have waited for the server's part of it."""
    pair = Pair(limits=Limits(handshake_timeout=3), layers=masked())
    server = pair.server.connection
    pair.now += 60
    server.handle_deadline(pair.now)
    assert not server.is_finished
    pair.settle()
    assert server.is_established


def test_a_server_that_leaves_during_the_handshake_ends_at_once() -> None:
    """No goodbye can be said yet."""
    pair = Pair(layers=masked())
    pair.server.connection.leave(pair.now)
    assert pair.server.connection.is_finished
    pair.server.work()
    assert pair.server.ending is not None
    assert pair.server.ending.closed_error().code == "shutting-down"


def test_a_peer_that_is_refused_during_the_handshake_is_told_after_it() -> None:
    """The reason travels within the layer."""
    pair = Pair(layers=masked())
    pair.server.connection.refuse("overloaded", "there is no room", pair.now)
    pair.server.work()
    pair.settle()
    farewell = pair.client.conversation.farewell
    assert farewell is not None
    assert farewell.code == "overloaded"


@pytest.fixture(scope="module")
def tls_layers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """Return the authority of a server, and the server's context."""
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    pair = authority.issue("server.example")
    return authority.file, telex.tls.server_context(pair.certificate, pair.key)


def with_tls(files: tuple[Path, object], name: str = "server.example") -> Layers:
    """Make the layers of both ends, with a client that asks for a name."""
    authority, context = files
    client: Layer = TlsLayer(telex.tls.client_context(authority), name)
    return client, TlsLayer(context)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_messages_go_through_tls_however_it_is_cut(
    tls_layers: tuple[Path, object], size: int
) -> None:
    """Both directions, long content included, and a good end of both."""
    application = Application()

    @application.on("echo")
    def echo(message: Message) -> object:
        return message.content

    pair = Pair(application, layers=with_tls(tls_layers))
    content = "x" * (3_000 if size < 10 else 300_000)
    call = pair.client.request(content, subject="echo")
    pair.settle(size)
    assert call.reply is not None
    assert call.reply.content == content
    pair.client.connection.close(pair.now)
    pair.settle(size)
    assert pair.is_over
    assert all(end.connection.ending.is_good for end in pair.ends)


def test_a_certificate_for_another_name_ends_both(tls_layers: tuple[Path, object]) -> None:
    """Each end says whose fault it was."""
    pair = Pair(layers=with_tls(tls_layers, "other.example"))
    pair.settle()
    assert pair.is_over
    client, server = pair.client.ending, pair.server.ending
    assert client is not None
    assert server is not None
    assert client.closed_error().by == "us"
    assert "is not to be trusted" in str(client.final_error)
    assert server.closed_error().by == "peer"


def test_a_peer_that_speaks_no_tls_is_told_so(tls_layers: tuple[Path, object]) -> None:
    """The sentence says what would be right."""
    pair = Pair(layers=(None, with_tls(tls_layers)[1]))
    pair.client.connection.send(Message("hello"))
    pair.settle()
    farewell = pair.client.conversation.farewell
    assert farewell is not None
    assert "right would be tls://" in farewell.detail
