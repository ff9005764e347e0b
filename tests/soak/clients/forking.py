"""Clients that fork, in a process of their own: ``python -m tests.soak.clients.forking OPTIONS``.

The child uses the connection of its parent, and must be told in each method that it is not its own;
the parent's requests must be answered all the same. A process with other threads must not fork, so
this one has none.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import telex.sync
from telex import TelexError
from tests.soak.problems import Problems
from tests.soak.process import answer_commands

_REQUESTS: Final = 5
_TIMEOUT: Final = 40.0
_WRONG: Final = 1
"""Exit code of a child that could use its parent's connection."""


class Forking:
    """A client that forks in each of its lives."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._address: Final[str] = options["address"]
        self._dice: Final = random.Random(f"{options['seed']} forking")
        authority = options["authority"]
        tls = None if authority is None else telex.tls.client_context(ca=authority)
        self._options: Final = {"token": options["token"], "tls": tls, "timeout": _TIMEOUT}
        self.outcomes: Final[Counter[str]] = Counter()
        self.problems: Final = Problems()

    def run(self, seconds: float) -> None:
        """Live again and again for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.outcomes[self._live()] += 1
            except (TelexError, OSError) as error:
                code = getattr(error, "code", "")
                self.outcomes[f"{type(error).__name__} {code}"] += 1
            time.sleep(self._dice.uniform(0, 0.2))

    def report(self) -> dict[str, Any]:
        """Tell what has happened so far."""
        return {"outcomes": self.outcomes, "problems": self.problems.texts()}

    def _live(self) -> str:
        with telex.sync.connect(self._address, **self._options) as connection:
            self._ask(connection, "before")
            child = os.fork()
            if child == 0:
                os._exit(self._code_of_child(connection))
            try:
                for _ in range(_REQUESTS):
                    self._ask(connection, "beside")
            finally:
                _, status = os.waitpid(child, 0)
            if status:
                self.problems.add(
                    f"forking: the child ended with {os.waitstatus_to_exitcode(status)}"
                )
            self._ask(connection, "after")
        return "closed"

    def _ask(self, connection: telex.sync.Connection, what: str) -> None:
        content = {"number": -self._dice.randrange(1, 1 << 30)}
        answer = connection.request(content, subject="number", timeout=_TIMEOUT).content
        if answer != content:
            self.problems.add(f"forking: asked {what} the child with {content}, answered {answer}")

    def _code_of_child(self, connection: telex.sync.Connection) -> int:
        """Use the parent's connection in the child; return the exit code."""
        uses: list[Callable[[], object]] = [
            lambda: connection.send("from the child"),
            lambda: connection.request({"number": 0}, subject="number", timeout=5.0),
            lambda: connection.receive(0.1),
            lambda: connection.ping(5.0),
        ]
        try:
            for use in self._dice.sample(uses, self._dice.randint(0, len(uses))):
                try:
                    use()
                except (TelexError, RuntimeError) as error:
                    if str(os.getppid()) not in str(error):
                        return _WRONG
                else:
                    return _WRONG
        except BaseException:  # noqa: BLE001 - the parent is told by the exit code
            return _WRONG
        return 0


if __name__ == "__main__":
    forking = Forking(json.loads(sys.argv[1]))
    answer_commands({"run": forking.run, "report": forking.report})
