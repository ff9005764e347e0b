"""TLS under both servers: handshakes good, bad and slow, and everything else as without it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from telex import AddressError, Application, ConnectionClosedError, Limits, Message
from telex.application.connected_peer import ConnectedPeer
from telex.application.peer import Peer
from telex.tls import client_context, server_context
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Running,
    RunningServer,
    Serve,
    name_of,
    receive_all,
    receive_exactly,
    receive_one,
    receive_until_goodbye,
    sending,
    wait_until,
    wait_until_still,
    warnings_about,
)
from tests.certificates import Authority, Pair
from tests.encrypted import EncryptedSocket
from tests.talking import Talker

SMALL = Message("small").to_bytes()


def client_hello() -> bytes:
    """Return the first bytes of a client."""
    outgoing = ssl.MemoryBIO()
    tls = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HALF_A_HELLO = client_hello()[:100]


@pytest.fixture
def pair(certificates: Path) -> Pair:
    """Return the certificate and key of the server."""
    return Pair(certificates / "server-certificate.pem", certificates / "server-key.pem")


@pytest.fixture
def running_tls(running: Running, pair: Pair) -> Running:
    """Run servers with TLS; without an application they echo."""

    def run(
        application: Application | None = None, **options: Any
    ) -> AbstractContextManager[RunningServer]:
        context = options.pop("tls", None) or server_context(pair.certificate, pair.key)
        return running(application, address="tls://127.0.0.1:0", tls=context, **options)

    return run


def encrypted(stage: RunningServer, authority: Authority, **client: Any) -> Any:
    """Connect a socket with TLS, which verifies the server."""
    return EncryptedSocket(stage.plug_in(), client_context(authority.file, **client))


def test_messages_of_every_size_travel(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """From nothing to many times what a TLS record holds: what is echoed is what was sent."""
    with running_tls() as stage, encrypted(stage, authority) as sock:
        assert str(stage.address) == f"tls://127.0.0.1:{stage.address.port}"
        for size in (0, 1, 16_383, 16_384, 16_385, 300_000, 10_000_000):
            data = Message(os.urandom(size)).to_bytes()
            with sending(sock, data):
                assert receive_exactly(sock, len(data)) == data
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == []
        assert stage.ending_of(name_of(sock)) is None


def test_many_messages_in_one_go_are_answered_in_one_go(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """Nothing waits inside the layers: the last answer needs no further byte from the peer."""
    with running_tls() as stage, encrypted(stage, authority) as sock:
        data = b"".join(Message(str(number)).to_bytes() for number in range(20_000))
        with sending(sock, data):
            assert receive_exactly(sock, len(data)) == data


def test_bytes_trickle_in(running_tls: Running, authority: Authority, pair: Pair) -> None:
    """A handshake and a message, both sent byte by byte, arrive all the same."""
    with running_tls() as stage, stage.plug_in() as bare:
        bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock: Any = EncryptedSocket(bare, client_context(authority.file), piece=1)
        sock.sendall(SMALL)
        assert receive_one(sock).to_bytes() == SMALL


def test_half_closed_peer_gets_its_answers(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """A peer that has said it sends no more still receives, and then the server's end as well."""
    with running_tls() as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL * 1000)
        sock.shutdown(socket.SHUT_WR)
        assert [message.to_bytes() for message in receive_all(sock)] == [SMALL] * 1000
        assert stage.ending_of(name_of(sock)) is None


