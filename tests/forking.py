"""Runs a function in a forked process, and brings back what it returned."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

PATIENCE = 30.0
"""Seconds after which a process counts as hanging."""


def in_fork(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a forked process, which ends then."""
    with forked(function) as outcome:
        return outcome()


@contextlib.contextmanager
def forked(function: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    """Fork a process for the time of the context; give what waits for the function's result."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test has more threads, of course
        process = os.fork()
    if not process:
        os.close(reader)
        try:
            result = ("returned", function())
        except BaseException:  # noqa: BLE001 - the parent fails with it
            result = ("raised", traceback.format_exc())
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(writer)

    def outcome() -> Any:
        ready, _, _ = select.select([reader], [], [], PATIENCE)
        assert ready, "the forked process hangs"
        with os.fdopen(os.dup(reader), "rb") as pipe:
            how, what = pickle.load(pipe)
        assert how == "returned", what
        return what

    try:
        yield outcome
    finally:
        os.close(reader)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
