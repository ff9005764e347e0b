"""A second parser of the wire format, written from its description and deliberately naive.

It takes a whole byte string and says what must come of it. It knows `json` and `struct`, nothing of
Telex, and is never fast: where it and Telex disagree, one of the two has misread the format.
"""

from __future__ import annotations

import json
import string
import struct
from typing import NamedTuple, NoReturn

MAX_DEPTH = 64
MAX_SAFE_INTEGER = 2**53 - 1
JSON_WHITESPACE = b" \t\n\r"
TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
CHARSETS = {
    "utf-8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
}
"""The charsets that every receiver knows, but for utf-16, by the names that Python has for them."""


class Parsed(NamedTuple):
    """One message: its fields as they are to be understood, and its body.

    Defaults are filled in and ``content-length`` is left out, being the length of the body.
    ``byteorder`` is None when the sender did not say it.
    """

    fields: dict[str, object]
    body: bytes


class Failure(NamedTuple):
    """Why the stream cannot be read on.

    ``code`` is ``bad-message``, ``too-large`` or ``incomplete`` (the stream ended inside a
    message), ``offset`` is where the broken message begins, ``after`` how many bytes of the stream
    are enough to know that it is broken.
    """

    code: str
    offset: int
    after: int


class Outcome(NamedTuple):
    """What must come of a stream: the messages, and the failure that ends it, if one does."""

    messages: list[Parsed]
    failure: Failure | None


class _BrokenMessageError(Exception):
    """The message being read is broken: ``code`` and ``after`` as in Failure."""

    def __init__(self, code: str, after: int) -> None:
        super().__init__(code, after)
        self.code = code
        self.after = after


def parse(
    data: bytes, *, max_header_size: int = 16 * 1024, max_content_size: int = 16 * 1024 * 1024
) -> Outcome:
    """Read every message of the stream ``data``, which ends where ``data`` ends."""
    messages: list[Parsed] = []
    start = 0
    while start < len(data):
        try:
            message, end = _parse_message(data, start, max_header_size, max_content_size)
        except _BrokenMessageError as broken:
            return Outcome(messages, Failure(broken.code, start, broken.after))
        messages.append(message)
        start = end
    return Outcome(messages, None)


