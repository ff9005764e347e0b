"""``telex conformance``: servers and clients are judged with the conversations of the format."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telex import Address, Application, ConnectionClosedError, Limits, Message, RemoteError
from telex.conformance.application import fixed_application
from telex.conformance.loading import conversations, setups
from telex.conformance.run import of_server, setup_of
from telex.conformance.serve import SUBJECT, entries
from telex.sync import connect
from telex.testing.serving import ServingInThread
from telex.tls import client_context
from tests.certificates import Authority
from tests.cli.stage import ANY_PORT, Program, Telex, program
from tests.sync.stage import wait_until

ONE = "server-answers"
"""A conversation with a server that is played by name."""


@contextlib.contextmanager
def server(application: Application, address: str = ANY_PORT) -> Iterator[str]:
    """Run a server of Telex for the time of the context."""
    running = ServingInThread(application, address, {"limits": Limits()})
    try:
        yield str(running.address)
    finally:
        running.shutdown()
        assert running.has_ended(10.0)
        assert running.clean_up() == []


@contextlib.contextmanager
def peer_for_clients(*arguments: str, listen: str = ANY_PORT) -> Iterator[tuple[Program, Address]]:
    """Run ``telex conformance serve`` for the time of the context; say where it listens."""
    with program("conformance", "serve", "--listen", listen, *arguments) as peer:
        announcement = peer.wait_for("listening on ")
        yield peer, Address.parse(announcement.removeprefix("listening on "))


def answering_wrongly() -> Application:
    """Return an application that is not the fixed one: it answers everything with the same."""
    app = Application()

    @app.on()
    def answer(message: Message) -> str | None:
        return "something else" if message.kind == "request" else None

    return app


def test_a_server_that_keeps_the_rules_passes(telex: Telex) -> None:
    """The exit code is 0, and the summary says how many were played and what was left out."""
    with server(fixed_application()) as address:
        outcome = telex("conformance", "run", address, "--timeout", "5")
    assert outcome.code == 0, outcome.output
    assert outcome.output[0].endswith("conversations played, 0 fell short")
    assert any("left out" in line for line in outcome.output)
    assert any("--setup" in line for line in outcome.output)


def test_a_fault_of_a_server_is_told_with_what_came_instead(telex: Telex) -> None:
    """Name, rule, the step, what was expected and what came; the exit code is 1."""
    with server(answering_wrongly()) as address:
        outcome = telex("conformance", "run", address, "--only", ONE, "--timeout", "0.3")
    [rule] = [one["shows"] for one in conversations() if one["name"] == ONE]
    assert outcome.code == 1
    assert outcome.output[0] == f"fell short {ONE}: {rule}"
    assert outcome.output[1].startswith("  step 2, expected: {")
    assert "something else" in outcome.output[2]
    assert outcome.output[3] == "1 conversation played, 1 fell short"
    assert "fixed application" in outcome.output[-1]


def test_one_that_falls_short_does_not_keep_others_from_being_played(telex: Telex) -> None:
    """All names are in the result, as JSON for programs."""
    names = [one["name"] for one in of_server(conversations(), "plain")][:4]
    only = [argument for name in names for argument in ("--only", name)]
    with server(answering_wrongly()) as address:
        outcome = telex("conformance", "run", address, "--json", "--timeout", "0.3", *only)
    results = [json.loads(line) for line in outcome.output]
    assert outcome.code == 1
    assert [result["name"] for result in results] == names
    assert {"step", "expected", "came", "shows"} <= set(
        next(result for result in results if not result["ok"])
    )


def test_a_server_that_says_nothing_falls_short_in_time(telex: Telex) -> None:
    """A peer that accepts connections and never answers is no reason to wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        outcome = telex("conformance", "run", address, "--only", ONE, "--timeout", "0.1")
    assert outcome.code == 1
    assert outcome.output[2] == "  what came: nothing within 0.1 s"


