"""Two connections, Hypothesis at both ends, and between them a network that does its worst.

Whatever both programs do, however the bytes are cut and delayed, and wherever the network breaks:
the connections end, each with one reason that stays; nothing complete is lost; what is held stays
within its limits; and no driver spins.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import telex.tls
from telex import Application, ConnectionClosedError, Limits, Message, Refusal, TelexError
from telex.application.peer import Peer
from telex.application.run import Run
from telex.connection.backlog import BACKLOG_FACTOR
from telex.conversation.calls import Call
from telex.conversation.greeting import Greeting
from telex.security.tls_layer import TlsLayer
from tests.certificates import Authority
from tests.connection.layers import MaskingLayer
from tests.connection.pump import RESET, End, Layers, Pair, Served
from tests.conversations import TOKEN, TOKENS

LIMITS = Limits(
    max_pending=4,
    high_water=1_000,
    ping_interval=5,
    ping_timeout=5,
    handshake_timeout=8,
    header_timeout=4,
)
IDLE_LIMITS = Limits(max_pending=4, high_water=1_000, idle_timeout=6, handshake_timeout=8)
LARGEST = 8_000
"""Bytes of the largest content here."""
MOST_OF_ONE = LARGEST + 1_000
"""Bytes of the largest message, with its header and what a layer adds."""
OWNER_OF = TOKENS.owner_of
IN_TIME = 60.0
"""Seconds within which two ends that were told to close end on a network that works."""


class Asked:
    """A request or a ping, and what becomes of it."""

    def __init__(self, call: Call, subject: str, number: int) -> None:
        self.call = call
        self.subject = subject
        self.number = number
        self.times_ended = 0
        self.is_abandoned = False
        call.on_progress = self.note_progress

    def note_progress(self) -> None:
        """Count how often it ends."""
        self.times_ended += self.call.is_done

    def check(self) -> None:
        """Hold the answer, as far as it came, to the question."""
        assert self.times_ended == self.call.is_done
        parts = [part.content for part in self.call.parts]
        assert all(part["number"] == self.number for part in parts)
        if self.subject in ("parts", "blocking parts"):
            assert [part["part"] for part in parts] == list(range(len(parts)))
            if self.call.is_done and self.call.error is None:
                assert len(parts) == 3


class Program:
    """The application of the server's end, and what it has seen."""

    def __init__(self) -> None:
        self.handled: list[int] = []
        self.pushed: list[int] = []
        self.application = Application()
        on = self.application.on
        on("note")(self.note)
        on("now")(self.now)
        on("parts")(self.parts)
        on("blocking parts", blocking=True)(self.parts)
        on("later", blocking=True)(self.now)
        on("later, at any time", blocking=True, concurrent=True)(self.now)
        on("refused")(self.refuse)
        on("failing")(self.fail)
        on("push")(self.push)

    def note(self, message: Message) -> None:
        """Note a plain message."""
        self.handled.append(message.content["number"])

    def now(self, message: Message) -> Any:
        """Answer with the same."""
        self.handled.append(message.content["number"])
        return message.content

    def parts(self, message: Message) -> Iterator[dict[str, Any]]:
        """Answer in three parts."""
        self.handled.append(message.content["number"])
        for part in range(3):
            yield {**message.content, "part": part}

    def refuse(self, message: Message) -> None:
        """Refuse."""
        self.handled.append(message.content["number"])
        raise Refusal("no-more", "not today")

    def fail(self, message: Message) -> None:
        """Fail."""
        self.handled.append(message.content["number"])
        raise ValueError(message.content["number"])

    def push(self, message: Message, peer: Peer) -> Any:
        """Send three messages before the answer, each as large as the question."""
        self.handled.append(message.content["number"])
        for count in range(3):
            peer.send({**message.content, "count": count}, subject="pushed")
        return message.content


SUBJECTS = (
    "now",
    "parts",
    "blocking parts",
    "later",
    "later, at any time",
    "refused",
    "failing",
    "push",
    "unknown",
)

