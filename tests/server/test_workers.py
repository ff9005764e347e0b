"""Workers: processes that share an address, are not missed for long, and end together."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telex import Address, Message, TelexError
from telex.network.listener import SharedAddress
from telex.server.workers import run_workers
from telex.tls import client_context
from tests.certificates import Authority
from tests.sync.stage import PATIENCE, receive_one, receive_until_goodbye, wait_until
from tests.talking import Talker

PROGRAM = """
import asyncio, logging, os, select, signal, sys, time
from functools import partial
import telex, telex.tls
from telex.network.listener import SharedAddress
from telex.server.workers import run_workers

front_end, address, count, *pair = sys.argv[1:]
logging.basicConfig(level=logging.INFO, format="%(message)s")
app = telex.Application()
limits = telex.Limits(drain_timeout=60)
context = telex.tls.server_context(*pair) if pair else None
servers = []

@app.on("who")
def who(message):
    return os.getpid()

@app.on("work")
def work(message):
    time.sleep(0.0005)
    return message.content

@app.on("stuck")
def stuck(message):
    print("stuck", flush=True)
    while not servers[0]._is_ending:
        time.sleep(0.01)
    print("told to end", flush=True)
    for _ in range(6000):  # a signal just before a sleep is heeded after it
        time.sleep(0.01)

@app.on("leave")
def leave(message):
    os._exit(7)

with SharedAddress(telex.Address.parse(address)) as shared:

    def serve_blocking(end_all):
        with telex.sync.serve(app, shared, limits=limits, tls=context) as server:
            servers.append(server)
            server.serve_forever()

    def serve_with_asyncio(end_all):
        async def main():
            async with telex.asyncio.serve(app, shared, limits=limits, tls=context) as server:
                await server.serve_forever()
        asyncio.run(main())

    def fail(end_all):
        raise RuntimeError("this worker does not work")

    def be_deaf(end_all):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)

    def end_all_at_a_signal(end_all):
        def end_all_repeatedly(number, frame):
            for _ in range(3):
                end_all()
            os.write(1, b"asked\\n")

        signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"told\\n"))
        signal.signal(signal.SIGUSR1, end_all_repeatedly)
        os.write(1, b"ready\\n")
        while not select.select([sys.stdin], [], [], 0.01)[0]:
            pass  # a signal just before it waits is heeded after it

    work = {
        "sync": serve_blocking,
        "asyncio": serve_with_asyncio,
        "fail": fail,
        "deaf": be_deaf,
        "asking": end_all_at_a_signal,
    }[front_end]
    print(shared.address, flush=True)
    drain_timeout = float(os.environ.get("DRAIN_TIMEOUT", "0.1"))
    reload = partial(telex.tls.reload_certificates, context) if pair else None
    code = run_workers(int(count), shared, work, reload=reload, drain_timeout=drain_timeout)
sys.exit(code)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

HIT_WHEN_FORKED = """
import os, signal

fork, forked = os.fork, []

def fork_and_be_hit():
    forked.append(fork())
    if forked == [0]:
        os.kill(os.getpid(), signal.{})
    return forked[-1]

os.fork = fork_and_be_hit
"""
"""Has the first worker get a signal before it has done anything."""

MANY_DESCRIPTORS = """
import os, resource

most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
"""
"""Has the numbers of all further descriptors be beyond what select(2) takes."""

FORKS_ONCE = """
import errno, os

fork, forked = os.fork, []

def fork_once():
    if forked:
        raise BlockingIOError(errno.EAGAIN, f"cannot fork beside {forked[0]}")
    forked.append(fork())
    return forked[0]

os.fork = fork_once
"""
"""Has the system make no second process."""

SOON_BY_FORCE = """
import telex.server.workers

telex.server.workers._GRACE_SECONDS = {}
"""

WHO = Message("", kind="request", id=1, subject="who").to_bytes()


