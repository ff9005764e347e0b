"""The options that describe a message, for all commands that send messages.

They become a MessageMaker; the commands give it the content.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from telex import ContentError, Message, TooLargeError
from telex.cli.failure import UsageError
from telex.cli.options import parse_option, refuse_if
from telex.cli.sources import MessageMaker, check_encoding, check_line_encoding, parse_header

_OWN_OPTIONS: Final = {
    "subject": "--subject",
    "content-type": "--content-type",
    "content-encoding": "--encoding",
}

Subject = Annotated[
    str | None,
    typer.Option(
        "--subject", metavar="SUBJECT", help="The subject of the message; it chooses the handler."
    ),
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header", metavar="NAME=VALUE", help="A header of your own; NAME:=JSON if not text."
    ),
]
ContentType = Annotated[
    str | None,
    typer.Option(
        "--content-type",
        metavar="TYPE",
        help="The content type, such as text/csv, instead of the guessed one.",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="CHARSET", help="The charset of the sent text, if not UTF-8."
    ),
]


def message_maker(
    subject: str | None,
    headers: list[str] | None,
    content_type: str | None,
    encoding: str | None,
    *,
    of_lines: bool = False,
) -> MessageMaker:
    """Return the MessageMaker for these options; raises UsageError for impossible fields.

    With ``of_lines``, the encoding must be one in which the ends of lines can be found.
    """
    if encoding is not None:
        parse_option("--encoding", check_line_encoding if of_lines else check_encoding, encoding)
    fields: dict[str, Any] = {"subject": subject, "headers": _read_headers(headers or [])}
    try:
        Message(b"", content_type=content_type, **fields).to_bytes()
    except (ContentError, TooLargeError) as problem:
        raise UsageError(str(problem)) from problem
    return MessageMaker(encoding, content_type, **fields)


def _read_headers(options: list[str]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    for option in options:
        name, value = parse_option("--header", parse_header, option)
        refuse_if(name in headers, f"--header: {name!r} is there twice")
        refuse_if(name in _OWN_OPTIONS, f"--header: {name!r} is set by {_OWN_OPTIONS.get(name)}")
        headers[name] = value
    return headers
