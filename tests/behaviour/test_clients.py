"""Clients: what they send and receive, what they are told, and how they end."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from telex import (
    AddressError,
    ConnectError,
    ConnectionClosedError,
    ContentError,
    IncompleteMessageError,
    Limits,
    Message,
    MessageProcessor,
    ProtocolError,
    RemoteError,
    TooLargeError,
    WaitTimeoutError,
)
from tests.behaviour.stage import (
    PATIENCE,
    Background,
    Client,
    Connect,
    Pair,
    Running,
    receive_exactly,
    receive_one,
    reset,
    wait_until,
)

SMALL = Message("small").to_bytes()


def test_message_goes_and_comes(connect: Connect, running: Running) -> None:
    """Content with the keywords of Message, or a Message: what is echoed is equal to it."""
    with running() as stage, connect(stage) as connection:
        connection.send({"t": 21.5}, subject="sensor", headers={"site": "north"})
        reply = connection.receive(PATIENCE)
        assert reply == Message({"t": 21.5}, subject="sensor", headers={"site": "north"})
        connection.send(reply)
        assert connection.receive(PATIENCE) == reply
        with pytest.raises(TypeError, match="keywords go with content"):
            connection.send(reply, subject="other")


def test_connection_knows_its_ends(connect: Connect, running: Running) -> None:
    """It says what it was told to connect to, and where that is."""
    with running(address="tcp://localhost:0") as stage, connect(stage) as connection:
        assert connection.address == stage.address
        assert connection.peer_address.endswith(f":{stage.address.port}")


def test_connection_over_a_unix_socket(connect: Connect, running: Running, tmp_path: Path) -> None:
    """A unix socket is as good as any."""
    with running(address=f"unix://{tmp_path}/telex.sock") as stage, connect(stage) as connection:
        connection.send("hello")
        assert connection.receive(PATIENCE).content == "hello"
        assert connection.peer_address == f"unix:{tmp_path}/telex.sock"


def test_what_came_before_a_failure_is_sent(pair: Pair) -> None:
    """When the source of many messages fails, those before it have been sent, and it is raised."""

    def source() -> Iterator[object]:
        yield "one"
        yield Message("two")
        raise LookupError("no more")

    with pair() as (connection, peer):
        with pytest.raises(LookupError, match="no more"):
            connection.send_many(source())
        with pytest.raises(ContentError):
            connection.send_many(["three", object(), "four"])
        connection.send("five")
        messages = receive_number(peer, 4)
        assert [message.content for message in messages] == ["one", "two", "three", "five"]


def test_the_rest_of_a_row_can_be_sent_after_what_cannot_be(pair: Pair) -> None:
    """Nothing behind the message that is refused has been taken from its source."""
    row = iter(["one", object(), "two", {"three": 3}])
    with pair() as (connection, peer):
        with pytest.raises(ContentError):
            connection.send_many(row)
        connection.send_many(row)
        messages = receive_number(peer, 3)
        assert [message.content for message in messages] == ["one", "two", {"three": 3}]


def test_unsendable_message_is_refused_before_any_of_it_is_sent(pair: Pair) -> None:
    """Content that cannot be written and headers over the limit raise, and the next one is sent."""
    with pair(limits=Limits(max_content_size=10)) as (connection, peer):
        with pytest.raises(ContentError):
            connection.send(object())
        with pytest.raises(TooLargeError):
            connection.send("", headers={"a": "x" * 20_000})
        with pytest.raises(TooLargeError):
            connection.send("x" * 11)
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL


def test_content_that_fails_to_be_written_leaves_the_connection_usable(pair: Pair) -> None:
    """An error of the content's own class is raised as it is, and nothing of it is sent."""

    class Treacherous(dict[str, object]):
        """What its items are is looked at because JSON has no word for NaN but null."""

        def items(self) -> Any:
            raise LookupError("these are gone")

    with pair() as (connection, peer):
        bad = Treacherous(gone=None)
        uses: list[Callable[[], object]] = [
            lambda: connection.send(bad),
            lambda: connection.send_many([bad]),
            lambda: connection.request(bad),
            lambda: next(connection.request_parts(bad)),
            lambda: next(connection.request_many([bad])),
        ]
        for use in uses:
            with pytest.raises(LookupError, match="these are gone"):
                use()
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL


