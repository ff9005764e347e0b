"""Failures in the background of a test: collected while the test runs, raised at its end."""

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
    from telex.conversation.calls import Call
    from telex.wire.message import Message

_ENDS: Final = (AssertionError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that no test expects: the test has failed already, or the program must end."""


class Failures(list[BaseException]):
    """The failures so far; a test removes those that it expects."""

    def __init__(self) -> None:
        super().__init__()
        self._by_request: Final[dict[int, BaseException]] = {}

    def note(self, failure: BaseException) -> None:
        """Add a failure, once: both the log and the application may report it."""
        if not any(known is failure for known in self):
            self.append(failure)

    def note_of(self, message: Message, failure: BaseException) -> None:
        """Add the failure of the handler of a message."""
        self.note(failure)
        if message.kind == "request" and message.id is not None:
            self._by_request[message.id] = failure

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Add the exception that leaves the context, if any, instead of raising it."""
        try:
            yield
        except BaseException as failure:  # noqa: BLE001 - the end of the test raises it
            self.note(failure)

    def explain(self, call: Call) -> None:
        """Make the failure of a handler the cause of the request's error, and remove it here.

        This is for the failures of one connection: two connections use the same request numbers.
        """
        error = call.error
        if isinstance(error, RemoteError) and error.code == "handler-failed":
            cause = self._by_request.pop(call.id, None)
            if cause is not None:
                error.__cause__ = cause
                self[:] = [failure for failure in self if failure is not cause]

    @contextlib.contextmanager
    def raised_after(self, during: BaseException | None) -> Iterator[None]:
        """Raise the failures that are left after the context, which is the end of a test.

        ``during`` is the exception that ends the test, if any. If the context raises an exception
        too, the failures are raised together with that exception.
        """
        try:
            yield
        except BaseException as error:
            self._raise_with(error)
            raise
        self._raise_with(during)

    def _raise_with(self, during: BaseException | None) -> None:
        """Raise all failures in a group, and clear the list.

        The group includes ``during``: otherwise a test that expects this exception would pass. If
        ``during`` fails the test in any case, it stays, with notes about the failures.
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
    """Return an application with the same handlers, whose failures are added to ``failures``."""

    def remember(message: Message, peer: Peer, error: BaseException) -> None:
        failures.note_of(message, error)

    same = copy.copy(application)
    same.failure_hooks = [*application.failure_hooks, remember]
    return same


def _is_seen(error: BaseException) -> bool:
    """Say whether an exception fails the test in any case, or ends the program."""
    pytest = sys.modules.get("pytest")
    if pytest is not None and isinstance(error, (pytest.fail.Exception, pytest.exit.Exception)):
        return True
    return isinstance(error, _ENDS)
