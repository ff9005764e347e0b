"""Ways to serve: with threads or an event loop, in one process or in several, and their ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from telex import Address, Message
from tests.certificates import Authority
from tests.cli.stage import ANY_PORT, Telex, program, serving
from tests.server.test_workers import children_of
from tests.sync.stage import PATIENCE, receive_until_goodbye, wait_until

APPLICATION = """
import asyncio
import os
import pathlib
import time

import telex

app = telex.Application()
async_app = telex.Application()


@app.on("process")
def process(message):
    return os.getpid()


@app.on("slow")
def slow(message):
    print("at work", flush=True)
    while not pathlib.Path("done").exists():
        time.sleep(0.01)
    return "done"


@app.on("loop")
@async_app.on("loop")
def loop(message):
    try:
        return type(asyncio.get_running_loop()).__module__
    except RuntimeError:
        return "none"


@async_app.on("wait")
async def wait(message):
    await asyncio.sleep(0)
    return "waited"


broken_app = telex.Application()
broken_async_app = telex.Application()
replaced_app = telex.Application()
replaced_app.on("process")(process)


@broken_app.on_startup
def open_shop():
    os.environ["NO_SUCH"]


@broken_async_app.on_startup
async def later():
    await asyncio.sleep(0)
    pathlib.Path("shop.toml").open()


@replaced_app.on_startup
def open_shop_once():
    if pathlib.Path("broken").exists():
        pathlib.Path("broken").unlink()
        os.environ["NO_SUCH"]


@app.on("who")
@async_app.on("who")
def who(message, peer):
    return peer.identity
