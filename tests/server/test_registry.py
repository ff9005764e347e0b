"""What a server does about its connections: it counts them, logs their ends, and cuts them off."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable

import pytest

from telex import Application, ConnectionClosedError, Limits, Message, MessageProcessor
from telex.application.run import Run
from telex.conversation.greeting import Greeting
from telex.server.registry import Registry


class Driven:
    """A driver without a socket: whatever is said counts as sent, unless the peer is deaf."""

    user_id = None
    is_deaf = False

    def __init__(self, registry: Registry, address: str) -> None:
        self.registry = registry
        self.limits = registry.limits
        self.connection = registry.connection(0.0)
        self.dispatcher = registry.dispatcher(self.connection, self, address, self._run_elsewhere)
        self.bytes_held = 0
        self.refusal_was_logged = False
        self.at_work: list[Run] = []
        self.heard: list[Message] = []
        self._processor = MessageProcessor()
        registry.add(self, 0.0)

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer, and a turn."""
        self.dispatcher.received(len(data), self.connection.receive_data(data, 0.0))
        self.turn()

    def turn(self) -> None:
        """Send, and leave the server where the connection is finished."""
        while (pieces := self.connection.data_to_send()) and not self.is_deaf:
            for piece in pieces:
                self.heard += self._processor.receive_messages(bytes(piece))
            self.connection.data_sent(sum(map(len, pieces)))
        self.registry.note(self)
        if self.connection.is_finished:
            self.registry.remove(self)

    def break_off(self, fault: BaseException) -> None:
        """End the connection for a fault of the server."""
        self.registry.break_off(self, fault, 0.0)
        self.registry.remove(self)

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served."""
        self.connection.refuse(code, why, 0.0)
        self.turn()

    def is_own_thread(self) -> bool:
        """Say that there is one thread only."""
        return True

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Call at once."""
        function(*arguments)

    def flush(self) -> None:
        """Send nothing in the midst of a handler."""

    def flush_soon(self) -> None:
        """Send nothing before the next turn."""

    def sent(self, message: Message) -> None:
        """Tell the observers."""
        self.registry.tell_of_message(self.dispatcher.peer, message)

    def _run_elsewhere(self, run: Run) -> None:
        self.at_work.append(run)


def application() -> Application:
    """Return an application whose handler for ``later`` is done when the test says so."""
    app = Application()
    app.on("later", blocking=True)(lambda message: None)
    app.on("work", blocking=True, concurrent=True)(lambda message: None)
    app.on("fail")(lambda message: None)
    return app


def registry_with(limits: Limits | None = None) -> Registry:
    """Return a registry without connections."""
    return Registry(application(), limits or Limits(), Greeting("test"), None, None, None)


def request(subject: str, content: object = "") -> bytes:
    """Return the bytes of a request."""
    return Message(content, kind="request", id=1, subject=subject).to_bytes()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as a warning, or worse."""
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_end_by_the_server_is_logged_once_with_what_was_not_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The line of the connection counts its requests, and the line of the server all of them."""
    registry = registry_with()
    driver = Driven(registry, "a peer")
    driver.receive(request("later"))
    registry.leave(0.0)
    registry.cut_off(1.0)
    of_peer, of_server = lines(caplog)
    assert of_peer.endswith("the server was shut down; 1 request was not answered")
    assert "0 connections drained, 1 cut off with 1 unanswered requests" in of_server
    assert driver.heard[-1].content["code"] == "shutting-down"
    assert registry.drivers == set()


def test_refusal_is_logged_once_with_what_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    """A peer that breaks the rules while a handler is at work: what waited is not handled."""
    registry = registry_with()
    driver = Driven(registry, "a peer")
    driver.receive(request("later") + Message("x", subject="later").to_bytes() + b"\0\0")
    driver.connection.receive_eof(0.0)
    driver.connection.output_ended(0.0)
    driver.turn()
    [line] = lines(caplog)
    assert "header block of 0 bytes" in line
    assert line.endswith("; 1 message was not handled")


def test_memory_of_a_message_is_held_until_its_handler_is_done() -> None:
    """Also where its connection has ended before."""
    registry = registry_with()
    driver = Driven(registry, "a peer")
    driver.receive(request("later", bytes(100_000)))
    registry.cut_off(0.0)
    assert registry.drivers == set()
    assert registry.bytes_held > 100_000
    driver.dispatcher.returned(driver.at_work.pop(), None)
    registry.remove(driver)
    assert registry.bytes_held == 0


def test_fault_of_the_server_ends_its_connection_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the traceback, and no second line that blames anybody."""
    registry = registry_with()
    driver, other = Driven(registry, "a peer"), Driven(registry, "another")
    registry.break_off(driver, ValueError("a mistake"), 0.0)
    registry.remove(driver)
    assert lines(caplog) == ["a peer: ended by a fault of this server"]
    assert caplog.records[0].exc_info
    assert registry.drivers == {other}


def test_fault_after_the_end_of_a_connection_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A handler may meet the fault whose connection, and dispatcher, are gone."""
    registry = registry_with()
    driver = Driven(registry, "a peer")
    registry.cut_off(0.0)
    caplog.clear()
    del driver.dispatcher
    registry.break_off(driver, ValueError("a mistake"), 0.0)
    assert lines(caplog) == ["a fault of this server, after a connection has ended"]
    assert caplog.records[0].exc_info


def test_fault_at_a_deadline_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    """The deadlines of the other connections are handled in the same look."""

    class Faulty(Driven):
        """A driver whose turn fails."""

        def turn(self) -> None:
            raise ValueError("a mistake")

    registry = registry_with()
    drivers = [Faulty(registry, "a peer"), Driven(registry, "another"), Driven(registry, "a third")]
    registry.handle_deadlines(max(driver.connection.next_deadline for driver in drivers))
    assert not any(driver.connection.closing.is_served for driver in drivers)
    assert [line for line in lines(caplog) if "fault" in line] == [
        "a peer: ended by a fault of this server"
    ]


