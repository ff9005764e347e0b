"""Two ends, two pipes and the owners of what is open; and what must be true of them.

When everybody who can act has acted, what is open must have an owner who chose so. When both ends
have left, everything must have ended. This module must never know how an end decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.model.books import Asked, BrokenRuleError, Incoming, Rules
from tests.model.end import End
from tests.model.owners import Asker, Handler, Plan
from tests.model.pipe import Pipe

FOREVER: Final = 10_000
"""More steps than any history needs to come to rest."""


class DeadlockError(AssertionError):
    """Nobody can act, and something is open that nobody chose to leave open."""


@dataclass(slots=True)
class World:
    """Two ends, two pipes, and the owners; ``is_wilful`` lets owners stop in the middle.

    ``may_leave`` lets ends begin to close before everything is at rest.
    """

    rules: Rules
    is_wilful: bool = True
    may_leave: bool = True
    now: int = 0
    is_cut: bool = False
    ends: tuple[End, End] = field(init=False)
    pipes: tuple[Pipe, Pipe] = field(init=False)
    askers: tuple[list[Asker], list[Asker]] = field(default_factory=lambda: ([], []))
    handlers: tuple[list[Handler], list[Handler]] = field(default_factory=lambda: ([], []))
    takes_plain: list[bool] = field(default_factory=lambda: [True, True])
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ends = (End(self.rules), End(self.rules))
        self.pipes = (Pipe(self.rules.capacity), Pipe(self.rules.capacity))

    # What may happen.

    def ask(
        self,
        side: int,
        plan: Plan | None,
        *,
        size: int = 1,
        parts: int = 0,
        part_size: int = 0,
        timeout: int | None = None,
        dawdles: bool = False,
        stops: int | None = None,
        is_handler: bool = False,
    ) -> Asker | None:
        """Have an end ask, and its owner look after the request."""
        asked = self.ends[side].request(size, parts > 0, timeout, plan, is_handler)
        if asked is None:
            self.seen["not asked"] += 1
            return None
        asker = Asker(self.ends[side], asked, parts, part_size, dawdles, stops)
        self.askers[side].append(asker)
        return asker

    def write(self, side: int, most: int) -> bool:
        """Move bytes from an end into its pipe."""
        return self.ends[side].write_to(self.pipes[side], most) > 0

    def read(self, side: int, most: int) -> bool:
        """Move bytes from a pipe into the end that reads it, and start what came."""
        end = self.ends[side]
        moved = end.read_from(self.pipes[1 - side], most) > 0
        if end.arrived:
            ask_back = partial(self.ask, side, is_handler=True)
            self.handlers[side].extend(Handler(end, each, ask_back) for each in end.arrived)
            end.arrived.clear()
        return moved

    def run_handler(self, side: int, at: int) -> bool:
        """Let one handler do one thing."""
        handlers = self.handlers[side]
        if not handlers:
            return False
        handler = handlers[at % len(handlers)]
        moved = handler.step()
        if handler.is_done:
            handlers.remove(handler)
        return moved

    def run_asker(self, side: int, at: int) -> bool:
        """Let the owner of one request send or take a part."""
        askers = self.askers[side]
        if not askers:
            return False
        asker = askers[at % len(askers)]
        moved = asker.send() or asker.take()
        incoming = asker.asked.incoming
        if asker.asked.outcomes and (incoming is None or not incoming.parts):
            askers.remove(asker)
        return moved

    def take_plain(self, side: int) -> bool:
        """Let the owner of the plain messages take one."""
        if not self.takes_plain[side] or not self.ends[side].plain:
            return False
        self.ends[side].plain.popleft()
        return True

    def cut(self) -> None:
        """Lose the connection, for both ends."""
        self.is_cut = True
        for end in self.ends:
            end.lose("lost")

    def tick(self) -> None:
        """Let time pass."""
        self.now += 1
        for end in self.ends:
            end.handle_time(self.now)

    # What must be true.

    def check(self) -> None:
        """Raise BrokenRuleError where an end holds more than its limits."""
        for end in self.ends:
            rules = end.rules
            if end.failure == "too slow to read":
                raise BrokenRuleError("an honest end was too slow to read")
            if len(end.pending) > rules.max_pending or end.streams > rules.max_streams:
                raise BrokenRuleError("too many requests or streams")
            if len(end.asked) > rules.max_asked or len(end.plain) > rules.most_plain:
                raise BrokenRuleError("too many requests or messages")
            windows = 0
            for incoming in end.incomings():
                windows += incoming.window
                if incoming.held > incoming.window + rules.largest - 1:
                    raise BrokenRuleError(f"{incoming.held} bytes held of a stream")
            most_open = (rules.max_streams + rules.max_asked) * rules.window
            if windows > rules.max_windows + most_open:
                raise BrokenRuleError(f"windows of {windows} bytes")
            if any(len(asked.outcomes) > 1 for asked in end.every):
                raise BrokenRuleError("a request ended twice")

    def settle(self) -> None:
        """Let everybody act who can, until nobody can."""
        for _ in range(FOREVER):
            moved = False
            for side in (0, 1):
                moved |= self.write(side, 5)
                moved |= self.read(side, 5)
                for at in range(len(self.handlers[side])):
                    moved |= self.run_handler(side, at)
                for at in range(len(self.askers[side])):
                    moved |= self.run_asker(side, at)
                moved |= self.take_plain(side)
            self.check()
            self.bury()
            if not moved:
                return
        raise DeadlockError("it never comes to rest")

    def check_rest(self) -> None:
        """Raise DeadlockError for what is open at rest though nobody chose so."""
        paused = [self._is_paused_by_owner(side) for side in (0, 1)]
        for side in (0, 1):
            end, peer = self.ends[side], self.ends[1 - side]
            if end.failure is not None or peer.failure is not None or any(paused):
                continue
            if end.unsent or self.pipes[side].unread:
                raise DeadlockError(f"bytes of end {side} are stuck")
            for asked in end.asked.values():
                if not self._is_left_open(side, asked):
                    raise DeadlockError(f"request {asked.number} of end {side} is stuck")
                self._check_credit(end, asked, peer)

    def check_end(self) -> None:
        """Raise unless everything has ended, each request once."""
        for side in (0, 1):
            end = self.ends[side]
            if not end.is_finished:
                raise DeadlockError(f"end {side} is not finished")
            if end.asked or end.pending or end.unsent:
                raise BrokenRuleError(f"something is left at end {side}")
            for asked in end.every:
                if len(asked.outcomes) != 1:
                    raise BrokenRuleError(f"request {asked.number} ended {asked.outcomes}")
                self.seen[asked.outcomes[0]] += 1

    def bury(self) -> None:
        """Tell an end of the other one's failure: its connection is gone as well."""
        for side in (0, 1):
            if self.ends[side].failure is not None and self.ends[1 - side].failure is None:
                self.ends[1 - side].lose("the peer is gone")

    def _is_paused_by_owner(self, side: int) -> bool:
        end = self.ends[side]
        return bool(end.plain) and not self.takes_plain[side] and not end.wants_to_read

    def _is_left_open(self, side: int, asked: Asked) -> bool:
        if asked.is_given_up and not self.ends[side].says_nothing_more:
            return False
        handler = self._handler_of(side, asked)
        asker = self._asker_of(side, asked)
        if handler is None:
            return False
        plan, request = handler.request.plan, handler.request
        incoming = request.incoming
        if incoming is not None and plan.reads != 0 and not incoming.is_complete:
            return asker is not None and asker.dawdles and not incoming.parts
        if plan.asks is not None:
            back = handler.back
            return back is not None and self._is_left_open(1 - side, back.asked)
        if request.outgoing is not None and request.outgoing.credit <= 0:
            return asker is not None and asker.stops == 0
        return bool(plan.hangs)

    def _check_credit(self, end: End, asked: Asked, peer: End) -> None:
        request = peer.pending.get(asked.number)
        if request is None:
            return
        for outgoing, incoming in (
            (asked.outgoing, request.incoming),
            (request.outgoing, asked.incoming),
        ):
            if outgoing is None or incoming is None or outgoing.is_over or incoming.is_over:
                continue
            self._compare(outgoing.credit, incoming)

    @staticmethod
    def _compare(credit: int, incoming: Incoming) -> None:
        if credit != incoming.allowance:
            raise BrokenRuleError(f"credit of {credit} here, and {incoming.allowance} there")
        if incoming.window != incoming.allowance + incoming.held + incoming.uncredited:
            raise BrokenRuleError("credit was lost or doubled")

    def _handler_of(self, side: int, asked: Asked) -> Handler | None:
        for handler in self.handlers[1 - side]:
            if handler.request.number == asked.number and not handler.request.is_over:
                return handler
        return None

    def _asker_of(self, side: int, asked: Asked) -> Asker | None:
        for asker in self.askers[side]:
            if asker.asked is asked:
                return asker
        return None
