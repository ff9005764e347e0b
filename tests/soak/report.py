"""The report of a soak, as text: who did what, which limits were reached, what is not back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.soak.counters import OBJECTS
from tests.soak.soak import Plan, Result

_WIDTH = 100


def text_of(result: Result) -> str:
    """Return the whole report."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    plan, server, crowd = result.plan, result.server, result.crowd
    encryption = "TLS" if plan.is_encrypted else "no TLS"
    yield f"{plan.front_end} server, {encryption}, {plan.seconds:g} s, seed {plan.seed}"
    yield ""
    if server and crowd:
        yield from _table("clients", "what became of their lives", _lives(crowd))
        yield from _table("endings, as the server tells observers", "", _counts(server["endings"]))
        yield from _table("limits that were reached", "", _counts(server["limits"]))
        yield from _table("messages that were not handled", "", _counts(server["failed"]))
        yield from _table("log records of the server", "", _counts(server["logged"]))
        yield from _table("requests", "", _requests(server, crowd))
        took = ((step, f"{seconds:>14.1f}") for step, seconds in result.took.items())
        yield from _table("seconds", "", took)
        yield from _table("counters", "before and after", _counters(result))
    yield from _verdict(result)


def _table(title: str, about: str, rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    yield f"{title:<42}  {about}".rstrip()
    yield "-" * _WIDTH
    for name, value in rows:
        yield f"{name:<42}  {value}"
    yield ""


def _lives(crowd: dict[str, dict[str, dict[str, int]]]) -> Iterator[tuple[str, str]]:
    numbers: Mapping[str, object] = crowd["numbers"]
    for name, outcomes in crowd["outcomes"].items():
        most = sorted(outcomes.items(), key=lambda one: -one[1])
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in most[:4])
        rest = sum(count for _, count in most[4:])
        yield f"{numbers[name]!s:>4} {name}", told + (f", {rest:,} others" if rest else "")


def _counts(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for name, count in sorted(counts.items(), key=lambda one: -one[1]):
        yield name, f"{count:>12,}"


def _requests(server: dict[str, int], crowd: dict[str, int]) -> Iterator[tuple[str, str]]:
    yield "messages that the server received", f"{server['messages']:>12,}"
    yield "of good clients, over calm networks", f"{crowd['asked']:>12,}"
    yield "of good clients, over the rough network", f"{crowd['rough']:>12,}"
    yield "answered", f"{crowd['answered']:>12,}"
    yield "lost with their connection, and told so", f"{crowd['lost']:>12,}"
    yield "connections that the network has reset", f"{crowd['resets']:>12,}"


def _counters(result: Result) -> Iterator[tuple[str, str]]:
    for side, before in result.before.items():
        after = result.after[side]
        for name in before:
            if not name.startswith(OBJECTS):
                yield f"{side}: {name}", f"{before[name]:>12,} {after.get(name, 0):>12,}"
        totals = [
            sum(count for name, count in counts.items() if name.startswith(OBJECTS))
            for counts in (before, after)
        ]
        yield f"{side}: objects of Telex", f"{totals[0]:>12,} {totals[1]:>12,}"


def _verdict(result: Result) -> Iterator[str]:
    if not result.problems:
        yield "Everything is back where it was, and good clients were answered once."
        return
    yield f"{len(result.problems)} PROBLEMS"
    for problem in result.problems:
        yield f"- {problem}"
    yield ""
    yield f"The seed is {result.plan.seed}. To repeat it: {_command(result.plan)}"


def _command(plan: Plan) -> str:
    options = f"SERVER={plan.front_end} SECONDS={plan.seconds:g} SEED={plan.seed}"
    return f"make soak {options}" + ("" if plan.is_encrypted else " TLS=no")
