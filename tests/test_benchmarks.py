"""The benchmarks: that they measure all they promise to, and compare like with like.

What the figures are is not looked at: a test must not depend on how busy a machine is.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import telex
from benchmarks import codec, watching
from benchmarks.__main__ import program
from benchmarks.builds import COMPILED, builds_here
from benchmarks.contest import Worker
from benchmarks.naive import NaiveDecoder
from benchmarks.results import Bar, Row
from benchmarks.task import Task, Work
from benchmarks.workload import Variety, cut, header_of, parts_of, wire_bytes

LEAST_EFFORT = codec.Effort(
    rounds=1, stream_size=4096, bytewise_size=512, fed_rounds=1, fed_size=2048
)


def run_benchmarks(*arguments: str) -> Result:
    """Run the command line of the benchmarks; assert that it succeeds."""
    result = CliRunner().invoke(program, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result


@pytest.fixture(scope="module")
def codec_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Run the codec benchmark with the least effort; return what it printed and what it wrote."""
    file = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "QUICK", LEAST_EFFORT)
        result = run_benchmarks("codec", "--quick", "--json", str(file))
    return result.stdout, json.loads(file.read_text())


def test_every_size_variety_and_piece_is_decoded(codec_run: tuple[str, dict[str, Any]]) -> None:
    """All combinations are measured, for the naive decoder and every build that is here."""
    _printed, figures = codec_run
    rows = [row for row in figures["rows"] if row["work"] == "decode"]
    measured = [(row["content_size"], row["variety"], row["piece_size"]) for row in rows]
    sizes, varieties, pieces = (
        (100, 1024, 65536),
        ("same", "varying", "different"),
        (1, 1460, 2**18),
    )
    assert measured == list(itertools.product(sizes, varieties, pieces))
    assert all(set(row["samples"]) == {"naive", *builds_here()} for row in rows)


def test_ready_messages_and_new_ones_are_encoded(codec_run: tuple[str, dict[str, Any]]) -> None:
    """All combinations are measured, with and without the making of the message."""
    _printed, figures = codec_run
    rows = [row for row in figures["rows"] if row["work"] != "decode"]
    measured = [(row["content_size"], row["variety"], row["work"]) for row in rows]
    sizes, varieties = (100, 1024, 65536), ("same", "varying", "different")
    assert measured == list(itertools.product(sizes, varieties, ("encode", "make and encode")))
    assert all(set(row["samples"]) == {"naive", *builds_here()} for row in rows)


def test_every_figure_is_positive(codec_run: tuple[str, dict[str, Any]]) -> None:
    """Nothing takes no time: what was not measured is absent, not 0."""
    _printed, figures = codec_run
    samples = [sample for row in figures["rows"] for sample in row["samples"].values()]
    assert all(figure > 0 for sample in samples for figure in sample)
    assert all(len(sample) == LEAST_EFFORT.rounds for sample in samples)


def test_the_table_has_a_line_for_every_row(codec_run: tuple[str, dict[str, Any]]) -> None:
    """What is written to the file is printed too, figure by figure."""
    printed, figures = codec_run
    lines = [line.split() for line in printed.splitlines()]
    for row in figures["rows"]:
        assert any(
            row["variety"] in line and f"{row['median']['naive']:,.0f}" in line for line in lines
        )


def test_every_promise_is_judged(codec_run: tuple[str, dict[str, Any]]) -> None:
    """Each promise of speed is met, missed or not measured, and which of them is printed."""
    printed, figures = codec_run
    bars = figures["bars"]
    assert [bar["least"] for bar in bars if bar["least"]] == [12, 1.5, 4]
    assert [bar["most"] for bar in bars if bar["most"]] == [8, 2.2] * len(builds_here())
    for bar in bars:
        assert (bar["figure"] is None) == (
            COMPILED in bar["what"] and COMPILED not in builds_here()
        )
        assert bar["what"] in printed
        assert (bar["met"] is None) == (bar["figure"] is None)


def test_a_missing_build_is_said_aloud(codec_run: tuple[str, dict[str, Any]]) -> None:
    """Figures of the pure build alone cannot be taken for figures of both."""
    printed, figures = codec_run
    assert figures["builds"] == builds_here()
    assert ("The compiled build is not here" in printed) == (COMPILED not in builds_here())


