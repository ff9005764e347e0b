"""One end of the conversation, as a model; the package's docstring has the rules that it keeps.

Frames, time and room for bytes are handed in. It knows no socket, clock, thread or owner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from tests.model.books import Asked, BrokenRuleError, Incoming, Outgoing, Pending, Rules
from tests.model.pipe import Frame, Pipe

ANSWERS = frozenset({"reply", "error"})
AFTER_CLOSE = frozenset({"credit", "cancel"})


class End:
    """One end of the conversation. Frames, time and bytes are handed in."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now = 0
        self.asked: dict[int, Asked] = {}
        self.pending: dict[int, Pending] = {}
        self.every: list[Asked] = []
        self.arrived: list[Pending] = []
        self.plain: deque[int] = deque()
        self.unsent = 0
        self.owed = 0
        self.failure: str | None = None
        self.is_draining = False
        self.says_nothing_more = False
        self.has_closed = False
        self.peer_has_closed = False
        self.peer_has_ended = False
        self._output: deque[Frame] = deque()
        self._gone = 0
        self._drain_deadline: int | None = None

    # What it decides.

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen here, but for what is unsent."""
        return self.failure is not None or (self.has_closed and self.peer_has_closed)

    @property
    def must_read(self) -> bool:
        """Whether something is open here that only reading can end."""
        mistakes = self.rules.mistakes
        if "streams do not count as open" not in mistakes and self.streams:
            return True
        if "given up requests do not count as open" in mistakes:
            return any(not asked.is_given_up for asked in self.asked.values())
        return bool(self.asked)

    @property
    def wants_to_read(self) -> bool:
        """Whether to read on: always while it must, else while there is room for what comes."""
        if self.failure is not None or self.peer_has_ended:
            return False
        if self.is_finished:
            return True
        rules, mistakes = self.rules, self.rules.mistakes
        is_saturated = len(self.pending) >= rules.max_pending
        is_loud = self.owed > rules.high_water
        if "reading pauses for pending requests" in mistakes and is_saturated:
            return False
        if "reading pauses for unsent output" in mistakes and self.unsent > rules.high_water:
            return False
        if "own messages pause reading" in mistakes:
            is_loud = self.unsent > rules.high_water
        is_full = is_loud or len(self.plain) >= rules.max_plain
        if rules.pauses_for_pending:
            is_full = is_full or is_saturated
        return not is_full or self.must_read

    @property
    def has_room(self) -> bool:
        """Whether producers may go on: nothing is made for an output above high water."""
        if "generators do not wait for output" in self.rules.mistakes:
            return True
        return self.unsent <= self.rules.high_water

    @property
    def streams(self) -> int:
        """Streams that the peer's requests have open here."""
        return sum(request.is_stream for request in self.pending.values())

    # What its owners ask for.

    def request(
        self, size: int, more: bool, timeout: int | None, plan: Any, is_handler: bool = False
    ) -> Asked | None:
        """Ask; None where no more can be asked: too many are open, or the end is leaving."""
        if self.is_finished or self.says_nothing_more or self.peer_has_closed:
            return None
        if (self.is_draining and not is_handler) or len(self.asked) >= self.rules.max_asked:
            return None
        number = len(self.every) + 1
        deadline = None if timeout is None else self.now + timeout
        asked = Asked(number, deadline, Outgoing(self.rules.window) if more else None)
        self.asked[number] = asked
        self.every.append(asked)
        self._say(Frame("request", number, size, more, timeout=timeout, plan=plan))
        return asked

    def send_part(self, asked: Asked, size: int, more: bool) -> bool:
        """Send a further part of a request; False while it must wait."""
        outgoing = asked.outgoing
        if outgoing is None or outgoing.is_over or not self._may_go(outgoing):
            return False
        outgoing.credit -= size
        outgoing.is_over = not more
        self._say(Frame("part", asked.number, size, more))
        return True

    def cancel(self, asked: Asked, outcome: str = "cancelled") -> None:
        """Give a request up: its owner is told now, and the answer is dropped when it comes."""
        if asked.number not in self.asked or asked.is_given_up:
            return
        asked.is_given_up = True
        self._tell(asked, outcome)
        if "replies to given up requests are unknown" in self.rules.mistakes:
            del self.asked[asked.number]
        self._say(Frame("cancel", asked.number))
        self._close_if_done()

    def answer(self, request: Pending, size: int, more: bool) -> bool:
        """Answer, in one message or in parts; False while the part must wait."""
        if request.is_over:
            return True
        outgoing = request.outgoing
        if more and outgoing is None:
            if self.streams - request.is_stream >= self.rules.max_streams:
                self.fail(request, "overloaded")
                return True
            outgoing = request.outgoing = Outgoing(self.rules.window)
        if outgoing is not None:
            if not self._may_go(outgoing):
                if self.peer_has_ended and outgoing.credit <= 0:
                    self._end_waiting(request)
                return request.is_over
            outgoing.credit -= size
        self._say(Frame("reply", request.number, size, more))
        if not more:
            self._settle(request)
        return True

    def fail(self, request: Pending, code: str) -> None:
        """Answer with an error; nothing happens where the request is answered."""
        if not request.is_over:
            self._say(Frame("error", request.number, code=code))
            self._settle(request)

    def consumed(self, incoming: Incoming) -> int:
        """Take one part out of a stream, and give its credit back."""
        size = incoming.parts.popleft()
        incoming.held -= size
        self._give_credit(incoming, size)
        return size

    def push(self, size: int) -> bool:
        """Send a plain message; False while it must wait, or can never go."""
        if self.is_draining or self.peer_has_ended or self.is_finished or not self.has_room:
            return False
        self._say(Frame("plain", size=size))
        return True

    def shut_down(self) -> None:
        """Begin to leave: what is open may end, until ``drain_timeout``."""
        if not self.is_draining and not self.is_finished:
            self.is_draining = True
            self._drain_deadline = self.now + self.rules.drain_timeout
            self._close_if_done()

    def end_output(self) -> None:
        """Say nothing more, as a foreign peer does that ends its stream behind its requests."""
        if not self.pending and not any(self._sending()) and not self.has_closed:
            self.is_draining = self.says_nothing_more = self.has_closed = True
            self._drain_deadline = self.now + self.rules.drain_timeout

    def handle_time(self, now: int) -> None:
        """End what has waited too long."""
        self.now = now
        for request in list(self.pending.values()):
            if request.deadline is not None and now >= request.deadline:
                self.fail(request, "timeout")
        for asked in list(self.asked.values()):
            if asked.deadline is not None and now >= asked.deadline:
                self.cancel(asked, "timeout")
        if self._drain_deadline is not None and now >= self._drain_deadline:
            for request in list(self.pending.values()):
                self.fail(request, "shutting-down")
            for asked in list(self.asked.values()):
                self.cancel(asked, "closed")
            self._close_if_done()
            if self.has_closed and now >= self._drain_deadline + self.rules.drain_timeout:
                self.lose("gone")

    def lose(self, why: str) -> None:
        """End everything at once: the connection is gone."""
        if not self.is_finished:
            self.failure = why
            self._end_asked("lost")
            for request in list(self.pending.values()):
                self._settle(request)
        self._output.clear()
        self.unsent = self.owed = 0

    # The bytes.

    def write_to(self, pipe: Pipe, most: int) -> int:
        """Move unsent bytes into the pipe; return how many, 1 for the end of the stream."""
        total = 0
        while self._output and total < most and pipe.room:
            frame = self._output[0]
            if not self._gone:
                pipe.begin(frame)
            size = min(most - total, pipe.room, frame.length - self._gone)
            pipe.write(size)
            total += size
            self._gone += size
            self._count(frame, -size)
            if self._gone == frame.length:
                self._output.popleft()
                self._gone = 0
        is_done = not self._output and (self.says_nothing_more or self.is_finished)
        if is_done and not pipe.is_ended:
            pipe.is_ended = True
            total += 1
        return total

    def read_from(self, pipe: Pipe, most: int) -> int:
        """Read bytes as long as it wants to; return how many, 1 for the end of the stream."""
        total = 0
        while total < most and pipe.unread and self.wants_to_read:
            size, frame = pipe.read(most - total)
            total += size
            if frame is not None:
                self._receive(frame)
        if pipe.is_ended and not pipe.unread and not self.peer_has_ended and not self.is_finished:
            self._receive_eof()
            total += 1
        return total

    # What comes in.

    def _receive(self, frame: Frame) -> None:
        kind = frame.kind
        if self.peer_has_closed and kind not in AFTER_CLOSE:
            raise BrokenRuleError(f"{kind} after close")
        if kind == "plain":
            if len(self.plain) >= self.rules.most_plain:
                self.lose("overloaded")
            else:
                self.plain.append(frame.size)
        elif kind == "request":
            self._receive_request(frame)
        elif kind == "part":
            self._receive_part(frame)
        elif kind in ANSWERS:
            self._receive_answer(frame)
        elif kind == "cancel":
            self._receive_cancel(frame)
        elif kind == "credit":
            self._receive_credit(frame)
        else:
            self._peer_closes()

    def _receive_request(self, frame: Frame) -> None:
        if frame.number in self.pending:
            raise BrokenRuleError("a request whose id is waiting")
        if self.has_closed:
            return
        if self.is_draining:
            self._say(Frame("error", frame.number, code="shutting-down"))
        elif len(self.pending) >= self.rules.max_pending or (
            frame.more and self.streams >= self.rules.max_streams
        ):
            self._say(Frame("error", frame.number, code="overloaded"))
        else:
            deadline = None if frame.timeout is None else self.now + frame.timeout
            incoming = None
            if frame.more:
                incoming = Incoming(self.rules.window, frame.number, is_asker=False)
            request = Pending(frame.number, deadline, frame.plan, incoming)
            self.pending[frame.number] = request
            self.arrived.append(request)

    def _receive_part(self, frame: Frame) -> None:
        request = self.pending.get(frame.number)
        if request is None:
            if "a late part kills" in self.rules.mistakes:
                raise BrokenRuleError("a part of no request")
            return
        if request.incoming is None or request.incoming.is_complete:
            raise BrokenRuleError("a part behind the last one")
        self._hold(request.incoming, frame)

    def _receive_answer(self, frame: Frame) -> None:
        asked = self.asked.get(frame.number)
        if asked is None:
            raise BrokenRuleError(f"{frame.kind} {frame.code} to what is not asked")
        if asked.is_given_up:
            if not frame.more:
                del self.asked[frame.number]
                if "a dropped answer is told" in self.rules.mistakes:
                    self._tell(asked, "answered")
                self._close_if_done()
            return
        if frame.more and asked.incoming is None:
            asked.incoming = Incoming(self.rules.window, frame.number, is_asker=True)
        if asked.incoming is not None and frame.kind == "reply":
            self._hold(asked.incoming, frame)
        if not frame.more:
            del self.asked[frame.number]
            self._tell(asked, frame.code or "answered")
            self._close_if_done()

    def _receive_cancel(self, frame: Frame) -> None:
        request = self.pending.get(frame.number)
        if request is not None:
            self._say(Frame("error", frame.number, code="cancelled"))
            if "a cancelled request is answered twice" not in self.rules.mistakes:
                self._settle(request)

    def _receive_credit(self, frame: Frame) -> None:
        of = self.pending if frame.is_from_asker else self.asked
        request = of.get(frame.number)
        if request is not None and request.outgoing is not None:
            request.outgoing.credit += frame.credit

    def _peer_closes(self) -> None:
        self.peer_has_closed = True
        if "the close of the peer ends no request" not in self.rules.mistakes:
            self._end_asked("closed")
        self.shut_down()
        self._close_if_done()

    def _receive_eof(self) -> None:
        self.peer_has_ended = True
        if not self.peer_has_closed:
            self._peer_closes()
        for request in list(self.pending.values()):
            incoming, outgoing = request.incoming, request.outgoing
            if (incoming is not None and not incoming.is_complete) or (
                outgoing is not None and outgoing.credit <= 0
            ):
                self._end_waiting(request)

    def _end_waiting(self, request: Pending) -> None:
        if "streams wait for a peer that has ended" not in self.rules.mistakes:
            self.fail(request, "cancelled")

    def _may_go(self, outgoing: Outgoing) -> bool:
        if "parts do not wait for credit" in self.rules.mistakes:
            return self.has_room
        return outgoing.credit > 0 and self.has_room

    def _hold(self, incoming: Incoming, frame: Frame) -> None:
        if incoming.allowance <= 0:
            raise BrokenRuleError("a part without credit")
        incoming.allowance -= frame.size
        incoming.is_complete = not frame.more
        incoming.parts.append(frame.size)
        incoming.held += frame.size
        if "credit is given on arrival" in self.rules.mistakes:
            self._give_credit(incoming, frame.size)

    def _give_credit(self, incoming: Incoming, size: int) -> None:
        mistakes = self.rules.mistakes
        if not incoming.is_open or self.is_finished:
            return
        if "credit is lost above high water" in mistakes and self.unsent > self.rules.high_water:
            return
        rules = self.rules
        growth = min(incoming.window, rules.max_window - incoming.window)
        bytes_more = incoming.grant(
            size, growth if self.windows() + growth <= rules.max_windows else 0
        )
        if not bytes_more:
            return
        if "credit is doubled" in mistakes:
            bytes_more *= 2
        if self.has_closed and "no credit after close" in mistakes:
            return
        asks = incoming.is_asker
        self._say(Frame("credit", incoming.number, credit=bytes_more, is_from_asker=asks))

    def incomings(self) -> Iterator[Incoming]:
        """Return the streams that come in and are open."""
        requests: list[Asked | Pending] = [*self.asked.values(), *self.pending.values()]
        for request in requests:
            if request.incoming is not None and request.incoming.is_open:
                yield request.incoming

    def windows(self) -> int:
        """Bytes that the windows of all open streams that come in have together."""
        return sum(incoming.window for incoming in self.incomings())

    def _sending(self) -> Iterator[Asked]:
        for asked in self.asked.values():
            if asked.outgoing is not None and not asked.outgoing.is_over:
                yield asked

    def _settle(self, request: Pending) -> None:
        request.is_over = True
        del self.pending[request.number]
        if request.incoming is not None:
            request.incoming.drop()
        self._close_if_done()

    def _tell(self, asked: Asked, outcome: str) -> None:
        asked.outcomes.append(outcome)
        if asked.outgoing is not None:
            asked.outgoing.is_over = True
        if asked.incoming is not None and not asked.incoming.is_complete:
            asked.incoming.drop()

    def _end_asked(self, outcome: str) -> None:
        asked = list(self.asked.values())
        self.asked.clear()
        for each in asked:
            if not each.is_given_up:
                self._tell(each, outcome)

    def _close_if_done(self) -> None:
        if not self.is_draining or self.has_closed or self.pending:
            return
        if "close overtakes parts" not in self.rules.mistakes and any(self._sending()):
            return
        self.has_closed = True
        self._say(Frame("close"))

    def _say(self, frame: Frame) -> None:
        if self.failure is not None or self.says_nothing_more:
            return
        self._output.append(frame)
        self._count(frame, frame.length)
        if self.unsent > self.rules.most_unsent:
            self.lose("too slow to read")

    def _count(self, frame: Frame, size: int) -> None:
        self.unsent += size
        if frame.kind in ANSWERS:
            self.owed += size
