"""``telex top``: the table, on a terminal and in a pipe, for those who may see it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import telex.sync
from telex import Address, Application, ConnectionClosedError, Message, RequestTimeoutError
from telex.cli import top as module
from telex.cli.destination import read_destination
from telex.cli.top import headline, table_of
from telex.cli.top_rows import Column, rows_of
from telex.observation.administration import Slowest
from telex.sync import Connection
from tests.cli.stage import COMMAND, Telex, serving
from tests.cli.test_top_rows import snapshot, state
from tests.sync.stage import PATIENCE, wait_until
from tests.watching import serving as served

TOKENS = {"ops": "sesame", "pump-7": "open"}
CONTROLS = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\x1b[=>]")
TITLES = "NAME IDENTITY AGE IN/s B/s OUT/s B/s UNSENT PARTIAL SLOWEST"


def shop() -> Application:
    """Return an application that answers one subject."""
    app = Application()

    @app.on("price.*")
    def price(message: Message) -> str:
        return "49.5"

    return app


class Terminal:
    """``telex`` on a terminal of its own, and what it draws."""

    def __init__(self, *arguments: str, columns: int, lines: int, kind: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        environment = {**os.environ, "TERM": kind, "TELEX_TOKEN": "sesame"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self.theirs = theirs
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        self._drawn = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What was drawn, without colours."""
        return CONTROLS.sub("", self._drawn.decode("utf-8", "replace"))

    def wait_for(self, text: str) -> None:
        """Wait until this is drawn."""
        wait_until(lambda: text in self.text, f"{text!r} on the screen: {self.text!r}")

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        self._reader.join(PATIENCE)  # else it might read from what has the same number next
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 65536):
                self._drawn += data


@contextlib.contextmanager
def terminal(
    *arguments: str, columns: int = 100, lines: int = 20, kind: str = "xterm"
) -> Iterator[Terminal]:
    """Run ``telex`` on a terminal for the time of the context."""
    running = Terminal(*arguments, columns=columns, lines=lines, kind=kind)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """Serve the shop to operators."""
    monkeypatch.setenv("TELEX_TOKEN", "sesame")
    with served("sync", shop(), tokens=TOKENS, admins=["ops"]) as server:
        yield server.address


@pytest.fixture
def pump(address: Address) -> Iterator[Connection]:
    """Connect somebody to look at."""
    connection = telex.sync.connect(address, token="open")
    yield connection
    with contextlib.suppress(ConnectionClosedError):
        connection.close()


def test_in_a_pipe_it_prints_one_table(telex: Telex, address: Address, pump: Connection) -> None:
    """A head with the process, a line of titles, a line for each connection."""
    for _ in range(7):
        pump.request("x", subject="price.pump", timeout=PATIENCE)
    outcome = telex("top", str(address), "--interval", "0.01", "--sort", "identity")
    head, titles, ops, other = outcome.output
    assert (outcome.code, outcome.errors) == (0, [])
    assert head == f"{address}  pid {os.getpid()}  2 connections"
    assert titles.split() == TITLES.split()
    assert ops.split()[1] == "ops"
    assert other.split()[1] == "pump-7"
    assert re.search(r"\d+[um]s price\.\*$", other)


def test_json_is_what_the_server_says(telex: Telex, address: Address, pump: Connection) -> None:
    """One line, for programs, with all that was counted."""
    pump.request("x", subject="price.pump", timeout=PATIENCE)
    [line] = telex("top", str(address), "--json").output
    states = {state["identity"]: state for state in json.loads(line)["connections"]}
    assert states["pump-7"]["received"]["messages"] == 1
    assert states["pump-7"]["slowest"]["pattern"] == "price.*"