def test_end_that_is_not_of_tls_is_told(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody on the way can cut a connection: what came is handled, and a line says the rest."""
    with running_tls() as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL * 1000 + SMALL[:-1])
        sock.bare.shutdown(socket.SHUT_WR)
        ending = stage.ending_of(name_of(sock))
        [line] = warnings_about(caplog, name_of(sock))
    assert len(stage.events.messages) == 1000
    assert isinstance(ending, ConnectionClosedError)
    assert ending.by == "peer"
    for told in (str(ending), line):
        assert "it cut the connection without ending TLS, message at byte " in told


def test_handlers_finish_what_came_before_a_cut(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """Messages that wait while a handler is at work are handled after the end, too."""
    entered, go_on = threading.Event(), threading.Event()
    handled: list[Any] = []
    app = Application()

    @app.on(blocking=True)
    def wait(message: Message) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)
        handled.append(message.content)

    with running_tls(app) as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL * 3)
        sock.bare.shutdown(socket.SHUT_WR)
        assert entered.wait(PATIENCE)
        go_on.set()
        assert "without ending TLS" in str(stage.ending_of(name_of(sock)))
        wait_until(lambda: len(handled) == 3, "all messages are handled")


@pytest.mark.parametrize("ends", ["with a close", "after the server"])
def test_cut_is_of_no_matter_when_nothing_can_follow(
    running_tls: Running, authority: Authority, pair: Pair, ends: str
) -> None:
    """Not after a close, which only the peer can say, nor when the server listens no more."""
    farewell = Message({"code": "closed", "detail": "done"}, kind="close")
    with running_tls() as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL)
        assert receive_exactly(sock, len(SMALL)) == SMALL
        if ends == "with a close":
            sock.sendall(farewell.to_bytes())
        else:
            stage.shutdown()
            assert receive_until_goodbye(sock) == []
        sock.bare.shutdown(socket.SHUT_WR)
        assert stage.ending_of(name_of(sock)) is None


def test_cut_with_much_unread_is_no_fault_of_the_server(
    running_tls: Running, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """What the network takes after the cut is counted as sent; the rest is lost."""
    entered, go_on = threading.Event(), threading.Event()
    app = Application()

    @app.on("much", blocking=True)
    def much(message: Message) -> bytes:
        return bytes(12_000_000)

    @app.on("wait", blocking=True)
    def wait(message: Message) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    limits = Limits(high_water=100_000_000)  # so that the server reads on, and sees the cut
    with running_tls(app, limits=limits) as stage, encrypted(stage, authority) as sock:
        for number, subject in enumerate(("much", "wait"), 1):
            sock.sendall(Message("", subject=subject, kind="request", id=number).to_bytes())
        assert entered.wait(PATIENCE)
        [peer] = stage.events.peers
        assert isinstance(peer, ConnectedPeer)
        wait_until(lambda: peer.queues.unsent, "the network takes no more")
        sock.bare.shutdown(socket.SHUT_WR)
        wait_until(lambda: not peer.queues.unsent, "the server has seen the cut")
        sock.bare.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            while sock.bare.recv(1 << 20):
                pass
        go_on.set()
        ending = stage.ending_of(name_of(sock))
    assert "without ending TLS" in str(ending)
    told = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert not [text for text in told if " took " not in text]  # a busy machine is another matter


def test_peer_that_never_reads_is_not_read_from(running_tls: Running, authority: Authority) -> None:
    """Backpressure is the same with TLS: what waits is bounded, and nothing is lost."""
    app = Application()
    handled = 0

    @app.on()
    def enlarge(message: Message) -> bytes:
        nonlocal handled
        handled += 1
        return bytes(200_000)

    limits = Limits(high_water=1_000_000)
    requests = b"".join(
        Message(bytes(1000), kind="request", id=number + 1).to_bytes() for number in range(100)
    )
    with (
        running_tls(app, limits=limits) as stage,
        encrypted(stage, authority) as sock,
        encrypted(stage, authority) as other,
    ):
        sock.sendall(requests)
        wait_until_still(lambda: handled)
        assert handled * 200_000 < 12_000_000
        other.sendall(SMALL)
        assert len(receive_one(other).body) == 200_000
        receiving = Background(lambda: receive_until_goodbye(sock))
        wait_until(lambda: handled == 101, "all is read and handled")
        stage.shutdown()
        answers: list[Message] = receiving.wait_for(list)
    assert [answer.re for answer in answers] == list(range(1, 101))


def test_plain_client_on_a_port_with_tls(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, in a message that it can read, and the log has one line that says what to do."""
    with running_tls() as stage, stage.plug_in() as sock:
        sock.sendall(SMALL)
        [told] = receive_all(sock)
        assert told.kind == "error"
        assert told.content["code"] == "bad-message"
        assert "right would be tls://" in told.content["detail"]
        name = name_of(sock)
        sock.close()
        assert "does not speak TLS" in str(stage.ending_of(name))
        [line] = warnings_about(caplog, name)
        assert "does not speak TLS, as this address demands; right would be tls://" in line


def test_tls_client_on_a_port_without(
    running: Running, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one line that says what came; the client sees that it got no TLS."""
    with running() as stage:
        with stage.plug_in() as sock:
            name = name_of(sock)
            context = client_context(authority.file)
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(sock, server_hostname="localhost")
        stage.ending_of(name)
        [line] = warnings_about(caplog, name)
    assert "it looks like the beginning of TLS" in line


def test_client_that_does_not_trust_the_server(
    running_tls: Running,
    authority: Authority,
    pair: Pair,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Its alert is what the log says, in one line; the server goes on."""
    stranger = Authority(tmp_path, "stranger")
    with running_tls() as stage:
        sock = stage.plug_in()
        name = name_of(sock)
        with pytest.raises(ssl.SSLCertVerificationError):
            client_context(stranger.file).wrap_socket(sock, server_hostname="localhost")
        sock.close()
        stage.ending_of(name)
        [line] = warnings_about(caplog, name)
        assert "closed by the peer: it does not trust this side's certificate" in line
        with encrypted(stage, authority) as other:
            other.sendall(SMALL)
            assert receive_one(other).to_bytes() == SMALL


def test_client_without_a_certificate_where_one_is_demanded(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Mutual TLS: it gets an alert, the log one line, and no handler a message."""
    context = server_context(pair.certificate, pair.key, authority.file)
    with running_tls(tls=context) as stage:
        with encrypted(stage, authority) as sock:
            name = name_of(sock)
            sock.sendall(SMALL)
            with pytest.raises(ssl.SSLError, match="certificate"):
                sock.recv(1)  # TLS 1.3: the client learns it with the first thing that it receives
        stage.ending_of(name)
        [line] = warnings_about(caplog, name)
    assert "closed by this side: TLS failed: peer did not return a certificate" in line
    assert stage.events.messages == []


def test_certificate_of_the_client_is_its_identity(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """Mutual TLS: the name in its certificate is who the peer is, for every handler."""
    app = Application()
    app.on()(lambda message, peer: peer.identity)
    context = server_context(pair.certificate, pair.key, authority.file)
    own = authority.issue("pump-7.example.com", file_name="pump-7")
    with (
        running_tls(app, tls=context) as stage,
        encrypted(stage, authority, certificate=own.certificate, key=own.key) as sock,
    ):
        sock.sendall(SMALL)
        assert receive_one(sock).content == "pump-7.example.com"


def test_identity_without_a_certificate(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """Who shows no certificate is nobody."""
    app = Application()

    @app.on()
    def who(message: Message, peer: Peer) -> str:
        return repr(peer.identity)

    with running_tls(app) as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL)
        assert receive_one(sock).content == "None"


@pytest.mark.parametrize("beginning", [b"", HALF_A_HELLO[:1], HALF_A_HELLO], ids=len)
def test_handshake_that_takes_too_long(
    running_tls: Running, pair: Pair, caplog: pytest.LogCaptureFixture, beginning: bytes
) -> None:
    """handshake_timeout: whoever does not come to an end is closed, and one line says so."""
    begun = time.monotonic()
    with running_tls(limits=Limits(handshake_timeout=0.3)) as stage, stage.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(beginning)
        assert sock.recv(1) == b""
        assert time.monotonic() - begun >= 0.3
        assert "0.3 s waiting for the TLS handshake" in str(stage.ending_of(name))
        [line] = warnings_about(caplog, name)
        assert "0.3 s waiting for the TLS handshake" in line


def test_slow_handshake_holds_up_nobody(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """While one peer is in the middle of its handshake, others are served."""
    with running_tls() as stage, stage.plug_in() as slow:
        slow.sendall(HALF_A_HELLO)
        with encrypted(stage, authority) as sock:
            sock.sendall(SMALL)
            assert receive_one(sock).to_bytes() == SMALL


def test_broken_record_is_one_line(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """What came before it is answered; the rest is an alert, and a line in the log."""
    with running_tls() as stage:
        with encrypted(stage, authority) as sock:
            name = name_of(sock)
            sock.sendall(SMALL)
            assert receive_one(sock).to_bytes() == SMALL
            sock.bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(ssl.SSLError):
                sock.recv(1)
        stage.ending_of(name)
        [line] = warnings_about(caplog, name)
    assert "closed by this side: TLS failed: decryption failed or bad record mac" in line


def test_too_many_connections_with_tls(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is one too many gets its handshake, so that it can be told."""
    with (
        running_tls(limits=Limits(max_connections=1)) as stage,
        encrypted(stage, authority) as first,
    ):
        first.sendall(SMALL)
        assert receive_one(first).to_bytes() == SMALL
        with encrypted(stage, authority) as second:
            [told] = receive_all(second)
    assert told.content["code"] == "overloaded"


def test_refused_peer_is_told_through_tls(
    running_tls: Running, authority: Authority, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """An error reaches a peer that goes on sending, as it does without TLS."""
    with running_tls() as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL + b"\0\0" + bytes(5_000_000))
        echo, told = receive_all(sock)
    assert echo.to_bytes() == SMALL
    assert told.content["code"] == "bad-message"


def test_shutdown_says_goodbye_through_tls(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """What was received is answered, then comes the close; half a handshake is just ended."""
    entered, go_on = threading.Event(), threading.Event()
    app = Application()

    @app.on()
    def wait(message: Message) -> str:
        entered.set()
        assert go_on.wait(PATIENCE)
        return "answer"

    with running_tls(app) as stage, stage.plug_in() as half_way:
        half_way.sendall(HALF_A_HELLO)
        with encrypted(stage, authority) as sock:
            sock.sendall(SMALL * 2)
            assert entered.wait(PATIENCE)
            stage.shutdown()
            go_on.set()
            assert [message.content for message in receive_until_goodbye(sock)] == ["answer"] * 2
        assert half_way.recv(1) == b""


def test_peer_that_stays_after_the_goodbye_is_not_waited_for(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """A client that does not look at its connection does not keep the server from ending."""
    limits = Limits(drain_timeout=60)
    with running_tls(limits=limits) as stage, encrypted(stage, authority) as sock:
        sock.sendall(SMALL)
        wait_until(lambda: stage.events.messages, "it is there")
        stage.stop()
        assert [message.to_bytes() for message in receive_until_goodbye(sock)] == [SMALL]


def test_conversations_with_tokens_and_keepalive(
    running_tls: Running, authority: Authority, pair: Pair
) -> None:
    """Requests, hello and welcome, and the close travel as without TLS."""
    app = Application()
    app.on()(lambda message, peer: f"{message.content} {peer.identity}")
    with (
        running_tls(app, tokens={"pump-7": "secret"}) as stage,
        Talker(encrypted(stage, authority), token="secret", keepalive=True) as talker,
    ):
        assert talker.answer_to(talker.ask("hello")).content == "hello pump-7"
        talker.conversation.close("closed", "done")
        talker.flush()
        talker.hear_out()
        assert talker.conversation.farewell is not None


def test_terms_are_checked_before_anything_is_opened(serve: Serve, pair: Pair) -> None:
    """TLS without a certificate, a certificate without TLS, and the clear to a network: errors."""
    app = Application()
    with pytest.raises(AddressError, match="without a certificate"):
        serve(app, address="tls://127.0.0.1:0", tls=None)
    context = server_context(pair.certificate, pair.key)
    with pytest.raises(AddressError, match="right would be tls://"):
        serve(app, address="tcp://127.0.0.1:0", tls=context)
    with pytest.raises(AddressError, match="insecure=True"):
        serve(app, address="tcp://0.0.0.0:0")
    assert serve(app, address="tcp://0.0.0.0:0", insecure=True).address.port > 0
    assert serve(app, address="tls://0.0.0.0:0", tls=context).address.scheme == "tls"
