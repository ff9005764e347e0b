"""How far a conversation has come, and every way on from there (wire format, "kinds").

Whatever changes the state of a connection goes through ``TRANSITIONS``, and the diagram in the
documentation is drawn from it. Nothing here knows what makes a step happen.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Phase(Enum):
    """How far a conversation has come."""

    GREETING = "greeting"
    OPEN = "open"
    CLOSING = "closing"
    FINISHING = "finishing"
    CLOSED = "closed"
    FAILED = "failed"


class Step(Enum):
    """What moves a conversation on."""

    GREETED = "hello is accepted"
    WE_CLOSE = "we say close, or end our stream"
    PEER_CLOSES = "the peer says close or an error that ends all, or ends its stream"
    BREAKS = "a mistake of the peer, a timeout, or the connection is lost"


TRANSITIONS: Final[dict[tuple[Phase, Step], Phase]] = {
    (Phase.GREETING, Step.GREETED): Phase.OPEN,
    (Phase.GREETING, Step.WE_CLOSE): Phase.CLOSING,
    (Phase.GREETING, Step.PEER_CLOSES): Phase.FINISHING,
    (Phase.GREETING, Step.BREAKS): Phase.FAILED,
    (Phase.OPEN, Step.WE_CLOSE): Phase.CLOSING,
    (Phase.OPEN, Step.PEER_CLOSES): Phase.FINISHING,
    (Phase.OPEN, Step.BREAKS): Phase.FAILED,
    (Phase.CLOSING, Step.PEER_CLOSES): Phase.CLOSED,
    (Phase.CLOSING, Step.BREAKS): Phase.FAILED,
    (Phase.FINISHING, Step.WE_CLOSE): Phase.CLOSED,
    (Phase.FINISHING, Step.BREAKS): Phase.FAILED,
}
"""Every way on from every phase. What is not here changes nothing: CLOSED and FAILED are ends.

GREETING: ``hello`` is demanded or was said, and ``welcome`` is not there yet. CLOSING: this side
sends nothing more, and still receives. FINISHING: the peer sends nothing more, and is still
answered.
"""
