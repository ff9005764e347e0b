"""Many requests over a bad network: each is answered once, or fails with an error that has a name.

The server answers out of order. Where the network resets connections, the client connects again and
goes on with the next number: what failed is not asked a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import telex.asyncio
import telex.sync
from benchmarks.loads.outcome import FrontEnd, Outcome
from benchmarks.loads.server import Server
from benchmarks.results import Bar
from telex import Address, ConnectionClosedError, Message, TelexError
from telex.testing import Proxy, Weather

ROUGH: Final = Weather(
    largest_piece=4096,
    delay_chance=0.02,
    longest_delay=0.005,
    stall_chance=0.0005,
    stall=0.2,
)
"""A network that cuts and holds up, and loses nothing."""

_TIMEOUT: Final = 60.0


def stormy(reset_every: int) -> Weather:
    """Return a rough network that resets a connection after about so many bytes."""
    return Weather(
        largest_piece=ROUGH.largest_piece,
        delay_chance=ROUGH.delay_chance,
        longest_delay=ROUGH.longest_delay,
        reset_every=reset_every,
    )


def run(
    client: FrontEnd,
    server: FrontEnd,
    count: int,
    *,
    outstanding: int = 256,
    weather: Weather = ROUGH,
    seed: int = 1,
) -> Outcome:
    """Ask ``count`` times through the proxy, ``outstanding`` at once, and see what came of each."""
    with Server(server) as process, Proxy(process.address, weather, seed=seed) as proxy:
        sheet = _Sheet(count)
        begin = time.monotonic()
        if client == "sync":
            connections = _BlockingClient(proxy.address, sheet).run(outstanding)
        else:
            connections = asyncio.run(_AsyncioClient(proxy.address, sheet).run(outstanding))
        seconds = time.monotonic() - begin
        pieces, resets = proxy.pieces, proxy.resets
        process.terminate()
        exit_code, counts = process.result()
    weathered = "cuts, holds up and resets" if weather.reset_every else "cuts and holds up"
    failed = {f"failed with {name}": number for name, number in sheet.failed.items()}
    may_fail = resets * outstanding
    return Outcome(
        f"{count:,} requests from {client} to {server}, {outstanding} at once, through a proxy "
        f"that {weathered} (seed {seed})",
        {
            "seconds": seconds,
            "requests a second": round(count / seconds),
            "answered": sheet.answered,
            **failed,
            "handled by the server": counts["handled"],
            "connections": connections,
            "resets": resets,
            "pieces": pieces,
            "overtaken answers": sheet.overtaken,
        },
        [
            Bar("neither answered nor failed", "requests", sheet.lost, most=0),
            Bar("with two endings, or an answer of another", "requests", sheet.wrong, most=0),
            Bar("handled twice", "requests", counts["doubled"], most=0),
            Bar("answered", "times what was handled", sheet.answered / counts["handled"], most=1),
            Bar("failed without a reset", "requests", max(0, sheet.failures - may_fail), most=0),
            Bar("ended badly without a reset", "", max(0, sheet.bad_ends - resets), most=0),
            Bar("exit code of the server", "", exit_code, most=0),
        ],
    )


class _Sheet:
    """What became of each number; any thread may write to it."""

    def __init__(self, count: int) -> None:
        self.failed: Counter[str] = Counter()
        self.wrong = 0
        self.overtaken = 0
        self.bad_ends = 0
        self._endings = bytearray(count)
        self._numbers: Iterator[int] = iter(range(count))
        self._highest = -1
        self._lock = threading.Lock()

    def next_number(self) -> int | None:
        """Return a number that nobody has asked for; None when there are none left."""
        with self._lock:
            return next(self._numbers, None)

    def note_answer(self, number: int, answer: Message) -> None:
        """Take note of an answer."""
        with self._lock:
            self._note(number)
            self.wrong += answer.content != number
            self.overtaken += number < self._highest
            self._highest = max(self._highest, number)

    def note_failure(self, number: int, error: TelexError) -> None:
        """Take note of a failure."""
        with self._lock:
            self._note(number)
            self.failed[type(error).__name__] += 1

    @contextlib.contextmanager
    def noting_a_bad_end(self) -> Iterator[None]:
        """Take note that a connection could not be closed well: a reset may come last of all."""
        try:
            yield
        except ConnectionClosedError:
            self.bad_ends += 1

    @property
    def failures(self) -> int:
        """How many failed."""
        return self.failed.total()

    @property
    def answered(self) -> int:
        """How many were answered."""
        return len(self._endings) - self.lost - self.failures

    @property
    def lost(self) -> int:
        """How many nothing is known of."""
        return self._endings.count(0)

    def _note(self, number: int) -> None:
        self.wrong += self._endings[number] > 0
        self._endings[number] = 1


class _BlockingClient:
    """Threads that share one connection, and the next one when that is lost."""

    def __init__(self, address: Address, sheet: _Sheet) -> None:
        self._address = address
        self._sheet = sheet
        self._connecting = threading.Lock()
        self._connection: telex.sync.Connection | None = None
        self._count = itertools.count()

    def run(self, outstanding: int) -> int:
        """Ask for every number; return how many connections that took."""
        threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(outstanding)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._connection is not None:
            with self._sheet.noting_a_bad_end():
                self._connection.close()
        return next(self._count)

    def _ask(self) -> None:
        connection = self._connected(None)
        while (number := self._sheet.next_number()) is not None:
            try:
                answer = connection.request(number, subject="number", timeout=_TIMEOUT)
            except TelexError as error:
                self._sheet.note_failure(number, error)
                if isinstance(error, ConnectionClosedError):
                    connection = self._connected(connection)
            else:
                self._sheet.note_answer(number, answer)

    def _connected(self, lost: telex.sync.Connection | None) -> telex.sync.Connection:
        """Return the connection that is in use, or a new one where that is the one that is lost."""
        with self._connecting:
            if self._connection is lost:
                if lost is not None:
                    with contextlib.suppress(TelexError):  # which was told to the threads
                        lost.close()
                next(self._count)
                self._connection = telex.sync.connect(self._address)
            assert self._connection is not None
            return self._connection


class _AsyncioClient:
    """Tasks that share one connection, and the next one when that is lost."""

    def __init__(self, address: Address, sheet: _Sheet) -> None:
        self._address = address
        self._sheet = sheet
        self._connecting = asyncio.Lock()
        self._connection: telex.asyncio.Connection | None = None
        self._count = itertools.count()

    async def run(self, outstanding: int) -> int:
        """Ask for every number; return how many connections that took."""
        await asyncio.gather(*(self._ask() for _ in range(outstanding)))
        if self._connection is not None:
            with self._sheet.noting_a_bad_end():
                await self._connection.close()
        return next(self._count)

    async def _ask(self) -> None:
        connection = await self._connected(None)
        while (number := self._sheet.next_number()) is not None:
            try:
                answer = await connection.request(number, subject="number", timeout=_TIMEOUT)
            except TelexError as error:
                self._sheet.note_failure(number, error)
                if isinstance(error, ConnectionClosedError):
                    connection = await self._connected(connection)
            else:
                self._sheet.note_answer(number, answer)

    async def _connected(self, lost: telex.asyncio.Connection | None) -> telex.asyncio.Connection:
        """Return the connection that is in use, or a new one where that is the one that is lost."""
        async with self._connecting:
            if self._connection is lost:
                if lost is not None:
                    with contextlib.suppress(TelexError):  # which was told to the tasks
                        await lost.close()
                next(self._count)
                self._connection = await telex.asyncio.connect(self._address)
            assert self._connection is not None
            return self._connection
