"""Clients that give up: on answers that take too long, and on answers in parts. Blocking."""

from __future__ import annotations

import contextlib

import telex.sync
from telex import RequestTimeoutError
from tests.soak.application import MAX_PARTS
from tests.soak.clients.client import connect
from tests.soak.clients.good import PARTS, SUBJECTS, Good


class TimingOut(Good):
    """Asks with hardly any time; whatever it asks in between must be answered all the same."""

    name = "timing out"

    def act(self, connection: telex.sync.Connection) -> None:
        """Give up some requests, and ask for one in earnest."""
        for number in range(self.dice.randint(1, 5)):
            with contextlib.suppress(RequestTimeoutError):
                timeout = self.dice.uniform(0.0005, 0.1)
                content = {"number": -number}
                subject = self.dice.choice(SUBJECTS)
                answer = connection.request(content, subject=subject, timeout=timeout)
                if answer.content["number"] != -number:
                    self.world.ledger.problems.add(f"{self.name}: {number} got {answer.content}")
        many = [telex.Message({"number": 0}, subject="slow") for _ in range(3)]
        for outcome in connection.request_many(many, timeout=0.05):
            assert isinstance(outcome, (telex.Message, RequestTimeoutError)), repr(outcome)
        self.ask(connection)


class BreakingOff(Good):
    """Asks for an answer in parts and wants no more after some of them."""

    name = "breaking off"

    def act(self, connection: telex.sync.Connection) -> None:
        """Break some answers off, and ask for one in earnest."""
        for _ in range(self.dice.randint(1, 3)):
            content = {"number": 0, "count": 20 * MAX_PARTS}
            parts = connection.request_parts(content, subject=self.dice.choice(PARTS))
            wanted = self.dice.randint(0, 5)
            for position, _ in enumerate(parts):
                if position == wanted:
                    break
            del parts
            self.ask(connection)
        many = [telex.Message({"number": 0}, subject="work") for _ in range(30)]
        for _ in connection.request_many(many):
            if self.dice.random() < 0.2:
                break
        self.ask(connection)


class BreakingOffForGood(Good):
    """Breaks off an endless answer, and closes."""

    name = "breaking off, then closing"

    def live(self) -> str:
        """Take some parts of what has no end."""
        with connect(self.world, self.address) as connection:
            subject = self.dice.choice(("endless", "watch"))
            content = {"number": 0, "size": self.dice.choice((10, 1000, 20_000))}
            wanted = self.dice.randint(0, 20) if subject == "endless" else 0
            for position, _ in enumerate(connection.request_parts(content, subject=subject)):
                if position >= wanted:
                    break
        return "closed"
