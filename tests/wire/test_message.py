"""Messages: what they hold, how they change, how they are written."""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import pickle
import sys
import typing
import weakref
from typing import Any

import msgspec
import pytest

from telex import ContentError, Limits, Message, MessageProcessor, TooLargeError
from tests.framing import frame, parsed

OTHER_BYTEORDER = "big" if sys.byteorder == "little" else "little"


class Celsius(msgspec.Struct):
    """Content of a type of the application's own."""

    celsius: float


CHANGES: list[tuple[str, Any]] = [
    ("content", "new"),
    ("content", b"new"),
    ("content", {"new": True}),
    ("content", None),
    ("content_type", "text/html"),
    ("content_type", "application/json"),
    ("encoding", "utf-16-le"),
    ("subject", "new"),
    ("subject", ""),
    ("headers", {"new": [1, {"deep": None}]}),
    ("headers", {}),
    ("byteorder", OTHER_BYTEORDER),
    ("kind", "new"),
    ("id", 2**53 - 1),
    ("re", 1),
    ("timeout_ms", 1),
    ("timeout_ms", 2**53 - 1),
    ("more", True),
]

every_change = pytest.mark.parametrize(("attribute", "value"), CHANGES)

WRONG_VALUES: list[tuple[str, Any]] = [
    ("content_type", ""),
    ("content_type", "text"),
    ("content_type", "/plain"),
    ("content_type", "text/"),
    ("content_type", "a/\ud800"),
    ("encoding", ""),
    ("encoding", "klingon"),
    ("encoding", "\ud800"),
    ("subject", "\ud800"),
    ("kind", "\udfff"),
    ("byteorder", "middle"),
    ("byteorder", ""),
    ("id", 0),
    ("id", -1),
    ("id", 2**53),
    ("re", 0),
    ("re", 2**64),
    ("timeout_ms", 0),
    ("timeout_ms", 2**53),
    ("headers", {"content-type": "text/plain"}),
    ("headers", {"id": 5}),
    ("headers", {"timeout": 5}),
    ("headers", {"x": object()}),
    ("headers", {"x": float("nan")}),
]

WRONG_TYPES: list[tuple[str, Any]] = [
    ("content_type", 5),
    ("encoding", 5),
    ("subject", 5),
    ("kind", b"reply"),
    ("byteorder", 1),
    ("id", True),
    ("id", 5.0),
    ("id", "5"),
    ("re", 1.5),
    ("timeout_ms", 2.0),
    ("timeout_ms", True),
    ("more", "no"),
    ("more", 1),
    ("headers", [("x", 1)]),
    ("headers", {1: "one"}),
]


def received(message: Message) -> Message:
    """Return the message that arrives when ``message`` is sent."""
    (arrived,) = MessageProcessor().receive_messages(message.to_bytes())
    return arrived


def test_text_says_that_it_is_text() -> None:
    """A str is text in UTF-8 unless said otherwise."""
    message = Message("Grüße")
    assert message.content == "Grüße"
    assert message.content_type == "text/plain"
    assert message.encoding == "utf-8"
    assert message.body == "Grüße".encode()


@pytest.mark.parametrize("content", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_bytes_say_that_they_are_bytes(content: bytes | bytearray | memoryview) -> None:
    """Bytes-like content is binary, and comes out as bytes."""
    message = Message(content)
    assert message.content == message.body == b"\x00\xff"
    assert type(message.content) is bytes
    assert message.content_type == "application/octet-stream"
    assert message.encoding == "binary"


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], 5, 1.5, True, None])
def test_everything_else_says_that_it_is_json(content: object) -> None:
    """What is neither text nor bytes is JSON in UTF-8."""
    message = Message(content)
    assert message.content == content
    assert message.content_type == "application/json"
    assert message.encoding == "utf-8"


def test_what_is_left_out_is_absent() -> None:
    """A plain message has no kind, subject or numbers; its byte order is this machine's."""
    message = Message("x")
    assert (message.kind, message.subject) == (None, None)
    assert (message.id, message.re, message.timeout_ms) == (None, None, None)
    assert message.more is False
    assert message.headers == {}
    assert message.byteorder == sys.byteorder


