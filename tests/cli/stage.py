"""What the tests of the command line act on: ``telex`` in this process, or in one of its own.

A process of its own is for what belongs to processes: signals, pipes and terminals.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from subprocess import PIPE
from typing import IO, NamedTuple

import pytest

from telex import Address
from telex.cli.program import run
from telex.sync import Connection, connect
from tests.sync.stage import PATIENCE, wait_until

COMMAND = [sys.executable, "-m", "telex"]
ANY_PORT = "tcp://127.0.0.1:0"


class Outcome(NamedTuple):
    """What a command left behind: its exit code, and the lines that it printed."""

    code: int
    output: list[str]
    errors: list[str]


class Telex:
    """``telex`` in this process; call it with a command line."""

    def __init__(self, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: str, given: bytes = b"") -> Outcome:
        """Run a command line, with ``given`` as standard input."""
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        self._capture.readouterr()
        code = run(arguments)
        output, errors = self._capture.readouterr()
        return Outcome(code, output.splitlines(), errors.splitlines())


class Program:
    """``telex`` in a process of its own, whose lines are read as it prints them."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(stream, lines), daemon=True)
            for stream, lines in ((process.stdout, self.output), (process.stderr, self.errors))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str) -> str:
        """Wait until a line with ``text`` was printed, on either stream, and return it.

        Fails with what was printed as an error when the program ends without such a line.
        """
        wait_until(lambda: self._lines_with(text) or self._has_ended(), f"a line with {text!r}")
        lines = self._lines_with(text)
        if not lines:
            code, errors = self.process.returncode, "\n".join(self.errors)
            pytest.fail(f"it ended with code {code} and without a line with {text!r}\n{errors}")
        return lines[0]

    def end(self, signal_number: int | None = None) -> int:
        """Wait for the end, after a signal if there is one; return the exit code."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        code = self.process.wait(PATIENCE)
        self.read_to_the_end()
        return code

    def read_to_the_end(self) -> None:
        """Wait until all that the process has printed is here; it must have ended."""
        for reader in self._readers:
            reader.join(PATIENCE)

    def _has_ended(self) -> bool:
        """Say whether it has ended; all that it has printed is here then."""
        if self.process.poll() is None:
            return False
        self.read_to_the_end()
        return True

    def _lines_with(self, text: str) -> list[str]:
        return [line for line in (*self.output, *self.errors) if text in line]


@contextlib.contextmanager
def program(*arguments: str, stdout: int = PIPE, stderr: int = PIPE) -> Iterator[Program]:
    """Run ``telex`` for the time of the context at the most."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=PIPE, stdout=stdout, stderr=stderr
    ) as process:
        running = Program(process)
        try:
            yield running
        finally:
            process.kill()
            running.read_to_the_end()  # the streams are closed next


@contextlib.contextmanager
def serving(*arguments: str, listen: str = ANY_PORT) -> Iterator[tuple[Program, Address]]:
    """Run ``telex serve`` for the time of the context at the most; say where it listens."""
    with program("serve", "--listen", listen, *arguments) as server:
        announcement = server.wait_for("listening on ")
        yield server, Address.parse(announcement.removeprefix("listening on "))


def connected(address: Address | str) -> Connection:
    """Connect to a server that may not listen yet."""
    connections: list[Connection] = []

    def is_connected() -> bool:
        with contextlib.suppress(ConnectionError):
            connections.append(connect(address))
        return bool(connections)

    wait_until(is_connected, f"{address} is listened on")
    return connections[0]


def _read(stream: IO[bytes], lines: list[str]) -> None:
    for line in stream:
        text = line.decode("utf-8")
        lines.append(text.removesuffix("\n"))
