"""The table of reactions as conversations, one for each cell.

Each brings the tested end into a phase, lets one thing arrive, and shows what the table says.
"""

from __future__ import annotations

from typing import Any, Final

from telex.conformance.setups import TOKEN
from telex.conversation.reactions import REACTIONS, Arrival, Reaction, Role
from telex.conversation.states import Phase

Step = dict[str, Any]
Steps = list[Step]

_OVER_THE_LIMIT: Final = 16 * 1024 * 1024 + 1
_END: Final[Step] = {"out": "end"}
_ASK_FOR_CLOCK: Final = (Arrival.ERROR, Arrival.LATE_ERROR, Arrival.PONG, Arrival.LATE_PONG)
"""What answers a ping of the server, which comes after a silence."""

_OF_CALLS: Final = (Arrival.REPLY, Arrival.ERROR, Arrival.PONG)
_OF_LATE_CALLS: Final = (Arrival.LATE_REPLY, Arrival.LATE_ERROR, Arrival.LATE_PONG)
_OF_WELCOME: Final = (Arrival.WELCOME, Arrival.BROKEN_WELCOME)

_SAID: Final[dict[Reaction, str]] = {
    Reaction.BAD_MESSAGE: "bad-message",
    Reaction.TOO_LARGE: "too-large",
    Reaction.UNAUTHORIZED: "unauthorized",
}
"""The code of the error with which a side ends the conversation."""


def cells() -> list[dict[str, Any]]:
    """Return the conversations, in the order of the table."""
    return [_cell(role, phase, arrival) for role, phase, arrival in REACTIONS]


def _cell(role: Role, phase: Phase, arrival: Arrival) -> dict[str, Any]:
    reaction = REACTIONS[role, phase, arrival]
    name = "-".join([role.value, phase.value, arrival.name.lower().replace("_", "-")])
    make = _Server if role is Role.SERVER else _Client
    scene = make(name, phase, arrival)
    steps = [*scene.prefix(), *scene.arrives(), *scene.follows(reaction)]
    conversation: dict[str, Any] = {
        "name": name,
        "shows": f"At a {role.value}, {phase.value}: {arrival.value}: {reaction.value}.",
        "role": role.value,
        "covers": [f"{role.value} {phase.value} {arrival.name}"],
        "setup": scene.setup,
    }
    if scene.needs:
        conversation["needs"] = [scene.needs]
    return {**conversation, "steps": steps}


_ALIKE: Final[dict[Arrival, Steps]] = {
    Arrival.REQUEST_WITHOUT_ID: [{"in": {"kind": "request", "subject": "echo", "text": "x"}}],
    Arrival.UNASKED_REPLY: [{"in": {"kind": "reply", "re": 4711, "text": "x"}}],
    Arrival.UNASKED_ERROR: [{"in": {"kind": "error", "re": 4711, "code": "unsupported-kind"}}],
    Arrival.ENDING_ERROR: [{"in": {"kind": "error", "code": "overloaded"}}],
    Arrival.NOTICE: [{"in": {"kind": "error", "code": "not-today"}}],
    Arrival.PING: [{"in": {"kind": "ping", "id": 3}}],
    Arrival.PING_WITHOUT_ID: [{"in": {"kind": "ping"}}],
    Arrival.UNASKED_PONG: [{"in": {"kind": "pong", "re": 4711}}],
    Arrival.UNASKED_WELCOME: [{"in": {"kind": "welcome", "json": {"version": 1}}}],
    Arrival.CLOSE: [{"in": {"kind": "close", "code": "closed"}}],
    Arrival.UNKNOWN: [{"in": {"kind": "not-a-kind", "id": 4}}],
    Arrival.LARGE_CONTROL: [{"in": {"kind": "ping", "id": 3, "hex": "00", "repeat": 65_537}}],
    Arrival.BROKEN: [{"in": {"bytes": [{"hex": "0000"}]}}],
    Arrival.TOO_LARGE: [{"in": {"kind": "close", "content-length": _OVER_THE_LIMIT}}],
    Arrival.END: [{"in": "end"}],
    Arrival.END_INSIDE: [{"in": {"bytes": [{"hex": "0044"}]}}, {"in": "end"}],
}
"""What arrives at both ends alike."""