def parse_header_block(block: bytes) -> tuple[dict[str, object], int]:
    """Read one header block to the fields as they are to be understood, and the content length.

    Raises ValueError when the block is broken.
    """
    if block[0] not in b"{" + JSON_WHITESPACE:
        raise ValueError("not a JSON object")
    text = block.decode("utf-8")
    if _depth(text) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    header = json.loads(
        text,
        object_pairs_hook=_object_without_repeats,
        parse_int=_integer,
        parse_float=_finite,
        parse_constant=_not_a_number,
    )
    json.dumps(header, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be encoded
    if isinstance(header, dict):
        return _understand(header)
    raise ValueError("not a JSON object")


def read_content(message: Parsed) -> dict[str, object]:
    """Read the body: its ``text`` or ``json``, ``unreadable``, or nothing where it is bytes."""
    content_type = str(message.fields["content-type"])
    charset = str(message.fields["content-encoding"]).lower()
    form = _form_of(_essence_of(content_type))
    if form == "json" and charset == "binary":
        charset = "utf-8"
    if form == "bytes" or charset == "binary":
        return {}
    try:
        text = _decode(message.body, charset)
        return {form: _read_json(text) if form == "json" else text}
    except ValueError:
        return {"unreadable": True}


def _form_of(essence: str) -> str:
    """Say what content of a media type is."""
    if essence in ("application/json", "text/json") or essence.endswith("+json"):
        return "json"
    return "text" if essence.startswith("text/") else "bytes"


def _decode(body: bytes, charset: str) -> str:
    """Read text in a charset that every receiver knows."""
    if charset == "utf-16":
        if body[:2] == b"\xfe\xff":
            return body[2:].decode("utf-16-be")
        return body.removeprefix(b"\xff\xfe").decode("utf-16-le")
    if charset not in CHARSETS:
        raise ValueError("an unknown charset")
    return body.decode(CHARSETS[charset])


def _read_json(text: str) -> object:
    """Read content that is JSON; of members of one name the last counts."""
    value = json.loads(text, parse_float=_finite, parse_constant=_not_a_number)
    json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    return value


def _parse_message(
    data: bytes, start: int, max_header_size: int, max_content_size: int
) -> tuple[Parsed, int]:
    """Read the message that begins at ``start``; return it and where the next one begins."""
    end_of_stream = len(data)
    if end_of_stream < start + 2:
        raise _BrokenMessageError("incomplete", end_of_stream)
    (header_size,) = struct.unpack_from(">H", data, start)
    if header_size < 2 or header_size > max_header_size:
        raise _BrokenMessageError("bad-message", start + 2)
    header_start = start + 2
    if end_of_stream > header_start and data[header_start] not in b"{" + JSON_WHITESPACE:
        raise _BrokenMessageError("bad-message", header_start + 1)
    content_start = header_start + header_size
    if end_of_stream < content_start:
        raise _BrokenMessageError("incomplete", end_of_stream)
    try:
        fields, content_length = parse_header_block(data[header_start:content_start])
    except ValueError:
        raise _BrokenMessageError("bad-message", content_start) from None
    if content_length > max_content_size:
        raise _BrokenMessageError("too-large", content_start)
    end = content_start + content_length
    if end_of_stream < end:
        raise _BrokenMessageError("incomplete", end_of_stream)
    return Parsed(fields, data[content_start:end]), end


def _depth(text: str) -> int:
    """Return how deeply the arrays and objects of a JSON text are nested."""
    deepest = depth = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict of a JSON object's members, none of which may be repeated."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a field is repeated")
    return members


def _integer(digits: str) -> int:
    """Read an integer that fits in a double, though not exactly."""
    _finite(digits)
    return int(digits)


def _finite(digits: str) -> float:
    """Read a number that fits in a double."""
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number too large for a double")
    return number


def _not_a_number(name: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's json takes for numbers."""
    raise ValueError(f"{name} is not JSON")


def _understand(header: dict[str, object]) -> tuple[dict[str, object], int]:
    """Check the fields that the format knows, and fill in the defaults of those left out."""
    fields = {"byteorder": None, "content-type": "application/octet-stream", **header}
    content_length = _integer_field(fields.pop("content-length", None), 0)
    if header.get("byteorder", "little") not in ("little", "big"):
        raise ValueError("byteorder is little or big")
    essence = _essence_of(_string_field(fields["content-type"]))
    main_type, _, subtype = essence.partition("/")
    if not _is_token(main_type) or not _is_token(subtype):
        raise ValueError("content-type is type/subtype")
    fields.setdefault("content-encoding", "binary" if _form_of(essence) == "bytes" else "utf-8")
    if not _string_field(fields["content-encoding"]):
        raise ValueError("content-encoding is empty")
    for name in ("kind", "subject"):
        _string_field(header.get(name, ""))
    for name in ("id", "re", "timeout"):
        _integer_field(header.get(name, 1), 1)
    if header.get("more", True) is not True:
        raise ValueError("more is true, or absent")
    return fields, content_length


def _essence_of(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    essence, semicolon, _ = content_type.partition(";")
    return (essence.rstrip(" \t") if semicolon else essence).lower()


def _is_token(text: str) -> bool:
    """Say whether a text is a token of RFC 9110."""
    return text != "" and all(character in TOKEN_CHARACTERS for character in text)


def _string_field(value: object) -> str:
    """Return ``value``, which must be a string."""
    if isinstance(value, str):
        return value
    raise ValueError("not a string")


def _integer_field(value: object, least: int) -> int:
    """Return ``value``, which must be an integer from ``least`` to 2^53-1, and not a boolean."""
    if not isinstance(value, int) or isinstance(value, bool):
        value = -1
    if value < least or value > MAX_SAFE_INTEGER:
        raise ValueError("not an integer in the range of this field")
    return value