def test_who_is_no_operator_is_told_so(
    telex: Telex, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with the option that would let them in."""
    monkeypatch.setenv("TELEX_TOKEN", "open")
    problem = "only operators of the server may ask this, and 'pump-7' is none"
    outcome = telex("top", str(address))
    assert outcome == (1, [], [f"telex: {problem} (see: telex serve --admin)"])


def test_a_server_without_operators_is_told_from_one_with(telex: Telex) -> None:
    """Whether its application answers the subject or not."""
    catch_all = Application()
    catch_all.on()(lambda message: "something")
    for app, problem in (
        (shop(), "nobody may use telex top at this server"),
        (catch_all, "the server's application has answered, and not the server: nobody may use"),
    ):
        with served("sync", app) as server:
            outcome = telex("top", str(server.address), "--once")
        assert (outcome.code, outcome.output) == (1, [])
        assert outcome.errors[0].startswith(f"telex: {problem}")
        assert outcome.errors[0].endswith("(see: telex serve --admin)")


def test_an_address_that_is_none_is_refused(telex: Telex) -> None:
    """The argument is named, and exit code 2 says that the usage was wrong."""
    outcome = telex("top", "7766")
    assert outcome.code == 2
    assert outcome.errors[0].startswith("telex: ADDRESS: address '7766'")
    assert telex("top", "--interval", "0").errors == ["telex: --interval: it must be more than 0"]


def test_the_owner_of_a_unix_socket_needs_no_name(telex: Telex, tmp_path: Path) -> None:
    """``telex serve`` at a Unix socket lets its own user look, without an option."""
    listen = f"unix://{tmp_path}/socket"
    with serving(listen=listen):
        outcome = telex("top", listen, "--interval", "0.01")
    assert (outcome.code, len(outcome.output)) == (0, 3)


def test_the_owner_can_be_no_operator_either(telex: Telex, tmp_path: Path) -> None:
    """With ``--no-admin`` nobody is one, which is for servers behind a proxy of the same user."""
    listen = f"unix://{tmp_path}/socket"
    with serving("--no-admin", listen=listen):
        outcome = telex("top", listen, "--once")
    assert (outcome.code, outcome.output) == (1, [])
    assert outcome.errors[0].startswith("telex: nobody may use telex top at this server")


def test_workers_answer_each_for_itself(telex: Telex, tmp_path: Path) -> None:
    """The head says so, with the process that has answered."""
    listen = f"unix://{tmp_path}/socket"
    with serving("--workers", "2", listen=listen) as (server, _address):
        head = telex("top", listen, "--interval", "0.01").output[0]
    assert "(one of several processes, each for itself)" in head
    assert f"pid {server.process.pid}" not in head


def test_the_table_is_renewed_on_a_terminal_until_ctrl_c(
    address: Address, pump: Connection
) -> None:
    """New connections appear, and the terminal is left as it was before."""
    with terminal("top", str(address), "--interval", "0.05") as top:
        top.wait_for("pump-7")
        top.wait_for("2 connections")
        with telex.sync.connect(address, token="open"):
            top.wait_for("3 connections")
        top.process.send_signal(signal.SIGINT)
        assert top.process.wait(PATIENCE) == 0
        assert termios.tcgetattr(top.theirs) == top.before


def test_a_terminal_that_cannot_move_its_cursor_gets_one_table(address: Address) -> None:
    """There the table could not be renewed in place."""
    with terminal("top", str(address), "--interval", "0.05", kind="dumb") as top:
        assert top.process.wait(PATIENCE) == 0
        top.wait_for("SLOWEST")


def test_a_connection_is_closed_by_its_name(
    telex: Telex, address: Address, pump: Connection
) -> None:
    """The name is that of the table; the peer learns that an operator closed the connection."""
    [line] = telex("top", str(address), "--json").output
    [name] = [
        state["name"] for state in json.loads(line)["connections"] if state["identity"] == "pump-7"
    ]
    assert telex("top", str(address), "--close", name) == (0, [f"{name} is closed"], [])
    with pytest.raises(ConnectionClosedError, match="an operator"):
        pump.receive(PATIENCE)


def test_a_name_that_no_connection_has_closes_nothing(
    telex: Telex, address: Address, pump: Connection
) -> None:
    """The error names the process that was asked, as each process has its own connections."""
    outcome = telex("top", str(address), "--close", "pump-7")
    problem = f"telex: --close: pid {os.getpid()} has no connection pump-7"
    assert outcome == (1, [], [problem])
    assert pump.ping(PATIENCE) > 0


def test_closing_prints_no_json(telex: Telex) -> None:
    """The two options ask for different things."""
    outcome = telex("top", "--close", "x", "--json")
    assert outcome == (2, [], ["telex: --close: it cannot be together with --json"])


def test_the_order_of_the_table_can_be_reversed(
    telex: Telex, address: Address, pump: Connection
) -> None:
    """Names then begin with Z, and numbers with the smallest."""
    arguments = ("top", str(address), "--interval", "0.01", "--sort", "identity", "--reverse")
    lines = telex(*arguments).output[2:]
    assert [line.split()[1] for line in lines] == ["pump-7", "ops"]


def test_messages_that_wait_are_counted_in_the_head() -> None:
    """They are those whose handlers have not been called yet."""
    destination = read_destination("tcp://h:1", None, None, None, None, False)
    head = headline(destination, snapshot(1.0, state(1, waiting=3), state(2, waiting=2)))
    assert head == "tcp://h:1  pid 1  2 connections  5 waiting"


def test_a_server_that_goes_away_ends_it_with_a_reason() -> None:
    """The reason is one line below the table, and the exit code is 1."""
    with (
        served("sync", shop(), tokens=TOKENS, admins=["ops"]) as server,
        terminal("top", str(server.address), "--interval", "0.05") as top,
    ):
        top.wait_for("ops")
        server.shutdown()
        assert top.process.wait(PATIENCE) == 1
        top.wait_for("telex: connection closed by the peer")


def test_a_late_answer_is_told_below_the_table(
    telex: Telex, monkeypatch: pytest.MonkeyPatch, address: Address
) -> None:
    """The last table stays until the server answers again; Ctrl-C ends it with exit code 0."""
    late = RequestTimeoutError("the answer", 10.0)
    answers: list[BaseException | None] = [None, late, KeyboardInterrupt()]
    ask = Connection.request

    def answer(connection: Connection, *arguments: Any, **options: Any) -> Message:
        if (error := answers.pop(0)) is not None:
            raise error
        return ask(connection, *arguments, **options)

    monkeypatch.setattr(Connection, "request", answer)
    monkeypatch.setattr(module, "_can_renew", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    outcome = telex("top", str(address), "--interval", "0.01")
    drawn = CONTROLS.sub("", "\n".join(outcome.output))
    assert (outcome.code, answers) == (0, [])
    assert drawn.count("ops") == 2
    assert str(late) in drawn


def test_it_fits_a_screen_of_80_columns(address: Address, pump: Connection) -> None:
    """All columns are there."""
    pump.request("x", subject="price.pump", timeout=PATIENCE)
    with terminal("top", str(address), "--interval", "0.05", columns=80, lines=12) as top:
        top.wait_for("SLOWEST")
        lines = top.text.replace("\r", "").split("\n")
    titles = next(line for line in lines if "IDENT" in line)
    assert len(titles) <= 80
    assert all(title in titles for title in ("NAME", "AGE", "IN/s", "OUT/s", "UNSENT", "SLOWEST"))


def test_names_and_numbers_are_whole_where_there_is_little_room() -> None:
    """Identities and patterns are cut, and nothing of a peer is taken for markup."""
    name = "[2001:db8::1234:5678]:65535"
    slowest = Slowest("a.pattern.that.is.long.>", 1.5, True)
    crowded = state(1, name=name, identity="[red]" * 20, unsent=999_000, slowest=slowest)
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as drawn:
        console.print(table_of(rows_of(snapshot(1.0, crowded), None, Column.NAME)))
    titles, line = drawn.get().splitlines()
    assert max(len(titles), len(line)) <= 80
    assert line.startswith(f"{name} [red")
    assert " 999k " in line
    assert titles.split()[2:] == TITLES.split()[2:]
