"""A chat room for the terminal.

    python examples/chat.py serve
    python examples/chat.py join ada

To join, and to say something, are requests, so that they can be refused; what is said goes to
everybody as plain messages. Nobody waits for somebody who reads slowly: whoever has too much to
read is cut off by the server. Where tokens are demanded, everybody has the name of their token.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

import telex
import telex.asyncio
import telex.tls
from telex.printable import printable

ADDRESS: Final = "tcp://127.0.0.1:7766"

LIMITS: Final = telex.Limits(max_content_size=4096, high_water=4096)
"""Short lines; and a peer for whom 256 times ``high_water`` waits, 1 MiB, reads too slowly."""


class Room(telex.Observer):
    """Who is here."""

    def __init__(self) -> None:
        self._names: dict[telex.Peer, str] = {}

    def join(self, message: telex.Message[str], peer: telex.Peer) -> str:
        """Let somebody in, and answer who is here already."""
        name = peer.identity or message.content
        if not name.isprintable() or not 1 <= len(name) <= 20 or name != name.strip():
            raise telex.Refusal("bad-name", "a name has 1 to 20 characters that can be printed")
        if name in self._names.values():
            raise telex.Refusal("name-taken", f"{name} is here already")
        self.leave(peer)
        others = ", ".join(self._names.values()) or "nobody"
        self._names[peer] = name
        self.tell(f"* {name} has joined")
        return f"* welcome, {name}; here already: {others}"

    def say(self, message: telex.Message[str], peer: telex.Peer) -> None:
        """Tell everybody what somebody says."""
        if peer not in self._names:
            raise telex.Refusal("not-here", "join before you speak")
        text = "".join(filter(str.isprintable, message.content))
        self.tell(f"{self._names[peer]}: {text}")

    def tell(self, line: str) -> None:
        """Give a line to everybody who is still there."""
        print(line, flush=True)
        for peer in list(self._names):
            try:
                peer.send(line)
            except telex.ConnectionClosedError:
                self.leave(peer)

    def leave(self, peer: telex.Peer) -> None:
        """Let somebody go who is still here, and tell the others."""
        if (name := self._names.pop(peer, None)) is not None:
            self.tell(f"* {name} has left")

    def disconnected(self, peer: telex.Peer, error: telex.TelexError | None) -> None:
        """Take note that somebody is gone, in whatever way."""
        self.leave(peer)


room = Room()
app = telex.Application()
app.on("join")(room.join)
app.on("say")(room.say)
app.observers.append(room)


async def keep_open(address: str) -> None:
    """Keep the room open until Ctrl-C."""
    async with telex.asyncio.serve(app, address, limits=LIMITS) as server:
        print(f"listening on {server.address}", flush=True)
        await server.serve_forever()


async def be_there(address: str, name: str, ca: Path | None, token: str | None) -> None:
    """Show what is said, and say what is typed, until the input or the room ends."""
    tls = None if ca is None else telex.tls.client_context(ca)
    async with telex.asyncio.connect(address, keepalive=True, tls=tls, token=token) as connection:
        welcome = await connection.request(name, subject="join", timeout=10)
        print(printable(str(welcome.content)), flush=True)
        showing = asyncio.create_task(show(connection))
        speaking = asyncio.create_task(speak(connection))
        await asyncio.wait((showing, speaking), return_when=asyncio.FIRST_COMPLETED)
        has_closed = showing.done()
        for task in (showing, speaking):
            task.cancel()
        for ended in await asyncio.gather(showing, speaking, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        if has_closed:
            print("* the room has closed", flush=True)


async def show(connection: telex.asyncio.Connection) -> None:
    """Print what is said."""
    async for line in connection:
        print(printable(str(line.content)), flush=True)


async def speak(connection: telex.asyncio.Connection) -> None:
    """Say each line of standard input."""
    typed = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(typed), sys.stdin
    )
    async for line in typed:
        await connection.request(line.decode(errors="replace"), subject="say", timeout=10)


cli = typer.Typer(help="A chat room for the terminal.", no_args_is_help=True)


@cli.command()
def serve(listen: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS) -> None:
    """Open a room, and show what is said there."""
    asyncio.run(keep_open(listen))


@cli.command()
def join(
    name: str,
    to: Annotated[str, typer.Option(metavar="ADDRESS")] = ADDRESS,
    ca: Annotated[Path | None, typer.Option(help="The authority to trust with tls://.")] = None,
    token_file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
) -> None:
    """Go there; Ctrl-D leaves. The variable TELEX_TOKEN has the token where no file has it."""
    asyncio.run(be_there(to, name, ca, read_token(token_file)))


def read_token(file: Path | None) -> str | None:
    """Return a token, which is never an argument: others would see it in the list of processes."""
    if file is None:
        return os.environ.get("TELEX_TOKEN")
    words = file.read_text(encoding="utf-8").split()
    if not 1 <= len(words) <= 2:
        raise ValueError(f"{file}: a token is expected, or a name and its token")
    return words[-1]


if __name__ == "__main__":
    try:
        cli()
    except (telex.TelexError, ValueError) as error:  # ValueError: the input is a plain file
        sys.exit(printable(f"chat: {error}"))