def test_two_sides_that_both_send_do_not_wait_for_each_other(pair: Pair) -> None:
    """Sending goes on receiving: what came meanwhile is there afterwards, in its order."""
    body = bytes(8_000_000)
    data = Message(body).to_bytes()
    numbers = range(8_000)
    answers = b"".join(Message(b"x" * 1_000, subject=str(number)).to_bytes() for number in numbers)
    with pair() as (connection, peer):
        received = bytearray()

        def send_all_then_receive() -> None:
            peer.sendall(answers)
            received.extend(receive_exactly(peer, len(data)))

        thread = threading.Thread(target=send_all_then_receive)
        thread.start()
        connection.send(body)
        thread.join(PATIENCE)
        assert received == data
        for number in numbers:
            assert connection.receive(PATIENCE).subject == str(number)


@pytest.mark.parametrize("timeout", [0, 0.05, 0.3])
def test_receive_waits_as_long_as_it_was_told(pair: Pair, timeout: float) -> None:
    """Nothing comes: the error is in time, says what was waited for, and costs nothing else."""
    with pair() as (connection, peer):
        start = time.monotonic()
        with pytest.raises(WaitTimeoutError) as caught:
            connection.receive(timeout)
        assert timeout <= time.monotonic() - start < PATIENCE
        assert str(caught.value) == f"timed out after {timeout:g} s waiting for a message"
        peer.sendall(SMALL)
        assert connection.receive(PATIENCE).content == "small"


def test_bytes_that_trickle_in_do_not_extend_the_timeout(pair: Pair) -> None:
    """The time is for the whole message; what came of it is kept for the next call."""
    is_over = threading.Event()

    def trickle(peer: socket.socket) -> None:
        for byte in SMALL[1:-1]:
            is_over.wait(0.05)
            peer.sendall(bytes((byte,)))
        is_over.wait(PATIENCE)
        peer.sendall(SMALL[-1:])

    with pair() as (connection, peer):
        peer.sendall(SMALL[:1])
        thread = threading.Thread(target=trickle, args=(peer,))
        thread.start()
        with pytest.raises(WaitTimeoutError):
            connection.receive(1)
        is_over.set()
        thread.join(PATIENCE)
        assert connection.receive(PATIENCE).content == "small"


def test_iteration_ends_when_the_peer_ends(pair: Pair) -> None:
    """All messages come, then the loop is over, again and again."""
    with pair() as (connection, peer):
        peer.sendall(SMALL * 3)
        peer.close()
        assert [message.content for message in connection] == ["small"] * 3
        assert list(connection) == []
        connection.close()


def test_iteration_ends_when_this_side_closes(connect: Connect, running: Running) -> None:
    """Closing inside the loop ends it."""
    with running() as stage, connect(stage) as connection:
        connection.send_many(["one", "two"])
        for message in connection:
            assert message.content == "one"
            connection.close()


