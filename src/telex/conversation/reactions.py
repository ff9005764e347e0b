"""How a conversation reacts: what follows from each thing that may arrive, in each phase.

The table is the specification (wire format, "reactions"): the page is written from it, the
conversations in ``conformance/conversations.json`` cover each cell, and the code is held to it. The
code does not look into it, so that no message pays for it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from telex.conversation.states import Phase


class Role(Enum):
    """Which end of a connection reacts."""

    SERVER = "server"
    CLIENT = "client"


class Arrival(Enum):
    """What may arrive."""

    PLAIN = "plain message"
    REQUEST = "`request`"
    REQUEST_WITHOUT_ID = "`request` without `id`"
    REQUEST_AGAIN = "`request` with the `id` of an unanswered request"
    REPLY = "`reply` to a request that waits"
    LATE_REPLY = "`reply` to a request that was given up"
    UNASKED_REPLY = "`reply` to what is answered or was not asked, to a `ping`, or without `re`"
    ERROR = "`error` with the `re` of a request or `ping` that waits"
    LATE_ERROR = "`error` with the `re` of a request or `ping` that was given up"
    UNASKED_ERROR = "`error` with the `re` of what is answered or was not asked"
    ENDING_ERROR = "`error` without `re`, its code ends the conversation"
    NOTICE = "`error` without `re`, any other code"
    PING = "`ping`"
    PING_WITHOUT_ID = "`ping` without `id`"
    PONG = "`pong` to a `ping` that waits"
    LATE_PONG = "`pong` to a `ping` that was given up"
    UNASKED_PONG = "`pong` to what is answered or was not asked, to a request, or without `re`"
    HELLO = "`hello`"
    HELLO_WITHOUT_TOKEN = "`hello` without a token that is known, where one is demanded"
    LATE_HELLO = "`hello` after another `hello`, or after a kind that is not `ping`"
    BROKEN_HELLO = "`hello` whose content is not as it must be"
    WELCOME = "`welcome` that answers a `hello`"
    UNASKED_WELCOME = "`welcome` that answers no `hello`"
    BROKEN_WELCOME = "`welcome` whose content is not as it must be"
    CLOSE = "`close`"
    UNKNOWN = "a kind that is not known"
    LARGE_CONTROL = "any of the conversation's own kinds with more than 64 KiB of content"
    BROKEN = "what is no message"
    TOO_LARGE = "a message with too much content"
    END = "the end of the stream, between two messages"
    END_INSIDE = "the end of the stream, inside a message"


class Reaction(Enum):
    """What follows from it."""

    DELIVER = "to the application"
    TAKE = "to what waits for it"
    DROP = "dropped"
    PONG = "`pong`"
    WELCOME = "`welcome`; from now on *open*"
    OPEN = "from now on *open*"
    NO_HANDLER = "`error` `no-handler` with `re`"
    UNSUPPORTED = "`error` `unsupported-kind`"
    FINISH = "the peer has ended: *finishing*"
    DONE = "*closed*"
    BAD_MESSAGE = "`error` `bad-message`; *failed*"
    TOO_LARGE = "`error` `too-large`; *failed*"
    UNAUTHORIZED = "`error` `unauthorized`; *failed*"
    FAIL = "*failed*, without a word"


PHASES: Final = (Phase.GREETING, Phase.OPEN, Phase.CLOSING, Phase.FINISHING)
"""The phases in which something may arrive: in the others, nothing is read.

