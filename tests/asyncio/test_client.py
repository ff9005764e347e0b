"""The asyncio client: what it sends and receives, what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import telex
from telex import (
    AddressError,
    Application,
    ConnectError,
    ConnectionClosedError,
    ContentError,
    Limits,
    Message,
    RemoteError,
    RequestTimeoutError,
    TooLargeError,
    WaitTimeoutError,
)
from telex.application.peer import Peer
from telex.asyncio import connect
from telex.asyncio.client_driver import ClientDriver

from .stage import (
    PATIENCE,
    Plain,
    Stage,
    connected_to,
    echoing,
    in_loop,
    let_time_pass,
    nothing_more,
    serving,
    wait_until,
)


def problem(code: str, **members: Any) -> Message:
    """Return the message of an error that answers nothing."""
    return Message({"code": code, **members}, content_type="application/problem+json", kind="error")


# Messages


@in_loop
async def test_messages_go_there_and_back() -> None:
    """What is sent reaches the handler, and what that returns is received."""
    async with serving() as stage, stage.connect() as connection:
        await connection.send("hello", subject="any")
        assert (await connection.receive(PATIENCE)).content == "hello"


@in_loop
async def test_a_connection_says_where_it_goes() -> None:
    """The address is the one asked for, the peer's address is where that is."""
    async with serving() as stage, stage.connect() as connection:
        assert connection.address == stage.address
        assert connection.peer_address == f"127.0.0.1:{stage.address.port}"


@in_loop
async def test_awaiting_connect_gives_a_connection_to_close() -> None:
    """Without ``async with`` the connection is the caller's to close, once or more often."""
    async with serving() as stage:
        connection = await stage.connect()
        assert (await connection.request("x")).content == "x"
        await connection.close()
        await connection.close()
        assert await stage.ending() is None


@in_loop
async def test_a_token_that_cannot_be_sent_is_refused() -> None:
    """It is raised as it is, before anybody is connected to, and the loop hears nothing of it."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, told: failures.append(told))
    async with serving() as stage:
        with pytest.raises(ContentError, match="surrogates not allowed"):
            await stage.connect(token="\ud800")
        assert stage.events.connections == []
    assert failures == []


@in_loop
async def test_many_messages_are_sent_at_once() -> None:
    """``send_many`` takes an iterable or an asynchronous one, of contents and messages."""

    async def later() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async with serving() as stage, stage.connect() as connection:
        await connection.send_many([0, Message(1), 2])
        await connection.send_many(later())
        assert [(await connection.receive(PATIENCE)).content for _ in range(6)] == [0, 1, 2] * 2


@in_loop
async def test_what_came_before_a_faulty_item_is_sent() -> None:
    """``send_many`` raises what the iterable raises, and has sent what came before it."""

    def items() -> Any:
        yield "good"
        raise ZeroDivisionError

    async with serving() as stage, stage.connect() as connection:
        with pytest.raises(ZeroDivisionError):
            await connection.send_many(items())
        assert (await connection.receive(PATIENCE)).content == "good"


@in_loop
async def test_a_row_is_not_touched_when_nothing_can_be_sent() -> None:
    """On a connection that is closed, what was to be sent is still there."""
    row = iter(range(10))
    async with serving() as stage:
        async with stage.connect() as connection:
            pass
        with pytest.raises(ConnectionClosedError):
            await connection.send_many(row)
        answers = [answer async for answer in swallowing(connection.request_many(row))]
    assert answers == []
    assert list(row) == list(range(10))


async def swallowing(answers: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield answers until the connection is found closed."""
    try:
        async for answer in answers:
            yield answer
    except ConnectionClosedError:
        return


@in_loop
async def test_large_messages_arrive_whole() -> None:
    """Content of many writes, between small messages, keeps its bytes and its place."""
    large = random.Random(1).randbytes(5_000_000)
    async with serving() as stage, stage.connect() as connection:
        for content in (b"before", large, b"after"):
            await connection.send(content)
        for content in (b"before", large, b"after"):
            assert (await connection.receive(PATIENCE)).body == content


