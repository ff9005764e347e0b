"""What operators may ask a server, who they are, and what everybody else is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telex.sync
from telex import Application, ConnectionClosedError, Message, RemoteError
from telex.observation.administration import CLOSE, LIST, CloseOrder, ConnectionState, Snapshot
from telex.sync.server_driver import ServerDriver
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE, plug_into, wait_until
from tests.watching import Diary, serving

TOKENS = {"ops": "sesame", "pump-7": "open"}


@pytest.fixture(params=["sync", "asyncio"])
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """Name the front-end of the server."""
    kind: FrontEnd = request.param
    return kind


def shop() -> Application:
    """Return an application that takes every subject, and tells what it was asked."""
    app = Application()

    @app.on()
    def other(message: Message) -> str:
        return f"the application got {message.subject}"

    return app


def snapshot_by(connection: telex.sync.Connection) -> Snapshot:
    """Ask for a snapshot."""
    return connection.request(None, subject=LIST, timeout=PATIENCE).decode(Snapshot)


def state_of(snapshot: Snapshot, identity: str) -> ConnectionState:
    """Return the only connection of this identity."""
    [state] = [state for state in snapshot.connections if state.identity == identity]
    return state


@pytest.mark.parametrize("observer", [None, Diary()], ids=["alone", "with another observer"])
def test_an_operator_sees_what_every_connection_does(
    front_end: FrontEnd, observer: Diary | None
) -> None:
    """Names, identities, ages, messages and bytes each way, and the handler that took longest."""
    terms: dict[str, Any] = {"tokens": TOKENS, "admins": ["ops"], "observer": observer}
    with (
        serving(front_end, shop(), **terms) as server,
        telex.sync.connect(server.address, token="open") as pump,
        telex.sync.connect(server.address, token="sesame") as operator,
    ):
        for _ in range(5):
            pump.request("x" * 1000, subject="stock", timeout=PATIENCE)
        snapshot = snapshot_by(operator)
    state = state_of(snapshot, "pump-7")
    assert (snapshot.pid, snapshot.shares_address) == (os.getpid(), False)
    assert snapshot.you == state_of(snapshot, "ops").number != state.number
    assert state.name.startswith("127.0.0.1:")
    assert (state.received.messages, state.sent.messages) == (5, 5)
    assert state.received.bytes > 5 * 1000
    assert state.sent.bytes > 5 * len("the application got stock")
    assert (state.waiting, state.partial, state.unsent) == (0, 0, 0)
    assert (state.slowest.pattern, state.slowest.is_running) == (None, False)
    assert 0 < state.slowest.seconds < state.age <= snapshot.uptime


def test_a_handler_at_work_is_the_slowest_before_it_is_done(front_end: FrontEnd) -> None:
    """What hangs is what an operator looks for."""
    go_on = threading.Event()
    app = shop()

    @app.on("wait.*", blocking=True)
    def wait(message: Message) -> None:
        go_on.wait(PATIENCE)

    with (
        serving(front_end, app, tokens=TOKENS, admins=["ops"]) as server,
        telex.sync.connect(server.address, token="open") as pump,
        telex.sync.connect(server.address, token="sesame") as operator,
    ):
        pump.send("", subject="wait.long")
        pump.send("", subject="wait.longer")

        def slowest() -> tuple[str | None, bool, int]:
            state = state_of(snapshot_by(operator), "pump-7")
            return state.slowest.pattern, state.slowest.is_running, state.waiting

        wait_until(lambda: slowest() == ("wait.*", True, 1), "one is at work, one waits")
        go_on.set()
        wait_until(lambda: slowest() == ("wait.*", False, 0), "both are done")


def test_parts_and_what_is_unsent_are_seen(front_end: FrontEnd) -> None:
    """A peer that sends half a message and reads nothing is found by its numbers."""
    app = Application()

    @app.on("flood")
    def flood(message: Message) -> bytes:
        return b"x" * 8_000_000

    with (
        serving(front_end, app, admins=["ops"], tokens=TOKENS) as server,
        telex.sync.connect(server.address, token="sesame") as operator,
        plug_into(server.address) as slow,
    ):
        hello = Message({"version": 1, "token": "open"}, kind="hello")
        slow.sendall(hello.to_bytes() + Message("", subject="flood").to_bytes())
        wait_until(
            lambda: any(s.unsent > 100_000 for s in snapshot_by(operator).connections), "unsent"
        )
        slow.close()
        with plug_into(server.address) as halting:
            halting.sendall(hello.to_bytes() + Message(b"y" * 1000).to_bytes()[:600])
            wait_until(
                lambda: any(s.partial == 600 for s in snapshot_by(operator).connections), "partial"
            )


def test_an_operator_closes_a_connection(front_end: FrontEnd) -> None:
    """Its peer is told why, and nobody else notices."""
    with (
        serving(front_end, shop(), tokens=TOKENS, admins=["ops"]) as server,
        telex.sync.connect(server.address, token="sesame") as operator,
    ):
        pump = telex.sync.connect(server.address, token="open")
        state = state_of(snapshot_by(operator), "pump-7")
        order = CloseOrder(state.number)
        answer = operator.request(order, subject=CLOSE, timeout=PATIENCE)
        assert answer.content == {"closed": state.name}
        with pytest.raises(ConnectionClosedError, match=r"an operator .* has closed") as ended:
            pump.receive(PATIENCE)
        assert ended.value.code == "shutting-down"
        pump.close()
        wait_until(lambda: len(snapshot_by(operator).connections) == 1, "it is gone")
        with pytest.raises(RemoteError, match="no-connection: there is no connection"):
            operator.request(order, subject=CLOSE, timeout=PATIENCE)


def test_one_that_reads_nothing_is_closed_too(front_end: FrontEnd) -> None:
    """What it has not taken is not waited for."""
    app = Application()

    @app.on("flood")
    def flood(message: Message) -> bytes:
        return b"x" * 8_000_000

    with (
        serving(front_end, app, tokens=TOKENS, admins=["ops"]) as server,
        telex.sync.connect(server.address, token="sesame") as operator,
        plug_into(server.address) as slow,
    ):
        hello = Message({"version": 1, "token": "open"}, kind="hello")
        slow.sendall(hello.to_bytes() + Message("", subject="flood").to_bytes())

        def stuck() -> list[int]:
            found = snapshot_by(operator).connections
            return [state.number for state in found if state.unsent > 100_000]

        wait_until(stuck, "output is stuck")
        operator.request(CloseOrder(stuck()[0]), subject=CLOSE, timeout=PATIENCE)
        wait_until(lambda: len(snapshot_by(operator).connections) == 1, "it is gone")


@pytest.mark.parametrize("subject", [LIST, CLOSE])
def test_everybody_else_is_refused(front_end: FrontEnd, subject: str) -> None:
    """A token is not enough, and neither is none: the error says what is missing."""
    order = CloseOrder(1)
    with (
        serving(front_end, shop(), tokens=TOKENS, admins=["ops"]) as server,
        telex.sync.connect(server.address, token="open") as pump,
        pytest.raises(RemoteError, match=r"unauthorized: only operators .* 'pump-7' is none"),
    ):
        pump.request(order, subject=subject, timeout=PATIENCE)
    with (
        serving(front_end, shop(), admins=[]) as server,
        telex.sync.connect(server.address) as nobody,
        pytest.raises(RemoteError, match=r"unauthorized: .* you have shown no name"),
    ):
        nobody.request(order, subject=subject, timeout=PATIENCE)


def test_without_operators_these_are_subjects_like_any_other(front_end: FrontEnd) -> None:
    """A server that was not told of operators hands everything to its application."""
    with serving(front_end, shop()) as server, telex.sync.connect(server.address) as connection:
        answer = connection.request(None, subject=LIST, timeout=PATIENCE)
    assert answer.content == f"the application got {LIST}"


@pytest.fixture
def socket_address(tmp_path: Path) -> str:
    """Return the address of a Unix socket."""
    return f"unix://{tmp_path}/socket"


def test_the_owner_of_a_unix_socket_is_an_operator(
    front_end: FrontEnd, socket_address: str
) -> None:
    """Whoever runs as the same user may ask, without any name."""
    with (
        serving(front_end, shop(), socket_address, admins=[]) as server,
        telex.sync.connect(server.address) as owner,
    ):
        [state] = snapshot_by(owner).connections
    assert state.name.startswith("unix:")


@pytest.mark.parametrize(("user", "may"), [(0, True), (None, False), (4_000_000, False)])
def test_another_user_at_a_unix_socket_is_not_unless_it_is_root(
    monkeypatch: pytest.MonkeyPatch, socket_address: str, user: int | None, may: bool
) -> None:
    """What the system says of the other end decides; where it says nothing, nobody is let in."""
    monkeypatch.setattr(ServerDriver, "user_id", property(lambda _driver: user))
    with (
        serving("sync", shop(), socket_address, admins=[]) as server,
        telex.sync.connect(server.address) as connection,
    ):
        if may:
            assert snapshot_by(connection).you == 1
        else:
            with pytest.raises(RemoteError, match="unauthorized"):
                snapshot_by(connection)


def test_a_malformed_order_closes_nobody(front_end: FrontEnd) -> None:
    """It is refused like any content that does not fit."""
    with (
        serving(front_end, shop(), tokens=TOKENS, admins=["ops"]) as server,
        telex.sync.connect(server.address, token="sesame") as operator,
    ):
        for content in ("all", {"number": "1"}, None):
            with pytest.raises(RemoteError, match="bad-content"):
                operator.request(content, subject=CLOSE, timeout=PATIENCE)
        assert len(snapshot_by(operator).connections) == 1


def test_hooks_and_generators_of_the_application_work_behind_it(front_end: FrontEnd) -> None:
    """A server with operators serves its application as ever."""
    called: list[str] = []
    app = Application()
    app.on_startup(lambda: called.append("startup"))
    app.on_shutdown(lambda: called.append("shutdown"))

    @app.on("parts")
    def parts(message: Message) -> Iterator[str]:
        yield "one"
        yield "two"

    with (
        serving(front_end, app, admins=[]) as server,
        telex.sync.connect(server.address) as connection,
    ):
        found = [part.content for part in connection.request_parts("", subject="parts")]
    assert (found, called) == (["one", "two"], ["startup", "shutdown"])


def test_a_name_is_no_collection_of_names() -> None:
    """The mistake that is easy to make is told at once."""
    with pytest.raises(TypeError, match=r"right|such as \['ops'\]"):
        telex.sync.serve(shop(), "tcp://127.0.0.1:0", admins="ops")
