"""One connection of the blocking client, and many threads: who reads, who waits, who is woken."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Message,
    MessageProcessor,
    RequestTimeoutError,
    WaitTimeoutError,
)
from telex.connection import unread
from telex.connection.inbox import Inbox
from telex.sync import Connection, connect
from telex.sync.client_driver import ClientDriver
from tests.answering import Answerer, echo, never
from tests.sync.answering import answering
from tests.sync.stage import PATIENCE, ROOMY, driver_of, receive_exactly, running, wait_until


class Worker:
    """A thread whose outcome is waited for: what it returned, or what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.result: object = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def outcome(self) -> object:
        """Wait until it is done; raise what it raised."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the thread still waits"
        if self.error is not None:
            raise self.error
        return self.result

    def _run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - the test is told
            self.error = error


def leads(connection: Connection, worker: Worker) -> bool:
    """Say whether a worker waits at the socket."""
    return driver_of(connection)._leader == worker.thread.ident


def follows(connection: Connection, count: int) -> Callable[[], bool]:
    """Return the condition that so many threads wait for the one at the socket."""
    return lambda: len(driver_of(connection)._waiters) == count


def is_left_alone(connection: Connection) -> bool:
    """Say whether nobody waits, and nothing is waited for."""
    return (
        not driver_of(connection)._leader
        and not driver_of(connection)._waiters
        and not connection._conversation.calls.count
    )


def waiting_for(connection: Connection, subject: str, timeout: float = PATIENCE) -> Worker:
    """Have a thread wait for the answer to a request, and wait until it does."""
    calls = connection._conversation.calls
    begun = calls.next_id
    worker = Worker(lambda: connection.request("x", subject=subject, timeout=timeout).content)
    wait_until(
        lambda: (
            calls.next_id > begun and (leads(connection, worker) or driver_of(connection)._waiters)
        ),
        "the thread waits",
    )
    return worker


def answer_to(answerer: Answerer, subject: str) -> None:
    """Answer one of the requests that wait, with its subject."""
    wait_until(lambda: any(m.subject == subject for m in answerer.waiting), "the request is there")
    [request] = [message for message in answerer.waiting if message.subject == subject]
    answerer.answer(request, subject)
    answerer.flush()


# Many threads


def test_eight_threads_get_their_own_answers() -> None:
    """Thousands of requests at once: each thread gets what it asked for, in any order."""
    shuffled = random.Random(2)

    def answer_in_disorder(answerer: Answerer, messages: list[Message]) -> None:
        shuffled.shuffle(messages)
        echo(answerer, messages)

    def ask(name: int) -> None:
        for number in range(500):
            content = [name, number]
            assert connection.request(content, timeout=PATIENCE).content == content

    with answering(answer_in_disorder) as (connection, _):
        for worker in [Worker(partial(ask, name)) for name in range(8)]:
            worker.outcome()
        assert is_left_alone(connection)


def test_a_thread_that_sends_is_no_end_to_one_that_looks_for_messages() -> None:
    """Bytes that are on their way in another thread are told from bytes that were left half-way."""
    with answering(never) as (connection, _):
        sending = Worker(lambda: connection.send_many([bytes(256 * 1024)] * 400))
        while sending.thread.is_alive():
            with pytest.raises(WaitTimeoutError):
                connection.receive(timeout=0)
        sending.outcome()


def test_messages_of_several_threads_never_mix() -> None:
    """Large and small messages, sent at once by six threads, arrive whole and in order."""
    received: list[Any] = []

    def read(sock: socket.socket) -> None:
        processor = MessageProcessor(ROOMY)
        while data := sock.recv(1 << 18):
            for message in processor.receive_messages(data):
                name, number, padding = message.content
                assert padding == "x" * len(padding)
                received.append((name, number))

    def send(name: int) -> None:
        for number in range(40):
            connection.send([name, number, "x" * (1_000_000 if number % 10 == name else 10)])

    with never_answering() as (connection, peer):
        reader = Worker(lambda: read(peer))
        for worker in [Worker(partial(send, name)) for name in range(6)]:
            worker.outcome()
        driver_of(connection).release()
        reader.outcome()
    for name in range(6):
        assert [number for sender, number in received if sender == name] == list(range(40))


@contextlib.contextmanager
def never_answering() -> Iterator[tuple[Connection, socket.socket]]:
    """Connect a client to a plain socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}", limits=ROOMY)
        peer, _ = listener.accept()
    with peer:
        yield connection, peer
        driver_of(connection).release()


