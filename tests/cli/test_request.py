"""``telex request``: what is asked, what is printed of the answer, and what when there is none."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from telex import Application, Message, Refusal
from telex.cli.destination import TOKEN_VARIABLE
from tests.cli.stage import COMMAND, Telex, program
from tests.sync.stage import PATIENCE, ROOMY, Running, running, wait_until


def answering(over: threading.Event | None = None) -> Application:
    """Return an application that answers in every way there is, one of them when it is over."""
    app = Application()
    app.on("echo")(lambda message: message)
    app.on("binary")(lambda message: b"\x00\xff\r\n")
    app.on("json")(lambda message: {"a": [1, "ü"]})
    pretty = Message(b'{\n  "a": 1\n}\n', content_type="application/json")
    app.on("pretty")(lambda message: pretty)
    app.on("wide")(lambda message: Message({"a": 1}, encoding="utf-16-le"))
    app.on("nothing")(lambda message: None)
    app.on("hostile")(lambda message: "\x1b[31m\x9b\u202e")

    @app.on("parts")
    def parts(message: Message) -> Iterator[object]:
        yield "one\n"
        yield {"two": 2}
        yield 3

    @app.on("half")
    def half(message: Message) -> Iterator[object]:
        yield "half"
        raise Refusal("broken-off", "no more\x1b")

    @app.on("refuse")
    def refuse(message: Message) -> None:
        raise Refusal("out-of-stock", "no more of these\x1b[31m")

    @app.on("fail")
    def fail(message: Message) -> None:
        raise KeyError("secret")

    @app.on("late", blocking=True)
    def late(message: Message) -> None:
        if over is not None:
            over.wait(PATIENCE)

    return app


@pytest.fixture
def server() -> Iterator[Running]:
    """Run a server that answers in every way there is."""
    over = threading.Event()
    with running(answering(over), limits=ROOMY) as server:
        yield server
        over.set()


def asked(server: Running, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Ask in a process of its own; return its exit code and all that it printed."""
    ended = subprocess.run(
        [*COMMAND, "request", *arguments, "--to", str(server.address)],
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("subject", "printed"),
    [
        ("echo", b"text"),
        ("binary", b"\x00\xff\r\n"),
        ("json", '{"a":[1,"ü"]}\n'.encode()),
        ("pretty", b'{\n  "a": 1\n}\n'),
        ("wide", '{"a":1}'.encode("utf-16-le")),
        ("nothing", b""),
        ("hostile", "\x1b[31m\x9b\u202e".encode()),
        ("parts", b'one\n{"two":2}\n3\n'),
    ],
)
def test_into_a_pipe_goes_the_content_byte_for_byte(
    server: Running, subject: str, printed: bytes
) -> None:
    """A program that reads it gets what was answered, and JSON in lines that end."""
    assert asked(server, "text", "--subject", subject) == (0, printed, b"")


def test_content_comes_from_where_it_is_said(telex: Telex, server: Running, tmp_path: Path) -> None:
    """It is text, JSON, a file, standard input, or nothing; headers and types go with it."""
    file = tmp_path / "table.csv"
    file.write_bytes(b"a;b\n")
    to = ["--to", str(server.address), "--subject", "echo"]
    telex("request", "text", *to, "--header", "site=north", "--encoding", "utf-16-le")
    telex("request", "--json", '{"a": 1}', *to)
    telex("request", "--file", str(file), *to)
    telex("request", "-", *to, given=b"given")
    telex("request", *to, "--content-type", "text/html")
    text, data, table, given, nothing = server.events.messages
    assert (text.content, text.encoding, text.headers) == ("text", "utf-16-le", {"site": "north"})
    assert (data.content, data.content_type) == ({"a": 1}, "application/json")
    assert (table.body, table.content_type) == (b"a;b\n", "text/csv")
    assert (given.content, given.content_type) == ("given", "text/plain")
    assert (nothing.body, nothing.content_type) == (b"", "text/html")
    assert {message.kind for message in server.events.messages} == {"request"}


