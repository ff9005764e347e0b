"""Requests of clients to a peer that answers as it likes: many at once, and what goes wrong."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from telex import (
    ConnectionClosedError,
    ContentError,
    Message,
    RequestTimeoutError,
    TelexError,
)
from tests.answering import Answerer, echo, never
from tests.behaviour.stage import PATIENCE, Answering, reset, wait_until


def test_answers_come_in_the_order_of_the_requests(answering: Answering) -> None:
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


def test_no_more_than_so_many_are_under_way(answering: Answering) -> None:
    """Eight at a time: the ninth is sent when there are answers."""
    most = 0

    def count(answerer: Answerer, messages: list[Message]) -> None:
        nonlocal most
        answerer.waiting += messages
        most = max(most, answerer.conversation.unanswered)
        if len(answerer.waiting) >= 8 or any(m.content == 99 for m in messages):
            echo(answerer, answerer.waiting)
            answerer.waiting = []

    with answering(count) as (connection, _):
        answers = list(connection.request_many(range(100), timeout=PATIENCE, most=8))
        assert len(answers) == 100
        assert most == 8
        with pytest.raises(ValueError, match="at least 1, not 0"):
            connection.request_many([], most=0)


def test_many_requests_take_few_system_calls(answering: Answering) -> None:
    """What is sent together arrives together: 10,000 requests in some hundred batches."""
    with answering(echo) as (connection, answerer):
        assert len(list(connection.request_many(range(10_000), timeout=PATIENCE))) == 10_000
        assert len(answerer.batches) < 1_000


def test_what_cannot_be_asked_is_raised_behind_the_answers(answering: Answering) -> None:
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


def test_answers_come_while_a_slow_source_is_at_work(answering: Answering) -> None:
    """A source that takes its time does not hold the answers to its earlier requests back."""
    given = [threading.Event() for _ in range(6)]
    were_given: list[bool] = []

    def source() -> Iterator[object]:
        for number in range(6):
            if number:
                time.sleep(0.02)
                were_given.append(given[number - 1].wait(1.0))
            yield number

    with answering(echo) as (connection, _):
        for number, answer in enumerate(connection.request_many(source(), timeout=PATIENCE)):
            assert isinstance(answer, Message)
            assert answer.content == number
            given[number].set()
    # A machine that is busy elsewhere may be slower than the source, for which this waits then.
    assert were_given.count(True) >= 3


def test_an_end_answers_each_request_once(answering: Answering) -> None:
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


def test_who_stops_asking_waits_for_nothing(answering: Answering) -> None:
    """Leaving the loop forgets what is under way, and the connection goes on."""
    with answering(echo) as (connection, _):
        for answer in connection.request_many(range(1_000)):
            assert isinstance(answer, Message)
            break
        assert connection.request("next", timeout=PATIENCE).content == "next"


def test_large_requests_do_not_wait_for_each_other(answering: Answering) -> None:
    """Both sides have more to send than the network holds, and nobody reads for them."""
    with answering(echo) as (connection, _):
        body = bytes(400_000)
        answers = connection.request_many([body] * 100, timeout=PATIENCE)
        assert all(isinstance(answer, Message) and answer.body == body for answer in answers)


def test_parts_are_asked_for_when_the_first_is_wanted(answering: Answering) -> None:
    """Nothing is sent before, and nothing after it was closed."""
    with answering(echo) as (connection, answerer):
        unwanted = connection.request_parts("unwanted")
        unwanted.close()
        assert list(unwanted) == []
        assert [part.content for part in connection.request_parts("wanted")] == ["wanted"]
        assert answerer.batches == [1]


def test_parts_of_a_closed_connection_cannot_be_had(answering: Answering) -> None:
    """The error comes where the first part would, and then the iteration is over."""
    with answering(echo) as (connection, _):
        parts = connection.request_parts("x")
        connection.close()
        with pytest.raises(ConnectionClosedError):
            next(parts)
        assert list(parts) == []


def test_request_says_what_was_not_answered(answering: Answering) -> None:
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
        answerer.take = echo
        assert connection.request("in time", timeout=PATIENCE).content == "in time"


def test_a_lost_connection_counts_what_was_not_answered(answering: Answering) -> None:
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


def test_ping_is_answered_while_nobody_else_is(answering: Answering) -> None:
    """A ping asks the conversation at the other end, not the application."""
    with answering(never) as (connection, _):
        assert 0 < connection.ping() < PATIENCE


def test_ping_times_out(answering: Answering) -> None:
    """A peer that is there but says nothing."""

    def stall(answerer: Answerer, messages: list[Message]) -> None:
        answerer.conversation.data_to_send()

    with (
        answering(stall) as (connection, _),
        pytest.raises(RequestTimeoutError, match=r"0\.05 s waiting for the answer to a ping"),
    ):
        connection.ping(timeout=0.05)


def test_close_does_not_wait_for_what_was_given_up(answering: Answering) -> None:
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
