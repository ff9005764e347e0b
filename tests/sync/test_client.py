"""The blocking client: what it sends and receives, what it is told, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import select
import signal
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
    ProtocolError,
    TooLargeError,
    WaitTimeoutError,
)
from telex.connection import unread
from telex.conversation.batch import BATCH_SIZE
from telex.network.resolver import Endpoint
from telex.sync import Connection, connect, dialing
from telex.sync.client_driver import ClientDriver
from tests.sync.stage import (
    PATIENCE,
    ROOMY,
    pause_until,
    receive_all,
    receive_exactly,
    receive_one,
    reset,
    running,
    wait_until,
)

SMALL = Message("small").to_bytes()

STALL = "nothing is read until somebody takes what has come"


@contextlib.contextmanager
def pair(**options: Any) -> Iterator[tuple[Connection, socket.socket]]:
    """Connect a client to a plain socket, which does what the test wants."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        connection = connect(address, **{"limits": ROOMY, **options})
        peer, _ = listener.accept()
    peer.settimeout(PATIENCE)
    with peer:
        try:
            yield connection, peer
        finally:
            connection._driver.release()


@contextlib.contextmanager
def interrupted(when: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C pressed in the main thread as soon as ``when()``, and expect it to be noticed."""

    def press() -> None:
        wait_until(when, "it is time for Ctrl-C")
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come at any point of the block
        yield
        thread.join()


def waits_to_send(connection: Connection) -> Callable[[], bool]:
    """Return the condition that a connection waits for the network to take more."""
    return stands_still(connection, lambda: bool(connection._driver.connection.unsent))


def waits_for_the_rest(connection: Connection) -> Callable[[], bool]:
    """Return the condition that a connection waits in the middle of a message."""
    return stands_still(
        connection, lambda: connection._conversation.processor.bytes_needed < len(SMALL) - 2
    )


def stands_still(connection: Connection, has_begun: Callable[[], bool]) -> Callable[[], bool]:
    """Return the condition that something has begun, and that nothing has moved for a while."""
    position, since = (0, 0), time.monotonic()

    def check() -> bool:
        nonlocal position, since
        now = connection._driver.connection.unsent, connection._conversation.processor.bytes_needed
        if now != position or connection._driver._is_busy or not has_begun():
            position, since = now, time.monotonic()
        return time.monotonic() - since > 0.05

    return check


def has_come(connection: Connection) -> bool:
    """Say whether something has come that nobody has taken."""
    return bool(select.select([connection._driver.socket], [], [], 0)[0])


def fill(peer: socket.socket) -> int:
    """Send small messages from a peer until nothing more goes; return how many bytes went."""
    peer.setblocking(False)
    sent = 0
    while select.select([], [peer], [], 0.2)[1]:
        sent += peer.send((SMALL * 1_000)[sent % len(SMALL) :])
    peer.settimeout(PATIENCE)
    return sent


# What goes and comes


def test_message_goes_and_comes() -> None:
    """Content with the keywords of Message, or a Message: what is echoed is equal to it."""
    with running() as stage, stage.connect() as connection:
        connection.send({"t": 21.5}, subject="sensor", headers={"site": "north"})
        reply = connection.receive(PATIENCE)
        assert reply == Message({"t": 21.5}, subject="sensor", headers={"site": "north"})
        connection.send(reply)
        assert connection.receive(PATIENCE) == reply
        with pytest.raises(TypeError, match="keywords go with content"):
            connection.send(reply, subject="other")


def test_connection_knows_its_ends() -> None:
    """It says what it was told to connect to, and where that is."""
    with running(address="tcp://localhost:0") as stage, stage.connect() as connection:
        assert connection.address == stage.address
        assert connection.peer_address.endswith(f":{stage.address.port}")


def test_connection_over_a_unix_socket(tmp_path: Path) -> None:
    """A unix socket is as good as any."""
    with running(address=f"unix://{tmp_path}/telex.sock") as stage, stage.connect() as connection:
        connection.send("hello")
        assert connection.receive(PATIENCE).content == "hello"
        assert connection.peer_address == f"unix:{tmp_path}/telex.sock"


def test_many_messages_take_few_system_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand messages from a generator arrive in order, 64 KiB at a time."""
    sends = 0
    transmit = ClientDriver._transmit

    def count(driver: ClientDriver, *arguments: Any) -> None:
        nonlocal sends
        sends += 1
        assert driver.connection.unsent < 3 * BATCH_SIZE, "it was not sent while it was made"
        transmit(driver, *arguments)

    count_of_messages = 100_000
    size = count_of_messages * len(SMALL)
    with pair() as (connection, peer):
        received: list[Message] = []
        reader = threading.Thread(target=lambda: received.extend(receive_all(peer)))
        reader.start()
        with monkeypatch.context() as patch:
            patch.setattr(ClientDriver, "_transmit", count)
            connection.send_many(str(number) for number in range(count_of_messages))
        assert sends < 4 * size / BATCH_SIZE
        connection._driver.socket.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
    assert [message.content for message in received] == list(map(str, range(count_of_messages)))


def test_what_came_before_a_failure_is_sent() -> None:
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
        connection._driver.release()
        assert [message.content for message in receive_all(peer)] == ["one", "two", "three", "five"]


def test_ctrl_c_while_many_are_gathered_loses_none_of_them() -> None:
    """What the source had given goes with what is sent next; the interrupt is what is raised."""

    def source() -> Iterator[object]:
        yield "one"
        yield "two"
        raise KeyboardInterrupt

    with pair() as (connection, peer):
        with pytest.raises(KeyboardInterrupt):
            connection.send_many(source())
        connection.send("three")
        connection._driver.release()
        assert [message.content for message in receive_all(peer)] == ["one", "two", "three"]


def test_the_rest_of_a_row_can_be_sent_after_what_cannot_be() -> None:
    """Nothing behind the message that is refused has been taken from its source."""
    row = iter(["one", object(), "two", {"three": 3}])
    with pair() as (connection, peer):
        with pytest.raises(ContentError):
            connection.send_many(row)
        connection.send_many(row)
        connection._driver.release()
        assert [message.content for message in receive_all(peer)] == ["one", "two", {"three": 3}]


def test_unsendable_message_is_refused_before_any_of_it_is_sent() -> None:
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


def test_content_that_fails_to_be_written_leaves_the_connection_usable() -> None:
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


def test_message_goes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of 20 bytes with pauses, the peer sees piece after piece."""
    data = Message("Grüße, 世界! 👋").to_bytes()
    pieces: list[bytes] = []
    pauses = pause_until(monkeypatch, lambda: sum(map(len, pieces)) == 20 * len(pauses))
    with pair() as (connection, peer):
        thread = threading.Thread(
            target=lambda: connection.send("Grüße, 世界! 👋", chunk_size=20, delay=0.03)
        )
        thread.start()
        while len(b"".join(pieces)) < len(data):
            pieces.append(peer.recv(1_000))
        thread.join(PATIENCE)
    assert pieces == [data[begin : begin + 20] for begin in range(0, len(data), 20)]
    assert pauses == [0.03] * (len(pieces) - 1)


def test_chunks_wait_for_a_peer_that_does_not_read() -> None:
    """Small pieces wait like large ones when the network is full."""
    data = Message(bytes(8_000_000)).to_bytes()
    with pair() as (connection, peer):
        received = bytearray()
        thread = threading.Thread(
            target=lambda: received.extend(receive_exactly(peer, len(data))), daemon=True
        )
        threading.Timer(0.1, thread.start).start()
        connection.send(bytes(8_000_000), chunk_size=1_000_000)
        wait_until(lambda: len(received) == len(data), "all is received")
    assert received == data


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"chunk_size": 0}, "at least 1, not 0"), ({"chunk_size": 1, "delay": -1}, "not -1")],
)
def test_impossible_pace_is_refused(options: dict[str, Any], problem: str) -> None:
    """No pieces of nothing, and no time travel."""
    with pair() as (connection, _), pytest.raises(ValueError, match=problem):
        connection.send("x", **options)


def test_two_sides_that_both_send_do_not_wait_for_each_other() -> None:
    """Sending goes on receiving: what came meanwhile is there afterwards, in its order."""
    body = bytes(8_000_000)
    data = Message(body).to_bytes()
    answers = b"".join(Message(str(number)).to_bytes() for number in range(100_000))
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
        for number in range(100_000):
            assert connection.receive(PATIENCE).content == str(number)


def test_full_inbox_stops_receiving_and_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When neither side reads, memory is bounded and the log says why nothing moves, once."""
    monkeypatch.setattr(unread, "INBOX_SIZE", 1_000_000)
    monkeypatch.setattr(unread, "STALL_SECONDS", 0.02)
    body = bytes(20_000_000)
    with pair() as (connection, peer):
        sent = fill(peer)

        def go_on_sending_then_read() -> None:
            nonlocal sent
            sent += fill(peer)
            wait_until(lambda: STALL in caplog.text, "it is told")
            assert receive_one(peer).body == body

        thread = threading.Thread(target=go_on_sending_then_read)
        thread.start()
        connection.send(body)
        thread.join(PATIENCE)
        assert connection._driver.connection.unread.size < 1_600_000
        for _ in range(sent // len(SMALL)):
            assert connection.receive(PATIENCE).content == "small"
    assert caplog.text.count(STALL) == 1


# Waiting


@pytest.mark.parametrize("timeout", [0, 0.05, 0.3])
def test_receive_waits_as_long_as_it_was_told(timeout: float) -> None:
    """Nothing comes: the error is in time, says what was waited for, and costs nothing else."""
    with pair() as (connection, peer):
        start = time.monotonic()
        with pytest.raises(WaitTimeoutError) as caught:
            connection.receive(timeout)
        assert timeout <= time.monotonic() - start < PATIENCE
        assert str(caught.value) == f"timed out after {timeout:g} s waiting for a message"
        peer.sendall(SMALL)
        assert connection.receive(PATIENCE).content == "small"


def test_bytes_that_trickle_in_do_not_extend_the_timeout() -> None:
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
        assert connection._conversation.processor.bytes_received > 0
        is_over.set()
        thread.join(PATIENCE)
        assert connection.receive(PATIENCE).content == "small"


def test_ctrl_c_while_receiving_leaves_the_connection_usable() -> None:
    """Whoever catches the interrupt can go on: nothing was lost."""
    with pair() as (connection, peer):
        peer.sendall(SMALL[:-1])
        with interrupted(waits_for_the_rest(connection)):
            connection.receive()
        peer.sendall(SMALL[-1:])
        assert connection.receive(PATIENCE).content == "small"
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL


@pytest.mark.parametrize("chunk_size", [None, 100_000])
def test_ctrl_c_while_sending_leaves_the_rest_to_be_sent(chunk_size: int | None) -> None:
    """A message that was begun is finished before anything else, so the stream stays whole."""
    body = bytes(20_000_000)
    with pair() as (connection, peer):
        with interrupted(waits_to_send(connection)):
            connection.send(body, chunk_size=chunk_size)
        received: list[Message] = []
        reader = threading.Thread(target=lambda: received.extend(receive_all(peer)))
        reader.start()
        connection.send("next")
        connection._driver.release()
        reader.join(PATIENCE)
        assert [len(message.body) for message in received] == [20_000_000, 4]


def test_receive_goes_on_sending_what_was_interrupted() -> None:
    """The rest of an interrupted message also leaves while its answer is waited for."""
    data = Message(bytes(20_000_000)).to_bytes()
    with pair() as (connection, peer):
        with interrupted(waits_to_send(connection)):
            connection.send(bytes(20_000_000))

        def read_then_answer() -> None:
            assert receive_exactly(peer, len(data)) == data
            peer.sendall(SMALL)

        thread = threading.Thread(target=read_then_answer)
        thread.start()
        assert connection.receive(PATIENCE).content == "small"
        thread.join(PATIENCE)


def test_ctrl_c_between_socket_and_message_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted where bytes could be lost, the connection refuses to go on as if none were."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with pair() as (connection, peer):
        peer.sendall(SMALL)
        with monkeypatch.context() as patch:
            patch.setattr(unread.Unread, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.receive(PATIENCE)
        for use in (connection.receive, lambda: connection.send("x"), connection.close):
            with pytest.raises(ConnectionClosedError, match="interrupted while bytes") as caught:
                use()
            assert caught.value.by == "us"
        connection.close()


# Endings


def test_iteration_ends_when_the_peer_ends() -> None:
    """All messages come, then the loop is over, again and again."""
    with pair() as (connection, peer):
        peer.sendall(SMALL * 3)
        peer.close()
        assert [message.content for message in connection] == ["small"] * 3
        assert list(connection) == []
        connection.close()


def test_iteration_ends_when_this_side_closes() -> None:
    """Closing inside the loop ends it."""
    with running() as stage, stage.connect() as connection:
        connection.send_many(["one", "two"])
        for message in connection:
            assert message.content == "one"
            connection.close()


def test_clean_end_is_told_to_who_waits_for_more() -> None:
    """Receive and send say who ended the connection, and every time again."""
    with pair() as (connection, peer):
        peer.sendall(SMALL)
        peer.close()
        assert connection.receive(PATIENCE).content == "small"
        for use in (connection.receive, connection.receive, lambda: connection.send("x")):
            with pytest.raises(ConnectionClosedError) as caught:
                use()
            assert str(caught.value) == "connection closed by the peer: it ended its stream"


def test_send_notices_an_end_that_nobody_has_seen() -> None:
    """A message for a server that has gone meanwhile is not lost in silence."""
    with pair() as (connection, peer):
        peer.close()
        wait_until(lambda: has_come(connection), "the end arrives")
        with pytest.raises(ConnectionClosedError, match="it ended its stream"):
            connection.send("too late")


@pytest.mark.parametrize("size", [1, 2, 50, len(SMALL) - 1])
def test_end_in_the_middle_of_a_message(size: int) -> None:
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


def test_bad_bytes_come_after_the_good_messages() -> None:
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


def test_bad_bytes_alone_are_an_error_too() -> None:
    """Also without any good message before them."""
    with pair() as (connection, peer):
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(ConnectionClosedError, match="HTTP"):
            next(iter(connection))


def test_send_tells_the_reason_that_the_server_gave() -> None:
    """Refused in the middle of sending, the client says why, not that a pipe is broken."""
    with running() as stage:
        connection = stage.connect(limits=ROOMY)
        with pytest.raises(ConnectionClosedError, match="100,000,000 bytes"):
            send_and_close(connection, bytes(100_000_000))
        ending = stage.ending_of(stage.events.connections[0].address)
        assert isinstance(ending, TooLargeError)


def send_and_close(connection: Connection, content: object) -> None:
    """Send: whether that fails or only closing does is a matter of luck."""
    with connection:
        connection.send(content)


def test_broken_send_without_a_reason() -> None:
    """Where nobody told anything, the system's reason and what was unsent is all there is."""
    with pair() as (connection, peer):
        has_begun = waits_to_send(connection)

        def reset_in_the_midst() -> None:
            wait_until(has_begun, "it sends")
            reset(peer)

        thread = threading.Thread(target=reset_in_the_midst)
        thread.start()
        with pytest.raises(ConnectionClosedError) as caught:
            connection.send(bytes(50_000_000))
        thread.join(PATIENCE)
        assert "it reset the connection" in str(caught.value)
        assert caught.value.unsent > 0


# Closing


def test_close_waits_until_the_peer_has_read_all() -> None:
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


def test_close_is_final_and_harmless_to_repeat() -> None:
    """After close nothing can be sent or received, and closing again is nothing."""
    with running() as stage:
        connection = stage.connect()
        connection.send("x")
        connection.close()
        connection.close()
        for use in (connection.receive, lambda: connection.send("x")):
            with pytest.raises(ConnectionClosedError) as caught:
                use()
            assert str(caught.value) == "connection closed by this side: close() was called"
        assert list(connection) == []


def test_close_says_what_could_not_be_sent() -> None:
    """A peer that does not read on in time is an error that counts what it lacks."""
    with pair() as (connection, _):
        with interrupted(waits_to_send(connection)):
            connection.send(bytes(50_000_000))
        start = time.monotonic()
        with pytest.raises(ConnectionClosedError) as caught:
            connection.close(timeout=0.1)
        assert time.monotonic() - start < PATIENCE
        assert caught.value.by == "us"
        assert caught.value.unsent > 1_000_000
        assert "did not read on for 0.1 s" in str(caught.value)


def test_close_finishes_what_was_interrupted() -> None:
    """What an interrupt left unsent goes out when the connection is closed."""
    with pair() as (connection, peer):
        with interrupted(waits_to_send(connection)):
            connection.send(bytes(20_000_000))
        received: list[Message] = []

        def read() -> None:
            received.extend(receive_all(peer))
            peer.close()

        reader = threading.Thread(target=read)
        reader.start()
        connection.close()
        assert [len(message.body) for message in received] == [20_000_000]
        reader.join(PATIENCE)


def test_close_does_not_wait_for_ever() -> None:
    """A peer that does not end is left after a time, and whoever closes learns of it."""
    with pair() as (connection, peer):
        connection.send("small")
        with pytest.raises(WaitTimeoutError, match="it may not have read all"):
            connection.close(timeout=0.1)
        assert receive_one(peer).to_bytes() == SMALL


def test_close_raises_a_reset() -> None:
    """A peer that vanishes while it should read what was sent is an error, not a clean end."""
    with pair() as (connection, peer):
        connection.send("small")
        threading.Timer(0.05, reset, (peer,)).start()
        with pytest.raises(ConnectionClosedError, match="it reset the connection"):
            connection.close()


def test_close_raises_an_error_that_nobody_has_received() -> None:
    """Told of bad content, and not looking: it is raised at the end instead of being dropped."""
    bad = Message(b"\xff", content_type="text/plain", subject="content")
    with running() as stage:
        connection = stage.connect()
        connection.send(bad)
        connection.send("another", subject="content")
        with pytest.raises(ConnectionClosedError, match=r"bad-content: .*utf-8"):
            connection.close()


def test_close_raises_nothing_that_was_received() -> None:
    """An error message that the application has received is its own affair."""
    bad = Message(b"\xff", content_type="text/plain", subject="content")
    with running() as stage, stage.connect() as connection:
        connection.send(bad)
        assert connection.receive(PATIENCE).kind == "error"


def test_close_raises_an_end_that_came_unseen() -> None:
    """Refused after the last send, the connection says so when it is closed."""
    with pair() as (connection, peer):
        connection.send("small")
        assert receive_one(peer).to_bytes() == SMALL
        peer.sendall(b"\0\0")
        peer.close()
        with pytest.raises(ConnectionClosedError, match="0 bytes"):
            connection.close()


def test_close_does_not_raise_twice() -> None:
    """What was raised by receive is not raised again at the end."""
    with pair() as (connection, peer):
        peer.sendall(b"\0\0")
        with pytest.raises(ConnectionClosedError):
            connection.receive(PATIENCE)
        connection.close()


def test_exception_in_the_block_goes_first(caplog: pytest.LogCaptureFixture) -> None:
    """With an exception on its way, closing neither hides it nor takes long, and logs its own."""
    with pair() as (connection, peer):
        start = time.monotonic()
        peer.sendall(b"\0\0")
        with pytest.raises(LookupError), connection:
            raise LookupError
        assert time.monotonic() - start < 9  # close() alone would wait 10 s
    assert "0 bytes" in caplog.text
    assert "after a LookupError" in caplog.text


def test_exception_in_the_block_still_sends_what_was_sent() -> None:
    """What was sent before an exception arrives: the connection is not simply dropped."""
    with pair() as (connection, peer):
        fill(peer)
        connection.send("small")
        with pytest.raises(LookupError), connection:
            raise LookupError
        assert [message.to_bytes() for message in receive_all(peer)] == [SMALL]


def test_ctrl_c_in_the_block_does_not_wait() -> None:
    """Ctrl-C closes at once, whatever is unsent."""
    with pair() as (connection, _):
        start = time.monotonic()
        with interrupted(waits_to_send(connection)), connection:
            connection.send(bytes(50_000_000))
        assert time.monotonic() - start < 9  # close() would wait 10 s
        assert connection._driver.socket.fileno() == -1


# Connecting


def test_refused_connection_is_one_clear_error() -> None:
    """Nobody listens: the error says where and why, and keeps the system's."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectError) as caught:
            connect(address)
    assert str(caught.value) == f"cannot connect to {address}: connection refused"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_missing_socket_file_is_one_clear_error(tmp_path: Path) -> None:
    """No server, no file."""
    with pytest.raises(ConnectError, match="no such file or directory"):
        connect(f"unix://{tmp_path}/telex.sock")


def test_malformed_address_is_refused() -> None:
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
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """A name that does not resolve is no address to connect to."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConnectError, match=f"cannot connect to tcp://nowhere:1: .*{words}"):
        connect("tcp://nowhere:1")


def standing_for(*endpoints: Endpoint) -> Callable[[object], list[Endpoint]]:
    """Return a resolver for which every name stands for these endpoints."""
    return lambda address: list(endpoints)


def test_addresses_of_a_name_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that answers is taken."""
    with running() as stage, socket.socket(socket.AF_INET6) as silent:
        silent.bind(("::1", 0))
        nobody = Endpoint(socket.AF_INET6, silent.getsockname())
        somebody = Endpoint(socket.AF_INET, ("127.0.0.1", stage.address.port))
        monkeypatch.setattr(dialing, "resolve", standing_for(nobody, somebody))
        with connect(f"tcp://name:{stage.address.port}") as connection:
            assert connection.peer_address == f"127.0.0.1:{stage.address.port}"


def test_every_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When none answers, one line says what each of them said."""
    six, four = (
        Endpoint(socket.AF_INET6, ("::1", 1, 0, 0)),
        Endpoint(socket.AF_INET, ("127.0.0.1", 1)),
    )
    monkeypatch.setattr(dialing, "resolve", standing_for(six, four))
    with pytest.raises(ConnectError) as caught:
        connect("tcp://name:1")
    assert str(caught.value) == (
        "cannot connect to tcp://name:1: "
        "[::1]:1: connection refused; 127.0.0.1:1: connection refused"
    )


def test_connecting_takes_no_longer_than_it_may() -> None:
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


def test_connection_with_itself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, TCP may connect a port with itself: that is refused."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    monkeypatch.setattr(socket, "socket", lambda *arguments: sock)
    with pytest.raises(ConnectError, match="connection refused") as caught:
        connect(f"tcp://127.0.0.1:{port}")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ECONNREFUSED
    assert sock.fileno() == -1


def test_nothing_is_left_open(caplog: pytest.LogCaptureFixture) -> None:
    """Connections that ended well, badly or not at all give back their descriptors."""
    caplog.set_level(logging.CRITICAL)
    gc.collect()  # what other tests have left behind is not given back meanwhile
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(ConnectError):
            connect("tcp://127.0.0.1:1")
        with pair() as (connection, peer):
            reset(peer)
            with pytest.raises(ConnectionClosedError):
                connection.receive(PATIENCE)
            connection.close()
    assert len(list(Path("/dev/fd").iterdir())) <= before


def test_connections_and_servers_say_where_they_are() -> None:
    """Whoever prints one sees its address, and how it stands."""
    with running() as stage:
        connection = stage.connect()
        assert repr(connection) == f"<telex.sync.Connection to {stage.server.address}, open>"
        connection.close()
        assert repr(connection) == f"<telex.sync.Connection to {stage.server.address}, closed>"
        assert repr(stage.server) == f"<telex.sync.Server at {stage.server.address}>"