@in_loop
async def test_receive_waits_only_so_long() -> None:
    """``receive`` raises WaitTimeoutError, at once for 0 seconds; what has come it gives."""
    async with serving() as stage, stage.connect() as connection:
        for timeout in (0, 0.02):
            with pytest.raises(WaitTimeoutError, match=r"waiting for a message"):
                await connection.receive(timeout)
        await connection.request("x")
        await connection.send("here")
        await connection.request("x")
        assert (await connection.receive(0)).content == "here"


@in_loop
async def test_what_cannot_be_sent_is_refused_before_any_of_it_is() -> None:
    """Wrong keywords, wrong content and too large a message raise, and the connection goes on."""
    limits = Limits(max_content_size=100)
    async with serving() as stage, stage.connect(limits=limits) as connection:
        with pytest.raises(TypeError, match="subject: keywords go with content"):
            await connection.send(Message("x"), subject="y")
        with pytest.raises(ContentError, match="plain messages"):
            await connection.send(Message("x", kind="request", id=1))
        with pytest.raises(TooLargeError):
            await connection.request("x" * 101)
        assert (await connection.request("fine")).content == "fine"


@in_loop
async def test_iteration_ends_with_the_connection() -> None:
    """``async for`` gives what comes, and ends when the peer ends well."""

    async def script(plain: Plain) -> None:
        plain.send(Message(1), Message(2))

    async with connected_to(script) as connection:
        assert [message.content async for message in connection] == [1, 2]
        with pytest.raises(ConnectionClosedError, match="by the peer: it ended its stream"):
            await connection.receive()


@in_loop
async def test_iteration_ends_when_this_side_closes() -> None:
    """A task that iterates comes to its end when another one closes the connection."""
    async with serving() as stage, stage.connect() as connection:

        async def iterate() -> list[Message]:
            return [message async for message in connection]

        task = asyncio.create_task(iterate())
        await connection.request("x")
        await connection.close()
        assert await asyncio.wait_for(task, PATIENCE) == []


@in_loop
async def test_a_refused_peer_learns_why() -> None:
    """An ending error is raised by everything that waits, with the code that the peer gave."""

    async def script(plain: Plain) -> None:
        await plain.receive()
        plain.send(problem("overloaded", detail="come back later"))
        plain.end()
        await nothing_more(plain)

    async with connected_to(script) as connection:
        request = asyncio.create_task(connection.request("x"))
        with pytest.raises(ConnectionClosedError, match="come back later") as raised:
            async for _ in connection:
                pass
        assert (raised.value.by, raised.value.code) == ("peer", "overloaded")
        with pytest.raises(ConnectionClosedError, match="come back later") as raised:
            await request
        assert raised.value.unanswered == 1
        with pytest.raises(ConnectionClosedError, match="come back later"):
            await connection.send("too late")


@in_loop
async def test_an_error_about_nothing_asked_is_a_message() -> None:
    """An ``error`` that answers no request and ends nothing is received like a message."""

    async def script(plain: Plain) -> None:
        plain.send(problem("out-of-paper"))
        await nothing_more(plain)

    async with connected_to(script) as connection:
        message = await connection.receive(PATIENCE)
        assert (message.kind, message.content["code"]) == ("error", "out-of-paper")


# Requests


@in_loop
async def test_every_request_gets_its_own_answer() -> None:
    """Answers that come in any order find the task that asked."""
    app = Application()

    @app.on("double", concurrent=True)
    async def double(message: Message) -> int:
        await asyncio.sleep(random.random() / 100)
        return 2 * int(message.content)

    async with serving(app) as stage, stage.connect() as connection:
        requests = [connection.request(number, subject="double") for number in range(300)]
        answers = await asyncio.gather(*requests)
        assert [answer.content for answer in answers] == [2 * number for number in range(300)]