@every_change
def test_what_is_given_at_first_arrives(attribute: str, value: Any) -> None:
    """Each keyword argument is an attribute, here and at the receiver."""
    fields = {"content": "old", attribute: value}
    message = Message(fields.pop("content"), **fields)
    assert getattr(message, attribute) == value
    assert getattr(received(message), attribute) == value
    assert received(message) == message


@every_change
def test_what_is_assigned_arrives(attribute: str, value: Any) -> None:
    """Whether it was made, sent or received before it was changed: a message says what it is."""
    made = Message("old", subject="old", headers={"old": 1}, id=1, re=2, timeout_ms=3)
    for message in (made, received(made)):
        message.to_bytes()
        setattr(message, attribute, value)
        assert getattr(message, attribute) == value
        assert getattr(received(message), attribute) == value
        assert received(message) == message


@every_change
def test_a_change_makes_messages_unequal(attribute: str, value: Any) -> None:
    """Messages are equal when all they say is equal: headers and body."""
    message = Message("old", subject="old", headers={"old": 1}, id=1, re=2, timeout_ms=3)
    same = Message("old", subject="old", headers={"old": 1}, id=1, re=2, timeout_ms=3)
    assert message == same
    setattr(same, attribute, value)
    assert message != same
    assert same != message


@pytest.mark.parametrize("attribute", ["subject", "kind", "id", "re", "timeout_ms"])
def test_what_was_said_can_be_taken_back(attribute: str) -> None:
    """None is absent, and stands nowhere in the header block."""
    message = Message("x", subject="s", kind="reply", id=1, re=2, timeout_ms=3)
    setattr(message, attribute, None)
    assert getattr(received(message), attribute) is None
    assert attribute.removesuffix("_ms") not in parsed(received(message)).fields


def test_the_body_cannot_be_assigned() -> None:
    """The body follows from the content, never the other way round."""
    with pytest.raises(AttributeError):
        Message("x").body = b"y"  # type: ignore[misc]


def test_changes_inside_the_content_are_sent() -> None:
    """A list or dict is looked at when the message is sent, however deep the change."""
    content = {"list": [1]}
    for message in (Message(content), received(Message(content))):
        assert received(message).content == {"list": [1]}
        message.content["list"].append(2)
        message.content["new"] = None
        assert received(message).content == {"list": [1, 2], "new": None}
        assert message.body == b'{"list":[1,2],"new":null}'


def test_changes_inside_the_headers_are_sent() -> None:
    """The application's headers are looked at when the message is sent, however deep the change."""
    made = Message("x", headers={"list": [1]})
    for message in (made, received(made)):
        message.headers["list"].append(2)
        message.headers["new"] = {}
        message.subject = "also new"
        assert received(message).headers == {"list": [1, 2], "new": {}}
        assert received(message).subject == "also new"
        del message.headers["list"]
        assert received(message).headers == {"new": {}}


def test_names_of_headers_are_text_whatever_was_written_before() -> None:
    """A number is no name, also where the same JSON has been written for a name."""
    Message("x", headers={"17": "first"}).to_bytes()
    with pytest.raises(TypeError, match="17 is not a string"):
        Message("x", headers={17: "first"})  # type: ignore[dict-item]


def test_messages_know_about_how_much_memory_they_take() -> None:
    """Body and headers count: small headers as the objects that they are, large ones as JSON."""
    small = received(Message(b""))
    assert received(Message(b"x" * 10_000)).memory_size == small.memory_size + 10_000
    for count in (10, 1_000):
        written = Message(b"", headers={str(n): n for n in range(count)})
        more = received(written).memory_size - small.memory_size
        assert len(written.to_bytes()) - len(small.to_bytes()) < more < 2_500 + 10 * count


LARGE_HEADERS = {
    "long": {"text": "x" * 3_000},
    "nested": {"lists": [[[]]] * 100, "objects": {"a": {"b": {}}}},
    "many": {str(number): number for number in range(1_000)},
}