class Program:
    """Workers and their supervisor, started by the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        [address] = self.lines(1)
        self.address = Address.parse(address)

    def lines(self, count: int) -> list[str]:
        """Return the next lines that it prints."""
        assert self.process.stdout is not None
        return [self.process.stdout.readline().strip() for _ in range(count)]

    def plug_in(self) -> socket.socket:
        """Connect a plain socket, as soon as somebody listens."""
        where: Any = (self.address.host, self.address.port)
        family = socket.AF_INET
        if self.address.scheme == "unix":
            where, family = self.address.path, socket.AF_UNIX
        deadline = time.monotonic() + PATIENCE
        while True:
            sock = socket.socket(family)
            sock.settimeout(PATIENCE)
            try:
                sock.connect(where)
            except (ConnectionRefusedError, FileNotFoundError):
                sock.close()
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.005)
            else:
                return sock

    def ask_who(self) -> int:
        """Return the process that a new connection comes to."""
        with self.plug_in() as sock:
            sock.sendall(WHO)
            return int(receive_one(sock).content)

    def workers(self, count: int) -> set[int]:
        """Return the processes that serve, which must be so many."""
        known: set[int] = set()

        def all_are_known() -> bool:
            with contextlib.suppress(ConnectionError, AssertionError):
                known.add(self.ask_who())
            known.intersection_update(children_of(self.process.pid))
            return len(known) == count

        wait_until(all_are_known, f"{count} workers serve")
        return known

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait until it is taken: those that meet on their way are one."""
        self.process.send_signal(number)
        status = Path(f"/proc/{self.process.pid}/status")

        def is_taken() -> bool:
            [pending] = re.findall(r"^ShdPnd:\s*([0-9a-f]+)", status.read_text(), re.MULTILINE)
            return not int(pending, 16) >> number - 1 & 1

        wait_until(is_taken, f"{number.name} is taken")

    def ends(self, code: int = 0) -> str:
        """Wait until it has ended with this exit code, and return what it logged."""
        _, log = self.process.communicate(timeout=2 * PATIENCE)
        assert self.process.returncode == code, log
        return log


