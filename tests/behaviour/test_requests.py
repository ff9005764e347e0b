"""Requests and their answers: what comes back, whatever the handler does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from telex import Application, Limits, Message, Peer, Refusal, RemoteError, TooLargeError
from tests.behaviour.stage import PATIENCE, Background, Connect, Serve
from tests.behaviour.transports import over_every_transport

MEBIBYTE = 1024 * 1024


@dataclass
class Reading:
    """What a sensor tells."""

    sensor: str
    celsius: float


class Order(pydantic.BaseModel):
    """What a customer asks for, as a model of pydantic."""

    item: str
    count: pydantic.PositiveInt


class Odd(dict[str, object]):
    """Content that fails when it is looked at, in a way of its own."""

    def items(self) -> Any:
        """Fail."""
        raise ArithmeticError("odd")


@pytest.fixture
def app() -> Application:
    """Return an application with a handler for each thing that a handler may do."""
    app = Application()

    @app.on("echo")
    def echo(message: Message) -> Any:
        return message.content

    @app.on("nothing")
    def nothing(message: Message) -> None:
        return None

    @app.on("copy")
    def copy(message: Message) -> Message:
        return Message(message.content, subject="copied", headers=message.headers)

    @app.on("fail")
    def fail(message: Message) -> None:
        raise RuntimeError("the password is 12345")

    @app.on("buy")
    def buy(message: Message) -> None:
        raise Refusal("out-of-stock", "no more of these")

    @app.on("reading")
    def reading(message: Message[Reading]) -> str:
        return f"{message.content.sensor} {message.content.celsius}"

    @app.on("order")
    def order(message: Message[Order]) -> Order:
        return Order(item=message.content.item, count=message.content.count + 1)

    @app.on("number")
    def number(message: Message) -> Any:
        return {"kind": message.kind, "id": message.id}

    @app.on("renumber")
    def renumber(message: Message) -> str:
        message.kind, message.id = None, None
        return "renumbered"

    @app.on("renumber.later", blocking=True)
    def renumber_later(message: Message) -> str:
        return renumber(message)

    @app.on("exit")
    def leave(message: Message) -> None:
        sys.exit(3)

    @app.on("exit.later")
    def leave_later(message: Message) -> Iterator[str]:
        yield "first"
        sys.exit(3)

    @app.on("odd")
    def odd(message: Message) -> object:
        return Odd(x=object())

    @app.on("unwritable")
    def unwritable(message: Message) -> object:
        return object()

    return app


@over_every_transport
def test_what_a_handler_returns_is_the_answer(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Text, JSON and bytes go there and come back as what they are."""
    connection = connect(serve(app))
    for content in ("Grüße, 世界! 👋", {"t": [21.5, None]}, b"\x00\xff", "", b""):
        answer = connection.request(content, subject="echo", timeout=PATIENCE)
        assert answer.content == content
        assert answer.kind == "reply"


