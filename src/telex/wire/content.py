"""Content to body and back (wire format, ``content-type`` and ``content-encoding``).

Text goes through a charset, JSON through msgspec, everything else is bytes. The errors of codecs
and of msgspec become ``ContentError`` here and in ``typed_content``, and nowhere else. This module
knows nothing of messages, header blocks or the wire.
"""

from __future__ import annotations

import codecs
import encodings
import encodings.aliases
import functools
import math
from typing import Any, Final

from telex.errors import ContentError
from telex.wire import lazy_msgspec as msgspec
from telex.wire.typed_content import because, name_of, plain_of, reader_of

BINARY: Final = "binary"
"""The ``content-encoding`` of content that is not text."""

OCTET_STREAM: Final = "application/octet-stream"
PLAIN_TEXT: Final = "text/plain"
_DEEPEST_REPORT: Final = 64
_LONGEST_SHOWN: Final = 60

TEXT: Final = 0
JSON: Final = 1
BYTES: Final = 2

_NO_CHARSETS: Final = frozenset(
    {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
)
"""Text codecs that are no charsets: they warn, or take quadratic time, which a peer could use."""


_UTF_16: Final = frozenset({"utf_16", "utf16", "u16"})
_BYTE_ORDER_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_binary(encoding: str) -> bool:
    """Say whether a ``content-encoding`` says that there is no charset."""
    return encoding == BINARY or encoding.lower() == BINARY


def is_octet_stream(content_type: str) -> bool:
    """Say whether a media type is that of bytes of no particular type."""
    return content_type == OCTET_STREAM or _essence_of(content_type) == OCTET_STREAM


def _essence_of(content_type: str) -> str:
    return content_type.partition(";")[0].rstrip(" \t").lower()


def form_of(content_type: str) -> int:
    """Say whether a media type is ``TEXT``, ``JSON`` or, as all the unknown ones, ``BYTES``."""
    if content_type == OCTET_STREAM:
        return BYTES
    if content_type == PLAIN_TEXT:
        return TEXT
    essence = _essence_of(content_type)
    if essence in ("application/json", "text/json") or essence.endswith("+json"):
        return JSON
    if essence.startswith("text/"):
        return TEXT
    return BYTES


def natural_type(content: object) -> str:
    """Say which content type a Python object has when nobody says otherwise."""
    if isinstance(content, str):
        return PLAIN_TEXT
    if isinstance(content, (bytes, bytearray, memoryview)):
        return OCTET_STREAM
    return "application/json"


def default_encoding(form: int) -> str:
    """Return the ``content-encoding`` that is meant when none is given."""
    return BINARY if form == BYTES else "utf-8"


def fits(content: object, form: int) -> bool:
    """Say whether content can stay under its content type when it is assigned anew."""
    if isinstance(content, str):
        return form != BYTES
    if isinstance(content, (bytes, bytearray, memoryview)):
        return form == BYTES
    return form == JSON


def encode(content: object, content_type: str, encoding: str) -> bytes:
    """Turn content into the bytes that travel.

    Raises ContentError, naming the type of the content and the part of it at fault, when it does
    not fit its content type or its charset. Bytes need no encoding, and are none of this.
    """
    form = form_of(content_type)
    if form == JSON:
        return _encode_json(content, encoding)
    if isinstance(content, str) and form == TEXT:
        return _encode_text(content, encoding)
    wanted = "str or bytes" if form == TEXT else "bytes"
    raise ContentError(
        f"content of type {_type_name(content)} does not fit content type {content_type!r}, "
        f"which takes {wanted}"
    )


def decode(body: bytes, form: int, encoding: str) -> object:
    """Turn the bytes that travelled into content; raises ContentError when they do not decode."""
    if form == JSON:
        return decode_json(body, encoding, Any)
    if form == TEXT and not is_binary(encoding):
        return decode_text(body, encoding)
    return body


def decode_json(body: bytes, encoding: str, type_: Any) -> Any:
    """Read a JSON body as ``type_``.

    Raises ContentError naming what does not fit, and where, and TypeError for a type that cannot
    be checked.
    """
    text: str | bytes = body
    if not _is_utf_8(encoding):
        text = decode_text(body, encoding)
    return reader_of(type_).from_json(text)


def convert(content: object, type_: Any) -> Any:
    """Check content that did not travel as JSON against ``type_``; raises what decoding does."""
    return reader_of(type_).from_plain(content)


def codec_of(encoding: str) -> str:
    """Return Python's name for a charset; raises ContentError for one that Python does not know.

    Names from a peer are compared with the known ones and never handed to ``codecs.lookup``, whose
    cache of what it was asked for is never emptied.
    """
    if encoding == "utf-8":
        return encoding
    name = encodings.normalize_encoding(encoding.lower())
    if name in _known_codecs() and encoding.isascii() and encoding.isprintable():
        return name
    shown = encoding if len(encoding) <= _LONGEST_SHOWN else f"{encoding[:_LONGEST_SHOWN]}…"
    raise ContentError(f"unknown charset {shown!r}; Python's names, such as 'utf-8', are known")


@functools.cache
def _known_codecs() -> frozenset[str]:
    import pkgutil  # here, because messages in the usual charsets do without

    aliases = encodings.aliases.aliases
    modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    return frozenset(modules | aliases.keys() | set(aliases.values())) - _NO_CHARSETS


def _is_utf_8(encoding: str) -> bool:
    """Say whether JSON needs no charset but its own; JSON in bytes is JSON in UTF-8."""
    return encoding == "utf-8" or is_binary(encoding)


def _encode_text(text: str, encoding: str) -> bytes:
    codec = codec_of(encoding)
    try:
        return text.encode(codec)
    except UnicodeEncodeError as problem:
        culprit = ascii(text[problem.start])
        message = f"text cannot be written in {encoding!r}: {culprit} at index {problem.start}"
        raise because(f"{message}, {problem.reason}", problem)
    except (UnicodeError, LookupError) as problem:
        raise because(f"text cannot be written in {encoding!r}: {problem}", problem)


def decode_text(body: bytes, encoding: str) -> str:
    """Read text in a charset; raises ContentError where it is not, or the charset is unknown."""
    codec = codec_of(encoding)
    if codec in _UTF_16 and not body.startswith(_BYTE_ORDER_MARKS):
        codec = "utf-16-le"  # Python takes the byte order of the machine
    try:
        return body.decode(codec)
    except (UnicodeError, LookupError) as problem:
        raise because(f"content is not text in {encoding!r}: {problem}", problem)


def _encode_json(content: object, encoding: str) -> bytes:
    message = f"content of type {_type_name(content)} cannot be written as JSON"
    try:
        try:
            body = msgspec.json.encode(content)
        except TypeError:  # there may be pydantic models in it
            content = plain_of(content)
            body = msgspec.json.encode(content)
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        part, path = _offending_part(content)
        raise because(f"{message}: {_type_name(part)} at {path}: {problem}", problem)
    if b"null" in body:
        not_finite = _path_of_not_finite(content)
        if not_finite is not None:
            raise ContentError(
                f"{message}: JSON has no number for the NaN or infinity at {not_finite}"
            )
    if _is_utf_8(encoding):
        return body
    return _encode_text(body.decode("utf-8"), encoding)


def _offending_part(content: object) -> tuple[object, str]:
    """Descend to the innermost part of ``content`` that cannot be written, and its path."""
    part, path = content, "$"
    for _level in range(_DEEPEST_REPORT):
        for child, child_path in _children(part, path):
            if not _is_writable(child):
                part, path = child, child_path
                break
        else:
            break
    return part, path


def _children(value: object, path: str) -> list[tuple[object, str]]:
    if isinstance(value, dict):
        return [(item, f"{path}.{key}") for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, msgspec.Struct):
        return [(getattr(value, name), f"{path}.{name}") for name in value.__struct_fields__]
    return []


def _is_writable(value: object) -> bool:
    try:
        msgspec.json.encode(plain_of(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def _type_name(value: object) -> str:
    return name_of(type(value))


def _path_of_not_finite(content: object) -> str | None:
    """Return the path of a NaN or infinity inside ``content``, or None.

    JSON has no such numbers, and msgspec writes ``null`` for them without a word.
    """
    waiting: list[tuple[object, str]] = [(content, "$")]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                return path
        elif isinstance(value, (dict, list, tuple, msgspec.Struct)):
            waiting.extend(_children(value, path))
        elif value is not None and not isinstance(value, (str, int, bytes, msgspec.Raw)):
            waiting.append((msgspec.to_builtins(value), path))
    return None
