"""``telex send``: what becomes a message, that all arrive, and what is said when they do not."""

from __future__ import annotations

import os
import pty
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from telex import Application, Limits, Message
from tests.cli.stage import Telex, program
from tests.sync.stage import ROOMY, Running, pause_until, running, wait_until


@pytest.fixture
def server() -> Iterator[Running]:
    """Run a server that takes messages of any size, and sends nothing back."""
    application = Application()
    application.on()(lambda _message: None)
    with running(application, limits=ROOMY) as server:
        yield server


def to(server: Running) -> list[str]:
    """Return the options that send to a server."""
    return ["--to", str(server.address)]


def have_arrived(server: Running, count: int) -> bool:
    """Say whether so many messages have arrived."""
    return len(server.events.messages) == count


def test_every_text_is_a_message(telex: Telex, server: Running) -> None:
    """Texts arrive in their order; what was sent is confirmed on standard error."""
    outcome = telex("send", "one", "zwölf", "", *to(server))
    assert server.events.messages == [Message("one"), Message("zwölf"), Message("")]
    assert outcome == (0, [], [f"sent 3 messages, 9 bytes, to {server.address}"])


def test_quiet_says_nothing(telex: Telex, server: Running) -> None:
    """With ``--quiet`` success is silent."""
    assert telex("send", "one", "--quiet", *to(server)) == (0, [], [])
    assert server.events.messages == [Message("one")]


def test_the_order_is_texts_json_files_input(telex: Telex, server: Running, tmp_path: Path) -> None:
    """Whatever the order of the options, that of the messages is always the same."""
    (tmp_path / "a.txt").write_text("file")
    options = ["--file", f"{tmp_path}/a.txt", "--json", "[1]", "--json", "{}"]
    assert telex("send", *options, "-", "text", *to(server), given=b"input").code == 0
    assert [message.content for message in server.events.messages] == [
        "text",
        [1],
        {},
        "file",
        "input",
    ]


def test_all_is_sent_as_often_as_asked(telex: Telex, server: Running) -> None:
    """``--count`` repeats everything in turn."""
    assert telex("send", "a", "-", "--count", "1000", *to(server), given=b"b").code == 0
    assert [message.content for message in server.events.messages] == ["a", "b"] * 1000


def test_a_message_is_described_by_options(telex: Telex, server: Running) -> None:
    """Subject, own headers as text or JSON, content type and charset travel in the header."""
    headers = ["--header", "site=north=1", "--header", "attempt:=2", "--header", "a:b=c"]
    described = ["--subject", "orders.new", "--content-type", "text/csv", "--encoding", "latin-1"]
    assert telex("send", "ü;1", *headers, *described, *to(server)).code == 0
    (message,) = server.events.messages
    assert message.subject == "orders.new"
    assert message.headers == {"site": "north=1", "attempt": 2, "a:b": "c"}
    assert (message.content_type, message.encoding) == ("text/csv", "latin-1")
    assert (message.content, message.body) == ("ü;1", b"\xfc;1")


@pytest.mark.parametrize(
    ("name", "data", "content_type", "encoding"),
    [
        ("a.txt", "Grüße\r\n".encode(), "text/plain", "utf-8"),
        ("a.txt", b"Gr\xfc\xdfe", "text/plain", "binary"),
        ("a.html", b"\xef\xbb\xbf<p>", "text/html", "utf-8"),
        ("a.json", b'{ "a": 1 }\n', "application/json", "utf-8"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "image/png", "binary"),
        ("a.tar.gz", b"\x1f\x8b", "application/gzip", "binary"),
        ("unknown", b"text", "application/octet-stream", "binary"),
        ("empty.txt", b"", "text/plain", "utf-8"),
    ],
)
def test_a_file_arrives_as_it_is(
    telex: Telex,
    server: Running,
    tmp_path: Path,
    name: str,
    data: bytes,
    content_type: str,
    encoding: str,
) -> None:
    """The name tells the content type, the bytes are what they were."""
    (tmp_path / name).write_bytes(data)
    assert telex("send", "--file", f"{tmp_path}/{name}", *to(server)).code == 0
    (message,) = server.events.messages
    assert (message.content_type, message.encoding) == (content_type, encoding)
    assert message.body == data


