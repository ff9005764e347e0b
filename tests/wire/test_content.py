"""Content and body: text in any charset, JSON, typed content, and what does not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import encodings
import enum
import math
import uuid
from typing import Any, TypedDict

import msgspec
import pytest

from telex import ContentError, Message, MessageProcessor
from tests.framing import frame


class Reading(msgspec.Struct):
    """A typed message of an application."""

    sensor: str
    value: float = 0.0


class Passed(msgspec.Struct):
    """A message of an application that passes JSON on."""

    raw: msgspec.Raw
    values: list[float]


@dataclasses.dataclass
class Point:
    """The same as a dataclass."""

    x: int
    y: int


class Person(TypedDict):
    """The same as a TypedDict."""

    name: str
    tags: list[str]


class Colour(enum.Enum):
    """What is written by its value."""

    RED = "red"


def received(body: bytes, content_type: str, encoding: str) -> Message:
    """Return a message as it comes from a peer, whatever its body."""
    header = (
        f'{{"content-type":"{content_type}","content-encoding":"{encoding}",'
        f'"content-length":{len(body)}}}'
    )
    (message,) = MessageProcessor().receive_messages(frame(header, body))
    return message


def sent_and_received(message: Message) -> Message:
    """Return the message that arrives when ``message`` is sent."""
    (arrived,) = MessageProcessor().receive_messages(message.to_bytes())
    return arrived


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF-8", "utf8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "utf-7", "gb18030"],
)
def test_text_travels_in_any_charset_of_unicode(encoding: str) -> None:
    """Whatever the charset, the same text comes out."""
    text = "Grüße, 世界! 👋 \x00\n"
    message = Message(text, encoding=encoding)
    assert message.body.decode(encoding) == text
    assert sent_and_received(message).content == text
    assert sent_and_received(message).encoding == encoding


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("grüß", "latin-1"),
        ("grüß", "cp437"),
        ("привет", "koi8-r"),
        ("世界", "big5"),
        ("世界", "shift_jis"),
        ("世界", "euc-jp"),
        ("hi", "ascii"),
    ],
)
def test_text_travels_in_charsets_of_a_region(text: str, encoding: str) -> None:
    """A charset that holds the text carries it."""
    assert sent_and_received(Message(text, encoding=encoding)).content == text


@pytest.mark.parametrize("encoding", ["klingon", "utf-9", "x" * 1_000, "u.t.f", "\x1b"])
def test_an_unknown_charset_is_refused_at_the_sender(encoding: str) -> None:
    """Text in a charset that nobody knows cannot be written; the error names it, briefly."""
    with pytest.raises(ContentError, match="unknown charset") as caught:
        Message("text", encoding=encoding)
    assert repr(encoding[:60]).rstrip("'") in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("encoding", ["hex", "base64", "rot13", "zlib", "bz2", "uu", "quopri"])
def test_a_codec_that_is_no_charset_is_refused(encoding: str) -> None:
    """Python's codecs from bytes to bytes are no charsets, at neither end."""
    with pytest.raises(ContentError, match=encoding):
        Message("text", encoding=encoding)
    with pytest.raises(ContentError, match=encoding):
        _ = received(b"00", "text/plain", encoding).content


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined"])
def test_a_codec_that_a_peer_could_abuse_is_refused(encoding: str) -> None:
    """Codecs that are for names of hosts take quadratic time, and are no charsets of documents."""
    message = received(b"xn--" + b"a" * 1_000, "text/plain", encoding)
    with pytest.raises(ContentError, match="unknown charset"):
        _ = message.content


def test_names_from_a_peer_are_not_remembered() -> None:
    """A peer cannot fill the memory of Python's codec registry with charsets of its invention."""
    known: dict[str, object] = vars(encodings)["_cache"]
    before = len(known)
    for number in range(100):
        message = received(b"text", "text/plain", f"charset-{number}")
        with pytest.raises(ContentError):
            _ = message.content
        str(message)
    assert len(known) == before


def test_text_that_its_charset_lacks_is_refused_at_the_sender() -> None:
    """The error names the character and where it stands."""
    with pytest.raises(ContentError, match=r"'ascii': '\\xfc' at index 2"):
        Message("grüß", encoding="ascii")