class _Scene:
    """One cell: the setup of the tested end, and the steps."""

    def __init__(self, name: str, phase: Phase, arrival: Arrival) -> None:
        self.name: Final = name
        self.phase: Final = phase
        self.arrival: Final = arrival
        self.setup = "plain"
        self.needs: str | None = None

    def arrives(self) -> Steps:
        """Return the steps in which it arrives."""
        return _ALIKE[self.arrival]

    def follows(self, reaction: Reaction) -> Steps:
        """Return the steps in which the reaction shows."""
        if reaction in _SAID:
            return [
                {"out": {"kind": "error", "code": _SAID[reaction]}},
                _END,
                *self.broke(reaction),
            ]
        if self.phase is Phase.CLOSING and reaction not in (Reaction.FAIL, Reaction.DONE):
            return [{"in": {"kind": "close", "code": "closed"}}, _END]  # nothing is said any more
        if self.phase is Phase.FINISHING:
            return []
        return self.shows()[reaction]

    def broke(self, reaction: Reaction) -> Steps:
        """Return how the program at the tested end learns that the conversation has failed."""
        return []

    def shows(self) -> dict[Reaction, Steps]:
        """Return what shows each of the other reactions."""
        return {
            Reaction.DROP: [],
            Reaction.FAIL: [_END],
            Reaction.DONE: [_END],
            Reaction.PONG: [{"out": {"kind": "pong", "re": 3}}],
            Reaction.UNSUPPORTED: [{"out": {"kind": "error", "re": 4, "code": "unsupported-kind"}}],
            Reaction.FINISH: [*self._close(), _END],
        }

    def _close(self) -> Steps:
        """Return the close of a side whose peer has sent a kind: others get none."""
        return [] if self.arrival is Arrival.END else [{"out": {"kind": "close"}}]


