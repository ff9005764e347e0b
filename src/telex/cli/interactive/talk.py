"""Does the lines of ``telex connect``, and shows messages; it does not read lines.

Each line is done by itself, so that several requests can wait at the same time. Text of a peer is
made printable before it is shown.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from telex import (
    ConnectionClosedError,
    Message,
    RemoteError,
    RequestTimeoutError,
    TelexError,
)
from telex.cli.answer import readable_lines
from telex.cli.failure import CommandError, UsageError
from telex.cli.interactive import words
from telex.cli.ping import milliseconds
from telex.cli.sizes import counted
from telex.cli.sources import MessageMaker, parse_header
from telex.conversation.error_content import read_problem
from telex.printable import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from telex.asyncio.client import Connection
    from telex.cli.interactive.words import Line
    from telex.cli.terminal import Lines, Part

_UNDERSTOOD_ERRORS: Final = (CommandError, TelexError, ValueError, OSError)

_LONGEST_TEXT: Final = 1_000
"""Characters that are shown of an error from the peer."""

_MOST_SUBJECTS: Final = 1_000
"""How many subjects are remembered for completion; a peer may send any number."""


class Talk:
    """One conversation of a person, or of a script, with a server.

    ``lines`` shows messages, ``remarks`` everything else. Each part of an answer, and a ping, may
    take ``timeout`` seconds.
    """

    def __init__(
        self, connection: Connection, lines: Lines, remarks: Lines, timeout: float
    ) -> None:
        self.subject: str | None = None
        """The subject of sent messages."""
        self.headers: Final[dict[str, Any]] = {}
        """The headers of sent messages."""
        self.subjects: Final[dict[str, None]] = {}
        """Subjects that were seen or used, in the order of their first use."""
        self.was_refused: bool = False
        """Whether the peer refused a message that is no request."""
        self.has_told_of_the_end: bool = False
        """Whether a line failed because the connection has ended, and this was shown."""
        self._connection: Final = connection
        self._lines: Final = lines
        self._remarks: Final = remarks
        self._timeout: Final = timeout
        self._in_turn: Final = asyncio.Lock()
        self._actions: Final[dict[str | None, Callable[[str], Awaitable[None]]]] = {
            None: self._send_text,
            words.REQUEST: self._request,
            words.JSON: self._send_json,
            words.FILE: self._send_file,
            words.SUBJECT: self._set_subject,
            words.HEADERS: self._set_headers,
            words.PING: self._ping,
            words.HELP: self._help,
        }

    def remark(self, *parts: Part) -> None:
        """Show a remark."""
        self._remarks.line(*parts)

    async def do(self, line: Line) -> bool:
        """Do a line; show an error in one line. Return whether the line succeeded.

        Messages are sent in the order in which their lines were begun.
        """
        try:
            await self._actions[line.command](line.rest)
        except _UNDERSTOOD_ERRORS as problem:
            self.complain(_sentence(problem))
            self.has_told_of_the_end |= isinstance(problem, ConnectionClosedError)
            return False
        return True

    def complain(self, problem: str) -> None:
        """Say in one line what went wrong."""
        self._remarks.line(("telex: ", "bold red"), printable(problem))

    async def listen(self) -> None:
        """Show what comes until the connection ends; raises ConnectionClosedError if it breaks."""
        async for message in self._connection:
            self.show(message)

    def show(self, message: Message) -> None:
        """Show a message that came of its own accord; an error is a complaint of the peer."""
        if message.kind == "error":
            self.was_refused = True
            self.complain(str(read_problem(message, "error"))[:_LONGEST_TEXT])
            return
        self._remember(message.subject)
        self._lines.line(("← ", "cyan"), (str(message), "bold"))

    async def _send_text(self, text: str) -> None:
        await self._send(self._maker(self.subject).from_text(text))

    async def _send_json(self, text: str) -> None:
        await self._send(_json_from(self._maker(self.subject), text))

    async def _send_file(self, path: str) -> None:
        message = _file_from(self._maker(self.subject), path)
        await self._send(message)
        self.remark(f"sent {printable(path)}: {counted(len(message.body), 'byte')}")

    async def _send(self, message: Message) -> None:
        async with self._in_turn:
            await self._connection.send(message)

    async def _request(self, rest: str) -> None:
        subject, content = words.first_word(rest)
        if not subject:
            raise UsageError(f"right would be: {words.REQUEST} SUBJECT [TEXT]")
        self._remember(subject)
        message = _content_from(self._maker(subject), content)
        begin = time.perf_counter()
        number, is_more = 0, False
        try:
            async for part in self._connection.request_parts(message, timeout=self._timeout):
                number, is_more = number + 1, part.more
                is_whole = number == 1 and not is_more
                self._show_answer(subject, begin, part, None if is_whole else number)
        except (RemoteError, RequestTimeoutError) as problem:
            raise CommandError(f"{subject}: {problem}, after {_since(begin)} ms") from problem
        except asyncio.CancelledError:
            self._tell(subject, begin, "no longer waited for")
            raise
        if number != 1 or is_more:
            self._tell(subject, begin, f"answered in {counted(number, 'part')}")

    def _show_answer(self, subject: str, begin: float, answer: Message, number: int | None) -> None:
        what = "answered" if number is None else f"part {number:,}"
        self._tell(subject, begin, f"{what}, {described(answer)}")
        for line in readable_lines(answer):
            self._lines.line((line, "bold"))

    def _tell(self, subject: str, begin: float, what: str) -> None:
        self.remark((f"{printable(subject)}: ", "cyan"), f"{what}, after {_since(begin)} ms")

    async def _set_subject(self, rest: str) -> None:
        name, more = words.first_word(rest)
        if more:
            raise UsageError(f"a subject is one word; right would be: {words.SUBJECT} orders.new")
        if name:
            self.subject = None if name == words.NONE else name
            self._remember(self.subject)
        told = "none" if self.subject is None else printable(self.subject)
        self.remark(f"subject: {told}")

    async def _set_headers(self, rest: str) -> None:
        if rest == words.NONE:
            self.headers.clear()
        elif rest.startswith(words.NONE):
            if self.headers.pop(rest.removeprefix(words.NONE), words) is words:
                raise UsageError(f"there is no header {rest.removeprefix(words.NONE)!r}")
        elif rest:
            name, value = parse_header(rest)
            Message(b"", headers={name: value}).to_bytes()  # raises what is wrong with it
            self.headers[name] = value
        for name, value in self.headers.items():
            self.remark(printable(f"{name}: {value}"))
        if not self.headers:
            self.remark("headers: none")

    async def _ping(self, rest: str) -> None:
        seconds = await self._connection.ping(self._timeout)
        self.remark(f"{self._connection.peer_address}: {milliseconds(seconds)} ms")

    async def _help(self, rest: str) -> None:
        for line in words.HELP_LINES:
            self.remark(line)

    def _maker(self, subject: str | None) -> MessageMaker:
        return MessageMaker(None, None, subject=subject, headers=dict(self.headers))

    def _remember(self, subject: str | None) -> None:
        if subject and subject.isprintable() and " " not in subject:
            self.subjects[subject] = None
            if len(self.subjects) > _MOST_SUBJECTS:
                del self.subjects[next(iter(self.subjects))]


def described(message: Message) -> str:
    """Return the type and the size of a message: ``text/plain, 5 bytes``."""
    return f"{printable(message.content_type)}, {counted(len(message.body), 'byte')}"


def _since(begin: float) -> str:
    """Return the milliseconds since ``begin``, a time of ``time.perf_counter()``."""
    return milliseconds(time.perf_counter() - begin)


def _content_from(maker: MessageMaker, content: str) -> Message:
    """Make the message of a request: of text, of JSON, of a file, or without content."""
    if not content:
        return maker.from_nothing()
    command, rest = words.first_word(content)
    if command == words.JSON:
        return _json_from(maker, rest)
    if command == words.FILE:
        return _file_from(maker, rest)
    return maker.from_text(content.removeprefix("/") if content.startswith("//") else content)


def _json_from(maker: MessageMaker, text: str) -> Message:
    if not text:
        raise UsageError(f'right would be: {words.JSON} {{"celsius": 21.5}}')
    return maker.from_json(text)


def _file_from(maker: MessageMaker, path: str) -> Message:
    if not path:
        raise UsageError(f"right would be: {words.FILE} PATH")
    return maker.from_file(str(Path(path).expanduser()))


def _sentence(problem: Exception) -> str:
    """Return one line about an error; it begins with the name of an unreadable file."""
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {(problem.strerror or str(problem)).lower()}"
    return str(problem)
