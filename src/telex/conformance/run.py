"""Plays the conversations with a server, each over a connection of its own, and judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from telex.conformance.channel import connect
from telex.conformance.player import Player, Shortfall
from telex.errors import ConnectError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping

    from telex.address import Address

Conversation = dict[str, Any]
"""One conversation, as conformance/conversations.json has it."""

_NEEDS: Final = {
    "clock": "time must pass that only a test of your own can shorten",
    "core": "the tested end must be driven step by step, without a socket",
}
"""Why conversations are left out that need more than a connection."""

_DOES: Final = "the program at the tested end must act, such as shut down: play it by hand"


@dataclass(frozen=True, slots=True)
class Played:
    """A conversation that was played; ``shortfall`` is None where all was as it must be."""

    name: str
    shows: str
    shortfall: Shortfall | None


def setup_of(conversation: Conversation) -> str:
    """Return the name of the setup that a conversation is for."""
    return str(conversation.get("setup", "plain"))


def why_left_out(conversation: Conversation) -> str | None:
    """Say why a conversation with a server cannot be played over a connection alone, if so."""
    for need in conversation.get("needs", ()):
        return _NEEDS.get(need, f"it needs {need}")
    return _DOES if any("do" in step for step in conversation["steps"]) else None


def of_server(conversations: Iterable[Conversation], setup: str) -> list[Conversation]:
    """Return the conversations of a setup in which the server is tested."""
    return [one for one in conversations if one["role"] == "server" and setup_of(one) == setup]


def play_all(
    conversations: Iterable[Conversation],
    address: Address,
    tls: ssl.SSLContext | None,
    timeout: float,
) -> Iterator[Played]:
    """Play each conversation, and yield how it went.

    Raises ConnectError if the first one finds no server; of a later one it is the shortfall.
    """
    is_first = True
    for conversation in conversations:
        try:
            shortfall = play_one(conversation, address, tls, timeout)
        except ConnectError as error:
            if is_first:
                raise
            shortfall = Shortfall(0, "a connection", str(error))
        is_first = False
        yield Played(conversation["name"], conversation["shows"], shortfall)


def play_one(
    conversation: Mapping[str, Any],
    address: Address,
    tls: ssl.SSLContext | None,
    timeout: float,
) -> Shortfall | None:
    """Play one conversation with a server; raises ConnectError."""
    with connect(address, tls, timeout) as channel:
        return Player(channel, conversation["steps"], timeout=timeout).play()
