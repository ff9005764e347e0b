"""Lines on a stream: styled where a person looks, plain and complete where a program reads."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from telex.cli.failure import CommandError
from telex.cli.terminal import Lines, OutputClosedError, OutputError, standard_input

LINE = (("telex: ", "bold red"), "[bold]text[/bold] :smile: ", "x" * 200)
PLAIN = "telex: [bold]text[/bold] :smile: " + "x" * 200


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """Return a stream to a terminal, and a descriptor to read what it shows."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    here, there = pty.openpty()
    with os.fdopen(there, "w", encoding="utf-8") as stream:
        yield stream, here
    os.close(here)


def shown_by(descriptor: int) -> str:
    """Return the line that a terminal was given."""
    shown = ""
    while not shown.endswith("\n"):
        shown += os.read(descriptor, 65536).decode("utf-8")
    return shown


def test_a_pipe_gets_plain_text(tmp_path: Path) -> None:
    """No style, no markup read, no line broken at any width; each line is there at once."""
    with (tmp_path / "output").open("w") as stream:
        Lines(stream).line(*LINE)
        assert (tmp_path / "output").read_text() == f"{PLAIN}\n"


def test_a_terminal_gets_styles(terminal: tuple[TextIO, int]) -> None:
    """Parts with a style have it on a terminal; the text is the same, and in one line."""
    stream, descriptor = terminal
    Lines(stream).line(*LINE)
    shown = shown_by(descriptor)
    assert shown.startswith("\x1b[1;31mtelex: \x1b[0m[bold]text")
    assert shown.replace("\x1b[1;31m", "").replace("\x1b[0m", "").rstrip("\r\n") == PLAIN


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_may_want_plain_text(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """NO_COLOR is obeyed, and so is a terminal that has no styles."""
    monkeypatch.setenv(variable, value)
    stream, descriptor = terminal
    Lines(stream).line(*LINE)
    assert shown_by(descriptor).rstrip("\r\n") == PLAIN


def test_what_the_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    """A terminal in an old charset shows escapes, and no command fails over it."""
    with (tmp_path / "output").open("w", encoding="ascii") as stream:
        Lines(stream).line("Grüße")
        assert (tmp_path / "output").read_text() == "Gr\\xfc\\xdfe\n"


def test_a_closed_pipe_is_told_apart() -> None:
    """When nobody reads any more that is no failure to complain of, nor is it one at exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        lines = Lines(stream)
        with pytest.raises(OutputClosedError):
            lines.line("text")
        lines.line("goes nowhere")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_line_that_cannot_be_written_is_an_error() -> None:
    """The system's reason is told."""
    with (
        Path("/dev/full").open("w") as stream,
        pytest.raises(OutputError, match=r"^cannot write the output: no space left on device$"),
    ):
        Lines(stream).line("text")


def test_a_program_may_have_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was started with its input closed says so."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match=r"^standard input is closed$"):
        standard_input()


def test_a_stream_need_not_be_a_file() -> None:
    """Lines can be collected in memory too."""
    stream = io.StringIO()
    Lines(stream).line("a", ("b", "red"))
    assert stream.getvalue() == "ab\n"
