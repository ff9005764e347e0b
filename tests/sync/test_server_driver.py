"""One driver of a server, turn by turn: it waits for the right thing, whatever came before."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from telex import Application, ConnectionClosedError, Limits, Message, MessageProcessor
from telex.application.run import Run
from telex.conversation.greeting import Greeting
from telex.server.registry import Registry
from telex.sync.loop import READ, WRITE, Loop
from telex.sync.server_driver import ServerDriver
from tests.sync.stage import ROOMY

LIMITS = Limits(high_water=100_000, max_pending=4)
SMALL = Message("small").to_bytes()
LATER = Message("later", subject="later").to_bytes()
PARTS = Message("parts", subject="parts").to_bytes()


class Deliberate(ServerDriver):
    """A driver that settles after every turn, and notes where the short way would have been wrong.

    Handlers that block are left to the test, which says when they are done.
    """

    __slots__ = ("_is_short", "at_work", "shortcuts", "wrong")

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.shortcuts = 0
        self.wrong: list[object] = []
        self.at_work: list[Run] = []
        self._is_short = False
        super().__init__(loop, sock, "peer")

    def ready(self, events: int) -> None:
        """Take a turn, and settle behind it where that was left out."""
        self._is_short = not self._is_closed
        super().ready(events)
        if self._is_short:
            self.shortcuts += 1
            before = self._how_it_stands()
            super()._settle()
            if self._how_it_stands() != before:
                self.wrong.append((before, self._how_it_stands()))

    def _settle(self) -> None:
        self._is_short = False
        super()._settle()

    def _how_it_stands(self) -> tuple[object, ...]:
        held = self.bytes_held, self._server.registry.bytes_held
        connection = self.connection
        ends = self._is_closed, connection.is_finished, connection.closing.is_served
        return self.watched, held, ends, connection.unsent, connection.conversation.phase

    def _run_elsewhere(self, run: Run) -> None:
        self.at_work.append(run)


class Stage:
    """A connection whose turns the test takes, and the other end of it."""

    def __init__(self) -> None:
        self.registry = Registry(application(), LIMITS, Greeting("test"), None, None, None)
        self.loop = Loop(self.registry)
        self.loop.calls.enter()
        ours, self.peer = socket.socketpair()
        for sock in (ours, self.peer):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        self.driver = Deliberate(self.loop, ours)
        self.driver.begin()
        self.processor = MessageProcessor(ROOMY)
        self.heard: list[Message] = []
        self.asked = 0
        self._has_ended = False
        self._rest = b""
        self._unsent = b""

    def say(self, data: bytes) -> None:
        """Send, behind what is left of a message that has begun; the server takes its turns."""
        if not self._has_ended:
            self._unsent += self._rest + data
            self._rest = b""
        self._send()

    def ask(self, subject: str, begins: bool = False) -> None:
        """Send a request, or the beginning of one."""
        if self._has_ended:
            return
        self.asked += 1
        data = Message("x", kind="request", id=self.asked, subject=subject).to_bytes()
        if begins:
            self.say(data[:-5])
            self._rest = data[-5:]
        else:
            self.say(data)

    def end(self) -> None:
        """Send nothing after what has been said."""
        self.say(b"")
        self._has_ended = True
        self._send()

    def vanish(self) -> None:
        """Close this end of the connection, whatever has come that was not heard."""
        self._has_ended = True
        self.peer.close()
        self.turns()

    def hear(self, at_most: int = 1 << 30) -> bool:
        """Receive what has come, with all that it makes the server do; return whether it ended."""
        while at_most > 0 and self.peer.fileno() >= 0:
            try:
                data = self.peer.recv(min(at_most, 65_536))
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            if not data:
                return True
            at_most -= len(data)
            self.heard += self.processor.receive_messages(data)
            self.turns()
        return False

    def _send(self) -> None:
        if self.peer.fileno() >= 0:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                if self._unsent:
                    self._unsent = self._unsent[self.peer.send(self._unsent) :]
                if self._has_ended and not self._unsent:
                    self.peer.shutdown(socket.SHUT_WR)
        self.turns()

    def finish(self) -> None:
        """Have all handlers done that are at work."""
        at_work, dispatcher = self.driver.at_work, self.driver.dispatcher
        while at_work:
            dispatcher.returned(at_work.pop(0), "done")
            dispatcher.advance()
            self.driver.flush_soon()
            self.turns()

    def speak(self) -> None:
        """Have the server send something unasked, if it still can."""
        with contextlib.suppress(ConnectionClosedError):
            self.driver.dispatcher.peer.send("unasked")

    def leave(self) -> None:
        """Have the server shut down."""
        self.registry.leave(self.loop.now)

    def turns(self) -> None:
        """Let the server do all that it can do without waiting."""
        loop = self.loop
        while loop.unsent or loop.later or loop.calls or loop._selector.select(0):
            loop.turn(time.monotonic())

    @property
    def answered(self) -> set[int]:
        """The numbers of the requests that have the end of their answers."""
        return {message.re for message in self.heard if message.re and not message.more}


def application() -> Application:
    """Return an application with a handler for each way in which something may be left behind."""
    app = Application()
    app.on("small")(lambda message: "small")
    app.on("large")(lambda message: bytes(300_000))
    app.on("later", blocking=True)(lambda message: "done")
    app.on()(lambda message: None)

    @app.on("parts")
    def parts(message: Message) -> Iterator[bytes]:
        for _ in range(10):
            yield bytes(40_000)

    return app


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """Give a stage, on which nothing may have been decided wrongly in the end."""
    stage = Stage()
    with stage.peer, contextlib.closing(stage.loop), contextlib.closing(stage.driver.socket):
        yield stage
        stage.finish()
        stage.registry.cut_off(stage.loop.now)
    assert stage.driver.wrong == []
    assert stage.registry.bytes_held == 0


def test_turns_that_leave_nothing_behind_go_the_short_way() -> None:
    """Messages that are answered at once change nothing of what is waited for."""
    with staged() as stage:
        for subject in ("small", "small", "small"):
            stage.ask(subject)
            stage.say(SMALL * 3)
        stage.hear()
        assert stage.answered == {1, 2, 3}
        assert stage.driver.shortcuts >= 6
        assert (stage.driver.watched, stage.driver.bytes_held) == (READ, 0)


def test_output_that_is_left_is_waited_for_until_it_is_gone() -> None:
    """Then there is nothing but the peer to wait for again, and nothing is held."""
    with staged() as stage:
        stage.ask("large")
        assert stage.driver.watched == WRITE, "above the high-water mark it does not read"
        assert stage.driver.bytes_held > 200_000
        stage.hear(270_000)
        assert stage.driver.watched == READ | WRITE
        stage.hear()
        assert stage.driver.watched == READ
        assert stage.driver.bytes_held == 0
        stage.ask("small")
        stage.hear()
        assert stage.answered == {1, 2}


def test_answer_in_parts_goes_on_when_there_is_room() -> None:
    """A generator that waits is waited for, though nobody says anything."""
    with staged() as stage:
        stage.ask("parts")
        assert stage.driver.watched == READ | WRITE
        stage.hear()
        assert stage.answered == {1}
        assert (stage.driver.watched, stage.driver.bytes_held) == (READ, 0)


def test_message_that_has_begun_is_counted_until_it_is_whole() -> None:
    """The limit on what is held sees it; and no longer when it has been handled."""
    with staged() as stage:
        stage.say(SMALL + SMALL[:-1])
        assert (stage.driver.watched, stage.driver.bytes_held > 0) == (READ, True)
        stage.say(SMALL[-1:])
        assert (stage.driver.watched, stage.driver.bytes_held) == (READ, 0)


def test_as_many_as_may_be_unanswered_are_waited_for() -> None:
    """The peer is not read from until one of them is answered."""
    with staged() as stage:
        for _ in range(4):
            stage.ask("later")
        assert stage.driver.watched == 0
        stage.finish()
        stage.hear()
        assert stage.answered == {1, 2, 3, 4}
        assert (stage.driver.watched, stage.driver.bytes_held) == (READ, 0)


def test_peer_that_vanishes_before_its_answers_in_parts_is_let_go() -> None:
    """They are broken off, and though they are as many as may be unanswered, its end is seen."""
    with staged() as stage:
        for _ in range(4):
            stage.ask("parts")
        stage.vanish()
        assert stage.registry.drivers == set()


def test_peer_that_ends_is_let_go() -> None:
    """With nothing left to answer at once, else when that is done."""
    with staged() as stage:
        stage.ask("small")
        stage.ask("later")
        stage.end()
        assert stage.driver in stage.registry.drivers
        assert not stage.driver.watched & READ
        stage.finish()
        stage.hear()
        assert stage.answered == {1, 2}
        assert stage.registry.drivers == set()
    with staged() as stage:
        stage.say(SMALL)
        stage.end()
        assert stage.registry.drivers == set()


def test_server_that_leaves_says_goodbye_as_soon_as_all_is_answered() -> None:
    """At rest that is at once; while a handler is at work, nothing more is received before."""
    with staged() as stage:
        stage.say(SMALL)
        stage.leave()
        assert stage.hear(), "its stream has ended"
        assert [message.kind for message in stage.heard] == ["close"]
    with staged() as stage:
        stage.ask("later")
        stage.leave()
        assert stage.driver.watched == 0
        stage.finish()
        assert stage.hear(), "its stream has ended"
        assert [message.kind for message in stage.heard] == ["reply", "close"]
        stage.end()
        assert stage.registry.drivers == set()


STEPS: dict[str, Callable[[Stage], object]] = {
    "a plain message": lambda stage: stage.say(SMALL),
    "a short answer": lambda stage: stage.ask("small"),
    "a long answer": lambda stage: stage.ask("large"),
    "an answer in parts": lambda stage: stage.ask("parts"),
    "an answer that takes its time": lambda stage: stage.ask("later"),
    "a plain message that takes its time": lambda stage: stage.say(LATER),
    "a plain message with much of an answer": lambda stage: stage.say(PARTS),
    "no handler": lambda stage: stage.ask("none"),
    "half a message": lambda stage: stage.ask("small", begins=True),
    "the other half": lambda stage: stage.say(b""),
    "some is heard": lambda stage: stage.hear(50_000),
    "all is heard": lambda stage: stage.hear(),
    "handlers are done": lambda stage: stage.finish(),
    "the server speaks": lambda stage: stage.speak(),
}

ENDS: dict[str, Callable[[Stage], object]] = {
    "none": lambda stage: None,
    "the peer's": lambda stage: stage.end(),
    "the server's": lambda stage: stage.leave(),
    "a mistake": lambda stage: stage.say(b"\0\0"),
    "a loss": lambda stage: stage.vanish(),
}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(STEPS)), max_size=8),
    st.sampled_from(sorted(ENDS)),
    st.lists(st.sampled_from(sorted(STEPS)), max_size=3),
)
def test_the_short_way_leads_to_where_the_long_one_does(
    before: list[str], end: str, after: list[str]
) -> None:
    """However turns follow each other, all is answered, nothing is held, and the end is seen."""
    with staged() as stage:
        for step in before:
            STEPS[step](stage)
            stage.turns()
        ENDS[end](stage)
        for step in after:
            STEPS[step](stage)
            stage.turns()
        rounds = 0
        while stage.registry.drivers:
            stage.finish()
            stage.hear()
            stage.end()
            rounds += 1
            assert rounds < 1_000, "the connection does not end"
        stage.hear()
        if end in ("none", "the peer's"):
            assert stage.answered == set(range(1, stage.asked + 1))
