"""Answers in several parts: generators on one side, iterators on the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from telex import Application, ContentError, Message, Refusal, RemoteError, RequestTimeoutError
from tests.behaviour.stage import PATIENCE, Connect, Serve, wait_until, wait_until_still
from tests.behaviour.transports import over_every_transport

PART_SIZE = 256 * 1024
MANY_PARTS = 400
"""Together far more than the buffers between a handler and an iterator may hold."""


class Yielded:
    """What the generators have yielded, and whether they were ended."""

    def __init__(self) -> None:
        self.count = 0
        self.is_ended = False


@pytest.fixture
def yielded() -> Yielded:
    """Return what the handlers count in."""
    return Yielded()


@pytest.fixture(params=[False, True], ids=["direct", "blocking"])
def app(request: pytest.FixtureRequest, yielded: Yielded) -> Application:
    """Return an application of generators, which run in the loop or in threads."""
    app = Application()
    blocking: bool = request.param

    @app.on("count", blocking=blocking)
    def count(message: Message) -> Iterator[int]:
        yield from range(message.content)

    @app.on("break", blocking=blocking)
    def break_off(message: Message) -> Iterator[str]:
        yield "one"
        raise Refusal("no-more", "there was only one")

    @app.on("fail", blocking=blocking)
    def fail(message: Message) -> Iterator[str]:
        yield "one"
        raise RuntimeError("a bug")

    @app.on("much", blocking=blocking)
    def much(message: Message) -> Iterator[bytes]:
        try:
            for _ in range(MANY_PARTS):
                yielded.count += 1
                yield bytes(PART_SIZE)
        finally:
            yielded.is_ended = True

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    return app


@over_every_transport
def test_each_item_of_a_generator_is_a_part(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """They come in order, and then the answer ends."""
    connection = connect(serve(app))
    parts = connection.request_parts(100, subject="count", timeout=PATIENCE)
    assert [part.content for part in parts] == list(range(100))


def test_a_generator_may_yield_nothing(serve: Serve, connect: Connect, app: Application) -> None:
    """Without parts, the answer is empty, as it is when a function returns nothing."""
    connection = connect(serve(app))
    [part] = connection.request_parts(0, subject="count", timeout=PATIENCE)
    assert part.body == b""
    assert connection.request(0, subject="count", timeout=PATIENCE).body == b""


def test_an_answer_in_one_piece_is_one_part(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Whoever asks for parts need not know how the handler answers."""
    connection = connect(serve(app))
    parts = connection.request_parts("x", subject="echo", timeout=PATIENCE)
    assert [part.content for part in parts] == ["x"]


def test_a_request_for_one_answer_refuses_several(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """The error says what would be right, and the connection goes on."""
    connection = connect(serve(app))
    with pytest.raises(ContentError, match="request_parts"):
        connection.request(3, subject="count", timeout=PATIENCE)
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


@pytest.mark.parametrize(("subject", "code"), [("break", "no-more"), ("fail", "handler-failed")])
def test_an_error_behind_parts_is_raised_behind_them(
    serve: Serve, connect: Connect, app: Application, subject: str, code: str
) -> None:
    """The parts that came are seen, and then the error."""
    connection = connect(serve(app))
    parts = connection.request_parts("x", subject=subject, timeout=PATIENCE)
    assert next(parts).content == "one"
    with pytest.raises(RemoteError) as caught:
        next(parts)
    assert caught.value.code == code


def test_several_answers_in_parts_are_told_apart(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Parts of one answer are not those of another, and plain requests go on between them."""
    connection = connect(serve(app))
    first = connection.request_parts(50, subject="count", timeout=PATIENCE)
    second = connection.request_parts(60, subject="count", timeout=PATIENCE)
    seen: tuple[list[object], list[object]] = ([], [])
    for turn in range(60):
        if turn < 50:
            seen[0].append(next(first).content)
        seen[1].append(next(second).content)
        answer = connection.request(turn, subject="echo", timeout=PATIENCE)
        assert answer.content == turn
    assert seen == (list(range(50)), list(range(60)))
    assert list(first) == []
    assert list(second) == []


def test_whoever_loses_interest_in_parts_can_ask_on(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Parts that nobody wants are dropped, and do not hold up other answers."""
    connection = connect(serve(app))
    parts = connection.request_parts("x", subject="much", timeout=PATIENCE)
    assert next(parts).body == bytes(PART_SIZE)
    del parts
    assert connection.request("x", subject="echo", timeout=3 * PATIENCE).content == "x"


def test_a_generator_waits_for_its_reader(
    serve: Serve, connect: Connect, app: Application, yielded: Yielded
) -> None:
    """Parts that are not taken are not made: what waits in between is bounded."""
    connection = connect(serve(app))
    parts = connection.request_parts("x", subject="much", timeout=PATIENCE)
    next(parts)
    wait_until_still(lambda: yielded.count)
    assert yielded.count < MANY_PARTS
    assert sum(len(part.body) for part in parts) == (MANY_PARTS - 1) * PART_SIZE
    assert yielded.count == MANY_PARTS


def test_a_generator_ends_with_its_reader(
    serve: Serve, connect: Connect, app: Application, yielded: Yielded
) -> None:
    """When the connection is gone, it is not asked for more, and is closed."""
    server = serve(app)
    sock = server.plug_in()
    sock.sendall(Message("x", subject="much", kind="request", id=1).to_bytes())
    wait_until(lambda: yielded.count, "the generator has begun")
    sock.close()
    wait_until(lambda: yielded.is_ended, "the generator is closed")
    assert yielded.count < MANY_PARTS


def test_each_part_has_its_time(serve: Serve, connect: Connect) -> None:
    """The timeout is for one part, and the error says what was waited for."""
    app = Application()
    released = threading.Event()

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    @app.on("stop", blocking=True)
    def stop(message: Message) -> Iterator[str]:
        yield "one"
        yield "two"
        released.wait(PATIENCE)

    connection = connect(serve(app))
    parts = connection.request_parts("x", subject="stop", timeout=4)
    assert [next(parts).content, next(parts).content] == ["one", "two"]
    with pytest.raises(RequestTimeoutError, match=r"4 s.* the next part of the .*'stop'"):
        next(parts)
    released.set()
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"


def test_before_the_first_part_it_is_an_answer_that_is_late(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """Nothing is said of parts where none was seen: the answer may be a single one."""
    released = threading.Event()

    @app.on("slow", blocking=True)
    def slow(message: Message) -> None:
        released.wait(PATIENCE)

    connection = connect(serve(app))
    with pytest.raises(RequestTimeoutError) as caught:
        next(connection.request_parts("x", subject="slow", timeout=0.1))
    released.set()
    assert caught.value.waiting_for == "the answer to a message with subject 'slow'"


def test_a_plain_message_gets_plain_messages(
    serve: Serve, connect: Connect, app: Application
) -> None:
    """What a generator yields for what is no request is sent as it is."""
    connection = connect(serve(app))
    connection.send(3, subject="count")
    assert [connection.receive(PATIENCE).content for _ in range(3)] == [0, 1, 2]
