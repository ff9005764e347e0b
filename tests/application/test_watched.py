"""What observers are told of messages and handlers, by servers of both front-ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

import telex
import telex.sync
from telex import Application, Message, Refusal, RemoteError
from telex.application.peer import ConnectedPeer, Peer
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE, plug_into, wait_until
from tests.watching import Diary, serving


@pytest.fixture(params=["sync", "asyncio"])
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


def test_an_application_has_observers_of_its_own(front_end: FrontEnd) -> None:
    """They are told next to those of the server, operators or not, and each of them once."""
    own, given = Diary(), Diary()
    app = Application()
    app.on("greet")(lambda message: "hello")
    app.observers.append(own)
    choices: tuple[list[str] | None, ...] = (None, [])
    for admins in choices:
        with (
            serving(front_end, app, observer=[given, own], admins=admins) as server,
            telex.sync.connect(server.address, timeout=PATIENCE) as connection,
        ):
            connection.request(None, subject="greet", timeout=PATIENCE)
    for diary in (own, given):
        names = [name for name, _fact in diary.events]
        assert names.count("connected") == names.count("disconnected") == 2
        assert names.count("received") == 2


def shop() -> Application:
    """Return an application with a handler of every style that both front-ends have."""
    app = Application()

    @app.on("price.*")
    def price(message: Message) -> str:
        return "49.5"

    @app.on("report", blocking=True)
    def report(message: Message) -> str:
        return "all is well"

    @app.on("stock.>")
    def stock(message: Message) -> Iterator[str]:
        yield "pump"
        yield "hose"

    @app.on("ledger", blocking=True)
    def ledger(message: Message) -> Iterator[str]:
        yield "first"
        yield "second"

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("out-of-stock")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise KeyError("x")

    @app.on("typed")
    def typed(message: Message[int]) -> None:
        raise AssertionError("it is not called with anything else")

    @app.on("log")
    def log(message: Message) -> None:
        """Answer nothing."""

    @app.on("push")
    def push(message: Message, peer: Peer) -> str:
        peer.send("unasked")
        return "pushed"

    return app


def story_of(
    front_end: FrontEnd,
    ask: Callable[[telex.sync.Connection], object],
    app: Application | None = None,
) -> Diary:
    """Return what an observer was told of one connection, from its begin to its end."""
    diary = Diary()
    with serving(front_end, app or shop(), observer=diary) as server:
        with telex.sync.connect(server.address) as connection:
            ask(connection)
        wait_until(lambda: diary.events[-1][0] == "disconnected", "the connection has ended")
    return diary


@pytest.mark.parametrize(
    ("subject", "pattern", "parts"),
    [
        ("price.pump", "price.*", ["49.5"]),
        ("report", "report", ["all is well"]),
        ("stock.a.b", "stock.>", ["pump", "hose"]),
        ("ledger", "ledger", ["first", "second"]),
    ],
)
def test_a_request_is_followed_from_its_arrival_to_its_answer(
    front_end: FrontEnd, subject: str, pattern: str, parts: list[str]
) -> None:
    """Whatever the style of a handler, it begins, its answer is sent, and it ends, once."""
    diary = story_of(
        front_end, lambda connection: list(connection.request_parts("", subject=subject))
    )
    sent = [("sent", part) for part in parts]
    received, started, *middle, disconnected = diary.events[1:]
    assert [received, started, disconnected] == [
        ("received", subject),
        ("started", pattern),
        ("disconnected", None),
    ]
    assert [event for event in middle if event[0] == "sent"][: len(parts)] == sent
    assert middle.count(("ended", pattern)) == 1
    assert len(diary.seconds) == 1
    assert diary.seconds[0] >= 0


@pytest.mark.parametrize("style", ["coroutine", "generator"])
def test_async_handlers_are_followed_too(style: str) -> None:
    """They begin, wait, and end."""
    app = Application()
    if style == "coroutine":

        @app.on("greet")
        async def greet(message: Message) -> str:
            return "hello"
    else:

        @app.on("greet")
        async def greet_in_parts(message: Message) -> Any:
            yield "hello"

    diary = story_of(
        "asyncio", lambda connection: list(connection.request_parts("", subject="greet")), app
    )
    assert diary.events[1:4] == [("received", "greet"), ("started", "greet"), ("sent", "hello")]
    assert ("ended", "greet") in diary.events


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        ("refuse", "out-of-stock"),
        ("fail", "handler-failed"),
        ("typed", "bad-content"),
        ("weather", "no-handler"),
    ],
)
def test_what_goes_wrong_with_a_message_has_a_code(
    front_end: FrontEnd, subject: str, code: str
) -> None:
    """The same code that the client is told, for requests and for plain messages alike."""

    def ask(connection: telex.sync.Connection) -> None:
        with pytest.raises(RemoteError, match=code):
            connection.request("no number", subject=subject, timeout=PATIENCE)
        connection.send("no number", subject=subject)
        if code in ("out-of-stock", "bad-content"):  # the rest is told to who awaits an answer
            assert connection.receive(PATIENCE).kind == "error"

    diary = story_of(front_end, ask)
    assert [fact for event, fact in diary.events if event == "failed"] == [code, code]
    assert [event for event, _ in diary.events].count("sent") == 0


def test_what_is_sent_unasked_is_told_and_nothing_is_told_of_no_answer(front_end: FrontEnd) -> None:
    """``peer.send`` counts; a plain message whose handler returns nothing is answered by none."""

    def ask(connection: telex.sync.Connection) -> None:
        connection.send("x", subject="log")
        connection.request("x", subject="push", timeout=PATIENCE)

    diary = story_of(front_end, ask)
    assert [fact for event, fact in diary.events if event == "sent"] == ["unasked", "pushed"]


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_bytes_are_counted_as_they_travel(
    front_end: FrontEnd, scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the client sends and receives is what the server counts."""
    request = Message(b"x" * 300_000, subject="price.x")
    diary = Diary()
    path = tmp_path_factory.mktemp("s") / "socket"
    address = "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{path}"
    with serving(front_end, shop(), address, observer=diary) as server:
        with telex.sync.connect(server.address) as connection:
            answer = connection.request(request, timeout=PATIENCE)
        wait_until(lambda: diary.events[-1][0] == "disconnected", "the connection has ended")
    control = 2_000  # greetings and goodbyes
    assert len(request.to_bytes()) < diary.bytes_received < len(request.to_bytes()) + control
    assert len(answer.to_bytes()) < diary.bytes_sent < len(answer.to_bytes()) + control


