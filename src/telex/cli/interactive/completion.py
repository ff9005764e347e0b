"""Completes typed words: commands, subjects seen before, headers, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from telex.cli.interactive import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prompt_toolkit.completion import CompleteEvent

    from telex.cli.interactive.talk import Talk


class WordCompleter(Completer):
    """Completes the words of a line for the conversation ``talk``."""

    def __init__(self, talk: Talk) -> None:
        self._talk: Final = talk
        self._paths: Final = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield completions, if the cursor is at the end of the line."""
        text = document.text_before_cursor
        if not text.startswith("/") or document.text_after_cursor:
            return
        command, gap, rest = text.partition(" ")
        if not gap:
            yield from _that_begin(text, words.COMMANDS)
        elif command == words.FILE:
            yield from self._files(rest, complete_event)
        elif command == words.SUBJECT:
            yield from _that_begin(rest, self._talk.subjects)
        elif command == words.HEADERS:
            yield from _that_begin(rest, self._headers())
        elif command == words.REQUEST:
            yield from self._request(rest, complete_event)

    def _request(self, rest: str, complete_event: CompleteEvent) -> Iterator[Completion]:
        subject, gap, content = rest.partition(" ")
        if not gap:
            yield from _that_begin(subject, self._talk.subjects)
        elif content.startswith(f"{words.FILE} "):
            yield from self._files(content.removeprefix(f"{words.FILE} "), complete_event)
        elif content.startswith("/"):
            yield from _that_begin(content, (words.JSON, words.FILE))

    def _headers(self) -> Iterator[str]:
        for name in self._talk.headers:
            yield f"{name}="
            yield f"{words.NONE}{name}"

    def _files(self, path: str, complete_event: CompleteEvent) -> Iterable[Completion]:
        return self._paths.get_completions(Document(path), complete_event)


def _that_begin(begun: str, known: Iterable[str]) -> Iterator[Completion]:
    for word in known:
        if word.startswith(begun) and word != begun:
            yield Completion(word, start_position=-len(begun))
