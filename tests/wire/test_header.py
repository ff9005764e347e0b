"""What header blocks say: which fields are refused and how the error reads, and their defaults."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from telex import ContentError, Message
from tests.framing import check_refused, frame, receive


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
        ('"content-length":0,"timeout":2.5', "timeout", "is 2.5"),
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


@pytest.mark.parametrize(
    "values", [[1, True, 1.0], [0, False, -0.0, 0.0], ["1", 1], [None, "null"], [[], {}, ""]]
)
def test_headers_that_python_takes_for_equal_are_kept_apart(values: list[Any]) -> None:
    """What was written once for one message is not sent for another that says something else."""
    sent = [Message("", headers={"x": value}) for value in values]
    received = [receive(message.to_bytes()).headers["x"] for message in sent]
    assert [repr(value) for value in received] == [repr(value) for value in values]
    assert all(one != other for one in sent for other in sent if one is not other)


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
        ({"x": 10**309}, "number too large for a 64-bit float"),
        ({"x": 10**5_000}, "'x'"),
        ({"content-length": 5}, "'content-length' belongs to the wire format"),
        ({"subject": "s"}, "'subject' belongs to the wire format"),
        ({"timeout": 5}, "'timeout' belongs to the wire format"),
    ],
)
def test_headers_that_no_receiver_takes_are_refused_at_the_sender(
    headers: dict[str, Any], said: str
) -> None:
    """What the format does not allow is an error where it is written, and names the header."""
    with pytest.raises(ContentError, match=said):
        Message("", headers=headers)


@pytest.mark.parametrize(
    "content_type", ["a/b/c", "text/;x", "text/ ", " text/plain", "text/plain ", "a/ü"]
)
def test_a_content_type_of_another_form_is_refused_at_the_sender(content_type: str) -> None:
    """What no receiver takes is an error where it is written."""
    with pytest.raises(ContentError, match="not a media type"):
        Message(b"", content_type=content_type)