def test_several_observers_hear_the_same(front_end: FrontEnd) -> None:
    """One that fails keeps no other from hearing."""

    class Broken(telex.Observer):
        def message_received(self, peer: Peer, message: Message) -> None:
            raise RuntimeError("broken")

    first, second = Diary(), Diary()
    with serving(front_end, shop(), observer=[first, Broken(), second]) as server:
        with telex.sync.connect(server.address) as connection:
            connection.request("", subject="price.x", timeout=PATIENCE)
        wait_until(lambda: second.events[-1][0] == "disconnected", "the connection has ended")
    assert first.events == second.events
    assert ("received", "price.x") in second.events


def test_what_waits_at_a_connection_can_be_looked_at(front_end: FrontEnd) -> None:
    """Messages behind a handler that takes its time, and bytes of a message under way."""
    go_on = threading.Event()
    app = Application()

    @app.on("wait", blocking=True)
    def wait(message: Message) -> None:
        go_on.wait(PATIENCE)

    class Peers(Diary):
        def __init__(self) -> None:
            super().__init__()
            self.peers: list[Peer] = []

        def connected(self, peer: Peer) -> None:
            self.peers.append(peer)

    peers = Peers()
    message = Message(b"x" * 1000).to_bytes()
    with serving(front_end, app, observer=peers) as server, plug_into(server.address) as sock:
        sock.sendall(Message("", subject="wait").to_bytes() * 3 + message[:500])
        wait_until(lambda: peers.peers, "the connection is there")
        [peer] = peers.peers
        assert isinstance(peer, ConnectedPeer)
        wait_until(lambda: peer.queues == (2, 500, 0), "two messages wait, and a part of one")
        go_on.set()
        sock.sendall(message[500:])
        wait_until(lambda: peer.queues == (0, 0, 0), "nothing waits")


def test_no_line_of_it_runs_where_nobody_watches() -> None:
    """What is off costs nothing: the code of observers is not even entered."""
    entered: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        entered.add(frame.f_code.co_filename.rpartition("telex/")[2])

    server = telex.sync.serve(shop(), "tcp://127.0.0.1:0")

    def serve() -> None:
        sys.setprofile(note)
        server.serve_forever(handle_signals=False)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with telex.sync.connect(server.address) as connection:
            connection.request("", subject="price.x", timeout=PATIENCE)
    finally:
        server.shutdown()
        thread.join(PATIENCE)
    assert "sync/server_driver.py" in entered
    assert entered & {"application/observer.py", "application/notifier.py"} == set()
    assert [name for name in entered if name.startswith("observation/")] == []


def test_what_is_no_observer_is_refused_at_once() -> None:
    """A function is an easy mistake."""
    with pytest.raises(TypeError, match=r"print.* is no telex\.Observer"):
        telex.sync.serve(shop(), "tcp://127.0.0.1:0", observer=[print])  # type: ignore[list-item]
