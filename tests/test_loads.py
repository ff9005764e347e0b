"""The loads of the benchmarks at sizes that a test can afford: all promises but those of speed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import program
from benchmarks.loads import catalogue, hoarders, requests, shutdown, slow_senders, workers
from benchmarks.loads.catalogue import Load
from benchmarks.loads.outcome import FrontEnd, Outcome
from benchmarks.results import Bar

every_server = pytest.mark.parametrize("server", ["sync", "asyncio"])
every_client = pytest.mark.parametrize("client", ["sync", "asyncio"])


def missed(outcome: Outcome) -> list[Bar]:
    """Return the promises that were not kept, but those that depend on how busy a machine is."""
    promises = [bar for bar in outcome.bars if bar.unit != "s" and "latency" not in bar.what]
    return [bar for bar in promises if not bar.met]


@every_client
@every_server
def test_every_request_is_answered_once(client: FrontEnd, server: FrontEnd) -> None:
    """256 at once, through a network that cuts and holds up: nothing is lost or doubled."""
    outcome = requests.run(client, server, 4000)
    assert missed(outcome) == []
    assert outcome.figures["answered"] == 4000
    assert int(outcome.figures["overtaken answers"]) > 1000


@every_client
@every_server
def test_what_a_reset_takes_fails_by_name(client: FrontEnd, server: FrontEnd) -> None:
    """Where connections are reset, each request is answered once or fails, and none is lost."""
    outcome = requests.run(client, server, 4000, weather=requests.stormy(100_000))
    assert missed(outcome) == []
    failed = int(outcome.figures["failed with ConnectionClosedError"])
    assert int(outcome.figures["resets"]) > 0
    assert int(outcome.figures["answered"]) + failed == 4000


@every_server
def test_slow_senders_are_closed_in_time(server: FrontEnd) -> None:
    """A byte now and then does not keep a connection, and all of them are told why."""
    outcome = slow_senders.run(server, slow=200, good=5, header_timeout=1.0, quiet=1.0)
    assert missed(outcome) == []


@every_server
def test_hoarders_do_not_fill_the_memory(server: FrontEnd) -> None:
    """What a server holds is bounded, whatever its peers send or do not read."""
    outcome = hoarders.run(server, each=30, max_buffered=16 * hoarders.MEBIBYTE)
    assert missed(outcome) == []


@every_server
def test_a_server_that_is_terminated_answers_what_it_received(server: FrontEnd) -> None:
    """With 50 connections at work it exits with 0, and clients see answers and a close."""
    outcome = shutdown.run(server, seconds=0.5)
    assert missed(outcome) == []
    assert int(outcome.figures["answered"]) > 50


def test_a_killed_worker_is_replaced() -> None:
    """The other worker goes on, and connections to it notice nothing."""
    outcome = workers.run(seconds=0.5)
    assert missed(outcome) == []
    assert int(outcome.figures["connections lost with the worker"]) > 0


def test_the_command_line_prints_what_came_of_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each outcome is printed, and a promise that is not kept is the exit code."""
    good = Bar("kept", "times", 1, most=2)
    bad = Bar("broken", "times", 3, most=2)
    printed = {}
    for bars, exit_code in (([good], 0), ([good, bad], 1)):
        outcome = Outcome("A load", {"figure": 1.5}, bars)
        monkeypatch.setattr(catalogue, "outcomes", lambda *_, quick, o=outcome: iter([o]))
        result = CliRunner().invoke(program, ["loads", Load.SHUTDOWN, "--quick"])
        assert result.exit_code == exit_code
        printed[exit_code] = result.stdout
    assert "figure: 1.50" in printed[0]
    assert "met: kept, 1 times (at most 2)" in printed[0]
    assert "MISSED: broken, 3 times (at most 2)" in printed[1]
