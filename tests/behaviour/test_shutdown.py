"""The end of a server, a process of its own: under load, in a hurry, and with peers that stay."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import pytest

from telex import Address, Message
from telex.testing.serving import FrontEnd
from tests.behaviour.stage import PATIENCE, receive_until_goodbye, wait_until
from tests.load import Load

PROGRAM = """
import asyncio, logging, sys, threading, time
import telex, telex.asyncio, telex.sync

app = telex.Application()
handled = 0
lock = threading.Lock()

def count():
    global handled
    with lock:
        handled += 1

@app.on("direct")
def direct(message):
    count()
    return message.content

@app.on("blocking", blocking=True, concurrent=True)
def blocking(message):
    time.sleep(0.002)
    count()
    return message.content

@app.on("parts")
def parts(message):
    count()
    yield message.content

@app.on("stuck")
def stuck(message):
    print("stuck", flush=True)
    time.sleep(60)

@app.on("stuck.thread", blocking=True)
def stuck_thread(message):
    stuck(message)

@app.on_shutdown
def say():
    print("handled", handled, flush=True)

logging.basicConfig(level=logging.INFO, format="%(message)s")
limits = telex.Limits(drain_timeout=float(sys.argv[1]))

async def serve():
    async with telex.asyncio.serve(app, "tcp://127.0.0.1:0", limits=limits) as server:
        print(server.address, flush=True)
        await server.serve_forever()

if sys.argv[2] == "asyncio":
    asyncio.run(serve())
else:
    with telex.sync.serve(app, "tcp://127.0.0.1:0", limits=limits) as server:
        print(server.address, flush=True)
        server.serve_forever()
print("ended", flush=True)
"""


class Program:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = Address.parse(self.line())

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def plug_in(self) -> socket.socket:
        """Connect a plain socket."""
        return socket.create_connection((self.address.host, self.address.port), PATIENCE)

    def ends(self) -> str:
        """Wait until it has ended, and return what it logged; the exit code must be 0."""
        _, log = self.process.communicate(timeout=2 * PATIENCE)
        assert self.process.returncode == 0, log
        return log


class Run(Protocol):
    """Runs the program for the time of a context."""

    def __call__(self, drain_timeout: float = 60.0) -> AbstractContextManager[Program]:
        """Run it with this limit."""


@pytest.fixture
def program(server_kind: FrontEnd) -> Run:
    """Run the program with the server under test."""

    @contextlib.contextmanager
    def run(drain_timeout: float = 60.0) -> Iterator[Program]:
        command = [sys.executable, "-c", PROGRAM, str(drain_timeout), server_kind]
        with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
            try:
                yield Program(process)
            finally:
                process.kill()

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load_loses_nothing(program: Run, number: signal.Signals) -> None:
    """Every request that was handled is answered; every client sees a close, and nothing else."""
    subjects = ("direct", "blocking", "parts")
    with program() as running, Load(running.address, 50, lambda n: subjects[n % 3]) as load:
        wait_until(load.all_are_served, "all clients are served")
        running.process.send_signal(number)
        handled = int(running.line().removeprefix("handled "))
        assert running.line() == "ended"
        log = running.ends()
    assert [experience.trouble for experience in load.experiences] == [None] * 50
    assert {experience.farewell for experience in load.experiences} == {"shutting-down"}
    assert {code for e in load.experiences for code in e.codes} <= {"shutting-down"}
    assert load.answered == handled
    [line] = log.splitlines()
    assert line == (
        "shut down: 50 connections drained, 0 cut off with 0 unanswered requests and 0 unsent bytes"
    )


def test_what_is_cut_off_is_counted(program: Run) -> None:
    """After drain_timeout, a handler that is not done and a peer that does not read are left."""
    large = Message("x" * 15_000_000, kind="request", id=1, subject="direct").to_bytes()
    with (
        program(drain_timeout=0.5) as running,
        running.plug_in() as stuck,
        running.plug_in() as deaf,
        running.plug_in() as good,
    ):
        for subject, sock in (("stuck.thread", stuck), ("direct", good)):
            sock.sendall(Message(7, kind="request", id=1, subject=subject).to_bytes())
        assert running.line() == "stuck"
        deaf.sendall(large)
        assert deaf.recv(1)
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        [answer] = receive_until_goodbye(good)
        assert answer.content == 7
        good.close()
        log = running.ends()
        assert 0.4 < time.monotonic() - begun < PATIENCE
    found = re.search(
        r"shut down: 1 connections drained, 2 cut off with 1 unanswered requests "
        r"and ([0-9]+) unsent bytes",
        log,
    )
    assert found is not None, log
    assert int(found[1]) > 5_000_000


# A handler that holds an event loop holds its signals as well: that is asyncio's to decide.
@pytest.mark.parametrize(
    ("server_kind", "subject"),
    [("sync", "stuck"), ("sync", "stuck.thread"), ("asyncio", "stuck.thread")],
)
def test_second_signal_ends_at_once(program: Run, subject: str) -> None:
    """Whatever a handler does, in the server's thread or in another, nobody has to wait for it."""
    with program() as running, running.plug_in() as sock:
        sock.sendall(Message("", subject=subject, kind="request", id=1).to_bytes())
        assert running.line() == "stuck"
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert running.process.poll() is None
        while running.process.poll() is None:  # signals that meet on their way are one
            running.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(PATIENCE / 5)  # to end takes a process under load a while
            assert time.monotonic() - begun < PATIENCE
        log = running.ends()
        assert time.monotonic() - begun < PATIENCE
    assert "1 cut off with 1 unanswered requests" in log


def test_peer_that_does_nothing_holds_up_nobody(program: Run) -> None:
    """A client that is connected and looks at nothing is told, and not waited for."""
    with program() as running, running.plug_in() as idle:
        idle.sendall(Message(1, subject="direct").to_bytes())
        assert idle.recv(1)
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        running.ends()
        assert time.monotonic() - begun < PATIENCE
        rest = b"\0" + idle.recv(1 << 18)
        assert b'"kind":"close"' in rest
