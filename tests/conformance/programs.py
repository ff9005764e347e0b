"""The programs at the tested ends: they do what the steps say through the public API of Telex."""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from telex import ConnectionClosedError, Message, RemoteError, TelexError
from telex.conformance.notation import content_of, has_content, matches, shown_message
from tests.behaviour.stage import Client, Parts

_TIMEOUT = 5.0
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
    """What stands at a client: it asks, sends and closes, each in a thread of its own.

    Another thread receives all the time, so that pings are answered and messages are taken.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[str, _Asked] = {}
        self._received: queue.Queue[Message | TelexError] = queue.Queue()
        self._notices: queue.Queue[RemoteError] = queue.Queue()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()
        self._closing: list[threading.Thread] = []

    def do(self, what: Mapping[str, Any]) -> None:
        """Begin what a step says."""
        if "request" in what:
            self._asked[what["as"]] = _Asked(self._client, what["request"])
        elif "ping" in what:
            self._asked[what["as"]] = _Pinged(self._client)
        elif "give up" in what:
            self._asked[what["give up"]].give_up()
        elif "send" in what:
            content, keywords = _message(what["send"])
            self._client.send(content, **keywords)
        elif "close" in what:
            self._closing.append(threading.Thread(target=self._close, daemon=True))
            self._closing[-1].start()
        else:
            raise AssertionError(what)

    def result(self, what: Mapping[str, Any]) -> str | None:
        """Wait for a result; say what came instead, if it is another."""
        if "of" in what:
            return self._asked[what["of"]].problem(what)
        if "received" in what:
            return self._problem_of_received(what["received"])
        if "noticed" in what:
            return self._problem_of_notice(what["noticed"])
        raise AssertionError(what)

    def end(self) -> None:
        """Wait for all threads; the connection must have ended."""
        for thread in (*self._closing, self._receiver):
            thread.join(_TIMEOUT)
            assert not thread.is_alive()
        for asked in self._asked.values():
            asked.join()

    def _receive(self) -> None:
        while True:
            try:
                self._received.put(self._client.receive())
            except RemoteError as error:
                self._notices.put(error)
            except TelexError as error:
                self._received.put(error)
                return

    def _close(self) -> None:
        with contextlib.suppress(TelexError):
            self._client.close(_TIMEOUT)

    def _problem_of_received(self, expected: list[Mapping[str, Any]]) -> str | None:
        for one in expected:
            try:
                came = self._received.get(timeout=_TIMEOUT)
            except queue.Empty:
                return "nothing"
            if isinstance(came, TelexError):
                return repr(came)
            if matches(one, came, {}) is None:
                return shown_message(came)
        return None

    def _problem_of_notice(self, code: str) -> str | None:
        try:
            notice = self._notices.get(timeout=_TIMEOUT)
        except queue.Empty:
            return "nothing"
        return None if notice.code == code else repr(notice)


class _Asked:
    """A request whose answer a thread waits for."""

    def __init__(self, client: Client, request: Mapping[str, Any]) -> None:
        self._parts: list[Message] = []
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(client, request), daemon=True)
        self._iterator: Parts | None = None
        self._is_given_up = threading.Event()
        self._begin(client, request)

    def _begin(self, client: Client, request: Mapping[str, Any]) -> None:
        content, keywords = _message(request)
        self._iterator = client.request_parts(content, timeout=None, **keywords)
        self._thread.start()

    def _run(self, client: Client, request: Mapping[str, Any]) -> None:
        assert self._iterator is not None
        try:
            self._parts.extend(self._iterator)
        except TelexError as error:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def give_up(self) -> None:
        """Want no answer any more."""
        assert self._iterator is not None
        self._iterator.close()

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join(_TIMEOUT)
        assert not self._thread.is_alive()

    def problem(self, what: Mapping[str, Any]) -> str | None:
        """Wait for the end; return None if the answer is as it must be, or else what came."""
        try:
            failure = self._ended.exception(_TIMEOUT)
        except TimeoutError:
            return "nothing"
        if not self._has_failed_so(failure, what):
            return "an answer" if failure is None else repr(failure)
        expected = what.get("parts")
        if expected is None:
            expected = [what] if any(key in what for key in ("text", "json", "hex")) else None
        if expected is None:
            return None
        right = len(expected) == len(self._parts) and all(map(has_content, expected, self._parts))
        return None if right else ", ".join(map(shown_message, self._parts)) or "no parts"

    @staticmethod
    def _has_failed_so(failure: BaseException | None, what: Mapping[str, Any]) -> bool:
        if "code" in what:
            return isinstance(failure, RemoteError) and failure.code == what["code"]
        if "closed" in what:
            return isinstance(failure, ConnectionClosedError) and failure.code == what["closed"]
        return failure is None


class _Pinged(_Asked):
    """A ping whose answer a thread waits for."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, {})

    def _begin(self, client: Client, request: Mapping[str, Any]) -> None:
        self._thread.start()

    def _run(self, client: Client, request: Mapping[str, Any]) -> None:
        try:
            client.ping(_TIMEOUT)
        except TelexError as error:
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)


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


