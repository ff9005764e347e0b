"""The programs at the tested ends: they do what the steps say through the public API of Telex."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
from collections.abc import AsyncIterable, Callable, Generator, Iterator, Mapping
from typing import Any, Protocol

import telex.asyncio
from telex import ConnectionClosedError, Message, RemoteError, TelexError, TooLargeError
from telex.conformance.notation import content_of, has_content, matches, shown_message
from telex.testing.loop_thread import LoopThread
from tests.behaviour.stage import Client, DrivenConnection

TIMEOUT = 5.0
"""Seconds for whatever must come to the program."""


class ServerProgram:
    """What stands at a server: it can shut down."""

    def __init__(self, shut_down: Callable[[], None]) -> None:
        self._shut_down = shut_down

    def do(self, what: Mapping[str, Any]) -> None:
        """Shut the server down."""
        assert what == {"shut down": True}
        self._shut_down()

    def result(self, what: Mapping[str, Any]) -> str | None:
        """A server has no results."""
        raise AssertionError(what)


class ClientProgram:
    """What stands at a client: it asks, sends and closes while another thread receives.

    ``open_client`` connects, which may take until the server has said welcome.
    """

    def __init__(self, open_client: Callable[[], Client]) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(8)
        self._opened = self._pool.submit(open_client)
        self._asked: dict[str, Asked] = {}
        self._received: queue.Queue[Message | TelexError] = queue.Queue()
        self._notices: queue.Queue[str] = queue.Queue()
        self._receiver = self._pool.submit(self._receive)
        self._closed: list[concurrent.futures.Future[None]] = []

    def do(self, what: Mapping[str, Any]) -> None:
        """Begin what a step says."""
        client = self._opened.result(TIMEOUT)
        if "request" in what:
            content, keywords = _message(what["request"])
            parts = client.request_parts(content, timeout=None, **keywords)
            self._asked[what["as"]] = Asked(self._pool, parts)
        elif "ping" in what:
            self._asked[what["as"]] = Asked(self._pool, _pinged(client))
        elif "give up" in what:
            self._asked[what["give up"]].give_up()
        elif "send" in what:
            content, keywords = _message(what["send"])
            client.send(content, **keywords)
        else:
            assert "close" in what, what
            self._closed.append(self._pool.submit(self._close))

    def result(self, what: Mapping[str, Any]) -> str | None:
        """Wait for a result; say what came instead, if it is another."""
        if "of" in what:
            return self._asked[what["of"]].problem(what)
        if "received" in what:
            return self._problem_of_received(what["received"])
        assert "noticed" in what, what
        try:
            code = self._notices.get(timeout=TIMEOUT)
        except queue.Empty:
            return "nothing"
        return None if code == what["noticed"] else code

    def end(self) -> None:
        """Close, and wait for all threads; nothing but errors of Telex may have come of them."""
        with contextlib.suppress(TelexError):
            self._opened.result(TIMEOUT)
            self._close()
        for future in (self._receiver, *self._closed):
            future.result(TIMEOUT)
        self._pool.shutdown()

    def _receive(self) -> None:
        try:
            client = self._opened.result(TIMEOUT)
            while True:
                message = client.receive()
                if message.kind == "error":
                    self._notices.put(str(message.content["code"]))
                else:
                    self._received.put(message)
        except TelexError as error:
            self._received.put(error)

    def _close(self) -> None:
        with contextlib.suppress(TelexError):
            self._opened.result(TIMEOUT).close(TIMEOUT)

    def _problem_of_received(self, expected: list[Mapping[str, Any]]) -> str | None:
        for one in expected:
            try:
                came = self._received.get(timeout=TIMEOUT)
            except queue.Empty:
                return "nothing"
            if isinstance(came, TelexError):
                return repr(came)
            if matches(one, came, {}) is None:
                return shown_message(came)
        return None


class Answer(Protocol):
    """The parts of an answer."""

    def __iter__(self) -> Iterator[Message]: ...

    def close(self) -> None:
        """Want no more of them."""


class Asked:
    """Something that was asked for, whose answer another thread waits for."""

    def __init__(self, pool: concurrent.futures.Executor, answer: Answer) -> None:
        self._answer = answer
        self._parts: list[Message] = []
        self._ended = pool.submit(self._take_all)

    def _take_all(self) -> None:
        self._parts.extend(self._answer)

    def give_up(self) -> None:
        """Want no answer any more."""
        self._answer.close()

    def problem(self, what: Mapping[str, Any]) -> str | None:
        """Wait for the end; return None if the answer is as it must be, or else what came."""
        try:
            failure = self._ended.exception(TIMEOUT)
        except TimeoutError:
            return "nothing"
        if not _has_failed_so(failure, what):
            return "an answer" if failure is None else repr(failure)
        has_content_of_its_own = any(form in what for form in ("text", "json", "hex"))
        expected = what.get("parts", [what] if has_content_of_its_own else None)
        if expected is None:
            return None
        right = len(expected) == len(self._parts) and all(map(has_content, expected, self._parts))
        return None if right else ", ".join(map(shown_message, self._parts)) or "no parts"


class LoopClient(DrivenConnection):
    """A connection of ``telex.asyncio`` whose answers come to a task of their own."""

    def __init__(self, loop: LoopThread, connection: telex.asyncio.Connection) -> None:
        super().__init__(loop, connection)
        self._loop = loop
        self._asked = connection

    def request_parts(self, content: object, **keywords: Any) -> LoopParts:  # type: ignore[override]
        """Ask at once."""
        return LoopParts(self._loop, self._asked.request_parts(content, **keywords))


class LoopParts:
    """The parts of an answer, which a task takes; giving up cancels the task."""

    def __init__(self, loop: LoopThread, parts: telex.asyncio.Parts) -> None:
        self._loop = loop
        self._parts = parts
        self._ended = asyncio.Event()
        self._taken: list[Message] = []
        self._end = loop.start(self._take(parts))

    async def _take(self, parts: AsyncIterable[Message]) -> None:
        try:
            async for part in parts:
                self._taken.append(part)
        finally:
            self._ended.set()

    def __iter__(self) -> Iterator[Message]:
        problem = self._end.exception(TIMEOUT)
        yield from self._taken
        if problem is not None:
            raise problem

    def close(self) -> None:
        """Cancel the task, wait until it has ended, and drop the answer."""
        self._end.cancel()
        self._loop.do(self._drop())

    async def _drop(self) -> None:
        await self._ended.wait()
        self._parts.close()


def _has_failed_so(failure: BaseException | None, what: Mapping[str, Any]) -> bool:
    if "code" in what:
        return isinstance(failure, RemoteError) and failure.code == what["code"]
    if "closed" in what:
        return isinstance(failure, ConnectionClosedError) and failure.code == what["closed"]
    if what.get("too large"):
        return isinstance(failure, TooLargeError)
    return failure is None


def _pinged(client: Client) -> Generator[Message, None, None]:
    """Return an answer without parts, which ends when the ping is answered."""
    client.ping(TIMEOUT)
    yield from ()


def _message(written: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    """Return the content, and the keywords, with which a message is sent."""
    keywords = {"subject": written.get("subject")}
    if "content-type" in written:
        keywords["content_type"] = written["content-type"]
        keywords["encoding"] = written.get("content-encoding")
        return content_of(written), keywords
    if "text" in written:
        return str(written["text"]) * written.get("repeat", 1), keywords
    return written["json"] if "json" in written else content_of(written), keywords
