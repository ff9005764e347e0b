"""``telex request``: one request to a server, and the answer on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from telex import Limits, Message
from telex.cli.answer import Answer
from telex.cli.destination import (
    Authority,
    Certificate,
    Insecure,
    Key,
    To,
    TokenFile,
    read_destination,
)
from telex.cli.log import errors_only
from telex.cli.message_options import ContentType, Encoding, Headers, Subject, message_maker
from telex.cli.options import DEFAULT_ADDRESS, parse_option, refuse_if
from telex.cli.sources import INPUT
from telex.cli.terminal import standard_input

if TYPE_CHECKING:
    from telex.cli.sources import MessageMaker


def request(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", hidden=True, show_default=False)
    ] = None,
    json_text: Annotated[
        str | None, typer.Option("--json", metavar="TEXT", help="Send JSON.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Send a file as it is; its name tells the content type."),
    ] = None,
    subject: Subject = None,
    header: Headers = None,
    content_type: ContentType = None,
    encoding: Encoding = None,
    to: To = DEFAULT_ADDRESS,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long each part of the answer may take."),
    ] = 10.0,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines", metavar="", help="Print each part as a line of JSON, with its header."
        ),
    ] = False,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> None:
    """Ask a server, and print what it answers.

    TEXT is the content; - is all of standard input. Without TEXT, --json and
    --file the request has no content.

    A file or a pipe gets the answer unchanged, byte for byte, with a newline
    after JSON. On a terminal, text is shown with escapes for control characters,
    and other content is described. An answer in parts is printed part by part.

    If the server refuses or fails, stderr gets one line with the error's code,
    and the exit code is 1. The same happens when no answer comes in time.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    given = [option for option in (text, json_text, file) if option is not None]
    refuse_if(len(given) > 1, "a request has one content: TEXT, --json or --file")
    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    maker = message_maker(subject, header, content_type, encoding)
    destination = read_destination(to, token_file, ca, cert, key, insecure)
    message = _make(maker, text, json_text, file)
    answer = Answer(sys.stdout, as_json=json_lines)
    limits = Limits(max_content_size=max(len(message.body), Limits().max_content_size))
    with errors_only(), destination.connect(limits) as connection:
        for part in connection.request_parts(message, timeout=timeout):
            answer.show(part)


def _make(
    maker: MessageMaker, text: str | None, json_text: str | None, file: str | None
) -> Message:
    if text == INPUT:
        return maker.from_stream(standard_input())
    if text is not None:
        return maker.from_text(text)
    if json_text is not None:
        return parse_option("--json", maker.from_json, json_text)
    return maker.from_nothing() if file is None else maker.from_file(file)