def test_one_connection_more_than_may_be_is_told_so() -> None:
    """And those above a second bound cannot even be told."""
    registry = registry_with(Limits(max_connections=1))
    first, second = Driven(registry, "first"), Driven(registry, "second")
    for driver in (first, second):
        driver.turn()
    assert first.heard == []
    assert second.heard[-1].content["code"] == "overloaded"
    assert registry.has_room_to_refuse()
    assert not registry.has_room_to_refuse(more=1_000)


def test_who_holds_most_goes_when_all_hold_too_much() -> None:
    """max_buffered: the peer with the largest part of a message is told why it has to go."""
    registry = registry_with(Limits(max_buffered=3 * 2**20))
    small, large = Driven(registry, "small"), Driven(registry, "large")
    small.receive(Message(bytes(2**20)).to_bytes()[: 2**18])
    large.receive(Message(bytes(2**22)).to_bytes()[: 2**20])
    assert large.heard[-1].content["code"] == "overloaded"
    assert small.heard == []


def test_who_is_over_and_reads_nothing_goes_first_when_it_holds_most() -> None:
    """Its end frees its answer, which nobody takes; the log says what was lost with it."""
    registry = registry_with(Limits(max_buffered=3 * 2**20))
    honest, deaf = Driven(registry, "honest"), Driven(registry, "deaf")
    deaf.is_deaf = True
    honest.receive(Message(bytes(2**20)).to_bytes()[: 2**19])
    answer = Message(bytes(2**21))
    deaf.receive(request("later") + Message({"code": "closed"}, kind="close").to_bytes())
    deaf.connection.conversation.answer(1, answer)
    deaf.dispatcher.broken_off(deaf.at_work.pop())
    deaf.turn()
    assert deaf.connection.conversation.is_over
    honest.receive(bytes(2**18))
    assert registry.drivers == {honest}
    error = deaf.connection.ending.final_error
    assert isinstance(error, ConnectionClosedError)
    assert (error.by, error.code) == ("us", "overloaded")
    assert error.unsent > 2**21
    assert honest.heard == []
    assert registry.bytes_held == honest.bytes_held


def test_what_handlers_are_at_work_on_costs_nobody_whose_end_would_not_free_it() -> None:
    """Ending a peer whose message is at work frees nothing: the next largest has to go."""
    registry = registry_with(Limits(max_buffered=3 * 2**20))
    busy, greedy = Driven(registry, "busy"), Driven(registry, "greedy")
    busy.receive(request("later", bytes(2**21)))
    greedy.receive(Message(bytes(2**22)).to_bytes()[: 2**20])
    assert greedy.heard[-1].content["code"] == "overloaded"
    assert busy.heard == []


def test_where_no_end_frees_anything_who_has_most_at_work_goes() -> None:
    """One at a time, so that no more comes of it; nobody is ended for next to nothing."""
    registry = registry_with(Limits(max_buffered=2**20))
    little, most = Driven(registry, "little"), Driven(registry, "most")
    third = Driven(registry, "third")
    little.receive(Message("x", subject="work").to_bytes()[:-1])
    for _ in range(8):
        third.receive(Message(bytes(2**15), subject="work").to_bytes())
    while registry.bytes_held <= registry.limits.max_buffered:
        most.receive(Message(bytes(2**16), subject="work").to_bytes())
    for _ in range(8):
        most.receive(Message(bytes(2**16), subject="work").to_bytes())
    assert most.heard[-1].content["code"] == "overloaded"
    assert third.heard == []
    assert little.heard == []


def test_where_everybody_has_ended_nobody_is_ended_once_more() -> None:
    """Handlers of connections that are gone hold too much: nobody is to blame for it now."""
    registry = registry_with(Limits(max_buffered=2**20))
    gone, honest = Driven(registry, "gone"), Driven(registry, "honest")
    gone.receive(request("later", bytes(2**19)))
    gone.connection.cut_off(ConnectionClosedError("peer", "it went"), 0.0)
    gone.turn()
    assert registry.drivers == {honest}
    gone.connection.bytes_at_work += 2**20
    registry.remove(gone)
    assert registry.bytes_held > registry.limits.max_buffered
    assert honest.connection.is_open


def test_who_owes_a_token_goes_before_all_others() -> None:
    """However little such a peer holds in comparison, as long as that is worth it."""
    greeting = Greeting("test", authenticate=lambda token: "a name")
    limits = Limits(max_buffered=2**20)
    registry = Registry(application(), limits, greeting, None, None, None)
    honest, stranger, newcomer = (Driven(registry, name) for name in ("honest", "other", "new"))
    hello = Message({"token": "secret"}, kind="hello").to_bytes()
    honest.receive(hello)
    stranger.receive(Message({"token": "x" * 40_000}, kind="hello").to_bytes()[:-1])
    newcomer.receive(hello[:-1])
    honest.receive(Message(bytes(2**22)).to_bytes()[:520_000])
    assert stranger.heard[-1].content["code"] == "overloaded"
    assert newcomer.heard == []
    assert [message.kind for message in honest.heard] == ["welcome"]


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_drivers_have_no_dictionary(front_end: str) -> None:
    """An idle connection takes little memory: nothing can be set on a driver that has no slot."""
    module = importlib.import_module(f"telex.{front_end}.server_driver")
    assert not hasattr(module.ServerDriver.__new__(module.ServerDriver), "__dict__")
