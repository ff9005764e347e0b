"""Requests of the blocking client: many at once, answers in parts, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from telex import (
    ConnectionClosedError,
    ContentError,
    Message,
    RemoteError,
    RequestTimeoutError,
    WaitTimeoutError,
)
from telex.client.deadlines import moment_in
from telex.client.pipeline import Pipeline
from telex.connection import unread
from telex.conversation.calls import Call
from telex.sync import Connection
from telex.sync.client_driver import ClientDriver
from telex.sync.pipeline import Answers
from tests.answering import Answerer, echo
from tests.sync.answering import answering
from tests.sync.stage import PATIENCE, driver_of, wait_until


def is_forgotten(connection: Connection) -> bool:
    """Say whether a connection waits for nothing, and nobody waits at it."""
    return not connection._conversation.calls.count and not driver_of(connection)._leader


# Many at once


def test_nothing_is_kept_of_batches_that_are_over() -> None:
    """Not even where another thread brings the answers, so that this one waits for none."""
    with answering(echo) as (connection, _):
        pipeline = Pipeline(driver_of(connection).connection, PATIENCE, 8)
        under_way = pipeline.under_way
        answers = Answers(driver_of(connection), iter(range(2_000)), pipeline)
        with ThreadPoolExecutor(1) as other:
            reading = other.submit(connection.receive, PATIENCE)
            for number in range(2_000):
                wait_until(lambda: not under_way or under_way[-1].is_done, "all are answered")
                answer = next(answers)
                assert isinstance(answer, Message)
                assert answer.content == number
                assert len(pipeline._deadlines) <= 8
            driver_of(connection).release()
            assert isinstance(reading.exception(), ConnectionClosedError)


def test_one_failure_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, answers in parts and answers too late stand in their places."""
    wait = ClientDriver.wait

    def wait_in_time(
        driver: ClientDriver,
        is_ready: Callable[[], object],
        deadline: float | None = None,
        awaited: Call | None = None,
    ) -> bool:
        """Have all the time there is for those that are answered."""
        is_answered = awaited is not None and awaited.id != 6
        return wait(driver, is_ready, moment_in(PATIENCE) if is_answered else deadline, awaited)

    def answer_some(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            if message.content == 1:
                answerer.conversation.refuse(message.id, "out-of-stock", "no more of these")
            elif message.content == 3:
                answerer.answer(message, "part", more=True)
            elif message.content != 5:
                answerer.answer(message, message.content)

    monkeypatch.setattr(ClientDriver, "wait", wait_in_time)
    with answering(answer_some) as (connection, _):
        answers = list(connection.request_many(range(7), timeout=0.2))
        expected = {1: RemoteError, 3: ContentError, 5: RequestTimeoutError}
        for number, answer in enumerate(answers):
            assert isinstance(answer, expected.get(number, Message))
        assert str(answers[1]) == "out-of-stock: no more of these"
        assert "several parts" in str(answers[3])
        assert "timed out after 0.2 s waiting for the answer to a message" in str(answers[5])
        assert connection._conversation.calls.count == 0


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
        assert driver_of(connection).connection.unread.parts < 2_200_000
        assert len(list(parts)) == 299
        assert connection.request("x", timeout=PATIENCE).content == "answer"
        assert driver_of(connection).connection.unread.parts == 0


def test_forgotten_parts_are_dropped() -> None:
    """Whoever lets go of the iterator in the middle leaves nothing behind when others go on."""

    def answer(answerer: Answerer, messages: list[Message]) -> None:
        for message in messages:
            for number in range(3):
                answerer.answer(message, number, more=True)
            answerer.answer(message, b"end")

    with answering(answer) as (connection, _):
        driver = driver_of(connection)
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


# What goes wrong