def test_a_file_of_any_size_arrives_identical(
    telex: Telex, server: Running, tmp_path: Path
) -> None:
    """Only the receiver's limit counts: the sender has asked for it."""
    data = os.urandom(1 << 20) * 20
    (tmp_path / "large.bin").write_bytes(data)
    outcome = telex("send", "--file", f"{tmp_path}/large.bin", *to(server))
    assert outcome.errors == [f"sent 1 message, 20,971,520 bytes, to {server.address}"]
    (message,) = server.events.messages
    assert message.body == data


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("Grüße\n".encode(), "text/plain"),
        (b"\xff\x00", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_standard_input_is_one_message(
    telex: Telex, server: Running, data: bytes, content_type: str
) -> None:
    """All of standard input travels as it is: as text if it is text."""
    assert telex("send", "-", *to(server), given=data).code == 0
    (message,) = server.events.messages
    assert (message.content_type, message.body) == (content_type, data)


def test_the_charset_of_files_and_input_can_be_told(telex: Telex, server: Running) -> None:
    """With ``--encoding`` the bytes travel unchanged and are read in that charset."""
    assert telex("send", "-", "--encoding", "utf-16", *to(server), given=b"\xff\xfea\0").code == 0
    assert [message.content for message in server.events.messages] == ["a"]


def test_lines_arrive_complete_and_in_order(telex: Telex, server: Running) -> None:
    """With ``--lines`` each line is a message: empty ones and an unfinished last one too."""
    given = b"one\n\nthree\r\n\xff\nlast"
    assert telex("send", "-", "--lines", *to(server), given=given).code == 0
    bodies = [message.body for message in server.events.messages]
    assert bodies == [b"one", b"", b"three\r", b"\xff", b"last"]
    encodings = [message.encoding for message in server.events.messages]
    assert encodings == ["utf-8", "utf-8", "utf-8", "binary", "utf-8"]


def test_many_lines_arrive_complete_and_in_order(telex: Telex, server: Running) -> None:
    """Lines are not lost, doubled or swapped, wherever the input was cut when it was read."""
    given = b"".join(b"line %d\n" % number for number in range(100_000))
    outcome = telex("send", "-", "--lines", *to(server), given=given)
    assert outcome.errors == [
        f"sent 100,000 messages, {len(given) - 100_000:,} bytes, to {to(server)[1]}"
    ]
    assert b"".join(message.body + b"\n" for message in server.events.messages) == given


def test_a_line_is_sent_as_soon_as_it_has_come(server: Running) -> None:
    """A slow source is not gathered: each line arrives while the next one is waited for."""
    with program("send", "-", "--lines", *to(server)) as sender:
        assert sender.process.stdin is not None
        for count in (1, 2, 3):
            sender.process.stdin.write(b"line\n")
            sender.process.stdin.flush()
            wait_until(partial(have_arrived, server, count), "the line")
        sender.process.stdin.close()
        assert sender.end() == 0


def test_a_line_in_another_charset_is_named(telex: Telex, server: Running) -> None:
    """Lines before it are sent; it is told which line is not what ``--encoding`` says."""
    outcome = telex(
        "send", "-", "--lines", "--encoding", "ascii", *to(server), given=b"a\nb\n\xff\n"
    )
    assert outcome == (1, [], ["telex: line 3 is not text in ascii: byte 0xff at offset 0"])
    wait_until(partial(have_arrived, server, 2), "the lines before it")


def test_pieces_can_be_watched(
    telex: Telex, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--chunk-size`` and ``--delay`` have each piece wait for the one before it."""
    pauses = pause_until(monkeypatch, lambda: server.events.sizes == [20] * len(pauses))
    pieces = ["--chunk-size", "20", "--delay", "0.02"]
    assert telex("send", "Hello, wire", *pieces, *to(server)).code == 0
    assert server.events.messages == [Message("Hello, wire")]
    assert server.events.sizes[: len(pauses)] == [20] * len(pauses)
    assert set(pauses) == {0.02}


def test_what_an_application_sends_back_stops_nothing(telex: Telex) -> None:
    """Answers are taken, so that a server that answers everything does not wait for ever."""
    with running(limits=ROOMY) as echo:
        outcome = telex("send", "x" * 100_000, "--count", "400", *to(echo))
        assert outcome == (0, [], [f"sent 400 messages, 40,000,000 bytes, to {echo.address}"])
        assert len(echo.events.messages) == 400


def test_a_refusal_is_one_line(telex: Telex) -> None:
    """A message that is too large for the server is told of, with exit code 1."""
    with running(limits=Limits(max_content_size=10)) as strict:
        outcome = telex("send", "x" * 11, *to(strict))
    assert (outcome.code, outcome.output) == (1, [])
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith("telex: connection closed by the peer: message at byte 0")


def test_a_problem_with_one_message_of_many_is_not_lost(telex: Telex, server: Running) -> None:
    """One message that a handler cannot read does not stop the others, but the exit code is 1."""
    given = b"broken\n" + b'"fine"\n' * 10_000
    options = ["--lines", "--subject", "content", "--content-type", "application/json"]
    with running() as reading:
        outcome = telex("send", "-", *options, *to(reading), given=given)
        assert have_arrived(reading, 10_001)
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert "bad-content: content is not valid JSON" in outcome.errors[0]


def test_a_server_that_reads_nothing_is_given_up(telex: Telex) -> None:
    """It has the time that it is given, 60 s if nothing is said; then it is told, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        outcome = telex("send", "x", "--timeout", "0.1", "--to", address)
    sentence = "the server has not read everything within 0.1 s (see --timeout)"
    assert outcome == (1, [], [f"telex: {sentence}"])


def test_a_server_that_goes_away_is_one_line() -> None:
    """A server that ends in the middle is no success."""
    application = Application()
    with running(application) as server:
        slowly = ["--chunk-size", "1", "--delay", "0.001", "--count", "10000"]
        with program("send", "x", *slowly, *to(server)) as sender:
            wait_until(lambda: server.events.sizes, "the first bytes")
            server.stop()
            assert sender.end() == 1
            assert len(sender.errors) == 1
            assert sender.errors[0].startswith("telex: connection closed by the peer: ")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:{port}", "connection refused"),
        ("unix://{directory}/none", "no such file or directory"),
    ],
)
def test_no_server_is_one_line(telex: Telex, tmp_path: Path, address: str, reason: str) -> None:
    """Where nobody listens, it is said how somebody would."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = address.format(port=unused.getsockname()[1], directory=tmp_path)
        outcome = telex("send", "x", "--to", address)
    hint = f"is a server running? try: telex serve --listen {address}"
    assert outcome == (1, [], [f"telex: cannot connect to {address}: {reason} ({hint})"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to send: give TEXT, --json, --file, or - for standard input"),
        (["-", "-"], "-: standard input can be read only once"),
        (["x", "--lines"], "--lines: it needs - for standard input"),
        (["-", "--lines", "--count", "2"], "--count: lines can be read only once"),
        (["x", "--count", "0"], "--count: it must be at least 1"),
        (["x", "--delay", "1"], "--delay: it needs --chunk-size"),
        (["x", "--chunk-size", "9", "--delay", "-1"], "--delay: it must not be negative"),
        (["x", "--chunk-size", "9", "--delay", "nan"], "--delay: it must not be negative"),
        (["x", "--timeout", "0"], "--timeout: it must be more than 0"),
        (["x", "--timeout", "nan"], "--timeout: it must be more than 0"),
        (["x", "--chunk-size", "0"], "--chunk-size: a piece has at least 1 byte"),
        (["x", "--chunk-size", "few"], "--chunk-size: 'few' is not a size"),
        (
            ["--json", '{"a": nope}'],
            "--json: '{\"a\": nope}' is not JSON: Expecting value, line 1, column 7",
        ),
        (["x", "--header", "name"], "--header: 'name' is neither name=value nor name:=JSON"),
        (["x", "--header", "a:=x"], "--header: 'x' is not JSON: Expecting value, line 1, column 1"),
        (["x", "--header", "a=1", "--header", "a=2"], "--header: 'a' is there twice"),
        (["x", "--header", "subject=s"], "--header: 'subject' is set by --subject"),
        (["x", "--header", "id:=1"], "header 'id' belongs to the wire format"),
        (["x", "--content-type", "text"], "content type 'text' is not a media type"),
        (["x", "--encoding", "klingon"], "--encoding: unknown charset 'klingon'"),
        (["x", "--encoding", "hex"], "--encoding: "),
        (["-", "--lines", "--encoding", "utf-16-le"], "--encoding: in 'utf-16-le' a line does not"),
    ],
)
def test_what_cannot_be_meant_is_refused(telex: Telex, arguments: list[str], sentence: str) -> None:
    """It is refused before anything is sent, in one line, with exit code 2."""
    outcome = telex("send", *arguments, "--to", "unix:///nobody/listens")
    assert (outcome.code, outcome.output, len(outcome.errors)) == (2, [], 1)
    assert outcome.errors[0].startswith(f"telex: {sentence}")


def test_nothing_is_sent_when_something_is_missing(
    telex: Telex, server: Running, tmp_path: Path
) -> None:
    """A file that is not there is noticed before the first message goes."""
    missing = f"{tmp_path}/none.txt"
    outcome = telex("send", "x", "--file", missing, *to(server))
    assert outcome == (1, [], [f"telex: {missing}: no such file or directory"])
    assert server.events.connections == []


def test_text_that_its_charset_lacks_is_refused(telex: Telex) -> None:
    """What cannot be written in a charset is named."""
    outcome = telex("send", "ü", "--encoding", "ascii")
    assert outcome.code == 1
    assert r"telex: text cannot be written in 'ascii': '\xfc' at index 0" in outcome.errors[0]


def test_ctrl_c_ends_it(server: Running) -> None:
    """Ctrl-C is no error of the program: one line, and the exit code that a shell expects."""
    slowly = ["--chunk-size", "1", "--delay", "0.001", "--count", "10000"]
    with program("send", "x", *slowly, *to(server)) as sender:
        wait_until(lambda: server.events.sizes, "the first bytes")
        assert sender.end(signal.SIGINT) == 130
        assert sender.errors == ["telex: interrupted"]


def test_a_person_sees_progress_when_it_takes_long(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a second there is a bar on the terminal, and what was sent in the end."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    here, there = pty.openpty()
    with program("send", "-", "--lines", *to(server), stderr=there) as sender:
        os.close(there)
        assert sender.process.stdin is not None
        sender.process.stdin.write(b"line\n")
        sender.process.stdin.flush()
        shown = _read_until(here, "1 messages")
        sender.process.stdin.close()
        shown += _read_until(here, "to tcp://")
        assert sender.end() == 0
    assert "sending" in shown
    assert f"sent 1 message, 4 bytes, to {server.address}" in shown
    os.close(here)


def _read_until(descriptor: int, text: str) -> str:
    shown = ""
    while text not in shown:
        shown += os.read(descriptor, 65536).decode("utf-8")
    return shown
