"""Writes vectors.json: what must come of which bytes, for every implementation of the format.

The cases stand here as text that can be read and reviewed, and in the file as hex for any language.
What must come of them is written down by hand, never computed by a parser. Run this after a change:
``python conformance/make_vectors.py``.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, TypeAlias

VECTORS = Path(__file__).with_name("vectors.json")

LIMITS = {"max_header_size": 16 * 1024, "max_content_size": 16 * 1024 * 1024}
LONG_HEADERS = {"max_header_size": 65_535}

Segment: TypeAlias = tuple[bytes, int]
"""Bytes, and how often they stand one behind the other."""

Stream: TypeAlias = list[Segment]
Case: TypeAlias = dict[str, Any]


def message(*header_block: str | bytes | Segment, content: bytes | Segment = b"") -> Stream:
    """Return a message of this header block, which may come in parts, and this content."""
    block = [_segment(part) for part in header_block]
    proto_header = struct.pack(">H", size_of(block))
    return [(proto_header, 1), *block] + ([_segment(content)] if content else [])


def size_of(stream: Stream) -> int:
    """Return how many bytes a stream is."""
    return sum(len(data) * repeat for data, repeat in stream)


def says(
    content_type: str = "application/octet-stream",
    encoding: str = "binary",
    *,
    body: bytes | Segment = b"",
    content: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Return what a message says.

    ``content`` is what can be read from the body: ``{"text": …}``, ``{"json": …}`` or
    ``{"unreadable": True}``, and left out for bytes. ``headers`` are the application's own.
    """
    always = {"byteorder": None, "content-type": content_type, "content-encoding": encoding}
    body_segments = [_segment(body)] if body else []
    said = always | fields | (headers or {})
    return {"fields": said, "body": body_segments} | (content or {})


def accepted(
    name: str, shows: str, stream: Stream, *messages: Any, limits: dict[str, int] | None = None
) -> Case:
    """Return the case of a stream that is exactly these messages."""
    return _case(name, shows, stream, messages, None, limits)


def refused(
    name: str,
    shows: str,
    stream: Stream,
    *messages: Any,
    code: str = "bad-message",
    offset: int = 0,
    after: int | None = None,
    limits: dict[str, int] | None = None,
) -> Case:
    """Return the case of a stream in which the message at ``offset``, behind these, is broken.

    ``after`` counts the bytes of the stream that are enough to know it, by default all of them.
    """
    known_after = size_of(stream) if after is None else after
    failure = {"code": code, "offset": offset, "after": known_after}
    return _case(name, shows, stream, messages, failure, limits)


def _case(
    name: str,
    shows: str,
    stream: Stream,
    messages: tuple[Any, ...],
    failure: dict[str, Any] | None,
    limits: dict[str, int] | None,
) -> Case:
    return {
        "name": name,
        "shows": shows,
        "limits": LIMITS | (limits or {}),
        "stream": stream,
        "messages": messages,
        "failure": failure,
    }


def _segment(part: str | bytes | Segment) -> Segment:
    if isinstance(part, tuple):
        return part
    return (part if isinstance(part, bytes) else part.encode("utf-8"), 1)


GREETING = message(
    '{"byteorder":"little","content-type":"text/plain","content-encoding":"utf-8",'
    '"subject":"greet","content-length":5,"id":7}',
    content=b"hello",
)
GREETED = says(
    "text/plain",
    "utf-8",
    body=b"hello",
    content={"text": "hello"},
    byteorder="little",
    subject="greet",
    id=7,
)
EMPTY = message('{"content-length":0}')
LARGEST_EXACT = 2**53 - 1
DEEPEST = 63
"""Arrays that may stand one inside the other in a header block, which is a level itself."""

CLIENT_HELLO = bytes.fromhex("16030100c8 010000c4 0303") + bytes(range(32)) + b"\x00\x00\x08"
HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:7766\r\n\r\n"

