"""Header blocks: what is refused and how the error reads, what is written, what is remembered."""

from __future__ import annotations

import json
import struct
import sys
import tracemalloc
from typing import Any

import pytest

from telex import ContentError, Message, MessageProcessor, TooLargeError
from tests.reference import Parsed
from tests.wire import check_arrives, check_refused, frame, parsed

NATIVE = f'"byteorder":"{sys.byteorder}"'
PLAIN = f'{{{NATIVE},"content-type":"text/plain","content-encoding":"utf-8"'


def header_block_of(message: Message) -> str:
    """Return the header block that a message is sent with."""
    data = message.to_bytes()
    (size,) = struct.unpack_from(">H", data)
    return data[2 : 2 + size].decode("utf-8")


def receive(data: bytes) -> Message:
    """Return the one message of a stream."""
    (message,) = MessageProcessor().receive_messages(data)
    return message


@pytest.mark.parametrize(
    ("member", "field", "said"),
    [
        ('"content-length":-1', "content-length", "is -1"),
        ('"content-length":5.0', "content-length", "is 5.0"),
        ('"content-length":"5"', "content-length", 'is "5"'),
        ('"content-length":true', "content-length", "is true"),
        ('"content-length":null', "content-length", "is null"),
        ('"content-length":9007199254740992', "content-length", "is 9007199254740992"),
        ('"content-length":0,"id":0', "id", "is 0"),
        ('"content-length":0,"re":{"a":[]}', "re", 'is {"a": []}'),
        ('"content-length":0,"byteorder":"middle"', "byteorder", 'is "middle"'),
        ('"content-length":0,"content-type":"text"', "content-type", 'is "text"'),
        ('"content-length":0,"content-type":7', "content-type", "is 7"),
        ('"content-length":0,"content-encoding":""', "content-encoding", 'is ""'),
        ('"content-length":0,"content-encoding":8', "content-encoding", "is 8"),
        ('"content-length":0,"kind":[]', "kind", "is []"),
        ('"content-length":0,"subject":1', "subject", "is 1"),
        ('"content-length":0,"more":false', "more", "is false"),
        ('"subject":"s"', "content-length", "is missing"),
        ('"x":1,"content-length":0,"x":1', "x", "more than once"),
        ('"a":{"y":1,"b":2,"y":1},"content-length":0', "y", "more than once"),
    ],
)
def test_an_error_names_the_field_and_its_value(member: str, field: str, said: str) -> None:
    """Who reads the error knows which field to mend."""
    error = check_refused(frame(f"{{{member}}}"))
    assert error.field == field
    assert said in str(error)
    assert f"field {field!r}" in str(error)


@pytest.mark.parametrize(
    ("member", "right"),
    [
        ('"content-length":-1', "must be an integer from 0 to 2^53-1"),
        ('"content-length":0,"id":"1"', "must be an integer from 1 to 2^53-1"),
        ('"content-length":0,"byteorder":"middle"', 'must be "little" or "big"'),
        ('"content-length":0,"content-type":"text"', 'a media type such as "text/plain"'),
        ('"content-length":0,"content-encoding":null', 'a charset or "binary"'),
        ('"content-length":0,"kind":1', "must be a string"),
        ('"content-length":0,"more":1', "must be true, or absent"),
    ],
)
def test_an_error_says_what_would_be_right(member: str, right: str) -> None:
    """An error does not leave its reader to guess."""
    assert right in str(check_refused(frame(f"{{{member}}}")))


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
        (b'{"x":' + b"7" * 5_000 + b',"content-length":0}', "5,000 digits; at most 1,000"),
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


def test_a_long_value_is_shown_in_part() -> None:
    """A peer does not decide how long a line of the log is."""
    error = check_refused(frame(f'{{"content-length":"{"5" * 10_000}"}}'))
    assert len(str(error)) < 250


