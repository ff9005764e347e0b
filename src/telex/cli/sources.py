"""Makes messages of arguments, files and standard input, for ``telex send`` and other commands.

The bytes of a file are sent unchanged.
"""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from telex import Message
from telex.cli.failure import CommandError
from telex.wire.content import BINARY, BYTES, OCTET_STREAM, codec_of, form_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

INPUT: Final = "-"
"""The argument that means standard input."""

_TEXT: Final = "text/plain"
_JSON: Final = "application/json"
_COMPRESSED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
_READ_AT_ONCE: Final = 256 * 1024
_LONGEST_SHOWN: Final = 60


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raises ValueError with the position of the error."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise ValueError(f"{_shortened(text)} is not JSON: {problem.msg}, {where}") from problem
    except RecursionError as problem:
        raise ValueError(f"{_shortened(text)} nests too deep") from problem


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def parse_header(text: str) -> tuple[str, Any]:
    """Return name and value of ``name=text`` or ``name:=JSON``.

    >>> parse_header("site=north"), parse_header("attempt:=2")
    (('site', 'north'), ('attempt', 2))

    Raises ValueError.
    """
    name, equals, value = text.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not (name and equals):
        raise ValueError(f"{text!r} is neither name=value nor name:=JSON")
    return name, parse_json(value) if is_json else value


def check_encoding(encoding: str) -> None:
    """Raise ContentError or ValueError unless this is a charset, or ``binary``."""
    if encoding != BINARY:
        try:
            "".encode(codec_of(encoding))
        except LookupError as problem:
            raise ValueError(f"{encoding!r} is not a charset, such as 'utf-8'") from problem


def check_line_encoding(encoding: str) -> None:
    """Raise ContentError or ValueError for a charset in which ends of lines cannot be found."""
    check_encoding(encoding)
    if encoding != BINARY and "\n".encode(codec_of(encoding)) != b"\n":
        raise ValueError(f"in {encoding!r} a line does not end with the byte 0a; send it whole")


class MessageMaker:
    """Makes messages that all have the same fields.

    ``encoding`` is the charset of text and JSON, ``content_type`` the type of all contents; None
    derives them from the content. ``fields`` are further keyword arguments of Message.
    """

    def __init__(self, encoding: str | None, content_type: str | None, **fields: Any) -> None:
        self._encoding: Final = encoding
        self._content_type: Final = content_type
        self._fields: Final = fields

    def from_text(self, text: str) -> Message:
        """Make a message of text; raises ContentError if the charset cannot encode it."""
        encoding = None if self._encoding == BINARY else self._encoding
        body = Message(text, encoding=encoding).body
        return self._message(body, _TEXT, "it")

    def from_nothing(self) -> Message:
        """Make a message without content."""
        return self._message(b"", OCTET_STREAM, "it")

    def from_json(self, text: str) -> Message:
        """Make a message of JSON text; raises ValueError for invalid JSON."""
        body = Message(parse_json(text), content_type=_JSON, encoding=self._encoding).body
        return self._message(body, _JSON, "it")

    def from_file(self, path: str) -> Message:
        """Make a message of a file; its name tells the content type. Raises OSError."""
        return self._message(Path(path).read_bytes(), _content_type_of(path), path)

    def from_stream(self, stream: BufferedIOBase) -> Message:
        """Make one message of a whole stream; valid UTF-8 becomes text."""
        data = stream.read()
        is_text = self._encoding is not None or _why_not_text(data, "utf-8") is None
        return self._message(data, _TEXT if is_text else OCTET_STREAM, "standard input")

    def from_lines(self, stream: BufferedIOBase) -> Iterator[list[Message]]:
        r"""Make a message of each line, without its ``\n``; yield the lines of each read together.

        So the lines of a fast stream are sent in large batches, and those of a slow one without
        delay. Raises CommandError at a line that is not valid in the charset, after yielding the
        lines before.
        """
        number = 0
        for lines in _line_batches(stream):
            messages = []
            for line in lines:
                number += 1
                try:
                    messages.append(self._message(line, _TEXT, f"line {number:,}"))
                except CommandError:
                    yield messages
                    raise
            yield messages

    def _message(self, body: bytes, content_type: str, source: str) -> Message:
        content_type = self._content_type or content_type
        return Message(
            body,
            content_type=content_type,
            encoding=self._encoding_of(body, form_of(content_type), source),
            **self._fields,
        )

    def _encoding_of(self, body: bytes, form: int, source: str) -> str:
        """Return the content-encoding; raises CommandError if ``body`` is not valid in it."""
        if form == BYTES or self._encoding == BINARY:
            return BINARY
        problem = _why_not_text(body, self._encoding or "utf-8")
        if problem is None:
            return self._encoding or "utf-8"
        if self._encoding is None:
            return BINARY
        raise CommandError(f"{source} is not text in {self._encoding}: {problem}")


def _why_not_text(data: bytes, encoding: str) -> str | None:
    try:
        data.decode(codec_of(encoding))
    except UnicodeDecodeError as problem:
        return f"byte 0x{data[problem.start]:02x} at offset {problem.start:,}"
    except UnicodeError as problem:
        return str(problem)
    return None


def _content_type_of(path: str) -> str:
    guessed, compression = mimetypes.guess_type(Path(path).name)
    if compression is not None:
        return _COMPRESSED.get(compression, OCTET_STREAM)
    return guessed or OCTET_STREAM


def _line_batches(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    """Yield the lines that each read completes, and at the end an unfinished last line."""
    begun = bytearray()
    while data := stream.read1(_READ_AT_ONCE):
        complete, newline, rest = data.rpartition(b"\n")
        if newline:
            yield (bytes(begun) + complete).split(b"\n")
            begun.clear()
        begun += rest
    if begun:
        yield [bytes(begun)]
