"""Header blocks as JSON: what is refused, of what a peer wrote and of what is to be written."""

from __future__ import annotations

from typing import Any

import pytest

from telex import ContentError, Message
from tests.framing import check_refused, frame, receive


@pytest.mark.parametrize(
    ("header_block", "said"),
    [
        (b'{"x":"\xff","content-length":0}', "not UTF-8: byte 0xff at 6"),
        (b'{"content-length":0', "not JSON: "),
        (b'{"content-length":0}{}', "not JSON: Extra data at character 20"),
        (b' ["content-length",0]', "not an object"),
        (b'{"x":NaN,"content-length":0}', "NaN"),
        (b'{"x":[-Infinity],"content-length":0}', "-Infinity"),
        (b'{"x":1e999,"content-length":0}', "number too large"),
        (b'{"x":' + b"7" * 5_000 + b',"content-length":0}', "number too large for a 64-bit float"),
        (b'{"x":' + b"[" * 64 + b"]" * 64 + b',"content-length":0}', "deeper than 64 levels"),
        (b'{"x":' + b"[" * 8_000 + b"]" * 8_000 + b',"content-length":0}', "deeper than 64"),
        (b'{"x":"\\udfff","content-length":0}', "surrogate"),
    ],
)
def test_an_error_says_why_a_block_cannot_be_read(header_block: bytes, said: str) -> None:
    """Where no field is at fault, the error says what is, and where in the block."""
    error = check_refused(frame(header_block))
    assert error.field is None
    assert said in str(error)


def test_headers_that_contain_themselves_are_refused() -> None:
    """A circle has no end that could be sent."""
    headers: dict[str, Any] = {}
    headers["self"] = headers
    with pytest.raises(ContentError, match="'self'"):
        Message("", headers=headers)


def nested(depth: int) -> list[Any]:
    """Return a list that nests ``depth`` levels deep."""
    innermost: list[Any] = []
    value = innermost
    for _ in range(depth - 1):
        value = [value]
    return value


def test_the_depth_of_headers_is_bounded_at_the_sender_too() -> None:
    """64 levels can be sent, the header block being the first; one more is refused, as is a pit."""
    deepest = Message("", headers={"x": nested(63)})
    assert receive(deepest.to_bytes()) == deepest
    for depth in (64, 100_000):
        with pytest.raises(ContentError):
            Message("", headers={"x": nested(depth)})
