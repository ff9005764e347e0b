"""Hoarders: peers that make a server hold as much as it will, and give nothing back.

Some ask and never read the answers; some announce 16 MiB of content, send a part and stall. The
server's memory must stay within what it is allowed to hold, and good clients must be served.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import struct
import threading
import time
from statistics import median
from types import TracebackType
from typing import Final, Self

from benchmarks.loads.good_clients import GoodClients
from benchmarks.loads.outcome import FrontEnd, Outcome
from benchmarks.loads.server import Server
from benchmarks.results import Bar
from telex import Address, Message

MEBIBYTE: Final = 1024 * 1024

_ALLOWANCE: Final = 64 * MEBIBYTE
"""Memory that a server may have beside what it holds for its peers."""

_ANNOUNCED: Final = 16 * MEBIBYTE
_STALLED_AT: Final = 2 * MEBIBYTE
_REQUEST_SIZE: Final = 64 * 1024
_QUIET: Final = 1.0
_PIECE: Final = 256 * 1024


def run(
    front_end: FrontEnd, *, each: int = 500, good: int = 5, max_buffered: int = 256 * MEBIBYTE
) -> Outcome:
    """Have ``each`` peers ask without reading, and then as many more announce and stall."""
    with Server(front_end, max_buffered=max_buffered) as server:
        idle = server.peak_memory
        (asked, announced), times = asyncio.run(_watch(server.address, each, good))
        peak = server.peak_memory
        server.terminate()
        exit_code, _counts = server.result()
    return Outcome(
        f"{each} peers that never read and {each} that stall, against {front_end}, which may hold "
        f"{max_buffered // MEBIBYTE} MiB",
        {
            "memory before, in MiB": idle / MEBIBYTE,
            "sent by those who never read, in MiB": asked.sent / MEBIBYTE,
            "sent by those who stall, in MiB": announced.sent / MEBIBYTE,
            "answers to good clients meanwhile": len(times),
            "their median, in ms": 1000 * median(times),
            "the longest, in ms": 1000 * max(times),
        },
        [
            Bar(
                "memory of the server at its peak",
                "MiB",
                peak / MEBIBYTE,
                most=(max_buffered + _ALLOWANCE) / MEBIBYTE,
            ),
            Bar("exit code of the server", "", exit_code, most=0),
        ],
    )


async def _watch(
    address: Address, each: int, good: int
) -> tuple[tuple[Hoarders, Hoarders], list[float]]:
    """Let good clients ask while the others do their worst, all at the same time at the end."""
    block = json.dumps({"content-length": _ANNOUNCED}).encode()
    announcement = struct.pack(">H", len(block)) + block + bytes(_STALLED_AT)
    async with GoodClients(address, good) as clients:
        with (
            Hoarders(address, each, [_request(number) for number in range(1, 257)]) as asking,
            Hoarders(address, each, [announcement]) as announcing,
        ):
            for hoarders in (asking, announcing):
                hoarders.start()
                while not hoarders.is_quiet:
                    await asyncio.sleep(0.1)
            return (asking, announcing), clients.times_since_last_asked()


def _request(number: int) -> bytes:
    return Message(bytes(_REQUEST_SIZE), subject="echo", kind="request", id=number).to_bytes()


class Hoarders:
    """Connections that send what they have as far as it is taken, and read nothing."""

    def __init__(self, address: Address, count: int, stream: list[bytes]) -> None:
        self._address: Final = (address.host, address.port)
        self._count: Final = count
        self._stream: Final = memoryview(b"".join(stream))
        self._thread: Final = threading.Thread(target=self._run, daemon=True)
        self._sockets: dict[socket.socket, int] = {}
        self._is_ending = False
        self._last_sent_at = time.monotonic()
        self.sent = 0
        """Bytes that were taken."""

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has been taken for a while."""
        return time.monotonic() - self._last_sent_at > _QUIET

    def start(self) -> None:
        """Begin."""
        self._last_sent_at = time.monotonic()
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_ending = True
        if self._thread.is_alive():
            self._thread.join()
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(self._count):
                sock = socket.create_connection(self._address)
                sock.setblocking(False)
                self._sockets[sock] = 0
                selector.register(sock, selectors.EVENT_WRITE)
            while not self._is_ending:
                for key, _events in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    if not self._send(key.fileobj):
                        selector.unregister(key.fileobj)

    def _send(self, sock: socket.socket) -> bool:
        """Send a piece; return whether there is more to send."""
        offset = self._sockets[sock]
        try:
            sent = sock.send(self._stream[offset : offset + _PIECE])
        except BlockingIOError:
            return True
        except OSError:  # the server has ended it
            return False
        self._last_sent_at = time.monotonic()
        self.sent += sent
        self._sockets[sock] = offset + sent
        return offset + sent < len(self._stream)