STREAMS = [
    accepted("empty-stream", "A stream may end before its first message.", []),
    accepted(
        "as-telex-writes-it",
        "Compact JSON; what repeats comes first, the numbers come last.",
        GREETING,
        GREETED,
    ),
    accepted(
        "four-headers-json",
        "The four-header format of the Python sockets tutorial says text/json.",
        message(
            '{"byteorder": "big", "content-type": "text/json", "content-encoding": "utf-8", '
            '"content-length": 21}',
            content=b'{"temperature": 21.5}',
        ),
        says(
            "text/json",
            "utf-8",
            body=b'{"temperature": 21.5}',
            content={"json": {"temperature": 21.5}},
            byteorder="big",
        ),
    ),
    accepted(
        "four-headers-binary",
        "Binary content in the four-header format; the content is not looked into.",
        message(
            '{"byteorder": "little", "content-type": "binary/readings", '
            '"content-encoding": "binary", "content-length": 6}',
            content=b"\x00\x02{}\xff\n",
        ),
        says("binary/readings", "binary", body=b"\x00\x02{}\xff\n", byteorder="little"),
    ),
    accepted(
        "two-messages",
        "The next message begins where the last one ends.",
        [*GREETING, *EMPTY],
        GREETED,
        says(),
    ),
    accepted(
        "same-front-other-numbers",
        "Messages that differ in their numbers only are three different messages.",
        [
            *message('{"subject":"n","content-length":1,"id":1}', content=b"1"),
            *message('{"subject":"n","content-length":2,"re":1}', content=b"22"),
            *message('{"subject":"n","content-length":0,"id":2,"re":1}'),
        ],
        says(subject="n", id=1, body=b"1"),
        says(subject="n", re=1, body=b"22"),
        says(subject="n", id=2, re=1),
    ),
    accepted(
        "content-like-a-message",
        "Content that looks like a message is content.",
        message('{"content-length":22}', content=b'\x00\x14{"content-length":0}'),
        says(body=b'\x00\x14{"content-length":0}'),
    ),
    accepted(
        "content-longer-than-a-header",
        "Content is not bounded by the two bytes that bound a header block.",
        message('{"content-length":70000}', content=(b"telex \x00", 10_000)),
        says(body=(b"telex \x00", 10_000)),
    ),
    accepted(
        "content-at-its-limit",
        "Content of exactly max_content_size is accepted.",
        message('{"content-length":10}', content=b"0123456789"),
        says(body=b"0123456789"),
        limits={"max_content_size": 10},
    ),
    accepted(
        "header-block-at-its-limit",
        "A header block of exactly max_header_size is accepted.",
        message('{"content-length":0}'),
        says(),
        limits={"max_header_size": 20},
    ),
    accepted(
        "header-block-65535",
        "The longest header block that a proto-header can announce.",
        message("{", (b" ", 65_515), '"content-length":0}'),
        says(),
        limits=LONG_HEADERS,
    ),
    refused(
        "header-length-0",
        "A header block has at least two bytes; the proto-header is enough to refuse it.",
        [(b"\x00\x00", 1)],
    ),
    refused(
        "header-length-1", "A header block has at least two bytes.", [(b"\x00\x01{", 1)], after=2
    ),
    refused(
        "header-length-over-the-limit",
        "A header block over max_header_size is refused before any of it is buffered.",
        [(b"\x40\x01", 1), (b"{", 1)],
        after=2,
    ),
    refused(
        "header-block-one-over-a-small-limit",
        "The limit is exact.",
        message('{"content-length":10}', content=b"0123456789"),
        limits={"max_header_size": 20},
        after=2,
    ),
    refused(
        "garbage-65535",
        "65,535 bytes of garbage, with the default limits.",
        [(b"\xff\xff", 1), (b"\xa5", 65_535)],
        after=2,
    ),
    refused(
        "garbage-65535-long-headers-allowed",
        "A header block that begins with neither { nor white space is refused at its first byte.",
        [(b"\xff\xff", 1), (b"\xa5", 65_535)],
        limits=LONG_HEADERS,
        after=3,
    ),
    refused(
        "garbage-65535-behind-a-brace",
        "Garbage that begins with { is refused when the header block is complete.",
        [(b"\xff\xff", 1), (b"{", 1), (b"\xa5", 65_534)],
        limits=LONG_HEADERS,
    ),
    refused(
        "tls-client-hello",
        "A TLS client that takes this port for its own is refused at the third byte.",
        [(CLIENT_HELLO, 1)],
        after=3,
    ),
    refused(
        "http-request",
        "An HTTP client is refused: GE is a header length of 18,245.",
        [(HTTP_REQUEST, 1)],
        after=2,
    ),
    refused(
        "http-request-long-headers-allowed",
        "An HTTP client is refused at the third byte where the length is allowed.",
        [(HTTP_REQUEST, 1)],
        limits=LONG_HEADERS,
        after=3,
    ),
    refused(
        "byte-order-mark",
        "A byte order mark is no JSON white space.",
        message(b"\xef\xbb\xbf", '{"content-length":0}'),
        after=3,
    ),
    refused(
        "content-17-mib",
        "Content over max_content_size is refused when its header block is complete.",
        message('{"content-length":17825792}'),
        code="too-large",
    ),
    refused(
        "content-one-over-a-small-limit",
        "The limit is exact, and no content is waited for.",
        message('{"content-length":11}', content=b"01234567890"),
        code="too-large",
        after=23,
        limits={"max_content_size": 10},
    ),
    refused(
        "content-2^53-1",
        "The largest length that can be announced is valid, and far over the limit.",
        message(f'{{"content-length":{LARGEST_EXACT}}}'),
        code="too-large",
    ),
    refused(
        "too-large-after-a-good-message",
        "Messages before the one that is refused are delivered.",
        [*GREETING, *message('{"content-length":17825792}')],
        GREETED,
        code="too-large",
        offset=size_of(GREETING),
    ),
    refused(
        "broken-after-two-good-messages",
        "Messages before the broken one are delivered; the offset is where it begins.",
        [*EMPTY, *GREETING, *message('{"content-length":-1}')],
        says(),
        GREETED,
        offset=size_of(EMPTY) + size_of(GREETING),
    ),
    refused(
        "good-after-broken",
        "Nothing behind a broken message is read.",
        [*message('{"content-length":null}'), *GREETING],
        after=25,
    ),
    refused(
        "same-front-broken-number",
        "That a header block began like a good one does not make it good.",
        [
            *message('{"subject":"n","content-length":0}'),
            *message('{"subject":"n","content-length":00}'),
        ],
        says(subject="n"),
        offset=36,
    ),
    refused(
        "ends-in-proto-header",
        "The stream ends between the two bytes of the proto-header.",
        [(b"\x00", 1)],
        code="incomplete",
    ),
    refused(
        "ends-before-header-block",
        "The stream ends behind the proto-header.",
        [(b"\x00\x14", 1)],
        code="incomplete",
    ),
    refused(
        "ends-in-header-block",
        "The stream ends one byte short of the header block.",
        [(b"\x00\x14", 1), (b'{"content-length":0', 1)],
        code="incomplete",
    ),
    refused(
        "ends-before-content",
        "The stream ends where the content should begin.",
        message('{"content-length":5}'),
        code="incomplete",
    ),
    refused(
        "ends-before-16-mib",
        "The largest content that is allowed is announced, and no memory may be set aside for it.",
        message('{"content-length":16777216}'),
        code="incomplete",
    ),
    refused(
        "ends-in-content",
        "The stream ends one byte short of the content, and nothing of it is delivered.",
        message('{"content-length":5}', content=b"hell"),
        code="incomplete",
    ),
    refused(
        "ends-in-second-message",
        "The stream ends in the middle of the second message; the first is delivered.",
        [*GREETING, *message('{"content-length":5}', content=b"hell")],
        GREETED,
        code="incomplete",
        offset=size_of(GREETING),
    ),
]

