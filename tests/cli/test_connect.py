"""``telex connect``: what is typed goes to a server, what comes is shown, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

import telex as library
from telex import Application, ConnectionClosedError, Limits, Message, Refusal
from telex.asyncio.client import Connection
from telex.cli.interactive import history, words
from telex.cli.interactive.completion import WordCompleter
from telex.cli.interactive.prompt import converse
from telex.cli.interactive.talk import Talk
from telex.cli.terminal import Lines
from tests.cli.stage import COMMAND, Telex
from tests.sync.stage import PATIENCE, Running, running

HOSTILE = "\x1b[31m\x9b\u202e"


def answering(over: threading.Event) -> Application:
    """Return an application that answers in every way there is, one of them when it is over."""
    app = Application()
    app.on("greet")(lambda message: f"hello {message.content}")
    app.on("echo")(lambda message: Message(message.body, content_type=message.content_type))
    app.on("hostile")(lambda message: HOSTILE)
    app.on("late", blocking=True, concurrent=True)(lambda message: over.wait(PATIENCE))
    app.on("log")(lambda message: None)
    app.on()(lambda message: message)

    @app.on("count")
    def count(message: Message) -> Iterator[int]:
        yield from range(3)

    @app.on("half")
    def half(message: Message) -> Iterator[object]:
        yield "half"
        raise Refusal("broken-off", f"no more{HOSTILE}")

    return app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have what is remembered go to a home directory that is new."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Running]:
    """Run a server that answers in every way there is."""
    over = threading.Event()
    with running(answering(over)) as server:
        yield server
        over.set()


def given(server: Running, *lines: str) -> tuple[int, list[str], list[str]]:
    """Have a process read lines; return its exit code, what it printed, and its remarks."""
    ended = subprocess.run(
        [*COMMAND, "connect", str(server.address), "--timeout", "20"],
        input="\n".join(lines),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=30,
    )
    remarks = re.sub(r"[\d.]+ ms", "… ms", ended.stderr)
    return ended.returncode, ended.stdout.splitlines(), remarks.splitlines()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("", None),
        ("  \t", None),
        ("hello", (None, "hello")),
        (" /ping", (None, " /ping")),
        ("//ping", (None, "/ping")),
        ("/ping", ("/ping", "")),
        ("/ping  ", ("/ping", "")),
        ("/json  {} ", ("/json", "{}")),
        ("/file a  b", ("/file", "a  b")),
    ],
)
def test_a_line_is_text_or_a_command(line: str, meant: tuple[str | None, str] | None) -> None:
    """A slash makes it a command, two make it a text with one."""
    assert words.read_line(line) == meant


def test_lines_from_a_pipe_are_done_in_turn(server: Running, tmp_path: Path) -> None:
    """Answers and messages go to standard output, what is said about them to standard error."""
    file = tmp_path / "table.csv"
    file.write_bytes(b"a;b\n")
    code, printed, remarks = given(
        server,
        "/subject log",
        "/headers site=north",
        "in passing",
        "//slash",
        '/json {"celsius": 21.5}',
        f"/file {file}",
        "/request greet you",
        '/request echo /json {"a":  [1]}',
        f"/request echo /file {file}",
        "/request count",
        "/request log",
        "/ping",
        "/quit",
        "not sent",
    )
    assert printed == ["hello you", '{"a":[1]}', "a;b", "0", "1", "2"]
    assert remarks == [
        "subject: log",
        "site: north",
        f"sent {file}: 4 bytes",
        "greet: answered, text/plain, 9 bytes, after … ms",
        "echo: answered, application/json, 9 bytes, after … ms",
        "echo: answered, text/csv, 4 bytes, after … ms",
        "count: part 1, application/json, 1 byte, after … ms",
        "count: part 2, application/json, 1 byte, after … ms",
        "count: part 3, application/json, 1 byte, after … ms",
        "count: answered in 3 parts, after … ms",
        "log: answered, application/octet-stream, 0 bytes, after … ms",
        f"{server.address.host}:{server.address.port}: … ms",
    ]
    assert code == 0
    text, slash, data, table, *requests = server.events.messages
    assert [message.content for message in (text, slash)] == ["in passing", "/slash"]
    assert (data.content, table.body) == ({"celsius": 21.5}, b"a;b\n")
    assert (table.content_type, table.subject) == ("text/csv", "log")
    assert {message.headers["site"] for message in server.events.messages} == {"north"}
    assert [message.subject for message in requests] == ["greet", "echo", "echo", "count", "log"]


def test_what_comes_behind_the_last_line_is_shown(server: Running) -> None:
    """A pipe may end before the server has said what it has to say."""
    code, printed, remarks = given(server, *"abc")
    assert printed == [f"← text/plain, 1 byte: {letter}" for letter in "abc"]
    assert (code, remarks) == (0, [])


def test_long_input_is_sent_whole_and_in_order(server: Running) -> None:
    """However much of it there is, it is read no faster than it is sent."""
    texts = [f"{number} {'x' * 10_000}" for number in range(100)]
    assert given(server, "/subject log", *texts) == (0, [], ["subject: log"])
    assert [message.content for message in server.events.messages] == texts


WRONG_LINES = [
    ("/nope", "there is no /nope; /help shows what there is, // sends a text with /"),
    ("/json {bad", "'{bad' is not JSON: "),
    ("/json", 'right would be: /json {"celsius": 21.5}'),
    ("/file", "right would be: /file PATH"),
    ("/file /no/such", "/no/such: no such file or directory"),
    ("/request", "right would be: /request SUBJECT [TEXT]"),
    ("/request echo /json [", "'[' is not JSON: "),
    ("/request half", r"half: broken-off: no more\x1b[31m\x9b\u202e, after … ms"),
    ("/subject two words", "a subject is one word; right would be: /subject orders.new"),
    ("/headers site", "'site' is neither name=value nor name:=JSON"),
    ("/headers kind=x", "header 'kind' belongs to the wire format"),
    ("/headers -site", "there is no header 'site'"),
]
"""Lines that cannot be done, and what is said about them."""


def test_input_that_does_not_block_is_waited_for(server: Running) -> None:
    """A pipe that has nothing yet is no error, in whatever mode it was handed over."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen(
        [*COMMAND, "connect", str(server.address), "--timeout", "20"],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    os.close(reading)
    with process, os.fdopen(writing, "wb", buffering=0) as typing:
        assert process.stdout is not None
        for line in ("one", "two"):  # it has nothing to read while the answer is on its way
            typing.write(f"{line}\n".encode())
            assert process.stdout.readline() == f"← text/plain, 3 bytes: {line}\n"
        typing.close()
        printed, remarks = process.communicate(timeout=30)
    assert (process.returncode, printed, "Traceback" in remarks) == (0, "", False)


