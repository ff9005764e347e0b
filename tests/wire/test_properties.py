"""What holds for all messages, all header blocks and all bytes, as far as Hypothesis can see."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import unicodedata
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import telex
from telex import (
    ContentError,
    Limits,
    Message,
    MessageProcessor,
    ProtocolError,
    TelexError,
    TooLargeError,
)
from telex.testing.strategies import cuttings, json_values, messages
from telex.wire import header_reader
from telex.wire.header import read_any
from telex.wire.header_reader import number_by_loop, number_by_search
from telex.wire.received import ReceivedMessage
from tests import reference
from tests.framing import (
    GOOD,
    exact,
    outcome_in_batches,
    outcome_one_by_one,
    parsed,
    reading_of,
    readings_in_a_row,
    what_and_where,
)
from tests.pure import Build, build_in_use, pure_build
from tests.reference import Parsed
from tests.strategies import (
    header_blocks,
    mutated,
    numbers,
    rows_of_header_blocks,
    streams,
)

LIMITS = Limits(max_header_size=2_000, max_content_size=300)

compiled_only = pytest.mark.skipif(
    not telex.is_compiled(), reason="this build is pure Python: there is no other to compare with"
)


@given(st.data(), st.lists(messages(plain=False), max_size=4))
def test_any_message_cut_anywhere_arrives_equal(data: st.DataObject, sent: list[Message]) -> None:
    """What is sent is what arrives, in its order, however the network cuts it."""
    stream = b"".join(message.to_bytes() for message in sent)
    processor = MessageProcessor()
    arrived: list[Message] = []
    for piece in data.draw(cuttings(stream)):
        arrived += processor.receive_messages(piece)
    processor.receive_eof()
    assert arrived == sent
    assert [message.content for message in arrived] == [message.content for message in sent]
    assert [list(message.headers) for message in arrived] == [
        list(message.headers) for message in sent
    ]


@given(messages(plain=False))
def test_any_message_is_sent_on_as_it_came(sent: Message) -> None:
    """A message that arrived and is sent again is the same bytes."""
    (arrived,) = MessageProcessor().receive_messages(sent.to_bytes())
    assert arrived.to_bytes() == sent.to_bytes()
    str(arrived)
    assert arrived.to_bytes() == sent.to_bytes()


@given(st.data(), messages(plain=False))
def test_no_message_comes_before_its_last_byte(data: st.DataObject, sent: Message) -> None:
    """A message that is cut short is never delivered, and the end of the stream says so."""
    whole = sent.to_bytes()
    begun = whole[: data.draw(st.integers(1, len(whole) - 1))]
    processor = MessageProcessor()
    for piece in data.draw(cuttings(begun)):
        assert processor.receive_messages(piece) == []
    with pytest.raises(telex.IncompleteMessageError):
        processor.receive_eof()


@given(messages(plain=False))
def test_what_is_written_is_understood_by_the_reference(sent: Message) -> None:
    """A second implementation reads what Telex writes."""
    outcome = reference.parse(sent.to_bytes())
    assert outcome.failure is None
    assert exact(outcome.messages) == exact([parsed(sent)])


@settings(max_examples=300)
@given(rows_of_header_blocks())
def test_the_fast_path_and_the_general_parser_agree(blocks: list[bytes]) -> None:
    """Whatever the fast path remembers, each block is read as the general parser reads it alone."""
    alone = [reading_of(functools.partial(read_any, block)) for block in blocks]
    for loops_are_fast in (True, False):  # compiled code does not see this, and has one way
        with patch.object(header_reader, "LOOPS_ARE_FAST", loops_are_fast):
            assert readings_in_a_row(blocks) == alone


@settings(max_examples=500)
@given(
    st.sampled_from(["", ":", '{"a":', '"id":', '"timeout":']),
    st.text("0123456789:-. ", max_size=20) | st.integers(0, 2**64).map(str),
    st.integers(0, 3),
)
@example('"id":', "0", 0)
@example('"id":', "007", 0)
@example('"id":', "9" * 15, 0)
@example('"id":', "9" * 16, 0)
def test_both_ways_to_a_number_agree(front: str, digits: str, start: int) -> None:
    """By loop or by search, the same number begins at the same place, or the parser decides."""
    data = (front + digits).encode("ascii")
    start = min(start, len(data))
    assert number_by_loop(data, start, len(data)) == number_by_search(data, start, len(data))


@settings(max_examples=300)
@given(header_blocks())
def test_the_general_parser_and_the_reference_agree(block: bytes) -> None:
    """A header block is valid for both or for neither, and says the same to both."""
    try:
        fields, length = reference.parse_header_block(block)
    except ValueError:
        with pytest.raises(ProtocolError):
            read_any(block)
    else:
        said, read_length, id, re, timeout = read_any(block)
        arrived = ReceivedMessage(said, bytes(length % 100), id, re, timeout)
        assert exact([parsed(arrived)]) == exact([Parsed(fields, bytes(length % 100))])
        assert read_length == length


@given(messages(plain=False), *[numbers(least=0)] * 4)
def test_whatever_cannot_be_written_is_known_before(
    message: Message, length: int, id: int, re: int, timeout: int
) -> None:
    """At every limit around its size, a header is refused alike by the check and by the writer."""
    pieces: list[bytes] = []
    size = message.add_header_as(pieces, length, "reply", id, re, True, 65_535, timeout) - 2
    assert len(b"".join(pieces)) == size + 2
    for most in range(max(2, size - 100), size + 100):
        said = (length, "reply", id, re, True, most, timeout)
        check = functools.partial(message.check_header_as, *said)
        write = functools.partial(message.add_header_as, [], *said)
        refusal = None if most >= size else ("header block", size, most)
        assert _refusal_by(check) == _refusal_by(write) == refusal


@settings(max_examples=300)
@given(st.data(), streams(), st.sampled_from([Limits(), LIMITS, Limits(max_header_size=65_535)]))
def test_any_stream_is_what_the_reference_says(
    data: st.DataObject, stream: bytes, limits: Limits
) -> None:
    """Good, broken or garbage, and however it is cut: the same messages, the same failure."""
    expected = reference.parse(
        stream, max_header_size=limits.max_header_size, max_content_size=limits.max_content_size
    )
    cut = data.draw(cuttings(stream))
    for outcome in (
        outcome_in_batches([stream], MessageProcessor(limits)),
        outcome_in_batches(cut, MessageProcessor(limits)),
        outcome_one_by_one(cut, MessageProcessor(limits)),
    ):
        assert exact(outcome.messages) == exact(expected.messages)
        assert what_and_where(outcome) == what_and_where(expected)


@given(st.data(), st.binary(max_size=200))
def test_garbage_is_messages_or_a_protocol_error(data: st.DataObject, garbage: bytes) -> None:
    """No bytes raise anything else."""
    outcome_in_batches(data.draw(cuttings(garbage)), MessageProcessor())
    outcome_in_batches([GOOD + data.draw(mutated(GOOD)) + garbage], MessageProcessor())


@given(streams())
def test_every_message_that_arrives_can_be_used(stream: bytes) -> None:
    """Whatever a peer sent, it can be printed, be read or refused as content, changed and sent."""
    processor = MessageProcessor()
    with contextlib.suppress(ProtocolError):
        for message in processor.receive_messages(stream):
            assert not _dangerous_characters(str(message))
            with contextlib.suppress(ContentError):
                str(message.content)
            message.subject = "changed"
            message.headers["changed"] = True
            assert MessageProcessor().receive_messages(message.to_bytes()) == [message]


@compiled_only
@settings(max_examples=500)
@given(st.data(), streams())
def test_pure_and_compiled_agree_on_every_stream(data: st.DataObject, stream: bytes) -> None:
    """Both builds say the same of every piece: messages, errors, state, and what is missing."""
    cut = data.draw(cuttings(stream))
    assert _record_of(build_in_use(), cut) == _record_of(pure_build(), cut)


@compiled_only
@given(
    st.one_of(st.text(), st.binary(), json_values(), st.just(object())),
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": st.sampled_from(
                ["text/plain", "a/b+json", "a/b", "", "x", "text/\ud800"]
            ),
            "encoding": st.sampled_from(["utf-8", "ascii", "utf-16", "binary", "klingon", ""]),
            "subject": st.text() | st.just("\ud800"),
            "headers": st.dictionaries(
                st.text() | st.sampled_from(["id", "timeout"]), json_values() | st.just(object())
            ),
            "byteorder": st.sampled_from(["little", "big", "middle"]),
            "kind": st.text(),
            "id": st.integers(-1, 2**53),
            "re": st.integers(-1, 2**53),
            "timeout_ms": st.integers(-1, 2**53),
            "more": st.booleans(),
        },
    ),
)
def test_pure_and_compiled_agree_on_every_message(content: object, fields: dict[str, Any]) -> None:
    """Both builds write the same bytes, or refuse with the same words."""
    assert _writing_of(build_in_use(), content, fields) == _writing_of(
        pure_build(), content, fields
    )


@compiled_only
def test_the_pure_build_is_pure() -> None:
    """What the compiled build is held against is Python."""
    assert inspect.isfunction(pure_build().processor.receive_bytes)
    assert not inspect.isfunction(build_in_use().processor.receive_bytes)


def _refusal_by(call: Callable[[], object]) -> tuple[str, int, int] | None:
    """Return what a call finds too large, with both sizes; None where it finds nothing."""
    try:
        call()
    except TooLargeError as error:
        return error.part, error.size, error.max_size
    return None


def _record_of(build: Build, cut: list[bytes]) -> list[object]:
    """Return all that a processor says while it takes pieces, and at the end of the stream."""
    processor = build.processor(LIMITS)
    record: list[object] = []

    def note(step: Callable[[], list[Any] | None]) -> None:
        try:
            arrived = step() or []
            record.append([_looks_of(message) for message in arrived])
        except ProtocolError as error:
            record.append((type(error), str(error), error.code, error.field, error.offset))
        record.append((processor.state.name, processor.bytes_needed, str(processor.error)))

    for piece in cut:
        note(functools.partial(processor.receive_messages, piece))
    note(processor.receive_eof)
    note(functools.partial(processor.receive_messages, GOOD))
    return record


def _looks_of(message: Any) -> list[object]:
    """Return all that a message says, in a form that can be compared across builds."""
    try:
        content = repr(message.content)
    except ContentError as error:
        content = str(error)
    fields, body = parsed(message)
    return [json.dumps(fields), body, content, str(message), message.to_bytes()]


def _writing_of(build: Build, content: object, fields: dict[str, Any]) -> object:
    """Return what a build makes of content: the bytes, or the refusal."""
    try:
        message = build.message(content, **fields)
        return str(message), message.to_bytes()
    except TelexError as error:
        return type(error), str(error)


def _dangerous_characters(text: str) -> list[str]:
    """Return what in a text breaks lines, drives terminals, or turns the direction of reading."""
    joiners = "\u200c\u200d"
    return [
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and character not in joiners
    ]
