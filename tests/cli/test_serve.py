"""``telex serve``: what it shows, what it lets pass to a terminal or a pipe, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from telex import Address, Message
from tests.cli.stage import ANY_PORT, Telex, connected, program, serving
from tests.sync.stage import PATIENCE, receive_all, running, wait_until

TEXT = Message("Grüße", subject="greet")

APPLICATION = """
import telex

app = telex.Application()

@app.on("greet")
def greet(message):
    return f"hello {message.content}"

@app.on("fail")
def fail(message):
    raise KeyError(message.content)
"""


def plugged_in(address: Address) -> socket.socket:
    """Connect a plain socket."""
    return socket.create_connection((address.host, address.port), PATIENCE)


def refused(address: Address, data: bytes) -> None:
    """Send bytes that a server refuses, and leave when it has said so."""
    with plugged_in(address) as sock:
        sock.sendall(data)
        assert sock.makefile("rb").read()


def test_it_shows_connections_bytes_and_messages() -> None:
    """A person sees who comes, how many bytes arrive and are missing, the message, who leaves."""
    data = TEXT.to_bytes()
    arrivals = [
        (data[:1], "received 1 byte, 1 to go in the proto-header"),
        (data[1:40], "received 39 bytes, 76 to go in the header block"),
        (data[40:120], "received 80 bytes, 3 to go in the content"),
        (data[120:], "received 3 bytes, message complete"),
    ]
    with serving() as (server, address), plugged_in(address) as sock:
        name = "{}:{}".format(*sock.getsockname())
        for piece, told in arrivals:
            sock.sendall(piece)
            server.wait_for(told)
        sock.close()
        server.wait_for("disconnected")
        assert server.output == [
            f"listening on {address}",
            f"{name}  connected",
            *(f"{name}  {told}" for _piece, told in arrivals),
            f"{name}  text/plain, 7 bytes, subject greet: Grüße",
            f"{name}  disconnected",
        ]
        assert server.errors == []


def test_nothing_of_a_peer_reaches_the_terminal_raw() -> None:
    """Escape sequences, C1 controls, direction marks and line breaks are shown as escapes."""
    hostile = "\x1b[31m\x9b31m\u202e\x07\r\n[bold]x[/bold]\x7f"
    message = Message(hostile, subject=hostile, headers={hostile: hostile})
    with serving() as (server, address), connected(address) as connection:
        connection.send(message)
        line = server.wait_for("text/plain")
        assert all(character.isprintable() for line in server.output for character in line)
        assert line.count(r"\x1b[31m\x9b31m\u202e\x07\r\n[bold]x[/bold]\x7f") == 4


def test_the_reason_of_a_bad_end_is_told_once() -> None:
    """Bytes that are no messages end the connection; the reason is shown where one looks."""
    with serving() as (server, address):
        refused(address, b"\x00\x03\x1b[3")
        line = server.wait_for("disconnected")
        assert "disconnected: message at byte 0: the header block begins with byte 0x1b" in line
        assert server.errors == []


def test_a_message_over_the_limit_is_refused() -> None:
    """``--max-content-size`` takes sizes as people write them."""
    with serving("--max-content-size", "1KiB") as (server, address):
        with connected(address) as connection:
            connection.send(b"x" * 1024)
            server.wait_for("1,024 bytes")
        refused(address, Message(b"x" * 1025).to_bytes())
        server.wait_for("the content is 1,025 bytes, and at most 1,024 are allowed")


def test_json_lines_hold_everything() -> None:
    """With ``--json``, standard output has one JSON object a message, and nothing else."""
    with serving("--json") as (server, address):
        with connected(address) as connection:
            connection.send(TEXT)
            connection.send({"t": [21.5, None, True]}, headers={"site": "n\x9b"})
            connection.send(b"\x00\xff")
            connection.send(b"\xff", content_type="text/plain", encoding="utf-8")
        wait_until(lambda: len(server.output) == 4, "four lines")
        assert server.end(signal.SIGTERM) == 0
        text, data, binary, unreadable = map(json.loads, server.output)
        assert re.fullmatch(r"127\.0\.0\.1:\d+", text["peer"])
        assert text["content"] == "Grüße"
        assert text["header"]["subject"] == "greet"
        assert data["content"] == {"t": [21.5, None, True]}
        assert data["header"]["site"] == "n\x9b"
        assert data["header"]["content-length"] == 22
        assert binary["content_base64"] == "AP8="
        assert unreadable["content_base64"] == "/w=="
        assert "not text in 'utf-8'" in unreadable["problem"]
        assert "".join(server.output).isprintable()
        assert server.errors == [f"listening on {address}"]


def test_quiet_shows_messages_only(tmp_path: Path) -> None:
    """With ``--quiet`` there is a line for each message; what goes wrong is on standard error."""
    address = f"unix://{tmp_path}/socket"
    with program("serve", "--quiet", "--listen", address) as server:
        with connected(address) as connection:
            connection.send(TEXT)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{tmp_path}/socket")
            sock.sendall(b"GET / HTTP/1.1\r\n")
            server.wait_for("HTTP")
        assert server.end(signal.SIGTERM) == 0
        assert server.output == [str(TEXT)]
        assert len(server.errors) == 1
        assert server.errors[0].startswith("telex: ")


def test_an_application_handles_and_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application is found in the current directory; what arrives for it is shown as well."""
    (tmp_path / "orders.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    with serving("orders:app") as (server, address), connected(address) as connection:
        connection.send("you", subject="greet")
        assert connection.receive(PATIENCE).content == "hello you"
        server.wait_for("text/plain, 3 bytes, subject greet: you")
        connection.send("\x1b[31mout", subject="fail")
        assert server.wait_for("KeyError").isprintable()
        connection.send("?", subject="unknown")
        server.wait_for("no handler takes a message with subject 'unknown'")
        assert server.errors[0].endswith("handler fail failed on a message with subject 'fail'")


def test_an_application_can_have_the_terminal_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``--quiet`` nothing is shown of what an application handles."""
    (tmp_path / "orders.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    address = f"unix://{tmp_path}/socket"
    with program("serve", "orders:app", "--quiet", "--listen", address) as server:
        with connected(address) as connection:
            connection.send("you", subject="greet")
            assert connection.receive(PATIENCE).content == "hello you"
        assert server.end(signal.SIGINT) == 0
        assert server.output == server.errors == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM are how a server ends: no traceback, exit code 0, peers are told."""
    with serving() as (server, address), plugged_in(address) as sock:
        server.wait_for("connected")
        assert server.end(number) == 0
        [goodbye] = receive_all(sock)
        assert (goodbye.kind, goodbye.content["code"]) == ("close", "shutting-down")
        assert server.errors == []


def test_it_ends_when_nobody_reads_its_output() -> None:
    """``telex serve | head -1`` ends, though no message comes that could not be printed."""
    reading, writing = os.pipe()
    with program("serve", "--listen", ANY_PORT, stdout=writing) as server:
        os.close(writing)
        with os.fdopen(reading, "rb") as head:
            assert head.readline().startswith(b"listening on ")
        assert server.end() == 141
        assert server.errors == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_it_ends_when_its_output_cannot_be_written() -> None:
    """A full disk ends it with an error, for messages would be lost in silence."""
    with (
        Path("/dev/full").open("wb") as full,
        program("serve", "--listen", ANY_PORT, stdout=full.fileno()) as server,
    ):
        assert server.end() == 1
        assert server.errors == ["telex: cannot write the output: no space left on device"]


def test_a_port_in_use_is_one_line(telex: Telex) -> None:
    """Where another server listens already, that is said, with exit code 1."""
    with running() as other:
        outcome = telex("serve", "--listen", str(other.address))
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"telex: cannot listen on {other.address}: ")
    assert "address already in use" in outcome.errors[0]


def test_an_application_that_cannot_be_loaded_is_one_line(telex: Telex) -> None:
    """Nothing is listened on for an application that is not there."""
    outcome = telex("serve", "no_such_module:app")
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith("telex: there is no module 'no_such_module'")