EMPTY_MESSAGES = [
    ("content-length-alone", "All other fields may be absent.", '{"content-length":0}', says()),
    (
        "content-length-minus-0",
        "Minus zero is the integer zero.",
        '{"content-length":-0}',
        says(),
    ),
    (
        "any-order",
        "Fields come in any order.",
        '{"re":2,"content-length":0,"id":1,"subject":"s","kind":"reply"}',
        says(kind="reply", subject="s", id=1, re=2),
    ),
    (
        "white-space",
        "JSON white space may stand around the object and inside it.",
        ' \t\r\n{ "subject" :\n"s" ,\r\t"content-length" : 0 }\n\n',
        says(subject="s"),
    ),
    (
        "byteorder-big",
        "byteorder is carried for the application.",
        '{"byteorder":"big","content-length":0}',
        says(byteorder="big"),
    ),
    (
        "text-without-encoding",
        "Text is UTF-8 when its encoding is absent.",
        '{"content-type":"text/html","content-length":0}',
        says("text/html", "utf-8", content={"text": ""}),
    ),
    (
        "json-without-encoding",
        "JSON is UTF-8 when its encoding is absent.",
        '{"content-type":"application/json","content-length":0}',
        says("application/json", "utf-8", content={"unreadable": True}),
    ),
    (
        "structured-json-without-encoding",
        "Every media type that ends in +json is JSON.",
        '{"content-type":"application/problem+json","content-length":0}',
        says("application/problem+json", "utf-8", content={"unreadable": True}),
    ),
    (
        "other-type-without-encoding",
        "Every other content is binary when its encoding is absent.",
        '{"content-type":"image/png","content-length":0}',
        says("image/png", "binary"),
    ),
    (
        "encoding-without-type",
        "An encoding that is given stays what it is.",
        '{"content-encoding":"utf-16-le","content-length":0}',
        says("application/octet-stream", "utf-16-le"),
    ),
    (
        "content-type-with-parameter",
        "A media type may have parameters, which are carried untouched.",
        '{"content-type":"text/plain; format=flowed","content-length":0}',
        says("text/plain; format=flowed", "utf-8", content={"text": ""}),
    ),
    (
        "subject-empty",
        "A subject may be empty.",
        '{"subject":"","content-length":0}',
        says(subject=""),
    ),
    (
        "subject-utf-8",
        "Strings are UTF-8, beyond the basic plane too.",
        '{"subject":"grüße.\u4f60\u597d.\U0001f600","content-length":0}',
        says(subject="grüße.\u4f60\u597d.\U0001f600"),
    ),
    (
        "subject-escaped",
        "Escapes mean the characters they stand for; a surrogate pair is one character.",
        r'{"subject":"\u00fc\n\"\/\u0000\ud83d\ude00","content-length":0}',
        says(subject='ü\n"/\x00\U0001f600'),
    ),
    (
        "kind-unknown",
        "What a kind means is not decided here; any string is carried.",
        '{"kind":"telegram","content-length":0}',
        says(kind="telegram"),
    ),
    (
        "id-and-re-smallest",
        "id and re begin at 1.",
        '{"content-length":0,"id":1,"re":1}',
        says(id=1, re=1),
    ),
    (
        "id-and-re-largest",
        "id and re end at 2^53-1.",
        '{"content-length":0,"id":9007199254740991,"re":9007199254740991}',
        says(id=LARGEST_EXACT, re=LARGEST_EXACT),
    ),
    ("more", "more is true.", '{"more":true,"content-length":0,"re":3}', says(more=True, re=3)),
    (
        "name-escaped",
        "A field's name is its characters, however they are written.",
        r'{"content-\u006cength":0,"\u0069d":4}',
        says(id=4),
    ),
    (
        "application-headers",
        "The application's own headers hold any JSON value.",
        '{"t":"t","yes":true,"no":false,"null":null,"list":[1,[],{}],"float":1.0,"content-length":0}',
        says(
            headers={
                "t": "t",
                "yes": True,
                "no": False,
                "null": None,
                "list": [1, [], {}],
                "float": 1.0,
            }
        ),
    ),
    (
        "application-header-like-a-field",
        "Names are compared exactly; these are the application's own.",
        '{"":0,"ID":"x","Content-Length":"5","content_length":7,"content-length":0}',
        says(headers={"": 0, "ID": "x", "Content-Length": "5", "content_length": 7}),
    ),
    (
        "field-names-inside-a-header",
        "Inside the value of a header, names mean nothing.",
        '{"x":{"content-length":5,"id":"no","more":false},"content-length":0}',
        says(x={"content-length": 5, "id": "no", "more": False}),
    ),
    (
        "content-length-inside-a-string",
        "Inside a string, a field is text.",
        r'{"content-length":0,"subject":"a,\"content-length\":5"}',
        says(subject='a,"content-length":5'),
    ),
    (
        "same-name-at-different-levels",
        "A name may stand once in each object.",
        '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"content-length":0}',
        says(a={"a": {"a": 1}}, b=[{"a": 1}, {"a": 1}]),
    ),
    (
        "numbers-at-the-edge",
        "A number may be as large as a double can be, and as small as it likes.",
        '{"large":1.7976931348623157e308,"tiny":1e-400,"wide":9007199254740993,"content-length":0}',
        says(large=1.7976931348623157e308, tiny=0.0, wide=9007199254740993),
    ),
    (
        "integer-1000-digits",
        "An integer may have a thousand digits, and a sign.",
        '{"x":-' + "9" * 1_000 + ',"content-length":0}',
        says(x=-(10**1_000 - 1)),
    ),
    (
        "nested-64-deep",
        "The header block, which is the first level, holds 63 more.",
        '{"x":' + "[" * DEEPEST + "]" * DEEPEST + ',"content-length":0}',
        says(x=json.loads("[" * DEEPEST + "]" * DEEPEST)),
    ),
    (
        "brackets-inside-a-string",
        "Brackets inside a string do not nest.",
        '{"x":"' + "[{" * 100 + '","content-length":0}',
        says(x="[{" * 100),
    ),
    (
        "siblings-are-not-depth",
        "A thousand arrays side by side are two levels deep.",
        '{"x":[' + "[]," * 999 + '[]],"content-length":0}',
        says(x=[[]] * 1_000),
    ),
]

