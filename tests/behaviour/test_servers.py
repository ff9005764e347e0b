"""Servers over real sockets: what peers of every kind get from them, and how they end."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, Observer
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Running,
    RunningServer,
    is_refused,
    name_of,
    receive_all,
    receive_exactly,
    receive_one,
    receive_until_goodbye,
    reset,
    sending,
    wait_until,
    wait_until_still,
    warnings_about,
)

SMALL = Message("small").to_bytes()
STILL = 0.3
"""Seconds without any progress after which a connection counts as standing still."""


@pytest.fixture
def stage(running: Running) -> Iterator[RunningServer]:
    """Run a server that echoes."""
    with running() as stage:
        yield stage


def push(sock: socket.socket, data: bytes) -> int:
    """Send ``data`` again and again until the peer takes no more; return how many bytes went."""
    sock.setblocking(False)
    sent = 0
    while select.select([], [sock], [], STILL)[1]:
        sent += sock.send(data[sent % len(data) :])
    sock.settimeout(PATIENCE)
    return sent


def test_messages_are_answered_in_their_order(stage: RunningServer) -> None:
    """Ten thousand messages in one go come back in the order in which they were sent."""
    messages = [Message(str(number)) for number in range(10_000)]
    with stage.plug_in() as sock:
        data = b"".join(message.to_bytes() for message in messages)
        with sending(sock, data):
            assert receive_exactly(sock, len(data)) == data


def test_bytes_trickle_in(stage: RunningServer) -> None:
    """One byte at a time, a message arrives once, and the observer is told of every byte."""
    with stage.plug_in() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(SMALL)):
            sock.sendall(SMALL[position : position + 1])
            wait_until(lambda: len(stage.events.sizes) > position, "a byte is received")  # noqa: B023
        assert receive_one(sock).to_bytes() == SMALL
    header_size = int.from_bytes(SMALL[:2])
    assert stage.events.sizes == [1] * len(SMALL)
    assert stage.events.missing[0] == ("PROTO_HEADER", 1)
    assert stage.events.missing[1] == ("HEADER", header_size)
    assert stage.events.missing[1 + header_size] == ("CONTENT", 5)
    assert stage.events.missing[-1] == ("PROTO_HEADER", 2)
    assert [message.content for message in stage.events.messages] == ["small"]


def test_thousand_connections_at_once(running: Running) -> None:
    """A thousand peers are connected together, each in the middle of a message; all are served."""
    with running(limits=Limits(min_rate=0)) as stage:
        connect_a_thousand(stage)


def connect_a_thousand(stage: RunningServer) -> None:
    """Have a thousand peers send a message each, and their last bytes when all are connected."""
    resource = pytest.importorskip("resource", reason="select() waits for few sockets on Windows")
    count = 1_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * count), hard))
    sockets = []
    try:
        for number in range(count):
            sock = stage.plug_in()
            sockets.append(sock)
            sock.sendall(Message(str(number)).to_bytes()[:-1])
        wait_until(lambda: len(stage.events.peers) == count, "all are connected")
        for number, sock in enumerate(sockets):
            sock.sendall(str(number).encode()[-1:])
        for number, sock in enumerate(sockets):
            assert receive_one(sock).content == str(number)
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: len(stage.events.endings) == count, "all are disconnected")
    assert set(stage.events.endings) == {None}


@pytest.mark.parametrize("size", [5, 100_000, 3_000_000])
def test_half_closed_peer_gets_its_answers(stage: RunningServer, size: int) -> None:
    """A peer that has ended its own sending receives everything, however much it is."""
    data = Message(bytes(size)).to_bytes()
    with stage.plug_in() as sock:
        name = name_of(sock)
        with sending(sock, data, then_end=True):
            [echo] = receive_all(sock)
    assert echo.to_bytes() == data
    assert stage.ending_of(name) is None


def test_peer_that_goes_without_reading_is_still_heard(
    running: Running,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Messages that came before their sender vanished are handled, though nobody gets answers."""
    heard = 0
    app = Application()

    @app.on()
    def count(message: Message) -> bytes:
        nonlocal heard
        heard += 1
        return bytes(100_000)

    with running(app) as stage:
        sock = stage.plug_in()
        name = name_of(sock)
        sock.sendall(SMALL * 1_000)
        wait_until(lambda: heard, "the first message is handled")
        sock.close()
        ending = stage.ending_of(name)
    assert heard == 1_000
    assert isinstance(ending, ConnectionClosedError)
    assert ending.by == "peer"
    assert ending.unsent > 0
    [line] = warnings_about(caplog, name)
    assert f"{ending.unsent:,} bytes were not sent" in line


