"""Good clients, blocking: whatever they ask is in the ledger, and must be answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final

import telex.sync
from telex import Address, ConnectionClosedError, TelexError
from tests.soak.application import MAX_PARTS
from tests.soak.clients.client import PATIENCE, ThreadClient, connect

SUBJECTS: Final = ("number", "typed", "work", "thread", "thread-in-order", "slow")
"""Subjects that are answered by one message."""

PARTS: Final = ("parts", "thread-parts")
"""Subjects that are answered in parts."""

_MOST_ACTS: Final = 8


class Good(ThreadClient):
    """Asks in every way, pauses, and closes."""

    name = "good"
    is_calm: ClassVar[bool] = True

    @property
    def address(self) -> Address:
        """Where this life connects to."""
        return self.dice.choice((self.world.calm, self.world.direct))

    def live(self) -> str:
        """Ask in some ways, and close; a connection that ends meanwhile is a problem."""
        connection = connect(self.world, self.address)
        try:
            with connection:
                for _ in range(self.dice.randint(1, _MOST_ACTS)):
                    self.act(connection)
                    self.sleep(0.2)
                    if self.world.is_over.is_set():
                        break
        except TelexError as error:
            if self.is_calm or not isinstance(error, ConnectionClosedError):
                self.world.ledger.problems.add(f"{self.name}: {type(error).__name__}: {error}")
            raise
        return "closed"

    def act(self, connection: telex.sync.Connection) -> None:
        """Do one thing, whatever comes to mind."""
        acts = (self.ask, self.ask, self.ask_for_parts, self.ask_many, self.notes, self.pushes)
        self.dice.choice(acts)(connection)

    def ask(self, connection: telex.sync.Connection) -> None:
        """Ask once."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            subject = self.dice.choice(SUBJECTS)
            content = {"number": entry.number}
            answer = connection.request(content, subject=subject, timeout=PATIENCE)
            entry.answered(answer.content)

    def ask_for_parts(self, connection: telex.sync.Connection) -> None:
        """Ask for an answer in parts, and take all of them."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            count = self.dice.randint(1, MAX_PARTS)
            content = {"number": entry.number, "count": count}
            subject = self.dice.choice(PARTS)
            parts = [
                part.content
                for part in connection.request_parts(content, subject=subject, timeout=PATIENCE)
            ]
            check_parts(entry, parts, count)

    def ask_many(self, connection: telex.sync.Connection) -> None:
        """Ask many at a time, each with some filling."""
        count = self.dice.randint(2, 100)
        ledger = self.world.ledger
        entries = [ledger.request(self.name, is_calm=self.is_calm) for _ in range(count)]
        filling = "x" * self.dice.choice((0, 0, 100, 2000))
        subject = self.dice.choice(("number", "work", "thread-in-order"))
        requests = [
            telex.Message({"number": entry.number, "filling": filling}, subject=subject)
            for entry in entries
        ]
        left = iter(entries)
        try:
            for answer in connection.request_many(requests, timeout=PATIENCE):
                take(next(left), answer)
        except TelexError as error:
            for entry in left:
                entry.failed(error)
            raise
        for entry in left:
            entry.wrong("request_many ended before its answer")

    def notes(self, connection: telex.sync.Connection) -> None:
        """Send plain messages, and ask how many have come."""
        count = self.dice.randint(1, 50)
        connection.send_many(telex.Message(f"note {n}", subject="note") for n in range(count))
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            content = {"number": entry.number}
            answer = connection.request(content, subject="notes", timeout=PATIENCE).content
            if answer["notes"] != count:
                entry.wrong(f"{answer['notes']} of {count} plain messages have come")
            else:
                entry.answered(answer)

    def pushes(self, connection: telex.sync.Connection) -> None:
        """Have messages pushed, and take them in their order."""
        with self.world.ledger.request(self.name, is_calm=self.is_calm) as entry:
            count = self.dice.randint(1, 50)
            content = {"number": entry.number, "count": count, "size": self.dice.choice((0, 500))}
            subject = self.dice.choice(("push", "thread-push"))
            answer = connection.request(content, subject=subject, timeout=PATIENCE).content
            pushed = [connection.receive(PATIENCE).content["push"] for _ in range(count)]
            if pushed != list(range(count)):
                entry.wrong(f"pushed were {pushed}")
            else:
                entry.answered(answer)


class GoodOverRoughNetwork(Good):
    """The same, where a connection may break at any moment."""

    name = "good, rough network"
    is_calm = False

    @property
    def address(self) -> Address:
        """Where this life connects to."""
        return self.world.rough


class GoodInThreads(Good):
    """Several threads that ask over one connection."""

    name = "good, in threads"
    _THREADS = 4

    def act(self, connection: telex.sync.Connection) -> None:
        """Have every thread do something at the same time, nothing that receives messages."""
        errors: list[TelexError] = []

        def run(what: Callable[[Any], None]) -> None:
            try:
                what(connection)
            except TelexError as error:
                errors.append(error)

        acts = (self.ask, self.ask_for_parts, self.ask_many)
        threads = [
            threading.Thread(target=run, args=(self.dice.choice(acts),))
            for _ in range(self._THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]


def check_parts(entry: Any, parts: list[Any], count: int) -> None:
    """Hand over an answer in parts, which must be all of them, in order."""
    if [part["part"] for part in parts] != list(range(count)):
        entry.wrong(f"instead of {count} parts came {parts}")
    else:
        entry.answered(parts[-1])


def take(entry: Any, answer: Any) -> None:
    """Hand over what ``request_many`` gave for a request."""
    if isinstance(answer, TelexError):
        entry.failed(answer)
    else:
        entry.answered(answer.content)