CONTENTS = [
    (
        "text-utf-8",
        "Text in UTF-8.",
        '{"content-type":"text/plain","content-encoding":"utf-8","content-length":6}',
        says("text/plain", "utf-8", body="grüß".encode(), content={"text": "grüß"}),
    ),
    (
        "text-latin-1",
        "Text in a charset of one byte a character.",
        '{"content-type":"text/plain","content-encoding":"latin-1","content-length":4}',
        says("text/plain", "latin-1", body="grüß".encode("latin-1"), content={"text": "grüß"}),
    ),
    (
        "text-utf-16-le",
        "Text in a charset of two bytes a character.",
        '{"content-type":"text/plain","content-encoding":"utf-16-le","content-length":8}',
        says("text/plain", "utf-16-le", body="grüß".encode("utf-16-le"), content={"text": "grüß"}),
    ),
    (
        "json-utf-8",
        "JSON in UTF-8.",
        '{"content-type":"application/json","content-encoding":"utf-8","content-length":16}',
        says(
            "application/json",
            "utf-8",
            body=b'{"n":[1,2.5,""]}',
            content={"json": {"n": [1, 2.5, ""]}},
        ),
    ),
    (
        "json-utf-16-le",
        "JSON may be in any charset that says so.",
        '{"content-type":"application/json","content-encoding":"utf-16-le","content-length":4}',
        says("application/json", "utf-16-le", body=b"4\x002\x00", content={"json": 42}),
    ),
    (
        "charset-unknown",
        "An unknown charset makes text unreadable, and the message arrives.",
        '{"content-type":"text/plain","content-encoding":"klingon","content-length":4}',
        says("text/plain", "klingon", body=b"Qapl", content={"unreadable": True}),
    ),
    (
        "text-not-in-its-charset",
        "Text that is not in its charset is unreadable, and the message arrives.",
        '{"content-type":"text/plain","content-encoding":"utf-8","content-length":2}',
        says("text/plain", "utf-8", body=b"\xc3\x28", content={"unreadable": True}),
    ),
    (
        "json-broken",
        "Content that is not JSON is unreadable, and the message arrives.",
        '{"content-type":"application/json","content-encoding":"utf-8","content-length":5}',
        says("application/json", "utf-8", body=b'{"a":', content={"unreadable": True}),
    ),
]

