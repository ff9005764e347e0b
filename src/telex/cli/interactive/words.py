"""What can be typed at ``telex connect``: the commands, and how a line is understood.

It only reads lines; what is done about them is ``talk``'s.
"""

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
"""What stands for no subject, and for no headers."""

_SLASH: Final = "/"
_WORD: Final = re.compile(r"\s*(\S*)\s*(.*)", re.DOTALL)


class Word(NamedTuple):
    """A command: what follows it, and what it does."""

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
    """A line that was understood: a command, or None for text, and what it is about."""

    command: str | None
    rest: str


def read_line(line: str) -> Line | None:
    """Return what a line means; None where nothing was typed.

    >>> read_line("/request greet you"), read_line("//request")
    (Line(command='/request', rest='greet you'), Line(command=None, rest='/request'))

    Raises UsageError for a command that there is not.
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
    """Return the first word of a text, and what is behind it.

    >>> first_word(" greet  you all")
    ('greet', 'you all')
    """
    match = _WORD.fullmatch(text)
    assert match is not None  # every text is white space, a word and the rest
    return match[1], match[2]
