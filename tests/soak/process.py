"""A process of the soak, asked over its standard input: a line of JSON each way.

``Process`` is the side that asks, ``answer_commands`` the side that is asked. Neither knows what is
asked for.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_PROJECT: Final = Path(__file__).parent.parent.parent
_PATIENCE: Final = 100.0
"""Seconds that a process may take for an answer, beside the time that the work takes."""

QUIET_SECONDS: Final = 12.0
"""How long a process may take to be done with clients that have all left."""

Commands = Mapping[str, Callable[..., object]]


class ProcessFailedError(Exception):
    """A process of the soak ended, or gave no answer."""


class Process:
    """A Python module in a process of its own, for the time of the context."""

    def __init__(self, module: str, options: Mapping[str, object]) -> None:
        self.module: Final = module
        self._process: Final = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", module, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_PROJECT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                # What threads have freed is to be had by all of them, and counted as free.
                "MALLOC_ARENA_MAX": "1",
                "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
            },
        )
        self._received = b""

    def ask(self, command: str, *arguments: object, seconds: float = 0.0) -> Any:
        """Have a command run that takes about ``seconds``; return what it returned."""
        self.begin(command, *arguments)
        return self.answer(command, seconds)

    def begin(self, command: str, *arguments: object) -> None:
        """Have a command run, and do not wait for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProcessFailedError(f"{self.module} ended with {self._process.wait()}") from None

    def answer(self, command: str, seconds: float = 0.0) -> Any:
        """Wait for the end of a command that was begun; return what it returned."""
        return json.loads(self._line(command, seconds + _PATIENCE))

    def end(self) -> int:
        """End the standard input, wait for the end of the process, and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise ProcessFailedError(f"{self.module} did not end in {_PATIENCE:g} s") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        with self._process:
            pass

    def _line(self, command: str, seconds: float) -> bytes:
        """Return the next line that the process writes, within ``seconds``."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(seconds):
                    raise ProcessFailedError(f"{self.module}: no answer to {command!r}")
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    code = self._process.wait()
                    raise ProcessFailedError(f"{self.module} ended with {code} at {command!r}")
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def answer_commands(commands: Commands) -> None:
    """Run each command that comes on the standard input, until that ends."""
    try:
        for line in sys.stdin:
            command, *arguments = json.loads(line)
            print(json.dumps(commands[command](*arguments)), flush=True)  # noqa: T201
    except BaseException:  # noqa: BLE001 - in a thread, nobody else would end the process
        traceback.print_exc()
        os._exit(1)