class _Server(_Scene):
    """A cell at a server, which offers the fixed application."""

    def prefix(self) -> Steps:
        """Return the steps that lead to the phase, and to what arrives in it."""
        if self.phase is Phase.GREETING or self.arrival is Arrival.HELLO_WITHOUT_TOKEN:
            self.setup = "token"
        return [*self._before(), *self._to_phase()]

    def _before(self) -> Steps:
        if self.arrival in _ASK_FOR_CLOCK:
            return self._pinged()
        if self.arrival is Arrival.REQUEST_AGAIN:
            return [{"in": {"kind": "request", "id": 7, "subject": "hold", "text": "x"}}]
        if self.arrival is Arrival.LATE_HELLO:
            return [*_asked_and_answered(1)]
        return []

    def _pinged(self) -> Steps:
        self.needs = "clock"
        hello = {"kind": "hello", "json": {"keepalive": True}}
        steps: Steps = [{"in": hello}, {"out": {"kind": "welcome"}}, {"elapse": 21}]
        steps.append({"out": {"kind": "ping", "id": "$p"}})
        if self.arrival in _OF_LATE_CALLS and self.phase is Phase.OPEN:
            steps += [{"in": {"text": "a sign of life"}}, {"elapse": 21}]
            steps.append({"out": {"kind": "ping", "id": "$q"}})
        return steps

    def _to_phase(self) -> Steps:
        if self.phase is Phase.CLOSING:
            if self.arrival is Arrival.REQUEST_AGAIN:
                self.needs = "core"  # a server says close when all is answered
            return [
                {"in": {"kind": "ping", "id": 1}},
                {"out": {"kind": "pong", "re": 1}},
                {"do": {"shut down": True}},
                {"out": {"kind": "close", "code": "shutting-down"}},
            ]
        if self.phase is Phase.FINISHING:
            if self.arrival is Arrival.END:
                self.needs = "core"  # there the answer that keeps the phase never comes
            held: Steps = [{"in": {"kind": "request", "id": 6, "subject": "hold", "text": "x"}}]
            return [*held, {"in": {"kind": "close", "code": "closed"}}]
        return []

    def arrives(self) -> Steps:
        """Return the steps in which it arrives."""
        hello = {"version": 1, **({"token": TOKEN} if self.setup == "token" else {})}
        own: dict[Arrival, Step] = {
            Arrival.PLAIN: {"subject": "echo", "text": "x"},
            Arrival.REQUEST: {"kind": "request", "id": 5, "subject": "echo", "text": "x"},
            Arrival.REQUEST_AGAIN: {"kind": "request", "id": 7, "subject": "echo", "text": "x"},
            Arrival.ERROR: {"kind": "error", "re": "$p", "code": "unsupported-kind"},
            Arrival.LATE_ERROR: {"kind": "error", "re": "$p", "code": "unsupported-kind"},
            Arrival.PONG: {"kind": "pong", "re": "$p"},
            Arrival.LATE_PONG: {"kind": "pong", "re": "$p"},
            Arrival.HELLO: {"kind": "hello", "json": hello},
            Arrival.HELLO_WITHOUT_TOKEN: {"kind": "hello", "json": {"version": 1}},
            Arrival.LATE_HELLO: {"kind": "hello", "json": hello},
            Arrival.BROKEN_HELLO: {"kind": "hello", "json": {**hello, "version": True}},
        }
        return [{"in": own[self.arrival]}] if self.arrival in own else super().arrives()

    def shows(self) -> dict[Reaction, Steps]:
        """Return what shows each reaction that does not end with an error."""
        delivered: dict[Arrival, Steps] = {
            Arrival.PLAIN: [{"out": {"subject": "echo", "text": "x"}}],
            Arrival.REQUEST: [{"out": {"kind": "reply", "re": 5, "text": "x"}}],
            Arrival.NOTICE: [],
        }
        return {
            **super().shows(),
            Reaction.DELIVER: delivered.get(self.arrival, []),
            Reaction.TAKE: [{"elapse": 19}],  # nobody is given up
            Reaction.WELCOME: [{"out": {"kind": "welcome"}}, *_asked_and_answered(2)],
        }


