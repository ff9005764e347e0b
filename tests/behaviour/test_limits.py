"""Every limit of a server, passed: what both sides see of it, and that others are served on."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    MessageProcessor,
    Refusal,
    RemoteError,
    TooLargeError,
)
from telex.testing import Proxy
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Connect,
    RunningServer,
    Serve,
    receive_all,
    receive_some,
    wait_until,
    wait_until_still,
)

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@pytest.fixture
def app() -> Application:
    """Return an application that sends content back."""
    app = Application()

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    return app


def announcement(size: int) -> bytes:
    """Return the beginning of a message: all but its content of ``size`` bytes."""
    block = json.dumps({"content-length": size}).encode()
    return struct.pack(">H", len(block)) + block


def request(number: int, content: object = b"", subject: str = "echo") -> bytes:
    """Return a request as it travels."""
    return Message(content, subject=subject, kind="request", id=number).to_bytes()


def refusal(sock: socket.socket) -> tuple[str, str]:
    """Receive to the end, which must be an error; return its code and detail."""
    message = receive_all(sock)[-1]
    assert message.kind == "error"
    assert message.re is None
    return message.content["code"], message.content["detail"]


def told_to(action: Callable[[], object]) -> ConnectionClosedError:
    """Return the error in which an action of a client must end, because the server ended it."""
    with pytest.raises(ConnectionClosedError) as caught:
        action()
    assert caught.value.by == "peer"
    return caught.value


def ending_of(server: RunningServer, code: str) -> ConnectionClosedError:
    """Return why the server ended the first connection, which must be for a limit."""
    ending = server.ending()
    assert isinstance(ending, ConnectionClosedError)
    assert (ending.by, ending.code) == ("us", code)
    return ending


# Sizes


def test_a_header_block_over_its_limit(serve: Serve, connect: Connect, app: Application) -> None:
    """It is refused by its length alone: the client learns the limit, the server the size."""
    server = serve(app, limits=Limits(max_header_size=500))
    connection = connect(server)
    error = told_to(lambda: connection.request("x", headers={"long": "x" * 600}, timeout=PATIENCE))
    assert error.code == "bad-message"
    assert "500" in error.reason
    ending = server.ending()
    assert isinstance(ending, TooLargeError)
    assert (ending.part, ending.max_size) == ("header block", 500)


def test_content_over_its_limit(serve: Serve, connect: Connect, app: Application) -> None:
    """It is refused before it has come; the client learns the limit, the server the size."""
    server = serve(app, limits=Limits(max_content_size=MEBIBYTE))
    connection = connect(server)
    error = told_to(lambda: connection.request(bytes(2 * MEBIBYTE), timeout=PATIENCE))
    assert error.code == "too-large"
    assert "1,048,576" in error.reason
    ending = server.ending()
    assert isinstance(ending, TooLargeError)
    assert (ending.part, ending.size) == ("content", 2 * MEBIBYTE)


def test_who_has_greeted_knows_the_limits(serve: Serve, connect: Connect, app: Application) -> None:
    """A client that was told them does not send what is too large, and goes on."""
    server = serve(app, limits=Limits(max_content_size=MEBIBYTE))
    connection = connect(server, keepalive=True)
    with pytest.raises(TooLargeError):
        connection.request(bytes(2 * MEBIBYTE), subject="echo", timeout=PATIENCE)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_an_answer_over_the_limit_of_who_asked(
    serve: Serve, connect: Connect, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked learns that, the log has the failure, and the connection goes on."""

    @app.on("large")
    def large(message: Message) -> bytes:
        return bytes(2_000)

    limits = Limits(max_content_size=1_000)
    connection = connect(serve(app), keepalive=True, limits=limits)
    with pytest.raises(RemoteError, match="content is 2,000 bytes, and at most 1,000") as caught:
        connection.request("x", subject="large", timeout=PATIENCE)
    assert caught.value.code == "too-large"
    assert any("large failed on" in record.getMessage() for record in caplog.records)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_a_plain_message_that_was_refused_is_told_by_the_end_of_the_connection(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The error that nobody received is raised as what it is: no connection was closed by it."""

    @app.on("buy")
    def buy(message: Message) -> None:
        raise Refusal("out-of-stock", "no more of these")

    connection = connect(serve(app))
    connection.send("x", subject="buy")
    with pytest.raises(RemoteError) as caught:
        connection.close()
    assert (caught.value.code, caught.value.detail) == ("out-of-stock", "no more of these")


def test_more_partial_messages_than_the_server_holds(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Past ``max_buffered`` it is who holds most that is told and ended; others go on."""
    limits = Limits(max_buffered=4 * MEBIBYTE, max_content_size=16 * MEBIBYTE)
    server = serve(app, limits=limits)
    modest, other = server.plug_in(), connect(server)
    with modest, server.plug_in() as greedy:
        modest.sendall(announcement(MEBIBYTE) + bytes(MEBIBYTE // 2))
        greedy.sendall(announcement(16 * MEBIBYTE))
        feeding = Background(lambda: feed(greedy, bytes(15 * MEBIBYTE)))
        code, detail = refusal(greedy)
        assert code == "overloaded"
        assert "most of them for this connection" in detail
        feeding.wait()
        ending_of(server, "overloaded")
        assert other.request("x", subject="echo", timeout=PATIENCE).content == "x"
        modest.sendall(bytes(MEBIBYTE // 2))
        modest.shutdown(socket.SHUT_WR)
        assert receive_all(modest) == []
    wait_until(lambda: len(server.events.messages) == 2, "the modest message is complete")


def test_more_connections_than_the_server_takes(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The one too many is told so; when another one leaves, there is room again."""
    server = serve(app, limits=Limits(max_connections=2))
    first, second = connect(server), connect(server)
    for connection in (first, second):
        assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
    third = connect(server)
    error = told_to(lambda: third.request("x", subject="echo", timeout=PATIENCE))
    assert error.code == "overloaded"
    assert "2 connections" in error.reason
    ending_of(server, "overloaded")
    first.close()
    assert server.ending(1) is None
    fourth = connect(server)
    assert fourth.request("x", subject="echo", timeout=PATIENCE).content == "x"
    assert second.request("x", subject="echo", timeout=PATIENCE).content == "x"


# Times


def test_a_header_that_takes_too_long(serve: Serve, connect: Connect, app: Application) -> None:
    """A byte now and then is no progress: the whole header block has its time, and no more."""
    server = serve(app, limits=Limits(header_timeout=0.5))
    good = connect(server)
    header = Message("", headers={"long": "x" * 500}).to_bytes()  # a minute's worth of bytes
    with server.plug_in() as sock:
        begin = time.monotonic()
        trickle = threading.Event()

        def send_slowly() -> None:
            for byte in header:
                if trickle.wait(0.1):
                    return
                sock.sendall(bytes([byte]))

        slow = Background(send_slowly)
        code, detail = refusal(sock)
        took = time.monotonic() - begin
        trickle.set()
        slow.wait()
    assert code == "timeout"
    assert "header block" in detail
    assert took > 0.4
    assert "header block" in ending_of(server, "timeout").reason
    assert good.request("x", subject="echo", timeout=PATIENCE).content == "x"


@pytest.mark.parametrize("server_kind", ["both"])
def test_content_that_comes_too_slowly(serve: Serve, app: Application) -> None:
    """After ten seconds below ``min_rate`` the peer is told so; one that keeps it is not.

    Both servers are watched at the same time, because it takes so long.
    """
    limits = Limits(min_rate=2 * KIBIBYTE)
    servers = [serve(app, limits=limits, front_end=kind) for kind in ("sync", "asyncio")]
    Background(*(lambda server=server: pass_least_rate(server) for server in servers)).check()


def pass_least_rate(server: RunningServer) -> None:
    """Send content too slowly on one connection, and fast enough on another."""
    with server.plug_in() as slow, server.plug_in() as steady:
        begin = time.monotonic()
        slow_ended, steady_ended = threading.Event(), threading.Event()

        def trickle(sock: socket.socket, size: int, ended: threading.Event) -> None:
            while not ended.wait(0.1):
                sock.sendall(bytes(size))

        for sock in (slow, steady):
            sock.settimeout(2 * PATIENCE)
            sock.sendall(announcement(16 * MEBIBYTE))
        trickling = Background(lambda: trickle(slow, 50, slow_ended))
        feeding = Background(lambda: trickle(steady, 20_000, steady_ended))
        code, detail = refusal(slow)
        took = time.monotonic() - begin
        assert code == "timeout"
        assert "2,048 bytes a second" in detail
        assert took > 9.5
        slow_ended.set()
        trickling.wait()
        with suppress(OSError):  # it waits for this end for a while, and then it is gone
            slow.shutdown(socket.SHUT_WR)
        assert "2,048 bytes a second" in ending_of(server, "timeout").reason
        assert len(server.events.endings) == 1
        steady_ended.set()
        feeding.check()


def test_silence_that_lasts_too_long(serve: Serve, connect: Connect, app: Application) -> None:
    """With ``idle_timeout`` a client that sends nothing is told goodbye."""
    server = serve(app, limits=Limits(idle_timeout=0.5))
    begin = time.monotonic()
    idle = connect(server)
    error = told_to(lambda: idle.receive(PATIENCE))
    assert error.code == "timeout"
    assert time.monotonic() - begin >= 0.5
    ending_of(server, "timeout")


def test_who_waits_for_an_answer_is_not_idle(serve: Serve, app: Application) -> None:
    """A handler may take longer than a client may be silent."""

    @app.on("work", blocking=True)
    def work(message: Message) -> str:
        time.sleep(4.0)  # longer than the limit, and twice until it is looked at
        return "done"

    with serve(app, limits=Limits(idle_timeout=3.0)).plug_in() as sock:
        sock.sendall(request(1, "x", "work"))
        assert [answer.content for answer in receive_some(sock, 1)] == ["done"]


def test_a_peer_that_is_gone_without_a_word(
    serve: Serve, connect: Connect, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """With keepalive, the server notices that its pings are not answered, and so does the client.

    No end of the stream and no reset comes: the network between them is dead.
    """
    limits = Limits(ping_interval=0.3, ping_timeout=4.0)
    server = serve(app, limits=limits)
    with Proxy(server.address) as proxy:
        connection = connect(proxy.address, keepalive=True, limits=limits)
        assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
        proxy.freeze()
        with pytest.raises(ConnectionClosedError, match="ping") as caught:
            connection.request("y", subject="echo", timeout=PATIENCE)
        assert (caught.value.by, caught.value.code) == ("us", "timeout")
        wait_until(lambda: any("ping" in text for text in caplog.messages), "the server notices")
        proxy.thaw()
        assert "ping" in ending_of(server, "timeout").reason


def test_keepalive_keeps_a_silent_connection(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """A client that answers pings stays, however little it has to say."""
    limits = Limits(ping_interval=0.2, ping_timeout=PATIENCE, idle_timeout=4.0)
    server = serve(app, limits=limits)
    connection = connect(server, keepalive=True)
    waiting = Background(lambda: connection.receive(5.0))
    [error] = waiting.wait()
    assert isinstance(error, TimeoutError)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
    assert server.events.endings == []


# How much may wait


def test_more_requests_than_may_be_unanswered(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Past ``max_pending`` the server reads no further; nothing is lost, and all are answered."""
    may_go = threading.Event()
    begun: list[object] = []

    @app.on("hold", blocking=True, concurrent=True)
    def hold(message: Message) -> object:
        begun.append(message.content)
        assert may_go.wait(PATIENCE)
        return message.content

    server = serve(app, limits=Limits(max_pending=2))
    content = bytes(64 * KIBIBYTE)
    with server.plug_in() as sock, connect(server) as other:
        stream = b"".join(request(number, content, "hold") for number in range(1, 301))
        sending = Background(lambda: sock.sendall(stream))
        wait_until(lambda: len(begun) == 2, "two handlers run")
        assert other.request("x", subject="echo", timeout=PATIENCE).content == "x"
        assert len(begun) == 2
        assert sending.is_under_way
        received = len(server.events.messages)
        may_go.set()
        assert sorted(receive_number(sock, 300)) == list(range(1, 301))
        sending.check()
    assert received < 300


def test_more_output_than_the_peer_reads(serve: Serve, connect: Connect, app: Application) -> None:
    """Past ``high_water`` the server reads no further, until the peer has read half of it."""
    server = serve(app, limits=Limits(high_water=256 * KIBIBYTE))
    content = bytes(64 * KIBIBYTE)
    with server.plug_in() as sock:
        stream = b"".join(request(number, content) for number in range(1, 1001))
        sending = Background(lambda: sock.sendall(stream))
        wait_until_still(lambda: len(server.events.messages))
        handled = len(server.events.messages)
        assert handled < 1000
        assert connect(server).request("x", subject="echo", timeout=PATIENCE).content == "x"
        assert receive_number(sock, 1000) == list(range(1, 1001))
        sending.check()


# What the client keeps to


def test_an_answer_over_the_clients_limit(serve: Serve, connect: Connect, app: Application) -> None:
    """The client ends the connection, and both sides know why."""

    @app.on("swell")
    def swell(message: Message) -> bytes:
        return bytes(2 * MEBIBYTE)

    server = serve(app)
    connection = connect(server, limits=Limits(max_content_size=MEBIBYTE))
    with pytest.raises(ConnectionClosedError) as caught:
        connection.request("x", subject="swell", timeout=PATIENCE)
    assert (caught.value.by, caught.value.code) == ("us", "too-large")


def test_many_connections_past_many_limits(serve: Serve, app: Application) -> None:
    """A crowd that breaks rules at once is ended at once, each with its own reason."""
    server = serve(app, limits=Limits(header_timeout=0.5))
    with ExitStack() as sockets:
        garbage = [sockets.enter_context(server.plug_in()) for _ in range(20)]
        slow = [sockets.enter_context(server.plug_in()) for _ in range(20)]
        for sock in garbage:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        for sock in slow:
            sock.sendall(b"\0")
        assert {refusal(sock)[0] for sock in garbage} == {"bad-message"}
        assert {refusal(sock)[0] for sock in slow} == {"timeout"}


def feed(sock: socket.socket, data: bytes) -> None:
    """Send until all is sent or the other side wants no more."""
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return


def receive_number(sock: socket.socket, count: int) -> list[int]:
    """Receive this many answers on a plain socket; return which requests they answer."""
    processor = MessageProcessor()
    answered: list[int] = []
    while len(answered) < count:
        data = sock.recv(1 << 20)
        assert data, f"the stream ended after {len(answered)} of {count} answers"
        answered += [message.re or 0 for message in processor.receive_messages(data)]
    return answered