@in_loop
async def test_refusals_are_remote_errors() -> None:
    """What a handler refuses, fails at or is missing for, is raised with code and detail."""
    app = Application()

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise telex.Refusal("out-of-stock", "no more of these")

    @app.on("fail")
    async def fail(message: Message) -> None:
        raise ValueError("secret")

    async with serving(app) as stage, stage.connect() as connection:
        for subject, code, detail in (
            ("refuse", "out-of-stock", "no more of these"),
            ("fail", "handler-failed", "the handler failed"),
            ("other", "no-handler", "no handler takes a message with subject 'other'"),
        ):
            with pytest.raises(RemoteError) as raised:
                await connection.request("x", subject=subject)
            assert (raised.value.code, raised.value.detail) == (code, detail)


@in_loop
async def test_a_late_answer_is_dropped() -> None:
    """A request that timed out says what it waited for; its answer disturbs nobody."""
    app = echoing()

    @app.on("slow", concurrent=True)
    async def slow(message: Message) -> str:
        await asyncio.sleep(0.05)
        return "late"

    async with serving(app) as stage, stage.connect() as connection:
        with pytest.raises(RequestTimeoutError, match=r"0\.01 s .*'slow'"):
            await connection.request("x", subject="slow", timeout=0.01)
        with pytest.raises(WaitTimeoutError):
            await connection.receive(0.1)
        assert (await connection.request("next", timeout=PATIENCE)).content == "next"


@in_loop
async def test_a_lost_connection_fails_its_requests() -> None:
    """Requests that are under way when the connection breaks raise who broke it, and how."""

    async def script(plain: Plain) -> None:
        await plain.receive()
        plain.reset()

    with pytest.raises(ConnectionClosedError, match="it reset the connection") as raised:
        async with connected_to(script) as connection:
            await connection.request("x")
    assert (raised.value.by, raised.value.unanswered) == ("peer", 1)


@in_loop
async def test_parts_come_as_they_are_yielded() -> None:
    """An answer in parts is iterated; ``request`` alone does not take it."""
    app = Application()
    may_go_on = asyncio.Event()

    @app.on("parts")
    async def parts(message: Message) -> Any:
        yield "first"
        await may_go_on.wait()
        yield "second"

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("x", subject="parts")
        assert (await anext(answer)).content == "first"
        may_go_on.set()
        assert [part.content async for part in answer] == ["second"]
        with pytest.raises(ContentError, match=r"request_parts\(\)"):
            await connection.request("x", subject="parts")
        assert (await connection.ping()) < PATIENCE


@in_loop
async def test_an_answer_in_one_piece_is_one_part() -> None:
    """``request_parts`` also takes the answer of a handler that returns it."""
    async with serving() as stage, stage.connect() as connection:
        assert [part.content async for part in connection.request_parts("one")] == ["one"]


@in_loop
async def test_parts_end_with_the_error_that_ends_them() -> None:
    """What was yielded before a refusal is given first."""
    app = Application()

    @app.on()
    async def parts(message: Message) -> Any:
        yield 1
        raise telex.Refusal("enough", "")

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("x")
        assert (await anext(answer)).content == 1
        with pytest.raises(RemoteError, match="enough"):
            await anext(answer)


@in_loop
async def test_each_part_has_its_time() -> None:
    """A part that does not come in time raises; the request is given up then."""
    app = Application()

    @app.on(concurrent=True)
    async def parts(message: Message) -> Any:
        yield 1
        await asyncio.Event().wait()

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("x", timeout=PATIENCE)
        assert (await anext(answer)).content == 1
        asyncio.get_running_loop().call_soon(let_time_pass)
        with pytest.raises(RequestTimeoutError, match=r"30 s .* the next part of the answer"):
            await anext(answer)
        assert connection._conversation.outstanding == 0


@in_loop
async def test_parts_that_nobody_wants_are_dropped() -> None:
    """Whoever closes the parts, or lets go of them, is not held up by what still comes."""
    app = echoing()

    @app.on("parts")
    def parts(message: Message) -> Any:
        yield from range(1000)

    async with serving(app) as stage, stage.connect() as connection:
        closed = connection.request_parts("x", subject="parts")
        await anext(closed)
        closed.close()
        with pytest.raises(StopAsyncIteration):
            await anext(closed)
        async for _ in connection.request_parts("x", subject="parts"):
            break
        assert (await connection.request("next")).content == "next"
        assert connection._conversation.outstanding == 0


