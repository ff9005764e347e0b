"""One soak of one server: a crowd warms it up, everything is counted, and again after the crowd.

What must be back where it was is compared here, on both sides, and the ledger of the crowd with
what the server has handled.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tests.certificates import Authority
from tests.soak import counters
from tests.soak.process import Process, ProcessFailedError

FrontEnd = Literal["sync", "asyncio", "uvloop"]

_TOKEN: Final = "a token that all good clients know"
_SLACK: Final = {
    f"{counters.OBJECTS}telex.wire.header.HeaderFields": 1024 + 64,
    f"{counters.OBJECTS}telex.log._Budget": 1024,
}
"""By how much counters may grow: headers that were read, and peers that caused log lines, are
remembered up to these bounds."""

_SHORT: Final = 60.0
_SHORT_SLACK: Final = {counters.MEMORY[0]: 8 * 1024}
"""In a soak of less than a minute, what the allocator keeps may be more than 10 % of a process."""


@dataclass(frozen=True)
class Plan:
    """How to soak which server: ``seconds`` are those that count, after the warming up."""

    front_end: FrontEnd
    seconds: float
    warm_up: float
    seed: int = 1
    clients: int = 200
    is_encrypted: bool = True
    faults: tuple[str, ...] = ()


@dataclass
class Result:
    """What has happened, and what is not as it should be."""

    plan: Plan
    server: dict[str, Any] = field(default_factory=dict)
    crowd: dict[str, Any] = field(default_factory=dict)
    before: dict[str, counters.Counts] = field(default_factory=dict)
    after: dict[str, counters.Counts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)
    """Seconds that each step took."""


def soak(plan: Plan) -> Result:
    """Soak a server; the result says what is wrong, and nothing is raised for that."""
    result = Result(plan)
    try:
        with ExitStack() as stack:
            _run(plan, result, stack)
    except ProcessFailedError as failure:
        result.problems.append(str(failure))
    return result


def _run(plan: Plan, result: Result, stack: ExitStack) -> None:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    authority = Authority(directory) if plan.is_encrypted else None
    pair = None if authority is None else authority.issue("localhost", "127.0.0.1")

    def start(module: str, **options: object) -> Process:
        return stack.enter_context(Process(module, {"seed": plan.seed, **options}))

    server = start(
        "tests.soak.server",
        front_end=plan.front_end,
        certificate=None if pair is None else [str(path) for path in pair],
        tokens={"good": _TOKEN},
        faults=plan.faults,
    )
    known = {
        "address": server.ask("address"),
        "authority": None if authority is None else str(authority.file),
        "token": _TOKEN,
    }
    use_uvloop = plan.front_end == "uvloop"
    crowd = start("tests.soak.crowd", clients=plan.clients, uvloop=use_uvloop, **known)
    forking = start("tests.soak.clients.forking", **known)
    both = {"server": server, "crowd": crowd}
    _live(result, both, forking, plan.warm_up, "the warming up")
    result.before = {name: process.ask("count") for name, process in both.items()}
    server.ask("plant")
    _live(result, both, forking, plan.seconds, "the soak")
    result.after = {name: process.ask("count") for name, process in both.items()}
    result.server, result.crowd = server.ask("report"), crowd.ask("report")
    _add_forking(result, forking.ask("report"))
    _judge(result)
    for process in (forking, crowd, server):
        if code := process.end():
            result.problems.append(f"{process.module} ended with {code}")


def _live(
    result: Result, both: dict[str, Process], forking: Process, seconds: float, what: str
) -> None:
    """Have all clients live for so long; then wait until nothing is left of them anywhere."""
    with _timed(result, what):
        forking.begin("run", seconds)
        both["crowd"].ask("run", seconds, seconds=seconds)
        forking.answer("run", seconds)
    for name, process in both.items():
        with _timed(result, f"until the {name} was quiet after {what}"):
            left = process.ask("wait_until_quiet")
        result.problems.extend(
            f"left after {what}, in the process of the {name}: {one}" for one in left
        )


def _add_forking(result: Result, report: dict[str, Any]) -> None:
    """Add what has become of the client that forks, which is in no crowd."""
    result.crowd["numbers"]["forking"] = 1
    result.crowd["outcomes"]["forking"] = report["outcomes"]
    result.problems.extend(report["problems"])


@contextmanager
def _timed(result: Result, step: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    result.took[step] = time.monotonic() - begin


def _judge(result: Result) -> None:
    """Compare what must be equal, and collect the problems of all sides."""
    problems, server, crowd = result.problems, result.server, result.crowd
    slack = _SLACK if result.plan.seconds >= _SHORT else {**_SLACK, **_SHORT_SLACK}
    for name in result.before:
        found = counters.differences(result.before[name], result.after[name], slack=slack)
        problems.extend(f"not back, in the process of the {name}: {what}" for what in found)
    for name, report in (("server", server), ("crowd", crowd)):
        problems.extend(f"in the process of the {name}: {what}" for what in report["problems"])
    problems.extend(f"a good client: {what}" for what in crowd["ledger problems"])
    problems.extend(f"{count:,} requests of {who} are open" for who, count in crowd["open"])
    if (server["handled"], server["sum"]) != (crowd["asked"], crowd["sum"]):
        problems.append(
            f"good clients asked {crowd['asked']:,} requests with the sum {crowd['sum']:,}, "
            f"and the server handled {server['handled']:,} with the sum {server['sum']:,}"
        )
    if not crowd["answered"]:
        problems.append("no request was answered at all")
