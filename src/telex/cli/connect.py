"""``telex connect``: talk with a server, line by line."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from telex import Limits
from telex.cli.destination import (
    Authority,
    Certificate,
    Insecure,
    Key,
    TokenFile,
    read_destination,
)
from telex.cli.failure import FAILED
from telex.cli.log import errors_only
from telex.cli.options import DEFAULT_ADDRESS, refuse_if
from telex.cli.terminal import standard_error, standard_input, standard_output

if TYPE_CHECKING:
    from telex.cli.destination import Destination


def connect(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", hidden=True, show_default=False)
    ] = DEFAULT_ADDRESS,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long each part of an answer may take."),
    ] = 60.0,
    token_file: TokenFile = None,
    ca: Authority = None,
    cert: Certificate = None,
    key: Key = None,
    insecure: Insecure = False,
) -> int:
    """Talk with a server: your lines are sent, and its messages are shown.

    ADDRESS is tcp:// or tls://HOST:PORT, or unix://PATH; without it, that of
    telex serve. A line is sent as a text message, unless it begins with a slash:

    /request SUBJECT [TEXT] asks, and shows the answer; /json and /file send other
    content; /subject and /headers set fields of messages; /help shows the rest.

    Tab completes commands, subjects that were seen, and files. Ctrl-C drops the
    line, or cancels the requests; Ctrl-D leaves. Your lines are kept for the next
    time, in ~/.local/state/telex.

    Lines may also come from a file or a pipe: each is done before the next, and
    the exit code is 1 if a line failed, or the server refused a message.

    The variable TELEX_TOKEN holds the token where there is no --token-file.
    """
    refuse_if(not timeout > 0, "--timeout: it must be more than 0")
    destination = read_destination(address, token_file, ca, cert, key, insecure, option="ADDRESS")
    standard_input()  # raises before a connection is made
    with errors_only():
        if sys.stdin.isatty() and sys.stdout.isatty():
            asyncio.run(_converse(destination, timeout))
            return 0
        return 0 if asyncio.run(_follow(destination, timeout)) else FAILED


async def _converse(destination: Destination, timeout: float) -> None:
    from prompt_toolkit.patch_stdout import patch_stdout

    from telex.cli.interactive.prompt import converse
    from telex.cli.interactive.talk import Talk

    async with await destination.connect_in_loop(Limits()) as connection:
        with patch_stdout(raw=True):
            lines = standard_output()
            lines.line(f"connected to {destination.address}; /help shows what you can type")
            await converse(Talk(connection, lines, lines, timeout), connection)


async def _follow(destination: Destination, timeout: float) -> bool:
    from telex.cli.interactive.piped import follow
    from telex.cli.interactive.talk import Talk

    async with await destination.connect_in_loop(Limits()) as connection:
        talk = Talk(connection, standard_output(), standard_error(), timeout)
        return await follow(talk, connection, sys.stdin.fileno(), timeout)