def test_a_lone_surrogate_is_refused_at_the_sender() -> None:
    """Half a character cannot be written in UTF-8."""
    with pytest.raises(ContentError, match=r"'\\ud800' at index 1"):
        Message("x\ud800")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"\xc3\x28", "utf-8"),
        (b"\x00", "utf-16-le"),
        (b"\xff\xfe\x00\xd8", "utf-16"),
        (b"caf\xe9", "ascii"),
        (b"\xff", "utf-7"),
        (b"\\x", "unicode_escape"),
    ],
)
def test_text_that_is_not_in_its_charset_is_unreadable(body: bytes, encoding: str) -> None:
    """Asking for the content says so, every time; the bytes are there, and so is the processor."""
    message = received(body, "text/plain", encoding)
    for _ in range(2):
        with pytest.raises(ContentError, match=encoding):
            _ = message.content
    assert message.body == body


def test_reading_text_warns_of_nothing() -> None:
    """No text of a peer's makes Python warn: warnings are for those who write programs."""
    message = received(rb"\8", "text/plain", "unicode_escape")
    with contextlib.suppress(ContentError):
        assert message.content == r"\8"


@pytest.mark.parametrize("encoding", ["klingon", "../utf8", "utf-8.", "x" * 5_000])
def test_text_in_an_unknown_charset_is_unreadable(encoding: str) -> None:
    """A message in an unknown charset has its body; only its content is an error."""
    message = received(b"Qapla'", "text/plain", encoding)
    with pytest.raises(ContentError, match="unknown charset"):
        _ = message.content
    assert message.body == b"Qapla'"
    assert message.encoding == encoding


@pytest.mark.parametrize("encoding", ["binary", "BINARY"])
def test_text_that_says_it_is_binary_is_bytes(encoding: str) -> None:
    """Who says "binary" gets no charset guessed."""
    assert received(b"\xff", "text/plain", encoding).content == b"\xff"


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png", "x-y/z"])
def test_content_of_an_unknown_type_is_bytes(content_type: str) -> None:
    """What Telex cannot read it hands over as it came, whatever its encoding says."""
    for encoding in ("binary", "utf-8", "klingon"):
        message = received(b"\x89PNG", content_type, encoding)
        assert message.content == b"\x89PNG"
        assert message.body == b"\x89PNG"


@pytest.mark.parametrize(
    "content",
    [
        None,
        True,
        0,
        -1.5,
        2**53 - 1,
        2**64,
        -(2**64),
        "text",
        "\u2028\x00",
        [],
        [1, [2, [3]]],
        {},
        {"a": {"b": [None, 1.0, "ü"]}},
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-8-sig"])
def test_json_travels(content: Any, encoding: str) -> None:
    """Every JSON value comes out as it went in, in whatever charset."""
    message = Message(content, content_type="application/json", encoding=encoding)
    arrived = sent_and_received(message)
    assert arrived.content == content
    assert type(arrived.content) is type(content)


def test_json_is_compact() -> None:
    """No byte is sent that says nothing."""
    assert Message({"a": [1, 2], "b": "ü"}).body == '{"a":[1,2],"b":"ü"}'.encode()


@pytest.mark.parametrize("content_type", ["text/json", "application/problem+json", "a/b+JSON; x=y"])
def test_json_has_many_names(content_type: str) -> None:
    """What the tutorial and RFC 6839 call JSON is read and written as JSON."""
    assert received(b'{"a":1}', content_type, "utf-8").content == {"a": 1}
    assert Message({"a": 1}, content_type=content_type).body == b'{"a":1}'


@pytest.mark.parametrize("encoding", ["binary", "Binary"])
def test_json_that_says_it_is_binary_is_utf_8(encoding: str) -> None:
    """JSON in bytes is JSON in UTF-8, at both ends."""
    assert received('{"a":"ü"}'.encode(), "application/json", encoding).content == {"a": "ü"}
    assert Message({"a": "ü"}, encoding=encoding).body == '{"a":"ü"}'.encode()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "utf-8"),
        (b'{"a":', "utf-8"),
        (b"NaN", "utf-8"),
        (b"1e400", "utf-8"),
        (b"\xff", "utf-8"),
        (b'"\\ud800"', "utf-8"),
        (b"9" * 5_000, "utf-8"),
        (b"[" * 100_000, "utf-8"),
        (b"{}", "utf-16-le"),
        (b"\x00", "utf-16-le"),
        (b"{}", "klingon"),
    ],
)
def test_broken_json_is_unreadable(body: bytes, encoding: str) -> None:
    """Asking for the content says so, every time; the bytes are there."""
    message = received(body, "application/json", encoding)
    for _ in range(2):
        with pytest.raises(ContentError):
            _ = message.content
    assert message.body == body