class _Client(_Scene):
    """A cell at a client, whose program asks once before, where it can."""

    @property
    def _has_asked(self) -> bool:
        return self.phase in (Phase.OPEN, Phase.CLOSING) or self._asks_early

    @property
    def _asks_early(self) -> bool:
        return self.arrival in _OF_CALLS or self.arrival in _OF_LATE_CALLS

    def prefix(self) -> Steps:
        """Return the steps that lead to the phase, and to what arrives in it."""
        steps: Steps = []
        if self.phase is Phase.GREETING or self.arrival in _OF_WELCOME:
            self.setup = "hello"
            steps.append({"out": {"kind": "hello"}})
            if self.phase is not Phase.GREETING or self._asks_early:
                self.needs = "core"  # a program has its connection when the welcome is there
        if self.phase is Phase.FINISHING:
            self.needs = "core"  # a client that has nothing to answer closes at once
        if self._has_asked and self.arrival not in _OF_WELCOME:
            steps += self._ask()
        return [*steps, *self._to_phase()]

    def _ask(self) -> Steps:
        is_ping = "PONG" in self.arrival.name
        what: Step = {"kind": "ping", "id": "$a"}
        does: Step = {"ping": True, "as": "a"}
        if not is_ping:
            subject = f"conversation.{self.name}"
            what = {"kind": "request", "subject": subject, "id": "$a"}
            does = {"request": {"subject": subject, "text": "?"}, "as": "a"}
        steps: Steps = [{"do": does}, {"out": what}]
        if self.arrival in _OF_LATE_CALLS and self.phase in (Phase.GREETING, Phase.OPEN):
            steps.append({"do": {"give up": "a"}})
            if is_ping:
                self.needs = "core"  # programs give a ping up by a timeout alone
        return steps

    def _to_phase(self) -> Steps:
        if self.phase is Phase.CLOSING:
            return [
                {"in": {"kind": "ping", "id": 1}},
                {"out": {"kind": "pong", "re": 1}},
                {"do": {"close": True}},
                {"out": {"kind": "close"}},
            ]
        if self.phase is Phase.FINISHING:
            return [{"in": {"kind": "close", "code": "closed"}}]
        return []

    def arrives(self) -> Steps:
        """Return the steps in which it arrives."""
        own: dict[Arrival, Step] = {
            Arrival.PLAIN: {"subject": "news", "text": "x"},
            Arrival.REQUEST: {"kind": "request", "id": 5, "subject": "echo", "text": "x"},
            Arrival.REPLY: {"kind": "reply", "re": "$a", "text": "x"},
            Arrival.LATE_REPLY: {"kind": "reply", "re": "$a", "text": "x"},
            Arrival.ERROR: {"kind": "error", "re": "$a", "code": "no-handler"},
            Arrival.LATE_ERROR: {"kind": "error", "re": "$a", "code": "no-handler"},
            Arrival.PONG: {"kind": "pong", "re": "$a"},
            Arrival.LATE_PONG: {"kind": "pong", "re": "$a"},
            Arrival.HELLO: {"kind": "hello", "json": {"version": 1}},
            Arrival.WELCOME: {"kind": "welcome", "json": {"version": 1}},
            Arrival.BROKEN_WELCOME: {"kind": "welcome", "json": {"agent": 5}},
        }
        return [{"in": own[self.arrival]}] if self.arrival in own else super().arrives()

    def broke(self, reaction: Reaction) -> Steps:
        """Return how the program learns that the conversation has failed."""
        if self.phase is not Phase.OPEN or self.arrival in (*_OF_CALLS, Arrival.END_INSIDE):
            return []
        return [{"result": {"of": "a", "closed": _SAID[reaction]}}]

    def shows(self) -> dict[Reaction, Steps]:
        """Return what shows each reaction that does not end with an error."""
        ends = {Arrival.ENDING_ERROR: "overloaded"}
        finish: Steps = [*self._close(), _END]
        if self.phase is Phase.OPEN:
            finish.append({"result": {"of": "a", "closed": ends.get(self.arrival, "closed")}})
        delivered: dict[Arrival, Step] = {
            Arrival.PLAIN: {"received": [{"subject": "news", "text": "x"}]},
            Arrival.NOTICE: {"noticed": "not-today"},
        }
        taken: dict[Arrival, Step] = {
            Arrival.REPLY: {"of": "a", "text": "x"},
            Arrival.ERROR: {"of": "a", "code": "no-handler"},
            Arrival.PONG: {"of": "a"},
        }
        is_greeting = self.phase is Phase.GREETING  # its program has a connection after that alone
        welcome: Steps = [{"in": {"kind": "welcome", "json": {}}}] if is_greeting else []
        return {
            **super().shows(),
            Reaction.DELIVER: [*welcome, {"result": delivered.get(self.arrival, {})}],
            Reaction.TAKE: [{"result": taken.get(self.arrival, {})}],
            Reaction.NO_HANDLER: [{"out": {"kind": "error", "re": 5, "code": "no-handler"}}],
            Reaction.OPEN: [{"in": {"kind": "ping", "id": 9}}, {"out": {"kind": "pong", "re": 9}}],
            Reaction.FINISH: finish,
        }


def _asked_and_answered(number: int) -> Steps:
    return [
        {"in": {"kind": "request", "id": number, "subject": "echo", "text": "x"}},
        {"out": {"kind": "reply", "re": number, "text": "x"}},
    ]
