"""The public interface as typed programs use it: what they get, and what is refused.

Nothing here is run. mypy and pyright read it, and fail where a type is another one than it says, or
where a mistake is not found any more: a ``type: ignore`` that is not needed is an error too.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import msgspec

import telex
from telex import (
    Address,
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    MessageFactory,
    MessageProcessor,
    Observer,
    Peer,
    RemoteError,
    State,
    TelexError,
)


@dataclass
class Reading:
    """Content as a dataclass."""

    celsius: float


class Order(msgspec.Struct):
    """Content as a struct."""

    item: str


class News(TypedDict):
    """Content as a dictionary."""

    headline: str


# Messages

plain = Message("Hello, wire", subject="greeting", headers={"site": "north"})
assert_type(plain, Message[Any])
assert_type(plain.content, Any)
assert_type(plain.body, bytes)
assert_type(plain.content_type, str)
assert_type(plain.subject, str | None)
assert_type(plain.id, int | None)
assert_type(plain.headers, dict[str, Any])
assert_type(plain.to_bytes(), bytes)
assert_type(plain.decode(Reading), Reading)
assert_type(plain.decode(Order), Order)
assert_type(plain.decode(News), News)
assert_type(plain.decode(list[int]), list[int])
plain.content = {"any": "content"}
plain.subject = 7  # type: ignore[assignment]
plain.body = b""  # type: ignore[misc]
Message("x", subjct="greeting")  # type: ignore[call-arg]
Message("x", headers=["site"])  # type: ignore[arg-type]

factory = MessageFactory(encoding="utf-16-le")
assert_type(factory.text("…"), Message[Any])
assert_type(factory.create(Reading(21.5)), Message[Any])
factory.text(b"bytes")  # type: ignore[arg-type]


def of_its_type(reading: Message[Reading], order: Message[Order]) -> None:
    """What stands in brackets is what the content is."""
    assert_type(reading.content, Reading)
    assert_type(reading.content.celsius, float)
    assert_type(order.content, Order)
    reading.content = Order("pump")  # type: ignore[assignment]
    _ = order.content.price  # type: ignore[attr-defined]
    any_message: Message = order
    assert_type(any_message.content, Any)


# Bytes

processor = MessageProcessor(Limits(max_content_size=100))
assert_type(processor.receive_bytes(b""), Message[Any] | None)
assert_type(processor.receive_bytes(memoryview(b"")), Message[Any] | None)
assert_type(processor.next_message(), Message[Any] | None)
assert_type(processor.receive_messages(bytearray()), list[Message[Any]])
assert_type(processor.state, State)
assert_type(processor.bytes_needed, int)
assert_type(processor.error, telex.ProtocolError | None)
processor.receive_bytes("text")  # type: ignore[arg-type]
Limits(max_content_sise=100)  # type: ignore[call-arg]
Limits(100)  # type: ignore[call-arg]

# Handlers of every shape

app = Application()


@app.on("function")
def function(message: Message) -> str:
    """Answer."""
    return f"hello {message.content}"


@app.on("peer")
def with_peer(message: Message[Reading], peer: Peer) -> float:
    """Send more than the answer."""
    peer.send("more", subject="news", headers={"site": "north"})
    peer.send("more", subjct="news")  # type: ignore[call-arg]
    assert_type(peer.address, str)
    assert_type(peer.identity, str | None)
    return message.content.celsius


@app.on("default")
def with_default(message: Message, retries: int = 3) -> None:
    """Take more when called by others."""


@app.on("parts")
def parts(message: Message) -> Iterator[int]:
    """Answer in parts."""
    yield from range(3)


@app.on("async", concurrent=True)
async def awaited(message: Message[Order], peer: Peer) -> Order:
    """Answer, awaited."""
    return message.content


@app.on("async-parts")
async def awaited_parts(message: Message) -> AsyncIterator[bytes]:
    """Answer in parts, awaited."""
    yield b"part"


@app.on("blocking", blocking=True)
def blocking(message: Message[News]) -> News:
    """Answer from a thread."""
    return message.content


class Shop:
    """Handlers as methods."""

    def sell(self, message: Message) -> Message:
        """Answer with a message."""
        raise telex.Refusal("out-of-stock", "no more of these")

    def __call__(self, message: Message, peer: Peer) -> None:
        """Be a handler itself."""


app.on("method")(Shop().sell)
app.on("object")(Shop())
app.on("partial")(functools.partial(with_default, retries=1))

# A handler stays what it was
assert_type(function(Message("")), str)


@app.on("nothing")  # type: ignore[type-var]
def takes_nothing() -> str:
    """Take no message, which no handler can."""
    return ""


@app.on("three")  # type: ignore[type-var]
def takes_three(message: Message, peer: Peer, more: int) -> str:
    """Take more than a server gives."""
    return ""


@app.on("content")  # type: ignore[type-var]
def takes_content(content: str) -> str:
    """Take the content, which is inside of the message."""
    return content


@app.on("keyword")  # type: ignore[type-var]
def takes_peer_by_name(message: Message, *, peer: Peer) -> None:
    """Take the peer by name, but it is given by position."""


@app.on  # type: ignore[arg-type]
def without_parentheses(message: Message) -> None:
    """Forget the parentheses."""


@app.on_startup
async def open_database() -> None:
    """Be awaited before the first connection."""


@app.on_shutdown
def close_database() -> None:
    """Be called after the last one."""


@app.on_failure
def remember(message: Message, peer: Peer, error: BaseException) -> None:
    """Be told of failures."""


@app.on_startup  # type: ignore[type-var]
def start_up_with_arguments(app: Application) -> None:
    """Want what no server gives."""


# The blocking front-end


def blocking_client(context: ssl.SSLContext) -> None:
    """Everything that a client does."""
    with telex.sync.connect(
        Address("tls", "example.org", 7766), token="5ecret", tls=context, keepalive=True
    ) as connection:
        assert_type(connection, telex.sync.Connection)
        assert_type(connection.address, Address)
        answer = connection.request({"any": "content"}, subject="greet", timeout=2)
        assert_type(answer, Message[Any])
        assert_type(answer.decode(Reading).celsius, float)
        assert_type(connection.receive(timeout=1), Message[Any])
        assert_type(connection.ping(), float)
        connection.send(Reading(21.5), subject="log", chunk_size=10, delay=0.1)
        connection.send_many(Message(number) for number in range(3))
        for message in connection:
            assert_type(message, Message[Any])
        for part in connection.request_parts("", subject="list", timeout=1):
            assert_type(part, Message[Any])
        for result in connection.request_many(["ada", "bob"], most=2):
            assert_type(result, Message[Any] | TelexError)
            if not isinstance(result, TelexError):
                assert_type(result, Message[Any])
        connection.request("you", subjct="greet")  # type: ignore[call-arg]
        connection.request("you", timeout="2")  # type: ignore[arg-type]
        connection.send("you", subject=7)  # type: ignore[arg-type]
        connection.request_parts("you", tiemout=1)  # type: ignore[call-arg]


def blocking_server() -> None:
    """Serve until something ends it."""
    with telex.sync.serve(
        app, "tcp://127.0.0.1:0", limits=Limits(), tokens={"ada": "5ecret"}, max_workers=4
    ) as server:
        assert_type(server, telex.sync.Server)
        assert_type(server.address, Address)
        assert_type(server.address.port, int)
        server.serve_forever()
    telex.sync.serve("tcp://127.0.0.1:0", app)  # type: ignore[arg-type]
    telex.sync.serve(app, 7766)  # type: ignore[arg-type]


# The asyncio front-end


async def asyncio_client() -> None:
    """Everything that a client does, awaited."""
    async with telex.asyncio.connect("tcp://127.0.0.1:7766") as connection:
        assert_type(connection, telex.asyncio.Connection)
        assert_type(await connection.request("you", subject="greet", timeout=2), Message[Any])
        assert_type(await connection.receive(), Message[Any])
        await connection.send("one way", subject="log")
        await connection.send("one way", subjct="log")  # type: ignore[call-arg]
        async for message in connection:
            assert_type(message, Message[Any])
        async for part in connection.request_parts("", subject="list"):
            assert_type(part, Message[Any])
        results = connection.request_many(["ada", "bob"])
        assert_type(results, telex.asyncio.Answers)
        assert_type(connection.ending, ConnectionClosedError | None)
    assert_type(await telex.asyncio.connect("tcp://127.0.0.1:7766"), telex.asyncio.Connection)
    async for again in telex.asyncio.reconnecting("tcp://127.0.0.1:7766"):
        assert_type(again, telex.asyncio.Connection)


async def asyncio_server() -> int:
    """Serve until something ends it."""
    async with telex.asyncio.serve(app, "tcp://127.0.0.1:0") as server:
        assert_type(server, telex.asyncio.Server)
        await server.serve_forever()
    return 0


assert_type(telex.asyncio.run(asyncio_server()), int)


# Errors


def tell(error: RemoteError | ConnectionClosedError | telex.TooLargeError) -> str:
    """Exceptions keep facts of known types."""
    if isinstance(error, RemoteError):
        assert_type(error.detail, str)
    elif isinstance(error, ConnectionClosedError):
        assert_type(error.unanswered, int)
    else:
        assert_type(error.max_size, int)
    return error.code


class Watching(Observer):
    """Observers override what they want to see."""

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Be told why."""

    def connected(self, peer: str) -> None:  # type: ignore[override]
        """Want something else."""


# Testing


def test_with(telex_server: telex.testing.Servers) -> None:
    """What tests of users get."""
    with telex.testing.connected(app, identity="ada") as connection:
        assert_type(connection, telex.testing.JoinedConnection)
        assert_type(connection.request("you"), Message[Any])
        assert_type(connection.received(), list[Message[Any]])
        assert_type(connection.failures, list[BaseException])
        assert_type(connection.peer, Peer)
    address = telex_server(app, front_end="asyncio")
    assert_type(address, Address)
    telex_server(app, front_end="trio")  # type: ignore[arg-type]
    weather = telex.testing.Weather(largest_piece=10)
    with telex.testing.Proxy(address, weather) as proxy:
        assert_type(proxy.address, Address)


async def test_async_with() -> None:
    """What asynchronous tests of users get."""
    async with telex.testing.connected(app) as connection:
        assert_type(connection, telex.testing.AsyncJoinedConnection)
        assert_type(await connection.request("you"), Message[Any])
