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
    ConnectError,
    ConnectionClosedError,
    Message,
)
from telex.connection import unread
from telex.conversation.batch import BATCH_SIZE
from telex.network import lookup
from telex.network.resolver import Endpoint
from telex.sync import Connection, connect
from telex.sync.client_driver import ClientDriver
from tests.sync.stage import (
    PATIENCE,
    ROOMY,
    driver_of,
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
            driver_of(connection).release()


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
    return stands_still(connection, lambda: bool(driver_of(connection).connection.unsent))


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
        driver = driver_of(connection)
        now = driver.connection.unsent, connection._conversation.processor.bytes_needed
        if now != position or driver._is_busy or not has_begun():
            position, since = now, time.monotonic()
        return time.monotonic() - since > 0.05

    return check


def has_come(connection: Connection) -> bool:
    """Say whether something has come that nobody has taken."""
    return bool(select.select([driver_of(connection).socket], [], [], 0)[0])


def fill(peer: socket.socket) -> int:
    """Send small messages from a peer until nothing more goes; return how many bytes went."""
    peer.setblocking(False)
    sent = 0
    while select.select([], [peer], [], 0.2)[1]:
        sent += peer.send((SMALL * 1_000)[sent % len(SMALL) :])
    peer.settimeout(PATIENCE)
    return sent


# What goes and comes


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
        driver_of(connection).socket.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
    assert [message.content for message in received] == list(map(str, range(count_of_messages)))


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
        driver_of(connection).release()
        assert [message.content for message in receive_all(peer)] == ["one", "two", "three"]


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
    [
        ({"chunk_size": 0}, "at least 1, not 0"),
        ({"chunk_size": 1, "delay": -1}, "not -1"),
        ({"chunk_size": 1, "delay": float("nan")}, "not NaN"),
    ],
)
def test_impossible_pace_is_refused(options: dict[str, Any], problem: str) -> None:
    """No pieces of nothing, and no time travel."""
    with pair() as (connection, _), pytest.raises(ValueError, match=problem):
        connection.send("x", **options)


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
        assert driver_of(connection).connection.unread.size < 1_600_000
        for _ in range(sent // len(SMALL)):
            assert connection.receive(PATIENCE).content == "small"
    assert caplog.text.count(STALL) == 1


# Waiting


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
        driver_of(connection).release()
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


def test_send_notices_an_end_that_nobody_has_seen() -> None:
    """A message for a server that has gone meanwhile is not lost in silence."""
    with pair() as (connection, peer):
        peer.close()
        wait_until(lambda: has_come(connection), "the end arrives")
        with pytest.raises(ConnectionClosedError, match="it ended its stream"):
            connection.send("too late")


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
        assert driver_of(connection).socket.fileno() == -1


# Connecting


def standing_for(*endpoints: Endpoint) -> Callable[[object], list[Endpoint]]:
    """Return a resolver for which every name stands for these endpoints."""
    return lambda address: list(endpoints)


def test_addresses_of_a_name_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that answers is taken."""
    with running() as stage, socket.socket(socket.AF_INET6) as silent:
        silent.bind(("::1", 0))
        nobody = Endpoint(socket.AF_INET6, silent.getsockname())
        somebody = Endpoint(socket.AF_INET, ("127.0.0.1", stage.address.port))
        monkeypatch.setattr(lookup, "resolve", standing_for(nobody, somebody))
        with connect(f"tcp://name:{stage.address.port}") as connection:
            assert connection.peer_address == f"127.0.0.1:{stage.address.port}"


def test_every_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When none answers, one line says what each of them said."""
    six, four = (
        Endpoint(socket.AF_INET6, ("::1", 1, 0, 0)),
        Endpoint(socket.AF_INET, ("127.0.0.1", 1)),
    )
    monkeypatch.setattr(lookup, "resolve", standing_for(six, four))
    with pytest.raises(ConnectError) as caught:
        connect("tcp://name:1")
    assert str(caught.value) == (
        "cannot connect to tcp://name:1: "
        "[::1]:1: connection refused; 127.0.0.1:1: connection refused"
    )


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
