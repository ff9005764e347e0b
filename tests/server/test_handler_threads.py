"""Handlers that block, as both servers run them: in threads, each message in its own context."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from telex import (
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    MessageProcessor,
    WaitTimeoutError,
)
from telex.application.dispatcher import Dispatcher
from telex.application.run import Run
from telex.conversation.greeting import Greeting
from telex.server.handler_threads import UNKNOWN_SIZE, HandlerThreads, reportable
from telex.server.registry import Registry
from telex.server.threads import Line, Threads

user: ContextVar[str] = ContextVar("user", default="nobody")


REQUEST = Message("x", kind="request", id=1).to_bytes()


class Driver:
    """A driver without a socket, whose outcomes are taken by the test."""

    def __init__(self, app: Application, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        registry = Registry(app, self.limits, Greeting("test"), None, None, None)
        self.threads = Threads(2)
        self.connection = registry.connection(0.0)
        self.faults: list[BaseException] = []
        self.user_id = None
        self.sizes: list[int] = []
        """Of the outcomes, in bytes."""
        self.times_busy = 0
        """How many outcomes are to find no room."""
        self.dispatcher: Dispatcher = registry.dispatcher(
            self.connection, self, "peer", self._run_elsewhere
        )
        self.handler_threads = HandlerThreads(self, self.dispatcher, self.threads, copy_context())
        self.dispatcher.drop_unwanted = self.handler_threads.drop_unwanted
        self._calls: list[Callable[[], object]] = []
        self._has_call = threading.Semaphore(0)

    def is_own_thread(self) -> bool:
        """Every thread is the driver's."""
        return True

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Keep a call for the test, when there is room."""
        if self.times_busy:
            self.times_busy -= 1
            raise WaitTimeoutError("room", 0.0)
        self.sizes.append(size)
        self._calls.append(lambda: function(*arguments))
        self._has_call.release()

    def flush(self) -> None:
        """Send nothing."""

    def flush_soon(self) -> None:
        """Send nothing."""

    def refuse(self, code: str, why: str) -> None:
        """Refuse."""
        self.connection.refuse(code, why, 0.0)

    def sent(self, message: Message) -> None:
        """Tell nobody."""

    def break_off(self, fault: BaseException) -> None:
        """Keep the fault."""
        self.faults.append(fault)

    def take_outcomes(self) -> None:
        """Take outcomes until no handler is at work."""
        while self.connection.handlers_running:
            self.take_outcome()

    def take_outcome(self) -> None:
        """Take the next outcome when there is one."""
        assert self._has_call.acquire(timeout=10)
        self._calls.pop(0)()

    def _run_elsewhere(self, run: Run) -> None:
        self.handler_threads.start(run)


def handled(handler: Callable[..., Any], count: int = 1) -> Driver:
    """Have a handler that blocks take some messages; return the driver when all are done."""
    app = Application()
    app.on(blocking=True)(handler)
    driver = Driver(app)
    driver.dispatcher.received(0, [Message("x") for _ in range(count)])
    driver.take_outcomes()
    driver.threads.shutdown()
    return driver


def test_a_handler_runs_in_a_thread_and_in_a_context_of_its_own() -> None:
    """What a handler sets is seen by no other message."""
    seen: list[tuple[str, bool]] = []

    def handle(message: Message) -> None:
        seen.append((user.get(), threading.current_thread() is threading.main_thread()))
        user.set("somebody")

    handled(handle, 3)
    assert seen == [("nobody", False)] * 3


def test_all_steps_of_a_generator_share_a_context() -> None:
    """The next step begins only when the thread of the last one has left the context."""
    seen: list[str] = []

    def count(message: Message) -> Iterator[int]:
        for number in range(200):
            seen.append(user.get())
            user.set(str(number))
            yield number

    handled(count)
    assert seen == ["nobody", *map(str, range(199))]


def test_a_generator_whose_part_cannot_be_sent_is_closed_in_a_thread() -> None:
    """What the generator does when it is closed may block too."""
    closed_by: list[threading.Thread] = []

    def unfit(message: Message) -> Iterator[object]:
        try:
            yield object()
        finally:
            closed_by.append(threading.current_thread())

    handled(unfit)
    assert threading.main_thread() not in closed_by
    assert len(closed_by) == 1


@pytest.mark.parametrize(
    ("outcome", "size"),
    [
        (None, 0),
        (bytes(100_000), 100_000),
        ("x" * 50_000, 50_000),
        ({"content": "not written yet"}, UNKNOWN_SIZE),
        (Message(bytes(10)), UNKNOWN_SIZE),
    ],
    ids=["nothing", "bytes", "text", "an object", "a short message"],
)
def test_an_outcome_brings_its_size_to_the_servers_thread(outcome: object, size: int) -> None:
    """So that handlers wait while much is on its way; what is not written counts something."""
    assert handled(lambda message: outcome).sizes == [size]


def test_a_long_message_that_a_handler_returns_counts_as_long() -> None:
    """As long as its body, and a little more."""
    content = Message(bytes(100_000)).to_bytes()
    received = MessageProcessor().receive_bytes(content)
    [size] = handled(lambda message: received).sizes
    assert 100_000 <= size < 110_000


def test_an_outcome_is_handed_over_however_long_the_server_is_busy() -> None:
    """A thread of a handler waits for as long as that takes, and nothing is lost."""
    app = Application()
    app.on(blocking=True)(lambda message: b"an answer")
    driver = Driver(app)
    driver.times_busy = 3
    driver.dispatcher.received(0, [Message("x")])
    driver.take_outcomes()
    driver.threads.shutdown()
    assert driver.sizes == [9]


class Endless:
    """A generator that blocks, and waits with its second part until output has gone."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, bool]] = []
        app = Application()
        app.on(blocking=True)(self.handle)
        self.driver = Driver(app, Limits(high_water=1000))
        self.connection = self.driver.connection
        self.driver.dispatcher.received(0, [Message("x")])
        while not self.driver.dispatcher.has_generators:
            self.driver.take_outcome()
        assert self.connection.bytes_at_work > 0

    def handle(self, message: Message) -> Iterator[bytes]:
        """Yield for ever; note by which thread, and in which context, this is closed."""
        user.set("somebody")
        try:
            while True:
                yield bytes(2000)
        finally:
            by_main_thread = threading.current_thread() is threading.main_thread()
            self.closed.append((user.get(), by_main_thread))

    def is_finished_once(self) -> bool:
        """Say whether the connection counts neither the handler nor its message any longer."""
        return (self.connection.handlers_running, self.connection.bytes_at_work) == (0, 0)


