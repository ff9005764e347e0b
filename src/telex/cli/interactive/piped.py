"""Lines from a file or a pipe: each is done before the next one is read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING, Final

from telex import ConnectionClosedError, TelexError, WaitTimeoutError
from telex.cli.failure import CommandError
from telex.cli.interactive import words
from telex.cli.interactive.words import read_line
from telex.network.os_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from telex.asyncio.client import Connection
    from telex.cli.interactive.talk import Talk

_READ_AT_ONCE: Final = 64 * 1024
_READ_AHEAD: Final = 4
"""How many pieces may be read in advance."""


async def follow(talk: Talk, connection: Connection, source: int, timeout: float) -> bool:
    """Do the lines that can be read from a descriptor; return whether all of them succeeded.

    After the last line it waits for one more round trip, to show what the server sent meanwhile,
    and then for the end of the connection, each at most ``timeout`` seconds. A message that the
    server refuses, or may not have read, did not succeed. Raises CommandError and
    ConnectionClosedError when the connection ends too early.
    """
    listening = asyncio.create_task(talk.listen())
    doing = asyncio.create_task(_do_all(talk, source))
    trouble: TelexError | None = None
    try:
        await asyncio.wait({listening, doing}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            await listening  # raises what ended the connection
            raise CommandError(f"{connection.ending} (the rest of standard input is not sent)")
        all_went_well = doing.result()
        try:
            await connection.ping(timeout)
        except TelexError as problem:
            trouble = problem
    finally:
        await _stop(listening, doing)
    with contextlib.suppress(TelexError):  # nothing more is here, or the end has come
        while True:
            talk.show(await connection.receive(timeout=0))
    if isinstance(trouble, ConnectionClosedError) and talk.has_told_of_the_end:
        return False
    await _end(connection, timeout, trouble)
    return all_went_well and not talk.was_refused


async def _end(connection: Connection, timeout: float, trouble: TelexError | None) -> None:
    """Close after the server has read everything; raises the error if it has not."""
    try:
        if trouble is not None:
            raise trouble
        await connection.close(timeout)
    except WaitTimeoutError as late:  # RequestTimeoutError is one
        raise CommandError(
            f"the server has not read everything within {timeout:g} s (see --timeout)"
        ) from late


async def _do_all(talk: Talk, source: int) -> bool:
    all_went_well = True
    async for text in _lines_of(source):
        try:
            line = read_line(text)
        except CommandError as problem:
            talk.complain(str(problem))
            all_went_well = False
            continue
        if line is None:
            continue
        if line.command == words.QUIT:
            break
        all_went_well &= await talk.do(line)
    return all_went_well


async def _lines_of(source: int) -> AsyncIterator[str]:
    """Yield lines as they arrive, with escapes for bytes that are not UTF-8.

    Raises CommandError when they cannot be read.

    A thread reads them, because an event loop cannot wait for every kind of file. The thread holds
    no lock of Python, and does not keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_READ_AHEAD)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while room.acquire():
                piece = _piece_of(source)
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
                if not piece or isinstance(piece, OSError):
                    break

    threading.Thread(target=read, daemon=True).start()
    begun = b""
    while data := await pieces.get():
        if isinstance(data, OSError):
            raise CommandError(f"cannot read standard input: {reason_of(data)}") from data
        room.release()
        *complete, begun = (begun + data).split(b"\n")
        for line in complete:
            yield _text_of(line)
    if begun:
        yield _text_of(begun)


def _piece_of(source: int) -> bytes | OSError:
    """Wait for bytes, and return them, or the error; at the end of the input, return no bytes.

    The descriptor may be non-blocking: another process may have made it so.
    """
    while True:
        try:
            return os.read(source, _READ_AT_ONCE)
        except BlockingIOError:
            ready = select.poll()
            ready.register(source, select.POLLIN)
            ready.poll()
        except OSError as problem:
            return problem


def _text_of(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", errors="backslashreplace")


async def _stop(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
