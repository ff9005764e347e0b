"""The commands of ``telex connect``, and how a line is parsed; ``talk`` does the commands."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from telex.cli.failure import UsageError

REQUEST: Final = "/request"
JSON: Final = "/json"
FILE: Final = "/file"
SUBJECT: Final = "/subject"
HEADERS: Final = "/headers"
PING: Final = "/ping"
HELP: Final = "/help"
QUIT: Final = "/quit"

NONE: Final = "-"
"""The argument that means no subject, or no headers."""

_SLASH: Final = "/"
_WORD: Final = re.compile(r"\s*(\S*)\s*(.*)", re.DOTALL)


class Word(NamedTuple):
    """A command: its arguments, and what it does."""

    arguments: str
    meaning: str


COMMANDS: Final = {
    REQUEST: Word("SUBJECT [TEXT]", "ask, and show the answer"),
    JSON: Word("JSON", "send JSON"),
    FILE: Word("PATH", "send a file; its name tells the content type"),
    SUBJECT: Word("[NAME]", "the subject of what is sent; - is none"),
    HEADERS: Word("[NAME=VALUE]", "headers that are sent along; -NAME drops one"),
    PING: Word("", "how long is the way there and back?"),
    HELP: Word("", "this"),
    QUIT: Word("", "leave, as Ctrl-D does"),
}

HELP_LINES: Final = [
    "What you type is sent as text, and // sends a text that begins with /.",
    *(f"  {f'{name} {word.arguments}':<26}{word.meaning}" for name, word in COMMANDS.items()),
    "A request may carry JSON or a file: /request SUBJECT /json JSON, or /file PATH.",
    "A header that is no text is NAME:=JSON. Ctrl-C drops the line that is being",
    "typed, else the requests that wait.",
]


class Line(NamedTuple):
    """A parsed line: a command, or None for text, and the rest of the line."""

    command: str | None
    rest: str


def read_line(line: str) -> Line | None:
    """Return the parsed line; None for an empty line.

    >>> read_line("/request greet you"), read_line("//request")
    (Line(command='/request', rest='greet you'), Line(command=None, rest='/request'))

    Raises UsageError for an unknown command.
    """
    if not line.strip():
        return None
    if not line.startswith(_SLASH):
        return Line(None, line)
    if line.startswith(_SLASH * 2):
        return Line(None, line[1:])
    command, rest = first_word(line)
    if command not in COMMANDS:
        raise UsageError(
            f"there is no {command}; /help shows what there is, // sends a text with /"
        )
    return Line(command, rest.rstrip())


def first_word(text: str) -> tuple[str, str]:
    """Return the first word of a text, and the text after it.

    >>> first_word(" greet  you all")
    ('greet', 'you all')
    """
    match = _WORD.fullmatch(text)
    assert match is not None  # every text is white space, a word and the rest
    return match[1], match[2]
