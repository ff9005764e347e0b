"""Failures that a test must take note of: collected while it runs, raised at its end.

What fails, and when the end is, is not known here.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import TYPE_CHECKING, Final

from telex.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.application.application import Application
    from telex.application.peer import Peer
    from telex.conversation.conversation import Call
    from telex.wire.message import Message

_ENDS: Final = (AssertionError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What is nobody's to expect: a test that has failed already, and a program that is to end."""


class Failures(list[BaseException]):
    """What has failed, and nobody has taken note of yet; a test takes out what it expects."""

    def __init__(self) -> None:
        super().__init__()
        self._by_request: Final[dict[int, BaseException]] = {}

    def note(self, failure: BaseException) -> None:
        """Remember a failure, once: the log and the application may both tell of it."""
        if not any(known is failure for known in self):
            self.append(failure)

    def note_of(self, message: Message, failure: BaseException) -> None:
        """Remember that the handler of a message has failed."""
        self.note(failure)
        if message.kind == "request" and message.id is not None:
            self._by_request[message.id] = failure

    def explain(self, call: Call) -> None:
        """Give the error of a request its cause when its handler failed, which is noticed thereby.

        That is for the failures of one connection: requests of several have the same numbers.
        """
        error = call.error
        if isinstance(error, RemoteError) and error.code == "handler-failed":
            cause = self._by_request.pop(call.id, None)
            if cause is not None:
                error.__cause__ = cause
                self[:] = [failure for failure in self if failure is not cause]

    @contextlib.contextmanager
    def raised_after(self, during: BaseException | None) -> Iterator[None]:
        """Raise what is left in the list after the context, which is the end of a test.

        ``during`` is what was on its way to the test before. Where the end itself fails, both are
        raised.
        """
        try:
            yield
        except BaseException as error:
            self._raise_with(error)
            raise
        self._raise_with(during)

    def _raise_with(self, during: BaseException | None) -> None:
        """Raise the failures all together, and forget them.

        What is on its way is among them, for a test may expect that, and would pass. Where that is
        the failure of the test, it goes on its way, and is only told of them.
        """
        unnoticed = [failure for failure in self if failure is not during]
        self.clear()
        if not unnoticed:
            return
        if during is None or not _is_seen(during):
            everything = unnoticed if during is None else [*unnoticed, during]
            raise BaseExceptionGroup(
                "a handler or server failed, and no test took note", everything
            ) from None
        for failure in unnoticed:
            during.add_note(f"a handler or server failed meanwhile: {failure!r}")


def observed(application: Application, failures: Failures) -> Application:
    """Return an application with the same handlers, of which those that fail are remembered."""

    def remember(message: Message, peer: Peer, error: BaseException) -> None:
        failures.note_of(message, error)

    same = copy.copy(application)
    same.failure_hooks = [*application.failure_hooks, remember]
    return same


def _is_seen(error: BaseException) -> bool:
    """Say whether an exception fails a test whatever is around it, or ends the program."""
    pytest = sys.modules.get("pytest")
    if pytest is not None and isinstance(error, (pytest.fail.Exception, pytest.exit.Exception)):
        return True
    return isinstance(error, _ENDS)