def test_a_generator_that_waits_for_room_is_closed_in_a_thread() -> None:
    """The end of the connection has a thread close the generator, in the message's context."""
    endless = Endless()
    endless.driver.dispatcher.close()
    endless.driver.take_outcomes()
    assert endless.closed == [("somebody", False)]
    assert endless.is_finished_once()


def test_a_request_for_which_the_system_has_no_thread_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer gets an error, the log gets the reason, and the handler counts as done."""
    app = Application()
    app.on(blocking=True)(lambda message: "never")
    driver = Driver(app)

    def refuse_to_start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    request = Message("x", kind="request", id=1).to_bytes()
    driver.dispatcher.received(len(request), driver.connection.receive_data(request, 0.0))
    processor = MessageProcessor()
    answers = [
        message
        for data in driver.connection.data_to_send()
        for message in processor.receive_messages(bytes(data))
    ]
    assert [(answer.kind, answer.re) for answer in answers] == [("error", 1)]
    assert answers[0].content["code"] == "handler-failed"
    assert "can't start new thread" in caplog.text
    assert driver.connection.handlers_running == 0


def test_a_generator_is_closed_after_the_threads_have_ended() -> None:
    """Without threads the server's own one closes the generator, in the message's context."""
    endless = Endless()
    endless.driver.threads.shutdown()
    endless.driver.dispatcher.close()
    assert endless.closed == [("somebody", True)]
    assert endless.is_finished_once()


def occupy(threads: Threads, is_over: threading.Event) -> None:
    """Have both threads at work until ``is_over`` is set."""
    begun = threading.Semaphore(0)

    def work(item: None) -> None:
        begun.release()
        is_over.wait()

    busy = Line(work, lambda item: False, id)
    for _ in range(2):
        threads.submit(busy, None)
    for _ in range(2):
        assert begun.acquire(timeout=5.0)


def test_a_generator_whose_closing_waits_is_closed_by_a_thread_that_ends() -> None:
    """The server's own thread, which ends, does not do what may block."""
    endless = Endless()
    threads, is_over = endless.driver.threads, threading.Event()
    occupy(threads, is_over)
    endless.driver.dispatcher.close()
    assert threads.shutdown(wait=False) == 0
    assert not endless.closed
    is_over.set()
    endless.driver.take_outcomes()
    assert endless.closed == [("somebody", False)]
    assert endless.is_finished_once()


