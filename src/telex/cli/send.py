"""``telex send``: sends messages from arguments, files and standard input to a server."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from telex import Limits
from telex.cli.destination import (
    Authority,
    Certificate,
    Insecure,
    Key,
    To,
    TokenFile,
    read_destination,
)
from telex.cli.log import shown_log
from telex.cli.message_options import ContentType, Encoding, Headers, Subject, message_maker
from telex.cli.options import DEFAULT_ADDRESS, parse_option, refuse_if
from telex.cli.progress import SendingProgress
from telex.cli.sizes import counted, parse_size
from telex.cli.sources import INPUT
from telex.cli.terminal import standard_error, standard_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex import Message
    from telex.cli.sources import MessageMaker

_BATCH_SIZE: Final = 256 * 1024
_BATCH_MESSAGES: Final = 1024


def send(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", hidden=True, show_default=False)
    ] = None,
    json_text: Annotated[
        list[str] | None, typer.Option("--json", metavar="TEXT", help="Send JSON.")
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Send a file as it is; its name tells the content type."),
    ] = None,
    lines: Annotated[
        bool,
        typer.Option("--lines", metavar="", help="With -: send each line as soon as it arrives."),
    ] = False,
    count: Annotated[int, typer.Option(metavar="N", help="Send all messages N times.")] = 1,
    subject: Subject = None,
    header: Headers = None,
    content_type: ContentType = None,
    encoding: Encoding = None,
    to: To = DEFAULT_ADDRESS,
    chunk_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Send in pieces of this size, to watch them arrive."),
    ] = None,
    delay: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="With --chunk-size: pause between pieces.", show_default=False
        ),
    ] = 0.0,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long the server may take to read what is sent."),
    ] = 60.0,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", metavar="", help="Print errors only."),
    ] = False,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Send messages to a server, and wait until it has read them.

    Each TEXT is a message; - is all of standard input. The order is: texts, JSON,
    files, standard input. If one of them cannot be made, nothing is sent, except
    with --lines.

    Files and standard input are sent unchanged. The name of a file tells its
    content type; standard input is text if it is UTF-8, or with --encoding.

    The exit code is 1 if the server refuses a message, ends the connection, or
    has not read everything in time after the last message. A subject without a
    handler is no refusal: only the server's log mentions it. Messages from the
    server are not shown.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    contents = _Contents(text or [], json_text or [], file or [], lines, count)
    contents.check()
    refuse_if(not delay >= 0, "--delay: it must not be negative")
    refuse_if(delay > 0 and chunk_size is None, "--delay: it needs --chunk-size")
    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    piece_size = (
        None if chunk_size is None else parse_option("--chunk-size", parse_size, chunk_size)
    )
    refuse_if(piece_size == 0, "--chunk-size: a piece has at least 1 byte")
    maker = message_maker(subject, header, content_type, encoding, of_lines=lines)
    destination = read_destination(to, token_file, ca, cert, key, insecure)
    messages = contents.read(maker)
    batches = _batches(messages, count)
    if lines:
        batches = itertools.chain(batches, maker.from_lines(standard_input()))
    largest = max((len(message.body) for message in messages), default=0)
    total = None if lines else count * sum(len(message.body) for message in messages)

    from telex.cli.delivery import deliver

    with shown_log(with_endings=True), SendingProgress(total, visible=not quiet) as progress:
        limits = Limits(max_content_size=max(largest, Limits().max_content_size))
        deliver(batches, destination, limits, piece_size, delay, timeout, progress)
    if not quiet:
        sizes = f"{counted(progress.messages, 'message')}, {counted(progress.bytes, 'byte')}"
        standard_error().line(f"sent {sizes}, to {destination.address}")


@dataclass(frozen=True, slots=True)
class _Contents:
    """The contents to send, as the command line gives them."""

    texts: list[str]
    json_texts: list[str]
    files: list[str]
    lines: bool
    count: int

    def check(self) -> None:
        """Raise UsageError for options that do not fit together."""
        is_empty = not (self.texts or self.json_texts or self.files)
        reads_input = INPUT in self.texts
        refuse_if(is_empty, "nothing to send: give TEXT, --json, --file, or - for standard input")
        refuse_if(self.texts.count(INPUT) > 1, "-: standard input can be read only once")
        refuse_if(self.lines and not reads_input, "--lines: it needs - for standard input")
        refuse_if(self.count < 1, "--count: it must be at least 1")
        refuse_if(self.lines and self.count > 1, "--count: lines can be read only once")

    def read(self, maker: MessageMaker) -> list[Message]:
        """Make all messages except those of ``--lines``, which are made one by one later."""
        messages = [maker.from_text(text) for text in self.texts if text != INPUT]
        messages += [parse_option("--json", maker.from_json, text) for text in self.json_texts]
        messages += [maker.from_file(path) for path in self.files]
        if INPUT in self.texts and not self.lines:
            messages.append(maker.from_stream(standard_input()))
        return messages


def _batches(messages: list[Message], count: int) -> Iterator[list[Message]]:
    """Yield the messages, repeated ``count`` times, in lists of limited length and size."""
    batch: list[Message] = []
    size = 0
    for message in itertools.chain.from_iterable(itertools.repeat(messages, count)):
        batch.append(message)
        size += len(message.body)
        if size >= _BATCH_SIZE or len(batch) >= _BATCH_MESSAGES:
            yield batch
            batch = []
            size = 0
    if batch:
        yield batch