@pytest.mark.parametrize("iterates", [False, True], ids=["receive", "iteration"])
def test_a_peer_that_reads_no_more_is_still_heard(
    connect: Connect, tmp_path: Path, iterates: bool
) -> None:
    """Sending fails; a message that comes later is received, and then the reason is told."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/socket")
        listener.listen()
        connection = connect(f"unix://{tmp_path}/socket")
        peer, _address = listener.accept()
    with peer:
        peer.shutdown(socket.SHUT_RD)
        wait_until(lambda: not is_sent(connection, "x"), "sending fails")
        waiting = Background(
            lambda: next(iter(connection)) if iterates else connection.receive(PATIENCE)
        )
        peer.sendall(SMALL)
        assert waiting.wait_for(Message).content == "small"
    with pytest.raises(ConnectionClosedError, match="it receives no more"):
        next(iter(connection)) if iterates else connection.receive(PATIENCE)


def is_sent(connection: Client, content: object) -> bool:
    """Send, and say whether the connection took it."""
    try:
        connection.send(content)
    except ConnectionClosedError:
        return False
    return True


def test_clean_end_is_told_to_who_waits_for_more(pair: Pair) -> None:
    """Receive and send say who ended the connection, and every time again."""
    with pair() as (connection, peer):
        peer.sendall(SMALL)
        peer.close()
        assert connection.receive(PATIENCE).content == "small"
        for use in (connection.receive, connection.receive, lambda: connection.send("x")):
            with pytest.raises(ConnectionClosedError) as caught:
                use()
            assert str(caught.value) == "connection closed by the peer: it ended its stream"


@pytest.mark.parametrize("size", [1, 2, 50, len(SMALL) - 1])
def test_end_in_the_middle_of_a_message(pair: Pair, size: int) -> None:
    """A message that was cut is never delivered: the error says what is missing."""
    with pair() as (connection, peer):
        peer.sendall(SMALL + SMALL[:size])
        peer.close()
        assert connection.receive(PATIENCE).content == "small"
        for use in (lambda: list(connection), connection.receive):
            with pytest.raises(ConnectionClosedError, match="the stream ended after") as caught:
                use()
            assert isinstance(caught.value.__cause__, IncompleteMessageError)
            assert caught.value.__cause__.received == size


def test_bad_bytes_come_after_the_good_messages(pair: Pair) -> None:
    """What was complete before is received first, then the error, and the same one again."""
    with pair() as (connection, peer):
        peer.sendall(SMALL * 2 + b"\0\0")
        assert connection.receive(PATIENCE).content == "small"
        assert connection.receive(PATIENCE).content == "small"
        for _ in range(2):
            with pytest.raises(
                ConnectionClosedError, match=f"message at byte {2 * len(SMALL)}"
            ) as caught:
                connection.receive(PATIENCE)
            assert caught.value.code == "bad-message"
            assert isinstance(caught.value.__cause__, ProtocolError)
        with pytest.raises(ConnectionClosedError, match="message at byte"):
            connection.send("x")


def test_bad_bytes_alone_are_an_error_too(pair: Pair) -> None:
    """Also without any good message before them."""
    with pair() as (connection, peer):
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(ConnectionClosedError, match="HTTP"):
            next(iter(connection))


def test_send_tells_the_reason_that_the_server_gave(connect: Connect, running: Running) -> None:
    """Refused in the middle of sending, the client says why, not that a pipe is broken."""
    with running() as stage:
        connection = connect(stage, limits=Limits(max_content_size=1 << 30))
        with pytest.raises(ConnectionClosedError, match="100,000,000 bytes"):
            send_and_close(connection, bytes(100_000_000))
        ending = stage.ending_of(stage.events.peers[0].address)
        assert isinstance(ending, TooLargeError)


def send_and_close(connection: Client, content: object) -> None:
    """Send: whether that fails or only closing does is a matter of luck."""
    with connection:
        connection.send(content)


def test_close_waits_until_the_peer_has_read_all(pair: Pair) -> None:
    """Nothing is lost, though the peer reads late and what it sent is never received."""
    body = bytes(3_000_000)
    with pair() as (connection, peer):
        peer.sendall(SMALL * 1_000)
        connection.send(body)
        received: list[bytes] = []

        def read_late() -> None:
            threading.Event().wait(0.1)
            received.append(receive_one(peer).body)
            peer.close()

        thread = threading.Thread(target=read_late)
        thread.start()
        connection.close()
        assert received == [body]
        thread.join(PATIENCE)


def test_close_is_final_and_harmless_to_repeat(connect: Connect, running: Running) -> None:
    """After close nothing can be sent or received, and closing again is nothing."""
    with running() as stage:
        connection = connect(stage)
        connection.send("x")
        connection.close()
        connection.close()
        for use in (connection.receive, lambda: connection.send("x")):
            with pytest.raises(ConnectionClosedError) as caught:
                use()
            assert str(caught.value) == "connection closed by this side: close() was called"
        assert list(connection) == []


def test_close_does_not_wait_for_ever(pair: Pair) -> None:
    """A peer that does not end is left after a time, and whoever closes learns of it."""
    with pair() as (connection, peer):
        connection.send("small")
        with pytest.raises(WaitTimeoutError, match="it may not have read all"):
            connection.close(timeout=0.1)
        assert receive_one(peer).to_bytes() == SMALL


def test_close_raises_a_reset(pair: Pair) -> None:
    """A peer that vanishes while it should read what was sent is an error, not a clean end."""
    with pair() as (connection, peer):
        connection.send("small")
        threading.Timer(0.05, reset, (peer,)).start()
        with pytest.raises(ConnectionClosedError, match="it reset the connection"):
            connection.close()


def test_close_raises_an_error_that_nobody_has_received(connect: Connect, running: Running) -> None:
    """Told of bad content, and not looking: it is raised at the end instead of being dropped."""
    bad = Message(b"\xff", content_type="text/plain", subject="content")
    with running() as stage:
        connection = connect(stage)
        connection.send(bad)
        connection.send("another", subject="content")
        with pytest.raises(RemoteError, match=r"bad-content: .*utf-8"):
            connection.close()


def test_close_raises_nothing_that_was_received(connect: Connect, running: Running) -> None:
    """An error message that the application has received is its own affair."""
    bad = Message(b"\xff", content_type="text/plain", subject="content")
    with running() as stage, connect(stage) as connection:
        connection.send(bad)
        assert connection.receive(PATIENCE).kind == "error"


def test_close_raises_an_end_that_came_unseen(pair: Pair) -> None:
    """Refused after the last send, the connection says so when it is closed."""
    with pair() as (connection, peer):
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL
        peer.sendall(b"\0\0")
        peer.close()
        with pytest.raises(ConnectionClosedError, match="0 bytes"):
            connection.close()


def test_close_does_not_raise_twice(pair: Pair) -> None:
    """What was raised by receive is not raised again at the end."""
    with pair() as (connection, peer):
        peer.sendall(b"\0\0")
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionClosedError):
            connection.receive(PATIENCE)
        connection.close()


def test_exception_in_the_block_goes_first(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """With an exception on its way, closing neither hides it nor takes long, and logs its own."""
    with pair() as (connection, peer):
        start = time.monotonic()
        peer.sendall(b"\0\0")
        with pytest.raises(LookupError), connection:
            raise LookupError
        assert time.monotonic() - start < 9  # close() alone would wait 10 s
    assert "0 bytes" in caplog.text
    assert "after a LookupError" in caplog.text


def test_refused_connection_is_one_clear_error(connect: Connect) -> None:
    """Nobody listens: the error says where and why, and keeps the system's."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectError) as caught:
            connect(address)
    assert str(caught.value) == f"cannot connect to {address}: connection refused"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_missing_socket_file_is_one_clear_error(connect: Connect, tmp_path: Path) -> None:
    """No server, no file."""
    with pytest.raises(ConnectError, match="no such file or directory"):
        connect(f"unix://{tmp_path}/telex.sock")


