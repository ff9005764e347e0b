"""Header blocks as they are written: their order, their numbers, and their size."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from telex import Message, TooLargeError
from tests.wire import frame, header_block_of, parsed, receive

NATIVE = f'"byteorder":"{sys.byteorder}"'
PLAIN = f'{{{NATIVE},"content-type":"text/plain","content-encoding":"utf-8"'
TEXT_BLOCK = PLAIN + ',"content-length":5}'
JSON_BLOCK = PLAIN.replace("text/plain", "application/json") + ',"content-length":7}'
REQUEST_BLOCK = (
    '{"byteorder":"little","content-type":"text/plain","content-encoding":"utf-8",'
    '"subject":"greet","content-length":5,"id":7}'
)
WHOLE_BLOCK = (
    '{"byteorder":"big","content-type":"image/png","content-encoding":"x","kind":"reply",'
    '"subject":"s","more":true,"z":[1,{"y":null}],"a":"ü","content-length":0,"id":2,"re":3}'
)
WHOLE_FIELDS: dict[str, Any] = {
    "more": True,
    "re": 3,
    "id": 2,
    "headers": {"z": [1, {"y": None}], "a": "ü"},
    "subject": "s",
    "kind": "reply",
    "encoding": "x",
    "content_type": "image/png",
    "byteorder": "big",
}


@pytest.mark.parametrize(
    ("message", "header_block"),
    [
        (Message("hello"), TEXT_BLOCK),
        (Message({"n": 1}), JSON_BLOCK),
        (Message("hello", subject="greet", id=7, byteorder="little"), REQUEST_BLOCK),
        (Message(b"", **WHOLE_FIELDS), WHOLE_BLOCK),
    ],
)
def test_a_header_block_is_written_in_the_order_of_the_format(
    message: Message, header_block: str
) -> None:
    """Compact, in UTF-8, what repeats first, the application's own next, the numbers last."""
    assert header_block_of(message) == header_block


def test_application_headers_keep_their_order() -> None:
    """What the application wrote first is written first, and received first."""
    headers = {name: index for index, name in enumerate("zyxabc")}
    message = receive(Message("", headers=headers).to_bytes())
    assert list(message.headers.items()) == list(headers.items())
    assert list(json.loads(header_block_of(message)))[3:-1] == list("zyxabc")


def test_the_largest_header_block_that_can_be_announced_is_sent() -> None:
    """65,535 bytes leave the sender, one more is refused there, by name and with both sizes."""
    room = 65_535 - len(header_block_of(Message("", headers={"x": ""})))
    largest = Message("", headers={"x": "x" * room})
    assert len(header_block_of(largest)) == 65_535

    with pytest.raises(TooLargeError) as caught:
        Message("", headers={"x": "x" * (room + 1)}).to_bytes()
    error = caught.value
    assert (error.part, error.size, error.max_size) == ("header block", 65_536, 65_535)


def test_a_received_message_can_be_sent_on() -> None:
    """What came in goes out saying the same, whatever its header block looked like."""
    block = '{ "re": 2, "x": "\\u00fc", "content-length": 2, "id": 1, "subject": "s" }'
    received = receive(frame(block, b"ok"))
    assert header_block_of(received) == (
        f'{{{NATIVE},"content-type":"application/octet-stream","content-encoding":"binary",'
        '"subject":"s","x":"ü","content-length":2,"id":1,"re":2}'
    )
    assert parsed(receive(received.to_bytes())) == parsed(received)