def test_what_a_peer_wrote_is_shown_escaped() -> None:
    """An error is safe to print: no control character of the peer's gets into it."""
    for block in (
        '{"content-type":"\\u001b[2J\\n\u202e","content-length":0}',
        '{"\\u001b\\n\u202e":1,"\\u001b\\n\u202e":2,"content-length":0}',
    ):
        assert str(check_refused(frame(block))).isprintable()


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


@pytest.mark.parametrize(
    "values", [[1, True, 1.0], [0, False, -0.0, 0.0], ["1", 1], [None, "null"], [[], {}, ""]]
)
def test_headers_that_python_takes_for_equal_are_kept_apart(values: list[Any]) -> None:
    """What was written once for one message is not sent for another that says something else."""
    sent = [Message("", headers={"x": value}) for value in values]
    received = [receive(message.to_bytes()).headers["x"] for message in sent]
    assert [repr(value) for value in received] == [repr(value) for value in values]
    assert all(one != other for one in sent for other in sent if one is not other)


def test_more_headers_than_are_remembered_arrive() -> None:
    """Headers that differ from message to message cost time, and are right."""
    processor = MessageProcessor()
    for number in range(3_000):
        sent = Message("", subject=f"s{number}", headers={"n": number})
        assert processor.receive_bytes(sent.to_bytes()) == sent
    first = Message("", subject="s0", headers={"n": 0})
    assert processor.receive_bytes(first.to_bytes()) == first


def test_what_is_remembered_is_bounded() -> None:
    """A peer that invents headers without end fills no memory, nor does an application."""
    received = 0
    tracemalloc.start()
    try:
        for number in range(8_000):
            data = Message("", subject=f"{number:0800}").to_bytes()
            MessageProcessor().receive_messages(data)
            received += len(data)
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 0.75 * received


def test_headers_too_long_to_be_remembered_arrive() -> None:
    """A long header block is read and written as a short one is."""
    processor = MessageProcessor()
    for number in (1, 1, 2):
        sent = Message("", headers={"x": "x" * 5_000}, id=number)
        assert processor.receive_bytes(sent.to_bytes()) == sent


@pytest.mark.parametrize(
    "front",
    [
        '{"x":1',
        '{"x":1 ',
        ' {"x":1',
        '{"x":{"y":1}',
        '{"x":",\\"content-length\\":7"',
        '{"content-type":"text/plain"',
        '{"x":"}"',
    ],
)
@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (',"content-length":0}', {}),
        (',"content-length":0,"id":5}', {"id": 5}),
        (',"content-length":0,"re":6}', {"re": 6}),
        (',"content-length":0,"id":9007199254740991,"re":6}', {"id": 2**53 - 1, "re": 6}),
        (',"content-length":0,"re":6,"id":5}', {"id": 5, "re": 6}),
        (',"id":5,"content-length":0}', {"id": 5}),
        (',"content-length":0 }', {}),
        (',"content-length": 0}', {}),
        (',"content-length":0,"id":5,"y":1}', {"id": 5, "y": 1}),
        (',"content-length":0,"x-id":5}', {"x-id": 5}),
        (',"content-length":0,"id":5,"are":6}', {"id": 5, "are": 6}),
    ],
)
def test_blocks_of_every_shape_arrive(front: str, numbers: str, said: dict[str, Any]) -> None:
    """With or without the shape of the fast path, a header block says what it says."""
    block = front + numbers
    members = json.loads(block)
    del members["content-length"]
    content_type = members.get("content-type", "application/octet-stream")
    encoding = "utf-8" if content_type == "text/plain" else "binary"
    fields = {"byteorder": None, "content-type": content_type, "content-encoding": encoding}
    assert members.items() >= said.items()
    check_arrives(frame(block), Parsed(fields | members, b""))