def test_input_that_cannot_be_read_is_one_line(server: Running, tmp_path: Path) -> None:
    """It is said what is wrong with it, and the command ends."""
    for_output = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        ended = subprocess.run(
            [*COMMAND, "connect", str(server.address)],
            stdin=for_output,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=30,
        )
    finally:
        os.close(for_output)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "telex: cannot read standard input: bad file descriptor"
    )
    assert "Traceback" not in ended.stderr


def test_what_goes_wrong_is_one_line_and_the_next_one_is_done(server: Running) -> None:
    """The session goes on; a script sees from the exit code that not all went well."""
    lines = [line for wrong, _remark in WRONG_LINES for line in (wrong, "/request greet you")]
    code, printed, remarks = given(server, *lines)
    complaints = [said for said in remarks if said.startswith("telex: ")]
    for said, (_line, remark) in zip(complaints, WRONG_LINES, strict=True):
        assert said.startswith(f"telex: {remark}")
    assert (code, printed.count("hello you")) == (1, len(WRONG_LINES))


def test_a_token_that_is_missing_is_told() -> None:
    """A line that the server never took is no success, though it could be written."""
    with running(tokens={"ada": "a secret"}) as guarded:
        code, printed, remarks = given(guarded, "hi")
    assert (code, printed, len(remarks)) == (1, [], 1)
    assert remarks[0].startswith("telex: connection closed by the peer: ")
    assert "token" in remarks[0]