@contextlib.contextmanager
def program(
    front_end: str = "sync",
    address: str = "tcp://127.0.0.1:0",
    count: int = 2,
    *pair: Path,
    before: str = "",
) -> Iterator[Program]:
    """Run the program for the time of the context, with other code ``before`` it."""
    arguments = [front_end, address, str(count), *map(str, pair)]
    command = [sys.executable, "-c", before + PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def children_of(process: int) -> set[int]:
    """Return the processes that a process has forked."""
    children = Path(f"/proc/{process}/task/{process}/children")
    return {int(number) for number in children.read_text().split()}


def is_alive(process: int) -> bool:
    """Say whether a process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_workers_share_a_port(front_end: str) -> None:
    """Connections are divided among the processes; one signal ends them all, well."""
    with program(front_end, count=3) as running:
        workers = running.workers(3)
        assert running.process.pid not in workers
        with running.plug_in() as sock:
            sock.sendall(WHO)
            receive_one(sock)
            running.process.send_signal(signal.SIGTERM)
            receive_until_goodbye(sock)
        log = running.ends()
    assert "drained" in log or front_end == "asyncio"
    assert not any(is_alive(worker) for worker in workers)


@pytest.mark.parametrize("count", [1, 2])
def test_workers_share_a_unix_socket(tmp_path: Path, count: int) -> None:
    """All of them accept from the same file, which goes when all have ended, and not before."""
    path = tmp_path / "telex.sock"
    with program(address=f"unix://{path}", count=count) as running:
        workers = running.workers(count)
        os.kill(min(workers), signal.SIGKILL)
        assert running.workers(count) != workers
        assert path.exists()
        running.process.send_signal(signal.SIGINT)
        running.ends()
    assert not path.exists()


def test_workers_share_an_abstract_unix_socket() -> None:
    """There is no file that one of them could remove."""
    with program(address=f"unix://@telex-test-{os.getpid()}") as running:
        where = f"\0{running.address.path[1:]}"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(where)
            sock.sendall(WHO)
            assert int(receive_one(sock).content) in children_of(running.process.pid)
        running.process.send_signal(signal.SIGTERM)
        running.ends()


def test_killed_worker_is_replaced_within_a_second() -> None:
    """Under load: who was with the other worker notices nothing, and a new one soon serves too."""
    with program() as running:
        workers = running.workers(2)
        victim, survivor = sorted(workers)
        clients = [Talker(running.plug_in()) for _ in range(20)]
        homes = [int(client.answer_to(client.ask("", subject="who")).content) for client in clients]
        assert set(homes) == workers
        answers = dict.fromkeys(range(len(clients)), 0)
        losses: set[int] = set()
        stop = threading.Event()

        def ask_on(position: int) -> None:
            client = clients[position]
            try:
                while not stop.is_set():
                    client.answer_to(client.ask(position, subject="work"))
                    answers[position] += 1
            except (TelexError, ConnectionError):
                losses.add(position)

        threads = [threading.Thread(target=ask_on, args=(n,)) for n in range(len(clients))]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(answers.values()) > 5, "all are served")
        os.kill(victim, signal.SIGKILL)

        def is_replaced() -> bool:
            children = children_of(running.process.pid)
            return len(children) == 2 and victim not in children

        wait_until(is_replaced, "another process is there")
        now_serving = running.workers(2)
        assert survivor in now_serving
        before = dict(answers)
        at_home = [position for position, home in enumerate(homes) if home == survivor]
        wait_until(lambda: all(answers[n] > before[n] + 5 for n in at_home), "the other goes on")
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        for client in clients:
            client.socket.close()
        assert losses == {position for position, home in enumerate(homes) if home == victim}
        running.process.send_signal(signal.SIGTERM)
        log = running.ends()
    assert f"worker {victim}: killed by SIGKILL; another one takes its place" in log


def test_worker_that_leaves_is_replaced() -> None:
    """A process that ends by itself is missed like one that was killed."""
    with program(count=1) as running:
        [worker] = running.workers(1)
        with running.plug_in() as sock:
            sock.sendall(Message("", subject="leave").to_bytes())
            assert sock.recv(1) == b""
        assert running.workers(1) != {worker}
        running.process.send_signal(signal.SIGTERM)
        log = running.ends()
    assert f"worker {worker}: ended with exit code 7; another one takes its place" in log


def test_workers_that_die_again_and_again_are_given_up() -> None:
    """A program that cannot work does not fork for ever: exit code 1, and the reason in the log."""
    with program("fail") as running:
        log = running.ends(1)
    assert "giving up: workers died 10 times in 10 seconds" in log
    assert len(re.findall(r"RuntimeError: this worker does not work", log)) in (10, 11)


def test_second_signal_ends_workers_at_once() -> None:
    """It is passed on, and so it ends handlers that the first one waited for."""
    with program() as running, running.plug_in() as sock:
        running.workers(2)
        sock.sendall(Message("", subject="stuck", kind="request", id=1).to_bytes())
        assert running.lines(1) == ["stuck"]
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.lines(1) == ["told to end"]  # signals that meet on their way are one
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        running.ends()
        assert time.monotonic() - begun < PATIENCE


def test_third_signal_ends_workers_by_force() -> None:
    """A worker that heeds no signal is killed in the end, and the exit code says so."""
    with program("deaf", count=1) as running:
        assert running.lines(1) == ["deaf"]
        for _ in range(2):
            running.send_signal(signal.SIGTERM)
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        log = running.ends(1)
    assert "killed by SIGKILL while it was ending" in log


def test_workers_end_with_their_supervisor() -> None:
    """Should the supervisor be killed, nobody serves on without anybody knowing."""
    with program() as running:
        workers = running.workers(2)
        running.process.kill()
        wait_until(lambda: not any(is_alive(worker) for worker in workers), "the workers end")


def test_handler_that_hangs_does_not_outlive_the_supervisor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has not drained in time when the supervisor is gone is told once more: at once."""
    monkeypatch.setenv("DRAIN_TIMEOUT", str(5.0 - PATIENCE))  # told after 5 s, ended after 35
    before = SOON_BY_FORCE.format(PATIENCE)
    with program(count=1, before=before) as running, running.plug_in() as sock:
        sock.sendall(Message("", subject="stuck", kind="request", id=1).to_bytes())
        assert running.lines(1) == ["stuck"]
        running.process.kill()
        log = running.ends(-signal.SIGKILL)
    assert "0 connections drained, 1 cut off with 1 unanswered requests" in log


def test_worker_that_heeds_no_signal_does_not_outlive_the_supervisor() -> None:
    """It ends itself by force in the end, for nobody else would."""
    with program("deaf", count=1, before=SOON_BY_FORCE.format(0.1)) as running:
        assert running.lines(1) == ["deaf"]
        [worker] = children_of(running.process.pid)
        running.process.kill()
        wait_until(lambda: not is_alive(worker), "the worker ends")


def test_workers_without_a_supervisor_may_drain_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has set no end to draining is not hurried: they are told once."""
    monkeypatch.setenv("DRAIN_TIMEOUT", "inf")
    with program("asking", count=1) as running:
        assert running.lines(1) == ["ready"]
        running.process.kill()
        assert running.lines(1) == ["told"]
        assert running.ends(-signal.SIGKILL) == ""


def test_signal_to_a_worker_that_was_just_forked_is_its_own() -> None:
    """Before it is told apart from the supervisor, the supervisor is not told in its stead."""
    with program(before=HIT_WHEN_FORKED.format("SIGTERM")) as running:
        running.workers(2)
        running.process.send_signal(signal.SIGTERM)
        log = running.ends()
    assert log.count("killed by SIGTERM; another one takes its place") == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_signal_of_the_terminal_is_the_supervisors_alone(name: str) -> None:
    """A worker that was just forked is still reached by Ctrl-C, and leaves it to the other."""
    with program(before=HIT_WHEN_FORKED.format(name)) as running:
        running.workers(2)
        running.process.send_signal(signal.SIGTERM)
        log = running.ends()
    assert "killed" not in log


def test_workers_that_end_all_do_so_once() -> None:
    """However many ask for it, and how often: all are told as by one signal, and not hurried."""
    with program("asking") as running:
        assert running.lines(2) == ["ready"] * 2
        for worker in children_of(running.process.pid):
            os.kill(worker, signal.SIGUSR1)
        assert sorted(running.lines(4)) == ["asked"] * 2 + ["told"] * 2
        running.process.send_signal(signal.SIGTERM)
        assert running.lines(2) == ["told"] * 2
        running.ends()


def serials(running: Program, authority: Authority, least: int = 20) -> set[str]:
    """Return the serial numbers of the certificates that so many connections see."""
    seen = []
    for _ in range(least):
        context = client_context(authority.file)
        with context.wrap_socket(running.plug_in(), server_hostname="localhost") as sock:
            certificate = sock.getpeercert()
            assert certificate is not None
            seen.append(str(certificate["serialNumber"]))
    return set(seen)


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_hangup_loads_certificates_in_every_worker(front_end: str, tmp_path: Path) -> None:
    """SIGHUP to the supervisor: all workers show the new certificate, later ones too."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", common_name="first")
    with program(front_end, "tls://127.0.0.1:0", 2, *pair) as running:
        [first] = serials(running, authority)
        authority.issue("localhost", common_name="second")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: first not in serials(running, authority), "all show the new one")
        before = children_of(running.process.pid)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not before & children_of(running.process.pid), "others are there")
        assert first not in serials(running, authority)
        running.process.send_signal(signal.SIGTERM)
        running.ends()