def test_peer_that_never_reads_is_not_read_from(stage: RunningServer) -> None:
    """A peer that only sends is stopped, others are served, and it loses nothing if it reads on."""
    data = Message(bytes(10_000)).to_bytes()
    with stage.plug_in() as sock, stage.plug_in() as other:
        sent = push(sock, data)
        # The system's own buffers take what they take; without a limit this would never end.
        assert sent < 64 * 1024 * 1024
        assert sum(stage.events.sizes) < 32 * 1024 * 1024
        other.sendall(SMALL)
        assert receive_one(other).to_bytes() == SMALL
        with sending(sock, data[sent % len(data) :], then_end=True):
            echoes = receive_all(sock)
    assert len(echoes) == sent // len(data) + 1
    assert {message.to_bytes() for message in echoes} == {data}


def test_small_messages_with_large_answers_are_held_back(running: Running) -> None:
    """Of a batch that came already, no more is handled than answers can go: memory is bounded."""
    handled: list[int] = []
    app = Application()

    @app.on()
    def enlarge(message: Message) -> Message:
        handled.append(int(message.content))
        return Message(bytes(1_000_000), id=int(message.content) or None)

    with running(app, limits=Limits(high_water=2_000_000)) as stage, stage.plug_in() as sock:
        for number in range(100):
            sock.sendall(Message(str(number)).to_bytes())
        sock.shutdown(socket.SHUT_WR)
        assert select.select([sock], [], [], PATIENCE)[0]
        wait_until_still(lambda: len(handled))
        assert len(handled) < 30
        answers = receive_all(sock)
    assert handled == list(range(100))
    assert [message.id or 0 for message in answers] == handled


def test_answer_above_the_high_water_mark_is_sent(running: Running) -> None:
    """The mark stops reading, it does not limit a single answer: 20 MB pass a mark of one byte."""
    data = Message(bytes(20_000_000)).to_bytes() + SMALL
    limits = Limits(high_water=1, max_content_size=1 << 30)
    with running(limits=limits) as stage, stage.plug_in() as sock, sending(sock, data * 2):
        assert receive_exactly(sock, 2 * len(data)) == data * 2


def test_handler_that_raises_is_logged_and_the_connection_lives(
    stage: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback is in the log, made safe; the sender gets the answers to its next messages."""
    with stage.plug_in() as sock:
        sock.sendall(Message("me\n\x1b[31mred", subject="fail").to_bytes() + SMALL)
        assert receive_one(sock).to_bytes() == SMALL
        [line] = warnings_about(caplog, name_of(sock))
    assert "handler echoing.<locals>.fail failed on a message with subject 'fail'" in line
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_text is not None
    assert "RuntimeError: asked to fail by me" in record.exc_text
    assert "\x1b" not in caplog.text


def unsendable() -> Application:
    """Return an application with answers that cannot be sent."""
    app = Application()
    app.on("object")(lambda message: object())
    app.on("large header")(lambda message: Message("", headers={"a": "x" * 20_000}))
    app.on()(lambda message: message)
    return app


@pytest.mark.parametrize("subject", ["object", "large header"])
def test_answer_that_cannot_be_sent_is_the_handlers_failure(
    running: Running, caplog: pytest.LogCaptureFixture, subject: str
) -> None:
    """It is logged with what is wrong, and neither the sender nor the connection suffers."""
    with running(unsendable()) as stage, stage.plug_in() as sock:
        sock.sendall(Message("", subject=subject).to_bytes() + SMALL)
        assert receive_one(sock).to_bytes() == SMALL
        [line] = warnings_about(caplog, name_of(sock))
    assert f"failed on a message with subject '{subject}'" in line


def test_message_for_no_handler_is_logged(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Each message that nobody takes is one line, short and printable whatever its subject is."""
    app = Application()
    app.on("known")(lambda message: message)
    known = Message("", subject="known").to_bytes()
    with running(app) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL)
        sock.sendall(Message("", subject="\x1b[2J\n" + "x" * 9_000).to_bytes() + known)
        assert receive_one(sock).to_bytes() == known
        lines = warnings_about(caplog, name_of(sock))
    assert len(lines) == 2
    assert "no handler takes a message without a subject" in lines[0]
    assert "no handler takes a message with subject '\\x1b[2J\\nxxx" in lines[1]
    assert all(line.isprintable() and len(line) < 250 for line in lines)