@in_loop
async def test_parts_may_be_let_go_of_by_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an object keeps may be collected anywhere; the connection hears of it in its loop."""
    app = echoing()

    @app.on("parts")
    def parts(message: Message) -> Any:
        yield from range(1000)

    threads: list[threading.Thread] = []
    consumed = ClientDriver.consumed

    def noting(driver: ClientDriver, size: int) -> None:
        threads.append(threading.current_thread())
        consumed(driver, size)

    monkeypatch.setattr(ClientDriver, "consumed", noting)
    async with serving(app) as stage, stage.connect() as connection:
        kept = [connection.request_parts("x", subject="parts")]
        await anext(kept[0])
        await asyncio.to_thread(kept.clear)
        await wait_until(lambda: not connection._conversation.outstanding, "it is given up")
        assert (await connection.request("next")).content == "next"
    assert set(threads) == {threading.current_thread()}


@in_loop
async def test_a_ping_takes_its_time() -> None:
    """``ping`` returns seconds, and raises when there is no answer."""
    async with serving() as stage, stage.connect() as connection:
        assert 0 < await connection.ping() < PATIENCE

    async with connected_to(nothing_more) as connection:
        with pytest.raises(RequestTimeoutError, match="the answer to a ping"):
            await connection.ping(timeout=0.01)


@in_loop
async def test_a_client_answers_no_requests() -> None:
    """A server that asks is told that there is nobody to answer."""
    answers: list[Message] = []

    async def script(plain: Plain) -> None:
        plain.send(Message("who?", kind="request", id=1))
        answers.append(await plain.receive())

    async with connected_to(script) as connection:
        await wait_until(lambda: answers, "the answer comes")
        async for _ in connection:
            pass
    assert (answers[0].kind, answers[0].re, answers[0].content["code"]) == (
        "error",
        1,
        "no-handler",
    )


# Holding back


@in_loop
async def test_sending_waits_for_a_peer_that_does_not_read() -> None:
    """What a slow peer does not take stays with the sender's task, and arrives in the end."""
    may_read = asyncio.Event()
    count = 3000
    received: list[Message] = []

    async def script(plain: Plain) -> None:
        await may_read.wait()
        received.extend(await plain.receive_all())

    limits = Limits(high_water=64 * 1024)
    async with connected_to(script, limits=limits) as connection:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number in range(count):
                await connection.send(b"x" * 10_000, headers={"number": number})
                sent += 1

        task = asyncio.create_task(send())
        await wait_until(lambda: connection._connection.is_backed_up, "the sender waits")
        assert sent < count
        assert connection._connection.unsent < 64 * 1024 + 2 * 64 * 1024
        may_read.set()
        await task
    assert [message.headers["number"] for message in received] == list(range(count))


@in_loop
async def test_reading_waits_for_whoever_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unread messages are held up to a bound, then by the network; none is lost."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 200_000)
    count = 2000
    sent = 0

    async def script(plain: Plain) -> None:
        nonlocal sent
        for number in range(count):
            plain.send(Message(b"x" * 10_000, headers={"number": number}))
            await plain.writer.drain()
            sent += 1

    async with connected_to(script) as connection:
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        assert connection._connection.unread.size < 1_000_000
        numbers = [message.headers["number"] async for message in connection]
        assert numbers == list(range(count))


@in_loop
async def test_parts_wait_for_whoever_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator without end is held back by a client that takes its parts slowly."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 200_000)
    app = Application()
    yielded = 0

    @app.on()
    async def endless(message: Message) -> Any:
        nonlocal yielded
        while True:
            yielded += 1
            yield b"x" * 10_000

    limits = Limits(high_water=100_000, drain_timeout=0.2)
    async with serving(app, limits=limits) as stage, stage.connect() as connection:
        parts = connection.request_parts("x")
        await anext(parts)
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        before = -1
        while before != yielded:
            before = yielded
            await asyncio.sleep(0.05)
        for _ in range(before):
            await anext(parts)
        await wait_until(lambda: yielded > before, "the generator goes on")


