"""``telex decode``: decodes captured bytes into messages.

It reads exactly the bytes that the processor needs next. So it knows the position of each part, and
can say where and why invalid bytes stop it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from telex import Limits, Message, MessageProcessor, ProtocolError, State
from telex.cli.failure import CommandError
from telex.cli.hexadecimal import bytes_from_hex
from telex.cli.json_lines import json_line
from telex.cli.sizes import counted
from telex.cli.terminal import Lines, standard_input, standard_output
from telex.limits import MAX_HEADER_BLOCK, MAX_SAFE_INTEGER
from telex.printable import printable

_READ_AT_ONCE: Final = 1024 * 1024
_NO_LIMITS: Final = Limits(max_header_size=MAX_HEADER_BLOCK, max_content_size=MAX_SAFE_INTEGER)


def decode(
    file: Annotated[str, typer.Argument(metavar="FILE", hidden=True)] = "-",
    hexadecimal: Annotated[
        bool,
        typer.Option("--hex", metavar="", help="Read hex digits, with white space anywhere."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", metavar="", help="Each message as a line of JSON."),
    ] = False,
) -> None:
    """Turn bytes captured from a wire into messages.

    The bytes are read from FILE, or from standard input. For each message, its
    offset, its header block as it was sent, and the message are shown.

    Where the bytes break the wire format, or end in the middle of a message, an
    error says where and why, and the exit code is 1. No size is too large.

    With --json, a message is {"offset": N, "header": {…}, "content": …}; content
    that is neither text nor JSON, or does not match its header, is in
    "content_base64" instead.
    """
    lines = standard_output()
    show = _show_json if as_json else _show
    complete = 0
    with _opened(file, hexadecimal) as stream:
        try:
            for found in find_messages(stream):
                show(lines, found)
                complete += 1
        except ProtocolError as problem:
            source = "standard input" if file == "-" else file
            raise CommandError(
                f"{source}: {problem} ({counted(complete, 'message')} before it)"
            ) from problem


@dataclass(frozen=True, slots=True)
class Found:
    """A message in a stream of bytes: its offset, and its header block as it was sent."""

    offset: int
    header_block: bytes
    message: Message


def find_messages(stream: io.BufferedIOBase) -> Iterator[Found]:
    """Yield the messages in a stream of bytes; raises ProtocolError where it is invalid."""
    processor = MessageProcessor(_NO_LIMITS)
    begin = position = 0
    header_block = b""
    while piece := stream.read(min(processor.bytes_needed, _READ_AT_ONCE)):
        if processor.state is State.HEADER:
            header_block += piece
        position += len(piece)
        message = processor.receive_bytes(piece)
        if message is not None:
            yield Found(begin, header_block, message)
            begin = position
            header_block = b""
    processor.receive_eof()


def _show(lines: Lines, found: Found) -> None:
    size = counted(len(found.header_block), "byte")
    lines.line((f"byte {found.offset:,}", "cyan"), f": header block of {size}")
    lines.line("  ", (printable(found.header_block.decode("utf-8")), "dim"))
    lines.line("  ", (str(found.message), "bold"))


def _show_json(lines: Lines, found: Found) -> None:
    lines.line(json_line(found.message, found.header_block, offset=found.offset))


@contextlib.contextmanager
def _opened(file: str, hexadecimal: bool) -> Iterator[io.BufferedIOBase]:
    with contextlib.ExitStack() as files:
        stream = standard_input() if file == "-" else files.enter_context(Path(file).open("rb"))
        yield io.BytesIO(bytes_from_hex(stream.read())) if hexadecimal else stream