def test_other_python_values_are_written_as_json() -> None:
    """What msgspec writes is written: dates, enums, sets, structs, dataclasses."""
    moment = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    number = uuid.UUID(int=1)
    content = {"when": moment, "who": number, "how": Colour.RED, "where": Point(1, 2), "what": {7}}
    assert sent_and_received(Message(content)).content == {
        "when": "2024-05-01T12:00:00Z",
        "who": "00000000-0000-0000-0000-000000000001",
        "how": "red",
        "where": {"x": 1, "y": 2},
        "what": [7],
    }


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (object(), "object at $"),
        (1j, "complex at $"),
        ({"a": [1, {"b": object()}]}, "object at $.a[1].b"),
        (({"fine": 1}, {"a": 1j}), "complex at $[1].a"),
        ({"a": {(1, 2): 3}}, "dict at $.a"),
        ({"a": ["fine", "\ud800"]}, "str at $.a[1]"),
        (Reading("fine", math.nan), "$.value"),
        ({"a": [None, math.inf]}, "infinity at $.a[1]"),
        ({"points": {Colour.RED: [Point(1, 2), -math.inf]}}, "infinity at $"),
        (math.nan, "NaN or infinity at $"),
        (Passed(msgspec.Raw(b"null"), [math.nan]), "infinity at $.values[0]"),
        ([datetime.date(2024, 5, 1), Colour.RED, 1, "x", None, b"", math.nan], "$[6]"),
    ],
)
def test_content_that_json_cannot_say_is_refused_at_the_sender(content: object, part: str) -> None:
    """The error names the type of the content and the part at fault, with the way to it."""
    with pytest.raises(ContentError) as caught:
        Message(content).to_bytes()
    assert f"content of type {type(content).__name__} cannot be written as JSON" in str(
        caught.value
    )
    assert part in str(caught.value)


def test_null_is_no_reason_to_refuse() -> None:
    """Content that says null, or speaks of it, is not mistaken for a number that JSON lacks."""
    content = {"a": None, "b": "null", "c": [Colour.RED, 1.5]}
    assert Message(content).body == b'{"a":null,"b":"null","c":["red",1.5]}'


def test_json_that_is_written_already_is_passed_on() -> None:
    """What msgspec calls Raw is written as it is, null or not, inside of types too."""
    raw = msgspec.Raw(b'{"x":null}')
    assert Message(Passed(raw, [1.0])).body == b'{"raw":{"x":null},"values":[1.0]}'


def test_content_that_contains_itself_is_refused() -> None:
    """A circle has no end that could be sent, and is no way to exhaust the stack."""
    content: list[Any] = []
    content.append({"again": content})
    with pytest.raises(ContentError, match="cannot be written as JSON"):
        Message(content).to_bytes()


@pytest.mark.parametrize(
    ("content", "content_type", "said"),
    [
        ("text", "image/png", "content of type str does not fit content type 'image/png'"),
        ({"a": 1}, "text/plain", "content of type dict does not fit content type 'text/plain'"),
        (5, "application/pdf", "content of type int does not fit"),
    ],
)
def test_content_must_fit_its_type(content: object, content_type: str, said: str) -> None:
    """What cannot be written under a content type is refused; the error names both."""
    with pytest.raises(ContentError, match=said):
        Message(content, content_type=content_type).to_bytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_taken_as_they_are(kind: type[bytes | bytearray | memoryview]) -> None:
    """Whoever has the bytes already may give them, under every content type."""
    for content_type in ("application/octet-stream", "text/plain", "application/json"):
        message = Message(kind(b'{"a":1}'), content_type=content_type)
        assert message.body == b'{"a":1}'
    assert message.content == {"a": 1}