@pytest.mark.parametrize(
    ("figure", "least", "most", "met"),
    [
        (12.0, 12.0, None, True),
        (11.9, 12.0, None, False),
        (8.0, None, 8.0, True),
        (8.1, None, 8.0, False),
        (None, 12.0, None, None),
    ],
)
def test_a_promise_is_kept_from_its_bound_on(
    figure: float | None, least: float | None, most: float | None, met: bool | None
) -> None:
    """The bound itself is enough, and what was not measured is neither met nor missed."""
    assert Bar("this", "times", figure, least, most).met is met


def test_ratios_are_taken_round_by_round() -> None:
    """A disturbance that hits both contestants of a round does not change what is reported."""
    comparison = codec.DECODINGS[0]
    row = Row(comparison, {"naive": [30.0, 3000.0, 30.0], "pure": [10.0, 1000.0, 10.0]})
    assert row.times_naive("pure") == 3
    assert row.times_naive("compiled") is None


@pytest.mark.parametrize("variety", list(Variety))
def test_all_contestants_read_the_same_messages(variety: Variety) -> None:
    """The stream is what Telex writes, and the naive decoder finds in it what Telex finds."""
    parts = parts_of(variety, 100, 20, 1)
    stream = b"".join(map(wire_bytes, parts))
    messages = [
        telex.Message(part.content, subject=part.subject, headers=part.headers, id=part.id)
        for part in parts
    ]

    assert stream == b"".join(message.to_bytes() for message in messages)
    for size in (1, 100, len(stream)):
        decoder = NaiveDecoder()
        found = [message for piece in cut(stream, size) for message in decoder.receive(piece)]
        assert found == [(header_of(part), part.content) for part in parts]


def test_the_varieties_differ_as_they_say() -> None:
    """The same: one length, no ids. Varying: lengths around the size. Different: subjects too."""
    same, varying, different = (parts_of(variety, 100, 500, 7) for variety in Variety)
    assert len(set(map(wire_bytes, same))) == 1
    lengths = [len(part.content) for part in varying]
    assert 50 <= min(lengths) < 60
    assert 140 < max(lengths) < 150
    assert 97 <= sum(lengths) / len(lengths) <= 103
    assert [part.id for part in varying] == list(range(7, 507))
    assert len({part.subject for part in varying}) == 1
    assert len({part.subject for part in different}) == 500


def test_a_worker_that_cannot_load_its_build_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """The pure build is never measured under the name of the compiled one."""
    if COMPILED in builds_here():
        pytest.skip("both builds are here")
    worker = Worker(COMPILED)
    with pytest.raises(RuntimeError, match="the worker for 'compiled' ended with 1"):
        worker.measure(Task(Work.DECODE, Variety.SAME, 100, 1, 100))
    worker.close()
    assert "is not the compiled build" in capfd.readouterr().err


def test_a_large_message_arrives_and_its_memory_is_told() -> None:
    """The benchmark of one large message says that it arrived equal, and judges the memory."""
    printed = run_benchmarks("large", "--size", "3MiB").stdout
    assert "One message of 3 MiB" in printed
    assert any(line.split() == ["arrived", "equal", "yes"] for line in printed.splitlines())
    assert "at most 2.5 times the message" in printed


def test_a_size_that_is_none_is_refused() -> None:
    """A mistyped size is a usage error."""
    result = CliRunner().invoke(program, ["large", "--size", "much"])
    assert result.exit_code == 2
    assert "'much' is not a size" in result.stderr


def test_what_watching_costs_is_told_for_everybody_who_may_watch() -> None:
    """Who hears of nothing costs no bytecode more than nobody does, beyond one look a batch."""
    costs = {cost.watched_by: cost for cost in watching.run(rounds=2)}
    printed = run_benchmarks("watching", "--quick").stdout
    assert all(name in printed for name in costs)
    nobody = costs["nobody"].bytecodes
    assert nobody <= costs["an observer of nothing"].bytecodes < nobody + 1
    assert all(cost.nanoseconds > 0 for cost in costs.values())
    assert all(costs[name].bytecodes > nobody for name in ("metrics", "operators"))
