"""What the behaviour suite acts on: servers and clients of both front-ends, driven the same way.

An asyncio server or connection lives in an event loop of its own thread, and is given the methods
of its blocking twin, so that one test body drives them all. Nothing here sleeps for luck: whoever
waits, waits for a condition, and fails at a deadline.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, Unpack

import pytest

import telex
import telex.asyncio
import telex.sync
from telex import Address, Application, Message, MessageProcessor, State, TelexError
from telex.application.peer import MessageKeywords, Peer
from telex.testing.loop_thread import LoopThread
from telex.testing.serving import FrontEnd, start
from tests.encrypted import EncryptedSocket

if TYPE_CHECKING:
    from tests.answering import Answerer, Take

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; on a sound machine everything takes far less."""

IN_TIME = telex.Limits().drain_timeout
"""Seconds within which a server ends; one that takes longer has waited for somebody in vain."""

_END = object()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true; fail with ``what`` was waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"gave up waiting: {what}")
        time.sleep(0.001)


def wait_until_still(count: Callable[[], int]) -> None:
    """Wait until a count has not changed for a while."""
    seen, since = -1, time.monotonic()

    def is_still() -> bool:
        nonlocal seen, since
        if count() != seen:
            seen, since = count(), time.monotonic()
        return time.monotonic() - since > 0.3

    wait_until(is_still, "nothing changes any more")


def echoing() -> Application:
    """Return an application that sends every message back, but fails on subject ``fail``.

    Messages with subject ``content`` are answered with their content, read by the handler.
    """
    app = Application()

    @app.on("fail")
    def fail(message: Message) -> None:
        raise RuntimeError(f"asked to fail by {message.content}")

    @app.on("content")
    def content(message: Message) -> object:
        return {"content": message.content}

    @app.on()
    def echo(message: Message) -> Message:
        return message

    return app


class Parts(Protocol):
    """The parts of an answer."""

    def __iter__(self) -> Iterator[Message]: ...

    def __next__(self) -> Message: ...

    def close(self) -> None:
        """Want no more of them."""


