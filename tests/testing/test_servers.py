"""Servers for tests: they serve, they end, and they are held to failing nowhere."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import telex
import telex.sync
from telex import Application, Message, RemoteError
from telex.testing import Servers, servers
from telex.testing.serving import FrontEnd
from telex.tls import client_context, server_context
from tests.certificates import Authority
from tests.reader import free_port
from tests.sync.stage import wait_until

PATIENCE = 30.0

FRONT_ENDS = pytest.mark.parametrize("front_end", ["sync", "asyncio"])


@pytest.fixture
def app() -> Application:
    """Return an application that greets, and fails."""
    app = Application()

    @app.on("greet")
    def greet(message: Message) -> str:
        return f"hello {message.content}"

    @app.on("fail")
    def fail(message: Message) -> None:
        raise LookupError(f"no {message.content}")

    return app


def ask(address: telex.Address, content: str, subject: str, **options: Any) -> Message:
    """Ask a server once."""
    with telex.sync.connect(address, timeout=PATIENCE, **options) as connection:
        return connection.request(content, subject=subject, timeout=PATIENCE)


@FRONT_ENDS
def test_a_server_with_tls_needs_no_address(
    app: Application, front_end: FrontEnd, tmp_path: Path
) -> None:
    """It is at ``tls://`` by itself."""
    authority = Authority(tmp_path)
    mine = authority.issue("127.0.0.1")
    tls = server_context(mine.certificate, mine.key)
    with Servers() as serve:
        address = serve(app, front_end=front_end, tls=tls)
        assert address.scheme == "tls"
        trusting = client_context(authority.file)
        assert ask(address, "you", "greet", tls=trusting).content == "hello you"


@FRONT_ENDS
def test_a_server_serves_until_the_end(app: Application, front_end: FrontEnd) -> None:
    """On a port that was free, and not a moment longer than the context."""
    with Servers() as serve:
        addresses = [serve(app, front_end=front_end) for _ in range(2)]
        for address in addresses:
            assert ask(address, "you", "greet").content == "hello you"
    assert len(set(addresses)) == 2
    for address in addresses:
        with pytest.raises(telex.ConnectError):
            telex.sync.connect(address)


@FRONT_ENDS
def test_one_server_can_be_stopped(app: Application, front_end: FrontEnd) -> None:
    """So that a test sees what its client makes of that."""
    with Servers() as serve:
        mine = f"tcp://127.0.0.1:{free_port()}"  # which nobody else takes when it is free again
        stopped, other = serve(app, front_end=front_end, address=mine), serve(app)
        serve.stop(stopped)
        with pytest.raises(telex.ConnectError):
            telex.sync.connect(stopped)
        assert ask(other, "you", "greet").content == "hello you"


def test_the_handlers_choose_the_front_end(app: Application) -> None:
    """Async handlers are served by telex.asyncio, without being asked for."""

    @app.on("lookup")
    async def lookup(message: Message) -> str:
        await asyncio.sleep(0)
        return "in stock"

    with Servers() as serve:
        assert ask(serve(app), "pump", "lookup").content == "in stock"
        with pytest.raises(TypeError, match="lookup: async"):
            serve(app, front_end="sync")


def test_addresses_and_options_are_those_of_serve(app: Application, tmp_path: Path) -> None:
    """Also where something is wrong with them."""
    with Servers() as serve:
        address = serve(app, address=f"unix://{tmp_path}/socket", tokens={"ada": "5ecret"})
        assert address.path == f"{tmp_path}/socket"
        assert ask(address, "you", "greet", token="5ecret").content == "hello you"
        with pytest.raises(telex.AddressError):
            serve(app, address="carrier-pigeon://roof")
        with pytest.raises(TypeError, match="tokns"):
            serve(app, tokns={})
        with pytest.raises(ValueError, match="must be 'sync' or 'asyncio', not 'trio'"):
            serve(app, front_end="trio")  # type: ignore[arg-type]
        serve.stop(address)
        with pytest.raises(ValueError, match=r"there is no server at unix:///.*, or no longer"):
            serve.stop(address)


@FRONT_ENDS
def test_a_handler_that_fails_is_raised_at_the_end(app: Application, front_end: FrontEnd) -> None:
    """Whether or not somebody was told of it: the client may have swallowed that."""
    unnoticed = pytest.raises(BaseExceptionGroup, match="no test took note")
    told = pytest.raises(RemoteError, match="handler-failed")
    with unnoticed as caught, Servers() as serve, told:
        ask(serve(app, front_end=front_end), "soap", "fail")
    assert [repr(error) for error in caught.value.exceptions] == ["LookupError('no soap')"]


@FRONT_ENDS
def test_a_failure_that_is_expected_is_taken_out(app: Application, front_end: FrontEnd) -> None:
    """It is there once, although the log tells of it too."""
    with Servers() as serve:
        with pytest.raises(RemoteError, match="handler-failed"):
            ask(serve(app, front_end=front_end), "soap", "fail")
        assert isinstance(serve.failures.pop(), LookupError)
        assert serve.failures == []


def test_failures_are_seen_without_the_log(app: Application) -> None:
    """A program that sets its logging up may have switched off what was there before."""
    logger = logging.getLogger("telex.server")
    logger.disabled = True
    try:
        with Servers() as serve:
            with pytest.raises(RemoteError, match="handler-failed"):
                ask(serve(app), "soap", "fail")
            assert isinstance(serve.failures.pop(), LookupError)
    finally:
        logger.disabled = False


