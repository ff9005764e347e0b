"""The processes of a contestant, as the one that starts them sees them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.peers.catalogue import Build, Entrant
from benchmarks.peers.contestants.base import Service

PROJECT: Final = Path(__file__).parent.parent.parent

_PATIENCE: Final = 60.0
"""Seconds without an answer after which a process is taken to hang, and ended."""


class ContestantError(Exception):
    """A contestant could not do what it was asked; its text says why."""


class Process:
    """A process that talks in lines of JSON, for the time of the context."""

    def __init__(self, entrant: Entrant, module: str, *arguments: str) -> None:
        self._what: Final = f"{module} of {entrant.name}"
        self._errors: Final = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed at the end
        self._process: Final = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.peers.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=PROJECT,
            env=environment_of(entrant.directory),
        )
        self.pid: Final = self._process.pid

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Say something, and return the answer; raises ContestantError."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(question), file=self._process.stdin, flush=True)
        return self.next_line()

    def next_line(self) -> dict[str, Any]:
        """Return what it says next; raises ContestantError when it has ended, or hangs."""
        assert self._process.stdout is not None
        watch = threading.Timer(_PATIENCE, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            exit_code = self._process.wait()
            self._errors.seek(0)
            last_words = self._errors.read().strip().rpartition("\n")[2]
            raise ContestantError(f"the {self._what} ended with {exit_code}: {last_words}")
        said: dict[str, Any] = json.loads(line)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._errors, self._process:
            self._process.kill()


class Pair:
    """A server of a contestant and a client that is connected to it, for the time of the context.

    Raises ContestantError when one of them fails, or has another Telex than it should.
    """

    def __init__(self, entrant: Entrant, service: Service) -> None:
        self._entrant: Final = entrant
        self._processes: Final = contextlib.ExitStack()
        with contextlib.ExitStack() as processes:
            self.server: Final = processes.enter_context(self._start("server", service))
            self.port: Final[int] = self._introduced(self.server)["port"]
            self.client: Final = processes.enter_context(
                self._start("client", service, str(self.port))
            )
            self._introduced(self.client)
            self._processes.enter_context(processes.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End server and client; harmless when repeated."""
        self._processes.close()

    def _start(self, module: str, *arguments: str) -> Process:
        entrant = self._entrant
        return Process(entrant, module, entrant.module, entrant.contestant.key, *arguments)

    def _introduced(self, process: Process) -> dict[str, Any]:
        """Return what a process says first, when it has the Telex that it should have."""
        said = process.next_line()
        wanted = self._entrant.build
        if wanted is not None and said["is_compiled"] != (wanted is Build.COMPILED):
            raise ContestantError(f"the telex in {self._entrant.directory} is not {wanted}")
        return said


def environment_of(directory: Path | None) -> dict[str, str]:
    """Return the environment in which a process finds Telex in this directory, or where it is."""
    first = [] if directory is None else [str(directory)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*first, *filter(None, sys.path)]),
    }
