"""The prompt of ``telex connect``: a person types lines, and messages are shown above.

Only this module and ``completion`` know prompt_toolkit. ``talk`` does what the lines say.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.shortcuts import CompleteStyle

from telex.cli.failure import CommandError
from telex.cli.interactive import words
from telex.cli.interactive.completion import WordCompleter
from telex.cli.interactive.history import history_file
from telex.cli.interactive.words import read_line
from telex.printable import printable

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent

    from telex.asyncio.client import Connection
    from telex.cli.interactive.talk import Talk


async def converse(talk: Talk, connection: Connection) -> None:
    """Do the typed lines, and show messages, until the person or the server ends this.

    The connection is left open. Raises ConnectionClosedError when it breaks.
    """
    desk = _Desk(talk)
    listening = asyncio.create_task(talk.listen())
    typing = asyncio.create_task(desk.read())
    try:
        await asyncio.wait({listening, typing}, return_when=asyncio.FIRST_COMPLETED)
        if not typing.done():
            await listening  # raises what ended the connection
            talk.remark(printable(str(connection.ending)))
            return
        await typing
    finally:
        await desk.stop(listening, typing)


class _Desk:
    """The prompt, its keys, and the tasks of the lines that are being done."""

    def __init__(self, talk: Talk) -> None:
        self._talk: Final = talk
        self._doing: Final[set[asyncio.Task[object]]] = set()
        self._session: Final[PromptSession[str]] = PromptSession(
            lambda: "telex> " if talk.subject is None else f"telex {printable(talk.subject)}> ",
            history=self._history(),
            completer=WordCompleter(talk),
            complete_style=CompleteStyle.MULTI_COLUMN,
            key_bindings=self._keys(),
            enable_history_search=True,
        )

    async def read(self) -> None:
        """Read lines, and start a task for each, until the person leaves."""
        with contextlib.suppress(EOFError):
            while True:
                try:
                    line = read_line(await self._session.prompt_async())
                except CommandError as problem:
                    self._talk.complain(str(problem))
                    continue
                if line is None:
                    continue
                if line.command == words.QUIT:
                    return
                task: asyncio.Task[object] = asyncio.create_task(self._talk.do(line))
                self._doing.add(task)
                task.add_done_callback(self._doing.discard)

    async def stop(self, *tasks: asyncio.Task[None]) -> None:
        """Cancel the lines that are being done, and these tasks; wait until all have ended."""
        everything = [*self._doing, *tasks]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)

    def _history(self) -> History:
        try:
            return FileHistory(history_file())
        except OSError as problem:
            reason = (problem.strerror or str(problem)).lower()
            self._talk.remark(f"what you type is not remembered: {problem.filename}: {reason}")
            return InMemoryHistory()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")
        def drop(event: KeyPressEvent) -> None:
            """Drop the typed line, or else cancel the requests, or else say how to leave."""
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self._doing:
                for task in self._doing:
                    task.cancel()
            else:
                self._talk.remark("Ctrl-D or /quit leaves")

        return keys