BROKEN_HEADER_BLOCKS: list[tuple[str, str, str | bytes]] = [
    ("not-utf-8", "A header block is UTF-8.", b'{"x":"\xff","content-length":0}'),
    (
        "utf-8-overlong",
        "UTF-8 is read strictly: no overlong forms.",
        b'{"x":"\xc0\xaf","content-length":0}',
    ),
    ("utf-8-surrogate", "Surrogates are not UTF-8.", b'{"x":"\xed\xa0\x80","content-length":0}'),
    ("utf-16", "A header block is not UTF-16.", '{"content-length":0}'.encode("utf-16-le")),
    ("white-space-only", "White space is no object.", " \n\t\r "),
    (
        "byte-order-mark-later",
        "A byte order mark is nowhere white space.",
        ' \ufeff{"content-length":0}',
    ),
    ("json-cut-short", "An object ends with a brace.", '{"content-length":0'),
    ("json-trailing-comma", "A comma stands between fields.", '{"content-length":0,}'),
    ("json-leading-comma", "A comma stands between fields.", '{,"content-length":0}'),
    ("json-two-commas", "A comma stands between fields.", '{"x":1,,"content-length":0}'),
    ("json-no-comma", "A comma stands between fields.", '{"x":1"content-length":0}'),
    ("json-single-quotes", "Names stand in double quotes.", "{'content-length':0}"),
    ("json-comment", "JSON has no comments.", '{"content-length":0/**/}'),
    (
        "json-control-character",
        "Strings hold no raw control characters.",
        '{"x":"\n","content-length":0}',
    ),
    (
        "json-bad-escape",
        "Strings hold the escapes of JSON only.",
        r'{"x":"\x41","content-length":0}',
    ),
    (
        "json-other-white-space",
        "JSON knows four characters of white space.",
        '{"x":\x0c1,"content-length":0}',
    ),
    ("json-wide-digits", "Digits are those of ASCII.", '{"content-length":\uff10}'),
    ("json-open-array", "What is opened is closed.", '{"x":[1,"content-length":0}'),
    ("json-open-string", "What is opened is closed.", '{"x":"1,"content-length":0}'),
    (
        "json-open-object",
        "The closing brace is the inner one's.",
        '{"x":{"y":1,"content-length":0}',
    ),
    ("two-objects", "A header block is one object.", '{"content-length":0}{"content-length":0}'),
    ("garbage-behind-object", "A header block is one object.", '{"content-length":0}garbage'),
    ("nul-behind-object", "A header block is not padded.", '{"content-length":0}\x00'),
    ("empty-object", "content-length is required.", "{}"),
    ("content-length-missing", "content-length is required.", '{"content-type":"text/plain"}'),
    (
        "content-length-inside",
        "content-length stands in the block itself.",
        '{"x":{"content-length":0}}',
    ),
    ("content-length-negative", "content-length is not negative.", '{"content-length":-1}'),
    ("content-length-float", "content-length is an integer.", '{"content-length":5.0}'),
    ("content-length-exponent", "content-length is an integer.", '{"content-length":5e0}'),
    ("content-length-string", "content-length is an integer.", '{"content-length":"5"}'),
    ("content-length-true", "true is no integer.", '{"content-length":true}'),
    ("content-length-false", "false is no integer.", '{"content-length":false}'),
    ("content-length-null", "null is not the same as absent.", '{"content-length":null}'),
    ("content-length-array", "content-length is an integer.", '{"content-length":[0]}'),
    ("content-length-leading-zero", "JSON numbers have no leading zero.", '{"content-length":05}'),
    ("content-length-plus", "JSON numbers have no plus sign.", '{"content-length":+5}'),
    ("content-length-hex", "JSON numbers are decimal.", '{"content-length":0x5}'),
    ("content-length-underscore", "JSON numbers are digits.", '{"content-length":1_0}'),
    ("content-length-nothing", "A field has a value.", '{"x":1,"content-length":}'),
    (
        "content-length-2^53",
        "content-length is 2^53-1 at most.",
        '{"content-length":9007199254740992}',
    ),
    (
        "content-length-2^64",
        "content-length does not wrap around.",
        '{"content-length":18446744073709551616}',
    ),
    (
        "content-length-10^30",
        "content-length is 2^53-1 at most.",
        '{"content-length":1' + "0" * 30 + "}",
    ),
    (
        "content-length-repeated",
        "A field stands once, though it says the same.",
        '{"content-length":0,"content-length":0}',
    ),
    (
        "content-length-first-and-last",
        "There is one source of the length.",
        '{"content-length":5,"x":1,"content-length":0}',
    ),
    (
        "content-length-repeated-escaped",
        "A name is its characters, however they are written.",
        r'{"content-\u006cength":5,"content-length":0}',
    ),
    ("id-repeated", "A field stands once.", '{"id":1,"content-length":0,"id":1}'),
    (
        "subject-repeated",
        "A field stands once.",
        '{"subject":"a","subject":"b","content-length":0}',
    ),
    (
        "header-repeated",
        "The application's own headers do not repeat.",
        '{"x":1,"x":1,"content-length":0}',
    ),
    (
        "repeated-inside",
        "Names inside a header do not repeat.",
        '{"x":[{"y":1,"y":2}],"content-length":0}',
    ),
    ("nan", "NaN is not JSON.", '{"x":NaN,"content-length":0}'),
    ("infinity", "Infinity is not JSON.", '{"x":Infinity,"content-length":0}'),
    ("minus-infinity", "-Infinity is not JSON.", '{"x":[-Infinity],"content-length":0}'),
    ("float-overflow", "A number fits in a double.", '{"x":1e400,"content-length":0}'),
    (
        "float-overflow-negative",
        "A number fits in a double, whatever its sign.",
        '{"x":-1e400,"content-length":0}',
    ),
    ("surrogate-alone", "A surrogate stands in a pair.", r'{"x":"\ud800","content-length":0}'),
    (
        "surrogates-reversed",
        "A pair is the high surrogate, then the low one.",
        r'{"x":"\ude00\ud83d","content-length":0}',
    ),
    (
        "surrogate-in-a-name",
        "A surrogate stands in a pair, in names too.",
        r'{"x":{"\udc00":1},"content-length":0}',
    ),
    (
        "byteorder-unknown",
        "byteorder is little or big.",
        '{"byteorder":"middle","content-length":0}',
    ),
    ("byteorder-null", "null is not the same as absent.", '{"byteorder":null,"content-length":0}'),
    ("content-type-number", "content-type is a string.", '{"content-type":1,"content-length":0}'),
    (
        "content-type-null",
        "null is not the same as absent.",
        '{"content-type":null,"content-length":0}',
    ),
    (
        "content-type-empty",
        "content-type is type/subtype.",
        '{"content-type":"","content-length":0}',
    ),
    (
        "content-type-word",
        "content-type is type/subtype.",
        '{"content-type":"text","content-length":0}',
    ),
    (
        "content-type-no-subtype",
        "A subtype is there.",
        '{"content-type":"text/","content-length":0}',
    ),
    ("content-type-no-type", "A type is there.", '{"content-type":"/plain","content-length":0}'),
    (
        "encoding-empty",
        "content-encoding is not empty.",
        '{"content-encoding":"","content-length":0}',
    ),
    (
        "encoding-null",
        "null is not the same as absent.",
        '{"content-encoding":null,"content-length":0}',
    ),
    (
        "encoding-number",
        "content-encoding is a string.",
        '{"content-encoding":8,"content-length":0}',
    ),
    ("kind-number", "kind is a string.", '{"kind":1,"content-length":0}'),
    ("kind-null", "null is not the same as absent.", '{"kind":null,"content-length":0}'),
    ("subject-array", "subject is a string.", '{"subject":["a"],"content-length":0}'),
    ("subject-null", "null is not the same as absent.", '{"subject":null,"content-length":0}'),
    ("id-0", "id begins at 1.", '{"content-length":0,"id":0}'),
    ("id-negative", "id begins at 1.", '{"content-length":0,"id":-1}'),
    ("id-float", "id is an integer.", '{"content-length":0,"id":1.0}'),
    ("id-string", "id is an integer.", '{"content-length":0,"id":"1"}'),
    ("id-true", "true is no integer.", '{"content-length":0,"id":true}'),
    ("id-null", "null is not the same as absent.", '{"content-length":0,"id":null}'),
    ("id-leading-zero", "JSON numbers have no leading zero.", '{"x":1,"content-length":0,"id":01}'),
    ("id-2^53", "id is 2^53-1 at most.", '{"x":1,"content-length":0,"id":9007199254740992}'),
    ("re-0", "re begins at 1.", '{"x":1,"content-length":0,"re":0}'),
    ("re-2^53", "re is 2^53-1 at most.", '{"x":1,"content-length":0,"re":9007199254740992}'),
    ("re-string", "re is an integer.", '{"x":1,"content-length":0,"re":"1"}'),
    ("more-false", "more is true, or absent.", '{"more":false,"content-length":0}'),
    ("more-1", "1 is not true.", '{"more":1,"content-length":0}'),
    ("more-string", "A string is not true.", '{"more":"true","content-length":0}'),
]

