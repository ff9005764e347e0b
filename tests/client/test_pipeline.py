"""Which requests are sent when, how long they may take, and what stands in their places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from telex import (
    ConnectionClosedError,
    ContentError,
    Limits,
    Message,
    RemoteError,
    RequestTimeoutError,
    TelexError,
)
from telex.client.pipeline import FIRST_PATIENCE, Pipeline
from telex.connection.connection import Connection
from telex.conversation.conversation import Conversation
from telex.conversation.greeting import Greeting


class Stage:
    """A client's connection, and a conversation that answers; ``move()`` moves the bytes."""

    def __init__(self) -> None:
        self.connection = Connection(Limits(), Greeting("client"), serves=False, now=0.0)
        self.server = Conversation(Limits(), Greeting("server"), serves=True, now=0.0)
        self.requests: list[Message] = []

    def move(self) -> None:
        """Move what each side has to say to the other one."""
        for piece in self.connection.data_to_send():
            self.requests += self.server.receive_data(piece)
            self.connection.data_sent(len(piece))
        for piece in self.server.data_to_send():
            self.connection.receive_data(piece, 0.0)

    def answer(self, count: int) -> None:
        """Answer the next requests with their contents."""
        self.move()
        for request in self.requests[:count]:
            self.server.answer(request.id, Message(request.content))
        del self.requests[:count]
        self.move()


def take_answer(pipeline: Pipeline) -> Message | TelexError:
    """Take the first answer, as a front-end does."""
    answer = pipeline.first_answer()
    pipeline.under_way.popleft()
    return answer


def is_time_to_ask(pipeline: Pipeline) -> bool:
    """Say whether a pipeline wants to send more before an answer is taken."""
    return pipeline.is_time_to_ask


@pytest.fixture
def stage() -> Stage:
    """Return both ends of a connection in memory."""
    return Stage()


def test_half_is_sent_while_the_other_half_is_answered(stage: Stage) -> None:
    """Answers that are here are taken until half of the requests are under way."""
    pipeline = Pipeline(stage.connection, None, 8)
    source: Iterator[object] = iter(range(100))
    pipeline.ask(pipeline.next_batch(source), now=0.0)
    assert len(pipeline.under_way) == 8
    assert pipeline.is_full
    stage.answer(8)
    for number in range(4):
        assert not is_time_to_ask(pipeline)
        answer = take_answer(pipeline)
        assert isinstance(answer, Message)
        assert answer.content == number
    assert is_time_to_ask(pipeline)
    assert len(pipeline.next_batch(source)) == 4


def test_each_batch_has_its_time(stage: Stage) -> None:
    """The first answer may come until its own batch is over, not until the last one is."""
    pipeline = Pipeline(stage.connection, 5.0, 4)
    source: Iterator[object] = iter(range(8))
    pipeline.ask(pipeline.next_batch(source), now=10.0)
    stage.answer(2)
    take_answer(pipeline)
    take_answer(pipeline)
    pipeline.ask(pipeline.next_batch(source), now=11.0)
    assert pipeline.deadline == 15.0
    stage.answer(4)
    while pipeline.under_way[0].id <= 4:
        take_answer(pipeline)
    assert pipeline.deadline == 16.0
    assert len(pipeline._deadlines) == 1, "nothing is kept of batches that are over"


def test_what_goes_wrong_stands_in_its_place(stage: Stage) -> None:
    """A refusal, parts and a late answer are told where the answers would have been."""
    pipeline = Pipeline(stage.connection, 0.5, 4)
    pipeline.ask(pipeline.next_batch(iter(range(4))), now=0.0)
    stage.move()
    refused, in_parts, answered, _ = stage.requests
    stage.server.refuse(refused.id, "out-of-stock", "no more of these")
    stage.server.answer(in_parts.id, Message("part"), more=True)
    stage.server.answer(answered.id, Message("answer"))
    stage.move()
    kinds = [type(take_answer(pipeline)) for _ in range(4)]
    assert kinds[:2] == [RemoteError, ContentError]
    assert issubclass(kinds[2], Message)
    assert kinds[3] is RequestTimeoutError
    assert pipeline.failure is None


def test_what_came_before_a_failure_is_asked(stage: Stage) -> None:
    """What the source raises is kept for the end, and no more is taken from it."""

    def source() -> Iterator[object]:
        yield 0
        raise LookupError("no more")

    pipeline = Pipeline(stage.connection, None, 8)
    batch = pipeline.next_batch(source())
    assert [message.content for message in batch] == [0]
    assert isinstance(pipeline.failure, LookupError)
    assert not is_time_to_ask(pipeline)
    pipeline.ask(batch, now=0.0)
    stage.answer(1)
    answer = take_answer(pipeline)
    assert isinstance(answer, Message)
    assert answer.content == 0


def test_nothing_is_asked_of_a_connection_that_has_ended(stage: Stage) -> None:
    """The requests that were sent are told why, and asking for more raises."""
    pipeline = Pipeline(stage.connection, None, 8)
    pipeline.ask(pipeline.next_batch(iter([1, 2])), now=0.0)
    stage.connection.close(0.0)
    assert all(isinstance(take_answer(pipeline), ConnectionClosedError) for _ in range(2))
    with pytest.raises(ConnectionClosedError):
        pipeline.ask([Message(3)], now=0.0)


def test_a_source_that_takes_its_time_is_asked_for_little_at_once(stage: Stage) -> None:
    """Batches grow while they come fast; after a slow one the next answer is waited for."""
    pipeline = Pipeline(stage.connection, None, 8, at_hand=False)
    source: Iterator[object] = iter(range(100))
    sizes = []
    for took in (0.0, 0.0, 0.0, 0.0, 0.5, 0.0):
        batch = pipeline.next_batch(source)
        sizes.append((len(batch), pipeline.patience))
        pipeline.ask(batch, 0.0, took)
        stage.answer(len(batch))
        assert is_time_to_ask(pipeline) is not bool(pipeline.patience)
        while pipeline.under_way:
            take_answer(pipeline)
    assert sizes == [
        (1, FIRST_PATIENCE),
        (1, FIRST_PATIENCE),
        (2, 0.0),
        (4, 0.0),
        (8, 0.0),
        (1, 0.5),
    ]


def test_what_was_taken_from_an_interrupted_source_is_asked_later(stage: Stage) -> None:
    """Ctrl-C in the source loses none of the requests that came from it before."""

    class Source(Iterator[object]):
        def __init__(self) -> None:
            self.numbers = iter(range(4))
            self.is_interrupted = False

        def __next__(self) -> object:
            number = next(self.numbers)
            if number == 2 and not self.is_interrupted:
                self.is_interrupted = True
                raise KeyboardInterrupt
            return number

    pipeline = Pipeline(stage.connection, None, 8)
    source = Source()
    with pytest.raises(KeyboardInterrupt):
        pipeline.next_batch(source)
    assert [message.content for message in pipeline.next_batch(source)] == [0, 1, 3]


def test_nothing_is_left_of_what_is_given_up(stage: Stage) -> None:
    """Calls that are not answered are for the conversation to abandon; no more is asked."""
    pipeline = Pipeline(stage.connection, None, 8)
    pipeline.ask(pipeline.next_batch(iter([1, 2])), now=0.0)
    stage.answer(1)
    assert [call.id for call in pipeline.give_up()] == [2]
    assert not pipeline.under_way
    assert not is_time_to_ask(pipeline)
    pipeline.raise_failure()
