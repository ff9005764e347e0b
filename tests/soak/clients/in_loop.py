"""Clients of an event loop: good ones, some that cancel or give up, and some that reconnect.

Their requests are in the ledger, but for those that are given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import telex.asyncio
from telex import Address, ConnectionClosedError, TelexError
from tests.soak.application import MAX_PARTS
from tests.soak.clients.client import PATIENCE, LoopClient
from tests.soak.clients.good import PARTS, SUBJECTS, check_parts, take

Act = Callable[[telex.asyncio.Connection], Awaitable[None]]


class GoodInLoop(LoopClient):
    """Asks in every way, several things at a time, and closes."""

    name = "good, in a loop"
    is_calm: ClassVar[bool] = True

    @property
    def address(self) -> Address:
        """Where this life connects to."""
        return self.dice.choice((self.world.calm, self.world.direct))

    async def live(self) -> str:
        """Ask in some ways, and close; a connection that ends meanwhile is a problem."""
        connection = await telex.asyncio.connect(self.address, **self.world.options())
        try:
            async with connection:
                for _ in range(self.dice.randint(1, 6)):
                    await self.act(connection)
                    if self.world.is_over.is_set():
                        break
                    await asyncio.sleep(self.dice.uniform(0, 0.2))
        except TelexError as error:
            if self.is_calm or not isinstance(error, ConnectionClosedError):
                self.world.ledger.problems.add(f"{self.name}: {type(error).__name__}: {error}")
            raise
        return "closed"

    async def act(self, connection: telex.asyncio.Connection) -> None:
        """Do some things at the same time, then something that receives messages."""
        acts: tuple[Act, ...] = (self.ask, self.ask, self.ask_for_parts, self.ask_many)
        doing = [self.dice.choice(acts)(connection) for _ in range(self.dice.randint(1, 4))]
        for result in await asyncio.gather(*doing, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        await self.dice.choice((self.pushes, self.notes))(connection)

    async def ask(self, connection: telex.asyncio.Connection) -> None:
        """Ask once."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            content = {"number": entry.number}
            subject = self.dice.choice(SUBJECTS)
            answer = await connection.request(content, subject=subject, timeout=PATIENCE)
            entry.answered(answer.content)

    async def ask_for_parts(self, connection: telex.asyncio.Connection) -> None:
        """Ask for an answer in parts, and take all of them."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            count = self.dice.randint(1, MAX_PARTS)
            content = {"number": entry.number, "count": count}
            subject = self.dice.choice(PARTS)
            parts = [
                part.content
                async for part in connection.request_parts(
                    content, subject=subject, timeout=PATIENCE
                )
            ]
            check_parts(entry, parts, count)

    async def ask_many(self, connection: telex.asyncio.Connection) -> None:
        """Ask many at a time."""
        count = self.dice.randint(2, 100)
        ledger = self.world.ledger
        entries = [ledger.request(self.name, is_calm=self.is_calm) for _ in range(count)]
        subject = self.dice.choice(("number", "work", "thread-in-order"))
        requests = [telex.Message({"number": one.number}, subject=subject) for one in entries]
        left = iter(entries)
        try:
            async for answer in connection.request_many(requests, timeout=PATIENCE):
                take(next(left), answer)
        except TelexError as error:
            for entry in left:
                entry.failed(error)
            raise
        for entry in left:
            entry.wrong("request_many ended before its answer")

    async def notes(self, connection: telex.asyncio.Connection) -> None:
        """Send plain messages, and ask how many have come."""
        count = self.dice.randint(1, 50)
        for number in range(count):
            await connection.send(f"note {number}", subject="note")
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            content = {"number": entry.number}
            answer = await connection.request(content, subject="notes", timeout=PATIENCE)
            if answer.content["notes"] != count:
                entry.wrong(f"{answer.content['notes']} of {count} plain messages have come")
            else:
                entry.answered(answer.content)

    async def pushes(self, connection: telex.asyncio.Connection) -> None:
        """Have messages pushed, and take them in their order."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            count = self.dice.randint(1, 50)
            content = {"number": entry.number, "count": count}
            subject = self.dice.choice(("push", "thread-push"))
            answer = await connection.request(content, subject=subject, timeout=PATIENCE)
            pushed = [(await connection.receive(PATIENCE)).content["push"] for _ in range(count)]
            if pushed != list(range(count)):
                entry.wrong(f"pushed were {pushed}")
            else:
                entry.answered(answer.content)


