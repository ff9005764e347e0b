"""Every limit of a server, each passed by somebody, and what both sides see of it."""

from __future__ import annotations

import gc
import logging
import math
import select
import socket
import threading
import time

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, RemoteError, TooLargeError
from telex.connection.output import Output
from telex.network.transfer import RECEIVE_SIZE
from telex.server import registry
from telex.sync import serve
from tests.sync.stage import (
    PATIENCE,
    Events,
    Running,
    name_of,
    receive_all,
    running,
    sending,
    wait_until,
    warnings_about,
)
from tests.sync.talking import Talker

SMALL = Message("small").to_bytes()
MEBIBYTE = 1024 * 1024


def announcing(size: int) -> bytes:
    """Return the beginning of a message that announces so much content, and none of the content."""
    return Message(bytes(size)).to_bytes()[:-size]


def assert_ended(
    stage: Running, sock: socket.socket, caplog: pytest.LogCaptureFixture, code: str, words: str
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


def test_header_block_too_large(caplog: pytest.LogCaptureFixture) -> None:
    """max_header_size: refused as soon as its length is known."""
    with running(limits=Limits(max_header_size=100)) as stage, stage.plug_in() as sock:
        sock.sendall(b"\0\x65")
        assert_ended(stage, sock, caplog, "bad-message", "at most 100 are allowed")


def test_content_too_large(caplog: pytest.LogCaptureFixture) -> None:
    """max_content_size: refused as soon as it is announced, before any of it has come."""
    with running(limits=Limits(max_content_size=100)) as stage, stage.plug_in() as sock:
        sock.sendall(announcing(101))
        assert_ended(stage, sock, caplog, "too-large", "101 bytes, and at most 100 are allowed")


def test_answer_too_large_for_its_peer() -> None:
    """What a peer said it takes in its hello is kept to: a larger answer fails at its handler."""
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
    assert failure.content["code"] == "handler-failed"
    assert goodbye.kind == "close"


def test_slow_header(caplog: pytest.LogCaptureFixture) -> None:
    """header_timeout: a header block that trickles in is not waited for, however it trickles."""
    with running(limits=Limits(header_timeout=0.5)) as stage, stage.plug_in() as sock:
        begun = time.monotonic()
        for byte in SMALL:
            sock.send(bytes((byte,)))
            if select.select([sock], [], [], 0.1)[0]:
                break
        assert time.monotonic() - begun >= 0.5
        assert_ended(stage, sock, caplog, "timeout", "0.5 s waiting for the rest of a header block")


def test_many_messages_are_no_slow_header() -> None:
    """Who is always in the middle of some message, and never long in one, is not too slow."""
    app = Application()
    heard: list[object] = []
    app.on()(lambda message: heard.append(message.content))
    with running(app, limits=Limits(header_timeout=6.0)) as stage, stage.plug_in() as sock:
        sock.sendall(SMALL[:5])
        for _ in range(10):
            time.sleep(0.65)
            sock.sendall(SMALL[5:] + SMALL[:5])
        sock.sendall(SMALL[5:])
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == []
    assert heard == ["small"] * 11


def test_slow_content(caplog: pytest.LogCaptureFixture) -> None:
    """min_rate: content that comes slower than this is not waited for beyond ten seconds."""
    with (
        running(limits=Limits(min_rate=1000)) as stage,
        stage.plug_in() as sock,
        stage.plug_in() as fast,
    ):
        begun = time.monotonic()
        for slow_one in (sock, fast):
            slow_one.sendall(announcing(MEBIBYTE))
        while not select.select([sock], [], [], 0.5)[0]:
            sock.sendall(bytes(200))
            fast.sendall(bytes(5000))
            assert time.monotonic() - begun < 3 * PATIENCE
        assert time.monotonic() - begun >= 10
        assert_ended(stage, sock, caplog, "timeout", "content at 1,000 bytes a second")
        assert not select.select([fast], [], [], 0)[0]


def test_idle_connection(caplog: pytest.LogCaptureFixture) -> None:
    """idle_timeout: who says nothing for so long is told goodbye; who is served is not idle."""
    app = Application()
    go_on = threading.Event()

    @app.on("work", blocking=True)
    def work(message: Message) -> str:
        assert go_on.wait(PATIENCE)
        return "worked"

    begun, events = time.monotonic(), Events()
    server = serve(app, "tcp://127.0.0.1:0", limits=Limits(idle_timeout=0.5), observer=events)
    where = (server.address.host, server.address.port)
    with server, Talker(socket.create_connection(where, PATIENCE)) as busy:
        call = busy.ask("", subject="work")  # it is there when the connection is accepted
        stage = Running(server, events)
        with stage.plug_in() as sock:
            assert_ended(stage, sock, caplog, "timeout", "0.5 s waiting for any message")
        assert time.monotonic() - begun >= 0.5
        go_on.set()
        assert busy.answer_to(call).content == "worked"
        stage.stop()


def test_silent_peer_that_wants_keepalive(caplog: pytest.LogCaptureFixture) -> None:
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


def test_too_many_connections(caplog: pytest.LogCaptureFixture) -> None:
    """max_connections: the next one is told that there are too many; when one goes it may come."""
    with running(limits=Limits(max_connections=2)) as stage:
        with Talker(stage.plug_in()) as one, Talker(stage.plug_in()) as two:
            for talker in (one, two):
                talker.answer_to(talker.ask("here"))
            with stage.plug_in() as third:
                third.sendall(SMALL * 100)
                assert_ended(stage, third, caplog, "overloaded", "has 2 connections")
            assert one.answer_to(one.ask("still here")).content == "still here"
        wait_until(lambda: len(stage.events.endings) == 2, "the two have gone")
        with Talker(stage.plug_in()) as next_one:
            assert next_one.answer_to(next_one.ask("now")).content == "now"


def test_far_too_many_connections(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there are too many even of those who are told so, they are closed without a word."""
    monkeypatch.setattr(registry, "MAX_REFUSED_CONNECTIONS", 1)
    with running(limits=Limits(max_connections=1)) as stage, stage.plug_in() as first:
        first.sendall(SMALL)
        assert first.recv(1)
        with stage.plug_in() as told, stage.plug_in() as untold:
            assert untold.recv(1) == b""
            assert [message.kind for message in receive_all(told)] == ["error"]
            [line] = warnings_about(caplog, name_of(untold))
    assert "too many connections even to be told so" in line


def test_unsent_output_of_all_together(caplog: pytest.LogCaptureFixture) -> None:
    """max_buffered: of peers that ask and never read, those go of which most is held."""
    app = Application()
    app.on()(lambda message: bytes(message.content))
    limits = Limits(max_buffered=40 * MEBIBYTE)
    with running(app, limits=limits) as stage, Talker(stage.plug_in()) as good:
        sockets = [stage.plug_in() for _ in range(12)]
        try:
            for sock in sockets:
                sock.sendall(Message(10 * MEBIBYTE).to_bytes() * 2)
            wait_until(lambda: stage.events.endings, "somebody is cut off")
            assert good.answer_to(good.ask(100)).body == bytes(100)
            names = [name_of(sock) for sock in sockets]
            gone = [stage.events.endings.get(name) for name in names]
            reasons = [reason for reason in gone if reason is not None]
            assert 0 < len(reasons) < 12
            for reason in reasons:
                assert isinstance(reason, ConnectionClosedError)
                assert reason.code == "overloaded"
                assert reason.unsent > MEBIBYTE
            held = stage.server._registry
            wait_until(
                lambda: held.bytes_held <= limits.max_buffered, "no more is held than may be"
            )
        finally:
            for sock in sockets:
                sock.close()
        wait_until(lambda: len(stage.events.endings) == 12, "all have gone")
        good.answer_to(good.ask(1))
        assert stage.server._registry.bytes_held == 0


def test_what_was_cut_off_is_let_go_at_once() -> None:
    """max_buffered: nothing large of a connection that has ended waits for a garbage collection."""
    app = Application()
    app.on()(lambda message: bytes(message.content))
    limits = Limits(max_buffered=8 * MEBIBYTE)
    gc.collect()
    gc.disable()
    try:
        with (
            running(app, limits=limits, observer=None) as stage,
            Talker(stage.plug_in()) as good,
            stage.plug_in() as deaf,
        ):
            good.answer_to(good.ask(1))
            deaf.sendall(Message(15 * MEBIBYTE).to_bytes() + SMALL[:5])
            wait_until(lambda: len(stage.server._registry.drivers) == 1, "it is cut off")
            assert good.answer_to(good.ask(100)).body == bytes(100)
            outputs = [thing for thing in gc.get_objects() if isinstance(thing, Output)]
            assert sum(output.held for output in outputs) == 0
            assert stage.server._registry.bytes_held == 0
    finally:
        gc.enable()


def test_half_messages_of_all_together(caplog: pytest.LogCaptureFixture) -> None:
    """max_buffered: who has sent the most of a message is told, and what it sent is let go."""
    limits = Limits(max_buffered=4 * MEBIBYTE)
    with running(limits=limits) as stage, stage.plug_in() as small, stage.plug_in() as large:
        small.sendall(announcing(2 * MEBIBYTE) + bytes(MEBIBYTE // 2))
        held = stage.server._registry
        wait_until(lambda: held.bytes_held > MEBIBYTE // 2, "the small part is there")
        large.sendall(announcing(8 * MEBIBYTE) + bytes(3 * MEBIBYTE))
        assert_ended(stage, large, caplog, "overloaded", "most of them for this connection")
        wait_until(lambda: MEBIBYTE // 2 <= held.bytes_held < 2 * MEBIBYTE, "only that is")
        with sending(small, bytes(3 * MEBIBYTE // 2) + SMALL, then_end=True):
            [whole, echo] = receive_all(small)
        assert len(whole.body) == 2 * MEBIBYTE
        assert echo.content == "small"
        wait_until(lambda: held.bytes_held == 0, "nothing is held")


def test_messages_at_work_count_too(caplog: pytest.LogCaptureFixture) -> None:
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
        assert_ended(stage, sock, caplog, "overloaded", "most of them for this connection")
        go_on.set()
        wait_until(lambda: stage.server._registry.bytes_held == 0, "nothing is held")
        assert handled == 2  # those that had begun; nobody waits for the others


def test_too_many_unanswered_requests() -> None:
    """max_pending: no more are read, and so the sender has to wait; all are answered in the end."""
    app = Application()
    go_on = threading.Event()
    running_now = 0
    most_running = 0
    lock = threading.Lock()

    @app.on(concurrent=True, blocking=True)
    def work(message: Message) -> object:
        nonlocal running_now, most_running
        with lock:
            running_now += 1
            most_running = max(most_running, running_now)
        assert go_on.wait(PATIENCE)
        with lock:
            running_now -= 1
        return message.content

    limits = Limits(max_pending=4)
    with (
        running(app, limits=limits, max_workers=16) as stage,
        stage.plug_in() as sock,
        Talker(stage.plug_in()) as other,
    ):
        requests = [
            Message("x" * 10_000, kind="request", id=number + 1).to_bytes()
            for number in range(2_000)
        ]
        with sending(sock, b"".join(requests), then_end=True):
            wait_until(lambda: running_now == 4, "as many run as may")
            before = -1
            while sum(stage.events.sizes) > before:
                before = sum(stage.events.sizes)
                time.sleep(0.2)
            assert before <= 2 * RECEIVE_SIZE + 100
            call = other.ask("other")
            wait_until(lambda: running_now == 5, "another connection is served")
            go_on.set()
            other.answer_to(call)
            *answers, goodbye = receive_all(sock)
    assert sorted(answer.re or 0 for answer in answers) == list(range(1, 2_001))
    assert goodbye.kind == "close"
    assert most_running <= 9


def test_output_above_high_water_pauses_reading() -> None:
    """high_water: a peer that does not take its answers is not read from, and loses nothing."""
    app = Application()
    app.on()(lambda message: bytes(100_000))
    limits = Limits(high_water=1_000_000)
    with running(app, limits=limits) as stage, stage.plug_in() as sock:
        requests = b"".join(
            Message(bytes(1000), kind="request", id=number + 1).to_bytes()
            for number in range(2_000)
        )
        with sending(sock, requests, then_end=True):
            before = -1
            while sum(stage.events.sizes) > before:
                before = sum(stage.events.sizes)
                time.sleep(0.2)
            assert before < len(requests) // 2
            [driver] = stage.server._registry.drivers
            assert driver.bytes_held < 3_000_000
            conversation = driver.connection.conversation
            wait_until(lambda: conversation.bytes_to_send == 0, "all of it is counted")
            *answers, _ = receive_all(sock)
    assert [answer.re for answer in answers] == list(range(1, 2_001))
    assert stage.server._registry.bytes_held == 0


def test_peer_that_is_not_read_from_is_not_too_slow() -> None:
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


def test_peer_that_a_handler_kept_the_server_from_hearing_is_not_too_slow() -> None:
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


def test_no_hello_where_a_token_is_demanded(caplog: pytest.LogCaptureFixture) -> None:
    """handshake_timeout: who does not say who it is in time is not waited for."""
    limits = Limits(handshake_timeout=0.3)
    with running(tokens={"pump-7": "secret"}, limits=limits) as stage, stage.plug_in() as sock:
        assert_ended(stage, sock, caplog, "timeout", "0.3 s waiting for hello")


@pytest.mark.parametrize("token", [None, "", "guessed", "secret "])
def test_wrong_token(caplog: pytest.LogCaptureFixture, token: str | None) -> None:
    """Who shows no token, or one that is not known, is told that this is why."""
    with running(tokens={"pump-7": "secret"}) as stage, stage.plug_in() as sock:
        content = {"version": 1} if token is None else {"version": 1, "token": token}
        sock.sendall(Message(content, kind="hello").to_bytes() + SMALL)
        assert_ended(stage, sock, caplog, "unauthorized", "token")
        assert stage.events.messages == []


def test_right_token_becomes_the_identity() -> None:
    """The name of the token is who the peer is, for every handler."""
    app = Application()
    app.on()(lambda message, peer: peer.identity)
    tokens = {"pump-7": "secret", "pump-8": "other"}
    with running(app, tokens=tokens) as stage, Talker(stage.plug_in(), token="other") as talker:
        assert talker.answer_to(talker.ask("who am I?")).content == "pump-8"


def test_sweeping_goes_on_only_while_there_are_connections() -> None:
    """A server that nobody has connected to waits without waking up."""
    with serve(Application(), "tcp://127.0.0.1:0") as idle:
        assert idle._loop._seconds_to_wait(math.inf) is None


def test_errors_of_limits_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """What a peer does wrong is no error of the server's."""
    with running(limits=Limits(header_timeout=0.1)) as stage, stage.plug_in() as sock:
        sock.sendall(b"\0")
        receive_all(sock)
        assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def test_refused_requests_know_why() -> None:
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