sides = st.sampled_from(["client", "server"])
fillings = st.sampled_from([0, 0, 10, 700, LARGEST - 500])
cuts = st.integers(1, 60) | st.sampled_from([1_000, 1_000_000])


class Network(RuleBasedStateMachine):
    """A client, a server, and a network between them."""

    layers: Callable[[], Layers]
    most_pushes = 40

    @initialize(
        keepalive=st.booleans(),
        token=st.sampled_from([None, None, TOKEN, "wrong"]),
        is_idle_ended=st.booleans(),
        room=st.sampled_from([500, 20_000, 1_000_000]),
    )
    def begin(self, keepalive: bool, token: str | None, is_idle_ended: bool, room: int) -> None:
        """Begin, over a network that takes so many bytes in advance; a token is looked at."""
        self.program = Program()
        self.pair = Pair(
            self.program.application,
            limits=IDLE_LIMITS if is_idle_ended else LIMITS,
            client_limits=LIMITS,
            layers=type(self).layers(),
            client_greeting=Greeting("client", keepalive=keepalive, token=token),
            server_greeting=Greeting("server", authenticate=None if token is None else OWNER_OF),
            room=room,
        )
        self.count = 0
        self.asked: list[Asked] = []
        # Numbers of plain messages, and where in the conversation's stream each of them ends.
        self.sent: dict[str, list[tuple[int, int]]] = {"client": [], "server": []}
        self.is_damaged = token == "wrong"
        self.is_garbled = self.is_damaged
        self.is_backlogged = False
        self.has_waited = False
        self.received_until: int | None = None
        self.has_left = False
        self.has_cut = False
        self.reasons: dict[str, object] = {}

    def end(self, side: str) -> End:
        """Return the end on a side."""
        return self.pair.client if side == "client" else self.pair.server

    @property
    def served(self) -> Served:
        """The end of the server."""
        server = self.pair.server
        assert isinstance(server, Served)
        return server

    def content(self, filling: int) -> dict[str, Any]:
        """Make content that is told from all other."""
        self.count += 1
        return {"number": self.count, "filling": "x" * filling}

    def can_speak(self, side: str) -> bool:
        """Whether a program could send at all: its connection is established and not closed."""
        end = self.end(side)
        return end.ending is None and end.connection.is_established

    # What programs do

    @rule(side=sides, filling=fillings)
    def send(self, side: str, filling: int) -> None:
        """Send a plain message, where that is possible."""
        if not self.can_speak(side):
            return
        end, content = self.end(side), self.content(filling)
        try:
            if side == "server":
                self.served.told.send(content, subject="note")
            else:
                end.connection.send(Message(content, subject="note"))
                end.transmit()
        except ConnectionClosedError:
            return
        offset = end.connection.said + end.conversation.bytes_to_send
        self.sent[side].append((content["number"], offset))

    @rule(filling=fillings)
    def push_much(self, filling: int) -> None:
        """Have the server send more than it may keep, where the peer does not take it."""
        self.is_backlogged |= filling > 1_000
        for _ in range(self.most_pushes):
            self.send("server", filling)

    @precondition(lambda self: self.can_speak("client"))
    @rule(subject=st.sampled_from(SUBJECTS), filling=fillings)
    def request(self, subject: str, filling: int) -> None:
        """Ask for something, where that is possible."""
        content = self.content(filling)
        try:
            self.pair.client.connection.check_open()
            call = self.pair.client.request(content, subject=subject)
        except ConnectionClosedError:
            return
        self.asked.append(Asked(call, subject, content["number"]))

    @precondition(lambda self: self.can_speak("client"))
    @rule()
    def ping(self) -> None:
        """Ask for a sign of life."""
        try:
            call = self.pair.client.conversation.ping()
        except ConnectionClosedError:
            return
        self.asked.append(Asked(call, "ping", 0))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """Wait for an answer no more."""
        asked = data.draw(st.sampled_from(self.asked))
        asked.is_abandoned |= not asked.call.is_done
        self.pair.client.conversation.abandon(asked.call)

    @precondition(lambda self: self.served.runs)
    @rule(data=st.data(), is_failing=st.booleans())
    def go_on(self, data: st.DataObject, is_failing: bool) -> None:
        """Let a handler go on that runs elsewhere."""
        runs = self.served.runs
        self.step(runs.pop(data.draw(st.integers(0, len(runs) - 1))), is_failing)

    def step(self, run: Run, is_failing: bool = False) -> None:
        """Take the next step of a handler, and hand the outcome over as a front-end does."""
        dispatcher = self.served.dispatcher
        try:
            if is_failing:
                raise ValueError("it fails")
            if run.parts is None:
                dispatcher.returned(run, run.handler.call(run.message, self.served.told))
            elif (part := next(run.parts, None)) is None:
                dispatcher.exhausted(run)
            elif dispatcher.yielded(run, part):
                dispatcher.go_on_with(run)
            else:
                dispatcher.broken_off(run)
        except ValueError as error:
            dispatcher.failed(run, error)
        if self.served.ending is None:
            dispatcher.advance()
            self.served.work()

    @rule(takes=st.booleans())
    def take(self, takes: bool) -> None:
        """Have the client's program take what comes, or not."""
        self.pair.client.takes = takes
        self.pair.client.take_what_came()

    @precondition(lambda self: self.pair.client.ending is None)
    @rule()
    def close(self) -> None:
        """Have the client take what has come, and close; what comes then is dropped."""
        client = self.pair.client
        client.takes = True
        client.take_what_came()
        if self.received_until is None:
            self.received_until = client.conversation.processor.bytes_received
        client.connection.close(self.pair.now)

    @precondition(lambda self: self.pair.server.ending is None)
    @rule()
    def leave(self) -> None:
        """Have the server shut down."""
        self.has_left = True
        self.pair.server.connection.leave(self.pair.now)
        self.pair.server.work()

    @precondition(lambda self: self.end("server").ending is None)
    @rule(is_refused=st.booleans(), side=sides)
    def cut_off(self, is_refused: bool, side: str) -> None:
        """End at once, or refuse the peer."""
        end = self.end(side)
        if end.ending is not None:
            return
        self.has_cut = True
        if is_refused and side == "server":
            end.connection.refuse("overloaded", "there is no room", self.pair.now)
        else:
            error = ConnectionClosedError("us", "no more patience", code="overloaded")
            end.connection.cut_off(error, self.pair.now)
        end.work()

    # What the network and the time do

    @rule(side=sides, size=cuts, uses_buffer=st.booleans())
    def deliver(self, side: str, size: int, uses_buffer: bool) -> None:
        """Have an end take a turn, with so many bytes."""
        end = self.end(side)
        end.uses_buffer = uses_buffer
        unread = end.connection.unread.count
        unanswered = end.conversation.unanswered
        end.turn(size)
        if side == "server" and end.ending is None and size < 100:
            # So few bytes complete two messages at most.
            assert end.connection.unread.count <= max(unread, LIMITS.max_pending) + 2
            assert end.conversation.unanswered <= max(unanswered, LIMITS.max_pending) + 2

    @rule(seconds=st.sampled_from([0.1, 0.3, 1.1, 3.0, 5.5]), side=sides)
    def pass_time(self, seconds: float, side: str) -> None:
        """Let time pass; both look at the clock, one of them after it has received."""
        self.has_waited = True
        self.pair.now += seconds
        self.end(side).turn()
        for end in self.pair.ends:
            end.look_at_clock()

    @rule()
    def settle(self) -> None:
        """Let everything move that can move."""
        self.pair.settle()

    @precondition(lambda self: not self.is_damaged)
    @rule(side=sides, garbage=st.sampled_from([b"\x00\x01", b"\xff\xffgarbage", b"D\x00\x00\x01x"]))
    def garble(self, side: str, garbage: bytes) -> None:
        """Bring bytes of somebody else behind what is on its way."""
        end, way = self.end(side), self.end(side).way
        if not (way.has_ended or way.is_reset or end.connection.unsent):
            self.is_damaged = self.is_garbled = True
            way.data += garbage

    @precondition(lambda self: not self.is_damaged)
    @rule(side=sides, kept=st.integers(0, 2_000))
    def end_early(self, side: str, kept: int) -> None:
        """End a direction in the middle: what is behind that gets lost."""
        self.is_damaged = True
        end = self.end(side)
        del end.way.data[kept:]
        end.way.has_ended = True
        end.way.is_silent = False
        end.way.room = 0

    @precondition(lambda self: not self.is_damaged)
    @rule(side=sides, is_reset=st.booleans(), both=st.booleans())
    def lose(self, side: str, is_reset: bool, both: bool) -> None:
        """Reset a direction, or have it lose everything without a word."""
        self.is_damaged = True
        for end in self.pair.ends if both else (self.end(side),):
            if is_reset:
                end.way.is_reset = True
                end.way.data.clear()
            else:
                end.way.is_silent = True

    # What must hold

    @invariant()
    def nothing_is_doubled(self) -> None:
        """No call ends twice, answers answer their questions, messages come in order and once."""
        if not hasattr(self, "pair"):
            return
        for asked in self.asked:
            asked.check()
        received = [
            message.content["number"]
            for message in self.pair.client.received
            if message.subject == "note"
        ]
        sent = [number for number, _ in self.sent["server"]]
        assert received == sent[: len(received)]
        noted = {number for number, _ in self.sent["client"]}
        handled = [number for number in self.program.handled if number in noted]
        assert handled == sorted(handled)
        assert len(set(self.program.handled)) == len(self.program.handled)

    @invariant()
    def limits_are_kept(self) -> None:
        """Nobody holds more than may be held."""
        if not hasattr(self, "pair"):
            return
        for end in self.pair.ends:
            connection = end.connection
            assert connection.unsent <= LIMITS.high_water * (BACKLOG_FACTOR + 1) + 5 * MOST_OF_ONE
            assert connection.bytes_at_work >= 0
            assert connection.handlers_running >= 0
        server = self.pair.server
        assert server.connection.handlers_running <= LIMITS.max_pending

    @invariant()
    def the_reason_stays(self) -> None:
        """What has ended stays as it ended, whatever is handed in."""
        if not hasattr(self, "pair"):
            return
        for side in ("client", "server"):
            end = self.end(side)
            if end.ending is None:
                continue
            assert self.reasons.setdefault(side, self.reason(end)) == self.reason(end)
            connection, now = end.connection, self.pair.now
            assert connection.is_finished
            assert not connection.wants_to_read
            assert connection.next_deadline == math.inf
            assert connection.data_to_send() == []
            assert connection.receive_data(b"\x00\x02{}", now) == []
            connection.receive_eof(now)
            connection.lost(RESET, now)
            connection.handle_deadline(now)
            connection.leave(now)
            connection.refuse("overloaded", "too late", now)
            connection.cut_off(RESET, now)
            assert connection.finish() is end.ending
            assert self.reasons[side] == self.reason(end)

    def reason(self, end: End) -> object:
        """Return all that is said of an end."""
        ending = end.ending
        assert ending is not None
        said = [ending.final_error, ending.closed_error()]
        return [str(error) for error in said], ending.unsent, ending.is_good, ending.dropped

    def teardown(self) -> None:
        """Have both ends close: they end in time, and everything that came is accounted for."""
        if not hasattr(self, "pair"):
            return
        pair, client, server = self.pair, self.pair.client, self.served
        was_good = not (self.is_damaged or self.has_left or self.has_cut)
        client.takes = True
        client.take_what_came()
        if client.ending is None and self.received_until is None:
            self.wait_for_calls()
        if client.ending is None:
            was_good = was_good and not client.conversation.calls.count  # else it gives them up
            self.close()
        deadline = pair.now + IN_TIME
        while client.ending is None and server.ending is None and pair.now < deadline:
            self.run_handlers()
            pair.wait(0.5)
        if server.ending is None:
            server.connection.leave(pair.now)
            server.work()
        while not pair.is_over and pair.now < deadline:
            self.run_handlers()
            pair.wait(0.5)
        if not pair.is_over:
            assert self.is_damaged, [end.conversation.phase for end in pair.ends]
            for end in pair.ends:
                if end.ending is None:
                    end.connection.cut_off(RESET, pair.now)
                    end.work()
        self.run_handlers()
        assert pair.is_over
        self.check_end(was_good)

    def run_handlers(self) -> None:
        """Let all handlers come to their ends."""
        while self.served.runs:
            self.step(self.served.runs.pop(0))

    def wait_for_calls(self) -> None:
        """Give the answers that are still to come their time."""
        deadline = self.pair.now + 5
        while self.pair.client.conversation.calls.count and self.pair.now < deadline:
            self.run_handlers()
            self.pair.wait(0.5)

    def check_end(self, was_good: bool) -> None:
        """Hold both ends to what they say of themselves."""
        self.nothing_is_doubled()
        self.limits_are_kept()
        self.the_reason_stays()
        client, server = self.pair.client, self.served
        for end in self.pair.ends:
            assert end.conversation.bytes_to_send == 0
            assert end.connection.bytes_at_work == 0
            assert end.connection.unread.is_empty
            held = end.connection.memory_held
            assert held <= 3 * MOST_OF_ONE, held  # a message that was cut
        for asked in self.asked:
            assert asked.call.is_done or asked.is_abandoned
            error = asked.call.error
            assert error is None or isinstance(error, TelexError)
        if not self.is_garbled:
            self.check_nothing_lost(client, server)
        endings = [end.connection.ending for end in self.pair.ends]
        if was_good and not self.has_waited and not self.is_backlogged:
            assert all(ending.is_good for ending in endings), endings
            assert [ending.final_error for ending in endings] == [None, None]

    def check_nothing_lost(self, client: End, server: Served) -> None:
        """Every message that came completely was handled, or is said not to have been."""
        came = server.conversation.processor.bytes_received
        complete = [number for number, offset in self.sent["client"] if offset <= came]
        handled = set(self.program.handled)
        missing = [number for number in complete if number not in handled]
        assert len(missing) <= server.connection.ending.dropped
        came = client.conversation.processor.bytes_received
        if self.received_until is not None:
            came = self.received_until
        sent = {number for number, offset in self.sent["server"] if offset <= came}
        assert sent <= {message.content["number"] for message in client.received}