LONG_BROKEN_HEADER_BLOCKS: list[tuple[str, str, list[str | bytes | Segment]]] = [
    (
        "nested-65-deep",
        "A header block nests 64 levels deep at most, itself included.",
        ['{"x":', (b"[", DEEPEST + 1), (b"]", DEEPEST + 1), ',"content-length":0}'],
    ),
    (
        "nested-65-objects-deep",
        "Objects count as arrays do.",
        ['{"x":', (b'{"x":', DEEPEST), "{}", (b"}", DEEPEST), ',"content-length":0}'],
    ),
    (
        "nested-10000-deep",
        "No parser may run out of stack.",
        ['{"x":', (b"[", 10_000), (b"]", 10_000), ',"content-length":0}'],
    ),
    (
        "nested-10000-deep-and-open",
        "No parser may run out of stack.",
        ['{"x":', (b'{"x":', 10_000), ',"content-length":0}'],
    ),
    (
        "integer-1001-digits",
        "An integer has a thousand digits at most.",
        ['{"x":', (b"9", 1_001), ',"content-length":0}'],
    ),
    (
        "integer-5000-digits",
        "No parser may take long over it, nor fail in a way of its own.",
        ['{"x":', (b"9", 5_000), ',"content-length":0}'],
    ),
    (
        "content-length-5000-digits",
        "The same where the number is a field that is known.",
        ['{"x":1,"content-length":', (b"9", 5_000), "}"],
    ),
]


