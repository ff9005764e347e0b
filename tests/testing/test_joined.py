"""Joined connections: a whole conversation in memory, and handlers that a test can look into."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import telex
import telex.sync
from telex import Application, Limits, Message, Peer, Refusal, RemoteError
from telex.testing import AsyncJoinedConnection, JoinedConnection, connected

PATIENCE = 30.0


@dataclass
class Order:
    """What is wanted."""

    item: str
    count: int


@pytest.fixture
def app() -> Application:
    """Return an application with a handler for each thing that a handler may do."""
    app = Application()

    @app.on("greet")
    def greet(message: Message, peer: Peer) -> str:
        peer.send(f"{peer.identity} greets", subject="news")
        return f"hello {message.content}"

    @app.on("order")
    def order(message: Message[Order]) -> dict[str, int]:
        if message.content.count > 3:
            raise Refusal("out-of-stock", "no more than 3 of these")
        return {"left": 3 - message.content.count}

    @app.on("fail")
    def fail(message: Message) -> None:
        raise LookupError(f"no {message.content}")

    @app.on("count")
    def count(message: Message) -> Iterator[int]:
        yield from range(message.content)

    @app.on("thread", blocking=True)
    def thread(message: Message) -> str:
        return threading.current_thread().name

    @app.on("count-in-threads", blocking=True)
    def count_in_threads(message: Message) -> Iterator[int]:
        yield from range(message.content)

    @app.on("endless")
    def endless(message: Message) -> Iterator[int]:
        yield from itertools.count()

    @app.on("echo")
    def echo(message: Message) -> Message:
        return message

    return app


@pytest.fixture
def connection(app: Application) -> Iterator[JoinedConnection]:
    """Return a connection to it."""
    with connected(app) as connection:
        yield connection


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[Application], None]:
    """Run an asynchronous test, which takes an application, in an event loop of its own."""

    def run(app: Application) -> None:
        asyncio.run(asyncio.wait_for(test(app), 3 * PATIENCE))

    run.__doc__ = test.__doc__
    return run


def test_a_request_is_answered(connection: JoinedConnection) -> None:
    """By the handler of its subject, with content of its type."""
    assert connection.request("you", subject="greet").content == "hello you"
    answer = connection.request({"item": "pump", "count": 1}, subject="order")
    assert answer.content == {"left": 2}


def test_a_refusal_is_what_a_client_gets(connection: JoinedConnection) -> None:
    """With code and detail; it is no failure, and neither is what fits no handler."""
    refused = [
        ({"item": "pump", "count": 4}, "order", "out-of-stock"),
        ({"item": "pump", "count": "four"}, "order", "bad-content"),
        ("?", "weather", "no-handler"),
    ]
    for content, subject, code in refused:
        with pytest.raises(RemoteError) as caught:
            connection.request(content, subject=subject)
        assert caught.value.code == code
    assert connection.failures == []


def test_the_error_of_a_handler_that_failed_has_its_cause(connection: JoinedConnection) -> None:
    """A client sees handler-failed; a test sees why, and where in the code."""
    with pytest.raises(RemoteError) as caught:
        connection.request("soap", subject="fail")
    assert caught.value.code == "handler-failed"
    assert repr(caught.value.__cause__) == "LookupError('no soap')"
    assert caught.traceback
    assert connection.failures == []


def test_a_failure_that_nobody_was_told_of_is_raised_at_the_end(app: Application) -> None:
    """A plain message has no answer that could say so."""
    unnoticed = pytest.raises(BaseExceptionGroup, match="no test took note")
    with unnoticed as caught, connected(app) as connection:
        connection.send("soap", subject="fail")
        connection.send("towels", subject="fail")
    assert [str(error) for error in caught.value.exceptions] == ["no soap", "no towels"]


def test_a_failure_that_a_test_took_note_of_is_not_raised(app: Application) -> None:
    """Taking it out of the list is how a test says that it expects it."""
    with connected(app) as connection:
        connection.send("soap", subject="fail")
        assert isinstance(connection.failures.pop(), LookupError)


def test_a_test_that_fails_itself_is_told_of_failures_too(app: Application) -> None:
    """Its own exception comes through, with a note, for the failure is likely to be its cause."""
    with pytest.raises(AssertionError) as caught, connected(app) as connection:  # noqa: PT012
        connection.send("soap", subject="fail")
        raise AssertionError("no news")
    assert caught.value.__notes__ == [
        "a handler or server failed meanwhile: LookupError('no soap')"
    ]


@pytest.mark.parametrize("expected", [RemoteError("out-of-stock"), pytest.skip.Exception("no")])
def test_an_exception_that_a_test_expects_hides_no_failure(
    app: Application, expected: BaseException
) -> None:
    """It is raised together with the failures, so that the test does not pass."""
    with pytest.raises(BaseExceptionGroup) as caught, connected(app) as connection:  # noqa: PT012
        connection.send("soap", subject="fail")
        raise expected
    assert [repr(error) for error in caught.value.exceptions] == [
        "LookupError('no soap')",
        repr(expected),
    ]


def test_an_end_that_fails_hides_no_failure(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the connection raises when it is closed is raised together with them."""
    close, broken = JoinedConnection.close, telex.ConnectionClosedError("peer", "out of order")

    def close_badly(connection: JoinedConnection) -> None:
        close(connection)
        raise broken

    monkeypatch.setattr(JoinedConnection, "close", close_badly)
    with pytest.raises(BaseExceptionGroup) as caught, connected(app) as connection:
        connection.send("soap", subject="fail")
    handler, ending = caught.value.exceptions
    assert repr(handler) == "LookupError('no soap')"
    assert ending is broken


