"""``telex ping``: a line for each answer, one for all of them, and an exit code."""

from __future__ import annotations

import re
import signal
import socket

from tests.cli.stage import Telex, program
from tests.sync.stage import running

ANSWERED = r"ping {}: \d+\.\d\d\d ms"
SUMMARY = r"{}; min/median/max \d+\.\d{{3}}/\d+\.\d{{3}}/\d+\.\d{{3}} ms"


def test_each_ping_is_a_line_and_the_last_one_sums_up(telex: Telex) -> None:
    """Times are in milliseconds, to the microsecond."""
    with running() as server:
        to = ["--to", str(server.address)]
        outcome = telex("ping", "--count", "3", "--interval", "0", *to)
    assert (outcome.code, outcome.errors, len(outcome.output)) == (0, [], 4)
    for number, line in enumerate(outcome.output[:3], 1):
        assert re.fullmatch(f"{server.address.host}:\\d+: {ANSWERED.format(number)}", line)
    assert re.fullmatch(SUMMARY.format("3 pings, 3 answered"), outcome.output[3])


def test_quiet_prints_the_summary_only(telex: Telex) -> None:
    """For programs one line is enough."""
    with running() as server:
        outcome = telex("ping", "-c", "1", "-q", "--to", str(server.address))
    [line] = outcome.output
    assert re.fullmatch(SUMMARY.format("1 ping, 1 answered"), line)


def test_ctrl_c_sums_up(telex: Telex) -> None:
    """Without a count it goes on until Ctrl-C, which is no failure."""
    with running() as server, program("ping", "--to", str(server.address)) as pinging:
        pinging.wait_for("ping 1: ")
        assert pinging.end(signal.SIGINT) == 0
        assert "answered; min/median/max" in pinging.output[-1]
        assert pinging.errors == []


def test_no_answer_at_all_is_a_failure(telex: Telex) -> None:
    """Who listens and says nothing is told from who answers, by the exit code too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        outcome = telex("ping", "-c", "1", "--timeout", "0.1", "--to", address)
    assert outcome.code == 1
    assert outcome.output[0].endswith(": ping 1: no answer within 0.1 s")
    assert outcome.output[1] == "1 ping, 0 answered"
    assert outcome.errors == [f"telex: no answer from {address}"]


def test_an_end_of_the_connection_is_told_after_what_there_was(telex: Telex) -> None:
    """A server that goes away ends it, with the summary and the reason."""
    with running() as server, program("ping", "--to", str(server.address)) as pinging:
        pinging.wait_for("ping 1: ")
        server.stop()
        assert pinging.end() == 1
        assert "answered; min/median/max" in pinging.output[-1]
        [error] = pinging.errors
        assert error.startswith("telex: connection closed by the peer: ")


def test_what_cannot_be_meant_is_refused(telex: Telex) -> None:
    """It is one line, with exit code 2."""
    for option, value, problem in (
        ("--count", "0", "must be at least 1"),
        ("--interval", "-1", "must not be negative"),
        ("--interval", "nan", "must not be negative"),
        ("--timeout", "nan", "must be more than 0"),
        ("--timeout", "0", "must be more than 0"),
    ):
        outcome = telex("ping", option, value)
        assert outcome == (2, [], [f"telex: {option}: it {problem}"])