def cases() -> list[Case]:
    """Return every case, in the order of the file."""
    return [
        *STREAMS,
        *(
            accepted(name, shows, message(block), said)
            for name, shows, block, said in EMPTY_MESSAGES
        ),
        *(
            accepted(name, shows, [*message(block), *said["body"]], said)
            for name, shows, block, said in CONTENTS
        ),
        *(refused(name, shows, message(block)) for name, shows, block in BROKEN_HEADER_BLOCKS),
        *(
            refused(name, shows, message(*parts), limits=LONG_HEADERS)
            for name, shows, parts in LONG_BROKEN_HEADER_BLOCKS
        ),
    ]


def vectors() -> str:
    """Return the text of vectors.json: JSON, with a line for each thing that is looked at."""
    described = ",\n".join(_describe(case) for case in cases())
    return f'{{\n"format": "telex",\n"version": 1,\n"cases": [\n{described}\n]\n}}\n'


def _describe(case: Case) -> str:
    lines = [
        f'  "name": {_json(case["name"])}',
        f'  "shows": {_json(case["shows"])}',
        f'  "limits": {_json(case["limits"])}',
        f'  "stream": {_lines(_describe_segment(segment) for segment in case["stream"])}',
        f'  "messages": {_lines(_describe_message(said) for said in case["messages"])}',
        f'  "failure": {_json(case["failure"])}',
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def _describe_message(said: dict[str, Any]) -> str:
    body = [json.loads(_describe_segment(segment)) for segment in said["body"]]
    return _json(said | {"body": body})


def _describe_segment(segment: Segment) -> str:
    data, repeat = segment
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data)
    return _json({"ascii": shown, "repeat": repeat, "hex": data.hex()})


def _lines(items: Any) -> str:
    listed = ",\n    ".join(items)
    return f"[\n    {listed}\n  ]" if listed else "[]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


if __name__ == "__main__":
    VECTORS.write_text(vectors(), encoding="ascii")