class Cancelling(GoodInLoop):
    """Cancels what it has begun, at any moment; the connection must be as good as before."""

    name = "cancelling"

    async def act(self, connection: telex.asyncio.Connection) -> None:
        """Cancel something, and ask in earnest."""
        acts = (self._ask_anything, self._take_parts, self._take_many, self._receive, self._ping)
        for _ in range(self.dice.randint(1, 4)):
            task = asyncio.ensure_future(self.dice.choice(acts)(connection))
            await asyncio.sleep(self.dice.choice((0, 0, 0.001, self.dice.uniform(0, 0.1))))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.ask(connection)

    async def _ask_anything(self, connection: telex.asyncio.Connection) -> None:
        await connection.request({"number": 0}, subject=self.dice.choice(SUBJECTS))

    async def _take_parts(self, connection: telex.asyncio.Connection) -> None:
        content = {"number": 0, "count": 500}
        async for _ in connection.request_parts(content, subject=self.dice.choice(PARTS)):
            pass

    async def _take_many(self, connection: telex.asyncio.Connection) -> None:
        requests = [telex.Message({"number": 0}, subject="work") for _ in range(20)]
        async for _ in connection.request_many(requests):
            pass

    async def _receive(self, connection: telex.asyncio.Connection) -> None:
        await connection.receive()

    async def _ping(self, connection: telex.asyncio.Connection) -> None:
        await connection.ping()


class CancelledAsAWhole(LoopClient):
    """Is cancelled wherever it is: while it connects, asks, or closes."""

    name = "cancelled as a whole"

    async def live(self) -> str:
        """Begin, and be cancelled."""
        task = asyncio.ensure_future(self._begin())
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "closed"

    async def _begin(self) -> None:
        address = self.dice.choice((self.world.rough, self.world.direct))
        async with telex.asyncio.connect(address, **self.world.options()) as connection:
            content = {"number": 0, "size": 10_000}
            subject = self.dice.choice(("number", "slow", "large"))
            await connection.request(content, subject=subject)


class TimingOutInLoop(GoodInLoop):
    """Gives up answers by ``asyncio.timeout``; goes on with the parts of an answer after that."""

    name = "timing out, in a loop"

    async def act(self, connection: telex.asyncio.Connection) -> None:
        """Give up some requests, and ask in earnest."""
        for _ in range(self.dice.randint(1, 3)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.dice.uniform(0, 0.1)):
                    await connection.request({"number": 0}, subject=self.dice.choice(SUBJECTS))
        await self.ask(connection)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.dice.uniform(0, 0.05)):
                content = {"number": 0, "count": 10}
                async for _ in connection.request_parts(content, subject=self.dice.choice(PARTS)):
                    pass
        await self.ask(connection)


class Reconnecting(GoodInLoop):
    """Connects again whenever its connection is lost."""

    name = "reconnecting"
    is_calm = False

    async def live(self) -> str:
        """Live through some connections."""
        lives = self.dice.randint(1, 4)
        connections = telex.asyncio.reconnecting(
            self.world.rough, max_delay=0.5, **self.world.options()
        )
        async with contextlib.aclosing(connections):
            async for connection in connections:
                with contextlib.suppress(ConnectionClosedError):
                    await self.act(connection)
                lives -= 1
                if not lives or self.world.is_over.is_set():
                    break
        return "closed"


class BreakingOffInLoop(GoodInLoop):
    """Asks for answers in parts and wants no more after some of them."""

    name = "breaking off, in a loop"

    async def act(self, connection: telex.asyncio.Connection) -> None:
        """Break some answers off, and ask in earnest."""
        content: dict[str, Any] = {"number": 0, "count": 20 * MAX_PARTS}
        for _ in range(self.dice.randint(1, 3)):
            wanted = self.dice.randint(0, 5)
            async for _ in connection.request_parts(content, subject=self.dice.choice(PARTS)):
                wanted -= 1
                if wanted < 0:
                    break
            await self.ask(connection)