def test_a_last_line_that_is_too_large_is_told(tmp_path: Path) -> None:
    """What was sent is said, and then that the server did not take it."""
    (tmp_path / "large.bin").write_bytes(bytes(2_000))
    with running(limits=Limits(max_content_size=1_000)) as strict:
        code, printed, remarks = given(strict, f"/file {tmp_path}/large.bin")
    assert (code, printed) == (1, [])
    assert remarks[-1].startswith("telex: connection closed by the peer: message at byte 0")


def test_a_message_that_is_refused_is_told() -> None:
    """A plain message has no answer, and yet a script sees that it was refused."""
    app = Application()

    @app.on("say")
    def say(message: Message) -> None:
        raise Refusal("not-here", f"join first{HOSTILE}")

    with running(app) as strict:
        code, printed, remarks = given(strict, "/subject say", "hello")
    assert (code, printed) == (1, [])
    assert remarks == ["subject: say", r"telex: not-here: join first\x1b[31m\x9b\u202e"]


def test_a_server_that_reads_nothing_is_given_up() -> None:
    """It has as long as ``--timeout`` says, and then nobody knows what became of the lines."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        ended = subprocess.run(
            [*COMMAND, "connect", address, "--timeout", "0.1"],
            input=b"hello\n",
            capture_output=True,
            check=False,
            timeout=30,
        )
    sentence = b"the server has not read everything within 0.1 s (see --timeout)"
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.splitlines() == [b"telex: " + sentence]


def test_a_peer_cannot_drive_the_terminal(server: Running) -> None:
    """Answers and messages are shown with escapes for all that could do so."""
    _code, printed, _remarks = given(server, "/request hostile", HOSTILE)
    assert printed == [r"\x1b[31m\x9b\u202e", r"← text/plain, 10 bytes: \x1b[31m\x9b\u202e"]


def test_nobody_there_is_one_line(telex: Telex, tmp_path: Path) -> None:
    """How to serve there is said, as by every other command."""
    outcome = telex("connect", f"unix://{tmp_path}/none")
    assert (outcome.code, outcome.output, len(outcome.errors)) == (1, [], 1)
    assert outcome.errors[0].endswith(f"telex serve --listen unix://{tmp_path}/none)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["7766"], "ADDRESS: address '7766': it has no scheme"),
        (["tcp://127.0.0.1:1", "--timeout", "0"], "--timeout: it must be more than 0"),
        (["tcp://127.0.0.1:1", "--ca", "x"], "--ca: tcp://127.0.0.1:1 is without TLS; right would"),
    ],
)
def test_what_cannot_be_meant_is_refused(telex: Telex, arguments: list[str], sentence: str) -> None:
    """It is refused before anybody is connected to, in one line, with exit code 2."""
    outcome = telex("connect", *arguments)
    assert (outcome.code, outcome.output, len(outcome.errors)) == (2, [], 1)
    assert outcome.errors[0].startswith(f"telex: {sentence}")


def test_a_server_that_ends_ends_it_too(server: Running) -> None:
    """Lines that were still to come are a reason to fail, and the server's is told."""
    with subprocess.Popen(
        [*COMMAND, "connect", str(server.address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"\xe2\x86\x90 text/plain, 5 bytes: hello\n"
        server.stop()
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        [told] = process.stderr.read().decode().splitlines()
    assert told.startswith("telex: connection closed by the peer: ")
    assert told.endswith("(the rest of standard input is not sent)")


class Typist:
    """Somebody at the prompt, in this process: types, and looks at what is shown."""

    def __init__(self, keyboard: PipeInput, shown: io.StringIO) -> None:
        self._keyboard = keyboard
        self._shown = shown

    def type(self, text: str) -> None:
        """Press these keys."""
        self._keyboard.send_text(text)

    def has_seen(self, text: str) -> bool:
        """Say whether a text was shown."""
        return text in self._shown.getvalue()

    async def sees(self, text: str) -> None:
        """Wait until a text is shown."""
        deadline = time.monotonic() + PATIENCE
        while not self.has_seen(text):
            assert time.monotonic() < deadline, f"{text!r} is not in {self._shown.getvalue()!r}"
            await asyncio.sleep(0.005)


def at_the_prompt(
    server: Running,
    types: Callable[[Typist], Coroutine[object, object, None]],
    timeout: float = 20.0,
) -> list[str]:
    """Have somebody type at a prompt; return the lines that were shown when it has ended."""
    shown = io.StringIO()

    async def main() -> None:
        lines = Lines(shown)
        async with (
            asyncio.timeout(3 * PATIENCE),
            library.asyncio.connect(server.address) as connection,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(converse(Talk(connection, lines, lines, timeout), connection))
            tasks.create_task(types(Typist(keyboard, shown)))

    with create_pipe_input() as keyboard, create_app_session(keyboard, DummyOutput()):
        asyncio.run(main())
    return re.sub(r"[\d.]+ ms", "… ms", shown.getvalue()).splitlines()


def test_what_is_typed_is_sent_and_what_comes_is_shown(server: Running) -> None:
    """A text goes out, its echo comes in, and a request is answered, until Ctrl-D."""

    async def types(person: Typist) -> None:
        person.type("hello\r")
        await person.sees("← text/plain, 5 bytes: hello")
        person.type("/request greet you\r")
        await person.sees("hello you")
        person.type("\x04")

    assert at_the_prompt(server, types) == [
        "← text/plain, 5 bytes: hello",
        "greet: answered, text/plain, 9 bytes, after … ms",
        "hello you",
    ]


def test_quit_leaves(server: Running) -> None:
    """And so does the help say."""

    async def types(person: Typist) -> None:
        person.type("/help\r")
        await person.sees("/quit")
        person.type("/quit\r")

    assert at_the_prompt(server, types) == words.HELP_LINES
    assert max(map(len, words.HELP_LINES)) <= 80


def test_ctrl_c_drops_the_line(server: Running) -> None:
    """What was typed so far is gone; what is typed next is whole."""

    async def types(person: Typist) -> None:
        person.type("not th\x03hello\r")
        await person.sees("hello")
        person.type("\x04")

    assert at_the_prompt(server, types) == ["← text/plain, 5 bytes: hello"]


def test_ctrl_c_gives_up_requests_that_wait(server: Running) -> None:
    """Others can be made meanwhile; with nothing to give up it says how to leave."""

    async def types(person: Typist) -> None:
        person.type("/request late\r/request greet you\r")
        await person.sees("hello you")
        person.type("\x03")
        await person.sees("late: no longer waited for")
        person.type("\x03")
        await person.sees("leaves")
        person.type("\x04")

    *_, given_up, way_out = at_the_prompt(server, types)
    assert given_up == "late: no longer waited for, after … ms"
    assert way_out == "Ctrl-D or /quit leaves"


def test_no_answer_in_time_is_one_line(server: Running) -> None:
    """The prompt is there meanwhile and afterwards."""

    async def types(person: Typist) -> None:
        person.type("/request late\r")
        await person.sees("timed out")
        person.type("\x04")

    [told] = at_the_prompt(server, types, timeout=0.1)
    assert told.startswith("telex: late: timed out after 0.1 s waiting for the answer ")


def test_wrong_lines_are_told_and_the_prompt_stays(server: Running) -> None:
    """An unknown command and bad JSON are one line each."""

    async def types(person: Typist) -> None:
        person.type("\r/nope\r/json {\r/ping\r")
        await person.sees(" ms")
        person.type("\x04")

    unknown, bad, _ping = at_the_prompt(server, types)
    assert unknown.startswith("telex: there is no /nope")
    assert bad.startswith("telex: '{' is not JSON")


def test_the_end_of_the_connection_is_told_with_its_reason(server: Running) -> None:
    """A server that stops ends the prompt, though somebody is typing."""

    async def types(person: Typist) -> None:
        person.type("hello\r")
        await person.sees("hello")
        person.type("half a li")
        await asyncio.to_thread(server.stop)

    _echo, told = at_the_prompt(server, types)
    assert told.startswith("connection closed by the peer: ")


def test_a_connection_that_breaks_is_an_error() -> None:
    """The exit code of the command comes from it."""

    async def broken() -> None:
        async def garble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"\0\0")
            writer.close()

        async with await asyncio.start_server(garble, "127.0.0.1", 0) as garbling:
            port = garbling.sockets[0].getsockname()[1]
            lines = Lines(io.StringIO())
            async with library.asyncio.connect(f"tcp://127.0.0.1:{port}") as connection:
                with create_pipe_input() as keyboard, create_app_session(keyboard, DummyOutput()):
                    await converse(Talk(connection, lines, lines, 1.0), connection)

    with pytest.raises(ConnectionClosedError, match="the proto-header"):
        asyncio.run(asyncio.wait_for(broken(), 30))


def test_what_was_typed_is_remembered(server: Running, home: Path) -> None:
    """The next time the arrow brings it back; nobody else may read where it is kept."""

    async def types(person: Typist) -> None:
        person.type("/request greet you\r")
        await person.sees("hello you")
        person.type("\x04")

    async def remembers(person: Typist) -> None:
        while not person.has_seen("hello you"):  # history is read while the prompt is there already
            person.type("\x1b[A\r")
            await asyncio.sleep(0.05)
        person.type("\x04")

    at_the_prompt(server, types)
    at_the_prompt(server, remembers)
    file = home / ".local" / "state" / "telex" / "history"
    assert "+/request greet you\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_state_directory_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG Base Directory Specification says: a path that is not absolute is passed over."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert history.state_directory() == tmp_path / "state" / "telex"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert history.state_directory() == tmp_path / "home" / ".local" / "state" / "telex"


def test_without_a_place_to_remember_it_goes_on(server: Running, home: Path) -> None:
    """It is told, and nothing else is missing."""
    home.write_text("a file")

    async def types(person: Typist) -> None:
        await person.sees("not remembered")
        person.type("\x04")

    [told] = at_the_prompt(server, types)
    assert told.endswith(": not a directory")


@pytest.mark.parametrize(
    ("begun", "completions"),
    [
        ("/", [*words.COMMANDS]),
        ("/h", ["/headers", "/help"]),
        ("hello", []),
        ("/request ", ["orders.new", "orders.old", "greet"]),
        ("/request orders", ["orders.new", "orders.old"]),
        ("/request greet /", ["/json", "/file"]),
        ("/subject g", ["greet"]),
        ("/headers ", ["site=", "-site"]),
        ("/json ", []),
    ],
)
def test_what_is_begun_can_be_completed(
    server: Running, begun: str, completions: list[str]
) -> None:
    """Commands, subjects that came or were used, and headers; nothing a peer could forge."""

    async def main() -> list[str]:
        lines = Lines(io.StringIO())
        async with library.asyncio.connect(server.address) as connection:
            talk = await experienced(Talk(connection, lines, lines, 20.0), connection)
            completer = WordCompleter(talk)
            found = completer.get_completions(Document(begun), CompleteEvent())
            return [completion.text for completion in found]

    assert asyncio.run(main()) == completions


async def experienced(talk: Talk, connection: Connection) -> Talk:
    """Return a conversation in which subjects were seen and used, and a header is set."""
    for subject in ("orders.new", HOSTILE, "two words", "orders.old", "orders.new"):
        talk.show(Message("", subject=subject))
    for line in ("/request greet you", "/headers site=north"):
        understood = words.read_line(line)
        assert understood is not None
        assert await talk.do(understood)
    return talk


def test_only_so_many_subjects_are_remembered(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is forgotten first, however many a peer sends."""
    monkeypatch.setattr("telex.cli.interactive.talk._MOST_SUBJECTS", 2)

    async def main() -> list[str]:
        lines = Lines(io.StringIO())
        async with library.asyncio.connect(server.address) as connection:
            talk = Talk(connection, lines, lines, 20.0)
            for subject in ("first", "second", "second", "third"):
                talk.show(Message("", subject=subject))
            return list(talk.subjects)

    assert asyncio.run(main()) == ["second", "third"]


@pytest.mark.parametrize("command", ["/file ", "/request greet /file "])
def test_files_are_completed(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Behind ``/file``, from the directory where one is."""
    (tmp_path / "readings.csv").touch()
    monkeypatch.chdir(tmp_path)

    async def main() -> list[str]:
        lines = Lines(io.StringIO())
        async with library.asyncio.connect(server.address) as connection:
            completer = WordCompleter(Talk(connection, lines, lines, 20.0))
            document = Document(f"{command}read")
            return [each.text for each in completer.get_completions(document, CompleteEvent())]

    assert asyncio.run(main()) == ["ings.csv"]


def test_prompt_toolkit_loads_only_for_a_prompt() -> None:
    """No other command waits for it, and a pipe needs none."""
    code = (
        "import sys, telex.cli.program, telex.cli.interactive.piped\n"
        "print('prompt_toolkit' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


class Screen:
    """A command on a terminal of its own: its keys are pressed, and what it shows is read."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._shown = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._descriptor, text.encode())

    def sees(self, text: str) -> None:
        """Wait until a text is shown, and forget what came before it."""
        deadline = time.monotonic() + 2 * PATIENCE
        while text not in self._shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {self._shown!r}"
            self._read()
        self._shown = self._shown.partition(text)[2]

    def ends(self, key: str = "") -> int:
        """Wait until the command has ended; return its exit code.

        A key is pressed until then, as people do: one that means something to the terminal itself
        is lost while a line is being printed.
        """
        deadline = time.monotonic() + 2 * PATIENCE
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self._shown!r}"
            self.type(key)
            self._read()
        return self._process.returncode

    def _read(self) -> None:
        """Read what comes within a moment, and answer what a terminal answers."""
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return
        with contextlib.suppress(OSError):  # the last user of the terminal has gone
            data = os.read(self._descriptor, 65536)
            if b"\x1b[6n" in data:
                os.write(self._descriptor, b"\x1b[1;1R")  # where the cursor is
            self._shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))


@contextlib.contextmanager
def terminal(*command: str) -> Iterator[Screen]:
    """Run a command on a terminal of 80 columns for the time of the context at the most."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen(
        command,
        stdin=there,
        stdout=there,
        stderr=there,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    ) as process:
        os.close(there)
        try:
            yield Screen(process, here)
        finally:
            process.kill()
    os.close(here)


def test_on_a_real_terminal(server: Running) -> None:
    """What comes does not spoil what is being typed, Ctrl-C and Ctrl-D do what they should."""
    with terminal(*COMMAND, "connect", str(server.address)) as screen:
        screen.sees("connected to tcp://")
        screen.sees("telex>")
        screen.type("hello\r")
        screen.sees("← text/plain, 5 bytes: hello")
        screen.type("/request late\r")
        screen.sees("telex>")
        screen.type("half a line")
        screen.sees("half a line")
        screen.type("\x03\x03")
        screen.sees("late: no longer waited for")
        screen.type("/request greet you\r")
        screen.sees("hello you")
        assert screen.ends("\x04") == 0


def test_what_comes_does_not_spoil_what_is_being_typed() -> None:
    """It is shown above the line, which goes on as if nothing had been."""
    over = threading.Event()
    with (
        running(answering(over)) as server,
        terminal(*COMMAND, "connect", str(server.address)) as screen,
    ):
        screen.sees("telex>")
        screen.type("/subject late\rtell me when it is over\r")
        screen.sees("telex late>")
        screen.type("half a")
        screen.sees("half a")
        over.set()
        screen.sees("← application/json, 4 bytes: true")
        screen.sees("half a")  # the line is there again, below
        screen.type(" line\r")
        screen.sees("← application/json, 4 bytes: true")
        assert screen.ends("\x04") == 0
    assert [each.content for each in server.events.messages][-1:] == ["half a line"]


def test_without_the_prompt_it_is_said_what_to_install(server: Running) -> None:
    """There is no traceback, but the command that installs it."""
    code = "import sys, telex.cli; sys.modules['prompt_toolkit'] = None; telex.cli.main()"
    command = [sys.executable, "-c", code, "connect", str(server.address)]
    with terminal(*command) as screen:
        screen.sees("telex: the command line needs prompt_toolkit: pip install prompt_toolkit")
        assert screen.ends() == 2
