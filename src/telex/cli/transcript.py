"""Observers that print the events of a server in readable lines.

All text of a peer is made printable before it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex import Application, Observer, Refusal, State
from telex.cli.sizes import PROTO_HEADER_SIZE, counted
from telex.printable import printable

if TYPE_CHECKING:
    from telex import Message, TelexError
    from telex.application.peer import Peer
    from telex.cli.terminal import Lines


class Transcript(Observer):
    """Prints a line for each connection, each arrival of bytes and each message."""

    def __init__(self, lines: Lines) -> None:
        self._lines: Final = lines

    def connected(self, peer: Peer) -> None:
        """Print the new connection."""
        self._say(peer, ("connected", "green"))

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Print how many bytes arrived, and how many are missing of the current part."""
        self._say(peer, (f"received {describe_arrival(size, state, bytes_needed)}", "dim"))

    def message_received(self, peer: Peer, message: Message) -> None:
        """Print the message."""
        self._say(peer, (str(message), "bold"))

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Print the end of the connection, with the reason if it was an error."""
        if error is None:
            self._say(peer, ("disconnected", "green"))
        else:
            self._say(peer, (f"disconnected: {printable(str(error))}", "red"))

    def _say(self, peer: Peer, *what: tuple[str, str]) -> None:
        self._lines.line((printable(name_of(peer)), "cyan"), "  ", *what)


class MessagesOnly(Observer):
    """Prints each message as a line, and nothing else."""

    def __init__(self, lines: Lines) -> None:
        self._lines: Final = lines

    def message_received(self, peer: Peer, message: Message) -> None:
        """Print the message."""
        self._lines.line(str(message))


def name_of(peer: Peer) -> str:
    """Return the address of a peer, and the name of its token or certificate if it has one."""
    return peer.address if peer.identity is None else f"{peer.address} ({peer.identity})"


def describe_arrival(size: int, state: State, bytes_needed: int) -> str:
    """Return how many bytes arrived and are missing: ``20 bytes, 46 to go in the content``."""
    arrived = counted(size, "byte")
    if state is State.PROTO_HEADER and bytes_needed == PROTO_HEADER_SIZE:
        return f"{arrived}, message complete"
    if bytes_needed:
        return f"{arrived}, {bytes_needed:,} to go in the {state.value}"
    return arrived


def answers_nothing() -> Application:
    """Return the application of a server that only shows what arrives."""
    application = Application()

    @application.on()
    def show(message: Message) -> None:
        if message.kind == "request":
            raise Refusal("no-handler", "requests are only shown here, and nobody answers them")

    return application
