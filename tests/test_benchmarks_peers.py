"""The comparison with peers: that all arrives, like is compared with like, and budgets are judged.

What the figures are is not looked at: a test must not depend on how busy a machine is. Peers that
are not installed here are skipped, and the reason is that which a run gives.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from typer.testing import CliRunner

import telex
from benchmarks.__main__ import program
from benchmarks.peers import catalogue, command, page, schedule, table
from benchmarks.peers.budgets import BUDGETS, Budget, Claim
from benchmarks.peers.builds import builds_here
from benchmarks.peers.catalogue import MODULES, TELEX, Build, Entrant, contestant_of
from benchmarks.peers.contestants.base import Service
from benchmarks.peers.crowd import Crowd
from benchmarks.peers.effort import FULL, Effort
from benchmarks.peers.grids import reasons
from benchmarks.peers.process import PROJECT, ContestantError, Pair
from benchmarks.peers.results import Results
from benchmarks.peers.turn import take_turn
from benchmarks.peers.works import (
    CONNECTIONS,
    ONE_WAY,
    PING_PONG,
    REQUESTS,
    WORKS,
    Kind,
    Measure,
    Work,
)

LEAST_EFFORT = Effort(1, 0.001, 1, 100, 1, 20, 1)
TELEX_KEYS = ["telex-blocking", "telex-asyncio", "telex-uvloop"]
TINY = {
    Service.SINK: ONE_WAY[:3],
    Service.ECHO: [REQUESTS, PING_PONG],
    Service.CROWD: [Work(Kind.CONNECTIONS, connections=count) for count in (1, 7)],
}
"""Works that take no time, by the service that they need."""


def build_here() -> dict[Build, Path]:
    """Return the build of Telex that is under test, and where it is."""
    build = Build.COMPILED if telex.is_compiled() else Build.PURE
    return {build: Path(telex.__file__).parent.parent}


def entrants_of(name: str) -> list[Entrant]:
    """Return those with this in their names; skip where there are none, and say why."""
    field = catalogue.field(build_here(), [name])
    if not field.entrants:
        pytest.skip(str(field.absent))
    return field.entrants


def check_works(entrant: Entrant) -> None:
    """Have an entrant do a little of everything that it does; everything must arrive."""
    for service, works in TINY.items():
        chosen = [work for work in works if entrant.contestant.why_not(work) is None]
        if not chosen or (service is Service.CROWD and entrant.contestant.wire(b"") is None):
            continue
        with Pair(entrant, service) as pair:
            for work in chosen:
                sample, seconds = take_turn(pair, work, 300)
                assert seconds > 0
                assert all(figure > 0 for figure in sample.values())


@pytest.mark.parametrize("key", TELEX_KEYS)
def test_each_front_end_of_telex_does_every_work(key: str) -> None:
    """Blocking, asyncio and uvloop: all messages arrive, of the right size, at both ends."""
    for entrant in entrants_of(key):
        check_works(entrant)


@pytest.mark.parametrize("module", [name for name, about in MODULES.items() if about != TELEX])
def test_each_peer_does_the_same_works(module: str) -> None:
    """What is compared with Telex does what Telex does, and nothing of it is lost."""
    field = catalogue.field(build_here(), [])
    entrants = [entrant for entrant in field.entrants if entrant.module == module]
    if not entrants:
        pytest.skip(str(field.absent))
    for entrant in entrants:
        check_works(entrant)


def test_the_builds_are_told_apart_by_the_processes_themselves() -> None:
    """A pure Telex is never measured under the name of a compiled one, nor the other way round."""
    ((right, directory),) = build_here().items()
    wrong = Build.PURE if right is Build.COMPILED else Build.COMPILED
    contestant = contestant_of("telex_blocking", "telex-blocking")
    with pytest.raises(ContestantError, match=f"is not {wrong}"):
        Pair(Entrant("telex_blocking", contestant, wrong, directory), Service.ECHO)
    with Pair(Entrant("telex_blocking", contestant, right, directory), Service.ECHO):
        pass


def test_the_pure_build_is_the_source_beside_the_benchmarks(tmp_path: Path) -> None:
    """The compiled one is where the command line says."""
    assert builds_here(tmp_path) == {Build.COMPILED: tmp_path, Build.PURE: PROJECT / "src"}


def test_a_peer_that_is_not_installed_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others take part, and the reason says what to install."""
    monkeypatch.setitem(sys.modules, "zmq", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.contestants.pyzmq", raising=False)
    field = catalogue.field(build_here(), [])
    assert field.absent["pyzmq"] == "zmq is not installed: pip install '.[bench]'"
    assert {"raw", "streams"} <= {entrant.key for entrant in field.entrants}
    assert "pyzmq" not in {entrant.key for entrant in field.entrants}
    console = Console(record=True, width=120)
    table.show(Results(field.entrants, [], field.absent), [], console)
    assert f"Left out: pyzmq: {field.absent['pyzmq']}\n" in console.export_text()


class SaysSo:
    """Stands in for a process that claims what it is told to."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        return self._answer

    def next_line(self) -> dict[str, Any]:
        """Answer."""
        return self._answer


@pytest.mark.parametrize("sizes", [[], [[100, 9]], [[99, 10]], [[99, 1], [100, 9]]])
@pytest.mark.parametrize("work", [ONE_WAY[0], REQUESTS, PING_PONG, CONNECTIONS[0]])
def test_what_did_not_arrive_as_it_was_sent_is_no_figure(
    work: Work, sizes: list[list[int]]
) -> None:
    """A message too few, or one of another size, fails the turn."""
    process = SaysSo({"begin": 0, "at": 1, "nanoseconds": 1, "times": [1] * 10, "sizes": sizes})
    pair = cast("Pair", type("BothSides", (), {"client": process, "server": process}))
    with pytest.raises(ContestantError, match="10 messages of 100 bytes became"):
        take_turn(pair, work, 10)


def test_answers_of_a_crowd_are_looked_at() -> None:
    """The load generator compares what comes back with what it sent."""
    (entrant,) = entrants_of("raw")
    wire = entrant.contestant.wire(b"content")
    assert wire is not None
    with Pair(entrant, Service.CROWD) as pair:
        with Crowd(pair.port, wire, b"content", 2) as crowd:
            assert len(crowd.request_all(10, 3)) == 10
        with pytest.raises(RuntimeError, match="the answer is wrong"):
            Crowd(pair.port, wire, b"another", 1).__enter__()


def test_what_cannot_have_so_many_connections_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process may open few files, that is the reason, and no failure of a contestant."""
    monkeypatch.setattr("benchmarks.peers.schedule.most_connections", lambda: 500)
    field = catalogue.field(build_here(), ["raw"])
    results = schedule.run(field, [CONNECTIONS[2]], FULL, lambda _what: None)
    assert results.samples == {}
    why = "a process may have no more than 500 connections here"
    assert list(reasons(results))[-1:] == [f"all of them: not in 1,000 connections, because {why}"]


def results_of(**samples: list[float]) -> Results:
    """Return results of one work, by the keys of entrants; underscores stand for hyphens."""
    results = Results([], [REQUESTS], {})
    for name, figures in samples.items():
        for figure in figures:
            results.add(REQUESTS, name.replace("_", "-"), {Measure.RATE: figure})
    return results


def test_ratios_are_taken_round_by_round() -> None:
    """A disturbance that hits both of a round does not change what is reported."""
    results = results_of(pyzmq=[10.0, 1.0, 10.0], raw=[30.0, 3.0, 30.0])
    assert results.ratio(Measure.RATE, (REQUESTS, "raw"), (REQUESTS, "pyzmq")) == 3
    assert results.ratio(Measure.RATE, (REQUESTS, "raw"), (REQUESTS, "nobody")) is None


@pytest.mark.parametrize(
    ("figure", "least", "most", "verdict"),
    [
        (30.0, 3, None, "met"),
        (27.0, 3, None, "missed by 10%"),
        (12.0, None, 1.2, "met"),
        (24.0, None, 1.2, "missed by 100%"),
        (None, 3, None, "not measured"),
    ],
)
def test_a_budget_is_met_or_missed_by_so_much(
    figure: float | None, least: float | None, most: float | None, verdict: str
) -> None:
    """The bound itself is enough, and what was not measured is neither."""
    results = results_of(pyzmq=[10.0], raw=[] if figure is None else [figure])
    budget = Budget("this", (Claim("raw", REQUESTS, Measure.RATE, "pyzmq"),), least, most)
    assert str(budget.judge(results)) == verdict


def test_a_budget_of_several_is_held_to_the_worst() -> None:
    """The one that is furthest behind decides, and is named."""
    results = results_of(raw=[10.0], telex=[30.0], websockets=[20.0])
    claims = tuple(Claim(of, REQUESTS, Measure.RATE, "raw") for of in ("telex", "websockets"))
    verdict = Budget("both", claims, least=2.5).judge(results)
    assert (str(verdict.claim), str(verdict)) == ("websockets / raw", "missed by 20%")


def test_every_budget_is_of_somebody_and_has_one_bound() -> None:
    """No budget goes unjudged for a mistyped name."""
    builds = dict.fromkeys(Build, Path())
    telex_keys = {entrant.key for entrant in catalogue.field(builds, []).entrants}
    peers = {"pyzmq", "pyzmq-parts", "raw", "websockets", "websockets-uvloop"}
    for budget, claim in itertools.chain.from_iterable(
        ((budget, claim) for claim in budget.claims) for budget in BUDGETS
    ):
        assert claim.of in telex_keys
        assert claim.to is None or claim.to in peers
        assert claim.work in WORKS
        assert (budget.least is None) != (budget.most is None)


def test_the_command_measures_shows_and_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who and what is chosen is in the tables, in the file, and in the budgets."""
    file = tmp_path / "figures.json"
    monkeypatch.setattr(command, "QUICK", LEAST_EFFORT)
    names = ["--only", "raw", "--only", "telex-blocking-pure"]
    works = ["--work", "ping-pong", "--work", "idle", "--work", "start", "--work", "connections"]
    result = CliRunner().invoke(
        program, ["peers", "--quick", *names, *works, "--json", str(file)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "Telex blocking, pure" in result.stdout
    assert "10,000 connections, because a quick run leaves this work out" in result.stdout
    figures = json.loads(file.read_text())
    measured = {(row["work"], row["contestant"]) for row in figures["rows"]}
    assert ("ping-pong", "raw") in measured
    assert {("start", "telex-blocking-pure"), ("100 connections", "raw")} <= measured
    assert all(
        sample > 0 for row in figures["rows"] if row["kind"] != "idle" for sample in row["samples"]
    )
    assert {budget["verdict"] for budget in figures["budgets"]} == {"not measured"}


def test_a_missed_budget_fails_only_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without ``--strict`` a benchmark never fails because a machine is slow."""
    monkeypatch.setattr(command, "QUICK", LEAST_EFFORT)
    impossible = Budget("quicker than light", (Claim("raw", PING_PONG, Measure.P50),), most=0.001)
    monkeypatch.setattr("benchmarks.peers.budgets.BUDGETS", [impossible])
    arguments = ["peers", "--quick", "--only", "raw", "--work", "ping-pong"]
    assert CliRunner().invoke(program, arguments).exit_code == 0
    assert CliRunner().invoke(program, [*arguments, "--strict"]).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nobody"], "nobody is called 'nobody'; there are telex-blocking-pure"),
        (["--write", "--only", "raw"], "the page is of all peers and all works"),
        (["--work", "nothing"], "'nothing' is not one of"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(arguments: list[str], message: str) -> None:
    """A mistyped name is a usage error, which says what there is."""
    result = CliRunner().invoke(program, ["peers", *arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert message.split(";")[0] in result.stderr


def test_a_page_keeps_what_people_wrote() -> None:
    """Only what is between the marks is renewed, and a page without them is refused."""
    text = f"# Performance\n\n{page.BEGIN}\nold\n{page.END}\n\nWhat helped.\n"
    renewed = page.with_part(text, "new")
    assert renewed == f"# Performance\n\n{page.BEGIN}\n\nnew\n\n{page.END}\n\nWhat helped.\n"
    assert page.with_part(renewed, "new") == renewed
    with pytest.raises(ValueError, match="the page lacks the lines"):
        page.with_part("# Performance\n", "new")


def test_the_page_in_the_documentation_can_be_renewed() -> None:
    """It has the marks between which figures are written."""
    page.with_part(page.PAGE.read_text(encoding="utf-8"), "new")


def test_tables_and_pictures_are_written(tmp_path: Path) -> None:
    """Each kind of work has a picture, as SVG and as PNG, and a table that says the same."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    field = catalogue.field(build_here(), ["raw", "streams"])
    results = Results(field.entrants, WORKS, {})
    for number, (work, entrant) in enumerate(itertools.product(WORKS, field.entrants), 1):
        results.add(work, entrant.key, dict.fromkeys(Measure, 1000.0 * number))
    file = tmp_path / "performance.md"
    file.write_text(f"{page.BEGIN}\n{page.END}\n")
    page.renew(results, [], LEAST_EFFORT, file)
    text = file.read_text()
    for kind in Kind:
        assert f"(performance/{kind}.svg)" in text
        assert all(
            (tmp_path / "performance" / f"{kind}.{form}").exists() for form in ("svg", "png")
        )
    assert "| raw socket | 1,000 | 3,000 | 5,000 | 7,000 |" in text