@pytest.mark.parametrize("kind", ["request", None])
def test_what_waits_for_a_thread_is_dropped_when_nobody_wants_it(kind: str | None) -> None:
    """Requests are, when nobody receives the answers; plain messages are, when the server ends."""
    seen: list[Message] = []
    app = Application()
    app.on(blocking=True, concurrent=True)(seen.append)
    driver = Driver(app)
    is_over = threading.Event()
    occupy(driver.threads, is_over)
    messages = [Message("x", kind=kind, id=None if kind is None else id) for id in range(1, 4)]
    driver.dispatcher.received(0, messages)
    driver.connection.lost(ConnectionClosedError("peer", "gone"), 0.0)
    driver.dispatcher.close()
    assert driver.connection.handlers_running == (0 if kind else 3)
    assert driver.threads.shutdown(wait=False) == (0 if kind else 3)
    is_over.set()
    assert (driver.connection.handlers_running, driver.connection.bytes_at_work) == (0, 0)
    assert driver.connection.ending.dropped == 3
    assert not seen


def test_a_request_that_has_its_turn_too_late_is_dropped() -> None:
    """Its peer went before the connection has ended."""
    seen: list[Message] = []
    app = Application()
    app.on(blocking=True, concurrent=True)(seen.append)
    driver = Driver(app)
    is_over = threading.Event()
    occupy(driver.threads, is_over)
    driver.dispatcher.received(0, [Message("x", kind="request", id=1)])
    driver.connection.output_lost(ConnectionClosedError("peer", "gone"), 0.0)
    is_over.set()
    driver.take_outcomes()
    assert driver.connection.ending.dropped == 1
    assert not seen
    driver.threads.shutdown()


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_handler_that_gets_no_thread_has_an_outcome(
    has_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails when the system has no threads; after the end of the server it is dropped."""
    seen: list[Message] = []
    app = Application()
    app.on(blocking=True)(seen.append)
    driver = Driver(app)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    if has_ended:
        driver.threads.shutdown()
    driver.dispatcher.received(0, driver.connection.receive_data(REQUEST, 0.0))
    connection = driver.connection
    assert (connection.handlers_running, connection.bytes_at_work) == (0, 0)
    assert connection.ending.dropped == has_ended
    assert connection.conversation.unanswered == has_ended
    assert not seen


def test_a_fault_while_an_outcome_is_taken_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver is told of the fault."""
    driver = handled(lambda message: None)
    fault = ZeroDivisionError()

    def fail() -> None:
        raise fault

    monkeypatch.setattr(Dispatcher, "advance", lambda self: fail())
    driver.handler_threads._take_outcome(None, lambda run: None)  # type: ignore[arg-type]
    assert driver.faults == [fault]


def test_what_a_handler_raises_can_be_reported() -> None:
    """An exception that would end the thread becomes the cause of one that does not."""
    error = ValueError()
    assert reportable(error) is error
    leaving = SystemExit()
    assert reportable(leaving).__cause__ is leaving