A server is GREETING while it demands a token and has seen none; a client, while its ``hello`` has
no ``welcome``.
"""

_Row = tuple[Reaction | None, Reaction | None, Reaction | None, Reaction | None]

_DELIVER: Final = Reaction.DELIVER
_TAKE: Final = Reaction.TAKE
_DROP: Final = Reaction.DROP
_BAD: Final = Reaction.BAD_MESSAGE
_LARGE: Final = Reaction.TOO_LARGE
_STRANGER: Final = Reaction.UNAUTHORIZED
_FAIL: Final = Reaction.FAIL
_FINISH: Final = Reaction.FINISH
_DONE: Final = Reaction.DONE

_MISTAKE: Final[_Row] = (_BAD, _BAD, _FAIL, _BAD)
_NEVER: Final[_Row] = (None, None, None, None)

# In each row: greeting, open, closing, finishing. None: it cannot be so.
_AT_SERVER: Final[dict[Arrival, _Row]] = {
    Arrival.PLAIN: (_STRANGER, _DELIVER, _DELIVER, _BAD),
    Arrival.REQUEST: (_STRANGER, _DELIVER, _DROP, _BAD),
    Arrival.REQUEST_WITHOUT_ID: (_STRANGER, _BAD, _FAIL, _BAD),
    Arrival.REQUEST_AGAIN: (None, _BAD, _FAIL, _BAD),
    Arrival.REPLY: _NEVER,
    Arrival.LATE_REPLY: _NEVER,
    Arrival.UNASKED_REPLY: (_STRANGER, _BAD, _FAIL, _BAD),
    Arrival.ERROR: (None, _TAKE, None, None),
    Arrival.LATE_ERROR: (None, _DROP, _DROP, _BAD),
    Arrival.UNASKED_ERROR: (_STRANGER, _BAD, _FAIL, _BAD),
    Arrival.ENDING_ERROR: (_STRANGER, _FINISH, _DONE, _BAD),
    Arrival.NOTICE: (_STRANGER, _DELIVER, _DELIVER, _BAD),
    Arrival.PING: (Reaction.PONG, Reaction.PONG, _DROP, _BAD),
    Arrival.PING_WITHOUT_ID: _MISTAKE,
    Arrival.PONG: (None, _TAKE, None, None),
    Arrival.LATE_PONG: (None, _DROP, _DROP, _BAD),
    Arrival.UNASKED_PONG: (_STRANGER, _BAD, _FAIL, _BAD),
    Arrival.HELLO: (Reaction.WELCOME, Reaction.WELCOME, _DROP, _BAD),
    Arrival.HELLO_WITHOUT_TOKEN: (_STRANGER, None, _FAIL, None),
    Arrival.LATE_HELLO: (None, _BAD, _FAIL, _BAD),
    Arrival.BROKEN_HELLO: _MISTAKE,
    Arrival.WELCOME: _NEVER,
    Arrival.UNASKED_WELCOME: (_STRANGER, _BAD, _FAIL, _BAD),
    Arrival.BROKEN_WELCOME: _NEVER,
    Arrival.CLOSE: (_FINISH, _FINISH, _DONE, _BAD),
    Arrival.UNKNOWN: (_STRANGER, Reaction.UNSUPPORTED, _DROP, _BAD),
    Arrival.LARGE_CONTROL: (_LARGE, _LARGE, _FAIL, _BAD),
    Arrival.BROKEN: _MISTAKE,
    Arrival.TOO_LARGE: (_LARGE, _LARGE, _FAIL, _LARGE),
    Arrival.END: (_FINISH, _FINISH, _DONE, _DROP),
    Arrival.END_INSIDE: _MISTAKE,
}

_AT_CLIENT: Final[dict[Arrival, _Row]] = {
    Arrival.PLAIN: (_DELIVER, _DELIVER, _DELIVER, _BAD),
    Arrival.REQUEST: (Reaction.NO_HANDLER, Reaction.NO_HANDLER, _DROP, _BAD),
    Arrival.REQUEST_WITHOUT_ID: _MISTAKE,
    Arrival.REQUEST_AGAIN: _NEVER,
    Arrival.REPLY: (_TAKE, _TAKE, None, None),
    Arrival.LATE_REPLY: (_DROP, _DROP, _DROP, _BAD),
    Arrival.UNASKED_REPLY: _MISTAKE,
    Arrival.ERROR: (_TAKE, _TAKE, None, None),
    Arrival.LATE_ERROR: (_DROP, _DROP, _DROP, _BAD),
    Arrival.UNASKED_ERROR: _MISTAKE,
    Arrival.ENDING_ERROR: (_FINISH, _FINISH, _DONE, _BAD),
    Arrival.NOTICE: (_DELIVER, _DELIVER, _DELIVER, _BAD),
    Arrival.PING: (Reaction.PONG, Reaction.PONG, _DROP, _BAD),
    Arrival.PING_WITHOUT_ID: _MISTAKE,
    Arrival.PONG: (_TAKE, _TAKE, None, None),
    Arrival.LATE_PONG: (_DROP, _DROP, _DROP, _BAD),
    Arrival.UNASKED_PONG: _MISTAKE,
    Arrival.HELLO: _MISTAKE,
    Arrival.HELLO_WITHOUT_TOKEN: _NEVER,
    Arrival.LATE_HELLO: _NEVER,
    Arrival.BROKEN_HELLO: _NEVER,
    Arrival.WELCOME: (Reaction.OPEN, None, _DROP, _BAD),
    Arrival.UNASKED_WELCOME: (None, _BAD, _FAIL, _BAD),
    Arrival.BROKEN_WELCOME: (_BAD, None, _FAIL, None),
    Arrival.CLOSE: (_FINISH, _FINISH, _DONE, _BAD),
    Arrival.UNKNOWN: (Reaction.UNSUPPORTED, Reaction.UNSUPPORTED, _DROP, _BAD),
    Arrival.LARGE_CONTROL: (_LARGE, _LARGE, _FAIL, _BAD),
    Arrival.BROKEN: _MISTAKE,
    Arrival.TOO_LARGE: (_LARGE, _LARGE, _FAIL, _LARGE),
    Arrival.END: (_FINISH, _FINISH, _DONE, _DROP),
    Arrival.END_INSIDE: _MISTAKE,
}

REACTIONS: Final[dict[tuple[Role, Phase, Arrival], Reaction]] = {
    (role, phase, arrival): reaction
    for role, rows in ((Role.SERVER, _AT_SERVER), (Role.CLIENT, _AT_CLIENT))
    for arrival, row in rows.items()
    for phase, reaction in zip(PHASES, row, strict=True)
    if reaction is not None
}
"""What follows from each arrival that can be, at each end and in each phase."""