class Client(Protocol):
    """A connection of either front-end, as the tests use it."""

    @property
    def address(self) -> Address:
        """Where it was to connect to."""

    @property
    def peer_address(self) -> str:
        """Where that is."""

    def send(self, content: object, **keywords: Unpack[MessageKeywords]) -> None:
        """Send a message."""

    def send_many(self, messages: Iterable[object]) -> None:
        """Send many messages."""

    def request(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Message:
        """Ask, and return the answer."""

    def request_many(
        self, requests: Iterable[object], *, timeout: float | None = None, most: int = 256
    ) -> Iterator[Message | TelexError]:
        """Ask many times, and iterate over the answers in the order of the requests."""

    def request_parts(
        self, content: object, *, timeout: float | None = None, **keywords: Unpack[MessageKeywords]
    ) -> Parts:
        """Ask, and iterate over the parts of the answer."""

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask for a sign of life."""

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message."""

    def close(self, timeout: float = 10.0) -> None:
        """Close."""

    def __iter__(self) -> Iterator[Message]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class DrivenConnection:
    """A connection of ``telex.asyncio`` with the methods of a blocking one."""

    def __init__(self, thread: LoopThread, connection: telex.asyncio.Connection) -> None:
        self._thread = thread
        self._connection = connection

    def send(self, content: object, **keywords: Any) -> None:
        """Send a message."""
        self._thread.do(self._connection.send(content, **keywords))

    def send_many(self, messages: Iterable[object]) -> None:
        """Send many messages."""
        self._thread.do(self._connection.send_many(messages))

    def request(self, content: object, **keywords: Any) -> Message:
        """Ask, and return the answer."""
        return self._thread.do(self._connection.request(content, **keywords))

    @property
    def address(self) -> Address:
        """Where it was to connect to."""
        return self._connection.address

    @property
    def peer_address(self) -> str:
        """Where that is."""
        return self._connection.peer_address

    def request_many(
        self, requests: Iterable[object], **keywords: Any
    ) -> Iterator[Message | TelexError]:
        """Ask many times, and iterate over the answers in the order of the requests."""
        answers = self._connection.request_many(requests, **keywords)

        async def next_answer() -> object:
            return await anext(answers, _END)

        def iterate() -> Iterator[Message | TelexError]:
            try:
                while (answer := self._thread.do(next_answer())) is not _END:
                    assert isinstance(answer, (Message, TelexError))
                    yield answer
            finally:
                self._thread.do(answers.aclose())

        return iterate()

    def request_parts(self, content: object, **keywords: Any) -> Generator[Message, None, None]:
        """Ask, and iterate over the parts of the answer."""
        parts = self._connection.request_parts(content, **keywords)

        async def next_part() -> object:
            return await anext(parts, _END)

        async def close() -> None:
            parts.close()

        try:
            while isinstance(part := self._thread.do(next_part()), Message):
                yield part
        finally:
            self._thread.do(close())

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask for a sign of life."""
        return self._thread.do(self._connection.ping(timeout))

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message."""
        return self._thread.do(self._connection.receive(timeout))

    def close(self, timeout: float = 10.0) -> None:
        """Close."""
        self._thread.do(self._connection.close(timeout))

    def __iter__(self) -> Iterator[Message]:
        async def next_message() -> object:
            return await anext(self._connection, _END)

        while isinstance(message := self._thread.do(next_message()), Message):
            yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.do(self._connection.__aexit__(exception_type, exception, traceback))


class Events(telex.Observer):
    """Remembers what a server told."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.messages: list[Message] = []
        self.endings: list[TelexError | None] = []
        self.gone: list[str] = []
        self.sizes: list[int] = []
        self.missing: list[tuple[str, int]] = []

    def connected(self, peer: Peer) -> None:
        """Remember the peer."""
        self.peers.append(peer)

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Remember how much came, and what is missing of which part of a message."""
        self.sizes.append(size)
        self.missing.append((state.name, bytes_needed))

    def message_received(self, peer: Peer, message: Message) -> None:
        """Remember the message."""
        self.messages.append(message)

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Remember who ended, and why."""
        self.gone.append(peer.address)
        self.endings.append(error)


class RunningServer:
    """A server of either front-end, and what it told its observer."""

    def __init__(
        self, front_end: FrontEnd, application: Application, address: str, **options: Any
    ) -> None:
        self.events = Events()
        options["observer"] = [self.events, *options.pop("observers", ())]
        self._has_stopped = False
        self._serving = start(front_end, application, address, options)
        self.address = self._serving.address
        """Where it listens."""

    def shutdown(self) -> None:
        """Have it end, and return at once."""
        self._serving.shutdown()

    def wait_for_its_end(self, timeout: float = IN_TIME) -> None:
        """Wait until the server has ended, which it must within ``timeout`` seconds."""
        assert self._serving.has_ended(timeout), f"the server did not end within {timeout:g} s"

    def stop(self) -> None:
        """Shut the server down, and hold it to ending in time, with nothing left unhandled."""
        self.shutdown()
        self.wait_for_its_end()
        if not self._has_stopped:
            self._has_stopped = True
            assert self._serving.clean_up() == []

    def plug_in(self) -> socket.socket:
        """Connect a plain socket, which speaks whatever the test wants."""
        return plug_into(self.address)

    def ending_of(self, name: str) -> TelexError | None:
        """Wait until the connection of the peer of this address has ended, and return why."""
        wait_until(lambda: name in self.events.gone, f"{name} is disconnected")
        return self.events.endings[self.events.gone.index(name)]

    def ending(self, number: int = 0) -> TelexError | None:
        """Wait until the ``number``-th connection to end has ended, and return why it did."""
        wait_until(lambda: len(self.events.endings) > number, "a connection ends")
        return self.events.endings[number]


class Serve(Protocol):
    """Starts a server of the front-end under test, which ends with the test."""

    def __call__(self, application: Application, **options: Any) -> RunningServer:
        """Serve an application, with the options of ``serve()``; ``address`` may be given too."""


class Running(Protocol):
    """Runs a server of the front-end under test for the time of a context."""

    def __call__(
        self, application: Application | None = None, **options: Any
    ) -> AbstractContextManager[RunningServer]:
        """Serve an application, or echo, with the options of ``serve()``."""


class Connect(Protocol):
    """Connects a client of the front-end under test, which is closed with the test."""

    def __call__(self, server: RunningServer | Address | str, **options: Any) -> Client:
        """Connect to a server, with the options of ``connect()``."""


class Pair(Protocol):
    """Connects a client of the front-end under test to a plain socket of the test."""

    def __call__(self, **options: Any) -> AbstractContextManager[tuple[Client, socket.socket]]:
        """Connect, with the options of ``connect()``, for the time of a context."""


class Answering(Protocol):
    """Connects a client of the front-end under test to a conversation on a plain socket."""

    def __call__(
        self, take: Take, **options: Any
    ) -> AbstractContextManager[tuple[Client, Answerer]]:
        """Hand every batch of messages that comes to ``take``, for the time of a context."""


class Background:
    """Calls made in threads of their own, and what came of them."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.results: list[Any] = [None] * len(calls)
        self._threads = [
            threading.Thread(target=self._make, args=(position, call), daemon=True)
            for position, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> list[Any]:
        """Wait for all of them; return what each returned, or the exception that it raised."""
        deadline = time.monotonic() + 3 * PATIENCE
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        stuck = sum(thread.is_alive() for thread in self._threads)
        assert not stuck, f"{stuck} of {len(self._threads)} calls did not return"
        return self.results

    @property
    def is_under_way(self) -> bool:
        """Whether a call has not returned yet."""
        return any(thread.is_alive() for thread in self._threads)

    def check(self) -> None:
        """Wait for all of them, and raise what one of them raised."""
        for result in self.wait():
            if isinstance(result, BaseException):
                raise result

    def wait_for(self, kind: type[Result]) -> Result:
        """Wait for the only call; return what came of it, which must be of this kind."""
        [result] = self.wait()
        assert isinstance(result, kind), f"{result!r} is no {kind.__name__}"
        return result

    def _make(self, position: int, call: Callable[[], object]) -> None:
        try:
            self.results[position] = call()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.results[position] = error


def plug_into(address: Address) -> socket.socket:
    """Connect a plain socket to an address."""
    if address.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(address.path)
        return sock
    return socket.create_connection((address.host, address.port), PATIENCE)


def is_refused(server: RunningServer) -> bool:
    """Say whether a server lets nobody in."""
    try:
        server.plug_in().close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it has stopped listening while this one waited to be let in
        return False
    return False


def name_of(sock: socket.socket | EncryptedSocket) -> str:
    """Return the address by which a server knows a plain socket over IPv4 or IPv6."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def receive_all(sock: socket.socket | EncryptedSocket) -> list[Message]:
    """Return the messages that a plain socket receives until the end of the stream."""
    processor = MessageProcessor(telex.Limits(max_content_size=1 << 30))
    messages: list[Message] = []
    while data := sock.recv(1 << 20):
        messages += processor.receive_messages(data)
    processor.receive_eof()
    return messages


def receive_some(sock: socket.socket, count: int) -> list[Message]:
    """Return the next ``count`` messages on a plain socket, which must be all that comes."""
    processor = MessageProcessor()
    messages: list[Message] = []
    while len(messages) < count:
        data = sock.recv(1 << 20)
        assert data, f"the stream ended after {len(messages)} of {count} messages"
        messages += processor.receive_messages(data)
    assert len(messages) == count
    return messages


def receive_one(sock: socket.socket | EncryptedSocket) -> Message:
    """Return the next message on a plain socket, which must be all that comes."""
    processor = MessageProcessor(telex.Limits(max_content_size=1 << 30))
    while True:
        data = sock.recv(1 << 20)
        assert data, "the stream ended before a message was complete"
        messages = processor.receive_messages(data)
        if messages:
            [message] = messages
            return message


def receive_until_goodbye(sock: socket.socket | EncryptedSocket) -> list[Message]:
    """Return the messages that a plain socket receives until a server that shuts down says so."""
    *messages, goodbye = receive_all(sock)
    assert goodbye.kind == "close"
    assert goodbye.content["code"] == "shutting-down"
    return messages


def receive_exactly(sock: socket.socket | EncryptedSocket, size: int) -> bytes:
    """Return the next ``size`` bytes that a plain socket receives."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


@contextmanager
def sending(
    sock: socket.socket | EncryptedSocket, data: bytes, *, then_end: bool = False
) -> Iterator[None]:
    """Send from another thread for the time of the context, which waits for it at its end."""

    def send() -> None:
        sock.sendall(data)
        if then_end:
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive(), "not all was sent"


def warnings_about(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    """Return the lines of warnings and errors in the server's log that name a connection."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.getMessage().startswith(f"{name}: ")
    ]


def reset(sock: socket.socket) -> None:
    """Close a plain socket so that its peer sees a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