def test_bytes_that_are_changed_afterwards_change_no_message() -> None:
    """A message of a buffer is a message of what the buffer held."""
    buffer = bytearray(b"before")
    message = Message(buffer)
    buffer[:] = b"after."
    assert message.content == message.body == b"before"


def test_bytes_of_any_shape_are_taken() -> None:
    """A memoryview of numbers, or of every second byte, is the bytes that it shows."""
    assert Message(memoryview(b"a1b2c3")[::2]).body == b"abc"
    assert Message(memoryview(b"\x01\x00\x02\x00").cast("H")).body == b"\x01\x00\x02\x00"


def test_json_decodes_to_a_struct() -> None:
    """Content is checked against a type and made into it."""
    arrived = sent_and_received(Message(Reading("t1", 21.5)))
    assert arrived.decode(Reading) == Reading("t1", 21.5)
    assert arrived.decode(dict[str, Any]) == {"sensor": "t1", "value": 21.5}


def test_json_decodes_to_a_dataclass() -> None:
    """Dataclasses are types as well."""
    assert sent_and_received(Message(Point(1, 2))).decode(Point) == Point(1, 2)


def test_json_decodes_to_a_typed_dict() -> None:
    """So are TypedDicts."""
    content = Person(name="Ada", tags=["a"])
    assert sent_and_received(Message(content)).decode(Person) == content


def test_json_in_another_charset_decodes() -> None:
    """The charset of the content is no concern of who decodes it."""
    assert Message({"x": 1, "y": 2}, encoding="utf-16").decode(Point) == Point(1, 2)


def test_a_message_that_was_not_sent_decodes() -> None:
    """A message of one's own says its present content."""
    message = Message({"x": 1, "y": 2})
    message.content["x"] = 3
    assert message.decode(Point) == Point(3, 2)


def test_text_and_bytes_decode_to_themselves() -> None:
    """A type that content has already is checked, and nothing else is done."""
    assert Message("text").decode(str) == "text"
    assert Message(b"\x00").decode(bytes) == b"\x00"
    with pytest.raises(ContentError, match="does not fit int"):
        Message("text").decode(int)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"sensor": 5}, "$.sensor"),
        ({"sensor": "t1", "value": "hot"}, "$.value"),
        ({}, "sensor"),
        ([1], "object"),
    ],
)
def test_content_that_does_not_fit_names_the_path(content: object, said: str) -> None:
    """The error names the type that was asked for and the part that does not fit."""
    with pytest.raises(ContentError, match="does not fit Reading") as caught:
        Message(content).decode(Reading)
    assert said in str(caught.value)


def test_decoding_broken_json_says_so() -> None:
    """Broken is something else than unfit."""
    with pytest.raises(ContentError, match="not valid JSON"):
        received(b'{"x":1', "application/json", "utf-8").decode(Point)


def test_errors_keep_their_cause() -> None:
    """Whoever needs to know more finds the error of the library that found the fault."""
    with pytest.raises(ContentError) as encoding:
        Message("ü", encoding="ascii")
    with pytest.raises(ContentError) as decoding:
        _ = received(b"\xff", "text/plain", "utf-8").content
    with pytest.raises(ContentError) as reading:
        _ = received(b"{", "application/json", "utf-8").content
    assert isinstance(encoding.value.__cause__, UnicodeEncodeError)
    assert isinstance(decoding.value.__cause__, UnicodeDecodeError)
    assert isinstance(reading.value.__cause__, msgspec.DecodeError)


def test_text_is_not_taken_for_bytes_in_base64() -> None:
    """Only JSON says bytes as text; what came as text fits no type of bytes."""
    with pytest.raises(ContentError, match="Expected `bytes`, got `str`"):
        Message("aGk=").decode(bytes)
    assert Message(b"hi").decode(bytes) == b"hi"
    assert Message("aGk=", content_type="application/json").decode(bytes) == b"hi"