@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_hangup_waits_until_a_worker_serves(front_end: str, tmp_path: Path) -> None:
    """A worker that was just forked is not ended by it, and shows the new certificate."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", common_name="first")
    before = HIT_WHEN_FORKED.format("SIGHUP")
    with program(front_end, "tls://127.0.0.1:0", 1, *pair, before=before) as running:
        serials(running, authority)
        running.process.send_signal(signal.SIGTERM)
        log = running.ends()
    assert log.count("certificates loaded again") == 1
    assert "killed" not in log


def test_hangup_without_certificates_ends_everything() -> None:
    """Where there is nothing to load again, a terminal that goes takes the server with it."""
    with program() as running:
        running.workers(2)
        running.process.send_signal(signal.SIGHUP)
        running.ends()


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1_500,
    reason="this system lets no process have so many descriptors",
)
@pytest.mark.parametrize("front_end", ["sync", "asyncio"])
def test_workers_serve_a_program_with_many_descriptors(front_end: str) -> None:
    """The numbers of descriptors have no bound but the system's."""
    with program(front_end, before=MANY_DESCRIPTORS) as running:
        running.workers(2)
        running.process.send_signal(signal.SIGTERM)
        running.ends()


@pytest.mark.parametrize("front_end", ["sync", "deaf"])
def test_no_worker_is_left_behind_by_a_supervisor_that_fails(front_end: str) -> None:
    """Those that were made end before it does, if need be by force."""
    with program(front_end, before=FORKS_ONCE + SOON_BY_FORCE.format(0.1)) as running:
        log = running.ends(1)
    [worker] = re.findall(r"cannot fork beside (\d+)", log)
    assert not is_alive(int(worker))


def test_number_of_workers_is_checked() -> None:
    """No workers are no server."""
    shared = SharedAddress(Address.parse("tcp://127.0.0.1:0"))
    with shared, pytest.raises(ValueError, match="at least 1 worker, not 0"):
        run_workers(0, shared, lambda end_all: None)