@pytest.mark.parametrize("order", ["as Telex writes", "any order"])
@pytest.mark.parametrize("headers", LARGE_HEADERS.values(), ids=LARGE_HEADERS)
def test_large_headers_are_read_when_they_are_asked_for(
    headers: dict[str, Any], order: str
) -> None:
    """Which is no difference to whoever reads, changes, copies or sends them on."""
    block = {"subject": "s", **headers, "content-length": 0}
    if order == "any order":
        block = {"content-length": 0, "subject": "s", **headers}
    text = json.dumps(block, separators=(",", ":")).encode()
    message = MessageProcessor().receive_bytes(len(text).to_bytes(2, "big") + text)
    assert message is not None
    assert message.headers == headers
    assert message.subject == "s"
    assert received(message) == message == copy.copy(message)
    message.headers["new"] = 1
    assert received(message).headers == {**headers, "new": 1}
    message.headers = {}
    assert received(message).headers == {}


def test_headers_are_the_messages_own() -> None:
    """A message shares its headers neither with who gave them nor with another message."""
    headers = {"list": [1]}
    one = Message("x", headers=headers)
    other = Message("x", headers=headers)
    assigned = Message("x")
    assigned.headers = headers
    headers["list"].append(2)
    one.headers["list"].append(3)
    assert one.headers == {"list": [1, 3]}
    assert other.headers == assigned.headers == {"list": [1]}


def test_looking_at_json_changes_nothing() -> None:
    """Content that was read and left alone goes on as the bytes that came."""
    body = b' { "b" : 1.50, "a" : "\\u00fc", "large": 123456789012345678901234567890 } '
    header = f'{{"content-type":"application/json","content-length":{len(body)}}}'
    message = MessageProcessor().receive_bytes(frame(header, body))
    assert message is not None
    assert message.content["a"] == "ü"
    assert message.body == body
    assert message.to_bytes().endswith(body)
    message.content["a"] = "x"
    assert message.body == b'{"b":1.5,"a":"x","large":123456789012345678901234567890}'


def test_content_of_another_kind_brings_its_own_type() -> None:
    """Assigning bytes to a text message makes it binary; what fits keeps its type."""
    message = Message("text", encoding="utf-16-le")
    message.content = "more text"
    assert (message.content_type, message.encoding) == ("text/plain", "utf-16-le")
    message.content = b"bytes"
    assert (message.content_type, message.encoding) == ("application/octet-stream", "binary")
    message.content = {"a": 1}
    assert (message.content_type, message.encoding) == ("application/json", "utf-8")
    message.content = ["still", "json"]
    assert (message.content_type, message.encoding) == ("application/json", "utf-8")


def test_another_encoding_writes_the_same_text_anew() -> None:
    """The content stays, the body follows."""
    message = received(Message("grüß"))
    message.encoding = "latin-1"
    assert message.content == "grüß"
    assert message.body == b"gr\xfc\xdf"
    assert received(message).content == "grüß"


def test_the_right_encoding_makes_a_body_readable() -> None:
    """A body that a peer labelled wrongly is read once the right charset is assigned."""
    message = MessageProcessor().receive_bytes(
        frame('{"content-type":"text/plain","content-length":4}', b"gr\xfc\xdf")
    )
    assert message is not None
    with pytest.raises(ContentError):
        _ = message.content
    message.encoding = "latin-1"
    assert message.content == "grüß"
    assert message.body == b"gr\xfc\xdf"


def test_messages_are_equal_whatever_the_order_of_headers() -> None:
    """The order of headers means nothing, at any depth."""
    one = Message("x", headers={"a": 1, "b": {"c": 1, "d": 2}})
    other = Message("x", headers={"b": {"d": 2, "c": 1}, "a": 1})
    assert one == other


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0, False), ("1", 1)])
def test_messages_with_unlike_headers_are_unequal(one: Any, other: Any) -> None:
    """JSON tells 1, 1.0 and true apart, so do messages."""
    assert Message("x", headers={"x": one}) != Message("x", headers={"x": other})


def test_a_message_equals_nothing_but_messages() -> None:
    """Its content is something else."""
    message = Message("x")
    others: list[object] = ["x", b"x", None, message.to_bytes()]
    assert all(message != other for other in others)


def test_messages_are_no_keys() -> None:
    """What can change is not hashed."""
    with pytest.raises(TypeError):
        hash(Message("x"))