def test_handler_sends_through_its_peer(running: Running) -> None:
    """What a handler sends goes before what it returns, and all of it in one order."""
    app = Application()

    @app.on()
    def count(message: Message, peer: Peer) -> str:
        peer.send("one")
        peer.send({"two": 2}, subject="numbers")
        peer.send(Message("three"))
        return f"four to {peer.address}"

    with running(app) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL)
        sock.shutdown(socket.SHUT_WR)
        answers = receive_all(sock)
        expected = ["one", {"two": 2}, "three", f"four to {name_of(sock)}"]
    assert [message.content for message in answers] == expected
    assert answers[1].subject == "numbers"


def test_handler_sends_to_other_peers(running: Running) -> None:
    """A message for one peer can go to all: a handler may keep peers and send to them later."""
    members: list[Peer] = []
    app = Application()
    app.on("join")(lambda message, peer: members.append(peer))

    @app.on("say")
    def say(message: Message) -> None:
        for member in members:
            member.send(message)

    with running(app) as stage, stage.plug_in() as one, stage.plug_in() as two:
        for sock in (one, two):
            sock.sendall(Message("", subject="join").to_bytes())
        wait_until(lambda: len(members) == 2, "both have joined")
        with stage.plug_in() as speaker:
            for word in ("first", "second"):
                speaker.sendall(Message(word, subject="say").to_bytes())
                for sock in (one, two):
                    assert receive_one(sock).content == word


