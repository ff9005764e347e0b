"""Programs that a test runs in a process of their own, because of what they do to the process."""

from __future__ import annotations

import os
import subprocess
import sys

PATIENCE = 60.0
"""Seconds after which a program is ended; on a sound machine each takes far less."""

FRONT_ENDS = ["sync", "asyncio", "uvloop"]

_BEGIN = """
import asyncio, logging, os, sys
import telex, telex.asyncio, telex.sync
from telex.testing.loop_thread import LoopThread
from telex.testing.serving import start

logging.getLogger("telex").addHandler(logging.NullHandler())
front_end, *arguments = sys.argv[1:]
if front_end == "uvloop":
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
kind = "sync" if front_end == "sync" else "asyncio"

class Driven:
    # A client of the front-end, whose methods block.

    def __init__(self, address, **options):
        self.thread = None if kind == "sync" else LoopThread()
        try:
            if self.thread is None:
                self.connection = telex.sync.connect(address, **options)
            else:
                async def connect():
                    return await telex.asyncio.connect(address, **options)

                self.connection = self.thread.do(connect())
        except BaseException:
            self.stop()
            raise

    def do(self, name, *arguments, **keywords):
        result = getattr(self.connection, name)(*arguments, **keywords)
        return result if self.thread is None else self.thread.do(result)

    def stop(self):
        if self.thread is not None:
            self.thread.stop()
            assert self.thread.unhandled == [], self.thread.unhandled
"""


def run_program(program: str, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    """Run a program for a front-end, ``arguments[0]``; return its output, once it ended well.

    It begins with ``kind``, the front-end of a server for ``telex.testing``, and with ``Driven``, a
    client whose methods are called by name.
    """
    ended = subprocess.run(
        [sys.executable, *flags, "-c", _BEGIN + program, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=dict(os.environ),
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout
