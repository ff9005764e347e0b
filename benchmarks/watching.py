"""What it costs to watch a server: a message on its way through it, with and without observers.

One connection of the blocking server is driven by hand, over a pair of sockets, in one thread: so
nothing is measured but what the server does for a batch of requests, system calls included. The
bytecodes that Python runs for a message are counted too, and those are the same on any machine.
"""

from __future__ import annotations

import gc
import math
import socket
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from benchmarks.standing_clock import standing_clock
from telex import Application, Limits, Message, Observer
from telex.conversation.greeting import Greeting
from telex.metrics import Metrics
from telex.observation.administration import administered
from telex.server.registry import Registry
from telex.sync.loop import READ, Loop
from telex.sync.server_driver import ServerDriver
from telex.tracing import instrument

BATCH: Final = 200
"""Requests that come together, each with 100 bytes of content, as small ones do under load."""

_RECEIVE_SIZE: Final = 1024 * 1024


class Arrivals(Observer):
    """Hears of each message that comes, and of nothing else."""

    def message_received(self, peer: object, message: Message) -> None:
        """Hear it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a message costs: nanoseconds, in the best of all rounds, and bytecodes."""

    watched_by: str
    nanoseconds: float
    bytecodes: float


class Driven:
    """A connection of a server, to which batches of requests are handed."""

    def __init__(
        self, application: Application, observer: Observer | Iterable[Observer] | None
    ) -> None:
        registry = Registry(application, Limits(), Greeting("benchmark"), observer, None, 1)
        self._loop: Final = Loop(registry)
        self._loop.calls.enter()
        self._ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._driver: Final = ServerDriver(self._loop, theirs, "benchmark")
        self._driver.begin()
        self._batch: Final = b"".join(
            Message(b"x" * 100, subject="orders.new", kind="request", id=number).to_bytes()
            for number in range(1, BATCH + 1)
        )

    def answer_batch(self) -> None:
        """Have the server answer a batch; only this is measured."""
        self._driver.ready(READ)

    def round(self, measure: Callable[[Callable[[], None]], float]) -> float:
        """Hand a batch over, and return what ``measure`` says of answering it."""
        self._ours.sendall(self._batch)
        with standing_clock():
            figure = measure(self.answer_batch)
        assert len(self._ours.recv(_RECEIVE_SIZE)) > BATCH * 100
        return figure

    def close(self) -> None:
        """Give everything back."""
        self._ours.close()
        self._driver.ready(READ)
        self._loop.close()


def run(rounds: int) -> list[Cost]:
    """Measure everything, in turns, so that a busy moment of the machine meets all alike."""
    driven = {name: make() for name, make in _contestants().items()}
    for one in driven.values():
        one.round(_nanoseconds)  # what is done once is done
    gc.collect()
    gc.disable()
    try:
        best = dict.fromkeys(driven, math.inf)
        names = list(driven)
        for _ in range(rounds):
            names = [*names[1:], names[0]]  # who comes first finds the caches as others left them
            for name in names:
                best[name] = min(best[name], driven[name].round(_nanoseconds))
        for one in driven.values():
            one.round(_bytecodes)  # from Python 3.12 on the first count misses some
        bytecodes = {name: one.round(_bytecodes) for name, one in driven.items()}
    finally:
        gc.enable()
    for one in driven.values():
        one.close()
    return [Cost(name, best[name] / BATCH, bytecodes[name] / BATCH) for name in driven]


def _contestants() -> dict[str, Callable[[], Driven]]:
    return {
        "nobody": lambda: Driven(_shop(), None),
        "an observer of nothing": lambda: Driven(_shop(), Observer()),
        "an observer of arrivals": lambda: Driven(_shop(), Arrivals()),
        "metrics": lambda: Driven(_shop(), Metrics(registry=None)),
        "operators": lambda: Driven(
            *administered(_shop(), None, ["operator"], shares_address=False)
        ),
        "tracing, not recorded": lambda: Driven(instrument(_shop()), None),
    }


def _shop() -> Application:
    application = Application()

    @application.on("orders.new")
    def order(message: Message) -> bytes:
        return message.body

    return application


def _nanoseconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begin


def _bytecodes(work: Callable[[], None]) -> float:
    """Count the bytecodes of interpreted Python that some work takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
