"""Memory of requests: nothing of a request that is over is alive, without the garbage collector.

A large content that a circle of references keeps stays until the collector runs, which may be long.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from telex import Application, ConnectionClosedError, Message, Refusal, TelexError
from telex.conversation.calls import Call
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE, Client, Connect, Serve, wait_until

KEPT = (Message, Call, TelexError, LookupError)
"""What a request consists of, and what ends it."""


class Content(dict[str, object]):
    """Content of which a test sees whether it is alive."""

    __slots__ = ("__weakref__",)


def application(may_end: threading.Event) -> Application:
    """Return handlers that answer, refuse, fail, push, and wait until they may end."""
    app = Application()

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("out-of-stock", "no more of these")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise LookupError(f"failed on {message.content}")

    @app.on("fail.thread", blocking=True)
    def fail_in_thread(message: Message) -> None:
        raise LookupError(f"failed on {message.content}")

    @app.on("parts")
    def parts(message: Message) -> Iterator[int]:
        yield from range(3)

    @app.on("fail.parts")
    def fail_in_parts(message: Message) -> Iterator[int]:
        yield 1
        raise LookupError(f"failed on {message.content}")

    @app.on("wait", blocking=True, concurrent=True)
    def wait(message: Message) -> None:
        may_end.wait(PATIENCE)

    @app.on("push")
    def push(message: Message) -> object:
        return message.content

    return app


def ask(client: Client, content: Content, subject: str) -> None:
    """Send a request, whatever comes of it."""
    with suppress(TelexError):
        client.request(content, subject=subject, timeout=PATIENCE)


def ask_in_vain(client: Client, content: Content) -> None:
    """Send a request, and give it up."""
    with pytest.raises(TelexError):
        client.request(content, subject="wait", timeout=0.01)


def ask_for_parts(client: Client, content: Content, subject: str) -> None:
    """Send a request, and take all parts of its answer."""
    with suppress(TelexError):
        list(client.request_parts(content, subject=subject, timeout=PATIENCE))


def ask_for_one_part(client: Client, content: Content) -> None:
    """Take one part, and want no more."""
    parts = client.request_parts(content, subject="parts", timeout=PATIENCE)
    next(parts)
    parts.close()


def ask_for_late_parts(client: Client, content: Content) -> None:
    """Wait for a part in vain."""
    with suppress(TelexError):
        list(client.request_parts(content, subject="wait", timeout=0.01))


def ask_many(client: Client, content: Content) -> None:
    """Send many requests of which some fail."""
    subjects = ["echo", "refuse", "parts", "fail", "echo"]
    list(client.request_many([Message(content, subject=subject) for subject in subjects]))


def ask_many_with_failing_source(client: Client, content: Content) -> None:
    """Have the source of many requests fail."""

    def source() -> Iterator[Message]:
        yield Message(content, subject="echo")
        raise LookupError("no more")

    with pytest.raises(LookupError):
        list(client.request_many(source()))


def receive_in_vain(client: Client, content: Content) -> None:
    """Wait for a message that does not come."""
    with suppress(TelexError):
        client.receive(0.01)


def send_and_receive(client: Client, content: Content) -> None:
    """Send a plain message, and receive one."""
    client.send(content, subject="push")
    client.receive(PATIENCE)


USES: dict[str, Callable[[Client, Content], None]] = {
    "answered": lambda client, content: ask(client, content, "echo"),
    "refused": lambda client, content: ask(client, content, "refuse"),
    "failed": lambda client, content: ask(client, content, "fail"),
    "failed in a thread": lambda client, content: ask(client, content, "fail.thread"),
    "answered in parts": lambda client, content: ask(client, content, "parts"),
    "timed out": ask_in_vain,
    "parts": lambda client, content: ask_for_parts(client, content, "parts"),
    "parts refused": lambda client, content: ask_for_parts(client, content, "refuse"),
    "parts failed": lambda client, content: ask_for_parts(client, content, "fail.parts"),
    "parts left": ask_for_one_part,
    "parts timed out": ask_for_late_parts,
    "many": ask_many,
    "many with a failing source": ask_many_with_failing_source,
    "ping": lambda client, content: (client.ping(), None)[1],
    "receive timed out": receive_in_vain,
    "receive": send_and_receive,
}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log nothing: the records of a test's log keep what they tell of."""
    monkeypatch.setattr(logging.getLogger("telex.server"), "disabled", True)
    monkeypatch.setattr(logging.getLogger("telex.client"), "disabled", True)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Collect no garbage for the time of a context."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> int:
    """Count the messages, calls and errors that are alive."""
    return sum(isinstance(thing, KEPT) for thing in gc.get_objects())


@pytest.mark.usefixtures("silent")
def test_nothing_of_a_request_is_alive_when_it_is_over(serve: Serve, connect: Connect) -> None:
    """However it has ended, at both ends: no message, no call, no error and no content is left."""
    may_end = threading.Event()
    server = serve(application(may_end))
    client = connect(server)

    def use_once(use: Callable[[Client, Content], None]) -> weakref.ref[Content]:
        content = Content(name="x" * 1000)
        may_end.clear()
        use(client, content)
        may_end.set()
        ask(client, Content(), "echo")  # what is kept until the next use is let go
        server.events.messages.clear()
        return weakref.ref(content)

    for use in USES.values():
        use_once(use)
    with without_collector():
        before = alive()
        for name, use in USES.items():
            content = use_once(use)
            wait_until(lambda: alive() <= before, f"nothing more is alive than before: {name}")
            assert content() is None, f"the content is alive: {name}"


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("server_kind", ["asyncio"])
def test_nothing_of_a_request_is_alive_when_an_async_handler_has_ended(
    serve: Serve, connect: Connect, server_kind: FrontEnd
) -> None:
    """A coroutine or an async generator that fails keeps nothing either."""
    app = application(threading.Event())

    @app.on("async.fail")
    async def fail(message: Message) -> None:
        raise LookupError(f"failed on {message.content}")

    @app.on("async.fail.alone", concurrent=True)
    async def fail_alone(message: Message) -> None:
        raise LookupError(f"failed on {message.content}")

    server = serve(app)
    client = connect(server)

    def use_once() -> None:
        for subject in ("async.fail", "async.fail.alone"):
            ask(client, Content(name=1), subject)
        ask(client, Content(), "echo")
        server.events.messages.clear()

    use_once()
    with without_collector():
        before = alive()
        use_once()
        wait_until(lambda: alive() <= before, "nothing more is alive than before")


@pytest.mark.usefixtures("silent")
def test_nothing_is_alive_of_what_a_closed_connection_has_refused(
    serve: Serve, connect: Connect
) -> None:
    """Every method of a connection that has ended raises, and nothing keeps what it raised."""
    server = serve(application(threading.Event()))
    client = connect(server)
    server.stop()
    uses = [USES[name] for name in ("answered", "parts", "ping", "receive")]

    def use_all() -> None:
        for use in uses:
            with suppress(ConnectionClosedError):
                use(client, Content(name=1))

    use_all()
    with without_collector():
        before = alive()
        use_all()
        wait_until(lambda: alive() <= before, "nothing more is alive than before")