def test_models_of_pydantic_are_checked_and_travel(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """A handler gets a model that pydantic has checked, and may answer with one."""
    connection = connect(serve(app))
    answer = connection.request(Order(item="tea", count=1), subject="order", timeout=PATIENCE)
    assert answer.decode(Order) == Order(item="tea", count=2)
    with pytest.raises(RemoteError, match=r"bad-content: .*greater than 0 - at `\$.count`"):
        connection.request({"item": "tea", "count": -1}, subject="order", timeout=PATIENCE)


def test_a_handler_that_returns_nothing_answers_all_the_same(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """None is an empty answer."""
    answer = connect(serve(app)).request("x", subject="nothing", timeout=PATIENCE)
    assert answer.body == b""


def test_subject_and_headers_go_both_ways(serve: Serve, connect: Connect, app: Application) -> None:
    """What the application says about a message arrives with it."""
    headers = {"site": "north", "trace": [1, {"deep": "ü"}]}
    connection = connect(serve(app))
    answer = connection.request("x", subject="copy", headers=headers, timeout=PATIENCE)
    assert answer.subject == "copied"
    assert answer.headers == headers


def test_a_message_can_be_a_request(serve: Serve, connect: Connect, app: Application) -> None:
    """A message that was made before is sent as a request, with a number of the connection's."""
    connection = connect(serve(app))
    message = Message("x", subject="number", id=4711)
    first = connection.request(message, timeout=PATIENCE).content
    second = connection.request(message, timeout=PATIENCE).content
    assert first["kind"] == second["kind"] == "request"
    assert 4711 not in (first["id"], second["id"])
    assert first["id"] != second["id"]
    assert message.id == 4711
    assert message.kind is None


def test_without_a_handler_the_answer_is_no_handler(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The error says what nobody takes, and the connection goes on."""
    connection = connect(serve(app))
    with pytest.raises(RemoteError, match="missing") as caught:
        connection.request("x", subject="missing", timeout=PATIENCE)
    assert caught.value.code == "no-handler"
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


@pytest.mark.parametrize("subject", ["renumber", "renumber.later"])
def test_a_request_is_answered_whatever_becomes_of_the_message(
    serve: Serve, connect: Connect, app: Application, subject: str
) -> None:
    """A handler may change its message, to send it on, and the request has its answer all the same.

    Nor does it keep its place among those that have none.
    """
    connection = connect(serve(app, limits=Limits(max_pending=2)))
    for _ in range(5):
        answer = connection.request("x", subject=subject, timeout=PATIENCE)
        assert answer.content == "renumbered"


@pytest.mark.parametrize("subject", ["exit", "exit.later", "odd"])
def test_no_handler_takes_the_server_with_it(
    serve: Serve, connect: Connect, app: Application, subject: str
) -> None:
    """Whatever it raises is an answer to the request, and nobody else's business."""
    connection = connect(serve(app))
    with pytest.raises(RemoteError) as caught:
        for _part in connection.request_parts("x", subject=subject, timeout=PATIENCE):
            pass
    assert caught.value.code == "handler-failed"
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_failure_hooks_are_told_of_handlers_that_fail(
    app: Application, serve: Serve, connect: Connect
) -> None:
    """Of each failure with its message and its peer, of no refusal; a hook that fails is logged."""
    told: list[tuple[Message, Peer, BaseException]] = []

    @app.on_failure
    def remember(message: Message, peer: Peer, error: BaseException) -> None:
        told.append((message, peer, error))
        raise LookupError("no error tracker")

    server = serve(app)
    connection = connect(server)
    for subject, code in (("buy", "out-of-stock"), ("fail", "handler-failed")):
        with pytest.raises(RemoteError) as caught:
            connection.request("soap", subject=subject, timeout=PATIENCE)
        assert caught.value.code == code
    [(message, peer, error)] = told
    assert (message.subject, message.content) == ("fail", "soap")
    assert [peer] == server.events.peers
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("subject", ["fail", "unwritable"])
def test_a_handler_that_fails_says_nothing_of_the_code(
    serve: Serve,
    connect: Connect,
    app: Application,
    subject: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client learns that it failed; what exactly stands in the server's log."""
    connection = connect(serve(app))
    with pytest.raises(RemoteError) as caught:
        connection.request("x", subject=subject, timeout=PATIENCE)
    error = caught.value
    assert error.code == "handler-failed"
    assert "12345" not in f"{error.title} {error.detail}"
    assert "Error" not in f"{error.title} {error.detail}"
    assert "object" not in f"{error.title} {error.detail}"
    [record] = [record for record in caplog.records if "failed on" in record.getMessage()]
    assert record.exc_info is not None
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_a_refusal_is_told_with_its_code(serve: Serve, connect: Connect, app: Application) -> None:
    """Code and detail are those of the handler, and it is no failure."""
    connection = connect(serve(app))
    with pytest.raises(RemoteError) as caught:
        connection.request("x", subject="buy", timeout=PATIENCE)
    assert (caught.value.code, caught.value.detail) == ("out-of-stock", "no more of these")


def test_typed_content_arrives_as_its_type(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """A handler that asks for a type gets it."""
    connection = connect(serve(app))
    content = {"sensor": "north", "celsius": 21.5}
    assert connection.request(content, subject="reading", timeout=PATIENCE).content == "north 21.5"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"sensor": "north", "celsius": "warm"}, "celsius"),
        ({"celsius": 21.5}, "sensor"),
        ("no JSON at all", "str"),
    ],
)
def test_content_that_does_not_fit_is_refused_by_field(
    serve: Serve, connect: Connect, app: Application, content: object, named: str
) -> None:
    """The handler does not run, and the error names the field."""
    connection = connect(serve(app))
    with pytest.raises(RemoteError) as caught:
        connection.request(content, subject="reading", timeout=PATIENCE)
    assert caught.value.code == "bad-content"
    assert named in caught.value.detail


@over_every_transport
def test_large_content_crosses_in_both_directions(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Megabytes go there and come back unchanged."""
    content = bytes(range(256)) * (6 * MEBIBYTE // 256)
    connection = connect(serve(app))
    assert connection.request(content, subject="echo", timeout=PATIENCE).content == content


def test_an_answer_that_is_too_large_is_refused(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The client is answered, and the connection goes on."""

    @app.on("swell")
    def swell(message: Message) -> bytes:
        return bytes(2 * MEBIBYTE)

    connection = connect(serve(app, limits=Limits(max_content_size=MEBIBYTE)))
    with pytest.raises(RemoteError) as caught:
        connection.request("x", subject="swell", timeout=PATIENCE)
    assert caught.value.code == "too-large"
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_a_request_over_the_clients_own_limit_is_not_sent(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """It raises before any byte goes, and the connection goes on."""
    connection = connect(serve(app), limits=Limits(max_content_size=1000))
    with pytest.raises(TooLargeError):
        connection.request(bytes(1001), subject="echo", timeout=PATIENCE)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


@over_every_transport
def test_many_threads_share_one_connection(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Each gets the answers to its own requests."""
    connection = connect(serve(app))

    def ask(number: int) -> list[object]:
        return [
            connection.request([number, turn], subject="echo", timeout=PATIENCE).content
            for turn in range(20)
        ]

    answers = Background(*(lambda number=number: ask(number) for number in range(16))).wait()
    assert answers == [[[number, turn] for turn in range(20)] for number in range(16)]


def test_many_connections_are_served_at_once(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Each connection gets the answers to its own requests."""
    server = serve(app)
    connections = [connect(server) for _ in range(16)]
    everyone = threading.Barrier(len(connections))

    def ask(number: int) -> object:
        everyone.wait(PATIENCE)
        return connections[number].request(number, subject="echo", timeout=PATIENCE).content

    answers = Background(*(lambda number=number: ask(number) for number in range(16))).wait()
    assert answers == list(range(16))