@pytest.mark.parametrize(("attribute", "value"), WRONG_VALUES)
def test_a_wrong_value_is_refused_and_changes_nothing(attribute: str, value: Any) -> None:
    """What the format does not allow is an error where it is said; the message stays as it was."""
    with pytest.raises(ContentError):
        Message("grüß", **{attribute: value})
    message = Message("grüß", subject="old", headers={"old": 1}, id=1, re=2)
    before = message.to_bytes()
    with pytest.raises(ContentError):
        setattr(message, attribute, value)
    assert message.to_bytes() == before
    assert message.content == "grüß"


@pytest.mark.parametrize(("attribute", "value"), WRONG_TYPES)
def test_a_value_of_a_wrong_type_is_refused_and_changes_nothing(attribute: str, value: Any) -> None:
    """A number is no string and a string no number, so that none is sent that no receiver takes."""
    with pytest.raises((ContentError, TypeError)):
        Message("grüß", **{attribute: value})
    message = Message("grüß", subject="old", headers={"old": 1}, id=1, re=2)
    before = message.to_bytes()
    with pytest.raises((ContentError, TypeError)):
        setattr(message, attribute, value)
    assert message.to_bytes() == before


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("content", "half \ud800"), ("encoding", "ascii"), ("encoding", "klingon")],
)
def test_text_that_cannot_be_written_changes_nothing(attribute: str, value: str) -> None:
    """An assignment that fails leaves a message whose content and body still agree."""
    message = Message("grüß")
    before = message.to_bytes()
    with pytest.raises(ContentError):
        setattr(message, attribute, value)
    assert message.content == "grüß"
    assert message.to_bytes() == before


def test_a_content_type_that_does_not_fit_changes_nothing() -> None:
    """Content stays readable when somebody tries to call it what it is not."""
    message = Message({"a": 1})
    with pytest.raises(ContentError):
        message.content_type = "text/plain"
    assert message.content == {"a": 1}
    assert message.content_type == "application/json"


def test_headers_broken_in_place_are_refused_when_sent() -> None:
    """What was put into the dict is looked at when the message is sent; the error names it."""
    message = Message("x", headers={"fine": 1})
    message.headers["broken"] = object()
    with pytest.raises(ContentError, match="'broken'"):
        message.to_bytes()
    del message.headers["broken"]
    assert received(message).headers == {"fine": 1}


def test_limits_are_kept_at_the_sender() -> None:
    """What the receiver will refuse for its size is refused before anything is sent."""
    message = Message("0123456789", headers={"x": "x" * 1_000})
    data = message.to_bytes(Limits(max_content_size=10, max_header_size=1_200))
    assert data == message.to_bytes()
    with pytest.raises(TooLargeError) as content:
        message.to_bytes(Limits(max_content_size=9))
    assert (content.value.part, content.value.size, content.value.max_size) == ("content", 10, 9)
    with pytest.raises(TooLargeError) as header:
        message.to_bytes(Limits(max_header_size=1_000))
    assert header.value.part == "header block"
    assert header.value.max_size == 1_000


def test_headers_grown_too_large_in_place_are_refused_when_sent() -> None:
    """A header block over 65,535 bytes is an error at the sender, whenever it became so."""
    message = Message("x")
    message.headers["x"] = "x" * 70_000
    with pytest.raises(TooLargeError, match="header block is 70,"):
        message.to_bytes()


def test_to_buffers_is_to_bytes_in_two_parts() -> None:
    """Large content can be sent without being copied behind its header."""
    message = Message(b"content", subject="s")
    header, body = message.to_buffers()
    assert header + body == message.to_bytes()
    assert body == b"content"


@pytest.mark.parametrize(
    "message",
    [
        Message("text", subject="s", headers={"x": [1]}, id=1, re=2, kind="reply", more=True),
        Message("text", kind="request", id=1, timeout_ms=2),
        Message(b"\x00", byteorder=OTHER_BYTEORDER),
        Message({"a": [1]}, encoding="utf-16-le"),
        received(Message({"a": [1]}, headers={"x": {}})),
    ],
)
def test_messages_can_be_copied_and_pickled(message: Message) -> None:
    """A message goes through a queue between processes as any value does."""
    for twin in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert twin == message
        assert twin is not message
        twin.headers["twin"] = True
        assert "twin" not in message.headers