def test_every_shutdown_hook_is_called(app: Application) -> None:
    """One that fails keeps none from it, and all that fail are raised."""
    told: list[str] = []

    def fail(name: str) -> Callable[[], None]:
        def hook() -> None:
            raise OSError(f"no {name}")

        return hook

    app.on_shutdown(fail("database"))
    app.on_shutdown(fail("printer"))
    app.on_shutdown(lambda: told.append("closed"))
    with pytest.raises(BaseExceptionGroup) as caught, connected(app):
        assert told == []
    assert [str(error) for error in caught.value.exceptions] == ["no database", "no printer"]
    assert told == ["closed"]


def test_each_part_of_an_answer_and_each_answer_is_explained(connection: JoinedConnection) -> None:
    """Requests for parts, and many requests, have their causes as any request has."""
    with pytest.raises(RemoteError) as caught:
        list(connection.request_parts("soap", subject="fail"))
    assert repr(caught.value.__cause__) == "LookupError('no soap')"
    requests = [Message(item, subject="fail") for item in ("towels", "pumps")]
    answers = list(connection.request_many(requests))
    causes = [answer.__cause__ for answer in answers if isinstance(answer, RemoteError)]
    assert list(map(repr, causes)) == ["LookupError('no towels')", "LookupError('no pumps')"]
    assert connection.failures == []


def test_what_is_sent_has_been_handled(connection: JoinedConnection) -> None:
    """Whatever a handler sends of its own accord is there at once, and in order."""
    connection.send("you", subject="greet")
    connection.send_many([Message("all", subject="greet"), Message(b"data", subject="echo")])
    contents = ["None greets", "hello you", "None greets", "hello all", b"data"]
    assert [message.content for message in connection.received()] == contents
    assert connection.received() == []


def test_what_came_before_the_end_is_received(app: Application) -> None:
    """And then the end is said, with its reason: silence is for what may still come."""

    @app.on("overload")
    def overload(message: Message, peer: Peer) -> None:
        for _ in range(1000):
            peer.send("x" * 2000)

    with connected(app, limits=Limits(high_water=1)) as connection:
        connection.send("", subject="overload")
        assert connection.received()
        with pytest.raises(telex.ConnectionClosedError):
            connection.received()
        connection.failures.clear()


def test_nothing_is_waited_for_that_cannot_come(connection: JoinedConnection) -> None:
    """Without a timeout a test ends all the same, when its patience is over."""
    with pytest.raises(telex.WaitTimeoutError):
        connection.receive(timeout=0)
    with connected(Application(), patience=0.05) as impatient:
        with pytest.raises(telex.WaitTimeoutError, match="waiting for anything to happen"):
            impatient.receive()
        with pytest.raises(telex.WaitTimeoutError, match="waiting for anything to happen"):
            next(iter(impatient))


def test_handlers_see_whom_the_test_wants(app: Application) -> None:
    """The peer has the identity and the address that the test gives it."""
    with connected(app, identity="ada", peer_address="192.0.2.7:4711") as connection:
        connection.send("you", subject="greet")
        assert connection.received()[0].content == "ada greets"
        assert (connection.peer.identity, connection.peer.address) == ("ada", "192.0.2.7:4711")


def test_the_test_can_be_the_server(connection: JoinedConnection) -> None:
    """The peer that a handler would keep is there to be sent by, from any thread."""
    connection.peer.send("from the test")
    thread = threading.Timer(0.05, connection.peer.send, ["from a thread"])
    thread.start()
    contents = [connection.receive(timeout=PATIENCE).content for _ in range(2)]
    thread.join()
    assert contents == ["from the test", "from a thread"]


@pytest.mark.parametrize("subject", ["count", "count-in-threads"])
def test_parts_come_one_by_one(connection: JoinedConnection, subject: str) -> None:
    """The answer of a generator, in a thread or not."""
    parts = connection.request_parts(3, subject=subject)
    assert [part.content for part in parts] == [0, 1, 2]