def test_malformed_address_is_refused(connect: Connect) -> None:
    """An address is checked before anything is tried."""
    with pytest.raises(AddressError, match="no scheme"):
        connect("127.0.0.1:7766")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "cannot be resolved"),
        (UnicodeError("label too long"), "label too long"),
    ],
)
def test_unknown_name_is_one_clear_error(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """A name that does not resolve is no address to connect to."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConnectError, match=f"cannot connect to tcp://nowhere:1: .*{words}"):
        connect("tcp://nowhere:1")


def test_connecting_takes_no_longer_than_it_may(connect: Connect) -> None:
    """A host that swallows packets is given up in time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with contextlib.ExitStack() as waiting:
            for _ in range(4):  # more than may wait: the next one is not answered
                sock = waiting.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            start = time.monotonic()
            with pytest.raises(ConnectError, match="timed out"):
                connect(f"tcp://127.0.0.1:{port}", timeout=0.2)
            assert 0.2 <= time.monotonic() - start < PATIENCE


def problem(code: str, **members: str) -> bytes:
    """Return the message of an error that answers nothing, as it travels."""
    content = {"code": code, **members}
    return Message(content, content_type="application/problem+json", kind="error").to_bytes()


def test_an_error_that_ends_the_connection_is_told_to_all(pair: Pair) -> None:
    """Everything that waits, or is tried later, raises it with the code that the peer gave."""
    with pair() as (connection, peer):
        asking = Background(lambda: connection.request("x", timeout=PATIENCE))
        receive_one(peer)
        peer.sendall(problem("overloaded", detail="come back later"))
        peer.shutdown(socket.SHUT_WR)
        error = asking.wait_for(ConnectionClosedError)
        assert (error.by, error.code, error.unanswered) == ("peer", "overloaded", 1)
        for use in (lambda: list(connection), lambda: connection.send("too late")):
            with pytest.raises(ConnectionClosedError, match="come back later"):
                use()


def test_an_error_about_nothing_asked_is_a_message(pair: Pair) -> None:
    """An ``error`` that answers no request and ends nothing is received like a message."""
    with pair() as (connection, peer):
        peer.sendall(problem("out-of-paper"))
        message = connection.receive(PATIENCE)
        assert (message.kind, message.content["code"]) == ("error", "out-of-paper")
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL


def test_a_client_answers_no_requests(pair: Pair) -> None:
    """A server that asks is told that there is nobody to answer."""
    with pair() as (connection, peer):
        waiting = Background(lambda: connection.receive(PATIENCE))
        peer.sendall(Message("who?", kind="request", id=1).to_bytes())
        answer = receive_one(peer)
        assert (answer.kind, answer.re, answer.content["code"]) == ("error", 1, "no-handler")
        peer.sendall(SMALL)
        assert waiting.wait_for(Message).content == "small"


def test_a_token_that_cannot_be_sent_is_refused(connect: Connect, running: Running) -> None:
    """It is raised as it is, before anybody is connected to."""
    with running() as stage:
        with pytest.raises(ContentError, match="surrogates not allowed"):
            connect(stage, token="\ud800")
        assert connect(stage).request("x", timeout=PATIENCE).content == "x"
        assert len(stage.events.peers) == 1


def test_a_row_is_not_touched_when_nothing_can_be_sent(connect: Connect, running: Running) -> None:
    """On a connection that is closed, what was to be sent is still there."""
    row = iter(range(10))
    with running() as stage:
        connection = connect(stage)
        connection.close()
        with pytest.raises(ConnectionClosedError):
            connection.send_many(row)
        with pytest.raises(ConnectionClosedError):
            list(connection.request_many(row))
    assert list(row) == list(range(10))


def test_closing_counts_what_a_peer_that_does_not_read_lacks(pair: Pair) -> None:
    """What is unsent after the time for closing is counted in the error."""
    with pair() as (connection, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sending = Background(lambda: connection.send(bytes(50_000_000)))
        wait_until(lambda: select.select([peer], [], [], 0)[0], "it has begun to send")
        with pytest.raises(ConnectionClosedError, match=r"did not read on for 0\.1 s") as caught:
            connection.close(timeout=0.1)
        assert caught.value.by == "us"
        assert caught.value.unsent > 1_000_000
        sending.wait()


def receive_number(sock: socket.socket, count: int) -> list[Message]:
    """Return the next ``count`` messages on a plain socket, in however many pieces they come."""
    processor = MessageProcessor()
    messages: list[Message] = []
    while len(messages) < count:
        data = sock.recv(1 << 20)
        assert data, f"the stream ended after {len(messages)} of {count} messages"
        messages += processor.receive_messages(data)
    assert len(messages) == count
    return messages
