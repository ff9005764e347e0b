"""Requests of the blocking client: many at once, answers in parts, and what goes wrong."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from telex import (
    ConnectionClosedError,
    ContentError,
    Message,
    RemoteError,
    RequestTimeoutError,
    TelexError,
    WaitTimeoutError,
)
from telex.client.pipeline import Pipeline
from telex.connection import unread
from telex.conversation.calls import Call
from telex.sync import Connection
from telex.sync.client_driver import ClientDriver
from telex.sync.deadlines import moment_in
from telex.sync.pipeline import answers_to
from tests.sync.answering import Answerer, answering, echo, never
from tests.sync.stage import PATIENCE, reset, wait_until


def is_forgotten(connection: Connection) -> bool:
    """Say whether a connection waits for nothing, and nobody waits at it."""
    return not connection._conversation.outstanding and not connection._driver._leader


# Many at once


def test_answers_come_in_the_order_of_the_requests() -> None:
    """Whatever the order in which they are answered, and however many there are."""
    shuffled = random.Random(1)

    def answer_in_disorder(answerer: Answerer, messages: list[Message]) -> None:
        shuffled.shuffle(messages)
        echo(answerer, messages)

    with answering(answer_in_disorder) as (connection, _):
        contents: list[object] = []
        for answer in connection.request_many(range(5_000), timeout=PATIENCE):
            assert isinstance(answer, Message)
            contents.append(answer.content)
        assert contents == list(range(5_000))
        assert is_forgotten(connection)


def test_no_more_than_so_many_are_under_way() -> None:
    """Eight at a time: the ninth is sent when there are answers."""
    most = 0

    def count(answerer: Answerer, messages: list[Message]) -> None:
        nonlocal most
        answerer.waiting += messages
        most = max(most, answerer.conversation.unanswered)
        if len(answerer.waiting) >= 8 or answerer.waiting[-1].content == 99:
            echo(answerer, answerer.waiting)
            answerer.waiting = []

    with answering(count) as (connection, _):
        answers = list(connection.request_many(range(100), timeout=PATIENCE, most=8))
        assert len(answers) == 100
        assert most == 8
        with pytest.raises(ValueError, match="at least 1, not 0"):
            connection.request_many([], most=0)


def test_nothing_is_kept_of_batches_that_are_over() -> None:
    """Not even where another thread brings the answers, so that this one waits for none."""
    with answering(echo) as (connection, _):
        pipeline = Pipeline(connection._driver.connection, PATIENCE, 8)
        under_way = pipeline.under_way
        answers = answers_to(range(2_000), connection._driver, pipeline)
        with ThreadPoolExecutor(1) as other:
            reading = other.submit(connection.receive, PATIENCE)
            for number in range(2_000):
                wait_until(lambda: not under_way or under_way[-1].is_done, "all are answered")
                answer = next(answers)
                assert isinstance(answer, Message)
                assert answer.content == number
                assert len(pipeline._deadlines) <= 8
            connection._driver.release()
            assert isinstance(reading.exception(), ConnectionClosedError)


def test_many_requests_take_few_system_calls() -> None:
    """What is sent together arrives together: 10,000 requests in some hundred batches."""
    with answering(echo) as (connection, answerer):
        assert len(list(connection.request_many(range(10_000), timeout=PATIENCE))) == 10_000
        assert len(answerer.batches) < 1_000


def test_one_failure_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, answers in parts and answers too late stand in their places."""
    wait_for = ClientDriver.wait_for

    def wait_in_time(driver: ClientDriver, call: Call, deadline: float | None) -> bool:
        """Have all the time there is for those that are answered."""
        is_answered = call.id != 6
        return wait_for(driver, call, moment_in(PATIENCE) if is_answered else deadline)

    def answer_some(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            if message.content == 1:
                answerer.conversation.refuse(message.id, "out-of-stock", "no more of these")
            elif message.content == 3:
                answerer.answer(message, "part", more=True)
            elif message.content != 5:
                answerer.answer(message, message.content)

    monkeypatch.setattr(ClientDriver, "wait_for", wait_in_time)
    with answering(answer_some) as (connection, _):
        answers = list(connection.request_many(range(7), timeout=0.2))
        expected = {1: RemoteError, 3: ContentError, 5: RequestTimeoutError}
        for number, answer in enumerate(answers):
            assert isinstance(answer, expected.get(number, Message))
        assert str(answers[1]) == "out-of-stock: no more of these"
        assert "several parts" in str(answers[3])
        assert "timed out after 0.2 s waiting for the answer to a message" in str(answers[5])
        assert connection._conversation.outstanding == 0


def test_what_cannot_be_asked_is_raised_behind_the_answers() -> None:
    """A source that fails, and content that cannot be written, cost no answer."""

    def source() -> Iterator[object]:
        yield 0
        yield 1
        raise LookupError("no more")

    with answering(echo) as (connection, _):
        wrong: list[tuple[Iterable[object], type[Exception]]] = [
            (source(), LookupError),
            ([0, 1, object()], ContentError),
        ]
        for failing, error in wrong:
            answers: list[Message | TelexError] = []
            with pytest.raises(error):
                answers.extend(connection.request_many(failing))
            assert len(answers) == 2


def test_an_end_answers_each_request_once() -> None:
    """Each request that was sent has its answer or an error; that not all were sent is raised."""

    def answer_and_leave(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            if message.content < 100:
                answerer.answer(message, message.content)
        if any(message.content > 150 for message in messages):
            answerer.conversation.close("overloaded", "too much of it")

    with answering(answer_and_leave) as (connection, _):
        answers: list[Message | TelexError] = []
        with pytest.raises(ConnectionClosedError, match="too much of it") as caught:
            answers.extend(connection.request_many(range(100_000), timeout=PATIENCE))
        assert caught.value.code == "overloaded"
        assert all(isinstance(answer, Message) for answer in answers[:100])
        assert all(isinstance(answer, ConnectionClosedError) for answer in answers[100:])
        assert 150 < len(answers) <= 256 + 100


def test_who_stops_asking_waits_for_nothing() -> None:
    """Leaving the loop forgets what is under way, and the connection goes on."""
    with answering(echo) as (connection, _):
        for answer in connection.request_many(range(1_000)):
            assert isinstance(answer, Message)
            break
        assert connection._conversation.outstanding == 0
        assert connection.request("next", timeout=PATIENCE).content == "next"


def test_large_requests_do_not_wait_for_each_other() -> None:
    """Both sides have more to send than the network holds, and nobody reads for them."""
    with answering(echo) as (connection, _):
        body = bytes(400_000)
        answers = connection.request_many([body] * 100, timeout=PATIENCE)
        assert all(isinstance(answer, Message) and answer.body == body for answer in answers)


# Parts


def test_parts_that_nobody_takes_stop_the_reading(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While parts wait, others wait for their answers too, memory is bounded, and it is told.

    Whoever waits for an answer has four times as much read as anybody else.
    """
    monkeypatch.setattr(unread, "INBOX_SIZE", 500_000)
    monkeypatch.setattr(unread, "STALL_SECONDS", 0.02)

    def answer(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            if message.subject == "parts":
                for _ in range(300):
                    answerer.answer(message, bytes(10_000), more=True)
                answerer.answer(message, b"")
            else:
                answerer.answer(message, "answer")

    with answering(answer) as (connection, _):
        parts = connection.request_parts("x", subject="parts", timeout=PATIENCE)
        next(parts)
        with pytest.raises(RequestTimeoutError):
            connection.request("x", timeout=0.2)

        def is_told() -> bool:
            with pytest.raises(WaitTimeoutError):
                connection.receive(0.05)
            return "nothing is read until somebody takes what has come" in caplog.text

        wait_until(is_told, "it is told")
        assert connection._driver.connection.unread.parts < 2_200_000
        assert len(list(parts)) == 299
        assert connection.request("x", timeout=PATIENCE).content == "answer"
        assert connection._driver.connection.unread.parts == 0


def test_parts_are_asked_for_when_the_first_is_wanted() -> None:
    """Nothing is sent before, and nothing after it was closed."""
    with answering(echo) as (connection, answerer):
        unwanted = connection.request_parts("unwanted")
        unwanted.close()
        assert list(unwanted) == []
        assert [part.content for part in connection.request_parts("wanted")] == ["wanted"]
        assert answerer.batches == [1]


def test_forgotten_parts_are_dropped() -> None:
    """Whoever lets go of the iterator in the middle leaves nothing behind when others go on."""

    def answer(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            for number in range(3):
                answerer.answer(message, number, more=True)
            answerer.answer(message, b"end")

    with answering(answer) as (connection, _):
        driver = connection._driver
        for is_in_the_midst in (False, True):
            parts = connection.request_parts("x", timeout=PATIENCE)
            assert next(parts).content == 0
            assert driver.connection.unread.parts
            with driver._lock:  # the garbage collector may run in a thread that is at work
                driver._is_busy = is_in_the_midst
                del parts
                driver._is_busy = False
            connection.ping()
            assert driver.connection.unread.parts == 0
            assert is_forgotten(connection)


def test_parts_of_a_closed_connection_cannot_be_had() -> None:
    """The error comes where the first part would, and then the iteration is over."""
    with answering(echo) as (connection, _):
        parts = connection.request_parts("x")
        connection.close()
        with pytest.raises(ConnectionClosedError):
            next(parts)
        assert list(parts) == []


# What goes wrong


def test_request_says_what_was_not_answered() -> None:
    """The subject and the seconds are in the error, and the late answer is nobody's."""
    with answering(never) as (connection, answerer):
        start = time.monotonic()
        with pytest.raises(RequestTimeoutError) as caught:
            connection.request("x", subject="pump.start", timeout=0.1)
        assert 0.1 <= time.monotonic() - start < PATIENCE
        assert str(caught.value) == (
            "timed out after 0.1 s waiting for the answer to a message with subject 'pump.start'"
        )
        wait_until(lambda: answerer.waiting, "the request arrives")
        answerer.answer(answerer.waiting[0], "late")
        answerer._take = echo
        assert connection.request("in time", timeout=PATIENCE).content == "in time"


def test_a_lost_connection_counts_what_was_not_answered() -> None:
    """Who, why, and how much: all in one sentence, with the system's error as the cause."""

    def vanish(answerer: Answerer, messages: list[Message]) -> None:
        reset(answerer.socket)

    with answering(vanish) as (connection, _):
        with pytest.raises(ConnectionClosedError) as caught:
            connection.request("x")
        assert str(caught.value) == (
            "connection closed by the peer: it reset the connection; 1 request was not answered"
        )
        assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_ping_is_answered_while_nobody_else_is() -> None:
    """A ping asks the conversation at the other end, not the application."""
    with answering(never) as (connection, _):
        assert 0 < connection.ping() < PATIENCE


def test_ping_times_out() -> None:
    """A peer that is there but says nothing."""

    def stall(answerer: Answerer, messages: list[Message]) -> None:
        answerer.conversation.data_to_send()

    with answering(stall) as (connection, _):
        with pytest.raises(RequestTimeoutError, match=r"0\.05 s waiting for the answer to a ping"):
            connection.ping(timeout=0.05)
        assert connection._conversation.outstanding == 0


def test_close_does_not_wait_for_what_was_given_up() -> None:
    """A server at work on a request that nobody waits for any more is left after a moment."""
    with answering(never) as (connection, answerer):
        answerer.socket.settimeout(None)
        with pytest.raises(RequestTimeoutError):
            connection.request("x", timeout=0.01)
        wait_until(lambda: answerer.waiting, "the request arrives")
        answerer.ends = False
        start = time.monotonic()
        connection.close(timeout=60)
        assert time.monotonic() - start < PATIENCE