def test_any_thread_sends_to_a_peer(running: Running) -> None:
    """Threads send at any time, each in its own order, and are told when the peer has gone."""
    peers: list[Peer] = []
    app = Application()
    app.on()(lambda message, peer: peers.append(peer))

    def tell(word: str) -> None:
        for number in range(500):
            peers[0].send(number, subject=word)

    with running(app) as stage:
        with stage.plug_in() as sock:
            sock.sendall(SMALL)
            wait_until(lambda: peers, "the peer is known")
            threads = [threading.Thread(target=tell, args=(word,)) for word in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            sock.shutdown(socket.SHUT_WR)
            received = receive_all(sock)
            name = name_of(sock)
        for word in "abcd":
            numbers = [message.content for message in received if message.subject == word]
            assert numbers == list(range(500))
        stage.ending_of(name)
        with pytest.raises(ConnectionClosedError, match="it ended its stream"):
            peers[0].send("too late")


def test_peer_that_reads_far_too_slowly_is_cut(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is sent to unasked and does not read is cut at a bound, and the handler is told."""
    failures: list[ConnectionClosedError] = []
    app = Application()

    @app.on()
    def flood(message: Message, peer: Peer) -> None:
        while not failures:
            try:
                peer.send(bytes(50_000))
            except ConnectionClosedError as error:
                failures.append(error)

    with running(app, limits=Limits(high_water=10_000)) as stage, stage.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(SMALL)
        wait_until(lambda: failures, "the handler is told")
        sock.close()  # or else the server waits for it to take the reason
        ending = stage.ending_of(name)
        [line] = warnings_about(caplog, name)
    assert isinstance(ending, ConnectionClosedError)
    assert ending.by == "us"
    assert 2_500_000 < ending.unsent < 2_700_000  # the network takes a little at the end
    assert "reads far too slowly" in line
    assert "reads far too slowly" in str(failures[0])


def cutting(peers: list[Peer], limits: Limits, is_cut: threading.Event) -> Application:
    """Return an application that floods the first of ``peers`` on demand, until it is cut."""
    app = Application()
    app.on("join")(lambda message, peer: peers.append(peer))
    app.on("read")(lambda message: message.content)

    @app.on("cut")
    def cut(message: Message) -> None:
        with contextlib.suppress(ConnectionClosedError):
            while True:
                peers[0].send(bytes(limits.high_water * 5))
        is_cut.set()

    return app


def test_connection_that_is_cut_in_its_own_turn(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """What came with the message over which a peer was cut is not handled, and that is told."""
    peers: list[Peer] = []
    limits = Limits(high_water=10_000)
    is_cut = threading.Event()
    with running(cutting(peers, limits, is_cut), limits=limits) as stage, stage.plug_in() as sock:
        name = name_of(sock)
        join, cut = (Message("", subject=subject).to_bytes() for subject in ("join", "cut"))
        sock.sendall(join + cut + Message("x", subject="read").to_bytes())
        assert is_cut.wait(PATIENCE)
        sock.close()
        stage.ending_of(name)
        stage.stop()
        [line] = warnings_about(caplog, name)
    assert "reads far too slowly" in line
    assert "1 message was not handled" in line


def test_observer_that_fails_is_logged_and_harms_nobody(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """What an observer raises is a line in the log for each time, and nothing else."""

    class Broken(Observer):
        def connected(self, peer: Peer) -> None:
            raise RuntimeError("cannot watch")

        def message_received(self, peer: Peer, message: Message) -> None:
            raise RuntimeError("cannot watch")

    with running(observers=[Broken()]) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL)
        assert receive_one(sock).to_bytes() == SMALL
        assert (
            warnings_about(caplog, name_of(sock)) == [f"{name_of(sock)}: the observer failed"] * 2
        )


def test_refused_peer_that_vanishes_is_let_go(running: Running) -> None:
    """A peer with unsent answers, refused and then gone, is not waited for."""
    with running(limits=Limits(high_water=1 << 30)) as stage:
        sock = stage.plug_in()
        name = name_of(sock)
        sock.sendall(Message(bytes(16_000_000)).to_bytes() + b"\0\0")
        wait_until(lambda: stage.events.messages, "the good message is received")
        reset(sock)
        assert stage.ending_of(name) is not None


@pytest.mark.parametrize("blocking", [False, True], ids=["direct", "in a thread"])
def test_handler_ends_the_server(running: Running, blocking: bool) -> None:
    """A handler may end the server it runs in; its own answer still goes out."""
    app = Application()

    @app.on("stop", blocking=blocking)
    def stop(message: Message) -> str:
        ending.shutdown()
        return "stopping"

    with running(app) as ending, ending.plug_in() as sock:
        sock.sendall(Message("", subject="stop").to_bytes())
        assert [message.content for message in receive_until_goodbye(sock)] == ["stopping"]
        ending.wait_for_its_end()


def test_shutdown_handles_and_sends_what_is_there(running: Running) -> None:
    """Messages that had come are handled, and a slow reader gets every answer that was owed."""
    entered, go_on = threading.Event(), threading.Event()
    app = Application()

    @app.on("wait")
    def wait(message: Message) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    @app.on()
    def enlarge(message: Message) -> bytes:
        return bytes(1_000_000)

    with running(app) as stage, stage.plug_in() as sock, stage.plug_in() as later:
        sock.sendall(Message("", subject="wait").to_bytes())
        assert entered.wait(PATIENCE)
        sock.sendall(SMALL * 30)
        later.sendall(SMALL)
        stage.shutdown()
        go_on.set()
        wait_until(lambda: is_refused(stage), "nobody is let in any more")
        for client, count in ((later, 1), (sock, 30)):
            sizes = [len(message.body) for message in receive_until_goodbye(client)]
            assert sizes == [1_000_000] * count
            assert stage.ending_of(name_of(client)) is None


def test_shutdown_does_not_wait_for_ever(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that does not read is cut after a time, and the log counts what it lost."""
    with running(limits=Limits(drain_timeout=0.1)) as stage, stage.plug_in() as sock:
        sock.sendall(Message(bytes(16_000_000)).to_bytes())
        wait_until(lambda: stage.events.messages, "the message is received")
        stage.stop()
        ending = stage.ending_of(name_of(sock))
        assert isinstance(ending, ConnectionClosedError)
        assert ending.by == "us"
        assert ending.unsent > 0
        [line] = warnings_about(caplog, name_of(sock))
        assert "the server was shut down" in line


def test_shutdown_in_the_middle_of_a_message_is_told(
    stage: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that was cut by the shutdown is a line in the log."""
    with stage.plug_in() as sock:
        sock.sendall(SMALL[:-1])
        wait_until(lambda: stage.events.sizes, "the bytes are received")
        stage.stop()
        [line] = warnings_about(caplog, name_of(sock))
    assert "the server was shut down, message at byte 0: the stream ended" in line


ADDRESSES: dict[str, Callable[[Path], str]] = {
    "IPv4": lambda directory: "tcp://127.0.0.1:0",
    "IPv6": lambda directory: "tcp://[::1]:0",
    "name": lambda directory: "tcp://localhost:0",
    "unix": lambda directory: f"unix://{directory}/telex.sock",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_every_kind_of_address_is_served(
    running: Running,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    address: Callable[[Path], str],
) -> None:
    """Over every kind of socket messages are echoed, and the peer has a name for the log."""
    caplog.set_level(logging.DEBUG, "telex.server")
    with running(address=address(tmp_path)) as stage:
        with stage.plug_in() as sock:
            sock.sendall(SMALL)
            assert receive_one(sock).to_bytes() == SMALL
            [peer] = stage.events.peers
            expected = "unix:1" if stage.address.scheme == "unix" else name_of(sock)
            assert peer.address == expected
        assert stage.ending_of(expected) is None
    assert f"{expected}: connected" in caplog.text
    assert f"{expected}: closed" in caplog.text
