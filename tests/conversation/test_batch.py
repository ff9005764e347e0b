"""Batches: as many messages as are worth one system call, and none of them lost to a failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from telex import ContentError, Limits, Message, TooLargeError
from telex.conversation.batch import BATCH_SIZE
from tests.conversations import carry, new_client, new_server


def test_a_batch_ends_when_enough_is_in_it() -> None:
    """What is left stays where it is, for the next batch."""
    items = iter([bytes(BATCH_SIZE * 6 // 10)] * 5)
    client = new_client()
    batches: list[list[Message]] = []
    has_more = True
    while has_more:
        batch: list[Message] = []
        has_more = client.fill(batch, items)
        batches.append(batch)
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_contents_become_messages_and_messages_stay_what_they_are() -> None:
    """Both may come in one row."""
    message = Message("one", subject="s")
    batch: list[Message] = []
    assert not new_client().fill(batch, iter([message, "two", {"three": 3}]))
    assert batch[0] is message
    assert [item.content for item in batch] == ["one", "two", {"three": 3}]


def test_what_came_before_a_failure_is_in_the_batch() -> None:
    """A row that breaks off loses only what it has not given."""

    def broken() -> Iterator[str]:
        yield "one"
        yield "two"
        raise OSError("the disk is gone")

    batch: list[Message] = []
    with pytest.raises(OSError, match="the disk is gone"):
        new_client().fill(batch, broken())
    assert [item.content for item in batch] == ["one", "two"]


def test_content_that_cannot_be_sent_ends_a_batch() -> None:
    """Text that no charset takes is named at once."""
    batch: list[Message] = []
    with pytest.raises(ContentError):
        new_client().fill(batch, iter(["one", "\ud800"]))
    assert [item.content for item in batch] == ["one"]


def test_json_counts_as_much_as_it_takes() -> None:
    """It is written when it gets into a batch, and what is changed later is not sent."""
    content = {"text": "x" * BATCH_SIZE}
    rows = iter([content] * 3)
    batch: list[Message] = []
    client, server = new_client(), new_server()
    assert client.fill(batch, rows)
    assert len(batch) == 1
    content["text"] = "changed"
    client.send_many(batch)
    assert [len(message.content["text"]) for message in carry(client, server)] == [BATCH_SIZE]


@pytest.mark.parametrize("as_requests", [False, True])
@pytest.mark.parametrize(
    ("unfit", "error"),
    [
        (Message({"x": object()}), ContentError),
        (Message(b"", subject="s" * 2_000), TooLargeError),
        (Message(b"", headers={"x": "y" * 2_000}), TooLargeError),
    ],
)
def test_nothing_behind_what_cannot_be_sent_is_taken(
    unfit: Message, error: type[Exception], as_requests: bool
) -> None:
    """Whoever goes on with the rest of the row misses nothing of it."""
    client = new_client(limits=Limits(max_header_size=1_000))
    row = iter(["one", unfit, "two"])
    batch: list[Message] = []
    with pytest.raises(error):
        client.fill(batch, row, as_requests=as_requests)
    assert [message.content for message in batch] == ["one"]
    assert list(row) == ["two"]


def test_only_plain_messages_get_into_a_batch_of_them() -> None:
    """A kind is the conversation's own to give."""
    with pytest.raises(ContentError, match="plain messages, not kind 'close'"):
        new_client().fill([], iter([Message("x", kind="close")]))


def test_content_over_what_the_peer_takes_does_not_get_into_a_batch() -> None:
    """The error says both sizes."""
    client = new_client(limits=Limits(max_content_size=100))
    with pytest.raises(TooLargeError, match="101 bytes"):
        client.fill([], iter([bytes(101)]))
