"""``telex demo``: sends two messages in small pieces, and shows both ends."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from telex import Address, Message, Observer
from telex.cli.failure import CommandError
from telex.cli.options import refuse_if
from telex.cli.server_output import ServerOutput
from telex.cli.sizes import PROTO_HEADER_SIZE, counted
from telex.cli.terminal import Lines, Part
from telex.cli.transcript import answers_nothing, describe_arrival
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex import State, TelexError
    from telex.application.peer import Peer

_PIECE: Final = 20
_LONGEST_WAIT: Final = 10.0
_ROW: Final = 54
_HEX_ROW: Final = 18
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_ANY_PORT: Final = Address("tcp", "127.0.0.1", 0)

Sliceable = TypeVar("Sliceable", str, bytes)


def demo(
    delay: Annotated[
        float, typer.Option(metavar="SECONDS", help="The pause between two pieces.")
    ] = 0.15,
) -> None:
    """Watch two messages cross a real connection, 20 bytes at a time.

    A server and a client on this machine: the client sends a text, then bytes;
    the server shows what it receives, until each message is complete. The exit
    code is 1 if one does not arrive equal to what was sent.
    """
    refuse_if(not delay >= 0, "--delay: it must not be negative")
    from telex import sync

    lines = ServerOutput(sys.stdout)
    server_side = _Side(lines, "server", "green")
    client_side = _Side(lines, "client", "magenta")
    arrivals = Arrivals(server_side)
    lines.line("A network carries bytes, in pieces of its own choosing; Telex carries messages.")
    lines.line("Here a client sends two of them to a server, 20 bytes at a time.")
    lines.line()
    with sync.serve(answers_nothing(), _ANY_PORT, observer=arrivals) as server:
        thread = threading.Thread(target=server.serve_forever, args=(False,), daemon=True)
        thread.start()
        server_side.say(f"listening on {server.address}")
        with sync.connect(server.address) as connection:
            for what, message in _messages():
                _show_on_its_way(client_side, what, message)
                connection.send(message, chunk_size=_PIECE, delay=delay)
                arrivals.expect(message)
                lines.check()
        server.shutdown()
        thread.join()
    _conclude(lines)
    lines.check()


def _conclude(lines: Lines) -> None:
    lines.line()
    lines.line(("Both messages arrived equal to what was sent.", "bold green"))
    lines.line()
    lines.line("Now in two terminals of your own:")
    lines.line("  ", (f"{_command()} serve", "bold"))
    lines.line("  ", (f'{_command()} send "Hello, wire" --chunk-size 20 --delay 0.5', "bold"))


def _messages() -> Iterator[tuple[str, Message]]:
    yield "a text", Message("Grüße, Αθήνα, 東京 🛰")
    yield "binary content", Message(_PNG_SIGNATURE)


class _Side:
    """One of the two ends; its lines begin with its name, in its colour."""

    def __init__(self, lines: Lines, name: str, style: str) -> None:
        self._lines: Final = lines
        self._prefix: Final = (f"{name} │ ", style)

    def say(self, *parts: Part) -> None:
        self._lines.line(self._prefix, *parts)


class Arrivals(Observer):
    """Shows what the server receives, and keeps each message for the comparison."""

    def __init__(self, side: _Side) -> None:
        self._side: Final = side
        self._messages: Final[queue.Queue[Message]] = queue.Queue()

    def connected(self, peer: Peer) -> None:
        """Show the new connection."""
        self._side.say(f"{peer.address} connected")

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Show how many bytes arrived, and how many are missing."""
        self._side.say((f"received {describe_arrival(size, state, bytes_needed)}", "dim"))

    def message_received(self, peer: Peer, message: Message) -> None:
        """Show the message, and keep it for ``expect``."""
        self._side.say((str(message), "bold"))
        self._messages.put(message)

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Show the end of the connection, with the reason if it was an error."""
        reason = "" if error is None else f": {printable(str(error))}"
        self._side.say(f"{peer.address} disconnected{reason}")

    def expect(self, sent: Message) -> None:
        """Wait for the next message; raises CommandError unless it equals ``sent``."""
        try:
            received = self._messages.get(timeout=_LONGEST_WAIT)
        except queue.Empty:
            raise CommandError(f"no message arrived within {_LONGEST_WAIT:g} s") from None
        if received != sent:
            raise CommandError(f"what arrived ({received}) is not what was sent ({sent})")


def _show_on_its_way(side: _Side, what: str, message: Message) -> None:
    """Show the three parts of a message as they are sent."""
    header, content = message.to_buffers()
    header_block = header[PROTO_HEADER_SIZE:]
    side.say(f"sends {what}, {counted(len(header) + len(content), 'byte')} in pieces of {_PIECE}:")
    proto_header = header[:PROTO_HEADER_SIZE].hex(" ")
    _show_part(
        side, "proto-header", [f"{proto_header} = {len(header_block)}, the header block's length"]
    )
    _show_part(side, "header block", _rows(header_block.decode("ascii"), _ROW))
    _show_part(side, "content", [row.hex(" ") for row in _rows(content, _HEX_ROW)])


def _show_part(side: _Side, name: str, rows: list[str]) -> None:
    for row in rows:
        side.say(f"  {name:<14}", (row, "cyan"))
        name = ""


def _rows(sequence: Sliceable, length: int) -> list[Sliceable]:
    return [sequence[start : start + length] for start in range(0, len(sequence), length)]


def _command() -> str:
    """Return how the reader can call this program: by its name, or by its path."""
    if shutil.which("telex"):
        return "telex"
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{Path(sys.executable).name} -m telex"
    return os.path.relpath(program)
