"""The sorts of clients, and how many of two hundred there are of each."""

from __future__ import annotations

from typing import Final

from tests.soak.clients.client import Client
from tests.soak.clients.deaf import Deaf, Hoarder, Mute, Slow, Storm
from tests.soak.clients.good import Good, GoodInThreads, GoodOverRoughNetwork
from tests.soak.clients.impatient import BreakingOff, BreakingOffForGood, TimingOut
from tests.soak.clients.in_loop import (
    BreakingOffInLoop,
    CancelledAsAWhole,
    Cancelling,
    GoodInLoop,
    Reconnecting,
    TimingOutInLoop,
)
from tests.soak.clients.leaving import Leaving
from tests.soak.clients.strangers import Distrusting, Failing, Garbage, NoTls, WrongToken

SORTS: Final[dict[type[Client], int]] = {
    Good: 20,
    GoodInThreads: 3,
    GoodOverRoughNetwork: 12,
    TimingOut: 10,
    BreakingOff: 6,
    BreakingOffForGood: 4,
    GoodInLoop: 25,
    Cancelling: 12,
    CancelledAsAWhole: 8,
    TimingOutInLoop: 10,
    BreakingOffInLoop: 6,
    Reconnecting: 8,
    Leaving: 22,
    Deaf: 14,
    Slow: 12,
    Mute: 2,
    Hoarder: 3,
    Storm: 1,
    Garbage: 10,
    WrongToken: 3,
    NoTls: 5,
    Distrusting: 1,
    Failing: 3,
}
"""How many clients there are of each sort, in a crowd of two hundred."""


def crowd_of(count: int) -> list[type[Client]]:
    """Return the sorts of a crowd of so many clients, at least one of each sort."""
    ratio = count / sum(SORTS.values())
    return [sort for sort, share in SORTS.items() for _ in range(max(1, round(share * ratio)))]
