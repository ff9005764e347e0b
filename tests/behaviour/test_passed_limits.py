"""Limits of a server as plain peers pass them: what they are told, and what the log says."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, RemoteError, TooLargeError
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Running,
    RunningServer,
    name_of,
    receive_all,
    sending,
    wait_until,
    warnings_about,
)
from tests.talking import Talker

SMALL = Message("small").to_bytes()
MEBIBYTE = 1024 * 1024


def announcing(size: int) -> bytes:
    """Return the beginning of a message that announces so much content, and none of the content."""
    return Message(bytes(size)).to_bytes()[:-size]


def assert_ended(
    stage: RunningServer,
    sock: socket.socket,
    caplog: pytest.LogCaptureFixture,
    code: str,
    words: str,
) -> None:
    """Assert that a peer is told, with a code, and that observer and log know why."""
    name = name_of(sock)
    *_, told = receive_all(sock)
    assert told.kind == "error"
    assert told.content["code"] == code
    assert words in told.content["detail"]
    sock.close()
    ending = stage.ending_of(name)
    assert words in str(ending)
    assert getattr(ending, "code", None) == code
    [line] = warnings_about(caplog, name)
    assert words in line


def test_header_block_too_large(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """max_header_size: refused as soon as its length is known."""
    with running(limits=Limits(max_header_size=100)) as stage, stage.plug_in() as sock:
        sock.sendall(b"\0\x65")
        assert_ended(stage, sock, caplog, "bad-message", "at most 100 are allowed")


def test_content_too_large(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """max_content_size: refused as soon as it is announced, before any of it has come."""
    with running(limits=Limits(max_content_size=100)) as stage, stage.plug_in() as sock:
        sock.sendall(announcing(101))
        assert_ended(stage, sock, caplog, "too-large", "101 bytes, and at most 100 are allowed")


def test_answer_too_large_for_its_peer(running: Running) -> None:
    """What a peer said it takes in its hello is kept to: a larger answer is refused."""
    app = Application()
    app.on()(lambda message: bytes(2000))
    app.on("small")(lambda message: bytes(1000))
    limits = {"max_header_size": 500, "max_content_size": 1000}
    hello = Message({"version": 1, "limits": limits}, kind="hello").to_bytes()
    small, large = (
        Message("", kind="request", id=number, subject=subject).to_bytes()
        for number, subject in ((1, "small"), (2, "large"))
    )
    requests = hello + small + large
    with running(app) as stage, stage.plug_in() as sock, sending(sock, requests, then_end=True):
        welcome, answer, failure, goodbye = receive_all(sock)
    assert welcome.kind == "welcome"
    assert answer.body == bytes(1000)
    assert failure.content["code"] == "too-large"
    assert goodbye.kind == "close"


def test_many_messages_are_no_slow_header(running: Running) -> None:
    """Who is always in the middle of some message, and never long in one, is not too slow."""
    app = Application()
    heard: list[object] = []
    app.on()(lambda message: heard.append(message.content))
    with running(app, limits=Limits(header_timeout=1.2)) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL[:5])
        for _ in range(10):
            time.sleep(0.15)
            sock.sendall(SMALL[5:] + SMALL[:5])
        sock.sendall(SMALL[5:])
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == []
    assert heard == ["small"] * 11


def test_silent_peer_that_wants_keepalive(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """ping_interval, ping_timeout: it is pinged, lives on if it answers, and is closed if not."""
    limits = Limits(ping_interval=0.3, ping_timeout=5.0)
    with running(limits=limits) as stage, stage.plug_in() as plain:
        with Talker(stage.plug_in(), keepalive=True) as alive:
            with Talker(stage.plug_in(), keepalive=True) as dead:
                processor = alive.conversation.processor
                alive.listen(lambda: processor.bytes_received > 600, "a welcome and some pings")
                name = name_of(dead.socket)
                alive.listen(lambda: warnings_about(caplog, name), "pings until the other's end")
                assert_ended(stage, dead.socket, caplog, "timeout", "the answer to a ping")
            assert alive.answer_to(alive.ask("still here")).content == "still here"
        plain.sendall(SMALL)
        assert plain.recv(1) == b"\0"


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
@pytest.mark.parametrize("is_in_thread", [False, True], ids=["in_the_loop", "in_a_thread"])
def test_messages_that_a_peer_does_not_read(
    running: Running, size: int, is_in_thread: bool
) -> None:
    """high_water: 256 times as much may be unsent, and not a message more, of whatever size."""
    app = Application()
    failures: list[ConnectionClosedError] = []
    content = bytes(size)

    def push(peer: Peer) -> None:
        try:
            while True:
                peer.send(content)
        except ConnectionClosedError as error:
            failures.append(error)

    @app.on()
    def begin(message: Message, peer: Peer) -> None:
        if is_in_thread:
            threading.Thread(target=push, args=(peer,), daemon=True).start()
        else:
            push(peer)

    bound = 256 * 4096
    with running(app, limits=Limits(high_water=4096)) as stage, stage.plug_in() as sock:
        name = name_of(sock)
        sock.sendall(SMALL)
        wait_until(lambda: failures, "whoever sends is told")
        sock.close()  # or else the server waits for it to take the reason
        ending = stage.ending_of(name)
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.by, ending.code) == ("us", "overloaded")
    # The error that ends it is unsent too, and the network may take a little at the end.
    assert 0.9 * bound < ending.unsent <= bound + size + 500
    assert failures[0].code == "overloaded"


def test_unsent_output_of_all_together(running: Running) -> None:
    """max_buffered: of peers that ask and never read, those go of which most is held."""
    app = Application()
    app.on()(lambda message: bytes(message.content))
    limits = Limits(max_buffered=40 * MEBIBYTE)
    with (
        running(app, limits=limits) as stage,
        Talker(stage.plug_in()) as good,
        ExitStack() as deaf,
    ):
        for _ in range(12):
            sock = deaf.enter_context(stage.plug_in())
            sock.sendall(Message(10 * MEBIBYTE).to_bytes() * 2)
        wait_until(lambda: stage.events.endings, "somebody is cut off")
        assert good.answer_to(good.ask(100)).body == bytes(100)
        reasons = list(stage.events.endings)
        assert 0 < len(reasons) < 12
        for reason in reasons:
            assert isinstance(reason, ConnectionClosedError)
            assert reason.code == "overloaded"
            assert reason.unsent > MEBIBYTE
        deaf.close()
        wait_until(lambda: len(stage.events.endings) == 12, "all have gone")
        assert len(good.answer_to(good.ask(10 * MEBIBYTE)).body) == 10 * MEBIBYTE


def test_messages_at_work_count_too(running: Running) -> None:
    """max_buffered: what handlers in threads have not done yet is held as well."""
    app = Application()
    go_on = threading.Event()
    lock = threading.Lock()
    begun = handled = 0

    @app.on(concurrent=True, blocking=True)
    def work(message: Message) -> None:
        nonlocal begun, handled
        with lock:
            begun += 1
        assert go_on.wait(PATIENCE)
        with lock:
            handled += 1

    limits = Limits(max_buffered=4 * MEBIBYTE)
    with running(app, limits=limits, max_workers=2) as stage, stage.plug_in() as sock:
        request = Message(bytes(MEBIBYTE), kind="request", id=1).to_bytes()
        for number in range(8):
            if number == 2:
                wait_until(lambda: begun == 2, "as many are at work as can be")
            sock.sendall(request.replace(b'"id":1', b'"id":%d' % (number + 1)))
        name = name_of(sock)
        *_, told = receive_all(sock)
        assert told.content["code"] == "overloaded"
        go_on.set()
        sock.close()
        assert "most of them for this connection" in str(stage.ending_of(name))
        wait_until(lambda: handled == begun, "those that had begun are done")
        assert handled == 2  # those that had begun; nobody waits for the others


def test_peer_that_is_not_read_from_is_not_too_slow(running: Running) -> None:
    """While the server itself holds a peer up, in the middle of a message, no time runs for it."""
    app = Application()
    app.on()(lambda message: bytes(16_000_000))
    limits = Limits(header_timeout=0.3, high_water=100_000)
    with running(app, limits=limits) as stage, stage.plug_in() as sock:
        data = SMALL * 3
        sock.sendall(data + SMALL[:5])
        time.sleep(1.2)
        sock.sendall(SMALL[5:])
        sock.shutdown(socket.SHUT_WR)
        answers = receive_all(sock)
    assert len(answers) == 4


def test_peer_that_a_handler_kept_the_server_from_hearing_is_not_too_slow(running: Running) -> None:
    """When a handler holds up the whole server for longer than a timeout, nobody is blamed."""
    app = Application()
    begun = threading.Event()

    @app.on("stall")
    def stall(message: Message) -> None:
        begun.set()
        time.sleep(3)

    app.on()(lambda message: message)
    limits = Limits(header_timeout=1.5, idle_timeout=PATIENCE)
    with (
        running(app, limits=limits) as stage,
        stage.plug_in() as sock,
        Talker(stage.plug_in()) as other,
    ):
        sock.sendall(SMALL[:5])
        wait_until(lambda: stage.events.sizes, "the first bytes are there")
        other.send("", subject="stall")
        assert begun.wait(PATIENCE)
        time.sleep(0.1)
        sock.sendall(SMALL[5:])
        assert sock.recv(1)


def test_refused_requests_know_why(running: Running) -> None:
    """A client whose request stands when the server refuses it gets the reason as its error."""
    app = Application()
    go_on = threading.Event()

    @app.on(blocking=True)
    def wait(message: Message) -> None:
        assert go_on.wait(PATIENCE)

    with running(app) as stage, Talker(stage.plug_in()) as talker:
        call = talker.ask("x")
        talker.socket.sendall(announcing(17 * MEBIBYTE))
        talker.hear_out()
        go_on.set()
        assert isinstance(call.error, (ConnectionClosedError, RemoteError, TooLargeError))
        assert call.error.code == "too-large"
