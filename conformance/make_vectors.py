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
LARGEST_INTEGER = str(2**1024 - 2**971)
"""The largest integer that is a double, of 309 digits."""
FIRST_TOO_LARGE = str(2**1024 - 2**970)
"""The smallest integer whose double would be infinity."""
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
        "same-front-other-timeouts",
        "A timeout is of its own message alone.",
        [
            *message('{"subject":"n","content-length":0,"id":1,"timeout":50}'),
            *message('{"subject":"n","content-length":0,"id":2,"timeout":60}'),
            *message('{"subject":"n","content-length":0,"id":3}'),
            *message('{"subject":"n","content-length":0}'),
            *message('{"subject":"n","content-length":0,"timeout":70}'),
        ],
        says(subject="n", id=1, timeout=50),
        says(subject="n", id=2, timeout=60),
        says(subject="n", id=3),
        says(subject="n"),
        says(subject="n", timeout=70),
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
        "header-block-that-begins-with-a-vertical-tab",
        "JSON knows four characters of white space; the first byte is enough to refuse others.",
        message('\x0b{"content-length":0}'),
        after=3,
    ),
    refused(
        "header-block-that-begins-with-a-form-feed",
        "JSON knows four characters of white space.",
        message('\x0c{"content-length":0}'),
        after=3,
    ),
    refused(
        "header-block-that-begins-with-a-bracket",
        "A header block that is no object is refused at its first byte.",
        message('[{"content-length":0}]'),
        after=3,
    ),
    refused(
        "header-block-that-begins-with-nul",
        "A header block that is no object is refused at its first byte.",
        message('\x00{"content-length":0}'),
        after=3,
    ),
    refused(
        "proto-header-before-the-first-byte",
        "A proto-header over the limit is known before the first byte of the header block.",
        [(b"\xff\xff\xa5", 1)],
        after=2,
    ),
    accepted(
        "content-of-0-between-messages",
        "The next message begins directly behind a header block without content.",
        [*EMPTY, *EMPTY, *EMPTY],
        says(),
        says(),
        says(),
    ),
    accepted(
        "header-block-over-255",
        "The proto-header is big-endian.",
        message("{", (b" ", 300), '"content-length":0}'),
        says(),
    ),
    accepted(
        "header-block-over-32767",
        "The proto-header has no sign.",
        message("{", (b" ", 40_000), '"content-length":0}'),
        says(),
        limits=LONG_HEADERS,
    ),
    refused(
        "fields-do-not-stay",
        "What one header block says means nothing for the next.",
        [*GREETING, *message('{"id":8}')],
        GREETED,
        offset=size_of(GREETING),
    ),
    accepted(
        "fields-are-the-messages-own",
        "What one header block says means nothing for the next.",
        [*GREETING, *EMPTY, *GREETING],
        GREETED,
        says(),
        GREETED,
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
        "integer-309-digits",
        "An integer may be as large as a double can be; a reader may round it.",
        '{"x":-' + LARGEST_INTEGER + ',"content-length":0}',
        says(x=-int(LARGEST_INTEGER)),
    ),
    (
        "integer-that-rounds-down",
        "What counts is the double that is nearest.",
        '{"x":' + str(int(FIRST_TOO_LARGE) - 1) + ',"content-length":0}',
        says(x=int(FIRST_TOO_LARGE) - 1),
    ),
    (
        "fraction-2000-digits",
        "How long a number is does not matter.",
        '{"x":0.' + "3" * 2_000 + ',"y":1' + "0" * 300 + "." + "0" * 1_000 + ',"content-length":0}',
        says(x=1 / 3, y=1e300),
    ),
    (
        "exponents",
        "An exponent may be of either case, with either sign or without, with zeros in front.",
        '{"a":1E+5,"b":1e5,"c":-1.5E-3,"d":0e0,"e":1e007,"f":0e999,"content-length":0}',
        says(a=1e5, b=1e5, c=-1.5e-3, d=0.0, e=1e7, f=0.0),
    ),
    (
        "minus-0-as-a-number",
        "Minus zero is a number, and is the integer zero where there is no fraction.",
        '{"a":-0,"b":-0.0,"content-length":0}',
        says(a=0, b=-0.0),
    ),
    (
        "names-of-a-prototype",
        "No name is special to a reader: objects of some languages have these from the start.",
        '{"__proto__":1,"toString":"x","constructor":null,"hasOwnProperty":true,"content-length":0}',
        says(
            headers={"__proto__": 1, "toString": "x", "constructor": None, "hasOwnProperty": True}
        ),
    ),
    (
        "proto-inside-a-header",
        "The same inside of a header.",
        '{"x":{"__proto__":{"id":1},"toString":[]},"content-length":0}',
        says(x={"__proto__": {"id": 1}, "toString": []}),
    ),
    (
        "names-in-two-normal-forms",
        "Names are compared by code points: composed and decomposed ones are two names.",
        '{"\u00fc":1,"u\u0308":2,"content-length":0}',
        says(headers={"\u00fc": 1, "u\u0308": 2}),
    ),
    (
        "subject-decomposed",
        "Strings are not normalised.",
        '{"subject":"u\u0308.\u212b","content-length":0}',
        says(subject="u\u0308.\u212b"),
    ),
    (
        "raw-line-separators",
        "Strings may hold U+2028, U+2029 and U+0085 as they are.",
        '{"subject":"\u2028\u2029\x85","content-length":0}',
        says(subject="\u2028\u2029\x85"),
    ),
    (
        "raw-delete",
        "Strings may hold DEL as it is.",
        '{"subject":"\x7f","content-length":0}',
        says(subject="\x7f"),
    ),
    (
        "raw-noncharacters",
        "Strings may hold code points that are no characters, and a byte order mark.",
        '{"subject":"\ufffe\uffff\ufeff\U0010ffff","content-length":0}',
        says(subject="\ufffe\uffff\ufeff\U0010ffff"),
    ),
    (
        "escapes-upper-case",
        "Hex digits of an escape may be of either case.",
        r'{"subject":"\u00FC\u00fC\uD83D\uDE00","content-length":0}',
        says(subject="\u00fc\u00fc\U0001f600"),
    ),
    (
        "escapes-all",
        "The escapes of JSON with one letter.",
        r'{"subject":"\b\f\n\r\t\"\\\/","content-length":0}',
        says(subject='\b\f\n\r\t"\\/'),
    ),
    (
        "escape-that-escapes-itself",
        "A backslash that is escaped begins no escape.",
        r'{"subject":"\\ud800\\","content-length":0}',
        says(subject="\\ud800\\"),
    ),
    (
        "brackets-behind-an-escaped-quote",
        "A string ends at a quotation mark that is not escaped.",
        '{"x":"\\"' + "[" * 100 + '","content-length":0}',
        says(x='"' + "[" * 100),
    ),
    (
        "begins-with-a-tab",
        "A header block may begin with white space.",
        '\t{"content-length":0}',
        says(),
    ),
    (
        "begins-with-a-line-feed",
        "A header block may begin with white space.",
        '\n{"content-length":0}',
        says(),
    ),
    (
        "begins-with-a-carriage-return",
        "A header block may begin with white space.",
        '\r{"content-length":0}',
        says(),
    ),
    (
        "content-type-tokens",
        "Type and subtype are tokens, which may hold all of these.",
        '{"content-type":"!#$%&\'*/+-.^_`|~09AZaz","content-length":0}',
        says("!#$%&'*/+-.^_`|~09AZaz", "binary"),
    ),
    (
        "content-type-parameters-are-not-looked-at",
        "What follows a semicolon may be anything, also nothing.",
        '{"content-type":"text/plain \\t;/;\u00fc\\n","content-length":0}',
        says("text/plain \t;/;\u00fc\n", "utf-8", content={"text": ""}),
    ),
    (
        "content-type-nothing-behind-the-semicolon",
        "What follows a semicolon may be anything, also nothing.",
        '{"content-type":"text/plain;","content-length":0}',
        says("text/plain;", "utf-8", content={"text": ""}),
    ),
    (
        "content-type-other-case",
        "The case of a media type makes no difference, and is carried.",
        '{"content-type":"TEXT/Plain","content-length":0}',
        says("TEXT/Plain", "utf-8", content={"text": ""}),
    ),
    (
        "text-json-without-encoding",
        "text/json is JSON, in UTF-8.",
        '{"content-type":"text/json","content-length":0}',
        says("text/json", "utf-8", content={"unreadable": True}),
    ),
    (
        "type-that-begins-like-text",
        "Only the type text is text.",
        '{"content-type":"texts/plain","content-length":0}',
        says("texts/plain", "binary"),
    ),
    (
        "type-that-holds-json",
        "Only the end +json makes JSON of another type.",
        '{"content-type":"application/json-seq","content-length":0}',
        says("application/json-seq", "binary"),
    ),
    (
        "subtype-json-of-another-type",
        "Only the end +json makes JSON of another type.",
        '{"content-type":"x/json","content-length":0}',
        says("x/json", "binary"),
    ),
    (
        "type-with-json-in-a-parameter",
        "A parameter does not make JSON.",
        '{"content-type":"image/png;x=a+json","content-length":0}',
        says("image/png;x=a+json", "binary"),
    ),
    (
        "encoding-carried",
        "A charset that nobody knows is carried, as it is written.",
        '{"content-encoding":"Klingon ","content-length":0}',
        says("application/octet-stream", "Klingon "),
    ),
    ("kind-empty", "A kind may be any string.", '{"kind":"","content-length":0}', says(kind="")),
    (
        "kind-other-case",
        "The case of a kind makes a difference.",
        '{"kind":"Request","content-length":0}',
        says(kind="Request"),
    ),
    (
        "timeout-of-a-request",
        "A request may say how long its answer is waited for.",
        '{"kind":"request","subject":"s","content-length":0,"id":1,"timeout":2000}',
        says(kind="request", subject="s", id=1, timeout=2000),
    ),
    (
        "timeout-absent",
        "A request without a timeout has none: no number stands for that.",
        '{"kind":"request","subject":"s","content-length":0,"id":1}',
        says(kind="request", subject="s", id=1),
    ),
    (
        "timeout-smallest",
        "timeout begins at 1.",
        '{"content-length":0,"timeout":1}',
        says(timeout=1),
    ),
    (
        "timeout-largest",
        "timeout ends at 2^53-1.",
        '{"content-length":0,"timeout":9007199254740991}',
        says(timeout=LARGEST_EXACT),
    ),
    (
        "timeout-of-a-plain-message",
        "A header block may have a timeout whatever its kind is.",
        '{"x":1,"content-length":0,"timeout":5}',
        says(x=1, timeout=5),
    ),
    (
        "timeout-behind-re",
        "All four numbers, in the order in which they are written.",
        '{"x":1,"content-length":0,"id":2,"re":3,"timeout":4}',
        says(x=1, id=2, re=3, timeout=4),
    ),
    (
        "timeout-before-re-and-id",
        "The numbers may stand in any order.",
        '{"x":1,"content-length":0,"timeout":4,"re":3,"id":2}',
        says(x=1, id=2, re=3, timeout=4),
    ),
    (
        "timeout-between-id-and-re",
        "The numbers may stand in any order.",
        '{"x":1,"content-length":0,"id":2,"timeout":4,"re":3}',
        says(x=1, id=2, re=3, timeout=4),
    ),
    (
        "timeout-before-content-length",
        "content-length need not be the first of the numbers.",
        '{"timeout":4,"content-length":0,"id":2}',
        says(id=2, timeout=4),
    ),
    (
        "timeout-before-a-header",
        "Something may stand behind the numbers.",
        '{"content-length":0,"id":2,"timeout":4,"x":1}',
        says(x=1, id=2, timeout=4),
    ),
    (
        "timeout-escaped",
        "A field's name is its characters, however they are written.",
        r'{"content-length":0,"\u0074imeout":4}',
        says(timeout=4),
    ),
    (
        "timeout-inside-a-header",
        "Inside an application's header, timeout has no meaning.",
        '{"x":{"timeout":"soon"},"content-length":0}',
        says(x={"timeout": "soon"}),
    ),
    (
        "timeout-in-other-names",
        "Names are compared as a whole, and by case.",
        '{"Timeout":"soon","content-length":0,"x-timeout":0}',
        says(headers={"Timeout": "soon", "x-timeout": 0}),
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

JSON_TYPE = "application/json"
UNREADABLE = {"unreadable": True}
CONTROLS = bytes(range(0x80, 0xA0))
DEEP_JSON = "[" * 64 + "]" * 64

MORE_CONTENTS: list[tuple[str, str, str, str, bytes, dict[str, Any]]] = [
    # Types.
    *(
        (
            f"text-as-{name}",
            "The case of a type and its parameters make no difference.",
            type_,
            "utf-8",
            b"x",
            {"text": "x"},
        )
        for name, type_ in [
            ("upper-case", "TEXT/PLAIN"),
            ("mixed-case-and-parameter", "Text/CSV ;header=absent"),
            ("other-charset-parameter", "text/plain;charset=utf-16-le"),
        ]
    ),
    *(
        (
            f"json-as-{name}",
            "The case of a type and its parameters make no difference.",
            type_,
            "utf-8",
            b"[1]",
            {"json": [1]},
        )
        for name, type_ in [
            ("upper-case", "APPLICATION/JSON"),
            ("with-a-parameter", "application/json; charset=latin-1"),
            ("with-a-parameter-behind-a-tab", "application/json\t;x"),
            ("text-json-upper-case", "Text/JSON"),
            ("structured-upper-case", "application/problem+JSON"),
            ("structured-with-a-parameter", "image/svg+json;x=1"),
            ("structured-text", "text/x+json"),
            ("nothing-but-plus-json", "x/+json"),
        ]
    ),
    (
        "text-in-binary",
        "Text whose charset is binary is bytes.",
        "text/plain",
        "binary",
        b"x\xff",
        {},
    ),
    (
        "text-in-binary-upper-case",
        "binary may be of any case.",
        "text/plain",
        "BINARY",
        b"x\xff",
        {},
    ),
    (
        "json-in-binary",
        "JSON whose charset is binary is in UTF-8.",
        JSON_TYPE,
        "binary",
        '"\xfc"'.encode(),
        {"json": "\xfc"},
    ),
    (
        "json-in-binary-mixed-case",
        "binary may be of any case.",
        JSON_TYPE,
        "Binary",
        b"5",
        {"json": 5},
    ),
    (
        "json-in-binary-broken",
        "JSON whose charset is binary is in UTF-8.",
        JSON_TYPE,
        "binary",
        b'"\xfc"',
        UNREADABLE,
    ),
    (
        "bytes-in-a-charset",
        "A charset does not make text of bytes.",
        "image/png",
        "utf-8",
        b"x\xff",
        {},
    ),
    ("bytes-in-an-unknown-charset", "Bytes need no charset.", "image/png", "klingon", b"x\xff", {}),
    # Charsets.
    *(
        (
            f"charset-{name.lower()}-{number}",
            "Names of charsets may be of any case.",
            "text/plain",
            name,
            body,
            {"text": "\xe4" if body[-1:] not in b"A" else "A"},
        )
        for number, (name, body) in enumerate(
            [
                ("UTF-8", b"\xc3\xa4"),
                ("Utf-8", b"\xc3\xa4"),
                ("us-ascii", b"A"),
                ("US-ASCII", b"A"),
                ("ascii", b"A"),
                ("ASCII", b"A"),
                ("iso-8859-1", b"\xe4"),
                ("ISO-8859-1", b"\xe4"),
                ("Latin-1", b"\xe4"),
                ("UTF-16-LE", b"\xe4\x00"),
                ("utf-16-be", b"\x00\xe4"),
                ("UTF-16-BE", b"\x00\xe4"),
                ("UTF-16", b"\xff\xfe\xe4\x00"),
            ]
        )
    ),
    (
        "latin-1-80-to-9f",
        "In latin-1 the bytes 80 to 9F are U+0080 to U+009F.",
        "text/plain",
        "latin-1",
        CONTROLS,
        {"text": "".join(map(chr, range(0x80, 0xA0)))},
    ),
    (
        "iso-8859-1-80-to-9f",
        "iso-8859-1 is latin-1.",
        "text/plain",
        "iso-8859-1",
        CONTROLS,
        {"text": "".join(map(chr, range(0x80, 0xA0)))},
    ),
    (
        "latin-1-all",
        "In latin-1 every byte is a character.",
        "text/plain",
        "latin-1",
        bytes(range(256)),
        {"text": "".join(map(chr, range(256)))},
    ),
    (
        "ascii-80",
        "In ascii there are no bytes above 7F.",
        "text/plain",
        "ascii",
        b"x\x80",
        UNREADABLE,
    ),
    (
        "ascii-utf-8",
        "In ascii there is no UTF-8.",
        "text/plain",
        "ascii",
        b"\xc3\xa4",
        UNREADABLE,
    ),
    (
        "us-ascii-e4",
        "In us-ascii there are no bytes above 7F.",
        "text/plain",
        "us-ascii",
        b"\xe4",
        UNREADABLE,
    ),
    (
        "ascii-7f",
        "In ascii DEL is a character.",
        "text/plain",
        "ascii",
        b"\x00\x7f",
        {"text": "\x00\x7f"},
    ),
    (
        "utf-8-mark",
        "A byte order mark in UTF-8 is a character of the text.",
        "text/plain",
        "utf-8",
        b"\xef\xbb\xbfx",
        {"text": "\ufeffx"},
    ),
    (
        "utf-8-mark-alone",
        "A byte order mark in UTF-8 is a character of the text.",
        "text/plain",
        "utf-8",
        b"\xef\xbb\xbf",
        {"text": "\ufeff"},
    ),
    (
        "utf-16-le-mark",
        "A byte order mark in utf-16-le is a character of the text.",
        "text/plain",
        "utf-16-le",
        b"\xff\xfex\x00",
        {"text": "\ufeffx"},
    ),
    (
        "utf-16-be-mark",
        "A byte order mark in utf-16-be is a character of the text.",
        "text/plain",
        "utf-16-be",
        b"\xfe\xff\x00x",
        {"text": "\ufeffx"},
    ),
    (
        "utf-16-mark-le",
        "In utf-16 the byte order mark is not part of the text.",
        "text/plain",
        "utf-16",
        b"\xff\xfex\x00",
        {"text": "x"},
    ),
    (
        "utf-16-mark-be",
        "In utf-16 the byte order mark tells the order.",
        "text/plain",
        "utf-16",
        b"\xfe\xff\x00x",
        {"text": "x"},
    ),
    (
        "utf-16-two-marks",
        "Only the first byte order mark is one.",
        "text/plain",
        "utf-16",
        b"\xfe\xff\xfe\xff",
        {"text": "\ufeff"},
    ),
    (
        "utf-16-no-mark",
        "Without a byte order mark, utf-16 is little-endian on every machine.",
        "text/plain",
        "utf-16",
        b"x\x00\x34\x12",
        {"text": "x\u1234"},
    ),
    ("utf-16-empty", "Text may be empty.", "text/plain", "utf-16", b"", {"text": ""}),
    (
        "utf-16-mark-alone",
        "Text may be empty behind the byte order mark.",
        "text/plain",
        "utf-16",
        b"\xff\xfe",
        {"text": ""},
    ),
    (
        "utf-16-le-pair",
        "Characters beyond the basic plane are pairs.",
        "text/plain",
        "utf-16-le",
        "\U0001f600".encode("utf-16-le"),
        {"text": "\U0001f600"},
    ),
    ("utf-16-le-odd", "Half a unit is no text.", "text/plain", "utf-16-le", b"x\x00y", UNREADABLE),
    (
        "utf-16-le-half-a-pair",
        "Half a pair is no text.",
        "text/plain",
        "utf-16-le",
        b"\x3d\xd8",
        UNREADABLE,
    ),
    (
        "utf-16-be-reversed-pair",
        "Half a pair is no text.",
        "text/plain",
        "utf-16-be",
        b"\xde\x00\xd8\x3d",
        UNREADABLE,
    ),
    (
        "utf-8-overlong-text",
        "UTF-8 is read strictly.",
        "text/plain",
        "utf-8",
        b"\xc0\x80",
        UNREADABLE,
    ),
    (
        "utf-8-surrogates-text",
        "Surrogates are not UTF-8, also in pairs.",
        "text/plain",
        "utf-8",
        b"\xed\xa0\xbd\xed\xb8\x80",
        UNREADABLE,
    ),
    (
        "utf-8-truncated-text",
        "UTF-8 is read to its end.",
        "text/plain",
        "utf-8",
        b"x\xe2\x82",
        UNREADABLE,
    ),
    (
        "utf-8-nul-and-newlines",
        "Text is carried as it is.",
        "text/plain",
        "utf-8",
        b"\x00\r\n\r\n\t",
        {"text": "\x00\r\n\r\n\t"},
    ),
    (
        "charset-unknown-and-empty",
        "What is in an unknown charset is unreadable, also where it is empty.",
        "text/plain",
        "klingon",
        b"",
        UNREADABLE,
    ),
    (
        "json-charset-unknown",
        "An unknown charset makes JSON unreadable.",
        JSON_TYPE,
        "klingon",
        b"5",
        UNREADABLE,
    ),
    # JSON.
    *(
        (
            f"json-{name}",
            shows,
            JSON_TYPE,
            "utf-8",
            body,
            UNREADABLE,
        )
        for name, shows, body in [
            ("nan", "NaN is not JSON.", b"[NaN]"),
            ("infinity", "Infinity is not JSON.", b"Infinity"),
            ("minus-infinity-content", "-Infinity is not JSON.", b"-Infinity"),
            ("comma-last", "A comma stands between values.", b"[1,]"),
            ("comma-last-in-object", "A comma stands between members.", b'{"a":1,}'),
            ("comment-in-content", "JSON has no comments.", b"[1]//x"),
            ("single-quotes-content", "Strings stand in double quotes.", b"['a']"),
            ("white-space-alone", "White space is no value.", b" "),
            ("two-values", "Content is one value.", b"1 2"),
            ("nul-behind", "Content is one value.", b"1\x00"),
            ("mark", "A byte order mark is no JSON white space.", b"\xef\xbb\xbf1"),
            ("leading-zero-content", "JSON numbers have no leading zero.", b"01"),
            ("raw-control", "Strings hold no raw control characters.", b'"\x01"'),
            ("half-a-pair", "Half a surrogate pair is no text.", rb'"\ud800"'),
            ("low-half-a-pair", "Half a surrogate pair is no text.", rb'["\ude00x"]'),
            ("half-a-pair-in-a-name", "Half a surrogate pair is no text.", rb'{"\ud800":1}'),
            ("float-too-large", "A number with an exponent fits in a double.", b"1e400"),
            (
                "float-too-large-negative",
                "A number with a fraction fits in a double.",
                b"[-1" + b"0" * 309 + b".0]",
            ),
            ("not-utf-8", "JSON is in its charset.", b'"\xff"'),
            ("utf-16-in-utf-8", "JSON is in the charset that is said.", '"x"'.encode("utf-16-le")),
        ]
    ),
    *(
        (f"json-{name}", shows, JSON_TYPE, encoding, text.encode(encoding), {"json": value})
        for name, shows, encoding, text, value in [
            (
                "repeated",
                "Of members of one name the last counts.",
                "utf-8",
                '{"a":1,"b":2,"a":3}',
                {"a": 3, "b": 2},
            ),
            (
                "repeated-inside",
                "Of members of one name the last counts.",
                "utf-8",
                r'[{"a":[],"\u0061":{}}]',
                [{"a": {}}],
            ),
            ("64-deep", "A receiver reads 64 levels.", "utf-8", DEEP_JSON, json.loads(DEEP_JSON)),
            (
                "prototype",
                "No name is special.",
                "utf-8",
                '{"__proto__":1,"toString":2}',
                {"__proto__": 1, "toString": 2},
            ),
            (
                "exponent-upper-case",
                "An exponent may be of upper case.",
                "utf-8",
                "[1E+5,1E-5]",
                [1e5, 1e-5],
            ),
            (
                "exact-integers",
                "Integers are exact up to 2^53-1.",
                "utf-8",
                "[9007199254740991,-9007199254740991]",
                [LARGEST_EXACT, -LARGEST_EXACT],
            ),
            ("tiny", "A number may be as small as it likes.", "utf-8", "1e-400", 0.0),
            ("scalar-null", "Content may be any value.", "utf-8", "null", None),
            ("scalar-string", "Content may be any value.", "utf-8", '"x"', "x"),
            (
                "white-space",
                "White space may stand around a value.",
                "utf-8",
                "\r\n\t [ 1 ] \n",
                [1],
            ),
            (
                "escapes",
                "Escapes of either case.",
                "utf-8",
                r'"\u00FC\u00fc\uD83D\ude00\/\u0000"',
                "\xfc\xfc\U0001f600/\x00",
            ),
            (
                "separators",
                "Strings may hold U+2028 and DEL.",
                "utf-8",
                '"\u2028\x7f\ufeff"',
                "\u2028\x7f\ufeff",
            ),
            (
                "latin-1",
                "JSON may be in any charset that says so.",
                "latin-1",
                '{"\xfc":"\x80"}',
                {"\xfc": "\x80"},
            ),
            ("utf-16-be", "JSON may be in any charset that says so.", "utf-16-be", "[1]", [1]),
        ]
    ),
    (
        "json-utf-16-mark",
        "In utf-16 the byte order mark is not part of the JSON.",
        JSON_TYPE,
        "utf-16",
        b"\xfe\xff\x005",
        {"json": 5},
    ),
    (
        "json-utf-16-no-mark",
        "Without a byte order mark, utf-16 is little-endian.",
        JSON_TYPE,
        "utf-16",
        b"5\x00",
        {"json": 5},
    ),
    ("json-ascii-80", "JSON is in its charset.", JSON_TYPE, "ascii", b'"\x80"', UNREADABLE),
    (
        "json-utf-8-upper-case",
        "Names of charsets may be of any case.",
        JSON_TYPE,
        "UTF-8",
        '"\xfc"'.encode(),
        {"json": "\xfc"},
    ),
]


def _content(
    name: str, shows: str, content_type: str, encoding: str, body: bytes, content: dict[str, Any]
) -> tuple[str, str, str, dict[str, Any]]:
    """Return one of ``CONTENTS``."""
    block = json.dumps(
        {"content-type": content_type, "content-encoding": encoding, "content-length": len(body)}
    )
    return name, shows, block, says(content_type, encoding, body=body, content=content)


CONTENTS = [
    *(
        _content(name, shows, content_type, encoding, body, content)
        for name, shows, content_type, encoding, body, content in MORE_CONTENTS
    ),
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
    ("utf-8-cut-short", "UTF-8 is read strictly.", b'{"content-length":0}\xc3'),
    (
        "utf-8-beyond-unicode",
        "UTF-8 ends at U+10FFFF.",
        b'{"x":"\xf4\x90\x80\x80","content-length":0}',
    ),
    ("array", "A header block is an object.", ' ["content-length",0]'),
    ("number-alone", "A header block is an object.", " 5"),
    ("string-alone", "A header block is an object.", ' "content-length"'),
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
    ("json-number-dot-first", "A digit stands before a point.", '{"x":.5,"content-length":0}'),
    ("json-number-dot-last", "A digit stands behind a point.", '{"x":5.,"content-length":0}'),
    ("json-number-no-exponent", "An exponent has digits.", '{"x":5e,"content-length":0}'),
    ("json-number-minus", "A minus sign is no number.", '{"x":-,"content-length":0}'),
    (
        "json-number-leading-zero",
        "JSON numbers have no leading zero.",
        '{"x":-01.5,"content-length":0}',
    ),
    ("json-literal-other-case", "Literals are of lower case.", '{"x":True,"content-length":0}'),
    ("json-undefined", "JSON has three literals.", '{"x":undefined,"content-length":0}'),
    ("json-name-without-quotes", "Names stand in quotes.", '{x:1,"content-length":0}'),
    ("json-name-number", "Names are strings.", '{1:1,"content-length":0}'),
    ("json-no-colon", "A colon stands between name and value.", '{"x" 1,"content-length":0}'),
    (
        "json-trailing-comma-inside",
        "A comma stands between values.",
        '{"x":[1,],"content-length":0}',
    ),
    (
        "json-short-escape",
        "An escape has four digits.",
        r'{"x":"\u12","content-length":0}',
    ),
    (
        "json-escape-upper-case-u",
        "Letters of escapes are of lower case.",
        r'{"x":"\U0041","content-length":0}',
    ),
    (
        "json-raw-tab",
        "Strings hold no raw control characters.",
        '{"x":"\t","content-length":0}',
    ),
    (
        "json-raw-nul",
        "Strings hold no raw control characters.",
        '{"x":"\x00","content-length":0}',
    ),
    (
        "json-no-break-space",
        "JSON knows four characters of white space.",
        '{"x":\xa01,"content-length":0}',
    ),
    (
        "vertical-tab-behind-object",
        "JSON knows four characters of white space.",
        '{"content-length":0}\x0b',
    ),
    ("line-separator-behind-object", "U+2028 is no white space.", '{"content-length":0}\u2028'),
    ("comma-behind-object", "A header block is one object.", '{"content-length":0},'),
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
    (
        "float-overflow-without-exponent",
        "A number fits in a double, however it is written.",
        '{"x":1' + "0" * 309 + '.5,"content-length":0}',
    ),
    (
        "float-overflow-exponent-upper-case",
        "A number fits in a double, however it is written.",
        '{"x":{"y":[1E+309]},"content-length":0}',
    ),
    (
        "float-overflow-just",
        "What would be rounded to infinity is too large.",
        '{"x":1.7976931348623159e308,"content-length":0}',
    ),
    (
        "integer-overflow-just",
        "An integer fits in a double: what would be rounded to infinity is too large.",
        '{"x":' + FIRST_TOO_LARGE + ',"content-length":0}',
    ),
    (
        "integer-overflow-negative",
        "An integer fits in a double, whatever its sign.",
        '{"x":-' + FIRST_TOO_LARGE + ',"content-length":0}',
    ),
    (
        "integer-310-digits",
        "An integer fits in a double.",
        '{"x":1' + "0" * 309 + ',"content-length":0}',
    ),
    (
        "integer-1000-digits",
        "An integer fits in a double, inside of a header too.",
        '{"x":[{"y":' + "9" * 1_000 + '}],"content-length":0}',
    ),
    ("high-surrogates", "A pair is of two halves.", r'{"x":"\ud83d\ud83d","content-length":0}'),
    (
        "surrogate-before-text",
        "A surrogate stands in a pair.",
        r'{"x":"\ud83dx\ude00","content-length":0}',
    ),
    (
        "surrogate-behind-a-pair",
        "A surrogate stands in a pair.",
        r'{"x":"\ud83d\ude00\ude00","content-length":0}',
    ),
    (
        "surrogate-in-the-subject",
        "A surrogate stands in a pair, in the fields of the format too.",
        r'{"subject":"\udfff","content-length":0}',
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
    (
        "byteorder-other-case",
        "byteorder is little or big.",
        '{"byteorder":"Big","content-length":0}',
    ),
    ("byteorder-array", "byteorder is a string.", '{"byteorder":["big"],"content-length":0}'),
    ("byteorder-empty", "byteorder is little or big.", '{"byteorder":"","content-length":0}'),
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
    *(
        (
            f"content-type-{name}",
            "Type and subtype are tokens, with nothing around and between them.",
            f'{{"content-type":{json.dumps(value)},"content-length":0}}',
        )
        for name, value in [
            ("three-parts", "a/b/c"),
            ("no-subtype-but-a-parameter", "text/;x"),
            ("no-type-but-a-parameter", ";text/plain"),
            ("subtype-of-a-space", "text/ "),
            ("space-first", " text/plain"),
            ("space-last", "text/plain "),
            ("tab-last", "text/plain\t"),
            ("line-feed-last", "text/plain\n"),
            ("line-feed-before-the-semicolon", "text/plain\n;x"),
            ("space-inside", "text/pl ain"),
            ("spaces-around-the-slash", "text / plain"),
            ("comma", "text/plain,text/html"),
            ("brackets", "text/<plain>"),
            ("not-ascii", "text/pl\xe4in"),
            ("wide-no-break-space", "text/plain\xa0;x"),
            ("nul", "text/plain\x00"),
            ("delete", "text/plain\x7f"),
            ("slash", "/"),
            ("wildcard-without-subtype", "*"),
        ]
    ),
    (
        "content-type-array",
        "content-type is a string.",
        '{"content-type":["a/b"],"content-length":0}',
    ),
    (
        "encoding-array",
        "content-encoding is a string.",
        '{"content-encoding":[],"content-length":0}',
    ),
    (
        "encoding-false",
        "content-encoding is a string.",
        '{"content-encoding":false,"content-length":0}',
    ),
    ("encoding-zero", "content-encoding is a string.", '{"content-encoding":0,"content-length":0}'),
    ("kind-array", "kind is a string.", '{"kind":["request"],"content-length":0}'),
    ("kind-object", "kind is a string.", '{"kind":{},"content-length":0}'),
    ("subject-number", "subject is a string.", '{"subject":0,"content-length":0}'),
    ("subject-false", "subject is a string.", '{"subject":false,"content-length":0}'),
    ("id-exponent", "id is an integer.", '{"content-length":0,"id":1e0}'),
    ("id-array", "id is an integer.", '{"content-length":0,"id":[1]}'),
    ("id-minus-0", "id begins at 1.", '{"content-length":0,"id":-0}'),
    ("id-false", "false is no integer.", '{"content-length":0,"id":false}'),
    ("re-true", "true is no integer.", '{"content-length":0,"re":true}'),
    ("re-null", "null is not the same as absent.", '{"content-length":0,"re":null}'),
    ("re-float", "re is an integer.", '{"content-length":0,"re":1.0}'),
    ("re-negative", "re begins at 1.", '{"content-length":0,"re":-1}'),
    ("re-repeated", "A field stands once.", '{"re":1,"content-length":0,"re":1}'),
    ("timeout-0", "timeout begins at 1.", '{"x":1,"content-length":0,"timeout":0}'),
    ("timeout-minus-0", "timeout begins at 1.", '{"content-length":0,"timeout":-0}'),
    ("timeout-negative", "timeout begins at 1.", '{"content-length":0,"timeout":-1}'),
    (
        "timeout-2^53",
        "timeout is 2^53-1 at most.",
        '{"x":1,"content-length":0,"timeout":9007199254740992}',
    ),
    (
        "timeout-2^64+1",
        "timeout is 2^53-1 at most, and does not wrap around.",
        '{"x":1,"content-length":0,"id":1,"timeout":18446744073709551617}',
    ),
    ("timeout-float", "timeout is an integer.", '{"content-length":0,"timeout":5.0}'),
    ("timeout-fraction", "timeout is an integer.", '{"content-length":0,"timeout":2.5}'),
    ("timeout-exponent", "timeout is an integer.", '{"content-length":0,"timeout":2e3}'),
    ("timeout-string", "timeout is an integer.", '{"content-length":0,"timeout":"2000"}'),
    ("timeout-array", "timeout is an integer.", '{"content-length":0,"timeout":[1]}'),
    ("timeout-true", "true is no integer.", '{"content-length":0,"timeout":true}'),
    ("timeout-null", "null is not the same as absent.", '{"content-length":0,"timeout":null}'),
    (
        "timeout-leading-zero",
        "JSON numbers have no leading zero.",
        '{"x":1,"content-length":0,"timeout":01}',
    ),
    (
        "timeout-broken-before-id",
        "Each number is looked at, wherever it stands.",
        '{"x":1,"content-length":0,"timeout":0,"id":1}',
    ),
    (
        "timeout-repeated",
        "A field stands once.",
        '{"x":1,"content-length":0,"timeout":1,"timeout":1}',
    ),
    (
        "timeout-repeated-apart",
        "A field stands once.",
        '{"timeout":1,"content-length":0,"id":1,"timeout":1}',
    ),
    ("timeout-alone", "Every header block says content-length.", '{"x":1,"timeout":1}'),
    ("kind-repeated", "A field stands once.", '{"kind":"a","kind":"a","content-length":0}'),
    (
        "prototype-repeated",
        "A name stands once, whichever it is.",
        '{"__proto__":1,"__proto__":1,"content-length":0}',
    ),
    (
        "repeated-deep-inside",
        "Names inside a header do not repeat, also of objects in objects.",
        '{"x":{"y":{"z":null,"z":null}},"content-length":0}',
    ),
    (
        "empty-name-repeated",
        "A name may be empty, once.",
        '{"":0,"":0,"content-length":0}',
    ),
    ("more-null", "null is not the same as absent.", '{"more":null,"content-length":0}'),
    ("more-array", "more is true, or absent.", '{"more":[true],"content-length":0}'),
    *(
        (
            f"too-large-and-{name}",
            "What makes a header block bad is said before the content is said to be too large.",
            block,
        )
        for name, block in [
            ("bad-id", '{"content-length":17825792,"id":0}'),
            ("bad-re", '{"content-length":17825792,"re":"1"}'),
            ("bad-timeout", '{"content-length":17825792,"timeout":0}'),
            ("bad-kind", '{"content-length":17825792,"kind":1}'),
            ("bad-subject", '{"content-length":17825792,"subject":null}'),
            ("bad-more", '{"content-length":17825792,"more":false}'),
            ("bad-byteorder", '{"content-length":17825792,"byteorder":"x"}'),
            ("bad-content-type", '{"content-length":17825792,"content-type":"x"}'),
            ("bad-encoding", '{"content-length":17825792,"content-encoding":""}'),
            ("repeated", '{"content-length":17825792,"x":1,"x":1}'),
            ("number", '{"content-length":17825792,"x":1e400}'),
            ("not-json", '{"content-length":17825792,}'),
            ("something-behind", '{"content-length":17825792}x'),
        ]
    ),
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
        "nested-65-deep-mixed",
        "Arrays and objects count together.",
        ['{"x":', (b'[{"x":', DEEPEST // 2), "[[]]", (b"}]", DEEPEST // 2), ',"content-length":0}'],
    ),
    (
        "nested-65-deep-behind-siblings",
        "The deepest place counts, wherever it stands.",
        ['{"y":[[]],"x":[[],', (b"[", DEEPEST), (b"]", DEEPEST), '],"content-length":0}'],
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


BYTES_FRONT = (
    '{"byteorder":"little","content-type":"application/octet-stream","content-encoding":"binary"'
)
TEXT_FRONT = '{"byteorder":"little","content-type":"text/plain","content-encoding":"utf-8"'
JSON_FRONT = '{"byteorder":"little","content-type":"application/json","content-encoding":"utf-8"'
_LARGE = 9_007_199_254_740_991

ENCODINGS: list[tuple[str, str, dict[str, Any], dict[str, Any], str, bytes]] = [
    # Name, rule, fields that are not those of the content, the content, header block, body.
    ("bytes", "Bytes.", {}, {"hex": "00ff"}, BYTES_FRONT + ',"content-length":2}', b"\x00\xff"),
    (
        "empty",
        "A message without content.",
        {},
        {"hex": ""},
        BYTES_FRONT + ',"content-length":0}',
        b"",
    ),
    (
        "text",
        "Text is in UTF-8.",
        {},
        {"text": "gr\xfc\xdf"},
        TEXT_FRONT + ',"content-length":6}',
        b"gr\xc3\xbc\xc3\x9f",
    ),
    (
        "text-empty",
        "Text may be empty.",
        {},
        {"text": ""},
        TEXT_FRONT + ',"content-length":0}',
        b"",
    ),
    (
        "text-with-line-ends",
        "Text is written as it is.",
        {},
        {"text": "a\r\n\n\0"},
        TEXT_FRONT + ',"content-length":5}',
        b"a\r\n\n\0",
    ),
    (
        "text-beyond-the-basic-plane",
        "UTF-8 has no surrogates.",
        {},
        {"text": "\U0001f600"},
        TEXT_FRONT + ',"content-length":4}',
        b"\xf0\x9f\x98\x80",
    ),
    (
        "json-object",
        "JSON is compact, and in UTF-8.",
        {},
        {"json": {"a": [1, 2.5, None, True], "\xfc": "\xfc"}},
        JSON_FRONT + ',"content-length":33}',
        b'{"a":[1,2.5,null,true],"\xc3\xbc":"\xc3\xbc"}',
    ),
    (
        "json-null",
        "Content may be null.",
        {},
        {"json": None},
        JSON_FRONT + ',"content-length":4}',
        b"null",
    ),
    (
        "json-string",
        "Content may be a string; it is still JSON.",
        {},
        {"json": "x"},
        JSON_FRONT + ',"content-length":3}',
        b'"x"',
    ),
    (
        "json-escapes",
        "What JSON must escape is escaped, and nothing else.",
        {},
        {"json": '"\\\n/\x7f\u2028'},
        JSON_FRONT + ',"content-length":13}',
        b'"\\"\\\\\\n/\x7f\xe2\x80\xa8"',
    ),
    (
        "json-largest-exact-integer",
        "Integers are written with all their digits.",
        {},
        {"json": [_LARGE, -_LARGE]},
        JSON_FRONT + ',"content-length":36}',
        b"[9007199254740991,-9007199254740991]",
    ),
    (
        "byteorder-big",
        "The byte order of numbers inside the content.",
        {"byteorder": "big"},
        {"hex": "0001"},
        BYTES_FRONT.replace("little", "big") + ',"content-length":2}',
        b"\x00\x01",
    ),
    (
        "text-html",
        "Another type of text.",
        {"content-type": "text/html"},
        {"text": "<p>"},
        TEXT_FRONT.replace("plain", "html") + ',"content-length":3}',
        b"<p>",
    ),
    (
        "type-as-given",
        "A type is written as it is given, with its parameters.",
        {"content-type": "TEXT/Plain; x=1"},
        {"text": "x"},
        TEXT_FRONT.replace("text/plain", "TEXT/Plain; x=1") + ',"content-length":1}',
        b"x",
    ),
    (
        "structured-json",
        "Types that end in +json are JSON.",
        {"content-type": "application/problem+json"},
        {"json": {}},
        JSON_FRONT.replace("/json", "/problem+json") + ',"content-length":2}',
        b"{}",
    ),
    (
        "charset-latin-1",
        "Text in latin-1.",
        {"content-encoding": "latin-1"},
        {"text": "\xfc\x80"},
        TEXT_FRONT.replace("utf-8", "latin-1") + ',"content-length":2}',
        b"\xfc\x80",
    ),
    (
        "charset-ascii",
        "Text in ASCII.",
        {"content-encoding": "us-ascii"},
        {"text": "u"},
        TEXT_FRONT.replace("utf-8", "us-ascii") + ',"content-length":1}',
        b"u",
    ),
    (
        "charset-utf-16-le",
        "No byte order mark is added.",
        {"content-encoding": "utf-16-le"},
        {"text": "\xfc"},
        TEXT_FRONT.replace("utf-8", "utf-16-le") + ',"content-length":2}',
        b"\xfc\x00",
    ),
    (
        "charset-utf-16-be",
        "No byte order mark is added.",
        {"content-encoding": "utf-16-be"},
        {"text": "\U0001f600"},
        TEXT_FRONT.replace("utf-8", "utf-16-be") + ',"content-length":4}',
        b"\xd8\x3d\xde\x00",
    ),
    (
        "charset-as-given",
        "The name of a charset is written as it is given.",
        {"content-encoding": "UTF-8"},
        {"text": "\xfc"},
        TEXT_FRONT.replace("utf-8", "UTF-8") + ',"content-length":2}',
        b"\xc3\xbc",
    ),
    (
        "byte-order-mark",
        "A byte order mark in text stays.",
        {},
        {"text": "\ufeff"},
        TEXT_FRONT + ',"content-length":3}',
        b"\xef\xbb\xbf",
    ),
    (
        "json-in-latin-1",
        "JSON in another charset.",
        {"content-encoding": "latin-1"},
        {"json": ["\xfc"]},
        JSON_FRONT.replace("utf-8", "latin-1") + ',"content-length":5}',
        b'["\xfc"]',
    ),
    (
        "subject",
        "The subject stands behind the fields of the content.",
        {"subject": "orders.new"},
        {"hex": ""},
        BYTES_FRONT + ',"subject":"orders.new","content-length":0}',
        b"",
    ),
    (
        "subject-empty",
        "An empty subject is written.",
        {"subject": ""},
        {"hex": ""},
        BYTES_FRONT + ',"subject":"","content-length":0}',
        b"",
    ),
    (
        "subject-utf-8",
        "Characters are written as UTF-8, not escaped.",
        {"subject": "gr\xfc\xdf.\U0001f600\u2028\x7f"},
        {"hex": ""},
        BYTES_FRONT + ',"subject":"gr\xfc\xdf.\U0001f600\u2028\x7f","content-length":0}',
        b"",
    ),
    (
        "subject-escapes",
        "Only what JSON must escape is escaped; with a letter where there is one.",
        {"subject": '"\\/\b\f\n\r\t\0\x1f'},
        {"hex": ""},
        BYTES_FRONT + r',"subject":"\"\\/\b\f\n\r\t\u0000\u001f","content-length":0}',
        b"",
    ),
    (
        "request",
        "A request: kind, subject, and its number last.",
        {"kind": "request", "subject": "echo", "id": 1},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"request","subject":"echo","content-length":1,"id":1}',
        b"x",
    ),
    (
        "request-without-a-subject",
        "What has no value is not written.",
        {"kind": "request", "id": 1},
        {"hex": ""},
        BYTES_FRONT + ',"kind":"request","content-length":0,"id":1}',
        b"",
    ),
    (
        "request-with-headers",
        "The application's own headers stand behind the fields of the format, before the numbers.",
        {"kind": "request", "subject": "s", "id": 1, "site": "roof"},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"request","subject":"s","site":"roof","content-length":1,"id":1}',
        b"x",
    ),
    (
        "request-with-a-timeout",
        "How long the answer is waited for, in milliseconds, stands behind the number.",
        {"kind": "request", "subject": "echo", "timeout": 2000, "id": 1},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"request","subject":"echo","content-length":1,"id":1,"timeout":2000}',
        b"x",
    ),
    (
        "reply",
        "A reply: re stands last.",
        {"kind": "reply", "re": 7},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"reply","content-length":1,"re":7}',
        b"x",
    ),
    (
        "reply-with-more",
        "A part of an answer: more stands before the numbers.",
        {"kind": "reply", "re": 7, "more": True},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"reply","more":true,"content-length":1,"re":7}',
        b"x",
    ),
    (
        "reply-with-everything-else",
        "The order of all of these.",
        {"kind": "reply", "subject": "s", "re": 7, "more": True, "a": 1},
        {"text": "x"},
        TEXT_FRONT + ',"kind":"reply","subject":"s","more":true,"a":1,"content-length":1,"re":7}',
        b"x",
    ),
    (
        "id-and-re",
        "id stands before re.",
        {"re": 2, "id": 1},
        {"hex": ""},
        BYTES_FRONT + ',"content-length":0,"id":1,"re":2}',
        b"",
    ),
    (
        "id-re-and-timeout",
        "timeout stands behind all other numbers.",
        {"timeout": 3, "re": 2, "id": 1},
        {"hex": ""},
        BYTES_FRONT + ',"content-length":0,"id":1,"re":2,"timeout":3}',
        b"",
    ),
    (
        "largest-numbers",
        "Numbers are written with all their digits.",
        {"id": _LARGE, "re": _LARGE, "timeout": _LARGE},
        {"hex": ""},
        BYTES_FRONT + f',"content-length":0,"id":{_LARGE},"re":{_LARGE},"timeout":{_LARGE}}}',
        b"",
    ),
    *(
        (
            f"content-length-{size}",
            "A number has no leading zeros.",
            {},
            {"hex": "61", "repeat": size},
            BYTES_FRONT + f',"content-length":{size}}}',
            b"a" * size,
        )
        for size in (9, 10, 99, 100, 999, 1_000, 70_000)
    ),
    *(
        (
            f"id-{number}",
            "A number has no leading zeros.",
            {"id": number},
            {"hex": ""},
            BYTES_FRONT + f',"content-length":0,"id":{number}}}',
            b"",
        )
        for number in (999, 1_000, 999_999, 1_000_000, 1_000_001)
    ),
    *(
        (
            f"timeout-{number}",
            "A number has no leading zeros.",
            {"timeout": number},
            {"hex": ""},
            BYTES_FRONT + f',"content-length":0,"timeout":{number}}}',
            b"",
        )
        for number in (1, 999, 1_000, 1_000_000)
    ),
    (
        "headers",
        "The application's own headers are compact JSON, in their order.",
        {"z": [1, {"b": 2, "a": None}], "a": "x", "t": True},
        {"hex": ""},
        BYTES_FRONT + ',"z":[1,{"b":2,"a":null}],"a":"x","t":true,"content-length":0}',
        b"",
    ),
    (
        "header-numbers",
        "Integers of any size that a 64-bit float reaches, and fractions.",
        {"a": 10**20, "b": 21.5, "c": -1},
        {"hex": ""},
        BYTES_FRONT + ',"a":100000000000000000000,"b":21.5,"c":-1,"content-length":0}',
        b"",
    ),
    (
        "header-names",
        "Names are written as UTF-8, and escaped as strings are.",
        {"\xfc": 1, "": 2, '"': 3, "__proto__": 4, "ID": 5},
        {"hex": ""},
        BYTES_FRONT
        + r',"\xfc":1,"":2,"\"":3,"__proto__":4,"ID":5,"content-length":0}'.replace(
            "\\xfc", "\xfc"
        ),
        b"",
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
    encodings = ",\n".join(_describe_encoding(*encoding) for encoding in ENCODINGS)
    return (
        f'{{\n"format": "telex",\n"version": 1,\n"cases": [\n{described}\n],\n'
        f'"encodings": [\n{encodings}\n]\n}}\n'
    )


def _describe_encoding(
    name: str,
    shows: str,
    fields: dict[str, Any],
    content: dict[str, Any],
    block: str,
    body: bytes,
) -> str:
    form = next(iter(content))
    natural = {"text": "text/plain", "json": JSON_TYPE, "hex": "application/octet-stream"}[form]
    always = {
        "byteorder": "little",
        "content-type": natural,
        "content-encoding": "binary" if form == "hex" else "utf-8",
    }
    stream = [*message(block), *([(body[:1], len(body))] if "repeat" in content else [])]
    if body and "repeat" not in content:
        stream.append((body, 1))
    lines = [
        f'  "name": {_json(name)}',
        f'  "shows": {_json(shows)}',
        f'  "fields": {_json(always | fields)}',
        f'  "content": {_json(content)}',
        f'  "stream": {_lines(_describe_segment(segment) for segment in stream)}',
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


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