def listing(count: int) -> Application:
    """Return an application with a list of so many parts, and details of each."""
    app = Application()

    @app.on("list", concurrent=True)
    async def parts(message: Message) -> Any:
        for _ in range(count):
            yield b"x" * 10_000

    @app.on("detail", concurrent=True)
    async def detail(message: Message) -> object:
        return message.content

    return app


@in_loop
async def test_requests_between_parts_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes parts may ask for more about each, though more parts are here than are read."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 100_000)
    async with serving(listing(25)) as stage, stage.connect() as connection:
        taken = 0
        async for _ in connection.request_parts("", subject="list"):
            if not taken:
                await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
            answer = await connection.request(taken, subject="detail", timeout=PATIENCE)
            assert answer.content == taken
            taken += 1
    assert taken == 25


@in_loop
async def test_answers_behind_far_too_much_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what has to be taken first; when it is, answers come again."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 20_000)
    monkeypatch.setattr("telex.connection.unread.STALL_SECONDS", 0.01)
    async with serving(listing(40)) as stage, stage.connect() as connection:
        parts = connection.request_parts("", subject="list")
        await anext(parts)
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        await wait_until(lambda: not stage.server._service.tasks, "all parts are on their way")
        for asked in (connection.request("", subject="detail"), connection.ping()):
            with pytest.raises(RequestTimeoutError, match="parts of answers to be taken before it"):
                await asked
        assert len([part async for part in parts]) == 39
        assert (await connection.request("again", subject="detail")).content == "again"


@in_loop
async def test_two_tasks_may_take_parts() -> None:
    """Each part goes to one of them, and both come to the end."""
    app = Application()
    gate = asyncio.Event()

    @app.on("parts")
    async def parts(message: Message) -> Any:
        await gate.wait()
        for number in range(10):
            yield number
            await asyncio.sleep(0)

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("", subject="parts")

        async def take() -> list[int]:
            return [part.content async for part in answer]

        tasks = [asyncio.create_task(take()) for _ in range(2)]
        await wait_until(lambda: stage.events.messages, "both wait")
        gate.set()
        first, second = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert sorted(first + second) == list(range(10))


@in_loop
async def test_it_is_said_when_unread_messages_hold_up_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that waits behind messages nobody receives leaves a warning."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 1000)
    monkeypatch.setattr("telex.connection.unread.STALL_SECONDS", 0.01)

    async def script(plain: Plain) -> None:
        await plain.receive()
        plain.send(Message(b"x" * 5000))
        await nothing_more(plain)

    async with connected_to(script) as connection:
        with pytest.raises(RequestTimeoutError, match=r"5,.* bytes of messages"):
            await connection.request("x")
    assert "nothing is read until somebody takes what has come" in caplog.text


# Connecting


@in_loop
async def test_a_malformed_address_is_an_address_error() -> None:
    """What is no address is refused before anything is opened."""
    with pytest.raises(AddressError):
        await connect("nonsense")
    with pytest.raises(AddressError, match="without TLS"):
        await connect("tcp://127.0.0.1:1", server_hostname="example.com")


@in_loop
async def test_nobody_there_is_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port where nobody listens is refused, a name that is none is not resolved."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectError, match="connection refused"):
            await connect(f"tcp://127.0.0.1:{unused.getsockname()[1]}")

    def resolve_nothing(*arguments: Any, **keywords: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve_nothing)
    with pytest.raises(ConnectError, match="cannot be resolved"):
        await connect("tcp://name.invalid:7766")


@in_loop
async def test_a_missing_socket_file_is_a_connect_error(tmp_path: Path) -> None:
    """A path without a socket says that it does not exist."""
    with pytest.raises(ConnectError, match="no such file"):
        await connect(f"unix://{tmp_path}/nobody")