def test_a_server_that_is_not_there_is_an_error_at_once(telex: Telex) -> None:
    """It is one line, and nothing is played."""
    outcome = telex("conformance", "run", "tcp://127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.output == []
    assert outcome.errors == ["telex: cannot connect to tcp://127.0.0.1:1: connection refused"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--only", "nonsense"], "--only: no conversation with a server is 'nonsense'"),
        (["run", "--setup", "nonsense"], "--setup: right would be one of plain, "),
        (["run", "--timeout", "0"], "--timeout: it must be more than 0"),
        (["run", "7766"], "ADDRESS: address '7766': it has no scheme"),
        (["serve", "--listen", "tls://127.0.0.1:0"], "--listen: "),
        (["nonsense"], "no such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_one_line(telex: Telex, arguments: list[str], sentence: str) -> None:
    """What was not understood is named in one line on standard error, with exit code 2."""
    outcome = telex("conformance", *arguments)
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith(f"telex: {sentence}")


def test_the_list_has_every_conversation_with_its_rule(telex: Telex) -> None:
    """One line each: role, setup, name and rule; before them the setups."""
    outcome = telex("conformance", "list")
    assert outcome.code == 0
    for one in conversations():
        beginning = f"{one['role']} {setup_of(one)} {one['name']}: {one['shows']}"
        assert any(line.startswith(beginning) for line in outcome.output), beginning
    assert all(
        any(line.startswith(f"setup {name}: ") for line in outcome.output) for name in setups()
    )
    few = telex("conformance", "list", "--setup", "plain").output
    assert all(line.split()[1].rstrip(":") == "plain" for line in few)


def test_the_test_peer_offers_the_fixed_application_and_ends_at_a_signal(telex: Telex) -> None:
    """``run`` passes against ``serve``; SIGTERM ends it with exit code 0."""
    with peer_for_clients() as (peer, address):
        outcome = telex("conformance", "run", str(address))
        assert (outcome.code, outcome.errors) == (0, []), outcome.output
        assert peer.end(signal.SIGTERM) == 0
        assert peer.errors == []


def test_the_test_peer_demands_the_token_of_its_setup(telex: Telex) -> None:
    """With ``--setup token`` the conversations of this setup pass, over a Unix socket too."""
    with peer_for_clients("--setup", "token") as (_peer, address):
        outcome = telex("conformance", "run", str(address), "--setup", "token")
    assert outcome.code == 0, outcome.output


def test_the_test_peer_speaks_tls(telex: Telex, tmp_path: Path) -> None:
    """Both commands take the options for TLS that other commands have."""
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1", "localhost")
    options = ["--cert", str(pair.certificate), "--key", str(pair.key)]
    with peer_for_clients(*options, listen="tls://127.0.0.1:0") as (peer, address):
        outcome = telex("conformance", "run", str(address), "--ca", str(authority.file))
        assert outcome.code == 0, outcome.output
        with connect(address, tls=client_context(authority.file)) as connection:
            connection.request("?", subject=f"{SUBJECT}{a_client_conversation()}", timeout=5)
        peer.wait_for(f"ok {a_client_conversation()}")


def test_the_test_peer_judges_each_conversation_that_a_client_asks_for() -> None:
    """A client of Telex asks for all that the peer plays; each is told in one line."""
    asked = entries(one for one in conversations() if setup_of(one) == "plain")
    with peer_for_clients() as (peer, address):
        for name in asked:
            with contextlib.suppress(RemoteError, ConnectionClosedError), connect(address) as one:
                list(one.request_parts("?", subject=SUBJECT + name, timeout=5))
        for name in asked:
            peer.wait_for(f" {name}")
        lines = peer.output[1:]
    assert sorted(lines) == sorted(f"ok {name}" for name in asked)


def test_the_test_peer_tells_what_a_client_did_wrong() -> None:
    """A client that does not end the conversation where it must falls short."""
    name = next(
        name
        for name, entry in entries(conversations()).items()
        if setup_of(entry.conversation) == "plain"
        and {"out": "end"} in entry.conversation["steps"][entry.first :]
    )
    request = Message("?", kind="request", id=1, subject=SUBJECT + name)
    with (
        peer_for_clients("--timeout", "0.3") as (peer, address),
        socket.create_connection((address.host, address.port)) as client,
    ):
        client.sendall(request.to_bytes())
        told = peer.wait_for(f"fell short {name}: ")
    assert "nothing within 0.3 s" in told


def test_the_test_peer_takes_a_conversation_after_hello_and_in_pieces() -> None:
    """The hello is answered first, wherever the bytes are cut."""
    name = a_client_conversation()
    hello = Message({"version": 1}, kind="hello").to_bytes()
    request = Message("?", kind="request", id=1, subject=SUBJECT + name).to_bytes()
    cuts = (1, len(hello) - 1, len(hello), len(hello) + 1, len(hello + request) - 1)
    with peer_for_clients() as (peer, address):
        for cut in cuts:
            with socket.create_connection((address.host, address.port)) as client:
                client.sendall((hello + request)[:cut])
                time.sleep(0.02)  # so that the pieces arrive one by one, as a rule
                client.sendall((hello + request)[cut:])
                with client.makefile("rb") as stream:
                    first = stream.read(2)
                    assert b'"welcome"' in stream.read(int.from_bytes(first, "big"))
        wait_until(lambda: peer.output[1:] == [f"ok {name}"] * len(cuts), "all are judged")


def a_client_conversation() -> str:
    """Return the name of one in which a request is simply answered."""
    return "client-takes-reply"
