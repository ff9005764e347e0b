"""Prints answers on standard output: unchanged for programs, and safe on a terminal.

A file or a pipe gets the content, byte for byte. JSON gets a newline at the end, to separate the
parts. On a terminal, text keeps its lines, control characters become escapes, and content that is
not text is described.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO

from telex import ContentError
from telex.cli.json_lines import json_line
from telex.cli.sizes import PROTO_HEADER_SIZE
from telex.cli.terminal import Lines, writing_to
from telex.printable import printable
from telex.wire.content import BINARY, BYTES, JSON, codec_of, form_of

if TYPE_CHECKING:
    from telex import Message

_WIDTH_OF_TAB: Final = 8


class Answer:
    """Prints the parts of an answer, each as soon as it arrives."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream: Final = stream
        self._lines: Final = Lines(stream)
        self._as_json: Final = as_json

    def show(self, part: Message) -> None:
        """Print one part; raises OutputError when that is not possible (any more)."""
        if self._as_json:
            header, _body = part.to_buffers()
            self._lines.line(json_line(part, header[PROTO_HEADER_SIZE:]))
        elif self._stream.isatty():
            for line in readable_lines(part):
                self._lines.line(line)
        else:
            with writing_to(self._stream):
                self._stream.buffer.write(part.body + _end_of_line(part))
                self._stream.buffer.flush()


def _end_of_line(part: Message) -> bytes:
    """Return a newline for JSON in UTF-8 that does not end with one."""
    is_json = form_of(part.content_type) == JSON and part.encoding in ("utf-8", BINARY)
    return b"\n" if is_json and part.body and not part.body.endswith(b"\n") else b""


def readable_lines(message: Message) -> list[str]:
    """Return the content of a message in lines that are safe to print."""
    if form_of(message.content_type) == BYTES:
        return [str(message)] if message.body else []
    try:
        text = message.body.decode(codec_of(message.encoding))
    except (ContentError, ValueError, LookupError):
        return [str(message)]
    lines = text.removesuffix("\n").split("\n") if text else []
    return [printable(line.removesuffix("\r").expandtabs(_WIDTH_OF_TAB)) for line in lines]