def test_an_endless_answer_is_taken_as_far_as_wanted(app: Application) -> None:
    """The generator waits when nobody takes what it yields, and ends with the connection."""
    with connected(app, limits=Limits(high_water=1)) as connection:
        parts = connection.request_parts(None, subject="endless")
        assert [part.content for part in itertools.islice(parts, 3)] == [0, 1, 2]
        with pytest.raises(telex.RequestTimeoutError):
            connection.request("behind it", subject="echo", timeout=0.2)


def test_handlers_run_in_the_thread_of_the_test(connection: JoinedConnection) -> None:
    """One after the other, those that block too, so that every run is the same."""
    assert connection.request("", subject="thread").content == threading.current_thread().name
    answers = connection.request_many(Message(n, subject="echo") for n in range(1000))
    contents = [answer.content for answer in answers if isinstance(answer, Message)]
    assert contents == list(range(1000))


def test_content_of_any_length_goes_through(connection: JoinedConnection) -> None:
    """Also what no socket takes at once, and piece by piece."""
    content = bytes(10_000_000)
    assert connection.request(content, subject="echo").content == content
    connection.send(content, subject="echo")
    [message] = connection.received()
    assert message.content == content
    connection.send("in pieces", subject="echo", chunk_size=7)
    assert [message.content for message in connection.received()] == ["in pieces"]


def test_several_threads_may_share_it(connection: JoinedConnection) -> None:
    """Each gets its own answers, as from a server."""
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = connection.request(number, subject="echo", timeout=PATIENCE).content

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == {number: number for number in range(8)}


def test_limits_are_for_both_ends(app: Application) -> None:
    """What a server would refuse is refused, and the reason is in the exception."""
    limits = Limits(max_content_size=10)
    with connected(app, limits=limits) as connection, pytest.raises(telex.TooLargeError):
        connection.send("more than ten bytes")


def test_a_ping_is_answered(connection: JoinedConnection) -> None:
    """As on every connection."""
    assert 0 <= connection.ping() < PATIENCE


def test_it_is_a_connection_of_the_front_end(connection: JoinedConnection) -> None:
    """Code that takes a connection is given one."""
    assert isinstance(connection, telex.sync.Connection)
    assert str(connection.address) == connection.peer_address == "unix://in-memory"


def test_hooks_are_called_as_by_a_server() -> None:
    """Start-up hooks before the first message, shutdown hooks after the last."""
    app = Application()
    told: list[str] = []
    app.on_startup(lambda: told.append("startup"))
    app.on_shutdown(lambda: told.append("shutdown"))

    @app.on()
    def take(message: Message) -> None:
        told.append(message.content)

    with connected(app) as connection:
        connection.send("message")
    assert told == ["startup", "message", "shutdown"]


def test_a_start_up_hook_that_fails_is_the_tests_failure() -> None:
    """Its exception comes out of ``connected``, and nothing is left open."""
    app = Application()

    @app.on_startup
    def open_database() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"), connected(app):
        pytest.fail("connected to a server that has not started")


def test_failure_hooks_of_the_application_are_called_too(app: Application) -> None:
    """The test's own way to know of failures takes none away, and leaves none behind."""
    told: list[BaseException] = []
    app.on_failure(lambda message, peer, error: told.append(error))
    for _ in range(2):
        with connected(app) as connection:
            connection.send("soap", subject="fail")
            connection.failures.clear()
    assert [str(error) for error in told] == ["no soap", "no soap"]


def test_async_handlers_are_refused_with_the_right_way() -> None:
    """They need an event loop, which ``async with`` has."""
    app = Application()

    @app.on("lookup")
    async def lookup(message: Message) -> None:
        """Need an event loop."""

    with pytest.raises(TypeError, match=r"lookup: async; right would be 'async with connected"):
        connected(app).__enter__()


def test_a_handler_cannot_ask_its_own_connection() -> None:
    """It would wait for itself; a test that does so is told, and does not hang."""
    app = Application()
    connections: list[JoinedConnection] = []

    @app.on("ask")
    def ask(message: Message) -> Message:
        return connections[0].request("again", subject="ask")

    @app.on("wait")
    def wait(message: Message) -> Message:
        return connections[0].receive()

    @app.on("gather")
    def gather(message: Message) -> None:
        connections[0].send_many(["again"])

    with connected(app) as connection:
        connections.append(connection)
        for subject in ("ask", "wait", "gather"):
            with pytest.raises(RemoteError) as caught:
                connection.request("once", subject=subject)
            assert "a handler cannot use the connection" in str(caught.value.__cause__)