@pytest.mark.parametrize("front", ['{"x":1', '{"subject":"s"', '{"x":{"y":1}'])
@pytest.mark.parametrize(
    "numbers",
    [
        ',"content-length":}',
        ',"content-length":00}',
        ',"content-length":-1}',
        ',"content-length":+1}',
        ',"content-length":1.}',
        ',"content-length":9007199254740992}',
        ',"content-length":00000000000000000000}',
        ',"content-length":10000000000000000000000000000000}',
        ',"content-length":99900000000000000005}',
        ',"content-length":18446744073709551616}',
        ',"content-length":0,"id":0}',
        ',"content-length":0,"id":}',
        ',"content-length":0,"id":01}',
        ',"content-length":0,"id":9007199254740992}',
        ',"content-length":0,"re":0}',
        ',"content-length":0,"re":}',
        ',"content-length":0,"re":01}',
        ',"content-length":,"id":1}',
        ',"content-length":0,"id":1,"re":0}',
        ',"content-length":0,"id":0,"re":1}',
        ',"content-length":0,"id":1,"id":1}',
        ',"content-length":0,"re":1,"re":1}',
        ',"content-length":0,"content-length":0}',
        ',"content-length":0,"id":1,"content-length":0}',
        ',"id":1,"content-length":0,"id":1}',
        ',"x":1,"content-length":0}},',
        ',"content-length":0,"re":1}}',
        ',"id":1}',
        ',"re":1}',
        "5}",
        ":5}",
        "}",
    ],
)
def test_broken_numbers_are_refused(front: str, numbers: str) -> None:
    """No number that the fast path meets is taken for what it is not, though its front is known."""
    MessageProcessor().receive_messages(frame(front + ',"content-length":0}'))
    check_refused(frame(front + numbers))


@pytest.mark.parametrize("block", ['{"id":5}', '{"re":5}', "{5}", "{}", '{"content-length":0 5}'])
def test_short_broken_blocks_are_refused(block: str) -> None:
    """A block that is shorter than the fast path expects is no reason to read beyond it."""
    check_refused(frame(block))
    check_refused(frame(" " + block))


def test_content_length_alone_arrives() -> None:
    """The shortest header block that is valid."""
    check_arrives(
        frame('{"content-length":2}', b"ok"),
        Parsed(
            {
                "byteorder": None,
                "content-type": "application/octet-stream",
                "content-encoding": "binary",
            },
            b"ok",
        ),
    )


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/plain", "utf-8"),
        ("text/x-anything", "utf-8"),
        ("Text/HTML; charset=none", "utf-8"),
        ("text/json", "utf-8"),
        ("application/json", "utf-8"),
        ("application/problem+json", "utf-8"),
        ("APPLICATION/JSON", "utf-8"),
        ("application/json; indent=2", "utf-8"),
        ("application/jsonp", "binary"),
        ("image/png", "binary"),
        ("x/text", "binary"),
    ],
)
def test_the_encoding_left_out_follows_from_the_type(content_type: str, encoding: str) -> None:
    """Text and JSON are UTF-8 unless they say otherwise, everything else is binary."""
    block = f'{{"content-type":"{content_type}","content-length":0}}'
    assert receive(frame(block)).encoding == encoding


def test_the_byteorder_left_out_is_the_receivers_own() -> None:
    """A peer that does not say its byte order is taken to have ours."""
    assert receive(frame('{"content-length":0}')).byteorder == sys.byteorder


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"fine": 1, "broken": object()}, "'broken'"),
        ({"fine": 1, "broken": [b"bytes"]}, "'broken'"),
        ({"broken": float("nan")}, "'broken'"),
        ({"broken": {"deep": [float("-inf")]}}, "'broken'"),
        ({"broken": "\ud800"}, "'broken'"),
        ({"\udfff": 1}, r"'\\udfff'"),
        ({"x": {1: "one", "1": "one"}}, "more than once"),
        ({"x": 10**1_000}, "1,001 digits; at most 1,000"),
        ({"x": 10**5_000}, "'x'"),
        ({"content-length": 5}, "'content-length' belongs to the wire format"),
        ({"subject": "s"}, "'subject' belongs to the wire format"),
    ],
)
def test_headers_that_no_receiver_takes_are_refused_at_the_sender(
    headers: dict[str, Any], said: str
) -> None:
    """What the format does not allow is an error where it is written, and names the header."""
    with pytest.raises(ContentError, match=said):
        Message("", headers=headers)


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