def test_a_message_lets_go_of_what_it_held_and_of_nothing_else() -> None:
    """Whatever was done with it, it is gone when nobody has it, and nothing that others have is."""
    content, other, body = {"celsius": [21.5]}, {"celsius": [18]}, b"body" * 100
    data = Message({"a": [1]}, headers={"x": {}}).to_bytes()

    def references() -> list[int]:
        gc.collect()
        return [sys.getrefcount(held) for held in (content, other, body, data)]

    def use() -> None:
        for message in (
            Message(content, headers={"x": content}),
            Message(body),
            MessageProcessor().receive_messages(data)[0],
        ):
            twin = copy.copy(message)
            assert twin.content == message.content
            assert pickle.loads(pickle.dumps(twin)).body == copy.deepcopy(message).body
            twin.headers["other"] = other
            twin.content = content
            twin.content = other
            assert twin.to_bytes() != message.to_bytes()
            with contextlib.suppress(ContentError):
                twin.decode(int)
            twin.content = {"odd": [content, object()]}
            with contextlib.suppress(ContentError):
                twin.to_bytes()
            with contextlib.suppress(ContentError):
                Message(content, content_type="image/png", headers={"x": other})
            with contextlib.suppress(TypeError):
                Message(body, headers={"x": content}, id="x")  # type: ignore[arg-type]

    use()
    before = references()
    for _ in range(100):
        use()
    assert references() == before


def test_str_never_fails() -> None:
    """A message that cannot be sent can be printed: that is how its maker finds out why."""
    content = Message({"a\x1b": object()})
    headers = Message("x")
    headers.headers["broken"] = object()
    assert "object" in str(content)
    assert "broken" in str(headers)
    assert repr(content).isprintable()
    assert repr(headers).isprintable()


def test_a_view_is_what_content_gives_until_it_is_replaced() -> None:
    """A handler that says what it takes gets that, and what travels stays what came."""
    message = Message({"celsius": 21}, subject="weather")
    before = message.to_bytes()
    message.view_as(Celsius)
    assert message.content == Celsius(21.0)
    message.content.celsius = 5.0
    assert message.to_bytes() == before
    message.content = {"celsius": 7}
    assert message.content == {"celsius": 7}


def test_a_view_that_does_not_fit_changes_nothing() -> None:
    """The content stays what it is, and the error says what is wrong."""
    message = Message({"celsius": "warm"})
    with pytest.raises(ContentError, match=r"celsius"):
        message.view_as(Celsius)
    assert message.content == {"celsius": "warm"}


def test_an_annotation_may_name_the_content() -> None:
    """``Message[Reading]`` says what a handler takes; it is no class of its own."""
    assert typing.get_args(Message[Celsius]) == (Celsius,)
    assert typing.get_origin(Message[Celsius]) is Message


def test_messages_take_no_weak_references() -> None:
    """They have no room for that, and what mypyc would make of it crashes: see generics_plugin."""
    for message in (Message("x"), MessageProcessor().receive_bytes(Message("x").to_bytes())):
        with pytest.raises(TypeError, match="weak reference"):
            weakref.ref(message)


@pytest.mark.parametrize("length", [0, 9, 1_023, 1_024, 100_000])
@pytest.mark.parametrize("id", [None, 1, 1_024])
@pytest.mark.parametrize("re", [None, 7, 2**53 - 1])
@pytest.mark.parametrize("timeout", [None, 5, 30_000])
def test_numbers_are_written_last_and_in_order(
    length: int, id: int | None, re: int | None, timeout: int | None
) -> None:
    """Whether they are large or small, and whichever of them there are."""
    message = Message(bytes(length), timeout_ms=timeout, re=re, id=id)
    header, _body = message.to_buffers()
    numbers = f'"content-length":{length}'
    numbers += "" if id is None else f',"id":{id}'
    numbers += "" if re is None else f',"re":{re}'
    numbers += "" if timeout is None else f',"timeout":{timeout}'
    assert header.endswith(f",{numbers}}}".encode())


@pytest.mark.parametrize("where", ["content", "headers"])
def test_a_circle_through_a_message_is_collected(where: str) -> None:
    """Content and headers are a user's own objects, and may lead back to their message."""

    class Held:
        """Something of the user's."""

    held = Held()
    gone = weakref.ref(held)
    message = Message({})
    container = getattr(message, where)
    container["held"] = held
    container["message"] = message
    del message, container, held
    gc.collect()
    assert gone() is None