def test_leaving_is_quiet(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A conversation that ended as it should leaves no warning."""
    with connected(app) as connection:
        connection.request("you", subject="greet")
        connection.send("unread", subject="echo")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@in_loop
async def test_an_asyncio_connection_is_joined_too(app: Application) -> None:
    """Handlers run in the event loop of the test, those that are async among them."""
    loops = []

    @app.on("lookup")
    async def lookup(message: Message, peer: Peer) -> str:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        peer.send("looked up", subject="news")
        return f"{message.content} is in stock"

    async with connected(app, identity="ada", peer_address="192.0.2.7:4711") as connection:
        answer = await connection.request("pump", subject="lookup", timeout=PATIENCE)
        news = await connection.receive(timeout=PATIENCE)
        assert (connection.peer.identity, connection.peer.address) == ("ada", "192.0.2.7:4711")
    assert (answer.content, news.content) == ("pump is in stock", "looked up")
    assert loops == [asyncio.get_running_loop()]
    assert isinstance(connection, telex.asyncio.Connection)
    assert isinstance(connection, AsyncJoinedConnection)


@in_loop
async def test_failures_are_told_on_asyncio_too(app: Application) -> None:
    """As the cause of the error, or at the end of the context."""
    with pytest.raises(BaseExceptionGroup, match="no test took note") as caught:  # noqa: PT012
        async with connected(app) as connection:
            with pytest.raises(RemoteError) as told:
                await connection.request("soap", subject="fail", timeout=PATIENCE)
            assert repr(told.value.__cause__) == "LookupError('no soap')"
            await connection.send("towels", subject="fail")
            await connection.ping()
    assert [str(error) for error in caught.value.exceptions] == ["no towels"]


@in_loop
async def test_every_shutdown_hook_is_called_on_asyncio_too(app: Application) -> None:
    """Those that fail are raised, async or not, and whether or not it is an ``Exception``."""
    told: list[str] = []

    @app.on_shutdown
    async def close_database() -> None:
        raise OSError("no database")

    @app.on_shutdown
    def check_all_was_sold() -> None:
        pytest.fail("there is soap left")

    app.on_shutdown(lambda: told.append("closed"))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with connected(app):
            assert told == []
    failures = [str(failure) for failure in caught.value.exceptions]
    assert failures == ["no database", "there is soap left"]
    assert told == ["closed"]


@in_loop
async def test_each_request_has_the_cause_of_its_own_handler(app: Application) -> None:
    """However many are under way at once, and in whichever order they fail."""
    has_failed = asyncio.Event()

    @app.on("first", concurrent=True)
    async def first(message: Message) -> None:
        await has_failed.wait()
        raise LookupError(message.content)

    @app.on("second", concurrent=True)
    async def second(message: Message) -> None:
        asyncio.get_running_loop().call_soon(has_failed.set)
        raise LookupError(message.content)

    async with connected(app) as connection:
        await connection.send("plain", subject="fail")
        errors = await asyncio.gather(
            connection.request("a", subject="first", timeout=PATIENCE),
            connection.request("b", subject="second", timeout=PATIENCE),
            connection.request("c", subject="fail", timeout=PATIENCE),
            return_exceptions=True,
        )
        parts = connection.request_parts("d", subject="fail", timeout=PATIENCE)
        with pytest.raises(RemoteError) as caught:
            await anext(parts)
        many = [answer async for answer in connection.request_many([Message("e", subject="fail")])]
        assert [str(failure) for failure in connection.failures] == ["no plain"]
        connection.failures.clear()
    told = [*errors, caught.value, *many]
    causes = [str(error.__cause__) for error in told if isinstance(error, RemoteError)]
    assert causes == ["a", "b", "no c", "no d", "no e"]


@in_loop
async def test_an_asyncio_test_that_fails_itself_is_told_too(app: Application) -> None:
    """Its own exception comes through, with a note."""
    with pytest.raises(AssertionError) as caught:  # noqa: PT012
        async with connected(app) as connection:
            await connection.send("soap", subject="fail")
            await connection.ping()
            raise AssertionError("no news")
    assert caught.value.__notes__ == [
        "a handler or server failed meanwhile: LookupError('no soap')"
    ]


@in_loop
async def test_parts_and_hooks_on_asyncio(app: Application) -> None:
    """Start-up hooks come first, parts as they are yielded, shutdown hooks last."""
    told: list[str] = []

    @app.on_startup
    async def open_database() -> None:
        told.append("startup")

    @app.on_shutdown
    async def close_database() -> None:
        told.append("shutdown")

    @app.on("watch")
    async def watch(message: Message) -> AsyncIterator[float]:
        for celsius in (21.5, 21.7):
            await asyncio.sleep(0)
            yield celsius

    async with connected(app) as connection:
        told += [
            str(part.content)
            async for part in connection.request_parts("", subject="watch", timeout=PATIENCE)
        ]
    assert told == ["startup", "21.5", "21.7", "shutdown"]
