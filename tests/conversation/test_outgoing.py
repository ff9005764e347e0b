"""What goes out: in order, and no larger content copied than is worth it."""

from __future__ import annotations

import pytest

from telex import Limits, Message
from telex.conversation.outgoing import Outgoing


@pytest.mark.parametrize(("size", "pieces"), [(16_383, 1), (16_384, 2)])
def test_large_content_is_not_copied(size: int, pieces: int) -> None:
    """It goes out as the very bytes that it is."""
    outgoing = Outgoing(Limits())
    body = b"x" * size
    outgoing.write(Message(body), None, 0, 0, False)
    taken = outgoing.take()
    assert len(taken) == pieces
    assert (taken[-1] is body) == (pieces == 2)


def test_last_words_stay_last() -> None:
    """What is written behind them, before all is taken, goes before them."""
    outgoing = Outgoing(Limits())
    outgoing.say_last("bad-message", "it is broken")
    assert [outgoing.has_last_words] == [True]
    outgoing.write(Message("x"), None, 0, 0, False)
    data = b"".join(outgoing.take())
    assert data.startswith(Message("x").to_bytes())
    assert b"bad-message" in data
    assert (outgoing.has_last_words, outgoing.take(), outgoing.size) == (False, [], 0)