def test_json_lines_tell_of_each_part(telex: Telex, server: Running) -> None:
    """With ``--json-lines`` a program sees where parts end, and their headers."""
    to = ["--to", str(server.address)]
    outcome = telex("request", "--subject", "parts", "--json-lines", *to)
    one, two, _three = map(json.loads, outcome.output)
    assert (one["content"], one["header"]["content-type"]) == ("one\n", "text/plain")
    assert (two["content"], two["header"]["kind"]) == ({"two": 2}, "reply")
    assert (outcome.code, outcome.errors) == (0, [])


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        ("refuse", r"out-of-stock: no more of these\x1b[31m"),
        ("fail", "handler-failed: the handler failed"),
        ("unknown", "no-handler: no handler takes a message with subject 'unknown'"),
    ],
)
def test_an_error_is_one_line(telex: Telex, server: Running, subject: str, sentence: str) -> None:
    """Its code and its detail are on standard error, printable, and the exit code is 1."""
    outcome = telex("request", "--subject", subject, "--to", str(server.address))
    assert outcome == (1, [], [f"telex: {sentence}"])


def test_what_came_before_an_error_is_printed(server: Running) -> None:
    """Parts are printed when they come; that they are not all is told by the exit code."""
    code, output, errors = asked(server, "--subject", "half")
    assert (code, output) == (1, b"half")
    assert errors == b"telex: broken-off: no more\\x1b\n"


def test_a_late_answer_is_one_line(telex: Telex, server: Running) -> None:
    """It is said how long was waited, and for what."""
    to = ["--to", str(server.address)]
    outcome = telex("request", "--subject", "late", "--timeout", "0.2", *to)
    assert (outcome.code, outcome.output, len(outcome.errors)) == (1, [], 1)
    assert outcome.errors[0].startswith("telex: timed out after 0.2 s waiting for ")
    assert outcome.errors[0].endswith("answer to a message with subject 'late'")


def test_ctrl_c_ends_the_waiting(server: Running) -> None:
    """Who is tired of waiting leaves, and is not told of tracebacks."""
    to = ["--to", str(server.address)]
    with program("request", "--subject", "late", *to) as asking:
        wait_until(lambda: server.events.messages, "the request")
        assert asking.end(signal.SIGINT) == 130
        assert asking.errors == ["telex: interrupted"]


def test_it_ends_when_nobody_reads_the_answer(server: Running) -> None:
    """``telex request … | true`` is no failure to complain of."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*COMMAND, "request", "x", "--subject", "echo", "--to", str(server.address)],
        stdout=writing,
        stderr=PIPE,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_server_without_an_application_answers_that_it_does_not(telex: Telex) -> None:
    """``telex serve`` shows requests, and says that nobody there answers them."""
    with program("serve", "--listen", "tcp://127.0.0.1:0") as server:
        address = server.wait_for("listening on ").removeprefix("listening on ")
        outcome = telex("request", "you", "--subject", "greet", "--to", address)
        server.wait_for("text/plain, 3 bytes, kind request, subject greet, id 1: you")
    assert outcome.code == 1
    assert outcome.errors[0].startswith("telex: no-handler: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["x", "--json", "1"], "a request has one content: TEXT, --json or --file"),
        (["--json", "nope"], "--json: 'nope' is not JSON"),
        (["x", "--timeout", "0"], "--timeout: it must be more than 0"),
        (["x", "--timeout", "nan"], "--timeout: it must be more than 0"),
        (["x", "--header", "subject=s"], "--header: 'subject' is set by --subject"),
        (["x", "--encoding", "klingon"], "--encoding: unknown charset 'klingon'"),
    ],
)
def test_what_cannot_be_meant_is_refused(telex: Telex, arguments: list[str], sentence: str) -> None:
    """It is refused before anybody is asked, in one line, with exit code 2."""
    outcome = telex("request", *arguments, "--to", "unix:///nobody/listens")
    assert (outcome.code, outcome.output, len(outcome.errors)) == (2, [], 1)
    assert outcome.errors[0].startswith(f"telex: {sentence}")


@pytest.mark.parametrize("command", [["send", "x", "-q"], ["request", "x"], ["ping", "-c", "1"]])
def test_a_token_is_not_shown_where_others_could_read_it(
    telex: Telex, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Not even one that the environment has for another server, unless it is said."""

    def find_here(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    with running(tokens={"pump-7": "secret"}) as server:
        monkeypatch.setattr(socket, "getaddrinfo", find_here)
        to = ["--to", f"tcp://telex.example:{server.address.port}"]
        refused = telex(*command, *to)
        assert (refused.code, refused.output, len(refused.errors)) == (1, [], 1)
        assert refused.errors[0].startswith("telex: cannot show a token to tcp://telex.example:")
        assert "--insecure" in refused.errors[0]
        assert telex(*command, *to, "--insecure").code == 0