def test_timeouts_of_some_threads_are_nothing_to_the_others() -> None:
    """Eight threads, half of whose requests take too long: each waits for as long as it said."""
    app = Application()

    @app.on("late", blocking=True, concurrent=True)
    def late(message: Message[float]) -> float:
        time.sleep(message.content)
        return message.content

    def ask(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(30):
            seconds, timeout = chosen.choice([0.0, 0.001, 0.02]), chosen.choice([0.002, 0.01, 9])
            start = time.monotonic()
            try:
                reply = connection.request(seconds, subject="late", timeout=timeout)
            except RequestTimeoutError:
                assert time.monotonic() - start >= timeout
            else:
                assert reply.content == seconds

    with running(app) as stage, stage.connect() as connection:
        for worker in [Worker(partial(ask, seed)) for seed in range(8)]:
            worker.outcome()
        assert is_left_alone(connection)


def test_closing_in_the_middle_ends_every_wait() -> None:
    """Whatever the threads were doing, each is told that the connection is closed, and soon."""
    for seed in range(10):
        with answering(echo) as (connection, _):

            def ask(connection: Connection = connection) -> None:
                while True:
                    connection.request(bytes(random.choice([1, 100_000])), timeout=PATIENCE)

            workers = [Worker(ask) for _ in range(6)]
            time.sleep(random.Random(seed).random() * 0.02)
            connection.close()
            for worker in workers:
                with pytest.raises(ConnectionClosedError):
                    worker.outcome()


# While another thread is at it


class NoticingLock:
    """The lock of a connection; it notices when a thread has to wait for it."""

    def __init__(self, connection: Connection) -> None:
        self.is_waited_for = threading.Event()
        self._lock = driver_of(connection)._lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.is_waited_for.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_an_end_does_not_overtake_the_messages_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks while both are being taken in gets the messages, and then the end."""
    farewell = Message({"code": "closed", "detail": "done"}, kind="close")
    others: list[Worker] = []
    add = unread.Unread.add
    with never_answering() as (connection, peer):
        lock = NoticingLock(connection)
        monkeypatch.setattr(driver_of(connection), "_lock", lock)

        def add_late(kept: unread.Unread, messages: list[Message]) -> None:
            other = Worker(lambda: [message.content for message in connection])
            others.append(other)
            wait_until(
                lambda: lock.is_waited_for.is_set() or not other.thread.is_alive(),
                "another thread looks",
            )
            add(kept, messages)

        monkeypatch.setattr(unread.Unread, "add", add_late)
        peer.sendall(Message("last").to_bytes() + farewell.to_bytes())
        driver_of(connection).wait(lambda: others)
        assert others[0].outcome() == ["last"]


def test_room_that_is_made_while_it_is_looked_for_is_seen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who takes the message that leaves no room, just then, has the reading go on."""
    monkeypatch.setattr(unread, "INBOX_SIZE", 250)
    size = Inbox.size
    takers: list[Worker] = []

    def size_when_looked_at(inbox: Inbox) -> int:
        found = size(inbox)
        if not takers:
            takers.append(Worker(lambda: connection.receive(0)))
            wait_until(lambda: not inbox.messages, "the message is taken")
        return found

    with never_answering() as (connection, peer):
        waiting_for(connection, "reading")
        monkeypatch.setattr(Inbox, "size", size_when_looked_at)
        peer.sendall(Message(bytes(2_000)).to_bytes())
        wait_until(lambda: takers, "there is no room")
        takers[0].outcome()
        peer.sendall(Message("more").to_bytes())
        assert connection.receive(PATIENCE).content == "more"
    assert "nothing is read" not in caplog.text


def test_chunks_that_another_thread_has_sent_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one who reads sends all the rest, before the one who sends in pieces waits for that."""
    body = bytes(20_000_000)
    wait_to_send = ClientDriver.wait_to_send
    readers: list[Worker] = []

    def wait_late(driver: ClientDriver, mark: int | None = None) -> None:
        readers.append(Worker(lambda: receive_exactly(peer, len(Message(body).to_bytes()))))
        wait_until(lambda: not driver.connection.unsent, "the other thread has sent the rest")
        wait_to_send(driver, mark)

    with never_answering() as (connection, peer):
        waiting_for(connection, "reading")
        asked = Message("x", kind="request", subject="reading", id=1).to_bytes()
        assert receive_exactly(peer, len(asked)) == asked
        monkeypatch.setattr(ClientDriver, "wait_to_send", wait_late)
        Worker(lambda: connection.send(body, chunk_size=1_000_000)).outcome()
        readers[0].outcome()


# Who reads


def test_whoever_has_an_answer_leaves_the_reading_to_another() -> None:
    """The one who reads is answered first: the others have their answers all the same."""
    with answering(never) as (connection, answerer):
        first = waiting_for(connection, "first")
        second = waiting_for(connection, "second")
        third = waiting_for(connection, "third")
        assert leads(connection, first)
        for subject, worker in [("first", first), ("third", third), ("second", second)]:
            answer_to(answerer, subject)
            assert worker.outcome() == subject
        assert is_left_alone(connection)


def test_whoever_waits_too_long_leaves_the_reading_to_another() -> None:
    """The one who reads gives up, and the next one reads at once."""
    with answering(never) as (connection, answerer):
        first = Worker(lambda: connection.request("x", subject="first", timeout=0.3))
        wait_until(
            lambda: leads(connection, first) or not first.thread.is_alive(),
            "the first thread reads",
        )
        second = waiting_for(connection, "second")
        with pytest.raises(RequestTimeoutError):
            first.outcome()
        wait_until(lambda: leads(connection, second), "the second thread reads")
        answer_to(answerer, "second")
        assert second.outcome() == "second"


def test_whoever_follows_gives_up_in_time() -> None:
    """A thread that does not read waits no longer than it said either."""
    with answering(never) as (connection, answerer):
        first = waiting_for(connection, "first")
        start = time.monotonic()
        with pytest.raises(RequestTimeoutError):
            connection.request("x", subject="second", timeout=0.1)
        with pytest.raises(WaitTimeoutError):
            connection.receive(0.1)
        with pytest.raises(WaitTimeoutError):
            connection.receive(0)
        assert 0.2 <= time.monotonic() - start < PATIENCE / 2
        answer_to(answerer, "first")
        assert first.outcome() == "first"


def test_a_thread_sends_while_another_one_reads() -> None:
    """Also more than the network holds: the one who reads sends the rest."""
    with answering(never) as (connection, answerer):
        reader = waiting_for(connection, "first")
        connection.send(bytes(20_000_000))
        wait_until(lambda: len(answerer.waiting) == 2, "both messages arrive")
        assert len(answerer.waiting[1].body) == 20_000_000
        answer_to(answerer, "first")
        assert reader.outcome() == "first"


def test_each_message_goes_to_one_thread() -> None:
    """Threads that receive share the messages: none is lost, none is doubled."""
    received: list[Any] = []

    def receive() -> None:
        with contextlib.suppress(ConnectionClosedError):
            while True:
                received.append(connection.receive(PATIENCE).content)

    with answering(never) as (connection, answerer):
        workers = [Worker(receive) for _ in range(4)]
        for number in range(2_000):
            answerer.conversation.send(Message(number))
            if number % 7 == 0:
                answerer.flush()
        answerer.flush()
        answerer.socket.shutdown(socket.SHUT_WR)
        for worker in workers:
            worker.outcome()
    assert sorted(received) == list(range(2_000))


def test_closing_wakes_whoever_reads() -> None:
    """A peer that does not end keeps nobody waiting: the descriptor is given back by the last."""
    with never_answering() as (connection, _):
        reader = Worker(connection.receive)
        wait_until(lambda: leads(connection, reader), "the thread reads")
        with pytest.raises(WaitTimeoutError):
            connection.close(timeout=0.1)
        with pytest.raises(ConnectionClosedError, match=r"close\(\) was called"):
            reader.outcome()
        assert driver_of(connection).socket.fileno() == -1


def test_closing_twice_waits_for_the_first() -> None:
    """Whoever closes a connection that is being closed returns when it is."""
    with never_answering() as (connection, _):
        first = Worker(lambda: connection.close(timeout=0.2))
        wait_until(lambda: driver_of(connection).is_closing, "it is being closed")
        connection.close()
        assert driver_of(connection).is_released
        with pytest.raises(WaitTimeoutError):
            first.outcome()


# Signals


def interrupted(work: Callable[[], object], wait: Callable[[], object], count: int = 1) -> None:
    """Call ``work``, and press Ctrl-C a number of times, in quick succession, after ``wait()``.

    Only the work is interrupted: what is pressed when it is over already is noticed by nobody.
    """
    main = threading.main_thread().ident
    assert main is not None
    has_begun = threading.Event()

    def begin() -> None:
        has_begun.set()
        work()

    def interrupt(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is begin.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    def press() -> None:
        has_begun.wait(PATIENCE)
        wait()
        for _ in range(count):
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    previous = signal.signal(signal.SIGINT, interrupt)
    thread.start()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            begin()
        thread.join(PATIENCE)
        signal.pthread_sigmask(signal.SIG_BLOCK, ())  # signals that are on their way arrive by then
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_at_any_moment_leaves_the_others_at_work(count: int) -> None:
    """The connection can be used, or is closed and says so; nobody is left waiting for nothing."""
    for seed in range(15):
        with answering(echo) as (connection, _):
            is_enough = threading.Event()

            def ask(connection: Connection, is_enough: threading.Event, name: str) -> None:
                number = 0
                while not is_enough.is_set():
                    number += 1
                    content = [name, number]
                    assert connection.request(content, timeout=PATIENCE).content == content

            def ask_on(connection: Connection = connection) -> None:
                ask(connection, threading.Event(), "main")

            workers = [Worker(partial(ask, connection, is_enough, "other")) for _ in range(2)]
            seconds = random.Random(seed).uniform(0.001, 0.01)
            interrupted(ask_on, partial(time.sleep, seconds), count)
            try:
                assert connection.request("next", timeout=PATIENCE).content == "next"
            except ConnectionClosedError as error:
                assert "interrupted while bytes were on their way" in str(error)  # noqa: PT017
                for worker in workers:
                    with pytest.raises(ConnectionClosedError):
                        worker.outcome()
            is_enough.set()
            for worker in workers:
                with contextlib.suppress(ConnectionClosedError):
                    worker.outcome()
            assert not driver_of(connection)._waiters
            assert not driver_of(connection)._leader


def test_ctrl_c_hands_the_reading_on() -> None:
    """Interrupted where it waits, the main thread leaves the reading to another one at once."""
    with answering(never) as (connection, answerer):
        worker = Worker(lambda: ask_second(connection))
        interrupted(
            lambda: connection.request("x", subject="first"),
            lambda: wait_until(follows(connection, 1), "one reads, the other one waits for it"),
        )
        wait_until(lambda: leads(connection, worker), "the other thread reads")
        answer_to(answerer, "second")
        assert worker.outcome() == "second"
        assert connection._conversation.calls.abandoned == 1


def ask_second(connection: Connection) -> object:
    """Ask when somebody else reads already."""
    wait_until(lambda: driver_of(connection)._leader, "somebody reads")
    return connection.request("x", subject="second", timeout=PATIENCE).content


def test_signal_handler_may_use_the_connection_that_it_interrupts() -> None:
    """A handler that closes the connection ends the wait that it came in."""
    with answering(never) as (connection, _):
        previous = signal.signal(signal.SIGALRM, lambda *_: connection.close())
        main = threading.main_thread().ident
        assert main is not None

        def ring() -> None:
            wait_until(lambda: driver_of(connection)._leader == main, "it waits")
            signal.pthread_kill(main, signal.SIGALRM)

        ringing = threading.Thread(target=ring)
        ringing.start()
        try:
            with pytest.raises(ConnectionClosedError, match=r"close\(\) was called"):
                connection.request("x", timeout=PATIENCE)
            ringing.join(PATIENCE)
        finally:
            signal.signal(signal.SIGALRM, previous)
        assert driver_of(connection).socket.fileno() == -1
