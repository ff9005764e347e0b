"""The application under load, for every front-end; it counts what it was asked.

``number`` requests carry a number and are answered with it, out of order. ``echo`` sends content
back at once. ``report`` answers with the counts so far, ``process`` with who answers.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from typing import Any, Final

from benchmarks.loads.outcome import FrontEnd
from telex import Application, Message, Observer
from telex.application.peer import Peer

_LONGEST_WORK: Final = 0.01
"""Seconds that a handler takes at most; each takes another time, so that answers overtake."""


class Counts(Observer):
    """How many requests came, and how often each number was handled."""

    def __init__(self) -> None:
        self.received = 0
        self.handled: Counter[int] = Counter()

    def message_received(self, peer: Peer, message: Message) -> None:
        """Count a request."""
        self.received += message.subject == "number"

    def report(self) -> dict[str, int]:
        """Return the counts."""
        return {
            "received": self.received,
            "handled": self.handled.total(),
            "doubled": self.handled.total() - len(self.handled),
        }


def new_application(front_end: FrontEnd, counts: Counts) -> Application:
    """Make the application; its handlers block or are awaited, as the front-end has it."""
    app = Application()
    dice = random.Random(1)

    def blocking(message: Message) -> Any:
        time.sleep(dice.uniform(0, _LONGEST_WORK))
        return take(message)

    async def awaited(message: Message) -> Any:
        await asyncio.sleep(dice.uniform(0, _LONGEST_WORK))
        return take(message)

    def take(message: Message) -> Any:
        number = message.content
        counts.handled[number] += 1
        return number

    if front_end == "sync":
        app.on("number", concurrent=True, blocking=True)(blocking)
    else:
        app.on("number", concurrent=True)(awaited)

    @app.on("echo")
    def echo(message: Message) -> Any:
        return message.content

    @app.on("report")
    def report(message: Message) -> Any:
        return counts.report()

    @app.on("process")
    def process(message: Message) -> Any:
        return os.getpid()

    return app


app = new_application("asyncio", Counts())
"""For ``telex serve``."""
