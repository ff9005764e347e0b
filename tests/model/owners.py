"""Who looks after what is open: the owner of a request, and the handler of the peer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.model.books import Asked, Pending
from tests.model.end import End


@dataclass(slots=True)
class Plan:
    """What the handler of a request does: ``reads`` parts (None: all), asks back, answers.

    ``parts`` of 0 answers in one message. ``hangs`` after so many steps: it does nothing more.
    """

    reads: int | None = None
    asks: Plan | None = None
    size: int = 0
    parts: int = 0
    fails: bool = False
    hangs: bool = False


@dataclass(slots=True, eq=False)
class Asker:
    """The owner of a request: sends its parts and takes the parts of the answer.

    ``stops`` is after how many parts of the answer it takes no more; ``left`` are parts to send.
    """

    end: End
    asked: Asked
    left: int
    size: int
    dawdles: bool
    stops: int | None

    def send(self) -> bool:
        """Send a part if it can."""
        if not self.left or self.dawdles:
            return False
        if not self.end.send_part(self.asked, self.size, self.left > 1):
            return False
        self.left -= 1
        return True

    def take(self) -> bool:
        """Take a part of the answer if there is one."""
        incoming = self.asked.incoming
        if incoming is None or not incoming.parts or self.stops == 0:
            return False
        self.end.consumed(incoming)
        if self.stops is not None:
            self.stops -= 1
        return True


@dataclass(slots=True, eq=False)
class Handler:
    """What runs for one request of the peer; ``ask`` asks the peer back."""

    end: End
    request: Pending
    ask: Callable[[Plan], Asker | None]
    back: Asker | None = None
    is_started: bool = False
    is_done: bool = False

    def step(self) -> bool:
        """Do the next thing if it can be done."""
        request, plan = self.request, self.request.plan
        if request.is_over:
            self.is_done = True
            if self.back is not None:
                self.end.cancel(self.back.asked)
            return True
        if not self.is_started:
            self.is_started = self.end.has_room
            return self.is_started
        incoming = request.incoming
        if incoming is not None and plan.reads != 0:
            if not incoming.parts and not incoming.is_complete:
                return False
            if incoming.parts:
                self.end.consumed(incoming)
                if plan.reads is not None:
                    plan.reads -= 1
                return True
        if plan.asks is not None:
            return self._ask_back(plan, plan.asks)
        if plan.hangs:
            return False
        if plan.fails:
            self.end.fail(request, "handler-failed")
            return True
        if not self.end.answer(request, plan.size, plan.parts > 0):
            return False
        plan.parts -= 1
        return True

    def _ask_back(self, plan: Plan, asks: Plan) -> bool:
        if self.back is None:
            rules = self.end.rules
            waits = "asking waits for others to be answered" in rules.mistakes
            if waits and len(self.end.asked) >= rules.max_asked:
                return False
            self.back = self.ask(asks)
            if self.back is None:
                plan.asks = None
                plan.fails = True
            return True
        if not self.back.asked.outcomes:
            return False
        plan.asks = None
        return True
