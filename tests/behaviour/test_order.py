"""The order of handling: as the messages came, unless a handler says that it does not matter."""

from __future__ import annotations

import threading

from telex import Application, Message
from tests.behaviour.stage import PATIENCE, Background, Connect, Serve, wait_until


class Gate:
    """Holds handlers up until the test lets them go on; notes who came."""

    def __init__(self) -> None:
        self.came: list[object] = []
        self._may_go = threading.Event()

    def __call__(self, message: Message) -> object:
        """Wait as a handler, and answer with the content."""
        self.came.append(message.content)
        assert self._may_go.wait(2 * PATIENCE), "nobody let the handler go on"
        return message.content

    def open(self) -> None:
        """Let everybody go on."""
        self._may_go.set()


def new_app(gate: Gate) -> Application:
    """Return an application that has the gate for every way of handling."""
    app = Application()
    app.on("in-order", blocking=True)(gate)
    app.on("at-once", blocking=True, concurrent=True)(gate)

    @app.on("echo")
    def echo(message: Message) -> object:
        return message.content

    return app


def test_messages_are_handled_in_the_order_they_came(serve: Serve, connect: Connect) -> None:
    """A handler that blocks keeps later messages of its connection waiting, whoever takes them."""
    gate = Gate()
    connection = connect(serve(new_app(gate)))
    connection.send("first", subject="in-order")
    connection.send("second", subject="echo")
    connection.send("third", subject="in-order")
    wait_until(lambda: gate.came, "the first handler runs")
    assert gate.came == ["first"]
    gate.open()
    answers = [connection.receive(PATIENCE).content for _ in range(3)]
    assert answers == ["first", "second", "third"]


def test_pings_are_answered_while_messages_wait(serve: Serve, connect: Connect) -> None:
    """A handler that takes its time does not make its server look dead."""
    gate = Gate()
    connection = connect(serve(new_app(gate)))
    for number in range(10):
        connection.send(number, subject="in-order")
    wait_until(lambda: gate.came, "the first handler runs")
    assert connection.ping(PATIENCE) < PATIENCE
    assert gate.came == [0]
    gate.open()
    assert [connection.receive(PATIENCE).content for _ in range(10)] == list(range(10))


def test_handlers_that_block_keep_the_order_of_many_messages(
    serve: Serve, connect: Connect
) -> None:
    """However many wait, one is handled after the other."""
    app = Application()
    handled: list[int] = []

    @app.on(blocking=True)
    def note(message: Message) -> object:
        handled.append(message.content)
        return message.content

    connection = connect(serve(app))
    connection.send_many(range(500))
    assert [connection.receive(PATIENCE).content for _ in range(500)] == list(range(500))
    assert handled == list(range(500))


def test_a_concurrent_handler_keeps_nobody_waiting(serve: Serve, connect: Connect) -> None:
    """Later requests are answered while it is at work."""
    gate = Gate()
    connection = connect(serve(new_app(gate)))
    held = Background(lambda: connection.request("held", subject="at-once", timeout=PATIENCE))
    wait_until(lambda: gate.came, "the concurrent handler runs")
    assert connection.request("x", subject="echo", timeout=PATIENCE).content == "x"
    gate.open()
    assert held.wait_for(Message).content == "held"


def test_concurrent_handlers_run_side_by_side(serve: Serve, connect: Connect) -> None:
    """Several messages of one connection are handled at the same time."""
    app = Application()
    together = threading.Barrier(3)

    @app.on("meet", blocking=True, concurrent=True)
    def meet(message: Message) -> object:
        together.wait(PATIENCE)
        return message.content

    connection = connect(serve(app))
    meetings = Background(
        *(
            lambda number=number: connection.request(number, subject="meet", timeout=PATIENCE)
            for number in range(3)
        )
    )
    assert [answer.content for answer in meetings.wait()] == [0, 1, 2]


def test_answers_out_of_order_find_their_requests(serve: Serve, connect: Connect) -> None:
    """The last request is answered first, and everybody gets their own answer."""
    app = Application()
    turns = [threading.Event() for _ in range(5)]

    @app.on(blocking=True, concurrent=True)
    def wait_for_later_ones(message: Message) -> object:
        number: int = message.content
        if number + 1 < len(turns):
            assert turns[number + 1].wait(PATIENCE)
        turns[number].set()
        return number

    connection = connect(serve(app))
    asking = Background(
        *(
            lambda number=number: connection.request(number, timeout=PATIENCE)
            for number in range(len(turns))
        )
    )
    assert [answer.content for answer in asking.wait()] == list(range(len(turns)))


def test_a_handler_that_blocks_holds_up_no_other_connection(serve: Serve, connect: Connect) -> None:
    """The server goes on with everybody else."""
    gate = Gate()
    server = serve(new_app(gate))
    blocked, free = connect(server), connect(server)
    held = Background(lambda: blocked.request("held", subject="in-order", timeout=PATIENCE))
    wait_until(lambda: gate.came, "the handler runs")
    for turn in range(20):
        assert free.request(turn, subject="echo", timeout=PATIENCE).content == turn
    gate.open()
    assert held.wait_for(Message).content == "held"
