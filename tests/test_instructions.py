"""The regression guard: what it makes of counts, and that every work it counts can be done.

Nothing is counted here: that takes valgrind, and a minute.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks.__main__ import program
from benchmarks.instructions import callgrind, check
from benchmarks.instructions.check import CannotCompareError, figures_for_here, show
from benchmarks.instructions.figures import Comparison, Figures, Setting, Verdict
from benchmarks.instructions.work import Work, prepared

SETTING = Setting("CPython 3.11.7", "GCC 12.2.0, with profiling", "gcc 12.2.0", "x86_64")
COUNTS = {str(work): 1_000 + number for number, work in enumerate(Work)}


def kept_in(folder: Path, setting: Setting = SETTING, counts: dict[str, int] = COUNTS) -> Path:
    """Keep figures in a file of a folder, and return the file."""
    file = folder / "figures.json"
    Figures(setting, counts).write(file)
    return file


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (1000, 1000, Verdict.KEPT),
        (1000, 1099, Verdict.KEPT),
        (1000, 1100, Verdict.WORSE),
        (1000, 5000, Verdict.WORSE),
        (1000, 901, Verdict.KEPT),
        (1000, 900, Verdict.BETTER),
    ],
)
def test_a_tenth_more_is_too_many_and_a_tenth_less_is_better(
    before: int, now: int, verdict: Verdict
) -> None:
    """From a tenth on a change counts, in both directions."""
    assert Comparison("encode", before, now).verdict is verdict


@pytest.mark.parametrize(
    ("now", "is_good", "sentence"),
    [(1_000, True, "as before"), (1_250, False, "too many"), (800, True, "renew")],
)
def test_what_changed_is_said_with_its_work_and_by_how_much(
    now: int, is_good: bool, sentence: str
) -> None:
    """The table names the work, both counts and the change, and what to do about it."""
    console = Console(width=120, record=True)
    assert show([Comparison("encode", 1_000, now)], console) is is_good
    (row,) = [line for line in console.export_text().splitlines() if "encode" in line]
    assert row.split()[:4] == ["encode", "1,000", f"{now:,}", f"{now / 1000 - 1:+.1%}"]
    assert sentence in row


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Nothing is lost on the way through the file, and the works keep their order."""
    figures = figures_for_here(kept_in(tmp_path), SETTING)
    assert figures == Figures(SETTING, COUNTS)
    now = {work: count + 1 for work, count in COUNTS.items()}
    compared = [(line.work, line.before, line.now) for line in figures.compare(now)]
    assert compared == [(work, count, count + 1) for work, count in COUNTS.items()]


def test_figures_from_elsewhere_are_not_compared(tmp_path: Path) -> None:
    """What differs is named, and how to compare all the same."""
    elsewhere = Setting("CPython 3.13.1", SETTING.python_built, "gcc 14.2.0", SETTING.machine)
    with pytest.raises(CannotCompareError) as refusal:
        figures_for_here(kept_in(tmp_path, elsewhere), SETTING)
    said = str(refusal.value)
    assert "python: CPython 3.11.7, not CPython 3.13.1" in said
    assert "compiler: gcc 12.2.0, not gcc 14.2.0" in said
    assert "machine" not in said
    assert "make bench-check FIGURES=own.json UPDATE=1" in said


def test_figures_of_other_works_are_not_compared(tmp_path: Path) -> None:
    """A work without a figure would go unguarded."""
    file = kept_in(tmp_path, counts={"encode": 1_000})
    with pytest.raises(CannotCompareError, match="figures of other works"):
        figures_for_here(file, SETTING)


@pytest.mark.parametrize("content", [None, "{", "{}", '{"setting": {}, "instructions": {}}', "[]"])
def test_a_file_without_figures_is_said_to_be_one(tmp_path: Path, content: str | None) -> None:
    """A missing or damaged file is no reason to say that all is well."""
    file = tmp_path / "figures.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CannotCompareError, match="no figures to compare with"):
        figures_for_here(file, SETTING)


def test_the_kept_figures_are_of_the_works_that_are_counted() -> None:
    """Whoever adds a work renews the figures with it."""
    figures = Figures.read(check.KEPT)
    assert list(figures.instructions) == list(Work)
    assert all(count > 0 for count in figures.instructions.values())


def test_a_missing_valgrind_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who lacks it learns what it is for and how to get it, before anything is counted."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert callgrind.obstacle() is not None
    result = CliRunner().invoke(program, ["instructions"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "apt-get install valgrind" in result.stderr


@pytest.mark.parametrize("work", Work)
def test_every_work_is_done_the_same_each_time(work: Work) -> None:
    """What is counted is at least one message, and as many the next time."""
    with prepared(work) as job:
        done = [job() for _ in range(3)]
    assert done[0] > 0
    assert done == [done[0]] * 3