@in_loop
async def test_all_that_a_name_stands_for_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second address is used when the first refuses, and each failure is told."""
    from telex.network.resolver import Endpoint

    async with serving() as stage:
        good = Endpoint(socket.AF_INET, ("127.0.0.1", stage.address.port))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            bad = Endpoint(socket.AF_INET, unused.getsockname())
            monkeypatch.setattr("telex.asyncio.dialing.resolve", lambda address: [bad, good])
            async with stage.connect() as connection:
                assert (await connection.request("x")).content == "x"
            monkeypatch.setattr(
                "telex.asyncio.dialing.resolve",
                lambda address: [bad, Endpoint(socket.AF_UNIX, "/nobody")],
            )
            with pytest.raises(ConnectError, match=r"127\.0\.0\.1:\d+: .*; unix:/nobody: "):
                await stage.connect()


@in_loop
async def test_connecting_takes_only_so_long() -> None:
    """A server that accepts nobody is given up in time."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"tcp://127.0.0.1:{full.getsockname()[1]}"
        with (
            socket.create_connection(full.getsockname()),
            pytest.raises(ConnectError, match="timed out"),
        ):
            await connect(address, timeout=0.1)


@in_loop
async def test_unix_sockets_work_as_well(tmp_path: Path) -> None:
    """A path is an address for both sides."""
    async with serving(address=f"unix://{tmp_path}/s") as stage, stage.connect() as connection:
        assert (await connection.request("x")).content == "x"
        assert stage.events.connections[0].address == "unix:1"


@in_loop
async def test_a_token_is_shown_before_anything_is_sent() -> None:
    """The server knows who it is; without the right token there is no connection."""
    app = Application()

    @app.on()
    def who(message: Message, peer: Peer) -> object:
        return peer.identity

    async with serving(app, tokens={"pump-7": "secret"}) as stage:
        async with stage.connect(token="secret") as connection:
            assert (await connection.request("who?")).content == "pump-7"
        with pytest.raises(ConnectionClosedError) as raised:
            await stage.connect(token="guessed")
        assert raised.value.code == "unauthorized"
        async with stage.connect() as connection:
            with pytest.raises(ConnectionClosedError) as raised:
                await connection.request("who?")
        assert raised.value.code == "unauthorized"


@in_loop
async def test_a_server_that_does_not_greet_is_given_up() -> None:
    """A client that said hello waits only so long for the welcome."""

    async def script(plain: Plain) -> None:
        assert (await plain.receive()).kind == "hello"
        let_time_pass()
        await nothing_more(plain)

    with pytest.raises(ConnectError, match="no welcome came within 30 s"):
        async with connected_to(script, token="secret", timeout=PATIENCE):
            pass


# Closing


@in_loop
async def test_closing_waits_until_all_is_read() -> None:
    """When ``async with`` is left, the server has handled everything."""
    app = Application()
    handled: list[int] = []

    @app.on()
    async def handle(message: Message) -> None:
        await asyncio.sleep(0)
        handled.append(message.content)

    async with serving(app) as stage:
        async with stage.connect() as connection:
            await connection.send_many(range(500))
        assert handled == list(range(500))


@in_loop
async def test_nothing_is_sent_after_closing() -> None:
    """Everything that sends or receives says that this side has closed."""
    async with serving() as stage:
        async with stage.connect() as connection:
            await connection.send("x")
        for use in (
            connection.send("x"),
            connection.request("x"),
            connection.ping(),
            connection.receive(),
            anext(connection.request_parts("x")),
        ):
            with pytest.raises(ConnectionClosedError, match="closed by this side"):
                await use


@in_loop
async def test_requests_under_way_end_when_this_side_closes() -> None:
    """Whoever waits for an answer is told that there will be none."""
    async with connected_to(nothing_more) as connection:
        task = asyncio.create_task(connection.request("x"))
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(ConnectionClosedError, match="closed by this side"):
            await task


@in_loop
async def test_closing_tells_what_nobody_had_received() -> None:
    """An error that comes while closing, or was never received, is raised."""

    async def script(plain: Plain) -> None:
        plain.send(problem("out-of-paper", detail="half of it is lost"))
        await nothing_more(plain)

    with pytest.raises(ConnectionClosedError, match="out-of-paper: half of it is lost"):
        async with connected_to(script):
            pass