"""


@pytest.fixture(autouse=True)
def in_the_directory_of_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test find the applications of ``shop.py``."""
    (tmp_path / "shop.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)


def answer(telex: Telex, address: object, subject: str, *options: str) -> str:
    """Return what a server answers."""
    outcome = telex("request", "--subject", subject, "--to", str(address), *options)
    assert (outcome.code, outcome.errors) == (0, [])
    return outcome.output[0]


def test_an_application_without_async_handlers_needs_no_event_loop(telex: Telex) -> None:
    """It is served with ``telex.sync``, unless an event loop is asked for."""
    with serving("shop:app") as (_server, address):
        assert answer(telex, address, "loop") == "none"
    with serving("shop:app", "--asyncio") as (_server, address):
        assert answer(telex, address, "loop") != "none"


def test_async_handlers_bring_an_event_loop(telex: Telex) -> None:
    """An application that has one is served with ``telex.asyncio``, watched like any other."""
    with serving("shop:async_app") as (server, address):
        assert answer(telex, address, "wait") == "waited"
        server.wait_for("kind request, subject wait, id 1:")
        server.wait_for("disconnected")
        assert server.end(signal.SIGTERM) == 0
        assert server.errors == []


@pytest.mark.parametrize("flag", [[], ["--asyncio"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_share_an_address_and_end_together(
    telex: Telex, flag: list[str], number: signal.Signals
) -> None:
    """There are as many as asked for, they answer, and one signal ends all, with exit code 0."""
    with serving("shop:app", "--workers", "2", *flag) as (server, address):
        answering = set()

        def are_both_here() -> bool:
            answering.add(int(answer(telex, address, "process")))
            return len(answering) == 2

        wait_until(are_both_here, "an answer of each worker")
        assert server.process.pid not in answering
        assert server.end(number) == 0
        assert not any(is_alive(worker) for worker in answering)
        assert server.errors == []


def test_a_worker_that_is_killed_is_replaced(telex: Telex) -> None:
    """The address goes on to be served, and it is said what has happened."""
    with serving("shop:app", "--workers", "2") as (server, address):
        killed = int(answer(telex, address, "process"))
        os.kill(killed, signal.SIGKILL)
        line = server.wait_for("another one takes its place")
        assert line == f"telex: worker {killed}: killed by SIGKILL; another one takes its place"
        assert all(int(answer(telex, address, "process")) != killed for _ in range(4))
        assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("options", [[], ["--asyncio"], ["--workers", "2"]])
@pytest.mark.parametrize(
    ("application", "sentence"),
    [
        ("broken_app", "open_shop failed: KeyError: 'NO_SUCH'"),
        (
            "broken_async_app",
            "later failed: FileNotFoundError: [Errno 2] No such file or directory: 'shop.toml'",
        ),
    ],
)
def test_a_start_up_that_fails_is_one_line(
    tmp_path: Path, options: list[str], application: str, sentence: str
) -> None:
    """Which hook, why and where, with exit code 1; nobody was told that it listens."""
    address = f"unix://{tmp_path}/socket"
    with program("serve", f"shop:{application}", "--listen", address, *options) as server:
        assert server.end() == 1
        assert server.output == []
        [line] = server.errors
    pattern = rf"telex: start-up hook {re.escape(sentence)} \({tmp_path}/shop\.py, line \d+\)"
    assert re.fullmatch(pattern, line)


def test_a_start_up_that_fails_later_ends_no_other_worker(telex: Telex) -> None:
    """The reason may pass, so the worker is replaced as any other is."""
    with serving("shop:replaced_app", "--workers", "2") as (server, address):
        Path("broken").touch()
        killed = int(answer(telex, address, "process"))
        os.kill(killed, signal.SIGKILL)
        line = server.wait_for("start-up hook open_shop_once failed: KeyError: 'NO_SUCH'")
        assert "shop.py, line " in line
        server.wait_for("ended with exit code 1; another one takes its place")
        assert int(answer(telex, address, "process")) != killed
        assert server.end(signal.SIGTERM) == 0


def test_workers_end_when_nobody_reads_their_output() -> None:
    """``telex serve --workers 2 | head -1`` ends as one process does."""
    reading, writing = os.pipe()
    with program("serve", "--workers", "2", "--listen", ANY_PORT, stdout=writing) as server:
        os.close(writing)
        with os.fdopen(reading, "rb") as head:
            assert head.readline().startswith(b"listening on ")
        assert server.end() == 141
        assert server.errors == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_workers_finish_their_work_when_nobody_reads_their_output() -> None:
    """However many of them notice it: what was received is answered, as at any other end."""
    reading, writing = os.pipe()
    request = Message("", kind="request", id=1, subject="slow")
    arguments = ["serve", "shop:app", "--workers", "4", "--listen", ANY_PORT]
    with program(*arguments, stdout=writing) as server:
        os.close(writing)
        with os.fdopen(reading) as output:
            address = Address.parse(output.readline().removeprefix("listening on ").strip())
            sock = socket.create_connection((address.host, address.port), PATIENCE)
            sock.sendall(request.to_bytes())
            wait_until(lambda: "at work" in output.readline(), "the handler works")
        with sock:
            wait_until(lambda: len(children_of(server.process.pid)) == 1, "the others have ended")
            Path("done").touch()
            [answer] = receive_until_goodbye(sock)
        assert answer.content == "done"
        assert server.end() == 141
        assert server.errors == []


@pytest.mark.parametrize("application", ["shop:app", "shop:async_app"])
def test_tokens_and_certificates_tell_who_is_there(
    telex: Telex, tmp_path: Path, application: str
) -> None:
    """Handlers know it, and it is shown behind the address; without one there is no service."""
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    (tmp_path / "tokens").write_text("# pumps\npump-7 secret\npump-8 other\n")
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "mine").write_text("other")
    tls = ["--cert", str(pair.certificate), "--key", str(pair.key)]
    known = ["--ca", str(authority.file), "--token-file", "mine"]
    with serving(application, "--token-file", "tokens", *tls, listen="tls://127.0.0.1:0") as (
        server,
        address,
    ):
        assert answer(telex, address, "who", *known) == "pump-8"
        server.wait_for(" (pump-8)  application/octet-stream, 0 bytes, kind request, subject who")
        stranger = telex("request", "--to", str(address), "--ca", str(authority.file))
        assert stranger.code == 1
        assert "token" in stranger.errors[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_certificates_are_read_again_at_sighup(telex: Telex, tmp_path: Path, workers: str) -> None:
    """A renewed certificate counts from then on, without an end."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    pair = old.issue("127.0.0.1")
    arguments = ["--cert", str(pair.certificate), "--key", str(pair.key), "--workers", workers]
    with serving("shop:app", *arguments, listen="tls://127.0.0.1:0") as (server, address):
        ask = ["request", "--subject", "loop", "--to", str(address)]
        assert telex(*ask, "--ca", str(old.file)).code == 0
        new.issue("127.0.0.1")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: telex(*ask, "--ca", str(new.file)).code == 0, "the new certificate")
        assert server.end(signal.SIGTERM) == 0


def is_alive(process: int) -> bool:
    """Say whether a process is still there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_json_lines_name_who_is_there(telex: Telex, tmp_path: Path) -> None:
    """A peer that is known has its name in each line."""
    (tmp_path / "tokens").write_text("pump-7 secret\n")
    (tmp_path / "tokens").chmod(0o600)
    with serving("--json", "--token-file", "tokens") as (server, address):
        sent = telex("send", "x", "-q", "--to", str(address), "--token-file", "tokens")
        assert sent.code == 0
        line = server.wait_for('"identity":"pump-7"')
        assert line.startswith('{"peer":"127.0.0.1:')
