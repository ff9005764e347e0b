"""How an arrival of bytes is put into words."""

from __future__ import annotations

import pytest

from telex import MessageProcessor, State
from telex.cli.transcript import describe_arrival


@pytest.mark.parametrize(
    ("size", "state", "bytes_needed", "words"),
    [
        (1, State.PROTO_HEADER, 1, "1 byte, 1 to go in the proto-header"),
        (20, State.HEADER, 79, "20 bytes, 79 to go in the header block"),
        (262_144, State.CONTENT, 1_048_576, "262,144 bytes, 1,048,576 to go in the content"),
        (11, State.PROTO_HEADER, 2, "11 bytes, message complete"),
        (7, State.FAILED, 0, "7 bytes"),
    ],
)
def test_it_says_what_came_and_what_is_to_come(
    size: int, state: State, bytes_needed: int, words: str
) -> None:
    """The part that is being received is named; between two messages the last one is complete."""
    assert describe_arrival(size, state, bytes_needed) == words


def test_between_messages_is_where_a_processor_begins() -> None:
    """A processor that waits for two bytes of proto-header has nothing half received."""
    processor = MessageProcessor()
    assert (processor.state, processor.bytes_needed) == (State.PROTO_HEADER, 2)