@FRONT_ENDS
def test_what_else_a_server_logs_as_an_error_counts(app: Application, front_end: FrontEnd) -> None:
    """A shutdown hook that fails, for one: nobody else would notice."""

    @app.on_shutdown
    def close_database() -> None:
        raise OSError("no database")

    with pytest.raises(BaseExceptionGroup) as caught, Servers() as serve:
        serve(app, front_end=front_end)
    assert [repr(error) for error in caught.value.exceptions] == ["OSError('no database')"]


def test_an_error_without_an_exception_counts_by_its_text() -> None:
    """Whatever says it, in the log of the server."""
    with Servers() as serve:
        logging.getLogger("telex.server").error("the %s is lost", "key")
        assert repr(serve.failures.pop()) == "RuntimeError('the key is lost')"
    logging.getLogger("telex.server").error("not looked at any more")
    assert serve.failures == []


@FRONT_ENDS
def test_a_start_up_hook_that_fails_is_not_passed_over(front_end: FrontEnd) -> None:
    """It comes out of the call, or at the end of the context when it was not known by then."""
    app = Application()

    @app.on_startup
    def open_database() -> None:
        raise OSError("no database")

    with pytest.raises((OSError, BaseExceptionGroup)) as caught, Servers() as serve:
        serve(app, front_end=front_end)
    failure = caught.value
    exceptions = failure.exceptions if isinstance(failure, BaseExceptionGroup) else [failure]
    assert [repr(error) for error in exceptions] == ["OSError('no database')"]


def test_what_an_event_loop_had_nobody_to_tell_of_counts() -> None:
    """A task that a handler started and forgot, for one."""
    app = Application()

    def fail() -> None:
        raise KeyError("forgotten")

    @app.on("forget")
    async def forget(message: Message) -> None:
        asyncio.get_running_loop().call_soon(fail)

    with pytest.raises(BaseExceptionGroup) as caught, Servers() as serve:
        ask(serve(app), "", "forget")
    assert [repr(error) for error in caught.value.exceptions] == ["KeyError('forgotten')"]


def test_an_exception_on_its_way_hides_no_failure(app: Application) -> None:
    """The test may expect it, and knows nothing of the handler: both are raised."""
    with pytest.raises(BaseExceptionGroup) as caught, Servers() as serve:
        ask(serve(app), "soap", "fail")
    handler, told = caught.value.exceptions
    assert repr(handler) == "LookupError('no soap')"
    assert isinstance(told, RemoteError)


@pytest.mark.parametrize("failure", [AssertionError("no"), pytest.fail.Exception("no")])
def test_a_test_that_fails_itself_is_told_of_failures_too(
    app: Application, failure: BaseException
) -> None:
    """Its own exception comes through, with a note."""
    with pytest.raises(type(failure)) as caught, Servers() as serve:  # noqa: PT012
        with pytest.raises(RemoteError):
            ask(serve(app), "soap", "fail")
        raise failure
    assert caught.value.__notes__ == [
        "a handler or server failed meanwhile: LookupError('no soap')"
    ]


@FRONT_ENDS
def test_a_server_that_does_not_end_keeps_no_other_from_ending(
    app: Application, front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure among the others, and all of them are raised."""
    monkeypatch.setattr(servers, "_TIMEOUT", 0.1)
    begun, may_end = threading.Event(), threading.Event()

    @app.on_shutdown
    def close_database() -> None:
        begun.set()
        may_end.wait(PATIENCE)

    others = Application()
    others.on("greet")(lambda message: message.content)
    with pytest.raises(BaseExceptionGroup) as caught, Servers() as serve:  # noqa: PT012
        hanging = serve(app, front_end=front_end)
        ending = [serve(others, front_end=front_end) for _ in range(2)]
        serve.failures.append(LookupError("no soap"))
    try:
        told = [str(failure) for failure in caught.value.exceptions]
        assert told[:2] == ["no soap", f"the server at {hanging} did not end in 0.1 s"]
        for address in ending:
            wait_until(partial(is_gone, address), f"{address} is not listened on")
        assert begun.wait(PATIENCE)
    finally:
        may_end.set()


def is_gone(address: telex.Address) -> bool:
    """Say whether nobody listens there."""
    try:
        telex.sync.connect(address, timeout=PATIENCE).close()
    except telex.ConnectError:
        return True
    except telex.ConnectionClosedError:  # which was the end of it
        return False
    return False


def test_a_shutdown_hook_that_fails_the_test_does_so(app: Application) -> None:
    """By ``pytest.fail()``, which is no ``Exception``; the hooks after it are called too."""
    told: list[str] = []

    @app.on_shutdown
    async def check_all_was_sold() -> None:
        pytest.fail("there is soap left")

    @app.on_shutdown
    async def wait_for_what_was_cancelled() -> None:
        raise asyncio.CancelledError

    app.on_shutdown(lambda: told.append("closed"))
    with pytest.raises(BaseExceptionGroup) as caught, Servers() as serve:
        serve(app)
    kinds = [type(failure) for failure in caught.value.exceptions]
    assert kinds == [pytest.fail.Exception, asyncio.CancelledError]
    assert told == ["closed"]