def run(layers: Callable[[], Layers], examples: int) -> None:
    """Run the machine over such layers."""

    class Machine(Network):
        pass

    Machine.layers = staticmethod(layers)
    often = int(os.environ.get("STATES", "1"))
    profile = settings(max_examples=often * examples, stateful_step_count=40, deadline=None)
    state_machine: Any = Machine.TestCase
    state_machine.settings = profile
    state_machine().runTest()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Log nothing: handlers fail by the thousand."""
    caplog.set_level(logging.CRITICAL + 1, "telex")


def test_plain_connections_always_end_well() -> None:
    """Without a layer, everything above holds."""
    run(lambda: (None, None), 150)


def test_connections_with_a_layer_always_end_well() -> None:
    """With a layer that has a handshake, frames and an end, everything above holds."""
    run(lambda: (MaskingLayer(is_server=False), MaskingLayer(is_server=True)), 60)


def test_connections_with_tls_always_end_well(tmp_path: Path) -> None:
    """With TLS, everything above holds."""
    authority = Authority(tmp_path)
    pair = authority.issue("server.example")
    server = telex.tls.server_context(pair.certificate, pair.key)
    client = telex.tls.client_context(authority.file)
    run(lambda: (TlsLayer(client, "server.example"), TlsLayer(server)), 30)
