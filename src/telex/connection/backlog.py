"""How much output of a connection is unsent, and when that is too much.

It decides nothing about reading or ending: ``connection`` asks, and does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.connection.output import Output
from telex.conversation.conversation import Conversation
from telex.limits import Limits

if TYPE_CHECKING:
    from mypy_extensions import i64

BACKLOG_FACTOR: Final = 256
"""How many times ``high_water`` may be unsent where messages are sent without being asked for."""

OWED_FACTOR: Final = 16
"""How many times ``high_water`` may be unsent where the peer makes this end answer on and on."""


class Backlog:
    """The unsent output of one connection, before and behind the layer."""

    __slots__ = (
        "_conversation",
        "_high_water",
        "_noted",
        "_noted_end",
        "_output",
        "holds_reading_up",
        "was_too_much",
    )

    def __init__(self, conversation: Conversation, output: Output, limits: Limits) -> None:
        self._conversation: Final = conversation
        self._output: Final = output
        self._high_water: Final[i64] = limits.high_water
        # How much of the answers below stood before which place of the output, when last noted.
        self._noted: i64 = 0
        self._noted_end: i64 = 0
        self.was_too_much: bool = False
        """What ``is_too_much`` was when somebody last asked."""
        self.holds_reading_up: bool = False
        """Whether this is why the peer is not read from."""

    @property
    def size(self) -> i64:
        """Bytes that were handed over and that the network has not taken."""
        return self._output.size + self._conversation.bytes_to_send

    @property
    def is_too_much(self) -> bool:
        """Whether so much is unsent that nothing should be added, until half of it went."""
        unsent = self._output.size
        if unsent > self._high_water:
            self.was_too_much = True
        elif unsent <= self._high_water // 2:
            self.was_too_much = False
        return self.was_too_much

    @property
    def has_room(self) -> bool:
        """Whether an answer in parts may go on: if its parts are short, they never hold reading up.

        Where output has held reading up, that goes on first.
        """
        return not self.holds_reading_up and self.size <= self._high_water // 2

    @property
    def is_far_too_much(self) -> bool:
        """Whether so much is unsent that a peer which is sent more must go."""
        return self.size > self._high_water * BACKLOG_FACTOR

    @property
    def is_owed_too_much(self) -> bool:
        """Whether much is unsent that only answers what the peer has sent, such as its pings.

        Reading on would make more of that.
        """
        return self._owes_much() and (self.is_too_much or self.size > self._high_water)

    @property
    def is_owed_far_too_much(self) -> bool:
        """Whether a peer that takes none of these answers must go.

        While this end waits for answers of its own it reads on, so reading does not bound them.
        """
        return self._owes_much() and self.size > self._high_water * OWED_FACTOR

    def _owes_much(self) -> bool:
        """Say whether over ``high_water`` bytes of such answers were not known to be taken."""
        outgoing = self._conversation.outgoing
        if outgoing.said_itself > self._high_water and self._output.progress >= self._noted_end:
            outgoing.said_itself -= self._noted  # all of it stood before this place, and has gone
            self._noted = outgoing.said_itself
            self._noted_end = self._output.progress + self.size
        return outgoing.said_itself > self._high_water