@in_loop
async def test_closing_tells_of_a_connection_that_broke() -> None:
    """A reset that nobody noticed is raised at the end, once."""

    async def script(plain: Plain) -> None:
        await plain.receive()
        plain.reset()

    async with connected_to(script) as connection:
        await connection.send("x")
        await wait_until(lambda: connection.ending, "the connection breaks")
        with pytest.raises(ConnectionClosedError, match="it reset the connection"):
            await connection.close()


@in_loop
async def test_closing_gives_up_on_a_peer_that_does_not_read() -> None:
    """What is unsent after the time for closing is counted in the error."""
    hold = asyncio.Event()

    async def script(plain: Plain) -> None:
        await hold.wait()

    async with connected_to(script, limits=Limits(high_water=1 << 24)) as connection:
        await connection.send(b"x" * 10_000_000)
        with pytest.raises(ConnectionClosedError, match=r"did not read on for 0\.1 s") as raised:
            await connection.close(timeout=0.1)
        assert raised.value.unsent > 0
        hold.set()


@in_loop
async def test_a_peer_that_does_not_end_is_left() -> None:
    """Everything is sent, but the peer does not end: whoever closes learns of it."""
    hold = asyncio.Event()

    async def script(plain: Plain) -> None:
        await hold.wait()

    async with connected_to(script) as connection:
        await connection.send("x")
        with pytest.raises(WaitTimeoutError, match="it may not have read all"):
            await connection.close(timeout=0.1)
        hold.set()


@in_loop
async def test_an_error_of_the_caller_passes_through() -> None:
    """What is raised inside ``async with`` is what comes out of it."""

    async def use(stage: Stage) -> None:
        async with stage.connect() as connection:
            await connection.request("x")
            raise ZeroDivisionError

    async with serving() as stage:
        with pytest.raises(ZeroDivisionError):
            await use(stage)
        assert await stage.ending() is None


@in_loop
async def test_a_server_out_of_format_ends_the_connection() -> None:
    """What is no message is a mistake of the peer, and says which."""

    async def script(plain: Plain) -> None:
        plain.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
        await nothing_more(plain)

    async with connected_to(script) as connection:
        with pytest.raises(ConnectionClosedError, match="HTTP") as raised:
            await connection.receive()
        assert (raised.value.by, raised.value.code) == ("us", "bad-message")


@in_loop
async def test_keepalive_notices_a_server_that_is_gone() -> None:
    """A client that wants keepalive asks for a sign of life, and does not wait for ever."""

    async def script(plain: Plain) -> None:
        assert (await plain.receive()).kind == "hello"
        plain.send(Message({"version": 1, "agent": "test"}, kind="welcome"))
        kinds = {(await plain.receive()).kind for _ in range(2)}  # which is first, is open
        assert kinds == {"request", "ping"}
        await nothing_more(plain)

    limits = Limits(ping_interval=0.2, ping_timeout=0.2)
    async with connected_to(script, limits=limits, keepalive=True) as connection:
        with pytest.raises(ConnectionClosedError, match="timed out") as raised:
            await connection.request("x")
        assert raised.value.code == "timeout"


@in_loop
async def test_a_server_is_not_blamed_for_a_loop_that_was_held_up() -> None:
    """A ping that was not answered meanwhile is no sign that nobody is there."""

    async def script(plain: Plain) -> None:
        assert (await plain.receive()).kind == "hello"
        plain.send(Message({"version": 1, "agent": "test"}, kind="welcome"))
        ping = await plain.receive()
        time.sleep(2.0)
        await asyncio.sleep(0)
        plain.send(Message(b"", kind="pong", re=ping.id), Message("still here"))
        await nothing_more(plain)

    limits = Limits(ping_interval=0.1, ping_timeout=1.5)
    async with connected_to(script, limits=limits, keepalive=True) as connection:
        assert (await connection.receive()).content == "still here"


@in_loop
async def test_connections_and_servers_say_where_they_are() -> None:
    """Whoever prints one sees its address, and how it stands."""
    async with serving() as stage, connect(stage.server.address) as connection:
        assert repr(connection) == f"<telex.asyncio.Connection to {stage.server.address}, open>"
        assert repr(stage.server) == f"<telex.asyncio.Server at {stage.server.address}>"
